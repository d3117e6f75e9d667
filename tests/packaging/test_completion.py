"""TAB in a real bash and a real zsh, with what `make install` puts where they look."""

import os
import pty
import select
import shutil
import signal
import subprocess
import time

import pytest

from tests.packaging.test_install import COMMANDS, listing, make
from tests.packaging.test_man_pages import build, needs

# Interfaces of its own, whatever this machine has.
NAMESPACE = """
mount -t sysfs none /sys &&
ip link add eth7 type veth peer name eth81 &&
ip link add other0 type bridge &&
ip addr add 192.0.2.7/24 dev eth7 &&
exec "$@"
"""
UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", NAMESPACE, "sh"]
LONGEST = 30.0
PROMPT = b"READY> "


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree with an installation that has completions."""
    built = build("completion", tmp_path_factory.mktemp("built")).parent
    tree = tmp_path_factory.mktemp("tree")
    make("install", tree, BUILT=built, FLAVOUR="debian")
    return tree


class Shell:
    """A shell at a terminal."""

    def __init__(self, argv, environ):
        self._process, self._terminal = pty.fork()
        if not self._process:
            os.execvpe(argv[0], argv, environ)  # noqa: S606
        self._said = b""

    def type(self, keys):
        """Type keys."""
        self._said = b""
        os.write(self._terminal, keys)

    def wait_for(self, expected):
        """Wait until all that is expected has been said since the last keys; return all."""
        end = time.monotonic() + LONGEST
        while not all(one in self._said for one in expected):
            ready, _, _ = select.select([self._terminal], [], [], max(end - time.monotonic(), 0))
            assert ready, self._said
            self._said += os.read(self._terminal, 4096)
        return self._said

    def close(self):
        """End it."""
        os.kill(self._process, signal.SIGKILL)
        os.close(self._terminal)
        os.waitpid(self._process, 0)


def start(shell, tree, directory):
    """Return a shell in a network namespace that has its completions from `tree`."""
    needs(shell)
    works = subprocess.run([*UNSHARE, "true"], check=False, capture_output=True)
    if works.returncode:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(works.stderr))
    environ = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(directory), "LC_ALL": "C",
               "XDG_DATA_DIRS": str(tree / "usr/share"), "PS1": PROMPT.decode()}
    if shell == "bash":
        (directory / "rc").write_text("PS1='READY> '\nset +o history\n"
                                      ". /usr/share/bash-completion/bash_completion\n")
        argv = ["bash", "--noprofile", "--rcfile", str(directory / "rc"), "-i"]
    else:
        (directory / ".zshrc").write_text(
            "PS1='READY> '\nunsetopt zle_bracketed_paste 2>/dev/null\n"
            "fpath=({} $fpath)\nautoload -U compinit\ncompinit -u -D\n".format(
                tree / "usr/share/zsh/vendor-completions"))
        environ["ZDOTDIR"] = str(directory)
        argv = ["zsh", "-i", "-o", "no_global_rcs"]
    found = Shell([*UNSHARE, *argv], environ)
    found.wait_for([PROMPT])
    return found


@pytest.fixture(scope="module", params=["bash", "zsh"])
def shell(request, tree, tmp_path_factory):
    if request.param == "bash" and not os.path.exists("/usr/share/bash-completion/bash_completion"):
        needs("bash-completion")
    found = start(request.param, tree, tmp_path_factory.mktemp("home"))
    yield found
    found.close()


@pytest.mark.parametrize(
    "typed, expected",
    [
        ("ec2net st", ["ec2net status"]),
        ("ec2net config --ch", ["config --check"]),
        ("ec2ifup ", ["eth7", "eth81", "other0"]),
        ("ec2ifup o", ["ec2ifup other0"]),
        ("ec2ifdown eth8", ["ec2ifdown eth81"]),
        ("ec2net refresh eth8", ["refresh eth81"]),
        ("ec2net explain --in oth", ["--in other0"]),
        ("ec2net switch --to if", ["--to ifupdown"]),
        ("ec2net explain --from 192", ["--from 192.0.2.7"]),
        ("ec2net-hotplug rem", ["ec2net-hotplug remove"]),
        ("ec2ifscan --ver", ["ec2ifscan --version"]),
        ("ec2net ", ["plan", "status", "explain", "refresh", "config", "lease"]),
    ],
)
def test_tab_completes(shell, typed, expected):
    # The line that the one before has left goes first (ctrl-U).
    shell.type(b"\x15" + typed.encode() + b"\t\t")
    shell.wait_for([one.encode() for one in expected])
    shell.type(b"\x15\n")
    shell.wait_for([PROMPT])


def test_there_is_one_for_each_command_and_they_go_with_the_rest(tree, tmp_path):
    there = {path.name for path in (tree / "usr/share/bash-completion/completions").iterdir()}
    assert there == COMMANDS
    there = {path.name for path in (tree / "usr/share/zsh/vendor-completions").iterdir()}
    assert there == {"_" + name for name in COMMANDS}
    copied = tmp_path / "tree"
    shutil.copytree(tree, copied, symlinks=True)
    make("uninstall", copied)
    assert listing(copied) == {}
