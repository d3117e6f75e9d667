"""From a look at the host, and what metadata says of an ENI, to the plan for it."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import ownership, plan
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.look import Look

if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

    from ec2net_legacy.kernel.parse import KernelState
    from ec2net_legacy.look import Interface
    from ec2net_legacy.model import Device, Eni
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.ports import Host


class Planner(object):
    """Makes the plans of one run, with one reading of the kernel and a route table for each.

    `trusts_reading`: whether what this run has read of the kernel before is good enough. `tables`:
    the route tables that interfaces have, beside those of the generated files.
    """

    def __init__(self, host, look=None, trusts_reading=False, tables=None):
        # type: (Host, Optional[Look], bool, Optional[Dict[str, int]]) -> None
        self._host = host
        self._trusts_reading = trusts_reading
        self.look = look or Look(host)
        self._chosen = dict(tables or {})  # type: Dict[str, int]
        self._read = set()  # type: Any

    def for_eni(self, name, eni, is_primary):
        # type: (str, Eni, bool) -> Plan
        """Return the plan for the interface `name`, which is `eni`'s.

        Raises MetadataUnavailable and HostError.
        """
        if is_primary:
            return self._for_primary(name, eni)
        seen = self.look.for_plan(name, eni, self._chosen)
        target = plan.wanted(self._host.settings, self.look.distribution, seen)
        self._chosen[name] = target.state.table
        has = self._kernel(plan.families_to_read(seen.interface.device, target))
        return plan.secondary(seen, target, has, self.look.texts(target.files))

    def _for_primary(self, name, eni):
        # type: (str, Eni) -> Plan
        interface = self.look.interface(name)
        families = plan.primary_families(interface, eni)
        if not families:
            return plan.nothing(name, ownership.PRIMARY)._replace(eni=eni)
        return plan.primary(interface, eni, self._kernel(families))

    def _kernel(self, families):
        # type: (List[int]) -> KernelState
        if self._trusts_reading:
            return self._host.known_kernel(families)
        # Others may have changed it since this process began: each run reads it once.
        unread = [family for family in families if family not in self._read]
        self._read.update(unread)
        if unread:
            self._host.kernel(unread)
        return self._host.known_kernel(families)


def still_there(host, device):
    # type: (Host, Device) -> Optional[Device]
    """Return the device as it is now, None if it is gone or another has its name."""
    now = host.devices.device(device.name)  # type: Optional[Device]
    if now is None or (now.index, now.mac) != (device.index, device.mac):
        return None
    return now


def still_configured(interface, device, is_primary):
    # type: (Interface, Device, bool) -> bool
    """Return whether device and configuration are still there that metadata was read for.

    The caller holds the lock that a remove needs.
    """
    now = interface.device
    if now is None or now.mac != device.mac or not interface.configuration.knobs.sync:
        return False
    return is_primary or bool(interface.configuration.text)
