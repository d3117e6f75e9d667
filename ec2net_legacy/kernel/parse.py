"""From the text of ``ip -o`` to values. ``ip -json`` is missing in iproute2 before 4.10 or so."""
from __future__ import absolute_import, print_function, unicode_literals

import re
from collections import namedtuple

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
    from typing import Dict, List, Optional, Union

KernelState = namedtuple("KernelState", ["addresses", "routes", "rules", "host_rules"])
"""Sets of what the kernel has; in `routes` not those that it makes itself in the table local, in
`rules` those by source alone, in `host_rules` each MarkRule and MainFirst."""

_ADDRESS = re.compile(r"\d+: +(\S+) +inet6? ([0-9a-f.:]+)(?: peer [0-9a-f.:]+)?/(\d+) ")
_RULE = re.compile(r"(\d+):\s+from (\S+)(?: (.*))?$")
_MARK = re.compile(r"(0x[0-9a-f]{1,8})/(0x[0-9a-f]{1,8})\Z")
_TABLE_NAME = re.compile(
    r"\s*(?:0x([0-9a-fA-F]{1,8})|([0-9]{1,10}))\s+([^\s#]+)\s*(?:#.*)?\Z"
)
_TYPES = frozenset(
    ["anycast", "blackhole", "broadcast", "local", "multicast", "prohibit", "unreachable"]
)
# `ip` knows these names without any file.
_TABLES = {"local": LOCAL_TABLE, "main": MAIN_TABLE, "default": 253}
_GROUPS = {"default": 0}
# What IPv6 takes for a route that was given none.
_METRIC6 = 1024


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
    asked for. Lines of other shapes (rules by several conditions, multipath routes) are nobody's
    business here and are left out.
    """
    state = KernelState(set(), set(), set(), set())
    for line in text.splitlines():
        address = _ADDRESS.match(line)
        if address:
            device = address.group(1).split("@")[0]
            state.addresses.add(Address(address.group(2), int(address.group(3)), device))
            continue
        rule = _RULE.match(line)
        if rule:
            source, said = rule.group(2), _said((rule.group(3) or "").split())
            priority = int(rule.group(1))
            _keep(state.rules, _rule(priority, source, said, names))
            if source == "all":
                _keep(state.host_rules, _host_rule(priority, said, family, names, groups))
        else:
            _keep(state.routes, _route(line, names))
    return state


def _keep(values, value):
    # type: (set[object], Optional[object]) -> None
    if value is not None:
        values.add(value)


def _number(text, names, known=_TABLES):
    # type: (str, Dict[str, int], Dict[str, int]) -> Optional[int]
    # Not isdigit(), which knows more digits than int().
    return int(text) if re.match(r"[0-9]+\Z", text) else names.get(text, known.get(text))


def _said(words):
    # type: (List[str]) -> Dict[str, str]
    """Return the keywords of a rule with their values; nothing where it has others."""
    said = dict(zip(words[::2], words[1::2])) if len(words) % 2 == 0 else {}
    # Who made it changes nothing about what it does.
    said.pop("proto", None)
    return said


def _rule(priority, source, said, names):
    # type: (int, str, Dict[str, str], Dict[str, int]) -> Optional[Rule]
    # A rule with a further condition (fwmark, iif, to) is not an ENI's.
    table = _number(said.get("lookup", ""), names)
    return None if table is None or len(said) != 1 else Rule(source, table, priority)


def _host_rule(priority, said, family, names, groups):  # noqa: PLR0913
    # type: (int, Dict[str, str], int, Dict[str, int], Dict[str, int]) -> Union[MarkRule, MainFirst, None]  # noqa: E501
    table = _number(said.get("lookup", ""), names)
    mark = _MARK.match(said.get("fwmark", ""))
    if mark and len(said) == 2 and table is not None:
        return MarkRule(int(mark.group(1), 16), int(mark.group(2), 16), table, priority, family)
    length, group = said.get("suppress_prefixlength", ""), said.get("suppress_ifgroup", "")
    number = _number(group, groups, _GROUPS)
    if table == MAIN_TABLE and len(said) == 3 and length.isdigit() and number is not None:
        return MainFirst(int(length), number, priority, family)
    return None


def _route(line, names):
    # type: (str, Dict[str, int]) -> Optional[Route]
    words = line.split()
    local = words[:1] == ["local"]
    if local:
        words = words[1:]
    # None of ours has another type or several next hops.
    if len(words) < 3 or words[0] in _TYPES or "nexthop" in words:
        return None
    value = _values(words[1:])
    table = _number(value.get("table", "main"), names)
    if table is None or "dev" not in value:
        return None
    if local != (table == LOCAL_TABLE) or (local and value.get("proto") == "kernel"):
        return None
    via = value.get("via", "")
    family = 6 if ":" in via or ":" in words[0] else 4
    metric = int(value.get("metric", "0"))
    if family == 6 and metric == _METRIC6:
        metric = 0
    by_kernel = value.get("proto") == "kernel" and (table, family, via) == (MAIN_TABLE, 4, "")
    connected = value.get("src", "") if by_kernel else ""
    return Route(words[0], via, value["dev"], table, family, metric, connected)


def _values(words):
    # type: (List[str]) -> Dict[str, str]
    """Return the keywords of a route that are of interest here, with their values."""
    pairs = {}
    for keyword in ("via", "dev", "table", "metric", "proto", "src"):
        if keyword in words[:-1]:
            pairs[keyword] = words[words.index(keyword) + 1]
    return pairs
