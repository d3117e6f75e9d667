"""The steps from what the kernel has to what it should have touch nothing of others."""
from __future__ import absolute_import, print_function, unicode_literals

import random

import pytest

from ec2net_legacy import desired, metadata
from ec2net_legacy.kernel import diff
from ec2net_legacy.kernel.parse import KernelState
from ec2net_legacy.model import (
    LOCAL_TABLE,
    MAIN_TABLE,
    Address,
    InterfaceState,
    Route,
    Rule,
)
from tests.unit.fakes import SECOND, eni_texts

FOREIGN_ADDRESS = Address("10.0.1.99", 32, "eth1")
FOREIGN_ROUTE = Route("10.99.0.0/16", "10.0.1.7", "eth1", 10001, 4)
FOREIGN_RULE = Rule("10.99.0.0/16", 10001, 500)
FOREIGN_TABLE = Rule("10.0.1.11", 300, 10001)
NOBODY = InterfaceState("eth1", 0, "", (), (), ())


def state(addresses="10.0.1.10", prefixes=None, table=10001):
    texts = {"local-ipv4s": addresses.replace(" ", "\n")}
    if prefixes:
        texts["ipv4-prefix"] = prefixes.replace(" ", "\n")
    eni = metadata.parse_eni(SECOND, eni_texts(1, texts))
    return desired.interface_state("eth1", eni, table, table)


def kernel_of(*states):
    """Return a kernel that has all that `states` say, and their primary addresses."""
    addresses, routes, rules = set(), set(), set()
    for one in states:
        addresses.update(one.addresses)
        if one.primary:
            addresses.add(Address(one.primary, 24, one.name))
        routes.update(one.routes)
        rules.update(one.rules)
    return KernelState(addresses, routes, rules, frozenset())


def after(kernel, steps):
    """Return the kernel after `steps`; each must be possible."""
    sets = {kind: set(items) for kind, items in zip((Address, Route, Rule), kernel)}
    for step in steps:
        items = sets[type(step.item)]
        assert (step.item in items) != step.add, "impossible: {0}".format(step.line)
        if step.add:
            items.add(step.item)
        else:
            items.remove(step.item)
    return KernelState(sets[Address], sets[Route], sets[Rule], frozenset())


def lines(steps):
    return [step.line for step in steps]


def test_into_an_empty_kernel_routes_come_before_rules_before_addresses():
    steps = diff.changes(state("10.0.1.10 10.0.1.11"), NOBODY, diff.NOTHING)
    assert lines(steps) == [
        "route add 10.0.1.0/24 dev eth1 metric 10001",
        "route replace 10.0.1.0/24 dev eth1 table 10001",
        "route replace default via 10.0.1.1 dev eth1 table 10001",
        "rule add pref 10001 from 10.0.1.10 lookup 10001",
        "rule add pref 10001 from 10.0.1.11 lookup 10001",
        "addr add 10.0.1.11/32 dev eth1",
    ]


def test_taking_away_goes_the_other_way():
    wanted = state("10.0.1.10 10.0.1.11")
    nothing = NOBODY._replace(table=10001)
    assert lines(diff.changes(nothing, wanted, kernel_of(wanted))) == [
        "route append 10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10",
        "addr del 10.0.1.11/32 dev eth1",
        "rule del pref 10001 from 10.0.1.10 lookup 10001",
        "rule del pref 10001 from 10.0.1.11 lookup 10001",
        "route del default via 10.0.1.1 dev eth1 table 10001",
        "route del 10.0.1.0/24 dev eth1 table 10001",
        "route del 10.0.1.0/24 dev eth1 metric 10001",
    ]


def test_everything_is_added_before_anything_is_deleted():
    before, wanted = state("10.0.1.10 10.0.1.11"), state("10.0.1.10 10.0.1.12")
    steps = diff.changes(wanted, before, kernel_of(before))
    assert lines(steps) == [
        "rule add pref 10001 from 10.0.1.12 lookup 10001",
        "addr add 10.0.1.12/32 dev eth1",
        "addr del 10.0.1.11/32 dev eth1",
        "rule del pref 10001 from 10.0.1.11 lookup 10001",
    ]


def test_what_is_there_is_not_added_again():
    wanted = state("10.0.1.10 10.0.1.11", "10.0.1.64/28")
    assert diff.changes(wanted, NOBODY, kernel_of(wanted)) == []
    assert diff.changes(wanted, wanted, kernel_of(wanted)) == []


