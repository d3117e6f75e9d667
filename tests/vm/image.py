"""The disks that machines start from: made by image.sh once, kept below .build/vm."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ContextManager, List, Optional

from tests import lab
from tests.lab import archive
from tests.lab.namespaces import PATH
from tests.packaging import deb

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CACHE = REPOSITORY / ".build" / "vm"
# What configures a machine's network, and the releases that are tested with it.
RELEASES = {"ifupdown": ("bookworm", "bullseye"), "networkd": ("bookworm", "trixie")}
COMMANDS = ("qemu-system-x86_64", "qemu-img", "debootstrap", "mke2fs", "git", "unshare", "apt-get",
            "dpkg-buildpackage", "dh", "dh_python3")

_RECIPE = Path(__file__).with_name("image.sh")
# The tree is mounted and the packages' scripts run where they see and leave nothing of this system.
_ISOLATE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


@dataclass(frozen=True)
class Image:
    """What QEMU needs to start a machine; nothing writes to it."""

    disk: Path
    kernel: Path
    initrd: Path


def available() -> Optional[str]:
    """None when machines can be made here, otherwise the reason why not."""
    missing = [name for name in COMMANDS if not shutil.which(name, path=PATH)]
    if missing:
        return "commands not installed: " + ", ".join(missing)
    if os.geteuid():
        return "not root"
    if not os.path.exists("/dev/net/tun"):
        return "no /dev/net/tun"
    return lab.available()


def image(release: str, kind: str) -> Image:
    """The image of a Debian release; made now if there is none of the present recipe.

    ``kind`` is what configures its network, of RELEASES.
    """
    recipe = hashlib.sha256(_RECIPE.read_bytes()).hexdigest()[:12]
    name = f"{kind}-{release}"
    directory = CACHE / f"{name}-{recipe}"
    with locked(name):
        if not directory.exists():
            for old in CACHE.glob(f"{name}-*"):
                shutil.rmtree(old)
            _make(release, kind, directory)
    return Image(directory / "disk.img", directory / "vmlinuz", directory / "initrd.img")


def locked(name: str) -> ContextManager[None]:
    """One at a time; the others wait and find what it is about made."""
    return archive.locked(CACHE, name)


def _make(release: str, kind: str, directory: Path) -> None:
    """Run the recipe; the directory appears when it is complete."""
    fresh = CACHE / f"{kind}-{release}-new"
    fresh.mkdir()
    log = CACHE / f"{kind}-{release}.log"
    with log.open("wb") as output:
        status = subprocess.call(
            [*_ISOLATE, "sh", str(_RECIPE), release, kind, str(fresh), archive.mirror()],
            env={**os.environ, "PATH": PATH},  # proxies, too
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )
    if status:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise RuntimeError(
            f"no image of {release} with {kind}, {_RECIPE.name} ended with {status}:\n{tail}")
    fresh.rename(directory)


def files() -> List[str]:
    """The names of this repository's files as they are now, committed or not."""
    listed = subprocess.run(
        # The tree may be another user's than the root who runs this.
        ["git", "-c", "safe.directory=*", "-C", str(REPOSITORY), "ls-files", "-z", "--cached",
         "--others", "--exclude-standard"],
        check=True, stdout=subprocess.PIPE,
    ).stdout.decode()
    names = sorted(set(listed.rstrip("\0").split("\0")))
    return [name for name in names if (REPOSITORY / name).is_file()]


def packages(disk: Path) -> None:
    """Make a disk with the product's package, and with the same one as an older version."""
    tree = disk.with_suffix(".tree")
    tree.mkdir()
    package = deb.packages()[deb.NAME]
    shutil.copy(package, tree / "ec2net-legacy.deb")
    deb.older(package, tree).rename(tree / "older.deb")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree, disk, "16M"],
                   check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
