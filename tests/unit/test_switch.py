"""`ec2net switch`: what is refused, done, proven and taken back."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import runs
from ec2net_legacy.commands import switch
from ec2net_legacy.errors import HostError, LockHeld
from ec2net_legacy.host.command import Result
from ec2net_legacy.switching import state
from tests.unit.fakes import FakeRunner
from tests.unit.hosts import ETH1, INTERFACES, Hosts, card, inet, kernel_with

NETWORKD, IFUPDOWN = "systemd-networkd.service", "networking.service"
RESOLVED = "systemd-resolved.service"
ETH0 = "etc/systemd/network/20-eth0.network"
PRIMARY = (inet("10.0.0.10/24", "eth0"), "default via 10.0.0.1 dev eth0 ")
SECOND = (inet("10.0.1.10/24"), inet("10.0.1.11/32"), "10001:\tfrom 10.0.1.10 lookup 10001 ",
          "10001:\tfrom 10.0.1.11 lookup 10001 ")


class Systemd(FakeRunner):
    """What systemctl says and does; `starting` is called when networkd starts."""

    def __init__(self, *lines):
        super(Systemd, self).__init__(kernel_with(*lines))
        self.units = {NETWORKD: [False, False], IFUPDOWN: [True, True]}
        self.starting = None
        self.deleted = []
        self.made = ["198.18.0.0/15 via 10.0.0.1 \n"]

    def run(self, argv, stdin=""):
        if argv[0] == "systemctl":
            return self._asked(argv)
        if argv[2:3] == ["route"]:
            return self._routes(argv)
        return super(Systemd, self).run(argv, stdin)

    def _routes(self, argv):
        if "del" in argv:
            self.deleted.append(" ".join(argv[:2] + argv[4:]))
            return Result(0, "", "")
        return Result(0, "".join(self.made) if argv[-1] == "static" else "", "")

    def _asked(self, argv):
        verb, unit = [word for word in argv[1:] if not word.startswith("--")][-2:] if (
            argv[1] != "show") else ("show", argv[-1])
        if verb == "show":
            known = unit in self.units or unit.startswith("ec2net-switch@")
            return Result(0, "LoadState={0}\n".format("loaded" if known else "not-found"), "")
        is_it = self.units.get(unit, [False, False])[verb == "is-active"]
        return Result(0 if is_it else 3, "", "")

    def run_visibly(self, argv, limit):
        super(Systemd, self).run_visibly(argv, limit)
        if argv[0] != "systemctl":
            return self.statuses.get(argv[0], 0)
        words = [word for word in argv[1:] if not word.startswith("--")]
        for unit in words[1:]:
            found = self.units.setdefault(unit, [False, False])
            if words[0] in ("enable", "disable"):
                found[0] = words[0] == "enable"
            if words[0] in ("start", "stop") or "--now" in argv:
                found[1] = words[0] in ("start", "enable")
            if unit == NETWORKD and words[0] == "start" and self.starting:
                self.starting()
        return 0


@pytest.fixture
def hosts(tmpdir, monkeypatch):
    monkeypatch.setattr(switch.intentions, "no_metadata", lambda host: [])
    found = Hosts(tmpdir)
    for place in ("run/systemd/system", "run/systemd/network", "run/network", "var/lib",
                  "etc/systemd/network"):
        found.file(place).ensure(dir=True)
    for program in ("ifup", "dhclient"):
        found.file("sbin/" + program).write("", ensure=True)
    return found


@pytest.fixture
def host(hosts):
    """A host with ifupdown and an ENI that is up, whose networkd configures what it is told."""
    host = hosts(card(up=True))
    host.runner = Systemd(*(PRIMARY + SECOND))
    hosts.file(ETH1).write(
        host_files(hosts, host), ensure=True)
    host.runner.starting = lambda: configured(hosts)
    return host


def host_files(hosts, host):
    """Return what `add` writes for the ENI."""
    from ec2net_legacy.commands.propose import Planner
    from tests.unit.fakes import SECOND as MAC

    plan = Planner(host).for_eni("eth1", host.imds.eni(MAC), False)
    return plan.files["/" + ETH1]


def configured(hosts, states=("configured", "configured")):
    """Let networkd say what it does with eth0 and eth1."""
    for index, found in zip((2, 3), states):
        text = "ADMIN_STATE={0}\nNETWORK_FILE=/etc/systemd/network/x.network\n".format(found)
        hosts.file("run/systemd/netif/links/{0}".format(index)).write(text, ensure=True)
        name = "eth{0}".format(index - 2)
        hosts.file("sys/class/net/{0}/ifindex".format(name)).write(
            "{0}\n".format(index), ensure=True)


def texts(hosts):
    """Return the files there are, but for what the switch itself remembers."""
    root = hosts.directory.join("root")
    listed = [one for one in hosts.files if not one.startswith(("run/", "sys/", "proc/"))]
    return {one: root.join(one).read() for one in listed if one != state.PATH[1:]}


def test_what_is_shown_is_not_done(hosts, host):
    before = texts(hosts)
    said = switch.propose(host, "networkd").text
    assert "\nwrite /{0}\n".format(ETH0) in said
    assert "\ndelete /{0}\n".format(ETH1) in said
    assert [line for line in said.splitlines() if len(line) > 80] == []
    assert texts(hosts) == before and host.runner.shown == []


def test_the_host_has_networkd_afterwards(hosts, host):
    assert switch.carry_out(host, "networkd") == 0
    files = texts(hosts)
    assert "DHCP=ipv4" in files[ETH0]
    assert ETH1 not in files and "var/lib/ec2net/eth1.items" in files
    assert "eth0" not in files[INTERFACES]
    assert host.runner.units[NETWORKD] == [True, True]
    assert host.runner.units[IFUPDOWN] == [False, True]
    assert host.ended == ["eth0", "eth1"]
    rule = "rule {0} pref 10001 from 10.0.1.10 lookup 10001"
    changes = host.runner.changes
    assert changes.index(rule.format("add") + " protocol kernel") < changes.index(
        rule.format("del"))
    assert state.read(host.files).phase == state.DONE


def test_the_way_back_is_the_administrators_own_text(hosts, host):
    before = texts(hosts)
    switch.carry_out(host, "networkd")
    ended = len(host.runner.shown)
    hosts.file("proc/net/route").write(
        "Iface\neth0\t00000000\t0100000A\t3\t0\t0\t0\t00000000\t0\n", ensure=True)
    host.has_dhclient = lambda name: True
    host.hand_over = lambda runner, names, wait: []
    assert switch.carry_out(host, "ifupdown") == 0
    assert texts(hosts) == before
    shown = [" ".join(argv) for argv in host.runner.shown[ended:]]
    assert shown.index("systemctl stop systemd-networkd.socket " + NETWORKD) < shown.index(
        "ifup --force eth0")
    assert host.runner.units[NETWORKD] == [False, False]
    assert host.runner.units[IFUPDOWN] == [True, True]
    assert state.read(host.files).kept == {}


def test_what_does_not_come_any_more_is_not_waited_for(hosts, host):
    began = host.clock()

    def lose():
        configured(hosts)
        host.runner.kernel[4] = kernel_with(*SECOND)[4]

    host.runner.starting = lose
    with pytest.raises(HostError, match="after 10 s 10.0.0.10 is not on eth0"):
        switch.carry_out(host, "networkd")
    assert 10 <= host.clock() - began < 12


def test_the_refresh_leaves_a_host_alone_that_is_switched(hosts, host):
    read = host.runner.reads
    with hosts_other_lock(hosts):
        assert runs.refresh(host, None) == 0
        assert runs.scan(host) == 0
    assert (host.runner.reads, host.runner.shown) == (read, [])


@pytest.mark.parametrize("states", [("configured", "failed"), ("pending", "configured")])
def test_what_is_not_configured_in_time_is_taken_back(hosts, host, states):
    before, began = texts(hosts), host.clock()
    host.runner.starting = lambda: configured(hosts, states)
    with pytest.raises(HostError, match="after 60 s networkd says of eth[01]: "):
        switch.carry_out(host, "networkd")
    assert 60 <= host.clock() - began < 62
    assert texts(hosts) == before
    assert host.runner.units[NETWORKD] == [False, False]
    assert host.runner.units[IFUPDOWN] == [True, True]
    shown = [" ".join(argv) for argv in host.runner.shown]
    assert shown.index("systemctl stop systemd-networkd.socket " + NETWORKD) < shown.index(
        "ifup --force eth0")


def test_a_lost_address_and_route_are_put_back(hosts, host):
    def lose():
        configured(hosts)
        lines = [one for one in kernel_with(*(PRIMARY + SECOND))[4].splitlines(True)
                 if "10.0.0." not in one]
        host.runner.kernel[4] = "".join(lines)

    host.runner.starting = lose
    with pytest.raises(HostError, match="10.0.0.10 is not on eth0"):
        switch.carry_out(host, "networkd")
    assert host.runner.changes[-2:] == [
        "addr add 10.0.0.10/24 dev eth0", "route add default via 10.0.0.1 dev eth0"]
    assert "10.0.0.10 is not on eth0" in state.read(host.files).why


def test_routes_of_networkd_go_with_it(hosts, host):
    host.runner.starting = lambda: host.runner.made.append("default via 10.0.0.1 metric 7 \n")
    with pytest.raises(HostError):
        switch.carry_out(host, "networkd")
    assert set(host.runner.deleted) == {
        "ip {0} default via 10.0.0.1 metric 7 proto static dev {1}".format(family, name)
        for family in ("-4", "-6")
        for name in ("eth0", "eth1")
    }


def kill_while_networkd_starts(host):
    """Begin a switch to networkd that is killed in the middle."""
    def killed():
        raise KeyboardInterrupt

    host.runner.starting = killed
    with pytest.raises(KeyboardInterrupt):
        switch.carry_out(host, "networkd")


def test_what_was_killed_is_taken_back_by_whoever_comes_next(hosts, host):
    before = texts(hosts)
    kill_while_networkd_starts(host)
    assert texts(hosts) != before
    assert switch.end(host) == 0
    assert texts(hosts) == before
    assert state.read(host.files).phase == state.UNDONE
    shown = len(host.runner.shown)
    assert switch.end(host) == 0
    assert len(host.runner.shown) == shown


def test_it_says_there_is_nothing_to_do(host):
    assert switch.propose(host, "ifupdown") == (
        None, "this host has ifupdown already: nothing to do\n")
    assert switch.carry_out(host, "ifupdown") == 0
    assert host.runner.shown == []


def test_resolved_goes_with_networkd(hosts, host):
    hosts.file("etc/resolv.conf").write("nameserver 10.0.0.2\n")
    host.runner.units[RESOLVED] = [False, False]
    switch.carry_out(host, "networkd")
    assert host.runner.units[RESOLVED] == [True, True]
    link = ["ln", "-sfn", "/run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf"]
    assert link in [argv for argv, _ in host.runner.ran]
    assert state.read(host.files).kept["resolv"] == ["", "nameserver 10.0.0.2\n"]


def refused(host):
    with pytest.raises(HostError) as error:
        switch.propose(host, "networkd")
    return "{0}".format(error.value)


@pytest.mark.parametrize(("change", "said"), [
    (lambda hosts, host: hosts.file("lib/systemd/libsystemd-shared-241.so").write(
        "", ensure=True),
     "systemd-networkd is of version 241: expected 244 or later, which knows `networkctl reload`"),
    (lambda hosts, host: host.runner.units.pop(NETWORKD),
     "there is no systemd-networkd: expected its package"),
    (lambda hosts, host: hosts.file("run/systemd/system").remove(),
     "this host runs without systemd: expected systemd 244 or later"),
    (lambda hosts, host: host.devices.shown.update(
        eth0=host.devices.shown["eth0"]._replace(up=False)),
     "eth0 is down: expected it up, or no configuration of it"),
    (lambda hosts, host: hosts.file(ETH0).write("[Match]\n", ensure=True),
     "/etc/systemd/network/20-eth0.network is there already"),
    (lambda hosts, host: hosts.file(INTERFACES).write("iface eth0 inet dhcp\nup x\n"),
     "/etc/network/interfaces:2: 'up' has no counterpart"),
    (lambda hosts, host: hosts.file("etc/resolv.conf").mksymlinkto("/run/resolvconf/resolv.conf"),
     "resolvconf writes /etc/resolv.conf: expected systemd-resolved, which networkd tells"),
])
def test_what_is_refused(hosts, host, change, said):
    change(hosts, host)
    before = texts(hosts)
    assert refused(host) == said
    assert texts(hosts) == before and host.runner.shown == []


def test_network_scripts_are_refused(tmpdir):
    host = Hosts(tmpdir, "rhel")(card(up=True))
    host.runner = Systemd(*PRIMARY)
    assert refused(host) == (
        "this host has network-scripts: expected ifupdown or systemd-networkd")


def test_a_backend_in_the_settings_is_refused(hosts, host):
    host.settings = host.settings._replace(backend="ifupdown")
    assert refused(host) == "ec2net.conf has backend = ifupdown: expected auto"


def test_options_of_an_eni_go_with_it(hosts, host):
    text = hosts.file(ETH1).read()
    hosts.file(ETH1).write(text.replace("MAINROUTETABLE=yes", "MAINROUTETABLE=no"))
    files = switch.propose(host, "networkd").intended.files
    drop_in = files["/etc/systemd/network/70-eth1.network.d/ec2net.conf"]
    assert "MAINROUTETABLE=no\n" in drop_in
    # Main has the subnet, and no default route.
    assert files["/run/systemd/network/70-eth1.network"].count("Metric=10001") == 1


def test_two_at_once(hosts, host):
    with hosts_other_lock(hosts), pytest.raises(LockHeld):
        switch.carry_out(host, "networkd")


def hosts_other_lock(hosts):
    """Return what another process holds."""
    from ec2net_legacy.host.rundir import RunDirectory

    return RunDirectory("{0}/run".format(hosts.directory)).lock("the switch")


def test_after_another_boot_only_files_and_units_are_taken_back(hosts, host):
    before = texts(hosts)
    kill_while_networkd_starts(host)
    hosts.file("proc/sys/kernel/random/boot_id").write("another\n", ensure=True)
    # An address that came since.
    host.runner.kernel[4] = kernel_with(*(PRIMARY + SECOND + (inet("10.0.1.12/32"),)))[4]
    del host.runner.ran[:], host.runner.shown[:]
    assert switch.end(host) == 0
    assert texts(hosts) == before
    assert host.runner.changes == []
    assert [argv for argv in host.runner.shown if argv[0] == "ifup"] == []


def test_what_others_have_made_stays(hosts, host):
    switch.carry_out(host, "networkd")
    text = texts(hosts)["etc/systemd/networkd.conf.d/50-ec2net-switch.conf"]
    assert "ManageForeignRoutingPolicyRules=no\n" in text
    assert "ManageForeignRoutes=no\n" in text


def test_what_an_earlier_switch_came_to_is_not_told_again(host):
    one = state.NOTHING._replace(phase=state.UNDONE, here="ifupdown", why="because")
    state.write(host.files, one)
    host.runner.run_visibly = lambda argv, limit: 1
    with pytest.raises(HostError, match="exit code 1: nothing changed"):
        switch.hand_over(host, "networkd")


@pytest.mark.parametrize(("phase", "code", "said"), [
    (state.DONE, 0, ""),
    (state.UNDONE, 1, "this host has ifupdown as before: because"),
    ("", 1, "systemctl start ec2net-switch@networkd.service: exit code 1: nothing changed"),
])
def test_what_is_told_of_the_unit(host, phase, code, said):
    one = state.NOTHING._replace(phase=phase, here="ifupdown", there="networkd", why="because")

    def run_visibly(argv, limit):
        state.write(host.files, one)
        return code

    host.runner.run_visibly = run_visibly
    if code:
        with pytest.raises(HostError) as error:
            switch.hand_over(host, "networkd")
        assert "{0}".format(error.value) == said
    else:
        assert switch.hand_over(host, "networkd") == 0


def test_without_the_unit_nothing_is_begun(host):
    host.runner.run = lambda argv, stdin="": Result(0, "LoadState=not-found\n", "")
    with pytest.raises(HostError, match="ec2net-switch@networkd.service is not installed"):
        switch.hand_over(host, "networkd")
    assert host.runner.shown == []
