"""What no event came for: ENIs that wait to be brought up, and files of ENIs that are gone."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import record
from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.commands.add import UP_TIME, begin_up, finish_up, is_configured
from ec2net_legacy.commands.remove import down
from ec2net_legacy.errors import (
    CommandError,
    Ec2netError,
    MetadataInvalid,
    MetadataUnavailable,
)
from ec2net_legacy.event import is_interface_name
from ec2net_legacy.lifecycle import LOST, NOT_KNOWN, THERE, is_at_work, look_at_lease
from ec2net_legacy.look import Look
from ec2net_legacy.ownership import eni_in, is_for, is_ignored, mac_in, own_place, reason_to_leave

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple

    from ec2net_legacy.commands.add import Begun
    from ec2net_legacy.look import Interface
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.ports import Host

    _Failures = List[Tuple[str, Ec2netError]]

# Seconds. Bringing up anew what stays without a lease costs a minute of the DHCP server's silence
# each time.
_FIRST_PAUSE = 60.0
_LONGEST_PAUSE = 1800.0

_How = namedtuple("_How", ["by_hand", "metadata"])


def catch_up(host, by_hand=True, metadata=True):
    # type: (Host, bool, bool) -> Tuple[List[Plan], List[str], _Failures]
    """Bring up every ENI that has no configuration yet, and clean up after those that are gone.

    Returns the plans, the names that the init system was given, and what failed where. Unless it is
    `by_hand`, what somebody took down stays down, and nobody waits for the init system. Without
    `metadata` it is not asked.
    """
    plans, failures = [], []  # type: Tuple[List[Plan], _Failures]
    look, how = Look(host), _How(by_hand, metadata)
    interfaces = look.present
    leases = {one.name: _look_at_lease(host, one) for one in interfaces}
    due = [
        one
        for one in interfaces
        if leases[one.name] in LOST and (by_hand or _is_due(one, host.clock()))
    ]
    waiting = [
        one
        for one in interfaces
        if _waits(host.settings, one, one in due, by_hand)
        and (by_hand or not is_at_work(host, one.name))
    ]
    names, orphans, why = _by_metadata(host, look, waiting, how)
    if why is not None:
        failures.append(("the others", why))
    for name in sorted(set(orphans).union(_strays(host, look))):
        _each(down, host, name, (plans, failures))
    _record_tries(host, [one for one in due if one.name in names], interfaces, leases)
    try:
        left = host.hand_over(host.runner, names, by_hand)
    except CommandError as error:
        return plans, [], failures + [(" ".join(names), error)]
    # One reading of a daemon's is to do for all of them.
    batches = [left] if look.distribution.RELOAD else [[name] for name in left]
    for batch in batches:
        _bring_up(host, batch, (plans, failures))
    return plans, [name for name in names if name not in left], failures


def _by_metadata(host, look, waiting, how):
    # type: (Host, Look, List[Interface], _How) -> Tuple[List[str], Dict[str, str], Optional[Ec2netError]]
    """Return the names that may be brought up, {name: MAC address} of what is gone for good.

    At the end why metadata had no answer, where there is somebody who needs none.
    """
    # Only metadata can tell that an ENI is gone for good.
    orphans = _orphans(host, look, how.by_hand) if how.metadata else {}
    # These need no metadata to come up. With an older tool's file an interface might be the
    # primary.
    names = [
        one.name for one in waiting if is_configured(one) and not one.configuration.inherited
    ]
    try:
        if how.metadata and (len(names) < len(waiting) or orphans):
            # A refresh has asked for it before; on a cloud image nobody else may be waiting.
            primary = host.imds.primary_mac()
            waiting = [one for one in waiting if one.device.mac != primary]
        if how.metadata and (len(names) < len(waiting) or orphans):
            listed = host.imds.macs()
            names = [
                one.name
                for one in waiting
                if one.name in names
                or (one.device.mac in listed and not _is_ignored_eni(host, one.device.mac))
            ]
            orphans = {name: mac for name, mac in orphans.items() if mac not in listed}
    except (MetadataUnavailable, MetadataInvalid) as error:
        if not names:
            raise
        return names, {}, error
    return names, orphans, None


def _is_ignored_eni(host, mac):
    # type: (Host, str) -> bool
    """Return whether the settings ignore an ENI by its id, which only metadata has."""
    if not host.settings.ignore:
        return False
    eni = host.imds.eni(mac)
    return eni is not None and is_ignored(host.settings, eni.interface_id)


def _strays(host, look):
    # type: (Host, Look) -> List[str]
    """Return the interfaces without device and files that have rules of ours in the kernel.

    An ifup has added them that had read the files before they were removed, for a card that was
    pulled while the removal still ran. This costs no reading of the kernel.
    """
    if not host.kernel_is_known:
        return []
    settings, tables = host.settings, frozenset(look.tables.values())
    places = {(rule.table, rule.priority) for rule in host.known_kernel([4]).rules}
    names = {
        "eth{0}".format(table - settings.table_base) for table, _ in places if table not in tables
    }
    return [
        name
        for name in sorted(names)
        if own_place(settings, name) in places
        and host.devices.device(name) is None
        and not is_ignored(settings, name)
        and not is_at_work(host, name)
    ]


def _bring_up(host, names, outcome):
    # type: (Host, List[str], Tuple[List[Plan], _Failures]) -> None
    """Bring interfaces up, the files of all of them before the first ifup."""
    begun = []  # type: List[Begun]
    for name in names:
        _each(begin_up, host, name, (begun, outcome[1]), host.clock() + UP_TIME)
    for one in begun:
        _each(finish_up, host, one.plan.name, outcome, one, host.clock() + UP_TIME)


def _each(command, host, name, outcome, *arguments):  # noqa: PLR0913
    # type: (Callable[..., Any], Host, str, Tuple[List[Any], _Failures], *Any) -> None
    """One interface that fails must not leave the others unreachable."""
    done, failures = outcome
    try:
        done.append(command(host, name, *arguments))
    except Ec2netError as error:
        failures.append((name, error))


def _look_at_lease(host, interface):
    # type: (Host, Interface) -> str
    """Return what is to be said of the address of an ENI's lease, if it is one of ours."""
    if reason_to_leave(host.settings, interface.device, interface.configuration):
        return NOT_KNOWN
    return look_at_lease(host, interface)


