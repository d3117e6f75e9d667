"""The package on a machine that has never had it: installed, upgraded, removed, purged.

The tests go on from each other. What there was before the package, there has to be after it.
"""

import subprocess
import sys

import pytest

from tests.lab import Lab
from tests.netns.driver import pinged
from tests.vm import Machine
from tests.vm.conftest import on_releases
from tests.vm.watch import answered, assert_no_drops, dhclient, look, wait_until_as

pytestmark = on_releases("package")

PORT = 7
# Each line comes back, in one connection for ever.
ECHO = f"""
import socket
listener = socket.create_server(("", {PORT}))
while True:
    connection, _ = listener.accept()
    for line in connection.makefile():
        connection.sendall(line.encode())
"""
TALK = """
import socket, sys, time
for left in reversed(range(100)):
    try:
        connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 60)
        break
    except ConnectionRefusedError:
        assert left
        time.sleep(0.5)
answers = connection.makefile()
for line in sys.stdin:
    connection.sendall(line.encode())
    print(answers.readline(), end="", flush=True)
"""
# Where packages put what watch.look does not see, and what of it the machine itself changes.
PLACES = """
find /etc /usr/sbin /usr/lib/ec2net /usr/share/python3 /lib/systemd /lib/udev /var/lib/systemd \
    ! -type d ! -path '/etc/resolv.conf*' ! -path '*/timers/*' 2>/dev/null | sort
systemctl list-units --all --plain --no-legend 'ec2*' 'elastic*' | sort
"""


@pytest.fixture(scope="module")
def machine(request):
    """A machine without the package, and what it looks like."""
    with Lab(machine=True) as lab:
        made = Machine(lab, request.param)
        try:
            failed = made.boot()
            assert not failed, failed
            yield made
        finally:
            made.close()


class Before:
    """The machine as it was."""

    def __init__(self, machine):
        self.look = look(machine)
        self.places = machine.shell(PLACES)


@pytest.fixture(scope="module")
def before(machine):
    """What there was before the first test."""
    return Before(machine)


class Conversation:
    """A TCP connection from outside to an address of the machine."""

    def __init__(self, lab, address):
        self._process = lab.namespaces.client.popen(
            [sys.executable, "-I", "-c", TALK, address, str(PORT)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def goes_on(self, word):
        """Whether a word comes back."""
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline() == word + "\n"

    def close(self):
        """Hang up."""
        self._process.communicate()


def test_an_upgrade_breaks_no_connection(machine, before, report):
    machine.install("older")
    # A unit with a line end in its command is not read again as it was.
    machine.run(["sh", "-c", "cat >/run/echo.py"], input=ECHO)
    machine.run(["systemd-run", "--unit=echo", "python3", "/run/echo.py"])
    eni, plugged = machine.attach("eth1", addresses=3)
    report(f"{answered(machine.lab, eni.addresses) - plugged:.1f} s to the last of 3 addresses")
    pid = dhclient(machine, "eth1")
    conversation = Conversation(machine.lab, eni.addresses[1])
    try:
        assert conversation.goes_on("before")
        with pinged(machine.lab, eni.addresses, interval=0.1):
            said = machine.install()
        assert "ec2net-legacy (0.0.1)" not in said.splitlines()[-1]
        assert conversation.goes_on("upgraded")
    finally:
        conversation.close()
    assert dhclient(machine, "eth1") == pid
    assert machine.shell("systemctl is-active ec2net-refresh.timer ec2-ifup@eth1").split() == [
        "active", "active"]
    assert_no_drops(machine.lab, eni.addresses)
    assert machine.failed_units() == []


def test_a_removal_leaves_the_interface_as_it_is(machine, before):
    eni = machine.lab.enis["eth1"]
    with pinged(machine.lab, eni.addresses, interval=0.1):
        machine.run(["dpkg", "-r", "ec2net-legacy"], timeout=300)
        assert machine.failed_units() == []
    assert_no_drops(machine.lab, eni.addresses)
    assert machine.shell("ls /usr/sbin/ec2* /usr/lib/ec2net", check=False) == ""
    assert machine.shell("systemctl is-active ec2-ifup@eth1") == "active\n"


def test_a_purge_leaves_nothing(machine, before):
    machine.run(["systemctl", "stop", "echo.service"])
    machine.run(["dpkg", "-P", "ec2net-legacy"], timeout=300)
    assert machine.failed_units() == []
    machine.detach("eth1")
    wait_until_as(machine, before.look)
    assert machine.shell(PLACES) == before.places
