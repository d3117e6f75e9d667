"""What ifupdown reads: /etc/network/interfaces, and whatever that sources (interfaces(5))."""
from __future__ import absolute_import, print_function, unicode_literals

import fnmatch
import posixpath
import re

from ec2net_legacy._cheap import namedtuple, pattern
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.distributions.protocol import read_all

if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Pattern, Tuple

    from ec2net_legacy.distributions.protocol import Reader

PATH = "/etc/network/interfaces"

# Not split(), which takes some bytes of UTF-8 for blanks.
_WORD = pattern(r"[^ \t\r\f\v]+")
# source-directory takes no other names. A file with a dot in its name is invisible to it.
_DOTLESS = pattern(r"[A-Za-z0-9_-]+\Z")
_MAX_DEPTH = 5

Sources = namedtuple("Sources", ["texts", "lines", "too_large"])
"""`texts`: {path: text} of each file that ifupdown reads. `lines`: (keyword, absolute pattern) of
all lines that make it read more. `too_large`: a sentence for each file that was not looked at."""


def look(reader):
    # type: (Reader) -> Sources
    """Return what ifupdown reads. Raises TooLarge where that is `PATH` itself."""
    reader.read(PATH)
    found = Sources({}, [], [])
    level = [PATH]
    for _ in range(_MAX_DEPTH):
        # Files that source each other in a circle are read once.
        texts, too_large = read_all(reader, [path for path in level if path not in found.texts])
        lines = [line for path in sorted(texts) for line in _source_lines(path, texts[path])]
        found.texts.update(texts)
        found.lines.extend(lines)
        found.too_large.extend(one for one in too_large if one not in found.too_large)
        level = [path for line in lines for path in _sourced(reader, *line)]
    return found


def reads(sources, path):
    # type: (Sources, str) -> bool
    """Return whether ifupdown would read a file at `path`."""
    return any(_matches(path, keyword, pattern) for keyword, pattern in sources.lines)


def defines(text, interface):
    # type: (str, str) -> bool
    """Return whether an ``iface`` stanza of `text` is about `interface`."""
    return interface in _parsed(text).interfaces


_Parsed = namedtuple("_Parsed", ["interfaces", "sources"])
"""The interfaces that a file has a stanza for, and the words of its lines that source others."""

# A host with 15 ENIs has 15 generated files, and each ENI is looked up in all of them.
_known = {}  # type: Dict[str, _Parsed]


def _parsed(text):
    # type: (str) -> _Parsed
    if text not in _known:
        lines = [words for _, words in numbered_words(text)]
        _known[text] = _Parsed(
            frozenset(words[1] for words in lines if words[:1] == ["iface"] and words[1:]),
            [words for words in lines if words[:1] in (["source"], ["source-directory"])],
        )
    return _known[text]


def numbered_words(text):
    # type: (str) -> Iterator[Tuple[int, List[str]]]
    """Yield the words of each line, and its number, counted from 1.

    A backslash at its end continues it, but not in a comment.
    """
    begun = ""
    # Not splitlines(), which takes some bytes of UTF-8 for line ends.
    for number, line in enumerate(text.split("\n"), 1):
        if not begun and line.lstrip(" \t").startswith("#"):
            continue
        if line.endswith("\\"):
            begun += line[:-1]
            continue
        yield number, _WORD.findall(begun + line)
        begun = ""


def _source_lines(path, text):
    # type: (str, str) -> Iterator[Tuple[str, str]]
    for words in _parsed(text).sources:
        for wanted in words[1:]:
            # A pattern is relative to the file that says it.
            absolute = posixpath.join(posixpath.dirname(path), wanted)
            yield words[0], posixpath.normpath(absolute)


def _sourced(reader, keyword, pattern):
    # type: (Reader, str, str) -> List[str]
    """Return the files that are read because of a line."""
    paths = reader.glob(pattern if keyword == "source" else pattern + "/*")
    return [path for path in paths if _matches(path, keyword, pattern)]


def _matches(path, keyword, pattern):
    # type: (str, str, str) -> bool
    """Return whether ifupdown reads a file at `path` because of a line."""
    directory, name = posixpath.split(path)
    if keyword == "source-directory":
        return bool(_DOTLESS.match(name)) and _fits(directory, pattern)
    wanted_directory, wanted_name = posixpath.split(pattern)
    # A shell's "*" matches neither "/" nor a leading dot, and fnmatch's matches both.
    return (
        _fits(directory, wanted_directory)
        and _fits(name, wanted_name)
        and (not name.startswith(".") or wanted_name.startswith("."))
    )


_translated = {}  # type: Dict[str, Pattern[str]]


def _fits(name, pattern):
    # type: (str, str) -> bool
    # Not fnmatchcase(): Python 2's keeps patterns of text and the bytes that glob gives it in one
    # dictionary, and warns when it compares them.
    if pattern not in _translated:
        _translated[pattern] = re.compile(fnmatch.translate(pattern))
    return bool(_translated[pattern].match(name))
