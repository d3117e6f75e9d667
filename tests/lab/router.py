"""The VPC's side: one port per ENI, with routes, source check and DHCP.

What EC2 does and a plain Linux router would not do is imitated here:

* A packet whose source is not assigned to the ENI it comes from is dropped (EC2's source check),
  and counted, so that a test can tell *why* there was no reply.
* Packets are delivered by the VPC's own table of ENIs, never by ARP: the routes go by way of a
  next hop that exists only as a permanent neighbour entry with the ENI's MAC address.
* The router answers ARP for itself and for every address in the VPC, but for another subnet's
  router address it does not.
"""

import json
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional

from .dhcp import DhcpServer
from .namespaces import Namespaces
from .vpc import Eni

IMDS_ADDRESS = "169.254.169.254"
CLIENT = "198.51.100.10"
CLIENT6 = "2001:db8:ffff::10"
_CLIENT_SIDE = {"198.51.100.1/24": f"{CLIENT}/24", "2001:db8:ffff::1/64": f"{CLIENT6}/64"}

_TABLE = """
table inet lab {
    map ports { type ifname : verdict; }
    chain source_check {
        type filter hook prerouting priority raw; policy accept;
        iifname vmap @ports
    }
}
"""

_PORT = """
table inet lab {{
    set {port}_assigned4 {{ type ipv4_addr; flags interval; }}
    set {port}_assigned6 {{ type ipv6_addr; flags interval; }}
    set {port}_sent4 {{ type ipv4_addr; flags dynamic; size 4096; }}
    set {port}_sent6 {{ type ipv6_addr; flags dynamic; size 4096; }}
    set {port}_dropped4 {{ type ipv4_addr; flags dynamic; size 4096; }}
    set {port}_dropped6 {{ type ipv6_addr; flags dynamic; size 4096; }}
    chain {port} {{
        ip saddr @{port}_assigned4 update @{port}_sent4 {{ ip saddr counter }} return
        ip6 saddr @{port}_assigned6 update @{port}_sent6 {{ ip6 saddr counter }} return
        ip saddr 0.0.0.0 udp dport 67 return comment "DHCP"
        ip6 saddr {{ ::, fe80::/10 }} return comment "neighbours, DHCPv6"
        ip saddr 0.0.0.0/0 update @{port}_dropped4 {{ ip saddr counter }} drop
        update @{port}_dropped6 {{ ip6 saddr counter }} drop
    }}
}}
add element inet lab ports {{ "{port}" : jump {port} }}
"""

_SETS = ("assigned4", "assigned6", "sent4", "sent6", "dropped4", "dropped6")


