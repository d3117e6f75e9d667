"""dhclient got, kept or lost a lease.

Bring the interface in step within the few seconds that its hook has.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import log, record
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.act import apply_steps, carry_out
from ec2net_legacy.commands.propose import Planner, still_configured
from ec2net_legacy.errors import CommandError, HostError, MetadataInvalid, MetadataUnavailable
from ec2net_legacy.kernel import diff
from ec2net_legacy.look import Look
from ec2net_legacy.ownership import (
    IS_OTHER,
    Reason,
    is_for,
    is_ignored,
    reason_to_ignore,
    reason_to_leave,
)
from ec2net_legacy.plan import AtLease, lacking, nothing

if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    from ec2net_legacy.event import LeaseEvent
    from ec2net_legacy.host.rundir import Lock
    from ec2net_legacy.kernel.parse import KernelState
    from ec2net_legacy.look import Interface
    from ec2net_legacy.model import Device, Eni, InterfaceState
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.ports import Host

# Seconds. A router's advertisement comes within one of the link.
_ROUTER_WAIT = 3.0
_ROUTER_POLL = 0.2
# A boot does not wait longer than that for metadata that comes late.
_AT_BOOT = 1.0
# Of the time that a lease's event has, what the rest of the run needs beside waiting.
RESERVE = 1.0

_NOT_OURS = Reason(IS_OTHER, "it is none of ours")


class _Run(object):
    """One lease event under way: what it is about, until when, and the steps taken so far."""

    def __init__(self, host, event, within):
        # type: (Host, LeaseEvent, float) -> None
        self.host = host
        self.event = event
        self.name = event.interface
        self.end = host.clock() + within - RESERVE
        # ifup has read the files already, and takes back what ifdown finds there.
        self.ancestors = frozenset(host.ancestors())
        self.by_ifup = False
        self.steps = []  # type: List[diff.Change]

    @property
    def left(self):
        # type: () -> float
        """How many seconds are left for waiting."""
        return max(self.end - self.host.clock(), 0.0)

    def lock(self):
        # type: () -> Lock
        """The host's lock, which is waited for as long as there is time."""
        return self.host.run_directory.lock(wait=self.left)

    def remember(self, **fields):
        # type: (object) -> None
        """Record something about the interface."""
        record.change(self.host.run_directory, self.name, self.left, **fields)


def lease(host, event, within):
    # type: (Host, LeaseEvent, float) -> Plan
    """Bring an interface in step when it got, kept or lost its lease; in `within` seconds.

    First by its files alone, which takes no time, then by metadata; what that has no answer for in
    time is the refresh's. Raises CommandError where the kernel did not become what it was to be.
    """
    run = _Run(host, event, within)
    try:
        return _lease(run)
    except CommandError:
        # Not a matter of time.
        raise
    except (MetadataUnavailable, MetadataInvalid, HostError) as error:
        log.warning("%s: left to the refresh: %s", run.name, error)
        return nothing(run.name, None)._replace(steps=run.steps, live=True)


def _lease(run):
    # type: (_Run) -> Plan
    host, name = run.host, run.name
    look = Look(host)
    if run.ancestors & look.distribution.DOWN_PROGRAMS:
        run.remember(lease=None, lease6=False)
        return nothing(name, Reason(IS_OTHER, "ifdown takes it back"))
    interface = look.interface(name)
    if _is_left_alone(host, interface):
        return nothing(name, _NOT_OURS)
    # Also the primary may have the file of an older tool, and in another network namespace there
    # may be another device of that name.
    configuration = interface.configuration
    is_ours = is_for(configuration, interface.device) and not configuration.inherited
    if run.event.action == "lost":
        return _lost(run, is_ours)
    run.by_ifup = bool(run.ancestors & look.distribution.UP_PROGRAMS)
    problem = None  # type: Optional[CommandError]
    if is_ours:
        try:
            _by_files(run)
        except CommandError as error:
            # Metadata may know better than the files.
            problem = error
        _remember(run, interface.device)
    found = None  # type: Optional[Plan]
    if run.by_ifup:
        run.end = min(run.end, host.clock() + _AT_BOOT)
    # ifup has read the files already; what changed since is the refresh's.
    if not (run.by_ifup and is_ours):
        found = _by_metadata(run, interface.device, is_ours)
    if found is None and problem is not None:
        raise problem
    plan = found or nothing(name, None if is_ours else _NOT_OURS)._replace(live=True)
    return plan._replace(steps=run.steps + plan.steps)


