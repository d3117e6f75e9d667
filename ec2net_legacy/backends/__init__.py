"""The distributions' own network configuration, one module each, and which one this host has.

A backend computes: it reads configuration through the `Reader` it is given and returns
``{path: text, or None to delete}``. It writes nothing and knows nothing of the kernel.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.backends import ifcfg, ifupdown
from ec2net_legacy.errors import HostError

if TYPE_CHECKING:
    from typing import Any, Tuple

    from ec2net_legacy.backends.configuration import Reader

# The name of a backend is what `backend =` in ec2net.conf takes. In order of preference: ifup-eth is
# a part of network-scripts, while /etc/network/interfaces is written by many who have no ifupdown.
_BACKENDS = (ifcfg.Ifcfg, ifupdown.Ifupdown)  # type: Tuple[Any, ...]


def choose(setting, reader):
    # type: (str, Reader) -> Any
    """Return the backend that `setting` names, or with "auto" the one this host has."""
    for backend in _BACKENDS:
        if setting == backend.name or (setting == "auto" and reader.exists(backend.SIGN)):
            return backend(reader)
    raise HostError(
        "no supported network configuration on this host: looked for {0}".format(
            " and ".join(backend.SIGN for backend in _BACKENDS)
        )
    )
