"""The parser, held against what real versions of `ip` print (tests/unit/recorded)."""
from __future__ import absolute_import, print_function, unicode_literals

import io
import os

import pytest

from ec2net_legacy.kernel import parse
from tests.unit.fakes import applied, identity
from tests.unit.recorded.expected import EXPECTED

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "recorded")


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_ip_prints_is_read_as_a_person_reads_it(name):
    tables, groups, expected = EXPECTED[name]
    # As command.Runner hands it on; line ends as they are.
    with io.open(os.path.join(DIRECTORY, name + ".txt"), encoding="latin-1", newline="") as stream:
        state = parse.kernel_state(stream.read(), tables, groups, int(name[-1]))
    for found, wanted in zip(state, expected):
        assert sorted(found - wanted) == []
        assert sorted(wanted - found) == []


def test_there_is_no_listing_without_what_it_says():
    listings = [name for name in os.listdir(DIRECTORY) if name.endswith(".txt")]
    assert sorted(EXPECTED) == sorted(name[: -len(".txt")] for name in listings)


def test_the_fake_kernel_tells_things_apart_without_the_parser(monkeypatch):
    monkeypatch.setattr(parse, "kernel_state", lambda *_: pytest.fail("it asked"))
    lines = []
    for command in (
        "rule add pref 77 from 10.0.1.10 lookup 10001",
        "rule add pref 77 fwmark 0x100/0x3f00 lookup 10001",
        "route add 10.0.1.0/24 dev eth1 metric 10001",
        "route add 10.0.1.0/24 dev eth1 table 10001",
        "addr add 10.0.1.11/32 dev eth1",
    ):
        before = len(lines)
        lines, said = applied(lines, command, 4)
        assert (len(lines), said) == (before + 1, "")
        assert applied(lines, command, 4) == (lines, "File exists")
        assert applied(lines, command.replace(" add ", " del "), 4) == (lines[:-1], "")
    lines, _ = applied(lines, "route replace 10.0.1.0/24 dev eth2 table 10001", 4)
    assert [line for line in lines if "table" in line and "rule" not in line] == [lines[-1]]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_fake_kernel_takes_no_two_real_things_for_one(name):
    with io.open(os.path.join(DIRECTORY, name + ".txt"), encoding="latin-1", newline="") as stream:
        lines = set(stream.read().split("\n")) - {""}
    assert len({identity(line, int(name[-1])) for line in lines}) == len(lines)
