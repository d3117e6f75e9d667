"""An ENI is attached, and every address of it answers from outside by that ENI."""

import pytest

from tests.netns.conftest import REPOSITORY, on_both
from tests.netns.driver import (
    hotplug,
    hurry_ipv6,
    kernel,
    read,
    status,
    unreachable,
    wait_until,
    write,
)

CONFIG = "/etc/network/interfaces.d/eth1.cfg"


@on_both
@pytest.mark.parametrize("count", [1, 3, 50])
def test_every_address_answers_by_its_own_eni(lab, count):
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=count)
    hotplug(lab, "add")
    lab.host(["ifup", "eth1"])
    assert unreachable(lab, eni.addresses) == []
    assert all(lab.sent("eth1", address) > 0 for address in eni.addresses)
    assert lab.drops("eth0") + lab.drops("eth1") == 0


def test_without_the_product_replies_are_dropped(lab):
    """The lab is as strict as a VPC; without this the other tests would prove nothing."""
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=1)
    write(lab, CONFIG, "auto eth1\niface eth1 inet dhcp\n    metric 10001\n")
    lab.host(["ifup", "eth1"])
    assert unreachable(lab, eni.addresses) == list(eni.addresses)
    assert lab.drops("eth0") > 0


def test_a_delegated_prefix_is_reachable(lab):
    """The addresses of a prefix are whoever's the host lends them to; here its own."""
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=1, prefixes=["10.0.1.16/28"])
    lab.host(["ec2ifup", "eth1"])
    lab.host(["ip", "route", "add", "local", "10.0.1.16/28", "dev", "lo"])
    prefix = ["10.0.1.{}".format(last) for last in range(16, 32)]
    assert unreachable(lab, prefix) == []
    assert all(lab.sent("eth1", address) > 0 for address in prefix)
    assert lab.drops("eth0") + lab.drops("eth1") == 0


def test_a_second_add_and_a_second_ifup_change_nothing(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    before = lab.snapshot()
    inode = lab.host(["stat", "-c", "%i", CONFIG]).stdout
    hotplug(lab, "add")
    lab.host(["ifup", "eth1"])
    assert lab.snapshot() == before
    # Through all its lines once more, which a plain second ifup does not do.
    lab.host(["ifup", "--force", "eth1"])
    assert lab.snapshot() == before
    assert lab.host(["stat", "-c", "%i", CONFIG]).stdout == inode


@on_both
@pytest.mark.parametrize(
    "down",
    [
        [["ifdown", "eth1"], ["env", "INTERFACE=eth1", "ec2net-hotplug", "remove"]],
        [["ec2ifdown", "eth1"]],
    ],
    ids=["ifdown and remove", "ec2ifdown"],
)
def test_down_leaves_everything_as_it_was(lab, down):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=50, prefixes=["10.0.1.240/28"])
    before = lab.snapshot()
    lab.host(["ec2ifup", "eth1"])
    assert lab.snapshot() != before
    for command in down:
        lab.host(command)
    assert lab.snapshot() == before


