"""Kernel parameters below /proc/sys."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy.errors import HostError
from ec2net_legacy.host import sysctl

NAME = "net/ipv4/conf/eth1.5/rp_filter"
PATH = "/proc/sys/" + NAME


def test_a_value_is_read_without_its_line_end(fs):
    fs.create_file(PATH, contents="1\n")
    assert sysctl.read(NAME) == "1"


def test_of_a_device_that_is_gone_there_is_none(fs):
    assert sysctl.read(NAME) is None


def test_what_is_written_is_read(fs):
    fs.create_file(PATH, contents="0\n")
    sysctl.write(NAME, "2")
    assert sysctl.read(NAME) == "2"


def test_one_that_cannot_be_set_is_an_error_that_names_it(fs):
    with pytest.raises(HostError) as caught:
        sysctl.write(NAME, "2")
    assert "cannot set {0} to 2: No such file".format(NAME) in "{0}".format(caught.value)
