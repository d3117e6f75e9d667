#!/usr/bin/env python3
"""What is written down in ec2net_legacy/settings.spec, as a file of settings, a table and a page.

Called as a program it writes packaging/ec2net.conf and the table in docs/configuring.md anew.
"""
import re
import sys
import textwrap
from collections import namedtuple
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from ec2net_legacy import settings, settings_file  # noqa: E402

Setting = namedtuple("Setting", ["section", "key", "meaning", "values", "default"])
"""`meaning` and `values`: sentences and a phrase, with `literal` words as in Markdown; `default`:
as the file has it."""

_CONF = REPOSITORY / "packaging/ec2net.conf"
_DOCUMENT = REPOSITORY / "docs/configuring.md"
_HEAD = """\
# Settings of ec2net on this host: ec2net.conf(5).
#
# Each of them is shown with its default. To change one, remove the # before it. A change counts
# from the next run on. `ec2net config` shows what counts at present and where it comes from,
# `ec2net config --check FILE` what is wrong with a file.
"""
_TABLE_HEAD = "| setting | what it is | what may stand there |\n|---|---|---|\n"


def read():
    """Return every Setting, in the order of the specification."""
    found, section, comments = [], "", []
    for line in Path(settings_file.SPEC).read_text().splitlines():
        assigned = re.match(r"(\w+) = (.*)", line)
        header = re.match(r"\[(\w+)\]", line)
        if header:
            section = header.group(1)
        elif line.startswith("#"):
            comments.append(line[2:])
            continue
        elif assigned:
            found.append(_setting(section, assigned.group(1), assigned.group(2), comments))
        comments = []
    return found


def _setting(section, key, check, comments):
    meaning, _, values = " ".join(comments).partition(" Values: ")
    if not meaning:
        raise ValueError("settings.spec does not say what {} is".format(key))
    defaults = settings.DEFAULTS.metadata if section else settings.DEFAULTS
    return Setting(
        section, key, meaning, values or _values(check), _written(key, getattr(defaults, key))
    )


def _values(check):
    """Return what a check allows, with `literal` words."""
    said = settings_file.expectation(check)
    if said.startswith("one of "):
        return ", ".join("`{}`".format(one) for one in said[len("one of "):].split(", "))
    return re.sub(r"^a (whole )?number from ", r"\1numbers from ", said)


def _written(key, value):
    if isinstance(value, tuple):
        # A comma alone is an empty list; configobj takes brackets for text only between quotes.
        return ", ".join('"{}"'.format(one) if "[" in one else one for one in value) or ","
    if key.startswith("mark_"):
        return hex(value)
    return "{:g}".format(value) if isinstance(value, float) else str(value)


def conf():
    """Return the file of settings that is installed, in which each is commented out."""
    lines, section = [_HEAD], ""
    for one in read():
        if one.section != section:
            section = one.section
            lines.append("\n[{}]\n".format(section))
        # Who copies a value from here copies no quotes with it.
        values = "Values: {}.".format(one.values.replace("`", ""))
        lines += ["\n", _comment(one.meaning), _comment(values)]
        lines.append("#{} = {}".format(one.key, one.default).rstrip() + "\n")
    return "".join(lines)


def _comment(said):
    return textwrap.fill(
        said, 78, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    ) + "\n"


def table():
    """Return the rows of all settings as docs/configuring.md has them."""
    rows = "".join("| `{0.key}` | {0.meaning} | {0.values} |\n".format(one) for one in read())
    return _TABLE_HEAD + re.sub(r"docs/(\w+\.md)", r"[\1](\1)", rows)


def document():
    """Return docs/configuring.md with the table as it should be."""
    before, after = _DOCUMENT.read_text().split(_TABLE_HEAD)
    return before + table() + re.sub(r"\A(\|.*\n)*", "", after)


if __name__ == "__main__":
    _CONF.write_text(conf())
    _DOCUMENT.write_text(document())