def _record_tries(host, tried, interfaces, leases):
    # type: (Host, List[Interface], List[Interface], Dict[str, str]) -> None
    """Record who is brought up anew, and forget that of those whose address is there."""
    directory = host.run_directory
    for one in tried:
        count = _count(one) + 1
        tries = record.Tries(one.device.index, count, host.clock())
        record.change(directory, one.name, tries=tries)
    for one in interfaces:
        if leases[one.name] == THERE and one.record.tries is not None:
            record.change(directory, one.name, tries=None)


def _count(interface):
    # type: (Interface) -> int
    """Return how often this very device was brought up anew in vain."""
    tries = interface.record.tries
    return tries.count if tries is not None and tries.index == interface.device.index else 0


def _is_due(interface, now):
    # type: (Interface, float) -> bool
    """Return whether it is time to bring up anew what did not come back the last times."""
    count = _count(interface)
    if not count:
        return True
    pause = min(_FIRST_PAUSE * 2 ** (count - 1), _LONGEST_PAUSE)
    return not 0 <= now - interface.record.tries.last < pause


def _waits(settings, interface, is_lost, by_hand):
    # type: (Any, Interface, bool, bool) -> bool
    """Return whether an interface is to be brought up, as far as this host knows."""
    device, configuration = interface.device, interface.configuration
    if reason_to_leave(settings, device, configuration):
        return False
    wish = interface.record.wish
    # An ifup that failed; a file that was generated for an ENI that is gone; or an interface that
    # nobody has brought up since the boot, on hosts where that is ours to do.
    unfinished = (
        is_lost
        or wish == (record.UP, device.index)
        or (configuration.text and not is_for(configuration, device))
        or (configuration.text and not device.up and interface.record.device != device.index)
    )
    if by_hand:
        return bool(not configuration.exists or configuration.inherited or unfinished)
    return not (wish == (record.DOWN, device.index) or (configuration.exists and not unfinished))


def _orphans(host, look, by_hand):
    # type: (Host, Look, bool) -> Dict[str, str]
    """Return {name: MAC address} of the generated files whose device is nowhere on this host.

    Unless it is `by_hand`, without those that another run is at.
    """
    # The name becomes an argument of ifdown: a file may be called --all.cfg.
    found = [look.interface(name) for name in look.tables if is_interface_name(name)]
    present = {device.mac for device in look.devices}
    orphans = {}
    for one in found:
        mac, eni = mac_in(one.configuration.text), eni_in(one.configuration.text)
        ignored = any(is_ignored(host.settings, value) for value in (one.name, mac, eni))
        if one.device is not None or not mac or mac in present or ignored:
            continue
        if by_hand or not is_at_work(host, one.name):
            orphans[one.name] = mac
    return orphans
