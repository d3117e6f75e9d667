"""From the metadata service's text to an Eni. Nothing that is not an address gets past here.

The text ends up in files that ifupdown hands to a shell as root and in `ip` arguments, so each
value is parsed as what it must be and written back from the parsed form.
"""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._cheap import ipaddress, namedtuple, pattern
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import MetadataInvalid
from ec2net_legacy.model import Eni

if TYPE_CHECKING:
    from typing import Callable, Dict, FrozenSet, List, Optional, Tuple, Union

    Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

_MAC = pattern(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_ENI_ID = pattern(r"eni-[0-9a-f]{1,40}\Z")
# At most 64 addresses and some hundred prefixes fit on an ENI; more is not a list of them.
_MOST_LINES = 4096

_ALWAYS = ("device-number", "interface-id")
_IPV4 = ("local-ipv4s", "subnet-ipv4-cidr-block")
_IPV6 = ("ipv6s", "subnet-ipv6-cidr-blocks")

_Keys = namedtuple(
    "_Keys", ["family", "subnets", "addresses", "prefixes", "shortest", "delegated"]
)
"""The keys of a family, and what it has. `shortest`: the least length of a subnet, of which AWS
makes /16 to /28 and /44 to /64; a shorter one would be an attempt to route half the world.
`delegated`: the length of the prefixes that AWS delegates, out of the subnet."""

_KEYS4 = _Keys(4, _IPV4[1], _IPV4[0], "ipv4-prefix", 8, 28)
_KEYS6 = _Keys(6, _IPV6[1], _IPV6[0], "ipv6-prefix", 32, 80)


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
        # A prefix needs no address beside it, nor is it certain that the subnet is then listed.
        if listed.intersection((_IPV6[0], "ipv6-prefix")):
            used += _IPV6 + ("ipv6-prefix",)
    elif accept_ipv6_only and listed.issuperset(_IPV6) and not listed.intersection(_IPV4):
        used = _IPV6 + ("ipv6-prefix",)
    else:
        return None
    return _ALWAYS + tuple(key for key in used + ("network-card",) if key in listed)


def lasting_texts(eni):
    # type: (Eni) -> Dict[str, str]
    """Return the keys with what an ENI keeps for as long as it is attached, as metadata has them.

    Addresses and prefixes come and go, and a subnet may get an IPv6 block later.
    """
    texts = {
        "interface-id": eni.interface_id,
        "device-number": "{0}".format(eni.device_number),
    }
    if eni.network_card is not None:
        texts["network-card"] = "{0}".format(eni.network_card)
    return dict(texts, **{_IPV4[1]: eni.subnet}) if eni.subnet else texts


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
    subnet, addresses, prefixes = _family(texts, _KEYS4)
    if len(subnet) > 1:
        raise MetadataInvalid("subnet-ipv4-cidr-block", " ".join(subnet), "one IPv4 network")
    subnets6, addresses6, prefixes6 = _family(texts, _KEYS6)
    if not addresses and not addresses6:
        raise MetadataInvalid("local-ipv4s", "", "at least one address")
    interface_id = texts["interface-id"].strip()
    if not _ENI_ID.match(interface_id):
        raise MetadataInvalid("interface-id", texts["interface-id"], "an ENI id such as eni-0a1b2c")
    card = texts.get("network-card")
    return Eni(
        mac=mac,
        interface_id=interface_id,
        device_number=_number("device-number", texts["device-number"]),
        network_card=None if card is None else _number("network-card", card),
        subnet=subnet[0] if subnet else "",
        addresses=addresses,
        prefixes=prefixes,
        subnets6=subnets6,
        addresses6=addresses6,
        prefixes6=prefixes6,
    )


def prefixes_outside(eni):
    # type: (Eni) -> List[str]
    """Return the sentences about delegated prefixes that are in no subnet of the ENI.

    AWS has none. They are used, for what is odd about one must not cost the ENI the rest.
    """
    sentences = []
    for key, prefixes, subnets, parse in (
        ("ipv4-prefix", eni.prefixes, (eni.subnet,) if eni.subnet else (), ipaddress.IPv4Network),
        ("ipv6-prefix", eni.prefixes6, eni.subnets6, ipaddress.IPv6Network),
    ):  # type: Tuple[str, Tuple[str, ...], Tuple[str, ...], Callable[[str], Network]]
        for prefix in prefixes:
            if subnets and not any(_contains(parse(one), parse(prefix)) for one in subnets):
                sentences.append(
                    "metadata key {0} has {1}, which is not in the subnet {2}; used all the"
                    " same".format(key, prefix, " ".join(subnets))
                )
    return sentences


def _number(key, text):
    # type: (str, str) -> int
    # ASCII digits only: int() also takes "1_0", "+1" and other scripts' digits.
    if not re.match(r"[0-9]{1,3}\Z", text.strip()):
        raise MetadataInvalid(key, text, "a number from 0 to 999")
    return int(text)


def _family(texts, keys):
    # type: (Dict[str, str], _Keys) -> Tuple[Tuple[str, ...], ...]
    """Return (subnets, addresses, prefixes) of one family, in the listed order, none twice."""
    if keys.subnets not in texts and keys.prefixes not in texts:
        return (), (), ()
    kind = "an IPv{0} ".format(keys.family)
    subnets = _lines(texts, keys.subnets, kind + "subnet", lambda line: _subnet(keys, line))
    inside = " inside " + " ".join(one.compressed for one in subnets)
    addresses = _lines(
        texts,
        keys.addresses,
        kind + "address of a host" + inside,
        lambda line: _host(keys, subnets, line),
    )
    prefixes = _lines(
        texts,
        keys.prefixes,
        "{0}prefix{1}, or elsewhere one of at least /{2}".format(kind, inside, keys.delegated),
        lambda line: _delegated(keys, subnets, line),
    )
    return (
        # Not str(), which is bytes on Python 2.
        tuple(network.compressed for network in subnets),
        tuple(network.network_address.compressed for network in addresses),
        tuple(network.compressed for network in prefixes),
    )


def _network(keys, text):
    # type: (_Keys, str) -> Network
    """Return a network of the family, or raise ValueError."""
    kind = ipaddress.IPv4Network if keys.family == 4 else ipaddress.IPv6Network
    network = kind(text)  # type: Network
    return network


def _subnet(keys, line):
    # type: (_Keys, str) -> Network
    network = _unicast(_network(keys, line))
    if network.prefixlen < keys.shortest:
        raise ValueError(line)
    return network


def _host(keys, subnets, line):
    # type: (_Keys, List[Network], str) -> Network
    address = _unicast(_network(keys, _without_length(line)))
    if not any(_contains(outer, address) for outer in subnets):
        raise ValueError(line)
    if any(address.network_address in _not_for_hosts(outer) for outer in subnets):
        raise ValueError(line)
    return address


def _delegated(keys, subnets, line):
    # type: (_Keys, List[Network], str) -> Network
    network = _unicast(_network(keys, line))
    if not any(_contains(outer, network) for outer in subnets) and (
        network.prefixlen < keys.delegated or network.network_address.is_reserved
    ):
        raise ValueError(line)
    return network


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
