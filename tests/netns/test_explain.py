"""What `ec2net explain` says is what the kernel does."""

import ipaddress
import itertools
import random
import re

import pytest

from ec2net_legacy.kernel import policy
from tests.netns.conftest import on_both
from tests.netns.driver import hurry_ipv6, wait_until

SUBNET6 = "2001:db8:0:1::/64"
INTERNET = {4: "198.51.100.9", 6: "2600:1f18::9"}
UNREACHABLE = {4: "203.0.113.77", 6: "2001:db8:dead::77"}
CONTAINER = {4: "172.17.0.2", 6: "fd00:17::2"}
MARKS = {4: [0x100, 0x200], 6: [0x100]}
# Where a packet may go to: each of these.
TARGETS = {
    4: [INTERNET[4], UNREACHABLE[4], CONTAINER[4], "10.0.0.77", "10.0.1.77", "10.0.0.10",
        "10.0.1.10", "10.0.0.255", "127.0.0.1", "10.0.0.11", "100.64.1.1"],
    6: [INTERNET[6], UNREACHABLE[6], CONTAINER[6], "2001:db8:0:1::77", "2001:db8:0:1::10"],
}
SOURCES = {4: [None, "10.0.0.10", "10.0.1.10", "10.0.1.11", "10.0.0.11", "172.17.0.1"],
           6: [None, "2001:db8:0:1::10", "fd00:17::1"]}
LOCAL = re.compile("(local|broadcast|anycast) ")
# Of others, whose rules and tables are there, too.
CNI = """
rule add pref 512 to 172.17.0.2 lookup main
rule add pref 1024 fwmark 0x80/0x80 lookup main
rule add pref 1536 from 172.17.0.9 lookup 2
rule add pref 1537 from 172.17.0.2 iif docker0 to 100.64.0.0/10 lookup 2
route add default via 10.0.1.1 dev eth1 table 2
"""
WIREGUARD = """
rule add pref 9995 not fwmark 0xca6c lookup 51820
rule add pref 9994 lookup main suppress_prefixlength 0
route add default dev wg0 table 51820
-6 rule add pref 9995 not fwmark 0xca6c lookup 51820
-6 rule add pref 9994 lookup main suppress_prefixlength 0
-6 route add default dev wg0 table 51820
"""
OTHERS = """
rule add pref 50 to 203.0.113.0/24 unreachable
-6 rule add pref 50 to 2001:db8:dead::/48 prohibit
rule add pref 60 from 10.0.1.11 goto 80
rule add pref 70 from 10.0.1.11 blackhole
rule add pref 80 nop
rule add pref 90 lookup 90 suppress_prefixlength 0
route add unreachable default table 91
route add throw 198.51.100.0/28 table 90
route add blackhole 10.0.1.64/26 table 90
rule add pref 95 from 10.0.1.11 to 100.64.0.0/10 lookup 91 suppress_prefixlength 0
rule add pref 99 goto 98765
rule add pref 100 iif gone0 blackhole
route add 198.51.100.8/29 via 10.0.1.1 dev eth1 metric 7
route add 198.51.100.8/29 via 10.0.0.1 dev eth0 metric 6
-6 route add 2600:1f18::/32 via fe80::1 dev eth1 metric 7 table 10001
rule add pref 101 oif eth1 blackhole
"""


@pytest.fixture
def host(lab):
    """The lab with two secondary ENIs, one of them with IPv6, and a bridge."""
    hurry_ipv6(lab)
    script = """
        ip link add docker0 type bridge
        ip addr add 172.17.0.1/16 dev docker0
        ip -6 addr add fd00:17::1/64 dev docker0 nodad
        ip link add v0 type veth peer name v1
        ip link set v0 master docker0 up
        ip link set v1 up
        ip link set docker0 up
        ip link add wg0 type veth peer name wg1
        ip link set wg0 up
        ip link set wg1 up
        for family in 4 6; do
            sysctl -qw net.ipv$family.conf.all.forwarding=1
        done
    """
    lab.host(["sh", "-ec", script])
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=2, subnet6=SUBNET6,
               ipv6=["2001:db8:0:1::10"])
    lab.attach("eth2", subnet="10.0.0.0/24", addresses=1)
    for name in ("eth1", "eth2"):
        lab.host(["ec2ifup", name])
    wait_until(lambda: "2001:db8:0:1::10" in lab.host(["ip", "-6", "addr"]).stdout)
    return lab


