"""The record: what ec2net has done on this host since it booted, and may have to take back.

There is one JSON document for each interface and one for the host as a whole, in the run directory,
which only root can read and a reboot empties. Any of them may be lost or damaged at any time; a
damaged document is taken for an empty one, with a warning. What has to survive a reboot is in the
generated files. What only a document knew is then nobody's: an address that was added to the
primary stays until somebody removes it, also when AWS has taken it back.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import log
from ec2net_legacy._cheap import ipaddress, json, namedtuple, pattern
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.model import (
    Address,
    Eni,
    InterfaceState,
    Lease,
    MainFirst,
    Managed,
    MarkRule,
    Route,
    Rule,
)

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, Optional, Pattern, Tuple

    from ec2net_legacy.host.rundir import RunDirectory

_VERSION = 1

# How an interface shall be: somebody began to bring it up, or took it down on purpose.
UP = "up"
DOWN = "down"

Wish = namedtuple("Wish", ["state", "index"])
"""How somebody wants the device with the kernel's number `index` to be.

UP (until it is) or DOWN.
"""

Reading = namedtuple("Reading", ["eni", "asked"])
"""The ENI as metadata described it when it was `asked`, in seconds of the monotonic clock."""

Tries = namedtuple("Tries", ["index", "count", "last"])
"""How often the device `index` was started over in vain, and when `last` (monotonic clock)."""

Record = namedtuple(
    "Record",
    ["addresses", "routes", "rules", "device", "wish", "reading", "lease", "lease6", "tries"],
)
"""What is known about one interface.

`addresses`, `routes` and `rules`: what may be in the kernel because of ec2net, beside what the
present generated file says; for the primary, which has no such file, the addresses that were added
to it. `device`: the kernel's number of the device that was brought up, 0 for none. `wish`,
`reading`, `lease` and `tries`: see these values; None where there is none. `lease6`: whether DHCPv6
gave an address.
"""

NOTHING = Record((), (), (), 0, None, None, None, False, None)

Names = namedtuple("Names", ["index", "given", "refused"])
"""The alternative names of the device with the kernel's number `index`: those that were `given` to
it, and those that `ip` or the kernel `refused`, which are not tried again."""

HostRecord = namedtuple(
    "HostRecord",
    [
        "cards", "enis", "items", "groups", "parameters", "chains", "cannot", "failed", "names",
        "primary",
    ],
)
"""What was done for all ENIs together.

`cards`: {MAC address: True for an ENI, or the time of the monotonic clock from which on metadata is
asked again whether it is one}. `enis`: {device: (its number, Managed)}. `items`: rules, and routes
copied from main. `groups`: {device: [its number, link group before, ours]}. `parameters`: {kernel
parameter: [number of its device, value before, ours]}. `chains`: the families that have a chain of
ours. `cannot`: the families in which the kernel cannot ask main first. `failed`: the families whose
netfilter does not work. `names`: {device: Names}. `primary`: MAC address and id of the primary ENI,
() while metadata was not asked.
"""

NOTHING_SHARED = HostRecord({}, {}, (), {}, {}, (), (), (), {}, ())

_ITEMS = {one.__name__: one for one in (MainFirst, MarkRule, Route)}  # type: Dict[str, Any]
# A document with something unexpected in it raises one of these; RuntimeError: it is nested too
# deeply.
_DAMAGED = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RuntimeError
)
# event.is_interface_name takes no other names, so nothing was ever recorded about another one.
_DEVICE = pattern(r"[!-.0-~]{1,15}\Z")
_PARAMETER = pattern(r"net/ipv[46]/conf/[!-.0-~]{1,15}/[a-z_]+\Z")
# The ones that ENIs get; the kernel takes up to 127 bytes, and neither blanks nor slashes.
ALTERNATIVE_NAME = pattern(r"(?:eni-[0-9a-f]{1,40}|device-number-[0-9]{1,3}(?:\.[0-9]{1,3})?)\Z")
# The words of an item become words of a line for `ip -batch`, where "#" begins a comment. Each
# character above ASCII is a byte of a name in some other encoding.
_WORD = pattern(r"[!\"$-~\x80-\xff]{0,64}\Z")


def read(directory, name):
    # type: (RunDirectory, str) -> Record
    """Return what is recorded about the interface `name`."""
    found = _decoded(directory, _document(name), NOTHING, _INTERFACE)  # type: Record
    return found


def change(directory, name, wait=60.0, **fields):
    # type: (RunDirectory, str, float, **Any) -> Record
    """Change `fields` of an interface's record and return it; another run is waited for.

    Raises HostError if it cannot be written, or if another run holds the host's lock for more than
    `wait` seconds.
    """
    with directory.lock(wait=wait):
        record = read(directory, name)._replace(**fields)  # type: Record
        _keep(directory, _document(name), _encoded(record, NOTHING))
    return record


def forget(directory, name, wish=None):
    # type: (RunDirectory, str, Optional[Wish]) -> None
    """Forget an interface that is gone, but for the number of its device; keep a `wish` for it."""
    device = read(directory, name).device
    change(directory, name, **dict(NOTHING._asdict(), device=device, wish=wish))


def read_host(directory):
    # type: (RunDirectory) -> HostRecord
    """Return what is recorded about the host as a whole."""
    found = _decoded(directory, "host", NOTHING_SHARED, _HOST)
    families = frozenset(item.family for item in found.items)
    families = families.union(found.chains, found.cannot, found.failed)
    return found if families <= {4, 6} else NOTHING_SHARED


def change_host(directory, **fields):
    # type: (RunDirectory, **Any) -> HostRecord
    """Change `fields` of the host's record and return it. Raises HostError."""
    with directory.lock():
        record = read_host(directory)._replace(**fields)  # type: HostRecord
        items = sorted([type(item).__name__] + list(item) for item in record.items)
        _keep(directory, "host", _encoded(record._replace(items=items), NOTHING_SHARED))
    return record


