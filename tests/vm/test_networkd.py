"""A machine whose network is systemd-networkd's, with nobody logged in.

The tests go on from each other's machine. The ENI that the first one plugs stays to the end.
"""

import time

import pytest

from tests import readme
from tests.lab import ask, tcp
from tests.vm.conftest import on_releases
from tests.vm.watch import (
    answered,
    assert_no_drops,
    differences,
    drops,
    look,
    refresh,
    tables,
    wait_until_as,
)

pytestmark = on_releases("networkd", "networkd")

FILE = "/run/systemd/network/70-eth1.network"
# As docker has it, with all of the machine's addresses.
CONTAINER = """
set -e
install -m 755 /dev/null /usr/bin/dockerd
echo 1 >/proc/sys/net/ipv4/ip_forward
ip netns add container
ip link add docker0 type bridge
ip address add 172.17.0.1/16 dev docker0
ip link set docker0 up
ip link add veth2 master docker0 up type veth peer name eth0 netns container
ip -n container address add 172.17.0.2/16 dev eth0
ip -n container link set eth0 up
ip -n container route add default via 172.17.0.1
iptables -t nat -A PREROUTING -p tcp --dport 80 -m addrtype --dst-type LOCAL \
    -j DNAT --to-destination 172.17.0.2
"""
NO_CONTAINER = """
set -e
systemctl stop container
iptables -t nat -F PREROUTING
ip link del docker0
ip netns del container
echo 0 >/proc/sys/net/ipv4/ip_forward
rm /usr/bin/dockerd
systemctl start ec2net-refresh
"""
RULES = "ip rule; iptables-save -t mangle | grep -e '-[Aj] EC2NET'"
# Of a boot with everything there; without metadata it may be so much longer.
NOT_DELAYED = 2.5


@pytest.fixture(scope="module")
def options():
    """The other tests' machines have ifupdown."""
    return {"kind": "networkd"}


class Staying:
    """The ENI that stays, and what the machine was like before it came."""

    def __init__(self, machine):
        self.before = look(machine)
        self.eni, self.plugged = machine.attach("eth1", addresses=3, ipv6=1)
        self.answered = answered(machine.lab, self.eni.addresses)
        self.strays = drops(machine.lab).get("eth0", {}).get(self.eni.address, 0)
        self.answered6 = answered(machine.lab, self.eni.ipv6)
        self.all = self.eni.addresses + self.eni.ipv6

    def assert_answers(self, machine, timeout=30):
        """Every address of it, by its own card, and no unit has failed."""
        answered(machine.lab, self.all, timeout=timeout)
        assert_no_drops(machine.lab, self.all)
        assert machine.failed_units() == []


@pytest.fixture(scope="module")
def staying(machine):
    """What the first test plugs."""
    return Staying(machine)


@pytest.fixture(autouse=True)
def restored(machine, staying):
    """A failed test leaves the next one metadata, and no card."""
    yield
    machine.lab.imds_start()
    for name in machine.plugged() - {machine.lab.primary, "eth1"}:
        machine.detach(name)


def status(machine):
    """Return what networkd says of eth1, without its log."""
    return machine.shell("networkctl --no-pager --lines=0 status eth1")


def test_every_address_of_a_hot_plugged_eni_answers(machine, staying, report):
    report(f"{staying.answered - staying.plugged:.1f} s to the last of 3 IPv4 addresses,"
           f" {staying.answered6 - staying.plugged:.1f} s to the IPv6 address;"
           f" {staying.strays} replies left by eth0 before that")
    assert_no_drops(machine.lab, staying.all)
    said = status(machine)
    report(f"networkctl status eth1:\n{said}")
    assert FILE in said
    assert set(readme.excerpt("networkctl status eth1")) <= set(readme.lines_of(said))
    assert machine.failed_units() == []
    # What it does not understand of a file it tells with the file's path in front.
    log = machine.shell("journalctl -b --no-pager -o cat -u systemd-networkd").splitlines()
    assert [line for line in log if line.startswith(FILE)] == []


