"""What fails on a host with networkd: the right exit code, one line, and the last good state.

How metadata can fail is the matrix of test_reliability.py.
"""

import pytest

from tests.netns.driver import hotplug, read, status, unreachable
from tests.netns.looks import changes, look

RUN = "/run/systemd/network"
KEPT = "/var/lib/ec2net"
NAMES = [RUN + "/70-eth1.network", KEPT + "/70-eth1.network", KEPT + "/eth1.items"]
pytestmark = pytest.mark.parametrize("lab", ["networkd-252"], indirect=True)


def said(result):
    """Return the one line on stderr of a run that failed."""
    assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
    return result.stderr


# By these nothing can be written into a directory that is empty any more.
MOUNTS = {
    "read-only": 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"',
    "full": 'mount -t tmpfs -o size=64k none "$0"; cat /dev/zero >"$0/ballast" 2>/dev/null || :',
}


@pytest.mark.parametrize(("directory", "how"), [(RUN, "full"), (KEPT, "read-only")])
def test_where_one_file_cannot_be_written_none_is(lab, directory, how):
    before = look(lab)
    lab.attach("eth1", addresses=2)
    lab.host(["mkdir", "-p", KEPT])
    lab.host(["sh", "-ec", MOUNTS[how], directory])
    assert directory in said(hotplug(lab, "add", check=False))
    assert [line for line in changes(before, look(lab)) if "ballast" not in line] == []


def test_a_symbolic_link_is_not_followed(lab):
    lab.attach("eth1")
    lab.host(["mkdir", "-p", KEPT])
    for name in NAMES:
        lab.host(["ln", "-s", "/etc/victim", name])
        before = look(lab)
        for command in ("ec2ifup eth1", "ec2ifscan"):
            result = lab.host(command.split(), check=False)
            assert name + " is a symbolic link" in said(result)
        lab.host(["ec2ifdown", "eth1"])
        assert (changes(before, look(lab)), read(lab, "/etc/victim")) == ([], None)
        lab.host(["rm", name])


def test_while_networkd_is_away_what_is_up_stays(lab):
    eni = lab.attach("eth1", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    before = look(lab)["rules"]
    lab.networkd.kill()
    lab.assign("eth1", "10.0.1.77")
    lab.host(["ec2net", "refresh"])
    assert unreachable(lab, [*eni.addresses, "10.0.1.77"]) == []
    # Its file needs networkd, as soon as that is there.
    other = lab.attach("eth2")
    failed = lab.host(["ec2ifup", "eth2"], check=False)
    assert (failed.returncode, "networkctl reload" in failed.stderr) == (1, True)
    lab.networkd.start()
    lab.host(["ec2net", "refresh"])
    assert unreachable(lab, [*eni.addresses, "10.0.1.77", *other.addresses]) == []
    assert set(before) < set(look(lab)["rules"])
    assert {status(lab)[name]["state"] for name in ("eth1", "eth2")} == {"in step"}