def added_to_primary(record):
    # type: (Record) -> Tuple[Address, ...]
    """Return the addresses that were added to a primary; a secondary always has rules, too."""
    return () if record.rules else tuple(record.addresses)


def merged(name, *states):
    # type: (str, *Any) -> InterfaceState
    """Return all that any of `states` (InterfaceState or Record) has, each once, in their order."""
    tables = [getattr(state, "table", 0) for state in states]
    items = [
        tuple(sorted(set(found), key=found.index))
        for found in (
            [item for state in states for item in getattr(state, key)]
            for key in ("addresses", "routes", "rules")
        )
    ]
    return InterfaceState(name, next((one for one in tables if one), 0), "", *items)


def router_of(record, eni):
    # type: (Record, Eni) -> str
    """Return the router that the lease of this very ENI named, "" where there is none."""
    lease = record.lease
    if lease is None or lease.address not in eni.addresses[:1]:
        return ""
    try:
        return ipaddress.IPv4Address(lease.router).compressed
    except ValueError:
        return ""


def _document(name):
    # type: (str) -> str
    return "interface-" + name


def _keep(directory, document, text):
    # type: (RunDirectory, str, str) -> None
    if text:
        directory.write(document, text)
    else:
        directory.forget(document)


def _encoded(record, nothing):
    # type: (Any, Any) -> str
    """Return the text of a document, "" where there is nothing in it."""
    defaults = nothing._asdict()
    found = record._asdict()
    fields = {key: found[key] for key in found if found[key] and found[key] != defaults[key]}
    return json.dumps(dict(fields, version=_VERSION), sort_keys=True) if fields else ""


def _decoded(directory, document, nothing, decoders):
    # type: (RunDirectory, str, Any, Dict[str, Callable[[Any], Any]]) -> Any
    """Return what a document says, or `nothing` where it is damaged or of another version."""
    text = directory.read(document)
    # Each document begins so. Up to Python 3.8 the interpreter may abort at too many brackets
    # instead of raising RecursionError (bugs.python.org/issue37788).
    if text is None:
        return nothing
    try:
        if not text.startswith('{"'):
            raise ValueError("not an object")
        kept = json.loads(text)
        if kept.pop("version") != _VERSION:
            return nothing
        return nothing._replace(**{key: decoders[key](value) for key, value in kept.items()})
    except _DAMAGED:
        log.warning("the damaged record %s is taken for an empty one", document)
        return nothing


def _item(kind, values):
    # type: (Any, Iterable[Any]) -> Any
    values = list(values)
    for value in values:
        if not isinstance(value, (int, float)) and not _WORD.match(value):
            raise ValueError(value)
    return kind(*values)


def _all(kind):
    # type: (Any) -> Callable[[Any], Tuple[Any, ...]]
    return lambda values: tuple(_item(kind, one) for one in values)


def _one(kind):
    # type: (Any) -> Callable[[Any], Any]
    return lambda values: _item(kind, values)


def _reading(value):
    # type: (Any) -> Optional[Reading]
    eni, asked = value
    fields = [tuple(one) if isinstance(one, list) else one for one in eni]
    if len(fields) != len(Eni._fields):
        # Another release's, before an upgrade. Metadata is asked again; the rest is still true.
        return None
    return Reading(Eni(*fields), float(asked))


def _tries(value):
    # type: (Any) -> Tries
    return Tries(int(value[0]), int(value[1]), float(value[2]))


def _before(pattern):
    # type: (Pattern[str]) -> Callable[[Any], Dict[str, Any]]
    return lambda values: {
        _checked(name, pattern): [int(index), int(before), int(ours)]
        for name, (index, before, ours) in values.items()
    }


def _checked(name, pattern):
    # type: (str, Pattern[str]) -> str
    if not pattern.match(name):
        raise ValueError(name)
    return name


def _managed(value):
    # type: (Any) -> Tuple[int, Managed]
    eni = Managed(*value[1])
    return int(value[0]), eni._replace(families=tuple(int(one) for one in eni.families))


def _names(value):
    # type: (Any) -> Names
    index, given, refused = value
    lists = [tuple(_checked(name, ALTERNATIVE_NAME) for name in one) for one in (given, refused)]
    return Names(int(index), *lists)


def _primary(value):
    # type: (Any) -> Tuple[str, str]
    mac, interface_id = value
    return _checked(mac, _WORD), _checked(interface_id, _WORD)


def _families(value):
    # type: (Any) -> Tuple[int, ...]
    return tuple(sorted(int(one) for one in value))


_INTERFACE = {
    "addresses": _all(Address),
    "routes": _all(Route),
    "rules": _all(Rule),
    "device": int,
    "wish": _one(Wish),
    "reading": _reading,
    "lease": _one(Lease),
    "lease6": bool,
    "tries": _tries,
}  # type: Dict[str, Callable[[Any], Any]]
_HOST = {
    "cards": lambda kept: {mac: one if one is True else float(one) for mac, one in kept.items()},
    "enis": lambda kept: {
        _checked(name, _DEVICE): _managed(value) for name, value in kept.items()
    },
    "items": lambda kept: tuple(_item(_ITEMS[one[0]], one[1:]) for one in kept),
    "groups": _before(_DEVICE),
    "parameters": _before(_PARAMETER),
    "chains": _families,
    "cannot": _families,
    "failed": _families,
    "primary": _primary,
    "names": lambda kept: {_checked(name, _DEVICE): _names(value) for name, value in kept.items()},
}  # type: Dict[str, Callable[[Any], Any]]
