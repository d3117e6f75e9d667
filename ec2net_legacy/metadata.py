"""From the metadata service's text to an Eni. Nothing that is not an address gets past here.

The text ends up in files that ifupdown hands to a shell as root and in `ip` arguments, so each
value is parsed as what it must be and written back from the parsed form.
"""
from __future__ import absolute_import, print_function, unicode_literals

import ipaddress
import re

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import MetadataInvalid
from ec2net_legacy.model import Eni

if TYPE_CHECKING:
    from typing import Callable, Dict, FrozenSet, List, Optional, Tuple, Union

    Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_ENI_ID = re.compile(r"eni-[0-9a-f]{1,40}\Z")
# At most 64 addresses and some hundred prefixes fit on an ENI; more is not a list of them.
_MOST_LINES = 4096

_ALWAYS = ("device-number", "interface-id")
_IPV4 = ("local-ipv4s", "subnet-ipv4-cidr-block")
_IPV6 = ("ipv6s", "subnet-ipv6-cidr-blocks")


def listed_keys(text):
    # type: (str) -> FrozenSet[str]
    """Return the plain keys of an ENI's listing; a trailing ``/`` marks a directory of keys."""
    return frozenset(line.strip() for line in text.splitlines() if not line.strip().endswith("/"))


def wanted_keys(listed, accept_ipv6_only):
    # type: (FrozenSet[str], bool) -> Optional[Tuple[str, ...]]
    """Return the keys to read of an ENI that has the `listed` ones; None while it is incomplete.

    A fresh ENI shows its keys one by one. IPv6 keys without the IPv4 ones are an IPv6-only subnet
    or an ENI of which half is there; only time tells them apart, hence `accept_ipv6_only`.
    """
    if not listed.issuperset(_ALWAYS):
        return None
    if _IPV6[0] in listed and not listed.issuperset(_IPV6):
        return None
    if listed.issuperset(_IPV4):
        used = _IPV4 + ("ipv4-prefix",)  # type: Tuple[str, ...]
        if listed.issuperset(_IPV6):
            used += _IPV6 + ("ipv6-prefix",)
    elif accept_ipv6_only and listed.issuperset(_IPV6) and not listed.intersection(_IPV4):
        used = _IPV6 + ("ipv6-prefix",)
    else:
        return None
    return _ALWAYS + tuple(key for key in used + ("network-card",) if key in listed)


def parse_mac(key, text):
    # type: (str, str) -> str
    """Return a MAC address in lower case."""
    mac = text.strip().rstrip("/").lower()
    if not _MAC.match(mac):
        raise MetadataInvalid(key, text, "a MAC address such as 02:1a:2b:3c:4d:5e")
    return mac


def parse_macs(key, text):
    # type: (str, str) -> List[str]
    """Return the listed MAC addresses; the service promises no order and ends each with ``/``."""
    return [parse_mac(key, line) for line in text.split()]


def parse_eni(mac, texts):
    # type: (str, Dict[str, str]) -> Eni
    """Return the ENI that the `texts` of its keys describe; MetadataInvalid names key and value."""
    subnet, addresses, prefixes = _family(
        texts, "subnet-ipv4-cidr-block", "local-ipv4s", "ipv4-prefix", 4
    )
    if len(subnet) > 1:
        raise MetadataInvalid("subnet-ipv4-cidr-block", " ".join(subnet), "one IPv4 network")
    subnets6, addresses6, prefixes6 = _family(
        texts, "subnet-ipv6-cidr-blocks", "ipv6s", "ipv6-prefix", 6
    )
    if not addresses and not addresses6:
        raise MetadataInvalid("local-ipv4s", "", "at least one address")
    interface_id = texts["interface-id"].strip()
    if not _ENI_ID.match(interface_id):
        raise MetadataInvalid("interface-id", texts["interface-id"], "an ENI id such as eni-0a1b2c")
    return Eni(
        mac=mac,
        interface_id=interface_id,
        device_number=_number("device-number", texts["device-number"]),
        network_card=_number("network-card", texts.get("network-card", "0")),
        subnet=subnet[0] if subnet else "",
        addresses=addresses,
        prefixes=prefixes,
        subnets6=subnets6,
        addresses6=addresses6,
        prefixes6=prefixes6,
    )


