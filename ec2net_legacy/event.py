"""From argv and environment to what happened, to which interface."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import log
from ec2net_legacy._cheap import ipaddress, namedtuple, pattern
from ec2net_legacy._compat import quoted, text
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import UsageError
from ec2net_legacy.model import Lease

if TYPE_CHECKING:
    from typing import Mapping, Optional

# The kernel takes almost anything up to 15 bytes (IFNAMSIZ). The name becomes part of a file
# name, of an `ip` line and of shell text that ifupdown runs, so only what is plain in all three.
_NAME = pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}\Z")

# What udev sends besides add and remove; a rule that passes them on is not a mistake.
_NOTHING_TO_DO = frozenset(["change", "move", "online", "offline", "bind", "unbind"])

# What dhclient-script is called for (dhclient-script(8)); the same with a 6 for DHCPv6. TIMEOUT is
# an old lease whose router answers; RHEL's script calls the hooks only if it does.
_GAINED = frozenset(["BOUND", "RENEW", "REBIND", "REBOOT", "TIMEOUT"])
_LOST = frozenset(["EXPIRE", "FAIL", "RELEASE", "STOP"])

Event = namedtuple("Event", ["action", "interface"])
"""`action`: "add", "remove" or "ignore"; `interface`: a checked name."""

LeaseEvent = namedtuple("LeaseEvent", ["action", "interface", "family", "lease"])
"""`action`: "gained", "lost" or "ignore"; `interface`: a checked name; `family`: 4 or 6; `lease`:
what DHCPv4 gave, None where it gave nothing usable."""


def is_interface_name(name):
    # type: (str) -> bool
    """Return whether this package touches an interface of that name at all."""
    # eth1.cfg names the file of eth1, not an interface.
    return bool(_NAME.match(name)) and not name.endswith(".cfg")


def interface_name(value, what="interface"):
    # type: (str, str) -> str
    """Return `value` if it can be an interface name; UsageError, naming `what`, if not."""
    name = text(value)
    if not is_interface_name(name):
        raise UsageError(
            "{0} is {1}: expected an interface name such as eth1".format(what, quoted(name))
        )
    return name


def hotplug_event(argument, environ):
    # type: (Optional[str], Mapping[str, str]) -> Event
    """Return the event of ``ec2net-hotplug``; `argument` wins over ``ACTION``."""
    action = text(argument if argument is not None else environ.get("ACTION", ""))
    if not action:
        raise UsageError("no action: expected the argument add or remove, or ACTION=add or remove")
    if argument is None and action in _NOTHING_TO_DO:
        action = "ignore"
    elif action not in ("add", "remove"):
        raise UsageError("action is {0}: expected add or remove".format(quoted(action)))
    interface = environ.get("INTERFACE", "")
    if not interface:
        raise UsageError("INTERFACE is not set: expected an interface name such as eth1")
    return Event(action, interface_name(interface, "INTERFACE"))


def lease_event(environ):
    # type: (Mapping[str, str]) -> LeaseEvent
    """Return the event that dhclient tells its script in ``reason`` and ``interface``."""
    reason, interface = text(environ.get("reason", "")), environ.get("interface", "")
    if not reason or not interface:
        raise UsageError("reason or interface is not set: expected what dhclient gives its script")
    plain = reason[:-1] if reason.endswith("6") else reason
    action = "gained" if plain in _GAINED else "lost" if plain in _LOST else "ignore"
    family = 4 if plain == reason else 6
    old = "old_ip_address" if family == 4 else "old_ip6_address"
    if plain == "FAIL" and not environ.get(old):
        # A dhclient without a lease, perhaps beside one that has it.
        action = "ignore"
    lease = _lease(environ) if action == "gained" and family == 4 else None
    return LeaseEvent(action, interface_name(interface, "interface"), family, lease)


def _lease(environ):
    # type: (Mapping[str, str]) -> Optional[Lease]
    """Return the lease; a DHCP server is not trusted with anything but addresses."""
    address = _address(environ, "new_ip_address")
    if not address:
        return None
    return Lease(address, _address(environ, "new_routers"))


def _address(environ, name):
    # type: (Mapping[str, str], str) -> str
    """Return the first address of a variable, "" where there is none."""
    words = text(environ.get(name, "")).split()
    if not words:
        return ""
    try:
        address = ipaddress.IPv4Address(words[0])
    except ValueError:
        log.warning("%s is %s: expected an IPv4 address; ignored", name, quoted(words[0]))
        return ""
    return address.compressed
