"""What the host, the EC2 instance, looks like before anything was installed on it."""

import os
import re
from pathlib import Path
from typing import Any, Dict, Iterable, Tuple

from .namespaces import Namespace
from .vpc import Eni

# As in Debian's cloud images, the order of the parts included.
_INTERFACES = """\
# interfaces(5) file used by ifup(8) and ifdown(8)
auto lo
iface lo inet loopback

auto {primary}
iface {primary} inet dhcp

{interfaces_line}
"""

_EMPTY = ("/etc/network/interfaces.d", "/var/lib/dhcp")
_WATCHED = ("/etc/network", "/etc/dhcp")
# What differs between two listings of the same configuration.
_PASSING = re.compile(r"\s+(?:valid_lft|preferred_lft|expires|hoplimit) \S+|\s+tentative\b")
# The kernel makes these by itself and takes its time over it (duplicate address detection).
_LINK_LOCAL = re.compile(r"\binet6 fe80::|^(?:local |anycast )?fe80::|^multicast ff00::")


def settings(primary: Eni, interfaces_line: str) -> Dict[str, Any]:
    """What the keeper puts into the host's file system; dhclient.conf is the machine's own."""
    return {
        "hostname": primary.hostname,
        "empty": _EMPTY,
        "files": {
            "/etc/network/interfaces": _INTERFACES.format(
                primary=primary.name, interfaces_line=interfaces_line
            ),
            "/etc/hostname": f"{primary.hostname}\n",
            "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
            "/etc/resolv.conf": "",
        },
    }


def boot(host: Namespace, primary: Eni, rp_filter: int) -> None:
    """Do what the init system does about the network: kernel parameters, then ifup."""
    host.sysctl({
        **{f"net/ipv4/conf/{name}/rp_filter": rp_filter
           for name in ("all", "default", primary.name)},
        **{f"net/ipv4/conf/{name}/{key}": 0
           for name in ("all", "default", primary.name)
           for key in ("arp_ignore", "arp_announce", "arp_filter", "promote_secondaries")},
        "net/ipv4/ip_forward": 0,
    })
    host.run(["ifup", "lo", primary.name])


def _tree(root: Path, tops: Iterable[str]) -> Iterable[Tuple[str, str]]:
    for top in tops:
        for directory, subdirectories, names in os.walk(root / top[1:]):
            subdirectories.sort()
            for name in sorted(names):
                path = Path(directory, name)
                shown = "/" + str(path.relative_to(root))
                if path.is_symlink():
                    yield shown, f"-> {os.readlink(path)}"
                else:
                    yield shown, path.read_text(encoding="utf-8", errors="replace")


def snapshot(host: Namespace, root: Path, tops: Iterable[str] = _WATCHED) -> Dict[str, Any]:
    """The network configuration and its files, without what changes by itself."""
    listings = {
        "addresses": ["ip", "-o", "address"],
        "rules": ["ip", "-4", "rule"],
        "rules6": ["ip", "-6", "rule"],
        "routes": ["ip", "-4", "route", "show", "table", "all"],
        "routes6": ["ip", "-6", "route", "show", "table", "all"],
    }
    taken: Dict[str, Any] = {
        name: [
            _PASSING.sub("", line).replace("\\", "").strip()
            for line in host.run(command).stdout.splitlines()
            if not _LINK_LOCAL.search(line)
        ]
        for name, command in listings.items()
    }
    taken["files"] = dict(_tree(root, tops))
    return taken
