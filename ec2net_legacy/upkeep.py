"""Keeping what is configured in step: lease events and the refresh."""
from __future__ import absolute_import, print_function, unicode_literals

import logging

from ec2net_legacy import desired, notes
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.distribution import is_being_brought_up
from ec2net_legacy.errors import (
    CommandError,
    Ec2netError,
    HostError,
    LockHeld,
    MetadataInvalid,
    MetadataUnavailable,
)
from ec2net_legacy.kernel import diff
from ec2net_legacy.model import InterfaceState
from ec2net_legacy.plan import (
    KernelOnce,
    devices_of,
    is_for,
    is_ignored,
    left_alone_plan,
    plan_for,
    primary_plan,
    reason_to_leave,
    record_of,
)
from ec2net_legacy.reconcile import apply_steps, carry_out, finish, prepare

if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

    from ec2net_legacy.event import LeaseEvent
    from ec2net_legacy.host.rundir import Lock
    from ec2net_legacy.model import Device, Eni
    from ec2net_legacy.plan import Host, Plan

_log = logging.getLogger(__name__)

# A router's advertisement comes within a second of the link.
_ROUTER_WAIT = 3.0
_ROUTER_POLL = 0.2
# A boot does not wait longer than that for metadata that comes late.
_AT_BOOT = 1.0
# Reading takes a few milliseconds a key; a tick is over before the next but one.
_LONGEST_READING = 30.0
# Of the time that a lease's event has, what the rest of the run needs beside waiting.
_RESERVE = 1.0
_NOT_OURS = "it is none of ours"


def lease(host, event, within):
    # type: (Host, LeaseEvent, float) -> Plan
    """Bring an interface in step when it got, kept or lost its lease; in `within` seconds.

    First by its files alone, which takes no time, then by metadata; what that has no answer for in
    time is the refresh's.
    """
    name = event.interface
    end = host.clock() + within - _RESERVE
    steps = []  # type: List[diff.Change]
    try:
        return _lease(host, event, end, steps)
    except CommandError:
        # Not a matter of time.
        raise
    except (MetadataUnavailable, MetadataInvalid, HostError) as error:
        _log.warning("%s: left to the refresh: %s", name, error)
        return left_alone_plan(name, "")._replace(steps=steps, live=True)


def _lease(host, event, end, steps):
    # type: (Host, LeaseEvent, float, List[diff.Change]) -> Plan
    """The same; `steps` are the ones taken, also when this ends with an error."""
    name, backend = event.interface, host.backend
    running = frozenset(host.ancestors())
    if running & backend.DOWN_PROGRAMS:
        notes.keep_lease(host.run_directory, name, None)
        return left_alone_plan(name, "ifdown takes it back")
    device = host.devices.device(name)  # type: Optional[Device]
    configuration = backend.configuration(name)
    if (
        device is None
        or reason_to_leave(host.settings, device, None)
        or _is_to_be_down(host, device)
        or not configuration.knobs.sync
    ):
        return left_alone_plan(name, _NOT_OURS)
    # Also the primary may have the file of an older tool, and in another network namespace there
    # may be another device of that name.
    is_ours = is_for(configuration, device) and not configuration.inherited
    if event.action == "lost":
        return _lost(host, event, is_ours, end)
    by_ifup = bool(running & backend.UP_PROGRAMS)
    problem = None  # type: Optional[CommandError]
    if is_ours:
        try:
            _by_files(host, event, by_ifup, end, steps)
        except CommandError as error:
            # Metadata may know better than the files.
            problem = error
    if is_ours:
        _note(host, event, device, by_ifup)
    found = None  # type: Optional[Plan]
    if by_ifup:
        end = min(end, host.clock() + _AT_BOOT)
    # ifup has read the files already; what changed since is the refresh's.
    if not (by_ifup and is_ours):
        found = _by_metadata(host, device, is_ours, end)
    if found is None and problem is not None:
        raise problem
    plan = found or left_alone_plan(name, "" if is_ours else _NOT_OURS)._replace(live=True)
    return plan._replace(steps=steps + plan.steps)


def _note(host, event, device, by_ifup):
    # type: (Host, LeaseEvent, Device, bool) -> None
    if event.lease is not None:
        notes.keep_lease(host.run_directory, device.name, event.lease)
    if by_ifup:
        # Whoever's ifup it is, it is this device that it brings up.
        notes.keep_device(host.run_directory, device)


