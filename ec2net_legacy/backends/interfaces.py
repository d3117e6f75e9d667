"""What ifupdown reads: /etc/network/interfaces and whatever that sources (interfaces(5))."""
from __future__ import absolute_import, print_function, unicode_literals

import fnmatch
import posixpath
import re

from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Iterator, List, Tuple

    from ec2net_legacy.backends.configuration import Reader

PATH = "/etc/network/interfaces"

# source-directory takes no other names; a dot makes a file invisible to it.
_DOTLESS = re.compile(r"[A-Za-z0-9_-]+\Z")
_MAX_DEPTH = 5


def sources(reader):
    # type: (Reader) -> List[Tuple[str, str]]
    """Return (path, text) of each file that ifupdown reads, in its order."""
    found = []  # type: List[Tuple[str, str]]
    _follow(reader, PATH, found, _MAX_DEPTH)
    return found


def reads(reader, path):
    # type: (Reader, str) -> bool
    """Return whether ifupdown would read a file at `path`."""
    return any(
        _matches(path, kind, pattern)
        for source, text in sources(reader)
        for kind, pattern in _source_lines(source, text)
    )


def defines(text, interface):
    # type: (str, str) -> bool
    """Return whether an ``iface`` stanza of `text` is about `interface`."""
    for words in _lines(text):
        if len(words) > 1 and words[0] == "iface" and words[1] == interface:
            return True
    return False


def _follow(reader, path, found, depth):
    # type: (Reader, str, List[Tuple[str, str]], int) -> None
    text = reader.read(path)
    if text is None or depth == 0 or any(path == seen for seen, _ in found):
        return
    found.append((path, text))
    for kind, pattern in _source_lines(path, text):
        for sourced in reader.glob(pattern if kind == "source" else pattern + "/*"):
            if _matches(sourced, kind, pattern):
                _follow(reader, sourced, found, depth - 1)


def _lines(text):
    # type: (str) -> Iterator[List[str]]
    """Yield the words of each line; a backslash at its end continues it, but not in a comment."""
    begun = ""
    # Not splitlines(), which takes some bytes of UTF-8 for line ends.
    for line in text.split("\n"):
        if not begun and line.lstrip().startswith("#"):
            continue
        if line.endswith("\\"):
            begun += line[:-1]
            continue
        yield (begun + line).split()
        begun = ""


def _source_lines(path, text):
    # type: (str, str) -> Iterator[Tuple[str, str]]
    """Yield (keyword, absolute pattern) of each line that makes ifupdown read more."""
    for words in _lines(text):
        if len(words) > 1 and words[0] in ("source", "source-directory"):
            for pattern in words[1:]:
                # Relative to the file that says it.
                absolute = posixpath.join(posixpath.dirname(path), pattern)
                yield words[0], posixpath.normpath(absolute)


def _matches(path, kind, pattern):
    # type: (str, str, str) -> bool
    """Return whether ifupdown reads `path` because of a source line."""
    directory, name = posixpath.split(path)
    if kind == "source-directory":
        return bool(_DOTLESS.match(name)) and fnmatch.fnmatchcase(directory, pattern)
    wanted_directory, wanted_name = posixpath.split(pattern)
    # A shell's "*" matches neither "/" nor a leading dot; fnmatch's does.
    return (
        fnmatch.fnmatchcase(directory, wanted_directory)
        and fnmatch.fnmatchcase(name, wanted_name)
        and (not name.startswith(".") or wanted_name.startswith("."))
    )
