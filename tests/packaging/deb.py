"""The Debian packages: built of this tree when it has changed, kept below .build."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict

from tests.lab import archive

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CACHE = REPOSITORY / ".build" / "deb"
COMMANDS = ("dpkg-buildpackage", "dh", "dh_python3", "git", "lintian")
NAME, NETWORKD = "ec2net-legacy", "ec2net-legacy-networkd"

_BUILD = REPOSITORY / "packaging" / "build-deb"


def packages(profile: str = "") -> Dict[str, Path]:
    """The packages by their names; with the profile "upstart" those for hosts without systemd."""
    directory = CACHE / f"{profile or 'systemd'}-{key()}"
    with archive.locked(CACHE, profile or "systemd"):
        if not directory.exists():
            for old in CACHE.glob(f"{profile or 'systemd'}-*"):
                shutil.rmtree(old)
            fresh = CACHE / f"new-{profile or 'systemd'}"
            shutil.rmtree(fresh, ignore_errors=True)
            subprocess.run([_BUILD, fresh, *profile.split()], check=True)
            fresh.rename(directory)
    return {path.name.split("_")[0]: path for path in directory.glob("*.deb")}


def changes(profile: str = "") -> Path:
    """What a build says that it has made."""
    (path,) = packages(profile)[NAME].parent.glob("*.changes")
    return path


def older(package: Path, directory: Path, version: str = "0.0.1") -> Path:
    """The same package with another version, as if it were a previous build."""
    tree, built = directory / "older", directory / f"older_{version}_all.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub("(?m)^Version: .*", f"Version: {version}", control.read_text()))
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, built],
                   check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return built


def key() -> str:
    """What changes with the files that go into the packages."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", REPOSITORY, "ls-files", "-z", "--cached",
         "--others", "--exclude-standard", "--", ":!tests"],
        check=True, stdout=subprocess.PIPE,
    ).stdout.decode()
    digest = hashlib.sha256()
    for name in sorted(set(listed.rstrip("\0").split("\0"))):
        path = REPOSITORY / name
        if path.is_file():
            content = path.read_bytes()
            digest.update(f"{name}\0{path.stat().st_mode}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]
