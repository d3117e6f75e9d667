"""Which programs this process was started by."""
from __future__ import absolute_import, print_function, unicode_literals

import os
import re

from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import List

# "PID (NAME) STATE PPID"; a name may have parentheses itself.
_STAT = re.compile(r"\d+ \((.*)\) \S (\d+) ", re.S)
_MOST = 100


def ancestors():
    # type: () -> List[str]
    """Return the names of this process's parent, its parent and so on, as far as /proc tells."""
    names = []  # type: List[str]
    pid = os.getppid()
    while pid > 1 and len(names) < _MOST:
        try:
            with open("/proc/{0}/stat".format(pid), "rb") as stream:
                found = _STAT.match(stream.read().decode("latin-1"))
        except (IOError, OSError):
            # It ended meanwhile.
            break
        if not found:
            break
        names.append(found.group(1))
        pid = int(found.group(2))
    return names
