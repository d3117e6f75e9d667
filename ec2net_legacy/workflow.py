"""The use cases. Each reads as its story: look, ask, decide, write."""
from __future__ import absolute_import, print_function, unicode_literals

import logging

from ec2net_legacy import desired, notes
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.distribution import (
    bring_up,
    forget_lock,
    hold,
    is_being_brought_up,
    take_down,
)
from ec2net_legacy.errors import (
    CommandError,
    Ec2netError,
    HostError,
    MetadataInvalid,
    MetadataUnavailable,
)
from ec2net_legacy.kernel import diff
from ec2net_legacy.plan import (
    IGNORED,
    INCOMPLETE,
    PRIMARY,
    KernelOnce,
    changed_files,
    devices_of,
    is_for,
    is_ignored,
    left_alone_plan,
    plan_for,
    primary_plan,
    reason_to_leave,
    record_of,
    remote_reason,
)
from ec2net_legacy.reconcile import apply_steps, carry_out

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, FrozenSet, List, Optional, Tuple

    from ec2net_legacy.model import Device, Eni, Rule
    from ec2net_legacy.plan import Host, Plan

_log = logging.getLogger(__name__)

# A driver sets the address within milliseconds of the device's appearance.
_MAC_WAIT = 5.0
_MAC_POLL = 0.05
# Another run needs a fraction of a second once it has read its metadata.
_LOCK_WAIT = 20.0


def add(host, name):
    # type: (Host, str) -> Plan
    """Write the configuration of `name`, and bring the kernel there if it is up already.

    The primary just gets its further addresses.
    """
    device = _settled_device(host, name)
    configuration = host.backend.configuration(name)
    reason = reason_to_leave(host.settings, device, configuration)
    if reason and not _may_be_primary(host, device, configuration):
        return left_alone_plan(name, reason, configuration)
    arrived = host.clock()
    patience = host.settings.metadata.attach_deadline + _LOCK_WAIT
    # From before metadata is read: of two runs the one with the newer reading writes last.
    with host.run_directory.lock(name, patience):
        asked = host.clock()
        if arrived < notes.metadata(host.run_directory, name, device.mac)[1] <= asked:
            # Events queue up at an attachment and at boot.
            return left_alone_plan(name, "a run that began after this event has just done it")
        is_primary = host.imds.primary_mac() == device.mac
        if is_primary:
            # It has been there from the start: nothing to wait for.
            eni = host.imds.primary_eni(device.mac)  # type: Optional[Eni]
        else:
            eni = host.imds.wait_for_eni(device.mac, lambda: _still_there(host, device))
        if eni is None:
            return left_alone_plan(name, INCOMPLETE)
        if is_ignored(host.settings, eni.interface_id):
            return left_alone_plan(name, "{0} is ignored by the settings".format(eni.interface_id))
        with host.run_directory.lock():
            found = _still_there(host, device)
            if notes.wish(host.run_directory, name, found.index) == notes.DOWN:
                notes.forget_wish(host.run_directory, name)
            plan = (primary_plan if is_primary else plan_for)(host, found, eni)
            if is_being_brought_up(host, name):
                # What an ifup is about to add must not be there before: it would fail over that.
                plan = plan._replace(live=False)
            carry_out(host, plan)
            notes.keep_metadata(host.run_directory, name, eni, asked)
            if not is_primary and host.run_directory.read(notes.device(name)) is None:
                host.run_directory.write(notes.device(name), str(found.index))
    return plan


def _still_there(host, device):
    # type: (Host, Device) -> Device
    """Return the device as it is now. Raises HostError if it is gone, or another has its name."""
    now = host.devices.device(device.name)  # type: Optional[Device]
    if now is None or (now.index, now.mac) != (device.index, device.mac):
        raise HostError("{0} vanished in the meantime: nothing changed".format(device.name))
    return now


def _may_be_primary(host, device, configuration):
    # type: (Host, Device, Any) -> bool
    """Return whether it is only its configuration that would leave the primary alone.

    The administrator's is what the primary always has.
    """
    if not configuration.knobs.sync or reason_to_leave(host.settings, device, None):
        return False
    try:
        return bool(host.imds.primary_mac() == device.mac)
    except MetadataUnavailable as error:
        _log.debug("%s: %s", device.name, error)
        return False


def remove(host, name):
    # type: (Host, str) -> Plan
    """Take away what was put into files and kernel for `name`, whose device may be gone."""
    return _remove(host, name, _is_to_be_down(host, name))