def test_two_nics_in_the_same_second(machine, staying, report):
    refresh(machine)
    before = look(machine)
    enis = [machine.lab.attach(name, addresses=2) for name in ("eth2", "eth3")]
    first, second = (machine.plug(eni.name) for eni in enis)
    assert second - first < 1
    addresses = [address for eni in enis for address in eni.addresses]
    report(f"{answered(machine.lab, addresses) - second:.1f} s to the last of 2 x 2 addresses")
    two, three = (tables(machine, eni) for eni in enis)
    assert len(two) == len(three) == 1
    assert two != three
    assert_no_drops(machine.lab, addresses)
    for eni in enis:
        machine.detach(eni.name)
    pulled = time.monotonic()
    wait_until_as(machine, before)
    report(f"nothing left {time.monotonic() - pulled:.1f} s after they were pulled")
    staying.assert_answers(machine)


@pytest.mark.parametrize("command", ["networkctl reload", "systemctl restart systemd-networkd"])
def test_networkd_at_somebody_elses_command(machine, staying, report, command):
    before = look(machine)
    began = machine.shell("date +%s").strip()
    machine.shell(command)
    done = time.monotonic()
    # Before anything of ours could have noticed.
    now = look(machine)
    assert (now["rules"], now["rules6"]) == (before["rules"], before["rules6"])
    staying.assert_answers(machine)
    report(f"{command}: all answers, {time.monotonic() - done:.1f} s later at the most")
    refresh(machine)
    after = look(machine)
    # 252 makes main's connected route without the metric at a restart; ours takes its place.
    for passing in ("addresses", "routes"):
        assert len(after.pop(passing)) == len(before.pop(passing))
    assert differences(after, before) == []
    # Also while it was away, nothing of ours has failed.
    said = machine.shell("journalctl -b --no-pager -o cat -u 'ec2*' --since @" + began)
    assert "Failed with result" not in said


@pytest.fixture
def container(machine):
    """A container on the machine, whose port 80 answers at each of its addresses."""
    machine.shell(CONTAINER)
    server = tcp.server("container", 80)[1:]
    machine.run(["systemd-run", "-q", "--unit=container", "ip", "netns", "exec", "container",
                 "/usr/bin/python3", *server])
    yield
    machine.shell(NO_CONTAINER)


def test_a_container_and_an_eni_on_the_primarys_subnet(machine, staying, report, container):
    eni, plugged = machine.attach("eth2", subnet="10.0.0.0/24", addresses=2)
    addresses = [*staying.eni.addresses, *eni.addresses]
    report(f"{answered(machine.lab, addresses) - plugged:.1f} s to the last of 2 addresses")
    # That there are containers is known to the refresh.
    refresh(machine)
    rules = machine.shell(RULES)
    assert "suppress_ifgroup 10000" in rules and "--restore-mark" in rules
    for command in ("true", "networkctl reload", "systemctl restart systemd-networkd"):
        machine.shell(command)
        assert machine.shell(RULES) == rules
        strays = drops(machine.lab)
        answered(machine.lab, addresses, timeout=30)
        said = ask(machine.lab.namespaces.client, addresses, timeout=30)
        assert sorted(said) == sorted(addresses)
        assert drops(machine.lab) == strays
    machine.detach("eth2")


def test_the_same_addresses_answer_after_a_reboot(machine, staying, report):
    machine.power_off()
    assert machine.boot() == []
    staying.booted = machine.reached("multi-user.target")
    online = machine.reached("network-online.target")
    report(f"online after {online:.1f} s, booted after {staying.booted:.1f} s")
    staying.assert_answers(machine, timeout=120)
    assert FILE in status(machine)


def test_the_files_alone_configure_without_metadata(machine, staying, report):
    machine.power_off()
    machine.lab.imds_stop()
    assert machine.boot() == []
    booted = machine.reached("multi-user.target")
    report(f"booted after {booted:.1f} s (with metadata: {staying.booted:.1f} s)")
    staying.assert_answers(machine)
    assert FILE in status(machine)
    assert booted < staying.booted * NOT_DELAYED


def test_nothing_is_left_of_the_pulled_eni(machine, staying, report):
    machine.detach("eth1")
    pulled = time.monotonic()
    wait_until_as(machine, staying.before)
    report(f"nothing left {time.monotonic() - pulled:.1f} s after it was pulled")
