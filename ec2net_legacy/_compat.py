"""Differences between the Pythons and library versions that the distributions ship.

This is the only module that looks at a version. Everything it offers means the same everywhere.
"""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import os
import sys
import time

from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple, Union

PYTHON2 = sys.version_info[0] == 2

# Python 2.7 has no monotonic clock; a wall clock step then costs at most one deadline.
monotonic = getattr(time, "monotonic", time.time)  # type: Callable[[], float]

# Python 2.7 has only rename(), which on POSIX replaces as well.
replace = getattr(os, "replace", os.rename)  # type: Callable[[str, str], None]


def text(value):
    # type: (Union[str, bytes]) -> str
    """Return `value` as text; Python 2 hands out environment and argv as bytes."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value


# Python 2.7 has no such functions: its own text is bytes.
_fsdecode = getattr(os, "fsdecode", bytes)  # type: Any
_fsencode = getattr(os, "fsencode", bytes)  # type: Any


def native_path(path):
    # type: (str) -> str
    """Return `path` as the functions of this Python take it.

    In this program each byte of a path is a character of it, as in the text of a file. So a name in
    whatever encoding can be opened, also with LC_ALL=C, and is the same where a file mentions it.
    """
    native = _fsdecode(path.encode("latin-1"))  # type: str
    return native


def path_text(native):
    # type: (str) -> str
    """Return the path that a function of this Python gave."""
    return text(_fsencode(native))


def path_argument(argument):
    # type: (str) -> str
    """Return an argument of a command, which has been through text(), as the path that it is."""
    return argument if PYTHON2 else path_text(argument)


def quoted(value, limit=60):
    # type: (str, int) -> str
    """Return an untrusted `value` for a message: on one line, escaped, cut after `limit`."""
    shown = value if len(value) <= limit else value[:limit] + "..."
    literal = repr(shown)
    return literal[1:] if literal.startswith("u") else literal


def make_directory(path, mode):
    # type: (str, int) -> None
    """Create the directory `path` (not its parents) with `mode` unless it exists."""
    try:
        os.mkdir(path, mode)
        # Whatever the umask: networkd is another user and has to read its files.
        os.chmod(path, mode)
    except OSError as error:
        # exist_ok came with Python 3.2 and would accept nothing that this does not.
        if error.errno != errno.EEXIST:
            raise


def requests_timeout(version, connect, read):
    # type: (str, float, float) -> Union[float, Tuple[float, float]]
    """Return the time-outs in the form that this `version` of requests takes.

    Before 2.4 (Ubuntu 14.04 ships 2.2.1) one number stood for both.
    """
    release = tuple(int(part) for part in version.split(".")[:2])
    return (connect, read) if release >= (2, 4) else max(connect, read)


def configobj_lines(lines):
    # type: (List[str]) -> Tuple[List[Any], Dict[str, Any]]
    """Return `lines` and the options with which configobj reads them.

    On Python 2 it takes bytes, and 4.7.2 fails on anything else.
    """
    if PYTHON2:
        return [line.encode("utf-8") for line in lines], {"encoding": "utf-8"}
    return list(lines), {}


def import_validate():
    # type: () -> Any
    """Return configobj's validator module: top-level in 4.x and 5.0.6, in the package since."""
    try:
        from configobj import validate
    except ImportError:
        import validate
    return validate


def flush(stream):
    # type: (Any) -> bool
    """Flush `stream`; return False where what was written to it got lost.

    A reader that went away (``ec2net status | head``) is no loss, nor is a stream that was closed
    before the start (``>&-``), which is None. What cannot be written is dropped: the interpreter
    would try, and complain, once more at its end.
    """
    if stream is None:
        return True
    try:
        stream.flush()
    except (IOError, OSError, ValueError) as error:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        return getattr(error, "errno", None) == errno.EPIPE
    return True


def exit_status(returncode):
    # type: (Optional[int]) -> int
    """Return a child's `returncode` as a shell would: 128 + signal for one that was killed."""
    if returncode is None:
        return 1
    return returncode if returncode >= 0 else 128 - returncode
