"""How the host should look: a pure function of what AWS says and of who has which number."""
from __future__ import absolute_import, print_function, unicode_literals

import ipaddress
import re

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError
from ec2net_legacy.model import Address, InterfaceState, Route, Rule

if TYPE_CHECKING:
    from typing import Container, Optional, Tuple

    from ec2net_legacy.model import Eni

# Numbers are offsets from the table base and from the priority base alike.
LARGEST_OFFSET = 9999
# Where two formulae meet (eth2 beside device number 2 of a predictable name), the later
# interface gets one from here, which neither formula reaches on any instance type.
_FIRST_SPARE = 5000


def number_offset(name, eni):
    # type: (str, Eni) -> int
    """Return N of table 10000 + N: N of ``ethN``, else 100 * network card + device number.

    The first is what all older tools used, the second what amazon-ec2-net-utils 2.x uses; users'
    scripts rely on both.
    """
    by_name = re.match(r"eth([0-9]{1,4})\Z", name)
    if by_name:
        return int(by_name.group(1))
    card, device = eni.network_card, eni.device_number  # type: int, int
    return 100 * card + device


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


def interface_state(name, eni, table, priority):
    # type: (str, Eni, int, int) -> InterfaceState
    """Return the addresses, routes and rules of `eni` on the device `name`.

    One family: IPv4, or IPv6 on a subnet that has nothing else. IPv6 of a dual-stack ENI is left
    to the kernel's router advertisements.
    """
    sources = eni.addresses + eni.prefixes if not eni.ipv6_only else eni.addresses6 + eni.prefixes6
    return InterfaceState(
        name=name,
        table=table,
        primary=eni.addresses6[0] if eni.ipv6_only else eni.addresses[0],
        # A /32 makes no connected route and never becomes somebody's source address by itself.
        addresses=tuple(Address(address, 32, name) for address in eni.addresses[1:])
        + (_further_addresses6(name, eni) if eni.ipv6_only else ()),
        routes=_routes(name, eni, table),
        rules=tuple(Rule(source, table, priority) for source in sources),
    )


def _further_addresses6(name, eni):
    # type: (str, Eni) -> Tuple[Address, ...]
    # DHCPv6 brings the first one.
    return tuple(Address(address, 128, name) for address in eni.addresses6[1:])


def _routes(name, eni, table):
    # type: (str, Eni, int) -> Tuple[Route, ...]
    if eni.ipv6_only:
        # The router announces itself (RA); its address is not in the metadata.
        return tuple(Route(subnet, "", name, table, 6) for subnet in eni.subnets6)
    subnet = ipaddress.IPv4Network(eni.subnet)
    # AWS: "the base of the VPC network range plus one" is each subnet's router.
    router = (subnet.network_address + 1).compressed
    return (
        Route(eni.subnet, "", name, table, 4),
        Route("default", router, name, table, 4),
    )
