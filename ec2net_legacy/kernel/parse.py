"""From the text of ``ip -o`` to values. ``ip -json`` is missing in iproute2 before 4.10 or so."""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._cheap import namedtuple, pattern
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.model import (
    LOCAL_TABLE,
    MAIN_TABLE,
    Address,
    MainFirst,
    MarkRule,
    Route,
    Rule,
)

if TYPE_CHECKING:
    from typing import Dict, List, Optional

KernelState = namedtuple("KernelState", ["addresses", "routes", "rules", "host_rules"])
"""Sets of what the kernel has; in `routes` not those that it makes itself in the table local, in
`rules` those by source alone, in `host_rules` each MarkRule and MainFirst."""

# Not \s and split(): the bytes of a name in UTF-8, each a character here, may be blanks for those.
_WORD = pattern("[^ \t\r\n]+")
_ADDRESS = pattern(r"\d+: +([^ ]+) +inet6? ([0-9a-f.:]+)(?: peer [0-9a-f.:]+)?/(\d+) ")
_RULE = pattern(r"(\d+):\s+from (\S+)(?: (.*))?$")
_MARK = pattern(r"(0x[0-9a-f]{1,8})/(0x[0-9a-f]{1,8})\Z")
_TABLE_NAME = pattern(
    r"[ \t]*(?:0x([0-9a-fA-F]{1,8})|([0-9]{1,10}))[ \t]+([^ \t\r#]+)[ \t\r]*(?:#.*)?\Z"
)
_TYPES = frozenset(
    ["anycast", "blackhole", "broadcast", "local", "multicast", "prohibit", "unreachable"]
)
# Words of routes that are nobody's business here: several next hops, only for a type of service or
# a source, by a gateway of the other family, through a tunnel.
_OTHERS = frozenset(["nexthop", "tos", "from", "inet6", "encap"])
# `ip` knows these names without any file.
_TABLES = {"local": LOCAL_TABLE, "main": MAIN_TABLE, "default": 253}
_GROUPS = {"default": 0}
# What IPv6 takes for a route that was given none.
_METRIC6 = 1024
# How the IPv6 routes look that the kernel puts into main by itself, for an address or by an
# advertisement: Linux 2.6.32 (RHEL 6) says "kernel" of an advertised router, too. Routing daemons'
# have other names.
_LEARNED = frozenset(["kernel", "ra"])


def words(line):
    # type: (str) -> List[str]
    """Return the words of a line of `ip`."""
    return _WORD.findall(line)


def table_names(text):
    # type: (str) -> Dict[str, int]
    """Return the numbers behind the names that an rt_tables file gives to tables."""
    names = {}
    for line in text.split("\n"):
        entry = _TABLE_NAME.match(line)
        if entry:
            hexadecimal, decimal, name = entry.groups()
            names[name] = int(hexadecimal, 16) if hexadecimal else int(decimal)
    return names


def kernel_state(text, names, groups, family):
    # type: (str, Dict[str, int], Dict[str, int], int) -> KernelState
    """Parse what ``ip -o`` printed for addr, rule and ``route show table all``, in any order.

    `names` and `groups` map the names of tables and link groups to numbers. `family` is what was
    asked for. Lines of other shapes (rules by several conditions, routes for some packets only)
    are nobody's business here and are left out.
    """
    state = KernelState(set(), set(), set(), set())
    for line in text.split("\n"):
        address = _ADDRESS.match(line)
        if address:
            device = address.group(1).split("@")[0]
            state.addresses.add(Address(address.group(2), int(address.group(3)), device))
            continue
        rule = _RULE.match(line)
        if rule is None:
            _keep(state.routes, _route(line, names, family))
            continue
        priority, source, said = int(rule.group(1)), rule.group(2), _said(rule.group(3) or "")
        table = _number(said.pop("lookup", ""), names)
        if table is None:
            continue
        if not said:
            # A rule with a further condition (fwmark, iif, to) is not an ENI's.
            state.rules.add(Rule(source, table, priority))
        elif source == "all":
            first = _main_first(priority, said, groups) if table == MAIN_TABLE else None
            found = first or _mark_rule(priority, table, said)
            _keep(state.host_rules, found and found._replace(family=family))
    return state


def _keep(values, value):
    # type: (set[object], Optional[object]) -> None
    if value is not None:
        values.add(value)


def _number(text, names, known=_TABLES):
    # type: (str, Dict[str, int], Dict[str, int]) -> Optional[int]
    # Not isdigit(), which knows more digits than int().
    return int(text) if re.match(r"[0-9]+\Z", text) else names.get(text, known.get(text))


def _said(text):
    # type: (str) -> Dict[str, str]
    """Return the keywords of a rule with their values; nothing where it has others."""
    pairs = words(text)
    said = dict(zip(pairs[::2], pairs[1::2])) if len(pairs) % 2 == 0 else {}
    # Who made it changes nothing about what it does.
    said.pop("proto", None)
    return said


def _mark_rule(priority, table, said):
    # type: (int, int, Dict[str, str]) -> Optional[MarkRule]
    """Return a rule for connections with a mark, as if it were IPv4's."""
    mark = _MARK.match(said.get("fwmark", ""))
    if mark is None or len(said) != 1:
        return None
    return MarkRule(int(mark.group(1), 16), int(mark.group(2), 16), table, priority, 4)


def _main_first(priority, said, groups):
    # type: (int, Dict[str, str], Dict[str, int]) -> Optional[MainFirst]
    """Return a rule by which main is asked first, as if it were IPv4's."""
    length = said.get("suppress_prefixlength", "")
    group = _number(said.get("suppress_ifgroup", ""), groups, _GROUPS)
    if len(said) != 2 or not length.isdigit() or group is None:
        return None
    return MainFirst(int(length), group, priority, 4)


def _route(line, names, family):
    # type: (str, Dict[str, int], int) -> Optional[Route]
    said = words(line)
    local = said[:1] == ["local"]
    if local:
        said = said[1:]
    if len(said) < 3 or said[0] in _TYPES or _OTHERS.intersection(said):
        return None
    value = _values(said[1:])
    table = _number(value.get("table", "main"), names)
    if table is None or "dev" not in value:
        return None
    metric = int(value.get("metric", "0"))
    route = Route(said[0], value.get("via", ""), value["dev"], table, family, metric)
    return route_seen(route, local, value.get("proto", ""), value.get("src", ""))


def route_seen(route, is_local, origin, preferred):
    # type: (Route, bool, str, str) -> Optional[Route]
    """Return a route of the kernel's as it is compared here, None where it is left out.

    `origin` is the protocol that it is of, "kernel" and "ra" among others; `preferred` the source
    address that it prefers, "" for none.
    """
    main, local = route.table == MAIN_TABLE, route.table == LOCAL_TABLE
    # Old kernels do not say of IPv6's that they made them.
    by_itself = origin == "kernel" or route.family == 6
    if is_local != local or (is_local and by_itself):
        return None
    if main and route.family == 4 and not route.gateway and origin == "kernel":
        route = route._replace(connected=preferred)
    if main and route.family == 6 and origin in _LEARNED:
        route = route._replace(learned=route.metric)
    if route.family == 6 and route.metric == _METRIC6:
        route = route._replace(metric=0)
    return route


def _values(said):
    # type: (List[str]) -> Dict[str, str]
    """Return the keywords of a route that are of interest here, with their values."""
    pairs = {}
    for keyword in ("via", "dev", "table", "metric", "proto", "src"):
        if keyword in said[:-1]:
            pairs[keyword] = said[said.index(keyword) + 1]
    return pairs
