"""What a .network file says of an interface (systemd.network(5)), and a text that says it."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._cheap import pattern
from ec2net_legacy._compat import quoted
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.switching.declared import Declared, is_address, nothing, with_length

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

DIRECTORY = "/etc/systemd/network/"
MARKER = "# Written by `ec2net switch`. It is yours from now on.\n"
# networkd removes at its start what others have made: a VPN's rules, a container's routes. Nothing
# does that on a host with ifupdown. (249 knows the first, 246 the second; others pass over them.)
FOREIGN_PATH = "/etc/systemd/networkd.conf.d/50-ec2net-switch.conf"
FOREIGN = MARKER + "[Network]\nManageForeignRoutingPolicyRules=no\nManageForeignRoutes=no\n"
# KeepConfiguration: networkd finds the addresses that the host has, and keeps them and the
# connections with them, now and at each restart. ClientIdentifier: as dhclient, which sends none.
_ALL = """{marker}[Match]
Name={name}

[Network]
DHCP={dhcp}
IPv6AcceptRA={hears}
KeepConfiguration=yes
"""
_NUMBER = pattern(r"[0-9]{1,9}\Z")
_DOMAIN = pattern(r"~?[A-Za-z0-9_.-]{1,253}\Z")
_NAME = pattern(r"[A-Za-z0-9_.-]{1,15}\Z")
_DHCP = {
    "yes": (True, True), "true": (True, True), "ipv4": (True, False), "ipv6": (False, True),
    "no": (False, False), "false": (False, False), "none": (False, False),
}
_BOOLEANS = {"yes": True, "true": True, "on": True, "1": True,
             "no": False, "false": False, "off": False, "0": False}


def path_of(name):
    # type: (str) -> str
    """Return where the file for an interface goes."""
    return "{0}20-{1}.network".format(DIRECTORY, name)


def render(one):
    # type: (Declared) -> str
    """Return the text for an interface."""
    dhcp = {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6"}
    lines = [_ALL.format(
        marker=MARKER,
        name=one.name,
        dhcp=dhcp.get((one.dhcp4, one.dhcp6), "no"),
        # Nobody has said: Linux hears them by default.
        hears="no" if one.hears is False else "yes",
    ).rstrip("\n")]
    lines += ["Address=" + text for text in one.addresses]
    lines += ["Gateway=" + text for text in one.gateways]
    lines += ["DNS=" + text for text in one.dns]
    lines += ["Domains=" + " ".join(one.domains)] if one.domains else []
    if one.mtu:
        lines += ["", "[Link]", "MTUBytes=" + one.mtu]
    if one.dhcp4:
        lines += ["", "[DHCPv4]", "ClientIdentifier=mac"]
        lines += ["RouteMetric=" + one.metric] if one.metric else []
    if one.hears is not False and not one.dhcp6:
        # An advertisement may say that there is a DHCPv6 server, which nobody asked before.
        lines += ["", "[IPv6AcceptRA]", "DHCPv6Client=no"]
    return "\n".join(lines) + "\n"


def read(texts, name):
    # type: (Mapping[str, str], str) -> Tuple[Declared, List[str]]
    """Return what files say of the interface `name`, and a sentence for each line that only
    networkd can do. `texts`: {path: text} of the file and its drop-ins, which come after it."""
    one, problems = nothing(name), []  # type: Declared, List[str]
    for path in sorted(texts, key=lambda path: (path.endswith(".conf"), path)):
        section = ""
        for number, whole in enumerate(texts[path].split("\n"), 1):
            line = whole.strip()
            if not line or line[0] in "#;":
                continue
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1]
                continue
            key, _, value = line.partition("=")
            changed = _taken(one, (section, key.strip()), value.strip())
            if changed is None:
                shown = quoted("[{0}] {1}".format(section, line))
                problems.append("{0}:{1}: {2} has no counterpart".format(path, number, shown))
            else:
                one = changed
    return one, problems


def _taken(one, place, value):
    # type: (Declared, Tuple[str, str], str) -> Optional[Declared]
    """Return an interface with what a line says, None where that cannot be said otherwise."""
    if place in _IDLE or place[0].startswith("X-"):
        return one
    if place == ("Match", "Name"):
        # A pattern is for whatever else it matches as well.
        return one if _NAME.match(value) and value == one.name else None
    take = _TAKE.get(place)
    return take(one, value) if take else None


def _dhcp(one, value):
    # type: (Declared, str) -> Optional[Declared]
    found = _DHCP.get(value.lower())
    return one._replace(dhcp4=found[0], dhcp6=found[1]) if found else None


def _hears(one, value):
    # type: (Declared, str) -> Optional[Declared]
    found = _BOOLEANS.get(value.lower())
    return None if found is None else one._replace(hears=found)


def _address(one, value):
    # type: (Declared, str) -> Optional[Declared]
    found = with_length(value, "")
    return one._replace(addresses=one.addresses + (found,)) if found else None


def _texts(key, fits):
    # type: (str, Callable[[str], Any]) -> Callable[[Declared, str], Optional[Declared]]
    """Return what takes words for one of a Declared's tuples."""

    def take(one, value):
        # type: (Declared, str) -> Optional[Declared]
        words = value.split()
        good = words and all(fits(word) for word in words)
        return one._replace(**{key: getattr(one, key) + tuple(words)}) if good else None

    return take


def _number(key):
    # type: (str) -> Callable[[Declared, str], Optional[Declared]]
    return lambda one, value: one._replace(**{key: value}) if _NUMBER.match(value) else None


_TAKE = {
    ("Network", "DHCP"): _dhcp,
    ("Network", "IPv6AcceptRA"): _hears,
    ("Network", "Address"): _address,
    ("Address", "Address"): _address,
    ("Network", "Gateway"): _texts("gateways", is_address),
    ("Network", "DNS"): _texts("dns", is_address),
    ("Network", "Domains"): _texts("domains", _DOMAIN.match),
    ("Link", "MTUBytes"): _number("mtu"),
    ("DHCPv4", "RouteMetric"): _number("metric"),
    ("DHCP", "RouteMetric"): _number("metric"),
}  # type: Dict[Tuple[str, str], Callable[[Declared, str], Optional[Declared]]]
# What ifupdown does by itself, or has no need of.
_IDLE = frozenset([
    ("Match", "MACAddress"), ("Match", "Type"), ("Match", "Driver"),
    ("Link", "RequiredForOnline"),
    ("Network", "KeepConfiguration"), ("Network", "LinkLocalAddressing"),
    ("DHCPv4", "ClientIdentifier"), ("DHCP", "ClientIdentifier"),
    ("DHCPv4", "UseMTU"), ("DHCP", "UseMTU"), ("DHCPv4", "SendRelease"),
    ("IPv6AcceptRA", "DHCPv6Client"),
])
