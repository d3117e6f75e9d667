"""The arguments that machines give are understood without argparse, and as argparse does."""
from __future__ import absolute_import, print_function, unicode_literals

import os

import pytest

from ec2net_legacy import arguments, usage
from ec2net_legacy.errors import UsageError

USUAL = [
    ("ec2net", ["lease"]),
    ("ec2net", ["lease", "--within", "2.5"]),
    ("ec2net", ["refresh"]),
    ("ec2net", ["refresh", "--jitter", "20"]),
    ("ec2net-hotplug", []),
    ("ec2net-hotplug", ["add"]),
    ("ec2ifup", ["eth1"]),
    ("ec2ifdown", ["eth1"]),
    ("ec2ifscan", []),
]
OTHERS = [
    ("ec2net", ["refresh", "eth1"]),
    ("ec2net", ["refresh", "--debug"]),
    ("ec2net", ["lease", "--within=2"]),
    ("ec2net", ["plan", "--json", "eth1"]),
    ("ec2net", ["explain", "--from", "10.0.0.1", "--to", "10.0.0.2", "--in", "eth1"]),
    ("ec2net-hotplug", ["--debug", "remove"]),
    ("ec2ifup", ["--debug", "eth1"]),
]


@pytest.mark.parametrize(("program", "argv"), USUAL + OTHERS, ids=repr)
def test_both_ways_of_reading_arguments_find_the_same(program, argv, monkeypatch):
    given = vars(usage.parse(program, argv))
    known = {key: given[key] for key in given if key in arguments.Arguments._fields}
    expected = arguments.NOTHING._replace(**known)
    if (program, argv) in USUAL:
        monkeypatch.delattr(usage, "parse")
    assert arguments.parse(program, argv) == expected


@pytest.mark.parametrize(
    ("program", "argv"),
    [
        ("ec2net", ["lease", "--within", "0"]),
        ("ec2net", ["refresh", "--jitter", "nan"]),
        ("ec2net", ["refresh", "--within", "5"]),
        ("ec2net-hotplug", ["add", "eth1"]),
        ("ec2ifup", []),
        ("ec2ifup", ["-x"]),
        ("ec2ifscan", ["eth1"]),
    ],
    ids=repr,
)
def test_what_is_wrong_is_said_whichever_way_it_was_to_be_read(program, argv):
    with pytest.raises(UsageError):
        arguments.parse(program, argv)


@pytest.mark.parametrize("columns", ["", "40", "0", "\xb2", "many", "9" * 30])
def test_help_is_printed_whatever_the_width_is_said_to_be(columns, monkeypatch, capsys):
    # Python 2's environment is bytes.
    value = columns.encode("utf-8") if str is bytes else columns
    monkeypatch.setitem(os.environ, str("COLUMNS"), value)
    with pytest.raises(SystemExit) as caught:
        usage.parse("ec2net", ["--help"])
    assert not caught.value.code
    assert "usage: ec2net" in capsys.readouterr()[0]
