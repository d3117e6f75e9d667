"""The commands: exit codes, one line on stderr, and what is loaded for them."""
from __future__ import absolute_import, print_function, unicode_literals

import json
import logging
import os
import sys
import syslog

import pytest
import requests

from ec2net_legacy import __version__, cli, coexist, plan, settings, workflow
from ec2net_legacy.errors import LockHeld, SettingsError
from tests.unit.fakes import (
    MACS,
    PRIMARY,
    SECOND,
    FakeDevices,
    eni_texts,
    make_host,
    metadata_tree,
    nic,
)
from tests.unit.hosts import keep_kernel

REFUSED = requests.exceptions.ConnectionError("Connection refused")
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
        monkeypatch.setattr(plan, "Host", self._host)
        monkeypatch.setattr(syslog, "openlog", lambda *_: None)
        monkeypatch.setattr(syslog, "syslog", lambda *record: self.syslog.append(record))
        for name in ("ACTION", "INTERFACE", "JOURNAL_STREAM"):
            monkeypatch.delenv(str(name), raising=False)

    def _host(self, chosen):
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
            logger = logging.getLogger("ec2net_legacy")
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
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


def test_an_event_of_udev_is_done_silently(commands):
    assert commands.run(cli.hotplug, ACTION="add", INTERFACE="eth1") == (0, "", "")
    assert commands.configured == ["eth1.cfg"]
    assert commands.run(cli.hotplug, ACTION="remove", INTERFACE="eth1") == (0, "", "")
    assert commands.configured == []


@pytest.mark.parametrize("action", ["change", "move", "bind"])
def test_other_events_are_done_with_nothing(commands, action):
    assert commands.run(cli.hotplug, ACTION=action, INTERFACE="eth1") == (0, "", "")
    assert commands.configured == []


def test_the_argument_wins_over_the_environment(commands):
    commands.run(cli.hotplug, "add", ACTION="remove", INTERFACE="eth1")
    assert commands.configured == ["eth1.cfg"]
    commands.run(cli.hotplug, "remove", ACTION="add", INTERFACE="eth1")
    assert commands.configured == []


