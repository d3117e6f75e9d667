"""Whatever fails: the right exit code, one clear line, and the last good state byte for byte.

How metadata can fail is the matrix of test_reliability.py.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.netns.conftest import on_all, on_both
from tests.netns.driver import hotplug, read, status, unreachable, wait_until, write

CONFIG = "/etc/network/interfaces.d/eth1.cfg"
SETTINGS = "/etc/ec2net/ec2net.conf"
QUICK = "[metadata]\ndeadline = 1\nread_timeout = 0.3\nconnect_timeout = 0.3\nattach_deadline = 1\n"


@pytest.fixture
def host(lab):
    """A host with eth1 up, and settings that give up within a second."""
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["mkdir", "-p", "/etc/ec2net"])
    lab.host(["ec2ifup", "eth1"])
    write(lab, SETTINGS, QUICK)
    return lab


def said(result):
    """Return the one line on stderr."""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_a_fresh_eni_is_waited_for(lab):
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2,
                     delays={"*": 0.5, "local-ipv4s": 1, "device-number": 1.5})
    hotplug(lab, "add")
    lab.host(["ifup", "eth1"])
    assert unreachable(lab, eni.addresses) == []
    assert status(lab)["eth1"]["device_number"] == 1


@on_both
def test_up_uses_the_last_good_config_when_metadata_is_down(host):
    host.host(["ifdown", "eth1"])
    host.fault(".*", status=503)
    result = host.host(["ec2ifup", "eth1"])
    assert "brought up as configured before" in result.stderr
    host.clear_faults()
    assert unreachable(host, ["10.0.1.10", "10.0.1.11", "10.0.1.12"]) == []


@pytest.mark.parametrize("mount", ["ro", "size=0"], ids=["read-only", "full"])
def test_an_etc_that_cannot_be_written(host, mount):
    host.assign("eth1", "10.0.1.77")
    before = host.snapshot()
    if mount == "ro":
        host.host(["mount", "--bind", "-o", "ro", "/etc/network", "/etc/network"])
        host.host(["mount", "-o", "remount,bind,ro", "/etc/network"])
    else:
        # A disk of one page, full: the same files, and no room for more.
        host.host(["sh", "-ec", "cp -a /etc/network /run/copy; mount -t tmpfs -o size=64k none"
                   " /etc/network; cp -a /run/copy/. /etc/network; rm -r /run/copy;"
                   " cat /dev/zero > /etc/network/ballast 2>/dev/null || true"])
        before = host.snapshot()
    result = hotplug(host, "add", check=False)
    assert result.returncode == 1
    assert CONFIG in said(result)
    assert host.snapshot() == before


def test_a_symbolic_link_is_not_followed(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=1)
    lab.host(["ln", "-s", "/etc/victim", CONFIG])
    result = hotplug(lab, "add", check=False)
    assert result.returncode == 1
    assert "symbolic link" in said(result)
    assert read(lab, "/etc/victim") is None


@pytest.mark.parametrize(
    "text",
    [
        "auto eth1\niface eth1 inet static\n    address 10.0.1.10/24\n",
        "# EC2SYNC=no\nauto eth1\niface eth1 inet dhcp\n",
    ],
    ids=["edited by hand", "opted out"],
)
def test_an_administrators_config_is_kept(lab, text):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=1)
    write(lab, CONFIG, text)
    before = lab.snapshot()
    for action in ("add", "remove"):
        assert "eth1: left alone: " in said(hotplug(lab, action))
        assert lab.snapshot() == before
    assert status(lab)["eth1"]["state"] == "unmanaged"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("backend = networkmanager\n", ":1: backend = networkmanager: expected one of auto,"),
        ("# x\n[metadata]\nfoo = 1\n", ":3: unknown key 'foo'"),
        ("[metadata]\ndeadline = soon\n", ":2: deadline = soon: expected a number from"),
        ("what is this\n", ":1:"),
    ],
)
def test_wrong_settings_name_file_line_and_what_is_allowed(host, text, expected):
    write(host, SETTINGS, text)
    before = host.snapshot()
    result = hotplug(host, "add", check=False)
    assert result.returncode == 1
    assert SETTINGS + expected in said(result)
    assert host.snapshot() == before


@on_all
def test_unknown_and_vlan_like_interfaces(lab):
    result = hotplug(lab, "add", "eth9", check=False)
    assert (result.returncode, "eth9" in said(result)) == (1, True)
    lab.host(["ip", "link", "add", "br0", "type", "bridge"])
    before = lab.snapshot()
    lab.imds_clear_log()
    assert "br0: left alone: it is a bridge device" in said(hotplug(lab, "add", "br0"))
    assert "eth0: left alone: it is the primary" in said(hotplug(lab, "add", "eth0"))
    assert lab.snapshot() == before


def test_an_interface_that_vanishes_while_metadata_is_read(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=1, delays={"local-ipv4s": 2})
    before = lab.snapshot()
    lab.imds_clear_log()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(hotplug, lab, "add", check=False)
        wait_until(lab.imds_requests)
        lab.detach("eth1", keep_metadata=True)
        result = running.result()
    assert result.returncode == 1
    assert "eth1 vanished" in said(result)
    assert lab.snapshot()["files"] == before["files"]


def test_half_an_answer_is_not_believed(host):
    """requests takes an answer that ends too early for a whole one."""
    before = host.snapshot()
    host.fault("local-ipv4s", body="10.0.1.10\n10.0.1.11", headers={"Content-Length": "29"})
    result = hotplug(host, "add", check=False)
    assert result.returncode == 75
    said(result)
    assert host.snapshot() == before


def test_an_older_reading_does_not_overwrite_a_newer_one(host):
    host.host(["rm", SETTINGS])
    host.imds_clear_log()
    host.fault("subnet-ipv4-cidr-block", action="hang", seconds=1, times=1)
    with ThreadPoolExecutor() as pool:
        older = pool.submit(hotplug, host, "add")
        wait_until(lambda: any("local-ipv4s" in r["path"] for r in host.imds_requests()))
        host.assign("eth1", "10.0.1.77")
        hotplug(host, "add")
        older.result()
    assert unreachable(host, ["10.0.1.77"]) == []


def test_half_of_what_ip_says_is_not_believed(host):
    rules = host.host(["ip", "rule"]).stdout
    write(host, "/usr/local/bin/ip", "#!/bin/sh\n/usr/sbin/ip addr; kill -9 $$\n")
    host.host(["chmod", "755", "/usr/local/bin/ip"])
    # `ip` is asked where there is no rtnetlink; it is not traced, so it has it.
    remove = ["env", "INTERFACE=eth1", "PATH=/usr/local/bin:/usr/sbin:/usr/bin", "strace", "-qq",
              "-o", "/dev/null", "-e", "inject=socket:error=EAFNOSUPPORT", "ec2net-hotplug",
              "remove"]
    assert host.host(remove, check=False).returncode == 1
    host.host(["rm", "/usr/local/bin/ip"])
    assert host.host(["ip", "rule"]).stdout == rules
    host.host(remove)
    assert "10001" not in host.host(["ip", "rule"]).stdout


def test_a_fifo_and_a_device_beside_the_config_hold_nothing(host):
    host.host(["mkfifo", "/etc/network/interfaces.d/fifo"])
    host.host(["ln", "-s", "/dev/zero", "/etc/network/interfaces.d/zero"])
    hotplug(host, "add")
    hotplug(host, "remove")


def test_down_does_not_touch_what_is_not_ours(lab):
    write(lab, "/etc/network/interfaces.d/eth0.cfg", "auto eth0\niface eth0 inet dhcp\n")
    lab.host(["ec2ifdown", "eth0"])
    lab.host(["ec2ifup", "eth0"])
    assert unreachable(lab, ["10.0.0.10"]) == []


def test_a_default_route_in_the_way_is_replaced(host):
    route = ["default", "via", "10.0.1.254", "dev", "eth1", "table", "10001"]
    host.host(["ip", "route", "replace"] + route)
    hotplug(host, "add")
    assert status(host)["eth1"]["state"] == "in step"


def test_one_bad_eni_does_not_hide_the_others(host):
    host.attach("eth2", subnet="10.0.2.0/24", addresses=1)
    host.fault("01/local-ipv4s", status=200, body="$(id)")
    result = host.host(["ec2net", "status"], check=False)
    assert result.returncode == 1
    states = [line.split()[-1] for line in result.stdout.splitlines() if line.startswith("eth")]
    assert states == ["unmanaged", "unknown", "differs"]
    assert "local-ipv4s" in said(result)
