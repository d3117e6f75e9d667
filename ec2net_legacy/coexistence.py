"""How ENIs get along with each other, with containers and with VPNs: pure functions.

One ENI's own table and rules are `desired`'s. This is what all of them have in common; the reasons
are in docs/routing.md.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._cheap import ipaddress
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.desired import LARGEST_OFFSET
from ec2net_legacy.model import MAIN_TABLE, MainFirst, Managed, MarkRule, Route

if TYPE_CHECKING:
    from typing import (
        Any,
        Callable,
        Dict,
        Iterable,
        List,
        Mapping,
        Optional,
        Sequence,
        Set,
        Tuple,
        Union,
    )

    from ec2net_legacy.model import Address, InterfaceState
    from ec2net_legacy.settings import Settings

# Main is asked before the rules of the first ENI's (10000).
_BEFORE_ENIS = 10
# The longest prefix of a default route in main: a VPN that takes everything has two halves
# (0.0.0.0/1), for IPv6 also 2000::/3 and its halves. Replies leave by their ENI all the same.
_DEFAULT_LENGTH = {4: 1, 6: 4}

def managed(state, owns_prefixes):
    # type: (InterfaceState, bool) -> Optional[Managed]
    """Return what is of interest here about an ENI's state, None where it has no rules."""
    if not state.rules or not state.table:
        return None
    subnets = [
        route.destination
        for route in state.routes
        if (route.table, route.family, route.gateway) == (state.table, 4, "")
    ]
    return Managed(
        name=state.name,
        table=state.table,
        priority=state.rules[0].priority,
        subnet=subnets[0] if subnets else "",
        families=tuple(sorted({rule.family for rule in state.rules})),
        owns_prefixes=owns_prefixes,
    )


def families_of(enis):
    # type: (Iterable[Managed]) -> List[int]
    """Return the families that any of `enis` has rules of."""
    return sorted({family for eni in enis for family in eni.families})


def main_first(settings, enis):
    # type: (Settings, Iterable[Managed]) -> Tuple[MainFirst, ...]
    """Return the rules by which main is asked before the tables of ENIs."""
    priority = settings.priority_base - _BEFORE_ENIS
    return tuple(
        MainFirst(_DEFAULT_LENGTH[family], settings.link_group, priority, family)
        for family in families_of(enis)
    )


# By this mark wg-quick tells WireGuard's own packets; what it has in the mask is the last choice.
_WIREGUARD = 0xCA6C


def marks(settings, enis, present):
    # type: (Settings, Iterable[Managed], Iterable[MarkRule]) -> Dict[str, int]
    """Return the connection mark of each ENI: that of the `present` rules, or by its number.

    One for which no value is left has none.
    """
    mask = settings.mark_mask
    step = mask & -mask
    kept = {rule.table: rule.mark for rule in present if rule.mask == mask}
    found = {}  # type: Dict[str, int]
    taken = set()  # type: Set[int]
    # Who has one keeps it: it is in the connections that there are.
    for eni in sorted(enis, key=lambda eni: (eni.table not in kept, eni.table)):
        by_number = settings.mark_base + (eni.table - settings.table_base) * step
        # There may be millions: no more of the spare ones than can be taken.
        values = [by_number] + [mask - number * step for number in range(len(taken) + 2)]
        values.sort(key=lambda value: value == _WIREGUARD & mask)
        for value in [kept.get(eni.table, 0)] + values:
            if 0 < value <= mask and not value & ~mask and value not in taken:
                found[eni.name] = value
                taken.add(value)
                break
    return found


def mark_rules(settings, enis, marked):
    # type: (Settings, Iterable[Managed], Mapping[str, int]) -> Tuple[MarkRule, ...]
    """Return the rules by which a marked packet finds its ENI's table."""
    return tuple(
        MarkRule(marked[eni.name], settings.mark_mask, eni.table, eni.priority, family)
        for eni in enis
        for family in eni.families
        if eni.name in marked
    )


def is_our_rule(settings, rule):
    # type: (Settings, object) -> bool
    """Return whether a rule is one that this module makes, by its numbers."""
    if isinstance(rule, MarkRule):
        number = rule.table - settings.table_base
        same = number == rule.priority - settings.priority_base
        ours = rule.mask == settings.mark_mask and 0 <= number <= LARGEST_OFFSET
        return bool(same and ours)
    return isinstance(rule, MainFirst) and (rule.priority, rule.group) == (
        settings.priority_base - _BEFORE_ENIS,
        settings.link_group,
    )


