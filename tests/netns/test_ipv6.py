"""IPv6 of the primary and of secondaries beside it, whichever hears its router first."""

import pytest

from tests.netns.conftest import on_all, on_both
from tests.netns.driver import (
    hotplug,
    restart_primary,
    set_knob,
    status,
    unreachable,
    wait_until,
    write,
)

AWAY = "2001:db8:ffff::9"
METRIC = "/proc/sys/net/ipv6/conf/eth1/ra_defrtr_metric"


@pytest.fixture
def lab(build, request):
    """A host whose primary has IPv6, which has come up."""
    distribution, _, version = getattr(request, "param", "debian").partition("-")
    lab = build(distribution=distribution, networkd=version or None, primary_ipv6=1)
    wait_until(lambda: "via" in main(lab, "eth0"))
    return lab


def ip6(lab, *arguments):
    return lab.host(["ip", "-6", *arguments]).stdout


def main(lab, device, destination="default"):
    """Return main's routes to a destination by a device."""
    return ip6(lab, "route", "show", destination, "dev", device)


def out_by(lab, name, destination=AWAY):
    """Return the device by which packets of that one's first address leave."""
    address = lab.enis[name].ipv6[0]
    answer = lab.host(["ip", "-6", "route", "get", destination, "from", address], check=False)
    return answer.stdout.split(" dev ")[-1].split()[0] if answer.stdout else answer.stderr


def forward(lab):
    """Forward packets, as docker and Kubernetes have it; the primary hears its router nevertheless.

    networkd hears routers itself, and by default not on a link that forwards.
    """
    if lab.distribution == "networkd":
        lab.host(["mkdir", "/etc/systemd/network/20-eth0.network.d"])
        write(lab, "/etc/systemd/network/20-eth0.network.d/router.conf",
              "[Network]\nIPv6AcceptRA=yes\n")
        lab.host(["networkctl", "reload"])
    lab.namespaces.host.sysctl({
        "net/ipv6/conf/eth0/accept_ra": 2,
        "net/ipv6/conf/all/forwarding": 1,
    })


def without_the_parameter(lab):
    """Let the kernel be as before Linux 5.12, as far as anybody can see."""
    lab.host(["mount", "--bind", "/dev/null", METRIC])


def primary_anew(lab):
    """Have the primary come last, and wait until it has its router and its addresses."""
    restart_primary(lab)
    wait_until(lambda: "via" in main(lab, "eth0"))
    wait_until(lambda: unreachable(lab, lab.enis["eth0"].ipv6) == [])


def everything_answers(lab):
    """Each address answers, and by its own ENI; what has no sender's address is the primary's."""
    for name in lab.enis:
        wait_until(lambda name=name: out_by(lab, name) == name, 20)
    # An interface that has a router and no address yet uses another's.
    before = dropped(lab)
    for eni in lab.enis.values():
        assert unreachable(lab, eni.addresses + eni.ipv6) == []
    assert " dev eth0 " in ip6(lab, "route", "get", AWAY)
    assert dropped(lab) == before


def dropped(lab):
    return {name: lab.vpc_router.counters(eni, "dropped") for name, eni in lab.enis.items()}


def ready(lab, name="eth1"):
    """Wait until the table has the router that was heard."""
    table = "1000" + name[3:]
    show = ["ip", "-6", "route", "show", "table", table]
    wait_until(lambda: "default" in lab.host(show, check=False).stdout, 20)


@pytest.mark.parametrize("forwarding", [False, True], ids=["host", "router"])
@pytest.mark.parametrize("subnet6", ["2001:db8:0:1::/64", "2001:db8::/64"],
                         ids=["own-subnet", "same-subnet"])
@on_all
def test_the_primary_wins_when_it_comes_last(lab, subnet6, forwarding):
    if forwarding:
        forward(lab)
    lab.attach("eth1", addresses=2, subnet6=subnet6, ipv6=2)
    lab.host(["ec2ifup", "eth1"])
    ready(lab)
    everything_answers(lab)
    primary_anew(lab)
    everything_answers(lab)
    # A neighbour, too, if both are in one subnet.
    assert out_by(lab, "eth0", "2001:db8::77") == "eth0"
    assert out_by(lab, "eth1", "2001:db8::77") == "eth1"
    lab.host(["ec2net", "refresh"])
    everything_answers(lab)
    assert status(lab)["eth1"]["state"] == "in step"


