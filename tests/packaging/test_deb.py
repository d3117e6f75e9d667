"""The Debian packages: what is in them, and that they are in order. tests/netns has their life."""

import hashlib
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.packaging import deb
from tests.packaging.test_install import COMMANDS, content, listing, make

pytestmark = pytest.mark.skipif(
    not all(shutil.which(command) for command in deb.COMMANDS) and not os.environ.get("CI"),
    reason="commands not installed: " + " ".join(deb.COMMANDS))

PROFILES = ["", "upstart"]
WAYS = {
    "": {"INIT": "systemd", "REFRESH": "timer"},
    "upstart": {"INIT": "upstart", "REFRESH": "cron"},
}
GENERATOR = "etc/udev/rules.d/75-persistent-net-generator.rules"
# A package's own, for dpkg, Python and lintian; and what this tree may not have made.
ELSEWHERE = re.compile(
    "usr/share/(doc/ec2net-legacy|python3|lintian|man|bash-completion|zsh)/")
# What dpkg, py3compile and deb-systemd-helper do on the host.
BY_THE_HOST = re.compile("usr/lib/ec2net/(installed|ec2net.conf)$|.*/__pycache__/|etc/systemd/")
ENABLED = {
    "ec2net-refresh.timer", "elastic-network-interfaces.service", "ec2net-docker.service",
    "ec2net-networkd.service", "ec2net-networkd.path",
}


def unpacked(package, directory):
    """Return the files of a package, without its directories, as test_install lists them."""
    subprocess.run(["dpkg-deb", "-R", str(package), str(directory)], check=True)
    return files(directory)


def files(tree):
    """Return mode and content of each file and link below `tree`."""
    return {name: found for name, found in listing(tree).items() if found[1] is not False}


def script(tree, name):
    """Return a maintainer script of an unpacked package."""
    return (tree / "DEBIAN" / name).read_text()


@pytest.mark.parametrize("profile", PROFILES)
def test_it_has_what_make_install_puts_in_place(tmp_path, profile):
    packed = unpacked(deb.packages(profile)[deb.NAME], tmp_path / "deb")
    make("install", tmp_path / "made", FLAVOUR="debian", PYTHON="/usr/bin/python3", **WAYS[profile])
    made = files(tmp_path / "made")
    if not profile:
        # Where there are units there is no such generator any more.
        del made[GENERATOR]
    assert {
        name: found for name, found in packed.items()
        if not name.startswith("DEBIAN/") and not ELSEWHERE.match(name)
    } == {
        name: found for name, found in made.items()
        if not BY_THE_HOST.match(name) and not ELSEWHERE.match(name)
    }


def test_each_command_has_its_page_and_its_completions(tmp_path):
    packed = unpacked(deb.packages()[deb.NAME], tmp_path)
    for command in COMMANDS:
        assert {
            "usr/share/man/man8/{}.8.gz".format(command),
            "usr/share/bash-completion/completions/{}".format(command),
            "usr/share/zsh/vendor-completions/_{}".format(command),
        } <= set(packed)
    assert "usr/share/man/man5/ec2net.conf.5.gz" in packed


@pytest.mark.parametrize("profile", PROFILES)
def test_each_file_below_etc_is_a_conffile(tmp_path, profile):
    packed = unpacked(deb.packages(profile)[deb.NAME], tmp_path)
    below = {name for name in packed if name.startswith("etc/")}
    assert {"/" + name for name in below if not (tmp_path / name).is_symlink()} == set(
        script(tmp_path, "conffiles").split())


@pytest.mark.parametrize("profile", PROFILES)
def test_lintian_has_nothing_to_say(profile):
    command = ["lintian", "--pedantic", "--display-info", "--allow-root", "--fail-on", "none"]
    said = subprocess.run([*command, str(deb.changes(profile))], check=True, capture_output=True,
                          text=True).stdout.splitlines()
    assert said == []


def test_the_profile_for_upstart_has_no_package_for_networkd():
    assert set(deb.packages("upstart")) == {deb.NAME}
    assert set(deb.packages()) == {deb.NAME, deb.NETWORKD}


def test_it_is_enabled_by_debhelper_and_nothing_stops_an_interface(tmp_path):
    unpacked(deb.packages()[deb.NAME], tmp_path)
    scripts = {name: script(tmp_path, name) for name in ("preinst", "postinst", "prerm", "postrm")}
    enabled = re.findall("deb-systemd-helper enable (.*) >", scripts["postinst"])
    assert set(" ".join(enabled).replace("'", "").split()) == ENABLED
    for name in ("preinst", "postinst", "prerm"):
        code = "".join(line for line in scripts[name].splitlines(True) if line[0] != "#")
        assert "ec2-ifup@" not in code
        assert "restart" not in code
    assert "py3compile -p ec2net-legacy /usr/lib/ec2net" in scripts["postinst"]
    assert "py3clean -p ec2net-legacy" in scripts["prerm"]


def test_two_builds_give_the_same_bytes(tmp_path):
    environment = dict(os.environ, TZ="Pacific/Kiritimati", LC_ALL="C", HOME=str(tmp_path))
    environment.pop("SOURCE_DATE_EPOCH", None)
    command = 'umask 077; exec "$0" "$1"'
    builder = str(deb.REPOSITORY / "packaging/build-deb")
    subprocess.run(["sh", "-c", command, builder, str(tmp_path)], check=True, env=environment)
    digests = {
        package.name: hashlib.sha256(content(package)).hexdigest()
        for package in deb.packages().values()
    }
    assert {
        package.name: hashlib.sha256(content(package)).hexdigest()
        for package in tmp_path.glob("*.deb")
    } == digests


def test_the_changelog_has_the_version_of_the_program():
    sys.path.insert(0, str(deb.REPOSITORY))
    import ec2net_legacy

    told = (deb.REPOSITORY / "debian/changelog").read_text().splitlines()[0]
    assert told.split()[:2] == [deb.NAME, "({})".format(ec2net_legacy.__version__)]
