"""The product on hosts with systemd-networkd, in each version of it."""

import re

import pytest

from tests import readme
from tests.lab import networkd
from tests.netns.driver import (
    hotplug,
    hurry_ipv6,
    kernel,
    pinged,
    read,
    status,
    unreachable,
    wait_until,
    write,
)
from tests.netns.looks import changes, look

VERSIONS = [version for version in networkd.VERSIONS if version]
RUN = "/run/systemd/network/"
KEPT = "/var/lib/ec2net/"
OURS = RUN + "70-eth1.network"
MINE = "/etc/systemd/network/70-eth1.network"
# For what does not go by the version.
once = pytest.mark.parametrize("lab", ["252"], indirect=True)
# As Debian's cloud images have it in their /etc/netplan.
NETPLAN = """\
network:
    version: 2
    ethernets:
        all-en:
            match:
                name: en*
            dhcp4: true
        all-eth:
            match:
                name: eth*
            dhcp4: true
"""
# Of one of our files, or of a link: that a key is not known, or that something cannot be done.
COMPLAINT = re.compile(r"/(?:07|70)-eth\d+\.network:\d+:|^eth\d+: (?:Could not|Failed$)")


@pytest.fixture(params=VERSIONS)
def lab(build, request):
    """A host with the primary alone; of what is then ours networkd never complains."""
    lab = build(distribution="networkd", networkd=request.param)
    hurry_ipv6(lab)
    yield lab
    assert [line for line in lab.networkd.log().splitlines() if COMPLAINT.search(line)] == []


@pytest.fixture
def eni(lab):
    """A dual-stack ENI that is up and answers."""
    eni = lab.attach("eth1", addresses=3, prefixes=["10.0.1.16/28"], ipv6=2)
    lab.host(["ec2ifup", "eth1"])
    answers(lab, eni.addresses + eni.ipv6)
    return eni


def answers(lab, addresses):
    """Wait until each address answers; the router is heard in its own time."""
    wait_until(lambda: unreachable(lab, addresses) == [], 20)


def drop_in(lab, text, name="70-eth1.network"):
    """Write what an administrator wants beside our file of that name."""
    directory = "/etc/systemd/network/{}.d".format(name)
    lab.host(["mkdir", "-p", directory])
    write(lab, directory + "/mine.conf", text)


def refresh(lab):
    """Run it; return what it says, info messages as well."""
    shell = "JOURNAL_STREAM=$(stat -L -c %d:%i /dev/fd/2) exec ec2net refresh"
    return lab.host(["sh", "-c", shell]).stderr


def state(lab, name="eth1"):
    """Return what status says of an interface."""
    return status(lab)[name]["state"]


def rules(lab):
    """Return all rules in the order of the kernel."""
    return kernel(lab)["rules"] + kernel(lab)["rules6"]


def test_every_address_answers_and_nothing_more_is_done(lab, eni):
    lab.host(["ip", "route", "add", "local", "10.0.1.16/28", "dev", "lo"])
    prefix = ["10.0.1.{}".format(last) for last in range(16, 32)]
    assert unreachable(lab, prefix) == []
    lab.networkd.wait("eth1")
    shown = lab.host(["networkctl", "--no-pager", "status", "eth1"]).stdout
    in_readme = readme.excerpt("networkctl status eth1")
    assert set(in_readme) <= set(readme.lines_of(shown))
    assert {"Network File: " + OURS, "State: routable (configured)"} < set(in_readme)
    default = lab.host(["ip", "-6", "route", "show", "default", "dev", "eth1"]).stdout
    assert default.count("default") == default.count(" metric 10001 ") == 1
    before, stat = look(lab), lab.host(["stat", "-c", "%i %Y %Z", OURS]).stdout
    assert state(lab) == "in step"
    assert (refresh(lab), refresh(lab)) == ("", "")
    lab.host(["ec2ifup", "eth1"])
    assert changes(before, look(lab)) == []
    assert lab.host(["stat", "-c", "%i %Y %Z", OURS]).stdout == stat
    assert all(lab.sent("eth1", one) for one in (*eni.addresses, *eni.ipv6, *prefix))
    assert lab.drops("eth0") + lab.drops("eth1") == 0


