"""/etc/ec2net/ec2net.conf: read with configobj, checked against settings.spec."""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import os
import re
from collections import namedtuple

from ec2net_legacy._compat import import_validate, quoted
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import SettingsError

if TYPE_CHECKING:
    from typing import Any, List, Sequence, Tuple

PATH = "/etc/ec2net/ec2net.conf"
_SPEC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "settings.spec")

Settings = namedtuple(
    "Settings",
    ["backend", "ignore", "table_base", "priority_base", "run_directory", "metadata"],
)
"""`backend`: "auto" or a backend's name. `ignore`: name globs, MACs and ENI ids, all left alone.
`table_base`, `priority_base`: the number 0 of route tables and of rule priorities.
`run_directory`: an absolute path."""

MetadataSettings = namedtuple(
    "MetadataSettings",
    [
        "endpoints",
        "connect_timeout",
        "read_timeout",
        "deadline",
        "attach_deadline",
        "token_ttl",
    ],
)
"""`endpoints`: base URLs in order of preference. All times are seconds: of one connection, of one
silence while reading, of a run that gets no answer, and of waiting for a fresh ENI's keys."""

DEFAULTS = Settings(
    backend="auto",
    ignore=(),
    table_base=10000,
    priority_base=10000,
    run_directory="/var/run/ec2net",
    metadata=MetadataSettings(
        endpoints=("http://169.254.169.254/latest", "http://[fd00:ec2::254]/latest"),
        connect_timeout=1.0,
        read_timeout=2.0,
        deadline=10.0,
        attach_deadline=30.0,
        token_ttl=21600,
    ),
)


def load(path=PATH):
    # type: (str) -> Settings
    """Return the settings in the file `path`, the defaults where it does not exist."""
    try:
        with open(path, "rb") as stream:
            lines = stream.read().decode("utf-8").splitlines()
    except (IOError, OSError) as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return DEFAULTS
        raise SettingsError("cannot read {0}: {1}".format(path, error.strerror))
    except UnicodeDecodeError:
        raise SettingsError("{0} is not UTF-8 text".format(path))
    return parse(lines, path)


def parse(lines, path=PATH):
    # type: (List[str], str) -> Settings
    """Return the settings that `lines` say; SettingsError names `path`, line and what may stand there."""
    # Half as dear as the rest of a run without requests, hence not before there is a file.
    import configobj

    try:
        with open(_SPEC) as stream:
            spec = configobj.ConfigObj(stream, interpolation=False, list_values=False, _inspec=True)
        config = configobj.ConfigObj(
            list(lines), configspec=spec, interpolation=False, raise_errors=True
        )
    except configobj.ConfigObjError as error:
        raise SettingsError(
            "{0}:{1}: {2}: expected KEY = VALUE, [SECTION] or a comment".format(
                path, error.line_number, quoted((error.line or "").strip())
            )
        )
    validator = import_validate().Validator()
    results = config.validate(validator, preserve_errors=True)
    _refuse_unknown(config, spec, lines, path)
    for sections, key, result in configobj.flatten_errors(config, results):
        _refuse(config, spec, sections, key, result, lines, path)
    settings = _settings(config)
    _check(settings, lines, path)
    return settings


def _settings(config):
    # type: (Any) -> Settings
    metadata = dict(config["metadata"])
    metadata["endpoints"] = tuple(url.rstrip("/") for url in metadata["endpoints"])
    top = dict((key, config[key]) for key in Settings._fields)
    top["ignore"] = tuple(top["ignore"])
    top["metadata"] = MetadataSettings(**metadata)
    return Settings(**top)


def _refuse_unknown(config, spec, lines, path):
    # type: (Any, Any, Sequence[str], str) -> None
    for section, allowed in (((), spec), (("metadata",), spec["metadata"])):
        present = config["metadata"] if section else config
        for key in present:
            if key not in allowed:
                raise SettingsError(
                    "{0}:{1}: unknown {2} {3}: expected one of {4}".format(
                        path,
                        _line_of(lines, section, key),
                        "section" if isinstance(present[key], dict) else "key",
                        quoted(key),
                        ", ".join(sorted(allowed)),
                    )
                )


def _refuse(config, spec, sections, key, result, lines, path):
    # type: (Any, Any, Sequence[str], str, Any, Sequence[str], str) -> None
    if key is None:
        raise SettingsError(
            "{0}: {1} is a value: expected a section [{1}]".format(path, sections[-1])
        )
    values, checks = config, spec
    for section in sections:
        values, checks = values[section], checks[section]
    raise SettingsError(
        "{0}:{1}: {2} = {3}: expected {4}".format(
            path, _line_of(lines, sections, key), key, values[key], _expectation(checks[key])
        )
    )


def _expectation(check):
    # type: (str) -> str
    """Return a check of settings.spec in words."""
    kind, arguments = re.match(r"(\w+)\((.*)\)\Z", check).groups()  # type: ignore[union-attr]
    values = [
        value.strip().strip("'") for value in arguments.split(",") if "default=" not in value
    ]
    if kind == "option":
        return "one of " + ", ".join(values)
    if kind in ("integer", "float"):
        noun = "a whole number" if kind == "integer" else "a number"
        return "{0} from {1} to {2}".format(noun, values[0], values[1])
    return "text" if kind == "string" else "a list"


def _check(settings, lines, path):
    # type: (Settings, Sequence[str], str) -> None
    """Refuse what a configspec cannot express."""
    problems = [
        ((), "run_directory", settings.run_directory, "an absolute path")
        for _ in (0,)
        if not settings.run_directory.startswith("/")
    ]  # type: List[Tuple[Sequence[str], str, str, str]]
    for url in settings.metadata.endpoints or ("",):
        if not re.match(r"https?://[^\s/]+(/\S*)?\Z", url):
            problems.append(
                (("metadata",), "endpoints", url, "URLs such as http://169.254.169.254/latest")
            )
    for section, key, value, expected in problems:
        line = _line_of(lines, section, key)
        raise SettingsError("{0}:{1}: {2} = {3}: expected {4}".format(path, line, key, value, expected))


def _line_of(lines, sections, key):
    # type: (Sequence[str], Sequence[str], str) -> int
    """Return the number of the line that sets `key`; configobj does not keep it."""
    section = ()  # type: Tuple[str, ...]
    for number, line in enumerate(lines, 1):
        header = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
        if header:
            section = (header.group(1).strip("\"'"),)
            if (key,) == section:
                return number
        found = re.match(r"\s*[\"']?([^=\"'#]+?)[\"']?\s*=", line)
        if found and found.group(1) == key and section == tuple(sections):
            return number
    return 1
