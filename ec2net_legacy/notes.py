"""What is remembered about an interface in the run directory, and how it is written down.

All of it may be lost at any time, and is at a reboot; so is what it is about.
"""
from __future__ import absolute_import, print_function, unicode_literals

import ipaddress
import json
import re

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.model import Address, Eni, Lease

if TYPE_CHECKING:
    from typing import Iterable, Optional, Tuple

    from ec2net_legacy.host.rundir import RunDirectory
    from ec2net_legacy.model import Device

# A wish: somebody began to bring the interface up, or took it down though its device is there.
UP = "up"
DOWN = "down"

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
    except (ValueError, KeyError, TypeError, AttributeError):
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
    except (ValueError, TypeError):
        return ""
    if lease.address not in eni.addresses[:1]:
        return ""
    try:
        return ipaddress.IPv4Address(lease.router).compressed
    except ValueError:
        return ""
