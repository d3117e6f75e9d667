"""Containers on the lab's host, connected as docker does it: a bridge, NAT and forwarding."""

import itertools
from typing import Iterable, NamedTuple

from .lab import Lab
from .namespaces import Namespace

SUBNET = "172.17.0.0/16"
GATEWAY = "172.17.0.1"
# As dockerd makes it for ports that are published.
_NAT = f"""*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s {SUBNET} ! -o docker0 -j MASQUERADE
COMMIT
"""
_BRIDGE = f"""link add docker0 type bridge
address add {GATEWAY}/16 dev docker0
link set docker0 up
"""


class Container(NamedTuple):
    """A network namespace behind the bridge."""

    namespace: Namespace
    address: str


class Docker:
    """What a start of dockerd leaves in a host's kernel, and what its commands add to that."""

    def __init__(self, lab: Lab):
        self._lab = lab
        self._numbers = itertools.count(2)
        lab.namespaces.host.sysctl({"net/ipv4/ip_forward": 1})
        lab.host(["ip", "-batch", "-"], input=_BRIDGE)
        lab.host(["iptables-restore", "--noflush"], input=_NAT)

    def run(self) -> Container:
        """Start a container that serves port 80."""
        number = next(self._numbers)
        name, address = f"container{number}", f"172.17.0.{number}"
        namespace = self._lab.namespaces.add(name)
        descriptor = self._lab.namespaces.net(name)
        self._lab.namespaces.host.run(
            ["ip", "link", "add", f"veth{number}", "master", "docker0", "up", "type", "veth",
             "peer", "name", "eth0", "netns", f"/proc/self/fd/{descriptor}"],
            pass_fds=[descriptor],
        )
        # An answer that went astray is not sent again later, when a test counts what goes astray.
        namespace.sysctl({"net/ipv4/tcp_synack_retries": 0})
        lines = ["link set eth0 up", f"address add {address}/16 dev eth0",
                 f"route add default via {GATEWAY}"]
        namespace.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n")
        self._lab.serve(namespace)
        return Container(namespace, address)

    def publish(self, container: Container, addresses: Iterable[str], port: int = 80) -> None:
        """Forward a port of the host's addresses to the container's port 80."""
        for address in addresses:
            self._lab.host(["iptables", "-t", "nat", "-A", "DOCKER", "-d", address, "!", "-i",
                            "docker0", "-p", "tcp", "--dport", str(port), "-j", "DNAT",
                            "--to-destination", f"{container.address}:80"])
