"""What means the same on every Python and with every library that a distribution ships."""
from __future__ import absolute_import, print_function, unicode_literals

import os

import pytest

from ec2net_legacy import _compat
from tests.unit.fakes import raised


@pytest.mark.parametrize("value", ["eth1", b"eth1"], ids=["text", "bytes"])
def test_text_is_text(value):
    assert _compat.text(value) == "eth1"
    assert isinstance(_compat.text(value), type(""))


def test_every_byte_has_a_character():
    assert _compat.text(b"\xff\x00") == "\xff\x00"


@pytest.mark.parametrize(
    "value, expected",
    [
        ("plain", "'plain'"),
        ("", "''"),
        ("a\nb\x1b[0m", "'a\\nb\\x1b[0m'"),
        ("x" * 61, "'" + "x" * 60 + "...'"),
        ("x" * 60, "'" + "x" * 60 + "'"),
    ],
    ids=["plain", "empty", "control characters", "too long", "just fits"],
)
def test_an_untrusted_value_is_quoted_on_one_line(value, expected):
    assert _compat.quoted(value) == expected


@pytest.mark.parametrize(
    "version, expected",
    [
        ("2.2.1", 2.0),
        ("2.3.0", 2.0),
        ("2.4.0", (1.0, 2.0)),
        ("2.6.0", (1.0, 2.0)),
        ("2.31.0", (1.0, 2.0)),
        ("3.0", (1.0, 2.0)),
    ],
)
def test_old_releases_of_requests_take_one_time_limit(version, expected):
    assert _compat.requests_timeout(version, 1.0, 2.0) == expected


@pytest.mark.parametrize("returncode, expected", [(0, 0), (3, 3), (-9, 137), (None, 1)])
def test_a_killed_child_has_the_status_that_a_shell_gives_it(returncode, expected):
    assert _compat.exit_status(returncode) == expected


def test_a_directory_is_made_once(tmpdir):
    path = "{0}".format(tmpdir.join("new"))
    _compat.make_directory(path, 0o700)
    _compat.make_directory(path, 0o700)
    assert os.path.isdir(path)
    raised(OSError, _compat.make_directory, path + "/deep/er", 0o700)


def test_replacing_replaces(tmpdir):
    old, new = tmpdir.join("old"), tmpdir.join("new")
    old.write("old")
    new.write("new")
    _compat.replace(str(new), str(old))
    assert old.read() == "new"
    assert not new.check()


def test_configobj_brings_its_validator():
    assert _compat.import_validate().Validator
