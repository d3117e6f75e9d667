"""What Amazon's ec2-net-utils 1.x and its forks left behind, so that it can be taken over.

Its ``ifcfg-ethN`` is known by the variable EC2SYNC, which nobody else has. The other files have no
mark at all, and are known by their lines.
"""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._cheap import pattern

# They use table 10000 + N for ethN, and 10000 where there is no N. The router or the address is
# missing where metadata had none for them.
_ROUTES = (
    r"default via \S* ?dev {name} (?:table|metric) {table}\s*\Z",
    r"[0-9.]+/[0-9.]+ dev {name} proto kernel scope link src \S* ?table {table}\s*\Z",
)
_DHCLIENT = pattern(
    r"supersede dhcp-server-identifier 255\.255\.255\.255;\s*(timeout 300;\s*)?\Z"
)


def wrote_routes(interface, text):
    # type: (str, str) -> bool
    """Return whether all lines of a route file look like theirs for `interface`."""
    number = re.match(r"eth([0-9]{1,4})\Z", interface)
    table = 10000 + (int(number.group(1)) if number else 0)
    patterns = [one.format(name=re.escape(interface), table=table) for one in _ROUTES]
    lines = [line for line in text.split("\n") if line.strip()]
    return all(any(re.match(pattern, line) for pattern in patterns) for line in lines)


def wrote_dhclient(text):
    # type: (str) -> bool
    """Return whether a dhclient-ethN.conf is theirs."""
    return bool(_DHCLIENT.match(text))
