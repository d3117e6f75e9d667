"""Why a packet goes where it goes: the rules that it meets, and the table that decides."""
from __future__ import absolute_import, print_function, unicode_literals

import ipaddress
import textwrap
from collections import namedtuple

from ec2net_legacy import coexistence
from ec2net_legacy._compat import quoted
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError, UsageError
from ec2net_legacy.kernel import iproute, policy
from ec2net_legacy.model import MarkRule

if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Optional, Set

    from ec2net_legacy.kernel.policy import Packet, Step
    from ec2net_legacy.plan import Host

Case = namedtuple("Case", ["title", "packet", "steps", "answer", "warning"])
"""One way in which the packet may come. `answer` is the kernel's own (``ip route get``), `warning`
what is wrong, such as that AWS would drop it, "" if nothing is."""


def explain(host, destination, source=None, incoming=None):
    # type: (Host, str, Optional[str], Optional[str]) -> List[Case]
    """Return how a packet is routed; one that comes in may be part of a marked connection."""
    destination = _address("--to", destination)
    source = "" if source is None else _address("--from", source)
    incoming = incoming or ""
    family = 6 if ":" in destination else 4
    if source and (":" in source) != (family == 6):
        raise UsageError(
            "--from is {0} and --to is {1}: expected addresses of one family".format(
                source, destination
            )
        )
    if incoming and not source:
        raise UsageError(
            "--in is {0} without --from: expected the address that it comes from".format(incoming)
        )
    if incoming and host.devices.device(incoming) is None:
        raise HostError("{0}: there is no such interface".format(incoming))
    title = "arriving by " + incoming if incoming else "made on this host"
    packets = [(title, policy.Packet(source, destination, incoming, 0))]
    if incoming and not _is_eni(host, incoming):
        packets += [
            (
                "the same in a connection that came in by {0} (mark 0x{1:x})".format(name, mark),
                policy.Packet(source, destination, incoming, mark),
            )
            for name, mark in sorted(_marks(host, family).items())
        ]
    texts = iproute.rules_and_routes(host.runner, family)
    groups = dict(iproute.group_names(host.files.read, host.files.glob))
    # `ip` knows this one without a file.
    groups.setdefault("default", 0)

    def is_in_group(name, group):
        # type: (str, str) -> bool
        number = int(group) if group.isdigit() else groups.get(group)
        return number is not None and bool(host.devices.group(name) == number)

    return [
        _case(host, title, packet, policy.decide(texts[0], texts[1], packet, is_in_group))
        for title, packet in packets
    ]


def _address(option, value):
    # type: (str, str) -> str
    """Return an address as `ip` prints it."""
    try:
        # The kernel's interface has no place for a zone, which newer Pythons take.
        return ipaddress.ip_address(value.replace("%", " ")).compressed
    except ValueError:
        raise UsageError(
            "{0} is {1}: expected an IPv4 or IPv6 address".format(option, quoted(value))
        )


def _is_eni(host, name):
    # type: (Host, str) -> bool
    return bool(host.devices.group(name) == host.settings.link_group)


def _marks(host, family):
    # type: (Host, int) -> Dict[str, int]
    """Return the marks of connections that came in by an ENI."""
    tables = {table: name for name, table in host.backend.tables().items()}
    return {
        tables.get(rule.table, "table {0}".format(rule.table)): rule.mark
        for rule in host.known_kernel([family]).host_rules
        if isinstance(rule, MarkRule) and coexistence.is_ours(host.settings, rule)
    }


def _case(host, title, packet, steps):
    # type: (Host, str, Packet, List[Step]) -> Case
    family = 6 if ":" in packet.destination else 4
    argv = ["ip", "-{0}".format(family), "-o", "route", "get", packet.destination]
    argv += ["from", packet.source] if packet.source else []
    argv += ["iif", packet.incoming] if packet.incoming else []
    argv += ["mark", "0x{0:x}".format(packet.mark)] if packet.mark else []
    result = host.runner.run(argv)
    # Behind a backslash is what -o has joined: the cache, of which there is nothing to tell.
    answer = result.stdout.split("\\")[0] if result.returncode == 0 else result.stderr
    owners = {
        address.device
        for address in host.known_kernel([family]).addresses
        if address.address == packet.source
    }
    refused, device = result.returncode != 0, policy.device_of(steps)
    if refused and packet.source and not packet.incoming and not owners:
        warning = "{0} is no address of this host: where does it come from (--in)?".format(
            packet.source
        )
    elif device if refused else not policy.agrees(steps, answer):
        warning = "the kernel decides otherwise: it knows more, or has just been changed"
    else:
        warning = _dropped(host, packet, device, owners)
    return Case(title, packet, steps, " ".join(answer.split()), warning)


def _dropped(host, packet, device, owners):
    # type: (Host, Packet, str, Set[str]) -> str
    """Return why AWS drops a packet that leaves by the ENI `device`, "" if it does not."""
    if not device or not owners or device in owners or not _is_eni(host, device):
        return ""
    return "AWS drops it: {0} is an address of {1}, not of {2} (unless it is masqueraded)".format(
        packet.source, ", ".join(sorted(owners)), device
    )


def text(cases):
    # type: (List[Case]) -> str
    """Return the cases for a terminal of 80 columns."""
    return "\n".join("\n".join(_lines(case)) + "\n" for case in cases)


def _lines(case):
    # type: (Case) -> Iterator[str]
    if case.packet.mark:
        yield case.title + ":"
    else:
        source = case.packet.source or "no address in particular"
        title = "from {0} to {1}, {2}:".format(source, case.packet.destination, case.title)
        for line in _folded(title, ""):
            yield line
    for step in case.steps:
        for line in _step_lines(step):
            yield line
    if not case.steps or case.steps[-1].verdict != policy.DECIDES:
        yield "  no rule decides: unreachable"
    for title, said in (("kernel: ", case.answer), ("warning: ", case.warning)):
        if said:
            for line in _folded(title + said, "  "):
                yield line


def _step_lines(step):
    # type: (Step) -> Iterator[str]
    for line in _folded(" ".join(step.rule.split()), "  "):
        yield line
    said = ": " + step.route if step.route else ""
    for line in _folded(step.verdict + said, "      "):
        yield line


def _folded(line, indent):
    # type: (str, str) -> List[str]
    return textwrap.wrap(
        line,
        80,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_on_hyphens=False,
        break_long_words=False,
    )
