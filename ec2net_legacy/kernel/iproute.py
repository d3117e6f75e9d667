"""Reading and changing the kernel with as few `ip` processes as there are families."""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._cheap import pattern
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import CommandError
from ec2net_legacy.kernel import parse

if TYPE_CHECKING:
    from typing import Callable, Dict, Iterable, List, Optional, Sequence

    from ec2net_legacy.host.command import Runner
    from ec2net_legacy.kernel.diff import Change

_READ = "addr show\nrule show\nroute show table all\n"
# One file until iproute2 6.5, which moved the distribution's copy below /usr.
_TABLE_NAMES = (
    "/usr/share/iproute2/rt_tables",
    "/etc/iproute2/rt_tables",
    "/etc/iproute2/rt_tables.d/*.conf",
)
# Of the link groups; the same format.
_GROUP_NAMES = ("/usr/share/iproute2/group", "/etc/iproute2/group", "/etc/iproute2/group.d/*.conf")
_ANY_RULE = pattern(r"^\d+:\s+from ", re.M)
_NO_TABLE = "FIB table does not exist"
# `ip` succeeds all the same.
_INTERRUPTED = "Dump was interrupted"
_FAILED_LINE = pattern(r"Command failed -:(\d+)")
# Somebody else was faster; the kernel is where it should be.
_HARMLESS = (
    "File exists",
    "Address already assigned",
    "No such process",
    "No such file or directory",
)
_HARMLESS_DELETE = _HARMLESS + (
    "Cannot assign requested address",
    "Address not found",
    "Cannot find device",
)


def read(runner, names, groups, families):
    # type: (Runner, Dict[str, int], Dict[str, int], Iterable[int]) -> parse.KernelState
    """Return the kernel's addresses, routes and rules of `families`, one process for each."""
    parts = [parse.KernelState(frozenset(), frozenset(), frozenset(), frozenset())]
    for family in families:
        # -force: `route show` of some versions fails where there is no table but the usual ones.
        argv = ["ip", "-{0}".format(family), "-o", "-force", "-batch", "-"]
        result = runner.run(argv, _READ)
        # There is always a rule, and `route show` comes after it. Half of an answer must not
        # be taken for a kernel in which half is missing.
        complete = result.returncode == 0 or _NO_TABLE in result.stderr
        complete = complete and _INTERRUPTED not in result.stderr
        if not complete or not _ANY_RULE.search(result.stdout):
            raise CommandError(argv, result.returncode, result.stderr or "no complete answer")
        parts.append(parse.kernel_state(result.stdout, names, groups, family))
    return parse.KernelState(*[frozenset().union(*items) for items in zip(*parts)])


def table_names(read_file, glob):
    # type: (Callable[[str], Optional[str]], Callable[[str], List[str]]) -> Dict[str, int]
    """Return the table names that `ip` prints instead of numbers on this host."""
    return _names(_TABLE_NAMES, read_file, glob)


def group_names(read_file, glob):
    # type: (Callable[[str], Optional[str]], Callable[[str], List[str]]) -> Dict[str, int]
    """Return the names of link groups that `ip` prints instead of numbers on this host."""
    return _names(_GROUP_NAMES, read_file, glob)


def _names(patterns, read_file, glob):
    # type: (Sequence[str], Callable[[str], Optional[str]], Callable[[str], List[str]]) -> Dict[str, int]  # noqa: E501
    names = {}  # type: Dict[str, int]
    for expression in patterns:
        for path in glob(expression):
            names.update(parse.table_names(read_file(path) or ""))
    return names


def rule_text(runner, family):
    # type: (Runner, int) -> str
    """Return what `ip` prints of all rules, which is for people."""
    argv = ["ip", "-{0}".format(family), "-o", "rule", "show"]
    result = runner.run(argv)
    if result.returncode != 0:
        raise CommandError(argv, result.returncode, result.stderr)
    text = result.stdout  # type: str
    return text


def apply_changes(runner, steps, rule_words=""):
    # type: (Runner, Sequence[Change], str) -> None
    """Carry out `steps`, one process a family; `rule_words` come behind each rule that is added.

    Each is tried once; CommandError then tells which failed.
    """
    failures = []  # type: List[str]
    for family in (4, 6):
        mine = [step for step in steps if step.family == family]
        if mine:
            lines = [_line(step, rule_words) for step in mine]
            failures += _apply_family(runner, family, mine, lines)
    if failures:
        raise CommandError(["ip"], 1, "\n".join(failures))


def _line(step, rule_words):
    # type: (Change, str) -> str
    is_new_rule = step.add and step.line.startswith("rule ")
    return step.line + (rule_words if is_new_rule else "")


def _apply_family(runner, family, steps, lines):
    # type: (Runner, int, Sequence[Change], Sequence[str]) -> List[str]
    argv = ["ip", "-{0}".format(family), "-force", "-batch", "-"]
    result = runner.run(argv, "".join(line + "\n" for line in lines))
    if result.returncode == 0:
        return []
    failures = []
    message = ""
    # `ip` prints the reason first, then the number of the line it stands for.
    for line in result.stderr.split("\n"):
        failed = _FAILED_LINE.search(line)
        if not failed:
            message = line.strip()
            continue
        step = steps[int(failed.group(1)) - 1]
        harmless = _HARMLESS if step.add else _HARMLESS_DELETE
        if not any(reason in message for reason in harmless):
            failures.append("{0}: {1}".format(step.line, message))
    if not failures and not _FAILED_LINE.search(result.stderr):
        failures.append(result.stderr)
    return failures
