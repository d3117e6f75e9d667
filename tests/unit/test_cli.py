"""The commands: exit codes, one line on stderr, and what is loaded for them."""
from __future__ import absolute_import, print_function, unicode_literals

import json
import os
import sys
import syslog

import pytest
import requests

from ec2net_legacy import __version__, cli, log, ports, settings
from ec2net_legacy.commands import add, lease, refresh, scan, settle
from ec2net_legacy.errors import CommandError, HostError, LockHeld, SettingsError
from tests.unit.fakes import (
    MACS,
    PRIMARY,
    SECOND,
    THIRD,
    FakeDevices,
    eni_texts,
    make_host,
    metadata_tree,
    nic,
)
from tests.unit.hosts import keep_kernel

REFUSED = requests.exceptions.ConnectionError("Connection refused")
ETH1 = {"INTERFACE": "eth1"}
LEASE = {"reason": "BOUND", "interface": "eth1"}
COMMANDS = [cli.hotplug, cli.ifup, cli.ifdown, cli.ifscan, cli.ec2net]


class Commands(object):
    """Runs the commands on a host with fakes."""

    def __init__(self, tmpdir, monkeypatch, capsys):
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.syslog = []
        self.root = tmpdir
        tmpdir.ensure("root", "etc/network/interfaces").write("source interfaces.d/*\n")
        self.answers = metadata_tree({PRIMARY: eni_texts(0), SECOND: eni_texts(1)})
        self.devices = FakeDevices(nic("eth0", PRIMARY, True), nic("eth1", SECOND))
        self.shown = []
        self.handed_over = []
        self.host = None
        # Commands come and go, the kernel stays.
        self.keeps_kernel = False
        self.statuses = {}
        monkeypatch.setattr(settings, "load", lambda: settings.DEFAULTS)
        monkeypatch.setattr(ports, "Host", self._host)
        monkeypatch.setattr(syslog, "openlog", lambda *_: None)
        monkeypatch.setattr(syslog, "syslog", lambda *record: self.syslog.append(record))
        for name in ("ACTION", "INTERFACE", "JOURNAL_STREAM", "interface", "reason"):
            monkeypatch.delenv(str(name), raising=False)

    def _host(self, chosen, unattended=False):
        assert chosen is settings.DEFAULTS
        host = make_host(self.root, self.answers, self.devices)
        if self.keeps_kernel and self.host is not None:
            keep_kernel(host, self.host)
        host.runner.statuses = self.statuses
        host.runner.shown = self.shown
        host.hand_over = lambda _, names, __: [
            name for name in names if name not in self.handed_over
        ]
        self.host = host
        return host

    def run(self, command, *arguments, **environ):
        """Return (exit code, stdout, stderr)."""
        for name, value in environ.items():
            self._monkeypatch.setitem(os.environ, str(name), str(value))
        argv = [str("command")] + [str(argument) for argument in arguments]
        self._monkeypatch.setattr(sys, "argv", argv)
        try:
            code = command()
        finally:
            del log.hearers[1:]
        out, err = self._capsys.readouterr()
        return code, out, err

    @property
    def configured(self):
        """The generated files."""
        directory = self.root.join("root", "etc/network/interfaces.d")
        return sorted(path.basename for path in directory.listdir()) if directory.check() else []


@pytest.fixture
def commands(tmpdir, monkeypatch, capsys):
    return Commands(tmpdir, monkeypatch, capsys)


@pytest.fixture
def added(commands):
    """The same after the event of eth1; the kernel stays from command to command."""
    commands.keeps_kernel = True
    commands.run(cli.hotplug, "add", **ETH1)
    del commands.syslog[:]
    return commands


def test_an_event_of_udev_is_done_silently(commands):
    assert commands.run(cli.hotplug, ACTION="add", **ETH1) == (0, "", "")
    assert commands.configured == ["eth1.cfg"]
    assert commands.run(cli.hotplug, ACTION="remove", **ETH1) == (0, "", "")
    assert commands.configured == []


def each(command, environ, *arguments):
    """Return rows of a table of wrong usages, whose arguments are divided by blanks."""
    return [(command, words.split(), environ) for words in arguments]


