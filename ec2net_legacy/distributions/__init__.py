"""The distributions' own network configuration, a folder each, and which of them this host has.

A folder has a class `Distribution`, whose methods `protocol.Distribution` describes. A further one
needs its folder here, a line in `_KNOWN`, and its name in settings.spec.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError

if TYPE_CHECKING:
    from ec2net_legacy.distributions.protocol import Distribution, Reader

# Of each: what `backend =` in ec2net.conf calls it, the file by which a host is known to use it,
# and its folder. network-scripts come first, because ifup-eth is a part of them, while many
# programs write /etc/network/interfaces on hosts that have no ifupdown.
_KNOWN = (
    ("ifcfg", "/etc/sysconfig/network-scripts/ifup-eth", "networkscripts"),
    ("ifupdown", "/etc/network/interfaces", "ifupdown"),
)


def choose(setting, reader):
    # type: (str, Reader) -> Distribution
    """Return the distribution that `setting` names, or with "auto" the one that this host has.

    Raises HostError where it has none.
    """
    for name, sign, folder in _KNOWN:
        if setting == name or (setting == "auto" and reader.exists(sign)):
            # Imports cost time at every event, so only the one that is used is imported.
            # Not importlib, which is an import more.
            module = __import__("{0}.{1}".format(__name__, folder), fromlist=[str("Distribution")])
            found = module.Distribution(reader)  # type: Distribution
            return found
    signs = " and ".join(sign for _, sign, _ in _KNOWN)
    raise HostError("no supported network configuration on this host: looked for " + signs)
