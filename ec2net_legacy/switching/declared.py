"""What an administrator has configured an interface to be, in the words of neither program."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._cheap import ipaddress, namedtuple
from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Optional, Tuple

Declared = namedtuple(
    "Declared",
    ["name", "dhcp4", "dhcp6", "hears", "addresses", "gateways", "dns", "domains", "mtu", "metric"],
)
"""An interface. `dhcp4`, `dhcp6`: whether it asks for a lease; `hears`: whether it uses what
routers announce, None where nobody has said. `addresses`: "address/length"; `gateways`, `dns`,
`domains`: texts; `mtu`: "" for the device's own; `metric`: of the lease's routes, "" for the
program's own."""


def nothing(name):
    # type: (str) -> Declared
    """Return an interface that is just up."""
    return Declared(name, False, False, None, (), (), (), (), "", "")


def with_length(address, mask):
    # type: (str, str) -> Optional[str]
    """Return "address/length" in its shortest form, None where that is no address.

    `mask` is a length or a netmask, "" where the address has it.
    """
    text = address if "/" in address or not mask else "{0}/{1}".format(address, mask)
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        return None
    return found.with_prefixlen


def is_address(text):
    # type: (str) -> bool
    """Return whether `text` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def merged(former, latter):
    # type: (Declared, Declared) -> Declared
    """Return what two paragraphs about one interface say together."""

    def both(key):
        # type: (str) -> Tuple[str, ...]
        texts = getattr(former, key) + getattr(latter, key)
        return tuple(sorted(set(texts), key=texts.index))

    return Declared(
        name=former.name,
        dhcp4=former.dhcp4 or latter.dhcp4,
        dhcp6=former.dhcp6 or latter.dhcp6,
        hears=latter.hears if former.hears is None else former.hears,
        addresses=both("addresses"),
        gateways=both("gateways"),
        dns=both("dns"),
        domains=both("domains"),
        mtu=former.mtu or latter.mtu,
        metric=former.metric or latter.metric,
    )
