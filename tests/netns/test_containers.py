"""Containers and ENIs: published ports answer by the ENI that was asked, containers reach the host.

A container is a network namespace behind a bridge, with the NAT that docker makes (tests/lab).
"""

import pytest

from tests.lab import ask
from tests.lab.container import Docker
from tests.netns.conftest import on_all
from tests.netns.driver import hotplug, status, wait_until, write
from tests.netns.looks import changes, look
from tests.netns.talk import asked, configure, no_drops, unanswered

MAIN_FIRST = ["priority", "9990", "lookup", "main",
              "suppress_prefixlength", "1", "suppress_ifgroup", "10000"]
MARKS = [
    "-A EC2NET -i eth1 -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x100/0x3f00",
    "-A EC2NET -i eth0 -j RETURN",
    "-A EC2NET -i eth1 -j RETURN",
    "-A EC2NET -m connmark ! --mark 0x0/0x3f00 -j CONNMARK --restore-mark"
    " --nfmask 0x3f00 --ctmask 0x3f00",
]


def install_docker(lab):
    """Stand in for the package: an empty program by which a host is known to run containers."""
    lab.host(["install", "-m", "755", "/dev/null", "/usr/bin/dockerd"])


def marks(lab):
    """Return the rules by which connections are marked, where they are in use."""
    lines = lab.host(["iptables-save", "-t", "mangle"]).stdout.splitlines()
    found = [line for line in lines if line.startswith("-A EC2NET ")]
    return found if lines.count("-A PREROUTING -j EC2NET") == 1 else []


@pytest.mark.parametrize("subnet", ["10.0.1.0/24", "10.0.0.0/24"], ids=["own", "primarys"])
@on_all
def test_a_published_port_answers_by_the_eni_that_was_asked(lab, subnet):
    eni = lab.attach("eth1", subnet=subnet, addresses=2)
    outside, (neighbour, address) = lab.namespaces.client, lab.neighbour(subnet)
    docker = Docker(lab)
    docker.publish(docker.run(), eni.addresses)
    answers = dict.fromkeys(eni.addresses, "container2 to 198.51.100.10")
    inside = dict.fromkeys(eni.addresses, "container2 to " + address)

    configure(lab, "containers = no")
    lab.host(["ec2ifup", "eth1"])
    assert ask(outside, eni.addresses) == {}
    # The container's answers have left by the primary ENI, and EC2 drops them.
    assert all(lab.drops("eth0", source) for source in eni.addresses)
    # In a subnet that only this ENI is in there is no wrong way.
    assert ask(neighbour, eni.addresses) == ({} if subnet == "10.0.0.0/24" else inside)

    configure(lab, "containers = auto")
    lab.host(["ec2net", "refresh"])
    with no_drops(lab):
        assert ask(outside, eni.addresses) == answers
        assert ask(neighbour, eni.addresses) == inside
    # The request is not marked, the answer is: a strict reverse path filter drops the request.
    lab.namespaces.host.sysctl({f"net/ipv4/conf/{name}/rp_filter": 1 for name in ("all", "eth1")})
    assert ask(outside, eni.addresses) == {}
    lab.host(["ec2net", "refresh"])
    assert ask(outside, eni.addresses) == answers


@pytest.mark.parametrize("lab", ["networkd-247", "networkd-252", "networkd-257"], indirect=True)
def test_networkd_takes_neither_marks_nor_main_first(lab):
    # In the primary's subnet, where an answer has two ways.
    eni = lab.attach("eth1", subnet="10.0.0.0/24", addresses=2)
    docker = Docker(lab)
    docker.publish(docker.run(), ["10.0.0.10", *eni.addresses])
    lab.host(["ec2ifup", "eth1"])
    lab.networkd.wait("eth1")
    outside, rules = lab.namespaces.client, lab.host(["ip", "rule"]).stdout
    assert "suppress_ifgroup 10000" in rules and "fwmark 0x100/0x3f00" in rules

    def look_again():
        for name in ("eth0", "eth1"):
            lab.networkd.wait(name)
        assert lab.host(["ip", "rule"]).stdout == rules
        assert marks(lab) != []
        with no_drops(lab):
            assert unanswered(outside, ["10.0.0.10", *eni.addresses]) == []

    with no_drops(lab), asked(outside, eni.addresses):
        lab.host(["networkctl", "reload"])
        look_again()
        lab.networkd.restart()
        look_again()
    # With a file that has changed the link is configured anew. 247 and 252 take the lease's address
    # away for a moment.
    drop_in = "/etc/systemd/network/70-eth1.network.d"
    lab.host(["mkdir", drop_in])
    write(lab, drop_in + "/mine.conf", "[Link]\nMTUBytes=1400\n")
    lab.host(["networkctl", "reload"])
    wait_until(lambda: "mtu 1400" in lab.host(["ip", "link", "show", "dev", "eth1"]).stdout)
    look_again()
    wait_until(lambda: status(lab)["eth1"]["state"] == "in step")


def test_the_bridge_may_come_after_the_eni(lab):
    install_docker(lab)
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    lab.host(["ec2ifup", "eth1"])
    docker = Docker(lab)
    docker.publish(docker.run(), eni.addresses)
    with no_drops(lab):
        assert unanswered(lab.namespaces.client, eni.addresses) == []


