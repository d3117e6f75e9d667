"""`ec2net switch`: a running host goes from ifupdown to systemd-networkd, or back.

What a terminal starts only looks, and asks systemd for a unit, so that the switch goes on when the
terminal is gone. The unit tries, looks whether the host has everything that it had, and goes back
by itself where it has not; also when it is killed, by the unit's ExecStopPost.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import log
from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.commands.switch import intended as intentions
from ec2net_legacy.commands.switch import routes, units
from ec2net_legacy.errors import CommandError, Ec2netError, HostError
from ec2net_legacy.host import rundir
from ec2net_legacy.kernel.iproute import apply_changes
from ec2net_legacy.switching import state, verdict

if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, List, Optional

    from ec2net_legacy.commands.switch.intended import Intended
    from ec2net_legacy.kernel.diff import Change
    from ec2net_legacy.ports import Host
    from ec2net_legacy.switching.state import State

_UNIT = "ec2net-switch@{0}.service"
# Seconds: by when everything has to be there again, and how often that is looked at. What is not
# there so long after the program has said that it is through does not come any more.
_PROVING = 60.0
_THROUGH = 10.0
_POLL = 0.5
# The unit ends by itself before that.
_LONGEST_UNIT = 900.0
_ENDED_BEFORE = "it was ended before it was through"

Proposal = namedtuple("Proposal", ["intended", "text"])
"""What would be done. `intended`: None where there is nothing to do; `text`: for who reads it."""


def propose(host, there):
    # type: (Host, str) -> Proposal
    """Return what a switch to the distribution called `there` would do.

    Raises HostError that names each line which has no counterpart there.
    """
    here = intentions.here(host)
    if here == there:
        return Proposal(None, "this host has {0} already: nothing to do\n".format(there))
    found = intentions.intended(host, here, there, state.read(host.files))
    if found.problems:
        raise HostError("; ".join(found.problems))
    return Proposal(found, _text(found))


def _text(intended):
    # type: (Intended) -> str
    lines = ["From {0} to {1}:".format(intended.here, intended.there)]
    for path in sorted(intended.files):
        text = intended.files[path]
        lines += ["", "{0} {1}".format("delete" if text is None else "write", path)]
        lines += ["+" + line for line in (text or "").splitlines()]
    lines += [""] + intended.steps + [
        "",
        "--yes does it. All is taken back if the host does not have its addresses and",
        "default routes within {0:.0f} s, or metadata does not answer.".format(_PROVING),
    ]
    return "\n".join(lines) + "\n"


def hand_over(host, there):
    # type: (Host, str) -> int
    """Have systemd do it, wait for that, and tell how it ended; return the exit code."""
    unit = _UNIT.format(there)
    if not units.is_loaded(host, unit):
        raise HostError("{0} is not installed: expected `make install INIT=systemd`".format(unit))
    log.line(log.NOTICE, "switching to %s; `journalctl -u %s` tells of it", there, unit)
    argv, before = ["systemctl", "start", unit], state.read(host.files)
    code = host.runner.run_visibly(argv, _LONGEST_UNIT)
    ended = state.read(host.files)
    if (code, ended.phase, ended.there) == (0, state.DONE, there):
        log.line(log.NOTICE, "done: this host has %s", there)
        return 0
    if ended.phase == state.UNDONE and ended != before:
        raise HostError("this host has {0} as before: {1}".format(ended.here, ended.why))
    raise CommandError(argv, code, "nothing changed")


def carry_out(host, there):
    # type: (Host, str) -> int
    """Do the switch and prove it: the unit's own part. Raises Ec2netError when all is as it was."""
    problem = None  # type: Optional[Ec2netError]
    with _alone(host):
        try:
            _undo(host, _ENDED_BEFORE)
            intended = propose(host, there).intended
            if intended is not None:
                _try(host, intended)
                log.info("this host has %s now", there)
        except Ec2netError as error:
            problem = error
    # As long as the lock is held the refresh leaves the host alone.
    units.watch(host)
    if problem is not None:
        raise problem
    return 0


