"""ENIs come and go, events come at once and processes die: it ends where AWS says."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.netns.conftest import on_all, on_both
from tests.netns.driver import hotplug, killed_add, status, unreachable, write


@on_both
@pytest.mark.parametrize("same", [True, False], ids=["the same ENI", "another ENI"])
def test_an_eni_attached_again_without_a_remove_in_between(lab, same):
    first = lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    lab.detach("eth1")
    subnet = "10.0.1.0/24" if same else "10.0.2.0/24"
    eni = lab.attach("eth1", subnet=subnet, addresses=2, mac=first.mac if same else None)
    lab.host(["ec2ifup", "eth1"])
    assert unreachable(lab, eni.addresses) == []
    assert status(lab)["eth1"]["state"] == "in step"
    rules = lab.host(["ip", "rule"]).stdout
    assert rules.count("lookup 10001") == len(eni.addresses)


@on_both
def test_rules_of_an_earlier_eni_go_with_the_next_add(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    lab.detach("eth1")
    lab.attach("eth1", subnet="10.0.2.0/24", addresses=2)
    hotplug(lab, "add")
    assert "10.0.1." not in lab.host(["ip", "rule"]).stdout


@on_both
def test_a_healthy_interface_is_not_restarted_when_metadata_is_down(lab):
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    lab.host(["ec2ifup", "eth1"])
    acknowledged = lab.dhcp_log("eth1").count("DHCPACK")
    lab.fault(".*", status=403)
    lab.host(["ec2ifup", "eth1"])
    assert lab.dhcp_log("eth1").count("DHCPACK") == acknowledged
    assert unreachable(lab, eni.addresses) == []


@on_all
def test_a_run_that_dies_between_file_and_kernel_is_finished_by_the_next(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=4)
    lab.host(["ec2ifup", "eth1"])
    lab.unassign("eth1", "10.0.1.12")
    lab.assign("eth1", "10.0.1.50")
    killed_add(lab)
    assert "10.0.1.12" in lab.host(["ip", "addr"]).stdout
    hotplug(lab, "add")
    assert "10.0.1.12" not in lab.host(["ip", "addr"]).stdout
    assert unreachable(lab, ["10.0.1.10", "10.0.1.11", "10.0.1.13", "10.0.1.50"]) == []


@on_both
def test_many_events_at_once(lab):
    names = ["eth{}".format(number) for number in range(1, 8)]
    before = lab.snapshot()
    enis = [lab.attach(name, subnet="10.0.{}.0/24".format(number), addresses=3)
            for number, name in enumerate(names, 1)]
    with ThreadPoolExecutor(14) as pool:
        list(pool.map(lambda name: lab.host(["ec2ifup", name]), names * 2))
    assert unreachable(lab, [address for eni in enis for address in eni.addresses]) == []
    assert {status(lab)[name]["state"] for name in names} == {"in step"}
    # One each and the primary's: who has a second one takes a lease again after ifdown.
    assert len(dhclients(lab)) == len(names) + 1
    with ThreadPoolExecutor(7) as pool:
        list(pool.map(lambda name: lab.host(["ec2ifdown", name]), names))
    for name in names:
        lab.detach(name)
    assert lab.snapshot() == before
    assert len(dhclients(lab)) == 1


@on_both
def test_two_names_that_meet_in_a_number_get_tables_of_their_own(lab):
    first = lab.attach("eth2", subnet="10.0.1.0/24", addresses=2, device_number=1)
    second = lab.attach("ens6", subnet="10.0.2.0/24", addresses=2, device_number=2)
    for name in ("eth2", "ens6", "eth2", "ens6"):
        lab.host(["ec2ifup", name])
    assert [status(lab)[name]["table"] for name in ("eth2", "ens6")] == [10002, 15000]
    assert unreachable(lab, first.addresses + second.addresses) == []


def test_a_table_that_the_administrator_gave_a_name(lab):
    lab.host(["mkdir", "-p", "/etc/iproute2/rt_tables.d"])
    write(lab, "/etc/iproute2/rt_tables.d/eni.conf", "10001 second\n")
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    assert status(lab)["eth1"]["state"] == "in step"
    hotplug(lab, "remove")
    assert "second" not in lab.host(["ip", "rule"]).stdout


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams(lab, closed):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=1)
    lab.host(["sh", "-c", "INTERFACE=eth1 ec2net-hotplug add " + closed])
    lab.host(["sh", "-c", "ec2net status " + closed])


def dhclients(lab):
    """Return the numbers of all processes of dhclient."""
    return lab.host(["pgrep", "-x", "dhclient"]).stdout.split()


def boot(lab):
    """Take everything down, forget /run, and bring it up as the init system does."""
    for name in ("eth2", "eth1", "eth0"):
        lab.host(["ifdown", name], check=False)
    lab.host(["rm", "-r", "/run/ec2net"])
    if lab.distribution == "debian":
        lab.host(["ifup", "-a"])
        # In udev's place, which sees no device of a namespace.
        lab.host(["ifup", "-a", "--allow=hotplug"])
    else:
        for name in ("eth0", "eth1", "eth2"):
            lab.host(["ifup", name, "boot"])


@on_both
def test_after_a_reboot_the_primary_and_all_enis_answer(lab):
    """dhclient starts on each interface that dhclient.conf has a block for, whoever's it is."""
    addresses = ["10.0.0.10"]
    for number in (1, 2):
        name = "eth{}".format(number)
        addresses += lab.attach(name, subnet="10.0.{}.0/24".format(number), addresses=2).addresses
        lab.host(["ec2ifup", name])
    routes = lab.snapshot()["routes"]
    lab.fault(".*", action="hang")
    boot(lab)
    assert unreachable(lab, addresses) == []
    assert sorted(lab.snapshot()["routes"]) == sorted(routes)
    assert lab.drops("eth0") + lab.drops("eth1") + lab.drops("eth2") == 0
    assert len(dhclients(lab)) == 3


@on_both
@pytest.mark.parametrize(
    "commands", [[["ec2ifdown", "eth2"]], [["ifdown", "eth0"], ["ifup", "eth0"]]],
    ids=["another ENI goes", "the primary restarts"],
)
def test_an_eni_lives_through_what_happens_to_another_interface(lab, commands):
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    lab.attach("eth2", subnet="10.0.2.0/24", addresses=2)
    for name in ("eth1", "eth2"):
        lab.host(["ec2ifup", name])
    for command in commands:
        lab.host(command)
    assert unreachable(lab, eni.addresses + ("10.0.0.10",)) == []
    assert status(lab)["eth1"]["state"] == "in step"
