"""The text of the file that ifupdown gets for an ENI, and what it puts into the kernel.

The file works without this program: it has plain ``ip`` lines that `ifup` and `ifdown` run. It is
also the record of what was put into the kernel, so `recorded` reads back what `render` writes.
"""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._cheap import pattern
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.distributions import user_options
from ec2net_legacy.distributions.protocol import header, table_in
from ec2net_legacy.model import MAIN_TABLE, Address, InterfaceState, Route, Rule, family_of

if TYPE_CHECKING:
    from typing import List, Sequence, Union

    from ec2net_legacy.model import Eni

_NOTE = """# The next run overwrites changes, except to the three comments below. To keep
# yours, delete the first line, or make it EC2SYNC=no.
"""
_WIDTH = 77
_INDENT = " " * 8
_CONTINUED = " \\"
_IGNORED = "2>/dev/null || :"
# Without -force `ip` would stop at the first line that is not there to be deleted.
_FORCED = "-force -batch - " + _IGNORED

# Without the slash a boot would wait for an ENI that is gone, or call it a failure.
_IF_THERE = "# The slash: only if it is there.\nauto /{0}"
_ONLY_FOR = (
    "grep -qix {mac} /sys/class/net/{name}/address",
    '|| {{ echo "{name} is not {mac}" >&2; exit 1; }}',
)
# This comes before the link is up, because the kernel then asks for a router at once. accept_ra=2
# hears it on a host that forwards, too. accept_ra_pinfo=0 leaves the prefix alone, which main has
# by a line below. ra_defrtr_metric puts the router after the primary's, since Linux 5.12. Where the
# kernel has no IPv6 there is no such directory.
_HEAR_ROUTER = (
    "(cd /proc/sys/net/ipv6/conf/{name} &&",
    "echo 2 >accept_ra && echo 0 >accept_ra_pinfo &&",
    "[ -f ra_defrtr_metric ] && echo {table} >ra_defrtr_metric)",
    _IGNORED,
)
# The router is not in the metadata. Its advertisement comes within a second of the link, and the
# default route that the kernel makes of it is copied. It never fails the ifup, because without a
# router there is no IPv6 to route.
_COPY_ROUTER = (
    "n=0;",
    "until gw=$(ip -6 route show default dev {name} |",
    "sed -n 's/^default via \\([0-9a-f:]*\\).*/\\1/p;q')",
    '&& [ -n "$gw" ] || [ $n -ge 10 ];',
    "do n=$((n+1)); sleep 1; done;",
    '[ -z "$gw" ] ||',
    "{{",
    'ip -6 route replace default via "$gw" dev {name} table {table};',
)
# Before Linux 5.12 the route that the kernel learned has the metric of the primary's, 1024.
_MOVE_ROUTER = (
    "[ -f /proc/sys/net/ipv6/conf/{name}/ra_defrtr_metric ] || {{",
    'ip -6 route replace default via "$gw" dev {name} metric {table} &&',
    'ip -6 route del default via "$gw" dev {name} metric 1024; }}; }}',
)
# With MAINROUTETABLE=no main has no default route by the interface. dhclient-script adds the one of
# IPv4 with every new lease, and cannot be told not to.
_TAKE_ROUTER = ('ip -6 route del default via "$gw" dev {name} proto ra; }}',)
_TAKE_ROUTER4 = ("ip route del default dev {name} metric {table}", _IGNORED)
# What waits for the router must not hold the streams that ifup's caller reads to their end.
_IN_BACKGROUND = ") </dev/null >/dev/null 2>&1 &"


