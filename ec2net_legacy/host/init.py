"""The init system, to which an interface is handed that has to be brought up.

A dhclient started by a refresh or a scan on systemd would be killed with that unit: it has to live
in the unit of its interface, the one that udev starts.
"""
from __future__ import absolute_import, print_function, unicode_literals

import os
import re

from ec2net_legacy import log
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import CommandError

if TYPE_CHECKING:
    from typing import List, Sequence

    from ec2net_legacy.host.command import Runner

_SYSTEMD = "/run/systemd/system"
_UPSTART_JOB = "/etc/init/ec2-ifup.conf"
# What an interface's unit may take to start and to stop: TimeoutStartSec and TimeoutStopSec.
_LONGEST_UNIT = 800.0


def hand_over(runner, names, wait):
    # type: (Runner, Sequence[str], bool) -> List[str]
    """Have the interfaces `names` brought up; return those that this caller has to do itself.

    With `wait` until they are. Raises CommandError, with what systemd says of a failure.
    """
    if os.path.isdir(_SYSTEMD):
        return _to_systemd(runner, names, wait)
    if os.path.exists(_UPSTART_JOB):
        return _to_upstart(runner, names, wait)
    return list(names)


def unit_of(name):
    # type: (str) -> str
    """Return the unit of an interface (systemd.unit(5), "String Escaping for Inclusion...")."""
    escaped = re.sub("[^A-Za-z0-9:_.]", lambda found: "\\x{0:02x}".format(ord(found.group())), name)
    return "ec2-ifup@{0}.service".format(escaped)


def _to_systemd(runner, names, wait):
    # type: (Runner, Sequence[str], bool) -> List[str]
    left, units = [], []
    for name in names:
        argv = ["systemctl", "show", "--property=LoadState,ActiveState", unit_of(name)]
        said = runner.run(argv).stdout
        if "LoadState=loaded" not in said:
            # Installed without units.
            left.append(name)
        elif re.search("ActiveState=(activating|deactivating|reloading)", said):
            log.debug("%s: %s is at it", name, unit_of(name))
        else:
            units.append(unit_of(name))
    if units:
        # A unit may be active whose interface was taken down by hand: starting it would do nothing,
        # and stopping it would take the last good configuration away.
        argv = ["systemctl"] + ([] if wait else ["--no-block"]) + ["reload-or-restart"] + units
        # As long as an ifup waits for its lease: only its own streams, no time limit.
        returncode = runner.run_visibly(argv, _LONGEST_UNIT * len(units))
        if returncode != 0:
            raise CommandError(argv, returncode, "")
    return left


def _to_upstart(runner, names, wait):
    # type: (Runner, Sequence[str], bool) -> List[str]
    left = []
    for name in names:
        argv = ["initctl", "start"] + ([] if wait else ["--no-wait"])
        argv += ["ec2-ifup", "INTERFACE=" + name]
        # Without waiting there is just "already running" to be read: the job of an interface that
        # has been taken down by hand since.
        if (runner.run_visibly(argv, _LONGEST_UNIT) if wait else runner.run(argv).returncode) != 0:
            left.append(name)
    return left
