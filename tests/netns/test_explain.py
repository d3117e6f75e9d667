"""What `ec2net explain` says is what the kernel does."""

import ipaddress
import itertools
import random
import re
from types import SimpleNamespace

import pytest

from ec2net_legacy import explain
from ec2net_legacy.kernel import diff
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
# A rule, which may be folded, and what comes of it.
DECIDED = r"^  (\d+): (.*(?:\n {6,}.*)*?)\n {6}decides"
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


def asked(source, destination, incoming, mark):
    """Return what is asked of the kernel."""
    words = ["route", "get", destination]
    words += ["from", source] if source else []
    words += ["iif", incoming] if incoming else []
    words += ["mark", hex(mark)] if mark else []
    return " ".join(words)


def wrong_about(lab, family, question, paragraph):
    """Return how one part of what explain prints is not what the kernel does, "" if it is."""
    ip, said = "ip -{} -o ".format(family), " ".join(paragraph.split())
    decided = re.search(DECIDED, paragraph, re.M)
    number = int(decided.group(1)) if decided else 0
    # A rule that refuses stops a packet that is decided behind it, and no other. It is not for the
    # way back to the source, which the kernel looks up for what comes in.
    script = """
        {0}{1} 2>&1 || echo refused; echo =====
        {0}{2} 2>&1; echo =====
        for number in {3} {4}; do
            {0}rule add pref $number to {5} unreachable
            {0}{1} >/dev/null 2>&1; echo $?
            {0}rule del pref $number to {5} unreachable
        done
        {0}rule | grep -c "goto {3} *$"
    """.format(ip, question, question.replace("get", "get fibmatch"), number, max(number - 1, 0),
               question.split()[2])
    answer, match, codes = lab.host(["sh", "-c", script], check=False).stdout.split("=====\n")
    told, refused = " ".join(answer.split("\\")[0].split()), "refused" in answer
    if "kernel: " + told.replace(" refused", "") not in said or "otherwise" in said:
        return "the answer is " + told
    if refused or not decided:
        return "" if refused and not decided else "it is decided otherwise"
    table = re.findall(r" table (\S+)", answer) or ["main"]
    if "lookup {} ".format(table[0]) not in decided.group(2) + " ":
        return "it is another table"
    short = re.search("unless by a default route .up to /([0-9]+)", said)
    prefix = re.sub("^[a-z]+ (?=[^ ]*[.:])", "", match.replace("default", "::/0")).split()[0]
    later = bool(short) and ipaddress.ip_network(prefix).prefixlen <= int(short.group(1))
    behind, before, gotos = codes.split()
    # A goto may lead past the one before.
    stopped = before != "0" or not number or gotos != "0"
    return "" if stopped and (behind != "0") == later else "another rule decides"


def packets(family):
    """Return (source, destination, incoming) of a matrix."""
    for destination, source in itertools.product(TARGETS[family], SOURCES[family]):
        if not (source and source == destination):
            yield source, destination, None
    for destination in TARGETS[family]:
        if destination not in (CONTAINER[family], "127.0.0.1"):
            yield CONTAINER[family], destination, "docker0"
    here = SOURCES[family][2 if family == 4 else 1]
    for destination in (CONTAINER[family], here, UNREACHABLE[family]):
        yield INTERNET[family], destination, "eth1"


def mismatches(lab, family):
    """Return each packet about which explain and the kernel differ, and how many were compared."""
    wanted = list(packets(family))
    lines = ["ec2net explain --to {}{}{}; echo =====".format(
        destination, " --from " + source if source else "",
        " --in " + incoming if incoming else "") for source, destination, incoming in wanted]
    texts = lab.host(["sh", "-ec", "\n".join(lines)]).stdout.split("=====\n")
    found = []
    for packet, text in zip(wanted, texts):
        paragraphs = text.rstrip().split("\n\n")
        marks = [0, *(MARKS[family] if packet[2] == "docker0" else [])]
        assert len(paragraphs) == len(marks), text
        for mark, paragraph in zip(marks, paragraphs):
            found.append((wrong_about(lab, family, asked(*packet, mark), paragraph), paragraph))
    return ["\n".join(one) for one in found if one[0]], len(found)


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
    assert "passed over: no route, or a default route (up to /1), or one by that group" in text
    assert "decides: the table of eth1\n" in text


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
    table = chance.choice(["5", "6", "main"])
    kind = chance.choice([""] * 5 + ["throw", "unreachable", "blackhole", "prohibit"])
    metric = " metric {}".format(chance.randrange(1, 9)) if chance.randrange(2) else ""
    device = "" if kind else " dev " + chance.choice(DEVICES)
    return "route add {} {}{} table {}{}".format(kind, some_network(chance, family), device, table,
                                             metric)