@pytest.mark.parametrize("recorded", [False, True])
def test_what_is_wanted_or_recorded_twice_is_added_once(recorded):
    one = state("10.0.1.10 10.0.1.11", "10.0.1.64/28")
    twice = one._replace(addresses=one.addresses * 2, routes=one.routes * 2, rules=one.rules * 2)
    once = diff.changes(one, one if recorded else NOBODY, diff.NOTHING)
    assert diff.changes(twice, twice if recorded else NOBODY, diff.NOTHING) == once


@pytest.mark.parametrize(
    "length, device, added",
    [(24, "eth1", []), (32, "eth2", ["addr add 10.0.1.11/32 dev eth1"])],
    ids=["with another length", "on another device it is not there"],
)
def test_an_address_is_there_with_any_length_but_on_this_device(length, device, added):
    wanted = state("10.0.1.10 10.0.1.11")
    present = kernel_of(wanted._replace(addresses=(Address("10.0.1.11", length, device),)))
    assert lines(diff.changes(wanted, NOBODY, present)) == added


def test_an_address_that_became_the_primary_one_is_not_deleted():
    before, wanted = state("10.0.1.10 10.0.1.11"), state("10.0.1.11")
    steps = diff.changes(wanted, before, kernel_of(before))
    assert "addr del 10.0.1.11/32 dev eth1" not in lines(steps)
    assert "rule del pref 10001 from 10.0.1.10 lookup 10001" in lines(steps)


@pytest.mark.parametrize("recorded", [False, True])
def test_what_others_put_there_stays(recorded):
    wanted = state()
    record = state("10.0.1.10 10.0.1.12") if recorded else NOBODY
    present = kernel_of(wanted, record)
    present.addresses.add(FOREIGN_ADDRESS)
    present.routes.add(FOREIGN_ROUTE)
    present.rules.update([FOREIGN_RULE, FOREIGN_TABLE])
    left = after(present, diff.changes(wanted, record, present))
    assert FOREIGN_ADDRESS in left.addresses
    assert FOREIGN_ROUTE in left.routes
    assert left.rules >= {FOREIGN_RULE, FOREIGN_TABLE}


def test_a_leaked_rule_of_the_reserved_table_and_priority_goes():
    leaked = Rule("10.0.1.77", 10001, 10001)
    wanted = state()
    present = kernel_of(wanted)
    present.rules.add(leaked)
    assert lines(diff.changes(wanted, NOBODY, present)) == [
        "rule del pref 10001 from 10.0.1.77 lookup 10001"
    ]


def test_what_was_recorded_but_is_gone_is_not_deleted_again():
    before = state("10.0.1.10 10.0.1.11")
    steps = diff.changes(NOBODY, before, diff.NOTHING)
    assert steps == []


def test_a_new_table_number_moves_everything():
    before, wanted = state(), state(table=15000)
    present = kernel_of(before)
    assert after(present, diff.changes(wanted, before, present)) == kernel_of(wanted)


def random_state(chance):
    hosts = chance.sample(range(10, 40), chance.randint(1, 6))
    prefixes = ["10.0.1.{0}/28".format(16 * n) for n in chance.sample(range(4, 15), 2)]
    return state(
        " ".join("10.0.1.{0}".format(host) for host in hosts),
        " ".join(prefixes[: chance.randint(0, 2)]),
        chance.choice([10001, 15000]),
    )


@pytest.mark.parametrize("seed", range(10))
def test_from_any_state_one_step_leads_to_any_other_and_a_second_does_nothing(seed):
    chance = random.Random(seed)  # noqa: S311 (the same states on every run)
    for _ in range(50):
        one_step_leads_there(chance)


def one_step_leads_there(chance):
    before, wanted = random_state(chance), random_state(chance)
    present = kernel_of(before)
    present.addresses.add(Address(wanted.primary, 24, "eth1"))
    for items in present:
        # Somebody took a part of it away.
        for item in sorted(items):
            if chance.random() < 0.2 and getattr(item, "address", "") != wanted.primary:
                items.remove(item)
    present.addresses.add(FOREIGN_ADDRESS)
    present.routes.add(FOREIGN_ROUTE)
    present.rules.update([FOREIGN_RULE, FOREIGN_TABLE])
    left = after(present, diff.changes(wanted, before, present))
    assert left.rules == set(wanted.rules) | {FOREIGN_RULE, FOREIGN_TABLE}
    assert left.routes == set(wanted.routes) | {FOREIGN_ROUTE}
    has = {item.address for item in left.addresses}
    assert has >= {item.address for item in wanted.addresses} | {"10.0.1.99"}
    gone = {item.address for item in before.addresses} - set(
        [item.address for item in wanted.addresses] + [wanted.primary, before.primary]
    )
    assert not has & gone
    assert diff.changes(wanted, before, left) == []


