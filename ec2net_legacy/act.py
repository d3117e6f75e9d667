"""Acting: the only place that changes files and kernel as a plan says.

(A removal goes the other way: kernel, files, record. See `commands.remove`.)

The order survives being killed at any moment: first the record says what may be there from now on,
then come the files, then the kernel, then a look whether the kernel is so, and at last the record
says what is there.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import altnames, daemon, log, record, shared
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import CommandError, HostError
from ec2net_legacy.kernel import iproute, netfilter
from ec2net_legacy.look import Look
from ec2net_legacy.model import (
    MAIN_TABLE,
    AlternativeName,
    Chain,
    Group,
    MainFirst,
    Parameter,
    Rule,
)

if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Optional, Sequence, Set

    from ec2net_legacy.kernel.diff import Change
    from ec2net_legacy.kernel.parse import KernelState
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.ports import Host
    from ec2net_legacy.shared import SharedPlan

# Kernels before 4.8 may have a rule several times, of which a deletion takes one.
_MOST_ROUNDS = 3


def carry_out(host, plan, asked):
    # type: (Host, Plan, float) -> None
    """Carry out one plan, made of metadata that was `asked` for at that time.

    The caller holds the host's lock.
    """
    prepare(host, plan)
    finish(host, [plan], asked)


def prepare(host, plan):
    # type: (Host, Plan) -> None
    """Write the files of a plan, and what has to be known if this run dies now."""
    if plan.left_alone or not plan.acts:
        return
    # A reading that leads to a failure must not make the next run content with it.
    record.change(host.run_directory, plan.name, reading=None, **_items(plan.underway))
    daemon_reads = bool(plan.files) and Look(host).distribution.is_read(plan.files)
    if daemon_reads:
        # If this run dies before, the next one that is through with its own has them read.
        daemon.announce(host, daemon.NEVER)
    changed = host.files.put(plan.files)
    if daemon_reads:
        daemon.announce(host, host.clock())
    written = [path for path in changed if plan.files[path] is not None]
    if written:
        from ec2net_legacy.host import selinux

        selinux.restore_labels(host.runner, host.files, written)


def finish(host, plans, asked):
    # type: (Host, Sequence[Plan], float) -> None
    """Bring the kernel where prepared `plans` want it, all changes of a family in one `ip`.

    Raises CommandError naming what the kernel does not have, or still has, after that.
    """
    prepared = [plan for plan in plans if not plan.left_alone]
    if any(plan.live for plan in prepared) and daemon.is_due(host):
        _have_files_read(host)
    # What is to be added to an interface that is not up, its file adds at ifup.
    steps = [step for plan in prepared for step in plan.steps if plan.live or not step.completes]
    apply_steps(host, steps)
    for plan in plans:
        fields = _items(plan.after)
        if plan.eni is not None:
            fields["reading"] = record.Reading(plan.eni, asked)
        record.change(host.run_directory, plan.name, **fields)


def _have_files_read(host):
    # type: (Host) -> None
    """Have the distribution's daemon read what was written, once for all interfaces."""
    now, command = host.clock(), Look(host).distribution.RELOAD
    # Another distribution may have been chosen since.
    if command:
        daemon.read_files(host, command, now)
        daemon.announce(host, now)


def _items(state):
    # type: (Any) -> Dict[str, Any]
    if state is None:
        return {}
    return {"addresses": state.addresses, "routes": state.routes, "rules": state.rules}


def apply_steps(host, steps):
    # type: (Host, List[Change]) -> None
    """Apply `steps` and look at the kernel again; what is not as it should be is an error."""
    if not steps:
        return
    families = sorted({step.family for step in steps})
    left = steps
    for _ in range(_MOST_ROUNDS):
        _change(host, left)
        has = host.kernel(families)
        left = [step for step in left if not is_done(step, has)]
        if not left:
            return
    raise CommandError(["ip"], 1, "\n".join(step.line + ": no effect" for step in left))


def _change(host, steps):
    # type: (Host, Sequence[Change]) -> None
    """Have `ip` make changes, in words that this distribution respects."""
    if steps:
        iproute.apply_changes(host.runner, steps, Look(host).distribution.RULE_WORDS)


def is_done(step, has):
    # type: (Change, KernelState) -> bool
    """Return whether the kernel is as a step was to make it."""
    return any(step.item in items for items in has) is step.add


def set_parameters(host, parameters):
    # type: (Host, Iterable[Parameter]) -> List[str]
    """Set kernel parameters; return what is wrong with those that could not be set."""
    problems = []
    for one in parameters:
        log.debug("set: %s = %s", one.name, one.value)
        try:
            host.sysctl.write(one.name, "{0}".format(one.value))
        except HostError as error:
            # A device that was pulled since has no parameters any more, and needs none.
            if host.sysctl.number(one.name) is not None:
                problems.append("{0}".format(error))
    return problems


