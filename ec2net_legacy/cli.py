"""The commands: arguments, logging, exit codes. The only place that prints or decides to exit."""
from __future__ import absolute_import, print_function, unicode_literals

import argparse
import logging
import os
import sys
import syslog

from ec2net_legacy import __version__, event, settings
from ec2net_legacy._compat import flush, quoted, text
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import (
    FAILED,
    CommandError,
    Ec2netError,
    LockHeld,
    MetadataInvalid,
    MetadataUnavailable,
    UsageError,
)

if TYPE_CHECKING:
    from typing import Callable, List, NoReturn, Optional, Tuple

    from ec2net_legacy.coexist import Settlement
    from ec2net_legacy.model import Device
    from ec2net_legacy.plan import Host, Plan

_log = logging.getLogger("ec2net_legacy")

# Of the time that a lease's event has, what is not for waiting.
_RESERVE = 1.0

_NO_METADATA = (MetadataUnavailable, MetadataInvalid)

_EPILOG = """exit codes: 0 done or nothing to do, 1 failed, 2 wrong usage,
75 metadata unavailable and nothing changed"""


def hotplug():
    # type: () -> int
    """``INTERFACE=eth1 ec2net-hotplug add|remove``: what udev calls."""
    parser = _parser("ec2net-hotplug", "Configure the interface INTERFACE, or take that away.")
    parser.add_argument("action", nargs="?", help="add or remove; wins over $ACTION")
    return _run(parser, _hotplug)


def _hotplug(arguments):
    # type: (argparse.Namespace) -> int
    happened = event.hotplug_event(arguments.action, os.environ)
    if happened.action == "add":
        return _each(happened.interface, "add")
    if happened.action == "remove":
        return _each(happened.interface, "detach")
    _log.debug("%s: nothing to do for this event", happened.interface)
    return 0


def ifup():
    # type: () -> int
    """``ec2ifup eth1``: add, then the distribution's ifup."""
    parser = _parser("ec2ifup", "Configure an interface from metadata and bring it up.")
    parser.add_argument("interface")
    return _run(parser, lambda arguments: _each(_name(arguments), "up"))


def ifdown():
    # type: () -> int
    """``ec2ifdown eth1``: the distribution's ifdown, then remove."""
    parser = _parser("ec2ifdown", "Take an interface down and its configuration away.")
    parser.add_argument("interface")
    return _run(parser, lambda arguments: _each(_name(arguments), "down"))


def ifscan():
    # type: () -> int
    """``ec2ifscan``: bring up every ENI that has no configuration yet."""
    described = "Bring up every ENI that has no configuration, or an older tool's."
    return _run(_parser("ec2ifscan", described), _scan)


def _scan(_):
    # type: (argparse.Namespace) -> int
    from ec2net_legacy.scan import catch_up

    host = _host()
    try:
        plans, handed_over, failures = catch_up(host)
    except _NO_METADATA:
        _report_failures(_settle(host, ask=False))
        raise
    return _tell_scan(plans, handed_over, failures + _settle(host))


def _settle(host, ask=True, wait=20.0):
    # type: (Host, bool, float) -> List[Tuple[str, Ec2netError]]
    """Do what all ENIs have in common; return what failed."""
    from ec2net_legacy import coexist

    try:
        settlement = coexist.settle(host, ask, wait)
    except LockHeld as error:
        # The one that holds it does it in the end.
        _log.debug("all ENIs: %s", error)
        return []
    except Ec2netError as error:
        return [("all ENIs", error)]
    if coexist.differs(settlement):
        from ec2net_legacy import report

        _log.info("all ENIs: %s", report.settlement_summary(settlement))
    return []


def _tell_scan(plans, handed_over, failures):
    # type: (List[Plan], List[str], List[Tuple[str, Ec2netError]]) -> int
    for plan in plans:
        _tell(plan, "remove" if plan.state is None else "add")
    for name in handed_over:
        _log.info("%s: handed to the init system, whose log tells the rest", name)
    return _report_failures(failures)


def _report_failures(failures):
    # type: (List[Tuple[str, Ec2netError]]) -> int
    for name, error in failures:
        _log.error("%s: %s", name, error)
    codes = {error.exit_code for _, error in failures}
    # That nothing was changed is true only where nothing else happened.
    return codes.pop() if len(codes) == 1 else int(bool(codes))


