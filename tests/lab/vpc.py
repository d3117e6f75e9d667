"""What the miniature VPC knows about itself: its networks, its ENIs and their metadata."""

import ipaddress
import itertools
import time
from dataclasses import dataclass, field
from typing import Container, Dict, Iterable, Mapping, Optional, Sequence, Tuple, Union

ACCOUNT = "123456789012"
VPC_ID = "vpc-0ec20000000000001"
INSTANCE_ID = "i-0ec20000000000001"
REGION = "eu-central-1"
# Hosts in a subnet start here: EC2 keeps the first four addresses of every subnet for itself.
FIRST_HOST = 10
FIRST_HOST6 = 0x10

Wanted = Union[int, str, Sequence[str]]


@dataclass(frozen=True)
class Eni:
    """An elastic network interface as it is now; assigning an address makes a new value."""

    name: str
    mac: str
    eni_id: str
    port: str
    index: int
    device_number: int
    network_card: Optional[int] = None
    subnet: Optional[ipaddress.IPv4Network] = None
    subnet6: Optional[ipaddress.IPv6Network] = None
    addresses: Tuple[str, ...] = ()
    prefixes: Tuple[str, ...] = ()
    ipv6: Tuple[str, ...] = ()
    ipv6_prefixes: Tuple[str, ...] = ()
    lease_time: int = 3600
    renew_after: Optional[int] = None
    attached: float = field(default_factory=time.time)
    delays: Mapping[str, float] = field(default_factory=dict)

    @property
    def address(self) -> Optional[str]:
        """The primary private IPv4 address."""
        return self.addresses[0] if self.addresses else None

    @property
    def link(self) -> ipaddress.IPv4Interface:
        """The IPv4 address that DHCP hands out, with its netmask.

        An ENI without IPv4 gets a link-local address from EC2, enough to reach the metadata.
        """
        if self.subnet is not None:
            return ipaddress.IPv4Interface(f"{self.addresses[0]}/{self.subnet.prefixlen}")
        third, fourth = divmod(self.index, 200)
        return ipaddress.IPv4Interface(f"169.254.{100 + third}.{fourth + 2}/16")

    @property
    def gateway(self) -> str:
        """The VPC router's IPv4 address in this ENI's subnet."""
        return str(self.link.network[1])

    @property
    def gateway6(self) -> Optional[str]:
        """The VPC router's global IPv6 address in this ENI's subnet."""
        return str(self.subnet6[1]) if self.subnet6 else None

    @property
    def sources4(self) -> Tuple[str, ...]:
        """Every IPv4 address and prefix that packets of this ENI may come from."""
        return (self.addresses or (str(self.link.ip),)) + self.prefixes

    @property
    def sources6(self) -> Tuple[str, ...]:
        """Every global IPv6 address and prefix that packets of this ENI may come from."""
        return self.ipv6 + self.ipv6_prefixes

    @property
    def hostname(self) -> str:
        """The private DNS name without its domain."""
        if self.address:
            return "ip-" + self.address.replace(".", "-")
        return f"i-{self.index:08x}"

    def metadata(self, vpc: "Vpc") -> Dict[str, str]:
        """The keys below ``network/interfaces/macs/<mac>/`` that this ENI has."""
        keys = {
            "device-number": str(self.device_number),
            "interface-id": self.eni_id,
            "local-hostname": f"{self.hostname}.{REGION}.compute.internal",
            "mac": self.mac,
            "owner-id": ACCOUNT,
            "security-group-ids": "sg-0ec20000000000001",
            "security-groups": "default",
            "subnet-id": vpc.subnet_id(self.subnet or self.subnet6),
            "vpc-id": VPC_ID,
            "vpc-ipv4-cidr-block": str(vpc.cidr),
            "vpc-ipv4-cidr-blocks": str(vpc.cidr),
        }
        optional = {
            "network-card": "" if self.network_card is None else str(self.network_card),
            "local-ipv4s": "\n".join(self.addresses),
            "subnet-ipv4-cidr-block": str(self.subnet or ""),
            "ipv4-prefix": "\n".join(self.prefixes),
            "ipv6s": "\n".join(self.ipv6),
            "ipv6-prefix": "\n".join(self.ipv6_prefixes),
            "subnet-ipv6-cidr-blocks": str(self.subnet6 or ""),
            "vpc-ipv6-cidr-blocks": str(vpc.cidr6) if self.subnet6 else "",
        }
        return {**keys, **{key: text for key, text in optional.items() if text}}


