"""Carrying out plans: files, then kernel, then a look whether the kernel is there."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import notes
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import CommandError
from ec2net_legacy.host import selinux
from ec2net_legacy.kernel import iproute

if TYPE_CHECKING:
    from typing import List, Sequence

    from ec2net_legacy.kernel.diff import Change
    from ec2net_legacy.kernel.parse import KernelState
    from ec2net_legacy.plan import Host, Plan

# Kernels before 4.8 may have a rule several times, of which a deletion takes one.
_MOST_ROUNDS = 3


def carry_out(host, plan):
    # type: (Host, Plan) -> None
    """Carry out one plan; the caller holds the lock."""
    prepare(host, plan)
    finish(host, [plan])


def prepare(host, plan):
    # type: (Host, Plan) -> None
    """Write the files of a plan, and what has to be remembered if this run dies now."""
    if plan.left_alone:
        return
    # Of a reading that leads to a failure nobody shall be content with an older one.
    notes.forget_metadata(host.run_directory, plan.name)
    if plan.is_primary:
        _note_addresses(host, plan, before=True)
    else:
        _write(host, plan)


def finish(host, plans):
    # type: (Host, Sequence[Plan]) -> None
    """Bring the kernel where prepared `plans` want it, all changes of a family in one `ip`.

    Raises CommandError naming what the kernel does not have, or still has, after that.
    """
    plans = [plan for plan in plans if not plan.left_alone]
    # What is to be added to an interface that is not up, its file adds at ifup.
    steps = [step for plan in plans for step in plan.steps if plan.live or not step.completes]
    apply_steps(host, steps)
    for plan in plans:
        if plan.is_primary:
            _note_addresses(host, plan, before=False)
        else:
            _settle_note(host, plan)


def apply_steps(host, steps):
    # type: (Host, List[Change]) -> None
    """Apply `steps` and read the kernel again; what is not as it should be is an error."""
    if not steps:
        return
    families = sorted({step.family for step in steps})
    left = steps
    for _ in range(_MOST_ROUNDS):
        iproute.apply_changes(host.runner, left)
        has = host.kernel(families)
        left = [step for step in left if not is_done(step, has)]
        if not left:
            return
    raise CommandError(["ip"], 1, "\n".join(step.line + ": no effect" for step in left))


def is_done(step, has):
    # type: (Change, KernelState) -> bool
    """Return whether the kernel is as a step was to make it."""
    return any(step.item in items for items in has) is step.add


def _write(host, plan):
    # type: (Host, Plan) -> None
    if not plan.files:
        return
    note, directory = notes.added(plan.name), host.run_directory
    # Until the kernel is there, what the old text added is remembered beside what the new
    # one adds: the next run takes it back if this one dies in between.
    texts = [directory.read(note) or "", host.backend.configuration(plan.name).text]
    texts += [text or "" for text in plan.files.values()]
    directory.write(note, "".join(texts))
    changed = host.files.put(plan.files)
    written = [path for path in changed if plan.files[path] is not None]
    selinux.restore_labels(host.runner, host.files, written)


def _settle_note(host, plan):
    # type: (Host, Plan) -> None
    note, directory = notes.added(plan.name), host.run_directory
    text = host.backend.configuration(plan.name).text
    if directory.read(note) not in (None, text):
        directory.write(note, text)


def _note_addresses(host, plan, before):
    # type: (Host, Plan, bool) -> None
    """Note which addresses of the primary are ours: first also the ones that are to go."""
    if not plan.steps:
        return
    kept = set(notes.added_addresses(host.run_directory, plan.name))
    kept.update(step.item for step in plan.steps if step.add and plan.live)
    if not before:
        kept.difference_update(step.item for step in plan.steps if not step.add)
    notes.keep_addresses(host.run_directory, plan.name, kept)
