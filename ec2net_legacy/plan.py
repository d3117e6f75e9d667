"""What is to be done for an interface: its plan, and the host that plans are made of.

`workflow` carries plans out, `report` shows them, so that what is shown is what is done.
"""
from __future__ import absolute_import, print_function, unicode_literals

import fnmatch
import time
from collections import namedtuple

from ec2net_legacy import _compat, backends, desired
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.host import processes, sysfs
from ec2net_legacy.host.command import Runner
from ec2net_legacy.host.files import Files
from ec2net_legacy.host.rundir import RunDirectory
from ec2net_legacy.kernel import diff, iproute

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

    from ec2net_legacy.imds import Imds
    from ec2net_legacy.kernel.parse import KernelState
    from ec2net_legacy.model import Device, Eni, InterfaceState
    from ec2net_legacy.settings import Settings


class Host(object):
    """This host's edges, handed to every use case; tests hand in their own."""

    def __init__(self, settings, files=None, runner=None, devices=sysfs, imds=None):
        # type: (Settings, Optional[Files], Optional[Runner], Any, Optional[Imds]) -> None
        self.ancestors = processes.ancestors  # type: Callable[[], List[str]]
        self.settings = settings
        self.files = files or Files()
        self.runner = runner or Runner()
        self.devices = devices
        self.run_directory = RunDirectory(settings.run_directory)
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
        names = iproute.table_names(self.files.read, self.files.glob)
        return iproute.read(self.runner, names, families)


Plan = namedtuple(
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
"""What is to be done for an interface.

`files`: {path: text, or None to delete}; `before`: the same paths' present texts. `steps`: the
kernel's changes, made at once when the interface is `live` (up, with its primary address); else
only the deletions are, and the generated file adds the rest when the interface comes up.
`left_alone`: why nothing is done, else ""; `unknown`: whether that is because metadata is missing.
`warning`: what the administrator should know about it, else "".
"""


def reason_to_leave(settings, device, configuration):
    # type: (Settings, Device, Any) -> str
    """Return why this host's own knowledge makes a device none of ours, "" if it does not."""
    if device.kind:
        return "it is a {0} device, not a network card".format(device.kind)
    if device.master:
        return "it is part of {0}".format(device.master)
    if is_ignored(settings, device.name) or is_ignored(settings, device.mac):
        return "it is ignored by the settings"
    keep = configuration.keep  # type: str
    return keep


def is_ignored(settings, value):
    # type: (Settings, str) -> bool
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in settings.ignore)


def left_alone_plan(name, reason, configuration=None):
    # type: (str, str, Optional[Any]) -> Plan
    """Return the plan that does nothing, with a warning where `configuration` is edited by hand."""
    edited = configuration is not None and configuration.edited
    warning = "left alone: " + reason if edited else ""
    return Plan(name, None, None, {}, {}, [], False, reason, False, warning)


def plan_for(host, backend, device, eni, kernel=None):
    # type: (Host, Any, Device, Eni, Optional[Callable[[Iterable[int]], KernelState]]) -> Plan
    settings = host.settings
    tables = backend.tables()
    present = tables.pop(device.name, None)
    offset = desired.choose_offset(
        device.name,
        eni,
        None if present is None else present - settings.table_base,
        frozenset(table - settings.table_base for table in tables.values()),
    )
    table = settings.table_base + offset
    configuration = backend.configuration(device.name)
    managed = eni if backend.DUAL_STACK or eni.ipv6_only else eni.of_family(4)
    state = desired.interface_state(
        device.name,
        managed,
        table,
        settings.priority_base + offset,
        main_metric=table if backend.OWN_MAIN_ROUTE and configuration.knobs.main_route else 0,
        local_prefixes=configuration.knobs.provision_prefixes,
    )
    new_files = backend.files(state, managed)
    # What the files put into the kernel, those of before and those to come, is what may be taken
    # from it.
    new_text = "".join(new_files[path] or "" for path in sorted(new_files))
    record = record_of(host, backend, device.name, new_text)
    # A device that is down has nothing in the kernel but the rules of what was there before.
    if device.up or set(record.rules) - set(state.rules):
        families = sorted(set(state.families + record.families))
        has = (kernel or host.kernel)(families)
    else:
        has = diff.NOTHING
    live = any(
        (item.address, item.device) == (state.primary, device.name) for item in has.addresses
    )
    state = desired.with_learned_router(state, has.routes)
    steps = diff.changes(state, record, has)
    files, before = changed_files(host, new_files)
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
        warning=backend.warning(device.name),
    )


def changed_files(host, files):
    # type: (Host, Dict[str, Optional[str]]) -> Tuple[Dict[str, Any], Dict[str, Any]]
    """Return those of `files` that differ from what is there, and what is there now."""
    before = {path: host.files.read(path) for path in files}
    return {path: text for path, text in files.items() if text != before[path]}, before


def remote_reason(settings, device, listed, primary, eni):
    # type: (Settings, Device, Iterable[str], str, Optional[Eni]) -> str
    """Return why metadata makes this device none of ours, "" if it does not."""
    if device.mac not in listed:
        return "metadata does not list its MAC address"
    if device.mac == primary:
        return "it is the primary interface"
    if eni is None:
        return "metadata does not describe it completely yet"
    if is_ignored(settings, eni.interface_id):
        return "{0} is ignored by the settings".format(eni.interface_id)
    return ""


def added_note(name):
    # type: (str) -> str
    return "added-" + name


def record_of(host, backend, name, more=""):
    # type: (Host, Any, str, str) -> InterfaceState
    """Return what was ever added for `name` and not taken back since.

    `more` is the text of further generated files.
    """
    texts = host.run_directory.read(added_note(name)) or "", backend.configuration(name).text, more
    state = backend.recorded(name, "".join(texts))  # type: InterfaceState
    return state
