"""What /sys/class/net says, also while a device comes or goes."""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import os

import pytest

from ec2net_legacy.errors import HostError
from ec2net_legacy.host import sysfs
from ec2net_legacy.model import Device
from tests.unit.fakes import raised

NET = "/sys/class/net"


def make(fs, name, **attributes):
    """Create a device; attributes are files, `master` is a link."""
    master = attributes.pop("master", None)
    defaults = {
        "address": "02:00:00:00:00:02",
        "flags": "0x1003",
        "ifindex": "7",
        "uevent": "INTERFACE=" + name,
    }
    for attribute, text in dict(defaults, **attributes).items():
        if text is not None:
            fs.create_file("{0}/{1}/{2}".format(NET, name, attribute), contents=text + "\n")
    if master:
        fs.create_symlink("{0}/{1}/master".format(NET, name), "../" + master)


def test_a_network_card(fs):
    make(fs, "eth1")
    assert sysfs.device("eth1") == Device("eth1", "02:00:00:00:00:02", "", "", True, 7, False)


@pytest.mark.parametrize(
    "flags, up", [("0x1003", True), ("0x1002", False), ("0x1", True), ("0x0", False)]
)
def test_up_is_what_the_administrator_asked_for(fs, flags, up):
    make(fs, "eth1", flags=flags)
    assert sysfs.device("eth1").up is up


@pytest.mark.parametrize("kind", ["vlan", "bridge", "bond", "wlan", "veth"])
def test_a_device_that_is_not_a_card_says_its_kind(fs, kind):
    make(fs, "eth1.5", uevent="DEVTYPE={0}\nINTERFACE=eth1.5\nIFINDEX=5".format(kind))
    assert sysfs.device("eth1.5").kind == kind


def test_a_device_that_is_part_of_another_says_of_which(fs):
    make(fs, "eth1", master="bond0")
    assert sysfs.device("eth1").master == "bond0"


def test_an_address_is_in_lower_case(fs):
    make(fs, "eth1", address="02:AA:BB:CC:DD:EE")
    assert sysfs.device("eth1").mac == "02:aa:bb:cc:dd:ee"


def test_an_address_that_is_not_set_yet_is_empty(fs):
    make(fs, "eth1", address="00:00:00:00:00:00")
    assert sysfs.device("eth1").mac == ""


def test_what_is_not_there_is_none(fs):
    fs.create_dir(NET)
    fs.create_file(NET + "/bonding_masters", contents="bond0\n")
    assert sysfs.device("eth1") is None
    assert sysfs.device("bonding_masters") is None


def test_a_device_that_goes_while_it_is_read_is_none(fs, monkeypatch):
    make(fs, "eth1")

    def gone(*_, **__):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(sysfs.os, "read", gone)
    assert sysfs.device("eth1") is None


def test_a_device_of_which_only_the_address_could_be_read_is_not_up(fs):
    make(fs, "eth1", flags=None, ifindex=None, uevent=None)
    assert sysfs.device("eth1") == Device("eth1", "02:00:00:00:00:02", "", "", False, 0, False)


def test_another_error_is_told(fs, monkeypatch):
    make(fs, "eth1")

    def refused(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sysfs.os, "read", refused)
    assert "eth1" in raised(HostError, sysfs.device, "eth1")


def test_names_are_those_of_devices_without_the_loopback(fs):
    for name in ("lo", "eth1", "eth0", "docker0"):
        make(fs, name)
    fs.create_file(NET + "/bonding_masters")
    assert sysfs.names() == ["docker0", "eth0", "eth1"]


def test_names_of_links_to_devices_are_found(fs):
    fs.create_dir("/sys/devices/pci0/net/eth1")
    fs.create_dir(NET)
    fs.create_symlink(NET + "/eth1", "../../devices/pci0/net/eth1")
    assert sysfs.names() == ["eth1"]


def test_a_host_without_sysfs_says_so(fs):
    assert NET in raised(HostError, sysfs.names)


@pytest.mark.parametrize("text, number", [("0", 0), ("10000", 10000)])
def test_each_device_is_in_a_link_group(fs, text, number):
    make(fs, "eth1", netdev_group=text)
    assert sysfs.group("eth1") == number


def test_without_a_device_or_with_an_old_kernel_there_is_no_group(fs):
    make(fs, "eth1")
    assert sysfs.group("eth1") is None
    assert sysfs.group("eth2") is None


def test_each_byte_of_a_name_is_a_character_in_whatever_encoding_it_is(tmpdir, monkeypatch):
    monkeypatch.setattr(sysfs, "_CLASS", "{0}".format(tmpdir))
    names = ["caf\xc3\xa9", "caf\xe9"]
    for name in names:
        # Text on both would have been decoded by the locale's encoding.
        directory = str(tmpdir).encode("ascii") + b"/" + name.encode("latin-1")
        os.mkdir(directory)
        for attribute, text in (("address", b"02:00:00:00:00:02"), ("netdev_group", b"7")):
            with open(directory + b"/" + attribute.encode("ascii"), "wb") as stream:
                stream.write(text)
    os.symlink(b"../" + names[1].encode("latin-1"), directory + b"/master")
    assert sysfs.names() == names
    assert [sysfs.device(name).mac for name in names] == ["02:00:00:00:00:02"] * 2
    assert sysfs.group(names[0]) == 7
    assert sysfs.device(names[1]).master == names[1]
