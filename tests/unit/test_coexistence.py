"""What all ENIs have in common, as values: marks, rules, parameters, copied routes."""
from __future__ import absolute_import, print_function, unicode_literals

import os

import pytest

from ec2net_legacy import coexistence, settings
from ec2net_legacy.model import (
    LOCAL_TABLE,
    MAIN_TABLE,
    Address,
    InterfaceState,
    MainFirst,
    Managed,
    MarkRule,
    Route,
    Rule,
)
from tests.unit.fakes import QUICK

DEFAULTS = settings.DEFAULTS


def eni(number=1, **changes):
    """Return ethN, with IPv4 on a subnet of its own."""
    plain = Managed(
        name="eth{0}".format(number),
        table=10000 + number,
        priority=10000 + number,
        subnet="10.0.{0}.0/24".format(number),
        families=(4,),
        owns_prefixes=False,
    )
    return plain._replace(**changes)


def only6(number=1):
    return eni(number, subnet="", families=(6,))


def with_marks(mask, base=0):
    return DEFAULTS._replace(mark_mask=mask, mark_base=base)


def mark_rule(mark, table=10001, **changes):
    return MarkRule(mark, 0x3F00, table, table, 4)._replace(**changes)


def main_route(destination, device="docker0", **changes):
    return Route(
        destination, "", device, MAIN_TABLE, 6 if ":" in destination else 4
    )._replace(**changes)


class TestManaged(object):
    """What is of interest about the state in a generated file."""

    STATE = InterfaceState(
        name="eth1",
        table=10001,
        primary="",
        addresses=(Address("10.0.1.11", 32, "eth1"),),
        routes=(
            Route("10.0.1.64/28", "", "eth1", LOCAL_TABLE, 4),
            Route("default", "10.0.1.1", "eth1", 10001, 4),
            Route("2600:1f18::/64", "", "eth1", 10001, 6),
            Route("10.0.1.0/24", "", "eth1", 10001, 4),
            Route("10.0.1.0/24", "", "eth1", MAIN_TABLE, 4, 10001),
        ),
        rules=(Rule("10.0.1.10", 10001, 10001), Rule("2600:1f18::10", 10001, 10001)),
    )

    def test_it_is_the_table_the_rules_and_the_subnet(self):
        assert coexistence.managed(self.STATE, True) == Managed(
            "eth1", 10001, 10001, "10.0.1.0/24", (4, 6), True
        )

    def test_without_ipv4_there_is_no_subnet(self):
        found = coexistence.managed(self.STATE.of_family(6), False)
        assert (found.subnet, found.families) == ("", (6,))

    @pytest.mark.parametrize("lacks", [{"rules": ()}, {"table": 0}], ids=["rules", "table"])
    def test_without_rules_or_a_table_it_is_nothing(self, lacks):
        assert coexistence.managed(self.STATE._replace(**lacks), False) is None

    def test_the_families_are_those_of_any(self):
        assert coexistence.families_of([]) == []
        assert coexistence.families_of([only6(), eni(2)]) == [4, 6]


class TestMainFirst(object):
    """The rules by which main is asked first, but for its default routes."""

    def test_there_is_one_for_each_family_before_all_enis(self):
        assert coexistence.main_first(DEFAULTS, [eni(1, families=(4, 6)), eni(2)]) == (
            MainFirst(1, 10000, 9990, 4),
            MainFirst(4, 10000, 9990, 6),
        )

    def test_without_enis_there_is_none(self):
        assert coexistence.main_first(DEFAULTS, []) == ()

    def test_the_numbers_are_those_of_the_settings(self):
        chosen = DEFAULTS._replace(priority_base=500, link_group=7)
        assert coexistence.main_first(chosen, [eni()]) == (MainFirst(1, 7, 490, 4),)


