"""The three variables by which users of Amazon's older tools steer what is done to an interface.

ec2-net-utils 1.x reads them from ``ifcfg-ethN``. ifupdown's generated file has them as comments.
"""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._cheap import namedtuple, pattern
from ec2net_legacy._compat import quoted
from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Dict, Iterable, List, Tuple

SYNC = "EC2SYNC"
MAIN_ROUTE = "MAINROUTETABLE"
PROVISION_PREFIXES = "EC2PROVISIONPFXIPS"
NAMES = (SYNC, MAIN_ROUTE, PROVISION_PREFIXES)

# The words that network-scripts take for a boolean.
YES = frozenset(["yes", "y", "true", "t", "on", "1"])
_NO = frozenset(["no", "n", "false", "f", "off", "0"])

UserOptions = namedtuple("UserOptions", ["sync", "main_route", "provision_prefixes", "problems"])
"""What a user wants.

`sync`: whether the interface may be touched at all. `main_route`: whether main gets a default
route by the interface. `provision_prefixes`: whether the addresses of delegated IPv4 prefixes are
this host's own. `problems`: a sentence for each value that is neither yes nor no.
"""

_IN_TEXT = pattern(
    r"^[ \t#]*({0})[ \t]*[=:][ \t]*[\"']?([A-Za-z0-9]*)[\"']?[ \t\r]*(?:[ \t]#.*)?$".format(
        "|".join(NAMES)
    ),
    re.I | re.M,
)

DEFAULTS = UserOptions(sync=True, main_route=True, provision_prefixes=False, problems=())


def read(assignments):
    # type: (Iterable[Tuple[str, str]]) -> UserOptions
    """Return what (name, value) pairs say.

    The last value of a name counts, as in a shell. Only an EC2SYNC that is not yes counts wherever
    it stands, because the older tools look for it anywhere in the file.
    """
    said = {}  # type: Dict[str, str]
    for name, value in assignments:
        if name in NAMES and not (name == SYNC and (said.get(SYNC) or "yes") not in YES):
            said[name] = value.strip().lower()
    # Whoever writes something unclear in EC2SYNC probably wants to be left alone.
    defaults = (not said.get(SYNC), DEFAULTS.main_route, DEFAULTS.provision_prefixes)
    values, problems = [], []
    for name, default in zip(NAMES, defaults):
        value = said.get(name, "")
        is_clear = value in YES or value in _NO
        values.append(value in YES if is_clear else default)
        if value and not is_clear:
            problems.append("{0} is {1}: expected yes or no".format(name, quoted(value)))
    return UserOptions(values[0], values[1], values[2], tuple(problems))


def in_text(text):
    # type: (str) -> UserOptions
    """Return what lines of a text set, comments among them."""
    return read((name.upper(), value) for name, value in _IN_TEXT.findall(text))


def reason_to_keep(path, options):
    # type: (str, UserOptions) -> Tuple[str, bool]
    """Return why a file with these `options` is left alone, and whether that may surprise.

    The reason is "" where `options.sync` allows changes.
    """
    unclear = [problem for problem in options.problems if problem.startswith(SYNC)]
    if options.sync:
        return "", False
    if unclear:
        return "{0}: {1}".format(path, unclear[0]), True
    return "{0} says {1}=no".format(path, SYNC), False


def lines(options):
    # type: (UserOptions) -> List[str]
    """Return the assignments that say the same."""
    return ["{0}={1}".format(name, "yes" if on else "no") for name, on in zip(NAMES, options)]
