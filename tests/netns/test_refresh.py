"""`ec2net refresh`: what AWS assigns and takes back arrives, and nothing else notices."""

import re
import tempfile

import pytest

from tests.netns.driver import pinged, read, status, unreachable, wait_until, write
from tests.netns.looks import changes, look

IPV6 = "2001:db8:0:1:"


@pytest.fixture(params=["debian", "rhel"])
def host(build, request):
    """A host without any other ENI than the primary."""
    return build(distribution=request.param)


@pytest.fixture
def lab4(host):
    """A host with an ENI that is up."""
    host.attach("eth1", subnet="10.0.1.0/24", addresses=3, prefixes=["10.0.1.16/28"])
    host.host(["ec2ifup", "eth1"])
    return host


@pytest.fixture
def lab(host):
    """A host with a dual-stack ENI that is up and answers."""
    eni = host.attach("eth1", subnet="10.0.1.0/24", addresses=3, prefixes=["10.0.1.16/28"],
                      ipv6=2, ipv6_prefixes=[IPV6 + "1::/80"])
    host.host(["ec2ifup", "eth1"])
    wait_until(lambda: unreachable(host, eni.addresses + eni.ipv6) == [])
    return host


def refresh(lab, check=True):
    """Run it as under a unit whose stderr is the journal; info messages are shown, too."""
    shell = "JOURNAL_STREAM=$(stat -L -c %d:%i /dev/fd/2) exec ec2net refresh"
    return lab.host(["sh", "-c", shell], check=check)


def addresses(lab, interface):
    """Return the addresses of an interface with their lengths."""
    shown = lab.host(["ip", "-o", "address", "show", "dev", interface, "scope", "global"]).stdout
    return re.findall(r" inet6? (\S+)", shown)


def test_unchanged_addresses_answer_while_others_come_and_go(lab):
    others = ["10.0.1.77", "10.0.1.32/28", IPV6 + ":77", IPV6 + "2::/80"]
    with pinged(lab, ["10.0.0.10", "10.0.1.10", "10.0.1.12", IPV6 + ":10"]):
        before = look(lab)
        for one in others:
            lab.assign("eth1", one)
            refresh(lab)
            assert "from {} ".format(one) in "".join(
                line + " " for line in lab.host(["ip", "rule"]).stdout.splitlines()
                + lab.host(["ip", "-6", "rule"]).stdout.splitlines()
            )
        wait_until(lambda: unreachable(lab, ["10.0.1.77", IPV6 + ":77"]) == [])
        assert status(lab)["eth1"]["state"] == "in step"
        for one in others:
            lab.unassign("eth1", one)
            refresh(lab)
        assert changes(before, look(lab)) == []
        lab.unassign("eth1", "10.0.1.11")
        lab.unassign("eth1", "10.0.1.16/28")
        lab.unassign("eth1", IPV6 + ":11")
        refresh(lab)
    shown = str(look(lab))
    assert [gone for gone in ("10.0.1.11", "10.0.1.16/28", IPV6 + ":11") if gone in shown] == []
    assert all(lab.sent("eth1", address) for address in lab.enis["eth1"].addresses)


def test_a_tick_with_nothing_to_do_then_one_without_the_router(lab):
    """The router is learned from its announcement, the first address by DHCPv6 or metadata."""
    eni = lab.enis["eth1"]
    refresh(lab)
    lab.imds_clear_log()
    before = look(lab)
    assert traced(lab) == []
    requests = lab.imds_requests()
    # The list of its keys and the IPv4 addresses of each; eth1 has four more that may change.
    assert [request["method"] for request in requests] == ["GET"] * (2 + (2 + 4))
    assert len({request["connection"] for request in requests}) == 1
    assert changes(before, look(lab)) == []
    assert refresh(lab).stderr == ""
    assert all(lab.sent("eth1", address) > 0 for address in eni.ipv6)
    table = lab.host(["ip", "-6", "route", "show", "table", "10001"]).stdout
    assert "default via fe80::" in table
    # The router goes and comes back under the same address; the table follows.
    lab.host(["ip", "-6", "route", "flush", "table", "10001"])
    refresh(lab)
    assert unreachable(lab, eni.ipv6) == []
    assert status(lab)["eth1"]["state"] == "in step"
    # Main's route, which the kernel learned, is gone for a while: the copy in the table stays.
    learned = lab.host(["ip", "-6", "route", "show", "default", "dev", "eth1"]).stdout.split()
    assert learned[:2] == ["default", "via"]
    lab.host(["ip", "-6", "route", "del", "default", "via", learned[2], "dev", "eth1"])
    refresh(lab)
    assert "default via fe80::" in lab.host(
        ["ip", "-6", "route", "show", "table", "10001"]).stdout


