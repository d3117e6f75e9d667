"""The settings in /etc/ec2net/ec2net.conf, and what may not stand there."""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import math
import re

from ec2net_legacy._cheap import namedtuple, pattern
from ec2net_legacy._compat import native_path, quoted
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import SettingsError, TooLarge

if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

    from ec2net_legacy.settings_file import Problem

PATH = "/etc/ec2net/ec2net.conf"
_LARGEST = 1 << 20

# The file that is installed sets nothing, which is told without the library that reads such files.
_LINE_THAT_MAY_SET = pattern(r"(?m)^(?![ \t]*(#[ -~\t]*|\[metadata\])?\r?$)")

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
        "metrics_file",
        "metadata",
    ],
)
"""`backend`: "auto" or a backend's name. `ignore`: name globs, MACs and ENI ids, all left alone.
`table_base`, `priority_base`: the number 0 of route tables and of rule priorities. `link_group`:
that of all ENIs. `containers`: whether connections are marked, "auto", "yes" or "no"; by the bits
of `mark_mask`, `mark_base` being the number 0. `alternative_names`: whether ENIs get them, "yes" or
"no". `run_directory`: an absolute path. `metrics_file`: the path of what the refresh writes for
Prometheus, "" for none."""

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

Checked = namedtuple("Checked", ["settings", "given", "problems"])
"""What a file says: the `settings`, to be used only without `problems`, and where each that is not
a default is from, as in settings_file.Document."""

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
    metrics_file="",
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
    content = read(path)
    if content is None or not _LINE_THAT_MAY_SET.search(content.decode("latin-1")):
        return DEFAULTS
    return _approved(check_content(content, path), path)


def parse(lines, path=PATH):
    # type: (Sequence[str], str) -> Settings
    """Return the settings that `lines` say.

    SettingsError names `path`, line and what may stand there.
    """
    return _approved(check(lines, path), path)


def _approved(checked, path):
    # type: (Checked, str) -> Settings
    if checked.problems:
        further = len(checked.problems) - 1
        said = "; {0} more: ec2net config --check {1}".format(further, path) if further else ""
        raise SettingsError(as_line(checked.problems[0]) + said)
    settings = checked.settings  # type: Settings
    return settings


def read(path):
    # type: (str) -> Optional[bytes]
    """Return what the file `path` has, None where it does not exist."""
    try:
        with open(native_path(path), "rb") as stream:
            content = stream.read(_LARGEST + 1)
    except (IOError, OSError) as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise SettingsError("cannot read {0}: {1}".format(path, error.strerror))
    if len(content) > _LARGEST:
        raise SettingsError("{0}".format(TooLarge(path, _LARGEST)))
    return content


def check_content(content, path):
    # type: (bytes, str) -> Checked
    """Return what check() does; a line that is not UTF-8 text counts as wrong."""
    try:
        return check(content.decode("utf-8").splitlines(), path)
    except UnicodeDecodeError:
        lines = content.decode("utf-8", "replace").splitlines()
    odd = [number for number, line in enumerate(lines, 1) if "\ufffd" in line]
    readable = ["" if "\ufffd" in line else line for line in lines]
    checked = check(readable, path)
    from ec2net_legacy.settings_file import Problem

    problems = [
        Problem(path, number, quoted(lines[number - 1].strip()), "UTF-8 text") for number in odd
    ]
    return checked._replace(problems=_in_order(problems + checked.problems))


def check(lines, path=PATH):
    # type: (Sequence[str], str) -> Checked
    """Return the settings that `lines` say, and all that is wrong with them.

    Raises SettingsError where the library is missing that reads them.
    """
    # Half as dear as the rest of a run without requests, hence not before there is a file.
    from ec2net_legacy import settings_file

    try:
        document = settings_file.read_document(lines, path)
    except ImportError:
        raise SettingsError("{0} needs the Python module configobj".format(path))
    settings = _settings(document.values)
    problems = list(document.problems)
    for section, key, value, expected in _wrong(settings):
        found = settings_file.assignment(key, value)
        problems.append(document.source.problem(section, key, found, expected))
    return Checked(settings, document.given, _in_order(problems))


