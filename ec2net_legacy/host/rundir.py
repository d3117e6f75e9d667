"""The run directory: the metadata token, what was added to the kernel, and the host's lock.

Everything in it is for root only and may be lost at any time.
"""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import fcntl
import logging
import os
import stat
import time

from ec2net_legacy import _compat
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError, LockHeld

if TYPE_CHECKING:
    from typing import Callable, Optional

_log = logging.getLogger(__name__)

_LOCK_POLL = 0.05
_LARGEST = 1 << 20


class RunDirectory(object):
    """The directory `path`, made when something is first written to it."""

    def __init__(self, path, clock=_compat.monotonic, sleep=time.sleep):
        # type: (str, Callable[[], float], Callable[[float], None]) -> None
        self._path = path
        self._clock = clock
        self._sleep = sleep

    def read(self, name):
        # type: (str) -> Optional[str]
        """Return a note, None where there is none or somebody else could have written it."""
        try:
            handle = os.open(os.path.join(self._path, name), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return None
        status = os.fstat(handle)
        foreign = status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077
        if foreign or not stat.S_ISREG(status.st_mode):
            os.close(handle)
            _log.warning("%s/%s is not a file of root's own: not used", self._path, name)
            return None
        with os.fdopen(handle, "rb") as stream:
            return stream.read(_LARGEST).decode("latin-1")

    def write(self, name, text):
        # type: (str, str) -> None
        """Keep `text` as a note. Raises HostError."""
        path = os.path.join(self._path, name)
        temporary = "{0}.{1}".format(path, os.getpid())
        try:
            self._make()
            # A process of the same number may have died over it.
            _discard(temporary)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(text.encode("latin-1"))
            _compat.replace(temporary, path)
        except (IOError, OSError) as error:
            _discard(temporary)
            raise HostError("cannot write {0}: {1}".format(path, error.strerror))

    def forget(self, name):
        # type: (str) -> None
        """Drop a note, if it is there."""
        try:
            os.unlink(os.path.join(self._path, name))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise HostError(
                    "cannot remove {0}/{1}: {2}".format(self._path, name, error.strerror)
                )

    def lock(self, name="", wait=20.0):
        # type: (str, float) -> Lock
        """Return a lock, for use in a ``with``: that of the interface `name`, "" for the host's.

        Entering it raises LockHeld when another process holds it for more than `wait` seconds.
        """
        try:
            self._make()
        except OSError as error:
            raise HostError("cannot make {0}: {1}".format(self._path, error.strerror))
        path = os.path.join(self._path, _lock_note(name) if name else "lock")
        return Lock(path, wait, self._clock, self._sleep)

    def is_locked(self, name):
        # type: (str) -> bool
        """Return whether another process holds the lock `name` at this moment."""
        path = os.path.join(self._path, _lock_note(name))
        try:
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            return not _lock(handle, path)
        finally:
            os.close(handle)

    def forget_lock(self, name):
        # type: (str) -> None
        """Drop the lock of an interface that is gone; who holds it keeps it."""
        self.forget(_lock_note(name))

    def _make(self):
        # type: () -> None
        _compat.make_directory(self._path, 0o700)


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
    """An flock: the kernel releases it when its process dies, however that happens."""

    def __init__(self, path, wait, clock, sleep):
        # type: (str, float, Callable[[], float], Callable[[float], None]) -> None
        self._path = path
        self._wait = wait
        self._clock = clock
        self._sleep = sleep
        self._handle = -1

    def __enter__(self):
        # type: () -> Lock
        end = self._clock() + self._wait
        while not self._taken():
            if self._clock() >= end:
                raise LockHeld(
                    "another ec2net holds {0} after {1:.1f} s".format(self._path, self._wait)
                )
            self._sleep(_LOCK_POLL)
        return self

    def __exit__(self, *_):
        # type: (object) -> None
        os.close(self._handle)

    def _taken(self):
        # type: () -> bool
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise HostError("cannot open {0}: {1}".format(self._path, error.strerror))
        # A child that ifup leaves behind does not hold it: Python marks descriptors close-on-exec
        # since 3.4, on 2.7 close_fds sees to it.
        if _lock(handle, self._path) and _is_at(handle, self._path):
            self._handle = handle
            return True
        os.close(handle)
        return False


def _lock(handle, path):
    # type: (int, str) -> bool
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (IOError, OSError) as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise HostError("cannot lock {0}: {1}".format(path, error.strerror))
    return True


def _is_at(handle, path):
    # type: (int, str) -> bool
    """Return whether the open file is still the one at `path`: a remove may have deleted it."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False