class TestMarks(object):
    """Each ENI has a mark of its own, and keeps it."""

    def test_it_is_by_number(self):
        found = coexistence.marks(DEFAULTS, [eni(1), eni(2), eni(63)], [])
        assert found == {"eth1": 0x100, "eth2": 0x200, "eth63": 0x3F00}

    @pytest.mark.parametrize(
        "mask, base, expected",
        [
            (0x3F00, 0x1000, 0x1100),
            (0xFF0000, 0, 0x10000),
            (0xFF0000, 0x800000, 0x810000),
            (0x3, 0, 0x1),
            (0xC0000000, 0, 0x40000000),
        ],
    )
    def test_mask_and_base_say_where_counting_begins(self, mask, base, expected):
        assert coexistence.marks(with_marks(mask, base), [eni()], []) == {"eth1": expected}

    def test_one_whose_number_does_not_fit_gets_a_spare_one(self):
        found = coexistence.marks(DEFAULTS, [eni(100), eni(63), eni(101)], [])
        assert found == {"eth63": 0x3F00, "eth100": 0x3E00, "eth101": 0x3D00}

    def test_that_of_wireguards_packets_is_the_last_choice(self):
        found = coexistence.marks(DEFAULTS, [eni(9), eni(10), eni(11)], [])
        assert found == {"eth9": 0x900, "eth10": 0x3F00, "eth11": 0xB00}
        found = coexistence.marks(with_marks(0x300, 0), [eni(1), eni(2), eni(3)], [])
        assert sorted(found.values()) == [0x100, 0x200, 0x300]

    def test_one_that_has_a_rule_keeps_its_mark(self):
        present = [mark_rule(0x3E00, 10100), mark_rule(0x3E00, 10100, family=6)]
        found = coexistence.marks(DEFAULTS, [eni(62), eni(100)], present)
        assert found == {"eth100": 0x3E00, "eth62": 0x3F00}

    @pytest.mark.parametrize(
        "rule",
        [
            mark_rule(0x1, mask=0xFF),
            mark_rule(0x80),
            mark_rule(0x0),
            mark_rule(0x4000),
            mark_rule(0x3F00, 10002),
        ],
    )
    def test_a_rule_that_is_none_of_its_own_is_not_kept(self, rule):
        assert coexistence.marks(DEFAULTS, [eni()], [rule]) == {"eth1": 0x100}

    def test_of_two_rules_with_one_mark_one_keeps_it(self):
        found = coexistence.marks(
            DEFAULTS, [eni(1), eni(2)], [mark_rule(0x500), mark_rule(0x500, 10002)]
        )
        assert found == {"eth1": 0x500, "eth2": 0x200}

    def test_when_none_is_left_there_is_none(self):
        found = coexistence.marks(with_marks(0x3), [eni(number) for number in (1, 2, 3, 4)], [])
        assert found == {"eth1": 1, "eth2": 2, "eth3": 3}

    def test_a_mask_of_many_bits_takes_no_time(self):
        found = coexistence.marks(with_marks(0xFFFFFFFE), [eni(1), eni(9000)], [])
        assert found == {"eth1": 0x2, "eth9000": 18000}

    def test_a_rule_leads_what_is_marked_to_the_enis_table(self):
        rules = coexistence.mark_rules(
            DEFAULTS, [eni(1, families=(4, 6)), eni(2), eni(3)], {"eth1": 0x100, "eth3": 0x300}
        )
        assert rules == (
            MarkRule(0x100, 0x3F00, 10001, 10001, 4),
            MarkRule(0x100, 0x3F00, 10001, 10001, 6),
            MarkRule(0x300, 0x3F00, 10003, 10003, 4),
        )


