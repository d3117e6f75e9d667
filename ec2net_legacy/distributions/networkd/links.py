"""What networkd says of its links in /run/systemd/netif, without the bus.

systemd calls these files private data. Their keys ADMIN_STATE and NETWORK_FILE are the same in 247,
252 and 257 (docs/networkd.md).
"""
from __future__ import absolute_import, print_function, unicode_literals

import posixpath

from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.distributions import protocol

if TYPE_CHECKING:
    from typing import List

_LINKS = "/run/systemd/netif/links"
_INDEX = "/sys/class/net/{0}/ifindex"

Link = namedtuple("Link", ["state", "network_file"])
"""A link of networkd's. `state`: "configured", "unmanaged" and so on, "" where it does not say;
`network_file`: the path of the file that it goes by, "" for none."""


def link(reader, interface):
    # type: (protocol.Reader, str) -> Link
    """Return what networkd says of an interface."""
    index = (reader.read(_INDEX.format(interface)) or "").strip()
    return _parsed((reader.read(posixpath.join(_LINKS, index)) if index else None) or "")


def managed(reader):
    # type: (protocol.Reader) -> List[str]
    """Return the files by which networkd manages links."""
    texts, _ = protocol.read_all(reader, reader.glob(_LINKS + "/*"))
    found = [_parsed(texts[path]) for path in sorted(texts)]
    return [one.network_file for one in found if one.network_file]


def ways_out(reader):
    # type: (protocol.Reader) -> List[str]
    """Return the interfaces of main's IPv4 default routes."""
    found = []
    for line in (reader.read("/proc/net/route") or "").split("\n")[1:]:
        fields = line.split("\t")
        # Interface, destination, gateway, flags, reference count, use, metric, mask.
        if len(fields) > 7 and (fields[1], fields[7].strip()) == ("00000000", "00000000"):
            found.append(fields[0])
    return found


def _parsed(text):
    # type: (str) -> Link
    pairs = [line.partition("=") for line in text.split("\n")]
    said = {key: value for key, _, value in pairs}
    state = said.get("ADMIN_STATE", "")
    # 247 keeps the file's name of a link that it does not manage any more.
    path = said.get("NETWORK_FILE", "") if state != "unmanaged" else ""
    return Link(state, path if posixpath.isabs(path) else "")