def test_the_generated_file_takes_back_what_it_added_without_the_product(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    hotplug(lab, "add")
    before = kernel(lab)
    lab.host(["make", "-s", "-C", str(REPOSITORY), "uninstall"])
    lab.fault(".*", action="hang")
    lab.host(["ifup", "eth1"])
    assert unreachable(lab, ["10.0.1.10", "10.0.1.11", "10.0.1.12"]) == []
    lab.host(["ifdown", "eth1"])
    assert kernel(lab) == before


@on_both
def test_an_administrators_rule_route_and_address_survive(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    foreign = [
        ["rule", "add", "pref", "500", "from", "10.0.1.10", "lookup", "500"],
        ["rule", "add", "pref", "10001", "from", "10.0.1.99", "lookup", "500"],
        ["rule", "add", "pref", "20000", "from", "10.0.1.99", "lookup", "10001"],
        ["addr", "add", "192.0.2.7/32", "dev", "eth1"],
        ["route", "add", "192.0.2.128/25", "via", "10.0.1.1", "dev", "eth1"],
        ["route", "add", "192.0.2.64/26", "via", "10.0.1.1", "dev", "eth1", "table", "10001"],
    ]
    lab.host(["ec2ifup", "eth1"])
    for arguments in foreign:
        lab.host(["ip"] + arguments)
    hotplug(lab, "add")
    lab.assign("eth1", "10.0.1.60")
    hotplug(lab, "add")
    lab.unassign("eth1", "10.0.1.11")
    hotplug(lab, "add")
    if lab.distribution == "debian":
        # With network-scripts a second ifup fails over the running dhclient.
        lab.host(["ifup", "--force", "eth1"])
    assert missing(lab, foreign) == []
    hotplug(lab, "remove")
    assert missing(lab, foreign) == []
    rules = lab.host(["ip", "rule"]).stdout
    assert "from 10.0.1.60" not in rules and "from 10.0.1.12" not in rules
    assert "10.0.1.60/32" not in lab.host(["ip", "addr"]).stdout


def missing(lab, foreign):
    """Return which of the `foreign` objects are not there: adding them again succeeds."""
    gone = []
    for arguments in foreign:
        if lab.host(["ip"] + arguments, check=False).returncode == 0:
            gone.append(arguments)
    return gone


@on_both
def test_an_address_assigned_and_unassigned_while_up(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    lab.assign("eth1", "10.0.1.77")
    assert status(lab)["eth1"]["state"] == "differs"
    hotplug(lab, "add")
    assert unreachable(lab, ["10.0.1.10", "10.0.1.11", "10.0.1.12", "10.0.1.77"]) == []
    lab.unassign("eth1", "10.0.1.11")
    hotplug(lab, "add")
    assert "10.0.1.11" not in lab.host(["ip", "addr"]).stdout
    assert "10.0.1.11" not in lab.host(["ip", "rule"]).stdout
    assert status(lab)["eth1"]["state"] == "in step"
    assert lab.drops("eth0") + lab.drops("eth1") == 0


@on_both
def test_plan_changes_nothing_and_says_what_add_then_does(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    before = lab.snapshot()
    planned = lab.host(["ec2net", "plan", "eth1"]).stdout
    assert lab.snapshot() == before
    lab.host(["ec2ifup", "eth1"])
    files = lab.snapshot()["files"]
    written = [text for path, text in files.items() if path not in before["files"]]
    assert written
    for line in "".join(written).splitlines():
        assert "+" + line in planned.splitlines()
    assert "nothing to change" in lab.host(["ec2net", "plan", "eth1"]).stdout


@on_both
def test_detached_device_leaves_nothing(lab):
    before = lab.snapshot()
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    lab.detach("eth1")
    lab.host(["ec2ifdown", "eth1"])
    assert lab.snapshot() == before
    hotplug(lab, "remove")
    assert lab.snapshot() == before


@on_both
def test_scan_brings_up_what_has_no_config(lab):
    first = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    second = lab.attach("ens7", subnet="10.0.2.0/24", addresses=2, network_card=1, device_number=3)
    lab.host(["ec2ifscan"])
    assert unreachable(lab, first.addresses + second.addresses) == []
    assert status(lab)["ens7"]["table"] == 10103
    lab.imds_clear_log()
    lab.host(["ec2ifscan"])
    assert lab.imds_requests() == []


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("source /etc/network/interfaces.d/*.cfg", "/etc/network/interfaces.d/eth1.cfg"),
        ("source-directory interfaces.d", "/etc/network/interfaces.d/eth1"),
    ],
    ids=["source", "source-directory"],
)
def test_the_file_is_where_ifupdown_reads_it(build, line, path):
    lab = build(interfaces_line=line)
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    lab.host(["ec2ifup", "eth1"])
    assert "10001" in read(lab, path)
    assert "eth1" in lab.host(["ifquery", "--list"]).stdout.split()
    assert unreachable(lab, eni.addresses) == []


def test_a_host_that_reads_no_directory_is_told_what_to_add(build):
    lab = build(interfaces_line="")
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=1)
    said = hotplug(lab, "add").stderr
    assert "source /etc/network/interfaces.d/*.cfg" in said


@on_both
def test_an_ipv6_only_subnet(lab):
    hurry_ipv6(lab)
    eni = lab.attach(
        "eth1", subnet="10.0.1.0/24", subnet6="2001:db8:0:1::/64",
        ipv6=["2001:db8:0:1::10", "2001:db8:0:1::11"], ipv6_only=True,
    )
    # For two thirds of it the ENI could be half of a dual-stack one.
    write(lab, "/etc/ec2net/ec2net.conf", "[metadata]\nattach_deadline = 3\n")
    before = lab.snapshot()
    lab.host(["ec2ifup", "eth1"])
    # DHCPv6 takes its time.
    wait_until(lambda: unreachable(lab, eni.ipv6) == [])
    assert all(lab.sent("eth1", address) > 0 for address in eni.ipv6)
    assert status(lab)["eth1"]["state"] == "in step"
    lab.host(["ec2ifdown", "eth1"])
    assert lab.snapshot() == before


@on_both
def test_renewals_leave_by_their_own_interface_in_a_shared_subnet(lab):
    """The primary's subnet: main would send a unicast renewal out of eth0, where it is refused."""
    lab.attach("eth1", subnet="10.0.0.0/24", addresses=["10.0.0.20"], renew_after=2)
    lab.host(["ec2ifup", "eth1"])
    acknowledged = lab.dhcp_log("eth1").count("DHCPACK")
    wait_until(lambda: lab.dhcp_log("eth1").count("DHCPACK") > acknowledged)
    assert "DHCPNAK" not in lab.dhcp_log("eth0") + lab.dhcp_log("eth1")
    assert "10.0.0.20" not in lab.dhcp_log("eth0")
