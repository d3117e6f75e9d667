"""An ENI with IPv4 and IPv6 on a host with network-scripts: DHCPv6, its hook, the learned router.

An ENI that has only IPv6 is in test_main_job.
"""

import pytest

from tests.netns.driver import (
    dhclient_script,
    hotplug,
    hurry_ipv6,
    kernel,
    status,
    unreachable,
    wait_until,
)

LEASE6 = {"ip6_address": "2001:db8:0:1::10", "ip6_prefixlen": "128"}
NEW = {"new_" + key: value for key, value in LEASE6.items()}
OLD = {"old_" + key: value for key, value in LEASE6.items()}


@pytest.fixture
def lab(build):
    """A host with network-scripts and a dual-stack ENI."""
    lab = build(distribution="rhel")
    hurry_ipv6(lab)
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=2, subnet6="2001:db8:0:1::/64",
               ipv6=["2001:db8:0:1::10", "2001:db8:0:1::11"],
               ipv6_prefixes=["2001:db8:0:1:ab::/80"])
    return lab


def ip6(lab, *arguments):
    """Return what `ip -6` says."""
    return lab.host(["ip", "-6", *arguments]).stdout


def test_both_families_answer_by_their_own_eni(lab):
    eni = lab.enis["eth1"]
    before = lab.snapshot()
    lab.host(["ec2ifup", "eth1"])
    # IPv4 does not wait for IPv6, which is the router's advertisement and DHCPv6.
    assert unreachable(lab, eni.addresses) == []
    wait_until(lambda: unreachable(lab, eni.ipv6) == [])
    assert all(lab.sent("eth1", address) > 0 for address in eni.addresses + eni.ipv6)
    assert lab.drops("eth0") + lab.drops("eth1") == 0
    assert "default via fe80::1 dev eth1" in ip6(lab, "route", "show", "table", "10001")
    for source in (*eni.ipv6, *eni.ipv6_prefixes):
        assert "10001:\tfrom {} lookup 10001".format(source) in ip6(lab, "rule")
    wait_until(lambda: status(lab)["eth1"]["state"] == "in step")

    up = kernel(lab)
    lab.assign("eth1", "2001:db8:0:1::77")
    hotplug(lab, "add")
    assert "2001:db8:0:1::77" in ip6(lab, "address")
    assert "from 2001:db8:0:1::77 lookup 10001" in ip6(lab, "rule")
    lab.unassign("eth1", "2001:db8:0:1::77")
    hotplug(lab, "add")
    assert kernel(lab) == up

    lab.host(["ec2ifdown", "eth1"])
    assert lab.snapshot() == before


def test_without_metadata_each_family_comes_and_goes_with_its_own_lease(lab):
    eni = lab.enis["eth1"]
    hotplug(lab, "add")
    before = kernel(lab)
    lab.fault(".*", action="hang")
    lab.host(["ifup", "eth1"])
    wait_until(lambda: all(address in ip6(lab, "address") for address in eni.ipv6))
    assert unreachable(lab, eni.addresses) == []
    up = kernel(lab)

    dhclient_script(lab, "EXPIRE6", **OLD)
    assert "2001:db8:0:1::1" not in ip6(lab, "address")
    assert "10001" not in ip6(lab, "rule")
    left = kernel(lab)
    assert [left[key] for key in ("rules", "routes")] == [up[key] for key in ("rules", "routes")]
    assert unreachable(lab, eni.addresses) == []

    dhclient_script(lab, "BOUND6", **NEW)
    assert sorted(kernel(lab)["rules6"]) == sorted(up["rules6"])
    assert sorted(kernel(lab)["addresses"]) == sorted(up["addresses"])

    lab.host(["ifdown", "eth1"])
    assert kernel(lab) == before


def test_an_eni_that_gets_ipv6_while_it_is_up(build):
    """No DHCPv6 runs for it, and none is needed."""
    lab = build(distribution="rhel")
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=1, subnet6="2001:db8:0:1::/64")
    lab.host(["ec2ifup", "eth1"])
    lab.assign("eth1", "2001:db8:0:1::10")
    hotplug(lab, "add")
    assert "2001:db8:0:1::10/128" in ip6(lab, "address")
    assert "10001:\tfrom 2001:db8:0:1::10 lookup 10001" in ip6(lab, "rule")
    # The lab's router does not begin to announce itself; the rest is as it should be.
    assert status(lab)["eth1"]["state"] == "in step"


def test_an_eni_that_loses_ipv6_while_it_is_up(lab):
    lab.host(["ec2ifup", "eth1"])
    wait_until(lambda: "default" in ip6(lab, "route", "show", "dev", "eth1"))
    hotplug(lab, "add")
    assert "default" in ip6(lab, "route", "show", "table", "10001")
    for source in ("2001:db8:0:1:ab::/80", "2001:db8:0:1::11", "2001:db8:0:1::10"):
        lab.unassign("eth1", source)
    hotplug(lab, "add")
    assert "10001" not in ip6(lab, "rule")
    assert "eth1" not in ip6(lab, "route", "show", "table", "10001")