def carry_out_shared(host, plan):
    # type: (Host, SharedPlan) -> SharedPlan
    """Carry out the plan for all ENIs; return it as it came true. The caller holds the host's lock.

    Raises HostError about what failed, when the rest is done. Marks of connections that cannot be
    made are no failure, but a `problem` of the plan, nor are alternative names that there cannot
    be.
    """
    if not plan.changes:
        record.change_host(host.run_directory, **plan.done._asdict())
        return plan
    # Whatever becomes of this run, the next one knows what may be there.
    underway = shared.underway(plan)
    record.change_host(host.run_directory, **underway._asdict())
    cannot = set(plan.done.cannot)
    problems = []
    try:
        _change_kernel(host, plan, cannot)
    except HostError as error:
        problems.append("{0}".format(error))
    problems += set_parameters(host, shared.items(plan, Parameter))
    unmarked = _write_chains(host, plan)
    names = _names_now(host, plan)
    refused = [rule for rule in shared.items(plan, MainFirst) if rule.family in cannot]
    done = plan.done._replace(
        items=tuple(item for item in plan.done.items if item not in refused),
        chains=tuple(sorted(set(plan.done.chains) | set(unmarked))),
        cannot=tuple(sorted(cannot)),
        failed=tuple(sorted(set(plan.done.failed) | set(unmarked))),
        names=names,
    )
    if problems:
        known = {"cannot": done.cannot, "failed": done.failed, "names": names}
        record.change_host(host.run_directory, **known)
        raise HostError("; ".join(problems))
    record.change_host(host.run_directory, **done._asdict())
    changes = [step for step in plan.changes if _came_true(step, unmarked, names)]
    said = [plan.problem] + [unmarked[family] for family in sorted(unmarked)]
    problem = "; ".join(problem for problem in said if problem)
    return plan._replace(changes=changes, done=done, problem=problem)


def _change_kernel(host, plan, cannot):
    # type: (Host, SharedPlan, Set[int]) -> None
    """Change rules, routes, link groups and names; add to `cannot` the families in which main
    cannot be first.

    The rule of main is tried: kernels know its conditions since Linux 3.12, and an older one, with
    a younger `ip`, takes the rule without them, that is for all packets. Alternative names are the
    last: an `ip` before 5.4 reads nothing behind the first of them.
    """
    changes = [step for step in plan.changes if not isinstance(step.item, (Parameter, Chain))]
    tries = [step for step in changes if step.add and isinstance(step.item, MainFirst)]
    others = [step for step in changes if isinstance(step.item, (Group, AlternativeName))]
    steps = [step for step in changes if step not in tries and step not in others]
    families = sorted({step.family for step in steps + tries})
    had = host.known_kernel(families)
    said = _attempt(host, changes)
    has = host.kernel(families)
    refused = [step for step in tries if not is_done(step, has)]
    if refused and said:
        # That may have had another reason. Tried alone, the answer is certain.
        said = _attempt(host, refused) or said
        has = host.kernel(families)
        refused = [step for step in refused if not is_done(step, has)]
    wrong = _not_in_their_group(host, shared.items(plan, Group))
    withdrawn = [
        step._replace(add=False)
        for step in tries
        if wrong or _is_without_conditions(step.item, steps, had, has)
    ]
    _change(host, withdrawn)
    if not all(is_done(step, has) for step in steps):
        apply_steps(host, steps)
    if wrong:
        raise HostError("link group of {0}: {1}".format(" ".join(wrong), said))
    cannot.update(step.family for step in refused)
    if refused:
        log.info(
            "the tables of ENIs get copies of main's other routes: %s", said or "no effect"
        )


def _attempt(host, changes):
    # type: (Host, Sequence[Change]) -> str
    """Make changes, and return what was wrong with them, "" if nothing was."""
    try:
        _change(host, changes)
    except HostError as error:
        log.debug("%s", error)
        return "{0}".format(error)
    return ""


def _not_in_their_group(host, groups):
    # type: (Host, Iterable[Group]) -> List[str]
    """Return the devices that are there and not in their link group.

    Without it main would answer for the wrong ENI.
    """
    return [
        one.device
        for one in groups
        if host.devices.group(one.device) != one.number
        and host.devices.device(one.device) is not None
    ]


def _is_without_conditions(rule, steps, had, has):
    # type: (MainFirst, Sequence[Change], KernelState, KernelState) -> bool
    """Return whether the kernel has taken the rule of main for all packets.

    A plain rule of that number that was there before is somebody's, if it is not what a run left
    that died.
    """
    is_left = any(step.item == rule and not step.add for step in steps)
    found = has.rules if is_left else has.rules - had.rules
    return Rule("all", MAIN_TABLE, rule.priority) in found


def _write_chains(host, plan):
    # type: (Host, SharedPlan) -> Dict[int, str]
    """Write the chains that mark connections; return why that failed, by family."""
    failed = {}
    for step in plan.changes:
        if isinstance(step.item, Chain):
            try:
                netfilter.write(host.runner, step.item.family, step.item.rules)
            except HostError as error:
                failed[step.item.family] = "{0}".format(error)
    return failed


def _names_now(host, plan):
    # type: (Host, SharedPlan) -> Dict[str, record.Names]
    """Return what is to be remembered of alternative names, which may have been refused."""
    names = plan.done.names  # type: Dict[str, record.Names]
    if any(isinstance(step.item, AlternativeName) for step in plan.changes):
        return altnames.came_true(plan.before.names, names, host.alternative_names())
    return names


def _came_true(step, unmarked, names):
    # type: (Change, Dict[int, str], Dict[str, record.Names]) -> bool
    """Return whether a change was made of which it is no failure if it cannot be made."""
    item = step.item
    if isinstance(item, Chain):
        return item.family not in unmarked
    if isinstance(item, AlternativeName):
        return (item.device in names and item.name in names[item.device].given) is step.add
    return True