def _is_to_be_down(host, name):
    # type: (Host, str) -> bool
    """Return whether it is for the device that is there that `name` is taken down, on purpose.

    What a detachment leaves is taken away after it, when another card may have the name.
    """
    device = host.devices.device(name)  # type: Optional[Device]
    if device is None:
        return False
    if notes.wish(host.run_directory, name, device.index) == notes.DOWN:
        return True
    known = host.run_directory.read(notes.device(name))
    if known is None:
        configuration = host.backend.configuration(name)
        added = notes.added_addresses(host.run_directory, name)
        return bool(added) or is_for(configuration, device)
    return bool(known == "{0}".format(device.index))


def _remove(host, name, stays_down):
    # type: (Host, str, bool) -> Plan
    backend = host.backend
    reason = _reason_not_to_remove(host, name)
    if reason:
        return left_alone_plan(name, reason)
    configuration = backend.configuration(name)
    device = host.devices.device(name)  # type: Optional[Device]
    was_ours = bool(configuration.text)
    stray = [] if was_ours or device is not None else _stray_rules(host, name)
    was_ours = was_ours or bool(stray)
    ends_dhclient = was_ours and (backend.DHCLIENT_NEEDS_FILES or device is None)
    if ends_dhclient:
        host.end_dhclient(name)
    with host.run_directory.lock():
        configuration = backend.configuration(name)
        record = record_of(host, backend, name)
        if not configuration.knobs.sync or (
            configuration.keep and not notes.added_addresses(host.run_directory, name)
        ):
            return left_alone_plan(name, configuration.keep, configuration)
        record = record._replace(
            addresses=record.addresses + notes.added_addresses(host.run_directory, name)
        )
        nothing = record._replace(addresses=(), routes=(), rules=())
        files, before = {}, {}  # type: Tuple[Dict[str, Any], Dict[str, Any]]
        if not configuration.keep:
            files, before = changed_files(host, backend.files_without(name))
        steps = [diff.Change(False, rule) for rule in stray]  # type: List[diff.Change]
        if record.families:
            steps += diff.changes(nothing, record, host.kernel(record.families))
        plan = left_alone_plan(name, "")._replace(
            files=files, before=before, steps=steps, live=True
        )
        host.files.check(plan.files)
        # The kernel first: the file says what is still to be taken back if this is interrupted.
        apply_steps(host, plan.steps)
        host.files.put(plan.files)
        host.files.tidy(backend.leftovers(name))
        notes.forget(host.run_directory, name)
        if stays_down and device is not None:
            # Or the refresh would bring it up again.
            notes.keep_wish(host.run_directory, name, notes.DOWN, device.index)
    if ends_dhclient:
        # One that an ifup started in this very moment.
        host.end_dhclient(name)
    if was_ours and not host.has_dhclient(name):
        # The next ENI of that name would ask for this one's address.
        host.files.put(dict.fromkeys(backend.dhclient_files(name)))
    return plan


def up(host, name):
    # type: (Host, str) -> Plan
    """`add`, then the distribution's `ifup`; by the last good configuration if metadata fails."""
    device = host.devices.device(name)  # type: Optional[Device]
    if device is not None:
        notes.keep_wish(host.run_directory, name, notes.UP, device.index)
    plan = _up(host, name)
    notes.forget_wish(host.run_directory, name)
    return plan


def _up(host, name):
    # type: (Host, str) -> Plan
    problem = None  # type: Optional[Ec2netError]
    try:
        plan = add(host, name)
    except Ec2netError as error:
        if not is_configured(host, name):
            raise
        _log.warning("%s: %s; brought up as configured before", name, error)
        plan = left_alone_plan(name, "its configuration stays as it was")
        problem = error
    if not _is_ours(host, name) or plan.is_primary or plan.left_alone in (IGNORED, PRIMARY):
        return plan
    try:
        bring_up(host, name, plan)
    except CommandError:
        if plan.warning:
            _log.warning("%s: %s", name, plan.warning)
        raise
    notes.forget_wish(host.run_directory, name)
    if problem is not None and not isinstance(problem, MetadataUnavailable):
        raise problem
    return plan


def is_configured(host, name):
    # type: (Host, str) -> bool
    """Return whether the files are those of the device that has this name now."""
    device = host.devices.device(name)  # type: Optional[Device]
    configuration = host.backend.configuration(name)
    return device is not None and _is_ours(host, name) and is_for(configuration, device)


def down(host, name):
    # type: (Host, str) -> Plan
    """The distribution's `ifdown`, then `remove`, also when the former fails."""
    problem = None  # type: Optional[CommandError]
    # Until the end: of two for one detachment the second finds nothing any more.
    with hold(host, name):
        stays_down = _is_to_be_down(host, name)
        if _is_ours(host, name) and not _reason_not_to_remove(host, name):
            try:
                take_down(host, name)
            except CommandError as error:
                problem = error
        plan = _remove(host, name, stays_down)
        forget_lock(host, name)
    if problem is not None:
        raise problem
    return plan