def render(state, eni, options=user_options.DEFAULTS, patterns=False):
    # type: (InterfaceState, Eni, user_options.UserOptions, bool) -> str
    """Return the text of the generated file.

    `options`: what the user has set in it. `patterns`: whether this ifupdown knows patterns for
    names of interfaces, as it does since 0.8.20.
    """
    name, has_ipv6 = state.name, any(rule.family == 6 for rule in state.rules)
    copy_router = _COPY_ROUTER + (_MOVE_ROUTER if options.main_route else _TAKE_ROUTER)
    lines = ["# " + line for line in user_options.lines(options)]
    lines += [_IF_THERE.format(name)] if patterns else []
    lines += ["allow-hotplug " + name]
    if eni.ipv6_only:
        lines += ["iface {0} inet6 dhcp".format(name), "    accept_ra 2"]
    else:
        lines += ["iface {0} inet dhcp".format(name), "    metric {0}".format(state.table)]
    lines += ["    # Not for another ENI at this name."]
    lines += _option("pre-up", _filled(_ONLY_FOR, state, eni.mac))
    if has_ipv6:
        lines += ["    # The router is heard, and comes after the primary's."]
        lines += _option("pre-up", _filled(_HEAR_ROUTER, state))
    if eni.ipv6_only:
        lines += _adding(state, _filled(copy_router, state))
    else:
        lines += _adding(state.of_family(4))
    if not eni.ipv6_only and not options.main_route:
        lines += ["    # The lease's default route has no place in main."]
        lines += _option("post-up", _filled(_TAKE_ROUTER4, state))
    if not eni.ipv6_only and has_ipv6:
        # Without IPv6, or as long as no router announces itself, IPv4 comes up all the same.
        lines += ["    # The same for IPv6, which does not keep IPv4 waiting."]
        in_background = ("(",) + copy_router + (_IN_BACKGROUND,)
        lines += _adding(state.of_family(6), _filled(in_background, state), " || :")
    lines += ["    # ifdown takes exactly that back."]
    for family in reversed(state.families):
        lines += _deleting(state.of_family(family))
    return header(state.table, eni) + _NOTE + "\n".join(lines) + "\n"


def _adding(state, copy_router=(), or_else=""):
    # type: (InterfaceState, Sequence[str], str) -> List[str]
    """Return the lines that add one family's part of the state."""
    lines = []
    to_main = [route for route in _in_file(state) if route.table == MAIN_TABLE]
    if to_main:
        lines += ["    # In main its subnet comes after the primary's, if that is the same one."]
    for route in to_main:
        lines += _option("post-up", [_ip_route("replace", route) + or_else])
        kernels = _ip_route("del", route._replace(metric=0)) + " proto kernel"
        lines += _option("post-up", [kernels, _IGNORED])
    lines += ["    # Table {0}: the way out for what comes from this ENI.".format(state.table)]
    for route in _in_file(state):
        if route.table != MAIN_TABLE:
            lines += _option("post-up", [_ip_route("replace", route) + or_else])
    if copy_router:
        lines += _option("post-up", copy_router)
    lines += ["    # These sources use it: the ENI's addresses and delegated prefixes."]
    # Kernels before 4.8 take an identical rule twice, and younger ones answer EEXIST. After a
    # deletion a second ifup adds nothing on either. One `ip` does it for all addresses.
    lines += _option("post-up", _batch("rule del", state.rules, _FORCED))
    lines += _option("post-up", _batch("rule add", state.rules, "-batch -" + or_else))
    if state.addresses:
        lines += ["    # Secondary addresses."]
        lines += _option("post-up", _batch("addr replace", state.addresses, "-batch -" + or_else))
    return lines


def _deleting(state):
    # type: (InterfaceState) -> List[str]
    """Return the lines that take one family's part of the state back."""
    lines = []
    if state.addresses:
        lines += _option("pre-down", _batch("addr del", state.addresses, _FORCED))
    lines += _option("pre-down", _batch("rule del", state.rules, _FORCED))
    for route in reversed(_in_file(state)):
        lines += _option("pre-down", [_ip_route("del", route), _IGNORED])
    if any(rule.family == 6 for rule in state.rules):
        # These are the copies of the router's route, whose address is not known here.
        for place in ("table", "metric"):
            copied = "ip -6 route del default dev {name} %s {table}" % place
            lines += _option("pre-down", _filled([copied, _IGNORED], state))
    return lines