class Vpc:
    """The address plan.  Makes ENIs; neither devices nor processes."""

    def __init__(self, cidr: str = "10.0.0.0/16", cidr6: str = "2001:db8::/56"):
        self.cidr = ipaddress.IPv4Network(cidr)
        self.cidr6 = ipaddress.IPv6Network(cidr6)
        self._numbers = itertools.count()
        self._subnets: Dict[object, str] = {}

    def subnet_id(self, network: object) -> str:
        """The ID of a subnet, which it keeps."""
        return self._subnets.setdefault(network, f"subnet-{len(self._subnets) + 1:017x}")

    def eni(self,  # noqa: PLR0913
            name: str, subnet: Optional[str], addresses: Wanted, *, prefixes: Wanted,
            ipv6: Wanted, ipv6_prefixes: Wanted, subnet6: Optional[str], ipv6_only: bool,
            device_number: int, network_card: Optional[int], mac: Optional[str],
            delays: Optional[Mapping[str, float]], lease_time: int,
            renew_after: Optional[int], taken: Iterable[str] = ()) -> Eni:
        """Work out a new ENI's addresses; the parameters are those of ``Lab.attach``.

        ``taken`` are the addresses of the other ENIs.
        """
        taken = set(taken)
        index = next(self._numbers)
        network = None
        if not ipv6_only:
            network = ipaddress.IPv4Network(subnet or f"{self.cidr[256 * device_number]}/24")
        elif ipv6 == ():
            ipv6 = 1
        network6 = ipaddress.IPv6Network(subnet6) if subnet6 else None
        if network6 is None and (ipv6 or ipv6_prefixes):
            network6 = self._subnet6(network, device_number, ipv6)
        return Eni(
            name=name,
            mac=(mac or f"0a:ec:20:00:{index >> 8:02x}:{index & 255:02x}").lower(),
            eni_id=f"eni-{index + 0xec2000000:017x}",
            port=f"port{index}",
            index=index,
            device_number=device_number,
            network_card=network_card,
            subnet=network,
            subnet6=network6,
            addresses=_pick(addresses, network, FIRST_HOST, taken) if network else (),
            prefixes=tuple(_words(prefixes)),
            ipv6=_pick(ipv6, network6, FIRST_HOST6, taken) if network6 else (),
            ipv6_prefixes=tuple(_words(ipv6_prefixes)),
            lease_time=lease_time,
            renew_after=renew_after,
            delays=dict(delays or {}),
        )

    def _subnet6(self, network: Optional[ipaddress.IPv4Network], device_number: int,
                 ipv6: Wanted) -> ipaddress.IPv6Network:
        """The /64 of the first address given, or one that goes with the IPv4 subnet's number."""
        if not isinstance(ipv6, int) and _words(ipv6):
            return ipaddress.IPv6Network(f"{_words(ipv6)[0]}/64", strict=False)
        number = device_number
        if network is not None:
            number = (int(network.network_address) - int(self.cidr.network_address)) >> 8
        return ipaddress.IPv6Network((int(self.cidr6.network_address) + (number << 64), 64))


def _words(wanted: Wanted) -> Tuple[str, ...]:
    if isinstance(wanted, int):
        raise TypeError("prefixes are given as texts, not as a count")
    return (wanted,) if isinstance(wanted, str) else tuple(wanted)


def _pick(wanted: Wanted, network: "Union[ipaddress.IPv4Network, ipaddress.IPv6Network]",
          first: int, taken: Container[str]) -> Tuple[str, ...]:
    """The addresses themselves, or so many free ones, counted from the first usual one."""
    if isinstance(wanted, int):
        usual = (str(network[number]) for number in itertools.count(first))
        return tuple(itertools.islice((word for word in usual if word not in taken), wanted))
    for word in _words(wanted):
        if ipaddress.ip_address(word) not in network:
            raise ValueError(f"{word} is not in {network}")
        if word in taken:
            raise ValueError(f"{word} belongs to another ENI")
    return _words(wanted)
