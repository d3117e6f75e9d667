"""The distributions' own network configuration, one module each, and which one this host has.

A backend computes: it reads configuration through the `Reader` it is given and returns
``{path: text, or None to delete}``. It writes nothing and knows nothing of the kernel.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.backends import ifupdown
from ec2net_legacy.errors import HostError

if TYPE_CHECKING:
    from typing import Any

    from ec2net_legacy.backends.configuration import Reader

# The name of a backend is what `backend =` in ec2net.conf takes.
_BACKENDS = {"ifupdown": ifupdown.Ifupdown}


def choose(setting, reader):
    # type: (str, Reader) -> Any
    """Return the backend that `setting` names, or with "auto" the one this host has."""
    if setting != "auto":
        if setting not in _BACKENDS:
            raise HostError("backend {0} is not available in this version".format(setting))
        return _BACKENDS[setting](reader)
    looked_for = []
    for name in sorted(_BACKENDS):
        sign = _BACKENDS[name].SIGN
        if reader.exists(sign):
            return _BACKENDS[name](reader)
        looked_for.append(sign)
    raise HostError(
        "no supported network configuration on this host: looked for " + ", ".join(looked_for)
    )
