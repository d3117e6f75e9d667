"""Reading the variables of a shell file, as ifcfg files are, without a shell.

A file in /etc must not be able to make this program run anything, so no shell is asked. configobj
is no help, because it takes quotes, ``#`` and ``$`` for something else than a shell does.
"""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy import log
from ec2net_legacy._cheap import pattern
from ec2net_legacy._compat import quoted
from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import List, Tuple

# Not \s, which matches some bytes of UTF-8: each byte is a character here.
_BLANK = r" \t\r\f\v"
_ASSIGNMENT = pattern(
    r"""[{0}]*(?:export[{0}]+)?([A-Za-z_][A-Za-z0-9_]*)=
    (?: '([^']*)' | "([^"\\$`]*)" | ([^{0}'"\\$`;&|()<>]*) )
    [{0}]*;? (?: [{0}]+\#.* | [{0}]* )\Z""".format(_BLANK),
    re.X,
)
_COMMENT = pattern(r"(?:^|[{0}])#.*".format(_BLANK))
_CLOSED = pattern(
    r"""'[^']*' | "(?:[^"\\]|\\.)*" | \\. | \$\([^()]*\) | \$\{[^{}]*\} | `[^`]*`""", re.X
)
# What may go on in the next line, or keep a shell from coming there.
_OPEN = pattern(
    r"""['"\\`(){{}}] | << | (?: && | \| )[{0}]*\Z |
    \b(?: if | case | for | while | until | select | function | return|exit )\b""".format(_BLANK),
    re.X,
)


def assignments(text, source):
    # type: (str, str) -> List[Tuple[str, str]]
    r"""Return (name, value) of each plain assignment of `text` in order; `source` is for the log.

    Plain is a line that means the same wherever the file is sourced: NAME=value, perhaps after
    "export", where the value is bare or in quotes, and has neither "\" nor anything to expand.
    Other commands are left out. The reading ends at a line that may not end where it seems to end,
    as a branch, a function, or a quote that is left open, and at one that leaves the file. What
    stands after it may never be run, so neither a value nor the right to overwrite the file is
    taken from there.
    """
    found = []
    for line in text.split("\n"):
        match = _ASSIGNMENT.match(line)
        command = _COMMENT.sub("", _CLOSED.sub("", line))
        if match:
            name, single, double, bare = match.groups()
            found.append((name, single or double or bare or ""))
        elif command.strip():
            log.debug("%s: not a plain assignment, ignored: %s", source, quoted(line))
            if _OPEN.search(command):
                break
    return found


def mentioned(text, name):
    # type: (str, str) -> List[str]
    """Return the values except "" that `text` gives the variable `name` anywhere.

    That includes values in a branch that may never be run. It is for what had better be respected
    wherever it stands. The older tools look for EC2SYNC in this way, without reading shell.
    """
    pattern = r"(?:^|[{0};&|({{]){1}=([^{0};&|)}}]+)".format(_BLANK, name)
    values = [
        value.strip("\"'")
        for line in text.split("\n")
        for value in re.findall(pattern, _COMMENT.sub("", line))
    ]
    return [value for value in values if value]