def test_a_foreign_ipv6_default_route_in_a_table_of_ours_stays():
    ours = Route("2001:db8::/64", "", "eth1", 10001, 6)
    copied = Route("default", "fe80::1", "eth1", 10001, 6)
    foreign = Route("default", "fe80::2", "wg0", 10001, 6)
    record = InterfaceState("eth1", 10001, "", (), (ours,), ())
    nothing = record._replace(routes=())
    present = KernelState(frozenset(), frozenset([ours, copied, foreign]), frozenset(), frozenset())
    deleted = [step.item for step in diff.changes(nothing, record, present)]
    assert set(deleted) == {ours, copied}


class TestTheKernelsOwnTables(object):
    """Beside a route of somebody else's in main or local there is no room for ours."""

    MAIN = Route("default", "10.0.1.1", "eth1", MAIN_TABLE, 4, 10001)
    LOCAL = Route("10.0.1.64/28", "", "eth1", LOCAL_TABLE, 4)

    def changes(self, *present):
        wanted = NOBODY._replace(routes=(self.MAIN, self.LOCAL))
        there = KernelState(frozenset(), frozenset(present), frozenset(), frozenset())
        return lines(diff.changes(wanted, NOBODY, there))

    def test_ours_are_added_and_replace_nothing(self):
        assert self.changes() == ["route add " + one.arguments for one in (self.MAIN, self.LOCAL)]
        assert self.changes(self.MAIN, self.LOCAL) == []

    @pytest.mark.parametrize(
        "others",
        [{"gateway": "10.0.1.7"}, {"device": "eth2"}, {"gateway": "", "device": "wg0"}],
        ids=["router", "device", "tunnel"],
    )
    def test_anothers_at_the_same_place_stays_and_ours_is_not_tried(self, others):
        other = self.MAIN._replace(**others)
        assert self.changes(other, self.LOCAL) == []
        assert diff.in_the_way([self.MAIN, self.LOCAL], [other, self.LOCAL]) == [other]

    @pytest.mark.parametrize(
        "others",
        [{"metric": 0}, {"metric": 100}, {"table": 300}, {"destination": "10.0.0.0/8"}],
        ids=["main's own", "metric", "table", "destination"],
    )
    def test_one_at_another_place_is_not_in_the_way(self, others):
        other = self.MAIN._replace(**others)
        assert self.changes(other, self.LOCAL) == ["route add " + self.MAIN.arguments]
        assert diff.in_the_way([self.MAIN, self.LOCAL], [other, self.LOCAL]) == []


