"""Kernel parameters below /proc/sys, named as sysctl(8) names them, with slashes."""
from __future__ import absolute_import, print_function, unicode_literals

import os

from ec2net_legacy._compat import native_path
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError

if TYPE_CHECKING:
    from typing import Optional

_ROOT = "/proc/sys"


def read(name):
    # type: (str) -> Optional[str]
    """Return the value of a parameter, None where there is none (any more)."""
    try:
        with open(native_path(os.path.join(_ROOT, name))) as stream:
            return stream.read().strip()
    except (IOError, OSError):
        return None


def number(name):
    # type: (str) -> Optional[int]
    """Return the value of a parameter that is a number, None where there is none."""
    value = read(name)
    return int(value) if value is not None and value.isdigit() else None


def write(name, value):
    # type: (str, str) -> None
    """Set a parameter. Raises HostError."""
    try:
        with open(native_path(os.path.join(_ROOT, name)), "w") as stream:
            stream.write(str(value))
    except (IOError, OSError) as error:
        raise HostError("cannot set {0} to {1}: {2}".format(name, value, error.strerror))
