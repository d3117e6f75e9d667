"""The same on Python 2.7, where there is one with the libraries: the unit tests' environment."""

from pathlib import Path

import pytest

from tests.netns.conftest import REPOSITORY
from tests.netns.driver import status, unreachable, write

ENVIRONMENTS = sorted(Path(REPOSITORY / ".build/nox").glob("unit27*/bin/python2.7"))


@pytest.mark.parametrize(
    "python", ENVIRONMENTS, ids=[path.parent.parent.name for path in ENVIRONMENTS]
)
def test_up_status_and_down(lab, python):
    lab.host(["make", "-s", "-C", str(REPOSITORY), "install", "PYTHON={}".format(python)])
    lab.host(["mkdir", "-p", "/etc/ec2net"])
    write(lab, "/etc/ec2net/ec2net.conf", "ignore = eth7, eth8\n")
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    before = lab.snapshot()
    lab.host(["ec2ifup", "eth1"])
    assert unreachable(lab, eni.addresses) == []
    assert status(lab)["eth1"]["state"] == "in step"
    assert "in step" in lab.host(["ec2net", "plan"]).stdout
    lab.host(["ec2ifdown", "eth1"])
    assert lab.snapshot() == before
