"""The test sessions; `make` installs nox and runs them."""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
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


def install(session, *arguments):
    """Install what pip's `arguments` name, unless this environment got just that before.

    pip takes seconds to find out that there is nothing to do.
    """
    pins = [path.read_text() for path in sorted(Path(PINS).iterdir())]
    wanted = repr([arguments, pins])
    stamp = Path(session.virtualenv.location, "installed.txt")
    if not stamp.exists() or stamp.read_text() != wanted:
        stamp.unlink(missing_ok=True)
        for files in arguments:
            session.install("-q", *files)
        stamp.write_text(wanted)


@nox.session(python=False, default=False)
def check(session):
    """Run the linters, and the unit tests on the newest and the oldest interpreter, all at once."""
    newest = [v for v in PYTHON3 if shutil.which("python" + v)][-1:]
    oldest = ["unit27(oldest)"] if shutil.which("python2.7") else []
    names = oldest + ["unit-" + v for v in newest]
    if len(names) < 2:
        session.warn("no Python 2.7 or no Python 3: only %s", ", ".join(names) or "static")
    # The slowest of the unit tests try fewer cases.
    env = {**os.environ, "EC2NET_QUICK": "1"}
    nox_too = [sys.executable, "-m", "nox", "--non-interactive", "--session"]
    with beside(session, {name: [*nox_too, name] for name in names}, env):
        session.run(*nox_too, "static", external=True)


@contextlib.contextmanager
def beside(session, commands, env=None):
    """Run `commands`, {name: arguments}, beside what the block does; show what failed of them."""
    running = []
    for name, arguments in commands.items():
        with tempfile.NamedTemporaryFile(delete=False) as output:
            running.append((name, Path(output.name), subprocess.Popen(
                arguments, env=env, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT)))
    failed = []
    try:
        yield
    finally:
        for name, output, process in running:
            if process.wait():
                failed.append(name)
                session.log("%s failed:\n%s", name, output.read_text(errors="replace"))
            else:
                session.log("%s: success", name)
            output.unlink()
    if failed:
        session.error("failed: " + ", ".join(failed))


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
    install(session, ["-c", PINS + "tools.txt", *tools])
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
    for directory in ("debian", "hooks", "packaging", "udev", ".ci", "tests"):
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
    install(session, *[["-r", PINS + name] for name in pins])
    env = {}
    if session.python in ("2.7", "3.4", "3.5", "3.6", "3.7"):
        # Byte code of Python 2.7 would lie beside the sources.
        env["PYTHONDONTWRITEBYTECODE"] = "1"
    else:
        # From Python 3.8 on it can lie elsewhere, and saves half of the collection's time.
        env["PYTHONPYCACHEPREFIX"] = str(Path(".build/pycache").resolve())
    # The last releases of pytest-xdist for Python 3.4 and 3.5 are no longer looked after.
    workers = [] if session.python in ("3.4", "3.5") else ["-n", str(os.cpu_count() or 1)]
    # The tests make thousands of small files: in memory, where that is.
    memory = Path("/dev/shm")  # noqa: S108 - the directory in it has a name of its own
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as env["TMPDIR"]:
        session.run("python", "-m", "pytest", "-q", *workers, *session.posargs, env=env)


# It waits, beside the machines.
TEN_MINUTES = "tests/netns/test_ten_minutes.py"
LAB_TOOLS = ["-c", PINS + "unit-py3.txt", "-c", PINS + "tools.txt", "pytest", "pytest-xdist",
             # What `make man`, `make completion` and the packaging's tests need.
             "build", "docutils", "prometheus_client", "setuptools", "shtab", "wheel"]
SYSTEM_PYTHON = shutil.which("python3", path="/usr/bin")


@nox.session(python=SYSTEM_PYTHON, venv_params=["--system-site-packages"])
def lab(session):
    """Run the tests that need root, on the distribution's own Python 3.9 or later and libraries."""
    directories = [d for d in ("tests/netns", "tests/packaging") if Path(d).is_dir()]
    if not directories:
        session.error("there are no lab tests")
    install(session, LAB_TOOLS)
    session.run("python", "-c", "import sys; assert sys.version_info >= (3, 9), sys.version")
    # Labs are namespaces of their own and wait more than they work.
    session.run("python", "-m", "pytest", "-n", "2", "--dist", "loadfile", "--ignore", TEN_MINUTES,
                *(session.posargs or directories))


@nox.session(python=SYSTEM_PYTHON)
def vm(session):
    """Run the tests on machines in QEMU, several at a time; needs root and Python 3.9 or later."""
    install(session, LAB_TOOLS)
    machines = ["python", "-m", "pytest", "-q", "-n", "3", "--dist", "loadgroup"]
    if session.posargs:
        session.run(*machines, *session.posargs)
        return
    # Not by the same pytest-xdist, which would have a machine wait behind it for ten minutes.
    python = str(Path(session.bin, "python"))
    with beside(session, {"ten minutes": [python, "-m", "pytest", "-q", TEN_MINUTES]}):
        session.run(*machines, "tests/vm")


@nox.session(python=SYSTEM_PYTHON, default=False)
def bench(session):
    """Measure what a run costs, and draw docs/performance.svg; needs root."""
    install(session, ["-c", PINS + "tools.txt", "matplotlib"])
    session.run("python", "-m", "tests.bench", "--chart", "docs/performance.svg",
                *session.posargs)
