"""The lab's host with systemd-networkd, in each version; without the product."""

import os

import pytest

from tests import lab as vpc
from tests.lab import networkd
from tests.netns.driver import unreachable, write

FILE = """\
[Match]
Name=eth1
MACAddress={mac}

[Network]
DHCP=ipv4

[DHCPv4]
RouteMetric=10001
"""


@pytest.fixture(params=[version for version in networkd.VERSIONS if version])
def lab(request):
    """A host with networkd, of the release that has this version."""
    reason = networkd.available(request.param)
    if reason:
        pytest.skip(reason)
    with vpc.Lab(distribution="networkd", networkd=request.param) as lab:
        yield lab


def configure(lab, **options):
    """Attach eth1 with a file in /run, and have networkd read it."""
    eni = lab.attach("eth1", **options)
    write(lab, "/run/systemd/network/70-eth1.network", FILE.format(mac=eni.mac))
    lab.host(["networkctl", "reload"])
    lab.networkd.wait("eth1")
    return eni


def pid(lab):
    """Return networkd's process number on the host; its name is cut off by the kernel."""
    return lab.host(["pgrep", "-x", "systemd-network"], check=False).stdout.strip()


def test_the_primary_is_up_after_boot(lab, request):
    version = request.node.callspec.params["lab"]
    assert lab.host(["networkctl", "--version"]).stdout.startswith("systemd " + version)
    status = lab.host(["networkctl", "--no-pager", "status", "eth0"]).stdout
    assert "State: routable (configured)" in status
    assert "Network File: /etc/systemd/network/20-eth0.network" in status
    assert lab.networkd.link("eth0")["OPER_STATE"] == "routable"
    assert "default via 10.0.0.1 dev eth0 proto dhcp" in lab.host(["ip", "route"]).stdout
    assert unreachable(lab, lab.enis["eth0"].addresses) == []
    # Each has the version's own files and finds nothing in them to complain of.
    assert "ignoring" not in lab.networkd.log().replace("get cgroup path, ignoring", "")


def test_a_file_in_run_is_read_at_a_reload(lab):
    lab.attach("eth2")
    configure(lab)
    status = lab.host(["networkctl", "--no-pager", "status", "eth1"]).stdout
    assert "Network File: /run/systemd/network/70-eth1.network" in status
    assert "State: routable (configured)" in status
    assert "metric 10001" in lab.host(["ip", "route", "show", "default", "dev", "eth1"]).stdout
    # What no file is for is left alone.
    assert lab.networkd.link("eth2")["ADMIN_STATE"] == "unmanaged"


def test_a_card_finds_its_file(lab):
    write(lab, "/run/systemd/network/70-eth1.network",
          "[Match]\nName=eth1\n\n[Network]\nDHCP=ipv4\n")
    lab.host(["networkctl", "reload"])
    for _ in range(2):
        eni = lab.attach("eth1")
        lab.networkd.wait("eth1")
        assert eni.address in lab.host(["ip", "address", "show", "dev", "eth1"]).stdout
        lab.detach("eth1")
        vpc.wait_for(lambda: not lab.networkd.link("eth1"), what="eth1 to be forgotten")


def test_a_restart_looks_before_it_configures(lab):
    """As with udev: what is foreign on a link that it manages goes."""
    configure(lab)
    lab.host(["ip", "address", "add", "10.0.1.50/32", "dev", "eth1"])
    lab.networkd.restart()
    lab.networkd.wait("eth1")
    vpc.wait_for(lambda: "10.0.1.50" not in lab.host(["ip", "address"]).stdout, what="a removal")


def test_a_restart_keeps_a_lease_and_a_stop_gives_it_up(lab):
    eni = configure(lab)
    first = pid(lab)
    lab.networkd.restart()
    assert pid(lab) not in ("", first)
    lab.networkd.wait("eth1")
    assert eni.address in lab.host(["ip", "address", "show", "dev", "eth1"]).stdout

    lab.networkd.stop()
    assert pid(lab) == ""
    assert eni.address not in lab.host(["ip", "address", "show", "dev", "eth1"]).stdout
    lab.networkd.start()
    lab.networkd.wait("eth1")
    assert eni.address in lab.host(["ip", "address", "show", "dev", "eth1"]).stdout


def test_leases_are_renewed(lab):
    configure(lab, renew_after=3)
    before = lab.dhcp_log("eth1").count("DHCPACK")
    vpc.wait_for(lambda: lab.dhcp_log("eth1").count("DHCPACK") > before, what="a renewal")


def test_nothing_reaches_the_machine(lab):
    mine = "/etc/systemd/network/10-mine.network"
    write(lab, mine, "[Match]\nName=mine\n")
    assert mine in lab.snapshot()["files"]
    assert not any(os.path.exists(path) for path in (mine, "/run/dbus/lab.conf"))
