"""Reading the kernel by rtnetlink, as `ip` does, without starting one.

It gives the same values as `kernel.parse` makes of what `ip` prints. Source: rtnetlink(7), and the
kernel's headers linux/netlink.h, rtnetlink.h, if_addr.h, if_link.h and fib_rules.h. All that is
read here is the same from Linux 2.6.32 on; what did not exist yet, as the conditions of MainFirst
(3.12) and alternative names (5.5), is not sent.
"""
from __future__ import absolute_import, print_function, unicode_literals

import fcntl
import socket
import struct

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError
from ec2net_legacy.kernel.parse import KernelState, route_seen
from ec2net_legacy.model import MAIN_TABLE, Address, MainFirst, MarkRule, Route, Rule

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, FrozenSet, List, Optional, Set, Tuple

_ROUTE = 0  # NETLINK_ROUTE
_LIMIT = 15.0
_LARGEST = 1 << 16
# A change in the middle of a list: it is asked for again.
_MOST_TRIES = 5

_HEADER = struct.Struct(str("=IHHII"))  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct(str("=HH"))  # length, type
_ADDRESS = struct.Struct(str("=BBBBI"))  # family, length, flags, scope, device
# family, destination's length, source's length, TOS, table, origin, scope, type, flags
_ROUTE_OR_RULE = struct.Struct(str("=BBBBBBBBI"))
_LINK = struct.Struct(str("=BxHiII"))  # family, type, device, flags, which of these change
_NUMBER = struct.Struct(str("=I"))
_SIGNED = struct.Struct(str("=i"))
_DEVICE = struct.Struct(str("=16si20x"))  # struct ifreq: name, number

_ERROR, _DONE, _OVERRUN = 2, 3, 4
_ASK_FOR_ALL = 0x301  # NLM_F_REQUEST, NLM_F_DUMP
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR
_GET_LINK, _GET_ADDRESS, _GET_ROUTE, _GET_RULE = 18, 22, 26, 34
_SIOCGIFNAME = 0x8910

# A device is of none.
_NO_FAMILY = 0
_FAMILIES = {_NO_FAMILY: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}
# IFLA_
_D_NAME, _D_WANTED, _D_PROPERTIES, _D_ALTERNATIVE = 3, 29, 52, 53
# RTEXT_FILTER_SKIP_STATS: two thirds of what the kernel says of a device are counters.
_WITHOUT_COUNTERS = 8
# IFA_
_A_ADDRESS, _A_LOCAL = 1, 2
# RTA_, RTN_, RTPROT_ and RTM_F_
_R_DESTINATION, _R_SOURCE, _R_DEVICE, _R_GATEWAY, _R_METRIC, _R_PREFERRED = 1, 2, 4, 5, 6, 7
_R_TABLE = 15
# Several next hops, a gateway of the other family, a tunnel: nobody's business here.
_R_OTHERS = frozenset([_R_SOURCE, 9, 18, 22])
_UNICAST, _LOCAL = 1, 2
_ORIGINS = {2: "kernel", 9: "ra"}
_CLONED = 0x200
# FRA_, FR_ACT_ and FIB_RULE_
_L_SOURCE, _L_PRIORITY, _L_MARK, _L_GROUP, _L_LENGTH, _L_TABLE, _L_MASK = 2, 6, 10, 13, 14, 15, 16
# Padding, and who made it, which changes nothing about what it does.
_L_SILENT = frozenset([18, 21])
_LOOKUP = 1
_INVERTED = 2
_NONE = 0xFFFFFFFF


class _Changed(Exception):
    """What was listed has changed while it was."""


def read(family):
    # type: (int) -> KernelState
    """Return the kernel's addresses, routes and rules of a family, 4 or 6.

    Raises HostError where there is no rtnetlink, or no answer to be understood.
    """
    state = _answer(family, _Reading.all)  # type: KernelState
    return state


def alternative_names():
    # type: () -> Dict[str, FrozenSet[str]]
    """Return {name of each device: its alternative names}. Raises HostError as `read` does."""
    names = _answer(_NO_FAMILY, _Reading.names)  # type: Dict[str, FrozenSet[str]]
    return names


def _answer(family, question):
    # type: (int, Callable[[_Reading], Any]) -> Any
    try:
        connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _ROUTE)
        try:
            connection.settimeout(_LIMIT)
            return question(_Reading(connection, family))
        finally:
            connection.close()
    except (EnvironmentError, LookupError, ValueError, struct.error) as error:
        raise HostError("rtnetlink: {0}".format(error))


