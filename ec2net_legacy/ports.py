"""The outside things that a run is handed: files, commands, devices, metadata, clocks.

Tests hand in their own. Nothing here decides anything.
"""
from __future__ import absolute_import, print_function, unicode_literals

import time

from ec2net_legacy import _compat, log
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError
from ec2net_legacy.host import init, processes, sysctl, sysfs
from ec2net_legacy.host.command import Runner
from ec2net_legacy.host.files import Files
from ec2net_legacy.host.rundir import RunDirectory
from ec2net_legacy.kernel import diff
from ec2net_legacy.kernel.parse import KernelState

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Optional, Sequence

    from ec2net_legacy.imds import Imds
    from ec2net_legacy.settings import Settings


class Host(object):
    """This host, as far as it is not a value.

    Everything that looks, waits or acts goes through it. `unattended`: whether a machine started
    this run, as it does for ever, and nobody waits for it.
    """

    def __init__(  # noqa: PLR0913
        self, settings, files=None, runner=None, devices=sysfs, imds=None, unattended=False
    ):
        # type: (Settings, Optional[Files], Optional[Runner], Any, Optional[Imds], bool) -> None
        self.settings = settings
        self.files = files or Files()
        self.runner = runner or Runner()
        self.devices = devices
        self.sysctl = sysctl  # type: Any
        self.run_directory = RunDirectory(settings.run_directory)
        self.clock = _compat.monotonic  # type: Callable[[], float]
        self.wall_clock = time.time  # type: Callable[[], float]
        self.sleep = time.sleep  # type: Callable[[float], None]
        self.ancestors = processes.ancestors  # type: Callable[[], List[str]]
        self.has_dhclient = processes.has_dhclient  # type: Callable[[str], bool]
        self.has_dhclient6 = processes.has_dhclient6  # type: Callable[[str], bool]
        self.end_dhclient = processes.end_dhclient  # type: Callable[[str], None]
        self.hand_over = init.hand_over  # type: Callable[[Runner, Sequence[str], bool], List[str]]
        self.netlink = _by_netlink
        self.names_by_netlink = _names_by_netlink
        self._imds = imds
        self._unattended = unattended
        self._kernel = {}  # type: Dict[int, KernelState]

    @property
    def imds(self):
        # type: () -> Imds
        """The conversation with the metadata service.

        The first who needs it pays for its import.
        """
        if self._imds is None:
            from ec2net_legacy import imds

            chosen = self.settings.metadata
            transport = imds.choose_transport(chosen, self._unattended)
            self._imds = imds.Imds(chosen, self.run_directory, transport)
        return self._imds

    def with_backend(self, name, files):
        # type: (str, Any) -> Host
        """Return this host as it is with another distribution's network, and these `files`."""
        import copy

        found = copy.copy(self)
        found.settings = self.settings._replace(backend=name)
        found.files = files
        return found

    def kernel(self, families):
        # type: (Iterable[int]) -> KernelState
        """Return what the kernel has now."""
        families = self._families(families)
        for family in families:
            self._kernel[family] = self._read_kernel(family)
        return self.known_kernel(families)

    def _read_kernel(self, family):
        # type: (int) -> KernelState
        try:
            return self.netlink(family)
        except HostError as error:
            log.debug("%s: asking ip", error)
        from ec2net_legacy.kernel import iproute

        tables = iproute.table_names(self.files.read, self.files.glob)
        groups = iproute.group_names(self.files.read, self.files.glob)
        return iproute.read(self.runner, tables, groups, [family])

    def alternative_names(self):
        # type: () -> Optional[Dict[str, FrozenSet[str]]]
        """Return {each device: its alternative names}, None where that cannot be found out."""
        try:
            return self.names_by_netlink()
        except HostError as error:
            # There is no asking `ip` in its place: nothing depends on these names.
            log.debug("alternative names: %s", error)
            return None

    def known_kernel(self, families):
        # type: (Iterable[int]) -> KernelState
        """Return what the kernel had when this run read it last, which may be now."""
        families = self._families(families)
        missing = [family for family in families if family not in self._kernel]
        if missing:
            self.kernel(missing)
        return diff.united(self._kernel[family] for family in families)

    @property
    def kernel_is_known(self):
        # type: () -> bool
        """Whether this run has read the kernel, and nobody is known to have changed it since."""
        return bool(self._kernel)

    def forget_kernel(self):
        # type: () -> None
        """Read the kernel anew the next time: somebody else has changed it."""
        self._kernel.clear()

    def _families(self, families):
        # type: (Iterable[int]) -> List[int]
        # A kernel that was started with ipv6.disable=1 has not even the IPv6 rules that are always
        # there.
        return [family for family in families if family == 4 or self.devices.has_ipv6()]


def _by_netlink(family):
    # type: (int) -> KernelState
    from ec2net_legacy.kernel import netlink

    return netlink.read(family)


def _names_by_netlink():
    # type: () -> Dict[str, FrozenSet[str]]
    from ec2net_legacy.kernel import netlink

    return netlink.alternative_names()