def test_fifty_addresses_come_and_go_unnoticed(lab):
    lab.networkd.restart("debug")
    drop_in(lab, "[Route]\nDestination=198.18.0.0/24\nGateway=10.0.1.1\n")
    eni = lab.attach("eth1", addresses=2)
    lab.host(["ec2ifup", "eth1"])
    lab.networkd.wait("eth1")
    lab.host(["ip", "route", "add", "198.18.1.0/24", "via", "10.0.1.1", "dev", "eth1"])
    before, count = look(lab), lab.networkd.reloads()
    assert count > 0
    many = ["10.0.1.{}".format(last) for last in range(100, 150)]
    with pinged(lab, eni.addresses):
        for one in many:
            lab.assign("eth1", one)
        refresh(lab)
        assert unreachable(lab, many) == []
        assert state(lab) == "in step"
        for one in many:
            lab.unassign("eth1", one)
        refresh(lab)
    assert changes(before, look(lab)) == []
    shown = lab.host(["ip", "route", "show", "root", "198.18.0.0/16"]).stdout
    assert shown.count("via 10.0.1.1 dev eth1") == 2
    assert lab.networkd.reloads() == count


def test_what_others_do_to_networkd_takes_nothing_of_ours(lab, eni):
    # A drop-in that is new has the next reload configure the link anew, some time after it.
    drop_in(lab, "[X-EC2Net]\nEC2PROVISIONPFXIPS=yes\n")
    lab.host(["networkctl", "reload"])
    every = [*eni.addresses, *eni.ipv6, "10.0.1.20"]
    wait_until(lambda: refresh(lab) == "" and unreachable(lab, every) == [], 20)
    ours = rules(lab)
    lab.host(["ip", "rule", "add", "pref", "500", "from", "192.0.2.1", "lookup", "500"])

    def another():
        lab.attach("eth2", addresses=2)
        lab.host(["ec2ifup", "eth2"])

    def crash():
        lab.networkd.kill()
        lab.networkd.start()

    events = (lambda: lab.host(["networkctl", "reload"]), another, lab.networkd.restart, crash)
    with pinged(lab, [eni.address, eni.addresses[2], eni.ipv6[1]]):
        for act in events:
            act()
            assert set(ours) <= set(rules(lab))
            for name in ("eth0", "eth1"):
                lab.networkd.wait(name)
            assert set(ours) <= set(rules(lab))
            answers(lab, every)
            assert (refresh(lab), state(lab)) == ("", "in step")
    assert (unreachable(lab, lab.enis["eth2"].addresses), state(lab, "eth2")) == ([], "in step")


def traces(lab):
    """Return what of eth1 is left that a snapshot does not show."""
    names = lab.host(["ls", "/run/ec2net"]).stdout.split()
    groups = lab.host(["ip", "-o", "link"]).stdout.count("group 10000")
    return [name for name in names if "eth1" in name and "lock-" not in name] + [groups]


@pytest.mark.parametrize("how", ["ec2ifdown", "detached", "detached and replaced"])
def test_nothing_is_left_of_an_eni_that_goes(lab, how):
    before = look(lab)
    first = lab.attach("eth1", addresses=3, prefixes=["10.0.1.16/28"], ipv6=2)
    lab.host(["ec2ifup", "eth1"])
    assert unreachable(lab, first.addresses) == []
    if how == "ec2ifdown":
        lab.host(["ec2ifdown", "eth1"])
        assert (changes(before, look(lab)), traces(lab)[-1]) == ([], 0)
    lab.detach("eth1")
    if how != "detached and replaced":
        hotplug(lab, "remove")
        assert (changes(before, look(lab)), traces(lab)) == ([], [0])
    second = lab.attach("eth1", subnet="10.0.2.0/24", addresses=2, ipv6=1)
    lab.host(["ec2ifup", "eth1"])
    answers(lab, second.addresses + second.ipv6)
    assert second.mac in read(lab, OURS)
    assert state(lab) == "in step"
    assert "10.0.1." not in str(lab.snapshot())


