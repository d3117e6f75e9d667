"""The alternative names of ENIs, as amazon-ec2-net-utils 2.x gives them."""

import pytest

from tests.netns.driver import hotplug, status, wait_until
from tests.netns.looks import changes, look
from tests.netns.talk import configure
from tests.netns.test_commands import traced


@pytest.fixture(params=["debian", "rhel", "networkd"])
def lab(build, request):
    """A host with the primary alone."""
    version = {"networkd": "252"} if request.param == "networkd" else {}
    return build(distribution=request.param, **version)


def names(lab):
    """Return the alternative names that there are."""
    return lab.snapshot()["names"]


def of(device, *given):
    """Return how `names` has them."""
    return sorted("{} {}".format(device, name) for name in given)


def in_step(lab):
    """Return whether status has nothing to say, of what all ENIs share either."""
    lines = lab.host(["ec2net", "status"]).stdout.splitlines()
    return status(lab)["eth1"]["state"] == "in step" and lines[-1] == "all ENIs: main first"


def test_an_eni_is_found_by_its_id_and_by_its_number_until_it_goes(lab):
    before = look(lab)
    first = lab.attach("eth1", addresses=2)
    second = lab.attach("eth2", addresses=1, device_number=1, network_card=1)
    lab.host(["ec2ifup", "eth1"])
    primary = of("eth0", lab.enis["eth0"].eni_id, "device-number-0.0")
    ours = of("eth1", first.eni_id, "device-number-1")
    assert names(lab) == sorted(primary + ours)
    lab.host(["ec2ifup", "eth2"])
    assert names(lab) == sorted(primary + ours + of("eth2", second.eni_id, "device-number-1.1"))
    for name in (first.eni_id, "device-number-1"):
        assert first.mac in lab.host(["ip", "link", "show", "dev", name]).stdout
    lab.host(["ec2ifdown", "eth2"])
    assert names(lab) == sorted(primary + ours)
    lab.detach("eth1")
    hotplug(lab, "remove")
    lab.detach("eth2")
    assert changes(before, look(lab)) == []


def test_they_are_looked_at_without_another_program_and_given_again(lab):
    eni = lab.attach("eth1", addresses=2)
    lab.host(["ec2ifup", "eth1"])
    wait_until(lambda: in_step(lab))
    before = names(lab)
    assert len(traced(lab, ["ec2net", "refresh"], {})) == 1
    lab.host(["ip", "link", "property", "del", "dev", "eth1", "altname", eni.eni_id])
    assert not in_step(lab)
    planned = lab.host(["ec2net", "plan"]).stdout
    assert "+ ip link property add dev eth1 altname " + eni.eni_id in planned
    lab.host(["ec2net", "refresh"])
    assert (in_step(lab), names(lab)) == (True, before)


def test_somebody_elses_stay_and_ours_can_be_switched_off(lab):
    eni = lab.attach("eth1", addresses=2)
    theirs = [("eth1", "mine"), ("eth1", "device-number-1"), ("eth0", eni.eni_id)]
    for device, name in theirs:
        lab.host(["ip", "link", "property", "add", "dev", device, "altname", name])
    alone = names(lab)
    lab.host(["ec2ifup", "eth1"])
    ours = of("eth0", lab.enis["eth0"].eni_id, "device-number-0.0")
    wait_until(lambda: in_step(lab))
    assert names(lab) == sorted(alone + ours)
    configure(lab, "alternative_names = no")
    lab.host(["ec2net", "refresh"])
    assert (in_step(lab), names(lab)) == (True, alone)
    configure(lab, "alternative_names = yes")
    lab.host(["ec2net", "refresh"])
    assert names(lab) == sorted(alone + ours)
    lab.host(["ec2ifdown", "eth1"])
    assert names(lab) == alone
