"""The distributions' own network configuration, one module each, and which one this host has.

A backend computes: it reads configuration through the `Reader` it is given and returns
``{path: text, or None to delete}``. It writes nothing and knows nothing of the kernel.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError

if TYPE_CHECKING:
    from typing import Any

    from ec2net_legacy.backends.configuration import Reader

# By what a host is known to have a backend, whose name is what `backend =` in ec2net.conf takes. In
# order of preference: ifup-eth is a part of network-scripts, while many write
# /etc/network/interfaces who have no ifupdown.
_SIGNS = (
    ("ifcfg", "/etc/sysconfig/network-scripts/ifup-eth"),
    ("ifupdown", "/etc/network/interfaces"),
)


def choose(setting, reader):
    # type: (str, Reader) -> Any
    """Return the backend that `setting` names, or with "auto" the one this host has."""
    for name, sign in _SIGNS:
        if setting == name or (setting == "auto" and reader.exists(sign)):
            return _make(name, reader)
    raise HostError(
        "no supported network configuration on this host: looked for {0}".format(
            " and ".join(sign for _, sign in _SIGNS)
        )
    )


def _make(name, reader):
    # type: (str, Reader) -> Any
    # Only the one that is used costs its import.
    if name == "ifcfg":
        from ec2net_legacy.backends.ifcfg import Ifcfg

        return Ifcfg(reader)
    from ec2net_legacy.backends.ifupdown import Ifupdown

    return Ifupdown(reader)
