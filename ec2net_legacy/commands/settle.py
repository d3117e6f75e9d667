"""After each of the other commands: do what all ENIs share, or show what of it is to be done.

It knows the ENIs by their generated files, so that it works without metadata, and takes everything
back with the last of them.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import altnames, log, record, shared
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.act import carry_out_shared
from ec2net_legacy.errors import HostError, MetadataInvalid, MetadataUnavailable
from ec2net_legacy.look import Look
from ec2net_legacy.ownership import reason_to_ignore
from ec2net_legacy.shared import Case, Present, SharedPlan

if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

    from ec2net_legacy.model import Eni, InterfaceState
    from ec2net_legacy.ports import Host
    from ec2net_legacy.record import HostRecord
    from ec2net_legacy.shared import Enis

# For how many seconds metadata may not list an ENI that is there: 18 have been seen.
_LATEST_LISTING = 60


def settle(host, ask=True, wait=60.0):
    # type: (Host, bool, float) -> SharedPlan
    """Do what all ENIs have in common; with `ask` metadata is asked about cards not seen before.

    Another run is waited for, but not longer than `wait` seconds. Raises HostError about what
    failed, when the rest is done.
    """
    if ask:
        _learn(host)
    with host.run_directory.lock(wait=wait):
        read_before = host.kernel_is_known
        plan = look_and_decide(host)
        if read_before and plan.changes:
            # Others may have done it since.
            host.forget_kernel()
            plan = look_and_decide(host)
        plan = carry_out_shared(host, plan)
        if set(plan.done.cannot) - set(plan.before.cannot):
            # The tables get copies.
            carry_out_shared(host, look_and_decide(host))
    _tell_problem(host, plan)
    return plan


def _tell_problem(host, plan):
    # type: (Host, SharedPlan) -> None
    if not plan.problem:
        return
    if host.settings.containers == "yes":
        raise HostError("connections cannot be marked: {0}".format(plan.problem))
    # Nobody asked for it; once is enough.
    new = set(plan.done.failed) - set(plan.before.failed)
    level = log.WARNING if new else log.DEBUG
    log.line(level, "connections to containers are not marked: %s", plan.problem)


def _learn(host):
    # type: (Host) -> None
    """Ask metadata which of the cards are ENIs, if there is one that it was not asked about.

    A no is asked about once more: metadata may be late with a fresh ENI. The id of the primary,
    which is in no file, is asked for once.
    """
    look, now = Look(host), host.clock()
    before = record.read_host(host.run_directory)
    known = before.cards
    cards = {device.mac for device in shared.cards(look.devices)}
    doubtful = {
        mac for mac in cards.intersection(known) if known[mac] is not True and 0 < known[mac] <= now
    }
    knows_primary = bool(before.primary) or host.settings.alternative_names != "yes"
    if cards <= set(known) and not doubtful and knows_primary:
        return
    if not _enis(host, look, {}, before._replace(enis={})).managed:
        return
    try:
        listed = host.imds.macs()
        primary = before.primary if knows_primary else _primary(host)
    except (MetadataUnavailable, MetadataInvalid) as error:
        log.debug("which cards are ENIs is not known yet: %s", error)
        return
    verdicts = {mac: known.get(mac, now + _LATEST_LISTING) for mac in cards}  # type: Dict[str, Any]
    verdicts.update(dict.fromkeys(doubtful, False))
    verdicts.update(dict.fromkeys(cards.intersection(listed), True))
    record.change_host(host.run_directory, cards=verdicts, primary=primary)


def _primary(host):
    # type: (Host) -> Tuple[str, str]
    mac = host.imds.primary_mac()
    interface_id = host.imds.interface_id(mac)
    return mac, interface_id if altnames.of_primary(interface_id) else ""


def learned(host, listed, primary, enis):
    # type: (Host, Iterable[str], str, Mapping[str, Eni]) -> Dict[str, Any]
    """Return what metadata is asked for the record of the host.

    `listed` are the MAC addresses that it lists, `primary` is the primary's, and `enis` are
    {device: its ENI}.
    """
    macs = frozenset(listed)
    ids = [eni.interface_id for eni in enis.values() if eni.mac == primary]
    cards = {device.mac: device.mac in macs for device in shared.cards(Look(host).devices)}
    return {"cards": cards, "primary": (primary, ids[0]) if ids else ()}


def look_and_decide(host, states=None, known=None, enis=None):
    # type: (Host, Optional[Mapping[str, InterfaceState]], Optional[Dict[str, Any]], Optional[Mapping[str, Eni]]) -> SharedPlan  # noqa: E501
    """Return what is to be done.

    `states` are those that planned ENIs are about to have, `known` what was `learned`, `enis` the
    ENIs of devices; by default what was recorded.
    """
    look = Look(host)
    before = record.read_host(host.run_directory)._replace(**(known or {}))
    before, lost = _recovered(host, look, before)
    found = _enis(host, look, states or {}, before)
    if not found.managed and before._replace(cards={}, primary=()) == record.NOTHING_SHARED:
        return shared.IDLE._replace(before=before)
    has = host.known_kernel(shared.families_to_read(found, before, lost))
    if lost:
        before = shared.with_marks(host.settings, before, has)
    ignored = {
        one.name
        for one in look.present
        if reason_to_ignore(host.settings, one.device, one.configuration)
    }
    spans = shared.parameters(found, ignored, has, look.distribution.HEARS_ROUTERS)
    has_containers = bool(found.managed) and look.has_containers()
    names = _names(host, look, found, before, enis or {})
    present = Present(
        kernel=has,
        groups=_groups(host, look, sorted(set(found.members) | set(before.groups))),
        parameters=look.parameters(sorted(set(spans) | set(before.parameters))),
        chains=look.chains(shared.chain_families(found, before, has_containers)),
        has_containers=has_containers,
        names=host.alternative_names() if any(names.values()) or before.names else {},
    )
    return shared.decide(Case(host.settings, found, spans, names, present, before))


def _groups(host, look, listed):
    # type: (Host, Look, Iterable[str]) -> Dict[str, Optional[int]]
    """Return the link groups of devices that are there.

    One that has just gone says nothing about this kernel.
    """
    return {
        name: number
        for name, number in look.groups(listed).items()
        if number is not None or host.devices.device(name) is not None
    }


def _recorded(look):
    # type: (Look) -> Dict[str, Eni]
    """Return what metadata said last of the ENI of each device."""
    readings = {one.name: (one.device.mac, one.record.reading) for one in look.present}
    return {
        name: reading.eni
        for name, (mac, reading) in readings.items()
        if reading is not None and reading.eni.mac == mac
    }


def _names(host, look, found, before, enis):
    # type: (Host, Look, Enis, HostRecord, Mapping[str, Eni]) -> Dict[str, Optional[Tuple[str, ...]]]
    """Return the alternative names that devices are to have, see `altnames.wanted`."""
    managed = [eni.name for eni in found.managed]
    primary = {
        device.name: interface_id
        for mac, interface_id in [before.primary or ("", "")]
        for device in shared.cards(look.devices)
        if device.mac == mac
    }
    if not managed or host.settings.alternative_names != "yes":
        managed, primary = [], {}
    untouched = [
        one.name
        for one in look.present
        if not one.configuration.knobs.sync
        or reason_to_ignore(host.settings, one.device, one.configuration)
    ]
    return altnames.wanted(managed, dict(_recorded(look), **enis), primary, untouched)


def _enis(host, look, states, before):
    # type: (Host, Look, Mapping[str, InterfaceState], HostRecord) -> Enis
    return shared.enis(look.present, states, before, host.devices.has_ipv6())


def _recovered(host, look, before):
    # type: (Host, Look, HostRecord) -> Tuple[HostRecord, bool]
    """Return the record, and whether it was lost: then with what the kernel tells of it."""
    if before._replace(parameters={}, cards={}, primary=()) != record.NOTHING_SHARED:
        return before, False
    groups = look.groups(device.name for device in shared.cards(look.devices))
    if not shared.is_lost(before, groups, host.settings):
        return before, False
    numbers = {device.name: device.index for device in look.devices}
    return shared.recovered(before, groups, numbers, host.settings), True
