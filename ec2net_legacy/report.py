"""Plans and states as an operator reads them: text for 80 columns, or JSON."""
from __future__ import absolute_import, print_function, unicode_literals

import json
from collections import OrderedDict

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.model import MainFirst

if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator, List, Optional, Sequence, Tuple

    from ec2net_legacy.coexist import Settlement
    from ec2net_legacy.kernel.diff import Change
    from ec2net_legacy.model import Device
    from ec2net_legacy.plan import Plan

_COLUMNS = ("NAME", "MAC", "ENI", "DEV", "TABLE", "STATE")


def state_of(plan):
    # type: (Plan) -> Tuple[str, str]
    """Return ("in step" | "differs" | "unmanaged" | "unknown", why)."""
    if plan.left_alone:
        return "unknown" if plan.unknown else "unmanaged", plan.left_alone
    reasons = []
    if plan.files:
        reasons.append(_count(len(plan.files), "file"))
    if not plan.live:
        reasons.append("not up")
    elif plan.steps:
        reasons.append(_count(len(plan.steps), "kernel change"))
    return ("differs", ", ".join(reasons)) if reasons else ("in step", "")


def summary(plan, verb):
    # type: (Plan, str) -> str
    """Return one line for the log about what `verb` ("add", "remove") came to."""
    if plan.left_alone:
        return "left alone: {0}".format(plan.left_alone)
    done = [
        "{0} {1}".format("wrote" if plan.files[path] is not None else "removed", path)
        for path in sorted(plan.files)
    ]
    if plan.live and plan.steps:
        done.append(_count(len(plan.steps), "kernel change"))
    if verb == "add":
        role = "primary" if plan.is_primary else "table {0}".format(plan.state.table)
        about = "{0}, {1}".format(_contents(plan), role)
        return "{0}: {1}".format(about, ", ".join(done) if done else "nothing to change")
    return ", ".join(done) if done else "nothing to take away"


def settlement_summary(settlement):
    # type: (Settlement) -> str
    """Return one line for the log about what was done for all ENIs together."""
    done = []
    changes = len(settlement.steps) + len(settlement.main_first)
    if changes:
        done.append(_count(changes, "kernel change"))
    if settlement.groups:
        done.append("link group of " + " ".join(sorted(settlement.groups)))
    if settlement.parameters:
        done.append(_count(len(settlement.parameters), "kernel parameter"))
    if settlement.chains:
        done.append("marks of connections")
    return ", ".join(done)


def plans_text(plans, settlement=None):
    # type: (Sequence[Plan], Optional[Settlement]) -> str
    """Return what `add` would do, as diffs of files and `ip` lines."""
    blocks = [_plan_lines(plan) for plan in plans]
    if settlement is not None and (settlement_summary(settlement) or settlement.problem):
        lines = [part for line in settlement_lines(settlement) for part in _folded(line)]
        blocks.append(["all ENIs:"] + lines)
    return "\n".join("\n".join(lines) for lines in blocks) + "\n"


def settlement_lines(settlement):
    # type: (Settlement) -> List[str]
    """Return what would be done for all ENIs together, as commands that come to the same."""
    lines = []
    for step in settlement.steps:
        lines.append(_ip_line(step))
    for name in sorted(settlement.groups):
        lines.append("+ ip link set dev {0} group {1}".format(name, settlement.groups[name]))
    for rule in settlement.main_first:
        flag = "-6 " if rule.family == 6 else ""
        lines.append("+ ip {0}rule add {1}".format(flag, rule.arguments))
    for name in sorted(settlement.parameters):
        lines.append("+ sysctl -w {0}={1}".format(name, settlement.parameters[name]))
    for family in sorted(settlement.chains):
        program = "ip6tables" if family == 6 else "iptables"
        rules = settlement.chains[family]
        if rules:
            rules = ("-A PREROUTING -j EC2NET",) + rules
        else:
            lines.append("- {0} -t mangle -X EC2NET".format(program))
        lines += ["+ {0} -t mangle {1}".format(program, rule) for rule in rules]
    return lines + _marks_problem(settlement)


def _marks_problem(settlement):
    # type: (Settlement) -> List[str]
    problem = settlement.problem
    return ["connections cannot be marked: " + problem] if problem else []


def _folded(line):
    # type: (str) -> List[str]
    import textwrap

    return textwrap.wrap(
        line, 80, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    )


def _plan_lines(plan):
    # type: (Plan) -> List[str]
    if plan.left_alone:
        state = "unknown" if plan.unknown else "left alone"
        return _folded("{0}: {1}: {2}".format(plan.name, state, plan.left_alone))
    role = "the primary" if plan.is_primary else "table {0}".format(plan.state.table)
    lines = _folded(
        "{0}: {1} ({2}), {3}, {4}".format(
            plan.name, plan.eni.interface_id, plan.eni.mac, role, _contents(plan)
        )
    )
    if plan.warning:
        lines += _folded("  warning: " + plan.warning)
    # The few lines that say what will happen before the many that say how it is written down.
    lines += _step_lines(plan)
    for path in sorted(plan.files):
        lines.append("")
        lines += _file_diff(path, plan.before[path], plan.files[path])
    return lines


def _step_lines(plan):
    # type: (Plan) -> List[str]
    if not plan.steps:
        return ["  in step: nothing to change"] if plan.live and not plan.files else []
    when = "at once" if plan.live else "when ifup brings {0} up".format(plan.name)
    lines = ["", "kernel, {0}:".format(when)]
    return lines + [_ip_line(step) for step in plan.steps]


