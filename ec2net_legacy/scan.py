"""What no event came for: ENIs that wait to be brought up, and files of ENIs that are gone."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import notes
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.distribution import is_at_work
from ec2net_legacy.errors import (
    CommandError,
    Ec2netError,
    MetadataInvalid,
    MetadataUnavailable,
)
from ec2net_legacy.event import is_interface_name
from ec2net_legacy.plan import devices_of, is_for, is_ignored, mac_in, reason_to_leave
from ec2net_legacy.workflow import down, is_configured, up

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Tuple

    from ec2net_legacy.model import Device
    from ec2net_legacy.plan import Host, Plan


def catch_up(host, by_hand=True, metadata=True):
    # type: (Host, bool, bool) -> Tuple[List[Plan], List[str], List[Tuple[str, Ec2netError]]]
    """Bring up every ENI that has no configuration yet, and clean up after those that are gone.

    Returns the plans, the names that the init system was given, and what failed where. Unless it is
    `by_hand`, what somebody took down stays down, and nobody waits for the init system. Without
    `metadata` it is not asked.
    """
    plans, failures = [], []  # type: Tuple[List[Plan], List[Tuple[str, Ec2netError]]]
    waiting = [device for device in devices_of(host) if _waits(host, device, by_hand)]
    # Only metadata can tell that an ENI is gone for good.
    orphans = _orphans(host, by_hand) if metadata else {}
    # These need no metadata to come up. With an older tool's file it might be the primary.
    names = [
        device.name
        for device in waiting
        if is_configured(host, device.name)
        and not host.backend.configuration(device.name).inherited
    ]
    try:
        if metadata and (len(names) < len(waiting) or orphans):
            # A refresh has asked for it before; on a cloud image nobody else may be waiting.
            primary = host.imds.primary_mac()
            waiting = [device for device in waiting if device.mac != primary]
        if metadata and (len(names) < len(waiting) or orphans):
            listed = host.imds.macs()
            names = [
                device.name
                for device in waiting
                if device.name in names
                or (device.mac in listed and not _is_ignored_eni(host, device.mac))
            ]
            orphans = {name: mac for name, mac in orphans.items() if mac not in listed}
    except (MetadataUnavailable, MetadataInvalid) as error:
        if not names:
            raise
        orphans = {}
        failures.append(("the others", error))
    for name in sorted(orphans):
        _each(down, host, name, plans, failures)
    try:
        left = host.hand_over(host.runner, names, by_hand)
    except CommandError as error:
        return plans, [], failures + [(" ".join(names), error)]
    for name in left:
        _each(up, host, name, plans, failures)
    return plans, [name for name in names if name not in left], failures


def _is_ignored_eni(host, mac):
    # type: (Host, str) -> bool
    """Return whether the settings ignore an ENI by its id, which only metadata has."""
    if not host.settings.ignore:
        return False
    eni = host.imds.eni(mac)
    return eni is not None and is_ignored(host.settings, eni.interface_id)


def _each(use_case, host, name, plans, failures):  # noqa: PLR0913
    # type: (Callable[[Host, str], Plan], Host, str, List[Plan], List[Any]) -> None
    """One interface that fails must not leave the others unreachable."""
    try:
        plans.append(use_case(host, name))
    except Ec2netError as error:
        failures.append((name, error))


def _waits(host, device, by_hand):
    # type: (Host, Device, bool) -> bool
    """Return whether an interface is to be brought up, as far as this host knows."""
    configuration = host.backend.configuration(device.name)
    if reason_to_leave(host.settings, device, configuration):
        return False
    wish = notes.wish(host.run_directory, device.name, device.index)
    known = host.run_directory.read(notes.device(device.name)) == "{0}".format(device.index)
    # An ifup that failed; a file that was generated for an ENI that is gone; or an interface that
    # nobody has brought up since the boot, on hosts where that is ours to do.
    unfinished = (
        wish == notes.UP
        or (configuration.text and not is_for(configuration, device))
        or (configuration.text and not device.up and not known)
    )
    if by_hand:
        return bool(not configuration.exists or configuration.inherited or unfinished)
    if wish == notes.DOWN or (configuration.exists and not unfinished):
        return False
    return not is_at_work(host, device.name)


def _orphans(host, by_hand):
    # type: (Host, bool) -> Dict[str, str]
    """Return {name: MAC address} of the generated files whose device is nowhere on this host.

    Unless it is `by_hand`, without those that another run is at.
    """
    # The name becomes an argument of ifdown: a file may be called --all.cfg.
    names = [name for name in host.backend.tables() if is_interface_name(name)]
    names = [name for name in names if host.devices.device(name) is None]
    texts = {name: host.backend.configuration(name).text for name in names}
    present = {device.mac for device in devices_of(host)} if texts else frozenset()
    found = {name: mac_in(text) for name, text in texts.items()}
    return {
        name: mac
        for name, mac in found.items()
        if mac
        and mac not in present
        and not (is_ignored(host.settings, name) or is_ignored(host.settings, mac))
        and (by_hand or not is_at_work(host, name))
    }
