"""The life of the Debian packages on a host, by the real dpkg: what they keep and leave."""

import os
import shutil
from pathlib import Path

import pytest

from tests.lab.container import Docker
from tests.netns.driver import hurry_ipv6, pinged, read, status, unreachable, wait_until, write
from tests.netns.looks import changes, look
from tests.netns.talk import configure
from tests.packaging import deb

pytestmark = pytest.mark.skipif(
    not all(shutil.which(command) for command in deb.COMMANDS) and not os.environ.get("CI"),
    reason="commands not installed: " + " ".join(deb.COMMANDS))

# Where a package, its programs and its scripts may leave something.
PLACES = ["/etc", "/opt", "/run", "/lib/systemd", "/lib/udev", "/usr/lib/ec2net", "/usr/sbin",
          "/usr/local", "/usr/share/doc", "/usr/share/python3", "/var/lib"]
# dpkg's and debconf's own, and what running daemons write.
ELSE = ["/var/lib/dpkg/*", "/var/cache/*", "/var/lib/dhcp/*", "/run/network/*", "/run/dhclient*",
        "/run/systemd/netif/*", "/var/lib/systemd/timers/*"]
DETAILS = """
for device in eth0 eth1; do
    cd /sys/class/net/$device && echo $device $(cat netdev_group)
    ip link show dev $device | grep altname
    for name in rp_filter arp_ignore arp_announce; do
        echo $device $name $(cat /proc/sys/net/ipv4/conf/$device/$name)
    done
    for name in accept_ra accept_ra_pinfo ra_defrtr_metric; do
        echo $device $name $(cat /proc/sys/net/ipv6/conf/$device/$name)
    done
done
iptables-save -t mangle | grep -v '^[#:]'
"""
SYSTEMCTL = """#!/bin/sh
# A stand-in that notes what systemd is asked to do. A file says whether networkd is active.
case " $* " in
*" is-active "*) [ -e /run/networkd-is-active ] ;;
*" is-enabled "*) echo enabled ;;
*" preset "*) ;;
*) echo "$*" | sed 's/--quiet //; s/--system //' >>/run/asked ;;
esac
"""
EC2NET = """#!/bin/sh
# A stand-in for `ec2net switch`.
echo "$*" >>/run/asked
[ ! -e /run/cannot ]
"""
OLDER_TOOLS = ["/etc/network/ec2net-functions", "/etc/network/ec2net.hotplug",
               "/etc/dhcp/dhclient-exit-hooks.d/ec2dhcp",
               "/etc/udev/rules.d/53-ec2-network-interfaces.rules",
               "/etc/udev/rules.d/75-persistent-net-generator.rules"]


@pytest.fixture
def bare(build_bare):
    """A host with ifupdown and nothing of the product."""
    return build_bare()


def dpkg(lab, *arguments, check=True):
    """Run dpkg, with nobody there to answer a question."""
    return lab.host(["dpkg", *map(str, arguments)], check=check, timeout=120,
                    env={"DEBIAN_FRONTEND": "noninteractive", "DPKG_COLORS": "never"})


def files(lab):
    """Return what there is in the places of packages, each with its content."""
    unless = [word for path in ELSE for word in ("!", "-path", path)]
    command = ["find", *PLACES, "-xdev", "(", "-type", "f", "-o", "-type", "l", ")", *unless]
    # A directory may not be there.
    named = [*command, "-printf", "%p %y %m %l %s\\n"]
    return set(lab.host(named, check=False).stdout.splitlines())


def whole(lab):
    """Return all that a purge has to bring back."""
    return dict(look(lab), paths=sorted(files(lab)),
                details=lab.host(["sh", "-c", DETAILS], check=False).stdout.splitlines())


def standing_in(lab, name, text):
    """Put a program in the place of one of the machine."""
    write(lab, name, text)
    lab.host(["chmod", "755", name])