@pytest.mark.parametrize(
    "command, arguments, environ",
    each(cli.hotplug, ETH1, "", "replace", "add eth1", "--unknown")
    + each(cli.hotplug, {}, "add")
    + each(cli.hotplug, {"INTERFACE": "../x"}, "add")
    + each(cli.ifup, {}, "", "$(id)", "eth1 eth2")
    + each(cli.ifdown, {}, "")
    + [(cli.ifdown, ["eth 1"], {})]
    + each(cli.ifscan, {}, "eth1")
    + each(cli.ec2net, {}, "", "stats", "plan ../x", "status eth1", "plan --unknown")
    + each(cli.ec2net, {}, "refresh ../x", "refresh eth1 eth2", "refresh --within 5")
    + each(cli.ec2net, {}, "refresh --jitter", "refresh --jitter 601", "refresh --jitter x")
    + each(cli.ec2net, LEASE, "lease eth1", "lease --json", "lease --within 0", "lease --within -1")
    + each(cli.ec2net, LEASE, "lease --within nan", "lease --within inf", "lease --within x")
    + each(cli.ec2net, LEASE, "lease --within 601")
    + each(cli.ec2net, {}, "lease")
    + each(cli.ec2net, {"reason": "BOUND"}, "lease")
    + each(cli.ec2net, {"interface": "eth1"}, "lease")
    + each(cli.ec2net, {"reason": "BOUND", "interface": "../x"}, "lease"),
)
def test_wrong_usage_is_2_and_one_line(commands, command, arguments, environ):
    code, out, err = commands.run(command, *arguments, **environ)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert commands.configured == commands.shown == []


def failing_host(commands):
    commands.devices = FakeDevices()


def without_metadata(commands):
    for key in ("meta-data/mac", MACS):
        commands.answers[key] = REFUSED


def raising(error):
    """Return a stand-in that raises `error`."""

    def fail(*_, **__):
        raise error

    return fail


def impossible_metadata(commands):
    commands.answers[MACS + SECOND + "/local-ipv4s"] = "$(id)\nx"


@pytest.mark.parametrize(
    "command, arguments",
    [(cli.hotplug, ["add"]), (cli.ifup, ["eth1"]), (cli.ec2net, ["plan", "eth1"])],
    ids=["hotplug", "ifup", "plan"],
)
@pytest.mark.parametrize(
    "problem, expected, said",
    [
        (failing_host, 1, "eth1"),
        (without_metadata, 75, "unavailable"),
        (impossible_metadata, 1, "local-ipv4s"),
    ],
    ids=["host", "metadata unavailable", "metadata invalid"],
)
def test_what_goes_wrong_is_an_exit_code_and_one_line(
    commands, command, arguments, problem, expected, said
):
    problem(commands)
    code, out, err = commands.run(command, *arguments, **ETH1)
    assert code == expected
    # What is known of the other interfaces is shown all the same.
    assert out == "" or arguments[:1] == ["plan"]
    assert len(err.splitlines()) == 1
    assert said in err
    assert "Traceback" not in err
    assert commands.configured == []


def test_without_metadata_status_shows_what_it_can_and_is_75(commands):
    without_metadata(commands)
    code, out, err = commands.run(cli.ec2net, "status")
    assert code == 75
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("eth1")] == ["unknown"]
    assert len(err.splitlines()) == 1


def test_a_mistake_in_the_settings_is_1(commands, monkeypatch):
    error = SettingsError("/etc/ec2net/ec2net.conf:1: no")
    monkeypatch.setattr(settings, "load", raising(error))
    code, out, err = commands.run(cli.ifup, "eth1")
    assert (code, out) == (1, "")
    assert err.splitlines() == ["ec2ifup: /etc/ec2net/ec2net.conf:1: no"]


def test_ifup_and_ifdown_run_the_distributions(commands):
    assert commands.run(cli.ifup, "eth1") == (0, "", "")
    assert commands.shown == [["ifup", "eth1"]]
    assert commands.configured == ["eth1.cfg"]
    assert commands.run(cli.ifdown, "eth1") == (0, "", "")
    assert commands.shown[-1][0] == "ifdown"
    assert commands.configured == []


@pytest.mark.parametrize(
    "command, arguments",
    [(cli.ifup, ["eth1"]), (cli.ifdown, ["eth1"]), (cli.hotplug, ["add"])],
    ids=["ec2ifup", "ec2ifdown", "add"],
)
def test_a_command_that_does_nothing_says_so_and_why(commands, command, arguments):
    commands.root.ensure("root", "etc/network/interfaces.d/mine").write("iface eth1 inet dhcp\n")
    code, out, err = commands.run(command, *arguments, **ETH1)
    said = "eth1: left alone: /etc/network/interfaces.d/mine configures it"
    assert (code, out, err.split(": ", 1)[1]) == (0, "", said + "\n")
    assert commands.syslog == [(syslog.LOG_INFO, said)]
    assert commands.shown == []