class TestIsOurs(object):
    """A rule is known by its numbers, whatever became of the notes."""

    @pytest.mark.parametrize(
        "rule",
        [
            mark_rule(0x100),
            mark_rule(0x3F00, 10000),
            mark_rule(0x200, 19999, family=6),
            MainFirst(1, 10000, 9990, 4),
            MainFirst(0, 10000, 9990, 6),
        ],
    )
    def test_those_with_our_numbers_are(self, rule):
        assert coexistence.is_our_rule(DEFAULTS, rule)

    @pytest.mark.parametrize(
        "rule",
        [
            mark_rule(0x100, mask=0xFF00),
            mark_rule(0x100, priority=500),
            mark_rule(0x100, 300),
            mark_rule(0x100, 20000),
            mark_rule(0x100, MAIN_TABLE),
            MainFirst(1, 7, 9990, 4),
            MainFirst(1, 10000, 500, 4),
            Rule("10.0.1.10", 10001, 10001),
            Rule("all", MAIN_TABLE, 9990),
            main_route("172.17.0.0/16"),
        ],
    )
    def test_others_are_not(self, rule):
        assert not coexistence.is_our_rule(DEFAULTS, rule)

    def test_all_that_are_made_are(self):
        chosen = DEFAULTS._replace(table_base=20000, priority_base=500, mark_mask=0xF0)
        enis = [eni(1, table=20001, priority=501, families=(4, 6))]
        made = coexistence.main_first(chosen, enis) + coexistence.mark_rules(
            chosen, enis, coexistence.marks(chosen, enis, [])
        )
        assert len(made) == 4
        assert all(coexistence.is_our_rule(chosen, rule) for rule in made)


def keys(wanted, name):
    """Return {key: span} of the parameters of a device."""
    base = "net/ipv4/conf/{0}/".format(name)
    return {one[len(base) :]: span for one, span in wanted.items() if one.startswith(base)}


class TestParameters(object):
    """Which kernel parameters have to be what."""

    LOOSE = {"rp_filter": (2, 2)}
    SHARED = {"rp_filter": (2, 2), "arp_ignore": (1, 8), "arp_announce": (2, 2)}

    def test_an_eni_with_ipv4_filters_loosely(self):
        found = coexistence.parameters([eni(1)], ["eth0", "eth1", "eth2"], [])
        assert found == {"net/ipv4/conf/eth1/rp_filter": (2, 2)}

    def test_one_with_ipv6_hears_its_router_also_on_a_host_that_forwards(self):
        found = coexistence.parameters([eni(1), only6(2)], ["eth0", "eth1", "eth2"], [])
        assert {key: span for key, span in found.items() if "ipv6" in key} == {
            "net/ipv6/conf/eth2/accept_ra": (2, 2),
            "net/ipv6/conf/eth2/accept_ra_pinfo": (0, 0),
            "net/ipv6/conf/eth2/ra_defrtr_metric": (10002, 10002),
        }

    def test_two_secondaries_on_one_subnet_answer_each_for_its_own_addresses(self):
        enis = [eni(1), eni(2, subnet="10.0.1.0/24"), eni(3)]
        found = coexistence.parameters(enis, ["eth1", "eth2", "eth3"], [])
        assert keys(found, "eth1") == keys(found, "eth2") == self.SHARED
        assert keys(found, "eth3") == self.LOOSE

    def test_so_do_a_secondary_and_the_primary_which_filters_as_it_did(self):
        has = [Address("10.0.1.9", 24, "eth0"), Address("10.0.1.10", 24, "eth1")]
        found = coexistence.parameters([eni()], ["eth0", "eth1"], has)
        assert keys(found, "eth1") == self.SHARED
        assert keys(found, "eth0") == {"arp_ignore": (1, 8), "arp_announce": (2, 2)}

    @pytest.mark.parametrize(
        "address",
        [
            Address("10.0.1.9", 24, "docker0"),
            Address("10.0.1.10", 24, "eth1"),
            Address("10.0.2.9", 24, "eth0"),
            Address("2600:1f18::1", 128, "eth0"),
        ],
    )
    def test_an_address_that_shares_no_subnet_among_enis_changes_nothing(self, address):
        found = coexistence.parameters([eni()], ["eth0", "eth1"], [address])
        assert keys(found, "eth1") == self.LOOSE
        assert keys(found, "eth0") == {}

    def test_one_that_answers_for_its_prefixes_answers_for_all(self):
        enis = [eni(1, owns_prefixes=True), eni(2, subnet="10.0.1.0/24")]
        found = coexistence.parameters(enis, ["eth1", "eth2"], [])
        assert keys(found, "eth1") == {"rp_filter": (2, 2), "arp_announce": (2, 2)}
        assert keys(found, "eth2") == self.SHARED