class _Reading(object):
    """One reading: a list of each kind of thing, by one socket."""

    def __init__(self, connection, family):
        # type: (socket.socket, int) -> None
        self._connection = connection
        self._family = family
        self._sequence = 0
        self._has_changed = False
        self._devices = {}  # type: Dict[int, Optional[str]]

    def all(self):
        # type: () -> KernelState
        """Return everything."""
        # The kernel says nothing of rules that change while it lists them. After the others it puts
        # some hundred of them into one part, which is of one moment.
        addresses = self._list(_GET_ADDRESS, self._address)
        routes = self._list(_GET_ROUTE, self._route)
        rules = self._list(_GET_RULE, self._rule)
        plain = {rule for rule in rules if isinstance(rule, Rule)}
        return KernelState(addresses, routes, plain, rules - plain)

    def names(self):
        # type: () -> Dict[str, FrozenSet[str]]
        """Return the alternative names of each device."""
        return dict(self._list(_GET_LINK, self._names_of_device))

    def _list(self, kind, value_of):
        # type: (int, Callable[[bytes], Any]) -> Set[Any]
        for _ in range(_MOST_TRIES):
            try:
                found = {value_of(one) for one in self._dump(kind)}
            except _Changed:
                continue
            return found - {None}
        raise ValueError("what is listed keeps changing")

    def _dump(self, kind):
        # type: (int) -> List[bytes]
        """Return the kernel's messages about all things of a kind."""
        self._sequence += 1
        self._has_changed = False
        # The longest header that any of the kinds has: 12 bytes, the first is the family.
        body = bytes(bytearray([_FAMILIES[self._family]] + [0] * 11))
        if kind == _GET_LINK:
            body = _LINK.pack(_FAMILIES[self._family], 0, 0, 0, 0)
            body += _ATTRIBUTE.pack(8, _D_WANTED) + _NUMBER.pack(_WITHOUT_COUNTERS)
        length = _HEADER.size + len(body)
        header = _HEADER.pack(length, kind, _ASK_FOR_ALL, self._sequence, 0)
        self._connection.sendall(header + body)
        found = []  # type: List[bytes]
        # Also a list that has changed is read to its end: before that the kernel is busy (EBUSY).
        while not self._is_last(found):
            pass
        if self._has_changed:
            raise _Changed
        return found

    def _is_last(self, found):
        # type: (List[bytes]) -> bool
        """Receive once; add the messages to `found`; return whether the list ends with them."""
        data, sender = self._connection.recvfrom(_LARGEST)
        # Anybody may write to this socket; the kernel's number is 0.
        if sender[0] != 0:
            return False
        offset = 0
        while offset < len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
            message = data[offset + _HEADER.size : offset + length]
            if length < _HEADER.size or offset + length > len(data):
                raise ValueError("half of a message")
            offset += _aligned(length)
            if sequence != self._sequence:
                continue
            self._has_changed = self._has_changed or bool(flags & _INTERRUPTED)
            if kind in (_ERROR, _OVERRUN, _DONE):
                status = _SIGNED.unpack_from(message)[0]
                if status or kind != _DONE:
                    raise ValueError("error {0}".format(-status))
                return True
            # A kernel without IPv6 lists IPv4's instead.
            if bytearray(message[:1])[0] == _FAMILIES[self._family]:
                found.append(message)
        return False

    def _names_of_device(self, message):
        # type: (bytes) -> Tuple[str, FrozenSet[str]]
        said = _attributes(message, _LINK.size)
        names = [
            _name(value)
            for kind, value in _each_attribute(said.get(_D_PROPERTIES, b""), 0)
            if kind == _D_ALTERNATIVE
        ]
        return _name(said[_D_NAME]), frozenset(names)

    def _address(self, message):
        # type: (bytes) -> Optional[Address]
        _, length, _, _, index = _ADDRESS.unpack_from(message)
        said = _attributes(message, _ADDRESS.size)
        device = self._device(index)
        # IFA_ADDRESS is the other end's where there is one.
        address = said.get(_A_LOCAL) or said[_A_ADDRESS]
        return Address(self._text(address), length, device) if device else None

    def _route(self, message):
        # type: (bytes) -> Optional[Route]
        header = _ROUTE_OR_RULE.unpack_from(message)
        _, length, source_length, tos, table, origin, _, kind, flags = header
        by_kernel = kind == _LOCAL and _ORIGINS.get(origin) == "kernel"
        if kind not in (_UNICAST, _LOCAL) or by_kernel or tos or source_length or flags & _CLONED:
            return None
        said = _attributes(message, _ROUTE_OR_RULE.size)
        device = self._device(_number(said, _R_DEVICE, 0))
        if device is None or _R_OTHERS.intersection(said):
            return None
        route = Route(
            self._network(said, _R_DESTINATION, length) or "default",
            self._text(said[_R_GATEWAY]) if _R_GATEWAY in said else "",
            device,
            _number(said, _R_TABLE, table),
            self._family,
            _number(said, _R_METRIC, 0),
        )
        preferred = self._text(said[_R_PREFERRED]) if _R_PREFERRED in said else ""
        return route_seen(route, kind == _LOCAL, _ORIGINS.get(origin, ""), preferred)

    def _rule(self, message):
        # type: (bytes) -> Any
        header = _ROUTE_OR_RULE.unpack_from(message)
        _, destination_length, source_length, tos, table, _, _, action, flags = header
        if action != _LOOKUP or destination_length or tos or flags & _INVERTED:
            return None
        said = _attributes(message, _ROUTE_OR_RULE.size)
        source = self._network(said, _L_SOURCE, source_length) or "all"
        table, priority = _number(said, _L_TABLE, table), _number(said, _L_PRIORITY, 0)
        conditions = {
            key: _number(said, key, _NONE)
            for key in set(said) - _L_SILENT - {_L_SOURCE, _L_TABLE, _L_PRIORITY}
        }
        # The kernel says so of each rule.
        for key in (_L_LENGTH, _L_GROUP):
            if conditions.get(key) == _NONE:
                del conditions[key]
        if not conditions:
            return Rule(source, table, priority)
        if source != "all":
            return None
        if set(conditions) == {_L_MARK, _L_MASK} and conditions[_L_MASK] != _NONE:
            mark, mask = conditions[_L_MARK], conditions[_L_MASK]
            return MarkRule(mark, mask, table, priority, self._family)
        if set(conditions) == {_L_LENGTH, _L_GROUP} and table == MAIN_TABLE:
            length, group = conditions[_L_LENGTH], conditions[_L_GROUP]
            return MainFirst(length, group, priority, self._family)
        # One with a further condition is not an ENI's.
        return None

    def _text(self, address):
        # type: (bytes) -> str
        text = socket.inet_ntop(_FAMILIES[self._family], address)  # type: Any
        return text if isinstance(text, type("")) else text.decode("ascii")

    def _network(self, said, key, length):
        # type: (Dict[int, bytes], int, int) -> str
        """Return a network as `ip` prints it, "" for all there are."""
        if not length:
            return ""
        text = self._text(said[key])
        return text if length == {4: 32, 6: 128}[self._family] else "{0}/{1}".format(text, length)

    def _device(self, index):
        # type: (int) -> Optional[str]
        """Return a device's name, None where it is gone or none was named."""
        if index not in self._devices:
            self._devices[index] = self._asked_name(index) if index else None
        return self._devices[index]

    def _asked_name(self, index):
        # type: (int) -> Optional[str]
        question = _DEVICE.pack(b"", index)
        try:
            answer = fcntl.ioctl(self._connection.fileno(), _SIOCGIFNAME, question)
        except EnvironmentError:
            return None
        return _name(answer[:16])


def _name(text):
    # type: (bytes) -> str
    return text.split(b"\0")[0].decode("latin-1")


def _attributes(message, offset):
    # type: (bytes, int) -> Dict[int, bytes]
    """Return the attributes that follow a message's header, by their number."""
    return dict(_each_attribute(message, offset))


def _each_attribute(message, offset):
    # type: (bytes, int) -> List[Tuple[int, bytes]]
    """Return number and value of each attribute: of some kinds there are several."""
    found = []
    while offset + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, offset)
        if length < _ATTRIBUTE.size or offset + length > len(message):
            raise ValueError("half of an attribute")
        # The two highest bits are flags.
        found.append((kind & 0x3FFF, message[offset + _ATTRIBUTE.size : offset + length]))
        offset += _aligned(length)
    return found


def _number(said, key, default):
    # type: (Dict[int, bytes], int, int) -> int
    """Return what an attribute of four bytes says; `default` where it is of another size, too."""
    if len(said.get(key, b"")) != _NUMBER.size:
        return default
    number = _NUMBER.unpack(said[key])[0]  # type: int
    return number


def _aligned(length):
    # type: (int) -> int
    return (length + 3) & ~3
