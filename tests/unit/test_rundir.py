"""Notes are for root only and may be lost; the lock is one at a time."""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import fcntl
import os

import pytest

from ec2net_legacy import _compat, record
from ec2net_legacy.errors import HostError, LockHeld
from ec2net_legacy.host.rundir import RunDirectory
from tests.unit.fakes import FakeClock, raised


@pytest.fixture
def place(tmpdir):
    return tmpdir.join("run")


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def directory(place, clock):
    return RunDirectory("{0}".format(place), clock, clock.sleep)


def test_a_note_is_read_as_it_was_written(directory):
    text = "line\n\xe9\xff"
    directory.write("token", text)
    assert directory.read("token") == text
    directory.write("token", "")
    assert directory.read("token") == ""


def test_what_was_never_written_is_not_there(directory, place):
    assert directory.read("token") is None
    assert not place.check()


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_directory_and_notes_are_for_the_owner_only(directory, place, umask):
    before = os.umask(umask)
    try:
        directory.write("token", "secret")
    finally:
        os.umask(before)
    assert oct(place.stat().mode & 0o777) == oct(0o700)
    assert oct(place.join("token").stat().mode & 0o777) == oct(0o600)


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o601])
def test_a_note_that_others_can_reach_is_not_used(directory, place, mode):
    directory.write("token", "secret")
    place.join("token").chmod(mode)
    assert directory.read("token") is None


def test_half_of_a_note_is_not_used(directory):
    directory.write("added-eth1", "x" * (1 << 20))
    assert len(directory.read("added-eth1")) == 1 << 20
    directory.write("added-eth1", "x" * ((1 << 20) + 1))
    assert directory.read("added-eth1") is None


def test_a_note_of_another_user_is_not_used(directory, monkeypatch):
    directory.write("token", "secret")
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert directory.read("token") is None


def test_a_link_is_not_followed(directory, place, tmpdir):
    directory.write("other", "x")
    elsewhere = tmpdir.join("elsewhere")
    elsewhere.write("theirs")
    elsewhere.chmod(0o600)
    place.join("token").mksymlinkto(str(elsewhere))
    assert directory.read("token") is None
    directory.write("token", "ours")
    assert elsewhere.read() == "theirs"
    assert directory.read("token") == "ours"


def test_the_directory_may_have_any_name(tmpdir, clock):
    directory = RunDirectory("{0}/caf\xe9".format(tmpdir), clock, clock.sleep)
    directory.write("token", "secret")
    assert directory.read("token") == "secret"
    with directory.lock("eth1"), pytest.raises(LockHeld) as caught, directory.lock("eth1"):
        pass
    assert "caf" in "{0}".format(caught.value)
    # As the settings have it, whatever the locale is.
    assert os.path.exists(str(tmpdir).encode("ascii") + b"/caf\xc3\xa9/token")


def test_a_directory_is_not_a_note(directory, place):
    directory.write("other", "x")
    os.mkdir(str(place.join("token")), 0o700)
    assert directory.read("token") is None


def test_a_fifo_is_not_a_note_and_holds_nobody(directory, place):
    directory.write("other", "x")
    os.mkfifo(str(place.join("token")), 0o600)
    assert directory.read("token") is None
    directory.write("token", "x")
    assert directory.read("token") == "x"


def test_a_note_is_replaced_as_a_whole(directory, place, monkeypatch):
    directory.write("token", "before")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_compat, "replace", fail)
        with pytest.raises(HostError) as caught:
            directory.write("token", "after")
    assert "No space left on device" in "{0}".format(caught.value)
    assert directory.read("token") == "before"