def asked(lab):
    """Return what stand-ins were asked to do since the last time."""
    said = (read(lab, "/run/asked") or "").splitlines()
    write(lab, "/run/asked", "")
    return said


def answers(lab, addresses):
    """Wait until each address answers; the router of IPv6 is heard in its own time."""
    wait_until(lambda: unreachable(lab, addresses) == [], 20)


def test_an_upgrade_and_a_removal_keep_connections_and_a_purge_leaves_nothing(bare, tmp_path):
    lab, package = bare, deb.packages()[deb.NAME]
    hurry_ipv6(lab)
    # Two ENIs on one subnet, a container, an address beside the primary's: all that can be shared.
    eni = lab.attach("eth1", subnet="10.0.0.0/24", addresses=3, ipv6=1, prefixes=["10.0.0.32/28"])
    docker = Docker(lab)
    docker.publish(docker.run(), eni.addresses[:1])
    before = whole(lab)
    lab.assign("eth0", "10.0.0.99")
    dpkg(lab, "-i", deb.older(package, tmp_path))
    lab.host(["ec2ifup", "eth1"])
    configure(lab, "containers = yes")
    lab.host(["ec2net", "refresh"])
    every = [*eni.addresses[1:], *eni.ipv6, "10.0.0.99"]
    answers(lab, every)
    dhclients = lab.host(["pgrep", "-a", "dhclient"]).stdout
    configured = read(lab, "/etc/network/interfaces.d/eth1.cfg")
    with pinged(lab, [*eni.addresses[1:], "10.0.0.99"]):
        dpkg(lab, "-i", package)
        assert status(lab)["eth1"]["state"] == "in step"
        dpkg(lab, "-r", deb.NAME)
    assert lab.host(["pgrep", "-a", "dhclient"]).stdout == dhclients
    assert read(lab, "/etc/network/interfaces.d/eth1.cfg") == configured
    # Nothing of it is called any more.
    hook = lab.host(["sh", "-e", "/etc/dhcp/dhclient-exit-hooks.d/ec2net"], env={"reason": "RENEW"})
    assert (hook.stdout, hook.stderr) == ("", "")
    assert not [path for path in files(lab) if path.startswith(("/usr/lib/ec2net", "/lib/systemd"))
                and "ec2" in path]
    dpkg(lab, "-P", deb.NAME)
    assert changes(before, whole(lab)) == []
    assert lab.host(["pgrep", "-a", "dhclient"]).stdout.count("eth1") == 0


def test_a_purge_leaves_nothing_on_networkd(build_bare):
    # Of all versions it is this one that leaves the most behind (docs/networkd.md).
    lab = build_bare(distribution="networkd", networkd="257")
    hurry_ipv6(lab)
    eni = lab.attach("eth1", addresses=3, ipv6=1)
    before = whole(lab)
    dpkg(lab, "-i", deb.packages()[deb.NAME])
    lab.host(["ec2ifup", "eth1"])
    answers(lab, eni.addresses + eni.ipv6)
    dpkg(lab, "-r", deb.NAME)
    assert unreachable(lab, eni.addresses + eni.ipv6) == []
    dpkg(lab, "-P", deb.NAME)
    # networkd has them at 0 on what it has managed once.
    changed = [line for line in changes(before, whole(lab)) if " accept_ra" not in line]
    assert changed == []


