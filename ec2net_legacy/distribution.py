"""The distribution's ifup and ifdown: when to call them, and never two at once for an interface."""
from __future__ import absolute_import, print_function, unicode_literals

import contextlib
import logging

from ec2net_legacy import notes
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import CommandError, LockHeld
from ec2net_legacy.kernel import diff
from ec2net_legacy.plan import record_of
from ec2net_legacy.reconcile import apply_steps

if TYPE_CHECKING:
    from typing import Iterator, List, Optional

    from ec2net_legacy.host.rundir import Lock
    from ec2net_legacy.model import Device
    from ec2net_legacy.plan import Host, Plan

_log = logging.getLogger(__name__)

# An ifup waits as long as its dhclient for an answer: "timeout 300" in dhclient-ethN.conf.
_LONGEST_IFUP = 320.0
# How long an ifup without a lease may have taken for a second one: systemd waits 400 s for both.
_TIME_FOR_ANOTHER = 150.0
# What an ifup needs to end once its dhclient is gone, or another ifdown.
_AFTER_DHCLIENT = 60.0
_TURN = 0.2


def bring_up(host, name, plan):
    # type: (Host, str, Plan) -> None
    """Bring `name` up, unless it is; `plan` is what `add` made of it. Raises CommandError."""
    backend = host.backend
    # network-scripts would start a second dhclient, which nobody ends.
    with _lock(host, name, _LONGEST_IFUP):
        device = host.devices.device(name)  # type: Optional[Device]
        is_up = backend.is_up(name)
        lost = is_up and (device is None or not device.up or _lacks_address(host, plan))
        orphaned = plan.live and not is_up and _would_add_twice(host, name)
        if _came_back_unnoticed(host, name) or lost or orphaned:
            # The distribution takes it to be up still: ifup alone would do nothing, or fail.
            _start_over(host, name)
            is_up = False
        if not is_up and backend.DHCLIENT_NEEDS_FILES and host.has_dhclient(name):
            # The init system's, which has no pid file before it has a lease.
            _log.info("%s: an ifup waits for its lease already", name)
        elif not is_up:
            began = host.clock()
            _run(host, backend.up_command(name))
            if _complete(host, name) or not host.has_dhclient(name):
                return
            if host.clock() - began < _TIME_FOR_ANOTHER:
                # ifupdown's does not fail over that. The dhclients of Debian 11 and Ubuntu 20.04
                # are now and then deaf to all offers from their start (launchpad.net/bugs/1926139).
                _log.warning("%s: no lease; another dhclient tries", name)
                _start_over(host, name)
                _run(host, backend.up_command(name))
        _complete(host, name)


def _start_over(host, name):
    # type: (Host, str) -> None
    """Take down what the distribution believes to be up, with its dhclient."""
    try:
        _run(host, host.backend.down_command(name))
    except CommandError as error:
        # As it does when the dhclient has died; the ifup will tell.
        _log.debug("%s: %s", name, error)
    host.end_dhclient(name)
    if host.backend.DHCLIENT_NEEDS_FILES:
        _take_back(host, name)


def is_being_brought_up(host, name):
    # type: (Host, str) -> bool
    """Return whether another run is at bringing `name` up, or down."""
    return bool(host.run_directory.is_locked(_lock_name(name)))


def is_at_work(host, name):
    # type: (Host, str) -> bool
    """Return whether another run is at anything about `name`."""
    return is_being_brought_up(host, name) or bool(host.run_directory.is_locked(name))


def forget_lock(host, name):
    # type: (Host, str) -> None
    """Drop what that is known by."""
    host.run_directory.forget_lock(_lock_name(name))


def _complete(host, name):
    # type: (Host, str) -> bool
    """Add what the files say and an `ifup` left out that had read earlier ones.

    On Debian's cloud images one may be on its way already for a device that is new. Returns whether
    the address is there that DHCP gives, if any does.
    """
    filed = host.backend.recorded(name, host.backend.configuration(name).text).of_family(4)
    if not filed.rules:
        return True
    with host.run_directory.lock():
        has = host.kernel([4])
        primary = (filed.rules[0].source, name)
        # Without a lease there is a hook to come.
        if not any((item.address, item.device) == primary for item in has.addresses):
            return False
        apply_steps(host, [step for step in diff.changes(filed, filed, has) if step.completes])
    return True


def _would_add_twice(host, name):
    # type: (Host, str) -> bool
    """Return whether `ifup` would add the rules that are there, which kernels before 4.8 take.

    So it is on network-scripts when the dhclient of an interface that is up has died.
    """
    return bool(host.backend.DHCLIENT_NEEDS_FILES and not host.has_dhclient(name))


def _take_back(host, name):
    # type: (Host, str) -> None
    """Take the rules back that an `ifdown` without its dhclient leaves."""
    record = record_of(host, host.backend, name)
    if record.families:
        nothing = record._replace(addresses=(), routes=(), rules=())
        apply_steps(host, diff.changes(nothing, record, host.kernel(record.families)))


@contextlib.contextmanager
def hold(host, name):
    # type: (Host, str) -> Iterator[None]
    """Keep others from bringing `name` up or down meanwhile; ends an `ifup` that waits."""
    end = host.clock() + _AFTER_DHCLIENT
    while True:
        lock = _lock(host, name, _TURN)
        try:
            lock.__enter__()
            break
        except LockHeld:
            # Without its dhclient an ifup has nothing to wait for; the next in the queue likewise.
            host.end_dhclient(name)
            if host.clock() >= end:
                raise
    try:
        yield
    finally:
        lock.__exit__()


def take_down(host, name):
    # type: (Host, str) -> None
    """Take `name` down; the caller holds it. Raises CommandError if it stays up."""
    if host.devices.device(name) is None:
        # An ifup that is not ours waits with it for nothing, and our ifdown for that.
        host.end_dhclient(name)
    try:
        _run(host, host.backend.down_command(name))
    except CommandError as error:
        # network-scripts fail when the dhclient had died, or the device is gone, and are done.
        device = host.devices.device(name)
        if device is not None and device.up:
            raise
        _log.debug("%s: %s", name, error)
    host.run_directory.forget(notes.device(name))


def _lock(host, name, wait):
    # type: (Host, str, float) -> Lock
    return host.run_directory.lock(_lock_name(name), wait)


def _lock_name(name):
    # type: (str) -> str
    return "ifup-" + name


def _lacks_address(host, plan):
    # type: (Host, Plan) -> bool
    """Return whether the interface has lost the address that its dhclient believes it has."""
    if plan.left_alone or plan.state is None or plan.live:
        return False
    # It may have come since the plan was made.
    has = host.kernel([4 if ":" not in plan.state.primary else 6])
    wanted = (plan.state.primary, plan.name)
    return not any((item.address, item.device) == wanted for item in has.addresses)


def _came_back_unnoticed(host, name):
    # type: (Host, str) -> bool
    """Return whether the device is another than the one that `name` was last brought up on.

    So it is when it was detached, and it or another ENI of that name attached, without a remove in
    between. Each device has a number of its own (ifindex), of which a note is kept; of several
    events at once only the first sees the old one.
    """
    device = host.devices.device(name)  # type: Optional[Device]
    if device is None:
        return False
    index = str(device.index)
    before = host.run_directory.read(notes.device(name))
    if before != index:
        host.run_directory.write(notes.device(name), index)
    return before is not None and before != index


def _run(host, argv):
    # type: (Host, List[str]) -> None
    returncode = host.runner.run_visibly(argv)
    host.forget_kernel()
    if returncode != 0:
        raise CommandError(argv, returncode, "")
