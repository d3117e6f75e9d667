"""ENIs that come at once on hosts with systemd-networkd: how often it has to read its files."""

import pytest

from tests.lab import networkd
from tests.netns.driver import status, unreachable

VERSIONS = [version for version in networkd.VERSIONS if version]
FIFTEEN = range(1, 16)


@pytest.fixture(params=VERSIONS)
def lab(build, request):
    """A host with fifteen ENIs that nobody has looked at, and a networkd that tells everything."""
    lab = build(distribution="networkd", networkd=request.param)
    lab.networkd.restart("debug")
    for number in FIFTEEN:
        lab.attach("eth{}".format(number), addresses=2)
    return lab


def assert_all_are_there(lab):
    """Each address answers, and no link was configured twice."""
    every = [one for number in FIFTEEN for one in lab.enis["eth{}".format(number)].addresses]
    assert unreachable(lab, every) == []
    assert [row["state"] for row in status(lab).values()].count("in step") == len(FIFTEEN)
    log = lab.networkd.log()
    assert {log.count("\neth{}: Gained carrier".format(number)) for number in FIFTEEN} == {1}


def test_a_scan_has_them_all_read_at_once(lab):
    lab.host(["ec2ifscan"], timeout=120)
    assert lab.networkd.reloads() == 1
    assert_all_are_there(lab)
    lab.host(["ec2net", "refresh"])
    assert lab.networkd.reloads() == 1


def test_processes_of_the_same_moment_share_a_reading(lab):
    command = "for name; do ec2ifup $name & done; wait"
    names = ["eth{}".format(number) for number in FIFTEEN]
    lab.host(["sh", "-c", command, "sh", *names], timeout=120)
    assert_all_are_there(lab)
    assert lab.networkd.reloads() <= 5
