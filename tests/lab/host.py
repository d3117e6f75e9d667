"""What the host, the EC2 instance, looks like before anything was installed on it."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Protocol, Sequence, Tuple

from . import networkd as systemd
from .namespaces import Namespace
from .vpc import Eni

# As in Debian's cloud images, the order of the parts included.
_INTERFACES = """\
# interfaces(5) file used by ifup(8) and ifdown(8)
auto lo
iface lo inet loopback

auto {primary}
iface {primary} inet dhcp
{ipv6}
{interfaces_line}
"""

# Without the last line dhclient would give up for good when no server answers at first.
_IFCFG = """\
DEVICE={primary}
BOOTPROTO=dhcp
ONBOOT=yes
TYPE=Ethernet
PEERDNS=no
PERSISTENT_DHCLIENT=yes
"""
# Where the primary has IPv6.
_INTERFACES6 = "iface {primary} inet6 dhcp\n"
_IFCFG6 = "IPV6INIT=yes\nDHCPV6C=yes\n"
_IFCFG_LO = """\
DEVICE=lo
IPADDR=127.0.0.1
NETMASK=255.0.0.0
ONBOOT=yes
NAME=loopback
"""

_SCRIPTS = "/etc/sysconfig/network-scripts"
# The stand-ins in rhel/ and where they go; ifup and ifdown in place of Debian's.
_STAND_INS = {
    "network-functions": _SCRIPTS,
    **{f"{action}-{kind}": _SCRIPTS for action in ("ifup", "ifdown") for kind in ("eth", "routes")},
    **dict.fromkeys(("ifup", "ifdown", "dhclient-script"), "/sbin"),
}

# What the host has of the machine's /etc: what its programs cannot do without, and nothing that an
# administrator sets up for the network.
_ETC = ("alternatives", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
        "nsswitch.conf", "os-release", "passwd", "protocols", "services", "shells")
# As Debian's isc-dhcp-client has it, as far as it goes here.
_DHCLIENT_CONF = """\
send host-name = gethostname();
request subnet-mask, broadcast-address, time-offset, routers,
	domain-name, domain-name-servers, domain-search, host-name,
	dhcp6.name-servers, dhcp6.domain-search, dhcp6.fqdn, dhcp6.sntp-servers,
	netbios-name-servers, netbios-scope, interface-mtu, ntp-servers;
"""
# The product may be installed on the machine; the host has it when a test installs it.
_PRODUCT = ("/usr/lib/ec2net", "/usr/local/lib/ec2net") + tuple(
    f"{directory}/{name}"
    for directory in ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/bin")
    for name in ("ec2net-hotplug", "ec2ifup", "ec2ifdown", "ec2ifscan", "ec2net")
)
# The machine may run containers; the host does when a test says so.
_CONTAINERS = tuple(f"/usr/bin/{name}" for name in ("containerd", "docker", "dockerd", "podman"))
# What ``snapshot`` looks at.
WATCHED = {
    "debian": ("/etc/network", "/etc/dhcp"),
    "rhel": ("/etc/sysconfig", "/etc/dhcp"),
    "networkd": ("/etc/systemd", "/run/systemd/network", "/var/lib/ec2net"),
}
# What differs between two listings of the same configuration.
_PASSING = re.compile(r"\s+(?:valid_lft|preferred_lft|expires|hoplimit) \S+|\s+tentative\b")
# The kernel makes these by itself and takes its time over it (duplicate address detection).
_BETWEEN = "-- the next command --"
_LINK_LOCAL = re.compile(r"\binet6 fe80::|^(?:local |anycast )?fe80::|^multicast ff00::")


def settings(primary: Eni, distribution: str, interfaces_line: str,
             networkd: Optional[str]) -> Dict[str, Any]:
    """What the keeper changes in the host's file system."""
    if distribution == "networkd":
        own = systemd.settings(primary, networkd)
    else:
        own = _rhel(primary) if distribution == "rhel" else _debian(primary, interfaces_line)
    return {
        **own,
        "absent": (*own["absent"], *_PRODUCT, *_CONTAINERS),
        "etc": _ETC,
        "hostname": primary.hostname,
        "files": {
            **own["files"],
            # Without it Debian's dhclient-script fails, and dhclient declines each lease.
            "/etc/fstab": "",
            "/etc/hostname": f"{primary.hostname}\n",
            "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
            "/etc/resolv.conf": "",
        },
    }