def parameters(enis, members, addresses):
    # type: (Sequence[Managed], Sequence[str], Iterable[Address]) -> Dict[str, Tuple[int, int]]
    """Return {kernel parameter: (the least that it has to be, the most)}.

    `members` are all ENIs of this host, `addresses` what it has.
    """
    wanted = {}
    shared = set()  # type: Set[str]
    present = [
        (one.device, ipaddress.ip_address(one.address))
        for one in addresses
        if one.family == 4 and one.device in members
    ]
    for eni in enis:
        wanted.update(parameters6(eni))
        if not eni.subnet:
            continue
        # Loose: what comes in by this ENI for a container is routed back by main.
        wanted[_parameter(eni.name, "rp_filter")] = (2, 2)
        network = ipaddress.ip_network(eni.subnet)
        others = {one.name for one in enis if one.subnet == eni.subnet}
        others.update(device for device, address in present if address in network)
        if others - {eni.name}:
            shared.update(others | {eni.name})
    prefixed = {eni.name for eni in enis if eni.owns_prefixes}
    for name in sorted(shared):
        # Each ENI hears the question who has an address, and by default each answers for all of the
        # host's: the neighbour then sends to the wrong one. 1: only for what is its own. Addresses
        # of prefixes are no interface's own.
        if name not in prefixed:
            wanted[_parameter(name, "arp_ignore")] = (1, 8)
        # 2: asks with an address of its own, so that nobody learns another's from that.
        wanted[_parameter(name, "arp_announce")] = (2, 2)
    return wanted


def parameters6(eni):
    # type: (Managed) -> Dict[str, Tuple[int, int]]
    """Return those of IPv6, which have to be so before the link is up and a router is heard."""
    if 6 not in eni.families:
        return {}
    return {
        # Also on a host that forwards: 1 means no there, and nobody would hear a router.
        _parameter(eni.name, "accept_ra", 6): (2, 2),
        # Main has its subnet already, and AWS lets nobody choose an address of the prefix.
        _parameter(eni.name, "accept_ra_pinfo", 6): (0, 0),
        # The primary's router wins, whichever is heard first.
        metric6(eni.name): (eni.table, eni.table),
    }


def metric6(name):
    # type: (str) -> str
    """Return the parameter that gives an advertised router its metric in main, since Linux 5.12."""
    return _parameter(name, "ra_defrtr_metric", 6)


def _parameter(name, key, family=4):
    # type: (str, str, int) -> str
    return "net/ipv{0}/conf/{1}/{2}".format(family, name, key)


def to_set(wanted, before, read, index_of):
    # type: (Any, Any, Callable[[str], Optional[int]], Callable[[str], Optional[int]]) -> Any
    """Return what is to be remembered of values that are somebody else's, and the new ones.

    `wanted` is {name: (least, most)}, `before` {name: [ifindex, value before, our value]}.
    """
    kept, changes = {}, {}
    for name in sorted(set(wanted) | set(before)):
        now, index, was = read(name), index_of(name), before.get(name)
        if now is None or index is None:
            continue
        if was is not None and (was[0], was[2]) != (index, now):
            # Another device, or somebody has set it since.
            was = None
        if name not in wanted:
            if was is not None:
                changes[name] = was[1]
        elif wanted[name][0] <= now <= wanted[name][1]:
            if was is not None:
                kept[name] = was
        else:
            changes[name] = wanted[name][0]
            kept[name] = [index, now if was is None else was[1], changes[name]]
    return kept, changes


def copies(enis, members, routes, families):
    # type: (Iterable[Managed], Sequence[str], Iterable[Route], Iterable[int]) -> Tuple[Route, ...]
    """Return main's routes by what is no ENI, for the table of each: where main cannot be first."""
    best = {}  # type: Dict[Tuple[int, str], Route]
    main = [
        route
        for route in sorted(routes, key=lambda route: (route.metric, route))
        if route.table == MAIN_TABLE and route.family in families and route.device not in members
    ]
    for route in main:
        if _is_specific(route) and _is_reached(route, main):
            # The one that main would use: a copy has no metric, so there is room for one.
            best.setdefault((route.family, route.destination), route)
    return tuple(
        route.in_table(eni.table)
        for eni in enis
        for route in sorted(best.values(), key=lambda route: (bool(route.gateway), route))
        if route.family in eni.families and route.destination != eni.subnet
    )


def _is_reached(route, main):
    # type: (Route, Iterable[Route]) -> bool
    """Return whether the kernel takes the gateway: not one that is just said to be on link."""
    if not route.gateway:
        return True
    gateway = ipaddress.ip_address(route.gateway)
    linked = route.family == 6 and gateway.is_link_local
    return linked or any(
        other.destination == "default" or gateway in _network(other)
        for other in main
        if not other.gateway and (other.device, other.family) == (route.device, route.family)
    )


def _network(route):
    # type: (Route) -> Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
    return ipaddress.ip_network(route.destination, strict=False)


def _is_specific(route):
    # type: (Route) -> bool
    if route.destination == "default":
        return False
    network = _network(route)
    # Each device has its own of these.
    if network.is_link_local or network.is_multicast or network.is_loopback:
        return False
    return bool(network.prefixlen > _DEFAULT_LENGTH[route.family])
