"""What is done to a host by accident or by hand is put right by one refresh.

The lab has no init system: the refresh itself does what that does on a host.
"""

import pytest

from tests.netns.conftest import on_both
from tests.netns.dhcp import dhclients
from tests.netns.driver import status, unreachable, wait_until
from tests.netns.looks import changes, look


def ip(*lines):
    """Return a function that does this to a host."""
    return lambda lab: [lab.host(["ip", *line.split()]) for line in lines]


def killed(lab):
    """End dhclient as the kernel does that is out of memory, and what its lease's end does."""
    lab.host(["pkill", "-KILL", "-f", "dhclient.*eth1"])
    wait_until(lambda: dhclients(lab) == [])
    ip("-4 addr flush dev eth1")(lab)


HARMS = {
    "dhclient killed and its address flushed": killed,
    "the address of the lease deleted": ip("addr del 10.0.1.10/24 dev eth1"),
    "link down and up by hand": ip("link set eth1 down", "link set eth1 up"),
    "rules and tables flushed": ip("rule flush table 10001", "route flush table 10001"),
    "a secondary address deleted": ip("addr del 10.0.1.11/32 dev eth1"),
}


@on_both
@pytest.mark.parametrize("harm", sorted(HARMS))
def test_one_refresh_puts_it_right(lab, harm):
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    lab.host(["ec2net", "refresh"])
    before = look(lab)
    HARMS[harm](lab)
    assert changes(before, look(lab)) != []
    lab.host(["ec2net", "refresh"])
    assert changes(before, look(lab)) == []
    assert unreachable(lab, eni.addresses) == []
    assert status(lab)["eth1"]["state"] == "in step"
    assert len(dhclients(lab)) == 1


@on_both
def test_without_a_dhclient_status_says_so_and_ec2ifup_brings_it_back_as_well(lab):
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    lab.host(["ec2ifup", "eth1"])
    killed(lab)
    assert status(lab)["eth1"]["why"] == "no lease, no DHCP client"
    lab.host(["ec2ifup", "eth1"])
    assert unreachable(lab, eni.addresses) == []
    assert len(dhclients(lab)) == 1
