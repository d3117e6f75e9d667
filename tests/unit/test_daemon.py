"""The distribution's daemon reads files once for all who have written theirs before."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import daemon
from ec2net_legacy.errors import CommandError
from ec2net_legacy.host.command import Result
from tests.unit.fakes import FakeDevices, make_host, raised

NEVER = float("-inf")
NOTE = "when-files-were-read"


class Daemon(object):
    """Counts its readings, each of which takes some time and may end in an error."""

    def __init__(self, host, errors=()):
        self.readings = []
        self._host = host
        self._errors = list(errors)
        host.runner = self

    def run(self, command):
        # Meanwhile others wait.
        assert (command, self._host.run_directory.is_locked(NOTE)) == (["reload"], True)
        self.readings.append(self._host.clock())
        self._host.clock.now += 0.1
        if not self._errors:
            return Result(0, "", "")
        error = self._errors.pop()
        if isinstance(error, Result):
            return error
        raise error

    def ask(self, since):
        daemon.read_files(self._host, ["reload"], since)


@pytest.fixture
def host(tmpdir):
    return make_host(tmpdir, {}, FakeDevices())


@pytest.mark.parametrize(
    "since, last, expected",
    [
        (10.0, 11.0, True),
        (10.0, 10.0, True),
        # The file came while it was read.
        (11.0, 10.0, False),
        (10.0, NEVER, False),
        # The clock was set back, or starts with each boot.
        (10.0, 21.0, False),
    ],
)
def test_a_reading_serves_who_was_there_before_it_began(since, last, expected):
    assert daemon.is_served(since, last, 20.0) is expected


@pytest.mark.parametrize("last, expected", [(NEVER, 0), (18.9, 0), (19.5, 0.5), (20.5, 0)])
def test_after_a_reading_the_next_gathers_others_for_a_moment(last, expected):
    assert daemon.pause_before(last, 20.0) == expected


def test_whoever_comes_before_the_next_reading_is_served_by_it(host):
    one = Daemon(host)
    one.ask(host.clock())
    host.clock.now += 0.2
    # These have the lock one after the other.
    for _ in range(3):
        one.ask(1000.2)
    assert one.readings == [1000.0, 1001.0]
    host.clock.now += 60
    one.ask(host.clock())
    assert len(one.readings) == 3


@pytest.mark.parametrize("how", ["killed", "failed", "damaged"])
def test_only_a_reading_that_was_over_counts(host, how):
    if how == "damaged":
        one = Daemon(host)
        one.ask(1000.0)
        host.run_directory.write_alone(NOTE, "10 0")
    elif how == "killed":
        one = Daemon(host, [KeyboardInterrupt()])
        with pytest.raises(KeyboardInterrupt):
            one.ask(1000.0)
    else:
        one = Daemon(host, [Result(1, "", "refused")] * 20)
        assert "refused" in raised(CommandError, one.ask, 1000.0)
    count = len(one.readings)
    one.ask(1000.0)
    assert len(one.readings) == count + 1


def test_what_it_refuses_during_another_is_asked_for_again(host):
    one = Daemon(host, [Result(1, "", "refused")] * 2)
    one.ask(1000.0)
    assert len(one.readings) == 3
