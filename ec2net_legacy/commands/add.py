"""An ENI has come: write its configuration, and bring it up."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import log, record
from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.act import carry_out
from ec2net_legacy.commands.propose import Planner, still_there
from ec2net_legacy.errors import CommandError, Ec2netError, HostError, MetadataUnavailable
from ec2net_legacy.lifecycle import bring_up, is_being_brought_up
from ec2net_legacy.look import Look
from ec2net_legacy.ownership import (
    INCOMPLETE,
    IS_CONFIGURED,
    IS_KEPT,
    Reason,
    has_our_files,
    ignored_eni,
    is_for,
    is_ignored,
    reason_to_leave,
)
from ec2net_legacy.plan import nothing

if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple

    from ec2net_legacy.look import Interface
    from ec2net_legacy.model import Device, Eni
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.ports import Host

# Seconds. A driver sets the address within milliseconds of the device's appearance.
_MAC_WAIT = 5.0
_MAC_POLL = 0.05
# Another run needs a fraction of a second once it has read its metadata; a slow host many times
# that.
_LOCK_WAIT = 60.0
# How long all of ec2ifup may take, which is handed down to whatever waits. What all ENIs share is
# done after that, and then systemd would end the unit (TimeoutStartSec=500), but not an ifup of it.
UP_TIME = 360.0
# Of that what an ifup needs, which metadata does not take away from it.
_IFUP_TIME = 60.0
_NEVER = float("inf")

Begun = namedtuple("Begun", ["plan", "problem", "was_known", "since"])
"""What came of an `up` so far. `plan`: the plan that was carried out; `problem`: the error that
left all as it was, None for none; `was_known`: whether the device was recorded before; `since`:
from when on, by the clock, the files are in place."""

_JUST_DONE = Reason(IS_CONFIGURED, "a run that began after this event has just done it")
_AS_BEFORE = Reason(IS_CONFIGURED, "its configuration stays as it was")


def add(host, name, end=_NEVER):
    # type: (Host, str, float) -> Plan
    """Write the configuration of `name`, and bring the kernel there if it is up already.

    The primary just gets its further addresses. Nothing is waited for beyond the moment `end` of
    the clock. Raises Ec2netError.
    """
    device = settled_device(host, name)
    interface = Look(host).interface(name, device)
    reason = reason_to_leave(host.settings, device, interface.configuration)
    # The administrator's configuration is what the primary always has.
    if reason and not (reason.kind == IS_KEPT and _may_be_primary(host, interface)):
        return nothing(name, reason, interface.configuration)
    arrived = host.clock()
    patience = host.settings.metadata.attach_deadline + _LOCK_WAIT
    # The lock is taken before metadata is read: of two runs the one with the newer reading writes
    # last.
    with host.run_directory.lock(name, min(patience, max(end - arrived, 0.0))):
        asked = host.clock()
        if _was_just_done(host, device, arrived, asked):
            return nothing(name, _JUST_DONE)
        is_primary = host.imds.primary_mac() == device.mac
        if is_primary:
            # It has been there from the start: nothing to wait for.
            eni = host.imds.primary_eni(device.mac)  # type: Optional[Eni]
        else:
            eni = host.imds.wait_for_eni(device.mac, lambda: _may_wait(host, device, end))
        if eni is None:
            return nothing(name, INCOMPLETE)
        if is_ignored(host.settings, eni.interface_id):
            return nothing(name, ignored_eni(eni.interface_id))
        with host.run_directory.lock():
            return _add(host, device, eni, asked)


def _add(host, device, eni, asked):
    # type: (Host, Device, Eni, float) -> Plan
    """Carry out what metadata says now; the caller holds both locks."""
    is_primary = host.imds.primary_mac() == device.mac
    name, found = device.name, _still_there(host, device)
    look = Look(host)
    known = look.interface(name, found).record
    plan = Planner(host, look).for_eni(name, eni, is_primary)
    if is_being_brought_up(host, name):
        # What an ifup is about to add must not be there before: it would fail over that.
        plan = plan._replace(live=False)
    carry_out(host, plan, asked)
    fields = {}  # type: Dict[str, Any]
    if known.wish is not None and known.wish == (record.DOWN, found.index):
        fields["wish"] = None
    if not is_primary and not known.device:
        fields["device"] = found.index
    record.change(host.run_directory, name, **fields)
    return plan


def _was_just_done(host, device, arrived, asked):
    # type: (Host, Device, float, float) -> bool
    """Return whether a run has read metadata since this one's event.

    Events queue up at an attachment and at boot.
    """
    reading = record.read(host.run_directory, device.name).reading
    if reading is None or reading.eni.mac != device.mac:
        return False
    return bool(arrived < reading.asked <= asked)


def _may_wait(host, device, end):
    # type: (Host, Device, float) -> None
    """Raise what ends the waiting for metadata: the device is gone, or the time is over."""
    _still_there(host, device)
    if host.clock() >= end:
        raise MetadataUnavailable(
            "metadata does not describe {0} completely, and the time is over".format(device.name)
        )


def _still_there(host, device):
    # type: (Host, Device) -> Device
    now = still_there(host, device)
    if now is None:
        raise HostError("{0} vanished in the meantime: nothing changed".format(device.name))
    return now


def _may_be_primary(host, interface):
    # type: (Host, Interface) -> bool
    """Return whether it is only its configuration that would leave the primary alone."""
    if not interface.configuration.knobs.sync:
        return False
    try:
        return bool(host.imds.primary_mac() == interface.device.mac)
    except MetadataUnavailable as error:
        log.debug("%s: %s", interface.name, error)
        return False


def up(host, name):
    # type: (Host, str) -> Plan
    """`add`, then the distribution's `ifup`; by the last good configuration if metadata fails."""
    end = host.clock() + UP_TIME
    return finish_up(host, name, begin_up(host, name, end), end)


