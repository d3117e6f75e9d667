"""``make install`` and ``make uninstall``, on trees of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
COMMANDS = {"ec2net-hotplug", "ec2ifup", "ec2ifdown", "ec2ifscan", "ec2net"}


def make(target, tree, **variables):
    """Run make with DESTDIR=`tree`."""
    settings = ["{}={}".format(*item) for item in variables.items()]
    command = ["make", "-s", "-C", str(REPOSITORY), target, "DESTDIR={}".format(tree)]
    subprocess.run(command + settings, check=True)


def listing(tree):
    """Return every path below `tree` with its mode and content."""
    return {
        str(path.relative_to(tree)): (path.stat().st_mode, path.is_file() and path.read_bytes())
        for path in sorted(tree.rglob("*"))
    }


@pytest.mark.parametrize("prefix", ["/usr", "/opt/ec2net"])
@pytest.mark.parametrize("populated", [False, True], ids=["empty tree", "populated tree"])
def test_uninstall_takes_away_exactly_what_install_put_there(tmp_path, prefix, populated):
    if populated:
        for name in ("sbin/other", "lib/ec2net/note"):
            file = tmp_path / (prefix[1:] + "/" + name)
            file.parent.mkdir(parents=True)
            file.write_text("not ours")
    before = listing(tmp_path)
    make("install", tmp_path, PREFIX=prefix)
    installed = {path.name for path in (tmp_path / prefix[1:] / "sbin").iterdir()}
    assert installed - {"other"} == COMMANDS
    make("install", tmp_path, PREFIX=prefix)
    make("uninstall", tmp_path, PREFIX=prefix)
    assert listing(tmp_path) == before


def test_the_commands_run_on_the_chosen_interpreter(tmp_path):
    # Nothing outside its prefix: this is the machine's own root.
    own = {"PREFIX": str(tmp_path / "x"), "DESTDIR": "", "FLAVOUR": "no", "REFRESH": "no"}
    make("install", tmp_path, PYTHON=sys.executable, **own)
    command = tmp_path / "x/sbin/ec2net-hotplug"
    assert command.read_text().splitlines()[0] == "#!{} -sE".format(sys.executable)
    helped = subprocess.run([str(command), "--help"], check=True, capture_output=True, text=True)
    assert "exit codes" in helped.stdout


def test_the_readme_shows_the_default_settings():
    sys.path.insert(0, str(REPOSITORY))
    from ec2net_legacy import settings

    readme = (REPOSITORY / "README.md").read_text()
    block = readme.split("These are the defaults:")[1].split("```")[1]
    assert settings.parse(block.splitlines()) == settings.DEFAULTS
