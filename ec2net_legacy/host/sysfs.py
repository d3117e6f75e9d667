"""What /sys/class/net says of a device."""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import os

from ec2net_legacy._compat import native_path, path_text, text
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError
from ec2net_legacy.model import Device

if TYPE_CHECKING:
    from typing import List, Optional

_CLASS = "/sys/class/net"
_IPV6 = "/proc/sys/net/ipv6/conf"
_IFF_UP = 1
_ETHERNET = "1"
_NO_MAC = "00:00:00:00:00:00"


def names():
    # type: () -> List[str]
    """Return the names of all devices but the loopback, sorted."""
    try:
        found = [path_text(name) for name in os.listdir(native_path(_CLASS))]
    except OSError as error:
        raise HostError("cannot list {0}: {1}".format(_CLASS, error.strerror))
    # bonding_masters is a file beside the devices.
    return sorted(name for name in found if name != "lo" and os.path.isdir(_path(name, "")))


def device(name):
    # type: (str) -> Optional[Device]
    """Return the device `name`, None where there is none (any more).

    Its `mac` is "" while the driver has not set one: a fresh device shows zeros for a moment.
    """
    address = _attribute(name, "address")
    if address is None:
        return None
    mac = address.lower()
    return Device(
        name=name,
        mac="" if mac == _NO_MAC else mac,
        kind=_kind(name),
        master=_master(name),
        index=int(_attribute(name, "ifindex") or "0"),
        up=bool(int(_attribute(name, "flags") or "0", 16) & _IFF_UP),
        ipv6=_has_ipv6(name),
    )


def group(name):
    # type: (str) -> Optional[int]
    """Return the link group of a device, None where there is no device or this kernel has none."""
    number = _attribute(name, "netdev_group")
    return None if number is None else int(number)


def has_ipv6():
    # type: () -> bool
    """Return whether this kernel has IPv6 at all."""
    return os.path.isdir(_IPV6)


def _has_ipv6(name):
    # type: (str) -> bool
    try:
        return _content(native_path("{0}/{1}/disable_ipv6".format(_IPV6, name))) == "0"
    except EnvironmentError:
        # A kernel without IPv6, or started with ipv6.disable=1.
        return False


def _attribute(name, attribute):
    # type: (str, str) -> Optional[str]
    try:
        return _content(_path(name, attribute))
    except EnvironmentError as error:
        # EINVAL and ENODEV: the device went while its attribute was being read.
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.ENODEV):
            return None
        raise HostError("cannot read {0} of {1}: {2}".format(attribute, name, error.strerror))


def _content(path):
    # type: (str) -> str
    # Not open(), which asks four times more of the kernel: there are some forty of these in a run.
    handle = os.open(path, os.O_RDONLY)
    try:
        # The kernel gives all of an attribute at once, a page at most.
        return text(os.read(handle, 4096)).strip()
    finally:
        os.close(handle)


def _path(name, attribute):
    # type: (str, str) -> str
    return native_path(os.path.join(_CLASS, name, attribute))


def _kind(name):
    # type: (str) -> str
    if (_attribute(name, "type") or _ETHERNET) != _ETHERNET:
        return "non-Ethernet"
    for line in (_attribute(name, "uevent") or "").splitlines():
        if line.startswith("DEVTYPE="):
            return line[len("DEVTYPE=") :]
    return ""


def _master(name):
    # type: (str) -> str
    try:
        return path_text(os.path.basename(os.readlink(_path(name, "master"))))
    except OSError:
        return ""