def begin_up(host, name, end):
    # type: (Host, str, float) -> Begun
    """Do what comes before the `ifup`; `end`: when, by the clock, that is to be over as well.

    Raises Ec2netError.
    """
    device = host.devices.device(name)  # type: Optional[Device]
    if device is not None:
        wish = record.Wish(record.UP, device.index)
        record.change(host.run_directory, name, wish=wish)
    problem = None  # type: Optional[Ec2netError]
    # A first `add` records the device that is to be brought up.
    was_known = bool(record.read(host.run_directory, name).device)
    try:
        plan = add(host, name, end - _IFUP_TIME)
    except Ec2netError as error:
        if not is_configured(Look(host).interface(name)):
            raise
        log.warning("%s: %s; brought up as configured before", name, error)
        plan = nothing(name, _AS_BEFORE)
        problem = error
    return Begun(plan, problem, was_known, host.clock())


def finish_up(host, name, begun, end):
    # type: (Host, str, Begun, float) -> Plan
    """Bring `name` up before the moment `end` of the clock. Raises Ec2netError."""
    plan = _brought_up(host, begun, end)
    record.change(host.run_directory, name, wish=None)
    return plan


def _brought_up(host, begun, end):
    # type: (Host, Begun, float) -> Plan
    plan, problem = begun.plan, begun.problem  # type: Plan, Optional[Ec2netError]
    name = plan.name
    if plan.is_passed_by or plan.is_primary:
        return plan
    if not has_our_files(Look(host).interface(name).configuration):
        return plan
    try:
        bring_up(host, plan, end, begun.was_known, begun.since)
    except CommandError:
        if plan.warning:
            log.warning("%s: %s", name, plan.warning)
        raise
    if problem is not None and not isinstance(problem, MetadataUnavailable):
        record.change(host.run_directory, name, wish=None)
        raise problem
    return plan


def is_configured(interface):
    # type: (Interface) -> bool
    """Return whether the files are ours, and those of the device that has this name now."""
    device, configuration = interface.device, interface.configuration
    return device is not None and has_our_files(configuration) and is_for(configuration, device)


def settled_device(host, name):
    # type: (Host, str) -> Device
    """Return the device once its driver has set a MAC address. Raises HostError."""
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
