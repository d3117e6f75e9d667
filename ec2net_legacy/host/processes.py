"""Other processes: what this one was started by, and the dhclients of an interface."""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import os
import re
import time

from ec2net_legacy import log
from ec2net_legacy._cheap import pattern
from ec2net_legacy._compat import monotonic, native_path
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError

if TYPE_CHECKING:
    from typing import List

# "PID (NAME) STATE PPID"; a name may have parentheses itself.
_STAT = pattern(r"\d+ \((.*)\) \S (\d+) ", re.S)
_MOST = 100
# Seconds for a dhclient to end by itself.
_PATIENCE = 2.0
_POLL = 0.02


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


def has_dhclient(interface):
    # type: (str) -> bool
    """Return whether a dhclient for IPv4 runs for `interface`, with a lease or without."""
    return any("-6" not in _words(pid) for pid in _dhclients(interface))


def has_dhclient6(interface):
    # type: (str) -> bool
    """Return whether a dhclient for IPv6 runs for `interface`, with a lease or without."""
    return any("-6" in _words(pid) for pid in _dhclients(interface))


def end_dhclient(interface):
    # type: (str) -> None
    """End every dhclient that runs for `interface`, and see it gone."""
    import signal

    pids = _dhclients(interface)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            log.debug("signal %d to the dhclient of %s, process %s", number, interface, pid)
            _signal(pid, number)
        end = monotonic() + _PATIENCE
        while pids and monotonic() < end:
            time.sleep(_POLL)
            pids = [pid for pid in pids if pid in _dhclients(interface)]


def _dhclients(interface):
    # type: (str) -> List[int]
    return [
        int(entry)
        for entry in os.listdir("/proc")
        if re.match(r"[0-9]+\Z", entry) and _is_dhclient(entry, interface)
    ]


def _words(pid):
    # type: (object) -> List[str]
    """Return the command line of a process; of one that ended meanwhile an empty word."""
    try:
        with open("/proc/{0}/cmdline".format(pid), "rb") as stream:
            return stream.read().decode("latin-1").split("\0")
    except (IOError, OSError):
        return [""]


def _is_dhclient(pid, interface):
    # type: (str, str) -> bool
    words = _words(pid)
    if os.path.basename(words[0]) != "dhclient" or interface not in words[1:]:
        return False
    # One for several interfaces is an administrator's, and serves the others.
    others = [word for word in words[1:] if word and "/" not in word and word != interface]
    if any(os.path.exists(native_path("/sys/class/net/" + word)) for word in others):
        return False
    try:
        # Containers have interfaces of that name, too.
        return os.readlink("/proc/{0}/ns/net".format(pid)) == os.readlink("/proc/self/ns/net")
    except OSError:
        # Linux before 3.0 does not tell, and has hardly any containers.
        return not os.path.exists("/proc/self/ns/net")


def _signal(pid, number):
    # type: (int, int) -> None
    try:
        os.kill(pid, number)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise HostError("cannot end process {0}: {1}".format(pid, error.strerror))
