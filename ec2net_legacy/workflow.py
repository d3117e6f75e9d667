"""The use cases. Each reads as its story: look, ask, decide, write."""
from __future__ import absolute_import, print_function, unicode_literals

import logging

from ec2net_legacy import desired
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import (
    CommandError,
    Ec2netError,
    HostError,
    MetadataInvalid,
    MetadataUnavailable,
)
from ec2net_legacy.host import selinux
from ec2net_legacy.kernel import diff, iproute
from ec2net_legacy.plan import (
    added_note,
    changed_files,
    is_ignored,
    left_alone_plan,
    plan_for,
    reason_to_leave,
    record_of,
    remote_reason,
)

if TYPE_CHECKING:
    from typing import Dict, FrozenSet, Iterable, List, Optional, Tuple

    from ec2net_legacy.kernel.parse import KernelState
    from ec2net_legacy.model import Device, InterfaceState
    from ec2net_legacy.plan import Host, Plan

_log = logging.getLogger(__name__)

# A driver sets the address within milliseconds of the device's appearance.
_MAC_WAIT = 5.0
_MAC_POLL = 0.05
# Another run needs a fraction of a second once it has read its metadata.
_LOCK_WAIT = 20.0
# The hook gives a lease's event five seconds.
_LEASE_LOCK_WAIT = 4.0
# A router's advertisement comes within a second of the link.
_ROUTER_WAIT = 3.0
_ROUTER_POLL = 0.2


def add(host, name):
    # type: (Host, str) -> Plan
    """Write the configuration of `name`, and bring the kernel there if it is up already."""
    device = _settled_device(host, name)
    backend = host.backend
    configuration = backend.configuration(name)
    reason = reason_to_leave(host.settings, device, configuration)
    if reason:
        return left_alone_plan(name, reason, configuration)
    # From before metadata is read: of two runs the one with the newer reading writes last.
    patience = host.settings.metadata.attach_deadline + _LOCK_WAIT
    with host.run_directory.lock(name, patience):
        if host.imds.primary_mac() == device.mac:
            return left_alone_plan(name, "it is the primary interface")
        eni = host.imds.wait_for_eni(device.mac)
        if is_ignored(host.settings, eni.interface_id):
            return left_alone_plan(name, "{0} is ignored by the settings".format(eni.interface_id))
        with host.run_directory.lock():
            found = host.devices.device(name)
            if found is None or found.mac != device.mac:
                raise HostError("{0} vanished in the meantime: nothing changed".format(name))
            plan = plan_for(host, backend, found, eni)
            _carry_out(host, plan)
            if host.run_directory.read(_device_note(name)) is None:
                host.run_directory.write(_device_note(name), str(found.index))
    return plan


def remove(host, name):
    # type: (Host, str) -> Plan
    """Take away what was put into files and kernel for `name`, whose device may be gone."""
    backend = host.backend
    with host.run_directory.lock():
        configuration = backend.configuration(name)
        if configuration.keep:
            return left_alone_plan(name, configuration.keep, configuration)
        record = record_of(host, backend, name)
        nothing = record._replace(addresses=(), routes=(), rules=())
        files, before = changed_files(host, backend.files_without(name))
        steps = []  # type: List[diff.Change]
        if record.families:
            steps = diff.changes(nothing, record, host.kernel(record.families))
        plan = left_alone_plan(name, "")._replace(
            files=files, before=before, steps=steps, live=True
        )
        host.files.check(plan.files)
        # The kernel first: the file says what is still to be taken back if this is interrupted.
        iproute.apply_changes(host.runner, plan.steps)
        host.files.put(plan.files)
        host.files.tidy(backend.leftovers(name))
        host.run_directory.forget(added_note(name))
        host.run_directory.forget_lock(name)
    return plan


def up(host, name):
    # type: (Host, str) -> Plan
    """`add`, then the distribution's `ifup`; by the last good configuration if metadata fails."""
    problem = None  # type: Optional[Ec2netError]
    try:
        plan = add(host, name)
    except Ec2netError as error:
        if host.devices.device(name) is None or not _is_ours(host, name):
            raise
        _log.warning("%s: %s; brought up as configured before", name, error)
        plan = left_alone_plan(name, "its configuration stays as it was")
        problem = error
    if not _is_ours(host, name):
        return plan
    try:
        _bring_up(host, name)
    except CommandError:
        if plan.warning:
            _log.warning("%s: %s", name, plan.warning)
        raise
    if problem is not None and not isinstance(problem, MetadataUnavailable):
        raise problem
    return plan


