"""The process that keeps a lab's namespaces alive, and ends everything with them.

Run by :mod:`tests.lab.namespaces` as the first process of a new PID namespace.  It makes the
three network namespaces, hands them to the lab as open file descriptors over its control socket,
makes another for each name that comes from there, and waits for that socket to close.  The
kernel closes it however the lab's process ends, so ``SIGKILL`` needs no handling of its own; and
when process 1 of a PID namespace ends, the kernel kills all the others: dhclient, dnsmasq and
whatever a test has started in the background.

Namespaces are handed over as descriptors because they have no names then: nothing in
``/run/netns``, no process numbers to translate between PID namespaces, and two labs cannot meet.

Standard library only, and no imports from the package: this file is run as a script.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterable

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000

# Directories of the machine that the host namespace may change for itself alone.  Where /lib and
# its like are links into /usr they are skipped.
OVERLAID = ("/usr", "/var", "/lib", "/bin", "/sbin", "/opt", "/srv")


def unshare(flags: int) -> None:
    """Leave the namespaces named by the flags for new ones (``os.unshare`` is Python 3.12)."""
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def mount(*arguments: object) -> None:
    """Run mount(8), its complaint being part of the exception."""
    result = subprocess.run(
        ["mount", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise OSError(f"mount {' '.join(map(str, arguments))}: {result.stderr.strip()}")


def in_user_namespace() -> bool:
    """Whether this root is only a user of the machine (the initial namespace maps every ID)."""
    return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]


def adopt(lower: str, upper: Path, depth: int) -> None:
    """Make the upper layer's own copy of the directories (not the files) of the lower layer.

    In a user namespace with one mapped user, the machine's directories belong to a user who does
    not exist there, and nobody may create files in them.  The overlay takes a directory's owner
    from the upper layer, so these are writable.
    """
    for entry in os.scandir(lower):
        if entry.is_dir(follow_symlinks=False):
            mine = upper / entry.name
            mine.mkdir(exist_ok=True)
            if depth > 1 and os.access(entry.path, os.R_OK | os.X_OK):
                adopt(entry.path, mine, depth - 1)


def overlay(target: str, layers: Path) -> None:
    """Put a writable layer over a directory; what is changed there stays in this namespace."""
    upper, work = layers / "upper", layers / "work"
    upper.mkdir(parents=True)
    work.mkdir()
    status = os.stat(target)
    if status.st_uid:
        adopt(target, upper, depth=4 if target != "/usr" else 3)
    upper.chmod(status.st_mode & 0o7777)
    options = f"lowerdir={target},upperdir={upper},workdir={work}"
    if in_user_namespace():
        options += ",userxattr"  # the usual "trusted" attributes are for the real root
    mount("-t", "overlay", "overlay", "-o", options, target)


def remove(path: Path) -> None:
    """Remove a file or a directory with all that is in it; there may be none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file that is new, whoever owned the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(path)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def empty(path: Path) -> None:
    """Make a directory exist and be empty."""
    path.mkdir(parents=True, exist_ok=True)
    for entry in path.iterdir():
        remove(entry)


def own_etc(directory: Path, kept: Iterable[str]) -> None:
    """Put a new /etc in the place of the machine's, with copies of what programs cannot do without.

    Whatever is installed or configured on the machine, the host looks the same.
    """
    directory.mkdir()
    for name in kept:
        source = Path("/etc", name)
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, directory / name, symlinks=True)
        elif source.exists():
            shutil.copy2(source, directory / name, follow_symlinks=True)
    mount("--bind", directory, "/etc")


def furnish(settings: Dict[str, Any]) -> None:
    """Make this mount namespace look like an instance that has just been launched."""
    scratch = Path("/run")
    mount("-t", "tmpfs", "-o", "mode=0755", "lab", scratch)
    for target in OVERLAID:
        if os.path.isdir(target) and not os.path.islink(target):
            overlay(target, scratch / target[1:])
    own_etc(scratch / "etc", settings["etc"])
    # Another one on top: the overlays hold on to their layers, and nobody need see them.
    mount("-t", "tmpfs", "-o", "mode=0755", "lab", scratch)

    for name, mode in (("network", 0o755), ("lock", 0o1777), ("sendsigs.omit.d", 0o755)):
        directory = Path("/run", name)
        directory.mkdir()
        directory.chmod(mode)
    # A sysfs shows the devices of the network namespace it was mounted from.
    mount("-t", "sysfs", "sysfs", "/sys")

    for name in settings["absent"]:
        remove(Path(name))
    for name in settings["empty"]:
        empty(Path(name))
    for name, text in settings["files"].items():
        replace(Path(name), text)
    for name, text in settings["programs"].items():
        replace(Path(name), text, 0o755)
    socket.sethostname(settings["hostname"])


def say(control: socket.socket, message: Dict[str, Any], descriptors: Iterable[int] = ()) -> None:
    """Send one message with descriptors to the lab."""
    socket.send_fds(control, [json.dumps(message).encode()], list(descriptors))


def make(control: socket.socket, name: str, flags: int,
         work: Callable[[], None] = lambda: None) -> None:
    """Make a set of namespaces in a child, send it, and let the child end.

    The descriptors in flight and then in the lab's process keep the namespaces alive.
    """
    child = os.fork()
    if child:
        with contextlib.suppress(ChildProcessError):  # `reap` has been faster
            os.waitpid(child, 0)
        return
    try:
        unshare(flags)
        work()
        opened = {"net": os.open("/proc/self/ns/net", os.O_RDONLY)}
        if flags & CLONE_NEWNS:
            opened["mount"] = os.open("/proc/self/ns/mnt", os.O_RDONLY)
            opened["uts"] = os.open("/proc/self/ns/uts", os.O_RDONLY)
            opened["root"] = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        say(control, {"name": name, "kinds": list(opened)}, opened.values())
    except (OSError, subprocess.SubprocessError) as error:
        say(control, {"error": f"{name}: {error}"})
    finally:
        os._exit(0)


def reap(_signal: int, _frame: object) -> None:
    """Collect the dead: orphans (daemons that forked twice) become children of process 1."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    """Make the namespaces until the lab's process is gone, then end everything."""
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(control.recv(1 << 20))
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    opened = {
        kind: os.open(f"/proc/self/ns/{name}", os.O_RDONLY)
        for kind, name in (("mount", "mnt"), ("pid", "pid"), ("user", "user"))
    }
    say(control, {"name": "base", "kinds": list(opened)}, opened.values())
    for descriptor in opened.values():
        os.close(descriptor)
    make(control, "router", CLONE_NEWNET)
    make(control, "client", CLONE_NEWNET)
    make(control, "host", CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS, lambda: furnish(settings))

    signal.signal(signal.SIGCHLD, reap)
    with contextlib.suppress(ConnectionError):
        while True:
            name = control.recv(4096).decode()
            if not name:
                break
            make(control, name, CLONE_NEWNET)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)  # before the directory goes: daemons write logs there
    if settings["remove"]:
        shutil.rmtree(settings["directory"], ignore_errors=True)


if __name__ == "__main__":
    main()