def _lost(host, event, is_ours, end):
    # type: (Host, LeaseEvent, bool, float) -> Plan
    """Take back rules and further addresses; the routes go with the lease's address."""
    name = event.interface
    with host.run_directory.lock(wait=max(end - host.clock(), 0.0)):
        record = record_of(host, host.backend, name) if is_ours else _nothing(name)
        added = notes.added_addresses(host.run_directory, name)
        record = record._replace(addresses=record.addresses + added).of_family(event.family)
        if event.family == 4 and is_ours:
            notes.keep_lease(host.run_directory, name, None)
        if not record.families:
            return left_alone_plan(name, "nothing was added to it")
        left = record._replace(addresses=(), rules=())
        steps = diff.changes(left, record, host.kernel([event.family]))
        steps = [step for step in steps if not step.completes]
        apply_steps(host, steps)
        notes.keep_addresses(
            host.run_directory, name, [one for one in added if one.family != event.family]
        )
    return left_alone_plan(name, "")._replace(steps=steps, live=True)


def _nothing(name):
    # type: (str) -> InterfaceState
    return InterfaceState(name, 0, "", (), (), ())


def _by_files(host, event, by_ifup, end, steps):
    # type: (Host, LeaseEvent, bool, float, List[diff.Change]) -> None
    """Add what the files of an ENI say and the kernel lacks."""
    name, family = event.interface, event.family
    router_end = min(host.clock() + _ROUTER_WAIT, end)
    while True:
        with host.run_directory.lock(wait=max(end - host.clock(), 0.0)):
            # What the files say now, not what earlier ones said as well.
            text = host.backend.configuration(name).text
            filed = host.backend.recorded(name, text).of_family(family)
            if not filed.rules:
                return
            has = host.kernel([family])
            learned = desired.with_learned_router(filed, has.routes).routes[len(filed.routes) :]
            wanted = _beside_ifup(host, filed) if by_ifup else filed
            wanted = wanted._replace(routes=wanted.routes + learned)
            changes = [step for step in diff.changes(wanted, wanted, has) if step.completes]
            if by_ifup and host.backend.HOOK_ADDS_ADDRESSES:
                # Files that can only add leave the kernel's own route beside theirs.
                gone = diff.replaced(name, filed.routes, has)
                changes += [diff.Change(False, route) for route in gone]
            apply_steps(host, changes)
        steps += changes
        # DHCPv6 may be faster than the router's advertisement.
        if family == 4 or learned or host.clock() >= router_end:
            return
        host.sleep(_ROUTER_POLL)


def _beside_ifup(host, filed):
    # type: (Host, InterfaceState) -> InterfaceState
    """Return what `ifup` does not add itself from the files once it has the lease.

    Kernels before 4.8 would take a rule twice.
    """
    addresses = filed.addresses if host.backend.HOOK_ADDS_ADDRESSES else ()
    return filed._replace(routes=(), rules=(), addresses=addresses)


def _by_metadata(host, device, is_ours, end):
    # type: (Host, Device, bool, float) -> Optional[Plan]
    """Bring one interface in step with metadata until `end`; None where it is none of ours."""
    name = device.name
    arrived = host.clock()
    host.imds.hurry(end)
    with host.run_directory.lock(name, max(end - arrived, 0.0)):
        asked = host.clock()
        eni, before = notes.metadata(host.run_directory, name, device.mac)
        if before > asked or (
            before <= asked - host.settings.metadata.reuse and before < arrived
        ):
            eni = None
        if not is_ours and host.imds.primary_mac() != device.mac:
            return None
        if eni is None:
            eni = host.imds.eni(device.mac, not is_ours)
        else:
            asked = before
        if eni is None or is_ignored(host.settings, eni.interface_id):
            return None
        with host.run_directory.lock(wait=max(end - host.clock(), 0.0)):
            found = _still_there(host, device, not is_ours)
            if found is None:
                return None
            plan = (plan_for if is_ours else primary_plan)(host, found, eni)
            carry_out(host, plan)
            notes.keep_metadata(host.run_directory, name, eni, asked)
    return plan


def _still_there(host, device, is_primary):
    # type: (Host, Device, bool) -> Optional[Device]
    """Return the device as it is now; None if it or its configuration went while metadata was read.

    The caller holds the lock that a remove needs.
    """
    found = host.devices.device(device.name)  # type: Optional[Device]
    configuration = host.backend.configuration(device.name)
    if found is None or found.mac != device.mac or not configuration.knobs.sync:
        return None
    return found if is_primary or configuration.text else None