def test_ifup_without_metadata_succeeds_with_what_was_there_and_warns(added):
    without_metadata(added)
    code, _, err = added.run(cli.ifup, "eth1")
    assert code == 0
    assert "eth1" in err and "unavailable" in err
    assert added.shown == [["ifup", "eth1"]]


@pytest.mark.parametrize("configured", [True, False], ids=["in step before", "never came up"])
@pytest.mark.parametrize("command", [(cli.ifscan,), (cli.ec2net, "refresh")], ids=["scan", "tick"])
def test_a_scan_and_a_refresh_are_as_bad_as_their_worst_interface(commands, command, configured):
    name = "eth1"
    if configured:
        assert commands.run(cli.ifscan) == (0, "", "")
        assert commands.shown == [["ifup", "eth1"]]
        if command == (cli.ifscan,):
            name = "eth2"
            commands.devices = FakeDevices(nic("eth2", SECOND))
    impossible_metadata(commands)
    code, _, err = commands.run(*command)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert name in err and "local-ipv4s" in err


def test_scan_says_in_the_log_whom_it_handed_over(commands):
    commands.handed_over = ["eth1"]
    assert commands.run(cli.ifscan) == (0, "", "")
    assert commands.shown == []
    (record,) = commands.syslog
    assert record[1].startswith("eth1: handed to the init system")


@pytest.mark.parametrize("command", [(cli.ifscan,), (cli.ec2net, "refresh")], ids=["scan", "tick"])
def test_what_is_cleaned_up_after_a_device_is_told_as_removed(commands, command):
    commands.run(cli.ifup, "eth1")
    commands.devices = FakeDevices(nic("eth0", PRIMARY, True))
    commands.answers[MACS] = PRIMARY + "/"
    del commands.syslog[:]
    assert commands.run(*command) == (0, "", "")
    assert commands.configured == []
    (record,) = commands.syslog
    assert record[1] == "eth1: removed /etc/network/interfaces.d/eth1.cfg"


@pytest.mark.parametrize("there, ran", [(False, [["ifdown", "--force", "eth1"]]), (True, [])])
def test_the_event_of_a_detachment_takes_down_what_is_gone(added, there, ran):
    if not there:
        added.devices = FakeDevices(nic("eth0", PRIMARY, True))
    assert added.run(cli.hotplug, ACTION="remove", **ETH1) == (0, "", "")
    assert added.shown == ran
    assert added.configured == []


def test_a_warning_is_shown_also_without_a_terminal(commands):
    commands.root.join("root", "etc/network/interfaces").write("")
    code, _, err = commands.run(cli.hotplug, "add", **ETH1)
    assert code == 0
    assert "source /etc/network/interfaces.d/*.cfg" in err


def test_the_log_gets_what_was_done_and_what_went_wrong(commands):
    commands.run(cli.hotplug, "add", **ETH1)
    without_metadata(commands)
    commands.run(cli.hotplug, "add", **ETH1)
    (first, done), (second, settled_too), (third, wrong) = commands.syslog
    assert first == syslog.LOG_INFO and "eth1" in done and "10001" in done
    assert second == syslog.LOG_INFO and settled_too.startswith("all ENIs: ")
    assert third == syslog.LOG_ERR and "unavailable" in wrong


def test_under_a_unit_the_journal_gets_each_line_once(commands):
    stream = "{0.st_dev}:{0.st_ino}".format(os.fstat(2))
    _, _, err = commands.run(cli.hotplug, "add", JOURNAL_STREAM=stream, **ETH1)
    assert commands.syslog == []
    said = [line.split(": ")[1] for line in err.splitlines()]
    assert said == ["eth1", "all ENIs"]


def test_with_stderr_elsewhere_syslog_gets_it_also_under_a_unit(commands):
    _, _, err = commands.run(cli.hotplug, "add", JOURNAL_STREAM="8:1", **ETH1)
    assert err == ""
    assert len(commands.syslog) == 2


def test_debugging_shows_every_request(commands):
    _, _, err = commands.run(cli.hotplug, "--debug", "add", **ETH1)
    assert "api/token" in err
    assert "TOKEN" not in err