def test_the_primarys_further_addresses(host):
    # The administrator's before AWS assigned it.
    host.host(["ip", "address", "add", "10.0.0.12/24", "dev", "eth0"])
    before = look(host)
    for address in ("10.0.0.11", "10.0.0.12", "10.0.0.16/28"):
        host.assign("eth0", address)
    refresh(host)
    assert sorted(addresses(host, "eth0")) == ["10.0.0.10/24", "10.0.0.11/32", "10.0.0.12/24"]
    assert unreachable(host, ["10.0.0.10", "10.0.0.11", "10.0.0.12"]) == []
    line = "local 10.0.0.11 dev eth0 table local proto kernel scope host src 10.0.0.11"
    more = changes(before, look(host))
    assert [one for one in more if " 10.0.0.11/32 scope global eth0" not in one] == ["+" + line]
    # Both are taken back at AWS; one was the administrator's.
    host.unassign("eth0", "10.0.0.11")
    host.unassign("eth0", "10.0.0.12")
    refresh(host)
    assert changes(before, look(host)) == []
    assert refresh(host).stderr == ""


@pytest.mark.parametrize("listed", [["10.0.0.11", "10.0.0.10"], ["10.0.0.11"]],
                         ids=["another order", "without its first"])
def test_the_primary_loses_no_address_that_is_listed(host, listed):
    host.assign("eth0", "10.0.0.11")
    refresh(host)
    host.fault("{}/local-ipv4s".format(host.enis["eth0"].mac), body="\n".join(listed))
    refresh(host, check=False)
    assert "10.0.0.11/32" in addresses(host, "eth0")


def traced(lab):
    """Return the arguments of each program that a refresh starts."""
    with tempfile.NamedTemporaryFile("r") as log:
        trace = ["strace", "-f", "-qq", "-s", "200", "-o", log.name, "-e", "trace=execve"]
        lab.host([*trace, "ec2net", "refresh"])
        started = [line for line in log if "execve(" in line and line.rstrip().endswith("= 0")]
    commands = [re.findall(r'"([^"]*)"', line.partition("[")[2].partition("]")[0])
                for line in started]
    assert commands[0][0] == "ec2net"
    assert {command[0] for command in commands[1:]} <= {"ip", "restorecon"}, commands
    return commands[1:]


def test_fifteen_enis_with_fifty_addresses_each(host):
    """From nothing to all of them; measured are the processes of the refresh that follows."""
    host.attach("eth1", subnet="10.0.1.0/24", addresses=1)
    host.host(["ec2ifup", "eth1"])
    host.assign("eth1", "10.0.1.200")
    one = traced(host)
    for number in range(2, 16):
        name = "eth{}".format(number)
        host.attach(name, subnet="10.0.{}.0/24".format(number), addresses=50)
    host.host(["ec2ifscan"], timeout=300)
    enis = [eni for name, eni in host.enis.items() if name != "eth0"]
    for last in range(11, 60):
        host.assign("eth1", "10.0.1.{}".format(last))
    for eni in enis[1:]:
        host.assign(eni.name, str(eni.subnet[200]))
    host.imds_clear_log()
    # Looking takes none; changing takes no more for 700 addresses than for one.
    assert [len(traced(host)), len(one)] == [1, 1]
    requests = host.imds_requests()
    assert len({request["connection"] for request in requests}) == 1
    # Of each the list of its keys and its addresses: the rest was read before.
    assert [request["method"] for request in requests] == ["GET"] * (16 * 2)

    every = [address for eni in host.enis.values() for address in eni.addresses]
    rules = host.host(["ip", "rule"]).stdout
    assert [one for one in every[1:] if "from {} lookup".format(one) not in rules] == []
    ping = 'printf "%s\\n" "$@" | xargs -P 8 -I{} sh -c '
    ping += '"ping -nqc 1 -W 2 {} >/dev/null || ping -nqc 3 -W 2 {} >/dev/null || echo {}"'
    assert host.client(["sh", "-c", ping, "sh", *every], timeout=300).stdout == ""
    assert {row["state"] for name, row in status(host).items() if name[3:] > "0"} == {"in step"}
    # And when there is nothing to do, none.
    assert traced(host) == []


