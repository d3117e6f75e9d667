"""The files that network-scripts get for an ENI: their text, and what it puts into the kernel.

``ifcfg-ethN`` is sourced by a root shell, and the words of each line of the route and rule files
become arguments of `ip` without quotes. So nothing gets there that was not parsed before.
"""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy import log
from ec2net_legacy._cheap import ipaddress, pattern
from ec2net_legacy._compat import quoted
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.distributions import user_options
from ec2net_legacy.distributions.protocol import MARKER, header
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
    from typing import Dict, Iterator, List, Optional, Tuple

    from ec2net_legacy.model import Eni

DIRECTORY = "/etc/sysconfig/network-scripts/"
_IFCFG_NOTE = """# The next run overwrites changes, except to variables that it does not set
# itself, MAINROUTETABLE and EC2PROVISIONPFXIPS. EC2SYNC=no stops all of it.
"""
_RULE_NOTE = """# The ENI's addresses and delegated prefixes. The first address is the lease's;
# the hook in /etc/dhcp/dhclient.d adds the others to the interface.
"""
_ROUTE_NOTE = "# Table {table}: the way out for what comes from this ENI.\n"
# A renewal by unicast leaves by whatever main says, which may be another ENI. It is the
# acknowledgement alone (message type 5) that is changed: with a changed offer dhclient asks for the
# lease in the name of a server that is none, and a strict one answers NAK (docs/facts.md).
_DHCLIENT = """if option dhcp-message-type = 5 {
  supersede dhcp-server-identifier 255.255.255.255;
}
timeout 300;
"""

# A variable of the administrator's is written again if its value is as harmless as this. Between
# single quotes a shell takes each of these characters as it is.
_HARMLESS = pattern(r"(?!.*\.\.)[A-Za-z0-9 _.,:=/@%+-]*\Z")

_HEADER_TABLE = pattern(MARKER + r"\S+, \S+, table (\d{1,10})\s")
_RULE = pattern(r"pref (\d{1,10}) from ([0-9a-f.:]+(?:/\d{1,3})?) lookup (\d{1,10})\Z")
# The older tools write lines of this shape, too. Theirs may have a netmask for a prefix length.
_ROUTE = pattern(
    r"(local )?(default|[0-9a-f.:]+/[0-9.]+)(?: via ([0-9a-f.:]+))? dev (\S+)"
    r"(?: proto kernel scope link src [0-9.]*)?(?: table (\d{1,10}))?(?: metric (\d{1,10}))?\Z"
)


def path(kind, interface):
    # type: (str, str) -> str
    """Return where the file of a `kind` ("ifcfg", "dhclient" ...) of `interface` is."""
    if kind == "dhclient":
        return "/etc/dhcp/dhclient-{0}.conf".format(interface)
    return "{0}{1}-{2}".format(DIRECTORY, kind, interface)


def paths(interface):
    # type: (str) -> List[str]
    """Return the paths of all files that may be generated for `interface`."""
    kinds = ("ifcfg", "route", "route6", "rule", "rule6", "dhclient")
    return [path(kind, interface) for kind in kinds]


def render(state, eni, present):
    # type: (InterfaceState, Eni, List[Tuple[str, str]]) -> Dict[str, Optional[str]]
    """Return the files for `state`. `present` are the assignments of the ifcfg file so far."""
    first = header(state.table, eni)
    texts = {
        "ifcfg": first + _IFCFG_NOTE + "".join(_ifcfg_lines(state.name, eni, present)),
        # DHCPv6 renews by multicast.
        "dhclient": None if eni.ipv6_only else first + _DHCLIENT,
    }  # type: Dict[str, Optional[str]]
    route_note = _ROUTE_NOTE.format(table=state.table)
    for suffix, family in (("", 4), ("6", 6)):
        part = state.of_family(family)
        routes = [route.arguments + "\n" for route in part.routes]
        rules = [rule.arguments + "\n" for rule in part.rules]
        texts["route" + suffix] = first + route_note + "".join(routes) if routes else None
        texts["rule" + suffix] = first + _RULE_NOTE + "".join(rules) if rules else None
    return {path(kind, state.name): text for kind, text in texts.items()}


def _ifcfg_lines(interface, eni, present):
    # type: (str, Eni, List[Tuple[str, str]]) -> Iterator[str]
    variables = _variables(interface, eni)
    for name, value in variables:
        if value:
            yield "{0}={1}\n".format(name, value)
    for line in user_options.lines(user_options.read(present)):
        yield line + "\n"
    ours = dict(variables)
    for name, value in present:
        if name in ours or name in user_options.NAMES:
            continue
        if _HARMLESS.match(value):
            yield "{0}='{1}'\n".format(name, value)
        else:
            said = "%s: %s=%s is not kept: expected plain characters"
            log.warning(said, path("ifcfg", interface), name, quoted(value))


