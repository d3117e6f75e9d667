"""What can go wrong, by who has to act.

`cli` turns each into one line and its `exit_code`; nothing else prints or exits.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._compat import quoted
from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Sequence

FAILED = 1
USAGE = 2
# EX_TEMPFAIL of sysexits.h: trying again later may succeed, nothing was changed.
UNAVAILABLE = 75


class Ec2netError(Exception):
    """Base of everything this package raises on purpose; its text is one line for an operator."""

    exit_code = FAILED


class UsageError(Ec2netError):
    """The caller has to correct the command line or the environment."""

    exit_code = USAGE


class SettingsError(Ec2netError):
    """The administrator has to correct ec2net.conf."""


class MetadataUnavailable(Ec2netError):
    """Nobody has to act: the metadata service did not answer (yet). Nothing was changed."""

    exit_code = UNAVAILABLE


class MetadataInvalid(Ec2netError):
    """The metadata service said something that cannot be true. Nothing was changed."""

    def __init__(self, key, value, expected):
        # type: (str, str, str) -> None
        super(MetadataInvalid, self).__init__(
            "metadata key {0} has the value {1}: expected {2}".format(key, quoted(value), expected)
        )
        self.key = key
        self.value = value


class HostError(Ec2netError):
    """The administrator has to look at the host: a device, file, lock or backend is not usable."""


class TooLarge(HostError):
    """A file is far larger than what it should be; half of it is not to be taken for all."""

    def __init__(self, path, most):
        # type: (str, int) -> None
        super(TooLarge, self).__init__(
            "{0} is too large: expected at most {1} bytes".format(path, most)
        )


class LockHeld(HostError):
    """Nobody has to act: another run is at the same thing."""


class CommandError(HostError):
    """A command of the distribution failed; the text carries command, exit code and its stderr."""

    def __init__(self, argv, returncode, stderr):
        # type: (Sequence[str], int, str) -> None
        said = "; ".join(line.strip() for line in stderr.splitlines() if line.strip())
        super(CommandError, self).__init__(
            "{0}: exit code {1}{2}".format(" ".join(argv), returncode, ": " + said if said else "")
        )
        self.argv = tuple(argv)
        self.returncode = returncode
        self.stderr = stderr