def reboot(lab, eni):
    """Have an ENI on a host that knows no more of it than what lasts, and no metadata."""
    lab.detach("eth1")
    lab.networkd.stop()
    lab.host(["sh", "-c", "rm -r /run/ec2net /run/systemd/network/*"])
    for rule in ("-4 rule del pref 9990", "-4 rule del pref 10001", "-6 rule del pref 9990",
                 "-6 rule del pref 10001"):
        lab.host(["sh", "-c", "while ip {} 2>/dev/null; do :; done".format(rule)])
    lab.attach("eth1", addresses=eni.addresses, ipv6=eni.ipv6, mac=eni.mac, prefixes=eni.prefixes)
    lab.imds_endpoint("disabled")
    # What the unit does that comes before networkd's.
    lab.host(["sh", "-c", "cp {}*.network {}".format(KEPT, RUN)])
    lab.networkd.start()


def test_a_boot_without_metadata_goes_by_the_kept_files(lab, eni):
    before = rules(lab)
    reboot(lab, eni)
    result = lab.host(["ec2ifup", "eth1"])
    assert "brought up as configured before" in result.stderr
    answers(lab, eni.addresses + eni.ipv6)
    # Which cards are ENIs only metadata knows; what all of them share waits for it.
    assert sorted(rules(lab)) == sorted(one for one in before if not one.startswith("9990:"))
    assert lab.drops("eth0") + lab.drops("eth1") == 0
    said = lab.host(["ec2net", "status"], check=False)
    assert (said.returncode, "403" in said.stderr) == (75, True)
    assert said.stdout.count("last known configuration, from before the boot") == 1
    lab.imds_endpoint("enabled")
    refresh(lab)
    assert (sorted(rules(lab)), state(lab)) == (sorted(before), "in step")
    lab.imds_endpoint("disabled")
    assert "last known" not in lab.host(["ec2net", "status"], check=False).stdout


@once
def test_another_card_is_not_brought_up_by_the_kept_files(lab, eni):
    reboot(lab, eni)
    lab.detach("eth1")
    lab.attach("eth1", subnet="10.0.2.0/24")
    assert lab.host(["ec2ifup", "eth1"], check=False).returncode == 75
    assert "10.0." not in lab.host(["ip", "address", "show", "dev", "eth1"]).stdout
    assert "10001" not in str(rules(lab))


@once
def test_an_administrators_file_takes_the_place_of_ours(lab):
    write(lab, MINE, "[Match]\nName=eth1\n\n[Network]\nAddress=10.0.1.10/24\nIPv6AcceptRA=no\n")
    lab.attach("eth1", addresses=2)
    lab.host(["networkctl", "reload"])
    lab.networkd.wait("eth1")
    before = look(lab)
    assert "left alone: {} takes the place".format(MINE) in lab.host(["ec2ifup", "eth1"]).stderr
    refresh(lab)
    assert changes(before, look(lab)) == []
    said = lab.host(["ec2net", "status"]).stdout
    assert (state(lab), MINE + " takes the place of ours" in said) == ("unmanaged", True)


@once
def test_sync_no_in_a_drop_in(lab, eni):
    drop_in(lab, "[X-EC2Net]\nEC2SYNC=no\n")
    lab.unassign("eth1", eni.addresses[1])
    before = look(lab)
    for command in ("ec2net refresh", "ec2ifup eth1", "ec2ifdown eth1", "ec2ifscan"):
        lab.host(command.split())
        assert changes(before, look(lab)) == [], command
    said = lab.host(["ec2net", "status"]).stdout
    assert (state(lab), "EC2SYNC=no" in said) == ("unmanaged", True)


def test_no_default_route_in_main(lab, eni):
    def in_main():
        return lab.host(["ip", "route", "show", "default", "dev", "eth1"]).stdout.count("via")

    assert in_main() == 1
    drop_in(lab, "[X-EC2Net]\nMAINROUTETABLE=no\n")
    refresh(lab)
    assert in_main() == 0
    lab.host(["networkctl", "reload"])
    lab.networkd.wait("eth1")
    answers(lab, eni.addresses + eni.ipv6)
    refresh(lab)
    assert (in_main(), state(lab)) == (0, "in step")
    lab.host(["ec2ifdown", "eth1"])
    lab.host(["ec2ifup", "eth1"])
    assert unreachable(lab, eni.addresses) == []
    assert in_main() == 0