def _bring_up(host, name):
    # type: (Host, str) -> None
    backend = host.backend
    device = host.devices.device(name)  # type: Optional[Device]
    is_up = backend.is_up(name)
    if _came_back_unnoticed(host, name) or (is_up and device is not None and not device.up):
        # The distribution takes it to be up still: ifup alone would do nothing, or fail.
        _distribution(host, backend.down_command(name))
        is_up = False
    if not is_up:
        _distribution(host, backend.up_command(name))


def lease(host, name, gained, family):
    # type: (Host, str, bool, int) -> Plan
    """Bring the kernel to what the files of `name` say when it got a lease; undo it at the end.

    Metadata is not asked: a lease must not wait for it.
    """
    backend = host.backend
    # ifdown itself takes everything back.
    if frozenset(host.ancestors()) & backend.DOWN_PROGRAMS:
        return left_alone_plan(name, "ifdown takes it back")
    end = host.clock() + _ROUTER_WAIT
    steps = []  # type: List[diff.Change]
    while True:
        with host.run_directory.lock(wait=_LEASE_LOCK_WAIT):
            configuration = backend.configuration(name)
            record = record_of(host, backend, name).of_family(family)
            if configuration.keep or not record.rules:
                return left_alone_plan(name, configuration.keep or "it has no configuration")
            has = host.kernel([family])
            wanted = _after_lease(host, record, gained, has)
            changes = diff.changes(wanted, record, has)
            changes = [step for step in changes if step.add == gained]
            iproute.apply_changes(host.runner, changes)
        steps += changes
        # DHCPv6 may be faster than the router's advertisement.
        if not gained or family == 4 or wanted.routes != record.routes or host.clock() >= end:
            return left_alone_plan(name, "")._replace(steps=steps, live=True)
        host.sleep(_ROUTER_POLL)


def _after_lease(host, record, gained, has):
    # type: (Host, InterfaceState, bool, KernelState) -> InterfaceState
    """Return what of `record` the kernel is to have once a lease was gained or lost."""
    if not gained:
        # The routes go with the lease's address.
        return record._replace(addresses=(), rules=())
    wanted = desired.with_learned_router(record, has.routes)
    if frozenset(host.ancestors()) & host.backend.UP_PROGRAMS:
        # ifup adds what is in the files when it has the lease; kernels before 4.8 would take a
        # rule twice.
        learned = wanted.routes[len(record.routes) :]
        wanted = wanted._replace(routes=learned, rules=())
    return wanted


def down(host, name):
    # type: (Host, str) -> Plan
    """The distribution's `ifdown`, then `remove`, also when the former fails."""
    problem = None  # type: Optional[CommandError]
    if _is_ours(host, name):
        try:
            _distribution(host, host.backend.down_command(name))
        except CommandError as error:
            problem = error
        host.run_directory.forget(_device_note(name))
    plan = remove(host, name)
    if problem is not None:
        # Without a device ifdown cannot succeed, and there is nothing left to take down.
        if host.devices.device(name) is not None:
            raise problem
        _log.debug("%s: %s", name, problem)
    return plan


def _is_ours(host, name):
    # type: (Host, str) -> bool
    configuration = host.backend.configuration(name)
    return bool(configuration.exists and not configuration.keep)


def scan(host):
    # type: (Host) -> Tuple[List[Plan], List[Tuple[str, Ec2netError]]]
    """Bring up every ENI that has no configuration yet; return the plans, and what failed where."""
    plans = []  # type: List[Plan]
    failures = []  # type: List[Tuple[str, Ec2netError]]
    new = [device for device in _devices(host) if _is_new(host, device)]
    if not new:
        return plans, failures
    listed = frozenset(host.imds.macs())
    primary = host.imds.primary_mac()
    for device in new:
        if device.mac not in listed or device.mac == primary:
            continue
        try:
            plans.append(up(host, device.name))
        except Ec2netError as error:
            # One interface that fails must not leave the others unreachable.
            failures.append((device.name, error))
    return plans, failures


