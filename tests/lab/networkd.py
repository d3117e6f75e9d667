"""systemd-networkd on the lab's host, and the bus by which networkctl talks to it."""

import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Dict, Optional

from . import archive, udev
from .namespaces import Daemon, Namespace, wait_for
from .vpc import Eni

# Of Debian's releases; ``None`` is the machine's own.
VERSIONS: Dict[Optional[str], Optional[str]] = {
    None: None, "247": "bullseye", "252": "bookworm", "257": "trixie",
}
DAEMON = "/lib/systemd/systemd-networkd"
CONTROL = "/usr/bin/networkctl"
CACHE = archive.REPOSITORY / ".build" / "networkd"

BUS = "/run/dbus/system_bus_socket"
_BUS_CONFIGURATION = "/run/dbus/lab.conf"
# Everybody in the lab is root. No service is started by a call to it.
_BUS = f"""\
<busconfig>
  <type>system</type>
  <listen>unix:path={BUS}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""
_PRIMARY = """\
[Match]
Name={name}

[Network]
DHCP={families}
"""
# How to ask whether it is on the bus.
_ASK = ["busctl", "get-property", "org.freedesktop.network1", "/org/freedesktop/network1",
        "org.freedesktop.network1.Manager", "OperationalState"]


def available(version: Optional[str] = None) -> Optional[str]:
    """None when the host can have networkd of this version, otherwise the reason why not."""
    if os.geteuid():
        # It leaves root for a user of its own, which a user namespace does not have.
        return "not root"
    wanted = ["busctl", "dbus-daemon"]
    wanted += archive.COMMANDS if VERSIONS[version] else [DAEMON, CONTROL]
    missing = [name for name in wanted if not shutil.which(name)]
    return "commands not installed: " + ", ".join(missing) if missing else None


def settings(primary: Eni, version: Optional[str]) -> Dict[str, Any]:
    """What the keeper changes in the host's file system."""
    families = "yes" if primary.ipv6 else "ipv4"
    return {
        # Debian's cloud images with networkd have none of these.
        "absent": ("/sbin/ifup", "/sbin/ifdown", "/sbin/ifquery", "/sbin/dhclient"),
        # What the machine's own version brings is for containers, and others cannot read it all.
        "empty": ("/etc/systemd/network", "/etc/systemd/networkd.conf.d", "/run/systemd/network",
                  "/lib/systemd/network", "/var/lib/systemd/network"),
        "files": {
            "/etc/machine-id": f"{primary.mac.replace(':', ''):0>32}\n",
            f"/etc/systemd/network/20-{primary.name}.network": _PRIMARY.format(
                name=primary.name, families=families),
            _BUS_CONFIGURATION: _BUS,
        },
        "programs": _wrappers(version),
    }


def _wrappers(version: Optional[str]) -> Dict[str, str]:
    """Programs in the place of the machine's, where another version is wanted."""
    release = VERSIONS[version]
    if release is None:
        return {}
    root = archive.unpacked(release, "systemd", CACHE)
    texts = {}
    for path in (DAEMON, CONTROL):
        command = archive.program(root, path.replace("/usr/", "").lstrip("/"),
                                  root.with_name(root.name + "-bin"))
        texts[path] = f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n'
    # By its name others see the version; it is looked for there before where the machine's own is.
    texts[f"/usr/lib/systemd/libsystemd-shared-{version}.so"] = ""
    return texts


class Networkd:
    """The daemon, as systemd runs it: ``start``, ``stop`` and ``restart``."""

    def __init__(self, host: Namespace, root: Path, directory: Path):
        self._host = host
        self._root = root
        self.log_file = directory / "networkd.log"
        self.log_file.touch()
        self._daemon: Optional[Daemon] = None
        self._bus = Daemon(
            host, ["dbus-daemon", f"--config-file={_BUS_CONFIGURATION}", "--nofork", "--nopidfile"],
            directory / "dbus.err",
        )
        self._udev = Daemon(host, [sys.executable, "-I", udev.__file__], directory / "udev.err")
        self._bus.ready((root / BUS.lstrip("/")).exists)
        self._udev.ready()

    def start(self, level: str = "info") -> None:
        """Start it, and wait until it answers and has looked at all links.

        ``level`` is for its log.
        """
        mark = self._root / "run/dbus/lab.mark"
        mark.write_text("", encoding="ascii")
        started = mark.stat().st_mtime_ns
        argv = ["env", f"SYSTEMD_LOG_LEVEL={level}", "SYSTEMD_LOG_TARGET=console",
                "SYSTEMD_COLORS=0", DAEMON]
        self._daemon = Daemon(self._host, argv, self.log_file)
        self._daemon.ready(lambda: self._told(started) and self._answers())

    def _told(self, since: int) -> bool:
        """Whether what it says of each link is this run's own."""
        names = os.listdir(self._root / "sys/class/net")
        told = [self._told_file(name) for name in names if name != "bonding_masters"]
        return all(path.exists() and path.stat().st_mtime_ns >= since for path in told)

    def _answers(self) -> bool:
        return not self._host.run(_ASK, check=False).returncode

    def stop(self) -> None:
        """End it as ``systemctl stop`` does: leases are given up."""
        self._end(signal.SIGTERM)

    def restart(self, level: str = "info") -> None:
        """Do what ``systemctl restart`` does; its unit has a signal by which it keeps leases."""
        self._end(signal.SIGUSR2)
        self.start(level)

    def kill(self) -> None:
        """End it without its knowing, and do not start it again."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._daemon is not None:
            self._daemon.end(number)
            self._daemon = None

    def close(self) -> None:
        """End it and what it needs, with the lab."""
        for daemon in (self._daemon, self._udev, self._bus):
            if daemon is not None:
                daemon.stop()

    def log(self) -> str:
        """Everything it has logged so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def reloads(self) -> int:
        """How often it was asked to read its files; its log has to be that of ``debug``."""
        return len(re.findall(r"method_call .*member=Reload ", self.log()))

    def _told_file(self, name: str) -> Path:
        index = (self._root / "sys/class/net" / name / "ifindex").read_text(encoding="ascii")
        return self._root / "run/systemd/netif/links" / index.strip()

    def link(self, name: str) -> Dict[str, str]:
        """What it says of a link in /run/systemd/netif/links; empty where it says nothing."""
        try:
            text = self._told_file(name).read_text(encoding="utf-8")
        except OSError:
            return {}
        lines = [line.partition("=") for line in text.splitlines() if not line.startswith("#")]
        return {key: value for key, _, value in lines}

    def _is(self, name: str, state: str) -> bool:
        if self._daemon is not None and self._daemon.ended():
            self._daemon.stop()
            self.start()  # as by its unit's Restart=on-failure
        return self.link(name).get("ADMIN_STATE") == state

    def wait(self, name: str, state: str = "configured", timeout: float = 20) -> Dict[str, str]:
        """Wait until a link's ADMIN_STATE is this, and return what networkd says of it.

        Where networkd has crashed, which 247 does now and then at a restart, it is started again.
        """
        try:
            wait_for(lambda: self._is(name, state), timeout, f"{name} to be {state}")
        except TimeoutError as error:
            tail = "\n".join(self.log().splitlines()[-10:])
            raise TimeoutError(f"{error}; it is {self.link(name)}\n{tail}") from error
        return self.link(name)
