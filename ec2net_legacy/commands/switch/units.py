"""systemd's units as far as a switch is concerned, and /etc/resolv.conf."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import log
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import CommandError, Ec2netError

if TYPE_CHECKING:
    from typing import Dict, Tuple

    from ec2net_legacy.ports import Host

NETWORKD = "systemd-networkd.service"
# It would start networkd again.
SOCKET = "systemd-networkd.socket"
IFUPDOWN = "networking.service"
RESOLVED = "systemd-resolved.service"
RESOLV = "/etc/resolv.conf"
STUB = "/run/systemd/resolve/stub-resolv.conf"
_WATCHER = "ec2net-networkd.path"
_REFRESH = "ec2net-refresh.service"
# Seconds, of one systemctl.
_LONGEST = 120.0


def systemctl(host, *words):
    # type: (Host, *str) -> None
    """Run systemctl, which may take longer than other programs. Raises CommandError."""
    argv = ["systemctl"] + list(words)
    code = host.runner.run_visibly(argv, _LONGEST)
    if code:
        raise CommandError(argv, code, "")


def is_loaded(host, unit):
    # type: (Host, str) -> bool
    """Return whether there is such a unit."""
    said = host.runner.run(["systemctl", "show", "--property=LoadState", unit]).stdout
    return "LoadState=loaded" in said


def is_active(host, unit):
    # type: (Host, str) -> bool
    """Return whether a unit is active."""
    code = host.runner.run(["systemctl", "--quiet", "is-active", unit]).returncode
    return bool(code == 0)


def enabled(host):
    # type: (Host) -> Dict[str, bool]
    """Return of the units that there are whether they are enabled."""
    return {
        unit: host.runner.run(["systemctl", "--quiet", "is-enabled", unit]).returncode == 0
        for unit in (NETWORKD, IFUPDOWN, RESOLVED)
        if is_loaded(host, unit)
    }


def enable_as(host, before):
    # type: (Host, Dict[str, bool]) -> None
    """Enable, then disable, units as they were; one is always enabled. Raises CommandError."""
    now = enabled(host)
    for unit in sorted(before, key=lambda unit: (not before[unit], unit)):
        if now.get(unit, before[unit]) != before[unit]:
            systemctl(host, "enable" if before[unit] else "disable", unit)
            if unit == RESOLVED:
                systemctl(host, "start" if before[unit] else "stop", unit)


def boot(host):
    # type: (Host) -> str
    """Return what tells this boot from all others."""
    return (host.files.read("/proc/sys/kernel/random/boot_id") or "").strip()


def resolv(host):
    # type: (Host) -> Tuple[str, str]
    """Return what /etc/resolv.conf leads to, "" where it is no link, and its text."""
    return host.files.target(RESOLV), host.files.read(RESOLV) or ""


def put_resolv(host, before):
    # type: (Host, Tuple[str, str]) -> None
    """Make /etc/resolv.conf lead to where it did, or have the text that it had."""
    target, text = before
    if host.files.target(RESOLV) == target:
        return
    if target:
        host.runner.run(["ln", "-sfn", target, RESOLV])
    else:
        host.runner.run(["rm", "-f", RESOLV])
        host.files.put({RESOLV: text})


def watch(host):
    # type: (Host) -> None
    """Have the host looked at, and again when networkd does something, if it runs.

    What is not installed is not missed.
    """
    _try(host, "start" if is_active(host, NETWORKD) else "stop", _WATCHER)
    _try(host, "--no-block", "start", _REFRESH)


def _try(host, *words):
    # type: (Host, *str) -> None
    if is_loaded(host, words[-1]):
        try:
            systemctl(host, *words)
        except Ec2netError as error:
            log.debug("%s", error)
