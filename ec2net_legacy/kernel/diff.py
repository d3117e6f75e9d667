"""From desired, present and owned to the changes between: set arithmetic on values."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._cheap import ipaddress, namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.kernel.parse import KernelState
from ec2net_legacy.model import (
    LOCAL_TABLE,
    MAIN_TABLE,
    Address,
    AlternativeName,
    Group,
    MainFirst,
    MarkRule,
    Route,
    Rule,
)

if TYPE_CHECKING:
    from typing import Dict, Iterable, List, Set, Tuple, Union

    from ec2net_legacy.model import InterfaceState

    Item = Union[Address, Route, Rule, MarkRule, MainFirst, Group, AlternativeName]

_KERNELS_TABLES = frozenset([MAIN_TABLE, LOCAL_TABLE])

# Without a priority a rule gets the one below the lowest there is: 32765, 32764, ...
_AUTOMATIC = range(32000, 32766)

NOTHING = KernelState(frozenset(), frozenset(), frozenset(), frozenset())
"""A kernel that has nothing of an interface, as while its device is down."""



def united(parts):
    # type: (Iterable[KernelState]) -> KernelState
    """Return what any of `parts` has."""
    return KernelState(*[frozenset().union(*items) for items in zip(NOTHING, *parts)])


_OBJECT = {
    Address: "addr",
    Route: "route",
    Rule: "rule",
    MarkRule: "rule",
    MainFirst: "rule",
    Group: "link",
    AlternativeName: "link property",
}  # type: Dict[type, str]


class Change(namedtuple("Change", ["add", "item"])):
    """One step: add (True) or delete (False) an item: an Address, a Route, a rule, a name.

    A Group is set.
    """

    __slots__ = ()

    @property
    def line(self):
        # type: () -> str
        """The arguments of `ip`, which is also the line of a batch."""
        verb = "add" if self.add else "del"
        # In a table of ours there is one way to a destination: a default route that somebody else
        # put there would otherwise be in the way for ever.
        if self.add and isinstance(self.item, Route) and self.item.table not in _KERNELS_TABLES:
            verb = "replace"
        # As the kernel does: another device's on the same subnet has the same place.
        if self.add and isinstance(self.item, Route) and self.item.connected:
            verb = "append"
        if isinstance(self.item, Group):
            verb = "set"
        return "{0} {1} {2}".format(_OBJECT[type(self.item)], verb, self.item.arguments)

    @property
    def family(self):
        # type: () -> int
        """4 or 6."""
        family = self.item.family  # type: int
        return family

    @property
    def completes(self):
        # type: () -> bool
        """Whether it is a step towards what is desired, not away from what is not."""
        return self.add or (isinstance(self.item, Route) and self.item.by_kernel)


def owned(state, record, present):
    # type: (InterfaceState, InterfaceState, KernelState) -> InterfaceState
    """Return what may be deleted for this interface.

    `record` is what was once written down for it. A rule is also ours when its priority and table
    are the ones that `state` reserves, or when it is what ec2-net-utils 1.x and its forks put up
    for that table. So is the IPv6 default route of a table that `state` no longer has, and main's
    with the table's number as metric: they are copied from the router's advertisement, which no
    record knows.
    """
    ours = {(rule.priority, rule.table) for rule in state.rules + record.rules}
    tables = {table for _, table in ours} | {state.table, record.table}
    rules = tuple(
        rule
        for rule in sorted(present.rules)
        if (rule.priority, rule.table) in ours or (rule.table in tables and _is_inherited(rule))
    )
    left = {one.table for one in record.routes + record.rules if one.family == 6}
    left -= {one.table for one in state.routes + state.rules if one.family == 6} | _KERNELS_TABLES
    copied = tuple(
        route
        for route in present.routes
        if (route.family, route.destination, route.device) == (6, "default", record.name)
        and (
            route.table in left
            or (route.table == MAIN_TABLE and route.metric in tables and not route.learned)
        )
    )
    return record._replace(rules=record.rules + rules, routes=record.routes + copied)


def _is_inherited(rule):
    # type: (Rule) -> bool
    """Return whether the older tools can have made this rule for one of our tables.

    They gave no priority, and had an address or a delegated prefix (/28, /80) as the source.
    """
    source, _, length = rule.source.partition("/")
    return rule.priority in _AUTOMATIC and source != "all" and length in ("", "28", "80")


def changes(desired, record, present):
    # type: (InterfaceState, InterfaceState, KernelState) -> List[Change]
    """Return the ordered steps from `present` to `desired`, deleting only what is owned.

    Adds come first, and of those routes before rules before addresses: an address that can be
    used always has its rule, and a rule its table. Deletes go the other way.
    """
    # An address that is there with another prefix length works; a second one would not be used.
    # Nor is an address that AWS assigns deleted because it is written down with another length.
    has, wanted = _hosts(present.addresses), _hosts(desired.addresses)
    # The lease's address, too, of which there is one a family.
    wanted.update((rule.source, desired.name) for rule in desired.rules)
    ours = owned(desired, record, present)
    blocked = in_the_way(desired.routes, _others(present.routes, ours))
    routes = [route for route in desired.routes if not _same_place(route, blocked)]
    adds = _not_in(routes, present.routes) + _not_in(desired.rules, present.rules)
    addresses = [item for item in desired.addresses if (item.address, item.device) not in has]
    # The older tools gave them the subnet's length.
    unwanted = _hosts(ours.addresses) - wanted
    deletes = [
        item for item in sorted(present.addresses) if (item.address, item.device) in unwanted
    ]  # type: List[Item]
    staying = present._replace(addresses=set(present.addresses).difference(deletes))
    adds += _not_in(addresses, ()) + _connected_again(desired, ours, staying)
    deletes += _unwanted(ours.rules, desired.rules, present.rules)
    deletes += _unwanted(reversed(ours.routes), desired.routes, present.routes)
    deletes += replaced(desired.name, routes, present)
    # In main and local a route of ours that has changed makes room first.
    first = [item for item in deletes if isinstance(item, Route) and _same_place(item, routes)]
    first = [item for item in first if item.table in _KERNELS_TABLES]
    return (
        [Change(False, item) for item in first]
        + [Change(True, item) for item in adds]
        + [Change(False, item) for item in deletes if item not in first]
    )


def replaced(name, routes, present):
    # type: (str, Iterable[Route], KernelState) -> List[Route]
    """Return the kernel's connected routes of main in whose place `routes` are."""
    ours = {route.destination for route in routes if _is_connected_in_main(route)}
    return sorted(
        route
        for route in present.routes
        if route.by_kernel
        and (route.device, route.gateway) == (name, "")
        and route.destination in ours
    )


