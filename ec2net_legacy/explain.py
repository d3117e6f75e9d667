"""Why a packet goes where it goes: the kernel's answer, and the rules that lead to it."""
from __future__ import absolute_import, print_function, unicode_literals

import ipaddress
import re
import textwrap

from ec2net_legacy import coexistence
from ec2net_legacy._cheap import namedtuple, pattern
from ec2net_legacy._compat import quoted
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError, UsageError
from ec2net_legacy.kernel import iproute
from ec2net_legacy.kernel.parse import words
from ec2net_legacy.look import Look
from ec2net_legacy.model import MarkRule

if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

    from ec2net_legacy.ports import Host

Packet = namedtuple("Packet", ["source", "destination", "incoming", "mark", "title"])
"""`source` is "" where the sender leaves it to the kernel, `incoming` "" for a packet of this
host's own, `mark` the one that it has when it is routed, `title` how it comes, for people."""

Answer = namedtuple("Answer", ["said", "refused", "device", "table", "groups"])
"""What ``ip route get`` has said: by which `device` the packet leaves ("" where it does not), that
device's link `groups` as `ip` may print them, and by which `table` ("" where that is not told)."""

Seen = namedtuple("Seen", ["rules", "answers", "addresses", "owners", "link_group"])
"""What was looked at: the text of ``ip -o rule``, [(Packet, Answer)], the host's addresses, {table
as `ip` prints it: its ENI} and the link group of all ENIs."""

Case = namedtuple("Case", ["packet", "steps", "answer", "warning"])
"""One way in which the packet may come: [(rule that it meets, what comes of that)], the kernel's
words, and what is wrong, such as that AWS would drop the packet ("" if nothing is)."""

_RULE = pattern(r"^(\d+):[ \t]+(not )?(.*)$", re.M)
_REFUSALS = frozenset(["unreachable", "prohibit", "blackhole"])
_BARE = _REFUSALS | frozenset(["nop", "[detached]", "[unresolved]"])
_JUDGED = frozenset(words("from to iif oif fwmark lookup goto proto realms")) | frozenset(
    ["suppress_prefixlength", "suppress_ifgroup"]
)


def explain(host, destination, source=None, incoming=None):
    # type: (Host, str, Optional[str], Optional[str]) -> List[Case]
    """Return how a packet is routed; one that comes in may be part of a marked connection."""
    destination = _address("--to", destination)
    source = "" if source is None else _address("--from", source)
    if source and (":" in source) != (":" in destination):
        wrong = "--from is {0} and --to is {1}: expected addresses of one family"
        raise UsageError(wrong.format(source, destination))
    if incoming and not source:
        wrong = "--in is {0} without --from: expected the address that it comes from"
        raise UsageError(wrong.format(incoming))
    way = "arriving by " + incoming if incoming else "made on this host"
    title = "from {0} to {1}, {2}".format(source or "no address in particular", destination, way)
    seen = look(host, Packet(source, destination, incoming or "", 0, title))
    return [decide(seen, packet, answer) for packet, answer in seen.answers]


def _address(name, value):
    # type: (str, str) -> str
    """Return an address as `ip` prints it."""
    try:
        # The kernel's interface has no place for a zone, which newer Pythons take.
        return ipaddress.ip_address(value.replace("%", " ")).compressed
    except ValueError:
        raise UsageError("{0} is {1}: expected an IPv4 or IPv6 address".format(name, quoted(value)))


def look(host, packet):
    # type: (Host, Packet) -> Seen
    """Read what the kernel does with a packet, and with the same in ENIs' marked connections."""
    if packet.incoming and host.devices.device(packet.incoming) is None:
        raise HostError("{0}: there is no such interface".format(packet.incoming))
    family = 6 if ":" in packet.destination else 4
    rules, kernel = iproute.rule_text(host.runner, family), host.known_kernel([family])
    # IPv4 always has three rules, IPv6 two. Without more, no packet meets an ENI's table.
    has_more = rules.count("\n") > (2 if family == 6 else 3)
    tables = Look(host).tables if has_more else {}
    owners, packets = {str(table): name for name, table in tables.items()}, [packet]
    if packet.incoming and host.devices.group(packet.incoming) != host.settings.link_group:
        title = "the same in a connection that came in by {0} (mark 0x{1:x})"
        for rule in sorted(kernel.host_rules):
            if isinstance(rule, MarkRule) and coexistence.is_our_rule(host.settings, rule):
                name = owners.get(str(rule.table), "table {0}".format(rule.table))
                packets.append(packet._replace(mark=rule.mark, title=title.format(name, rule.mark)))
    for name, number in iproute.table_names(host.files.read, host.files.glob).items():
        owners[name] = owners.get(str(number), "")
    # Linux before 4.4 names no table of IPv4. Without more rules, later ones have local's in main.
    probe = ["ip", "-4", "-o", "route", "get", "127.0.0.1"]
    tells = family == 6 or not has_more or " table " in host.runner.run(probe).stdout
    answers = [(one, _ask(host, one, "main" if tells else "")) for one in packets]
    return Seen(rules, answers, kernel.addresses, owners, str(host.settings.link_group))


