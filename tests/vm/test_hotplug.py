"""ENIs come and go while a machine runs, with nobody logged in.

The tests share a machine. The ENI that the first one plugs stays to the end: the others must leave
it alone, and its dhclient has to live for ten minutes.
"""

import time

import pytest

from tests.lab import wait_for
from tests.vm.conftest import on_releases
from tests.vm.watch import (
    answered,
    assert_no_drops,
    dhclient,
    drops,
    look,
    refresh,
    state,
    tables,
    wait_until_as,
)

pytestmark = on_releases("hotplug")

PREFIX = "10.0.1.16/28"
RENEW_AFTER = 40
TEN_MINUTES = 600


class Staying:
    """The ENI that stays, and how it was when it came."""

    def __init__(self, machine):
        self.before = look(machine)
        self.eni, self.plugged = machine.attach(
            "eth1", subnet="10.0.1.0/24", addresses=3, prefixes=[PREFIX], ipv6=1, lease_time=120,
            renew_after=RENEW_AFTER)
        self.answered = answered(machine.lab, self.eni.addresses)
        self.strays = drops(machine.lab).get("eth0", {}).get(self.eni.address, 0)
        self.answered6 = answered(machine.lab, self.eni.ipv6)
        self.dhclient = dhclient(machine, "eth1")
        # The router's announcement may come after the first look at eth1.
        refresh(machine)
        self.state = state(machine, self.eni)

    def assert_untouched(self, machine):
        """Nothing that was done with other ENIs has changed this one."""
        assert state(machine, self.eni) == self.state
        answered(machine.lab, self.eni.addresses + self.eni.ipv6, timeout=10)


@pytest.fixture(scope="module")
def staying(machine):
    """What the first test plugs."""
    return Staying(machine)


@pytest.fixture(autouse=True)
def pulled(machine, staying):
    """A failed test leaves no card to the next."""
    yield
    for name in machine.plugged() - {machine.lab.primary, "eth1"}:
        machine.detach(name)


def test_every_address_of_a_hot_plugged_eni_answers(machine, staying, report):
    report(f"{staying.answered - staying.plugged:.1f} s to the last of 3 IPv4 addresses,"
           f" {staying.answered6 - staying.plugged:.1f} s to the IPv6 address;"
           f" {staying.strays} replies left by eth0 before that")
    assert_no_drops(machine.lab, staying.eni.addresses + staying.eni.ipv6)
    assert machine.failed_units() == []


def test_a_hot_plugged_prefix_answers(machine, staying):
    """Its addresses are whoever's the host lends them to; here its own."""
    machine.run(["ip", "route", "add", "local", PREFIX, "dev", "lo"])
    lent = [f"10.0.1.{last}" for last in range(16, 32)]
    answered(machine.lab, lent, timeout=30)
    assert_no_drops(machine.lab, lent)
    machine.run(["ip", "route", "del", "local", PREFIX, "dev", "lo"])


def test_two_nics_in_the_same_second(machine, staying, report):
    before = look(machine)
    enis = [machine.lab.attach(name, addresses=2) for name in ("eth2", "eth3")]
    first, second = (machine.plug(eni.name) for eni in enis)
    assert second - first < 1
    addresses = [address for eni in enis for address in eni.addresses]
    ended = answered(machine.lab, addresses)
    report(f"{ended - second:.1f} s to the last of 2 x 2 addresses")
    two, three = (tables(machine, eni) for eni in enis)
    assert len(two) == len(three) == 1
    assert two != three
    assert_no_drops(machine.lab, addresses)
    staying.assert_untouched(machine)
    for eni in enis:
        machine.detach(eni.name)
    wait_until_as(machine, before)
    staying.assert_untouched(machine)


def test_nothing_is_left_of_a_pulled_eni(machine, staying, report):
    before = look(machine)
    eni, plugged = machine.attach("eth2", addresses=3, prefixes=["10.0.2.16/28"])
    ended = answered(machine.lab, eni.addresses)
    report(f"{ended - plugged:.1f} s to the last of 3 addresses")
    machine.detach("eth2")
    pulled = time.monotonic()
    wait_until_as(machine, before)
    report(f"nothing left {time.monotonic() - pulled:.1f} s after it was pulled")
    staying.assert_untouched(machine)


def test_five_rounds_of_plug_and_pull(machine, staying, report):
    """Partly the same card, partly another at the same name; the next one waits for nothing."""
    before = look(machine)
    times = []
    cards = [("0a:ec:20:ff:00:01", "10.0.2.0/24"), ("0a:ec:20:ff:00:01", "10.0.2.0/24"),
             ("0a:ec:20:ff:00:02", "10.0.5.0/24"), ("0a:ec:20:ff:00:03", "10.0.2.0/24"),
             ("0a:ec:20:ff:00:03", "10.0.2.0/24")]
    for mac, subnet in cards:
        eni, plugged = machine.attach("eth2", subnet=subnet, addresses=2, mac=mac)
        times.append(answered(machine.lab, eni.addresses) - plugged)
        assert_no_drops(machine.lab, eni.addresses)
        machine.detach("eth2")
    report("to the last of 2 addresses " + ", ".join(f"{seconds:.1f} s" for seconds in times))
    wait_until_as(machine, before)
    staying.assert_untouched(machine)


def test_the_installed_units_and_rules_are_in_order(machine, staying):
    units = "/lib/systemd/system/ec2* /lib/systemd/system/elastic*"
    said = machine.shell(f"systemd-analyze verify $(ls {units} | sed s/@.service/@eth1.service/)"
                         " 2>&1", check=False)
    assert [line for line in said.splitlines() if "ec2" in line or "elastic" in line] == []
    said = machine.shell("udevadm test /sys/class/net/eth1 2>&1", check=False)
    assert "53-ec2-network-interfaces.rules" in said
    assert [line for line in said.splitlines()
            if "ec2" in line and ("invalid" in line.lower() or "unknown" in line.lower())] == []


def test_the_dhclient_of_a_hot_plugged_eni_lives_for_ten_minutes(machine, staying, report):
    """Most of them are over by now, with renewals all the time."""
    def renewals():
        return machine.lab.dhcp_log("eth1").count("DHCPACK")

    wait_for(lambda: time.monotonic() - staying.plugged > TEN_MINUTES, TEN_MINUTES + 10)
    before = renewals()
    wait_for(lambda: renewals() > before, 10 * RENEW_AFTER, "a renewal")
    report(f"{renewals()} acknowledgements in {time.monotonic() - staying.plugged:.0f} s")
    assert renewals() > TEN_MINUTES / RENEW_AFTER / 2
    assert dhclient(machine, "eth1") == staying.dhclient
    staying.assert_untouched(machine)
    machine.detach("eth1")
    wait_until_as(machine, staying.before)
