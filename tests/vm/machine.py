"""A machine in QEMU whose network cards are the ports of a lab's router."""

import itertools
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from tests.lab import CommandFailed, Eni, Lab, wait_for
from tests.lab.namespaces import Daemon

from .channel import Agent, Monitor
from .image import image, packages

# The cards' places on the PCI bus: a card keeps its own, so that the kernel finds them in the same
# order at every boot.
_FIRST_SLOT = 16
# What a boot does besides that has nothing to do with the network: a fifth of its processor time.
# logind has to stay: without it the agent's shutdown waits for minutes.
_MASKED = (
    "dev-hugepages.mount", "dev-mqueue.mount", "kmod-static-nodes.service",
    "modprobe@configfs.service", "modprobe@dm_mod.service", "modprobe@drm.service",
    "modprobe@efi_pstore.service", "modprobe@fuse.service", "modprobe@loop.service",
    "proc-sys-fs-binfmt_misc.automount", "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "systemd-binfmt.service", "systemd-journal-flush.service", "systemd-random-seed.service",
    "systemd-sysusers.service", "systemd-tmpfiles-clean.timer",
)


@dataclass(frozen=True)
class _Card:
    eni: Eni
    slot: int

    @property
    def backend(self) -> Dict[str, Any]:
        """The end of the cable outside: the lab's port."""
        return {"type": "tap", "id": f"net-{self.eni.port}", "ifname": self.eni.port,
                "script": "no", "downscript": "no"}

    @property
    def device(self) -> Dict[str, Any]:
        """The card itself, without a ROM to boot from."""
        return {"driver": "virtio-net-pci", "id": self.eni.port, "netdev": f"net-{self.eni.port}",
                "mac": self.eni.mac, "bus": "pci.0", "addr": f"{self.slot:#x}", "romfile": ""}


