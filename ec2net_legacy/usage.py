"""Arguments by argparse: all that a person may type, --help and --version."""
from __future__ import absolute_import, print_function, unicode_literals

import argparse
import os
import re

from ec2net_legacy import __version__, arguments
from ec2net_legacy._compat import quoted
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import UsageError

if TYPE_CHECKING:
    from typing import Any, List, NoReturn

_EPILOG = """exit codes: 0 done or nothing to do, 1 failed, 2 wrong usage,
75 metadata unavailable, and nothing that depends on it changed"""

PROGRAMS = {
    "ec2net-hotplug": "Configure the interface INTERFACE, or take that away.",
    "ec2ifup": "Configure an interface from metadata and bring it up.",
    "ec2ifdown": "Take an interface down and its configuration away.",
    "ec2ifscan": "Bring up every ENI that has no configuration, or an older tool's.",
    "ec2net": "Show how the interfaces are, or bring them in step.",
}
_COMMANDS = (
    ("plan", "show the changes that add would make, and make none"),
    ("status", "show every interface and whether it is as AWS says"),
    ("explain", "show the rules and the route table that decide about a packet"),
    ("refresh", "bring every configured interface in step with metadata"),
    ("config", "show the settings and where each comes from, or check a file"),
    ("switch", "take this host from ifupdown to systemd-networkd, or back"),
    ("lease", "do what dhclient's $reason asks for $interface; its hook calls this"),
)


def parse(program, argv):
    # type: (str, List[str]) -> argparse.Namespace
    """Return what `program` was given. Raises UsageError; SystemExit after --help or --version."""
    return parser_of(program).parse_args(argv)


def parser_of(program):
    # type: (str) -> argparse.ArgumentParser
    """Return the parser of `program`; manual pages and completions are made from it, too."""
    parser = _Parser(
        prog=program,
        description=PROGRAMS[program],
        epilog=_EPILOG,
        formatter_class=_formatter,
    )
    parser.add_argument("--debug", action="store_true", help="show every step on stderr")
    parser.add_argument("--version", action="version", version="%(prog)s " + __version__)
    if program == "ec2net-hotplug":
        parser.add_argument("action", nargs="?", help="add or remove; wins over $ACTION")
    elif program in ("ec2ifup", "ec2ifdown"):
        parser.add_argument("interface", help="its name, such as eth1")
    elif program == "ec2net":
        commands = parser.add_subparsers(dest="command", metavar="COMMAND")
        for name, description in _COMMANDS:
            command = commands.add_parser(
                name,
                help=description,
                description=description,
                epilog=_EPILOG,
                formatter_class=_formatter,
            )
            _add_options(command, name)
    return parser


def _add_options(command, name):
    # type: (Any, str) -> None
    """Give a sub-command of ec2net its options."""
    if name in ("plan", "status", "config"):
        command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--debug", action="store_true", help="show every step on stderr")
    if name in ("plan", "refresh"):
        command.add_argument("interface", nargs="?", help="just this one")
    if name == "explain":
        command.add_argument("--from", dest="source", metavar="ADDRESS", help="the source")
        command.add_argument(
            "--to", dest="destination", required=True, metavar="ADDRESS", help="the destination"
        )
        command.add_argument(
            "--in", dest="incoming", metavar="INTERFACE", help="by which it comes; needs --from"
        )
    if name == "config":
        command.add_argument("--check", metavar="FILE", help="show all that is wrong with FILE")
    if name == "switch":
        command.add_argument(
            "--to", dest="there", required=True, choices=("networkd", "ifupdown"),
            help="what is to configure the network",
        )
        command.add_argument("--yes", action="store_true", help="do it; else just show it")
        # What ec2net-switch@.service calls.
        command.add_argument("--step", choices=("try", "end"), help=argparse.SUPPRESS)
    usual = "by when to be done (default {0:g})".format(arguments.WITHIN)
    times = {
        "refresh": ("--jitter", 0.0, "wait at random before, at most so long"),
        "lease": ("--within", arguments.WITHIN, usual),
    }
    if name in times:
        option, default, described = times[name]
        command.add_argument(
            option, type=_seconds, default=default, metavar="SECONDS", help=described
        )


def _seconds(value):
    # type: (str) -> float
    seconds = arguments.seconds_in(value)
    if seconds is None:
        message = "{0}: expected seconds, more than 0 and at most 600".format(quoted(value))
        raise argparse.ArgumentTypeError(message)
    return seconds


def _formatter(prog):
    # type: (str) -> argparse.HelpFormatter
    """Return a formatter for a terminal's width.

    Without one it imports shutil, and with that all of Python's compression, to ask for it.
    """
    # Not isdigit(), which knows more digits than int().
    columns = re.match(r"[0-9]{1,4}\Z", os.environ.get("COLUMNS", ""))
    return argparse.HelpFormatter(prog, width=(int(columns.group()) if columns else 80) - 2)


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message):
        # type: (str) -> NoReturn
        raise UsageError("{0}; see {1} --help".format(message, self.prog))
