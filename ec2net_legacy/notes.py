"""What is remembered about an interface in the run directory, and how it is written down.

All of it may be lost at any time, and is at a reboot; so is what it is about.
"""
from __future__ import absolute_import, print_function, unicode_literals

import ipaddress
import json
import re
from collections import namedtuple

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.coexistence import Managed
from ec2net_legacy.model import Address, Eni, Lease, MainFirst, MarkRule, Route

if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Optional, Pattern, Tuple

    from ec2net_legacy.host.rundir import RunDirectory
    from ec2net_legacy.model import Device

# A wish: somebody began to bring the interface up, or took it down though its device is there.
UP = "up"
DOWN = "down"

_ENIS = "enis"
_COEXISTENCE = "coexistence"
_ITEMS = {one.__name__: one for one in (MainFirst, MarkRule, Route)}  # type: Dict[str, Any]

Coexistence = namedtuple(
    "Coexistence", ["enis", "items", "groups", "parameters", "chains", "cannot", "failed"]
)
"""What was done for all ENIs together. `enis`: {device: (ifindex, Managed)}.
`items`: rules, and routes copied from main. `groups`:
{device: [ifindex, link group before, ours]}; `parameters`: {kernel parameter: [ifindex, value
before, ours]}; `chains`: families with a chain of ours; `cannot`: those in which main cannot be
first; `failed`: those whose netfilter does not work."""

NO_COEXISTENCE = Coexistence({}, (), {}, {}, (), (), ())

# What a note with something else in it raises; RuntimeError: nested too deeply.
_WRONG = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RuntimeError
)
_DEVICE = re.compile(r"[^\x00-\x20/]{1,15}\Z")
_PARAMETER = re.compile(r"net/ipv4/conf/[^\x00-\x20/]{1,15}/[a-z_]+\Z")
_ADDRESS = re.compile(r"([0-9a-f.:]{2,45})/([0-9]{1,3})\Z")


def added(name):
    # type: (str) -> str
    """Return the note of the generated texts whose effects may be in the kernel."""
    return "added-" + name


def device(name):
    # type: (str) -> str
    """Return the note of the device that was brought up: its ifindex."""
    return "device-" + name


def _wish(name):
    # type: (str) -> str
    return "wish-" + name


def _addresses(name):
    # type: (str) -> str
    return "addresses-" + name


def _metadata(name):
    # type: (str) -> str
    return "metadata-" + name


def _lease(name):
    # type: (str) -> str
    return "lease-" + name


def forget(directory, name):
    # type: (RunDirectory, str) -> None
    """Drop everything about an interface that is gone."""
    for note in (added(name), _addresses(name), _metadata(name), _lease(name), _wish(name)):
        directory.forget(note)
    directory.forget_lock(name)


def added_addresses(directory, name):
    # type: (RunDirectory, str) -> Tuple[Address, ...]
    """Return the addresses that were added to the primary interface."""
    found = []
    for line in (directory.read(_addresses(name)) or "").split("\n"):
        address = _ADDRESS.match(line)
        if address:
            found.append(Address(address.group(1), int(address.group(2)), name))
    return tuple(found)


def keep_addresses(directory, name, addresses):
    # type: (RunDirectory, str, Iterable[Address]) -> None
    """Remember the addresses that were added to the primary interface."""
    lines = sorted("{0}/{1}".format(one.address, one.length) for one in addresses)
    if lines:
        directory.write(_addresses(name), "\n".join(lines))
    else:
        directory.forget(_addresses(name))


def keep_device(directory, brought_up):
    # type: (RunDirectory, Device) -> None
    """Remember which device it is that was brought up."""
    index = "{0}".format(brought_up.index)
    if directory.read(device(brought_up.name)) != index:
        directory.write(device(brought_up.name), index)


def keep_wish(directory, name, wish, index):
    # type: (RunDirectory, str, str, int) -> None
    """Remember how the device `index` of that name shall be: UP until it is, or DOWN."""
    directory.write(_wish(name), "{0} {1}".format(wish, index))


def forget_wish(directory, name):
    # type: (RunDirectory, str) -> None
    """Forget it: it has come true, or somebody else's is what counts."""
    directory.forget(_wish(name))


def wish(directory, name, index):
    # type: (RunDirectory, str, int) -> str
    """Return how the device `index` of that name shall be, "" where nobody said."""
    kept = (directory.read(_wish(name)) or "").split()
    return kept[0] if len(kept) == 2 and kept[1] == "{0}".format(index) else ""


