"""Linux namespaces without names, and commands in them.

``Namespaces`` starts the keeper (see :mod:`tests.lab.keeper`) and holds what it sends: open
descriptors of the namespaces.  ``Namespace.run`` enters them with nsenter(1).
"""

import array
import contextlib
import functools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

COMMANDS = ("ip", "nft", "iptables", "dnsmasq", "ping", "nsenter", "unshare", "mount", "ifup",
            "dhclient")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Commands in the lab see nothing of the caller's environment: proxies, locales, virtual
# environments and the like would make tests depend on who runs them.
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb"}

_ISOLATE = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_AS_ROOT_OF_A_USER_NAMESPACE = ("--user", "--map-root-user")
# What the lab is going to need, tried on nothing that matters.
_PROBE = """
mount -t tmpfs probe /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc
mount -t sysfs sysfs /sys
ip link add probe0 type veth peer name probe1
nft add table inet probe
"""


class LabUnavailable(Exception):
    """This machine, or this user on it, cannot build a lab; the text says why."""


class CommandFailed(subprocess.CalledProcessError):
    """A command in the lab ended with another status than 0; the text has what it printed."""

    def __str__(self) -> str:
        printed = (self.stderr or "").strip() or (self.stdout or "").strip()
        return f"{super().__str__()}\n{printed}"


def wait_for(condition: Callable[[], Any], timeout: float = 10, what: str = "a condition") -> Any:
    """Wait until the condition holds and return its value; ``TimeoutError`` when it does not."""
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