def some_rule(chance, family):
    words = ["rule add pref {}".format(chance.randrange(10, 90))]
    words += ["not"] if chance.randrange(6) == 0 else []
    for odds, word, values in (
        (2, "from", [*ADDRESSES[family], *SHORT[family]]),
        (3, "to", [some_network(chance, family)]),
        (4, "iif", [*DEVICES, "lo", "gone0"]),
        (8, "oif", DEVICES),
        (3, "fwmark", ["0x1", "0x100/0x3f00", "0x0/0xff", "0x101/0xffff"]),
    ):
        words += [word, chance.choice(values)] if chance.randrange(odds) == 0 else []
    # A rule at 90 is there, while the other goto may lead nowhere.
    words += [chance.choice([*["lookup 5", "lookup main"] * 3, "lookup 6", "lookup 9",
                             "unreachable", "nop", "goto 90", "goto 99"])]
    if words[-1] in ("lookup 5", "lookup main") and chance.randrange(2):
        words += ["suppress_prefixlength", str(chance.choice([0, 1, 8, 16]))]
        words += ["suppress_ifgroup", chance.choice("07")] if chance.randrange(2) else []
    return " ".join(words)


def some_packet(chance, family):
    destination = some_address(chance, family, 4)
    source, mark = chance.choice(["", *ADDRESSES[family]]), chance.choice([0, 0, 1, 0x100, 0x101])
    incoming = chance.choice(DEVICES) if chance.randrange(3) == 0 else ""
    if incoming:
        # With an address of the host's own it is refused for that.
        source = ("77.0.0.{}" if family == 4 else "fd00:1::{}").format(chance.randrange(2, 5))
    return explain.Packet(source, destination, incoming, mark, "a packet")


def looked_at(lab):
    """Return the lab's host as explain looks at it, without anything of ours."""
    groups = {device: number % 2 * 7 for number, device in enumerate(DEVICES)}
    return SimpleNamespace(
        runner=SimpleNamespace(run=lambda argv: lab.host(argv, check=False)),
        devices=SimpleNamespace(device=groups.get, group=groups.get),
        settings=SimpleNamespace(link_group=10000, backend="ifupdown"),
        files=SimpleNamespace(read=lambda _: None, glob=lambda _: []),
        known_kernel=lambda _: diff.NOTHING,
    )


def shake(lab, family, chance):
    """Give the host rules and routes at random."""
    made = ["route flush table {}".format(table) for table in ("5", "6", "main")]
    made += ["rule flush", "rule add pref 0 lookup local", "rule add pref 32766 lookup main"]
    made += ["rule add pref 90 nop", *(some_rule(chance, family) for _ in range(12))]
    made += [some_route(chance, family) for _ in range(25)]
    # Some of it is there already, or cannot be.
    lab.host(["ip", "-{}".format(family), "-force", "-batch", "-"], input="\n".join(made),
             check=False)


@pytest.mark.parametrize("family", [4, 6])
def test_at_random(lab, family):
    batch(lab, SETUP)
    lab.host(["sh", "-ec", "for one in 4 6; do sysctl -qw net.ipv$one.conf.all.forwarding=1; done"])
    host, differing, verdicts = looked_at(lab), [], set()
    for seed in range(12):
        chance = random.Random(seed)  # noqa: S311
        shake(lab, family, chance)
        for _ in range(30):
            seen = explain.look(host, some_packet(chance, family))
            case = explain.decide(seen, *seen.answers[0])
            text, question = explain.text([case]), asked(*case.packet[:-1])
            verdicts |= {re.split("[:,]", verdict)[0] for _, verdict in case.steps}
            wrong = wrong_about(lab, family, question, text)
            differing += ["\n".join([wrong, question, text, seen.rules])] if wrong else []
    assert not differing, "\n\n".join([str(len(differing)), *differing[:3]])
    # Everything was met.
    assert verdicts == {"decides", "does nothing", "goes on there", "matches", "passed over",
                        "refuses what gets here"}
