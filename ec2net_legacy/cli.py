"""The commands: from arguments and environment to exit codes. The only place that exits."""
from __future__ import absolute_import, print_function, unicode_literals

import os
import sys

from ec2net_legacy import arguments, event, log, runs
from ec2net_legacy._compat import flush, path_argument, text
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.console import print_text, start_logging
from ec2net_legacy.errors import FAILED, Ec2netError, UsageError

if TYPE_CHECKING:
    from typing import Any, Callable

    from ec2net_legacy.arguments import Arguments
    from ec2net_legacy.ports import Host


def hotplug():
    # type: () -> int
    """``INTERFACE=eth1 ec2net-hotplug add|remove``: what udev calls."""
    return _run("ec2net-hotplug", _hotplug)


def _hotplug(given):
    # type: (Arguments) -> int
    happened = event.hotplug_event(given.action, os.environ)
    if happened.action == "add":
        return _one(happened.interface, "add")
    if happened.action == "remove":
        return _one(happened.interface, "detach")
    log.debug("%s: nothing to do for this event", happened.interface)
    return 0


def ifup():
    # type: () -> int
    """``ec2ifup eth1``: add, then the distribution's ifup."""
    return _run("ec2ifup", lambda given: _one(_name(given), "up"))


def ifdown():
    # type: () -> int
    """``ec2ifdown eth1``: the distribution's ifdown, then remove."""
    return _run("ec2ifdown", lambda given: _one(_name(given), "down"))


def ifscan():
    # type: () -> int
    """``ec2ifscan``: bring up every ENI that has no configuration yet."""
    return _run("ec2ifscan", lambda given: runs.scan(_host()))


def ec2net():
    # type: () -> int
    """``ec2net plan|status|explain|refresh|config|switch|lease``: look, or keep in step."""
    return _run("ec2net", _ec2net)


def _ec2net(given):
    # type: (Arguments) -> int
    # Python 2.7 and 3 differ in what a missing sub-command is.
    if not given.command:
        expected = "plan, status, explain, refresh, config, switch or lease"
        raise UsageError("no command: expected " + expected)
    commands = {
        "lease": _lease,
        "refresh": _refresh,
        "explain": _explain,
        "config": _config,
        "switch": _switch,
    }
    return commands.get(given.command, _show)(given)


def _lease(given):
    # type: (Arguments) -> int
    happened = event.lease_event(os.environ)
    if happened.action == "ignore":
        return 0
    return runs.lease(_host(unattended=True), happened, given.within)


def _refresh(given):
    # type: (Arguments) -> int
    name = _name(given) if given.interface else None
    if given.jitter:
        import random
        import time

        time.sleep(random.uniform(0, given.jitter))  # noqa: S311
    return runs.refresh(_host(unattended=True), name)


def _explain(given):
    # type: (Arguments) -> int
    from ec2net_legacy import explain

    incoming = given.incoming
    if incoming is not None:
        incoming = event.interface_name(incoming, "--in")
    cases = explain.explain(_host(), given.destination, given.source, incoming)
    print_text(explain.text(cases))
    return 0


def _config(given):
    # type: (Arguments) -> int
    """Print the settings, or what is wrong with them."""
    from ec2net_legacy import settings_report

    path = path_argument(given.check) if given.check is not None else None
    output, right = settings_report.report(path, given.json)
    print_text(output)
    return 0 if right else FAILED


def _switch(given):
    # type: (Arguments) -> int
    from ec2net_legacy.commands import switch

    host = _host()
    if given.step == "try":
        return switch.carry_out(host, given.there)
    if given.step == "end":
        return switch.end(host)
    proposal = switch.propose(host, given.there)
    if proposal.intended is None or not given.yes:
        print_text(proposal.text)
        return 0
    return switch.hand_over(host, given.there)


def _show(given):
    # type: (Arguments) -> int
    """Print what is to be done (plan), or how the interfaces are (status)."""
    from ec2net_legacy import as_json, report
    from ec2net_legacy.commands.survey import survey

    name = _name(given) if given.interface else None
    show = {
        ("plan", False): report.plans_text,
        ("plan", True): as_json.plans,
        ("status", False): report.status_text,
        ("status", True): as_json.status,
    }  # type: Any
    seen = survey(_host(), name)
    plans = [plan for _, plan in seen.found]
    found = plans if given.command == "plan" else seen.found  # type: Any
    print_text(show[given.command, given.json](found, seen.shared))
    if seen.problem is not None:
        raise seen.problem
    return 0


def _one(name, verb):
    # type: (str, str) -> int
    return runs.one(_host(), name, verb)


def _host(unattended=False):
    # type: (bool) -> Host
    from ec2net_legacy import ports, settings

    return ports.Host(settings.load(), unattended=unattended)


def _name(given):
    # type: (Arguments) -> str
    return event.interface_name(given.interface)


def _run(program, command):
    # type: (str, Callable[[Arguments], int]) -> int
    """Parse, run `command`, and turn what goes wrong into one line and an exit code."""
    # Python 2 compares bytes of a file's name only with bytes.
    start_logging(program, str("--debug") in sys.argv[1:])
    try:
        code = command(arguments.parse(program, [text(one) for one in sys.argv[1:]]))
        return code if flush(sys.stdout) else FAILED
    except Ec2netError as error:
        flush(sys.stdout)
        log.error("%s", error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        # A mistake of ours: still one line in the log of a boot, and the rest for who asks.
        log.error("internal error: %s: %s", type(error).__name__, error)
        import traceback

        log.debug("please report this: %s", traceback.format_exc())
        return FAILED
