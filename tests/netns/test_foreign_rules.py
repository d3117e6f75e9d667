"""The rules and marks of others, as on a node of Kubernetes: none of them is touched."""

import re

from tests.lab import ask
from tests.lab.container import Docker
from tests.netns.conftest import on_all
from tests.netns.dhcp import LEASE, OLD, RENEWED, script
from tests.netns.driver import hotplug
from tests.netns.talk import configure, no_drops

# Of the VPC CNI, of wg-quick, and such as are nearly ours.
RULES = """\
rule add pref 512 from all to 10.0.1.200 lookup main
rule add pref 1024 from all fwmark 0x80/0x80 lookup main
rule add pref 1536 from 10.0.1.200 lookup 2
rule add pref 9990 from all lookup main suppress_prefixlength 0
rule add pref 9990 from all lookup main suppress_prefixlength 1 suppress_ifgroup 20
rule add pref 10001 from all fwmark 0x100/0xff00 lookup 10001
rule add pref 10001 from 10.0.1.200 fwmark 0x80/0x80 lookup 10001
rule add pref 20000 from all fwmark 0x100/0x3f00 lookup main
rule add pref 32764 not from all fwmark 0xca6c lookup 51820
route add default via 10.0.0.1 dev eth0 table 2
"""
# Of the VPC CNI and of kube-proxy. Their comments are for the eye.
FIREWALL = """\
*mangle
-A PREROUTING -i eth0 -m comment --comment "AWS, primary ENI" -m addrtype --dst-type LOCAL \
--limit-iface-in -j CONNMARK --set-xmark 0x80/0x80
-A PREROUTING -i eni+ -m comment --comment "AWS, primary ENI" -j CONNMARK --restore-mark \
--nfmask 0x80 --ctmask 0x80
COMMIT
*nat
:AWS-CONNMARK-CHAIN-0 - [0:0]
:KUBE-MARK-DROP - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
-A PREROUTING -i eni+ -m comment --comment "AWS, outbound connections" -j AWS-CONNMARK-CHAIN-0
-A PREROUTING -m comment --comment "AWS, CONNMARK" -j CONNMARK --restore-mark --nfmask 0x80 \
--ctmask 0x80
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A AWS-CONNMARK-CHAIN-0 ! -d 10.0.0.0/16 -j CONNMARK --set-xmark 0x80/0x80
-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
COMMIT
"""


def theirs(lab):
    """Return all rules and firewall rules but those that ours are known by, in their order."""
    ours = re.compile("EC2NET|suppress_ifgroup 10000$|^10001:.*from (all fwmark 0x100/0x3f00|"
                      "10.0.1.1[01]) lookup 10001$")
    lines = []
    for command in ("ip -4 rule", "ip -6 rule", "iptables-save", "ip6tables-save"):
        # The comments have the time in them, and the rest its counters.
        text = re.sub(r"(?m)^#.*\n| \[\d+:\d+\]$", "", lab.host(command.split()).stdout)
        lines += [line for line in text.splitlines() if not ours.search(line)]
    return lines


def has_ours(lab):
    """Return whether marks and main-first rule are in place."""
    return ("suppress_ifgroup 10000" in lab.host(["ip", "rule"]).stdout,
            "-A PREROUTING -j EC2NET" in lab.host(["iptables-save"]).stdout)


@on_all
def test_nothing_of_others_is_changed(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    configure(lab, "containers = yes")
    lab.host(["ip", "-batch", "-"], input=RULES)
    for program in ("iptables-restore", "ip6tables-restore"):
        lab.host([program], input=FIREWALL.replace("10.0.0.0/16", "fd00::/8")
                 if program == "ip6tables-restore" else FIREWALL)
    before = theirs(lab)
    assert len([line for line in before if re.search("0x(80|100|4000|8000)/", line)]) >= 15

    def hook(reason, **variables):
        return lambda: script(lab, reason, **variables)

    # What a lease comes with; of networkd nobody is called, and it takes none away at a reload.
    leases = (
        ("renewal", hook("RENEW", **RENEWED), True),
        ("loss of the lease", hook("EXPIRE", **OLD), True),
        ("lease", hook("BOUND", **LEASE), True),
    ) if lab.distribution != "networkd" else (
        ("renewal", lambda: lab.host(["networkctl", "renew", "eth1"]), True),
        ("reload", lambda: lab.host(["networkctl", "reload"]), True),
    )
    for what, act, there in (
        ("hotplug add", lambda: hotplug(lab, "add"), None),
        ("ec2ifup", lambda: lab.host(["ec2ifup", "eth1"]), True),
        ("refresh", lambda: lab.host(["ec2net", "refresh"]), True),
        *leases,
        ("containers = no", lambda: configure(lab, "containers = no"), True),
        ("refresh", lambda: lab.host(["ec2net", "refresh"]), None),
        ("containers = yes", lambda: configure(lab, "containers = yes"), None),
        ("refresh", lambda: lab.host(["ec2net", "refresh"]), True),
        ("ec2ifdown", lambda: lab.host(["ec2ifdown", "eth1"]), False),
        ("ec2ifup", lambda: lab.host(["ec2ifup", "eth1"]), True),
        ("hotplug remove", lambda: (lab.detach("eth1"), hotplug(lab, "remove")), False),
    ):
        act()
        assert theirs(lab) == before, what
        if there is not None:
            assert has_ours(lab) == (there, there), what


def counted(lab):
    """Return how many packets the counting rules have seen, by their comment."""
    lines = lab.host(["iptables-save", "-c", "-t", "mangle"]).stdout
    return {name: int(count) for count, name in
            re.findall(r"(?m)^\[(\d+):\d+\] .* --comment (\S+)(?: |$)", lines)}


def test_their_bits_of_a_mark_are_left_as_they_are(lab):
    configure(lab, "containers = yes")
    eni = lab.attach("eth1", subnet="10.0.1.0/24")
    docker = Docker(lab)
    docker.publish(docker.run(), ["10.0.0.10", eni.address])
    lab.host(["ec2ifup", "eth1"])
    # What others set before ours, of packets and of connections, has to be there after it.
    for rule in (
        "-t raw -A PREROUTING -i docker0 -j MARK --set-xmark 0x4000/0x4000",
        "-t mangle -I PREROUTING -i eth1 -j CONNMARK --set-xmark 0x8000/0x8000",
        "-t mangle -I PREROUTING -i eth0 -j CONNMARK --set-xmark 0x80/0x80",
        "-t mangle -A FORWARD -o eth1 -m mark --mark 0x4100/0xffffffff"
        " -m connmark --mark 0x8100/0xffffffff -m comment --comment by-eth1",
        "-t mangle -A FORWARD -o eth0 -m mark --mark 0x4000/0xffffffff"
        " -m connmark --mark 0x80/0xffffffff -m comment --comment by-eth0",
        "-t mangle -A FORWARD -o docker0 -m mark --mark 0x0/0xffffffff"
        " -m comment --comment to-the-container",
        "-t mangle -A FORWARD -m comment --comment all",
    ):
        lab.host(["iptables", *rule.split()])
    lab.host(["ec2net", "refresh"])
    with no_drops(lab):
        assert len(ask(lab.namespaces.client, ["10.0.0.10", eni.address])) == 2
    seen = counted(lab)
    assert min(seen["by-eth0"], seen["by-eth1"], seen["to-the-container"]) >= 3
    assert seen.pop("all") == sum(seen.values())
