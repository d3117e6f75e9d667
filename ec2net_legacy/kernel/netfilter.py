"""The chain in which connections are marked, through iptables of any version back to 1.4.7."""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._cheap import pattern
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import CommandError, HostError

if TYPE_CHECKING:
    from typing import Iterable, List, Sequence, Tuple

    from ec2net_legacy.host.command import Result, Runner
    from ec2net_legacy.model import Chain

CHAIN = "EC2NET"
_JUMP = "-A PREROUTING -j " + CHAIN
# Also somebody's own: as long as there is one, the chain cannot go. Not in a comment.
_ANY_JUMP = pattern(r"-A .* -[jg] {0}(?: |\Z)".format(CHAIN))
_QUOTED = pattern(r'"(?:[^"\\]|\\.)*"')
# What this module makes, with any names and numbers.
_OURS = pattern(
    r"-A {0} (?:-i \S+ (?:-m conntrack --ctstate NEW -j CONNMARK --set-xmark \S+|-j RETURN)"
    r"|-m connmark ! --mark \S+ -j CONNMARK --restore-mark --nfmask \S+ --ctmask \S+)\Z"
    .format(CHAIN)
)
# Seconds that a firewall or docker may take to load its rules; a lease event has five.
_WAIT = "2"
_PROGRAMS = {4: "iptables", 6: "ip6tables"}
# As iptables-restore says that it has no option -w: before 1.6.2.
_UNKNOWN_OPTION = pattern(r"(unrecognized|invalid|unknown) (option|arg)", re.I)


def rules(marks, mask, enis):
    # type: (Iterable[Tuple[str, int]], int, Iterable[str]) -> Tuple[str, ...]
    """Return the rules of the chain as iptables-save prints them.

    `marks` are ENIs with the mark of the connections that come in by them, `enis` all of them.
    """
    # What comes in by an ENI carries no mark: main is to route it, to a container or to this host.
    mark = "-i {0} -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x{1:x}/0x{2:x}"
    restore = "-m connmark ! --mark 0x0/0x{0:x} -j CONNMARK --restore-mark --nfmask 0x{0:x}"
    return tuple(
        ["-A {0} ".format(CHAIN) + mark.format(name, value, mask) for name, value in marks]
        + ["-A {0} -i {1} -j RETURN".format(CHAIN, name) for name in enis]
        + ["-A {0} ".format(CHAIN) + restore.format(mask) + " --ctmask 0x{0:x}".format(mask)]
    )


def as_commands(chain):
    # type: (Chain) -> List[str]
    """Return the commands of an operator that come to the same as writing `chain`."""
    program = _PROGRAMS[chain.family]
    if not chain.rules:
        return ["- {0} -t mangle -X {1}".format(program, CHAIN)]
    return ["+ {0} -t mangle {1}".format(program, rule) for rule in (_JUMP,) + chain.rules]


def look(runner, family):
    # type: (Runner, int) -> Tuple[Tuple[str, ...], bool]
    """Return the rules of the chain, none while it is not in use, and whether it can be taken away.

    It is not where rules of others are all that keeps the chain from going. Raises HostError.
    """
    text = _saved(runner, family)
    found = _rules_in(text)
    exists = _is_in(text) and (bool(found) or _JUMP in text or not _is_used(text))
    # Two ways into it are what a run left that died, or somebody's copy.
    return tuple(found) if text.count(_JUMP) == 1 else (), exists


def _rules_in(text):
    # type: (Iterable[str]) -> List[str]
    return [line for line in text if line.startswith("-A {0} ".format(CHAIN))]


def _is_used(text):
    # type: (Iterable[str]) -> bool
    """Return whether a rule of somebody else's leads into the chain."""
    return any(line != _JUMP and _ANY_JUMP.match(_QUOTED.sub("", line)) for line in text)


def _is_in(text):
    # type: (Iterable[str]) -> bool
    return any(line.startswith(":{0} ".format(CHAIN)) for line in text)


def write(runner, family, wanted):
    # type: (Runner, int, Sequence[str]) -> None
    """Make `wanted` the rules of the chain, all at once; without any the chain goes.

    It stays, empty, as long as rules of others lead into it.
    """
    text = _saved(runner, family)
    there = _is_in(text)
    lines = ["-D" + line[2:] for line in text if line == _JUMP]
    # Naming a chain makes or empties it.
    lines += [":{0} - [0:0]".format(CHAIN)] if wanted or there else []
    # In front: whatever is accepted further down is marked all the same.
    lines += list(wanted) + ["-I PREROUTING 1 -j " + CHAIN] if wanted else []
    lines += ["-X " + CHAIN] if there and not wanted and not _is_used(text) else []
    if lines:
        _restore(runner, family, ["*mangle"] + sorted(lines, key=_is_rule) + ["COMMIT"])


def _is_rule(line):
    # type: (str) -> bool
    # Chains come first in a table.
    return not line.startswith(":")


def _saved(runner, family):
    # type: (Runner, int) -> List[str]
    """Return the lines of the table; HostError when somebody else has a chain of that name."""
    argv = [_PROGRAMS[family] + "-save", "-t", "mangle"]
    result = runner.run(argv)
    if result.returncode != 0:
        raise CommandError(argv, result.returncode, result.stderr)
    text = [line.strip() for line in result.stdout.splitlines()]
    found = _rules_in(text)
    if found and _JUMP not in text and not any(_OURS.match(rule) for rule in found):
        raise HostError("{0}: the chain {1} is somebody else's".format(argv[0], CHAIN))
    return text


def _restore(runner, family, lines):
    # type: (Runner, int, Sequence[str]) -> None
    text = "".join(line + "\n" for line in lines)
    # Waiting for others, as docker at its start.
    argv = [_PROGRAMS[family] + "-restore", "-w", _WAIT, "--noflush"]
    result = runner.run(argv, text)  # type: Result
    if result.returncode != 0 and _UNKNOWN_OPTION.search(result.stderr):
        del argv[1:3]
        result = runner.run(argv, text)
    if result.returncode != 0:
        raise CommandError(argv, result.returncode, result.stderr)