def _ip_line(step):
    # type: (Change) -> str
    family = "-6 " if step.family == 6 else ""
    return "{0} ip {1}{2}".format("+" if step.add else "-", family, step.line)


def _file_diff(path, before, after):
    # type: (str, Any, Any) -> Iterable[str]
    import difflib

    return difflib.unified_diff(
        (before or "").splitlines(),
        (after or "").splitlines(),
        path if before is not None else "/dev/null",
        path if after is not None else "/dev/null",
        lineterm="",
    )


def plans_json(plans):
    # type: (Sequence[Plan]) -> str
    """Return the same as a JSON list."""
    return _json([_plan_object(plan) for plan in plans])


def _plan_object(plan):
    # type: (Plan) -> OrderedDict[str, Any]
    item = OrderedDict([("name", plan.name)])  # type: OrderedDict[str, Any]
    item["left_alone"] = plan.left_alone or None
    item["warning"] = plan.warning or None
    item["live"] = plan.live
    item["files"] = [
        OrderedDict([("path", path), ("before", plan.before[path]), ("after", plan.files[path])])
        for path in sorted(plan.files)
    ]
    item["kernel"] = [
        OrderedDict([("family", step.family), ("add", step.add), ("ip", step.line)])
        for step in plan.steps
    ]
    return item


def status_text(found, settlement=None):
    # type: (Sequence[Tuple[Device, Plan]], Optional[Settlement]) -> str
    """Return a table of the devices; addresses and prefixes on lines of their own."""
    rows = [_COLUMNS] + [_cells(device, plan) for device, plan in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS) - 1)]
    lines = []  # type: List[str]
    for index, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths)] + [row[-1]]
        lines.append("  ".join(cells).rstrip())
        if index:
            lines += _details(found[index - 1][1])
    if settlement is not None:
        lines += _together(settlement)
    return "\n".join(lines) + "\n"


def _together(settlement):
    # type: (Settlement) -> List[str]
    """Return what all ENIs have in common, where there is anything."""
    said, done = [], settlement.done
    first = [item for item in done.items if isinstance(item, MainFirst)]
    if any(rule not in settlement.main_first for rule in first):
        said.append("main first")
    elif done.cannot:
        said.append("copies of main's routes")
    elif done.enis and not first:
        said.append("main is not first until metadata says which cards are ENIs")
    if set(done.chains) - set(settlement.chains) - set(done.failed):
        said.append("connections marked")
    missing = settlement_summary(settlement)
    if missing:
        said.append("differs: " + missing)
    said += _marks_problem(settlement)
    return _folded("all ENIs: " + "; ".join(said)) if said else []


def _cells(device, plan):
    # type: (Device, Plan) -> Tuple[str, ...]
    eni = plan.eni
    return (
        device.name,
        device.mac or "-",
        eni.interface_id if eni else "-",
        "{0}/{1}".format(eni.network_card, eni.device_number) if eni else "-",
        str(plan.state.table) if plan.state and not plan.is_primary else "-",
        state_of(plan)[0],
    )


def _details(plan):
    # type: (Plan) -> Iterator[str]
    for said in (state_of(plan)[1], plan.warning):
        if said:
            for line in _wrapped("", [said]):
                yield line
    if plan.eni:
        for title, values in (
            ("addresses", plan.eni.addresses + plan.eni.addresses6),
            ("prefixes", plan.eni.prefixes + plan.eni.prefixes6),
        ):
            if values:
                for line in _wrapped(title + " ", values):
                    yield line


def _wrapped(title, values):
    # type: (str, Sequence[str]) -> List[str]
    import textwrap

    indent = "  " + " " * len(title)
    return textwrap.wrap(
        " ".join(values),
        80,
        initial_indent="  " + title,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def status_json(found):
    # type: (Sequence[Tuple[Device, Plan]]) -> str
    """Return the same as a JSON list."""
    return _json([_status_object(device, plan) for device, plan in found])


def _status_object(device, plan):
    # type: (Device, Plan) -> OrderedDict[str, Any]
    eni, (state, why) = plan.eni, state_of(plan)
    item = OrderedDict([("name", device.name), ("mac", device.mac)])  # type: OrderedDict[str, Any]
    item["interface_id"] = eni.interface_id if eni else None
    item["network_card"] = eni.network_card if eni else None
    item["device_number"] = eni.device_number if eni else None
    item["table"] = plan.state.table if plan.state and not plan.is_primary else None
    item["addresses"] = list(eni.addresses + eni.addresses6) if eni else []
    item["prefixes"] = list(eni.prefixes + eni.prefixes6) if eni else []
    item["state"] = state
    item["why"] = why or None
    item["warning"] = plan.warning or None
    return item


def _contents(plan):
    # type: (Plan) -> str
    eni = plan.eni
    contents = _count(len(eni.addresses + eni.addresses6), "address", "addresses")
    prefixes = len(eni.prefixes + eni.prefixes6)
    return contents + (", " + _count(prefixes, "prefix", "prefixes") if prefixes else "")


def _count(number, singular, plural=None):
    # type: (int, str, Any) -> str
    return "{0} {1}".format(number, singular if number == 1 else plural or singular + "s")


def _json(value):
    # type: (Any) -> str
    return json.dumps(value, indent=2, separators=(",", ": ")) + "\n"