def _is_connected_in_main(route):
    # type: (Route) -> bool
    on_link = route.destination != "default" and not route.gateway
    return on_link and route.table == MAIN_TABLE


def _connected_again(desired, ours, present):
    # type: (InterfaceState, InterfaceState, KernelState) -> List[Item]
    """Return the connected routes of main as the kernel made them, in whose place ours were."""
    # IPv6's comes back with the router's next advertisement.
    gone = [
        route for route in ours.routes if route.family == 4 and _is_connected_in_main(route)
    ]
    gone = [route for route in gone if route in present.routes and route not in desired.routes]
    kept = {route.destination for route in desired.routes if _is_connected_in_main(route)}
    lease = [rule.source for rule in ours.rules[:1]]
    found = []  # type: List[Item]
    for route in gone:
        network = ipaddress.ip_network(route.destination)
        for address in sorted(present.addresses, key=lambda one: (one.address not in lease, one)):
            if route.destination in kept or address.device != route.device:
                continue
            interface = ipaddress.ip_interface("{0}/{1}".format(address.address, address.length))
            if interface.network == network:
                found.append(route._replace(metric=0, connected=address.address))
                break
    return _not_in(found, present.routes)


def _others(routes, ours):
    # type: (Iterable[Route], InterfaceState) -> List[Route]
    return [route for route in routes if route not in ours.routes]


def in_the_way(wanted, present):
    # type: (Iterable[Route], Iterable[Route]) -> List[Route]
    """Return what others have in main or local where one of the `wanted` routes would be."""
    ours = [route for route in wanted if route.table in _KERNELS_TABLES]
    return sorted(
        route for route in present if route not in ours and _same_place(route, ours)
    )


def _same_place(route, others):
    # type: (Route, Iterable[Route]) -> bool
    def place(one):
        # type: (Route) -> Tuple[object, ...]
        return one.destination, one.table, one.metric, one.family

    return any(place(route) == place(other) for other in others)


def _hosts(addresses):
    # type: (Iterable[Address]) -> Set[Tuple[str, str]]
    return {(item.address, item.device) for item in addresses}


def _not_in(items, present):
    # type: (Iterable[Item], Iterable[Item]) -> List[Item]
    there = set(present)
    missing = []  # type: List[Item]
    for item in items:
        if item not in there:
            missing.append(item)
            # Each once: old kernels would take it again.
            there.add(item)
    return missing


def _unwanted(ours, desired, present):
    # type: (Iterable[Item], Iterable[Item], Iterable[Item]) -> List[Item]
    """Return which of `ours` are there and not desired, each once."""
    keep, there = frozenset(desired), frozenset(present)
    unwanted = []  # type: List[Item]
    for item in ours:
        if item in there and item not in keep and item not in unwanted:
            unwanted.append(item)
    return unwanted
