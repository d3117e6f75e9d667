"""Looking: what a run needs to know of its host, read into values.

A `Look` reads each thing once, when it is first needed. It is thrown away when others may have
changed the host since, as after waiting for a lock, or when this run has.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import coexistence, desired, distributions, names, record
from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError
from ec2net_legacy.event import is_interface_name
from ec2net_legacy.kernel import netfilter
from ec2net_legacy.plan import main_default6

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

    from ec2net_legacy.host.files import Files
    from ec2net_legacy.model import Device, Eni
    from ec2net_legacy.ports import Host

Interface = namedtuple("Interface", ["name", "device", "configuration", "filed", "record"])
"""What a host has for an interface. `device`: None where it is gone. `configuration`: the
distribution's. `filed`: the InterfaceState that its generated files bring about. `record`: what is
remembered of it."""

Seen = namedtuple("Seen", ["interface", "eni", "table", "taken", "in_main6", "names"])
"""All that the plan for an interface is made of, but the kernel.

`table`: the route table that it has, None for none; `taken`: {other interface: its route table}.
`in_main6`: who gives main its IPv6 default route by this ENI (see `desired`). `names`: the text of
udev's rules of names, None where there is none, and False where there is no place for them.
"""

Netfilter = namedtuple("Netfilter", ["rules", "exists", "problem"])
"""The chain of a family.

Its rules where it is in use, else (); whether it is there; "" or why that is not known.
"""

# A host with one of these files runs containers, or is about to, also while it has no bridge yet.
_CONTAINER_SIGNS = (
    "/usr/bin/dockerd",
    "/usr/bin/docker",
    "/usr/bin/containerd",
    "/usr/bin/podman",
    "/var/run/docker.sock",
)


class Look(object):
    """What one run has seen of its host."""

    def __init__(self, host):
        # type: (Host) -> None
        self._host = host
        self._reader = _ReadOnce(host.files)
        self._distribution = None  # type: Any
        self._devices = None  # type: Optional[List[Device]]
        self._interfaces = {}  # type: Dict[str, Interface]
        self._tables = None  # type: Optional[Dict[str, int]]

    @property
    def distribution(self):
        # type: () -> Any
        """The distribution's network configuration, which reads through this look."""
        if self._distribution is None:
            self._distribution = distributions.choose(self._host.settings.backend, self._reader)
        return self._distribution

    @property
    def devices(self):
        # type: () -> List[Device]
        """The devices of the host, but those whose names could be taken for something else."""
        if self._devices is None:
            listed = [name for name in self._host.devices.names() if is_interface_name(name)]
            found = [self._host.devices.device(name) for name in listed]
            # A device that went between the two looks is not there.
            self._devices = [device for device in found if device is not None]
        return self._devices

    @property
    def present(self):
        # type: () -> List[Interface]
        """What the host has for each of its devices."""
        return [self.interface(device.name, device) for device in self.devices]

    @property
    def tables(self):
        # type: () -> Dict[str, int]
        """The route tables of generated files, by interface."""
        if self._tables is None:
            self._tables = self.distribution.tables()
        return dict(self._tables)

    def interface(self, name, device=None):
        # type: (str, Optional[Device]) -> Interface
        """Return what the host has for an interface, whose `device` may be known already."""
        if name not in self._interfaces:
            configuration = self.distribution.configuration(name)
            self._interfaces[name] = Interface(
                name=name,
                device=device or self._host.devices.device(name),
                configuration=configuration,
                filed=self.distribution.recorded(name, configuration.text),
                record=record.read(self._host.run_directory, name),
            )
        return self._interfaces[name]

    def for_plan(self, name, eni, chosen=None):
        # type: (str, Eni, Optional[Dict[str, int]]) -> Seen
        """Return what the plan for an ENI needs.

        `chosen`: the tables of plans that are made together.
        """
        tables = dict(self.tables, **(chosen or {}))
        return Seen(
            interface=self.interface(name),
            eni=eni,
            table=tables.pop(name, None),
            taken=tables,
            in_main6=self.in_main6(self.interface(name)),
            names=self._names(),
        )

    def in_main6(self, interface):
        # type: (Interface) -> str
        """Return who gives main its IPv6 default route by an ENI, if it is to have one."""
        if self.distribution.HEARS_ROUTERS:
            return desired.DAEMON
        # Since Linux 5.12.
        sets_metric = self._host.sysctl.number(coexistence.metric6(interface.name)) is not None
        return main_default6(interface.configuration, sets_metric)

    def _names(self):
        # type: () -> Any
        # Somebody's link to /dev/null says that no names are wanted.
        if not self._reader.exists(names.DIRECTORY) or not self._reader.may_write(names.PATH):
            return False
        return self._reader.read(names.PATH)

    def texts(self, paths):
        # type: (Iterable[str]) -> Dict[str, Optional[str]]
        """Return the present text of each of `paths`, None where there is none."""
        return {path: self._reader.read(path) for path in paths}

    def has_containers(self):
        # type: () -> bool
        """Return whether this host runs containers, by the settings or by what is there."""
        if self._host.settings.containers != "auto":
            return bool(self._host.settings.containers == "yes")
        bridges = any(device.kind == "bridge" for device in self.devices)
        return bridges or any(self._reader.exists(sign) for sign in _CONTAINER_SIGNS)

    def groups(self, listed):
        # type: (Iterable[str]) -> Dict[str, Optional[int]]
        """Return the link group of each device, None where the device or this kernel has none."""
        return {name: self._host.devices.group(name) for name in listed}

    def parameters(self, listed):
        # type: (Iterable[str]) -> Dict[str, Optional[int]]
        """Return the value of each kernel parameter, None where there is none."""
        return {name: self._host.sysctl.number(name) for name in listed}

    def chains(self, families):
        # type: (Iterable[int]) -> Dict[int, Netfilter]
        """Return what netfilter has of the chain that marks connections, by family."""
        found = {}
        for family in families:
            try:
                rules, exists = netfilter.look(self._host.runner, family)
                found[family] = Netfilter(rules, exists, "")
            except HostError as error:
                found[family] = Netfilter((), False, "{0}".format(error))
        return found


class _ReadOnce(object):
    """Files that are read once each."""

    def __init__(self, files):
        # type: (Files) -> None
        self._files = files
        self._known = {}  # type: Dict[Tuple[str, str], Any]

    def _once(self, question, argument):
        # type: (Callable[[str], Any], str) -> Any
        key = question.__name__, argument
        if key not in self._known:
            self._known[key] = question(argument)
        return self._known[key]

    def exists(self, path):
        # type: (str) -> bool
        """See `distributions.protocol.Reader`."""
        return bool(self._once(self._files.exists, path))

    def read(self, path):
        # type: (str) -> Optional[str]
        """See `distributions.protocol.Reader`."""
        text = self._once(self._files.read, path)  # type: Optional[str]
        return text

    def may_write(self, path):
        # type: (str) -> bool
        """See `distributions.protocol.Reader`."""
        return bool(self._once(self._files.may_write, path))

    def glob(self, pattern):
        # type: (str) -> List[str]
        """See `distributions.protocol.Reader`."""
        paths = self._once(self._files.glob, pattern)  # type: List[str]
        return list(paths)