def _debian(primary: Eni, interfaces_line: str) -> Dict[str, Any]:
    """The machine is a Debian; its configuration of the network is not the host's."""
    ipv6 = _INTERFACES6.format(primary=primary.name) if primary.ipv6 else ""
    interfaces = _INTERFACES.format(
        primary=primary.name, interfaces_line=interfaces_line, ipv6=ipv6
    )
    return {
        "absent": (),
        "empty": ("/etc/network/interfaces.d", "/var/lib/dhcp",
                  *(f"/etc/network/if-{when}.d" for when in ("pre-up", "up", "down", "post-down")),
                  *(f"/etc/dhcp/dhclient-{when}-hooks.d" for when in ("enter", "exit"))),
        "files": {"/etc/network/interfaces": interfaces, "/etc/dhcp/dhclient.conf": _DHCLIENT_CONF},
        "programs": {},
    }


def _rhel(primary: Eni) -> Dict[str, Any]:
    """Debian's ip and dhclient among our stand-ins; see rhel/README.md."""
    source = Path(__file__).with_name("rhel")
    return {
        "absent": ("/sbin/ifquery", "/var/lib/dhcp"),
        "empty": ("/etc/dhcp", "/etc/dhcp/dhclient.d", "/etc/sysconfig", _SCRIPTS,
                  "/var/lib/dhclient"),
        "files": {
            "/etc/sysconfig/network": "NETWORKING=yes\nNOZEROCONF=yes\n",
            f"{_SCRIPTS}/ifcfg-lo": _IFCFG_LO,
            f"{_SCRIPTS}/ifcfg-{primary.name}": (
                _IFCFG.format(primary=primary.name) + (_IFCFG6 if primary.ipv6 else "")
            ),
        },
        "programs": {
            f"{directory}/{name}": (source / name).read_text(encoding="utf-8")
            for name, directory in _STAND_INS.items()
        },
    }


def boot(host: Namespace, primary: Eni, rp_filter: int,
         networkd: Optional[systemd.Networkd] = None) -> None:
    """Do what the init system does about the network: kernel parameters, then ifup or networkd."""
    host.sysctl({
        **{f"net/ipv4/conf/{name}/rp_filter": rp_filter
           for name in ("all", "default", primary.name)},
        **{f"net/ipv4/conf/{name}/{key}": 0
           for name in ("all", "default", primary.name)
           for key in ("arp_ignore", "arp_announce", "arp_filter", "promote_secondaries")},
        "net/ipv4/ip_forward": 0,
        # No pause for duplicates, nor before a router is asked for.
        **{f"net/ipv6/conf/{name}/{key}": 0
           for name in ("all", "default", primary.name) if primary.ipv6
           for key in ("accept_dad", "dad_transmits", "router_solicitation_delay")},
    })
    if networkd is not None:
        host.run(["ip", "link", "set", "lo", "up"])
        networkd.start()
        networkd.wait(primary.name)
        return
    for name in ("lo", primary.name):
        host.run(["ifup", name])


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


class Commands(Protocol):
    """Where a command can be run: a namespace, or a machine."""

    def run(self, argv: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """Run it to its end; an exception tells of its failure."""


def configuration(host: Commands) -> Dict[str, List[str]]:
    """The kernel's network configuration, without what changes by itself."""
    listings = {
        "addresses": ["ip", "-o", "address"],
        "rules": ["ip", "-4", "rule"],
        "rules6": ["ip", "-6", "rule"],
        "routes": ["ip", "-4", "route", "show", "table", "all"],
        "routes6": ["ip", "-6", "route", "show", "table", "all"],
        "names": ["ip", "-o", "link"],
    }
    # By one shell: under emulation each command that is sent to a machine takes it a second.
    script = f"\necho {_BETWEEN}\n".join(" ".join(command) for command in listings.values())
    texts = host.run(["sh", "-ec", script]).stdout.split(_BETWEEN + "\n")
    texts[-1] = _alternative_names(texts[-1])
    return {
        name: [
            _PASSING.sub("", line).replace("\\", "").strip()
            for line in text.splitlines()
            if not _LINK_LOCAL.search(line)
        ]
        for name, text in zip(listings, texts)
    }


def _alternative_names(links: str) -> str:
    """Return a line for each alternative name: all else that `ip link` says goes up and down."""
    names = [
        (line.split(": ")[1].split("@")[0], name)
        for line in links.splitlines()
        for name in re.findall(r"\baltname (\S+)", line)
    ]
    return "".join(f"{device} {name}\n" for device, name in sorted(names))


def snapshot(host: Namespace, root: Path, tops: Iterable[str]) -> Dict[str, Any]:
    """The network configuration and its files, without what changes by itself."""
    return {**configuration(host), "files": dict(_tree(root, tops))}