def enis(directory):
    # type: (RunDirectory) -> Dict[str, Any]
    """Return {MAC address: whether it is an ENI's} of the devices that metadata was asked about.

    A number is a no that is to be asked about again, at that moment of the monotonic clock.
    """
    try:
        kept = json.loads(directory.read(_ENIS) or "{}")
        return {mac: known if known is True else float(known) for mac, known in kept.items()}
    except _WRONG:
        return {}


def keep_enis(directory, known):
    # type: (RunDirectory, Dict[str, Any]) -> None
    """Remember which MAC addresses are ENIs', {} for none."""
    if known:
        directory.write(_ENIS, json.dumps(known))
    else:
        directory.forget(_ENIS)


def coexistence(directory):
    # type: (RunDirectory) -> Coexistence
    """Return what was done for all ENIs together, and may have to be taken back."""
    try:
        kept = Coexistence(**json.loads(directory.read(_COEXISTENCE) or "{}"))
        items = tuple(_ITEMS[values[0]](*values[1:]) for values in kept.items)
        groups, parameters = [
            {
                _checked(name, pattern): [int(index), int(before), int(ours)]
                for name, (index, before, ours) in one.items()
            }
            for one, pattern in ((kept.groups, _DEVICE), (kept.parameters, _PARAMETER))
        ]
        enis = {
            _checked(name, _DEVICE): (int(index), _managed(eni))
            for name, (index, eni) in kept.enis.items()
        }
        families = [
            tuple(sorted(int(one) for one in some))
            for some in (kept.chains, kept.cannot, kept.failed)
        ]
        there = {item.family for item in frozenset(items)}.union(*families)
    except _WRONG:
        return NO_COEXISTENCE
    if there - {4, 6}:
        return NO_COEXISTENCE
    return Coexistence(enis, items, groups, parameters, *families)


def _checked(name, pattern):
    # type: (str, Pattern[str]) -> str
    if not pattern.match(name):
        raise ValueError(name)
    # A lone surrogate is no text.
    name.encode("utf-8")
    return name


def _managed(values):
    # type: (Iterable[Any]) -> Managed
    eni = Managed(*values)
    return eni._replace(families=tuple(int(family) for family in eni.families))


def keep_coexistence(directory, done):
    # type: (RunDirectory, Coexistence) -> None
    """Remember it; when there is nothing, that is no note."""
    items = sorted([type(item).__name__] + list(item) for item in done.items)
    text = json.dumps(done._replace(items=items)._asdict(), sort_keys=True)
    if not any(done):
        directory.forget(_COEXISTENCE)
    elif directory.read(_COEXISTENCE) != text:
        directory.write(_COEXISTENCE, text)


def keep_metadata(directory, name, eni, asked):
    # type: (RunDirectory, str, Eni, float) -> None
    """Remember what the metadata service said when it was `asked` (a monotonic time)."""
    directory.write(_metadata(name), json.dumps({"asked": asked, "eni": eni._asdict()}))


def forget_metadata(directory, name):
    # type: (RunDirectory, str) -> None
    """Forget what the metadata service said."""
    directory.forget(_metadata(name))


def metadata(directory, name, mac):
    # type: (RunDirectory, str, str) -> Tuple[Optional[Eni], float]
    """Return what the service said last of the ENI `mac` that has this name, and when."""
    try:
        kept = json.loads(directory.read(_metadata(name)) or "{}")
        values = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in kept["eni"].items()
        }
        eni, asked = Eni(**values), float(kept["asked"])
    except _WRONG:
        return None, 0.0
    return (eni, asked) if eni.mac == mac else (None, 0.0)


def keep_lease(directory, name, lease):
    # type: (RunDirectory, str, Optional[Lease]) -> None
    """Remember what DHCP gave; None: nothing any more."""
    if lease is None:
        directory.forget(_lease(name))
    else:
        text = json.dumps(lease._asdict())
        if directory.read(_lease(name)) != text:
            directory.write(_lease(name), text)


def router(directory, name, eni):
    # type: (RunDirectory, str, Eni) -> str
    """Return the router that the lease of this very ENI named, "" where there is none."""
    try:
        lease = Lease(**json.loads(directory.read(_lease(name)) or "{}"))
    except _WRONG:
        return ""
    if lease.address not in eni.addresses[:1]:
        return ""
    try:
        return ipaddress.IPv4Address(lease.router).compressed
    except ValueError:
        return ""
