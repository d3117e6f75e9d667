"""How the kernel chooses a packet's route: the rules in their order, then the longest prefix.

A reading of ``ip rule`` and ``ip route`` for people; what the kernel does is its own business
(ip-rule(8), and fib_rules.c of Linux).
"""
from __future__ import absolute_import, print_function, unicode_literals

import ipaddress
import re
from collections import namedtuple

from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Callable, Dict, Iterable, List, Optional, Tuple

Packet = namedtuple("Packet", ["source", "destination", "incoming", "mark"])
"""`source` is "" where the sender leaves it to the kernel, `incoming` "" for a packet of this
host's own, `mark` the one that it has when it is routed."""

Step = namedtuple("Step", ["rule", "route", "verdict"])
"""A rule that a packet meets, what its table has for it ("" for nothing), and what comes of that:
DECIDES, or why the next rule is asked."""

DECIDES = "decides"

_RULE = re.compile(r"(\d+):\s+(not )?(.*)$")
# Without a value behind them.
_FLAGS = frozenset(["[detached]", "[unresolved]", "unmerged", "offload", "trap"])
_FINAL = frozenset(["unreachable", "prohibit", "blackhole"])
_TYPES = frozenset(["local", "broadcast", "anycast", "multicast", "nat", "throw"]) | _FINAL

_L3MDEV = "[l3mdev-table]"

_Route = namedtuple(
    "_Route", ["network", "source", "table", "metric", "kind", "device", "line"]
)
"""`source`: the network that it is for, "all" but for some of IPv6. `device`: of several next hops
the first that is not dead."""


def decide(rule_text, route_text, packet, is_in_group):
    # type: (str, str, Packet, Callable[[str, str], bool]) -> List[Step]
    """Return the steps until a rule decides, without the rules that do not match.

    The texts are what ``ip -o rule`` and ``ip -o route show table all`` print of one family,
    `is_in_group` tells whether a device is in a link group, which is as it is printed there.
    """
    everything = "::/0" if ":" in packet.destination else "0.0.0.0/0"
    found = [_route(line, everything) for line in route_text.splitlines()]
    routes = [route for route in found if route is not None]
    steps = []  # type: List[Step]
    jump = 0
    for line in rule_text.splitlines():
        rule = _RULE.match(line)
        if not rule or int(rule.group(1)) < jump:
            continue
        said = _conditions(rule.group(3).split())
        try:
            matches = _matches(said, packet)
        except ValueError:
            matches = None
        if matches is None:
            steps.append(Step(line, "", "depends on more than addresses: taken not to match"))
        if matches is None or matches is bool(rule.group(2)):
            continue
        if "goto" in said:
            leads = said["goto"].isdigit() and "[unresolved]" not in line
            jump = int(said["goto"]) if leads else jump
            steps.append(Step(line, "", "goes on there" if leads else "leads nowhere"))
            continue
        step = _step(line, said, routes, packet, is_in_group)
        steps.append(step)
        if step.verdict == DECIDES:
            break
    return steps


def device_of(steps):
    # type: (List[Step]) -> str
    """Return the device by which the packet leaves, "" where it does not."""
    if not steps or steps[-1].verdict != DECIDES:
        return ""
    # Of which family a default route is does not matter here.
    found = _route(steps[-1].route, "::/0")
    return found.device if found is not None and not found.kind else ""


def agrees(steps, answer):
    # type: (List[Step], str) -> bool
    """Return whether ``ip route get``, which printed `answer`, says the same, as far as it tells.

    That is a device or that the packet is for this host; of several next hops any will do.
    """
    said = answer.split()
    kind = said[0] if said and said[0] in _TYPES else ""
    if kind not in ("", "local") or "dev" not in said[:-1]:
        return True
    ours = steps[-1].route.split() if steps and steps[-1].verdict == DECIDES else []
    if kind:
        return ours[:1] == [kind]
    device = said[said.index("dev") + 1]
    return not _TYPES & set(ours[:1]) and ("dev", device) in zip(ours, ours[1:])


def _conditions(words):
    # type: (List[str]) -> Dict[str, str]
    said = {}  # type: Dict[str, str]
    words = [word for word in words if word not in _FLAGS]
    while words:
        word = words.pop(0)
        said[word] = "" if word in _FINAL or word == "nop" or not words else words.pop(0)
    return said