def refresh(host, name=None):
    # type: (Host, Optional[str]) -> Tuple[List[Plan], List[Tuple[str, Ec2netError]]]
    """Bring every configured ENI and the primary (or just `name`) in step with metadata.

    One session, one reading of the kernel and one `ip` a family for all. Without metadata
    nothing is changed at all. Returns the plans, and what failed where.
    """
    failures = []  # type: List[Tuple[str, Ec2netError]]
    locks = []  # type: List[Lock]
    devices = _candidates(host, name)
    if not devices:
        return [], []
    asked = host.clock()
    host.imds.hurry(asked + _LONGEST_READING)
    primary = host.imds.primary_mac()
    try:
        ours = _lock_all(host, devices, primary, locks, failures)
        enis = _read_all(host, ours, primary, failures)
        plans = []  # type: List[Plan]
        with host.run_directory.lock():
            kernel = KernelOnce(host)
            chosen = {}  # type: Dict[str, int]
            for device, eni in enis:
                found = _still_there(host, device, device.mac == primary)
                if found is None:
                    continue
                try:
                    if device.mac == primary:
                        plan = primary_plan(host, found, eni, kernel)
                    else:
                        plan = plan_for(host, found, eni, kernel, chosen)
                    # At once: the next one may have to add to the same file.
                    prepare(host, plan)
                    plans.append(plan)
                except (MetadataUnavailable, MetadataInvalid, HostError) as error:
                    failures.append((device.name, error))
            try:
                finish(host, plans)
                for plan in plans:
                    notes.keep_metadata(host.run_directory, plan.name, plan.eni, asked)
                _note_devices(host, plans)
            except CommandError as error:
                # It names the lines, and with them the interfaces.
                failures.append(("refresh", error))
    finally:
        for lock in locks:
            lock.__exit__()
    return plans, failures


def _note_devices(host, plans):
    # type: (Host, List[Plan]) -> None
    """Note the devices that the distribution brought up, at the boot for example."""
    for plan in plans:
        if plan.live and not plan.is_primary:
            device = host.devices.device(plan.name)  # type: Optional[Device]
            if device is not None and host.run_directory.read(notes.device(plan.name)) is None:
                notes.keep_device(host.run_directory, device)


def _candidates(host, name):
    # type: (Host, Optional[str]) -> List[Device]
    """Return the devices (or just `name`) that may be refreshed as far as this host knows.

    Whoever took one down wants it so.
    """
    devices = devices_of(host)
    if name is not None:
        devices = [device for device in devices if device.name == name]
        if not devices:
            raise HostError("{0}: there is no such interface".format(name))
    return [
        device
        for device in devices
        if not reason_to_leave(host.settings, device, None) and not _is_to_be_down(host, device)
    ]


def _is_to_be_down(host, device):
    # type: (Host, Device) -> bool
    return notes.wish(host.run_directory, device.name, device.index) == notes.DOWN


def _lock_all(host, devices, primary, locks, failures):  # noqa: PLR0913
    # type: (Host, List[Device], str, List[Lock], List[Tuple[str, Ec2netError]]) -> List[Device]
    """Return the devices to look at; one that another run is at is up to that."""
    ours = []
    for device in devices:
        configuration = host.backend.configuration(device.name)
        # An ENI without a configuration waits for its add.
        if not configuration.knobs.sync:
            continue
        # At an ifup the file is what counts; what changed since is for the next tick.
        if is_being_brought_up(host, device.name):
            continue
        # So does one that came in the place of another.
        if device.mac != primary and not is_for(configuration, device):
            continue
        lock = host.run_directory.lock(device.name, 0.0)
        try:
            lock.__enter__()
        except LockHeld as error:
            _log.debug("%s: %s", device.name, error)
            continue
        except HostError as error:
            failures.append((device.name, error))
            continue
        locks.append(lock)
        ours.append(device)
    return ours


def _read_all(host, devices, primary, failures):
    # type: (Host, List[Device], str, List[Tuple[str, Ec2netError]]) -> List[Tuple[Device, Eni]]
    found = []
    for device in devices:
        try:
            eni = host.imds.eni(device.mac, device.mac == primary)
        except MetadataInvalid as error:
            # What is wrong with one does not keep the others waiting.
            failures.append((device.name, error))
            continue
        if eni is not None and not is_ignored(host.settings, eni.interface_id):
            found.append((device, eni))
    return found
