"""The only place that starts a process."""
from __future__ import absolute_import, print_function, unicode_literals

import os

from ec2net_legacy import log
from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._compat import exit_status
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import CommandError, HostError

if TYPE_CHECKING:
    from typing import Dict, List, Sequence

# udev and dhclient start programs with hardly any PATH.
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# Seconds; `ip` takes milliseconds, also for a thousand lines.
_LONGEST_RUN = 15.0
# How long a program may take to end when it is told to.
_PATIENCE = 5.0
# threading.Timer takes no infinity.
_LONGEST_TIMER = 86400.0

# A device's or a table's name may be in any encoding. Every byte is a character of Latin-1, so one
# that `ip` printed goes back to it as it came, and is the same in rt_tables.
_ENCODING = "latin-1"

Result = namedtuple("Result", ["returncode", "stdout", "stderr"])


def _environment():
    # type: () -> Dict[str, str]
    path = os.environ.get("PATH")
    # str(): on Python 2 the environment is bytes, in whatever encoding. LC_ALL: messages are
    # matched in English.
    whole = path + str(":") + str(_PATH) if path else str(_PATH)
    return dict(os.environ, PATH=whole, LC_ALL=str("C"))


class Runner(object):
    """Runs commands given as argument lists; never a shell."""

    def run(self, argv, stdin=""):
        # type: (Sequence[str], str) -> Result
        """Run `argv` with `stdin` as its input and return exit code and output."""
        import subprocess
        import threading

        log.debug("run: %s", " ".join(argv))
        for line in stdin.splitlines():
            log.debug("     %s", line)
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(),
                close_fds=True,
            )
        except OSError as error:
            raise HostError("cannot run {0}: {1}".format(argv[0], error.strerror))
        # A lock is held meanwhile; Python 2's communicate() has no time-out of its own.
        limit = threading.Timer(_LONGEST_RUN, process.kill)
        limit.start()
        try:
            out, err = process.communicate(stdin.encode(_ENCODING))
        finally:
            limit.cancel()
        return Result(
            exit_status(process.returncode),
            out.decode(_ENCODING),
            err.decode(_ENCODING),
        )

    def run_visibly(self, argv, limit):
        # type: (List[str], float) -> int
        """Run `argv` with this process's own streams and return its exit code.

        For `ifup` and `ifdown`: the operator sees what they say, and the dhclient they leave
        behind holds no pipe of ours open. After `limit` seconds it is ended with all that it has
        started, but for a dhclient that has its lease: that is in a session of its own. Raises
        CommandError then.
        """
        import signal
        import subprocess

        log.debug("run: %s", " ".join(argv))
        try:
            with open(os.devnull) as nothing:
                process = subprocess.Popen(
                    argv,
                    stdin=nothing,
                    env=_environment(),
                    close_fds=True,
                    # A group of its own can be ended as a whole. No thread runs beside this.
                    preexec_fn=os.setpgrp,  # noqa: PLW1509
                )
        except OSError as error:
            raise HostError("cannot run {0}: {1}".format(argv[0], error.strerror))
        limiter = _Limiter(process.pid, limit)
        try:
            returncode = process.wait()
        except KeyboardInterrupt:
            # The terminal has sent it to the group in the foreground only.
            _signal_group(process.pid, signal.SIGINT)
            process.wait()
            raise
        finally:
            limiter.stop()
        if limiter.expired:
            said = "ended, because it was not through after {0:.0f} s".format(limit)
            raise CommandError(argv, exit_status(returncode), said)
        return exit_status(returncode)


class _Limiter(object):
    """Ends a group of processes after a time: kindly, and what is left a moment later."""

    def __init__(self, group, seconds):
        # type: (int, float) -> None
        import threading

        self.expired = False
        self._group = group
        self._ended = threading.Event()
        # Also the platform's longest time is enough for any ifup.
        self._timer = threading.Timer(min(max(seconds, 0.0), _LONGEST_TIMER), self._expire)
        self._timer.daemon = True
        self._timer.start()

    def stop(self):
        # type: () -> None
        """The process has ended."""
        self._ended.set()
        self._timer.cancel()

    def _expire(self):
        # type: () -> None
        import signal

        self.expired = True
        _signal_group(self._group, signal.SIGTERM)
        if not self._ended.wait(_PATIENCE):
            _signal_group(self._group, signal.SIGKILL)


def _signal_group(group, number):
    # type: (int, int) -> None
    try:
        os.killpg(group, number)
    except OSError as error:
        log.debug("cannot signal the process group %d: %s", group, error.strerror)
