"""The only place that starts a process."""
from __future__ import absolute_import, print_function, unicode_literals

import logging
import os
from collections import namedtuple

from ec2net_legacy._compat import exit_status
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError

if TYPE_CHECKING:
    from typing import Dict, List, Sequence

_log = logging.getLogger(__name__)

# udev and dhclient start programs with hardly any PATH.
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

Result = namedtuple("Result", ["returncode", "stdout", "stderr"])


def _environment():
    # type: () -> Dict[str, str]
    path = os.environ.get("PATH")
    # Messages are matched in English.
    return dict(os.environ, PATH=path + ":" + _PATH if path else _PATH, LC_ALL="C")


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
        out, err = process.communicate(stdin.encode("ascii"))
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
