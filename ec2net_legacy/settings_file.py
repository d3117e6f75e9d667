"""The text of ec2net.conf: read with configobj, held against settings.spec, every mistake found.

Only a host that has such a file loads this module.
"""
from __future__ import absolute_import, print_function, unicode_literals

import os
import re

from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._compat import configobj_lines, import_validate, quoted, text
from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Sequence, Tuple

SPEC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "settings.spec")

Problem = namedtuple("Problem", ["path", "line", "found", "expected"])
"""What is wrong with a file: `found` in the line with this number of `path`, on one line and
printable, and what is `expected` in its place."""

Document = namedtuple("Document", ["values", "given", "problems", "source"])
"""`values`: {section, "" for none: {key: value of the kind that settings.spec says}}, each valid as
far as settings.spec goes. `given`: {(section, key): line} of those that the file says rightly, the
others being defaults. `problems`: in no order. `source`: to say where something stands."""


def read_document(lines, path):
    # type: (Sequence[str], str) -> Document
    """Return what `lines` say. Raises ImportError without configobj."""
    import configobj

    spec = read_spec()
    config, source, problems = _parsed(lines, path)
    given = {"": {}}  # type: Dict[str, Any]
    for sections, key, noun in _structure(config, spec, ()):
        problems.append(_structural(source, sections, key, noun, spec))
    for key, allowed in spec.items():
        if isinstance(allowed, dict) and isinstance(config.get(key), dict):
            given[key] = {one: config[key][one] for one in config[key].scalars if one in allowed}
        elif not isinstance(allowed, dict) and key in config.scalars:
            given[""][key] = config[key]
    checked = configobj.ConfigObj(_nested(given), configspec=spec, interpolation=False)
    results = checked.validate(import_validate().Validator(), preserve_errors=True)
    for sections, key, _ in configobj.flatten_errors(checked, results):
        section = "".join(sections)
        problems.append(_unfit(source, section, key, given[section].pop(key), spec))
    # Once more, with defaults in the places of what does not fit.
    checked = configobj.ConfigObj(_nested(given), configspec=spec, interpolation=False)
    checked.validate(import_validate().Validator())
    values = {one: {key: checked[one][key] for key in checked[one]} for one in checked.sections}
    values[""] = {key: checked[key] for key in checked.scalars}
    lines_of = {(one, key): source.line(one, key) for one in given for key in given[one]}
    return Document(values, lines_of, problems, source)


def read_spec():
    # type: () -> Any
    """Return settings.spec as configobj reads a specification."""
    import configobj

    with open(SPEC) as stream:
        return configobj.ConfigObj(stream, interpolation=False, list_values=False, _inspec=True)


def expectation(check):
    # type: (str) -> str
    """Return a check of settings.spec in words."""
    kind, arguments = re.match(r"(\w+)\((.*)\)\Z", check).groups()  # type: ignore[union-attr]
    values = [v.strip().strip("'") for v in arguments.split(",") if "default=" not in v]
    if kind == "option":
        return "one of " + ", ".join(values)
    if kind in ("integer", "float"):
        noun = "a whole number" if kind == "integer" else "a number"
        return "{0} from {1} to {2}".format(noun, values[0], values[1])
    return "text" if kind == "string" else "a list"


def assignment(key, value):
    # type: (str, Any) -> str
    """Return `key = value` on one line, with nothing in it that a terminal takes for a command."""
    said = ", ".join(value) if isinstance(value, (list, tuple)) else "{0}".format(value)
    return "{0} = {1}".format(key, printable(said))


def printable(value):
    # type: (str) -> str
    """Return untrusted text with its control characters and the like escaped."""
    return "".join(one if one.isalnum() or " " <= one <= "~" else _escaped(one) for one in value)


def _escaped(character):
    # type: (str) -> str
    return character.encode("unicode_escape").decode("ascii")


