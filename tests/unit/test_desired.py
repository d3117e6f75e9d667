"""How a host should look is a function of the ENI, its name and its number."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import desired, metadata
from ec2net_legacy.errors import HostError
from ec2net_legacy.model import LOCAL_TABLE, MAIN_TABLE, Address, Route, Rule
from tests.unit.fakes import SECOND, eni_texts, ipv6_texts, raised


def eni(number=1, changes=None):
    return metadata.parse_eni(SECOND, eni_texts(number, changes))


@pytest.mark.parametrize(
    "name, card, device, expected",
    [
        ("eth1", "0", "1", 1),
        ("eth1", "0", "7", 1),
        ("eth10", "0", "3", 10),
        ("eth0", "0", "2", 0),
        ("ens6", "0", "1", 1),
        ("ens6", "0", "14", 14),
        ("ens6", "1", "0", 100),
        ("enp0s6", "3", "2", 302),
        ("eth1x", "0", "4", 4),
        ("eth", "0", "4", 4),
        ("veth1", "0", "4", 4),
        ("eth1.5", "0", "4", 4),
    ],
)
def test_the_number_follows_the_name_of_eth_n_and_else_the_attachment(name, card, device, expected):
    attached = eni(1, {"network-card": card, "device-number": device})
    assert desired.number_offset(name, attached) == expected


@pytest.mark.parametrize(
    "name, present, taken, expected",
    [
        ("eth2", None, [], 2),
        ("eth2", 2, [3], 2),
        ("eth2", None, [2], 5000),
        ("eth2", None, [2, 5000, 5001], 5002),
        ("eth2", 5003, [2], 5003),
        ("eth2", 5003, [2, 5003], 5000),
        ("eth2", 5003, [], 2),
        ("eth2", 7, [2], 5000),
        ("eth9999", None, [], 9999),
        ("ens6", None, [1], 5000),
    ],
)
def test_a_number_that_another_has_is_replaced_by_a_spare_one_that_is_kept(
    name, present, taken, expected
):
    assert desired.choose_offset(name, eni(), present, frozenset(taken)) == expected


def test_when_no_number_is_free_the_interface_is_named():
    assert "eth2" in raised(HostError, desired.choose_offset, "eth2", eni(), None, range(10000))


def test_one_address_makes_a_table_with_a_way_out_and_one_rule():
    state = desired.interface_state("eth1", eni(), 10001, 10001)
    assert (state.name, state.table, state.primary) == ("eth1", 10001, "10.0.1.10")
    assert state.addresses == ()
    assert state.routes == (
        Route("10.0.1.0/24", "", "eth1", MAIN_TABLE, 4, 10001),
        Route("10.0.1.0/24", "", "eth1", 10001, 4),
        Route("default", "10.0.1.1", "eth1", 10001, 4),
    )
    assert state.rules == (Rule("10.0.1.10", 10001, 10001),)


def test_further_addresses_are_host_addresses_and_every_source_has_a_rule():
    many = eni(1, {"local-ipv4s": "10.0.1.10\n10.0.1.30\n10.0.1.20", "ipv4-prefix": "10.0.1.64/28"})
    state = desired.interface_state("eth1", many, 10001, 10001)
    assert state.addresses == (Address("10.0.1.30", 32, "eth1"), Address("10.0.1.20", 32, "eth1"))
    assert [rule.source for rule in state.rules] == [
        "10.0.1.10",
        "10.0.1.30",
        "10.0.1.20",
        "10.0.1.64/28",
    ]


def test_table_and_priority_are_what_they_are_said_to_be():
    state = desired.interface_state("eth1", eni(), 20001, 301)
    assert {rule[1:] for rule in state.rules} == {(20001, 301)}
    assert [(route.table, route.metric) for route in state.routes] == [
        (MAIN_TABLE, 20001),
        (20001, 0),
        (20001, 0),
    ]


@pytest.mark.parametrize(
    "subnet, router",
    [("10.0.1.0/24", "10.0.1.1"), ("10.0.1.16/28", "10.0.1.17"), ("10.0.0.0/16", "10.0.0.1")],
)
def test_the_router_is_the_subnets_base_plus_one(subnet, router):
    inside = eni(1, {"subnet-ipv4-cidr-block": subnet, "local-ipv4s": "10.0.1.20"})
    state = desired.interface_state("eth1", inside, 10001, 10001)
    assert [route.gateway for route in state.routes if route.destination == "default"] == [router]


def test_with_ipv6_only_there_is_no_default_route_that_metadata_does_not_know():
    texts = ipv6_texts(
        1,
        {"ipv6s": "2600:1f18:0:1::10\n2600:1f18:0:1::11", "ipv6-prefix": "2600:1f18:0:1:ab::/80"},
    )
    state = desired.interface_state("eth1", metadata.parse_eni(SECOND, texts), 10001, 10001)
    assert state.primary == "2600:1f18:0:1::10"
    assert state.addresses == (Address("2600:1f18:0:1::11", 128, "eth1"),)
    assert state.routes == (
        Route("2600:1f18:0:1::/64", "", "eth1", MAIN_TABLE, 6, 10001),
        Route("2600:1f18:0:1::/64", "", "eth1", 10001, 6),
    )
    assert [rule.source for rule in state.rules] == [
        "2600:1f18:0:1::10",
        "2600:1f18:0:1::11",
        "2600:1f18:0:1:ab::/80",
    ]
    assert state.families == (6,)


def test_a_state_is_divided_by_family():
    four = desired.interface_state("eth1", eni(), 10001, 10001)
    six = metadata.parse_eni(SECOND, ipv6_texts(1))
    mixed = four._replace(rules=four.rules + desired.interface_state("eth1", six, 1, 1).rules)
    assert mixed.families == (4, 6)
    assert mixed.of_family(4) == four
    assert [rule.source for rule in mixed.of_family(6).rules] == ["2600:1f18:0:1::10"]
    assert mixed.of_family(6).routes == ()


DUAL_STACK = {
    "local-ipv4s": "10.0.1.10\n10.0.1.11",
    "ipv4-prefix": "10.0.1.64/28",
    "ipv6s": "2600:1f18:0:1::10\n2600:1f18:0:1::11",
    "subnet-ipv6-cidr-blocks": "2600:1f18:0:1::/64",
    "ipv6-prefix": "2600:1f18:0:1:ab::/80",
}


def test_dual_stack_has_both_families_and_only_the_lease_of_ipv4_brings_an_address():
    state = desired.interface_state("eth1", eni(1, DUAL_STACK), 10001, 10001)
    assert state.primary == "10.0.1.10"
    assert state.addresses == (
        Address("10.0.1.11", 32, "eth1"),
        # Beside IPv4 nothing waits for DHCPv6.
        Address("2600:1f18:0:1::10", 128, "eth1"),
        Address("2600:1f18:0:1::11", 128, "eth1"),
    )
    assert state.routes == (
        Route("10.0.1.0/24", "", "eth1", MAIN_TABLE, 4, 10001),
        Route("10.0.1.0/24", "", "eth1", 10001, 4),
        Route("default", "10.0.1.1", "eth1", 10001, 4),
        Route("2600:1f18:0:1::/64", "", "eth1", MAIN_TABLE, 6, 10001),
        Route("2600:1f18:0:1::/64", "", "eth1", 10001, 6),
    )
    assert {rule.source for rule in state.of_family(6).rules} == {
        "2600:1f18:0:1::10",
        "2600:1f18:0:1::11",
        "2600:1f18:0:1:ab::/80",
    }


def test_a_default_route_of_main_is_only_ipv4s_and_behind_the_primarys():
    with_it = desired.interface_state(
        "eth1", eni(1, DUAL_STACK), 10001, 10001, desired.PLAIN._replace(main_metric=10001)
    )
    without = desired.interface_state("eth1", eni(1, DUAL_STACK), 10001, 10001)
    assert set(with_it.routes) - set(without.routes) == {
        Route("default", "10.0.1.1", "eth1", MAIN_TABLE, 4, 10001)
    }
    six = metadata.parse_eni(SECOND, ipv6_texts())
    with_it = desired.interface_state("eth1", six, 1, 1, desired.PLAIN._replace(main_metric=1))
    assert with_it == desired.interface_state("eth1", six, 1, 1)


def test_local_prefixes_are_ipv4s_in_the_kernels_own_table():
    with_them = desired.interface_state(
        "eth1", eni(1, DUAL_STACK), 10001, 10001, desired.PLAIN._replace(local_prefixes=True)
    )
    without = desired.interface_state("eth1", eni(1, DUAL_STACK), 10001, 10001)
    assert set(with_them.routes) - set(without.routes) == {
        Route("10.0.1.64/28", "", "eth1", LOCAL_TABLE, 4)
    }


ADVERTISED = Route("default", "fe80::1", "eth1", MAIN_TABLE, 6)


class TestTheRouterThatTheKernelLearned(object):
    """`desired.with_learned_router`."""

    STATE = desired.interface_state("eth1", eni(1, DUAL_STACK), 10001, 10001)

    @pytest.mark.parametrize("metric", [0, 100, 10001])
    def test_it_is_copied_into_the_table_without_its_metric(self, metric):
        found = desired.with_learned_router(self.STATE, [ADVERTISED._replace(metric=metric)])
        copied = Route("default", "fe80::1", "eth1", 10001, 6)
        assert found == self.STATE._replace(routes=self.STATE.routes + (copied,))

    @pytest.mark.parametrize(
        "others",
        [
            [],
            [ADVERTISED._replace(device="eth10")],
            [ADVERTISED._replace(table=10001)],
            [ADVERTISED._replace(table=300)],
            [ADVERTISED._replace(gateway="")],
            [ADVERTISED._replace(destination="2600::/16")],
            [Route("default", "10.0.1.1", "eth1", MAIN_TABLE, 4)],
        ],
        ids=["none", "device", "our table", "table", "no router", "not default", "IPv4"],
    )
    def test_another_route_is_not(self, others):
        assert desired.with_learned_router(self.STATE, others) == self.STATE

    def test_an_interface_without_ipv6_has_none(self):
        four = desired.interface_state("eth1", eni(), 10001, 10001)
        assert desired.with_learned_router(four, [ADVERTISED]) == four

    def test_of_several_it_is_the_same_one_each_time(self):
        second = ADVERTISED._replace(gateway="fe80::2")
        found = desired.with_learned_router(self.STATE, {second, ADVERTISED})
        assert found == desired.with_learned_router(self.STATE, [ADVERTISED, second])
        assert len(found.routes) == len(self.STATE.routes) + 1


class TestMainsDefaultRoute(object):
    """Main's IPv6 default route by a secondary comes after the primary's, or is not there."""

    STATE = TestTheRouterThatTheKernelLearned.STATE
    LEARNED = ADVERTISED._replace(learned=1024)
    # As a kernel has it that knows the metric.
    AFTER = ADVERTISED._replace(metric=10001, learned=10001)
    COPIED = ADVERTISED._replace(metric=10001)
    STATIC = ADVERTISED._replace(gateway="fe80::7", metric=500)
    PRIMARYS = LEARNED._replace(device="eth0")

    @pytest.mark.parametrize(
        "present, in_main, copied, gone",
        [
            ([LEARNED, PRIMARYS], desired.COPY, [COPIED], [LEARNED]),
            ([LEARNED], desired.COPY, [COPIED], [LEARNED]),
            ([COPIED, PRIMARYS], desired.COPY, [COPIED], []),
            ([AFTER, PRIMARYS], desired.COPY, [], []),
            ([AFTER, PRIMARYS], desired.KERNEL, [], []),
            ([LEARNED, PRIMARYS], desired.KERNEL, [], [LEARNED]),
            # The only way out stays until the next advertisement.
            ([LEARNED], desired.KERNEL, [], []),
            ([LEARNED, AFTER, COPIED], desired.NOBODY, [], [LEARNED, AFTER]),
            ([STATIC, PRIMARYS], desired.NOBODY, [], []),
            ([PRIMARYS], desired.COPY, [], []),
        ],
    )
    def test_what_is_copied_and_what_goes(self, present, in_main, copied, gone):
        state = desired.with_learned_router(self.STATE, present, in_main)
        new = state.routes[len(self.STATE.routes) :]
        assert [route for route in new if route.table == MAIN_TABLE] == copied
        assert list(desired.displaced(self.STATE, present, in_main)) == gone

    def test_of_an_eni_without_ipv6_nothing_goes(self):
        four = desired.interface_state("eth1", eni(), 10001, 10001)
        assert desired.displaced(four, [self.LEARNED], desired.NOBODY) == ()
