"""How the host should look: a pure function of what AWS says and of who has which number."""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._cheap import ipaddress, namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError
from ec2net_legacy.model import LOCAL_TABLE, MAIN_TABLE, Address, InterfaceState, Route, Rule

if TYPE_CHECKING:
    from typing import Container, Iterable, List, Optional, Tuple

    from ec2net_legacy.model import Eni

# Numbers are offsets from the table base and from the priority base alike.
LARGEST_OFFSET = 9999
# Where two formulae meet (eth2 beside device number 2 of a predictable name), the later
# interface gets one from here, which neither formula reaches on any instance type.
_FIRST_SPARE = 5000


def number_offset(name, eni):
    # type: (str, Eni) -> int
    """Return N of table `table_base` + N: N of ``ethN``, else 100 * network card + device number.

    The first is what all older tools used, the second what amazon-ec2-net-utils 2.x uses; users'
    scripts rely on both.
    """
    by_name = offset_by_name(name)
    if by_name is not None:
        return by_name
    card, device = eni.card, eni.device_number  # type: int, int
    return 100 * card + device


def offset_by_name(name):
    # type: (str) -> Optional[int]
    """Return N of ``ethN``, None for other names."""
    found = re.match(r"eth([0-9]{1,4})\Z", name)
    return int(found.group(1)) if found else None


def choose_offset(name, eni, present, taken):
    # type: (str, Eni, Optional[int], Container[int]) -> int
    """Return the number of an interface: by formula, or a spare one where another has that.

    `present` is the number it has now, if any: a spare one is kept. `taken` are the others'.
    """
    formula = number_offset(name, eni)
    if formula <= LARGEST_OFFSET and formula not in taken:
        return formula
    if present is not None and _FIRST_SPARE <= present <= LARGEST_OFFSET and present not in taken:
        return present
    for spare in range(_FIRST_SPARE, LARGEST_OFFSET + 1):
        if spare not in taken:
            return spare
    raise HostError("{0}: no route table number is free".format(name))


Options = namedtuple("Options", ["main_metric", "local_prefixes", "router"])
"""How a host treats an ENI. `main_metric`: that of a default route in main, 0 for none.
`local_prefixes`: whether every address of the delegated IPv4 prefixes is one of this host's.
`router`: the one that the lease named, "" for AWS's usual one."""

PLAIN = Options(main_metric=0, local_prefixes=False, router="")


def interface_state(name, eni, table, priority, options=PLAIN):
    # type: (str, Eni, int, int, Options) -> InterfaceState
    """Return the addresses, routes and rules of `eni` on the device `name`."""
    # A /32 makes no connected route and never becomes somebody's source address by itself. The
    # first address comes with the lease; beside IPv4 nothing waits for that of DHCPv6.
    addresses = [Address(address, 32, name) for address in eni.addresses[1:]]
    leased6 = 1 if eni.ipv6_only else 0
    addresses += [Address(address, 128, name) for address in eni.addresses6[leased6:]]
    routes = () if eni.ipv6_only else _routes4(name, eni, table, options)
    if options.local_prefixes:
        routes += tuple(Route(prefix, "", name, LOCAL_TABLE, 4) for prefix in eni.prefixes)
    # The IPv6 router announces itself (RA); its address is not in the metadata.
    # The kernel's own has metric 256 on each interface.
    routes += tuple(Route(subnet, "", name, MAIN_TABLE, 6, table) for subnet in eni.subnets6)
    routes += tuple(Route(subnet, "", name, table, 6) for subnet in eni.subnets6)
    sources = eni.addresses + eni.prefixes + eni.addresses6 + eni.prefixes6
    return InterfaceState(
        name=name,
        table=table,
        primary=(eni.addresses + eni.addresses6)[0],
        addresses=tuple(addresses),
        routes=routes,
        rules=tuple(Rule(source, table, priority) for source in sources),
    )