class TestTheConnectedRouteOfMain(object):
    """Ours has the metric of the table; the kernel's own, for the lease's address, has none."""

    OURS = Route("10.0.1.0/24", "", "eth1", MAIN_TABLE, 4, 10001)
    KERNELS = OURS._replace(metric=0, connected="10.0.1.10")
    PRIMARYS = KERNELS._replace(device="eth0", connected="10.0.1.5")
    ADD_OURS = "route add 10.0.1.0/24 dev eth1 metric 10001"
    DELETE_OURS = "route del 10.0.1.0/24 dev eth1 metric 10001"
    ADD_KERNELS = "route append 10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10"
    DELETE_KERNELS = "route del 10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10"

    LEASED = Address("10.0.1.10", 24, "eth1")

    def present(self, routes, addresses=(LEASED,)):
        """Return a kernel that has all of `state` but in main, where it has `routes`."""
        kernel = kernel_of(state())
        return kernel._replace(
            addresses=set(addresses), routes=(kernel.routes - {self.OURS}) | set(routes)
        )

    def taken_away(self, present):
        """Return the lines about main that take `state` away."""
        nothing = NOBODY._replace(table=10001)
        found = lines(diff.changes(nothing, state(), present))
        return [line for line in found if line.startswith("route ") and " table " not in line]

    def test_ours_is_added_before_the_kernels_goes_and_both_complete_what_is_desired(self):
        present = self.present([self.KERNELS])
        steps = diff.changes(state(), NOBODY, present)
        assert lines(steps) == [self.ADD_OURS, self.DELETE_KERNELS]
        assert after(present, steps) == kernel_of(state())
        assert [step.completes for step in steps] == [True, True]

    def test_the_kernels_goes_where_it_came_back_beside_ours(self):
        steps = diff.changes(state(), state(), self.present([self.OURS, self.KERNELS]))
        assert lines(steps) == [self.DELETE_KERNELS]

    def test_the_deletion_of_anything_else_does_not(self):
        present = kernel_of(state("10.0.1.10 10.0.1.11"))
        steps = diff.changes(NOBODY, state("10.0.1.10 10.0.1.11"), present)
        assert {step.completes for step in steps if not step.add} == {False}

    @pytest.mark.parametrize(
        "other",
        [OURS._replace(gateway="10.0.1.7"), OURS._replace(device="eth2")],
        ids=["router", "device"],
    )
    def test_where_another_is_in_the_way_of_ours_the_kernels_stays(self, other):
        assert diff.changes(state(), NOBODY, self.present([other, self.KERNELS])) == []

    def test_with_a_new_table_number_it_is_ours_that_changes_and_no_other_comes(self):
        steps = diff.changes(state(table=15000), state(), kernel_of(state()))
        assert [line for line in lines(steps) if "metric" in line or "kernel" in line] == [
            "route add 10.0.1.0/24 dev eth1 metric 15000",
            self.DELETE_OURS,
        ]

    @pytest.mark.parametrize(
        "other",
        [
            OURS._replace(metric=0),
            OURS._replace(metric=50),
            OURS._replace(metric=0, gateway="10.0.1.7"),
            KERNELS._replace(device="eth0", connected="10.0.1.5"),
            KERNELS._replace(device="eth10", connected="10.0.1.5"),
            KERNELS._replace(destination="10.0.1.0/25"),
            KERNELS._replace(destination="10.9.0.0/16", connected="10.9.0.1"),
        ],
        ids=["static", "metric", "router", "primary's", "eth10's", "subnet", "other address's"],
    )
    def test_another_route_of_main_is_left_alone(self, other):
        present = self.present([self.OURS, other])
        assert diff.changes(state(), state(), present) == []
        assert other in after(present, diff.changes(NOBODY, state(), present)).routes

    def test_an_eni_without_ipv4_replaces_none(self):
        six = NOBODY._replace(routes=(Route("2600::/64", "", "eth1", 10001, 6),))
        steps = diff.changes(six, NOBODY, self.present([self.KERNELS]))
        assert lines(steps) == ["route replace 2600::/64 dev eth1 table 10001"]

    @pytest.mark.parametrize(
        "routes, addresses, steps",
        [
            ([OURS], [LEASED], [ADD_KERNELS, DELETE_OURS]),
            # Beside another device's of the same subnet.
            ([OURS, PRIMARYS], [LEASED, LEASED._replace(address="10.0.1.5", device="eth0")],
             [ADD_KERNELS, DELETE_OURS]),
            # It is there already, and where ours is not there none comes.
            ([OURS, KERNELS], [LEASED], [DELETE_OURS]),
            ([], [LEASED], []),
            # It is for the lease's address.
            ([OURS], [Address("10.0.1.0", 32, "eth1"), LEASED], [ADD_KERNELS, DELETE_OURS]),
            ([OURS], [Address("10.0.1.0", 24, "eth1"), LEASED], [ADD_KERNELS, DELETE_OURS]),
            ([OURS], [], [DELETE_OURS]),
            ([OURS], [LEASED._replace(length=32)], [DELETE_OURS]),
            ([OURS], [LEASED._replace(length=25)], [DELETE_OURS]),
            ([OURS], [LEASED._replace(device="eth0")], [DELETE_OURS]),
            ([OURS], [Address("10.9.0.1", 24, "eth1")], [DELETE_OURS]),
            ([OURS], [Address("2600::10", 64, "eth1")], [DELETE_OURS]),
        ],
        ids=["it stays", "as well", "there already", "without ours", "a further one", "the lease's"]
        + ["no address", "/32", "length", "device", "subnet", "IPv6"],
    )
    def test_taken_away_while_the_address_stays_it_is_the_kernels_again_before_ours_goes(
        self, routes, addresses, steps
    ):
        assert self.taken_away(self.present(routes, addresses)) == steps

    def test_recorded_twice_it_comes_back_once(self):
        record = state()._replace(routes=state().routes * 2)
        steps = diff.changes(NOBODY, record, self.present([self.OURS]))
        assert lines(steps).count(self.ADD_KERNELS) == 1

    def test_an_address_that_goes_as_well_is_not_the_one_for_which_it_comes_back(self):
        record = state("10.0.1.20 10.0.1.10")
        present = self.present(
            [self.OURS], [Address("10.0.1.10", 24, "eth1"), Address("10.0.1.99", 24, "eth1")]
        )
        assert lines(diff.changes(NOBODY, record, present))[:2] == [
            self.ADD_KERNELS.replace("10.0.1.10", "10.0.1.99"),
            "addr del 10.0.1.10/24 dev eth1",
        ]


