"""/etc/ec2net/ec2net.conf: read with configobj, checked against settings.spec."""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import math
import os
import re

from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._compat import configobj_lines, import_validate, quoted, text
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import SettingsError, TooLarge

if TYPE_CHECKING:
    from typing import Any, List, Sequence, Tuple

PATH = "/etc/ec2net/ec2net.conf"
_LARGEST = 1 << 20
_SPEC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "settings.spec")

Settings = namedtuple(
    "Settings",
    [
        "backend",
        "ignore",
        "table_base",
        "priority_base",
        "link_group",
        "containers",
        "mark_mask",
        "mark_base",
        "alternative_names",
        "run_directory",
        "metadata",
    ],
)
"""`backend`: "auto" or a backend's name. `ignore`: name globs, MACs and ENI ids, all left alone.
`table_base`, `priority_base`: the number 0 of route tables and of rule priorities. `link_group`:
that of all ENIs. `containers`: whether connections are marked, "auto", "yes" or "no"; by the bits
of `mark_mask`, `mark_base` being the number 0. `alternative_names`: whether ENIs get them, "yes" or
"no". `run_directory`: an absolute path."""

MetadataSettings = namedtuple(
    "MetadataSettings",
    [
        "endpoints",
        "connect_timeout",
        "read_timeout",
        "deadline",
        "attach_deadline",
        "token_ttl",
        "reuse",
        "transport",
    ],
)
"""`endpoints`: base URLs in order of preference. All times are seconds: of one connection, of one
silence while reading, of a run that gets no answer, of waiting for a fresh ENI's keys, and how long
a lease's event takes what another run has just read for true. `transport`: "requests", "light", or
"auto", with which lease events and the refresh use the light one."""

DEFAULTS = Settings(
    backend="auto",
    ignore=(),
    table_base=10000,
    priority_base=10000,
    link_group=10000,
    containers="auto",
    # Not 0x80 (Amazon's VPC CNI), 0x4000 and 0x8000 (kube-proxy), the upper half (Calico, Weave,
    # Tailscale) and the lower byte, where administrators begin to count.
    mark_mask=0x3F00,
    mark_base=0,
    # As amazon-ec2-net-utils 2.x does.
    alternative_names="yes",
    run_directory="/var/run/ec2net",
    metadata=MetadataSettings(
        endpoints=("http://169.254.169.254/latest", "http://[fd00:ec2::254]/latest"),
        connect_timeout=1.0,
        read_timeout=2.0,
        deadline=10.0,
        attach_deadline=30.0,
        token_ttl=21600,
        reuse=5.0,
        transport="auto",
    ),
)


def load(path=PATH):
    # type: (str) -> Settings
    """Return the settings in the file `path`, the defaults where it does not exist."""
    try:
        with open(path, "rb") as stream:
            content = stream.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise SettingsError("{0}".format(TooLarge(path, _LARGEST)))
        lines = content.decode("utf-8").splitlines()
    except (IOError, OSError) as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return DEFAULTS
        raise SettingsError("cannot read {0}: {1}".format(path, error.strerror))
    except UnicodeDecodeError:
        raise SettingsError("{0} is not UTF-8 text".format(path))
    return parse(lines, path)


def parse(lines, path=PATH):
    # type: (List[str], str) -> Settings
    """Return the settings that `lines` say.

    SettingsError names `path`, line and what may stand there.
    """
    # Half as dear as the rest of a run without requests, hence not before there is a file.
    try:
        import configobj
    except ImportError:
        raise SettingsError("{0} needs the Python module configobj".format(path))
    readable, options = configobj_lines(lines)
    with open(_SPEC) as stream:
        spec = configobj.ConfigObj(stream, interpolation=False, list_values=False, _inspec=True)
    source = _Source(path, lines)
    try:
        plain = configobj.ConfigObj(readable, interpolation=False, raise_errors=True, **options)
    except configobj.ConfigObjError as error:
        problem = quoted(text(error.line or "").strip())
        raise SettingsError(
            "{0}:{1}: {2}: expected KEY = VALUE, [SECTION] or a comment".format(
                path, error.line_number, problem
            )
        )
    # Before validate(), which takes for granted that a section is one.
    _refuse_structure(plain, spec, (), source)
    config = configobj.ConfigObj(readable, configspec=spec, interpolation=False, **options)
    results = config.validate(import_validate().Validator(), preserve_errors=True)
    for sections, key, _ in configobj.flatten_errors(config, results):
        values, checks = config, spec
        for section in sections:
            values, checks = values[section], checks[section]
        problem = "{0} = {1}".format(key, values[key])
        raise source.error(sections, key, problem, _expectation(checks[key]))
    for key in ("mark_mask", "mark_base"):
        config[key] = _bits(key, config[key], source)
    settings = _settings(config)
    _check(settings, source)
    return settings


def _bits(key, value, source):
    # type: (str, str, _Source) -> int
    """Return a number of 32 bits, which everybody writes in base 16."""
    if not re.match(r"(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,9})\Z", value):
        raise source.error((), key, "{0} = {1}".format(key, value), "a number such as 0x3f00")
    return int(value, 0 if value[:2].lower() == "0x" else 10)


