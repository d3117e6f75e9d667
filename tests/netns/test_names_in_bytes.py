"""Names that are not ASCII, of files, devices and tables, with LC_ALL=C; also on Python 2.7."""

import pytest

from tests.netns.conftest import PYTHON, REPOSITORY, on_both
from tests.netns.driver import unreachable, write
from tests.netns.test_python2 import ENVIRONMENTS

# In UTF-8 for Python a line end and, in a file's name, a blank.
DEVICE = "v\u00c5"
FILES = {
    "debian": "/etc/network/interfaces.d/\u00e0.cfg",
    "rhel": "/etc/sysconfig/network-scripts/ifcfg-\u00e0",
}
# As a kernel before 3.12, for which main's other routes are copied into the tables.
OLD_IP = """#!/bin/sh
case "$*" in
    *-batch*) sed 's/suppress_prefixlength.*/suppress_nothing/' | exec /usr/sbin/ip "$@" ;;
    *) exec /usr/sbin/ip "$@" ;;
esac
"""


@pytest.mark.parametrize("python", [PYTHON] + [str(path) for path in ENVIRONMENTS])
@on_both
def test_a_device_and_a_file_with_such_a_name_are_in_nobodys_way(lab, python):
    lab.host(["make", "-s", "-C", str(REPOSITORY), "install", "PYTHON=" + python, "REFRESH=no"])
    lab.host(["ip", "link", "add", DEVICE, "type", "veth", "peer", "name", "peer"])
    lab.host(["ip", "link", "set", DEVICE, "up"])
    lab.host(["ip", "addr", "add", "10.9.0.1/24", "dev", DEVICE])
    write(lab, FILES[lab.distribution], "# nothing\n")
    write(lab, "/usr/local/bin/ip", OLD_IP)
    lab.host(["chmod", "755", "/usr/local/bin/ip"])
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)

    def run(*command):
        shell = 'export LC_ALL=C PATH=/usr/local/bin:$PATH; "$@"'
        result = lab.host(["sh", "-c", shell, "sh", *command])
        assert "internal error" not in result.stderr
        return result.stdout

    run("ec2ifup", "eth1")
    assert unreachable(lab, eni.addresses) == []
    assert "10.9.0.0/24 dev " + DEVICE in lab.host(["ip", "route", "show", "table", "10001"]).stdout
    assert "in step" in run("ec2net", "status")
    assert "copies of main's routes" in run("ec2net", "status")
    assert "kernel: 10.9.0.5 dev v\\xc3\\x85" in run("ec2net", "explain", "--to", "10.9.0.5")
    before = lab.snapshot()
    run("ec2net", "refresh")
    assert lab.snapshot() == before
    run("ec2ifdown", "eth1")
    assert "10.9.0.0" not in lab.host(["ip", "route", "show", "table", "all"]).stdout.replace(
        "10.9.0.0/24 dev " + DEVICE + " proto kernel", ""
    )