_KNOWN = frozenset(
    ["from", "to", "iif", "oif", "fwmark", "lookup", "goto", "nop", "proto", "realms"]
    + ["suppress_prefixlength", "suppress_ifgroup"]
    + list(_FINAL)
)


def _matches(said, packet):
    # type: (Dict[str, str], Packet) -> Optional[bool]
    """Return whether a rule is for the packet; None where only the kernel could tell."""
    mark, _, mask = said.get("fwmark", "0/0").partition("/")
    bits = int(mask or "0xffffffff", 0)
    fits = (
        _is_in(packet.source, said.get("from", "all"))
        and _is_in(packet.destination, said.get("to", "all"))
        # What this host sends itself counts as coming from lo.
        and said.get("iif", packet.incoming or "lo") == (packet.incoming or "lo")
        # Nobody has bound it to a device.
        and "oif" not in said
        and packet.mark & bits == int(mark, 0) & bits
    )
    unsure = set(said) - _KNOWN or said.get("lookup") == _L3MDEV
    return None if fits and unsure else fits


def _is_in(address, network):
    # type: (str, str) -> bool
    if network == "all":
        return True
    # Without a source IPv4 compares zeros; IPv6 does not compare.
    compared = ipaddress.ip_address(address or "0.0.0.0")  # noqa: S104
    return compared in ipaddress.ip_network(network, strict=False)


def _step(line, said, routes, packet, is_in_group):  # noqa: PLR0913
    # type: (str, Dict[str, str], Iterable[_Route], Packet, Callable[[str, str], bool]) -> Step
    final = sorted(_FINAL & set(said))
    if final:
        return Step(line, final[0], DECIDES)
    if "nop" in said:
        return Step(line, "", "does nothing")
    found = _best(routes, said.get("lookup", ""), packet)
    if found is None:
        return Step(line, "", "has no route there")
    if found.kind == "throw":
        return Step(line, found.line, "says to look further")
    # What refuses is never passed over.
    passed = "" if found.kind in _FINAL else _why_passed(found, said, is_in_group)
    return Step(line, found.line, passed or DECIDES)


def _why_passed(route, said, is_in_group):
    # type: (_Route, Dict[str, str], Callable[[str, str], bool]) -> str
    length = said.get("suppress_prefixlength", "")
    if length.isdigit() and route.network.prefixlen <= int(length):
        default = route.network.prefixlen == 0
        return "passed over, " + ("a default route" if default else "too short a prefix")
    group = said.get("suppress_ifgroup", "")
    if group and is_in_group(route.device, group):
        return "passed over, {0} is in that group".format(route.device)
    return ""


def _best(routes, table, packet):
    # type: (Iterable[_Route], str, Packet) -> Optional[_Route]
    address = ipaddress.ip_address(packet.destination)
    fitting = [
        route
        for route in routes
        if route.table == table
        and address in route.network
        and _is_in(packet.source, route.source)
    ]
    # Of equals the first.
    fitting.sort(key=lambda route: (-route.network.prefixlen, -_length(route.source), route.metric))
    return fitting[0] if fitting else None


def _length(network):
    # type: (str) -> int
    return 0 if network == "all" else ipaddress.ip_network(network, strict=False).prefixlen


def _route(line, everything):
    # type: (str, str) -> Optional[_Route]
    """Return the route of a line, None where the packets that are looked at cannot take it.

    `everything` is the network of a default route.
    """
    words = line.replace("\\", " ").split()
    line = " ".join(words)
    kind = words.pop(0) if words and words[0] in _TYPES else ""
    # The kernel does not use dead ones.
    parts = [part.split() for part in " ".join(words).split(" nexthop ")]
    alive = [part for part in parts[1:] or parts if "dead" not in part]
    if not words or not alive:
        return None
    value = _pairs(parts[0][1:])
    # It is for packets of one type of service.
    if "tos" in value:
        return None
    try:
        network = ipaddress.ip_network(everything if words[0] == "default" else words[0], False)
        source = value.get("from", "all")
        _length(source)
    except ValueError:
        return None
    metric = value.get("metric", "0")
    return _Route(
        network=network,
        source=source,
        table=value.get("table", "main"),
        metric=int(metric) if metric.isdigit() else 0,
        kind=kind,
        device=_pairs(alive[0]).get("dev", ""),
        line=line,
    )


def _pairs(words):
    # type: (List[str]) -> Dict[str, str]
    """Return each word with the one behind it."""
    return dict(zip(words, words[1:]))