class Source(object):
    """The file as it was read, to say where in it something stands; configobj does not keep it."""

    def __init__(self, path, lines):
        # type: (str, Sequence[str]) -> None
        self._path = path
        self._places = {}  # type: Dict[Tuple[str, str], int]
        section = ""
        for number, line in enumerate(lines, 1):
            header = re.match(r"\s*\[+\s*([^\[\]]+?)\s*\]", line)
            found = re.match(r"\s*[\"']?([^=\"'#]+?)[\"']?\s*=", line)
            if header:
                # Whoever asks for a section does so as for a key of the one around it.
                outer, section = section, header.group(1).strip("\"'")
                for place in (("", section), (outer, section)):
                    self._places.setdefault(place, number)
            elif found:
                self._places.setdefault((section, found.group(1)), number)

    def line(self, section, key):
        # type: (str, str) -> int
        """Return the number of the line that sets `key`, or begins the section of that name."""
        return self._places.get((section, key), 1)

    def problem(self, section, key, found, expected):
        # type: (str, str, str, str) -> Problem
        """Return a problem with `key`."""
        return Problem(self._path, self.line(section, key), found, expected)


def _parsed(lines, path):
    # type: (Sequence[str], str) -> Tuple[Any, Source, List[Problem]]
    """Return what can be read, the lines as they were read for it, and what is wrong elsewhere."""
    import configobj

    problems = {}  # type: Dict[int, Problem]
    repaired = list(lines)
    one_by_one = False
    while True:
        readable, options = configobj_lines(repaired)
        options.update(interpolation=False, raise_errors=one_by_one)
        try:
            config = configobj.ConfigObj(readable, **options)
            return config, Source(path, repaired), [problems[one] for one in problems]
        except UnboundLocalError:
            # configobj 4.7.2 stumbles over a section that is too deep where it is to go on.
            one_by_one = True
            continue
        except configobj.ConfigObjError as error:
            numbers = {one.line_number for one in getattr(error, "errors", [error])}
        for number in numbers:
            found = quoted(lines[number - 1].strip())
            expected = "KEY = VALUE, [SECTION] or a comment, each key and section once"
            problems.setdefault(number, Problem(path, number, found, expected))
            # With a header left out, what stands below it would count as wrong, too.
            header = re.match(r"\s*\[\s*(\w+)", repaired[number - 1])
            better = "[{0}]".format(header.group(1)) if header else ""
            repaired[number - 1] = better if repaired[number - 1] != better else ""


def _structure(present, allowed, sections):
    # type: (Any, Any, Tuple[str, ...]) -> Iterator[Tuple[Tuple[str, ...], str, str]]
    """Yield sections, key and noun of what there is not, and of the one for the other."""
    for key in present:
        is_section = isinstance(present[key], dict)
        if key not in allowed or is_section != isinstance(allowed[key], dict):
            yield sections, key, "section" if is_section else "key"
        elif is_section:
            for found in _structure(present[key], allowed[key], sections + (key,)):
                yield found


def _structural(source, sections, key, noun, spec):
    # type: (Source, Tuple[str, ...], str, str, Any) -> Problem
    allowed, section = spec, "".join(sections)
    for one in sections:
        allowed = allowed[one]
    if key not in allowed:
        found, expected = "unknown {0} {1}".format(noun, quoted(key)), ", ".join(sorted(allowed))
        return source.problem(section, key, found, "one of " + expected)
    expected = "a section [{0}]" if isinstance(allowed[key], dict) else "{0} = VALUE"
    return source.problem(section, key, "{0} is a {1}".format(key, noun), expected.format(key))


def _unfit(source, section, key, value, spec):
    # type: (Source, str, str, Any, Any) -> Problem
    check = spec[section][key] if section else spec[key]
    return source.problem(section, key, assignment(key, value), expectation(check))


def _nested(given):
    # type: (Dict[str, Any]) -> Dict[str, Any]
    """Return {key: value, section: {key: value}}, of which configobj makes a document."""
    nested = dict(given[""])
    nested.update((one, dict(given[one])) for one in given if one)
    return nested