class _Source(object):
    """The file as it was read, to say where in it something stands."""

    def __init__(self, path, lines):
        # type: (str, Sequence[str]) -> None
        self._path = path
        self._lines = lines

    def error(self, sections, key, problem, expected):
        # type: (Sequence[str], str, str, str) -> SettingsError
        """Return the error about `key` in `sections`."""
        line = self._line_of(sections, key)
        said = "{0}:{1}: {2}: expected {3}".format(self._path, line, problem, expected)
        return SettingsError(said)

    def _line_of(self, sections, key):
        # type: (Sequence[str], str) -> int
        """Return the number of the line that sets `key`; configobj does not keep it."""
        section = ()  # type: Tuple[str, ...]
        for number, line in enumerate(self._lines, 1):
            header = re.match(r"\s*\[+\s*([^\[\]]+?)\s*\]", line)
            if header:
                section = (header.group(1).strip("\"'"),)
                if (key,) == section:
                    return number
            found = re.match(r"\s*[\"']?([^=\"'#]+?)[\"']?\s*=", line)
            if found and found.group(1) == key and section == tuple(sections):
                return number
        return 1


def _settings(config):
    # type: (Any) -> Settings
    metadata = dict(config["metadata"])
    metadata["endpoints"] = tuple(url.rstrip("/") for url in metadata["endpoints"])
    top = {key: config[key] for key in Settings._fields}
    # "ignore =" is a list of one empty text to configobj.
    top["ignore"] = tuple(_as_kernel_prints(pattern) for pattern in top["ignore"] if pattern)
    top["metadata"] = MetadataSettings(**metadata)
    return Settings(**top)


def _as_kernel_prints(pattern):
    # type: (str) -> str
    """Return a MAC address as the kernel prints it, anything else as it is."""
    is_mac = re.match(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}\Z", pattern)
    return pattern.lower().replace("-", ":") if is_mac else pattern


def _refuse_structure(present, allowed, sections, source):
    # type: (Any, Any, Tuple[str, ...], _Source) -> None
    """Refuse keys and sections that there are not, and the one where the other is expected."""
    for key in present:
        is_section = isinstance(present[key], dict)
        noun = "section" if is_section else "key"
        if key not in allowed:
            problem = "unknown {0} {1}".format(noun, quoted(key))
            raise source.error(sections, key, problem, "one of " + ", ".join(sorted(allowed)))
        if is_section != isinstance(allowed[key], dict):
            expected = "{0} = VALUE" if is_section else "a section [{0}]"
            raise source.error(
                sections, key, "{0} is a {1}".format(key, noun), expected.format(key)
            )
        if is_section:
            _refuse_structure(present[key], allowed[key], (key,) + sections, source)


def _expectation(check):
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


def _check(settings, source):
    # type: (Settings, _Source) -> None
    """Refuse what a configspec cannot express."""
    directory = settings.run_directory
    if not directory.startswith("/") or "\0" in directory:
        problem = "run_directory = {0}".format(directory)
        raise source.error((), "run_directory", problem, "an absolute path")
    for pattern in settings.ignore:
        # No name has a blank: a comma is missing.
        if re.search(r"\s", pattern):
            expected = "names, MAC addresses and ENI ids with commas between them"
            raise source.error((), "ignore", "ignore = {0}".format(pattern), expected)
    for key, value in zip(MetadataSettings._fields, settings.metadata):
        # configobj compares with the limits only, and "nan" is not beyond any.
        if isinstance(value, float) and math.isnan(value):
            raise source.error(("metadata",), key, "{0} = nan".format(key), "a number")
    mask, base = settings.mark_mask, settings.mark_base
    lowest = mask & -mask
    # Numbers are counted in them. `ip` and iptables leave out a mask of all 32.
    is_odd = not mask or (mask // lowest) & (mask // lowest + 1) or mask == lowest
    if is_odd or mask == 0xFFFFFFFF:
        problem = "mark_mask = 0x{0:x}".format(mask)
        raise source.error((), "mark_mask", problem, "2 to 31 bits side by side")
    if base & ~mask:
        expected = "bits of mark_mask (0x{0:x}) only".format(mask)
        raise source.error((), "mark_base", "mark_base = 0x{0:x}".format(base), expected)
    _check_endpoints(settings.metadata, source)


def _check_endpoints(metadata, source):
    # type: (MetadataSettings, _Source) -> None
    for url in metadata.endpoints or ("",):
        if not re.match(r"https?://[^\s/]+(/\S*)?\Z", url):
            problem = "endpoints = {0}".format(url)
            expected = "URLs such as http://169.254.169.254/latest"
            raise source.error(("metadata",), "endpoints", problem, expected)
        if url.startswith("https:") and metadata.transport == "light":
            problem = "transport = light with the endpoint {0}".format(url)
            raise source.error(("metadata",), "transport", problem, "auto or requests")
