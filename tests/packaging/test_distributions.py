"""The sdist and the wheel: what is in them, and what a wheel puts where."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest

from ec2net_legacy import __version__
from tests.packaging.test_install import COMMANDS, REPOSITORY
from tests.packaging.test_man_pages import needs

DATA = ("cron", "hooks", "systemd", "udev", "upstart")
# Of a build, and of no other: what setuptools adds.
ADDED = re.compile(r"PKG-INFO|setup\.cfg|ec2net_legacy\.egg-info/.*")


def tracked():
    """Return the paths of all files of this tree that git knows, without what does not belong."""
    needs("git")
    command = ["git", "-c", "safe.directory=*", "-C", str(REPOSITORY), "ls-files", "-z"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git tree")
    found = {path for path in listed.stdout.split("\0") if path and not path.endswith(".whl")}
    return {path for path in found if (REPOSITORY / path).exists()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A directory with an sdist of a copy of this tree, and the wheel that is made of the sdist."""
    source = tmp_path_factory.mktemp("source")
    for path in tracked():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes((REPOSITORY / path).read_bytes())
    target = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target),
                    str(source)], check=True, stdout=subprocess.DEVNULL)
    return target


def test_both_have_the_version_in_their_names(built):
    assert {path.name for path in built.iterdir()} == {
        "ec2net_legacy-{}.tar.gz".format(__version__),
        "ec2net_legacy-{}-py2.py3-none-any.whl".format(__version__),
    }


def test_an_sdist_is_the_whole_tree(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {one.name.partition("/")[2] for one in archive.getmembers() if one.isfile()}
    assert tracked() - names == set()
    assert {name for name in names - tracked() if not ADDED.fullmatch(name)} == set()


def test_a_wheel_has_the_package_its_commands_and_the_data(built):
    (path,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(path).namelist())
    package = {path for path in tracked() if path.startswith("ec2net_legacy/")}
    assert {name for name in names if name.startswith("ec2net_legacy/")} == package
    data = "ec2net_legacy-{}.data/data/share/ec2net/".format(__version__)
    expected = {data + path for path in tracked() if path.split("/")[0] in DATA}
    assert {name for name in names if name.startswith(data)} == expected | {data + "ec2net.conf"}
    metadata = "ec2net_legacy-{}.dist-info/METADATA".format(__version__)
    described = zipfile.ZipFile(path).read(metadata)
    assert b"\nVersion: " + __version__.encode() + b"\n" in described
    assert b"Description-Content-Type: text/markdown" in described


def test_pip_installs_what_the_documentation_says(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    python = tmp_path / "env/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", str(tmp_path / "env")],
                   check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", "--no-index", "--no-deps",
                    "--disable-pip-version-check", str(wheel)], check=True)
    there = {path.name for path in (tmp_path / "env/bin").iterdir()}
    assert there >= COMMANDS
    share = tmp_path / "env/share/ec2net"
    assert {path.name for path in share.iterdir()} == {*DATA, "ec2net.conf"}
    assert "share/ec2net" in (REPOSITORY / "docs/installing.md").read_text()
    environ = {"PATH": os.environ["PATH"]}
    for command in COMMANDS:
        told = subprocess.run([str(tmp_path / "env/bin" / command), "--version"], check=True,
                              capture_output=True, text=True, env=environ, cwd=str(tmp_path))
        assert told.stdout.split() == [command, __version__]
    # What is read with the package's own data.
    checked = subprocess.run(
        [str(tmp_path / "env/bin/ec2net"), "config", "--check", str(share / "ec2net.conf")],
        check=False, capture_output=True, text=True, env=environ, cwd=str(tmp_path))
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_version_is_in_one_place():
    said = re.compile(r"(?i)version.*" + re.escape(__version__))
    sources = [path for path in sorted(tracked()) if path.endswith((".py", ".cfg", ".toml", ".in"))]
    found = [path for path in sources if said.search((REPOSITORY / path).read_text())]
    assert found == ["ec2net_legacy/__init__.py"]


def test_the_changelog_has_the_version_that_this_is_or_will_be():
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    headings = re.findall(r"(?m)^## (.*)$", text)
    assert headings[0] == "[Unreleased]"
    for heading in headings[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading)
    if len(headings) > 1:
        assert headings[1].startswith("[{}]".format(__version__))
    else:
        assert "the first release, {}.".format(__version__) in text
    kinds = set(re.findall(r"(?m)^### (.*)$", text))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
