"""What is to be done for an interface: its plan, and the host that plans are made of.

`workflow` carries plans out, `report` shows them, so that what is shown is what is done.
"""
from __future__ import absolute_import, print_function, unicode_literals

import fnmatch
import re
import time
from collections import namedtuple

from ec2net_legacy import _compat, backends, desired, event, names, notes
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import MetadataUnavailable
from ec2net_legacy.host import init, processes, sysctl, sysfs
from ec2net_legacy.host.command import Runner
from ec2net_legacy.host.files import Files
from ec2net_legacy.host.rundir import RunDirectory
from ec2net_legacy.kernel import diff, iproute
from ec2net_legacy.kernel.parse import KernelState
from ec2net_legacy.model import MAIN_TABLE

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Set, Tuple

    from ec2net_legacy.imds import Imds
    from ec2net_legacy.model import Address, Device, Eni, InterfaceState
    from ec2net_legacy.settings import Settings

    _ReadKernel = Callable[[Iterable[int]], KernelState]


class Host(object):
    """This host's edges, handed to every use case; tests hand in their own."""

    def __init__(self, settings, files=None, runner=None, devices=sysfs, imds=None):
        # type: (Settings, Optional[Files], Optional[Runner], Any, Optional[Imds]) -> None
        self.ancestors = processes.ancestors  # type: Callable[[], List[str]]
        self.has_dhclient = processes.has_dhclient  # type: Callable[[str], bool]
        self.end_dhclient = processes.end_dhclient  # type: Callable[[str], None]
        self.hand_over = init.hand_over  # type: Callable[[Runner, Sequence[str], bool], List[str]]
        self.settings = settings
        self.files = files or Files()
        self.runner = runner or Runner()
        self.devices = devices
        self.run_directory = RunDirectory(settings.run_directory)
        self.sysctl = sysctl  # type: Any
        self._kernel = {}  # type: Dict[int, KernelState]
        self.clock = _compat.monotonic  # type: Callable[[], float]
        self.sleep = time.sleep  # type: Callable[[float], None]
        self._imds = imds

    @property
    def imds(self):
        # type: () -> Imds
        """The conversation with the metadata service; loaded by the first who needs it."""
        if self._imds is None:
            from ec2net_legacy import imds

            self._imds = imds.Imds(self.settings.metadata, self.run_directory)
        return self._imds

    @property
    def backend(self):
        # type: () -> Any
        """The distribution's network configuration."""
        return backends.choose(self.settings.backend, self.files)

    def kernel(self, families):
        # type: (Iterable[int]) -> KernelState
        """Return what the kernel has now."""
        families = list(families)
        # Started with ipv6.disable=1 it has not even the rules that are always there.
        families = [family for family in families if family == 4 or self.devices.has_ipv6()]
        tables = iproute.table_names(self.files.read, self.files.glob)
        groups = iproute.group_names(self.files.read, self.files.glob)
        for family in families:
            self._kernel[family] = iproute.read(self.runner, tables, groups, [family])
        return self.known_kernel(families)

    def known_kernel(self, families):
        # type: (Iterable[int]) -> KernelState
        """Return what the kernel had when it was read last, which may be now."""
        families = [family for family in families if family == 4 or self.devices.has_ipv6()]
        missing = [family for family in families if family not in self._kernel]
        if missing:
            self.kernel(missing)
        parts = [diff.NOTHING] + [self._kernel[family] for family in families]
        return KernelState(*[frozenset().union(*items) for items in zip(*parts)])

    @property
    def kernel_is_known(self):
        # type: () -> bool
        """Whether anything of the kernel was read, and not forgotten."""
        return bool(self._kernel)

    def forget_kernel(self):
        # type: () -> None
        """Read the kernel anew the next time: somebody else has changed it."""
        self._kernel.clear()


class Plan(
    namedtuple(
        "Plan",
        [
            "name",
            "eni",
            "state",
            "files",
            "before",
            "steps",
            "live",
            "left_alone",
            "unknown",
            "warning",
        ],
    )
):
    """What is to be done for an interface.

    `files`: {path: text, or None to delete}; `before`: the same paths' present texts. `steps`: the
    kernel's changes, made at once when the interface is `live` (up, with its primary address); else
    only the deletions are, and the generated file adds the rest when the interface comes up.
    `left_alone`: why nothing is done, else ""; `unknown`: whether that is because metadata is
    missing. `warning`: what the administrator should know about it, else "".
    """

    __slots__ = ()

    @property
    def is_primary(self):
        # type: () -> bool
        """Whether it is about the primary ENI, which gets addresses and no table."""
        return self.state is not None and not self.state.table

    @property
    def acts(self):
        # type: () -> bool
        """Whether carrying it out changes anything now."""
        return bool(self.files) or any(self.live or not step.completes for step in self.steps)


# What each backend writes first.
_HEADER = re.compile(r"^# Generated by ec2net: \S+, (\S+), table ", re.M)

PRIMARY = "it is the primary interface"
IGNORED = "it is ignored by the settings"
INCOMPLETE = "metadata does not describe it completely yet"


