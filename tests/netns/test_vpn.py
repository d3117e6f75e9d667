"""VPNs beside ENIs: peers reach every address of the host, and the ENIs' answers stay with them.

A tunnel is a cable here, to the one peer that it has.
"""

import pytest

from tests.lab import ask
from tests.netns.conftest import on_all
from tests.netns.driver import hurry_ipv6, unreachable, wait_until
from tests.netns.talk import no_drops, unanswered
from tests.netns.test_containers import MAIN_FIRST

PEER = {4: "10.8.0.2", 6: "fd08::2"}
HALVES = {4: ["0.0.0.0/1", "128.0.0.0/1"], 6: ["::/1", "8000::/1", "2000::/4", "3000::/4"]}


def tunnel(lab):
    """Connect the host to a peer, which sends everything back through the tunnel."""
    peer = lab.namespaces.add("peer")
    descriptor = lab.namespaces.net("peer")
    lab.namespaces.host.run(
        ["ip", "link", "add", "tun0", "type", "veth",
         "peer", "name", "tun0", "netns", f"/proc/self/fd/{descriptor}"], pass_fds=[descriptor])
    for namespace, number in ((lab.namespaces.host, 1), (peer, 2)):
        lines = ["link set tun0 up", f"address add 10.8.0.{number}/24 dev tun0",
                 f"address add fd08::{number}/64 dev tun0 nodad"]
        if namespace is peer:
            lines += ["route add default via 10.8.0.1", "route add default via fd08::1"]
        namespace.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n")
    return peer


def silent(namespace, addresses, *options):
    """Return which of `addresses` do not answer a ping."""
    return [address for address in addresses if namespace.run(
        ["ping", "-n", "-q", "-c", "1", "-W", "1", *options, address], check=False).returncode]


@on_all
def test_peers_and_all_addresses_of_the_host_reach_each_other(lab):
    hurry_ipv6(lab)
    lab.assign("eth0", "10.0.0.11")
    second = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2, ipv6=2)
    lab.host(["ec2ifup", "eth1"])
    # The router is heard in its own time.
    wait_until(lambda: unreachable(lab, second.ipv6) == [])
    lab.host(["ec2net", "refresh"])
    peer = tunnel(lab)
    lab.serve(lab.namespaces.host)
    lab.serve(peer)
    firsts = ["10.8.0.1", "10.0.0.10", "10.0.0.11"]
    theirs = [*second.addresses, *second.ipv6]
    # With nothing but the rules of the ENI the answers go out by it.
    lab.host(["ip", "rule", "del", *MAIN_FIRST])
    lab.host(["ip", "-6", "rule", "del", "priority", "9990"])
    assert unanswered(peer, firsts + theirs) == theirs
    lab.host(["ec2net", "refresh"])
    with no_drops(lab):
        assert unanswered(peer, firsts + theirs) == silent(peer, firsts + theirs) == []
        for source in firsts + theirs:
            address = PEER[6 if ":" in source else 4]
            assert ask(lab.namespaces.host, [address], source=source) == {
                address: "peer to " + source
            }
            assert silent(lab.namespaces.host, [address], "-I", source) == []
        assert unreachable(lab, ["10.0.0.10", "10.0.0.11", *theirs]) == []


@pytest.mark.parametrize("family", [4, 6])
def test_a_vpn_that_takes_everything_takes_no_answers_of_the_second_eni(lab, family):
    hurry_ipv6(lab)
    second = lab.attach("eth1", subnet="10.0.1.0/24", addresses=2, ipv6=2)
    lab.host(["ec2ifup", "eth1"])
    peer = tunnel(lab)
    lab.serve(lab.namespaces.host)
    for half in HALVES[family]:
        lab.host(["ip", "route", "add", half, "via", "10.8.0.2" if family == 4 else "fd08::2"])
    addresses = list(second.ipv6 if family == 6 else second.addresses)
    with no_drops(lab):
        assert unanswered(lab.namespaces.client, addresses) == unreachable(lab, addresses) == []
        assert unanswered(peer, addresses) == []
    # Without the halves of a default route being dropped as well the VPN would get them.
    rule = [word if word != "1" else "4" for word in MAIN_FIRST] if family == 6 else MAIN_FIRST
    shorter = ["0" if word in ("1", "4") else word for word in rule]
    for action, words in (("del", rule), ("add", shorter)):
        lab.host(["ip", "-{}".format(family), "rule", action, *words])
    assert unanswered(lab.namespaces.client, addresses) == addresses