def ec2net():
    # type: () -> int
    """``ec2net plan|status|explain|refresh|lease``: look, or keep in step."""
    parser = _parser("ec2net", "Show how the interfaces are, or bring them in step.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, description in (
        ("plan", "show the changes that add would make, and make none"),
        ("status", "show every interface and whether it is as AWS says"),
        ("explain", "show the rules and the route table that decide about a packet"),
        ("refresh", "bring every configured interface in step with metadata"),
        ("lease", "do what dhclient's $reason asks for $interface; its hook calls this"),
    ):
        command = commands.add_parser(
            name, help=description, description=description, epilog=_EPILOG
        )
        if name in ("plan", "status"):
            command.add_argument("--json", action="store_true", help="print JSON")
        command.add_argument("--debug", action="store_true", help="show every step on stderr")
        if name in ("plan", "refresh"):
            command.add_argument("interface", nargs="?", help="just this one")
        if name == "explain":
            command.add_argument("--from", dest="source", metavar="ADDRESS")
            command.add_argument("--to", dest="destination", required=True, metavar="ADDRESS")
            command.add_argument(
                "--in", dest="incoming", metavar="INTERFACE", help="by which it comes to this host"
            )
        if name == "refresh":
            command.add_argument(
                "--jitter", type=_seconds, default=0.0, metavar="SECONDS", help="wait before"
            )
        if name == "lease":
            command.add_argument(
                "--within", type=_seconds, default=5.0, metavar="SECONDS", help="by when to be done"
            )
    return _run(parser, _ec2net)


def _ec2net(arguments):
    # type: (argparse.Namespace) -> int
    # Python 2.7 and 3 differ in what a missing sub-command is.
    if not getattr(arguments, "command", None):
        raise UsageError("no command: expected plan, status, explain, refresh or lease")
    from ec2net_legacy import report, workflow

    if arguments.command == "lease":
        return _lease(arguments.within)
    if arguments.command == "refresh":
        return _refresh(_name(arguments) if arguments.interface else None, arguments.jitter)

    host = _host()
    if arguments.command == "explain":
        from ec2net_legacy import explain

        incoming = arguments.incoming
        if incoming is not None:
            incoming = event.interface_name(incoming, "--in")
        _print(
            explain.text(explain.explain(host, arguments.destination, arguments.source, incoming))
        )
        return 0
    if arguments.command == "plan":
        name = _name(arguments) if arguments.interface else None
        found, problem = workflow.survey(host, name)
        plans = [plan for _, plan in found]
        _print(
            report.plans_json(plans)
            if arguments.json
            else report.plans_text(plans, _settlement(host, found, problem))
        )
    else:
        found, problem = workflow.survey(host)
        _print(
            report.status_json(found)
            if arguments.json
            else report.status_text(found, _settlement(host, found, problem))
        )
    if problem is not None:
        raise problem
    return 0


def _settlement(host, found, problem):
    # type: (Host, List[Tuple[Device, Plan]], Optional[Ec2netError]) -> Settlement
    from ec2net_legacy import coexist

    states = {
        plan.name: plan.state
        for _, plan in found
        if not plan.left_alone and not plan.is_primary
    }
    # A bridge has the MAC address of its port, and only that is an ENI's.
    known = {device.mac: False for device, _ in found}
    known.update((device.mac, True) for device, plan in found if plan.eni is not None)
    return coexist.look(host, states, known if problem is None and len(found) > 1 else None)


def _lease(within):
    # type: (float) -> int
    happened = event.lease_event(os.environ)
    if happened.action == "ignore":
        return 0
    from ec2net_legacy import upkeep

    host = _host()
    end = host.clock() + within - _RESERVE
    plan = upkeep.lease(host, happened, within)
    if plan.acts:
        _tell(plan, "lease")
    if plan.left_alone:
        return 0
    return _report_failures(_settle(host, ask=False, wait=max(end - host.clock(), 0.0)))


def _refresh(name, jitter):
    # type: (Optional[str], float) -> int
    from ec2net_legacy import upkeep
    from ec2net_legacy.scan import catch_up

    if jitter:
        import random
        import time

        time.sleep(random.uniform(0, jitter))  # noqa: S311
    host = _host()
    try:
        plans, failures = upkeep.refresh(host, name)
    except _NO_METADATA:
        if name is None:
            # What is configured needs none to come up.
            _tell_scan(*catch_up(host, by_hand=False, metadata=False))
        _report_failures(_settle(host, ask=False))
        raise
    for plan in plans:
        if plan.acts:
            _tell(plan, "add")
    if name is not None:
        return _report_failures(failures + _settle(host))
    # What an event was missed for, or came to nothing because metadata was late.
    try:
        found, handed_over, missed = catch_up(host, by_hand=False)
    except Ec2netError:
        _report_failures(failures + _settle(host, ask=False))
        raise
    return _tell_scan(found, handed_over, failures + missed + _settle(host))


