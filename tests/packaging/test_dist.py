"""`make dist`: all that is released, and the same bytes whenever it is built."""

import os
import shutil
import subprocess

import pytest

from tests.packaging.deb import COMMANDS, REPOSITORY

NEEDS = (*COMMANDS, "rpmbuild")
pytestmark = pytest.mark.skipif(
    not all(shutil.which(command) for command in NEEDS) and not os.environ.get("CI"),
    reason="commands not installed: " + " ".join(NEEDS))

NAMES = [
    "ec2net-legacy-0.1.0-1.amzn2.noarch.rpm",
    "ec2net-legacy-0.1.0-1.el6.noarch.rpm",
    "ec2net-legacy-0.1.0-1.el7.noarch.rpm",
    "ec2net-legacy-0.1.0-1.el8.noarch.rpm",
    "ec2net-legacy-networkd_0.1.0_all.deb",
    "ec2net-legacy_0.1.0_all.deb",
    "ec2net_legacy-0.1.0-py2.py3-none-any.whl",
    "ec2net_legacy-0.1.0.tar.gz",
    "upstart/ec2net-legacy_0.1.0_all.deb",
]


def built(directory, umask="022", **environment):
    """Build it; return the checksums by name, which are right."""
    subprocess.run(["sh", "-c", 'umask "$1"; exec "$2" "$3"', "sh", umask,
                    REPOSITORY / "packaging" / "build-dist", directory],
                   check=True, env={**os.environ, **environment})
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=directory, check=True)
    lines = (directory / "SHA256SUMS").read_text().splitlines()
    return {name: checksum for checksum, name in (line.split("  ") for line in lines)}


def test_two_builds_give_the_same_bytes(tmp_path):
    first = built(tmp_path / "first")
    assert sorted(first) == NAMES
    other = built(tmp_path / "a second", umask="077", TZ="Asia/Tokyo", LC_ALL="C.UTF-8",
                  HOME=str(tmp_path), USER="somebody")
    assert other == first


def test_what_is_not_its_own_is_not_replaced(tmp_path):
    (tmp_path / "mine").touch()
    done = subprocess.run([REPOSITORY / "packaging" / "build-dist", tmp_path], check=False,
                          stderr=subprocess.PIPE, text=True)
    assert (done.returncode, "is not empty" in done.stderr) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