def reason_to_leave(settings, device, configuration):
    # type: (Settings, Device, Any) -> str
    """Return why this host's own knowledge makes a device none of ours, "" if it does not.

    Without a `configuration` just for what the device and the settings say.
    """
    if device.kind:
        return "it is a {0} device, not a network card".format(device.kind)
    if device.master:
        return "it is part of {0}".format(device.master)
    if is_ignored(settings, device.name) or is_ignored(settings, device.mac):
        return IGNORED
    keep = configuration.keep if configuration is not None else ""  # type: str
    return keep


def is_for(configuration, device):
    # type: (Any, Device) -> bool
    """Return whether generated (or inherited) files are those of this very ENI."""
    return bool(configuration.inherited) or mac_in(configuration.text) == device.mac


def mac_in(text):
    # type: (str) -> str
    """Return the MAC address that generated files are for, "" where there are none."""
    header = _HEADER.search(text)
    return header.group(1) if header else ""


def is_ignored(settings, value):
    # type: (Settings, str) -> bool
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in settings.ignore)


def left_alone_plan(name, reason, configuration=None):
    # type: (str, str, Optional[Any]) -> Plan
    """Return the plan that does nothing, with a warning where `configuration` is edited by hand."""
    edited = configuration is not None and configuration.edited
    warning = "left alone: " + reason if edited else ""
    return Plan(name, None, None, {}, {}, [], False, reason, False, warning)


def plan_for(host, device, eni, kernel=None, chosen=None):
    # type: (Host, Device, Eni, Optional[_ReadKernel], Optional[Dict[str, int]]) -> Plan
    """Return the plan for an ENI other than the primary.

    `chosen` are the tables of the plans that are made together, to which this adds its own.
    """
    backend = host.backend
    text = backend.configuration(device.name).text
    eni = _with_known_primary(backend, eni, device.name, text)
    state = _wanted_state(host, device, eni, chosen)
    new_files = backend.files(state, eni)
    record = _deletable(host, device.name, new_files)
    new_files.update(_names(host, device))
    # A device that is down has nothing in the kernel but the rules of what was there before.
    if device.up or set(record.rules) - set(state.rules):
        has = (kernel or host.kernel)(sorted(set(state.families + record.families)))
    else:
        has = diff.NOTHING
    live = any(
        (item.address, item.device) == (state.primary, device.name) for item in has.addresses
    )
    state = desired.with_learned_router(state, has.routes)
    steps = _possible(device, diff.changes(state, record, has))
    files, before = changed_files(host, new_files)
    said = [backend.warning(device.name)] + [
        "{0} is in the way of ours, and left alone".format(route.arguments)
        for route in diff.in_the_way(state.routes, set(has.routes) - set(record.routes))
    ]
    return Plan(
        name=device.name,
        eni=eni,
        state=state,
        files=files,
        before=before,
        steps=steps,
        live=live,
        left_alone="",
        unknown=False,
        warning="; ".join(sentence for sentence in said if sentence),
    )


def _names(host, device):
    # type: (Host, Device) -> Dict[str, Optional[str]]
    """Return udev's rules with this device's name, where there is a place for them."""
    # Somebody's link to /dev/null says that no names are wanted.
    if not host.files.exists(names.DIRECTORY) or not host.files.may_write(names.PATH):
        return {}
    text = names.with_name(host.files.read(names.PATH), device.mac, device.name)
    return {} if text is None else {names.PATH: text}


def _wanted_state(host, device, eni, chosen):
    # type: (Host, Device, Eni, Optional[Dict[str, int]]) -> InterfaceState
    settings, backend = host.settings, host.backend
    tables = dict(backend.tables(), **(chosen or {}))
    present = tables.pop(device.name, None)
    offset = desired.choose_offset(
        device.name,
        eni,
        None if present is None else present - settings.table_base,
        frozenset(table - settings.table_base for table in tables.values()),
    )
    table = settings.table_base + offset
    if chosen is not None:
        chosen[device.name] = table
    set_by_user = backend.configuration(device.name).knobs
    options = desired.Options(
        main_metric=table if set_by_user.main_route else 0,
        local_prefixes=set_by_user.provision_prefixes,
        router=notes.router(host.run_directory, device.name, eni),
    )
    priority = settings.priority_base + offset
    return desired.interface_state(device.name, eni, table, priority, options)


def _deletable(host, name, new_files):
    # type: (Host, str, Dict[str, Optional[str]]) -> InterfaceState
    """Return what may be taken from the kernel: what old and new files put there."""
    text = "".join(new_files[path] or "" for path in sorted(new_files))
    record = record_of(host, host.backend, name, text)
    # Main's default route by this interface has the table's number, whoever put it there for us.
    main_routes = tuple(
        route._replace(table=MAIN_TABLE, metric=route.table)
        for route in record.routes
        if (route.destination, route.family) == ("default", 4) and not route.metric
    )
    return record._replace(routes=record.routes + main_routes)