def test_a_host_without_containers_gets_no_marks(lab):
    lab.attach("eth1", subnet="10.0.1.0/24")
    lab.host(["ec2ifup", "eth1"])
    assert "EC2NET" not in lab.host(["iptables-save"]).stdout
    assert "fwmark" not in lab.host(["ip", "rule"]).stdout


def test_a_flushed_firewall_is_mended_by_a_refresh(lab):
    install_docker(lab)
    eni = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    lab.host(["ec2ifup", "eth1"])
    docker = Docker(lab)
    docker.publish(docker.run(), eni.addresses)
    outside = lab.namespaces.client
    assert marks(lab) == MARKS
    flushed = "iptables -t mangle -F"
    for command in (flushed, flushed + "; iptables -t mangle -X", flushed + " EC2NET"):
        lab.host(["sh", "-ec", command])
        assert unanswered(outside, eni.addresses) == list(eni.addresses), command
        lab.host(["ec2net", "refresh"])
        assert marks(lab) == MARKS
        with no_drops(lab):
            assert unanswered(outside, eni.addresses) == []
    # What is configured is known without metadata as well.
    lab.host(["sh", "-ec", flushed])
    lab.fault(".*", status=403)
    assert lab.host(["ec2net", "refresh"], check=False).returncode == 75
    assert marks(lab) == MARKS
    with no_drops(lab):
        assert unanswered(outside, eni.addresses) == []


def test_two_enis_publish_the_same_port_of_a_container(lab):
    enis = [lab.attach("eth1", subnet="10.0.1.0/24"), lab.attach("eth2", subnet="10.0.2.0/24")]
    neighbours = [lab.neighbour(str(eni.subnet)).namespace for eni in enis]
    addresses = [eni.address for eni in enis]
    docker = Docker(lab)
    docker.publish(docker.run(), ["10.0.0.10", *addresses])
    for eni in enis:
        lab.host(["ec2ifup", eni.name])
    with no_drops(lab):
        assert unanswered(lab.namespaces.client, ["10.0.0.10", *addresses]) == []
        # Each one's, also across.
        for neighbour in neighbours:
            assert unanswered(neighbour, addresses) == []
    # Who else has a value of its own goes on with it when the first goes.
    lab.host(["ec2ifdown", "eth1"])
    with no_drops(lab):
        assert unanswered(lab.namespaces.client, ["10.0.0.10", enis[1].address]) == []


@on_all
def test_a_container_reaches_every_address_of_the_host(lab):
    lab.assign("eth0", "10.0.0.11")
    second = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    container = Docker(lab).run().namespace
    lab.host(["ec2ifup", "eth1"])
    lab.host(["ec2net", "refresh"])
    for namespace in (lab.namespaces.host, lab.namespaces.client):
        lab.serve(namespace, 8080)
    addresses = ["10.0.0.10", "10.0.0.11", *second.addresses]
    lab.host(["ip", "rule", "del", *MAIN_FIRST])
    assert unanswered(container, addresses, port=8080) == list(second.addresses)
    lab.host(["ec2net", "refresh"])
    with no_drops(lab):
        assert ask(container, addresses, 8080) == dict.fromkeys(addresses, "host to 172.17.0.2")
        # Out to the internet it goes by the primary ENI, as before.
        assert ask(container, ["198.51.100.10"], 8080) == {"198.51.100.10": "client to 10.0.0.10"}
        for source in addresses:
            assert unanswered(lab.namespaces.host, ["172.17.0.2"], source=source) == []


def test_out_of_a_container_to_the_subnet_of_the_second_eni(lab):
    lab.attach("eth1", subnet="10.0.1.0/24")
    neighbour, address = lab.neighbour("10.0.1.0/24")
    lab.serve(neighbour, 8080)
    container = Docker(lab).run().namespace
    lab.host(["ec2ifup", "eth1"])
    with no_drops(lab):
        assert ask(container, [address], 8080) == {address: "neighbour0 to 10.0.1.10"}


def test_marks_come_and_go_with_the_setting_and_the_eni(lab):
    before = look(lab)
    firewall = lab.host(["iptables-save"]).stdout
    lab.attach("eth1", subnet="10.0.1.0/24")
    rule = "10001:\tfrom all fwmark 0x100/0x3f00 lookup 10001"
    for containers in ("no", "yes", "no", "yes"):
        configure(lab, "containers = " + containers)
        lab.host(["ec2ifup", "eth1"])
        there = lab.host(["ip", "rule"]).stdout.splitlines().count(rule)
        assert (marks(lab), there) == ((MARKS, 1) if containers == "yes" else ([], 0))
        assert "EC2NET" not in lab.host(["iptables-save"]).stdout or containers == "yes"
        assert status(lab)["eth1"]["state"] == "in step"
    lab.host(["ec2ifdown", "eth1"])
    hotplug(lab, "remove")
    assert changes(before, look(lab)) == []
    assert "EC2NET" not in lab.host(["iptables-save"]).stdout
    assert "EC2NET" not in lab.host(["ip6tables-save"]).stdout
    assert firewall == ""
