"""A whole run: what an event asks for, then what all ENIs share, each told to the log.

Each function returns the exit code.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import log
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import Ec2netError, LockHeld, MetadataInvalid, MetadataUnavailable

if TYPE_CHECKING:
    from typing import Callable, List, Optional, Tuple

    from ec2net_legacy.event import LeaseEvent
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.ports import Host

    Failures = List[Tuple[str, Ec2netError]]

_NO_METADATA = (MetadataUnavailable, MetadataInvalid)


def one(host, name, verb):
    # type: (Host, str, str) -> int
    """Configure the interface `name` ("add", "up") or take that away ("detach", "down")."""
    command = _command(verb)
    try:
        plan = command(host, name)
    except MetadataUnavailable:
        # Nothing at all was changed.
        raise
    except Ec2netError as error:
        # A run that fails at last may have done the most of it, as after a good ifup.
        _settle_after(host, error)
        raise
    _tell(plan, "add" if verb in ("add", "up") else "remove", by_name=True)
    return tell_failures(_settle(host))


def _command(verb):
    # type: (str) -> Callable[[Host, str], Plan]
    if verb in ("add", "up"):
        from ec2net_legacy.commands import add

        return add.add if verb == "add" else add.up
    from ec2net_legacy.commands import remove

    return remove.down if verb == "down" else remove.detach


def lease(host, happened, within):
    # type: (Host, LeaseEvent, float) -> int
    """Do what dhclient's event asks for, in `within` seconds."""
    from ec2net_legacy.commands.lease import RESERVE
    from ec2net_legacy.commands.lease import lease as command

    end = host.clock() + within - RESERVE
    try:
        plan = command(host, happened, within)
    except Ec2netError as error:
        _settle_after(host, error, ask=False, wait=max(end - host.clock(), 0.0))
        raise
    if plan.acts:
        _tell(plan, "lease")
    if plan.left_alone:
        return 0
    return tell_failures(_settle(host, ask=False, wait=max(end - host.clock(), 0.0)))


class Outcome(object):
    """What a refresh did: plans that acted, changes of what all ENIs share, and errors."""

    def __init__(self):
        # type: () -> None
        self.plans = []  # type: List[Plan]
        self.shared_changes = 0
        self.failures = []  # type: List[Ec2netError]

    def add(self, plans, failures):
        # type: (List[Plan], Failures) -> None
        """Add what a part of the refresh did."""
        failed = [name for name, _ in failures]
        self.plans += [plan for plan in plans if plan.acts and plan.name not in failed]
        self.failures += [error for _, error in failures]


def refresh(host, name):
    # type: (Host, Optional[str]) -> int
    """Bring all configured interfaces, or just `name`, in step with metadata."""
    if _is_switched(host):
        return 0
    if name is not None or not host.settings.metrics_file:
        return _refresh(host, name, Outcome())
    from ec2net_legacy import metrics

    return metrics.measured(host, lambda host, did: _refresh(host, None, did), Outcome())


def _refresh(host, name, outcome):
    # type: (Host, Optional[str], Outcome) -> int
    from ec2net_legacy.commands.refresh import refresh as command
    from ec2net_legacy.commands.scan import catch_up

    try:
        plans, failures = command(host, name)
    except _NO_METADATA:
        if name is None:
            # What is configured needs none to come up.
            found, handed_over, missed = catch_up(host, by_hand=False, metadata=False)
            outcome.add(found, missed)
            _tell_scan(found, handed_over, missed)
        tell_failures(_settle(host, ask=False, outcome=outcome))
        raise
    except Ec2netError as error:
        _settle_after(host, error, outcome=outcome)
        raise
    outcome.add(plans, failures)
    for plan in plans:
        if plan.acts:
            _tell(plan, "add")
    if name is not None:
        return tell_failures(failures + _settle(host, outcome=outcome))
    # What an event was missed for, or came to nothing because metadata was late.
    try:
        found, handed_over, missed = catch_up(host, by_hand=False)
    except Ec2netError as error:
        tell_failures(failures)
        _settle_after(host, error, outcome=outcome)
        raise
    outcome.add(found, missed)
    failures += missed + _settle(host, outcome=outcome)
    return _tell_scan(found, handed_over, failures)


def scan(host):
    # type: (Host) -> int
    """Bring up every ENI that has no configuration yet, and take away what ENIs have left."""
    if _is_switched(host):
        return 0
    from ec2net_legacy.commands.scan import catch_up

    try:
        plans, handed_over, failures = catch_up(host)
    except Ec2netError as error:
        _settle_after(host, error)
        raise
    return _tell_scan(plans, handed_over, failures + _settle(host))


def _is_switched(host):
    # type: (Host) -> bool
    """Return whether the host is neither the one nor the other now, and looked at after that."""
    from ec2net_legacy.host import rundir

    if not host.run_directory.is_locked(rundir.SWITCH):
        return False
    log.info("this host goes to another network configuration: left alone meanwhile")
    return True


def _settle(host, ask=True, wait=60.0, outcome=None):
    # type: (Host, bool, float, Optional[Outcome]) -> Failures
    """Do what all ENIs have in common; return what failed, and add what was done to `outcome`."""
    outcome = outcome or Outcome()
    from ec2net_legacy.commands.settle import settle

    try:
        plan = settle(host, ask, wait)
    except LockHeld as error:
        # The one that holds it does it in the end.
        log.debug("all ENIs: %s", error)
        return []
    except Ec2netError as error:
        outcome.failures.append(error)
        return [("all ENIs", error)]
    outcome.shared_changes += len(plan.changes)
    if plan.changes:
        from ec2net_legacy import report

        log.info("all ENIs: %s", report.shared_summary(plan))
    return []


def _settle_after(host, error, ask=True, wait=60.0, outcome=None):
    # type: (Host, Ec2netError, bool, float, Optional[Outcome]) -> None
    """Do what all ENIs have in common in a run that ends with `error`, which is told by itself."""
    failures = _settle(host, ask and not isinstance(error, _NO_METADATA), wait, outcome)
    tell_failures([one for one in failures if "{0}".format(one[1]) != "{0}".format(error)])


def _tell_scan(plans, handed_over, failures):
    # type: (List[Plan], List[str], Failures) -> int
    for plan in plans:
        _tell(plan, "remove" if plan.state is None else "add")
    for name in handed_over:
        log.info("%s: handed to the init system, whose log tells the rest", name)
    return tell_failures(failures)


def tell_failures(failures):
    # type: (Failures) -> int
    """Log what failed, and return the exit code that tells it all."""
    for name, error in failures:
        log.error("%s: %s", name, error)
    codes = {error.exit_code for _, error in failures}
    # That nothing was changed is true only where nothing else happened.
    return codes.pop() if len(codes) == 1 else int(bool(codes))


def _tell(plan, verb, by_name=False):
    # type: (Plan, str, bool) -> None
    """Log what was done; where somebody named the interface, stderr has that nothing was."""
    from ec2net_legacy import report

    if not (plan.left_alone and plan.warning):
        level = log.NOTICE if by_name and plan.is_passed_by else log.INFO
        log.line(level, "%s: %s", plan.name, report.summary(plan, verb))
    if plan.warning:
        log.warning("%s: %s", plan.name, plan.warning)
