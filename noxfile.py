"""The test sessions; `make` installs nox and runs them."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import nox

PYTHON3 = ["3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]
PINS = "tests/requirements/"
# typing is only for the type checker, and ipaddress is a dependency on Python 2.
VERMIN = "vermin -t=2.7- -t=3.4- --no-tips --violations --backport typing --backport ipaddress"
CI = os.environ.get("CI") == "true"

nox.options.envdir = ".build/nox"
nox.options.reuse_venv = "yes"
nox.options.default_venv_backend = "venv"
nox.options.download_python = "never"
# Nobody has all of them: the session `interpreters` says which are missing.
nox.options.error_on_missing_interpreters = False


def find_in_pyenv():
    """Put the interpreters of pyenv on PATH in place of its shims.

    There is a shim for each interpreter, but it runs only those that are activated.
    """
    if not shutil.which("pyenv"):
        return
    root = Path(subprocess.check_output(["pyenv", "root"], text=True).strip())
    versions = [d for d in root.glob("versions/*") if re.fullmatch(r"\d+\.\d+\.\d+", d.name)]
    versions.sort(key=lambda d: [int(part) for part in d.name.split(".")], reverse=True)
    path = [d for d in os.environ["PATH"].split(os.pathsep) if Path(d) != root / "shims"]
    os.environ["PATH"] = os.pathsep.join(path + [str(d / "bin") for d in versions])


find_in_pyenv()


@nox.session(python=False, tags=["unit"])
def interpreters(session):
    """Name the interpreters that the unit tests run on."""
    found = [v for v in ["2.7", *PYTHON3] if shutil.which("python" + v)]
    missing = [v for v in ["2.7", *PYTHON3] if v not in found]
    session.log("found: Python %s", ", ".join(found) or "none")
    session.log("not found: Python %s", ", ".join(missing) or "none")
    if not found:
        session.error("no interpreter to run the unit tests on")


@nox.session(venv_backend="venv")
def static(session):
    """Run the linters and the type checker."""
    tools = ["import-linter", "mypy", "ruff", "types-requests", "vermin"]
    session.install("-q", "-c", PINS + "tools.txt", *tools)
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run(*VERMIN.split(), "ec2net_legacy")
    session.run("lint-imports", "--config", "setup.cfg", "--cache-dir", ".build/import-linter")
    if shutil.which("shellcheck"):
        session.run("shellcheck", *shell_scripts(), external=True)
    elif CI:
        session.error("shellcheck is not installed")
    else:
        session.warn("shellcheck is not installed: the shell scripts are not checked")


def shell_scripts():
    """Return the files that a shell runs, by their first line."""
    for directory in ("hooks", "packaging", "udev", ".ci", "tests"):
        for path in sorted(Path(directory).rglob("*")):
            if path.is_file():
                with path.open("rb") as script:
                    if re.match(rb"#!.*\b(ba|da)?sh\b", script.readline()):
                        yield str(path)


@nox.session(python="2.7", venv_backend="virtualenv", tags=["unit"])
@nox.parametrize("libraries", ["newest", "oldest"], ids=["newest", "oldest"])
def unit27(session, libraries):
    """Run the unit tests on Python 2.7, with the newest and the oldest libraries."""
    run_unit_tests(session, "unit-py2.txt", "py2-%s.txt" % libraries)


@nox.session(python=PYTHON3, tags=["unit"])
def unit(session):
    """Run the unit tests on each Python 3."""
    run_unit_tests(session, "unit-py34.txt" if session.python in ("3.4", "3.5") else "unit-py3.txt")


def run_unit_tests(session, *pins):
    """Install `pins` and run the unit tests."""
    for name in pins:
        session.install("-q", "-r", PINS + name)
    # Byte code of Python 2.7 would lie beside the sources.
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    session.run("python", "-m", "pytest", "-q", *session.posargs, env=env)


# It waits, beside the machines.
TEN_MINUTES = "tests/netns/test_ten_minutes.py"
SYSTEM_PYTHON = shutil.which("python3", path="/usr/bin")


@nox.session(python=SYSTEM_PYTHON, venv_params=["--system-site-packages"])
def lab(session):
    """Run the tests that need root, on the distribution's own Python 3.9 or later and libraries."""
    directories = [d for d in ("tests/netns", "tests/packaging") if Path(d).is_dir()]
    if not directories:
        session.error("there are no lab tests")
    session.install("-q", "-c", PINS + "unit-py3.txt", "-c", PINS + "tools.txt",
                    "pytest", "pytest-xdist")
    session.run("python", "-c", "import sys; assert sys.version_info >= (3, 9), sys.version")
    # Labs are namespaces of their own and wait more than they work.
    session.run("python", "-m", "pytest", "-n", "2", "--dist", "loadfile", "--ignore", TEN_MINUTES,
                *(session.posargs or directories))


@nox.session(python=SYSTEM_PYTHON)
def vm(session):
    """Run the tests on machines in QEMU, several at a time; needs root and Python 3.9 or later."""
    session.install("-q", "-c", PINS + "unit-py3.txt", "-c", PINS + "tools.txt",
                    "pytest", "pytest-xdist")
    session.run("python", "-m", "pytest", "-q", "-n", "5", "--dist", "loadgroup",
                *(session.posargs or ["tests/vm", TEN_MINUTES]))
