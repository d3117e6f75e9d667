"""All that ENIs have in common is taken back with the last of them, to the byte."""

import pytest

from tests.netns.conftest import on_both
from tests.netns.driver import hotplug, hurry_ipv6, read, write
from tests.netns.talk import configure

# The host's own, in the very table and chain that ours are in.
FIREWALL = """\
*mangle
:OWN - [0:0]
-A PREROUTING -i lo -j ACCEPT
-A PREROUTING -p tcp -m tcp --dport 25 -j OWN
-A POSTROUTING -o eth0 -j OWN
-A OWN -j MARK --set-xmark 0x1/0xffffffff
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -p tcp -m tcp --dport 23 -j DROP
COMMIT
"""
# Where it is about runs of ours alone.
on_the_faster = pytest.mark.parametrize("lab", ["rhel"], indirect=True)
KEYS = ("rp_filter", "arp_ignore", "arp_announce")
_EVERYTHING = """
for command in "ip rule" "ip -6 rule" "ip route show table all" "ip -6 route show table all" \
               iptables-save ip6tables-save; do
    echo "== $command"
    $command | sed -E '/^#/d; s/ \\[[0-9]+:[0-9]+\\]$//'
done
ip -o link | grep -o '^[0-9]*: [a-z0-9]*\\|altname .*'
cd /sys/class/net && grep . */netdev_group
cd /proc/sys/net/ipv4/conf && grep . */rp_filter */arp_ignore */arp_announce
cd /proc/sys/net/ipv6/conf && grep . */accept_ra */accept_ra_pinfo */ra_defrtr_metric
"""
# Stands in the way of `ip` and `iptables-restore`: the run of ours that comes to change something
# for the n-th time dies there.
_DEADLY = """#!/bin/sh
if tr '\\0' ' ' </proc/$PPID/cmdline | grep -q 'sbin/ec2' && [ "$2" != -o ]; then
    n=$(cat /run/lives)
    [ "$n" -gt 0 ] || { kill -9 $PPID; exit 1; }
    echo $((n - 1)) >/run/lives
fi
exec /usr/sbin/${0##*/} "$@"
"""


def everything(lab):
    """Return all that is to be as before: rules, routes, firewalls, names, groups, parameters."""
    return lab.host(["sh", "-c", _EVERYTHING]).stdout


def parameter(lab, name):
    """Return a kernel parameter, as in ``eth0/rp_filter``."""
    return int(read(lab, "/proc/sys/net/ipv4/conf/" + name))


def set_parameters(lab, **values):
    """Set kernel parameters, as in ``eth0_rp_filter=1``."""
    lab.namespaces.host.sysctl({
        "net/ipv4/conf/" + name.replace("_", "/", 1): value for name, value in values.items()
    })


@pytest.fixture
def host(lab):
    """The lab's host with its own firewall, and connections to be marked."""
    for program in ("iptables-restore", "ip6tables-restore"):
        lab.host([program], input=FIREWALL)
    configure(lab, "containers = yes")
    # Nothing may come and go by itself.
    hurry_ipv6(lab)
    lab.host(["ip", "-6", "address", "flush", "dev", "eth0"])
    return lab


@pytest.mark.parametrize("subnets", [["10.0.1.0/24"], ["10.0.0.0/24", "10.0.2.0/24"]],
                         ids=["one", "two"])
@on_both
def test_everything_is_as_it_was(host, subnets):
    lab, names = host, ["eth{}".format(number + 1) for number in range(len(subnets))]
    # Not what the kernel has by itself.
    set_parameters(lab, eth0_arp_announce=1)
    nothing = everything(lab)
    for name, subnet in zip(names, subnets):
        lab.attach(name, subnet=subnet, addresses=2, ipv6=2)
    attached = everything(lab)
    for name in names:
        lab.host(["ec2ifup", name])
    up = everything(lab)
    for sign in ("suppress_ifgroup 10000", "fwmark 0x", "-A PREROUTING -j EC2NET",
                 "eth0/netdev_group:10000", "eth1/netdev_group:10000", "eth1/rp_filter:2",
                 "eth1/accept_ra:2", "eth1/accept_ra_pinfo:0", "eth1/ra_defrtr_metric:10001"):
        assert sign in up
    shared = subnets[0] == "10.0.0.0/24"
    assert [parameter(lab, "eth0/" + key) for key in KEYS[1:]] == ([1, 2] if shared else [0, 1])
    for name in names:
        lab.host(["ec2ifdown", name])
    assert everything(lab) == attached

    for name in names:
        lab.host(["ec2ifup", name])
    for name in names:
        lab.detach(name)
        hotplug(lab, "remove", name)
    assert everything(lab) == nothing


