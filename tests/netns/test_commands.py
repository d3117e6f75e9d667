"""What a run costs and what it loads."""

import pytest

from tests.netns.conftest import PYTHON, on_both
from tests.netns.driver import hotplug

LOADED = """
import sys
sys.path.insert(0, "/usr/lib/ec2net")
sys.argv = ["ec2net-hotplug"] + {arguments!r}
from ec2net_legacy import cli
try:
    cli.hotplug()
except SystemExit:
    pass
sys.exit("requests" in sys.modules or "configobj" in sys.modules)
"""


@pytest.mark.parametrize("arguments", [["remove"], ["--help"]])
def test_removal_and_help_load_no_http_library(lab, arguments):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    lab.host(["ec2ifup", "eth1"])
    program = LOADED.format(arguments=arguments)
    lab.host([PYTHON, "-sE", "-c", program], env={"INTERFACE": "eth1"})


@pytest.mark.parametrize("count", [1, 50])
def test_an_add_is_one_connection_and_few_requests(lab, count):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=count)
    hotplug(lab, "add")
    first = lab.imds_requests()
    lab.imds_clear_log()
    hotplug(lab, "add")
    second = lab.imds_requests()
    # mac, the ENI's listing and four of its keys; the token and which cards are ENIs only once.
    assert [entry["method"] for entry in first] == ["PUT"] + ["GET"] * 7
    assert [entry["method"] for entry in second] == ["GET"] * 6
    assert len({entry["connection"] for entry in first}) == 1


@on_both
@pytest.mark.parametrize("count", [1, 50])
def test_an_add_starts_the_same_few_processes_at_any_size(lab, count):
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=count)
    lab.host(["ec2ifup", "eth1"])
    lab.assign("eth1", "10.0.1.200")
    strace = ["strace", "-f", "-qq", "-o", "/run/trace", "-e", "trace=execve"]
    lab.host(strace + ["ec2net-hotplug", "add"], env={"INTERFACE": "eth1"})
    trace = lab.host(["cat", "/run/trace"]).stdout
    started = [line for line in trace.splitlines() if line.endswith("= 0")]
    # The interpreter, and `ip` to look, to change and to look what has come of it.
    assert len(started) == 4, trace


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