def _in_file(state):
    # type: (InterfaceState) -> List[Route]
    # Main's default route comes with the lease, and has the metric of the stanza.
    lease = (MAIN_TABLE, "default")
    return [route for route in state.routes if (route.table, route.destination) != lease]


def _filled(pieces, state, mac=""):
    # type: (Sequence[str], InterfaceState, str) -> List[str]
    return [piece.format(name=state.name, table=state.table, mac=mac) for piece in pieces]


def _option(keyword, pieces):
    # type: (str, Sequence[str]) -> List[str]
    """Return the lines of an option whose command may be broken between and within its pieces."""
    whole = "    {0} {1}".format(keyword, " ".join(pieces))
    if len(whole) <= _WIDTH:
        return [whole]
    lines = ["    {0} {1}".format(keyword, pieces[0])]
    for piece in pieces[1:]:
        lines += _wrapped(piece)
    return [line + _CONTINUED for line in lines[:-1]] + lines[-1:]


def _wrapped(piece):
    # type: (str) -> List[str]
    """Return indented lines of words, as many in each as it has room for."""
    # The library's textwrap would have to be imported at each refresh.
    lines = []  # type: List[str]
    for word in piece.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= _WIDTH:
            lines[-1] += " " + word
        else:
            lines.append(_INDENT + word)
    return lines


def _ip_route(verb, route):
    # type: (str, Route) -> str
    return "ip {0}route {1} {2}".format(_flag(route.family), verb, route.arguments)


def _batch(command, items, how):
    # type: (str, Sequence[Union[Rule, Address]], str) -> List[str]
    """Return the pieces of a shell command that gives `ip` a line for each of `items`."""
    # They differ in their first field, the source of a rule and the address of an address.
    pattern = items[0]._replace(**{items[0]._fields[0]: "%s"}).arguments
    return [
        "printf '{0} {1}\\n'".format(command, pattern),
        " ".join(item[0] for item in items),
        "| ip {0}{1}".format(_flag(items[0].family), how),
    ]


def _flag(family):
    # type: (int) -> str
    return "-6 " if family == 6 else ""


_RECORDED_ROUTE = pattern(
    r"^    post-up ip (?:-6 )?route replace"
    r" (?:local )?(\S+)(?: via ([0-9a-f.:]+))? dev (\S+)"
    r"(?: table (\d+))?(?: metric (\d+))?(?: \|\| :)?$",
    re.M,
)
_RECORDED_RULES = pattern(
    r"^    post-up printf 'rule add pref (\d+) from %s lookup (\d+)\\n' ([0-9a-f.:/ ]+) \| ip ",
    re.M,
)
_RECORDED_ADDRESSES = pattern(
    r"^    post-up printf 'addr replace %s/(\d+) dev (\S+)\\n' ([0-9a-f.: ]+) \| ip ", re.M
)


def recorded(interface, text):
    # type: (str, str) -> InterfaceState
    """Return what generated `text`, or several in a row, puts into the kernel."""
    if not text:
        return InterfaceState(interface, 0, "", (), (), ())
    text = text.replace(_CONTINUED + "\n" + _INDENT, " ")
    return InterfaceState(
        name=interface,
        table=table_in(text),
        primary="",
        addresses=tuple(
            Address(address, int(length), device)
            for length, device, listed in _RECORDED_ADDRESSES.findall(text)
            for address in listed.split()
        ),
        routes=tuple(
            Route(to, via, dev, int(table or MAIN_TABLE), family_of(via or to), int(metric or 0))
            for to, via, dev, table, metric in _RECORDED_ROUTE.findall(text)
        ),
        rules=tuple(
            Rule(source, int(number), int(priority))
            for priority, number, sources in _RECORDED_RULES.findall(text)
            for source in sources.split()
        ),
    )