def _in_order(problems):
    # type: (List[Problem]) -> List[Problem]
    return sorted(problems, key=lambda problem: problem.line)


def as_line(problem):
    # type: (Problem) -> str
    """Return a problem as a line for an operator."""
    return "{0}:{1}: {2}: expected {3}".format(*problem)


def _settings(values):
    # type: (Dict[str, Dict[str, Any]]) -> Settings
    metadata = dict(values["metadata"])
    metadata["endpoints"] = tuple(url.rstrip("/") for url in metadata["endpoints"])
    top = dict(values[""])
    # "ignore =" is a list of one empty text to configobj.
    top["ignore"] = tuple(_as_kernel_prints(pattern) for pattern in top["ignore"] if pattern)
    for key in ("mark_mask", "mark_base"):
        top[key] = _bits(top[key])
    return Settings(metadata=MetadataSettings(**metadata), **top)


def _bits(value):
    # type: (str) -> Union[int, str]
    """Return a number of 32 bits, which everybody writes in base 16; what is none as it is."""
    if not re.match(r"(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,9})\Z", value):
        return value
    return int(value, 0 if value[:2].lower() == "0x" else 10)


def _as_kernel_prints(pattern):
    # type: (str) -> str
    """Return a MAC address as the kernel prints it, anything else as it is."""
    is_mac = re.match(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}\Z", pattern)
    return pattern.lower().replace("-", ":") if is_mac else pattern


def _wrong(settings):
    # type: (Settings) -> List[Tuple[str, str, Any, str]]
    """Return section, key, value and what is expected of what a configspec cannot express."""
    found = _wrong_marks(settings.mark_mask, settings.mark_base)
    directory = settings.run_directory
    if not directory.startswith("/") or "\0" in directory:
        found.append(("", "run_directory", directory, "an absolute path"))
    path = settings.metrics_file
    if path and (not re.match(r"/.*[^/]\.prom\Z", path) or "\0" in path):
        # The exporter reads no other names, and a mistake must not cost another file.
        found.append(("", "metrics_file", path, "an absolute path that ends with .prom"))
    # No name has a blank: a comma is missing.
    blanks = [pattern for pattern in settings.ignore if re.search(r"\s", pattern)]
    if blanks:
        expected = "names, MAC addresses and ENI ids with commas between them"
        found.append(("", "ignore", blanks, expected))
    for key, value in zip(MetadataSettings._fields, settings.metadata):
        # configobj compares with the limits only, and "nan" is not beyond any.
        if isinstance(value, float) and math.isnan(value):
            found.append(("metadata", key, value, "a number"))
    return found + _wrong_endpoints(settings.metadata)


def _wrong_marks(mask, base):
    # type: (Any, Any) -> List[Tuple[str, str, Any, str]]
    found = []
    for key, value in (("mark_mask", mask), ("mark_base", base)):
        if not hasattr(value, "bit_length"):
            found.append(("", key, value, "a number such as 0x3f00"))
    if hasattr(mask, "bit_length"):
        lowest = mask & -mask
        # Numbers are counted in them. `ip` and iptables leave out a mask of all 32.
        is_odd = not mask or (mask // lowest) & (mask // lowest + 1) or mask == lowest
        if is_odd or mask == 0xFFFFFFFF:
            found.append(("", "mark_mask", "0x{0:x}".format(mask), "2 to 31 bits side by side"))
    if not found and base & ~mask:
        expected = "bits of mark_mask (0x{0:x}) only".format(mask)
        found.append(("", "mark_base", "0x{0:x}".format(base), expected))
    return found


def _wrong_endpoints(metadata):
    # type: (MetadataSettings) -> List[Tuple[str, str, Any, str]]
    found = []
    for url in metadata.endpoints or ("",):
        if not re.match(r"https?://[^\s/]+(/\S*)?\Z", url):
            expected = "URLs such as http://169.254.169.254/latest"
            found.append(("metadata", "endpoints", url, expected))
        if url.startswith("https:") and metadata.transport == "light":
            value = "light with the endpoint {0}".format(url)
            found.append(("metadata", "transport", value, "auto or requests"))
    return found
