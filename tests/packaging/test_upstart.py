"""The upstart jobs: what both versions take, what starts them, what they run.

How upstart behaves was tried with 0.6.5 and 1.12 themselves (docs/facts.md); what of that the jobs
rely on is in ``upstart_job``.
"""

import re
import shutil
import subprocess

import pytest

from tests.packaging.test_install import COMMANDS, REPOSITORY
from tests.packaging.upstart_job import Job, ParseError, parse_expression

FILES = sorted((REPOSITORY / "upstart").glob("*.conf"))
IN_ORDER = [
    "ec2-ifup.conf", "ec2-ifdown.conf", "elastic-network-interfaces.conf", "docker-finish.conf",
]
IDS = [file.stem for file in FILES]
each_file = pytest.mark.parametrize("file", FILES, ids=IDS)

LO = ("net-device-up", "IFACE=lo", "LOGICAL=lo", "ADDRFAM=inet", "METHOD=loopback")
ETH0 = ("net-device-up", "IFACE=eth0", "LOGICAL=eth0", "ADDRFAM=inet", "METHOD=dhcp")
ETH1 = ("net-device-up", "IFACE=eth1", "LOGICAL=eth1", "ADDRFAM=inet", "METHOD=dhcp")
FILESYSTEMS = ("local-filesystems",)


def rc(name, runlevel):
    """Return an event of the job rc, which exports the run level."""
    return (name, "JOB=rc", "INSTANCE=", "RESULT=ok", "RUNLEVEL=" + runlevel, "PREVLEVEL=N")


def sysv(name):
    """Return what RHEL's /etc/rc.d/rc emits around the start of a SysV service."""
    return [("starting", "JOB=" + name), ("started", "JOB=" + name)]


RC_DONE = rc("stopped", "2")
UBUNTU_BOOT = [
    ("startup",), ("virtual-filesystems",), LO, FILESYSTEMS, ("filesystem",), ETH0,
    ("static-network-up",), ("runlevel", "RUNLEVEL=2", "PREVLEVEL=N"), ETH1, RC_DONE,
]
RHEL_BOOT = [
    ("startup",), ("runlevel", "RUNLEVEL=3", "PREVLEVEL="), *sysv("iptables"), *sysv("network"),
    *sysv("sshd"), rc("stopped", "3"),
]
SHUTDOWN = [
    ("runlevel", "RUNLEVEL=6", "PREVLEVEL=3"), rc("starting", "6"),
    ("stopping", "JOB=network"), ("stopped", "JOB=network"),
    rc("stopping", "6"), rc("stopped", "6"),
]


def job(name):
    """Return one of our jobs."""
    (file,) = [file for file in FILES if file.stem == name]
    return Job(name, file.read_text())


def stub(directory, code=0):
    """Put commands into `directory` that note how they were called and exit with `code`."""
    for command in COMMANDS:
        file = directory / command
        call = 'echo "${{0##*/}} $*" >>{}/calls'.format(directory)
        file.write_text("#!/bin/sh\n{}\nexit {}\n".format(call, code))
        file.chmod(0o755)


def run(process, directory, **environment):
    """Run a process of a job as upstart does, where no command can be found but those of ours.

    Returns the exit code and what was called.
    """
    text = process.shell_text().replace("@SBINDIR@", str(directory))
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", text], env=dict(environment, PATH="/nonexistent"), check=False,
        capture_output=True, text=True,
    )
    calls = directory / "calls"
    assert done.stderr == ""
    return done.returncode, calls.read_text().splitlines() if calls.exists() else []


def test_there_are_the_jobs_that_the_readme_lists():
    readme = (REPOSITORY / "upstart/README.md").read_text()
    assert re.findall(r"^\| `(\S+)` \| `/etc/init/\1`", readme, re.MULTILINE) == IN_ORDER
    assert sorted(IN_ORDER) == [file.name for file in FILES]


