"""The three variables by which users steer what is done to an interface, in its own file."""

from tests.netns.conftest import on_both
from tests.netns.driver import (
    KNOBS,
    hotplug,
    read,
    set_knob,
    status,
    unreachable,
    write,
)

PREFIX = ["10.0.1.{}".format(last) for last in range(16, 32)]
# Everything there is that changes something, and what only looks.
COMMANDS = [
    ["env", "INTERFACE=eth1", "ec2net-hotplug", "add"],
    ["env", "INTERFACE=eth1", "ec2net-hotplug", "remove"],
    ["ec2ifup", "eth1"],
    ["ec2ifdown", "eth1"],
    ["ec2ifscan"],
    ["ec2net", "plan"],
    ["ec2net", "status"],
]
LEASE_EVENTS = [
    ["env", "interface=eth1", "reason=" + reason, "ec2net", "lease"]
    for reason in ("BOUND", "RENEW", "EXPIRE", "BOUND6")
]


@on_both
def test_sync_no_leaves_every_byte_and_every_rule_alone(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    set_knob(lab, "EC2SYNC", "no")
    # What each of the commands and of the lease's events would put right otherwise.
    lab.host(["ip", "address", "delete", "10.0.1.11/32", "dev", "eth1"])
    lab.host(["ip", "rule", "add", "pref", "10001", "from", "10.0.1.99", "lookup", "10001"])
    lab.assign("eth1", "10.0.1.77")
    before = lab.snapshot()
    for command in COMMANDS + LEASE_EVENTS:
        lines = lab.host(command).stderr.splitlines()
        # Who names it is told that nothing was done.
        named = command[-1] in ("add", "remove", "eth1")
        assert ["eth1: left alone: " in line for line in lines] == [True] * named
        assert lab.snapshot() == before, command
    assert status(lab)["eth1"]["state"] == "unmanaged"

    lab.host(["ifdown", "eth1"])
    before = lab.snapshot()
    for command in COMMANDS:
        lab.host(command)
        assert lab.snapshot() == before, command

    set_knob(lab, "EC2SYNC", "yes")
    lab.host(["ifup", "eth1"])
    hotplug(lab, "add")
    assert unreachable(lab, lab.enis["eth1"].addresses) == []
    assert "10.0.1.99" not in lab.host(["ip", "rule"]).stdout


def defaults_by(lab, interface):
    """Return the default routes of main by one interface."""
    return lab.host(["ip", "route", "show", "default", "dev", interface]).stdout.splitlines()


@on_both
def test_no_default_route_in_main(lab):
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    assert len(defaults_by(lab, "eth1")) == 1
    set_knob(lab, "MAINROUTETABLE", "no")
    hotplug(lab, "add")
    assert defaults_by(lab, "eth1") == []
    # The next run writes the file anew, and the knob stays.
    lab.assign("eth1", "10.0.1.77")
    hotplug(lab, "add")
    assert "MAINROUTETABLE=no\n" in read(lab, KNOBS[lab.distribution])
    lab.host(["ifdown", "eth1"])
    lab.host(["ifup", "eth1"])
    assert defaults_by(lab, "eth1") == []
    # Only main lacks it: what comes from the ENI's addresses leaves by the ENI all the same.
    assert unreachable(lab, eni.addresses + ("10.0.1.77",)) == []
    assert lab.drops("eth0") + lab.drops("eth1") == 0
    assert len(defaults_by(lab, "eth0")) == 1
    assert status(lab)["eth1"]["state"] == "in step"


@on_both
def test_every_address_of_a_delegated_prefix_is_this_hosts(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=2, prefixes=["10.0.1.16/28"])
    lab.host(["ec2ifup", "eth1"])
    assert not lab.pings(PREFIX[5])
    set_knob(lab, "EC2PROVISIONPFXIPS", "yes")
    hotplug(lab, "add")
    assert unreachable(lab, PREFIX) == []
    lab.host(["ifdown", "eth1"])
    lab.host(["ifup", "eth1"])
    assert unreachable(lab, PREFIX) == []
    assert all(lab.sent("eth1", address) >= 2 for address in PREFIX)
    assert lab.drops("eth0") + lab.drops("eth1") == 0
    assert status(lab)["eth1"]["state"] == "in step"

    lab.assign("eth1", "10.0.1.64/28")
    hotplug(lab, "add")
    assert lab.pings("10.0.1.79")
    lab.unassign("eth1", "10.0.1.16/28")
    hotplug(lab, "add")
    assert "10.0.1.16/28" not in lab.host(["ip", "route", "show", "table", "local"]).stdout
    assert status(lab)["eth1"]["state"] == "in step"


@on_both
def test_what_is_neither_yes_nor_no(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=1)
    hotplug(lab, "add")
    for name in ("MAINROUTETABLE", "EC2PROVISIONPFXIPS"):
        set_knob(lab, name, "perhaps")
        said = hotplug(lab, "add").stderr
        assert said == (
            "ec2net-hotplug: eth1: {} is 'perhaps': expected yes or no\n".format(name)
        )
    # Whoever writes something unclear there probably wants to be left alone, and is told.
    set_knob(lab, "EC2SYNC", "perhaps")
    before = lab.snapshot()
    assert "left alone" in hotplug(lab, "add").stderr
    assert lab.snapshot() == before


def test_a_sync_no_of_the_older_tools_is_theirs(build):
    lab = build(distribution="rhel")
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    write(lab, KNOBS["rhel"], "DEVICE=eth1\nBOOTPROTO=dhcp\nDEFROUTE=no\nEC2SYNC=no\n")
    lab.host(["ifup", "eth1"])
    before = lab.snapshot()
    for command in COMMANDS + LEASE_EVENTS:
        lab.host(command)
        assert lab.snapshot() == before, command
