"""An ENI has gone, or is to go: take back what was put into files and kernel for it."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import daemon, ownership, plan, record
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.act import apply_steps
from ec2net_legacy.errors import CommandError, MetadataInvalid, MetadataUnavailable
from ec2net_legacy.kernel import diff
from ec2net_legacy.lifecycle import forget, hold, take_down
from ec2net_legacy.look import Look
from ec2net_legacy.ownership import (
    IGNORED,
    IS_KEPT,
    IS_OTHER,
    PRIMARY,
    Reason,
    has_our_files,
    ignored_eni,
    is_for,
    is_ignored,
    reason_to_ignore,
)
from ec2net_legacy.plan import nothing

if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    from ec2net_legacy.look import Interface
    from ec2net_legacy.model import Device, Rule
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.ports import Host

# How many seconds all of ec2ifdown may take, which is handed down to whatever waits. What all ENIs
# share is done after that, and then systemd would end the unit (TimeoutStopSec=300).
_DOWN_TIME = 240.0
# Of that what remains for ifdown and the removal when an ifup of the same interface was waited for.
_AFTER_HOLDING = 60.0


def remove(host, name):
    # type: (Host, str) -> Plan
    """Take away what was put into files and kernel for `name`, whose device may be gone.

    Raises Ec2netError.
    """
    look = Look(host)
    return _remove(host, look, name, _is_to_be_down(look.interface(name)))


def down(host, name):
    # type: (Host, str) -> Plan
    """The distribution's `ifdown`, then `remove`, also when the former fails."""
    problem = None  # type: Optional[CommandError]
    end = host.clock() + _DOWN_TIME
    # Until the end: of two for one detachment the second finds nothing any more.
    with hold(host, name, end - _AFTER_HOLDING):
        interface = Look(host).interface(name)
        stays_down = _is_to_be_down(interface)
        is_ours = has_our_files(interface.configuration)
        is_ours = is_ours and not _reason_not_to_remove(host, interface)
        if is_ours:
            try:
                take_down(host, name, end)
            except CommandError as error:
                problem = error
        done = _remove(host, Look(host), name, stays_down)
        if is_ours and host.devices.device(name) is not None:
            forget(host, name, end)
        _forget_readings(host)
    if problem is not None:
        raise problem
    return done


def _forget_readings(host):
    # type: (Host) -> None
    """Leave nothing of the last ENI: no note of when a daemon has read files, either."""
    look = Look(host)
    if look.distribution.RELOAD and not look.tables:
        daemon.forget(host)


def detach(host, name):
    # type: (Host, str) -> Plan
    """`down` for a device that is gone, `remove` for one that is (still, or again) there."""
    return (remove if host.devices.device(name) is not None else down)(host, name)


def _is_to_be_down(interface):
    # type: (Interface) -> bool
    """Return whether it is for the device that is there that an interface is taken down, on
    purpose.

    What a detachment leaves is taken away after it, when another card may have the name.
    """
    device, known = interface.device, interface.record
    if device is None:
        return False
    if known.wish is not None and known.wish == (record.DOWN, device.index):
        return True
    if not known.device:
        return bool(record.added_to_primary(known)) or is_for(interface.configuration, device)
    return bool(known.device == device.index)


def _reason_not_to_remove(host, interface):
    # type: (Host, Interface) -> Optional[Reason]
    """Return why an interface must not be taken away, None if it may.

    The primary may have the file of an older tool, which only metadata can tell from an ENI's; nor
    has that the ENI's id.
    """
    device, configuration = interface.device, interface.configuration
    if device is None:
        return IGNORED if is_ignored(host.settings, interface.name) else None
    reason = reason_to_ignore(host.settings, device, configuration)
    if reason or not configuration.inherited:
        return reason
    try:
        if host.imds.primary_mac() == device.mac:
            return PRIMARY
        eni = host.imds.eni(device.mac) if host.settings.ignore else None
    except (MetadataUnavailable, MetadataInvalid) as error:
        said = "its files are an older tool's, and it may be the primary: {0}".format(error)
        return Reason(IS_OTHER, said)
    if eni is not None and is_ignored(host.settings, eni.interface_id):
        return ignored_eni(eni.interface_id)
    return None


def _remove(host, look, name, stays_down):
    # type: (Host, Look, str, bool) -> Plan
    interface = look.interface(name)
    reason = _reason_not_to_remove(host, interface)
    if reason:
        return nothing(name, reason)
    stray = []  # type: List[Rule]
    was_ours = bool(interface.configuration.text)
    is_gone = interface.device is None and not was_ours and not interface.configuration.keep
    if is_gone and ownership.own_place(host.settings, name) is not None:
        stray = ownership.stray_rules(host.settings, interface, look.tables, host.kernel([4, 6]))
    was_ours = was_ours or bool(stray)
    # A dhclient reads the files at each of its events, and without them takes the primary's default
    # route.
    needs_files = look.distribution.DHCLIENT_NEEDS_FILES
    ends_dhclient = was_ours and (needs_files or interface.device is None)
    if ends_dhclient:
        host.end_dhclient(name)
    with host.run_directory.lock():
        done = _take_away(host, interface.device, name, (stray, stays_down))
        if done.left_alone:
            return done
    if ends_dhclient:
        # One that an ifup started in this very moment.
        host.end_dhclient(name)
    if was_ours and not host.has_dhclient(name):
        # The next ENI of that name would ask for this one's address.
        host.files.put(dict.fromkeys(look.distribution.dhclient_files(name)))
    return done


def _take_away(host, device, name, circumstances):
    # type: (Host, Optional[Device], str, Tuple[List[Rule], bool]) -> Plan
    """Take away files and what is in the kernel.

    The caller holds the lock, and the record is empty after it.
    """
    stray, stays_down = circumstances
    look = Look(host)
    interface, distribution = look.interface(name), look.distribution
    configuration = interface.configuration
    added = record.added_to_primary(interface.record)
    if not configuration.knobs.sync or (configuration.keep and not added):
        return nothing(name, Reason(IS_KEPT, configuration.keep), configuration)
    ours = record.merged(name, interface.record, interface.filed)
    has = host.kernel(ours.families) if ours.families else diff.NOTHING
    done = plan.removal(interface, ours, stray, has)
    if not configuration.keep:
        files = distribution.files_without(name)
        before = look.texts(files)
        files = {path: text for path, text in files.items() if text != before[path]}
        done = done._replace(files=files, before=before)
    host.files.check(done.files)
    # The kernel first: the file says what is still to be taken back if this is interrupted.
    apply_steps(host, done.steps)
    host.files.put(done.files)
    host.files.tidy(distribution.leftovers(name))
    # Or the refresh would bring it up again.
    wish = record.Wish(record.DOWN, device.index) if stays_down and device is not None else None
    record.forget(host.run_directory, name, wish)
    return done
