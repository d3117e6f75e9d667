"""What comes by rtnetlink is untrusted, too: half of a list is not a kernel that has half.

Messages are put together here as the kernel's headers describe them. tests/netns/test_netlink.py
holds the reading of a real kernel against what `ip` prints.
"""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import socket
import struct

import pytest

from ec2net_legacy.errors import HostError
from ec2net_legacy.kernel import netlink
from ec2net_legacy.model import Rule
from tests.unit.fakes import raised

DONE, ERROR, OVERRUN = 3, 2, 4
NEW_RULE = 32
KERNEL = (0, 0)


def attribute(kind, value):
    data = struct.pack(str("=HH"), 4 + len(value), kind) + value
    return data + b"\0" * (-len(data) % 4)


def number(value):
    return struct.pack(str("=I"), value)


def rule(priority, extra=b"", family=socket.AF_INET, flags=1, action=1):  # noqa: PLR0913
    """Return the body of a message about a rule from 10.0.1.10."""
    header = struct.pack(str("=BBBBBBBBI"), family, 0, 32, 0, 0, 0, 0, action, flags)
    source = attribute(2, b"\x0a\0\1\x0a")
    return header + source + attribute(15, number(10001)) + attribute(6, number(priority)) + extra


class FakeSocket(object):
    """The kernel's end: of each list `answers` has the parts, which are lists of (kind, body)."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.parts = []
        self.asked = []

    def __call__(self, *_):
        return self

    def settimeout(self, seconds):
        self.limit = seconds

    def sendall(self, data):
        _, kind, _, self.sequence, _ = struct.unpack(str("=IHHII"), data[:16])
        self.asked.append(kind)
        if self.parts:
            # The kernel has not told all of the list before.
            self.parts = [[(ERROR, struct.pack(str("=i"), -errno.EBUSY))]]
            return
        # Lists other than those of rules (34) and devices (18) are empty.
        self.parts = self.answers.pop(0) if kind in (18, 34) else [[(DONE, number(0))]]

    def recvfrom(self, size):
        assert self.limit <= 15
        if not self.parts:
            raise socket.timeout("timed out")
        part = self.parts.pop(0)
        if isinstance(part, tuple):
            return part
        return b"".join(self.message(*one) for one in part), KERNEL

    def message(self, kind, body, flags=0, sequence=None):
        length = 16 + len(body)
        sequence = self.sequence if sequence is None else sequence
        header = struct.pack(str("=IHHII"), length, kind, flags, sequence, 0)
        return header + body + b"\0" * (-len(body) % 4)

    def close(self):
        pass


@pytest.fixture
def read(monkeypatch):
    def reading(*answers):
        fake = FakeSocket(answers)
        monkeypatch.setattr(socket, "socket", fake)
        found = netlink.read(4)
        assert not fake.answers
        return found.rules

    return reading


END = [(DONE, number(0))]
ONE, TWO = Rule("10.0.1.10", 10001, 1), Rule("10.0.1.10", 10001, 2)


def test_a_list_comes_in_parts(read):
    parts = [[(NEW_RULE, rule(1))], [(NEW_RULE, rule(2))], END]
    assert read(parts) == {ONE, TWO}


def test_only_the_kernel_is_listened_to(read):
    theirs = struct.pack(str("=IHHII"), 16 + len(rule(7)), NEW_RULE, 0, 3, 0) + rule(7)
    assert read([(theirs, (4711, 0)), [(NEW_RULE, rule(1))], END]) == {ONE}


def test_a_list_that_changed_meanwhile_is_asked_for_again(read):
    changed = [[(NEW_RULE, rule(1), 0x10)], [(NEW_RULE, rule(7))], END]
    assert read(list(changed), [[(NEW_RULE, rule(2))], END]) == {TWO}
    at_its_end = [[(NEW_RULE, rule(1))], [(DONE, number(0), 0x10)]]
    assert read(at_its_end, [[(NEW_RULE, rule(2))], END]) == {TWO}
    raised(HostError, read, *[list(changed) for _ in range(5)])


def test_what_is_left_of_another_list_is_not_of_this_one(read):
    rest = [(NEW_RULE, rule(7), 0, 1), (DONE, number(0), 0, 1)]
    assert read([rest, [(NEW_RULE, rule(1))], END]) == {ONE}


def test_a_kernel_that_lists_another_family_too_is_not_misread(read):
    other = rule(7, family=socket.AF_INET6)
    assert read([[(NEW_RULE, other), (NEW_RULE, rule(1))], END]) == {ONE}


@pytest.mark.parametrize(
    "extra",
    [
        attribute(3, b"eth1\0"),
        attribute(19, b"\1"),
        attribute(10, number(1)) + attribute(16, number(0xFF)),
        attribute(14, number(0)) + attribute(13, number(7)),
        attribute(250, number(0xFFFFFFFF)),
    ],
    ids=["device", "l3mdev", "mark", "suppressed", "of the future"],
)
def test_a_rule_with_a_further_condition_is_not_taken_for_one_without(read, extra):
    assert read([[(NEW_RULE, rule(7, extra))], END]) == set()


@pytest.mark.parametrize("values", [{"flags": 3}, {"action": 6}], ids=["not", "blackhole"])
def test_a_rule_that_does_something_else_is_left_out(read, values):
    assert read([[(NEW_RULE, rule(7, **values))], END]) == set()


def test_what_the_kernel_says_of_each_rule_is_no_condition(read):
    none = attribute(13, number(0xFFFFFFFF)) + attribute(14, number(0xFFFFFFFF))
    assert read([[(NEW_RULE, rule(1, none + attribute(21, b"\2")))], END]) == {ONE}


@pytest.mark.parametrize(
    "part",
    [
        None,
        (b"\x40\0\0\0\x20\0", KERNEL),
        (struct.pack(str("=IHHII"), 60, NEW_RULE, 0, 3, 0) + b"\2\0", KERNEL),
        (struct.pack(str("=IHHII"), 0, NEW_RULE, 0, 3, 0), KERNEL),
        [(NEW_RULE, rule(1)[:-2])],
        [(NEW_RULE, rule(1) + b"\0\0\0\0")],
        [(NEW_RULE, b"\2")],
        [(NEW_RULE, rule(1)[:12])],
        [(ERROR, struct.pack(str("=i"), -errno.EPERM))],
        [(DONE, struct.pack(str("=i"), -errno.EAFNOSUPPORT))],
        [(OVERRUN, number(0))],
        [(OVERRUN, b"")],
    ],
    ids=["silence", "half a header", "half a message", "no length", "half an attribute",
         "empty attribute", "half a body", "no source", "error", "error at the end",
         "overrun", "empty overrun"],
)
def test_half_of_an_answer_is_an_error(read, part):
    parts = [[(NEW_RULE, rule(1))]] + ([part, END] if part else [])
    assert raised(HostError, read, parts).startswith("rtnetlink: ")


def test_where_there_is_no_such_socket_that_is_an_error(monkeypatch):
    def fail(*_):
        raise socket.error(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", fail)
    assert "not supported" in raised(HostError, netlink.read, 4)


def device(name, properties=b""):
    """Return the body of a message about a device."""
    header = struct.pack(str("=BxHiII"), 0, 1, 3, 0, 0)
    return header + attribute(3, name + b"\0") + attribute(52 | 0x8000, properties)


LONGEST = b"c" * 127
ALTERNATIVE = b"".join(attribute(53, one + b"\0") for one in (b"eni-0a1", b"b\xc3\x85", LONGEST))


@pytest.fixture
def names(monkeypatch):
    def reading(*answers):
        monkeypatch.setattr(socket, "socket", FakeSocket(answers))
        return netlink.alternative_names()

    return reading


def test_a_device_may_have_several_other_names(names):
    # Not an alternative one: a property of the future.
    more = ALTERNATIVE + attribute(54, b"x\0")
    parts = [[(16, device(b"eth1", more)), (16, device(b"eth2"))], [(16, device(b"lo"))], END]
    assert names(parts) == {
        "eth1": {"eni-0a1", "b\xc3\x85", "c" * 127}, "eth2": frozenset(), "lo": frozenset()
    }


def test_a_kernel_that_has_none_says_nothing_of_them(names):
    header = struct.pack(str("=BxHiII"), 0, 1, 3, 0, 0)
    assert names([[(16, header + attribute(3, b"eth1\0"))], END]) == {"eth1": frozenset()}


@pytest.mark.parametrize("body", [device(b"eth1", ALTERNATIVE[:-8]), device(b"eth1")[:16], b"\0"])
def test_half_a_device_is_an_error(names, body):
    assert raised(HostError, names, [[(16, body)], END]).startswith("rtnetlink: ")
