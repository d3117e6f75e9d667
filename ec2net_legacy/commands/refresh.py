"""Every minute: bring every configured ENI and the primary in step with metadata."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import log, record
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.act import finish, prepare
from ec2net_legacy.commands.propose import Planner, still_configured
from ec2net_legacy.errors import (
    Ec2netError,
    HostError,
    LockHeld,
    MetadataInvalid,
    MetadataUnavailable,
)
from ec2net_legacy.lifecycle import is_being_brought_up
from ec2net_legacy.look import Look
from ec2net_legacy.ownership import is_for, is_ignored, reason_to_ignore, reason_to_leave

if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    from ec2net_legacy.host.rundir import Lock
    from ec2net_legacy.look import Interface
    from ec2net_legacy.model import Eni
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.ports import Host

    _Failures = List[Tuple[str, Ec2netError]]

# Reading takes a few milliseconds a key. A tick of the timer is over before the next but one.
_LONGEST_READING = 30.0


def refresh(host, name=None):
    # type: (Host, Optional[str]) -> Tuple[List[Plan], _Failures]
    """Bring every configured ENI and the primary (or just `name`) in step with metadata.

    One session, one reading of the kernel and one `ip` a family for all. Without metadata nothing
    is changed at all. Returns the plans, and what failed where. Raises MetadataUnavailable and
    HostError.
    """
    candidates = _candidates(host, Look(host), name)
    if not candidates:
        return [], []
    asked = host.clock()
    end = asked + _LONGEST_READING
    for one in candidates:
        host.imds.recall(one.record.reading, one.device.mac)
    primary = host.imds.primary_mac(end)
    failures = []  # type: _Failures
    locks = []  # type: List[Lock]
    try:
        ours = [one for one in candidates if _is_up_to_us(host, one, primary)]
        ours = [one for one in ours if _lock(host, one.name, locks, failures)]
        enis = _read_all(host, ours, end, failures)
        with host.run_directory.lock():
            plans = _prepare_all(host, enis, primary, failures)
            try:
                finish(host, plans, asked)
                _record_devices(host, plans)
            except HostError as error:
                # It names the lines, and with them the interfaces, or the note that is not written.
                failures.append(("refresh", error))
    finally:
        for lock in locks:
            lock.__exit__()
    return plans, failures


def _candidates(host, look, name):
    # type: (Host, Look, Optional[str]) -> List[Interface]
    """Return the interfaces (or just `name`) that may be refreshed as far as this host knows."""
    found = [one for one in look.present if name in (None, one.name)]
    if name is not None and not found:
        raise HostError("{0}: there is no such interface".format(name))
    return [
        one
        for one in found
        # Whoever took one down wants it so.
        if not reason_to_leave(host.settings, one.device, None)
        and one.record.wish != (record.DOWN, one.device.index)
    ]


def _is_up_to_us(host, interface, primary):
    # type: (Host, Interface, str) -> bool
    device, configuration = interface.device, interface.configuration
    if not configuration.knobs.sync:
        return False
    if reason_to_ignore(host.settings, device, configuration):
        return False
    # At an ifup the file is what counts; what changed since is for the next tick.
    if is_being_brought_up(host, interface.name):
        return False
    # One that came in the place of another waits for its add, too.
    return device.mac == primary or is_for(configuration, device)


def _lock(host, name, locks, failures):
    # type: (Host, str, List[Lock], _Failures) -> bool
    """Take the lock of an interface; one that another run is at is up to that."""
    lock = host.run_directory.lock(name, 0.0)
    try:
        lock.__enter__()
    except LockHeld as error:
        log.debug("%s: %s", name, error)
        return False
    except HostError as error:
        failures.append((name, error))
        return False
    locks.append(lock)
    return True


def _read_all(host, interfaces, end, failures):
    # type: (Host, List[Interface], float, _Failures) -> List[Tuple[Interface, Eni]]
    """Return each interface with what metadata says of its ENI until the moment `end`."""
    found, primary = [], host.imds.primary_mac(end)
    for interface in interfaces:
        mac = interface.device.mac
        try:
            eni = host.imds.eni(mac, mac == primary, end)
        except MetadataInvalid as error:
            # What is wrong with one does not keep the others waiting.
            failures.append((interface.name, error))
            continue
        if eni is not None and not is_ignored(host.settings, eni.interface_id):
            found.append((interface, eni))
    return found


def _prepare_all(host, enis, primary, failures):
    # type: (Host, List[Tuple[Interface, Eni]], str, _Failures) -> List[Plan]
    """Write the files of all; the caller holds the lock, and brings the kernel there."""
    plans, planner = [], Planner(host)
    for interface, eni in enis:
        name, is_primary = interface.name, interface.device.mac == primary
        # What the one before has written is to be seen: the next may have to add to the same file.
        planner.look = Look(host)
        if not still_configured(planner.look.interface(name), interface.device, is_primary):
            continue
        try:
            plan = planner.for_eni(name, eni, is_primary)
            prepare(host, plan)
            plans.append(plan)
        except (MetadataUnavailable, MetadataInvalid, HostError) as error:
            failures.append((name, error))
    return plans


def _record_devices(host, plans):
    # type: (Host, List[Plan]) -> None
    """Record the devices that the distribution brought up, at the boot for example."""
    for plan in plans:
        if plan.live and not plan.is_primary:
            device = host.devices.device(plan.name)
            if device is not None and not record.read(host.run_directory, plan.name).device:
                record.change(host.run_directory, plan.name, device=device.index)