def primary_state(name, eni):
    # type: (str, Eni) -> InterfaceState
    """Return the further addresses of the primary ENI, which needs nothing else of us."""
    state = interface_state(name, eni, 0, 0)
    leased = eni.addresses[:1] + eni.addresses6[:1]
    further = tuple(item for item in state.addresses if item.address not in leased)
    return state._replace(addresses=further, routes=(), rules=())


def _routes4(name, eni, table, options):
    # type: (str, Eni, int, Options) -> Tuple[Route, ...]
    subnet = ipaddress.IPv4Network(eni.subnet)
    # AWS: "the base of the VPC network range plus one" is each subnet's router.
    router = (subnet.network_address + 1).compressed
    if _can_be_router(options.router, subnet, eni):
        router = options.router
    routes = (
        # The kernel's own has metric 0. Of two ENIs on one subnet the primary has to win, whichever
        # came first. By this one kernels of RHEL 6 and 7 find the router, so it comes first.
        Route(eni.subnet, "", name, MAIN_TABLE, 4, table),
        Route(eni.subnet, "", name, table, 4),
        Route("default", router, name, table, 4),
    )  # type: Tuple[Route, ...]
    if options.main_metric:
        routes += (Route("default", router, name, MAIN_TABLE, 4, options.main_metric),)
    return routes


def _can_be_router(address, subnet, eni):
    # type: (str, ipaddress.IPv4Network, Eni) -> bool
    if not address or address in eni.addresses:
        return False
    ends = (subnet.network_address, subnet.broadcast_address)
    parsed = ipaddress.IPv4Address(address)
    return parsed in subnet and parsed not in ends


# Who gives main's IPv6 default route by a secondary the table's number as metric: the kernel
# itself, or a copy of what it learned, or nobody, where main is to have none. Or a daemon of the
# distribution's, which gives the ENI's table its route as well.
KERNEL = "kernel"
COPY = "copy"
NOBODY = "nobody"
DAEMON = "daemon"


def with_learned_router(state, present, in_main=KERNEL):
    # type: (InterfaceState, Iterable[Route], str) -> InterfaceState
    """Return `state` with the IPv6 default route that the kernel learned from an advertisement.

    `present` are the kernel's routes; where it has not learned one yet, `state` stays as it is.
    With `in_main` = COPY main gets a copy, too.
    """
    if in_main == DAEMON or not any(rule.family == 6 for rule in state.rules):
        return state
    # The advertised one has metric 1024, which stands for none.
    known = sorted(_defaults_in_main(state, present), key=lambda route: (route.metric, route))
    found = tuple(route.in_table(state.table) for route in known[:1])
    if in_main == COPY and not any(
        route.learned and route.metric == state.table for route in known
    ):
        found += tuple(route.in_table(MAIN_TABLE, state.table) for route in found)
    return state._replace(routes=state.routes + found)


def displaced(state, present, in_main=KERNEL):
    # type: (InterfaceState, Iterable[Route], str) -> Tuple[Route, ...]
    """Return which of main's learned IPv6 default routes by this ENI have no place there.

    An administrator's stays. A kernel that knows the metric moves its own with the next
    advertisement; until then it goes only where another interface has a way out.
    """
    if in_main == DAEMON or not any(rule.family == 6 for rule in state.rules):
        return ()
    present = list(present)
    learned = sorted(route for route in _defaults_in_main(state, present) if route.learned)
    if in_main == NOBODY:
        return tuple(learned)
    elsewhere = any(
        (route.family, route.destination, route.table) == (6, "default", MAIN_TABLE)
        and route.device != state.name
        for route in present
    )
    if in_main == KERNEL and not elsewhere:
        return ()
    return tuple(route for route in learned if route.metric != state.table)


def _defaults_in_main(state, present):
    # type: (InterfaceState, Iterable[Route]) -> List[Route]
    return [
        route
        for route in present
        if (route.family, route.destination) == (6, "default")
        and (route.device, route.table) == (state.name, MAIN_TABLE)
        and route.gateway
    ]
