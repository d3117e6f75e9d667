"""The only place that starts a process."""
from __future__ import absolute_import, print_function, unicode_literals

import logging
import os
import threading
from collections import namedtuple

from ec2net_legacy._compat import exit_status
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError

if TYPE_CHECKING:
    from typing import Dict, List, Sequence

_log = logging.getLogger(__name__)

# udev and dhclient start programs with hardly any PATH.
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# Seconds; `ip` takes milliseconds, also for a thousand lines.
_LONGEST_RUN = 15.0

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

        _log.debug("run: %s", " ".join(argv))
        for line in stdin.splitlines():
            _log.debug("     %s", line)
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
            out, err = process.communicate(stdin.encode("ascii"))
        finally:
            limit.cancel()
        return Result(
            exit_status(process.returncode),
            out.decode("utf-8", "replace"),
            err.decode("utf-8", "replace"),
        )

    def run_visibly(self, argv):
        # type: (List[str]) -> int
        """Run `argv` with this process's own streams and return its exit code.

        For `ifup` and `ifdown`: the operator sees what they say, and the dhclient they leave
        behind holds no pipe of ours open.
        """
        import subprocess

        _log.debug("run: %s", " ".join(argv))
        try:
            with open(os.devnull) as nothing:
                return exit_status(
                    subprocess.call(argv, stdin=nothing, env=_environment(), close_fds=True)
                )
        except OSError as error:
            raise HostError("cannot run {0}: {1}".format(argv[0], error.strerror))