@pytest.mark.parametrize("prefix", ["/usr", "/usr/local"])
def test_it_takes_over_what_make_install_has_put_there(bare, prefix):
    lab, mine = bare, "/etc/network/ec2net.hotplug"
    write(lab, mine, "an older one")
    before = whole(lab)
    lab.host(["make", "-s", "-C", str(deb.REPOSITORY), "install", "FLAVOUR=debian", "INIT=systemd",
              "PYTHON=/usr/bin/python3", "PREFIX=" + prefix])
    eni = lab.attach("eth1", addresses=2)
    lab.host(["ec2ifup", "eth1"])
    with pinged(lab, eni.addresses, interval=0.02):
        dpkg(lab, "-i", deb.packages()[deb.NAME])
    assert dpkg(lab, "--verify", deb.NAME).stdout == ""
    assert status(lab)["eth1"]["state"] == "in step"
    assert lab.host(["ls", "/usr/lib/ec2net"]).stdout.split() == ["ec2net_legacy", "on-udev"]
    lab.host(["ec2ifdown", "eth1"])
    lab.detach("eth1")
    dpkg(lab, "-P", deb.NAME)
    assert changes(before, whole(lab)) == []
    assert read(lab, mine) == "an older one"


def test_the_older_tools_scripts_make_way_until_the_purge(bare):
    for path in OLDER_TOOLS:
        bare.host(["mkdir", "-p", os.path.dirname(path)])
        write(bare, path, "an older tool's")
    before = whole(bare)
    dpkg(bare, "-i", deb.packages()[deb.NAME])
    assert bare.host(["readlink", OLDER_TOOLS[1]]).stdout == "/usr/sbin/ec2net-hotplug\n"
    assert [path for path in OLDER_TOOLS if read(bare, path) == "an older tool's"] == []
    dpkg(bare, "-r", deb.NAME)
    dpkg(bare, "-i", deb.packages()[deb.NAME])
    dpkg(bare, "-P", deb.NAME)
    assert changes(before, whole(bare)) == []


def test_an_administrators_generator_is_none_of_the_older_tools(bare):
    bare.host(["mkdir", "-p", os.path.dirname(OLDER_TOOLS[4])])
    write(bare, OLDER_TOOLS[4], "mine")
    dpkg(bare, "-i", deb.packages()[deb.NAME])
    assert read(bare, OLDER_TOOLS[4]) == "mine"


@pytest.mark.parametrize("with_networkd", [False, True])
def test_what_systemd_is_asked_to_do(bare, with_networkd):
    lab, package = bare, deb.packages()[deb.NAME]
    lab.host(["mkdir", "-p", "/run/systemd/system"])
    standing_in(lab, "/usr/local/sbin/systemctl", SYSTEMCTL)
    # The machine may have one that forbids all.
    lab.host(["rm", "-f", "/usr/sbin/policy-rc.d"])
    if with_networkd:
        write(lab, "/run/networkd-is-active", "")
    path = ["start ec2net-networkd.path"] if with_networkd else []
    dpkg(lab, "-i", package)
    assert asked(lab) == ["daemon-reload", "start ec2net-refresh.timer", *path]
    dpkg(lab, "-i", package)
    assert [line.replace(".service", "") for line in asked(lab)] == [
        "stop ec2net-networkd.path", "stop ec2net-refresh.timer", "daemon-reload",
        "start ec2net-refresh.timer", *path]
    dpkg(lab, "-r", deb.NAME)
    said = asked(lab)
    assert "stop ec2net-refresh.timer" in said
    assert "ec2-if" not in str(said)
    dpkg(lab, "-P", deb.NAME)
    assert "stop ec2-ifup@*.service" in asked(lab)


def test_the_profile_for_upstart_on_a_host_with_upstart(bare):
    lab = bare
    # A new lab's host has no such directories.
    lab.host(["mkdir", "-p", "/etc/init", "/etc/cron.d", "/etc/udev/rules.d"])
    standing_in(lab, "/usr/local/sbin/initctl", EC2NET)
    before = whole(lab)
    eni = lab.attach("eth1", addresses=2)
    dpkg(lab, "-i", deb.packages("upstart")[deb.NAME])
    assert asked(lab) == ["reload-configuration"]
    lab.host(["ec2ifup", "eth1"])
    assert unreachable(lab, eni.addresses) == []
    dpkg(lab, "-r", deb.NAME)
    assert unreachable(lab, eni.addresses) == []
    cron = read(lab, "/etc/cron.d/ec2net-refresh").splitlines()[-1]
    assert lab.host(["sh", "-ec", cron.split(" root ")[1]]).stderr == ""
    dpkg(lab, "-P", deb.NAME)
    lab.detach("eth1")
    lab.host(["rm", "/run/asked"])
    assert changes(before, whole(lab)) == []