def _stray_rules(host, name):
    # type: (Host, str) -> List[Rule]
    """Return the rules of an interface that is gone with its files.

    Debian's own ifup adds them when it has read a file that a removal was about to take away, as
    for a card that comes back within seconds.
    """
    offset = desired.offset_by_name(name)
    if offset is None:
        return []
    table, priority = host.settings.table_base + offset, host.settings.priority_base + offset
    if table in host.backend.tables().values():
        return []
    rules = host.kernel([4, 6]).rules
    return sorted(rule for rule in rules if (rule.table, rule.priority) == (table, priority))


def detach(host, name):
    # type: (Host, str) -> Plan
    """`down` for a device that is gone, `remove` for one that is (still, or again) there."""
    return (remove if host.devices.device(name) is not None else down)(host, name)


def _reason_not_to_remove(host, name):
    # type: (Host, str) -> str
    """Return why an interface must not be taken away, "" if it may.

    The primary may have the file of an older tool, which only metadata can tell from an ENI's.
    """
    device = host.devices.device(name)
    if is_ignored(host.settings, name) or (
        device is not None and is_ignored(host.settings, device.mac)
    ):
        return IGNORED
    if device is None or not host.backend.configuration(name).inherited:
        return ""
    try:
        is_primary = host.imds.primary_mac() == device.mac
    except MetadataUnavailable as error:
        return "its files are an older tool's, and it may be the primary: {0}".format(error)
    return PRIMARY if is_primary else ""


def _is_ours(host, name):
    # type: (Host, str) -> bool
    configuration = host.backend.configuration(name)
    return bool(configuration.exists and not configuration.keep)


def survey(host, name=None):
    # type: (Host, Optional[str]) -> Tuple[List[Tuple[Device, Plan]], Optional[Ec2netError]]
    """Return each device (or just `name`) with the plan for it, and why metadata is missing, if so.

    Reads metadata and kernel once for all and changes nothing. Without metadata the plans say only
    what this host knows by itself.
    """
    devices = devices_of(host) if name is None else [_settled_device(host, name)]
    problem = None  # type: Optional[Ec2netError]
    unavailable = ""
    listed, primary = frozenset(), ""  # type: FrozenSet[str], str
    try:
        listed, primary = frozenset(host.imds.macs()), host.imds.primary_mac()
    except MetadataUnavailable as error:
        problem, unavailable = error, str(error)
    kernel, chosen = KernelOnce(host), {}  # type: KernelOnce, Dict[str, int]
    found = []
    for device in devices:
        configuration = host.backend.configuration(device.name)
        local = reason_to_leave(host.settings, device, configuration)
        if unavailable:
            plan = left_alone_plan(device.name, local or unavailable)._replace(unknown=not local)
            found.append((device, plan))
            continue
        try:
            plan = _survey_device(host, device, local, listed, primary, kernel, chosen)
        except (MetadataInvalid, MetadataUnavailable) as error:
            # The other interfaces are of interest all the same.
            problem = error
            plan = left_alone_plan(device.name, str(error))._replace(unknown=True)
        found.append((device, plan))
    return found, problem


def _survey_device(host, device, local, listed, primary, kernel, chosen):  # noqa: PLR0913
    # type: (Host, Device, str, FrozenSet[str], str, KernelOnce, Dict[str, int]) -> Plan
    """Return the plan for one device; `local` is why this host's own knowledge leaves it alone."""
    eni = None
    is_primary = device.mac == primary
    if device.mac in listed and not device.kind:
        eni = host.imds.eni(device.mac, is_primary)
    reason = remote_reason(host.settings, device, listed, eni)
    if is_primary:
        # Its configuration is the administrator's, and is left alone in any case.
        configuration = host.backend.configuration(device.name)
        local = reason_to_leave(host.settings, device, None)
        local = local or ("" if configuration.knobs.sync else configuration.keep)
    if local or reason or eni is None:
        return left_alone_plan(device.name, local or reason)._replace(eni=eni)
    if is_primary:
        return primary_plan(host, device, eni, kernel)
    return plan_for(host, device, eni, kernel, chosen)


def _settled_device(host, name):
    # type: (Host, str) -> Device
    """Return the device once its driver has set a MAC address."""
    end = host.clock() + _MAC_WAIT
    while True:
        device = host.devices.device(name)  # type: Optional[Device]
        if device is None:
            raise HostError("{0}: there is no such interface".format(name))
        if device.mac or device.kind:
            return device
        if host.clock() >= end:
            raise HostError("{0} has no MAC address after {1:.0f} s".format(name, _MAC_WAIT))
        host.sleep(_MAC_POLL)
