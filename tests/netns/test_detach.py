"""An ENI is pulled from a running host, and another one comes: nothing of the first is in its way.

By the real ifup, ifdown and dhclient, which know nothing of devices that go.
"""

import contextlib
import subprocess
import time

import pytest

from tests.netns.conftest import on_both
from tests.netns.dhcp import dhclients
from tests.netns.driver import KNOBS, hotplug, read, status, unreachable, wait_until, write
from tests.netns.looks import changes, look

LEASES = {"debian": "/var/lib/dhcp", "rhel": "/var/lib/dhclient"}
HELPER = "/run/network/interfaces.d/eth1"
# As Debian's cloud-ifupdown-helper writes it for each device that it sees.
PLAIN = "auto eth1\nallow-hotplug eth1\n\niface eth1 inet dhcp\n"


def listed(lab, directory):
    """Return the names in a directory of the host."""
    return lab.host(["ls", directory], check=False).stdout.split()


def traces(lab):
    """Return where eth1 is still mentioned that no snapshot shows."""
    # Locks stay: who unlinks one lets two hold it.
    found = [name for name in listed(lab, "/run/ec2net")
             if "eth1" in name and not name.startswith("lock-")]
    found += [name for name in listed(lab, LEASES[lab.distribution]) if "eth1" in name]
    found += dhclients(lab)
    found += [line for line in (read(lab, "/run/network/ifstate") or "").split() if "eth1" in line]
    return found


@contextlib.contextmanager
def running(lab, *command):
    """Run a command beside the block, after which it has to end by itself."""
    process = lab.namespaces.host.popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
        process.wait(60)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def waiting_ifup(lab):
    """Run a plain ``ifup eth1`` beside the block, whose dhclient gets no answer; see it end."""
    lab.vpc_router.dhcp("eth1").stop()
    with running(lab, "ifup", "eth1"):
        wait_until(lambda: dhclients(lab), 20)
        yield


@on_both
def test_of_an_eni_that_is_pulled_while_it_is_up_nothing_is_left(lab):
    before = look(lab)
    first = lab.attach("eth1", subnet="10.0.1.0/24", addresses=3, prefixes=["10.0.1.64/28"])
    lab.host(["ec2ifup", "eth1"])
    assert unreachable(lab, first.addresses) == []
    assert traces(lab) != []
    lab.detach("eth1")
    result = hotplug(lab, "remove")
    assert (result.returncode, changes(before, look(lab)), traces(lab)) == (0, [], [])
    # The event may come twice: from udev, and from the unit that ends with its device.
    hotplug(lab, "remove")
    lab.host(["ec2ifdown", "eth1"])
    assert (changes(before, look(lab)), traces(lab)) == ([], [])

    second = lab.attach("eth1", subnet="10.0.2.0/24", addresses=2)
    assert second.mac != first.mac
    lab.host(["ec2ifup", "eth1"])
    assert unreachable(lab, second.addresses) == []
    assert status(lab)["eth1"]["state"] == "in step"
    assert "10.0.1." not in str(lab.snapshot())
    assert "10.0.1." not in lab.dhcp_log("eth1")
    assert len(dhclients(lab)) == 1


def test_what_a_late_ifup_has_added_goes_with_the_device(lab):
    """Debian's own may have read the file that a removal took away in that moment."""
    before = look(lab)
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    hotplug(lab, "add")
    text = read(lab, KNOBS["debian"])
    hotplug(lab, "remove")
    write(lab, "/run/interfaces", text)
    lab.host(["ifup", "-i", "/run/interfaces", "eth1"])
    assert unreachable(lab, lab.enis["eth1"].addresses) == []
    lab.detach("eth1")
    lab.host(["ec2ifdown", "eth1"])
    lab.host(["rm", "/run/interfaces"])
    assert changes(before, look(lab)) == []
    assert dhclients(lab) == []


@on_both
def test_one_that_is_pulled_while_an_ifup_waits_for_its_lease_is_cleaned_up_at_once(lab):
    before = look(lab)
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    hotplug(lab, "add")
    with waiting_ifup(lab):
        lab.detach("eth1")
        start = time.monotonic()
        lab.host(["ec2ifdown", "eth1"])
        assert time.monotonic() - start < 10
    assert (changes(before, look(lab)), traces(lab)) == ([], [])


@on_both
def test_the_file_of_an_eni_that_is_gone_is_not_used_for_the_next(lab):
    first = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    hotplug(lab, "add")
    lab.detach("eth1")
    second = lab.attach("eth1", subnet="10.0.2.0/24", addresses=2)
    before = look(lab)
    result = lab.host(["ifup", "eth1"], check=False)
    assert result.returncode != 0
    reason = {"debian": "eth1 is not " + first.mac, "rhel": "different MAC address"}
    assert reason[lab.distribution] in result.stderr
    assert (changes(before, look(lab)), dhclients(lab)) == ([], [])

    lab.fault(".*", status=403)
    result = lab.host(["ec2ifup", "eth1"], check=False)
    assert result.returncode == 75
    assert (changes(before, look(lab)), dhclients(lab)) == ([], [])
    lab.clear_faults()

    lab.host(["ec2ifup", "eth1"])
    assert unreachable(lab, second.addresses) == []
    assert second.mac in read(lab, KNOBS[lab.distribution])
    assert status(lab)["eth1"]["state"] == "in step"


@on_both
def test_a_scan_cleans_up_after_an_event_that_got_lost(lab):
    before = look(lab)
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    lab.detach("eth1", keep_metadata=True)
    lab.host(["ec2net", "refresh"])
    assert traces(lab) != []
    lab.forget()
    lab.host(["ec2net", "refresh"])
    assert (changes(before, look(lab)), traces(lab)) == ([], [])


@pytest.fixture
def cloud_image(build):
    """A Debian host that reads what the cloud images' helper writes, and has written for eth1."""
    lab = build(interfaces_line="source /etc/network/interfaces.d/*\n"
                                "source /run/network/interfaces.d/*")
    lab.host(["mkdir", "-p", "/run/network/interfaces.d"])
    write(lab, HELPER, PLAIN)
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    return lab


def settled(lab):
    """Check that eth1 has all that it is to have, once."""
    assert unreachable(lab, ["10.0.0.10", "10.0.1.10", "10.0.1.11", "10.0.1.12"]) == []
    assert read(lab, HELPER) is None
    assert len(dhclients(lab)) == 1
    assert lab.host(["ip", "rule"]).stdout.count("lookup 10001") == 3
    # The route of main's has the metric of the stanza that ifup has read.
    lab.host(["ec2net", "refresh"])
    assert status(lab)["eth1"]["state"] == "in step"


def test_the_cloud_images_own_ifup_may_be_first(cloud_image):
    lab = cloud_image
    lab.host(["ifup", "eth1"])
    lab.host(["ec2ifup", "eth1"])
    settled(lab)


def test_the_cloud_images_own_ifup_may_be_waiting_for_its_lease(cloud_image):
    lab = cloud_image
    with waiting_ifup(lab), running(lab, "ec2ifup", "eth1") as ours:
        wait_until(lambda: read(lab, HELPER) is None)
        lab.vpc_router.dhcp("eth1").start()
    assert ours.returncode == 0
    settled(lab)


def test_the_cloud_images_own_ifup_may_come_later(cloud_image):
    lab = cloud_image
    lab.host(["ec2ifup", "eth1"])
    lab.host(["ifup", "eth1"])
    lab.host(["ifup", "-a", "--allow=hotplug"])
    settled(lab)