@each_file
def test_both_versions_take_the_file(file):
    assert Job(file.stem, file.read_text()).stanzas["description"]
    assert set(re.findall("@[A-Z_]+@", file.read_text())) == {"@SBINDIR@"}


@each_file
def test_nothing_stops_it_restarts_it_or_writes_to_the_console(file):
    read = Job(file.stem, file.read_text())
    assert not {"stop", "respawn", "console", "expect"} & set(read.stanzas)
    # Post-stop would run after a failed start as well.
    assert not {"pre-stop", "post-stop"} & set(read.processes)


@each_file
def test_every_process_is_good_shell(file, tmp_path):
    for process in Job(file.stem, file.read_text()).processes.values():
        script = tmp_path / "script"
        script.write_text("#!/bin/sh -e\n" + process.shell_text().replace("@SBINDIR@", "/usr/sbin"))
        subprocess.run(["dash" if shutil.which("dash") else "sh", "-n", str(script)], check=True)
        if shutil.which("shellcheck"):
            subprocess.run(["shellcheck", str(script)], check=True)


@pytest.mark.parametrize(
    ("name", "process", "called"),
    [
        ("ec2-ifup", "pre-start", "ec2ifup eth1"),
        ("ec2-ifdown", "main", "ec2ifdown eth1"),
        ("elastic-network-interfaces", "main", "ec2ifscan "),
        ("docker-finish", "main", "ec2net refresh"),
    ],
)
def test_what_a_job_runs_and_nothing_else(name, process, called, tmp_path):
    stub(tmp_path)
    (found,) = job(name).processes.items()
    assert found[0] == process
    assert run(found[1], tmp_path, INTERFACE="eth1") == (0, [called])


@pytest.mark.parametrize("name", ["elastic-network-interfaces", "docker-finish"])
@pytest.mark.parametrize(("code", "seen"), [(0, 0), (75, 0), (1, 1), (2, 1)])
def test_metadata_that_is_away_is_no_failure(name, code, seen, tmp_path):
    stub(tmp_path, code)
    assert run(job(name).processes["main"], tmp_path)[0] == seen


@pytest.mark.parametrize("code", [1, 75])
def test_an_interface_that_is_not_up_is_a_failure(code, tmp_path):
    # Else upstart takes the job for running, and refuses to start it again.
    stub(tmp_path, code)
    assert run(job("ec2-ifup").processes["pre-start"], tmp_path, INTERFACE="eth1")[0] == code


def test_an_interface_name_is_one_word(tmp_path):
    stub(tmp_path)
    for name, process in (("ec2-ifup", "pre-start"), ("ec2-ifdown", "main")):
        run(job(name).processes[process], tmp_path, INTERFACE="$(reboot) *")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["ec2ifup $(reboot) *", "ec2ifdown $(reboot) *"]


@pytest.mark.parametrize(
    ("boot", "starts"),
    [
        (UBUNTU_BOOT, [ETH0, RC_DONE]),
        (RHEL_BOOT, [("started", "JOB=network"), rc("stopped", "3")]),
        ([ETH0, LO, FILESYSTEMS, ETH1], [FILESYSTEMS]),
        ([LO, FILESYSTEMS, LO, LO], []),
        ([LO, ETH0, ETH1], []),
        ([FILESYSTEMS, ETH0, ETH1, ETH0], [ETH0]),
        ([rc("stopped", "S"), rc("stopped", "1"), rc("stopped", "0")], []),
        (SHUTDOWN, []),
    ],
    ids=["Ubuntu", "RHEL", "late disks", "lo", "no disks", "once", "run levels", "shutdown"],
)
def test_what_starts_the_scan(boot, starts):
    assert job("elastic-network-interfaces").started_by(boot) == starts