def batch(lab, text):
    """Carry out lines of `ip`; those that begin with -6 are of that family."""
    for family in ("-4", "-6"):
        lines = [line for line in text.splitlines() if line.startswith("-6") == (family == "-6")]
        lines = [line.replace("-6 ", "") + "\n" for line in lines]
        lab.host(["ip", family, "-batch", "-"], input="".join(lines))


def asked(destination, source, incoming, mark=0):
    """Return what is asked of the kernel."""
    words = ["route", "get", destination]
    words += ["from", source] if source else []
    words += ["iif", incoming] if incoming else []
    words += ["mark", hex(mark)] if mark else []
    return " ".join(words)


def kernels(text):
    """Return by which device it goes out, "local" for this host itself, "" where nowhere."""
    if LOCAL.match(text):
        return "local"
    return "" if "RTNETLINK" in text else re.search(r" dev (\S+)", text).group(1)


def explained(paragraph):
    """Return the same from one part of what explain prints."""
    words = " ".join(paragraph.split())
    decided = re.search(r" decides: (.*?) kernel: ", words)
    if not decided or re.match("(unreachable|prohibit|blackhole)\\b", decided.group(1)):
        return ""
    if LOCAL.match(decided.group(1)):
        return "local"
    return re.search(r" dev (\S+)", decided.group(1)).group(1)


def packets(family):
    """Return (destination, source, incoming) of a matrix."""
    for destination, source in itertools.product(TARGETS[family], SOURCES[family]):
        if not (source and source == destination):
            yield destination, source, None
    for destination in TARGETS[family]:
        if destination not in (CONTAINER[family], "127.0.0.1"):
            yield destination, CONTAINER[family], "docker0"
    yield CONTAINER[family], INTERNET[family], "eth1"
    yield SOURCES[family][2 if family == 4 else 1], INTERNET[family], "eth1"
    yield UNREACHABLE[family], INTERNET[family], "eth1"


def mismatches(lab, family):
    """Return each packet about which explain and the kernel differ, and how many were compared."""
    wanted = list(packets(family))
    lines = ["ec2net explain --to {}{}{}; echo =====".format(
        destination, " --from " + source if source else "",
        " --in " + incoming if incoming else "") for destination, source, incoming in wanted]
    texts = lab.host(["sh", "-ec", "\n".join(lines)]).stdout.split("=====\n")
    differing, compared = [], 0
    for (destination, source, incoming), text in zip(wanted, texts):
        paragraphs = text.rstrip().split("\n\n")
        marks = [0, *(MARKS[family] if incoming == "docker0" else [])]
        assert len(paragraphs) == len(marks), text
        for mark, paragraph in zip(marks, paragraphs):
            words = asked(destination, source, incoming, mark)
            result = lab.host(["ip", "-{}".format(family), *words.split()], check=False)
            answer = result.stdout or result.stderr
            compared += 1
            if explained(paragraph) != kernels(answer) or "otherwise" in paragraph:
                differing.append("{}\n{}\n{}".format(words, answer, paragraph))
    return differing, compared


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("foreign", ["", CNI, WIREGUARD, OTHERS, CNI + WIREGUARD + OTHERS],
                         ids=["ours", "cni", "wireguard", "others", "all"])
def test_it_is_what_the_kernel_does(host, foreign, family):
    batch(host, foreign)
    differing, compared = mismatches(host, family)
    assert not differing, "\n\n".join(differing)
    assert compared > 20


