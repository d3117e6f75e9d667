"""What `ec2net config` shows: each setting and where it comes from, or what is wrong in a file."""
from __future__ import absolute_import, print_function, unicode_literals

from collections import OrderedDict

from ec2net_legacy import settings
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import SettingsError
from ec2net_legacy.settings_file import printable

if TYPE_CHECKING:
    from typing import Any, List, Optional, Tuple

    from ec2net_legacy.settings import Checked
    from ec2net_legacy.settings_file import Problem

    _Row = Tuple[str, str, Any, Optional[int]]

_COLUMNS = ("SETTING", "FROM", "VALUE")
_WIDTH = 80
# Values that are long to begin with still get this many columns beside a long path.
_NARROWEST = 24


def report(path, as_json):
    # type: (Optional[str], bool) -> Tuple[str, bool]
    """Return what is to be printed, and whether the settings are right.

    Of the file `path` all that is wrong is told, and nothing else. Without one it is this host's
    settings. Raises SettingsError for what cannot be read.
    """
    read_from = settings.PATH if path is None else path
    content = settings.read(read_from)
    if content is None and path is not None:
        raise SettingsError("cannot read {0}: there is no such file".format(path))
    checked = settings.Checked(settings.DEFAULTS, {}, [])
    if content is not None:
        checked = settings.check_content(content, read_from)
    # No command uses the others of a file in which one is wrong.
    rows = [] if path is not None or checked.problems else _rows(checked)
    if as_json:
        shown = rows if path is None else None
        return _json(shown, checked.problems, read_from), not checked.problems
    lines = _table(rows, read_from) if rows else []
    lines += [settings.as_line(problem) for problem in checked.problems]
    return "".join(line + "\n" for line in lines), not checked.problems


def _rows(checked):
    # type: (Checked) -> List[_Row]
    """Return section, key, value and line, None for a default, of each setting."""
    found = []
    for section, values in (("", checked.settings), ("metadata", checked.settings.metadata)):
        for key, value in zip(values._fields, values):
            if key != "metadata":
                found.append((section, key, value, checked.given.get((section, key))))
    return found


def _table(rows, path):
    # type: (List[_Row], str) -> List[str]
    """Return the settings as lines for 80 columns, a section's below its name as in the file."""
    import textwrap

    cells = [_COLUMNS]
    section = ""
    for inside, key, value, line in rows:
        if inside != section:
            section = inside
            cells.append(("[{0}]".format(section), "", ""))
        origin = "default" if line is None else "{0}:{1}".format(printable(path), line)
        cells.append((key, origin, _written(key, value)))
    left = [max(len(row[column]) for row in cells) for column in (0, 1)]
    indent = sum(left) + 4
    lines = []  # type: List[str]
    for name, origin, value in cells:
        head = "{0}  {1}  ".format(name.ljust(left[0]), origin.ljust(left[1]))
        folded = textwrap.wrap(
            value,
            max(_WIDTH - indent, _NARROWEST),
            break_on_hyphens=False,
            break_long_words=False,
        )
        for number, part in enumerate(folded or [""]):
            lines.append(((" " * indent if number else head) + part).rstrip())
    return lines


def _written(key, value):
    # type: (str, Any) -> str
    """Return a value as it would stand in the file."""
    if isinstance(value, tuple):
        return printable(", ".join(value)) or "none"
    if key in ("mark_mask", "mark_base"):
        return "0x{0:x}".format(value)
    return printable("{0:g}".format(value) if isinstance(value, float) else "{0}".format(value))


def _json(rows, problems, path):
    # type: (Optional[List[_Row]], List[Problem], str) -> str
    import json

    said = OrderedDict()  # type: OrderedDict[str, Any]
    if rows is not None:
        said["settings"] = [
            OrderedDict(
                [
                    ("section", section or None),
                    ("setting", key),
                    ("value", value),
                    ("file", None if line is None else path),
                    ("line", line),
                ]
            )
            for section, key, value, line in rows
        ]
    names = ("file", "line", "found", "expected")
    said["problems"] = [OrderedDict(zip(names, problem)) for problem in problems]
    return json.dumps(said, indent=2, separators=(",", ": ")) + "\n"
