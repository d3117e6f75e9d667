"""Several ENIs on one subnet: each address by its own ENI, and nothing by another's."""

import contextlib
import re
import sys

import pytest

from tests.lab.router import CLIENT
from tests.netns.conftest import on_all, on_both
from tests.netns.driver import (
    background,
    hotplug,
    read,
    restart_primary,
    unreachable,
    wait_until,
    write,
)
from tests.netns.looks import changes, look

SUBNET = "10.0.0.0/24"
PRIMARY = "10.0.0.10"
PORT = 8080
# Tells the client by which address it sees it.
SERVER = """
import socket, sys
with socket.create_server(("", {port})) as server:
    while True:
        with server.accept()[0] as connection:
            connection.sendall(connection.getpeername()[0].encode())
""".format(port=PORT)
# connect.py ADDRESS [SOURCE]: prints what the server has to say.
CONNECT = """
import socket, sys
source = (sys.argv[2], 0) if len(sys.argv) > 2 else None
with socket.create_connection((sys.argv[1], {port}), 3, source) as connection:
    print(connection.recv(100).decode(), end="")
""".format(port=PORT)
# arp.py PORT ASKER TARGET OWN: asks on a port who has an address, and then who has the one that is
# surely there; prints the MAC addresses that answer for the first.
ARP = """
import socket, struct, sys
port, asker, *targets = sys.argv[1:]
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x806)) as raw:
    raw.bind((port, 0))
    mac = raw.getsockname()[4]
    raw.settimeout(5)
    for target in map(socket.inet_aton, targets):
        raw.send(b"\\xff" * 6 + mac + b"\\x08\\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + mac
                 + socket.inet_aton(asker) + b"\\0" * 6 + target)
    found, answer = [], b""
    while answer != target:
        frame = raw.recv(100)
        answer = frame[28:32] if frame[20:22] == b"\\0\\2" else b""
        found += [frame[22:28].hex(":")] if answer == socket.inet_aton(targets[0]) else []
    print(*found)
"""

# With networkd, whose files and rules are of the same form for each, no more than the larger one.
on_all_by_count = pytest.mark.parametrize(
    ("lab", "count"),
    [("debian", 2), ("debian", 4), ("rhel", 2), ("rhel", 4), ("networkd-252", 4)],
    indirect=["lab"])


@pytest.fixture
def serve():
    """A function that has a namespace answer TCP connections until the test is over."""
    with contextlib.ExitStack() as stack:

        def serving(namespace):
            command = "{} -c '{}' >/dev/null 2>&1".format(sys.executable, SERVER)
            stack.enter_context(background(namespace, command))
            wait_until(lambda: namespace.run(["ss", "-Hltn", "sport", str(PORT)]).stdout)

        yield serving


def connect(namespace, *arguments):
    """Return by which address the server saw a connection, "" where there was none."""
    result = namespace.run([sys.executable, "-c", CONNECT, *arguments], check=False)
    return result.stdout


def attach(lab, count):
    """Attach so many ENIs to the primary's subnet and bring them up; return all addresses."""
    enis = [lab.enis["eth0"]]
    for number in range(1, count + 1):
        enis.append(lab.attach("eth{}".format(number), subnet=SUBNET, addresses=2))
        lab.host(["ec2ifup", enis[-1].name])
    return {address: eni.name for eni in enis for address in eni.addresses}


def dropped(lab):
    """Return how many packets of the host the source check has dropped."""
    return sum(lab.drops(name) for name in lab.enis)


def plain(lab, name):
    """Bring an ENI up as the distribution does without us."""
    write(lab, "/etc/network/interfaces.d/" + name, "iface {} inet dhcp\n".format(name))
    lab.host(["ifup", name])


@on_all_by_count
def test_each_address_answers_by_its_own_eni(lab, serve, count):
    addresses = attach(lab, count)
    serve(lab.namespaces.host)
    assert unreachable(lab, addresses) == []
    for address, name in addresses.items():
        before = lab.sent(name, address)
        assert connect(lab.namespaces.client, address) == CLIENT
        assert lab.sent(name, address) > before
    assert dropped(lab) == 0


def test_with_dhcp_alone_they_do_not(lab):
    eni = lab.attach("eth1", subnet=SUBNET)
    plain(lab, "eth1")
    assert unreachable(lab, eni.addresses) == list(eni.addresses)
    assert lab.drops("eth0", eni.address) > 0


