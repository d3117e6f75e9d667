"""The three variables by which users of the older tools steer what is done to an interface.

Amazon's ec2-net-utils reads them from ``ifcfg-ethN``; ifupdown's file has them as comments.
"""
from __future__ import absolute_import, print_function, unicode_literals

import re
from collections import namedtuple

from ec2net_legacy._compat import quoted
from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Dict, Iterable, List, Tuple

SYNC = "EC2SYNC"
MAIN_ROUTE = "MAINROUTETABLE"
PROVISION_PREFIXES = "EC2PROVISIONPFXIPS"
NAMES = (SYNC, MAIN_ROUTE, PROVISION_PREFIXES)

# What network-scripts take for a boolean.
_YES = frozenset(["yes", "y", "true", "t", "on", "1"])
_NO = frozenset(["no", "n", "false", "f", "off", "0"])

_COMMENT = re.compile(r"(?:^|\s)#.*")
_SYNC_ANYWHERE = re.compile(r"(?:^|[\s;&|({])EC2SYNC=([^\s;&|)}]+)")

Knobs = namedtuple("Knobs", ["sync", "main_route", "provision_prefixes", "problems"])
"""`sync`: whether the interface may be touched at all. `main_route`: whether main gets a default
route by the interface, too. `provision_prefixes`: whether the addresses of delegated IPv4 prefixes
are this host's own. `problems`: what is neither yes nor no, one sentence each."""

DEFAULTS = Knobs(sync=True, main_route=True, provision_prefixes=False, problems=())


def read(assignments):
    # type: (Iterable[Tuple[str, str]]) -> Knobs
    """Return what (name, value) pairs say: the last of a name, but any EC2SYNC=no.

    The older tools look for that anywhere in the file.
    """
    said = {}  # type: Dict[str, str]
    for name, value in assignments:
        if name in NAMES and not (name == SYNC and (said.get(SYNC) or "yes") not in _YES):
            said[name] = value.strip().lower()
    problems = []  # type: List[str]

    def flag(name, default):
        # type: (str, bool) -> bool
        value = said.get(name, "")
        if value in _YES or value in _NO:
            return value in _YES
        if value:
            problems.append("{0} is {1}: expected yes or no".format(name, quoted(value)))
        return default

    return Knobs(
        # Who writes something unclear there probably wants to be left alone.
        sync=flag(SYNC, not said.get(SYNC)),
        main_route=flag(MAIN_ROUTE, DEFAULTS.main_route),
        provision_prefixes=flag(PROVISION_PREFIXES, DEFAULTS.provision_prefixes),
        problems=tuple(problems),
    )


def opts_out(text):
    # type: (str) -> bool
    """Return whether shell `text` says EC2SYNC and not yes anywhere, also in a branch.

    The older tools look for it without reading shell, and a value that only a shell could tell
    had better be respected.
    """
    return any(
        value.strip("\"'").lower() not in _YES.union([""])
        for line in text.split("\n")
        for value in _SYNC_ANYWHERE.findall(_COMMENT.sub("", line))
    )


def reason_to_keep(path, knobs):
    # type: (str, Knobs) -> Tuple[str, bool]
    """Return why a file that is not to be touched is kept, and whether that may surprise."""
    unclear = [problem for problem in knobs.problems if problem.startswith(SYNC)]
    if unclear:
        return "{0}: {1}".format(path, unclear[0]), True
    return "{0} says {1}=no".format(path, SYNC), False


def lines(knobs):
    # type: (Knobs) -> List[str]
    """Return the assignments that say the same."""
    values = (knobs.sync, knobs.main_route, knobs.provision_prefixes)
    return ["{0}={1}".format(name, "yes" if on else "no") for name, on in zip(NAMES, values)]