@pytest.mark.parametrize(
    "boot", [UBUNTU_BOOT, RHEL_BOOT, SHUTDOWN], ids=["Ubuntu", "RHEL", "shutdown"],
)
@pytest.mark.parametrize("name", ["ec2-ifup", "ec2-ifdown", "docker-finish"])
def test_neither_boot_nor_shutdown_start_another_job(name, boot):
    assert job(name).started_by(boot) == []


def test_docker_starts_the_refresh_on_both():
    names = ("docker", "docker.io", "docker-x")
    started = [Job(name, "exec x").event("started") for name in names]
    assert job("docker-finish").started_by(started) == started[:2]
    # On RHEL at boot only: `service docker restart` emits nothing.
    assert job("docker-finish").started_by(sysv("docker")) == [("started", "JOB=docker")]


def test_only_a_stop_on_request_takes_the_configuration_away():
    ifup = job("ec2-ifup")
    wanted = ifup.event("stopping", "ok", INTERFACE="eth1")
    other = [
        ifup.event("stopping", "failed", INTERFACE="eth1"),
        ifup.event("stopped", "ok", INTERFACE="eth1"),
        ifup.event("starting", INTERFACE="eth1"),
        ifup.event("started", INTERFACE="eth1"),
        job("ec2-ifdown").event("stopping", "ok", INTERFACE="eth1"),
    ]
    assert job("ec2-ifdown").started_by([*other, wanted, *other]) == [wanted]
    assert "INTERFACE=eth1" in wanted  # that is the variable of its instance


def test_an_instance_for_each_interface():
    for name in ("ec2-ifup", "ec2-ifdown"):
        assert job(name).stanzas["instance"] == ["$INTERFACE"]


def test_who_waits_for_whom():
    # A stop waits for ec2ifdown. RHEL's rc script, which emits `started`, waits for nothing.
    assert [name for name in IDS if "task" in job(name).stanzas] == ["ec2-ifdown"]


@pytest.mark.parametrize(
    "text",
    [
        "usage 'INTERFACE=eth1'", "setuid nobody", "reload signal USR1", "manual", "console log",
        "task now", "normal exit", "respawn limit 5", "env KEY", "stop a", 'exec "a', "exec",
        "script\ntrue", "pre-start true", "script true\nend script", "start on (a or b",
        "exec a\nscript\nb\nend script",
    ],
)
def test_what_upstart_would_not_take(text):
    with pytest.raises(ParseError):
        Job("a", text)


@pytest.mark.parametrize(
    "text", ["a or", "and a", "a (b)", "(a", "a)", "a K=v v", "a and or b", ""],
)
def test_expressions_that_upstart_would_not_take(text):
    with pytest.raises(ParseError):
        parse_expression(text)


@pytest.mark.parametrize(
    ("text", "events", "starts"),
    [
        ("a and b or c", [["c"]], 1),
        ("a or b and c", [["a"]], 0),
        ("a or (b and c)", [["a"]], 1),
        ("a and b", [["a"], ["b"], ["b"]], 1),
        ("a v w", [["a", "J=v", "K=w"]], 1),
        ("a v w", [["a", "J=v"]], 0),
        ("a v K=w", [["a", "J=v", "L=x", "K=w"]], 1),
        ("a K!=v", [["a"], ["a", "K=v"]], 0),
        ("a K!=v", [["a", "K=w"]], 1),
        ("a K=[!v]*", [["a", "K=v"], ["a", "K=wv"]], 1),
    ],
)
def test_expressions_as_upstart_reads_them(text, events, starts):
    assert len(Job("a", "start on " + text).started_by(events)) == starts


def test_the_parts_of_a_job_file():
    read = Job("a", "# x\n task # y\nexport A\nexport B\nstart on (a # z\n or b)\nexec 'a # b' # c")
    assert read.stanzas == {"task": [""], "export": ["A", "B"], "start": ["on (a or b)"]}
    assert read.processes["main"].text == "'a # b'"
    assert Job("a", "pre-start script\n end  script x\nend script").processes["pre-start"].is_script