@pytest.mark.parametrize(
    "command, arguments, environ",
    [
        (cli.hotplug, [], {"INTERFACE": "eth1"}),
        (cli.hotplug, ["add"], {}),
        (cli.hotplug, ["add"], {"INTERFACE": "../x"}),
        (cli.hotplug, ["replace"], {"INTERFACE": "eth1"}),
        (cli.hotplug, ["add", "eth1"], {"INTERFACE": "eth1"}),
        (cli.hotplug, ["--unknown"], {"INTERFACE": "eth1"}),
        (cli.ifup, [], {}),
        (cli.ifup, ["$(id)"], {}),
        (cli.ifup, ["eth1", "eth2"], {}),
        (cli.ifdown, [], {}),
        (cli.ifdown, ["eth 1"], {}),
        (cli.ifscan, ["eth1"], {}),
        (cli.ec2net, [], {}),
        (cli.ec2net, ["stats"], {}),
        (cli.ec2net, ["plan", "../x"], {}),
        (cli.ec2net, ["status", "eth1"], {}),
        (cli.ec2net, ["plan", "--unknown"], {}),
    ],
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
    code, out, err = commands.run(command, *arguments, INTERFACE="eth1")
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
    def refuse():
        raise SettingsError("/etc/ec2net/ec2net.conf:1: no")

    monkeypatch.setattr(settings, "load", refuse)
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


def test_an_ifup_that_fails_is_1(commands):
    commands.statuses["ifup"] = 3
    code, _, err = commands.run(cli.ifup, "eth1")
    assert code == 1
    assert "ifup eth1" in err and "3" in err


def test_ifup_without_metadata_succeeds_with_what_was_there_and_warns(commands):
    commands.run(cli.hotplug, "add", INTERFACE="eth1")
    without_metadata(commands)
    code, _, err = commands.run(cli.ifup, "eth1")
    assert code == 0
    assert "eth1" in err and "unavailable" in err
    assert commands.shown == [["ifup", "eth1"]]


def test_scan_is_as_bad_as_its_worst_interface(commands):
    assert commands.run(cli.ifscan) == (0, "", "")
    assert commands.shown == [["ifup", "eth1"]]
    commands.devices = FakeDevices(nic("eth2", SECOND))
    impossible_metadata(commands)
    code, _, err = commands.run(cli.ifscan)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "eth2" in err


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
def test_the_event_of_a_detachment_takes_down_what_is_gone(commands, there, ran):
    commands.run(cli.hotplug, "add", INTERFACE="eth1")
    if not there:
        commands.devices = FakeDevices(nic("eth0", PRIMARY, True))
    assert commands.run(cli.hotplug, ACTION="remove", INTERFACE="eth1") == (0, "", "")
    assert commands.shown == ran
    assert commands.configured == []


def test_scan_without_metadata_is_75(commands):
    without_metadata(commands)
    code, _, err = commands.run(cli.ifscan)
    assert code == 75
    assert len(err.splitlines()) == 1


def test_a_warning_is_shown_also_without_a_terminal(commands):
    commands.root.join("root", "etc/network/interfaces").write("")
    code, _, err = commands.run(cli.hotplug, "add", INTERFACE="eth1")
    assert code == 0
    assert "source /etc/network/interfaces.d/*.cfg" in err


def test_the_log_gets_what_was_done_and_what_went_wrong(commands):
    commands.run(cli.hotplug, "add", INTERFACE="eth1")
    without_metadata(commands)
    commands.run(cli.hotplug, "add", INTERFACE="eth1")
    (first, done), (second, settled_too), (third, wrong) = commands.syslog
    assert first == syslog.LOG_INFO and "eth1" in done and "10001" in done
    assert second == syslog.LOG_INFO and settled_too.startswith("all ENIs: ")
    assert third == syslog.LOG_ERR and "unavailable" in wrong


def test_under_a_unit_the_journal_gets_each_line_once(commands):
    _, _, err = commands.run(cli.hotplug, "add", INTERFACE="eth1", JOURNAL_STREAM="8:1")
    assert commands.syslog == []
    said = [line.split(": ")[1] for line in err.splitlines()]
    assert said == ["eth1", "all ENIs"]


def test_debugging_shows_every_request(commands):
    _, _, err = commands.run(cli.hotplug, "--debug", "add", INTERFACE="eth1")
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
    assert [item["name"] for item in json.loads(out)] == ["eth0", "eth1"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_help_names_the_exit_codes(commands, command, capsys):
    with pytest.raises(SystemExit) as caught:
        commands.run(command, "--help")
    assert caught.value.code in (0, None)
    assert "75" in capsys.readouterr()[0]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_the_version_is_told(commands, command, capsys):
    with pytest.raises(SystemExit) as caught:
        commands.run(command, "--version")
    assert caught.value.code in (0, None)
    assert __version__ in "".join(capsys.readouterr())


def test_an_interrupted_command_says_nothing(commands, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(workflow, "up", interrupt)
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
def test_taking_away_loads_no_http_client(commands, monkeypatch, command, arguments):
    commands.run(cli.hotplug, "add", INTERFACE="eth1")
    monkeypatch.setitem(sys.modules, "requests", None)
    assert commands.run(command, *arguments, INTERFACE="eth1") == (0, "", "")
    assert commands.configured == []


def lease_environ(reason="BOUND", **others):
    return dict({"reason": reason, "interface": "eth1"}, **others)


@pytest.mark.parametrize(
    "arguments, environ",
    [
        (["lease"], {}),
        (["lease"], {"reason": "BOUND"}),
        (["lease"], {"interface": "eth1"}),
        (["lease"], {"reason": "BOUND", "interface": "../x"}),
        (["lease", "eth1"], lease_environ()),
        (["lease", "--within", "0"], lease_environ()),
        (["lease", "--within", "-1"], lease_environ()),
        (["lease", "--within", "nan"], lease_environ()),
        (["lease", "--within", "inf"], lease_environ()),
        (["lease", "--within", "x"], lease_environ()),
        (["lease", "--within", "601"], lease_environ()),
        (["lease", "--json"], lease_environ()),
        (["refresh", "../x"], {}),
        (["refresh", "eth1", "eth2"], {}),
        (["refresh", "--jitter"], {}),
        (["refresh", "--jitter", "601"], {}),
        (["refresh", "--jitter", "x"], {}),
        (["refresh", "--within", "5"], {}),
    ],
)
def test_wrong_usage_of_what_hooks_and_timers_call(commands, monkeypatch, arguments, environ):
    for name in ("reason", "interface"):
        monkeypatch.delenv(str(name), raising=False)
    code, out, err = commands.run(cli.ec2net, *arguments, **environ)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1


def test_a_refresh_brings_what_aws_changed_and_says_so_in_the_log(commands):
    commands.keeps_kernel = True
    commands.run(cli.hotplug, "add", INTERFACE="eth1")
    commands.answers[MACS + SECOND + "/local-ipv4s"] = "10.0.1.10\n10.0.1.11"
    del commands.syslog[:]
    assert commands.run(cli.ec2net, "refresh") == (0, "", "")
    path = commands.root.join("root/etc/network/interfaces.d/eth1.cfg")
    assert "10.0.1.11" in path.read()
    assert len(commands.syslog) == 1 and "eth1" in commands.syslog[0][1]


def test_a_refresh_that_changes_nothing_says_nothing(commands):
    commands.keeps_kernel = True
    commands.run(cli.hotplug, "add", INTERFACE="eth1")
    del commands.syslog[:]
    assert commands.run(cli.ec2net, "refresh") == (0, "", "")
    assert commands.run(cli.ec2net, "refresh", "eth1") == (0, "", "")
    assert commands.syslog == []


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


def test_a_refresh_tells_what_did_not_come_up(commands):
    impossible_metadata(commands)
    code, _, err = commands.run(cli.ec2net, "refresh")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "eth1" in err and "local-ipv4s" in err


def test_a_refresh_without_metadata_is_75_and_one_line(commands):
    commands.run(cli.hotplug, "add", INTERFACE="eth1")
    without_metadata(commands)
    code, out, err = commands.run(cli.ec2net, "refresh")
    assert (code, out) == (75, "")
    assert len(err.splitlines()) == 1


def test_a_refresh_is_as_bad_as_its_worst_interface(commands):
    commands.run(cli.hotplug, "add", INTERFACE="eth1")
    impossible_metadata(commands)
    code, _, err = commands.run(cli.ec2net, "refresh")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "eth1" in err and "local-ipv4s" in err


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
    def no_host(_):
        pytest.fail("not needed")

    monkeypatch.setattr(plan, "Host", no_host)
    assert commands.run(cli.ec2net, "lease", **lease_environ(reason)) == (0, "", "")


def test_a_lease_without_metadata_is_0_with_a_warning(commands):
    commands.run(cli.hotplug, "add", INTERFACE="eth1")
    without_metadata(commands)
    commands.root.join("run", "metadata-eth1").remove()
    for key in list(commands.answers):
        commands.answers[key] = REFUSED
    code, out, err = commands.run(cli.ec2net, "lease", "--within", "2", **lease_environ())
    assert (code, out) == (0, "")
    assert len(err.splitlines()) == 1
    assert "left to the refresh" in err


@pytest.mark.parametrize("routers", ["$(id)", "10.0.1.1;id", "fe80::1", "\u0661.1.1.1", "x" * 5000])
def test_a_router_that_is_none_is_one_warning(commands, routers):
    commands.run(cli.hotplug, "add", INTERFACE="eth1")
    environ = lease_environ(new_ip_address="10.0.1.10")
    if sys.version_info[0] == 2:
        routers = routers.encode("utf-8")
    os.environ[str("new_routers")] = routers
    try:
        code, out, err = commands.run(cli.ec2net, "lease", **environ)
    finally:
        del os.environ[str("new_routers")]
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
    chosen = settings.DEFAULTS._replace(containers=wish)
    commands.devices.shown["docker0"] = BRIDGE

    def make(_):
        host = Commands._host(commands, settings.DEFAULTS)
        host.settings = host.settings._replace(containers=chosen.containers)
        host.runner.missing = {"iptables-save"}
        return host

    monkeypatch.setattr(plan, "Host", make)


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
    return lease_environ() if arguments == ["lease"] else {"INTERFACE": "eth1"}


class TestAllEnis(object):
    """After each command all ENIs are made to get along with each other."""

    @pytest.fixture(autouse=True)
    def kernel_stays(self, commands):
        commands.keeps_kernel = True

    @each_command
    def test_what_is_missing_is_made_good(self, commands, command, arguments):
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        assert settled(commands)
        unsettle(commands)
        del commands.syslog[:]
        assert commands.run(command, *arguments, **environ_of(arguments)) == (0, "", "")
        assert settled(commands)
        assert "all ENIs: 1 kernel change" in [said for _, said in commands.syslog]

    @pytest.mark.parametrize(
        "command, arguments", [(cli.hotplug, ["remove"]), (cli.ifdown, ["eth1"])]
    )
    def test_with_the_last_one_it_is_taken_back(self, commands, command, arguments):
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        del commands.syslog[:]
        assert commands.run(command, *arguments, INTERFACE="eth1") == (0, "", "")
        assert not settled(commands)
        assert set(commands.host.runner.groups.values()) == {0}
        assert commands.syslog[-1][1].startswith("all ENIs: 1 kernel change, link group of ")

    @pytest.mark.parametrize("action", ["change", "move"])
    def test_an_event_that_is_none_looks_at_nothing(self, commands, action):
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        unsettle(commands)
        del commands.host.runner.ran[:]
        assert commands.run(cli.hotplug, ACTION=action, INTERFACE="eth1") == (0, "", "")
        assert commands.host.runner.ran == []

    def test_nor_does_the_lease_of_what_is_none_of_ours(self, commands):
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        unsettle(commands)
        environ = lease_environ(interface="eth9")
        assert commands.run(cli.ec2net, "lease", **environ) == (0, "", "")
        assert commands.host.runner.ran == []

    @each_command
    def test_also_when_metadata_is_silent(self, commands, command, arguments):
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        unsettle(commands)
        without_metadata(commands)
        code, _, err = commands.run(command, *arguments, **environ_of(arguments))
        # Of an add that fails with 75, it is documented that it has changed nothing.
        assert settled(commands) == (command is not cli.hotplug)
        assert len(err.splitlines()) <= 1
        assert code == (0 if command is cli.ifup or arguments == ["lease"] else 75)

    @pytest.mark.parametrize("command, arguments", [(cli.ifscan, []), (cli.ec2net, ["refresh"])])
    def test_also_when_metadata_talks_nonsense(self, commands, command, arguments):
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        commands.host.runner.groups["eth1"] = 0
        # Somebody waits, so that it has to be asked.
        commands.devices.shown["eth2"] = nic("eth2", "02:00:00:00:00:03", index=7)
        commands.answers["meta-data/mac"] = commands.answers[MACS] = "$(id)"
        code, _, err = commands.run(command, *arguments)
        assert commands.host.runner.groups["eth1"] == 10000
        assert (code, len(err.splitlines())) == (1, 1)

    def test_a_lease_does_not_ask_metadata_which_cards_are_enis(self, commands):
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        unsettle(commands)
        commands.devices.shown["usb0"] = nic("usb0", "02:00:00:00:00:09", index=7)
        assert commands.run(cli.ec2net, "lease", **lease_environ()) == (0, "", "")
        assert MACS not in requested(commands)
        assert not settled(commands)
        assert commands.run(cli.ec2net, "refresh") == (0, "", "")
        assert MACS in requested(commands)
        assert settled(commands)

    def test_where_nothing_is_to_be_done_it_is_silent(self, commands):
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        del commands.syslog[:]
        assert commands.run(cli.ec2net, "refresh") == (0, "", "")
        assert commands.syslog == []
        assert commands.host.runner.changes == []

    @each_command
    def test_without_iptables_it_is_a_warning(self, commands, monkeypatch, command, arguments):
        without_iptables(commands, monkeypatch, "auto")
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        commands.host.run_directory.forget("coexistence")
        code, _, err = commands.run(command, *arguments, **environ_of(arguments))
        assert code == 0
        (line,) = err.splitlines()
        assert "connections to containers are not marked: cannot run iptables-save" in line
        assert commands.run(command, *arguments, **environ_of(arguments)) == (0, "", "")

    @each_command
    def test_who_asks_for_marks_gets_an_error(self, commands, monkeypatch, command, arguments):
        without_iptables(commands, monkeypatch, "yes")
        for _ in range(2):
            commands.run(cli.hotplug, "add", INTERFACE="eth1")
            code, _, err = commands.run(command, *arguments, **environ_of(arguments))
            assert code == 1
            (line,) = err.splitlines()
            assert "all ENIs: connections cannot be marked: cannot run iptables-save" in line
            assert settled(commands)
            assert commands.configured == ["eth1.cfg"]

    def test_after_an_ifup_that_failed_too(self, commands):
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        unsettle(commands)
        commands.statuses["ifup"] = 3
        code, _, err = commands.run(cli.ifup, "eth1")
        assert code == 1
        assert len(err.splitlines()) == 1
        assert settled(commands)

    def test_what_failed_before_does_not_hide_what_failed_here(self, commands, monkeypatch):
        without_iptables(commands, monkeypatch, "yes")
        commands.statuses["ifup"] = 3
        code, _, err = commands.run(cli.ifup, "eth1")
        assert code == 1
        marks, ifup = err.splitlines()
        assert "iptables-save" in marks and "ifup eth1: exit code 3" in ifup

    def test_who_finds_the_lock_held_leaves_it_to_the_other(self, commands, monkeypatch):
        def wait(*_):
            raise LockHeld("/run/ec2net/coexistence is locked")

        monkeypatch.setattr(coexist, "settle", wait)
        assert commands.run(cli.hotplug, "add", INTERFACE="eth1") == (0, "", "")
        assert [said for _, said in commands.syslog if "all ENIs" in said] == []
        assert commands.configured == ["eth1.cfg"]

    def test_a_mistake_of_ours_is_told_as_one(self, commands, monkeypatch):
        def fail(*_):
            raise ZeroDivisionError("x")

        monkeypatch.setattr(coexist, "settle", fail)
        code, _, err = commands.run(cli.hotplug, "add", INTERFACE="eth1")
        assert code == 1
        assert "internal error: ZeroDivisionError: x" in err


class TestAllEnisShown(object):
    """`plan` and `status` show that, and change nothing."""

    @pytest.fixture(autouse=True)
    def kernel_stays(self, commands):
        commands.keeps_kernel = True

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

    @pytest.mark.parametrize("above", ["aaa0", "zzz0"])
    def test_a_bridge_does_not_hide_that_its_port_is_an_eni(self, commands, above):
        commands.devices.shown["eth0"] = nic("eth0", PRIMARY, True, master=above)
        commands.devices.shown[above] = nic(above, PRIMARY, True, kind="bridge", index=10)
        _, out, __ = commands.run(cli.ec2net, "plan")
        assert "+ ip link set dev {0} group 10000\n".format(above) in out

    @pytest.mark.parametrize("command", ["plan", "status"])
    @pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["text", "JSON"])
    def test_nothing_is_changed(self, commands, command, arguments):
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        unsettle(commands)
        commands.run(cli.ec2net, command, *arguments)
        assert commands.host.runner.changes == commands.host.sysctl.written == []

    def test_the_status_ends_with_it(self, commands):
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        assert commands.run(cli.ec2net, "status")[1].splitlines()[-1] == "all ENIs: main first"
        unsettle(commands)
        last = commands.run(cli.ec2net, "status")[1].splitlines()[-1]
        assert last == "all ENIs: differs: 1 kernel change"

    def test_on_a_host_with_just_the_primary_there_is_nothing_to_say(self, commands):
        commands.devices = FakeDevices(nic("eth0", PRIMARY, True))
        for command in ("plan", "status"):
            assert "all ENIs" not in commands.run(cli.ec2net, command)[1]
            assert commands.host.runner.ran == []

    def test_without_iptables_the_status_says_so(self, commands, monkeypatch):
        without_iptables(commands, monkeypatch, "auto")
        commands.run(cli.hotplug, "add", INTERFACE="eth1")
        code, out, _ = commands.run(cli.ec2net, "status")
        assert code == 0
        assert "connections cannot be marked: cannot run iptables-save" in " ".join(out.split())
