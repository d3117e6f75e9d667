"""Reading the assignments of a shell file, as ifcfg files are, without a shell.

Only what is the same whenever and wherever the file is sourced: ``NAME=value`` with quotes,
escapes and continued lines, several in a line, after ``export``. What a shell would have to compute
(``$``, backquotes, a command, a branch) is left out with a debug line: a file in ``/etc`` must not
be able to make this package run anything. configobj would take quotes, ``#`` and ``$`` for
something else than a shell does.
"""
from __future__ import absolute_import, print_function, unicode_literals

import logging
import re
from collections import namedtuple

from ec2net_legacy._compat import quoted
from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Iterator, List, Tuple

_log = logging.getLogger(__name__)

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
# What ends a compound command, by what begins it.
_END = {
    "if": "fi",
    "case": "esac",
    "for": "done",
    "while": "done",
    "until": "done",
    "select": "done",
    "{": "}",
    "(": ")",
}
_BEFORE_COMMAND = frozenset(["then", "do", "else", "elif", "{"])
_FUNCTION = "function"

# One piece of a command. An operator other than the end of a command makes it more than a list of
# assignments.
_PIECE = re.compile(
    r"""
      (?P<skip>     [ \t]+ | \\\n | (?:(?<=[ \t\n;&|()])|\A)\#[^\n]* )
    | (?P<end>      [\n;] )
    | (?P<operator> [&|()<>]+ )
    | (?P<single>   '[^']*' )
    | (?P<double>   "(?:[^"\\$`]|\\.|\$(?![A-Za-z0-9_{(@*\#?!$-]))*" )
    | (?P<escape>   \\. )
    | (?P<plain>    [^ \t\n;&|()<>'"\\$`]+ )
    | (?P<computed>
          \$\( (?:[^()]|\([^()]*\))* \)?
        | `[^`]*`?
        | "(?:[^"\\]|\\.)*"?
        | '[^']*
        | .
      )
    """,
    re.X | re.S,
)

_Word = namedtuple("_Word", ["text", "computed"])
"""`computed`: whether only a shell could say what it comes to."""


def assignments(text, source):
    # type: (str, str) -> List[Tuple[str, str]]
    """Return (name, value) of each plain assignment of `text` in order; `source` is for the log."""
    found = []  # type: List[Tuple[str, str]]
    open_ends = []  # type: List[str]
    for words in _commands(text):
        _follow(words, open_ends)
        values = words[1:] if words[0].text == "export" else words
        pairs = [_ASSIGNMENT.match(word.text) for word in values]
        if not open_ends and all(pairs) and not any(word.computed for word in values):
            found += [(pair.group(1), pair.string[pair.end() :]) for pair in pairs if pair]
        else:
            shown = " ".join(word.text for word in words)
            _log.debug("%s: not a plain assignment, ignored: %s", source, quoted(shown))
    return found


def _follow(words, open_ends):
    # type: (List[_Word], List[str]) -> None
    """Keep account of the compound commands that are open: what is in them may never be run."""
    at_command = True
    for word in words:
        if open_ends and word.text == open_ends[-1]:
            open_ends.pop()
        elif word.text == "(" or (at_command and word.text in _END):
            open_ends.append(_END[word.text])
        # After "function" comes a name, and then perhaps "{".
        at_command = (
            word.computed or word.text in _BEFORE_COMMAND or words[0].text == _FUNCTION
        )


def _commands(text):
    # type: (str) -> Iterator[List[_Word]]
    """Yield the words of each command; an operator is a word, too.

    A here-document ends it: where that ends only a shell can say.
    """
    words = []  # type: List[_Word]
    pieces = []  # type: List[_Word]
    for match in _PIECE.finditer(text + "\n"):
        kind, piece = str(match.lastgroup), match.group()
        if kind in ("skip", "end", "operator") and pieces and piece != "\\\n":
            words.append(_joined(pieces))
            pieces = []
        if kind == "end":
            if words:
                yield words
            words = []
        elif kind == "operator":
            words += [_Word(character, True) for character in piece]
            if "<<" in piece:
                yield words
                return
        elif kind != "skip":
            pieces.append(_Word(_unquoted(kind, piece), kind == "computed"))
    # An open quote swallowed the rest.
    if words or pieces:
        yield words + ([_joined(pieces)] if pieces else [])


def _joined(pieces):
    # type: (List[_Word]) -> _Word
    return _Word(
        "".join(piece.text for piece in pieces), any(piece.computed for piece in pieces)
    )


def _unquoted(kind, piece):
    # type: (str, str) -> str
    """Return what a shell makes of one piece."""
    if kind == "single":
        return piece[1:-1]
    if kind == "double":
        # Between double quotes a backslash is one, unless it stands before one of these.
        return re.sub(r'\\([\\"$`])', r"\1", piece[1:-1].replace("\\\n", ""))
    if kind == "escape":
        return piece[1:]
    return piece
