"""Whom an interface is handed to that has to be brought up: systemd, upstart or nobody."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy.errors import CommandError
from ec2net_legacy.host import init
from ec2net_legacy.host.command import Result

SHOW = ["systemctl", "show", "--property=LoadState,ActiveState"]
ETH1, ETH2 = "ec2-ifup@eth1.service", "ec2-ifup@eth2.service"


def upstart_start(name, *options):
    return ["initctl", "start"] + list(options) + ["ec2-ifup", "INTERFACE=" + name]


class InitSystem(object):
    """Runs what init systems are told by: `states` is what they have of a unit, `fails` who fails.

    The values of `states` are (LoadState, ActiveState); a unit that it does not name is there and
    inactive. `quiet` are the commands whose output was read, `shown` those whose streams are ours.
    """

    def __init__(self, states=None, fails=()):
        self.states = states or {}
        self.fails = fails
        self.quiet = []
        self.shown = []

    def run(self, argv, stdin=""):
        assert stdin == ""
        self.quiet.append(list(argv))
        if argv[0] == "initctl":
            return Result(int(argv[-1] in self.fails), "", "start: Job is already running")
        state = self.states.get(argv[-1], ("loaded", "inactive"))
        return Result(0, "LoadState={0}\nActiveState={1}\n".format(*state), "")

    def run_visibly(self, argv, limit):
        self.shown.append(list(argv))
        return 3 if argv[-1] in self.fails else 0


@pytest.fixture
def places(tmpdir, monkeypatch):
    """Return the directory whose `systemd` and `upstart` say which init system there is."""
    monkeypatch.setattr(init, "_SYSTEMD", "{0}".format(tmpdir.join("systemd")))
    monkeypatch.setattr(init, "_UPSTART_JOB", "{0}".format(tmpdir.join("upstart")))
    return tmpdir


@pytest.fixture
def systemd(places):
    places.mkdir("systemd")


@pytest.fixture
def upstart(places):
    places.join("upstart").write("")


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("wait", [True, False])
def test_without_an_init_system_of_ours_all_is_the_callers(wait):
    runner = InitSystem()
    assert init.hand_over(runner, ["eth1", "eth2"], wait) == ["eth1", "eth2"]
    assert runner.quiet == runner.shown == []


def test_a_file_where_systemd_has_a_directory_is_not_systemd(places):
    places.join("systemd").write("")
    assert init.hand_over(InitSystem(), ["eth1"], True) == ["eth1"]


def test_systemd_goes_before_an_upstart_job_that_is_left(places):
    places.mkdir("systemd")
    places.join("upstart").write("")
    runner = InitSystem()
    init.hand_over(runner, ["eth1"], True)
    assert [argv[0] for argv in runner.quiet + runner.shown] == ["systemctl", "systemctl"]


@pytest.mark.usefixtures("systemd")
class TestSystemd(object):
    """Units, of which there is one for each interface."""

    @pytest.mark.parametrize("active", ["active", "inactive", "failed"])
    def test_an_active_unit_is_reloaded_for_its_interface_may_be_down(self, active):
        runner = InitSystem({ETH1: ("loaded", active)})
        assert init.hand_over(runner, ["eth1"], True) == []
        assert runner.quiet == [SHOW + [ETH1]]
        assert runner.shown == [["systemctl", "reload-or-restart", ETH1]]

    @pytest.mark.parametrize("active", ["activating", "deactivating", "reloading"])
    def test_one_that_is_at_it_is_left_to_it(self, active):
        runner = InitSystem({ETH1: ("loaded", active)})
        assert init.hand_over(runner, ["eth1"], True) == []
        assert runner.shown == []

    @pytest.mark.parametrize("loaded", ["not-found", "masked", "error", "bad-setting"])
    def test_without_a_unit_it_is_the_callers(self, loaded):
        runner = InitSystem({ETH1: (loaded, "inactive")})
        assert init.hand_over(runner, ["eth1"], True) == ["eth1"]
        assert runner.shown == []

    @pytest.mark.parametrize("wait, options", [(True, []), (False, ["--no-block"])])
    def test_only_who_waits_is_kept_waiting(self, wait, options):
        runner = InitSystem()
        init.hand_over(runner, ["eth1"], wait)
        assert runner.shown == [["systemctl"] + options + ["reload-or-restart", ETH1]]

    def test_several_are_brought_up_at_the_same_time(self):
        runner = InitSystem({"ec2-ifup@ens7.service": ("not-found", "inactive")})
        assert init.hand_over(runner, ["eth1", "ens7", "eth2"], True) == ["ens7"]
        assert runner.shown == [["systemctl", "reload-or-restart", ETH1, ETH2]]

    def test_for_nobody_nothing_is_run(self):
        runner = InitSystem()
        assert init.hand_over(runner, [], True) == []
        assert runner.quiet == runner.shown == []

    def test_a_failure_is_told_with_its_command(self):
        with pytest.raises(CommandError) as caught:
            init.hand_over(InitSystem(fails=[ETH1]), ["eth1"], True)
        assert caught.value.returncode == 3
        assert "systemctl reload-or-restart " + ETH1 in "{0}".format(caught.value)

    # What `systemd-escape NAME` prints; tests/packaging asks the real one.
    @pytest.mark.parametrize(
        "name, escaped",
        [
            ("eth1", "eth1"),
            ("enP5p0s3", "enP5p0s3"),
            ("eth1.5", "eth1.5"),
            ("my_nic", "my_nic"),
            ("my-nic", r"my\x2dnic"),
            ("a-b-", r"a\x2db\x2d"),
        ],
    )
    def test_a_units_name_is_escaped_as_systemd_does_it(self, name, escaped):
        assert init.unit_of(name) == "ec2-ifup@{0}.service".format(escaped)


@pytest.mark.usefixtures("upstart")
class TestUpstart(object):
    """A job with an instance for each interface."""

    def test_who_does_not_wait_starts_the_jobs_and_shows_nothing(self):
        runner = InitSystem()
        assert init.hand_over(runner, ["eth1", "eth2"], False) == []
        assert runner.quiet == [upstart_start(name, "--no-wait") for name in ("eth1", "eth2")]
        assert runner.shown == []

    def test_who_waits_sees_what_the_jobs_say(self):
        runner = InitSystem()
        assert init.hand_over(runner, ["eth1"], True) == []
        assert (runner.quiet, runner.shown) == ([], [upstart_start("eth1")])

    @pytest.mark.parametrize("wait", [True, False])
    def test_what_upstart_refuses_is_the_callers(self, wait):
        runner = InitSystem(fails=["INTERFACE=eth1"])
        assert init.hand_over(runner, ["eth1", "eth2"], wait) == ["eth1"]
        assert len(runner.quiet + runner.shown) == 2
