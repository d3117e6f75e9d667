"""What `ip -o` prints, of the oldest and the newest release, as values."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy.kernel import parse
from ec2net_legacy.model import Address, MainFirst, MarkRule, Route, Rule

NAMES = {"dmz": 300, "main": 254, "local": 255, "default": 253}
GROUPS = {"default": 0, "enis": 10000}


def parsed(text, family=4):
    return parse.kernel_state(text, NAMES, GROUPS, family)


@pytest.mark.parametrize(
    "line, expected",
    [
        (
            "2: eth1    inet 10.0.1.10/24 brd 10.0.1.255 scope global dynamic eth1\\       "
            "valid_lft 3402sec preferred_lft 3402sec",
            Address("10.0.1.10", 24, "eth1"),
        ),
        ("13: eth1    inet 10.0.1.11/32 scope global eth1\\       valid_lft forever",
         Address("10.0.1.11", 32, "eth1")),
        ("3: eth1    inet 10.0.1.12/24 brd 10.0.1.255 scope global secondary dynamic eth1:1",
         Address("10.0.1.12", 24, "eth1")),
        ("3: eth1    inet6 2600:1f18:0:1::10/128 scope global dynamic noprefixroute \\  valid",
         Address("2600:1f18:0:1::10", 128, "eth1")),
        ("3: eth1    inet6 fe80::1/64 scope link \\       valid_lft forever",
         Address("fe80::1", 64, "eth1")),
        ("4: tun0    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0\\       valid_lft forever",
         Address("10.8.0.1", 32, "tun0")),
        ("5: veth0@if4    inet 10.9.0.1/24 scope global veth0\\       valid_lft forever",
         Address("10.9.0.1", 24, "veth0")),
        ("6: eth1.5@eth1    inet 10.9.0.1/24 scope global eth1.5\\       valid_lft forever",
         Address("10.9.0.1", 24, "eth1.5")),
    ],
    ids=lambda value: value[:30] if not isinstance(value, tuple) else "value",
)
def test_an_address(line, expected):
    state = parsed(line + "\n")
    assert state == ({expected}, set(), set(), set())


@pytest.mark.parametrize(
    "line, expected",
    [
        ("10001:\tfrom 10.0.1.10 lookup 10001 ", Rule("10.0.1.10", 10001, 10001)),
        ("10001:\tfrom 10.0.1.10 lookup 10001", Rule("10.0.1.10", 10001, 10001)),
        ("10001:\tfrom 10.0.1.64/28 lookup 10001 ", Rule("10.0.1.64/28", 10001, 10001)),
        ("77:\tfrom 2600:1f18:0:1::10 lookup 10001 ", Rule("2600:1f18:0:1::10", 10001, 77)),
        ("77:\tfrom 10.0.1.10 lookup dmz ", Rule("10.0.1.10", 300, 77)),
        ("77:\tfrom 10.0.1.10 lookup 10001 proto static", Rule("10.0.1.10", 10001, 77)),
        ("0:\tfrom all lookup local ", Rule("all", 255, 0)),
    ],
)
def test_a_rule(line, expected):
    state = parsed(line + "\n")
    assert state == (set(), set(), {expected}, set())


@pytest.mark.parametrize(
    "line",
    [
        "10001:\tfrom 10.0.1.10 fwmark 0x1 lookup 10001 ",
        "10001:\tfrom 10.0.1.10 fwmark 0x1/0xff lookup 10001 ",
        "10001:\tfrom 10.0.1.10 iif eth1 lookup 10001 ",
        "10001:\tfrom 10.0.1.10 to 10.2.0.0/16 lookup 10001 ",
        "10001:\tnot from 10.0.1.10 lookup 10001 ",
        "10001:\tfrom 10.0.1.10 lookup 10001 suppress_prefixlength 0 ",
        "10001:\tfrom 10.0.1.10 unreachable",
        "10001:\tfrom 10.0.1.10 lookup unknown ",
        "10001:\tfrom all lookup [l3mdev-table]",
    ],
)
def test_a_rule_with_a_further_condition_is_nobodys_business(line):
    assert parsed(line + "\n") == (set(), set(), set(), set())


@pytest.mark.parametrize(
    "line",
    [
        "10001:\tfrom all fwmark 0x100/0x3f00 lookup 10001 ",
        "10001:\tfrom all fwmark 0x100/0x3f00 lookup 10001",
        "10001:\tfrom all fwmark 0x100/0x3f00 lookup 10001 proto static",
        "10001:\tfrom all fwmark 0x100/0x3f00 proto static lookup 10001 ",
    ],
)
def test_a_rule_by_mark(line):
    expected = MarkRule(0x100, 0x3F00, 10001, 10001, 4)
    assert parsed(line + "\n") == (set(), set(), set(), {expected})


def test_a_rule_by_mark_for_a_table_with_a_name():
    line = "1024:\tfrom all fwmark 0x80/0x80 lookup dmz \n"
    assert parsed(line).host_rules == {MarkRule(0x80, 0x80, 300, 1024, 4)}


@pytest.mark.parametrize(
    "line",
    [
        "9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup 10000 ",
        "9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup 10000",
        "9990:\tfrom all lookup 254 suppress_prefixlength 1 suppress_ifgroup 10000 ",
        "9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup enis ",
        "9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup enis proto static",
    ],
)
def test_a_rule_that_looks_at_main_first(line):
    assert parsed(line + "\n") == (set(), set(), set(), {MainFirst(1, 10000, 9990, 4)})


def test_the_group_default_needs_no_file():
    line = "9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup default \n"
    assert parse.kernel_state(line, {}, {}, 4).host_rules == {MainFirst(1, 0, 9990, 4)}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    "line, expected",
    [
        ("10001:\tfrom all fwmark 0x100/0x3f00 lookup 10001 ",
         MarkRule(0x100, 0x3F00, 10001, 10001, 4)),
        ("9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup 10000 ",
         MainFirst(1, 10000, 9990, 4)),
    ],
    ids=["mark", "main first"],
)
def test_a_rule_for_all_sources_is_of_the_family_that_was_asked_for(line, expected, family):
    assert parsed(line + "\n", family).host_rules == {expected._replace(family=family)}


@pytest.mark.parametrize(
    "line",
    [
        "1024:\tfrom all fwmark 0x80/0x80 iif eth0 lookup main ",
        "1024:\tfrom all to 10.0.1.5 fwmark 0x80/0x80 lookup main ",
        "1024:\tfrom 10.0.1.10 fwmark 0x80/0x80 lookup main ",
        "1024:\tfrom all to 10.0.1.5 lookup main ",
        "1024:\tfrom all iif eth0 lookup main ",
        "51820:\tnot from all fwmark 0xca6c lookup 51820 ",
        "51820:\tnot from all fwmark 0xca6c/0xffff lookup 51820 ",
        # Without a mask it is about all bits of the mark.
        "1024:\tfrom all fwmark 0x80 lookup main ",
        "1024:\tfrom all fwmark 0x80/0x80 unreachable",
        "1024:\tfrom all fwmark 0x80/0x80 lookup unknown ",
        "1024:\tfrom all fwmark 0x80/0x80 lookup main suppress_prefixlength 0 ",
        "9990:\tfrom all lookup main suppress_prefixlength 0 ",
        "9990:\tfrom all lookup main suppress_ifgroup 10000 ",
        "9990:\tfrom all lookup 10001 suppress_prefixlength 1 suppress_ifgroup 10000 ",
        "9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup unknown ",
        "9990:\tfrom all iif eth0 lookup main suppress_prefixlength 1 suppress_ifgroup 10000 ",
        "9990:\tfrom 10.0.1.10 lookup main suppress_prefixlength 1 suppress_ifgroup 10000 ",
        "9990:\tnot from all lookup main suppress_prefixlength 1 suppress_ifgroup 10000 ",
    ],
)
def test_a_rule_with_more_or_less_to_it_is_left_out(line):
    assert parsed(line + "\n") == (set(), set(), set(), set())


@pytest.mark.parametrize(
    "line, expected",
    [
        ("default via 10.0.1.1 dev eth1 table 10001 ",
         Route("default", "10.0.1.1", "eth1", 10001, 4)),
        ("10.0.1.0/24 dev eth1 table 10001 scope link ",
         Route("10.0.1.0/24", "", "eth1", 10001, 4)),
        ("10.0.1.0/24 dev eth1 table dmz proto kernel scope link src 10.0.1.10 ",
         Route("10.0.1.0/24", "", "eth1", 300, 4)),
        ("2600:1f18:0:1::/64 dev eth1 table 10001 metric 1024 pref medium",
         Route("2600:1f18:0:1::/64", "", "eth1", 10001, 6)),
        ("default via fe80::1 dev eth1 table 10001 metric 1024 pref medium",
         Route("default", "fe80::1", "eth1", 10001, 6)),
        ("default via 10.0.1.1 dev eth1 table 10001 onlink ",
         Route("default", "10.0.1.1", "eth1", 10001, 4)),
        ("default proto static via 10.0.1.1 dev eth1 table 10001 metric 5",
         Route("default", "10.0.1.1", "eth1", 10001, 4, 5)),
        ("default via 10.0.0.1 dev eth0 ", Route("default", "10.0.0.1", "eth0", 254, 4)),
        ("default via 10.0.1.1 dev eth1 table main metric 10001",
         Route("default", "10.0.1.1", "eth1", 254, 4, 10001)),
        ("10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10 ",
         Route("10.0.1.0/24", "", "eth1", 254, 4, 0, "10.0.1.10")),
        ("10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10 metric 100 linkdown ",
         Route("10.0.1.0/24", "", "eth1", 254, 4, 100, "10.0.1.10")),
        ("10.0.1.0/24 dev eth1 scope link metric 10001 ",
         Route("10.0.1.0/24", "", "eth1", 254, 4, 10001)),
        ("10.0.1.0/24 dev eth1 proto static scope link src 10.0.1.10 ",
         Route("10.0.1.0/24", "", "eth1", 254, 4)),
        ("10.2.0.0/16 via 10.0.1.1 dev eth1 proto kernel src 10.0.1.10 ",
         Route("10.2.0.0/16", "10.0.1.1", "eth1", 254, 4)),
        ("2600:1f18:0:1::/64 dev eth1 proto kernel src 2600:1f18:0:1::10 metric 256 pref medium",
         Route("2600:1f18:0:1::/64", "", "eth1", 254, 6, 256, "", 256)),
        ("default via fe80::1 dev eth1 proto ra metric 1024 expires 1797sec pref medium",
         Route("default", "fe80::1", "eth1", 254, 6, 0, "", 1024)),
        ("default via fe80::1 dev eth1 proto static metric 1024 pref medium",
         Route("default", "fe80::1", "eth1", 254, 6)),
        ("local 10.0.1.64/28 dev eth1 table local scope host ",
         Route("10.0.1.64/28", "", "eth1", 255, 4)),
        ("10.5.0.7 dev eth1 table 10001", Route("10.5.0.7", "", "eth1", 10001, 4)),
        ("default dev eth1 table 10001 metric 1024",
         Route("default", "", "eth1", 10001, 6)),
    ],
    ids=lambda value: value[:30] if not isinstance(value, tuple) else "value",
)
def test_a_route(line, expected):
    assert parsed(line + "\n", expected.family).routes == {expected}


@pytest.mark.parametrize(
    "line",
    [
        "broadcast 10.0.1.0 dev eth1 table local proto kernel scope link src 10.0.1.10 ",
        "local 10.0.1.10 dev eth1 table local proto kernel scope host src 10.0.1.10 ",
        "local 10.0.1.10 dev eth1 table 10001",
        "anycast fe80:: dev eth1 table local proto kernel metric 0 pref medium",
        "multicast ff00::/8 dev eth1 table local proto kernel metric 256 pref medium",
        "ff00::/8 dev eth1 table local metric 256 pref medium",
        "default table 10001 proto static \\\tnexthop via 10.0.1.1 dev eth1 weight 1",
        "unreachable default table 10001 metric 4278198272 error -101",
        "blackhole 10.9.0.0/16 table 10001 ",
        "default via 10.0.1.1 dev eth1 table unknown ",
        "Error: ipv4: FIB table does not exist.",
        "",
        "   ",
    ],
    ids=lambda line: line[:40] or "empty",
)
def test_what_no_route_of_ours_can_look_like_is_left_out(line):
    assert parsed(line + "\n") == (set(), set(), set(), set())


def test_what_is_read_is_what_was_written():
    rule = Rule("10.0.1.64/28", 10001, 77)
    assert parsed("77:\t" + rule.arguments.split(" ", 2)[2] + "\n").rules == {rule}
    for route in (
        Route("10.0.1.0/24", "", "eth1", 10001, 4),
        Route("default", "10.0.1.1", "eth1", 10001, 4),
        Route("default", "10.0.1.1", "eth1", 254, 4, 10001),
        Route("10.0.1.0/24", "", "eth1", 254, 4, 10001),
        Route("10.0.1.0/24", "", "eth1", 254, 4, 0, "10.0.1.10"),
        Route("10.0.1.64/28", "", "eth1", 255, 4),
    ):
        assert parsed(route.arguments + "\n").routes == {route}
    for item in (MarkRule(0x100, 0x3F00, 10001, 77, 4), MainFirst(1, 10000, 77, 4)):
        shown = "77:\tfrom all " + item.arguments.split(" ", 2)[2] + "\n"
        assert parsed(shown).host_rules == {item}


# In UTF-8; Python takes the second byte of the first for a line end, of the others for a blank.
@pytest.mark.parametrize("name", ["\xc3\x85", "\xc3\xa0", "caf\xe9", "\xe2\x80\x85"], ids=repr)
def test_each_byte_of_a_name_is_a_character(name):
    state = parse.kernel_state(
        "5: {0}    inet 10.9.0.1/24 scope global {0}\\       valid_lft forever\n"
        "77:\tfrom 10.0.1.10 lookup {0} \n"
        "10.9.0.0/24 dev {0} proto kernel scope link src 10.9.0.1 \n".format(name),
        parse.table_names("300\t{0}\n".format(name)),
        {},
        4,
    )
    assert state == (
        {Address("10.9.0.1", 24, name)},
        {Route("10.9.0.0/24", "", name, 254, 4, 0, "10.9.0.1")},
        {Rule("10.0.1.10", 300, 77)},
        set(),
    )


def test_a_whole_output_is_divided_into_its_parts():
    state = parsed(
        "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n"
        "2: eth0    inet 10.0.0.10/24 brd 10.0.0.255 scope global eth0\\       valid_lft forever\n"
        "0:\tfrom all lookup local \n"
        "9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup 10000 \n"
        "10001:\tfrom 10.0.1.10 lookup 10001 \n"
        "10001:\tfrom all fwmark 0x100/0x3f00 lookup 10001 \n"
        "32766:\tfrom all lookup main \n"
        "default via 10.0.1.1 dev eth1 table 10001 \n"
        "default via 10.0.0.1 dev eth0 \n"
    )
    assert len(state.addresses) == 2
    assert len(state.rules) == 3
    assert state.host_rules == {
        MainFirst(1, 10000, 9990, 4),
        MarkRule(0x100, 0x3F00, 10001, 10001, 4),
    }
    assert state.routes == {
        Route("default", "10.0.1.1", "eth1", 10001, 4),
        Route("default", "10.0.0.1", "eth0", 254, 4),
    }


def test_names_of_tables_are_read_without_comments():
    text = "#\n# reserved values\n#\n255\tlocal\n 300 dmz # ours\n#1 inr.ruhep\n\nx y\n400\n5 a b\n"
    assert parse.table_names(text) == {"local": 255, "dmz": 300}
