"""What goes to the terminal, the journal or syslog, in lines that any of them takes."""
from __future__ import absolute_import, print_function, unicode_literals

import os
import sys
import syslog

from ec2net_legacy import log
from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Callable

_PRIORITIES = ((log.ERROR, syslog.LOG_ERR), (log.WARNING, syslog.LOG_WARNING))


def print_text(output):
    # type: (str) -> None
    """Print what a command was asked for."""
    if sys.stdout is not None:
        sys.stdout.write(_plain(output))


def start_logging(program, debug):
    # type: (str, bool) -> None
    """Send what is logged to where somebody reads it; with `debug` every step to stderr."""
    journal = _stderr_is_the_journal()
    if not journal:
        syslog.openlog(str("ec2net"), syslog.LOG_PID, syslog.LOG_DAEMON)
        log.hearers.append((log.INFO, _to_syslog))
    # Where nobody watches, stderr gets warnings, and that a command did nothing.
    watched = journal or (sys.stderr is not None and sys.stderr.isatty())
    least = log.INFO if watched else log.NOTICE
    log.hearers.append((log.DEBUG if debug else least, _to_stderr(program)))


def _to_syslog(level, line):
    # type: (int, str) -> None
    """Tell the local syslog or journal; where there is none, nobody."""
    found = [priority for least, priority in _PRIORITIES if level >= least]
    syslog.syslog((found or [syslog.LOG_INFO])[0], _plain(line))


def _to_stderr(program):
    # type: (str) -> Callable[[int, str], None]
    def tell(_, line):
        # type: (int, str) -> None
        try:
            sys.stderr.write(_plain("{0}: {1}\n".format(program, line)))
            sys.stderr.flush()
        except (AttributeError, EnvironmentError, ValueError):
            # Closed, full, or gone with its reader: what is done is worth more than the line.
            pass

    return tell


def _plain(output):
    # type: (str) -> str
    # A diff shows the administrator's text in whatever encoding, a message may have the name of his
    # file; a terminal may have another.
    # Python 2's syslog() takes no NUL.
    return str(output.encode("ascii", "backslashreplace").decode("ascii").replace("\0", "\\x00"))


def _stderr_is_the_journal():
    # type: () -> bool
    """Return whether it is, as under a unit: the same line twice helps nobody.

    A program whose streams somebody has redirected since still has the variable (systemd.exec(5)).
    """
    try:
        now = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == "{0}:{1}".format(now.st_dev, now.st_ino)
