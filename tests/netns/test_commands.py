"""What a run costs and what it loads."""

import pytest

from tests.netns.conftest import PYTHON, on_both
from tests.netns.dhcp import RENEWED
from tests.netns.driver import hotplug, status, wait_until

LOADED = """
import sys
sys.path.insert(0, "/usr/lib/ec2net")
sys.argv = {argv!r}
from ec2net_legacy import cli
try:
    sys.exit(getattr(cli, {entry!r})())
except SystemExit as end:
    assert not end.code, end.code
unwanted = {unwanted!r}.intersection(sys.modules)
sys.exit(", ".join(sorted(unwanted)) or 0)
"""
HEAVY = {"requests", "configobj", "http.client", "logging", "traceback"}
# What no machine asks for; most of it would be imported each minute for ever.
UNATTENDED = HEAVY | {"argparse", "random", "textwrap", "ec2net_legacy.explain",
                      "ec2net_legacy.usage", "ec2net_legacy.as_json"}


@pytest.mark.parametrize(
    ("entry", "argv", "unwanted"),
    [
        ("hotplug", ["remove"], UNATTENDED),
        ("hotplug", ["--version"], HEAVY),
        ("ec2net", ["lease"], UNATTENDED | {"subprocess"}),
        ("ec2net", ["refresh"], UNATTENDED | {"subprocess"}),
    ],
)
def test_a_run_loads_only_what_it_needs(lab, entry, argv, unwanted):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    lab.host(["ec2net", "refresh"])
    program = LOADED.format(entry=entry, argv=["ec2net", *argv], unwanted=unwanted)
    lab.host([PYTHON, "-sE", "-c", program], env=dict(RENEWED, reason="RENEW", INTERFACE="eth1",
                                                      interface="eth1"))


@on_both
@pytest.mark.parametrize("count", [1, 50])
def test_where_nothing_changed_two_requests_an_eni_and_no_other_program_do(lab, count):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=count)
    lab.host(["ec2ifup", "eth1"])
    wait_until(lambda: status(lab)["eth1"]["state"] == "in step")
    lab.host(["ec2net", "refresh"])
    renewed = dict(RENEWED, reason="RENEW", interface="eth1")
    for argv, environment, requests in ((["ec2net", "refresh"], {}, 4),
                                        (["ec2net", "lease", "--within", "4"], renewed, 2)):
        # A lease takes for true what was read within the last five seconds.
        lab.host(["sed", "-i", r's/\], [0-9.]*\]/], 1.0]/', "/run/ec2net/interface-eth1"])
        lab.imds_clear_log()
        trace = traced(lab, argv, environment)
        assert len(trace) == 1, trace
        log = lab.imds_requests()
        assert [entry["method"] for entry in log] == ["GET"] * requests
        assert len({entry["connection"] for entry in log}) == 1


def traced(lab, argv, environment):
    """Run `argv`; return a line for each program that it started, itself included."""
    lab.host(["strace", "-f", "-qq", "-o", "/run/trace", "-e", "trace=execve", *argv],
             env=environment)
    trace = lab.host(["cat", "/run/trace"]).stdout
    return [line for line in trace.splitlines() if line.endswith("= 0")]


@pytest.mark.parametrize("count", [1, 50])
def test_an_add_is_one_connection_and_few_requests(lab, count):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=count)
    hotplug(lab, "add")
    first = lab.imds_requests()
    lab.imds_clear_log()
    hotplug(lab, "add")
    second = lab.imds_requests()
    # mac, the ENI's listing and four of its keys; the token, which cards are ENIs and the primary's
    # id only once.
    assert [entry["method"] for entry in first] == ["PUT"] + ["GET"] * 8
    assert [entry["method"] for entry in second] == ["GET"] * 6
    assert len({entry["connection"] for entry in first}) == 1


@on_both
@pytest.mark.parametrize("count", [1, 50])
def test_an_add_starts_the_same_few_processes_at_any_size(lab, count):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=count)
    lab.host(["ec2ifup", "eth1"])
    lab.assign("eth1", "10.0.1.200")
    started = traced(lab, ["ec2net-hotplug", "add"], {"INTERFACE": "eth1"})
    # The interpreter, and `ip` to change what is to be changed.
    assert len(started) == 2, started


def test_a_token_of_an_earlier_life_is_replaced(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=1)
    hotplug(lab, "add")
    lab.host(["sed", "-i", 's/"token": "[^"]*"/"token": "stale"/', "/run/ec2net/token"])
    lab.imds_clear_log()
    hotplug(lab, "add")
    statuses = [(entry["method"], entry["status"]) for entry in lab.imds_requests()]
    assert statuses[:3] == [("GET", 401), ("PUT", 200), ("GET", 200)]


def test_version_1_of_the_service(build):
    lab = build(imds_tokens="optional")
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=1)
    lab.fault("api/token", status=403)
    hotplug(lab, "add")


@pytest.mark.parametrize(
    ("argv", "environment", "words"),
    [
        (["ec2net-hotplug"], {"INTERFACE": "eth1"}, "ACTION"),
        (["ec2net-hotplug", "add"], {}, "INTERFACE"),
        (["ec2net-hotplug", "add"], {"INTERFACE": "../eth1"}, "INTERFACE"),
        (["ec2net-hotplug", "explode"], {"INTERFACE": "eth1"}, "explode"),
        (["ec2ifup"], {}, "interface"),
        (["ec2ifup", "a;b"], {}, "a;b"),
        (["ec2net"], {}, "plan"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(lab, argv, environment, words):
    result = lab.host(argv, env=environment, check=False)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert words in result.stderr


def test_the_argument_wins_over_the_environment(lab):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=1)
    before = lab.snapshot()
    result = lab.host(["ec2net-hotplug", "add"], env={"INTERFACE": "eth1", "ACTION": "remove"})
    assert result.returncode == 0
    assert lab.snapshot() != before


# Prints what became of it; the second sleep is what a dhclient is that has its lease.
_BOUNDED = """
import os, sys, time
sys.path.insert(0, "/usr/lib/ec2net")
from ec2net_legacy.errors import CommandError
from ec2net_legacy.host.command import Runner
began = time.time()
script = "trap '' TERM; sleep 301 & setsid sleep 302 & wait; sleep 303"
try:
    print(Runner().run_visibly(["sh", "-c", script], 1.0))
except CommandError as error:
    print("%s: %d s" % (error, time.time() - began))
"""


def test_a_program_that_does_not_end_is_ended_with_what_it_started_but_for_a_daemon(lab):
    said = lab.host([PYTHON, "-c", _BOUNDED]).stdout
    assert "ended, because it was not through after 1 s: " in said
    assert said.endswith((": 6 s\n", ": 7 s\n")), said
    running = lab.host(["pgrep", "-a", "-x", "sleep"], check=False).stdout.split("\n")
    assert [line.split(" ", 1)[1] for line in running if line] == ["sleep 302"]
