"""Showing how each interface is, and what would be done for it, without doing it."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import ownership, plan, record
from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.commands import settle
from ec2net_legacy.commands.add import is_configured, settled_device
from ec2net_legacy.commands.propose import Planner
from ec2net_legacy.errors import MetadataInvalid, MetadataUnavailable
from ec2net_legacy.lifecycle import LOST, look_at_lease
from ec2net_legacy.look import Look

if TYPE_CHECKING:
    from typing import Optional

    from ec2net_legacy.errors import Ec2netError
    from ec2net_legacy.look import Interface
    from ec2net_legacy.model import Device
    from ec2net_legacy.ownership import Reason
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.ports import Host
    from ec2net_legacy.settings import Settings

_LAST_KNOWN = "last known configuration, from before the boot"

Survey = namedtuple("Survey", ["found", "problem", "shared"])
"""`found`: each device with the plan for it; `problem`: why metadata is missing, None if it is not;
`shared`: the SharedPlan for what all ENIs share once these plans are carried out."""

_Listing = namedtuple("_Listing", ["macs", "primary"])
"""The MAC addresses that metadata lists, and the primary's, "" where there is no metadata."""


def survey(host, name=None):
    # type: (Host, Optional[str]) -> Survey
    """Return each device (or just `name`) with the plan for it.

    Reads metadata and kernel once for all and changes nothing. Without metadata the plans say only
    what this host knows by itself. Raises HostError.
    """
    look = Look(host)
    devices = look.devices if name is None else [settled_device(host, name)]
    listing = _Listing(frozenset(), "")
    problem = None  # type: Optional[Ec2netError]
    unavailable = None  # type: Optional[Ec2netError]
    try:
        listing = _Listing(frozenset(host.imds.macs()), host.imds.primary_mac())
    except MetadataUnavailable as error:
        problem = unavailable = error
    planner = Planner(host, look)
    found = []
    for device in devices:
        interface = look.interface(device.name, device)
        local = _local_reason(host.settings, interface, device.mac == listing.primary)
        if unavailable is not None:
            found.append((device, _unknown(host, interface, local, unavailable)))
            continue
        try:
            found.append((device, _one(host, planner, interface, listing)))
        except (MetadataInvalid, MetadataUnavailable) as error:
            # The other interfaces are of interest all the same.
            problem = error
            found.append((device, _unknown(host, interface, None, error)))
    enis = {one.name: one.eni for _, one in found if one.eni is not None}
    known = settle.learned(host, listing.macs, listing.primary, enis) if problem is None else None
    states = {
        one.name: one.state for _, one in found if not one.left_alone and not one.is_primary
    }
    return Survey(found, problem, settle.look_and_decide(host, states, known, enis))


def _unknown(host, interface, local, error):
    # type: (Host, Interface, Optional[Reason], Ec2netError) -> Plan
    reason = local or ownership.Reason(ownership.IS_OTHER, "{0}".format(error))
    found = plan.nothing(interface.name, reason)._replace(unknown=not local)
    is_old = not local and _is_from_before_the_boot(host, interface)
    return found._replace(warning=_LAST_KNOWN) if is_old else found


def _is_from_before_the_boot(host, interface):
    # type: (Host, Interface) -> bool
    """Return whether an ENI is up by what metadata said before the boot, and has not said since.

    The record is empty after a boot. A run that failed over something else leaves no reading in it,
    but that metadata lists the card.
    """
    device = interface.device
    if not is_configured(interface) or not device.up or interface.record.reading is not None:
        return False
    return record.read_host(host.run_directory).cards.get(device.mac) is not True


def _local_reason(settings, interface, is_primary):
    # type: (Settings, Interface, bool) -> Optional[Reason]
    """Return why this host's own knowledge leaves a device alone, None if it does not."""
    device, configuration = interface.device, interface.configuration
    if not is_primary:
        return ownership.reason_to_leave(settings, device, configuration)
    # The primary's configuration is the administrator's in any case.
    reason = ownership.reason_to_leave(settings, device, None)
    if reason is None and not configuration.knobs.sync:
        return ownership.Reason(ownership.IS_KEPT, configuration.keep)
    return reason


def _one(host, planner, interface, listing):
    # type: (Host, Planner, Interface, _Listing) -> Plan
    """Return the plan for one interface, whose device is there."""
    device = interface.device
    eni, is_primary = None, device.mac == listing.primary
    if device.mac in listing.macs and not device.kind:
        eni = host.imds.eni(device.mac, is_primary)
    reason = _local_reason(host.settings, interface, is_primary)
    reason = reason or ownership.reason_of_metadata(host.settings, device, listing.macs, eni)
    if reason or eni is None:
        return plan.nothing(device.name, reason)._replace(eni=eni)
    found = planner.for_eni(device.name, eni, is_primary)
    if is_primary or found.live:
        return found
    seen = look_at_lease(host, interface)
    return found._replace(lost=seen) if seen in LOST else found