@pytest.mark.parametrize(
    "span, was, now, index, kept, new",
    [
        ((2, 2), None, 0, 3, [3, 0, 2], 2),
        ((1, 8), None, 1, 3, None, None),
        ((1, 8), None, 8, 3, None, None),
        ((1, 8), None, 9, 3, [3, 9, 1], 1),
        ((2, 2), [3, 0, 2], 2, 3, [3, 0, 2], None),
        # By other settings.
        ((7, 7), [3, 0, 2], 2, 3, [3, 0, 7], 7),
        # What somebody has set meanwhile is theirs: it stays if it does, or is what comes back.
        ((1, 8), [3, 0, 1], 2, 3, None, None),
        ((2, 2), [3, 0, 2], 1, 3, [3, 1, 2], 2),
        (None, [3, 1, 2], 2, 3, None, 1),
        (None, [3, 1, 2], 7, 3, None, None),
        # Another device of that name, whose value may be ours by itself.
        ((2, 2), [3, 1, 2], 0, 30, [30, 0, 2], 2),
        ((2, 2), [3, 1, 2], 2, 30, None, None),
        (None, [3, 1, 2], 2, 30, None, None),
        # What is no number, and what is gone.
        ((2, 2), None, None, 3, None, None),
        ((2, 2), None, 0, None, None, None),
        ((2, 2), [3, 0, 2], 2, None, None, None),
        (None, [3, 0, 2], 2, None, None, None),
    ],
)
def test_a_value_of_others_is_set_if_it_must_and_comes_back_as_it_was(  # noqa: PLR0913
    span, was, now, index, kept, new
):
    wanted, before = {"x": span} if span else {}, {"x": was} if was else {}
    found = coexistence.to_set(wanted, before, {"x": now}.get, {"x": index}.get)
    assert found == ({"x": kept} if kept else {}, {} if new is None else {"x": new})


def copied(routes, enis=None, members=("eth0", "eth1"), families=(4, 6)):
    """Return what the copies are, as `ip` is told."""
    found = coexistence.copies(
        enis or [eni(1, families=(4, 6))], list(members), frozenset(routes), families
    )
    return [route.arguments for route in found]


