"""The distribution's ifup and ifdown: when to call them, and never two at once for an interface."""
from __future__ import absolute_import, print_function, unicode_literals

import logging

from ec2net_legacy import notes
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import CommandError, LockHeld
from ec2net_legacy.kernel import diff
from ec2net_legacy.plan import record_of
from ec2net_legacy.reconcile import apply_steps

if TYPE_CHECKING:
    from typing import List, Optional

    from ec2net_legacy.host.rundir import Lock
    from ec2net_legacy.model import Device
    from ec2net_legacy.plan import Host, Plan

_log = logging.getLogger(__name__)

# An ifup waits as long as its dhclient for an answer: "timeout 300" in dhclient-ethN.conf.
_LONGEST_IFUP = 320.0
# What an ifup needs to end once its dhclient is gone.
_AFTER_DHCLIENT = 20.0
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
            try:
                _run(host, backend.down_command(name))
            except CommandError as error:
                # As it does when the dhclient has died; the ifup will tell.
                _log.debug("%s: %s", name, error)
            host.end_dhclient(name)
            if backend.DHCLIENT_NEEDS_FILES:
                _take_back(host, name)
            is_up = False
        if not is_up and backend.DHCLIENT_NEEDS_FILES and host.has_dhclient(name):
            # The init system's, which has no pid file before it has a lease.
            _log.info("%s: an ifup waits for its lease already", name)
        elif not is_up:
            _run(host, backend.up_command(name))


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


def take_down(host, name):
    # type: (Host, str) -> None
    """Take `name` down, also in the middle of an `ifup`. Raises CommandError if it stays up."""
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
        _run(host, host.backend.down_command(name))
    except CommandError as error:
        # network-scripts fail when the dhclient had died, or the device is gone, and are done.
        device = host.devices.device(name)
        if device is not None and device.up:
            raise
        _log.debug("%s: %s", name, error)
    finally:
        lock.__exit__()
    host.run_directory.forget(notes.device(name))


def _lock(host, name, wait):
    # type: (Host, str, float) -> Lock
    return host.run_directory.lock("ifup-" + name, wait)


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
    if returncode != 0:
        raise CommandError(argv, returncode, "")
