"""The run directory: the metadata token, the records of what was done, and locks.

Everything in it is for root only and may be lost at any time.
"""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import fcntl
import os
import stat
import time

from ec2net_legacy import _compat, log
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError, LockHeld

if TYPE_CHECKING:
    from typing import Callable, Optional

# The lock of whoever takes the host to another distribution's network. No interface has this name.
SWITCH = "the switch"
_LOCK_POLL = 0.05
# A question about a lock takes microseconds.
_QUESTION = 0.001
_MOST_QUESTIONS = 50
_LARGEST = 1 << 20


class RunDirectory(object):
    """The directory `path`, made when something is first written to it."""

    def __init__(self, path, clock=_compat.monotonic, sleep=time.sleep):
        # type: (str, Callable[[], float], Callable[[float], None]) -> None
        self._path = path
        # The settings are UTF-8, whatever the locale is.
        self._native = _compat.native_path(path.encode("utf-8").decode("latin-1"))
        self._clock = clock
        self._sleep = sleep
        self._own = None  # type: Optional[Lock]

    def read(self, name):
        # type: (str) -> Optional[str]
        """Return a note, None where there is none, or one that cannot be of this program."""
        try:
            # O_NONBLOCK: a FIFO must not hold whoever has the lock.
            handle = os.open(self._at(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        status = os.fstat(handle)
        foreign = status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077
        if foreign or not stat.S_ISREG(status.st_mode):
            os.close(handle)
            log.warning("%s/%s is not a file of root's own: not used", self._path, name)
            return None
        with os.fdopen(handle, "rb") as stream:
            content = stream.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            log.warning("%s/%s has more than %d bytes: not used", self._path, name, _LARGEST)
            return None
        return content.decode("latin-1")

    def write(self, name, text):
        # type: (str, str) -> None
        """Keep `text` as a note, unless it is one already.

        Raises HostError, at once also where another process has the host's lock.
        """
        with self.lock(wait=0.0):
            self.write_alone(name, text)

    def write_alone(self, name, text):
        # type: (str, str) -> None
        """Do that for a caller who has the lock of this very note. Raises HostError."""
        try:
            # A run that was killed in the middle of this, or met a full disk, left it.
            _discard(self._unfinished(name))
            if self.read(name) != text:
                self._replace(name, text)
        except (IOError, OSError) as error:
            raise HostError("cannot write {0}/{1}: {2}".format(self._path, name, error.strerror))

    def forget(self, name):
        # type: (str) -> None
        """Drop a note, if it is there. The caller has the host's lock. Raises HostError."""
        _discard(self._unfinished(name))
        try:
            os.unlink(self._at(name))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise HostError(
                    "cannot remove {0}/{1}: {2}".format(self._path, name, error.strerror)
                )

    def lock(self, name="", wait=60.0):
        # type: (str, float) -> Lock
        """Return a lock, for use in a ``with``: that of the interface `name`, "" for the host's.

        Entering it raises LockHeld when another process holds it for more than `wait` seconds.
        Whoever has the host's lock may enter it again.
        """
        if not name and self._own is not None and self._own.is_entered:
            return self._own
        try:
            self._make()
        except OSError as error:
            raise HostError("cannot make {0}: {1}".format(self._path, error.strerror))
        path = self._at(_lock_note(name) if name else "lock")
        lock = Lock(path, wait, self._clock, self._sleep)
        if not name:
            self._own = lock
        return lock

    def is_locked(self, name):
        # type: (str) -> bool
        """Return whether another process holds the lock `name` at this moment."""
        path = self._at(_lock_note(name))
        try:
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            return _is_held(handle, path)
        finally:
            os.close(handle)

    def _at(self, name):
        # type: (str) -> str
        # str(): joined with Python 2's text it would be decoded.
        return os.path.join(self._native, str(name))

    def _unfinished(self, name):
        # type: (str) -> str
        # One for each note, because only who has the host's lock writes, or that of the note: it
        # cannot pile up. Before the name, because eth1.1049 is the name of a VLAN.
        return self._at("unfinished-" + name)

    def _replace(self, name, text):
        # type: (str, str) -> None
        path = self._unfinished(name)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode("latin-1"))
        _compat.replace(path, self._at(name))

    def _make(self):
        # type: () -> None
        _compat.make_directory(self._native, 0o700)


def _lock_note(name):
    # type: (str) -> str
    return "lock-" + name


def _discard(path):
    # type: (str) -> None
    try:
        os.unlink(path)
    except OSError:
        # Not there, or not removable: what is done next says so.
        pass


class Lock(object):
    """An flock: the kernel releases it when its process dies, however that happens.

    Its file stays when its interface goes: who found it unlinked would make another one, and two
    would hold "the" lock.
    """

    def __init__(self, path, wait, clock, sleep):
        # type: (str, float, Callable[[], float], Callable[[float], None]) -> None
        self._path = path
        self._wait = wait
        self._clock = clock
        self._sleep = sleep
        self._handle = -1
        self._entered = 0

    @property
    def is_entered(self):
        # type: () -> bool
        """Whether this process holds it."""
        return self._entered > 0

    def __enter__(self):
        # type: () -> Lock
        if self._entered:
            self._entered += 1
            return self
        end = self._clock() + self._wait
        while not self._taken():
            if self._clock() >= end:
                raise LockHeld(
                    "another ec2net holds {0} after {1:.1f} s".format(
                        _compat.path_text(self._path), self._wait
                    )
                )
            self._sleep(_LOCK_POLL)
        self._entered = 1
        return self

    def __exit__(self, *_):
        # type: (object) -> None
        self._entered -= 1
        if not self._entered:
            os.close(self._handle)

    def _taken(self):
        # type: () -> bool
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            shown = _compat.path_text(self._path)
            raise HostError("cannot open {0}: {1}".format(shown, error.strerror))
        # A child that ifup leaves behind does not hold it: Python marks descriptors close-on-exec
        # since 3.4, on 2.7 close_fds sees to it.
        for _ in range(_MOST_QUESTIONS):
            if _lock(handle, self._path, fcntl.LOCK_EX):
                self._handle = handle
                return True
            if _is_held(handle, self._path):
                break
            # Somebody asked in this very moment. Nobody who does not wait shall take that for a no.
            self._sleep(_QUESTION)
        os.close(handle)
        return False


def _is_held(handle, path):
    # type: (int, str) -> bool
    """Return whether somebody holds the lock, and not just asks, as this does.

    Two who ask at once do not see each other, because both take it shared, for a moment. Nothing
    tells without taking it: F_OFD_GETLK (Linux 3.15) does not see an flock, and /proc/locks shows
    none of another PID namespace, nor on all file systems the numbers that stat() has.
    """
    if not _lock(handle, path, fcntl.LOCK_SH):
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


def _lock(handle, path, kind):
    # type: (int, str, int) -> bool
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except (IOError, OSError) as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise HostError("cannot lock {0}: {1}".format(_compat.path_text(path), error.strerror))
    return True