def test_plan_prints_what_would_change_and_changes_nothing(commands):
    code, out, err = commands.run(cli.ec2net, "plan", "eth1")
    assert (code, err) == (0, "")
    assert "+++ /etc/network/interfaces.d/eth1.cfg" in out
    assert commands.configured == []


@pytest.mark.parametrize("command", ["plan", "status"])
def test_json_is_json(commands, command):
    code, out, _ = commands.run(cli.ec2net, command, "--json")
    assert code == 0
    assert [item["name"] for item in json.loads(out)["interfaces"]] == ["eth0", "eth1"]


@pytest.mark.parametrize("option, told", [("--help", "75"), ("--version", __version__)])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_help_names_the_exit_codes_and_the_version_is_told(commands, command, capsys, option, told):
    with pytest.raises(SystemExit) as caught:
        commands.run(command, option)
    assert caught.value.code in (0, None)
    assert told in "".join(capsys.readouterr())


def test_an_interrupted_command_says_nothing(commands, monkeypatch):
    monkeypatch.setattr(add, "up", raising(KeyboardInterrupt()))
    assert commands.run(cli.ifup, "eth1") == (130, "", "")


def test_a_reader_that_went_away_is_no_failure(commands, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert commands.run(cli.ec2net, "status")[0] == 0


def test_output_that_cannot_be_written_is_a_failure(commands, monkeypatch):
    with open("/dev/full", "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert commands.run(cli.ec2net, "status")[0] == 1


@pytest.mark.parametrize(
    "command, arguments",
    [(cli.hotplug, ["remove"]), (cli.ifdown, ["eth1"])],
    ids=["hotplug remove", "ifdown"],
)
def test_taking_away_loads_no_http_client(added, monkeypatch, command, arguments):
    monkeypatch.setitem(sys.modules, "requests", None)
    assert added.run(command, *arguments, **ETH1) == (0, "", "")
    assert added.configured == []


def test_a_refresh_brings_what_aws_changed_and_says_so_in_the_log(added):
    added.answers[MACS + SECOND + "/local-ipv4s"] = "10.0.1.10\n10.0.1.11"
    assert added.run(cli.ec2net, "refresh") == (0, "", "")
    path = added.root.join("root/etc/network/interfaces.d/eth1.cfg")
    assert "10.0.1.11" in path.read()
    assert len(added.syslog) == 1 and "eth1" in added.syslog[0][1]


def test_a_refresh_that_changes_nothing_says_nothing(added):
    for arguments in ((), ("eth1",)):
        assert added.run(cli.ec2net, "refresh", *arguments) == (0, "", "")
        assert added.host.runner.changes == added.syslog == []


def requested(commands):
    return [one.path for one in commands.host.session.requests if one.method == "GET"]


def test_a_refresh_of_an_idle_host_asks_who_is_there_once(commands):
    commands.run(cli.ifup, "eth1")
    assert commands.run(cli.ec2net, "refresh", "eth1")[0] == 0
    just_eth1 = requested(commands)
    assert commands.run(cli.ec2net, "refresh")[0] == 0
    # The primary's listing and four keys; for the scan at the end nothing more.
    assert len(requested(commands)) == len(just_eth1) + 5
    assert requested(commands).count("meta-data/mac") == 1
    assert MACS not in requested(commands)


def test_a_refresh_brings_up_what_waits_and_one_of_an_interface_does_not(commands):
    assert commands.run(cli.ec2net, "refresh", "eth1") == (0, "", "")
    assert (commands.shown, commands.configured) == ([], [])
    assert commands.run(cli.ec2net, "refresh") == (0, "", "")
    assert (commands.shown, commands.configured) == ([["ifup", "eth1"]], ["eth1.cfg"])
    # The scan asks, and then who has learnt of a card that it did not know.
    assert requested(commands).count(MACS) == 2
    assert commands.run(cli.ec2net, "refresh") == (0, "", "")
    assert MACS not in requested(commands)


def test_a_refresh_leaves_down_what_was_taken_down_and_a_scan_does_not(commands):
    commands.run(cli.ifup, "eth1")
    commands.run(cli.ifdown, "eth1")
    del commands.shown[:]
    assert commands.run(cli.ec2net, "refresh") == (0, "", "")
    assert (commands.shown, commands.configured) == ([], [])
    assert commands.run(cli.ifscan) == (0, "", "")
    assert (commands.shown, commands.configured) == ([["ifup", "eth1"]], ["eth1.cfg"])


@pytest.mark.parametrize("command", [(cli.ifscan,), (cli.ec2net, "refresh")], ids=["scan", "tick"])
def test_without_metadata_a_scan_and_a_refresh_are_75_and_one_line(commands, command):
    if command[1:]:
        commands.run(cli.hotplug, "add", **ETH1)
    without_metadata(commands)
    code, out, err = commands.run(*command)
    assert (code, out) == (75, "")
    assert len(err.splitlines()) == 1


def test_a_refresh_without_metadata_still_brings_up_what_is_configured(commands):
    commands.statuses["ifup"] = 3
    assert commands.run(cli.ifup, "eth1")[0] == 1
    without_metadata(commands)
    commands.handed_over = ["eth1"]
    del commands.syslog[:]
    assert commands.run(cli.ec2net, "refresh")[0] == 75
    assert [text for _, text in commands.syslog if text.startswith("eth1: handed")]


@pytest.mark.parametrize("jitter", ["5", "0.5", "600"])
def test_a_refresh_waits_up_to_its_jitter(commands, monkeypatch, jitter):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr("random.uniform", lambda low, high: (low + high) / 2)
    assert commands.run(cli.ec2net, "refresh", "--jitter", jitter)[0] == 0
    assert slept == [float(jitter) / 2]
    assert commands.run(cli.ec2net, "refresh")[0] == 0
    assert len(slept) == 1


@pytest.mark.parametrize("reason", ["PREINIT", "MEDIUM", "PREINIT6", "nonsense"])
def test_other_events_of_dhclient_look_at_nothing(commands, monkeypatch, reason):
    monkeypatch.setattr(ports, "Host", raising(AssertionError("not needed")))
    assert commands.run(cli.ec2net, "lease", **dict(LEASE, reason=reason)) == (0, "", "")


def test_a_lease_without_metadata_is_0_with_a_warning(added):
    added.root.join("run", "interface-eth1").remove()
    added.answers = dict.fromkeys(added.answers, REFUSED)
    code, out, err = added.run(cli.ec2net, "lease", "--within", "2", **LEASE)
    assert (code, out) == (0, "")
    assert len(err.splitlines()) == 1
    assert "left to the refresh" in err


@pytest.mark.parametrize("routers", ["$(id)", "10.0.1.1;id", "fe80::1", "\u0661.1.1.1", "x" * 5000])
def test_a_router_that_is_none_is_one_warning(added, monkeypatch, routers):
    if sys.version_info[0] == 2:
        routers = routers.encode("utf-8")
    monkeypatch.setitem(os.environ, str("new_routers"), routers)
    environ = dict(LEASE, new_ip_address="10.0.1.10")
    code, out, err = added.run(cli.ec2net, "lease", **environ)
    assert (code, out) == (0, "")
    assert len(err.splitlines()) == 1
    assert len(err) < 300
    assert "new_routers" in err


BRIDGE = nic("docker0", "02:42:00:00:00:01", True, kind="bridge", index=9)
FIRST = "9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup 10000"


def settled(commands):
    """Return whether main is first."""
    return FIRST in commands.host.runner.kernel[4]


def unsettle(commands):
    """Let somebody delete that rule."""
    kernel = commands.host.runner.kernel
    kernel[4] = kernel[4].replace(FIRST + " \n", "")
    assert not settled(commands)


def without_iptables(commands, monkeypatch, wish):
    """Put the host into a state in which connections should be marked and cannot be."""
    commands.keeps_kernel = True
    commands.devices.shown["docker0"] = BRIDGE

    def make(*_, **__):
        host = Commands._host(commands, settings.DEFAULTS)
        host.settings = host.settings._replace(containers=wish)
        host.runner.missing = {"iptables-save"}
        return host

    monkeypatch.setattr(ports, "Host", make)


EACH = [
    (cli.hotplug, ["add"]),
    (cli.ifup, ["eth1"]),
    (cli.ifscan, []),
    (cli.ec2net, ["refresh"]),
    (cli.ec2net, ["refresh", "eth1"]),
    (cli.ec2net, ["lease"]),
]
each_command = pytest.mark.parametrize(
    "command, arguments", EACH, ids=lambda one: getattr(one, "__name__", None) or " ".join(one)
)


def environ_of(arguments):
    return LEASE if arguments == ["lease"] else ETH1


class TestAllEnis(object):
    """After each command all ENIs are made to get along with each other."""

    @each_command
    def test_what_is_missing_is_made_good(self, added, command, arguments):
        assert settled(added)
        unsettle(added)
        assert added.run(command, *arguments, **environ_of(arguments)) == (0, "", "")
        assert settled(added)
        assert "all ENIs: 1 kernel change" in [said for _, said in added.syslog]

    @pytest.mark.parametrize(
        "command, arguments", [(cli.hotplug, ["remove"]), (cli.ifdown, ["eth1"])]
    )
    def test_with_the_last_one_it_is_taken_back(self, added, command, arguments):
        assert added.run(command, *arguments, **ETH1) == (0, "", "")
        assert not settled(added)
        assert set(added.host.runner.groups.values()) == {0}
        assert added.syslog[-1][1].startswith("all ENIs: 1 kernel change, link group of ")

    @pytest.mark.parametrize(
        "command, environ",
        [((cli.hotplug,), dict(ETH1, ACTION=action)) for action in ("change", "move", "bind")]
        + [((cli.ec2net, "lease"), dict(LEASE, interface="eth9"))],
    )
    def test_an_event_that_is_none_looks_at_nothing(self, added, command, environ):
        unsettle(added)
        del added.host.runner.ran[:]
        assert added.run(*command, **environ) == (0, "", "")
        assert added.host.runner.ran == []
        assert added.configured == ["eth1.cfg"]

    @each_command
    def test_also_when_metadata_is_silent(self, added, command, arguments):
        unsettle(added)
        without_metadata(added)
        code, _, err = added.run(command, *arguments, **environ_of(arguments))
        # Of an add that fails with 75, it is documented that it has changed nothing.
        assert settled(added) == (command is not cli.hotplug)
        assert len(err.splitlines()) <= 1
        assert code == (0 if command is cli.ifup or arguments == ["lease"] else 75)

    @pytest.mark.parametrize("command, arguments", [(cli.ifscan, []), (cli.ec2net, ["refresh"])])
    def test_also_when_metadata_talks_nonsense(self, added, command, arguments):
        added.host.runner.groups["eth1"] = 0
        # Somebody waits, so that it has to be asked.
        added.devices.shown["eth2"] = nic("eth2", "02:00:00:00:00:03", index=7)
        added.answers["meta-data/mac"] = added.answers[MACS] = "$(id)"
        code, _, err = added.run(command, *arguments)
        assert added.host.runner.groups["eth1"] == 10000
        assert (code, len(err.splitlines())) == (1, 1)

    def test_a_lease_does_not_ask_metadata_which_cards_are_enis(self, added):
        unsettle(added)
        added.devices.shown["usb0"] = nic("usb0", "02:00:00:00:00:09", index=7)
        assert added.run(cli.ec2net, "lease", **LEASE) == (0, "", "")
        assert MACS not in requested(added)
        assert not settled(added)
        assert added.run(cli.ec2net, "refresh") == (0, "", "")
        assert MACS in requested(added)
        assert settled(added)

    @each_command
    def test_without_iptables_it_is_a_warning(self, commands, monkeypatch, command, arguments):
        without_iptables(commands, monkeypatch, "auto")
        commands.run(cli.hotplug, "add", **ETH1)
        commands.host.run_directory.forget("host")
        code, _, err = commands.run(command, *arguments, **environ_of(arguments))
        assert code == 0
        (line,) = err.splitlines()
        assert "connections to containers are not marked: cannot run iptables-save" in line
        assert commands.run(command, *arguments, **environ_of(arguments)) == (0, "", "")

    @each_command
    def test_who_asks_for_marks_gets_an_error(self, commands, monkeypatch, command, arguments):
        without_iptables(commands, monkeypatch, "yes")
        for _ in range(2):
            commands.run(cli.hotplug, "add", **ETH1)
            code, _, err = commands.run(command, *arguments, **environ_of(arguments))
            assert code == 1
            (line,) = err.splitlines()
            assert "all ENIs: connections cannot be marked: cannot run iptables-save" in line
            assert settled(commands)
            assert commands.configured == ["eth1.cfg"]

    def test_what_failed_before_does_not_hide_what_failed_here(self, commands, monkeypatch):
        without_iptables(commands, monkeypatch, "yes")
        commands.statuses["ifup"] = 3
        code, _, err = commands.run(cli.ifup, "eth1")
        assert code == 1
        marks, ifup = err.splitlines()
        assert "iptables-save" in marks and "ifup eth1: exit code 3" in ifup

    @pytest.mark.parametrize(
        "error, expected, said",
        [(LockHeld("it is locked"), 0, []),
         (ZeroDivisionError("x"), 1, ["internal error: ZeroDivisionError: x"])],
        ids=["who finds the lock held leaves it to the other", "a mistake of ours is told as one"],
    )
    def test_what_goes_wrong_with_it_is_told_unless_another_does_it(  # noqa: PLR0913
        self, commands, monkeypatch, error, expected, said
    ):
        monkeypatch.setattr(settle, "settle", raising(error))
        code, _, err = commands.run(cli.hotplug, "add", **ETH1)
        assert code == expected
        assert [line.split(": ", 1)[1] for line in err.splitlines()] == said
        assert [line for _, line in commands.syslog if "all ENIs" in line] == []
        assert commands.configured == ["eth1.cfg"]


class TestAllEnisShown(object):
    """`plan` and `status` show that, and change nothing."""

    def test_a_plan_shows_what_the_first_eni_brings(self, commands):
        commands.devices.shown["docker0"] = BRIDGE
        code, out, err = commands.run(cli.ec2net, "plan")
        assert (code, err) == (0, "")
        shown = " ".join(out[out.index("all ENIs:") :].split())
        assert "+ ip link set dev eth0 group 10000" in shown
        assert "+ ip rule add pref 9990 lookup main" in shown
        assert "+ sysctl -w net/ipv4/conf/eth1/rp_filter=2" in shown
        assert "+ iptables -t mangle -A PREROUTING -j EC2NET + iptables" in shown
        assert "+ iptables -t mangle -A EC2NET -i eth1 -m conntrack" in shown
        assert max(len(line) for line in out.splitlines()) <= 80

    @pytest.mark.parametrize("configured", [False, True], ids=["the first ENI", "the second"])
    def test_a_plan_of_one_eni_shows_what_its_ec2ifup_does_for_all(self, commands, configured):
        commands.keeps_kernel = True
        if configured:
            commands.answers = metadata_tree(
                {PRIMARY: eni_texts(0), SECOND: eni_texts(1), THIRD: eni_texts(2)}
            )
            commands.devices.shown["eth2"] = nic("eth2", THIRD, True, index=7)
            commands.run(cli.hotplug, "add", INTERFACE="eth2")
        _, out, __ = commands.run(cli.ec2net, "plan", "eth1")
        told = json.loads(commands.run(cli.ec2net, "plan", "eth1", "--json")[1])["all_enis"]
        shown = " ".join(out[out.index("all ENIs:") :].split())
        commands.run(cli.hotplug, "add", **ETH1)
        done = [one for one in commands.host.runner.changes if "group" in one or "pref 9990" in one]
        written = ["{0}={1}".format(*pair) for pair in commands.host.sysctl.written]
        commands_shown = ["+ ip " + one for one in done] + ["+ sysctl -w " + one for one in written]
        assert shown == " ".join(["all ENIs:"] + commands_shown)
        assert [one["ip"] for one in told["kernel"]] == done
        assert sorted(told["parameters"]) == [name for name, _ in commands.host.sysctl.written]

    @pytest.mark.parametrize("above", ["aaa0", "zzz0"])
    def test_a_bridge_does_not_hide_that_its_port_is_an_eni(self, commands, above):
        commands.devices.shown["eth0"] = nic("eth0", PRIMARY, True, master=above)
        commands.devices.shown[above] = nic(above, PRIMARY, True, kind="bridge", index=10)
        _, out, __ = commands.run(cli.ec2net, "plan")
        assert "+ ip link set dev {0} group 10000\n".format(above) in out

    @pytest.mark.parametrize("command", ["plan", "status"])
    @pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["text", "JSON"])
    def test_nothing_is_changed(self, added, command, arguments):
        unsettle(added)
        added.run(cli.ec2net, command, *arguments)
        assert added.host.runner.changes == added.host.sysctl.written == []

    def test_the_status_ends_with_it(self, added):
        assert added.run(cli.ec2net, "status")[1].splitlines()[-1] == "all ENIs: main first"
        unsettle(added)
        last = added.run(cli.ec2net, "status")[1].splitlines()[-1]
        assert last == "all ENIs: differs: 1 kernel change"

    def test_on_a_host_with_just_the_primary_there_is_nothing_to_say(self, commands):
        commands.devices = FakeDevices(nic("eth0", PRIMARY, True))
        for command in ("plan", "status"):
            assert "all ENIs" not in commands.run(cli.ec2net, command)[1]
            assert commands.host.runner.ran == []

    def test_without_iptables_the_status_says_so(self, commands, monkeypatch):
        without_iptables(commands, monkeypatch, "auto")
        commands.run(cli.hotplug, "add", **ETH1)
        code, out, _ = commands.run(cli.ec2net, "status")
        assert code == 0
        assert "connections cannot be marked: cannot run iptables-save" in " ".join(out.split())


def test_a_prefix_outside_the_subnet_costs_the_eni_nothing_and_is_told_once(commands):
    enis = {PRIMARY: eni_texts(0), SECOND: eni_texts(1, {"ipv4-prefix": "10.9.0.0/28"})}
    commands.answers = metadata_tree(enis)
    for command in ("plan", "status"):
        assert "ipv4-prefix has 10.9.0.0/28" in commands.run(cli.ec2net, command)[1]
    code, _, err = commands.run(cli.hotplug, "add", **ETH1)
    assert code == 0
    assert err.count("ipv4-prefix has 10.9.0.0/28") == 1
    assert "10.0.1.10" in commands.root.join("root/etc/network/interfaces.d/eth1.cfg").read()


@pytest.mark.parametrize("name", ["caf\xc3\xa9", "\xc3\xa0", "caf\xe9"], ids=repr)
def test_a_file_whose_name_is_not_ascii_is_one_like_any_other(commands, name):
    network = commands.root.join("root/etc/network")
    network.join("interfaces").write_binary(
        "source interfaces.d/{0}*\n".format(name).encode("latin-1")
    )
    network.ensure("interfaces.d", dir=True)
    path = str(network).encode("ascii") + "/interfaces.d/{0}.cfg".format(name).encode("latin-1")
    with open(path, "wb") as stream:
        stream.write(b"iface eth1 inet dhcp\n")
    escaped = name.encode("ascii", "backslashreplace").decode("ascii")
    said = "/etc/network/interfaces.d/{0}.cfg configures it".format(escaped)
    for command, arguments in ((cli.ec2net, ["plan", "--json"]), (cli.ec2net, ["status"])):
        code, out, err = commands.run(command, *arguments)
        assert (code, err) == (0, "")
        assert said.replace("\\x", "\\u00" if "--json" in arguments else "\\x") in out
    code, _, err = commands.run(cli.ifup, "--debug", "eth1")
    assert (code, said in err) == (0, True)


class TestWhatAllShareAfterAnError(object):
    """Whatever the end of a run is, what it did for an ENI is completed by what all have."""

    @pytest.fixture
    def configured(self, commands):
        assert commands.run(cli.ifup, "eth1")[0] == 0
        return commands

    def joined(self, commands, command, *arguments, **environ):
        code, _, err = commands.run(command, *arguments, **environ)
        assert (code, err.count("\n") > 0) == (1, True)
        return "eth1" in commands.host.runner.groups

    def test_metadata_that_cannot_be_true(self, configured):
        impossible_metadata(configured)
        assert self.joined(configured, cli.ifup, "eth1")
        assert ["ifup", "eth1"] in configured.shown

    def test_an_ifup_that_fails(self, configured):
        configured.statuses["ifup"] = 3
        assert self.joined(configured, cli.ifup, "eth1")

    @pytest.mark.parametrize(
        "owner, name, error, command",
        [
            (add, "up", LockHeld("held"), (cli.ifup, "eth1")),
            (add, "up", HostError("full"), (cli.ifup, "eth1")),
            (lease, "lease", CommandError(["ip"], 2, "no"), (cli.ec2net, "lease")),
            (refresh, "refresh", LockHeld("held"), (cli.ec2net, "refresh")),
            (scan, "catch_up", LockHeld("held"), (cli.ifscan,)),
        ],
        ids=["lock", "disk", "lease", "refresh", "scan"],
    )
    def test_what_is_left_cannot_be_done(  # noqa: PLR0913
        self, configured, monkeypatch, owner, name, error, command
    ):
        monkeypatch.setattr(owner, name, raising(error))
        assert self.joined(configured, *command, **LEASE)
