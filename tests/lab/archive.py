"""Programs of other Debian releases, unpacked beside the tree and run with their own libraries.

Nothing is installed: apt downloads a package and what it depends on by lists and a status file of
its own, and the packages' scripts are not run.
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Iterator, List

REPOSITORY = Path(__file__).resolve().parent.parent.parent
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
COMMANDS = ("apt-get", "dpkg-deb")
# Programs find what they were built with, and dlopen(3) does, too.
_LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib/systemd", "usr/lib/systemd",
              "usr/lib/x86_64-linux-gnu/systemd")


@contextlib.contextmanager
def locked(directory: Path, name: str) -> Iterator[None]:
    """One at a time; the others wait and find what it is about made."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def mirror() -> str:
    """The archive that this machine's own apt takes its release from; it has the others as well."""
    words = shlex.split(Path("/etc/os-release").read_text(encoding="utf-8"), comments=True)
    release = dict(word.split("=", 1) for word in words)["VERSION_CODENAME"]
    argv = ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"]
    for update in (False, True):
        if update:
            # apt tells nothing of an archive whose lists it has not got.
            subprocess.run(["apt-get", "-q", "update"], check=True, stdout=subprocess.DEVNULL)
        told = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        found = [line.split()[1] for line in told.splitlines() if line.split()[0] == release]
        if found:
            return found[0]
    raise RuntimeError(f"apt on this machine has no archive of its own release, {release}")


def unpacked(release: str, package: str, cache: Path) -> Path:
    """The files of a package and of all that it depends on; downloaded now if they are not there.

    Needs a Debian on x86_64 whose apt reaches an archive.
    """
    directory = cache / f"{package}-{release}"
    with locked(cache, directory.name):
        if not directory.exists():
            fresh = cache / f"{directory.name}-new"
            shutil.rmtree(fresh, ignore_errors=True)
            _unpack(release, package, fresh)
            (fresh / "root").rename(directory)
            shutil.rmtree(fresh)
    return directory


def _unpack(release: str, package: str, directory: Path) -> None:
    for name in ("lists/partial", "archives/partial", "root"):
        (directory / name).mkdir(parents=True)
    (directory / "status").touch()
    sources = directory / "sources.list"
    sources.write_text(f"deb [signed-by={KEYS}] {mirror()} {release} main\n", encoding="utf-8")
    options = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": directory / "lists",
        "Dir::State::status": directory / "status",
        "Dir::Cache": directory,
        # _apt may not be able to get at the tree.
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    _run([*apt, "update"])
    _run([*apt, "--yes", "--no-install-recommends", "--download-only", "install", package])
    for archive in sorted((directory / "archives").glob("*.deb")):
        if archive.name.startswith((f"{package}_", "lib", "zlib1g")):
            _run(["dpkg-deb", "--extract", str(archive), str(directory / "root")])


def _run(argv: List[str]) -> None:
    result = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if result.returncode:
        raise RuntimeError(f"{argv[0]} ended with {result.returncode}:\n{result.stdout[-2000:]}")


def program(root: Path, path: str, links: Path) -> List[str]:
    """The command that runs an unpacked program by the dynamic linker that was unpacked with it.

    The kernel calls a process by the file that it was started from; so it is a link of the
    program's name.
    """
    links.mkdir(exist_ok=True)
    link = links / os.path.basename(path)
    linker = next(root.glob("**/ld-linux-x86-64.so.2"))
    if not link.is_symlink():
        link.symlink_to(linker.resolve())
    found = next(root / top / path for top in ("", "usr") if (root / top / path).exists())
    libraries = ":".join(str(root / name) for name in _LIBRARIES)
    return [str(link), "--library-path", libraries, str(found)]
