"""Interfaces that are renamed when they appear: ens18 in place of eth1."""

import pytest

from tests.vm.conftest import on_releases
from tests.vm.watch import answered, assert_no_drops, look, wait_until_as

pytestmark = on_releases("names")


@pytest.fixture(scope="module")
def options():
    """As a Debian is installed; those for clouds switch it off."""
    return {"predictable": True}


def test_a_hot_plugged_eni_is_configured_by_its_final_name(machine, report):
    before = look(machine)
    eni, plugged = machine.attach("second", addresses=3)
    report(f"{answered(machine.lab, eni.addresses) - plugged:.1f} s to the last of 3 addresses")
    name = machine.shell(f"grep -l {eni.mac} /sys/class/net/*/address").split("/")[4]
    assert name.startswith("en")
    assert machine.shell("ls /etc/network/interfaces.d").split() == [f"{name}.cfg"]
    assert_no_drops(machine.lab, eni.addresses)
    assert machine.failed_units() == []
    machine.detach("second")
    wait_until_as(machine, before)
