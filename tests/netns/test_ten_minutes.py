"""Four ENIs on one subnet renew their short leases for ten minutes, each by its own.

It waits nearly all of the time, and runs beside the machines of tests/vm.
"""

import time

from tests.netns.driver import unreachable

SUBNET = "10.0.0.0/24"
MINUTES = 10
RENEWAL = 30
# dnsmasq writes what came in by which port.
ACKNOWLEDGED = "DHCPACK({port}) {address} "


def test_the_leases_of_four_enis_on_one_subnet_are_renewed_for_ten_minutes(lab):
    names = ["eth{}".format(number) for number in range(1, 5)]
    for name in names:
        lab.attach(name, subnet=SUBNET, addresses=2, lease_time=120, renew_after=RENEWAL)
        lab.host(["ec2ifup", name])
    addresses = [address for eni in lab.enis.values() for address in eni.addresses]
    end = time.monotonic() + MINUTES * 60
    while time.monotonic() < end:
        assert unreachable(lab, addresses) == []
        time.sleep(RENEWAL / 2)
    for name in names:
        eni = lab.enis[name]
        log = lab.dhcp_log(name)
        expected = ACKNOWLEDGED.format(port=eni.port, address=eni.address)
        assert log.count(expected) >= MINUTES * 60 // (RENEWAL + 5)
        assert log.count("DHCPACK(") == log.count(expected)
    assert sum(lab.drops(name) for name in lab.enis) == 0
