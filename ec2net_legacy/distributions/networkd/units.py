"""The texts for an ENI on a host with systemd-networkd.

There are two of them. networkd gets a file that has what an ENI keeps for life, and no list: when
networkd reads a file that has changed, it drops the lease and takes away what it did not make
itself, at whoever's reload (docs/networkd.md). Addresses and rules are given to `ip`; the second
text has them, for a boot at which metadata is away, and as the record of what is ours.
"""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._cheap import pattern
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.distributions.protocol import header, table_in
from ec2net_legacy.model import (
    LOCAL_TABLE,
    MAIN_TABLE,
    Address,
    InterfaceState,
    Route,
    Rule,
    family_of,
)

if TYPE_CHECKING:
    from typing import Tuple

    from ec2net_legacy.distributions.user_options import UserOptions
    from ec2net_legacy.model import Eni

_NOTE = """# The next run overwrites changes. Yours go into /etc/systemd/network: drop-ins
# into {file}.d, or a file of this name, which takes
# the place of this one. EC2SYNC=no in a section [X-EC2Net] keeps ec2net away.
"""
_ITEMS_NOTE = """# What `ip -batch` is given beside that. The next run overwrites changes.
"""
# RequiredForOnline: a boot does not wait for an ENI. KeepConfiguration: a restart of networkd
# neither drops the lease nor takes away what `ip` has added. RouteTable: 252 forgets the metric of
# the lease's route at a restart, and in main that route would come before the primary's. What main
# has is in sections of its own. RoutesToDNS: the server is in the primary's subnet.
_ALL = """[Match]
MACAddress={mac}
Name={name}

[Link]
RequiredForOnline=no

[Network]
DHCP={dhcp}
IPv6AcceptRA={hears}
KeepConfiguration=yes

[DHCPv4]
RouteTable={table}
UseGateway=no
UseHostname=no
RoutesToDNS=no
"""
# The addresses are metadata's, and the prefix is in main by `ip`, behind the primary's. A metric of
# the router's route in the table is known since 249 only; there it needs none.
_ROUTER = """
[IPv6AcceptRA]
UseAutonomousPrefix=no
UseOnLinkPrefix=no
DHCPv6Client={dhcp6}
RouteTable={table}
"""
# Main's route by the router comes after the primary's. Since systemd 247. Without Table= it would
# be in the router's.
_ROUTER_IN_MAIN = """
[Route]
Gateway=_ipv6ra
Metric={table}
Table=main
"""
_SINCE_ROUTER = 247
_RECORDED_ADDRESS = pattern(r"^addr add ([0-9a-f.:]+)/([0-9]{1,3}) dev (\S+)$", re.M)
_RECORDED_ROUTE = pattern(
    r"^route add (local )?(\S+)(?: via ([0-9a-f.:]+))? dev (\S+)(?: table ([0-9]{1,10}))?"
    r"(?: metric ([0-9]{1,10}))?$",
    re.M,
)
_RECORDED_RULE = pattern(
    r"^rule add pref ([0-9]{1,10}) from ([0-9a-f.:/]+) lookup ([0-9]{1,10})$", re.M
)


def render(state, eni, options, place):
    # type: (InterfaceState, Eni, UserOptions, Tuple[str, int]) -> str
    """Return the text for networkd.

    `place`: the file's name, and the version of networkd.
    """
    file_name, version = place
    hears = any(rule.family == 6 for rule in state.rules)
    text = _ALL
    if hears:
        in_main = options.main_route and version >= _SINCE_ROUTER
        text += _ROUTER + (_ROUTER_IN_MAIN if in_main else "")
    text = text.format(
        mac=eni.mac,
        name=state.name,
        dhcp="ipv6" if eni.ipv6_only else "ipv4",
        hears=_word(hears),
        dhcp6=_word(eni.ipv6_only),
        table=state.table,
    )
    routes = [route for route in state.routes if route.table in (state.table, MAIN_TABLE)]
    sections = [text] + [_route(route) for route in routes]
    return header(state.table, eni) + _NOTE.format(file=file_name) + "\n".join(sections)


def _word(yes):
    # type: (bool) -> str
    return "yes" if yes else "no"


def _route(route):
    # type: (Route) -> str
    lines = ["[Route]"]
    if route.gateway:
        # Without it 247 fails the link as long as the lease is not there.
        lines += ["Gateway=" + route.gateway, "GatewayOnLink=yes"]
    else:
        lines += ["Destination=" + route.destination]
        # networkd complains of the scope of an IPv6 route.
        lines += ["Scope=link"] if route.family == 4 else []
    in_main = route.table == MAIN_TABLE
    lines += ["Metric={0}".format(route.metric) if in_main else "Table={0}".format(route.table)]
    return "\n".join(lines + [""])


def render_items(state, eni):
    # type: (InterfaceState, Eni) -> str
    """Return the text of what `ip` is given."""
    lines = [
        "{0} add {1}".format(kind, item.arguments)
        for kind, items in (("route", state.routes), ("rule", state.rules),
                            ("addr", state.addresses))
        for item in items
    ]
    return header(state.table, eni) + _ITEMS_NOTE + "\n".join(lines) + "\n"


def recorded(interface, text):
    # type: (str, str) -> InterfaceState
    """Return what such texts, or several in a row, put into the kernel."""
    addresses = _RECORDED_ADDRESS.findall(text)
    routes = _RECORDED_ROUTE.findall(text)
    rules = _RECORDED_RULE.findall(text)
    return InterfaceState(
        name=interface,
        table=table_in(text),
        primary="",
        addresses=tuple(Address(one, int(length), dev) for one, length, dev in addresses),
        routes=tuple(
            Route(
                to, via, dev, _table(table, local), family_of(via or to), int(metric or 0)
            )
            for local, to, via, dev, table, metric in routes
        ),
        rules=tuple(Rule(source, int(table), int(priority)) for priority, source, table in rules),
    )


def _table(number, local):
    # type: (str, str) -> int
    return int(number or (LOCAL_TABLE if local else MAIN_TABLE))