class Switching:
    """A host with the first package and a stand-in for `ec2net switch`."""

    def __init__(self, lab):
        self.lab = lab
        write(lab, "/etc/debconf.conf", Path("/etc/debconf.conf").read_text())
        dpkg(lab, "-i", deb.packages()[deb.NAME])
        lab.host(["dpkg-divert", "--local", "--rename", "--add", "/usr/sbin/ec2net"])
        standing_in(lab, "/usr/sbin/ec2net", EC2NET)
        standing_in(lab, "/usr/local/sbin/systemctl", SYSTEMCTL)

    def preseed(self, answer):
        """Answer the question before it is asked."""
        line = "{} ec2net-legacy/switch boolean {}\n".format(deb.NETWORKD, answer)
        self.lab.host(["debconf-set-selections"], input=line)

    def dpkg(self, *arguments, **options):
        """Run dpkg; return its exit code and what `ec2net` was asked to do."""
        done = dpkg(self.lab, *arguments, check=False, **options)
        return done.returncode, [line for line in asked(self.lab) if line.startswith("switch")]


@pytest.fixture
def switching(bare):
    """Such a host."""
    return Switching(bare)


TO_NETWORKD, BACK = "switch --to networkd --yes", "switch --to ifupdown --yes"


def test_without_an_answer_nothing_is_switched(switching):
    package = deb.packages()[deb.NETWORKD]
    assert switching.dpkg("-i", package) == (0, [])
    # An upgrade does not ask again, and does not switch either.
    switching.preseed("true")
    assert switching.dpkg("-i", package) == (0, [])
    assert switching.dpkg("-P", deb.NETWORKD) == (0, [])


def test_a_preseeded_yes_switches_once_and_the_removal_switches_back(switching):
    package = deb.packages()[deb.NETWORKD]
    switching.preseed("true")
    assert switching.dpkg("-i", package) == (0, [TO_NETWORKD])
    assert switching.dpkg("-i", package) == (0, [])
    assert switching.dpkg("-r", deb.NETWORKD) == (0, [BACK])
    assert switching.dpkg("-i", package) == (0, [TO_NETWORKD])
    assert switching.dpkg("-P", deb.NETWORKD) == (0, [BACK])
    # The purge has forgotten the answer.
    assert switching.dpkg("-i", package) == (0, [])


def test_a_host_that_was_networkds_before_stays_so(switching):
    write(switching.lab, "/run/networkd-is-active", "")
    switching.preseed("true")
    assert switching.dpkg("-i", deb.packages()[deb.NETWORKD]) == (0, [TO_NETWORKD])
    assert switching.dpkg("-P", deb.NETWORKD) == (0, [])


def test_a_switch_that_fails_can_be_tried_again_or_left(switching):
    write(switching.lab, "/run/cannot", "")
    switching.preseed("true")
    code, said = switching.dpkg("-i", deb.packages()[deb.NETWORKD])
    assert (code != 0, said) == (True, [TO_NETWORKD])
    switching.lab.host(["rm", "/run/cannot"])
    assert switching.dpkg("--configure", deb.NETWORKD) == (0, [TO_NETWORKD])
    write(switching.lab, "/run/cannot", "")
    code, said = switching.dpkg("-r", deb.NETWORKD)
    assert (code != 0, said) == (True, [BACK])
    # It is still there, and knows what to go back to.
    switching.lab.host(["rm", "/run/cannot"])
    assert switching.dpkg("-r", deb.NETWORKD) == (0, [BACK])
