"""The rpms, built of this tree when it has changed, kept below .build; trees to install them in."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from tests.lab import archive
from tests.packaging import deb

COMMANDS = ("rpm", "rpmbuild", "git", "busybox")
# What the host has to give on RHEL 6, which has no Python that is new enough.
PYTHON = {
    "el6": "/usr/bin/python2.7",
    "el7": "/usr/bin/python2",
    "amzn2": "/usr/bin/python2",
    "el8": "/usr/libexec/platform-python",
}
# What a distribution has, by the names of its packages.
_EVERY = ["/bin/sh", "dhclient", "iproute"]
_SYSTEMD = [*_EVERY, "systemd"]
_RHEL7 = [
    *_SYSTEMD,
    "initscripts",
    "/usr/bin/python2",
    "python-requests",
    "python-configobj",
    "python-ipaddress",
]
HAS = {
    "el6": [*_EVERY, "initscripts", "upstart", "udev", "cronie", "crontabs", "/usr/bin/python2.7"],
    "el7": _RHEL7,
    "amzn2": _RHEL7,
    "el8": [
        *_SYSTEMD,
        "network-scripts",
        "platform-python",
        "/usr/libexec/platform-python",
        "python3-requests",
        "python3-configobj",
    ],
}

_REPOSITORY = deb.REPOSITORY
_CACHE = _REPOSITORY / ".build" / "rpm"
_SPEC = """
Name: {name}
Version: {version}
Release: 1
Summary: {name}
License: none
BuildArch: noarch
AutoReqProv: no
{provides}
%description
{name}
{scriptlets}
%files
{files}
"""
# A stand-in that notes what it is asked to do. Of systemctl the state of units is kept as well, by
# the presets of the tree, whose last one is RHEL's own: disable *.
_PROGRAM = r"""#!/bin/sh
name=${0##*/}
echo "$name $*" >>/asked
verb=
for word; do
    case $word in
    -*) continue ;;
    is-enabled | preset | disable) verb=$word; continue ;;
    esac
    case $verb in
    preset)
        ! grep -qx "enable $word" /usr/lib/systemd/system-preset/* || touch "/enabled/$word" ;;
    disable) rm -f "/enabled/$word" ;;
    is-enabled) [ -e "/enabled/$word" ] || exit 1 ;;
    esac
done
"""


def package(dist: str, python: str = "") -> Path:
    """The package for el6, el7, el8 or amzn2."""
    python = python or (PYTHON[dist] if dist == "el6" else "")
    name = dist + python.replace("/", "_")
    directory = _CACHE / f"{name}-{deb.key()}"
    with archive.locked(_CACHE, name):
        if not directory.exists():
            for old in _CACHE.glob(f"{name}-*"):
                shutil.rmtree(old)
            fresh = _CACHE / f"new-{name}"
            shutil.rmtree(fresh, ignore_errors=True)
            build(fresh, dist, *([python] if python else []))
            fresh.rename(directory)
    (path,) = directory.glob("*.rpm")
    return path


def build(directory: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Call packaging/build-rpm."""
    return subprocess.run(
        [_REPOSITORY / "packaging" / "build-rpm", directory, *arguments],
        stderr=subprocess.PIPE,
        check=check,
        text=True,
    )


def query(path: Path, *arguments: str) -> List[str]:
    """What `rpm -qp` says of a package, by lines."""
    done = subprocess.run(
        ["rpm", "-qp", *arguments, path], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.splitlines()


def other(
    directory: Path,
    name: str,
    version: str,
    files: Optional[Dict[str, str]] = None,
    provides: Sequence[str] = (),
    scriptlets: str = "",
) -> Path:
    """Somebody else's package, with files by their paths."""
    work = directory / f"build-{name}"
    root = work / "root"
    root.mkdir(parents=True)
    for path, text in (files or {}).items():
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).write_text(text)
    (work / "other.spec").write_text(
        _SPEC.format(
            name=name,
            version=version,
            files="\n".join(files or ()),
            scriptlets=scriptlets,
            provides="\n".join("Provides: " + what for what in provides),
        )
    )
    macros = [f"_topdir {work}", "__os_install_post %{nil}", f"_rpmdir {directory}"]
    subprocess.run(
        [
            "rpmbuild",
            "-bb",
            "--buildroot",
            root,
            "--noclean",
            *(word for macro in macros for word in ("--define", macro)),
            work / "other.spec",
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "HOME": str(work)},
    )
    (built,) = directory.glob(f"noarch/{name}-*.rpm")
    return built


class Tree:
    """A tree that looks like a distribution as far as our package meets it; programs note calls."""

    def __init__(self, directory: Path, dist: str):
        self.path, self._dist = directory / "root", dist
        programs = ["udevadm", "initctl" if dist == "el6" else "systemctl"]
        for name in [
            "bin",
            "usr/bin",
            "usr/sbin",
            "usr/libexec",
            "enabled",
            "etc/sysconfig/network-scripts",
            "usr/lib",
            "var/lib",
            "tmp",
        ]:
            (self.path / name).mkdir(parents=True, exist_ok=True)
        if dist != "el6":
            (self.path / "run/systemd/system").mkdir(parents=True)
        self.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        self.write("/etc/group", "root:x:0:\n")
        # No device: root may not make any everywhere.
        self.write("/dev/null", "")
        shutil.copy("/bin/busybox", self.path / "bin/busybox")
        for applet in ("sh", "find", "grep", "mkdir", "mv", "rm", "rmdir", "tac", "touch"):
            (self.path / "bin" / applet).symlink_to("busybox")
        for program in [f"/usr/bin/{program}" for program in programs] + [PYTHON[dist]]:
            self.write(program, _PROGRAM)
            (self.path / program[1:]).chmod(0o755)
        self.rpm("-i", other(directory, "distribution", "1", provides=HAS[dist]))

    def write(self, path: str, text: str) -> None:
        """Write a file of the tree."""
        file = self.path / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def rpm(self, *arguments, check: bool = True) -> subprocess.CompletedProcess:
        """Run rpm on the tree, with its dependencies and scriptlets."""
        done = subprocess.run(
            ["rpm", "--root", self.path, "--dbpath", "/var/lib/rpm", *arguments],
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        # What Debian's own always says, and what is seen in the tree.
        unless = "rpm: (RPM should|However)|warning: .* (saved|created) as /"
        done.stdout = re.sub(f"(?m)^({unless}).*\n", "", done.stdout)
        assert not check or (done.returncode, done.stdout) == (0, ""), done.stdout
        return done

    def asked(self) -> List[str]:
        """What the stand-ins were asked to do since the last time."""
        log = self.path / "asked"
        said = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return said

    def enabled(self) -> List[str]:
        """The units that a boot starts."""
        return sorted(path.name for path in (self.path / "enabled").iterdir())

    def files(self) -> Dict[str, bytes]:
        """Every file of the tree but the database of packages, with its content."""
        return {
            f"/{path.relative_to(self.path)}": str(path.readlink()).encode()
            if path.is_symlink()
            else path.read_bytes()
            for path in self.path.rglob("*")
            if (path.is_symlink() or path.is_file())
            and "/lib/rpm/" not in str(path)
            and path.name != "null"
        }