class TestRulesOfTheOlderTools(object):
    """They gave no priority, so that the kernel chose it: 32765, 32764, ..."""

    def deleted(self, rule, record=NOBODY):
        present = kernel_of(state())
        present.rules.add(rule)
        return lines(diff.changes(state(), record, present)) == ["rule del " + rule.arguments]

    @pytest.mark.parametrize("priority", [32765, 32764, 32001, 32000])
    @pytest.mark.parametrize(
        "source", ["10.0.1.10", "10.0.1.77", "10.0.1.64/28", "2600::10", "2600:0:0:1::/80"]
    )
    def test_at_an_automatic_priority_and_for_our_table_they_are_ours(self, source, priority):
        assert self.deleted(Rule(source, 10001, priority))

    @pytest.mark.parametrize(
        "rule",
        [
            Rule("10.0.1.10", 10001, 500),
            Rule("10.0.1.10", 10001, 10002),
            Rule("10.0.1.10", 10001, 31999),
            Rule("10.0.1.10", 10001, 32766),
            Rule("10.0.1.10", 10002, 32765),
            Rule("10.0.1.10", 254, 32765),
            Rule("all", 10001, 32765),
            Rule("10.0.1.0/24", 10001, 32765),
            Rule("10.0.1.64/27", 10001, 32765),
            Rule("10.0.1.11/32", 10001, 32765),
            Rule("2600:0:0:1::/64", 10001, 32765),
            Rule("0.0.0.0/0", 10001, 32765),
        ],
        ids=lambda rule: rule.arguments,
    )
    @pytest.mark.parametrize("recorded", [False, True])
    def test_any_other_is_somebody_elses(self, rule, recorded):
        assert not self.deleted(rule, state() if recorded else NOBODY)

    def test_the_new_rules_come_before_they_go(self):
        old = Rule("10.0.1.10", 10001, 32765)
        present = kernel_of(state()._replace(rules=(old,)))
        assert lines(diff.changes(state(), NOBODY, present)) == [
            "rule add pref 10001 from 10.0.1.10 lookup 10001",
            "rule del pref 32765 from 10.0.1.10 lookup 10001",
        ]

    @pytest.mark.parametrize("table", [10001, 0])
    def test_where_there_are_no_rules_they_are_ours_by_the_records_table_if_it_has_one(self, table):
        old = Rule("10.0.1.10", 10001, 32765)
        rules = frozenset([old, FOREIGN_RULE, Rule("10.0.1.10", 254, 32765)])
        present = KernelState(frozenset(), frozenset(), rules, frozenset())
        steps = diff.changes(NOBODY, NOBODY._replace(table=table), present)
        assert lines(steps) == (["rule del " + old.arguments] if table else [])


class TestSecondariesOfTheOlderTools(object):
    """They gave them the length of the subnet."""

    TWO = state("10.0.1.10 10.0.1.11")

    @pytest.mark.parametrize(
        "wanted, record, device, steps",
        [
            (TWO, NOBODY, "eth1", []),
            (TWO, TWO, "eth1", []),
            (state(), TWO, "eth1", ["addr del 10.0.1.11/24 dev eth1"]),
            (state(), state(), "eth1", []),
            (state(), TWO, "eth2", []),
        ],
        ids=["AWS assigns it", "and it is recorded", "recorded", "never recorded", "elsewhere"],
    )
    def test_one_goes_with_its_real_length_if_it_was_recorded_and_is_not_wanted(
        self, wanted, record, device, steps
    ):
        old = (Address("10.0.1.11", 24, device),)
        present = kernel_of(wanted._replace(addresses=old))
        assert lines(diff.changes(wanted, record, present)) == steps

    def test_the_leases_own_address_stays_when_it_was_a_secondary_before(self):
        steps = diff.changes(state("10.0.1.11 10.0.1.10"), self.TWO, kernel_of(self.TWO))
        assert not any(type(step.item) is Address for step in steps)