def survey(host, name=None):
    # type: (Host, Optional[str]) -> Tuple[List[Tuple[Device, Plan]], Optional[Ec2netError]]
    """Return each device (or just `name`) with the plan for it, and why metadata is missing, if so.

    Reads metadata and kernel once for all and changes nothing. Without metadata the plans say only
    what this host knows by itself.
    """
    devices = _devices(host) if name is None else [_settled_device(host, name)]
    problem = None  # type: Optional[Ec2netError]
    unavailable = ""
    listed, primary = frozenset(), ""  # type: FrozenSet[str], str
    try:
        listed, primary = frozenset(host.imds.macs()), host.imds.primary_mac()
    except MetadataUnavailable as error:
        problem, unavailable = error, str(error)
    kernel = _KernelOnce(host)
    found = []
    for device in devices:
        configuration = host.backend.configuration(device.name)
        local = reason_to_leave(host.settings, device, configuration)
        if unavailable:
            plan = left_alone_plan(device.name, local or unavailable)._replace(unknown=not local)
            found.append((device, plan))
            continue
        try:
            plan = _survey_device(host, device, local, listed, primary, kernel)
        except (MetadataInvalid, MetadataUnavailable) as error:
            # The other interfaces are of interest all the same.
            problem = error
            plan = left_alone_plan(device.name, str(error))._replace(unknown=True)
        found.append((device, plan))
    return found, problem


def _survey_device(host, device, local, listed, primary, kernel):  # noqa: PLR0913
    # type: (Host, Device, str, FrozenSet[str], str, _KernelOnce) -> Plan
    """Return the plan for one device; `local` is why this host's own knowledge leaves it alone."""
    eni = None
    if device.mac in listed and not device.kind:
        eni = host.imds.eni(device.mac, device.mac == primary)
    reason = remote_reason(host.settings, device, listed, primary, eni)
    if device.mac != primary:
        reason = local or reason
    if reason or eni is None:
        return left_alone_plan(device.name, reason)._replace(eni=eni)
    return plan_for(host, host.backend, device, eni, kernel)


class _KernelOnce(object):
    """Reads each family once for all interfaces."""

    def __init__(self, host):
        # type: (Host) -> None
        self._host = host
        self._read = {}  # type: Dict[Tuple[int, ...], KernelState]

    def __call__(self, families):
        # type: (Iterable[int]) -> KernelState
        key = tuple(families)
        if key not in self._read:
            self._read[key] = self._host.kernel(key)
        return self._read[key]


def _devices(host):
    # type: (Host) -> List[Device]
    found = [host.devices.device(name) for name in host.devices.names()]
    # One that went between the two looks is not there.
    return [device for device in found if device is not None]


def _is_new(host, device):
    # type: (Host, Device) -> bool
    configuration = host.backend.configuration(device.name)
    if configuration.exists and not configuration.inherited:
        return False
    return not reason_to_leave(host.settings, device, configuration)


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


def _carry_out(host, plan):
    # type: (Host, Plan) -> None
    note, notes, backend = added_note(plan.name), host.run_directory, host.backend
    if plan.files:
        # Until the kernel is there, what the old text added is remembered beside what the new
        # one adds: the next run takes it back if this one dies in between.
        texts = [notes.read(note) or "", backend.configuration(plan.name).text]
        texts += [text or "" for text in plan.files.values()]
        notes.write(note, "".join(texts))
    changed = host.files.put(plan.files)
    written = [path for path in changed if plan.files[path] is not None]
    selinux.restore_labels(host.runner, host.files, written)
    # What is to be added to an interface that is not up, its file adds at ifup.
    iproute.apply_changes(host.runner, [step for step in plan.steps if plan.live or not step.add])
    text = backend.configuration(plan.name).text
    if notes.read(note) not in (None, text):
        notes.write(note, text)


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
    with host.run_directory.lock():
        before = host.run_directory.read(_device_note(name))
        if before != index:
            host.run_directory.write(_device_note(name), index)
    return before is not None and before != index


def _device_note(name):
    # type: (str) -> str
    return "device-" + name


def _distribution(host, argv):
    # type: (Host, List[str]) -> None
    returncode = host.runner.run_visibly(argv)
    if returncode != 0:
        raise CommandError(argv, returncode, "")
