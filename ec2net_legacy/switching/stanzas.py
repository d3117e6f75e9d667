"""What /etc/network/interfaces says of interfaces (interfaces(5)), and a text that says it."""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._cheap import namedtuple, pattern
from ec2net_legacy._compat import quoted
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.distributions.ifupdown import interfaces
from ec2net_legacy.distributions.protocol import MARKER
from ec2net_legacy.switching.declared import (
    Declared,
    is_address,
    merged,
    nothing,
    with_length,
)

if TYPE_CHECKING:
    from typing import Callable, Dict, Iterable, List, Mapping, Optional, Tuple

PATH = interfaces.PATH
# These begin a paragraph, and end the one before.
_BEGINS = re.compile(r"(?:iface|mapping|auto|allow-\S+|source|source-directory|no-auto-down"
                     r"|no-scripts|template|rename)\Z")
_NAME = pattern(r"[A-Za-z0-9_.-]{1,15}\Z")
_NUMBER = pattern(r"[0-9]{1,9}\Z")
_DOMAIN = pattern(r"[A-Za-z0-9_.-]{1,253}\Z")
# What does not need to be said to another program: it follows from the rest, or is its default.
_IDLE = frozenset(["broadcast", "network", "scope", "preferred-lifetime", "request_prefix"])
_METHODS = frozenset(["dhcp", "static", "manual", "auto", "loopback"])
_LO = "lo"

Reading = namedtuple("Reading", ["links", "problems"])
"""The `links`, each a Declared, and the `problems`: a sentence for each line that has something
that only this program can do."""


class _Stanza(object):
    """One ``iface`` paragraph, while it is read."""

    def __init__(self, name, family, method):
        # type: (str, str, str) -> None
        self.name, self.family, self.method = name, family, method
        self.options = {}  # type: Dict[str, List[str]]


def read(texts):
    # type: (Mapping[str, str]) -> Reading
    """Return what the files say; `texts`: {path: text} of all that ifupdown reads, but ours."""
    stanzas, problems = [], []  # type: List[_Stanza], List[str]
    for path in sorted(texts):
        if not texts[path].startswith(MARKER):
            found, said = _paragraphs(path, texts[path])
            stanzas += found
            problems += said
    links = {}  # type: Dict[str, Declared]
    for stanza in stanzas:
        if stanza.name == _LO:
            continue
        problems += _without_length(stanza)
        if stanza.method == "static" and "metric" in stanza.options:
            # networkd's Gateway= has none, and of two ways out the other one would be taken.
            refusal = "iface {0}: the metric of a static gateway has no counterpart"
            problems.append(refusal.format(stanza.name))
        one = _declared(stanza)
        links[one.name] = merged(links[one.name], one) if one.name in links else one
    return Reading([links[name] for name in sorted(links)], problems)


def _without_length(stanza):
    # type: (_Stanza) -> List[str]
    """Return a sentence for each address without a network.

    ifupdown takes its class's then. With an address alone the gateway is out of reach at a boot.
    """
    mask = stanza.options.get("netmask", [""])[-1]
    return [
        "iface {0}: address {1}: expected a netmask that fits".format(stanza.name, quoted(one))
        for one in stanza.options.get("address", [])
        if with_length(one, mask) is None or not (mask or "/" in one)
    ]


def _paragraphs(path, text):
    # type: (str, str) -> Tuple[List[_Stanza], List[str]]
    """Return the paragraphs of a file, and what is wrong with its lines."""
    stanzas, problems = [], []  # type: List[_Stanza], List[str]
    stanza = None  # type: Optional[_Stanza]
    for number, words in interfaces.numbered_words(text):
        problem = ""
        if not words:
            continue
        if words[0] == "iface":
            stanza, problem = _begun(words)
            if stanza is not None:
                stanzas.append(stanza)
        elif _BEGINS.match(words[0]):
            stanza = None
            problem = _outside(words)
        elif stanza is not None:
            problem = _option(stanza, words)
        if problem:
            problems.append("{0}:{1}: {2}".format(path, number, problem))
    return stanzas, problems


def _outside(words):
    # type: (List[str]) -> str
    """Return what is wrong with a line that belongs to no interface, "" for nothing."""
    known = words[0] in ("auto", "allow-auto", "allow-hotplug", "source", "source-directory")
    if not known:
        return "{0} has no counterpart".format(quoted(words[0]))
    if words[0].startswith("source"):
        return ""
    strange = [word for word in words[1:] if not _NAME.match(word.lstrip("/"))]
    return "{0}: expected the name of an interface".format(quoted(strange[0])) if strange else ""


def _begun(words):
    # type: (List[str]) -> Tuple[Optional[_Stanza], str]
    """Return the paragraph that an ``iface`` line begins, or what is wrong with the line."""
    if len(words) < 4 or not _NAME.match(words[1]):
        shown = quoted(" ".join(words[1:]))
        return None, "iface {0}: expected NAME inet|inet6 METHOD".format(shown)
    name, family, method = words[1:4]
    if family not in ("inet", "inet6") or method not in _METHODS or words[4:]:
        return None, "{0} has no counterpart".format(quoted(" ".join(words[2:])))
    if (method == "loopback") != (name == _LO):
        return None, "the method {0} is not expected of {1}".format(method, name)
    return _Stanza(name, family, method), ""