def _variables(interface, eni):
    # type: (str, Eni) -> List[Tuple[str, str]]
    """Return (name, value) of each variable that is ours to set, "" where it is to be absent."""
    dual = bool(eni.addresses6 or eni.prefixes6)
    return [
        ("DEVICE", interface),
        # Without IPv4 in the subnet DHCPv4 would end with an address of 169.254.0.0/16, and so
        # with a route to the metadata service by the wrong interface. NOZEROCONF keeps ifup from
        # adding that route itself.
        ("BOOTPROTO", "none" if eni.ipv6_only else "dhcp"),
        ("ONBOOT", "yes"),
        # RHEL 6 has a udev rule that calls ifup and ifdown beside ours.
        ("HOTPLUG", "no"),
        ("TYPE", "Ethernet"),
        ("USERCTL", "no"),
        ("PEERDNS", "no"),
        ("IPV6INIT", "yes" if dual else "no"),
        ("DHCPV6C", "yes" if eni.addresses6 else ""),
        ("DHCPV6C_OPTIONS", "-nw" if eni.addresses6 else ""),
        # ifup-ipv6 of RHEL 8 would undo the kernel parameters that were set before the link is up.
        ("IPV6_SET_SYSCTLS", "no" if dual else ""),
        ("PERSISTENT_DHCLIENT", "yes"),
        ("HWADDR", eni.mac),
        ("DEFROUTE", "no"),
        ("NOZEROCONF", "yes"),
        ("NM_CONTROLLED", "no"),
    ]


def table_of(interface, text):
    # type: (str, str) -> int
    """Return the route table that a generated ifcfg file names, 0 where it is none of `interface`.

    A copy that somebody made under another name is no interface, which its DEVICE tells.
    """
    first = _HEADER_TABLE.match(text)
    device = re.search("^DEVICE={0}\r?$".format(re.escape(interface)), text, re.M)
    return int(first.group(1)) if first and device else 0


def recorded(interface, text):
    # type: (str, str) -> InterfaceState
    """Return what generated `text`, or several in a row, puts into the kernel."""
    # The files are told apart first, because the last line of an edited one may lack its end.
    parts = text.split(MARKER)
    by_file = [_rules(part) for part in parts]
    rules = [rule for of_file in by_file for rule in of_file]
    # Beside IPv4 the lease of DHCPv6 may never come, so its address is added like the others.
    leased6 = all(rule.family == 6 for rule in rules)
    addresses = [one for of_file in by_file for one in _further(interface, of_file, leased6)]
    routes = [route for part in parts for route in _routes(interface, part)]
    tables = [int(number) for number in _HEADER_TABLE.findall(text)]
    tables += [route.table for route in routes if route.table not in (MAIN_TABLE, LOCAL_TABLE)]
    return InterfaceState(
        name=interface,
        table=tables[0] if tables else 0,
        primary="",
        addresses=tuple(addresses),
        routes=tuple(routes),
        rules=tuple(rules),
    )


def _rules(text):
    # type: (str) -> List[Rule]
    matches = [_RULE.match(line.strip()) for line in text.split("\n")]
    found = [match.groups() for match in matches if match]
    return [Rule(source, int(table), int(priority)) for priority, source, table in found]


def _further(interface, rules, leased6):
    # type: (str, List[Rule], bool) -> Iterator[Address]
    """Yield the addresses that have a rule in a file, except the first where it is the lease's."""
    for family, length, leased in ((4, 32, 1), (6, 128, int(leased6))):
        sources = [rule.source for rule in rules if rule.family == family]
        for source in [one for one in sources if "/" not in one][leased:]:
            yield Address(source, length, interface)


def _routes(interface, text):
    # type: (str, str) -> Iterator[Route]
    for match in [_ROUTE.match(line.strip()) for line in text.split("\n")]:
        if not match or match.group(4) != interface:
            continue
        local, to, via, _, table, metric = match.groups()
        number = int(table or MAIN_TABLE)
        # In main only a route with a metric is ours. Any other is the administrator's.
        if bool(local) != (number == LOCAL_TABLE) or (number == MAIN_TABLE and not metric):
            continue
        try:
            destination = to if to == "default" else ipaddress.ip_network(to).compressed
        except ValueError:
            continue
        yield Route(
            destination, via or "", interface, number, family_of(via or to), int(metric or 0)
        )