@on_both
def test_what_a_name_of_the_link_group_changes(lab):
    lab.attach("eth1", subnet="10.0.1.0/24")
    lab.host(["ec2ifup", "eth1"])
    lab.host(["sh", "-c", "mkdir -p /etc/iproute2; echo '10000 enis' >> /etc/iproute2/group"])
    text = lab.host(["ec2net", "explain", "--from", "10.0.1.10", "--to", "10.0.0.77"]).stdout
    assert "suppress_ifgroup enis" in text
    assert explained(text) == "eth1"


def test_aws_would_drop_it(host):
    batch(host, "rule del pref 10001 from 10.0.1.11")
    text = host.host(["ec2net", "explain", "--from", "10.0.1.11", "--to", INTERNET[4]]).stdout
    assert "warning: AWS drops it: 10.0.1.11 is an address of eth1, not of eth0" in text
    before = host.drops("eth0")
    host.host(["ping", "-c", "1", "-W", "1", "-I", "10.0.1.11", INTERNET[4]], check=False)
    assert host.drops("eth0") > before


def test_what_only_the_kernel_can_tell_is_pointed_out(host):
    batch(host, "rule add pref 40 uidrange 0-0 lookup 10001")
    text = host.host(["ec2net", "explain", "--to", INTERNET[4]]).stdout
    assert "taken not to match" in text
    assert "the kernel decides otherwise" in text


# At random, as `ip -batch` reads it.

DEVICES = ["r0", "r1", "r2", "r3"]
ADDRESSES = {4: ["10.{}.0.1".format(number) for number in range(4)],
             6: ["fd00:{}::1".format(number) for number in range(4)]}
SETUP = "".join(
    "link add {0} type bridge\nlink set {0} up\nlink set {0} group {3}\n"
    "addr add {1}/24 dev {0}\n-6 addr add {2}/64 dev {0} nodad\n"
    .format(device, *addresses, number % 2 * 7)
    for number, (device, *addresses) in enumerate(zip(DEVICES, ADDRESSES[4], ADDRESSES[6]))
)
FIRST = {4: [10, 10, 200, 99, 8], 6: [0xFD00, 0xFD00, 0x2600, 0x2001, 0x2A00]}
SHORT = {4: ["10.0.0.0/15", "0.0.0.0/32", "0.0.0.0/4"], 6: ["fd00::/31", "fd00::/8", "::/4"]}


def some_address(chance, family, most):
    numbers = [chance.choice(FIRST[family]), *(chance.randrange(most) for _ in range(3))]
    return ("{}.{}.{}.{}" if family == 4 else "{:x}:{:x}:{:x}::{:x}").format(*numbers)


def some_network(chance, family):
    length = chance.choice([0, 1, 2, 8, 16, 24, 32] if family == 4 else [0, 1, 3, 16, 32, 48, 128])
    return str(ipaddress.ip_network((some_address(chance, family, 3), length), strict=False))


def some_route(chance, family):
    table = chance.choice(["5", "6", "7", "main"])
    kind = chance.choice([""] * 5 + ["throw", "unreachable", "blackhole", "prohibit"])
    metric = " metric {}".format(chance.randrange(1, 9)) if chance.randrange(2) else ""
    device = "" if kind else " dev " + chance.choice(DEVICES)
    return "route add {} {}{} table {}{}".format(kind, some_network(chance, family), device, table,
                                             metric)


