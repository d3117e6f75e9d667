"""What has to be known to go back: a JSON document that outlives a boot."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._cheap import json, namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError
from ec2net_legacy.model import Address, Route

if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple

PATH = "/var/lib/ec2net/switch.json"
_VERSION = 1
_KEPT = {"before", "after", "units", "resolv"}

# What is under way, and taken back if it does not end; how it ended.
TRIAL, DONE, UNDONE = "trial", "done", "undone"

State = namedtuple(
    "State",
    ["phase", "here", "there", "before", "after", "names", "asking", "addresses", "routes",
     "networkds", "units", "resolv", "boot", "why", "kept"],
)
"""The last switch. `here`, `there`: the distributions' names. `before`, `after`: {path: text, or
None} of the files that are changed. `names`: the interfaces; `asking`: those of which a program of
`here` has the lease. `addresses`, `routes`: what the kernel had; `networkds`: which routes were of
networkd's kind, as (interface, option for the family, line). `units`: {unit: whether it was
enabled}. `resolv`: what /etc/resolv.conf led to, or "", and its text. `boot`: which boot it was.
`why`: what went wrong, for who reads it, else "". `kept`: what a switch to networkd that is in
force has replaced, as `before`, `after`, `units` and `resolv`, {} for none."""

NOTHING = State("", "", "", {}, {}, (), (), (), (), (), {}, ("", ""), "", "", {})


def encoded(state):
    # type: (State) -> str
    """Return the text of the document."""
    return json.dumps(dict(state._asdict(), version=_VERSION), sort_keys=True, indent=1) + "\n"


def decoded(text):
    # type: (Optional[str]) -> State
    """Return what the document says. Raises HostError where it is damaged."""
    if text is None:
        return NOTHING
    try:
        said = json.loads(text)
        if said.pop("version") != _VERSION:
            raise ValueError
        found = State(**said)
        if found.kept and set(found.kept) != _KEPT:
            raise ValueError
        return found._replace(
            before=_texts(found.before),
            after=_texts(found.after),
            names=tuple("" + name for name in found.names),
            asking=tuple("" + name for name in found.asking),
            networkds=tuple(
                ("" + name, "" + family, "" + line) for name, family, line in found.networkds
            ),
            resolv=_pair(*found.resolv),
            addresses=tuple(Address(*one) for one in found.addresses),
            routes=tuple(Route(*one) for one in found.routes),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        said = "{0} is damaged: expected what `ec2net switch` wrote, or no such file"
        raise HostError(said.format(PATH))


def _pair(target, text):
    # type: (str, str) -> Tuple[str, str]
    return "" + target, "" + text


def _texts(files):
    # type: (Dict[str, Optional[str]]) -> Dict[str, Optional[str]]
    return {"" + path: None if text is None else "" + text for path, text in files.items()}


def read(files):
    # type: (Any) -> State
    """Return what is known of the last switch. Raises HostError where that is damaged."""
    return decoded(files.read(PATH))


def write(files, state):
    # type: (Any, State) -> None
    """Write down what is known of a switch. Raises HostError."""
    files.put({PATH: encoded(state)})
