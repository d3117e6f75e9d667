"""`ec2net switch` while the power fails, the disk is full, or a card or a service goes away."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy.commands import switch
from ec2net_legacy.errors import HostError
from ec2net_legacy.switching import state
from tests.unit import test_switch
from tests.unit.hosts import INTERFACES
from tests.unit.test_switch import ETH0, IFUPDOWN, NETWORKD, RESOLVED, texts

hosts, host = test_switch.hosts, test_switch.host


def boots_with(hosts, host):
    """Return which programs a boot would start that find something of eth0's to do."""
    files, units = texts(hosts), host.runner.units
    found = {NETWORKD: ETH0 in files, IFUPDOWN: "eth0" in files[INTERFACES]}
    return [unit for unit in sorted(found) if found[unit] and units[unit][0]]


@pytest.fixture
def way_back(hosts, host):
    """Let the host have networkd by a switch, and ifupdown do what it is told; return the boots.

    These are what each program that is run would leave if the power failed then.
    """
    switch.carry_out(host, "networkd")
    hosts.file("proc/net/route").write(
        "Iface\neth0\t00000000\t0100000A\t3\t0\t0\t0\t00000000\t0\n", ensure=True)
    host.has_dhclient = lambda name: True
    host.hand_over = lambda runner, names, wait: []
    run, boots = host.runner.run_visibly, []

    def noting(argv, limit):
        code = run(argv, limit)
        boots.append((argv, boots_with(hosts, host)))
        return code

    host.runner.run_visibly = noting
    return boots


def test_a_boot_finds_a_network_at_each_moment_of_the_way_back(host, way_back):
    switch.carry_out(host, "ifupdown")
    assert ["ifup", "--force", "eth0"] in [argv for argv, _ in way_back]
    assert [argv for argv, boots in way_back if not boots] == []
    assert way_back[-1][1] == [IFUPDOWN]


def test_a_boot_finds_a_network_at_each_moment_of_taking_back(hosts, host, way_back, monkeypatch):
    full = HostError("cannot write: No space left on device")
    write = state.write

    def fail_at_the_end(files, one):
        if one.phase == state.DONE:
            raise full
        write(files, one)

    monkeypatch.setattr(switch.state, "write", fail_at_the_end)
    with pytest.raises(HostError):
        switch.carry_out(host, "ifupdown")
    switch.end(host)
    assert [argv for argv, boots in way_back if not boots] == []
    assert boots_with(hosts, host) == [NETWORKD]


def test_a_service_that_is_not_there_any_more_is_not_disabled(hosts, host):
    host.runner.units[RESOLVED] = [False, False]
    before = switch.units.enabled(host)
    del host.runner.units[RESOLVED]
    switch.units.enable_as(host, before)
    assert host.runner.shown == []


def test_a_card_that_is_gone_keeps_no_other_from_its_lease(host):
    tried = []

    def ifup(argv, limit):
        tried.append(argv[-1])
        return 1 if argv[-1] == "eth0" else 0

    host.runner.run_visibly = ifup
    trial = state.NOTHING._replace(asking=("eth0", "eth1"))
    host.has_dhclient = lambda name: False
    with pytest.raises(HostError, match="ifup --force eth0"):
        switch.intentions.WAYS["ifupdown"](host).resume(trial)
    assert tried == ["eth0", "eth1"]


def test_a_route_that_has_gone_meanwhile_spoils_nothing(host, monkeypatch):
    def gone(host, steps):
        raise HostError("ip: No such process")

    monkeypatch.setattr(switch, "_apply", gone)
    assert switch.carry_out(host, "networkd") == 0
    assert state.read(host.files).phase == state.DONE


def test_what_could_not_be_taken_back_is_told(hosts, host):
    configured = host.runner.starting

    def lose():
        configured()
        host.runner.kernel[4] = ""

    host.runner.starting = lose
    host.runner.statuses["ifup"] = 1
    with pytest.raises(HostError):
        switch.carry_out(host, "networkd")
    assert "ifup --force eth0" in state.read(host.files).why


def test_what_netplan_makes_at_each_boot_is_not_replaced(hosts, host):
    path = "/run/systemd/network/10-netplan-eth0.network"
    hosts.file(path[1:]).write("[Match]\nName=eth0\n\n[Network]\nDHCP=yes\n")
    hosts.file("run/systemd/netif/links/2").write(
        "ADMIN_STATE=configured\nNETWORK_FILE={0}\n".format(path), ensure=True)
    hosts.file("sys/class/net/eth0/ifindex").write("2\n", ensure=True)
    found, problems = switch.intentions.WAYS["networkd"](host).declared([])
    assert [one.name for one in found] == ["eth0"]
    said = " is made again at a boot, as by netplan: expected a file below /etc"
    assert problems == [path + said]
