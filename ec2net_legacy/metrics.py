"""What a refresh came to, as a file for Prometheus' node exporter, where the settings name one.

Its collector of text files reads it: https://prometheus.io/docs/instrumenting/exposition_formats.
Counters begin anew with each boot, as Prometheus expects of them. Nothing that somebody else wrote
is in it.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import log
from ec2net_legacy._cheap import json, namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import (
    CommandError,
    Ec2netError,
    HostError,
    LockHeld,
    MetadataInvalid,
    MetadataUnavailable,
)

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional

    from ec2net_legacy.commands.survey import Survey
    from ec2net_legacy.ports import Host
    from ec2net_legacy.runs import Outcome

STATES = ("in step", "differs", "unmanaged", "unknown")
# The first that an error is of.
_KINDS = (
    ("metadata_unavailable", MetadataUnavailable),
    ("metadata_invalid", MetadataInvalid),
    ("lock", LockHeld),
    ("command", CommandError),
    ("host", HostError),
    ("other", Exception),
)
_WHAT = ("file", "kernel", "all_enis")
_NOTE = "metrics"
# Seconds. The next refresh comes in a minute.
_LONGEST_WAIT = 5.0

Totals = namedtuple("Totals", ["refreshes", "changes", "errors", "metadata_read"])
"""What was counted since the boot. `changes`: {what was changed: how often}; `errors`: {kind: how
often}; `metadata_read`: when metadata was read last, in seconds since the epoch, 0.0 for never."""

_NONE = Totals(0, dict.fromkeys(_WHAT, 0), {kind: 0 for kind, _ in _KINDS}, 0.0)

Refresh = namedtuple("Refresh", ["enis", "exit_code", "seconds", "ended"])
"""One refresh. `enis`: {state: number of ENIs}, as `ec2net status` shows them afterwards.

`seconds`: how long it took; `ended`: when, in seconds since the epoch.
"""


def measured(host, run, outcome):
    # type: (Host, Callable[[Host, Outcome], int], Outcome) -> int
    """Return or raise what `run`, a refresh, returns or raises; write down what it came to."""
    start = host.clock()
    try:
        code = run(host, outcome)
    except Ec2netError as error:
        outcome.failures.append(error)
        _tell(host, outcome, error.exit_code, host.clock() - start)
        raise
    _tell(host, outcome, code, host.clock() - start)
    return code


def _tell(host, outcome, exit_code, seconds):
    # type: (Host, Outcome, int, float) -> None
    """Write the file; whatever is in the way of that is no matter of the refresh."""
    from ec2net_legacy.commands.survey import survey

    path = host.settings.metrics_file.encode("utf-8").decode("latin-1")
    try:
        # Others may have changed it, as an ifup that this run started.
        host.forget_kernel()
        seen = survey(host)
        ended = host.wall_clock()
        refresh = Refresh(enis_by_state(seen), exit_code, seconds, ended)
        with host.run_directory.lock(wait=_LONGEST_WAIT):
            before = _decoded(host.run_directory.read(_NOTE))
            totals = added(before, outcome, ended if seen.problem is None else None)
            host.run_directory.write(_NOTE, json.dumps(totals._asdict(), sort_keys=True))
            host.files.put({path: text(refresh, totals)})
    except Exception as error:
        log.warning("%s is not written: %s", path, error)


def enis_by_state(seen):
    # type: (Survey) -> Dict[str, int]
    """Return how many ENIs are in each state; what is certainly none is not counted."""
    from ec2net_legacy.report import state_of

    found = [(plan.eni, state_of(plan)[0]) for _, plan in seen.found]
    return {
        state: len([1 for eni, its in found if its == state and (eni or its != "unmanaged")])
        for state in STATES
    }


def added(totals, outcome, read):
    # type: (Totals, Outcome, Optional[float]) -> Totals
    """Return the totals with one more refresh, which `read` metadata at a time or not (None)."""
    changes, errors = dict(totals.changes), dict(totals.errors)
    for plan in outcome.plans:
        changes["file"] += len(plan.files)
        changes["kernel"] += len(plan.steps) if plan.live else 0
    changes["all_enis"] += outcome.shared_changes
    for error in outcome.failures:
        errors[kind_of(error)] += 1
    return Totals(
        refreshes=totals.refreshes + 1,
        changes=changes,
        errors=errors,
        metadata_read=totals.metadata_read if read is None else read,
    )


def kind_of(error):
    # type: (Exception) -> str
    """Return the kind of an error."""
    return [kind for kind, its in _KINDS if isinstance(error, its)][0]


def _decoded(note):
    # type: (Optional[str]) -> Totals
    """Return what a note of an earlier refresh says; zeros without one, or with a damaged one."""
    try:
        kept = json.loads(note or "{}")
        totals = Totals(
            refreshes=int(kept["refreshes"]),
            changes={what: int(kept["changes"][what]) for what in _NONE.changes},
            errors={kind: int(kept["errors"][kind]) for kind in _NONE.errors},
            metadata_read=float(kept["metadata_read"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RuntimeError):
        return _NONE
    return totals


def text(refresh, totals):
    # type: (Refresh, Totals) -> str
    """Return the file."""
    enis = {state.replace(" ", "_"): number for state, number in refresh.enis.items()}
    lines = _metric("enis", "gauge", "Elastic network interfaces by state.", enis, "state")
    lines += _metric(
        "metadata_last_success_timestamp_seconds",
        "gauge",
        "When the metadata service answered last, 0 for not since the boot.",
        totals.metadata_read,
    )
    lines += _metric(
        "changes_total", "counter", "What refreshes have changed.", totals.changes, "what"
    )
    lines += _metric("errors_total", "counter", "Errors of refreshes.", totals.errors, "kind")
    lines += _metric("refreshes_total", "counter", "Refreshes.", totals.refreshes)
    lines += _metric(
        "refresh_timestamp_seconds", "gauge", "When the last refresh ended.", refresh.ended
    )
    lines += _metric(
        "refresh_duration_seconds", "gauge", "How long the last refresh took.", refresh.seconds
    )
    lines += _metric(
        "refresh_exit_code", "gauge", "The exit code of the last refresh.", refresh.exit_code
    )
    return "".join(line + "\n" for line in lines)


def _metric(name, kind, said, values, label=""):
    # type: (str, str, str, Any, str) -> List[str]
    """Return the lines of a metric that has one value, or one for each value of a label."""
    lines = [
        "# HELP ec2net_{0} {1}".format(name, said),
        "# TYPE ec2net_{0} {1}".format(name, kind),
    ]
    if not label:
        return lines + ["ec2net_{0} {1}".format(name, _number(values))]
    return lines + [
        'ec2net_{0}{{{1}="{2}"}} {3}'.format(name, label, value, _number(values[value]))
        for value in sorted(values)
    ]


def _number(value):
    # type: (float) -> str
    return "{0:.3f}".format(value) if isinstance(value, float) else "{0}".format(value)
