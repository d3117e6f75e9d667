"""``make install`` and ``make uninstall``, on trees of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
COMMANDS = {"ec2net-hotplug", "ec2ifup", "ec2ifdown", "ec2ifscan", "ec2net"}
EVERY_WAY = [
    {"FLAVOUR": flavour, "INIT": init, "PREFIX": prefix}
    for flavour in ("debian", "rhel", "no")
    for init in ("systemd", "upstart", "no")
    for prefix in ("/usr", "/opt/ec2net")
]
# What an older tool or an administrator may have where something of ours goes.
IN_THE_WAY = (
    "usr/sbin/ec2ifup",
    "opt/ec2net/sbin/ec2ifup",
    "etc/network/ec2net.hotplug",
    "etc/sysconfig/network-scripts/ec2net.hotplug",
    "etc/init/elastic-network-interfaces.conf",
    "etc/udev/rules.d/75-persistent-net-generator.rules",
    "etc/cron.d/ec2net-refresh",
)


def make(target, tree, **variables):
    """Run make with DESTDIR=`tree`; return what it says.

    Whether this tree has manual pages and completions makes no difference, unless BUILT says where.
    """
    variables.setdefault("BUILT", "/nonexistent")
    settings = ["{}={}".format(*item) for item in variables.items()]
    command = ["make", "-s", "-C", str(REPOSITORY), target, "DESTDIR={}".format(tree)]
    return subprocess.run(
        command + settings, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout


def listing(tree):
    """Return every path below `tree` with its mode and content."""
    return {
        str(path.relative_to(tree)): (path.lstat().st_mode, content(path))
        for path in sorted(tree.rglob("*"))
    }


def content(path):
    """Return what distinguishes a file; links of a tree lead out of it."""
    if path.is_symlink():
        return str(path.readlink())
    return path.is_file() and path.read_bytes()


def populate(tree):
    """Put files beside and in the place of those that an installation brings."""
    for name in ("usr/sbin/other", "usr/lib/ec2net/note", "opt/ec2net/lib/ec2net/note"):
        write(tree / name, "not ours")
    for name in IN_THE_WAY:
        write(tree / name, "an older one")
    (tree / "etc/cron.d/ec2net-refresh").chmod(0o600)
    link = tree / "etc/systemd/system/timers.target.wants/ec2net-refresh.timer"
    link.parent.mkdir(parents=True)
    link.symlink_to("/dev/null")


def write(path, text):
    """Write a file in a directory that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("way", EVERY_WAY, ids=lambda way: " ".join(way.values()))
@pytest.mark.parametrize("populated", [False, True], ids=["empty tree", "populated tree"])
def test_uninstall_takes_away_exactly_what_install_put_there(tmp_path, way, populated):
    if populated:
        populate(tmp_path)
    before = listing(tmp_path)
    make("install", tmp_path, **way)
    installed = listing(tmp_path)
    in_sbin = {path.name for path in (tmp_path / way["PREFIX"][1:] / "sbin").iterdir()}
    assert in_sbin - {"other"} == COMMANDS
    make("install", tmp_path, **way)
    assert listing(tmp_path) == installed
    make("uninstall", tmp_path, **way)
    assert listing(tmp_path) == before


def test_uninstall_needs_no_variables(tmp_path):
    make("install", tmp_path, FLAVOUR="rhel", INIT="upstart", REFRESH="timer")
    make("uninstall", tmp_path)
    assert listing(tmp_path) == {}


def test_another_way_of_installing_takes_the_place_of_the_first(tmp_path):
    make("install", tmp_path, FLAVOUR="rhel", INIT="upstart")
    make("install", tmp_path, FLAVOUR="debian", INIT="systemd")
    again = listing(tmp_path)
    make("uninstall", tmp_path)
    make("install", tmp_path, FLAVOUR="debian", INIT="systemd")
    assert listing(tmp_path) == again


def test_what_was_in_the_way_is_told(tmp_path):
    write(tmp_path / "etc/network/ec2net.hotplug", "an older one")
    assert "/etc/network/ec2net.hotplug was there" in make("install", tmp_path, FLAVOUR="debian")


def test_an_installation_that_fails_leaves_nothing(tmp_path):
    # A directory cannot be made where a file is.
    write(tmp_path / "etc/cron.d", "no directory")
    before = listing(tmp_path)
    with pytest.raises(subprocess.CalledProcessError):
        make("install", tmp_path, REFRESH="cron")
    assert listing(tmp_path) == before


def test_an_installation_that_was_killed_is_taken_back_by_the_next(tmp_path):
    way = {"FLAVOUR": "debian", "INIT": "systemd"}
    make("install", tmp_path, **way)
    whole = listing(tmp_path)
    record = tmp_path / "usr/lib/ec2net/installed"
    lines = record.read_text().splitlines(keepends=True)
    # As far as it came.
    for line in lines[len(lines) // 2:]:
        if not line.endswith("/\n"):
            (tmp_path / line.strip().rpartition("unless changed ")[2].lstrip("/")).unlink()
    record.write_text("".join(lines[: len(lines) // 2]))
    make("install", tmp_path, **way)
    assert {path for path in listing(tmp_path) if "__pycache__" not in path} == {
        path for path in whole if "__pycache__" not in path
    }


def test_an_uninstallation_that_was_interrupted_can_be_ended(tmp_path):
    populate(tmp_path)
    before = listing(tmp_path)
    make("install", tmp_path, FLAVOUR="debian", INIT="systemd")
    obstacle = tmp_path / "usr/sbin/ec2net-hotplug"
    obstacle.unlink()
    obstacle.mkdir()
    with pytest.raises(subprocess.CalledProcessError):
        make("uninstall", tmp_path)
    obstacle.rmdir()
    make("uninstall", tmp_path)
    assert listing(tmp_path) == before


def test_the_commands_run_on_the_chosen_interpreter(tmp_path):
    # Nothing outside its prefix: this is the machine's own root.
    own = {"PREFIX": str(tmp_path / "x"), "DESTDIR": "", "FLAVOUR": "no", "INIT": "no"}
    make("install", tmp_path, PYTHON=sys.executable, REFRESH="no", **own)
    command = tmp_path / "x/sbin/ec2net-hotplug"
    assert command.read_text().splitlines()[0] == "#!{} -sE".format(sys.executable)
    helped = subprocess.run([str(command), "--help"], check=True, capture_output=True, text=True)
    assert "exit codes" in helped.stdout


def test_the_documentation_shows_the_default_settings():
    sys.path.insert(0, str(REPOSITORY))
    from ec2net_legacy import settings

    page = (REPOSITORY / "docs/configuring.md").read_text()
    block = page.split("These are the defaults:")[1].split("```")[1]
    assert settings.parse(block.splitlines()) == settings.DEFAULTS