def netplan(lab):
    """Have the primary and each card that comes be configured by what netplan makes."""
    lab.host(["mkdir", "/etc/netplan"])
    write(lab, "/etc/netplan/90-default.yaml", NETPLAN)
    lab.host(["netplan", "generate"])
    lab.host(["networkctl", "reload"])
    theirs = RUN + "10-netplan-all-eth.network"
    wait_until(lambda: lab.networkd.link("eth0").get("NETWORK_FILE") == theirs, 10)
    lab.networkd.wait("eth0")


def test_ours_comes_before_what_netplan_makes_for_each_card(lab):
    netplan(lab)
    before, first = look(lab), RUN + "07-eth1.network"
    for is_seen in (True, False):
        eni = lab.attach("eth1", addresses=2)
        lab.networkd.wait("eth1")
        if not is_seen:
            # As long as networkd has not come to look at the card, it says nothing of it.
            index = read(lab, "/sys/class/net/eth1/ifindex").strip()
            lab.host(["rm", "/run/systemd/netif/links/" + index])
        lab.host(["ec2ifup", "eth1"])
        wait_until(lambda: lab.networkd.link("eth1").get("NETWORK_FILE") == first, 10)
        answers(lab, eni.addresses)
        lab.networkd.restart()
        lab.networkd.wait("eth1")
        assert (refresh(lab), state(lab), read(lab, OURS)) == ("", "in step", None)
        assert lab.drops("eth0") + lab.drops("eth1") == 0
        lab.detach("eth1")
        hotplug(lab, "remove")
        assert (changes(before, look(lab)), traces(lab)) == ([], [0])


def test_enis_on_the_primarys_subnet(lab):
    every = list(lab.enis["eth0"].addresses)
    for name in ("eth1", "eth2"):
        every += lab.attach(name, subnet="10.0.0.0/24", addresses=2).addresses
        lab.host(["ec2ifup", name])
    assert unreachable(lab, every) == []
    lab.networkd.restart()
    for name in lab.enis:
        lab.networkd.wait(name)
    assert unreachable(lab, every) == []
    for source in ([], ["from", "10.0.0.10"]):
        assert "dev eth0" in lab.host(["ip", "route", "get", "10.0.0.99", *source]).stdout
    assert refresh(lab) == ""
    assert sum(lab.drops(name) for name in lab.enis) == 0
    assert (state(lab), state(lab, "eth2")) == ("in step", "in step")


def test_an_ipv6_only_eni(lab):
    write(lab, "/etc/ec2net/ec2net.conf", "[metadata]\nattach_deadline = 3\n")
    before = look(lab)
    eni = lab.attach("eth1", subnet6="2001:db8:0:1::/64", ipv6=2, ipv6_only=True)
    lab.host(["ec2ifup", "eth1"])
    answers(lab, eni.ipv6)
    refresh(lab)
    assert state(lab) == "in step"
    assert all(lab.sent("eth1", one) for one in eni.ipv6)
    lab.host(["ec2ifdown", "eth1"])
    assert changes(before, look(lab)) == []


@once
def test_metadata_that_fails_takes_nothing_away(lab, eni):
    write(lab, "/etc/ec2net/ec2net.conf",
          "[metadata]\ndeadline = 1\nread_timeout = 0.3\nconnect_timeout = 0.3\n")
    lab.networkd.wait("eth1")
    refresh(lab)
    before = look(lab)
    with pinged(lab, [eni.address, eni.addresses[2], eni.ipv6[1]]):
        for place in ("api/token", "/mac$", "macs/$", "local-ipv4s", ".*"):
            for fault in ({"status": 500}, {"body": "<html>"}, {"action": "hang"}):
                lab.fault(place, **fault)
                code = lab.host(["ec2net", "refresh"], check=False).returncode
                assert (code in (0, 1, 75), changes(before, look(lab))) == (True, []), fault
                lab.clear_faults()
    assert (refresh(lab), state(lab)) == ("", "in step")
