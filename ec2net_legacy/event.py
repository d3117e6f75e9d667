"""From argv and environment to what happened, to which interface."""
from __future__ import absolute_import, print_function, unicode_literals

import re
from collections import namedtuple

from ec2net_legacy._compat import quoted, text
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import UsageError

if TYPE_CHECKING:
    from typing import Mapping, Optional

# The kernel takes almost anything up to 15 bytes (IFNAMSIZ). The name becomes part of a file
# name, of an `ip` line and of shell text that ifupdown runs, so only what is plain in all three.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}\Z")

# What udev sends besides add and remove; a rule that passes them on is not a mistake.
_NOTHING_TO_DO = frozenset(["change", "move", "online", "offline", "bind", "unbind"])

# What dhclient-script is called for (dhclient-script(8)); the same with a 6 for DHCPv6.
_GAINED = frozenset(["BOUND", "RENEW", "REBIND", "REBOOT"])
_LOST = frozenset(["EXPIRE", "FAIL", "RELEASE", "STOP"])

Event = namedtuple("Event", ["action", "interface"])
"""`action`: "add", "remove" or "ignore"; `interface`: a checked name."""

LeaseEvent = namedtuple("LeaseEvent", ["action", "interface", "family"])
"""`action`: "gained", "lost" or "ignore"; `interface`: a checked name; `family`: 4 or 6."""


def interface_name(value, what="interface"):
    # type: (str, str) -> str
    """Return `value` if it can be an interface name; UsageError, naming `what`, if not."""
    name = text(value)
    # eth1.cfg names the file of eth1, not an interface.
    if not _NAME.match(name) or name.endswith(".cfg"):
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
    return LeaseEvent(
        action, interface_name(interface, "interface"), 4 if plain == reason else 6
    )