def _try(host, intended):
    # type: (Host, Intended) -> None
    """Switch, prove it, and have it last; go back where that fails, and raise why."""
    trial = _begun(host, intended)
    way = intentions.WAYS[intended.there](host)
    try:
        way.try_it(intended, trial)
        host.forget_kernel()
        _prove(host, trial, lambda: way.not_yet(intended))
        way.settle(intended, trial)
    except Ec2netError as error:
        _undo(host, "{0}".format(error))
        raise
    state.write(host.files, trial._replace(phase=state.DONE, kept=way.keeps(trial)))
    try:
        _apply(host, verdict.superseded(trial.routes, host.kernel([4, 6])))
    except Ec2netError as error:
        # They may have gone by themselves, and the switch is in force all the same.
        log.warning("%s", error)


def end(host):
    # type: (Host) -> int
    """Take back what a switch that was killed has done; do nothing after one that has ended."""
    with _alone(host):
        was_begun = _undo(host, _ENDED_BEFORE)
    if was_begun:
        units.watch(host)
    return 0


def _alone(host):
    # type: (Host) -> Any
    """Keep another switch from beginning meanwhile, and refreshes. Raises LockHeld."""
    return host.run_directory.lock(rundir.SWITCH, 0.0)


def _begun(host, intended):
    # type: (Host, Intended) -> State
    """Write down how to go back, before anything is changed; return that."""
    addresses, had = verdict.worth_keeping(host.kernel([4, 6]), intended.names)
    trial = state.State(
        phase=state.TRIAL,
        here=intended.here,
        there=intended.there,
        before={path: host.files.read(path) for path in intended.files},
        after=intended.files,
        names=tuple(intended.names),
        asking=tuple(intended.asking),
        addresses=addresses,
        routes=had,
        networkds=routes.of_networkd(host, intended.names),
        units=units.enabled(host),
        resolv=units.resolv(host),
        boot=units.boot(host),
        why="",
        kept=state.read(host.files).kept,
    )
    state.write(host.files, trial)
    return trial


def _prove(host, trial, not_yet):
    # type: (Host, State, Callable[[], List[str]]) -> None
    """Wait until the host has all that it had. Raises HostError that says what it lacks."""
    began = host.clock()
    through = None  # type: Optional[float]
    while True:
        coming = not_yet()
        lacking = verdict.lacking(trial.addresses, trial.routes, host.kernel([4, 6]))
        said = lacking + coming or intentions.no_metadata(host)
        if not said:
            return
        now = host.clock()
        through = None if coming or not lacking else through or now
        is_hopeless = through is not None and now >= through + _THROUGH
        if is_hopeless or now >= began + _PROVING:
            raise HostError("after {0:.0f} s {1}".format(now - began, "; ".join(said)))
        log.debug("not yet: %s", "; ".join(said))
        host.sleep(_POLL)


def _undo(host, why):
    # type: (Host, str) -> bool
    """Take back what a switch has done so far; return False where none has begun and not ended."""
    trial = state.read(host.files)
    if trial.phase != state.TRIAL:
        return False
    log.warning("going back to %s: %s", trial.here, why)
    said = [why]
    for step in _steps_back(host, trial):
        try:
            step()
        except Ec2netError as error:
            # The rest is all the more needed.
            log.error("%s", error)
            said.append("{0}".format(error))
    state.write(host.files, trial._replace(phase=state.UNDONE, why="; ".join(said)))
    return True


def _steps_back(host, trial):
    # type: (Host, State) -> Iterator[Callable[[], Any]]
    is_same_boot = trial.boot == units.boot(host)
    if is_same_boot:
        yield lambda: intentions.WAYS[trial.there](host).stop(trial)
    # Deletions come last: whichever program a boot starts meanwhile finds files of its own.
    yield lambda: host.files.put(
        {path: text for path, text in trial.before.items() if text is not None}
    )
    yield lambda: units.enable_as(host, trial.units)
    yield lambda: host.files.put(trial.before)
    yield lambda: units.put_resolv(host, trial.resolv)
    if not is_same_boot:
        # The boot has led to the former, and what the kernel had before is out of date.
        return
    yield lambda: intentions.WAYS[trial.here](host).resume(trial)
    # After that, because the former's own addresses have a lifetime and a broadcast address.
    yield lambda: _apply(
        host, verdict.restoring(trial.addresses, trial.routes, host.kernel([4, 6]))
    )
    yield lambda: _apply(
        host, verdict.strange(trial.addresses, trial.names, host.kernel([4, 6]))
    )


def _apply(host, steps):
    # type: (Host, List[Change]) -> None
    if steps:
        apply_changes(host.runner, steps)
        host.forget_kernel()