def primary_plan(host, device, eni, kernel=None):
    # type: (Host, Device, Eni, Optional[_ReadKernel]) -> Plan
    """Return the plan for the primary: its further addresses, known by a note and in no file."""
    added = notes.added_addresses(host.run_directory, device.name)
    # Nothing that would cost a process on every primary's boot.
    if not added and len(eni.addresses) <= 1 and len(eni.addresses6) <= 1:
        return left_alone_plan(device.name, PRIMARY)._replace(eni=eni)
    ours = {one.address for one in added}
    # The one that we did not add is the lease's, in whatever order they are listed.
    leased = [address for address in eni.addresses if address not in ours][:1]
    if eni.addresses and not leased:
        raise MetadataUnavailable("metadata of {0} lacks its primary address".format(device.name))
    has = (kernel or host.kernel)([4, 6] if eni.addresses6 or _families(added) > {4} else [4])
    there = {(item.address, item.device) for item in has.addresses}
    # Whether the primary has IPv6 at all is the administrator's business.
    leased6 = [
        one for one in eni.addresses6 if one not in ours and (one, device.name) in there
    ][:1]
    known = _first(eni, leased)._replace(
        addresses6=tuple(leased6) + tuple(one for one in eni.addresses6 if one not in leased6)
    )
    state = desired.primary_state(device.name, known if leased6 else known.of_family(4))
    # What is listed is never taken away, whatever it is taken for at the moment.
    listed = frozenset(eni.addresses + eni.addresses6)
    record = state._replace(addresses=tuple(one for one in added if one.address not in listed))
    live = (state.primary, device.name) in there
    steps = _possible(device, diff.changes(state, record, has))
    return Plan(device.name, eni, state, {}, {}, steps, live, "", False, "")


def _families(addresses):
    # type: (Iterable[Address]) -> Set[int]
    return {address.family for address in addresses}


def _first(eni, addresses):
    # type: (Eni, List[str]) -> Eni
    """Return `eni` with these of its addresses in front, in whatever order it lists them."""
    rest = tuple(address for address in eni.addresses if address not in addresses)
    return eni._replace(addresses=tuple(addresses) + rest)


def _with_known_primary(backend, eni, name, text):
    # type: (Any, Eni, str, str) -> Eni
    """Return `eni` with the address in front that it had from its first day.

    An ENI keeps its primary address for life. A list without it is not complete (yet).
    """
    if mac_in(text) != eni.mac:
        return eni
    rules = backend.recorded(name, text).rules
    before = [rule.source for rule in rules if rule.family == 4]
    if before and before[0] not in eni.addresses:
        raise MetadataUnavailable(
            "metadata of {0} lacks its primary address {1}".format(name, before[0])
        )
    first6 = [rule.source for rule in rules if rule.family == 6 and rule.source in eni.addresses6]
    if eni.ipv6_only and first6:
        rest = tuple(address for address in eni.addresses6 if address != first6[0])
        eni = eni._replace(addresses6=(first6[0],) + rest)
    return _first(eni, before[:1])


def _possible(device, steps):
    # type: (Device, List[diff.Change]) -> List[diff.Change]
    # Where IPv6 is switched off the kernel refuses its addresses; the files have them for the day
    # when it is on.
    return [step for step in steps if device.ipv6 or step.family == 4 or not step.add]


def changed_files(host, files):
    # type: (Host, Dict[str, Optional[str]]) -> Tuple[Dict[str, Any], Dict[str, Any]]
    """Return those of `files` that differ from what is there, and what is there now."""
    before = {path: host.files.read(path) for path in files}
    return {path: text for path, text in files.items() if text != before[path]}, before


def remote_reason(settings, device, listed, eni):
    # type: (Settings, Device, Iterable[str], Optional[Eni]) -> str
    """Return why metadata makes this device none of ours, "" if it does not."""
    if device.mac not in listed:
        return "metadata does not list its MAC address"
    if eni is None:
        return INCOMPLETE
    if is_ignored(settings, eni.interface_id):
        return "{0} is ignored by the settings".format(eni.interface_id)
    return ""


def record_of(host, backend, name, more=""):
    # type: (Host, Any, str, str) -> InterfaceState
    """Return what was ever added for `name` and not taken back since.

    `more` is the text of further generated files.
    """
    added = host.run_directory.read(notes.added(name)) or ""
    texts = added, backend.configuration(name).text, more
    state = backend.recorded(name, "".join(texts))  # type: InterfaceState
    return state


class KernelOnce(object):
    """Reads each family once for all interfaces."""

    def __init__(self, host):
        # type: (Host) -> None
        self._host = host
        self._read = {}  # type: Dict[int, KernelState]

    def __call__(self, families):
        # type: (Iterable[int]) -> KernelState
        for family in families:
            if family not in self._read:
                self._read[family] = self._host.kernel([family])
        parts = [self._read[family] for family in families]
        return KernelState(*[frozenset().union(*items) for items in zip(*parts)])


def devices_of(host):
    # type: (Host) -> List[Device]
    """Return the devices that this host has."""
    # The kernel takes names that are shell text.
    names = [name for name in host.devices.names() if event.is_interface_name(name)]
    found = [host.devices.device(name) for name in names]
    # One that went between the two looks is not there.
    return [device for device in found if device is not None]
