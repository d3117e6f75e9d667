"""What a machine is like after it has booted; the tests go on from each other's machine."""

import time

import pytest

from tests.vm.conftest import on_releases
from tests.vm.watch import answered, assert_no_drops, look, wait_until_as

pytestmark = on_releases("boot")

# Between the boots compared other machines come and go on this computer. A dhclient that waits in
# vain does so for a minute and more.
NOT_DELAYED = 2.5
# What is left of a boot once ifupdown has done its work takes 1 to 4 s; waiting for metadata would
# take 10 s or more. On a slow day it takes longer: then a boot that is over before the first of the
# product's units has not waited for it.
REST = 8


class Ordinary:
    """A machine with one configured ENI, and a boot with metadata in reach."""

    def __init__(self, machine):
        self.plain = look(machine)
        self.eni, _ = machine.attach("eth1", addresses=3, ipv6=1)
        answered(machine.lab, self.eni.addresses)
        machine.reboot()
        self.online = machine.reached("network-online.target")
        self.booted = machine.reached("multi-user.target")
        self.took = self.booted - machine.started("networking.service")


@pytest.fixture(scope="module")
def ordinary(machine):
    """What the others are compared to."""
    return Ordinary(machine)


@pytest.fixture(autouse=True)
def metadata(machine):
    """A failed test leaves the next one metadata."""
    yield
    machine.lab.imds_start()


def waiting_jobs(machine):
    """What the boot waits for still; the refresh, which comes each minute, is no part of it."""
    jobs = machine.shell("systemctl list-jobs --no-legend").splitlines()
    return [job for job in jobs if "No jobs" not in job and "ec2net-refresh.service" not in job]


def first_done(machine):
    """When the first of the product's units was through, in seconds after the kernel's start."""
    shown = machine.shell("systemctl show --value -p ActiveEnterTimestampMonotonic 'ec2-ifup@*'")
    return min([int(value) / 1e6 for value in shown.split() if int(value)] or [float("inf")])


def boot(machine, ordinary, report):
    """Switch on, and see that the boot took no longer than the ordinary one."""
    failed = machine.boot()
    online = machine.reached("network-online.target")
    booted = machine.reached("multi-user.target")
    assert failed == []
    took = booted - machine.started("networking.service")
    rest = booted - machine.reached("networking.service")
    report(f"online after {online:.1f} s, booted after {booted:.1f} s, {rest:.1f} s after ifupdown"
           f" (ordinary: {ordinary.online:.1f} s, {ordinary.booted:.1f} s)")
    assert rest < REST or booted < first_done(machine)
    assert waiting_jobs(machine) == []
    assert took < ordinary.took * NOT_DELAYED


def test_the_same_addresses_answer_after_a_reboot(machine, ordinary, report):
    report(f"online after {ordinary.online:.1f} s, booted after {ordinary.booted:.1f} s")
    answered(machine.lab, ordinary.eni.addresses + ordinary.eni.ipv6)
    assert machine.failed_units() == []
    assert_no_drops(machine.lab, ordinary.eni.addresses)


def test_the_files_alone_configure_without_metadata(machine, ordinary, report):
    machine.power_off()
    machine.lab.imds_stop()
    boot(machine, ordinary, report)
    answered(machine.lab, ordinary.eni.addresses, timeout=30)
    assert_no_drops(machine.lab, ordinary.eni.addresses)
    machine.lab.imds_start()


def test_an_eni_attached_while_off_is_configured_at_boot(machine, ordinary, report):
    machine.power_off()
    eni, _ = machine.attach("eth2", addresses=2)
    boot(machine, ordinary, report)
    answered(machine.lab, eni.addresses + ordinary.eni.addresses)
    assert_no_drops(machine.lab, ordinary.eni.addresses)


def test_an_eni_detached_while_off_delays_no_boot(machine, ordinary, report):
    machine.power_off()
    for name in ("eth2", "eth1"):
        machine.detach(name)
    boot(machine, ordinary, report)
    answered(machine.lab, machine.lab.enis["eth0"].addresses)
    wait_until_as(machine, ordinary.plain)


def test_metadata_that_comes_late_delays_no_boot(machine, ordinary, report):
    """Nothing but the timer is left to notice the ENI."""
    machine.power_off()
    machine.lab.imds_stop()
    eni, _ = machine.attach("eth1", addresses=2, subnet="10.0.9.0/24")
    boot(machine, ordinary, report)
    assert not machine.lab.pings(eni.address)
    machine.lab.imds_start()
    started = time.monotonic()
    report(f"{answered(machine.lab, eni.addresses) - started:.1f} s from metadata's start to the"
           " last of 2 addresses")
    assert_no_drops(machine.lab, eni.addresses)