def test_a_write_that_failed_does_not_make_the_next_one_fail(directory, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(_compat, "replace", fail)
        raised(HostError, directory.write, "token", "first")
    directory.write("token", "second")
    assert directory.read("token") == "second"


@pytest.fixture
def killed(directory, monkeypatch):
    """A directory in which a run was killed while it replaced the note of eth1."""
    directory.write("interface-eth1", "before")

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(_compat, "replace", kill)
        with pytest.raises(Killed):
            directory.write("interface-eth1", "after")
    assert directory.read("interface-eth1") == "before"
    return directory


@pytest.mark.parametrize("text", ["before", "later"])
def test_the_next_write_takes_away_what_a_killed_run_left(killed, place, text):
    killed.write("interface-eth1", text)
    assert sorted(os.listdir(str(place))) == ["interface-eth1", "lock"]
    assert killed.read("interface-eth1") == text


def test_forgetting_takes_away_what_a_killed_run_left(killed, place):
    killed.forget("interface-eth1")
    assert os.listdir(str(place)) == ["lock"]


def test_a_note_half_written_is_not_another_interface_s_note(directory):
    vlan = "interface-eth1.{0}".format(os.getpid())
    directory.write(vlan, "the VLAN's")
    directory.write("interface-eth1", "the ENI's")
    assert directory.read(vlan) == "the VLAN's"


def test_a_note_is_not_written_while_another_run_has_the_host(directory, place, clock):
    with RunDirectory("{0}".format(place)).lock():
        raised(LockHeld, directory.write, "token", "x")
    assert directory.read("token") is None
    assert clock.passed == 0


def test_forgetting_takes_a_note_away_and_needs_none(directory):
    directory.forget("token")
    directory.write("token", "x")
    directory.forget("token")
    assert directory.read("token") is None
    directory.forget("token")


def test_a_directory_that_cannot_be_made_is_named(tmpdir, clock):
    path = "{0}".format(tmpdir.join("missing", "run"))
    directory = RunDirectory(path, clock, clock.sleep)
    assert path in raised(HostError, directory.write, "token", "x")
    assert path in raised(HostError, directory.lock)


def test_a_free_lock_is_taken_at_once(directory, clock):
    for _ in range(3):
        with directory.lock():
            pass
    assert clock.sleeps == []


def test_a_lock_is_released_also_after_an_error(directory, clock):
    with pytest.raises(RuntimeError), directory.lock():
        raise RuntimeError
    with directory.lock():
        pass
    assert clock.sleeps == []


def test_a_lock_that_another_holds_is_given_up_after_a_while(directory, place, clock):
    other = RunDirectory("{0}".format(place))
    with other.lock(), pytest.raises(HostError) as caught, directory.lock():
        pass
    assert "{0}".format(place) in "{0}".format(caught.value)
    assert 60 <= clock.passed < 61


def test_a_lock_is_taken_as_soon_as_it_is_free(directory, place, clock):
    with directory.lock():
        pass
    holder = place.join("lock").open("w")
    fcntl.flock(holder, fcntl.LOCK_EX)

    def sleep(seconds):
        FakeClock.sleep(clock, seconds)
        if clock.passed > 3:
            holder.close()

    with RunDirectory("{0}".format(place), clock, sleep).lock():
        assert 3 < clock.passed < 4


def test_a_lock_that_cannot_be_had_for_another_reason_is_told(directory, monkeypatch):
    def fail(*_):
        raise IOError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(HostError) as caught, directory.lock():
        pass
    assert "No locks available" in "{0}".format(caught.value)


def test_a_link_in_the_place_of_the_lock_is_not_followed(directory, place, tmpdir):
    place.mkdir()
    place.join("lock").mksymlinkto(str(tmpdir.join("elsewhere")))
    with pytest.raises(HostError), directory.lock():
        pass
    assert not tmpdir.join("elsewhere").check()


def flocked(place, kind):
    """Return an open lock of eth1 that somebody holds, LOCK_EX, or asks about, LOCK_SH."""
    holder = place.join("lock-eth1").open("w")
    fcntl.flock(holder, kind)
    return holder


def test_the_lock_of_an_interface_that_goes_is_held_by_who_holds_it(directory):
    with directory.lock("eth1"):
        record.forget(directory, "eth1")
        with pytest.raises(LockHeld), directory.lock("eth1", 0.0):
            pass


def test_who_asks_about_a_lock_does_not_see_another_who_asks(directory, place):
    assert not directory.is_locked("eth1")
    with directory.lock("eth1"):
        assert directory.is_locked("eth1")
    assert not directory.is_locked("eth1")
    with flocked(place, fcntl.LOCK_SH):
        assert not directory.is_locked("eth1")


def test_who_does_not_wait_for_a_lock_still_gets_it_from_one_who_asks(directory, place, clock):
    directory.write("other", "x")
    asking = flocked(place, fcntl.LOCK_SH)

    def sleep(seconds):
        FakeClock.sleep(clock, seconds)
        asking.close()

    with RunDirectory("{0}".format(place), clock, sleep).lock("eth1", 0.0):
        assert 0 < clock.passed < 0.01
    with flocked(place, fcntl.LOCK_SH), pytest.raises(LockHeld), directory.lock("eth1", 0.0):
        pass
    assert clock.passed < 0.1


def test_whoever_has_the_hosts_lock_may_enter_it_again(directory, place):
    other = RunDirectory("{0}".format(place))
    with directory.lock():
        with directory.lock(wait=0.0):
            pass
        with pytest.raises(LockHeld), other.lock(wait=0.0):
            pass
    with other.lock(wait=0.0):
        pass