class TestCopies(object):
    """Which of main's routes are copied where main cannot be asked first."""

    @pytest.mark.parametrize(
        "route, expected",
        [
            (main_route("172.17.0.0/16"), "172.17.0.0/16 dev docker0"),
            (main_route("172.17.0.0/16", connected="172.17.0.1"), "172.17.0.0/16 dev docker0"),
            (main_route("10.8.0.2", "tun0"), "10.8.0.2 dev tun0"),
            (main_route("fd00:9::/64", "tun0", gateway="fe80::2", metric=50),
             "fd00:9::/64 via fe80::2 dev tun0"),
            (main_route("fd00:17::/64"), "fd00:17::/64 dev docker0"),
            (main_route("0.0.0.0/2", "tun0"), "0.0.0.0/2 dev tun0"),
            (main_route("2000::/5", "tun0"), "2000::/5 dev tun0"),
        ],
    )
    def test_a_route_to_a_container_or_by_a_vpn_is(self, route, expected):
        assert copied([route]) == [expected + " table 10001"]

    @pytest.mark.parametrize(
        "route",
        [
            main_route("default", "tun0"),
            main_route("default", "tun0", family=6, gateway="fe80::1"),
            main_route("0.0.0.0/1", "tun0"),
            main_route("128.0.0.0/1", "tun0"),
            main_route("2000::/3", "tun0"),
            main_route("2000::/4", "tun0"),
            main_route("169.254.0.0/16"),
            main_route("169.254.169.254"),
            main_route("fe80::/64"),
            main_route("ff00::/8"),
            main_route("::1", "lo"),
            main_route("10.0.0.0/24", "eth0"),
            main_route("10.0.1.0/24", "eth1", metric=10001),
            main_route("10.0.1.0/24", "docker0"),
            main_route("172.17.0.0/16", table=300),
            main_route("172.17.0.0/16", table=10001),
            main_route("172.17.0.0/16", table=LOCAL_TABLE),
        ],
    )
    def test_one_that_takes_everything_or_is_an_enis_is_not(self, route):
        assert copied([route]) == []

    def test_each_table_gets_them_in_the_families_that_it_has(self):
        routes = [main_route("172.17.0.0/16"), main_route("fd00:17::/64")]
        assert copied(routes, [eni(1), only6(2)]) == [
            "172.17.0.0/16 dev docker0 table 10001",
            "fd00:17::/64 dev docker0 table 10002",
        ]

    def test_only_the_families_in_which_main_cannot_be_first(self):
        routes = [main_route("172.17.0.0/16"), main_route("fd00:17::/64")]
        assert copied(routes, families=(6,)) == ["fd00:17::/64 dev docker0 table 10001"]
        assert copied(routes, families=()) == []

    def test_what_has_a_gateway_comes_after_what_leads_there(self):
        routes = [
            main_route("10.1.0.0/16", "tun0", gateway="10.8.0.2"),
            main_route("10.8.0.2", "tun0"),
        ]
        assert copied(routes) == [
            "10.8.0.2 dev tun0 table 10001",
            "10.1.0.0/16 via 10.8.0.2 dev tun0 table 10001",
        ]

    def test_of_two_ways_to_a_destination_it_is_the_one_that_main_takes(self):
        routes = [
            main_route("10.8.0.0/16", "docker0", metric=50),
            main_route("10.8.0.0/16", "tun0", gateway="10.8.0.2", metric=5),
            main_route("default", "tun0", metric=100),
        ]
        assert copied(routes) == ["10.8.0.0/16 via 10.8.0.2 dev tun0 table 10001"]

    @pytest.mark.parametrize(
        "by", [None, main_route("10.8.0.2"), main_route("10.9.0.0/16", "tun0", gateway="10.9.0.1")]
    )
    def test_one_whose_gateway_only_its_option_onlink_reaches_is_not(self, by):
        # As flannel's; the kernel would refuse it without that.
        routes = [main_route("10.244.1.0/24", "tun0", gateway="10.8.0.2")] + ([by] if by else [])
        assert not [line for line in copied(routes) if " via " in line]


hypothesis = pytest.importorskip(str("hypothesis"))
st = pytest.importorskip(str("hypothesis.strategies"))

_MORE = int(os.environ.get("EC2NET_EXAMPLES", "0"))
often = hypothesis.settings(
    max_examples=_MORE or (20 if QUICK else 100),
    derandomize=not _MORE,
    deadline=None,
    database=None,
)


@st.composite
def masks(draw):
    """Draw two or more bits side by side, but not all."""
    width = draw(st.integers(2, 31))
    return ((1 << width) - 1) << draw(st.integers(0, 32 - width))


@often
@hypothesis.given(st.data())
def test_marks_are_unique_within_the_mask_and_last(data):
    mask = data.draw(masks())
    chosen = with_marks(mask, data.draw(st.integers(0, mask)) & mask)
    numbers = st.integers(0, 200) | st.integers(0, 9999)
    enis = [eni(number) for number in data.draw(st.sets(numbers, max_size=80))]
    present = [
        mark_rule(data.draw(st.integers(0, 0xFFFFFFFF)) & mask, 10000 + number, mask=mask)
        for number in data.draw(st.sets(numbers, max_size=20))
    ]
    found = coexistence.marks(chosen, enis, present)
    assert all(mark and not mark & ~mask for mark in found.values())
    assert len(set(found.values())) == len(found)
    assert len(found) == min(len(enis), mask // (mask & -mask))
    rules = coexistence.mark_rules(chosen, enis, found)
    assert coexistence.marks(chosen, enis, rules) == found
