"""The distribution's daemon, where it has one, and how it is asked to read files.

Cards come at once, and a process for each of them. One reading serves all who have written their
files before it began, so whoever waits for another's reading may have nothing left to ask for. The
note of it is written when it is over: a run that dies meanwhile leaves it to the next one.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import log
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import CommandError

if TYPE_CHECKING:
    from typing import List

    from ec2net_legacy.ports import Host

# The note, and its lock. An interface, which may have a lock as well, has no name of this length.
_NOTE = "when-files-were-read"
# The note of when the last file was written that is to be read. Who writes it has the host's lock.
_WRITTEN = "when-files-were-written"
NEVER = float("inf")
# Seconds between the beginnings of two readings: who comes meanwhile is served by the second. A
# reading takes hundredths of a second, and the processes of fifteen cards come over some seconds.
_PAUSE = 1.0
# How often it is asked that is at the like for somebody else, and how many seconds apart.
_MOST_TURNS = 20
_TURN = 0.5


def read_files(host, command, since):
    # type: (Host, List[str], float) -> None
    """Have the daemon read its files, unless it has begun to `since` then.

    `since`: the moment of the clock at which the caller's files were in place; `command`: how it is
    asked. Raises the CommandError of the last try, and LockHeld.
    """
    with host.run_directory.lock(_NOTE):
        last, now = _moment(host, _NOTE), host.clock()
        if is_served(since, last, now):
            log.debug("served by the reading of another run: %s", " ".join(command))
            return
        pause = pause_before(last, now)
        if pause:
            host.sleep(pause)
        began = host.clock()
        _in_turn(host, command)
        host.run_directory.write_alone(_NOTE, "{0!r}".format(began))


def is_served(since, last, now):
    # type: (float, float, float) -> bool
    """Return whether a reading that began at `last` has seen files that were there `since` then."""
    # A clock that was set back tells nothing.
    return since <= last <= now


def pause_before(last, now):
    # type: (float, float) -> float
    """Return how many seconds to wait at the moment `now` for others who are about to ask."""
    return last + _PAUSE - now if last <= now < last + _PAUSE else 0.0


def announce(host, since):
    # type: (Host, float) -> None
    """Note that there are files to be read, in place `since` that moment, NEVER for not yet.

    The caller has the host's lock.
    """
    host.run_directory.write(_WRITTEN, "{0!r}".format(since))


def is_due(host):
    # type: (Host) -> bool
    """Return whether there are files that were announced and have not been read since."""
    return not is_served(_moment(host, _WRITTEN), _moment(host, _NOTE), host.clock())


def forget(host):
    # type: (Host) -> None
    """Drop the notes, when nothing is left that was to be read. Raises HostError."""
    with host.run_directory.lock():
        for note in (_WRITTEN, _NOTE):
            host.run_directory.forget(note)


def _moment(host, note):
    # type: (Host, str) -> float
    """Return the moment of a note, one long ago where there is none."""
    try:
        return float(host.run_directory.read(note) or "-inf")
    except ValueError:
        return -NEVER


def _in_turn(host, command):
    # type: (Host, List[str]) -> None
    """Ask what the daemon refuses while it is at the like for somebody else, until it is through.

    networkd 257 does so with `reload`, as when an administrator has just asked for one.
    """
    for left in reversed(range(_MOST_TURNS)):
        result = host.runner.run(command)
        if result.returncode == 0:
            return
        error = CommandError(command, result.returncode, result.stderr)
        if not left:
            raise error
        log.debug("%s", error)
        host.sleep(_TURN)