class Router:
    """The router namespace with everything that runs in it but the metadata service."""

    def __init__(self, namespaces: Namespaces, directory: Path, dns: str, *, taps: bool = False):
        self.namespace = namespaces.router
        self._taps = taps
        self._namespaces = namespaces
        self._directory = directory
        self._dns = dns
        self._dhcp: Dict[str, DhcpServer] = {}
        self._enis: Dict[str, Eni] = {}
        self.namespace.sysctl({
            "net/ipv4/ip_forward": 1,
            "net/ipv4/conf/all/rp_filter": 0,
            "net/ipv4/conf/default/rp_filter": 0,
            "net/ipv4/conf/default/proxy_arp": 1,
            "net/ipv4/conf/default/arp_ignore": 1,
            "net/ipv4/conf/all/send_redirects": 0,
            "net/ipv4/conf/default/send_redirects": 0,
            "net/ipv6/conf/all/forwarding": 1,
            "net/ipv6/conf/default/accept_dad": 0,
            "net/ipv6/conf/all/proxy_ndp": 1,
            "net/ipv6/conf/default/proxy_ndp": 1,
        })
        self._ip(["link set lo up", f"address add {IMDS_ADDRESS}/32 dev lo"])
        self._nft(_TABLE)
        self._connect_client()

    def _connect_client(self) -> None:
        lines = [
            "link add outside type veth peer name eth0 netns /proc/self/fd/{}",
            *(f"address add {address} dev outside nodad" if ":" in address
              else f"address add {address} dev outside" for address in _CLIENT_SIDE),
            "link set outside up",
        ]
        descriptor = self._namespaces.net("client")
        self._ip([line.format(descriptor) for line in lines], [descriptor])
        lines = ["link set lo up", "link set eth0 up"]
        for theirs, mine in _CLIENT_SIDE.items():
            lines.append(f"address add {mine} dev eth0" + (" nodad" if ":" in mine else ""))
            lines.append(f"route add default via {theirs.split('/')[0]}")
        self._namespaces.client.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n")

    def _ip(self, lines: Iterable[str], pass_fds: Iterable[int] = ()) -> None:
        text = "\n".join(lines)
        if text:
            self.namespace.run(["ip", "-batch", "-"], input=text + "\n", pass_fds=list(pass_fds))

    def _nft(self, script: str) -> None:
        self.namespace.run(["nft", "-f", "-"], input=script)

    def attach(self, eni: Eni, instance: str = "host") -> None:
        """Plug an ENI into an instance: the device, its port, and all that belongs to the port.

        Only the host gets DHCP.
        """
        host = self._namespaces.net(instance)
        lines = [
            self._cable(eni, host),
            f"link set {eni.port} up addrgenmode none",
            f"address add {eni.gateway}/{eni.link.network.prefixlen} dev {eni.port} noprefixroute",
            # On every port, or ARP for it would not be answered there.
            f"address add {IMDS_ADDRESS}/32 dev {eni.port}",
            f"neighbour add {self._next_hop(4)} lladdr {eni.mac} dev {eni.port}"
            " nud permanent",
        ]
        if eni.subnet6:
            lines += [
                # By hand: the kernel makes its own only once the other end of the cable is up,
                # and dnsmasq wants one from the start.
                f"address add fe80::1/64 dev {eni.port} nodad",
                f"address add {eni.gateway6}/{eni.subnet6.prefixlen} dev {eni.port}"
                " noprefixroute nodad",
                f"neighbour add {self._next_hop(6)} lladdr {eni.mac} dev {eni.port}"
                " nud permanent",
            ]
        self._enis[eni.name] = eni
        sources = eni.sources4 + eni.sources6
        lines += self._routes("add", eni, sources) + self._proxies("add", eni, eni.ipv6)
        for other in self._neighbours(eni):
            lines += [f"neighbour add proxy {address} dev {eni.port}" for address in other.ipv6]
        self._ip(lines, [host])
        # A router that answers for others waits for up to 0.8 s to let the owner be first.
        self.namespace.sysctl({
            f"net/ipv4/neigh/{eni.port}/proxy_delay": 0,
            f"net/ipv6/neigh/{eni.port}/proxy_delay": 0,
        })
        self._nft(_PORT.format(port=eni.port) + self._elements("add", eni, sources))
        if instance != "host":
            return
        # In a machine Debian 11's dhclient (4.4.1) overlooks an offer within milliseconds.
        self._dhcp[eni.name] = DhcpServer(self.namespace, self._directory, eni, self._dns,
                                          offer_after=1 if self._taps else 0)
        self._dhcp[eni.name].start()

    def _cable(self, eni: Eni, host: int) -> str:
        """Make the port: one end of a cable to the host, or what QEMU makes a machine's card of."""
        if self._taps:
            # Its address is always the same, as a machine that goes on in another lab knows it.
            return (f"tuntap add {eni.port} mode tap\n"
                    f"link set {eni.port} address 0e{eni.mac[2:]}")
        return (f"link add {eni.port} type veth"
                f" peer name {eni.name} address {eni.mac} netns /proc/self/fd/{host}")

    def detach(self, eni: Eni) -> None:
        """Take an ENI away; the device vanishes from the host with its port."""
        self._dhcp.pop(eni.name).stop()
        del self._enis[eni.name]
        self._ip([*self._proxies("delete", eni, eni.ipv6), f"link delete {eni.port}"])
        self._nft("\n".join([
            f'delete element inet lab ports {{ "{eni.port}" }}',
            f"delete chain inet lab {eni.port}",
            *(f"delete set inet lab {eni.port}_{name}" for name in _SETS),
        ]))

    def close(self) -> None:
        """Let go of the background processes."""
        for server in self._dhcp.values():
            server.stop()

    def change(self, eni: Eni, added: Iterable[str] = (), removed: Iterable[str] = ()) -> None:
        """Assign and unassign addresses and prefixes; ``eni`` is the ENI as it is afterwards."""
        added, removed = list(added), list(removed)
        self._enis[eni.name] = eni
        lines = []
        for action, sources in (("add", added), ("delete", removed)):
            lines += self._routes(action, eni, sources) + self._proxies(action, eni, sources)
        self._ip(lines)
        self._nft(self._elements("add", eni, added) + self._elements("delete", eni, removed))

    @staticmethod
    def _next_hop(version: int) -> str:
        """An address that nobody has but the port's table of neighbours."""
        return "169.254.0.3" if version == 4 else "fe80::ec2"

    def _routes(self, action: str, eni: Eni, sources: Iterable[str]) -> List[str]:
        lines = []
        for source in sources:
            hop = self._next_hop(6 if ":" in source else 4)
            lines.append(f"route {action} {source} via {hop} dev {eni.port} onlink")
        return lines

    def _neighbours(self, eni: Eni) -> List[Eni]:
        """The other ENIs in the same IPv6 subnet."""
        return [other for other in self._enis.values()
                if eni.subnet6 and other.subnet6 == eni.subnet6 and other.name != eni.name]

    def _proxies(self, action: str, eni: Eni, sources: Iterable[str]) -> List[str]:
        """Answer for an ENI's IPv6 addresses on the ports of its neighbours.

        IPv6 has no proxy for everything as IPv4 has, and none for whole prefixes.
        """
        return [
            f"neighbour {action} proxy {source} dev {other.port}"
            for source in sources
            if ":" in source and "/" not in source
            for other in self._neighbours(eni)
        ]

    @staticmethod
    def _elements(action: str, eni: Eni, sources: Iterable[str]) -> str:
        return "".join(
            f"{action} element inet lab {eni.port}_assigned{6 if ':' in source else 4}"
            f" {{ {source} }}\n"
            for source in sources
        )

    def counters(self, eni: Eni, kind: str) -> Dict[str, int]:
        """Packets by source: ``sent`` ones were let through, ``dropped`` ones were not."""
        counts = {}
        for version in "46":
            result = self.namespace.run(
                ["nft", "-j", "list", "set", "inet", "lab", f"{eni.port}_{kind}{version}"]
            )
            counts.update(_counts(json.loads(result.stdout)))
        return counts

    def dhcp(self, name: str) -> DhcpServer:
        """The DHCP server of the ENI that is called so, to stop and start."""
        return self._dhcp[name]

    def dhcp_log(self, eni: Eni) -> str:
        """What dnsmasq logged for this ENI."""
        return self._dhcp[eni.name].log()


def _counts(listing: Dict[str, Any]) -> Dict[str, int]:
    """The counters out of nft's JSON."""
    found: Optional[Dict[str, Any]] = None
    for item in listing["nftables"]:
        found = item.get("set", found)
    elements = (found or {}).get("elem", ())
    return {item["elem"]["val"]: item["elem"]["counter"]["packets"] for item in elements}
