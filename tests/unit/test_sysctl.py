"""Kernel parameters below /proc/sys."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy.errors import HostError
from ec2net_legacy.host import sysctl
from tests.unit.fakes import raised

NAME = "net/ipv4/conf/eth1.5/rp_filter"
PATH = "/proc/sys/" + NAME


def test_a_value_is_read_without_its_line_end(fs):
    fs.create_file(PATH, contents="1\n")
    assert sysctl.read(NAME) == "1"


@pytest.mark.parametrize(
    "text, number", [("10\n", 10), ("", None), ("x", None), ("-1", None), (None, None)]
)
def test_only_what_is_a_number_is_read_as_one(fs, text, number):
    if text is not None:
        fs.create_file(PATH, contents=text)
    assert sysctl.number(NAME) == number


def test_of_a_device_that_is_gone_there_is_none(fs):
    assert sysctl.read(NAME) is None


def test_what_is_written_is_read(fs):
    fs.create_file(PATH, contents="0\n")
    sysctl.write(NAME, "2")
    assert sysctl.read(NAME) == "2"


def test_one_that_cannot_be_set_is_an_error_that_names_it(fs):
    said = raised(HostError, sysctl.write, NAME, "2")
    assert "cannot set {0} to 2: No such file".format(NAME) in said
