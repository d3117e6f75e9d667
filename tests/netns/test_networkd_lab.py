"""The lab's host with systemd-networkd, in each version; without the product."""

import json
import os
import re
from pathlib import Path

import pytest

from tests import lab as vpc
from tests.lab import networkd
from tests.netns.driver import unreachable, write

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
FILE = """\
[Match]
Name=eth1
MACAddress={mac}

[Network]
DHCP=ipv4

[DHCPv4]
RouteMetric=10001
"""

# As docs/networkd.md recommends it.
LASTING = """\
[Match]
Name={name}
MACAddress={mac}

[Link]
Group=10000
RequiredForOnline=no

[Network]
DHCP=ipv4
IPv6AcceptRA=yes
KeepConfiguration=yes

[DHCPv4]
RouteMetric={table}
UseDNS=no
UseHostname=no
RoutesToDNS=no

[IPv6AcceptRA]
RouteTable={table}
UseDNS=no
UseAutonomousPrefix=no
UseOnLinkPrefix=no
DHCPv6Client=no

[Route]
Destination={network}
Scope=link
Table={table}

[Route]
Gateway=_dhcp4
Table={table}

[Route]
Destination={network6}
Table={table}
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


def test_a_crash_is_followed_by_a_start(lab):
    configure(lab)
    first = pid(lab)
    lab.host(["kill", "-ABRT", first])
    vpc.wait_for(lambda: not pid(lab), what="its end")
    # Its file says so still; it is the wait that finds it gone.
    assert lab.networkd.wait("eth1")["NETWORK_FILE"] == "/run/systemd/network/70-eth1.network"
    assert pid(lab) not in ("", first)


def test_leases_are_renewed(lab):
    configure(lab, renew_after=3)
    before = lab.dhcp_log("eth1").count("DHCPACK")
    vpc.wait_for(lambda: lab.dhcp_log("eth1").count("DHCPACK") > before, what="a renewal")


def golden_eni(lab, case):
    """Attach the ENI that a golden tree is about."""
    macs = json.loads((case / "imds.json").read_text(encoding="utf-8"))["macs"]
    mac, keys = next(item for item in macs.items() if item[1]["device-number"] == "1")
    return lab.attach(
        "eth1", subnet=keys.get("subnet-ipv4-cidr-block"), mac=mac,
        addresses=keys.get("local-ipv4s", "").split(), ipv6=keys.get("ipv6s", "").split(),
        subnet6=keys.get("subnet-ipv6-cidr-blocks"), ipv6_only="local-ipv4s" not in keys)


def test_each_golden_file_is_read_without_a_complaint(lab, request):
    version = request.node.callspec.params["lab"]
    cases = sorted(GOLDEN.glob("networkd-{}-*".format(version)))
    assert cases != []
    for case in cases:
        golden_eni(lab, case)
        (source,) = case.glob("after/run/systemd/network/*-eth1.network")
        path = "/run/systemd/network/" + source.name
        write(lab, path, source.read_text(encoding="utf-8"))
        lab.host(["networkctl", "reload"])
        vpc.wait_for(lambda path=path: lab.networkd.link("eth1").get("NETWORK_FILE") == path,
                     what=path + " to be taken")
        lab.networkd.wait("eth1")
        lab.host(["rm", path])
        lab.detach("eth1")
    # What it does not know it tells with the file's path, what it cannot do with the link's name.
    complaint = re.compile(r"/\d\d-eth1\.network:|^eth1: (?:Could not|Failed)")
    assert [line for line in lab.networkd.log().splitlines() if complaint.search(line)] == []


def lasting(lab, name, **options):
    """Attach an ENI with IPv6, and write the file that it keeps for life."""
    eni = lab.attach(name, ipv6=1, **options)
    write(lab, "/run/systemd/network/70-%s.network" % name, LASTING.format(
        name=name, mac=eni.mac, network=eni.link.network, network6=eni.subnet6,
        table=10000 + eni.device_number))
    return eni


def ip(lab, lines):
    """Run commands of ip, in the families of their addresses."""
    for family in "46":
        batch = [line for line in lines if (":" in line) == (family == "6")]
        lab.host(["ip", "-" + family, "-batch", "-"], input="\n".join(batch) + "\n")


def changes(action, addresses):
    """Return what adds or deletes addresses of eth1, and rules that networkd leaves alone."""
    for address in addresses:
        width = 128 if ":" in address else 32
        yield "address {} {}/{} dev eth1 noprefixroute{}".format(
            action, address, width, " nodad" if ":" in address and action == "add" else "")
        yield "rule {} from {} table 10001 pref 10001 protocol kernel".format(action, address)


def test_what_ip_adds_stays_and_nothing_is_lost(lab):
    lab.host(["mkdir", "/etc/systemd/network/70-eth1.network.d"])
    write(lab, "/etc/systemd/network/70-eth1.network.d/mine.conf",
          "[Route]\nDestination=198.18.0.0/24\nGateway=10.0.1.1\n")
    lab.host(["sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad"])
    eni = lasting(lab, "eth1", addresses=2)
    lab.host(["networkctl", "reload"])
    lab.networkd.wait("eth1")
    first = "rule add from {} table 10001 pref 10001 protocol kernel".format(eni.address)
    wide = "rule add table main pref 9990 suppress_prefixlength 1 protocol kernel"
    ip(lab, [first, wide, *changes("add", eni.addresses[1:] + eni.ipv6)])
    targets = [eni.address, eni.addresses[1], eni.ipv6[0]]
    vpc.wait_for(lambda: all(map(lab.pings, targets)), what="answers")

    count = 100
    pings = []
    for target in targets:
        with (lab.directory / target).open("w") as output:
            pings.append(lab.namespaces.client.popen(
                ["ping", "-n", "-q", "-i", "0.1", "-c", str(count), "-W", "1", target],
                stdout=output))
    many = ["10.0.1.%d" % number for number in range(100, 150)]
    ip(lab, changes("add", many))
    ip(lab, changes("del", many))
    lasting(lab, "eth2")
    lab.host(["networkctl", "reload"])
    lab.networkd.wait("eth2")
    lab.networkd.restart()
    lab.networkd.wait("eth1")
    assert [ping.poll() for ping in pings] == [None] * 3, "it took longer than the pings"
    for target, ping in zip(targets, pings):
        ping.wait()
        said = (lab.directory / target).read_text()
        assert " {} received".format(count) in said, (target, said)

    assert lab.drops("eth0") == 0
    rules = lab.host(["ip", "rule"]).stdout
    assert "9990:" in rules and "from {} ".format(eni.addresses[1]) in rules
    assert "via 10.0.1.1 dev eth1" in lab.host(["ip", "route", "show", "198.18.0.0/24"]).stdout
    assert "group 10000" in lab.host(["ip", "link", "show", "dev", "eth1"]).stdout
    complaints = [line for line in lab.networkd.log().splitlines()
                  if "70-eth" in line and "onfiguring with" not in line]
    # What the administrator's drop-in makes it say.
    assert [line for line in complaints if "Enabling GatewayOnLink" not in line] == []


def test_nothing_reaches_the_machine(lab):
    mine = "/etc/systemd/network/10-mine.network"
    write(lab, mine, "[Match]\nName=mine\n")
    assert mine in lab.snapshot()["files"]
    assert not any(os.path.exists(path) for path in (mine, "/run/dbus/lab.conf"))
