"""The distributions' own network configuration, a folder each, and which of them this host has.

A folder has a class `Distribution`, whose methods `protocol.Distribution` describes. A further one
needs its folder here, a line in `_KNOWN`, and its name in settings.spec.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError

if TYPE_CHECKING:
    from ec2net_legacy.distributions.protocol import Distribution, Reader

# Of each: what `backend =` in ec2net.conf calls it, what a host that uses it has, and its folder.
# network-scripts come first, because ifup-eth is a part of them. networkd may be there for
# something else, and is asked whether it has the primary. Many programs write
# /etc/network/interfaces on hosts that have no ifupdown.
_KNOWN = (
    ("ifcfg", "/etc/sysconfig/network-scripts/ifup-eth", "networkscripts"),
    ("networkd", "/run/systemd/netif", "networkd"),
    ("ifupdown", "/etc/network/interfaces", "ifupdown"),
)


def choose(setting, reader):
    # type: (str, Reader) -> Distribution
    """Return the distribution that `setting` names, or with "auto" the one that this host has.

    Raises HostError where it has none.
    """
    for name, sign, folder in _KNOWN:
        if setting == name or (setting == "auto" and _has(reader, name, sign)):
            # Imports cost time at every event, so only the one that is used is imported.
            # Not importlib, which is an import more.
            module = __import__("{0}.{1}".format(__name__, folder), fromlist=[str("Distribution")])
            found = module.Distribution(reader)  # type: Distribution
            return found
    signs = " and ".join(sign for _, sign, _ in _KNOWN)
    raise HostError("no supported network configuration on this host: looked for " + signs)


def _has(reader, name, sign):
    # type: (Reader, str, str) -> bool
    """Return whether a host uses a distribution's network configuration."""
    if not reader.exists(sign):
        return False
    if name != "networkd":
        return True
    from ec2net_legacy.distributions import networkd

    return networkd.is_here(reader)