def test_an_eni_that_is_half_there_or_no_longer_listed_stays_as_it_is(lab4):
    lab = lab4
    eni = lab.enis["eth1"]
    lab.attach("eth2", subnet="10.0.2.0/24", delays={"local-ipv4s": 1000})
    # That one is tried to be brought up each time, which says that it is not complete yet.
    lab.host(["mkdir", "-p", "/etc/ec2net"])
    write(lab, "/etc/ec2net/ec2net.conf", "[metadata]\nattach_deadline = 1\n")
    before = look(lab)
    base = "macs/{}/".format(eni.mac)
    half = ["device-number", "interface-id", "ipv6s", "subnet-ipv6-cidr-blocks",
            "subnet-ipv4-cidr-block"]
    for fault in (
        {"path_regex": base, "status": 404},
        {"path_regex": base + "$", "body": "mac\ndevice-number"},
        {"path_regex": base + "$", "body": "\n".join(half)},
        {"path_regex": base + "subnet-ipv4", "status": 404},
        {"path_regex": base + "device-number", "body": "0"},
        # Without the address that it has had from the start.
        {"path_regex": base + "local-ipv4s", "body": "10.0.1.11"},
    ):
        lab.fault(**fault)
        # What others get meanwhile, they get.
        lab.assign("eth0", "10.0.0.60")
        assert refresh(lab, check=False).returncode in (0, 75)
        assert "10.0.0.60/32" in addresses(lab, "eth0")
        lab.unassign("eth0", "10.0.0.60")
        refresh(lab, check=False)
        assert changes(before, look(lab)) == [], fault
        lab.clear_faults()
    assert unreachable(lab, eni.addresses) == []
    lab.detach("eth1")
    assert refresh(lab, check=False).returncode == 75
    assert "10001" not in lab.host(["ip", "rule"]).stdout


def test_one_refresh_repairs_what_was_changed_behind_its_back(lab):
    refresh(lab)
    before = look(lab)
    for spoilt in (
        ["rule del from 10.0.1.11", "addr del 10.0.1.12/32 dev eth1", "-6 rule flush table 10001",
         "-6 addr del {}:11/128 dev eth1".format(IPV6)],
        ["route flush table 10001", "-6 route flush table 10001"],
        ["rule flush table 10001", "route replace default via 10.0.1.254 dev eth1 table 10001"],
        ["rule add pref 10001 from 10.0.1.66 lookup 10001"],
    ):
        for arguments in spoilt:
            lab.host(["ip", *arguments.split()])
        assert look(lab) != before
        assert refresh(lab).stderr.count("\n") == 1
        wait_until(lambda: look(lab) == before)
    assert refresh(lab).stderr == ""
    assert unreachable(lab, lab.enis["eth1"].addresses + lab.enis["eth1"].ipv6) == []


def test_what_is_not_ours_stays(lab4):
    lab = lab4
    for arguments in (
        # Amazon's VPC CNI has rules like these three for its pods.
        "rule add pref 512 from all to 10.0.1.11 lookup main",
        "rule add pref 1024 fwmark 0x80/0x80 lookup main",
        "rule add pref 1536 from 10.0.1.12 lookup 2",
        "rule add pref 10001 from 10.0.1.11 lookup 2",
        "rule add pref 10001 from 10.0.1.11 iif eth0 lookup 10001",
        "rule add pref 10002 from 10.0.1.11 lookup 10001",
        "rule add pref 10001 fwmark 0x1 lookup 10001",
        "-6 rule add pref 1536 from 2001:db8:0:1::11 lookup 2",
        "addr add 10.0.1.99/24 dev eth1",
        "addr add 192.0.2.7/32 dev eth0",
        "route add 192.0.2.128/25 via 10.0.1.1 dev eth1 table 10001",
        "route add 192.0.2.64/26 via 10.0.1.1 dev eth1",
        "route add blackhole 192.0.2.32/27 table 10001",
        "route add default via 10.0.1.1 dev eth1 table 2",
        "-6 addr add 2001:db8:0:1::99/128 dev eth1 nodad",
    ):
        lab.host(["ip", *arguments.split()])
    before = look(lab)
    for change in ("10.0.1.77", "10.0.1.32/28"):
        lab.assign("eth1", change)
        refresh(lab)
        lab.unassign("eth1", change)
        refresh(lab)
    assert changes(before, look(lab)) == []


def test_one_eni_that_fails_does_not_keep_the_others_waiting(host):
    for number in (1, 2):
        name = "eth{}".format(number)
        host.attach(name, subnet="10.0.{}.0/24".format(number), addresses=1)
        host.host(["ec2ifup", name])
        host.assign(name, "10.0.{}.77".format(number))
    path = {"debian": "/etc/network/interfaces.d/eth1.cfg",
            "rhel": "/etc/sysconfig/network-scripts/rule-eth1"}[host.distribution]
    write(host, "/etc/elsewhere", read(host, path))
    host.host(["ln", "-sf", "/etc/elsewhere", path])
    assert refresh(host, check=False).returncode == 1
    assert unreachable(host, ["10.0.2.77"]) == []
