"""What contrib/ has for fleets: well-formed, and what cloud-init would call at the first boot."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest

from tests.lab import archive
from tests.packaging.deb import REPOSITORY

CONTRIB = REPOSITORY / "contrib"
USER_DATA = CONTRIB / "cloud-init" / "user-data.yaml"


def needs(command):
    """Skip a test where a command is not installed; in CI it fails."""
    there = shutil.which(command) or os.environ.get("CI")
    return pytest.mark.skipif(not there, reason="not installed: " + command)


@needs("ansible-lint")
def test_ansible_lint_has_nothing_to_say(tmp_path):
    tree = tmp_path / "ansible"
    shutil.copytree(CONTRIB / "ansible", tree)
    done = subprocess.run(
        ["ansible-lint", "--offline", "--nocolor", "--profile", "production", "site.yml",
         "roles/ec2net_legacy"],
        cwd=tree, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "HOME": str(tmp_path), "ANSIBLE_HOME": str(tmp_path)})
    assert (done.returncode, "Passed" in done.stdout) == (0, True), done.stdout


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="not the Python of Debian 12")
def test_cloud_init_takes_the_user_data():
    # It is not installed on the machine, because it would be at work at the machine's next boot.
    tree = archive.unpacked("bookworm", "cloud-init", REPOSITORY / ".build" / "cloud-init")
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "cloudinit.cmd.main", "schema", "--config-file", USER_DATA],
        env={**os.environ, "PYTHONPATH": str(tree / "usr/lib/python3/dist-packages")},
        check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.stdout == f"Valid cloud-config: {USER_DATA}\n"


@pytest.fixture
def boot(tmp_path):
    """A function that does what cloud-init does with the user data, given a package's bytes.

    Its value is what apt-get was asked to do. The checksum is that of b"the package".
    """
    yaml = pytest.importorskip("yaml")

    def booted(package):
        data = USER_DATA.read_text().replace("/var/", f"{tmp_path}/var/")
        data = yaml.safe_load(data.replace("0" * 64, hashlib.sha256(b"the package").hexdigest()))
        programs = {"curl": 'printf %s "$PACKAGE" >"$5"', "apt-get": f'echo "$@" >{tmp_path}/asked'}
        for name, text in programs.items():
            program = tmp_path / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)
        (tmp_path / "var/cache").mkdir(parents=True)
        for file in data["write_files"][1:]:
            os.makedirs(os.path.dirname(file["path"]))
            with open(file["path"], "w", encoding="utf-8") as stream:
                stream.write(file["content"])
        env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "PACKAGE": package}
        for command in data["runcmd"]:
            subprocess.run(command, shell=isinstance(command, str), check=False, env=env,
                           stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        asked = tmp_path / "asked"
        return asked.read_text().split() if asked.exists() else []

    return booted


def test_the_first_boot_installs_the_package_whose_checksum_is_stated(boot, tmp_path):
    asked = boot("the package")
    assert (asked[0], asked[-1]) == ("install", f"{tmp_path}/var/cache/ec2net-legacy.deb")


def test_the_first_boot_installs_nothing_else(boot):
    assert boot("another one") == []