class Machine:
    """A Debian guest in the place of a lab's host.

    The lab is one with ``machine=True``; its primary ENI is the machine's first card.  The disk
    outlives the machine's power cycles and vanishes with the lab.  ``kind`` is what configures its
    network, ``ifupdown`` or ``networkd``.  Without ``predictable`` interfaces are called eth0,
    eth1, ...  With ``disk``, one that ``save`` has left, that is the machine's disk in the place
    of the release's own.

    Nothing in the guest belongs to the tests but QEMU's agent, by which ``run`` looks into it.
    """

    def __init__(self, lab: Lab, release: str, *, kind: str = "ifupdown",
                 predictable: bool = False, disk: Optional[Path] = None):
        self.lab = lab
        self.release = release
        self.directory = lab.directory
        self.console = lab.directory / "console.log"
        self._image = image(release, kind)
        self._options = "" if predictable else " net.ifnames=0"
        self._cards: Dict[str, _Card] = {}
        self._qemu: Optional[Daemon] = None
        self._monitor: Optional[Monitor] = None
        self._agent: Optional[Agent] = None
        self._insert(lab.enis[lab.primary])
        self._disk = self.directory / "disk.qcow2"
        below = ["qcow2", "-b", str(disk)] if disk else ["raw", "-b", str(self._image.disk)]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", *below, str(self._disk)],
                       check=True)
        self._packages = self.directory / "packages.img"
        packages(self._packages)

    # Power

    @property
    def running(self) -> bool:
        """Whether the power is on."""
        return self._qemu is not None

    def start(self, *options: str) -> None:
        """Switch the power on, with further options of QEMU's."""
        self._qemu = Daemon(self.lab.namespaces.router, [*self._command(), *options],
                            self.directory / "qemu.err")
        try:
            self._qemu.ready((self.directory / "monitor").exists)
            self._monitor = Monitor(self.directory / "monitor")
            self._agent = Agent(self.directory / "agent")
        except BaseException:
            self.stop()
            raise

    def _command(self) -> List[str]:
        here = self.directory
        command = [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-machine", "pc",
            "-smp", "1", "-m", "512", "-nodefaults", "-no-user-config", "-display", "none",
            "-kernel", str(self._image.kernel), "-initrd", str(self._image.initrd),
            "-append", " ".join(["root=/dev/vda rw console=ttyS0 mitigations=off" + self._options,
                                 *(f"systemd.mask={unit}" for unit in _MASKED)]),
            "-drive", f"file={self._disk},if=virtio,cache=unsafe",
            "-drive", f"file={self._packages},format=raw,if=virtio,readonly=on",
            "-device", "virtio-rng-pci",
            "-chardev", f"file,id=console,path={self.console},append=on",
            "-serial", "chardev:console",
            "-device", "virtio-serial",
            "-chardev", f"socket,id=agent,path={here / 'agent'},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-qmp", f"unix:{here / 'monitor'},server=on,wait=off",
        ]
        for card in self._cards.values():
            command += ["-netdev", _words(card.backend), "-device", _words(card.device)]
        return command

    def stop(self) -> None:
        """Pull the plug out of the wall."""
        for socket in (self._monitor, self._agent):
            if socket is not None:
                socket.close()
        self._monitor = self._agent = None
        if self._qemu is not None:
            self._qemu.stop()
            self._qemu = None
        for name in ("monitor", "agent"):
            (self.directory / name).unlink(missing_ok=True)

    def power_off(self) -> None:
        """Shut the guest down in order."""
        self.agent.tell("guest-shutdown", mode="powerdown")
        self.monitor.wait("SHUTDOWN", lambda _data: True, timeout=180)
        self.stop()

    def reboot(self) -> None:
        """Let the guest shut down and start again, and wait until it is up.

        In a new QEMU: after a reset within the same one Debian 11's kernel now and then takes ten
        times as long, with complaints of RCU about threads that are not scheduled.
        """
        self.power_off()
        self.boot()

    def save(self, disk: Path, memory: Path) -> None:
        """Stop the machine and put its disk and memory into files, for ``resume``.

        The disk by itself is one to boot from.
        """
        self.run(["sync"])
        self.monitor.execute("stop")
        # QEMU writes as if to another computer, by default at 128 MB/s.
        self.monitor.execute("migrate-set-parameters", **{"max-bandwidth": 2 ** 40})
        self.monitor.execute("migrate", uri=f"exec:cat >{shlex.quote(str(memory))}")

        def over() -> bool:
            status = self.monitor.execute("query-migrate").get("status")
            if status in ("failed", "cancelled"):
                raise RuntimeError(f"the machine's memory could not be saved: {status}")
            return status == "completed"

        wait_for(over, timeout=120, what="the machine's memory in a file")
        self.stop()
        shutil.copyfile(self._disk, disk)

    def resume(self, memory: Path) -> None:
        """Go on from where ``save`` stopped a machine with the same disk and cards.

        Its clock has stood still meanwhile, and is compared with no other.  What the lab's services
        knew of it is lost, as after their restart: the metadata service wants a new token, and the
        DHCP server acknowledges the lease that the machine has.
        """
        self.start("-incoming", f"exec:cat {shlex.quote(str(memory))}")
        wait_for(lambda: self.monitor.execute("query-status")["status"] != "inmigrate",
                 timeout=120, what="the machine's memory")
        self.monitor.execute("cont")
        self.agent.sync(120)

    def boot(self) -> List[str]:
        """Switch on, and wait until it is up; return the units that failed.

        Once more where Debian 11's dhclient was deaf from its start (docs/facts.md): ifupdown has
        waited for it in vain, and such a boot tells nothing of ours.
        """
        failed: List[str] = []
        for attempt in range(3):
            if attempt:
                self.power_off()
            before = {name: len(self.lab.dhcp_log(name)) for name in self._cards}
            self.start()
            failed = self.wait_booted()
            logs = [self.lab.dhcp_log(name)[length:] for name, length in before.items()]
            if all(log.count("DHCPOFFER(") < 4 for log in logs):
                break
        return failed

    def wait_booted(self, timeout: float = 300) -> List[str]:
        """Wait until every job of the boot is done; return the units that failed."""
        self.agent.sync(timeout)
        deadline = time.monotonic() + timeout
        state = ""
        while state not in ("running", "degraded"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the machine is {state or 'silent'} after {timeout:g} s")
            state = self.run(["systemctl", "is-system-running", "--wait"], check=False,
                             timeout=timeout).stdout.strip()
        return self.failed_units()

    # The inside

    @property
    def monitor(self) -> Monitor:
        """QEMU's monitor."""
        if self._monitor is None:
            raise RuntimeError("the machine is switched off")
        return self._monitor

    @property
    def agent(self) -> Agent:
        """QEMU's agent in the guest."""
        if self._agent is None:
            raise RuntimeError("the machine is switched off")
        return self._agent

    def run(self, argv: Sequence[str], env: Optional[Mapping[str, str]] = None,
            check: bool = True, timeout: float = 120,
            input: Optional[str] = None) -> "subprocess.CompletedProcess[str]":
        """Run a command in the guest to its end, as root, and return its output and status.

        That is also the end of its output: what leaves a daemon behind is for systemd-run(1).
        """
        argv = [str(word) for word in argv]
        words = ["env", *(f"{name}={value}" for name, value in env.items()), *argv] if env else argv
        result = self.agent.run(words, timeout, input)
        if result is None:
            raise subprocess.TimeoutExpired(argv, timeout)
        status, out, err = result
        if check and status:
            raise CommandFailed(status, argv, out, err)
        return subprocess.CompletedProcess(argv, status, out, err)

    def shell(self, script: str, check: bool = True, timeout: float = 120) -> str:
        """What a shell script prints in the guest."""
        return self.run(["sh", "-c", script], check=check, timeout=timeout).stdout

    def failed_units(self) -> List[str]:
        """The units that failed since the boot."""
        lines = self.shell("systemctl --failed --plain --no-legend").splitlines()
        return [line.split()[0] for line in lines]

    def reached(self, unit: str) -> float:
        """When a unit became active, in seconds after the kernel's start."""
        value = self.run(["systemctl", "show", "--value", "-p", "ActiveEnterTimestampMonotonic",
                          unit]).stdout.strip()
        if value in ("", "0"):
            raise ValueError(f"{unit} was not active")
        return int(value) / 1e6

    def started(self, unit: str) -> float:
        """When a unit began to be started, in seconds after the kernel's start."""
        return int(self.run(["systemctl", "show", "--value", "-p", "InactiveExitTimestampMonotonic",
                             unit]).stdout) / 1e6

    def install(self, package: str = "ec2net-legacy") -> str:
        """Install the product's package, as its README says; return what that prints.

        ``package`` may be ``older``, which is the same as an older version.
        """
        return self.shell(
            "mkdir -p /run/packages && mount -o ro /dev/vdb /run/packages"
            f" && DEBIAN_FRONTEND=noninteractive dpkg -i /run/packages/{package}.deb 2>&1"
            "; status=$?; umount /run/packages; rmdir /run/packages; exit $status", timeout=300)

    # Cards

    def _insert(self, eni: Eni) -> _Card:
        taken = {card.slot for card in self._cards.values()}
        slot = next(n for n in itertools.count(_FIRST_SLOT) if n not in taken)
        self._cards[eni.name] = card = _Card(eni, slot)
        return card

    def plugged(self) -> Set[str]:
        """The names of the ENIs whose cards are in."""
        return set(self._cards)

    def plug(self, name: str) -> float:
        """Give the machine the card of an ENI that the lab has attached.

        Returns the time (``time.monotonic``) at which a running machine got it; one that is
        switched off finds it when it starts.
        """
        card = self._insert(self.lab.enis[name])
        if self.running:
            self.monitor.execute("netdev_add", **card.backend)
            plugged = time.monotonic()
            self.monitor.execute("device_add", **card.device)
            return plugged
        return time.monotonic()

    def pull(self, name: str) -> None:
        """Take a card away, and wait until the guest has let it go."""
        card = self._cards.pop(name)
        if self.running:
            self.monitor.execute("device_del", id=card.eni.port)
            self.monitor.wait("DEVICE_DELETED", lambda data: data.get("device") == card.eni.port,
                              timeout=120)
            self.monitor.execute("netdev_del", id=f"net-{card.eni.port}")

    def attach(self, name: str, **options: Any) -> "tuple[Eni, float]":
        """``Lab.attach`` and ``plug``: metadata and the VPC know the ENI first, as in EC2."""
        eni = self.lab.attach(name, **options)
        return eni, self.plug(name)

    def detach(self, name: str) -> None:
        """``pull``, then ``Lab.detach``."""
        self.pull(name)
        self.lab.detach(name)

    def close(self) -> None:
        """Switch off; the disk goes with the lab."""
        self.stop()


def _words(properties: Mapping[str, Any]) -> str:
    """Properties as QEMU's command line has them."""
    first = [properties[key] for key in ("type", "driver") if key in properties]
    rest = [f"{key}={value}" for key, value in properties.items() if key not in ("type", "driver")]
    return ",".join(first + rest)