@functools.lru_cache(maxsize=None)
def _unshare() -> List[str]:
    """The unshare(1) command that works here: as root, or as root of a new user namespace."""
    if not sys.platform.startswith("linux"):
        raise LabUnavailable("network namespaces exist on Linux only")
    missing = [name for name in COMMANDS if not shutil.which(name, path=PATH)]
    if missing:
        raise LabUnavailable("commands not installed: " + ", ".join(missing))
    reason = ""
    for user in ((), _AS_ROOT_OF_A_USER_NAMESPACE):
        if not user and os.geteuid():
            continue
        command = ["unshare", *user, *_ISOLATE]
        try:
            result = subprocess.run(
                [*command, "--net", "sh", "-ec", _PROBE],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise LabUnavailable(f"commands cannot be started: {error}") from error
        if not result.returncode:
            return command
        reason = " ".join(result.stderr.split()) or f"status {result.returncode}"
    raise LabUnavailable("namespaces cannot be made: " + reason)


def available() -> Optional[str]:
    """None when a lab can be built here, otherwise the reason why not."""
    try:
        _unshare()
    except LabUnavailable as error:
        return str(error)
    return None


class Namespace:
    """One place to run commands in: a network namespace with a mount namespace around it."""

    def __init__(self, name: str, enter: Sequence[str]):
        self.name = name
        self.enter = list(enter)

    def popen(self, argv: Sequence[str], env: Optional[Mapping[str, str]] = None,
              **options: Any) -> "subprocess.Popen[Any]":
        """Start a command in its own session; it ends with the lab at the latest."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(
            [*self.enter, *argv],
            env={**ENVIRONMENT, **(env or {})},
            start_new_session=True,
            **options,
        )

    def run(self, argv: Sequence[str], env: Optional[Mapping[str, str]] = None,
            check: bool = True, timeout: float = 60, input: Optional[str] = None,
            pass_fds: Sequence[int] = ()) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end and return its output and status.

        The output goes to unnamed files, not pipes: a daemon which the command leaves behind
        (dhclient does not close its output) would keep a pipe open, and the call with it.
        """
        argv = [str(word) for word in argv]
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, \
                tempfile.TemporaryFile() as stderr:
            if input is not None:
                stdin.write(input.encode())
                stdin.seek(0)
            process = self.popen(
                argv,
                env,
                stdin=subprocess.DEVNULL if input is None else stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=pass_fds,
            )
            try:
                ended = _await(process, timeout)
            except BaseException:
                _kill_session(process)
                raise
            if not ended:
                _kill_session(process)
            texts = []
            for stream in (stdout, stderr):
                stream.seek(0)
                texts.append(stream.read().decode(errors="replace"))
        if not ended:
            raise subprocess.TimeoutExpired(argv, timeout, texts[0], texts[1])
        if check and process.returncode:
            raise CommandFailed(process.returncode, argv, *texts)
        return subprocess.CompletedProcess(argv, process.returncode, *texts)

    def sysctl(self, values: Mapping[str, object]) -> None:
        """Set kernel parameters, named by their path below /proc/sys; absent ones are skipped."""
        script = 'for set; do f=/proc/sys/${set%%=*}; [ ! -e $f ] || echo ${set#*=} >$f; done'
        self.run(["sh", "-ec", script, "sysctl", *(f"{k}={v}" for k, v in values.items())])


def _await(process: "subprocess.Popen[Any]", timeout: float) -> bool:
    """Whether the process ended in time.  ``Popen.wait`` with a time-out polls up to 50 ms late."""
    if process.poll() is not None:
        return True
    descriptor = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(timeout * 1000):
            return False
    finally:
        os.close(descriptor)
    process.wait()
    return True


def _kill_session(process: "subprocess.Popen[Any]") -> None:
    """Kill a command and its children, but not the nsenter(1) that started it, which then ends.

    nsenter passes no signals on, and must outlive its child: an orphan whose parent was outside
    the PID namespace is left to the machine's process 1, and until that one gets round to it (a
    container's may never) the PID namespace cannot end.
    """
    while not _await(process, 0):
        inside = [pid for pid in _group(process.pid) if pid != process.pid]
        for pid in inside or [process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _await(process, 0.02)


def _group(leader: int) -> List[int]:
    """The processes of a process group."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                status = Path("/proc", name, "stat").read_text(errors="replace")
            except OSError:
                continue  # it has ended
            if int(status.rpartition(")")[2].split()[2]) == leader:
                found.append(int(name))
    return found


class Daemon:
    """A process of the lab's own that runs in the background.

    It holds a pipe as its standard output until it ends; that is how ``stop`` knows, because the
    process that this one can wait for is only nsenter(1).
    """

    def __init__(self, namespace: Namespace, argv: Sequence[str], errors: Path):
        self._argv = list(argv)
        self._errors = errors
        with errors.open("ab") as stderr:
            self._process = namespace.popen(argv, stdout=subprocess.PIPE, stderr=stderr)
        assert self._process.stdout is not None
        self._pipe = self._process.stdout

    def ready(self, condition: Optional[Callable[[], Any]] = None) -> None:
        """Wait until it works: until the condition holds, or until it prints a line."""
        if condition is None:
            if not self._pipe.readline():
                self._failed()
            return
        wait_for(lambda: condition() or self._process.poll() is not None, what=self._argv[0])
        if self._process.poll() is not None:
            self._failed()

    def _failed(self) -> None:
        errors = self._errors.read_text(encoding="utf-8", errors="replace")
        raise CommandFailed(self._process.wait(), self._argv, "", errors)

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def end(self, number: int, timeout: float = 10) -> None:
        """Send it a signal that ends it, and wait until it is gone; it may have ended already."""
        for pid in _group(self._process.pid):
            if pid != self._process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        _await(self._process, timeout)
        self.stop()

    def stop(self) -> None:
        """Kill it, and wait until it is gone; it may have ended already."""
        if not self._pipe.closed:
            _kill_session(self._process)
            with self._pipe:
                self._pipe.read()


class Namespaces:
    """The namespaces of one lab: ``router``, ``client``, ``host`` and those that are added."""

    def __init__(self, directory: Path, settings: Dict[str, Any]):
        command = _unshare()
        self._descriptors: Dict[str, Dict[str, int]] = {}
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        keeper = Path(__file__).with_name("keeper.py")
        try:
            with theirs:
                # Not as an argument: a `pgrep -f` on the host would find all the words in there.
                self._control.send(json.dumps({**settings, "directory": str(directory)}).encode())
                self._process = subprocess.Popen(
                    [*command, sys.executable, "-I", str(keeper), str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    env=ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
        except BaseException:
            self._control.close()
            raise
        try:
            for _ in ("base", "router", "client", "host"):
                self._receive()
        except BaseException:
            self.close()
            raise
        self._in_user_namespace = "--user" in command
        self.router = self._namespace("router")
        self.client = self._namespace("client")
        self.host = self._namespace("host")

    def add(self, name: str) -> Namespace:
        """Make one more network namespace, with nothing in it."""
        self._control.send(name.encode())
        self._receive()
        added = self._namespace(name)
        added.run(["ip", "link", "set", "lo", "up"])
        return added

    def _receive(self) -> None:
        size = array.array("i").itemsize
        data, ancillary, _, _ = self._control.recvmsg(4096, socket.CMSG_SPACE(8 * size))
        descriptors = array.array("i")
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(payload[: len(payload) - len(payload) % size])
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        if not data:
            raise LabUnavailable("the process that makes the namespaces ended")
        message = json.loads(data)
        if "error" in message:
            raise LabUnavailable(message["error"])
        self._descriptors[message["name"]] = dict(zip(message["kinds"], descriptors))

    def _namespace(self, name: str) -> Namespace:
        """The command prefix that enters a namespace.

        The paths go by way of this process's number, so that the descriptors themselves need not
        be inherited by every command and daemon of the lab.
        """
        kinds = {**self._descriptors["base"], **self._descriptors[name]}
        enter = ["nsenter"]
        if self._in_user_namespace:
            enter += [self._path("--user={}", kinds["user"]), "--preserve-credentials"]
        for kind in ("mount", "uts", "net", "pid"):
            if kind in kinds:
                enter.append(self._path("--" + kind + "={}", kinds[kind]))
        return Namespace(name, [*enter, "--"])

    @staticmethod
    def _path(template: str, descriptor: int) -> str:
        return template.format(f"/proc/{os.getpid()}/fd/{descriptor}")

    def net(self, name: str) -> int:
        """The descriptor of a network namespace, for ip(8)'s ``netns /proc/self/fd/N``."""
        return self._descriptors[name]["net"]

    @property
    def host_root(self) -> Path:
        """The host's file system as seen from this process."""
        return Path(self._path("{}", self._descriptors["host"]["root"]))

    def close(self) -> None:
        """End every process in the namespaces, and with the last reference the namespaces."""
        self._control.close()
        for kinds in self._descriptors.values():
            for descriptor in kinds.values():
                os.close(descriptor)
        self._descriptors.clear()
        if not _await(self._process, 10):
            self._process.kill()
            self._process.wait()