@on_all_by_count
def test_what_goes_out_from_an_address_leaves_by_its_eni(lab, serve, count):
    addresses = attach(lab, count)
    serve(lab.namespaces.client)
    for address, name in addresses.items():
        before = lab.sent(name, address)
        assert connect(lab.namespaces.host, CLIENT, address) == address
        lab.host(["ping", "-c", "1", "-W", "2", "-I", address, CLIENT])
        assert lab.sent(name, address) > before
    assert connect(lab.namespaces.host, CLIENT) == PRIMARY
    assert dropped(lab) == 0


@on_all
def test_what_is_bound_to_nothing_leaves_by_the_primary_whichever_came_first(lab):
    attach(lab, 2)
    restart_primary(lab)
    wait_until(lambda: unreachable(lab, [PRIMARY]) == [])
    assert "dev eth0 src 10.0.0.10" in lab.host(["ip", "route", "get", "10.0.0.99"]).stdout
    assert "dev eth0 src 10.0.0.10" in lab.host(["ip", "route", "get", CLIENT]).stdout


def test_with_the_kernels_own_route_the_order_decides(lab):
    lab.attach("eth1", subnet=SUBNET)
    plain(lab, "eth1")
    lab.host(["ifdown", "eth0"])
    lab.host(["ifup", "eth0"])
    assert "dev eth1" in lab.host(["ip", "route", "get", "10.0.0.99"]).stdout


def answering(lab, port, target):
    """Return which ENIs tell a neighbour on a port that they have an address."""
    own = lab.enis[port]
    argv = [sys.executable, "-c", ARP, own.port, "10.0.0.1", target, own.address]
    names = {eni.mac: eni.name for eni in lab.enis.values()}
    return [names[mac] for mac in lab.router(argv).stdout.split()]


@on_all
def test_only_the_owner_of_an_address_answers_who_has_it(lab):
    addresses = attach(lab, 2)
    for address, name in addresses.items():
        for port in lab.enis:
            assert answering(lab, port, address) == ([name] if port == name else [])


def test_by_default_each_answers_for_all(lab):
    eni = lab.attach("eth1", subnet=SUBNET)
    plain(lab, "eth1")
    assert answering(lab, "eth0", eni.address) == ["eth0"]


def parameters(lab):
    """Return what is different about the interfaces than on a host of one ENI."""
    names = ["net.ipv4.conf.{}.{}".format(name, key) for name in ("eth0", "eth1")
             for key in ("rp_filter", "arp_ignore", "arp_announce")]
    text = lab.host(["sysctl", *names]).stdout
    return [int(value) for value in re.findall(r" = (\d)", text)]


@on_all
def test_an_eni_on_a_subnet_of_its_own_changes_nothing_about_the_primary(lab):
    lab.attach("eth1", subnet="10.0.1.0/24")
    strictness = 1 if lab.distribution == "rhel" else 0
    assert parameters(lab) == [strictness, 0, 0, strictness, 0, 0]
    lab.host(["ec2ifup", "eth1"])
    assert parameters(lab) == [strictness, 0, 0, 2, 0, 0]
    lab.host(["ec2ifdown", "eth1"])
    assert parameters(lab) == [strictness, 0, 0, strictness, 0, 0]


@on_both
def test_taken_away_while_it_is_up_the_kernels_route_is_as_before(lab):
    lab.attach("eth1", subnet=SUBNET)
    if lab.distribution == "debian":
        plain(lab, "eth1")
    else:
        write(lab, "/etc/sysconfig/network-scripts/ifcfg-eth1",
              "DEVICE=eth1\nBOOTPROTO=dhcp\nONBOOT=yes\nDEFROUTE=no\nEC2SYNC=yes\n")
        lab.host(["ifup", "eth1"])
    before = look(lab, files=False)
    # From now on it is ours.
    if lab.distribution == "debian":
        lab.host(["rm", "/etc/network/interfaces.d/eth1"])
    hotplug(lab, "add")
    lab.host(["ec2net", "refresh"])
    assert "10.0.0.0/24 dev eth1 scope link metric 10001" in lab.host(["ip", "route"]).stdout
    assert changes(before, look(lab, files=False)) != []
    hotplug(lab, "remove")
    left = [line for line in changes(before, look(lab, files=False)) if "default" not in line]
    assert left == []
    assert read(lab, "/run/ec2net/host") is None