def _number(key, text):
    # type: (str, str) -> int
    # ASCII digits only: int() also takes "1_0", "+1" and other scripts' digits.
    if not re.match(r"[0-9]{1,3}\Z", text.strip()):
        raise MetadataInvalid(key, text, "a number from 0 to 999")
    return int(text)


def _family(texts, subnet_key, address_key, prefix_key, family):
    # type: (Dict[str, str], str, str, str, int) -> Tuple[Tuple[str, ...], ...]
    """Return (subnets, addresses, prefixes) of one family, in the listed order, none twice."""
    if subnet_key not in texts:
        return (), (), ()
    parse = ipaddress.IPv4Network if family == 4 else ipaddress.IPv6Network
    # AWS makes subnets of /16 to /28 and /44 to /64; a shorter one is not a subnet but an
    # attempt to route half the world.
    shortest = 8 if family == 4 else 32

    def subnet(line):
        # type: (str) -> Network
        network = _unicast(parse(line))
        if network.prefixlen < shortest:
            raise ValueError(line)
        return network

    subnets = _lines(texts, subnet_key, "an IPv{0} subnet".format(family), subnet)

    def inside(line):
        # type: (str) -> Network
        network = _unicast(parse(line))
        if not any(_contains(outer, network) for outer in subnets):
            raise ValueError(line)
        return network

    expected = "an IPv{0} {{0}} inside {1}".format(family, " ".join(str(one) for one in subnets))
    def host(line):
        # type: (str) -> Network
        address = inside(_without_length(line))
        if any(address.network_address in _not_for_hosts(outer) for outer in subnets):
            raise ValueError(line)
        return address

    addresses = _lines(texts, address_key, expected.format("address of a host"), host)
    prefixes = _lines(texts, prefix_key, expected.format("prefix"), inside)
    return (
        # Not str(), which is bytes on Python 2.
        tuple(network.compressed for network in subnets),
        tuple(network.network_address.compressed for network in addresses),
        tuple(network.compressed for network in prefixes),
    )


def _lines(texts, key, expected, parse):
    # type: (Dict[str, str], str, str, Callable[[str], Network]) -> List[Network]
    """Parse each line of a key; a key that is there has at least one."""
    if key not in texts:
        return []
    lines = texts[key].split()
    if not 0 < len(lines) <= _MOST_LINES:
        raise MetadataInvalid(key, texts[key], expected)
    parsed = []  # type: List[Network]
    for line in lines:
        try:
            network = parse(_without_zone(line))
        except ValueError:
            raise MetadataInvalid(key, line, expected)
        if network not in parsed:
            parsed.append(network)
    return parsed


def _without_length(line):
    # type: (str) -> str
    """Return `line` unless it has a ``/``: an address is not a network, even of one address."""
    if "/" in line:
        raise ValueError(line)
    return line


def _without_zone(line):
    # type: (str) -> str
    """Return `line` unless it has a ``%``: Python >= 3.9 takes fe80::1%any text for an address."""
    if "%" in line:
        raise ValueError(line)
    return line


def _unicast(network):
    # type: (Network) -> Network
    """Return `network` if hosts can have addresses of it."""
    address = network.network_address
    if (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
    ):
        raise ValueError(str(network))
    return network


def _not_for_hosts(subnet):
    # type: (Network) -> Tuple[object, ...]
    """Return the addresses that AWS keeps: the network's, the router's, and IPv4's broadcast."""
    base = subnet.network_address
    return (base, base + 1) + ((subnet.broadcast_address,) if subnet.version == 4 else ())


def _contains(outer, inner):
    # type: (Network, Network) -> bool
    # subnet_of() came with Python 3.7.
    return inner.network_address in outer and inner.prefixlen >= outer.prefixlen
