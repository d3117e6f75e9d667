"""Whether a host that was switched has what it had before, and what is to be put back if not."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.kernel.diff import Change
from ec2net_legacy.model import MAIN_TABLE

if TYPE_CHECKING:
    from typing import Iterable, List, Tuple

    from ec2net_legacy.kernel.parse import KernelState
    from ec2net_legacy.model import Address, Route


def worth_keeping(has, names):
    # type: (KernelState, Iterable[str]) -> Tuple[Tuple[Address, ...], Tuple[Route, ...]]
    """Return the addresses that have to answer afterwards, and main's routes, of some devices."""
    listed = frozenset(names)
    addresses = [
        one for one in has.addresses
        # The kernel makes these by itself.
        if one.device in listed and not one.address.startswith("fe80:")
    ]
    routes = [one for one in has.routes if one.device in listed and one.table == MAIN_TABLE]
    return tuple(sorted(addresses)), tuple(sorted(routes))


def lacking(addresses, routes, has):
    # type: (Iterable[Address], Iterable[Route], KernelState) -> List[str]
    """Return a sentence for each address and each way out that a host had, and has not any more.

    A lease's address may have another length, and a route another metric.
    """
    there = {(one.device, one.address) for one in has.addresses}
    said = [
        "{0} is not on {1}".format(one.address, one.device)
        for one in addresses
        if (one.device, one.address) not in there
    ]
    ways = {_way(one) for one in has.routes}
    had = {_way(one) for one in routes if one.destination == "default"}
    return said + [
        "there is no IPv{0} default route by {1}".format(family, device)
        for _, family, _, device in sorted(had - ways)
    ]


def restoring(addresses, routes, has):
    # type: (Iterable[Address], Iterable[Route], KernelState) -> List[Change]
    """Return what is to be added so that a host has what it had: networks before gateways."""
    there = {(one.device, one.address) for one in has.addresses}
    missing = [one for one in addresses if (one.device, one.address) not in there]
    ways = {(one.destination, one.gateway, one.device) for one in has.routes
            if one.table == MAIN_TABLE}
    lost = [
        one for one in routes
        if (one.destination, one.gateway, one.device) not in ways and not one.by_kernel
    ]
    lost.sort(key=lambda one: (bool(one.gateway), one))
    return [Change(True, one) for one in missing] + [Change(True, one) for one in lost]


def strange(addresses, names, has):
    # type: (Iterable[Address], Iterable[str], KernelState) -> List[Change]
    """Return the deletion of each address that some devices have and had not."""
    before = {(one.device, one.address) for one in addresses}
    now, _ = worth_keeping(has, names)
    return [Change(False, one) for one in now if (one.device, one.address) not in before]


def superseded(routes, has):
    # type: (Iterable[Route], KernelState) -> List[Change]
    """Return the deletion of each route that a host had and has in another form as well.

    The program that made it will not look after it any more.
    """
    now = frozenset(has.routes)
    return [
        Change(False, one) for one in routes
        if one in now and not one.by_kernel
        and any(_way(other) == _way(one) and other != one and other.gateway == one.gateway
                for other in now)
    ]


def _way(route):
    # type: (Route) -> Tuple[str, int, int, str]
    return route.destination, route.family, route.table, route.device
