"""What goes to the terminal, the journal or syslog, in lines that any of them takes."""
from __future__ import absolute_import, print_function, unicode_literals

import logging
import os
import sys
import syslog

_log = logging.getLogger("ec2net_legacy")


def print_text(output):
    # type: (str) -> None
    """Print what a command was asked for."""
    if sys.stdout is not None:
        sys.stdout.write(_plain(output))


def _plain(output):
    # type: (str) -> str
    # A diff shows the administrator's text in whatever encoding, a message may have the name of his
    # file; a terminal may have another.
    return str(output.encode("ascii", "backslashreplace").decode("ascii"))


class _PlainFormatter(logging.Formatter):
    """Lines that any stream takes."""

    def format(self, record):
        # type: (logging.LogRecord) -> str
        """Return the line of a record."""
        return _plain(super(_PlainFormatter, self).format(record))


class _Worth(logging.Filter):
    """What a command says on stderr where nobody watches: warnings, and that it did nothing."""

    def filter(self, record):
        # type: (logging.LogRecord) -> bool
        """Return whether a record is worth it."""
        return record.levelno >= logging.WARNING or getattr(record, "to_stderr", False)


class _SyslogHandler(logging.Handler):
    """To the local syslog or journal; says nothing where there is none."""

    _PRIORITY = (
        (logging.ERROR, syslog.LOG_ERR),
        (logging.WARNING, syslog.LOG_WARNING),
        (logging.INFO, syslog.LOG_INFO),
    )

    def emit(self, record):
        # type: (logging.LogRecord) -> None
        """Send one record."""
        for level, priority in self._PRIORITY:
            if record.levelno >= level:
                syslog.syslog(priority, _plain(self.format(record)))
                return


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


def start_logging(program, debug):
    # type: (str, bool) -> None
    """Send what is logged to where somebody reads it; with `debug` every step to stderr."""
    _log.setLevel(logging.DEBUG if debug else logging.INFO)
    journal = _stderr_is_the_journal()
    if not journal:
        syslog.openlog(str("ec2net"), syslog.LOG_PID, syslog.LOG_DAEMON)
        _log.addHandler(_SyslogHandler(logging.INFO))
    stream = logging.StreamHandler()
    stream.setFormatter(_PlainFormatter(program + ": %(message)s"))
    if debug:
        stream.setLevel(logging.DEBUG)
    else:
        terminal = sys.stderr is not None and sys.stderr.isatty()
        if not (journal or terminal):
            stream.addFilter(_Worth())
        stream.setLevel(logging.INFO)
    _log.addHandler(stream)