def some_rule(chance, family):
    words = ["rule add pref {}".format(chance.randrange(10, 90))]
    words += ["not"] if chance.randrange(6) == 0 else []
    if chance.randrange(2):
        words += ["from", chance.choice([*ADDRESSES[family], *SHORT[family]])]
    if chance.randrange(3) == 0:
        words += ["to", some_network(chance, family)]
    if chance.randrange(4) == 0:
        words += ["iif", chance.choice([*DEVICES, "lo", "gone0"])]
    if chance.randrange(8) == 0:
        words += ["oif", chance.choice(DEVICES)]
    if chance.randrange(3) == 0:
        words += ["fwmark", chance.choice(["0x1", "0x100/0x3f00", "0x0/0xff", "0x101/0xffff"])]
    words += [chance.choice(["lookup 5", "lookup 6", "lookup 7", "lookup main", "lookup 9",
                             "unreachable", "nop", "goto", "lookup 5 suppress"])]
    if words[-1] == "goto":
        words[-1] += " {}".format(int(words[0].split()[-1]) + chance.randrange(1, 40))
    if words[-1].endswith("suppress") or (words[-1] == "lookup main" and chance.randrange(2)):
        words[-1] = words[-1].replace(" suppress", "")
        words += ["suppress_prefixlength", str(chance.choice([0, 1, 8, 16]))]
        if chance.randrange(2):
            words += ["suppress_ifgroup", chance.choice(["0", "7"])]
    return " ".join(words)


def some_packet(chance, family):
    destination = some_address(chance, family, 4)
    source, mark = chance.choice(["", *ADDRESSES[family]]), chance.choice([0, 0, 1, 0x100, 0x101])
    incoming = chance.choice(DEVICES) if chance.randrange(3) == 0 else ""
    if incoming:
        # With an address of the host's own it is refused for that.
        source = ("77.0.0.{}" if family == 4 else "fd00:1::{}").format(chance.randrange(2, 5))
    return policy.Packet(source, destination, incoming, mark)


def grouped(device, group):
    return {"default": 0, "7": 7}.get(group) == DEVICES.index(device) % 2 * 7


def kernel_says(lab, family, packets):
    """Return the kernel's answers to many questions."""
    lines = ["ip -{} -o {} 2>&1 | tr '\\n' ' '; echo".format(
        family, asked(one.destination, one.source, one.incoming, one.mark)) for one in packets]
    return lab.host(["sh", "-c", "\n".join(lines)]).stdout.splitlines()


def shake(lab, family, chance):
    """Give the host rules and routes at random; return the texts of both."""
    made = ["route flush table {}".format(table) for table in ("5", "6", "7", "main")]
    made += ["rule flush", "rule add pref 0 lookup local", "rule add pref 32766 lookup main"]
    made += [some_route(chance, family) for _ in range(25)]
    made += [some_rule(chance, family) for _ in range(12)]
    ip = ["ip", "-{}".format(family)]
    # Some of it is there already, or cannot be.
    lab.host([*ip, "-force", "-batch", "-"], input="\n".join(made), check=False)
    return [lab.host([*ip, "-o", *what.split()]).stdout
            for what in ("rule show", "route show table all")]


@pytest.mark.parametrize("family", [4, 6])
def test_at_random(lab, family):
    batch(lab, SETUP)
    lab.host(["sh", "-ec", "for one in 4 6; do sysctl -qw net.ipv$one.conf.all.forwarding=1; done"])
    differing, went = [], []
    for seed in range(12):
        chance = random.Random(seed)  # noqa: S311
        rules, routes = shake(lab, family, chance)
        packets = [some_packet(chance, family) for _ in range(60)]
        for packet, answer in zip(packets, kernel_says(lab, family, packets)):
            steps = policy.decide(rules, routes, packet, grouped)
            decided = steps[-1].route if steps and steps[-1].verdict == policy.DECIDES else ""
            ours = "local" if LOCAL.match(decided) else policy.device_of(steps)
            went.append(ours)
            if ours != kernels(answer) or not policy.agrees(steps, answer):
                differing.append("\n".join(["seed {}: {}".format(seed, packet), answer,
                                            *map(str, steps), rules]))
    assert not differing, "\n\n".join([str(len(differing)), *differing[:3]])
    # Everything was met.
    assert set(went) == {*DEVICES, "local", ""}
