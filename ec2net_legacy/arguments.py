"""The arguments of each command.

udev, dhclient and timers give the same few ones again and again; these are understood here. For all
others there is `usage`, whose library, argparse, would have to be imported at each event.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import List, Optional

# How many seconds a lease's event has, and the most that any option may say.
WITHIN = 5.0
_LONGEST = 600.0

Arguments = namedtuple(
    "Arguments",
    [
        "command",
        "interface",
        "action",
        "json",
        "source",
        "destination",
        "incoming",
        "jitter",
        "within",
        "check",
        "there",
        "yes",
        "step",
    ],
)
"""What a command was given. `command`: the sub-command of ec2net; `action`: of ec2net-hotplug;
`source`, `destination` and `incoming`: of the packet to explain; `jitter` and `within`: seconds;
`check`: the path of a file with settings, as it was given.
Of a switch: `there`: to what; `yes`: whether to do it; `step`: what its unit does."""

NOTHING = Arguments("", None, None, False, None, None, None, 0.0, WITHIN, None, "", False, None)

_ONE_ARGUMENT = {"ec2net-hotplug": "action", "ec2ifup": "interface", "ec2ifdown": "interface"}


def parse(program, argv):
    # type: (str, List[str]) -> Arguments
    """Return what `program` was given. Raises UsageError; SystemExit after --help or --version."""
    found = _usual(program, argv)
    if found is not None:
        return found
    from ec2net_legacy import usage

    given = vars(usage.parse(program, argv))
    return NOTHING._replace(**{key: given[key] for key in given if key in Arguments._fields})


def _usual(program, argv):
    # type: (str, List[str]) -> Optional[Arguments]
    """Return the arguments if they are of the usual kinds."""
    if program == "ec2net":
        return _machines(argv)
    if len(argv) > 1 or any(one.startswith("-") for one in argv):
        return None
    field = _ONE_ARGUMENT.get(program, "")
    if argv and field:
        return NOTHING._replace(**{field: argv[0]})
    return NOTHING if not argv and field != "interface" else None


def _machines(argv):
    # type: (List[str]) -> Optional[Arguments]
    """Return the arguments of a lease's event or of a timer's refresh."""
    if argv in (["lease"], ["refresh"]):
        return NOTHING._replace(command=argv[0])
    seconds = seconds_in(argv[2]) if len(argv) == 3 else None
    if seconds is not None and argv[:2] == ["lease", "--within"]:
        return NOTHING._replace(command="lease", within=seconds)
    if seconds is not None and argv[:2] == ["refresh", "--jitter"]:
        return NOTHING._replace(command="refresh", jitter=seconds)
    return None


def seconds_in(value):
    # type: (str) -> Optional[float]
    """Return the seconds that an option names, None where that is no sensible number."""
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 < seconds <= _LONGEST else None