def _option(stanza, words):
    # type: (_Stanza, List[str]) -> str
    """Take a line of a paragraph; return what is wrong with it, "" for nothing."""
    key, values = words[0], words[1:]
    if stanza.name == _LO:
        return "" if key in ("dns-nameservers", "dns-search") else _unknown(key)
    if key in _IDLE:
        return ""
    expected, fits = _EXPECTED.get(key, ("", None))
    if fits is None:
        return _unknown(key)
    strange = [value for value in values if not fits(value)]
    if strange or not values:
        return "{0} {1}: expected {2}".format(key, quoted(" ".join(values)), expected)
    stanza.options.setdefault(key, []).extend(values)
    return ""


def _unknown(key):
    # type: (str) -> str
    return "{0} has no counterpart".format(quoted(key))


def _is_mask(value):
    # type: (str) -> bool
    return bool(_NUMBER.match(value)) or is_address(value)


# What each option may say, in words and as a function.
_EXPECTED = {
    "address": ("an address", lambda value: with_length(value, "") is not None),
    "netmask": ("a netmask", _is_mask),
    "gateway": ("an address", is_address),
    "metric": ("a number", _NUMBER.match),
    "mtu": ("a number", _NUMBER.match),
    "accept_ra": ("0, 1 or 2", lambda value: value in ("0", "1", "2")),
    "autoconf": ("0 or 1", lambda value: value in ("0", "1")),
    "dns-nameservers": ("addresses", is_address),
    "dns-nameserver": ("an address", is_address),
    "dns-search": ("domains", _DOMAIN.match),
    "dns-domain": ("a domain", _DOMAIN.match),
    "hostname": ("a name", _DOMAIN.match),
}  # type: Dict[str, Tuple[str, Callable[[str], object]]]


def _declared(stanza):
    # type: (_Stanza) -> Declared
    """Return what a paragraph says."""
    options = stanza.options

    def last(key):
        # type: (str) -> str
        return options.get(key, [""])[-1]

    addresses = [with_length(one, last("netmask")) for one in options.get("address", [])]
    return nothing(stanza.name)._replace(
        dhcp4=(stanza.family, stanza.method) == ("inet", "dhcp"),
        dhcp6=(stanza.family, stanza.method) == ("inet6", "dhcp"),
        hears=_hears(stanza, last("accept_ra")),
        addresses=tuple(one for one in addresses if one),
        gateways=tuple(options.get("gateway", [])),
        dns=tuple(options.get("dns-nameservers", []) + options.get("dns-nameserver", [])),
        domains=tuple(options.get("dns-search", []) + options.get("dns-domain", [])),
        mtu=last("mtu"),
        metric=last("metric"),
    )


def _hears(stanza, accept_ra):
    # type: (_Stanza, str) -> Optional[bool]
    if accept_ra:
        return accept_ra != "0"
    # static and manual leave it as the kernel has it.
    asks = stanza.family == "inet6" and stanza.method in ("auto", "dhcp")
    return True if asks else None


def render(links):
    # type: (Iterable[Declared]) -> str
    """Return a text for /etc/network/interfaces, which also reads what is generated for ENIs."""
    parts = [_LOOPBACK + "\nsource /etc/network/interfaces.d/*\n"]
    for one in links:
        lines = ["auto " + one.name] + _four(one) + _six(one)
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


_LOOPBACK = """# Written by `ec2net switch`. It is yours from now on.
auto lo
iface lo inet loopback
"""
# Beside networkd: what udev has ifup do for a card is nothing then.
NOTHING = "# This host has systemd-networkd.\n" + _LOOPBACK


def _four(one):
    # type: (Declared) -> List[str]
    addresses = [text for text in one.addresses if ":" not in text]
    common = [("dns-nameservers", " ".join(one.dns)), ("dns-search", " ".join(one.domains)),
              ("mtu", one.mtu)]
    if one.dhcp4 or not addresses:
        method = "dhcp" if one.dhcp4 else "manual"
        options = [("metric", one.metric)] if one.dhcp4 else []
        lines = _stanza(one.name, "inet " + method, options + common)
        common = []
    else:
        lines = []
    gateways = [text for text in one.gateways if ":" not in text]
    return lines + _static(one.name, "inet static", addresses, gateways, common)


def _six(one):
    # type: (Declared) -> List[str]
    addresses = [text for text in one.addresses if ":" in text]
    gateways = [text for text in one.gateways if ":" in text]
    lines = []  # type: List[str]
    if one.dhcp6 or (one.hears and not addresses):
        lines = _stanza(one.name, "inet6 " + ("dhcp" if one.dhcp6 else "auto"), [])
    return lines + _static(one.name, "inet6 static", addresses, gateways, [])


def _static(name, method, addresses, gateways, options):
    # type: (str, str, List[str], List[str], List[Tuple[str, str]]) -> List[str]
    """Return a paragraph for each address, with what all of them have in common in the first."""
    lines = []  # type: List[str]
    for address in addresses:
        given = [("address", address)] + [("gateway", one) for one in gateways[:1]] + options
        lines += _stanza(name, method, given)
        gateways, options = [], []
    return lines


def _stanza(name, method, options):
    # type: (str, str, List[Tuple[str, str]]) -> List[str]
    lines = ["iface {0} {1}".format(name, method)]
    return lines + ["    {0} {1}".format(key, value) for key, value in options if value]
