"""Which rule and which route decide about a packet, from what `ip` prints of one family."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy.kernel import policy
from tests.unit.fakes import COMMON_RULES

MAIN = (
    "default via 10.0.0.1 dev eth0 \n"
    "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.10 \n"
    "172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 \n"
    "local 10.0.0.10 dev eth0 table local proto kernel scope host src 10.0.0.10 \n"
    "broadcast 10.0.0.255 dev eth0 table local proto kernel scope link src 10.0.0.10 \n"
    "local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1 \n"
)
ETH1 = "default via 10.0.1.1 dev eth1 table 10001 \n10.0.1.0/24 dev eth1 table 10001 scope link \n"
MAIN6 = (
    "2001:db8::/64 dev eth0 proto kernel metric 256 pref medium\n"
    "default via fe80::1 dev eth0 proto ra metric 1024 expires 1799sec hoplimit 64 pref medium\n"
    "local 2001:db8::10 dev eth0 table local proto kernel metric 0 pref medium\n"
    "multicast ff00::/8 dev eth0 table local proto kernel metric 256 pref medium\n"
)
GROUPS = {"eth0": "10000", "eth1": "10000", "docker0": "default"}
ALWAYS = "0:\tfrom all lookup local\n{0}\n32766:\tfrom all lookup main\n"
UNSURE = "depends on more than addresses: taken not to match"


def decided(rules, routes=MAIN + ETH1, source="", to="8.8.8.8", incoming="", mark=0):  # noqa: PLR0913
    """Return the steps; `rules` between those of local and main."""
    packet = policy.Packet(source, to, incoming, mark)
    return policy.decide(
        ALWAYS.format(rules), routes, packet, lambda device, group: GROUPS.get(device) == group
    )


def leaves_by(rules, routes=MAIN + ETH1, **packet):
    return policy.device_of(decided(rules, routes, **packet))


def met(steps):
    """Return the numbers of the rules that are shown."""
    return [int(step.rule.split(":")[0]) for step in steps]


def of_table(table, lines):
    """Return routes as they are printed for another table."""
    return "".join(line.replace(" dev ", " table {0} dev ".format(table)) for line in lines)


# What a rule asks for


@pytest.mark.parametrize(
    "conditions, packet, matches",
    [
        ("from all", {}, True),
        ("from 10.0.1.10", {"source": "10.0.1.10"}, True),
        ("from 10.0.1.10", {"source": "10.0.1.1"}, False),
        ("from 10.0.1.10", {}, False),
        ("from 10.0.1.16/28", {"source": "10.0.1.31"}, True),
        ("from 10.0.1.16/28", {"source": "10.0.1.32"}, False),
        ("not from 10.0.1.10", {"source": "10.0.1.10"}, False),
        ("not from 10.0.1.10", {"source": "10.0.1.11"}, True),
        ("not from 10.0.1.10", {}, True),
        # No source is zeros in IPv4.
        ("from 0.0.0.0", {}, True),
        ("from 0.0.0.0", {"source": "10.0.1.10"}, False),
        ("from all to 8.8.0.0/16", {}, True),
        ("from all to 9.9.0.0/16", {}, False),
        ("not from all to 8.8.0.0/16", {}, False),
        ("from all iif docker0", {"source": "172.17.0.2", "incoming": "docker0"}, True),
        ("from all iif docker0", {"source": "172.17.0.2", "incoming": "eth1"}, False),
        ("from all iif docker0", {}, False),
        ("from all iif gone0 [detached]", {}, False),
        ("from all iif lo", {}, True),
        ("from all iif lo", {"source": "172.17.0.2", "incoming": "docker0"}, False),
        ("not from all iif lo", {}, False),
        ("from all oif eth1", {}, False),
        ("not from all oif eth1", {}, True),
        ("from all fwmark 0x100", {"mark": 0x100}, True),
        ("from all fwmark 0x100", {"mark": 0x101}, False),
        ("from all fwmark 0x100/0x3f00", {"mark": 0x101}, True),
        ("from all fwmark 0x100/0x3f00", {"mark": 0x4000}, False),
        ("from all fwmark 0x100/0x3f00", {}, False),
        ("from all fwmark 0/0x3f00", {}, True),
        ("from all fwmark 0/0x3f00", {"mark": 0x100}, False),
        ("not from all fwmark 0xca6c", {}, True),
        ("not from all fwmark 0xca6c", {"mark": 0xCA6C}, False),
        ("not from all fwmark 0x100/0x3f00", {"mark": 0x101}, False),
        ("from 10.0.1.10 to 8.8.8.8 fwmark 0x1", {"source": "10.0.1.10", "mark": 1}, True),
        ("from 10.0.1.10 to 8.8.8.8 fwmark 0x1", {"source": "10.0.1.10", "mark": 2}, False),
    ],
)
def test_a_rule_is_for_some_packets(conditions, packet, matches):
    assert leaves_by("100:\t{0} lookup 10001".format(conditions), **packet) == (
        "eth1" if matches else "eth0"
    )


@pytest.mark.parametrize(
    "rule",
    [
        "from all lookup 10001 proto static",
        "from all lookup 10001 realms 3/4",
        "from all lookup 10001 proto 99 ",
    ],
)
def test_what_says_nothing_about_packets_changes_nothing(rule):
    assert leaves_by("100:\t" + rule) == "eth1"


@pytest.mark.parametrize(
    "condition",
    [
        "uidrange 0-1000",
        "ipproto tcp",
        "ipproto tcp sport 80 dport 1-20",
        "sport 80",
        "dport 53",
        "tos 0x10",
        "dsfield 0x10",
        "dscp CS1",
        "tun_id 5",
        "of-a-later-kernel 7",
    ],
)
def test_what_only_the_kernel_can_tell_is_said(condition):
    for position in ("from all {0} lookup 10001", "from all lookup 10001 {0}"):
        for negation in ("", "not "):
            rule = "100:\t" + negation + position.format(condition)
            steps = decided(rule)
            assert [step.verdict for step in steps if step.rule == rule] == [UNSURE]
            assert policy.device_of(steps) == "eth0"


def test_it_is_not_said_where_the_rest_of_the_rule_decides():
    assert met(decided("100:\tfrom 10.0.1.10 ipproto tcp lookup 10001")) == [0, 32766]
    assert leaves_by("100:\tnot from 10.0.1.10 ipproto tcp lookup 10001") == "eth1"


def test_a_rule_for_vrfs_is_none_of_this_packets():
    rule = "1000:\tfrom all lookup [l3mdev-table]"
    steps = decided(rule)
    assert [step.verdict for step in steps if step.rule == rule] == [UNSURE]
    assert policy.device_of(steps) == "eth0"


# What a rule does


def test_the_first_that_decides_is_the_last_that_is_shown():
    rules = "100:\tfrom all lookup 10001\n200:\tfrom all lookup main"
    steps = decided(rules)
    assert [(step.rule.split(":")[0], step.route, step.verdict) for step in steps] == [
        ("0", "", "has no route there"),
        ("100", "default via 10.0.1.1 dev eth1 table 10001", policy.DECIDES),
    ]


def test_goto_leaves_out_what_is_between():
    rules = (
        "100:\tfrom all goto 200\n150:\tfrom all unreachable\n"
        "200:\tfrom all nop\n300:\tfrom all lookup 10001"
    )
    steps = decided(rules)
    assert met(steps) == [0, 100, 200, 300]
    assert [step.verdict for step in steps[1:3]] == ["goes on there", "does nothing"]
    assert policy.device_of(steps) == "eth1"


def test_goto_with_a_condition():
    rules = "100:\tfrom 10.0.1.10 goto 200\n150:\tfrom all lookup 10001\n200:\tfrom all nop"
    assert leaves_by(rules, source="10.0.1.10") == "eth0"
    assert leaves_by(rules) == "eth1"


@pytest.mark.parametrize("target", ["250 [unresolved]", "none"])
def test_goto_where_there_is_nothing_is_passed_over(target):
    rules = "100:\tfrom all goto {0}\n200:\tfrom all lookup 10001".format(target)
    assert leaves_by(rules) == "eth1"
    assert decided(rules)[1].verdict == "leads nowhere"


@pytest.mark.parametrize("action", ["unreachable", "blackhole", "prohibit"])
def test_a_rule_that_refuses(action):
    for rule in ("100:\tfrom all {0}", "100:\tfrom all to 8.8.0.0/16 {0}",
                 "100:\tfrom all {0} proto static"):
        steps = decided(rule.format(action))
        assert steps[-1] == policy.Step(rule.format(action), action, policy.DECIDES)
        assert policy.device_of(steps) == ""


@pytest.mark.parametrize("action", ["unreachable", "blackhole", "prohibit"])
def test_a_route_that_refuses(action):
    route = action + " 8.8.8.0/24 table 5 metric 4"
    steps = decided("100:\tfrom all lookup 5", MAIN + route + "\n")
    assert steps[-1] == policy.Step("100:\tfrom all lookup 5", route, policy.DECIDES)
    assert policy.device_of(steps) == ""


@pytest.mark.parametrize("action", ["unreachable", "blackhole", "prohibit"])
def test_what_refuses_is_never_passed_over(action):
    rule = "100:\tfrom all lookup 5 suppress_prefixlength 0 suppress_ifgroup 10000"
    assert leaves_by(rule, MAIN + action + " default table 5 \n") == ""


def test_throw_goes_on_with_the_next_rule():
    routes = MAIN + ETH1 + "throw 8.8.8.0/24 table 5 \ndefault dev eth9 table 5 \n"
    steps = decided("100:\tfrom all lookup 5\n200:\tfrom all lookup 10001", routes)
    assert [step.verdict for step in steps[1:]] == ["says to look further", policy.DECIDES]
    assert policy.device_of(steps) == "eth1"


@pytest.mark.parametrize(
    "length, to, passed",
    [
        (0, "8.8.8.8", True),
        (1, "8.8.8.8", True),
        (0, "200.0.0.1", False),
        (1, "200.0.0.1", True),
        (15, "172.17.0.2", False),
        (16, "172.17.0.2", True),
        (32, "10.0.0.7", True),
    ],
)
def test_suppress_prefixlength(length, to, passed):
    rules = "100:\tfrom all lookup main suppress_prefixlength {0}\n200:\tfrom all lookup 10001"
    routes = MAIN + ETH1 + "128.0.0.0/1 dev wg0 scope link \n"
    steps = decided(rules.format(length), routes, to=to)
    assert (200 in met(steps)) is passed


@pytest.mark.parametrize(
    "group, to, passed",
    [
        ("10000", "10.0.0.7", True),
        ("10000", "172.17.0.2", False),
        ("default", "172.17.0.2", True),
        ("7", "10.0.0.7", False),
    ],
)
def test_suppress_ifgroup(group, to, passed):
    rules = "100:\tfrom all lookup main suppress_ifgroup {0}\n200:\tfrom all lookup 10001"
    assert (200 in met(decided(rules.format(group), to=to))) is passed


def test_both_of_them():
    rules = (
        "9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup 10000\n"
        "10001:\tfrom 10.0.1.10 lookup 10001"
    )
    assert leaves_by(rules, source="10.0.1.10") == "eth1"
    assert leaves_by(rules, source="10.0.1.10", to="10.0.0.7") == "eth1"
    assert leaves_by(rules, source="10.0.1.10", to="172.17.0.2") == "docker0"
    assert leaves_by(rules, source="10.0.0.10") == "eth0"


def test_what_passes_a_route_over_is_named():
    rules = "100:\tfrom all lookup main {0}\n200:\tfrom all lookup 10001"
    said = [decided(rules.format(one), to=to)[1].verdict for one, to in (
        ("suppress_prefixlength 1", "8.8.8.8"),
        ("suppress_prefixlength 16", "172.17.0.2"),
        ("suppress_ifgroup 10000", "10.0.0.7"),
        ("suppress_ifgroup default", "172.17.0.2"),
    )]
    assert said == [
        "passed over, a default route",
        "passed over, too short a prefix",
        "passed over, eth0 is in that group",
        "passed over, docker0 is in that group",
    ]


# Which route


def test_the_longest_prefix_wins():
    routes = (
        "default dev a\n8.0.0.0/8 dev b metric 5\n8.8.8.0/24 dev c metric 900\n"
        "8.8.8.9 dev d\n8.8.0.0/16 dev e\n"
    )
    assert leaves_by("", routes) == "c"
    assert leaves_by("", routes, to="8.8.8.9") == "d"
    assert leaves_by("", routes, to="9.9.9.9") == "a"


def test_then_the_least_metric():
    routes = (
        "default dev a metric 4294967295\ndefault dev b scope link metric 20\n"
        "default dev c metric 100\n"
    )
    assert leaves_by("", routes) == "b"
    assert leaves_by("", routes + "default dev d proto dhcp\n") == "d"


def test_of_equals_the_first():
    assert leaves_by("", "fe80::/64 dev a metric 256\nfe80::/64 dev b metric 256\n",
                     to="fe80::5") == "a"


@pytest.mark.parametrize("to", ["10.0.0.10", "10.0.0.255", "127.0.0.1", "127.9.9.9"])
def test_what_is_for_this_host_leaves_by_nothing(to):
    steps = decided("", to=to)
    assert steps[-1].route.startswith(("local ", "broadcast "))
    assert (met(steps), policy.device_of(steps)) == ([0], "")


def test_a_table_with_a_name():
    routes = MAIN + "default via 10.0.1.1 dev eth1 table uplink2 \n"
    assert leaves_by("100:\tfrom all lookup uplink2", routes) == "eth1"
    assert leaves_by("100:\tfrom all lookup uplink", routes) == "eth0"
    assert leaves_by("100:\tfrom all lookup default",
                     "default dev last table default\n") == "last"


HOPS = (
    "default proto static \\\tnexthop via 10.0.0.1 dev eth0 weight 1{0} "
    "\\\tnexthop via 10.0.1.1 dev eth1 weight 1{1} \n"
)


def test_several_next_hops():
    steps = decided("", HOPS.format("", ""))
    assert policy.device_of(steps) == "eth0"
    assert steps[-1].route == (
        "default proto static nexthop via 10.0.0.1 dev eth0 weight 1 "
        "nexthop via 10.0.1.1 dev eth1 weight 1"
    )
    routes = HOPS.format("", "").replace("static", "static metric 7") + "default dev b metric 8\n"
    assert leaves_by("", routes) == "eth0"


def test_a_dead_route_is_not_there():
    routes = "default via 10.9.0.1 dev down0 dead linkdown \n" + MAIN
    assert leaves_by("", routes) == "eth0"
    assert leaves_by("", "default dev eth5 linkdown \n") == "eth5"


def test_of_next_hops_one_may_be_dead():
    assert leaves_by("", HOPS.format(" dead linkdown", "")) == "eth1"
    assert leaves_by("", HOPS.format("", " dead")) == "eth0"
    assert leaves_by("", HOPS.format(" dead", " dead") + "default dev b metric 8\n") == "b"


def test_a_route_for_a_type_of_service_is_not_for_all():
    assert leaves_by("", "default tos 0x10 dev b scope link \n" + MAIN) == "eth0"


@pytest.mark.parametrize(
    "route, device",
    [
        ("10.55.0.0/16 via inet6 fe80::1 dev eth7 \n", "eth7"),
        ("10.55.0.0/16 nhid 5 via 10.1.0.9 dev eth7 \n", "eth7"),
        ("10.55.1.1 via 10.1.0.99 dev eth7 onlink mtu lock 1400 initcwnd 10 \n", "eth7"),
    ],
)
def test_routes_with_unusual_words(route, device):
    assert leaves_by("", MAIN + route, to="10.55.1.1") == device


# IPv6


def test_ipv6():
    to = "2600::1"
    assert leaves_by("", MAIN6, to=to) == "eth0"
    assert leaves_by("", MAIN6, to="2001:db8::77") == "eth0"
    assert leaves_by("", MAIN6, to="2001:db8::10") == ""
    rule = "10001:\tfrom 2001:db8:0:1::10 lookup 10001"
    routes = MAIN6 + "default via fe80::1 dev eth1 table 10001 metric 1024 pref medium\n"
    assert leaves_by(rule, routes, to=to, source="2001:db8:0:1::10") == "eth1"
    assert leaves_by(rule, routes, to=to, source="2001:db8::10") == "eth0"
    assert leaves_by(rule, routes, to=to) == "eth0"


@pytest.mark.parametrize(
    "route",
    [
        "default via fe80::1 dev tun0 metric 1024 pref medium\n",
        "default dev tun0 metric 1024 pref medium\n",
        # Before Linux 4.1 nothing but the family tells it from IPv4.
        "default dev tun0 metric 1024\n",
        "default via fe80::1 dev tun0 proto ra metric 1024 expires 1799sec mtu 9001 hoplimit 64\n",
        "default nhid 7 via fe80::1 dev tun0 proto static metric 20 pref high\n",
        "default proto static metric 7 pref medium\\\tnexthop via fe80::1 dev tun0 weight 1 "
        "\\\tnexthop via fe80::2 dev br0 weight 1 \n",
    ],
)
def test_a_default_route_of_ipv6(route):
    assert leaves_by("", route, to="2600::1") == "tun0"


@pytest.mark.parametrize("kind", ["unreachable", "blackhole", "prohibit"])
def test_ipv6_refused(kind):
    line = kind + " default dev lo metric 1024 error -101"
    steps = decided("100:\tfrom all lookup main suppress_prefixlength 0", line, to="2600::1")
    assert steps[-1].route == line
    assert policy.device_of(steps) == ""


def test_ipv6_thrown():
    routes = MAIN6 + "throw 2600::/16 dev lo table 5 metric 1024 pref medium\n"
    assert leaves_by("100:\tfrom all lookup 5", routes, to="2600::1") == "eth0"


def test_the_null_entry_of_older_kernels_is_in_no_table():
    null = "unreachable default dev lo  table unspec  proto kernel  metric -1  error -101\n"
    assert leaves_by("", null + MAIN6, to="2600::1") == "eth0"


@pytest.mark.parametrize(
    "route",
    [
        "default via inet6 fe80::1 dev eth7 \n",
        "default dev wg0 scope link \n",
        "default via 10.0.0.1 dev eth0 proto dhcp src 10.0.0.10 metric 100 pref 5\n",
    ],
)
def test_a_default_route_of_ipv4(route):
    assert leaves_by("", route) == route.split(" dev ")[1].split()[0]


def test_a_route_for_some_sources():
    routes = MAIN6 + "2600::/32 from 2001:db8:5::/48 dev wg0 metric 1024 pref medium\n"
    assert leaves_by("", routes, to="2600::1", source="2001:db8:5::1") == "wg0"
    assert leaves_by("", routes, to="2600::1", source="2001:db8::10") == "eth0"
    assert leaves_by("", routes, to="2600::1") == "eth0"
    # Of two to the same network the one for fewer sources.
    routes = MAIN6 + "default from 2001:db8:5::/48 dev wg0 metric 2048 pref medium\n"
    assert leaves_by("", routes, to="2600::1", source="2001:db8:5::1") == "wg0"


# Texts


def test_nothing_decides():
    packet = policy.Packet("", "8.8.8.8", "", 0)
    assert policy.decide("", "", packet, lambda *_: False) == []
    assert policy.decide("", MAIN, packet, lambda *_: False) == []
    steps = policy.decide(COMMON_RULES, "", packet, lambda *_: False)
    assert [step.verdict for step in steps] == ["has no route there"] * 3
    assert policy.device_of(steps) == policy.device_of([]) == ""


@pytest.mark.parametrize(
    "garbage",
    ["", " ", "\\", "garbage", "local", "default", "1.2.3.4.5 dev x", "dev", "10.0.0.0/99 dev x",
     "Dump was interrupted and may be inconsistent.", "nexthop via 8.8.8.1 dev x",
     "unreachable", "\\\tnexthop", "8.8.8.0/24 via"],
)
def test_lines_that_are_no_routes(garbage):
    steps = decided("", garbage + "\n" + MAIN.replace("default", "8.8.8.8/32") + garbage)
    assert policy.device_of(steps) == "eth0"


@pytest.mark.parametrize(
    "garbage",
    ["", "garbage", "100:", "100:\t", "x:\tfrom all lookup 10001", "100:\tfrom",
     "100:\tfrom x lookup 10001", "100:\tfrom all fwmark x lookup 10001",
     "100:\tfrom all lookup", "100:\tfrom all fwmark lookup 10001",
     "100:\tfrom all goto", "Dump was interrupted and may be inconsistent."],
)
def test_lines_that_are_no_rules_decide_nothing(garbage):
    steps = decided(garbage)
    assert (steps[-1].rule, policy.device_of(steps)) == ("32766:\tfrom all lookup main", "eth0")


# What the kernel says of the same packet


@pytest.mark.parametrize(
    "route, answer, same",
    [
        ("default via 10.0.0.1 dev eth0", "8.8.8.8 via 10.0.0.1 dev eth0 src 10.0.0.10", True),
        ("default via 10.0.0.1 dev eth0", "8.8.8.8 via 10.0.0.1 dev eth01 src 10.0.0.10", False),
        (" ".join(HOPS.format("", "").replace("\\", "").split()), "8.8.8.8 dev eth1", True),
        ("local 10.0.0.10 dev eth0 table local", "local 10.0.0.10 dev lo src 10.0.0.10", True),
        ("10.0.0.0/8 dev eth0", "local 10.0.0.10 dev lo src 10.0.0.10", False),
        ("local 10.0.0.10 dev eth0 table local", "10.0.0.10 dev eth0", False),
        ("unreachable default", "8.8.8.8 dev eth0", False),
        # What IPv4 does with these, the rules do not decide.
        ("default dev eth0", "multicast 224.0.0.1 dev eth0", True),
        ("default dev eth0", "broadcast 255.255.255.255 dev eth0", True),
        ("default dev eth0", "", True),
        ("unreachable default dev lo", "unreachable 2600::1 from :: dev lo error -113", True),
    ],
)
def test_the_kernel_agrees(route, answer, same):
    assert policy.agrees([policy.Step("0: from all", route, policy.DECIDES)], answer) is same


def test_the_kernel_goes_on_where_nobody_decides():
    for steps in ([], [policy.Step("0: from all", "default dev eth0", UNSURE)]):
        assert not policy.agrees(steps, "8.8.8.8 dev eth0")
        assert policy.agrees(steps, "")