def _each(name, verb):
    # type: (str, str) -> int
    from ec2net_legacy import workflow

    use_case = getattr(workflow, verb)  # type: Callable[[Host, str], Plan]
    host = _host()
    try:
        plan = use_case(host, name)
    except CommandError:
        # An ifup that fails at last may have done the most of it.
        _report_failures(_settle(host, ask=False))
        raise
    _tell(plan, "add" if verb in ("add", "up") else "remove")
    return _report_failures(_settle(host))


def _host():
    # type: () -> Host
    from ec2net_legacy import plan

    return plan.Host(settings.load())


def _tell(plan, verb):
    # type: (Plan, str) -> None
    from ec2net_legacy import report

    if not (plan.left_alone and plan.warning):
        _log.info("%s: %s", plan.name, report.summary(plan, verb))
    if plan.warning:
        _log.warning("%s: %s", plan.name, plan.warning)


def _name(arguments):
    # type: (argparse.Namespace) -> str
    return event.interface_name(arguments.interface)


def _seconds(value):
    # type: (str) -> float
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 600:
        message = "{0}: expected seconds, more than 0 and at most 600".format(quoted(value))
        raise argparse.ArgumentTypeError(message)
    return seconds


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message):
        # type: (str) -> NoReturn
        raise UsageError("{0}; see {1} --help".format(message, self.prog))


def _parser(program, description):
    # type: (str, str) -> _Parser
    parser = _Parser(prog=program, description=description, epilog=_EPILOG)
    parser.add_argument("--debug", action="store_true", help="show every step on stderr")
    parser.add_argument("--version", action="version", version="%(prog)s " + __version__)
    return parser


def _run(parser, command):
    # type: (_Parser, Callable[[argparse.Namespace], int]) -> int
    """Parse, run `command`, and turn what goes wrong into one line and an exit code."""
    _start_logging(parser.prog, "--debug" in sys.argv[1:])
    try:
        code = command(parser.parse_args([text(argument) for argument in sys.argv[1:]]))
        return code if flush(sys.stdout) else FAILED
    except Ec2netError as error:
        flush(sys.stdout)
        _log.error("%s", error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        # A mistake of ours: still one line in the log of a boot, and the rest for who asks.
        _log.error("internal error: %s: %s", type(error).__name__, error)
        _log.debug("please report this", exc_info=True)
        return FAILED


def _print(output):
    # type: (str) -> None
    # A diff shows the administrator's text in whatever encoding; a terminal may have another.
    if sys.stdout is not None:
        sys.stdout.write(str(output.encode("ascii", "backslashreplace").decode("ascii")))


class _SyslogHandler(logging.Handler):
    """To the local syslog or journal; says nothing where there is none."""

    _PRIORITY = (
        (logging.ERROR, syslog.LOG_ERR),
        (logging.WARNING, syslog.LOG_WARNING),
        (logging.INFO, syslog.LOG_INFO),
    )

    def emit(self, record):
        # type: (logging.LogRecord) -> None
        """Send one record."""
        for level, priority in self._PRIORITY:
            if record.levelno >= level:
                line = self.format(record).encode("ascii", "backslashreplace").decode("ascii")
                syslog.syslog(priority, str(line))
                return


def _start_logging(program, debug):
    # type: (str, bool) -> None
    _log.setLevel(logging.DEBUG if debug else logging.INFO)
    # Under a unit, stderr is the journal: the same line twice helps nobody.
    journal = "JOURNAL_STREAM" in os.environ
    if not journal:
        syslog.openlog(str("ec2net"), syslog.LOG_PID, syslog.LOG_DAEMON)
        _log.addHandler(_SyslogHandler(logging.INFO))
    stream = logging.StreamHandler()
    stream.setFormatter(logging.Formatter(program + ": %(message)s"))
    if debug:
        stream.setLevel(logging.DEBUG)
    else:
        terminal = sys.stderr is not None and sys.stderr.isatty()
        stream.setLevel(logging.INFO if journal or terminal else logging.WARNING)
    _log.addHandler(stream)