@on_both
def test_a_boot_that_brings_the_secondary_first(lab):
    lab.attach("eth1", ipv6=2)
    hotplug(lab, "add")
    lab.host(["ifdown", "eth0"])
    lab.namespaces.host.sysctl({"net/ipv6/conf/all/forwarding": 1})
    # A link tells its neighbours of its address for a second before it asks for a router.
    lab.namespaces.host.sysctl({
        "net/ipv6/conf/eth1/" + key: 1
        for key in ("accept_dad", "dad_transmits", "router_solicitation_delay")
    })
    lab.imds_stop()
    lab.host(["sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/eth1/accept_ra; rm -rf /run/ec2net"])
    lab.host(["ifup", "eth1"])
    ready(lab)
    lab.namespaces.host.sysctl({"net/ipv6/conf/eth0/accept_ra": 2})
    lab.host(["ifup", "eth0"])
    wait_until(lambda: "via" in main(lab, "eth0"))
    lab.imds_start()
    everything_answers(lab)


def refreshed(lab):
    """Refresh, and return main's IPv6 default routes by eth1 and what status says of it.

    Each advertisement brings main's route back until the next refresh.
    """
    lab.host(["ec2net", "refresh"])
    return main(lab, "eth1"), status(lab)["eth1"]["state"]


def is_moved(routes):
    """Whether the one default route comes after the primary's, and is none that was learned."""
    return routes.count("default") == routes.count("metric 10001") == 1 and "proto ra" not in routes


@on_both
def test_a_kernel_without_a_metric_for_advertisements(lab):
    lab.attach("eth1", ipv6=2)
    without_the_parameter(lab)
    lab.host(["ec2ifup", "eth1"])
    ready(lab)
    wait_until(lambda: "metric 10001" in main(lab, "eth1"))
    # The next advertisement is learned as ever, and moved by the next event.
    lab.host(["ip", "-6", "route", "del", "default", "dev", "eth0"])
    lab.host(["sh", "-c", "ip link set eth1 down; ip link set eth1 up"])
    wait_until(lambda: "proto ra" in main(lab, "eth1"))
    primary_anew(lab)
    wait_until(lambda: is_moved(refreshed(lab)[0]))
    everything_answers(lab)
    # Another refresh makes nothing twice.
    wait_until(lambda: is_moved(refreshed(lab)[0]))
    assert ip6(lab, "route", "show", "table", "10001").count("default") == 1


@on_all
def test_two_secondaries_in_the_subnet_of_the_primary(lab):
    for name in ("eth1", "eth2"):
        lab.attach(name, subnet="10.0.0.0/24", subnet6="2001:db8::/64", ipv6=1)
        lab.host(["ec2ifup", name])
        ready(lab, name)
    everything_answers(lab)
    primary_anew(lab)
    everything_answers(lab)
    assert [out_by(lab, name, "2001:db8::77") for name in lab.enis] == ["eth0", "eth1", "eth2"]


@on_both
def test_mainroutetable_no(lab):
    lab.attach("eth1", ipv6=1)
    hotplug(lab, "add")
    set_knob(lab, "MAINROUTETABLE", "no")
    lab.host(["ec2ifup", "eth1"])
    ready(lab)
    wait_until(lambda: refreshed(lab) == ("", "in step"))
    everything_answers(lab)
    # An administrator's own is not touched.
    own = "default via fe80::1 metric 3000 "
    lab.host(["ip", "-6", "route", "add", *own.split(), "dev", "eth1"])
    wait_until(lambda: refreshed(lab)[1] == "in step" and own in main(lab, "eth1"))


@on_both
def test_an_interface_that_is_up_already_gets_ipv6(lab):
    """It has heard its router before anything of ours was there."""
    lab.attach("eth1", ipv6=1)
    eni = lab.enis["eth1"]
    lab.host(["ip", "link", "set", "eth1", "up"])
    wait_until(lambda: "metric 1024" in main(lab, "eth1"))
    lab.host(["ec2ifup", "eth1"])
    ready(lab)
    lab.host(["ec2net", "refresh"])
    assert "metric 1024" not in main(lab, "eth1")
    assert "metric 256" not in main(lab, "eth1", str(eni.subnet6))
    everything_answers(lab)


@on_all
def test_a_prefix_without_an_address(lab):
    eni = lab.attach("eth1", subnet6="2001:db8:0:1::/64", ipv6_prefixes=["2001:db8:0:1:ab::/80"])
    lab.host(["ec2ifup", "eth1"])
    if lab.distribution == "rhel":
        # Without an address there is no DHCPv6 whose hook would do it.
        wait_until(lambda: "default" in main(lab, "eth1"))
        lab.host(["ec2net", "refresh"])
    ready(lab)
    assert "from 2001:db8:0:1:ab::/80 lookup 10001" in ip6(lab, "rule")
    # An address of the prefix is some container's; here the host itself answers for it.
    lab.host(["ip", "-6", "address", "add", "2001:db8:0:1:ab::5/128", "dev", "lo"])
    assert unreachable(lab, [*eni.addresses, "2001:db8:0:1:ab::5"]) == []
    assert lab.drops("eth0") + lab.drops("eth1") == 0
    lab.host(["ec2net", "refresh"])
    assert status(lab)["eth1"]["state"] == "in step"