def _ask(host, packet, unnamed):
    # type: (Host, Packet, str) -> Answer
    """Return the kernel's answer; `unnamed` is the table that it means where it names none."""
    argv = ["ip", "-6" if ":" in packet.destination else "-4", "-o", "route", "get"]
    argv += [packet.destination] + (["from", packet.source] if packet.source else [])
    argv += ["iif", packet.incoming] if packet.incoming else []
    argv += ["mark", "0x{0:x}".format(packet.mark)] if packet.mark else []
    result = host.runner.run(argv)
    # Behind a backslash is what -o has joined: the cache, of which there is nothing to tell.
    said = words(result.stderr if result.returncode else result.stdout.split("\\")[0])
    # Where the packet does not leave, the first word is why: the kind of the route.
    kind, value = said[0] if said else "", dict(zip(said, said[1:]))
    # Of IPv6, older kernels print a refusal like a route.
    refused = result.returncode != 0 or kind in _REFUSALS
    device = value.get("dev", "") if not refused and not kind.isalpha() else ""
    table = "" if refused else value.get("table", "local" if kind == "local" else unnamed)
    # `ip` knows the name of group 0 without a file.
    names = [("default", 0)] + list(iproute.group_names(host.files.read, host.files.glob).items())
    group = host.devices.group(device) if device else None
    groups = [str(group)] + [name for name, number in names if number == group]
    return Answer(" ".join(said), refused, device, table, groups)


def decide(seen, packet, answer):
    # type: (Seen, Packet, Answer) -> Case
    """Return which rules lead to the kernel's answer, and what is wrong with it."""
    steps, decided = _steps(seen, packet, answer)
    holders = sorted({one.device for one in seen.addresses if one.address == packet.source})
    warning = ""
    if answer.refused and packet.source and not packet.incoming and not holders:
        warning = "{0} is no address of this host: where does it come from (--in)?"
    elif seen.link_group in answer.groups and holders and answer.device not in holders:
        warning = "AWS drops it: {0} is an address of {1}, not of {2} (unless it is masqueraded)"
    elif not decided and answer.table:
        warning = "the kernel decides otherwise: it knows more, or has just been changed"
    elif not decided:
        warning = "the kernel does not tell which of these rules decides, if any"
    warning = warning.format(packet.source, ", ".join(holders), answer.device)
    return Case(packet, steps, answer.said, warning)


def _steps(seen, packet, answer):
    # type: (Seen, Packet, Answer) -> Tuple[List[Tuple[str, str]], bool]
    """Return the rules that match until one decides, and whether one does (see ip-rule(8))."""
    steps, jump = [], 0
    for number, negated, conditions in _RULE.findall(seen.rules):
        listed = words(conditions)
        pairs = [word for word in listed if word not in _BARE]
        said = dict(zip(pairs[::2], pairs[1::2]))
        matches, refuses = _matches(said, packet), not _REFUSALS.isdisjoint(listed)
        if int(number) < jump or matches is bool(negated):
            continue
        verdict, decides = _verdict(said, seen, answer)
        if matches is None:
            verdict, decides = "depends on more than addresses: taken not to match", False
        elif refuses:
            verdict, decides = "refuses what gets here", answer.refused
        elif said.get("goto", "").isdigit() and "[unresolved]" not in listed:
            verdict, jump = "goes on there", int(said["goto"])
        steps.append(("{0}: {1}{2}".format(number, negated, " ".join(listed)), verdict))
        if decides or (refuses and matches is not None):
            return steps, decides
    return steps, False


def _matches(said, packet):
    # type: (Dict[str, str], Packet) -> Optional[bool]
    """Return whether a rule is for the packet; None where only the kernel could tell."""
    try:
        mark, _, mask = said.get("fwmark", "0/0").partition("/")
        fits = (
            _is_in(packet.source, said.get("from", "all"))
            and _is_in(packet.destination, said.get("to", "all"))
            # What this host sends itself counts as coming from lo, and is bound to no device.
            and said.get("iif", packet.incoming or "lo") == (packet.incoming or "lo")
            and "oif" not in said
            and (packet.mark ^ int(mark, 0)) & int(mask or "0xffffffff", 0) == 0
        )
    except ValueError:
        return None
    unsure = set(said) - _JUDGED or said.get("lookup") == "[l3mdev-table]"
    return None if fits and unsure else fits


def _is_in(address, network):
    # type: (str, str) -> bool
    # Without a source IPv4 compares zeros; IPv6 does not compare.
    compared = ipaddress.ip_address(address or "0.0.0.0")  # noqa: S104
    return network == "all" or compared in ipaddress.ip_network(network, strict=False)


def _verdict(said, seen, answer):
    # type: (Dict[str, str], Seen, Answer) -> Tuple[str, bool]
    """Return what comes of a rule that matches, and whether it is what leads to the answer."""
    table, group = said.get("lookup", ""), said.get("suppress_ifgroup", "")
    length, owner = said.get("suppress_prefixlength", ""), seen.owners.get(table, "")
    whose = ": the table of " + owner if owner else ""
    short = ["a default route (up to /{0})".format(length)] if length else []
    if not table or not answer.table:
        return "matches" + whose if table else "does nothing", False
    if table != answer.table:
        left_out = short + (["one by that group"] if group else [])
        return ", or ".join(["passed over: no route"] + left_out), False
    if group in answer.groups:
        return "passed over: {0} is in that group".format(answer.device), False
    return ", unless by ".join(["decides" + whose] + short), True


def text(cases):
    # type: (List[Case]) -> str
    """Return the cases for a terminal of 80 columns."""
    wrapper = textwrap.TextWrapper(80, break_on_hyphens=False, break_long_words=False)
    paragraphs = []
    for case in cases:
        said = [("", case.packet.title + ":")]
        for rule, verdict in case.steps:
            said += [("  ", rule), ("      ", verdict)]
        said += [("  ", "kernel: " + case.answer)] if case.answer else []
        said += [("  ", "warning: " + case.warning)] if case.warning else []
        paragraphs.append("")
        for wrapper.initial_indent, line in said:
            wrapper.subsequent_indent = wrapper.initial_indent + "    "
            paragraphs[-1] += wrapper.fill(line) + "\n"
    return "\n".join(paragraphs)