def test_what_the_administrator_has_set_since_stays(host):
    lab = host
    set_parameters(lab, eth0_arp_announce=1)
    lab.attach("eth1", subnet="10.0.0.0/24")
    before = {name: parameter(lab, "eth0/" + name) for name in KEYS}
    lab.host(["ec2ifup", "eth1"])
    set_parameters(lab, eth0_arp_ignore=2, eth1_arp_announce=1)
    lab.host(["ip", "link", "set", "dev", "eth0", "group", "7"])
    lab.host(["ec2net", "refresh"])
    # What will do is left alone, what will not is set again.
    assert parameter(lab, "eth0/arp_ignore") == 2
    assert parameter(lab, "eth1/arp_announce") == 2
    set_parameters(lab, eth1_rp_filter=1)
    lab.host(["ec2ifdown", "eth1"])
    assert {name: parameter(lab, "eth0/" + name) for name in KEYS} == dict(before, arp_ignore=2)
    assert [parameter(lab, "eth1/" + name) for name in KEYS] == [1, 0, 1]
    assert read(lab, "/sys/class/net/eth0/netdev_group") == "7\n"


@pytest.fixture
def mortal(host):
    """The host with eth1, on which runs of ours may die; `killed` says when."""
    host.attach("eth1", subnet="10.0.0.0/24", addresses=2)
    host.host(["mkdir", "/run/deadly"])
    for name in ("ip", "iptables-restore"):
        write(host, "/run/deadly/" + name, _DEADLY)
        host.host(["chmod", "755", "/run/deadly/" + name])
    return host


def killed(lab, lives, *command):
    """Run a command that dies after `lives` changes; return whether it has come that far."""
    write(lab, "/run/lives", str(lives))
    path = "PATH=/run/deadly:/usr/sbin:/usr/bin:/sbin:/bin"
    return lab.host(["env", path, *command], check=False).returncode == -9


@on_the_faster
def test_what_a_dead_ec2ifup_has_left_is_completed_or_taken_back(mortal):
    lab, lives = mortal, 0
    down = everything(lab)
    lab.host(["ec2ifup", "eth1"])
    up = everything(lab)
    lab.host(["ec2ifdown", "eth1"])

    def dead():
        # Otherwise all is known, and dhclient's hook has done it before.
        lab.host(["rm", "-r", "/run/ec2net"])
        return killed(lab, lives, "ec2ifup", "eth1")

    while dead():
        assert everything(lab) not in (down, up), lives
        lab.host(["ec2net", "refresh"])
        assert everything(lab) == up, lives
        lab.host(["ec2ifdown", "eth1"])
        assert everything(lab) == down, lives
        assert dead()
        lab.host(["ec2ifdown", "eth1"])
        assert everything(lab) == down, lives
        lives += 1
    # What it changes of the kernel itself is one `ip`, and the firewall another process.
    assert lives >= 2


@on_the_faster
def test_what_a_dead_ec2ifdown_has_left_is_taken_back(mortal):
    lab, lives = mortal, 0
    down = everything(lab)
    lab.host(["ec2ifup", "eth1"])
    while killed(lab, lives, "ec2ifdown", "eth1"):
        assert everything(lab) != down, lives
        lab.host(["ec2ifdown", "eth1"])
        assert everything(lab) == down, lives
        lab.host(["ec2ifup", "eth1"])
        lives += 1
    assert everything(lab) == down
    assert lives >= 2
