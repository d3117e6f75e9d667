"""A running machine goes from ifupdown to systemd-networkd and back, with connections open.

The tests go on from each other's machine.
"""

import contextlib
import re
import sys

import pytest

from tests.lab.namespaces import wait_for
from tests.vm.conftest import on_releases
from tests.vm.watch import PATIENCE, answered, assert_no_drops, differences, look

# Debian 13 with dhclient, as after an upgrade from 12.
pytestmark = on_releases("switch", releases=["bookworm", "trixie"])

PORT = 4000
ECHO = """
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            data = self.request.recv(100)
            if not data:
                return
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server(("", 4000), Echo).serve_forever()
"""
# One connection: a line each 100 ms, until standard input is closed. It says how long the longest
# silence was.
TALK = """
import select, socket, sys, time
talk = socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)
talk.settimeout(150)
print("ready", flush=True)
longest = 0
while not select.select([sys.stdin], [], [], 0.1)[0]:
    before = time.monotonic()
    talk.sendall(b"x")
    assert talk.recv(1) == b"x"
    longest = max(longest, time.monotonic() - before)
print(longest)
"""
# It comes first, and gives the primary nothing that it had.
MINE = "/etc/systemd/network/05-mine.network"


def serve(machine):
    """Start a server that listens on every address."""
    machine.shell("systemd-run --unit=echo python3 -c '{}'".format(ECHO))
    wait_for(lambda: ":4000 " in machine.shell("ss -tln"), PATIENCE)


@pytest.fixture(scope="module")
def enis(machine):
    """The primary and a secondary."""
    serve(machine)
    second, _ = machine.attach("eth1", addresses=3, ipv6=1)
    first = machine.lab.enis["eth0"]
    answered(machine.lab, [*first.addresses, *second.addresses, *second.ipv6])
    return first, second


@contextlib.contextmanager
def connected(machine, enis, report):
    """Talk over one connection by each ENI meanwhile; each is the same one to the end."""
    talks = [
        machine.lab.namespaces.client.popen(
            [sys.executable, "-I", "-c", TALK, address, str(PORT)],
            stdin=-1, stdout=-1, text=True)
        for address in (enis[0].address, enis[1].address, enis[1].addresses[-1])
    ]
    assert [talk.stdout.readline() for talk in talks] == ["ready\n"] * len(talks)
    yield
    said = [talk.communicate()[0] for talk in talks]
    assert [talk.returncode for talk in talks] == [0] * len(talks)
    report("the longest silences: " + " ".join(f"{float(one):.2f} s" for one in said))


def switch(machine, *words, check=True):
    """Run `ec2net switch`."""
    return machine.run(["ec2net", "switch", *words], check=check, timeout=PATIENCE)


def seen(machine):
    """How the machine is, but for what is written down of the last switch."""
    found = look(machine)
    found["files"] = [line for line in found["files"] if "/switch.json" not in line]
    # dhclient gives an address that is there its lifetime at the next renewal only, and leaves the
    # metric of its route that networkd 257 gives it.
    found["addresses"] = [re.sub(" dynamic| metric 1024", "", line) for line in found["addresses"]]
    return found


def assert_as(machine, before):
    assert "\n".join(differences(before, seen(machine))) == ""


def everything_answers(machine, enis):
    first, second = enis
    everything = [*first.addresses, *second.addresses, *second.ipv6]
    answered(machine.lab, everything)
    assert_no_drops(machine.lab, everything)


def has(machine):
    """The distribution that the product finds."""
    return switch(machine, "--to", "networkd").stdout.splitlines()[0]


def test_it_is_shown_before_it_is_done(machine, enis, report):
    before = seen(machine)
    said = switch(machine, "--to", "networkd").stdout
    report("ec2net switch --to networkd:\n" + said)
    assert max(len(line) for line in said.splitlines()) <= 80
    assert "write /etc/systemd/network/20-eth0.network\n" in said
    assert "delete /etc/network/interfaces.d/eth1.cfg\n" in said
    assert_as(machine, before)


def test_what_only_ifupdown_can_do_is_named(machine, enis):
    machine.shell("echo '    post-up echo mine' >>/etc/network/interfaces.d/mine"
                  " && sed -i '1i iface eth7 inet dhcp' /etc/network/interfaces.d/mine")
    refused = switch(machine, "--to", "networkd", "--yes", check=False)
    machine.shell("rm /etc/network/interfaces.d/mine")
    assert refused.returncode == 1
    assert "/etc/network/interfaces.d/mine:2: 'post-up' has no counterpart" in refused.stderr


def test_a_host_that_does_not_get_its_addresses_goes_back(machine, enis, report):
    before = seen(machine)
    machine.shell(f"printf '[Match]\\nName=eth0\\n[Network]\\nAddress=192.0.2.1/24\\n' >{MINE}"
                  f" && chmod 644 {MINE}")
    with connected(machine, enis, report):
        refused = switch(machine, "--to", "networkd", "--yes", check=False)
    machine.shell("rm " + MINE)
    assert refused.returncode == 1
    assert "this host has ifupdown as before: after " in refused.stderr
    assert enis[0].address in refused.stderr
    everything_answers(machine, enis)
    machine.shell("systemctl reset-failed")
    assert_as(machine, before)


def test_one_that_is_killed_goes_back_too(machine, enis, report):
    before = seen(machine)
    machine.shell(f"printf '[Match]\\nName=eth0\\n[Network]\\nAddress=192.0.2.1/24\\n' >{MINE}"
                  f" && chmod 644 {MINE}")
    unit = "ec2net-switch@networkd.service"
    with connected(machine, enis, report):
        machine.shell(f"systemctl start --no-block {unit}")
        asking = "systemctl is-active systemd-networkd"
        wait_for(lambda: machine.shell(asking, check=False) == "active\n", PATIENCE)
        machine.shell(f"kill -KILL $(systemctl show --value -p MainPID {unit})")
        state = f"systemctl show --value -p ActiveState {unit}"
        wait_for(lambda: machine.shell(state) == "failed\n", PATIENCE)
    machine.shell("rm {}; systemctl reset-failed".format(MINE))
    everything_answers(machine, enis)
    assert_as(machine, before)


def test_to_networkd_with_connections_open(machine, enis, report):
    with connected(machine, enis, report):
        switch(machine, "--to", "networkd", "--yes")
    everything_answers(machine, enis)
    assert "70-eth1.network" in machine.shell("networkctl --no-pager --lines=0 status eth1")
    assert has(machine) == "this host has networkd already: nothing to do"
    assert machine.shell("ps -C dhclient -o args=", check=False) == ""
    assert machine.failed_units() == []


def test_it_is_networkds_after_a_reboot(machine, enis):
    machine.power_off()
    assert machine.boot() == []
    everything_answers(machine, enis)
    assert has(machine) == "this host has networkd already: nothing to do"
    serve(machine)


def test_back_with_connections_open(machine, enis, report):
    with connected(machine, enis, report):
        switch(machine, "--to", "ifupdown", "--yes")
    everything_answers(machine, enis)
    assert "source /etc/network/interfaces.d/*" in machine.shell("cat /etc/network/interfaces")
    assert machine.shell("ls /etc/systemd/network /run/systemd/network").count(".network\n") == 0
    again = switch(machine, "--to", "ifupdown").stdout
    assert again == "this host has ifupdown already: nothing to do\n"
    machine.power_off()
    assert machine.boot() == []
    everything_answers(machine, enis)
