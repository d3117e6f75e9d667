"""`ip` gets one batch a family, and what it complains about is told apart."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy.errors import CommandError
from ec2net_legacy.host.command import Result
from ec2net_legacy.kernel import iproute
from ec2net_legacy.kernel.diff import Change
from ec2net_legacy.model import Address, MainFirst, MarkRule, Route, Rule
from tests.unit.fakes import FakeReader, FakeRunner, raised

ROUTE = Route("default", "10.0.1.1", "eth1", 10001, 4)
RULE = Rule("10.0.1.10", 10001, 10001)
ADDRESS = Address("10.0.1.11", 32, "eth1")
RULE6 = Rule("2600:1f18:0:1::10", 10001, 10001)
ADDING = [Change(True, ROUTE), Change(True, RULE), Change(True, ADDRESS)]
DELETING = [Change(False, item) for item in (ADDRESS, RULE, ROUTE)]


def runner_that_says(stderr, returncode=1):
    runner = FakeRunner()
    runner.answer = Result(returncode, "", stderr)
    return runner


def test_nothing_to_do_starts_nothing():
    runner = FakeRunner()
    iproute.apply_changes(runner, [])
    assert runner.ran == []


def test_all_changes_of_a_family_are_one_process_in_their_order():
    runner = FakeRunner()
    iproute.apply_changes(runner, ADDING + [Change(True, RULE6)])
    assert len(runner.ran) == 2
    (first, lines), (second, lines6) = runner.ran
    assert first[:2] == ["ip", "-4"]
    assert second[:2] == ["ip", "-6"]
    assert lines == (
        "route replace default via 10.0.1.1 dev eth1 table 10001\n"
        "rule add pref 10001 from 10.0.1.10 lookup 10001\n"
        "addr add 10.0.1.11/32 dev eth1\n"
    )
    assert lines6 == "rule add pref 10001 from 2600:1f18:0:1::10 lookup 10001\n"


@pytest.mark.parametrize(
    "steps, stderr",
    [
        (ADDING, "RTNETLINK answers: File exists\nCommand failed -:1\n"),
        (
            ADDING,
            "RTNETLINK answers: File exists\nCommand failed -:1\n"
            "RTNETLINK answers: File exists\nCommand failed -:3\n",
        ),
        (DELETING, "RTNETLINK answers: No such process\nCommand failed -:3\n"),
        (DELETING, "RTNETLINK answers: No such file or directory\nCommand failed -:2\n"),
        (DELETING, "RTNETLINK answers: Cannot assign requested address\nCommand failed -:1\n"),
        (DELETING, 'Cannot find device "eth1"\nCommand failed -:1\n'),
        (ADDING, "Error: ipv4: FIB table does not exist.\nFile exists\nCommand failed -:2\n"),
    ],
    ids=lambda value: value[:45] if not isinstance(value, list) else "",
)
def test_what_somebody_else_did_faster_is_no_failure(steps, stderr):
    iproute.apply_changes(runner_that_says(stderr), steps)


@pytest.mark.parametrize(
    "steps, stderr, line, reason",
    [
        (ADDING, "RTNETLINK answers: Operation not permitted\nCommand failed -:2\n",
         "rule add pref 10001 from 10.0.1.10 lookup 10001", "Operation not permitted"),
        (ADDING, "Error: Nexthop has invalid gateway.\nCommand failed -:1\n",
         "route replace default via 10.0.1.1", "Nexthop has invalid gateway"),
        (ADDING, 'Cannot find device "eth1"\nCommand failed -:3\n',
         "addr add 10.0.1.11/32 dev eth1", "Cannot find device"),
        (
            ADDING,
            "RTNETLINK answers: File exists\nCommand failed -:1\n"
            "RTNETLINK answers: Network is unreachable\nCommand failed -:3\n",
            "addr add 10.0.1.11/32",
            "Network is unreachable",
        ),
        (DELETING, "RTNETLINK answers: Operation not permitted\nCommand failed -:1\n",
         "addr del 10.0.1.11/32", "Operation not permitted"),
        (ADDING, 'Option "-batch" is unknown, try "ip -help".\n', "", '"-batch" is unknown'),
        (ADDING, "", "", "exit code 1"),
    ],
    ids=["rule", "route", "address", "second of two", "deletion", "no such option", "silence"],
)
def test_a_failure_tells_the_line_and_the_reason(steps, stderr, line, reason):
    message = raised(CommandError, iproute.apply_changes, runner_that_says(stderr), steps)
    assert line in message
    assert reason in message
    assert "File exists" not in message
    assert "\n" not in message


def test_a_failure_of_one_family_does_not_keep_the_other_from_its_changes():
    runner = runner_that_says("RTNETLINK answers: Operation not permitted\nCommand failed -:1\n")
    with pytest.raises(CommandError) as caught:
        iproute.apply_changes(runner, [Change(True, RULE), Change(True, RULE6)])
    assert len(runner.ran) == 2
    assert "10.0.1.10" in "{0}".format(caught.value)
    assert "2600:1f18:0:1::10" in "{0}".format(caught.value)


@pytest.mark.parametrize("families", [(4,), (6,), (4, 6)])
def test_reading_takes_one_process_a_family(families):
    runner = FakeRunner(
        {
            4: "10001:\tfrom 10.0.1.10 lookup dmz \n",
            6: "10001:\tfrom 2600:1f18:0:1::10 lookup 10001 \n",
        }
    )
    state = iproute.read(runner, {"dmz": 10001}, {}, families)
    assert [argv[1] for argv, _ in runner.ran] == ["-{0}".format(family) for family in families]
    expected = {4: RULE, 6: RULE6}
    assert state.rules == {expected[family] for family in families}
    for _, stdin in runner.ran:
        assert all(line.split()[1] == "show" for line in stdin.splitlines())


def test_of_no_family_nothing_is_read():
    runner = FakeRunner()
    assert iproute.read(runner, {}, {}, ()) == (set(), set(), set(), set())
    assert runner.ran == []


def test_an_ip_that_prints_nothing_is_a_failure_not_an_empty_kernel():
    runner = FakeRunner({4: ""})
    raised(CommandError, iproute.read, runner, {}, {}, (4,))


def test_a_list_that_changed_while_ip_printed_it_is_a_failure(monkeypatch):
    runner = FakeRunner()
    said = "Dump was interrupted and may be inconsistent.\n"
    whole = runner.kernel[4]
    monkeypatch.setattr(runner, "run", lambda *_: Result(0, whole, said))
    raised(CommandError, iproute.read, runner, {}, {}, (4,))


def test_a_rule_for_all_sources_is_of_the_family_in_which_it_was_read():
    runner = FakeRunner(
        {
            4: "9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup enis \n",
            6: "10001:\tfrom all fwmark 0x100/0x3f00 lookup 10001 \n",
        }
    )
    assert iproute.read(runner, {}, {"enis": 10000}, (4, 6)).host_rules == {
        MainFirst(1, 10000, 9990, 4),
        MarkRule(0x100, 0x3F00, 10001, 10001, 6),
    }


def test_names_of_tables_come_from_all_files_that_ip_reads():
    reader = FakeReader(
        {
            "/etc/iproute2/rt_tables": "300 dmz\n301 other\n",
            "/etc/iproute2/rt_tables.d/a.conf": "301 renamed\n302 more\n",
            "/usr/share/iproute2/rt_tables": "254 main\n",
            "/etc/iproute2/group": "303 enis\n",
        }
    )
    assert iproute.table_names(reader.read, reader.glob) == {
        "dmz": 300, "other": 301, "renamed": 301, "more": 302, "main": 254,
    }


def test_names_of_link_groups_come_from_all_files_that_ip_reads():
    reader = FakeReader(
        {
            "/etc/iproute2/group": "0 default\n10000 enis\n10001 other\n",
            "/etc/iproute2/group.d/a.conf": "10001 renamed\n",
            "/usr/share/iproute2/group": "0\tdefault\n7 shipped\n",
            "/etc/iproute2/rt_tables": "300 dmz\n",
        }
    )
    assert iproute.group_names(reader.read, reader.glob) == {
        "default": 0, "enis": 10000, "other": 10001, "renamed": 10001, "shipped": 7,
    }
