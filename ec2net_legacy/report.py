"""Plans and states as an operator reads them: text for 80 columns, and lines for the log."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.kernel.netfilter import as_commands
from ec2net_legacy.model import AlternativeName, Chain, Group, MainFirst, Parameter
from ec2net_legacy.shared import items

if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

    from ec2net_legacy.kernel.diff import Change
    from ec2net_legacy.model import Device
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.shared import SharedPlan

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
        reasons.append(plan.lost or "not up")
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


def shared_summary(shared):
    # type: (SharedPlan) -> str
    """Return one line for the log about what was done for all ENIs together."""
    done = []
    named = (Group, AlternativeName)
    changes = [step for step in kernel_changes(shared) if not isinstance(step.item, named)]
    if changes:
        done.append(_count(len(changes), "kernel change"))
    groups = items(shared, Group)
    if groups:
        done.append("link group of " + " ".join(one.device for one in groups))
    parameters = items(shared, Parameter)
    if parameters:
        done.append(_count(len(parameters), "kernel parameter"))
    if chains(shared):
        done.append("marks of connections")
    devices = {step.item.device for step in _name_changes(shared)}
    if devices:
        done.append("alternative names of " + " ".join(sorted(devices)))
    return ", ".join(done)


def plans_text(plans, shared=None):
    # type: (Sequence[Plan], Optional[SharedPlan]) -> str
    """Return what `add` would do, as diffs of files and `ip` lines."""
    blocks = [_plan_lines(plan) for plan in plans]
    if shared is not None and (shared.changes or shared.problem):
        lines = [part for line in _shared_lines(shared) for part in _folded(line)]
        blocks.append(["all ENIs:"] + lines)
    return "\n".join("\n".join(lines) for lines in blocks) + "\n"


def _shared_lines(shared):
    # type: (SharedPlan) -> List[str]
    """Return what would be done for all ENIs together, as commands that come to the same."""
    lines = [_ip_line(step) for step in kernel_changes(shared)]
    for one in items(shared, Parameter):
        lines.append("+ sysctl -w {0}={1}".format(one.name, one.value))
    for chain in chains(shared):
        lines += as_commands(chain)
    return lines + _marks_problem(shared)


def kernel_changes(shared):
    # type: (SharedPlan) -> List[Change]
    """Return what is done by `ip`: about rules, routes, link groups and alternative names."""
    return [step for step in shared.changes if not isinstance(step.item, (Parameter, Chain))]


def _name_changes(shared):
    # type: (SharedPlan) -> List[Change]
    return [step for step in shared.changes if isinstance(step.item, AlternativeName)]


def alternative_names(shared):
    # type: (SharedPlan) -> Dict[str, List[str]]
    """Return the names that were given to devices and are there."""
    missing = {step.item for step in _name_changes(shared) if step.add}
    given = {
        device: [name for name in names.given if AlternativeName(device, name) not in missing]
        for device, names in shared.done.names.items()
    }
    return {device: names for device, names in given.items() if names}


def chains(shared):
    # type: (SharedPlan) -> List[Chain]
    """Return the chains that are written or deleted, which mark connections."""
    return [step.item for step in shared.changes if isinstance(step.item, Chain)]


def _marks_problem(shared):
    # type: (SharedPlan) -> List[str]
    return ["connections cannot be marked: " + shared.problem] if shared.problem else []


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
    when = "at once" if plan.live else "when {0} comes up".format(plan.name)
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


def status_text(found, shared=None):
    # type: (Sequence[Tuple[Device, Plan]], Optional[SharedPlan]) -> str
    """Return a table of the devices; addresses and prefixes on lines of their own."""
    rows = [_COLUMNS] + [_cells(device, plan) for device, plan in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS) - 1)]
    lines = []  # type: List[str]
    for index, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths)] + [row[-1]]
        lines.append("  ".join(cells).rstrip())
        if index:
            lines += _details(found[index - 1][1])
    if shared is not None:
        lines += _together(shared)
    return "\n".join(lines) + "\n"


def _together(shared):
    # type: (SharedPlan) -> List[str]
    """Return what all ENIs have in common, where there is anything."""
    main = how_main_is_asked(shared)
    said = [_MAIN[main]] if main else []
    if marked_families(shared):
        said.append("connections marked")
    missing = shared_summary(shared)
    if missing:
        said.append("differs: " + missing)
    said += _marks_problem(shared)
    return _folded("all ENIs: " + "; ".join(said)) if said else []


_MAIN = {
    "first": "main first",
    "copied": "copies of main's routes",
    "not yet first": "main is not first until metadata says which cards are ENIs",
}


def how_main_is_asked(shared):
    # type: (SharedPlan) -> str
    """Return how packets of ENIs find main's routes by other devices, "" where they do not."""
    first = [item for item in shared.done.items if isinstance(item, MainFirst)]
    missing = items(shared, MainFirst)
    if any(rule not in missing for rule in first):
        return "first"
    if shared.done.cannot:
        return "copied"
    return "not yet first" if shared.done.enis and not first else ""


def marked_families(shared):
    # type: (SharedPlan) -> List[int]
    """Return the families whose connections are marked at present."""
    missing = {chain.family for chain in chains(shared)}
    return sorted(set(shared.done.chains) - missing - set(shared.done.failed))


def _cells(device, plan):
    # type: (Device, Plan) -> Tuple[str, ...]
    eni = plan.eni
    return (
        device.name,
        device.mac or "-",
        eni.interface_id if eni else "-",
        "{0}/{1}".format(eni.card, eni.device_number) if eni else "-",
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


def _contents(plan):
    # type: (Plan) -> str
    eni = plan.eni
    contents = _count(len(eni.addresses + eni.addresses6), "address", "addresses")
    prefixes = len(eni.prefixes + eni.prefixes6)
    return contents + (", " + _count(prefixes, "prefix", "prefixes") if prefixes else "")


def _count(number, singular, plural=None):
    # type: (int, str, Any) -> str
    return "{0} {1}".format(number, singular if number == 1 else plural or singular + "s")