def _is_left_alone(host, interface):
    # type: (Host, Interface) -> bool
    device, configuration = interface.device, interface.configuration
    return bool(
        device is None
        or reason_to_leave(host.settings, device, None)
        or reason_to_ignore(host.settings, device, configuration)
        or interface.record.wish == (record.DOWN, device.index)
        or not configuration.knobs.sync
    )


def _remember(run, device):
    # type: (_Run, Device) -> None
    fields = {}
    if run.event.lease is not None:
        fields["lease"] = run.event.lease
    if run.event.family == 6:
        fields["lease6"] = True
    if run.by_ifup:
        # Whoever's ifup it is, it is this device that it brings up.
        fields["device"] = device.index
    run.remember(**fields)


def _lost(run, is_ours):
    # type: (_Run, bool) -> Plan
    """Take back rules and further addresses; the routes go with the lease's address."""
    name, family = run.name, run.event.family
    with run.lock():
        interface = Look(run.host).interface(name)
        known = interface.record
        if is_ours:
            ours = record.merged(name, known, interface.filed).of_family(family)
            if family == 4:
                run.remember(lease=None)
            else:
                run.remember(lease6=False)
        else:
            # Only the primary's further addresses are in no file.
            added = record.NOTHING._replace(addresses=record.added_to_primary(known))
            ours = record.merged(name, added).of_family(family)
        if not ours.families:
            return nothing(name, Reason(IS_OTHER, "nothing was added to it"))
        left = ours._replace(addresses=(), rules=())
        steps = diff.changes(left, ours, run.host.kernel([family]))
        steps = [step for step in steps if not step.completes]
        apply_steps(run.host, steps)
        if not is_ours:
            run.remember(addresses=tuple(one for one in known.addresses if one.family != family))
    return nothing(name, None)._replace(steps=steps, live=True)


def _by_files(run):
    # type: (_Run) -> None
    """Add what the files of an ENI say and the kernel lacks."""
    host, family = run.host, run.event.family
    router_end = min(host.clock() + _ROUTER_WAIT, run.end)
    while True:
        with run.lock():
            # What the files say now, not what earlier ones said as well.
            look = Look(host)
            interface = look.interface(run.name)
            filed = interface.filed.of_family(family)
            if not filed.rules:
                return
            hook_adds = look.distribution.HOOK_ADDS_ADDRESSES
            at_lease = AtLease(run.by_ifup, hook_adds, look.in_main6(interface))
            changes, learned = lacking(filed, host.kernel([family]), at_lease)
            apply_steps(host, changes)
        run.steps += changes
        # DHCPv6 may be faster than the router's advertisement.
        if family == 4 or learned or host.clock() >= router_end:
            return
        host.sleep(_ROUTER_POLL)


def _by_metadata(run, device, is_ours):
    # type: (_Run, Device, bool) -> Optional[Plan]
    """Bring one interface in step with metadata; None where it is none of ours."""
    host, name = run.host, run.name
    arrived = host.clock()
    with host.run_directory.lock(name, run.left):
        reading = record.read(host.run_directory, name).reading
        host.imds.recall(reading, device.mac)
        eni, asked = _known_metadata(host, device, reading, arrived)
        if not is_ours and host.imds.primary_mac(run.end) != device.mac:
            return None
        if eni is None:
            eni = host.imds.eni(device.mac, not is_ours, run.end)
        if eni is None or is_ignored(host.settings, eni.interface_id):
            return None
        with run.lock():
            look = Look(host)
            if not still_configured(look.interface(name), device, not is_ours):
                return None
            plan = Planner(host, look, trusts_reading=True).for_eni(name, eni, not is_ours)
            if plan.acts:
                # Others may have changed the kernel since it was read for the files.
                plan = Planner(host, look).for_eni(name, eni, not is_ours)
            carry_out(host, plan, asked)
    return plan


def _known_metadata(host, device, reading, arrived):
    # type: (Host, Device, Optional[record.Reading], float) -> Tuple[Optional[Eni], float]
    """Return what another run has read of this ENI since the event or a moment before, None if none
    has, and when.

    Else the time is that of this very moment, at which metadata is going to be asked.
    """
    now = host.clock()
    if reading is None or reading.eni.mac != device.mac or reading.asked > now:
        return None, now
    if reading.asked <= now - host.settings.metadata.reuse and reading.asked < arrived:
        return None, now
    return reading.eni, reading.asked
