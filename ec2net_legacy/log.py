"""Lines for the log, told to whoever `console` has hear them.

The standard library's logging brings traceback, textwrap, string and more, which takes as long as
all modules of this package together (`python3 -X importtime`), at each event. One process that
tells a few lines to two places needs none of that.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Callable, List, Tuple

# NOTICE: for whoever gave the command, also where only warnings are of interest.
DEBUG, INFO, NOTICE, WARNING, ERROR = 10, 20, 25, 30, 40

hearers = []  # type: List[Tuple[int, Callable[[int, str], None]]]
"""Who hears lines of which level and above: (least level, function of level and line)."""


def debug(message, *values):
    # type: (str, *Any) -> None
    """Tell what only helps to find a fault."""
    line(DEBUG, message, *values)


def info(message, *values):
    # type: (str, *Any) -> None
    """Tell what was done."""
    line(INFO, message, *values)


def warning(message, *values):
    # type: (str, *Any) -> None
    """Tell what somebody should look at."""
    line(WARNING, message, *values)


def error(message, *values):
    # type: (str, *Any) -> None
    """Tell what was not done."""
    line(ERROR, message, *values)


def line(level, message, *values):
    # type: (int, str, *Any) -> None
    """Tell `message`, with `values` in the places of its %s and the like, at a level."""
    hear = [one for least, one in hearers if level >= least]
    if not hear:
        return
    try:
        text = message % values
    except UnicodeError:
        # Python 2's errors of the system have bytes in whatever encoding.
        text = "{0} {1!r}".format(message, values)
    for one in hear:
        one(level, text)
