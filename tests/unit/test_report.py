"""What an operator reads, and what a program reads."""
from __future__ import absolute_import, print_function, unicode_literals

import json

import pytest

from ec2net_legacy import as_json, record, report, shared
from ec2net_legacy.kernel import netfilter
from ec2net_legacy.kernel.diff import Change
from ec2net_legacy.model import AlternativeName, Chain, Group, MainFirst, MarkRule, Parameter, Route
from tests.unit import flows
from tests.unit.fakes import (
    COMMON_RULES,
    PRIMARY,
    SECOND,
    THIRD,
    FakeDevices,
    eni_texts,
    ipv6_texts,
    make_host,
    metadata_tree,
    nic,
)

PRESENT = {
    4: COMMON_RULES
    + "3: eth1    inet 10.0.1.10/24 scope global eth1\\       valid_lft forever\n"
    + "10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10 \n"
}
FIFTY = "\n".join("10.0.1.{0}".format(number) for number in range(10, 60))


@pytest.fixture
def survey(tmpdir):
    """Return a function that surveys a host: eth0 the primary, eth1 up, eth2 not."""
    tmpdir.ensure("root", "etc/network/interfaces").write("source interfaces.d/*.cfg\n")

    def make(texts=None, add=()):
        enis = {
            PRIMARY: eni_texts(0),
            SECOND: texts or eni_texts(1),
            THIRD: eni_texts(2, {"interface-id": "eni-0123456789abcdef0"}),
        }
        cards = [nic("eth0", PRIMARY, True), nic("eth1", SECOND, True), nic("eth2", THIRD)]
        host = make_host(tmpdir, metadata_tree(enis), FakeDevices(*cards), PRESENT)
        for name in add:
            flows.add(host, name)
        return flows.survey(host).found

    return make


def plans_of(found):
    return [plan for _, plan in found]


def by_name(found, name):
    return [plan for device, plan in found if device.name == name][0]


def test_the_state_of_an_interface_is_one_of_three(survey):
    found = survey(add=["eth2"])
    states = [report.state_of(plan)[0] for plan in plans_of(found)]
    assert states == ["unmanaged", "differs", "differs"]
    plan = by_name(found, "eth1")
    assert report.state_of(plan._replace(files={}, steps=[])) == ("in step", "")


def test_what_differs_is_counted(survey):
    found = survey(add=["eth2"])
    assert report.state_of(by_name(found, "eth1"))[1] == "1 file, 6 kernel changes"
    assert report.state_of(by_name(found, "eth2"))[1] == "not up"
    assert "primary" in report.state_of(by_name(found, "eth0"))[1]


@pytest.mark.parametrize("texts", [eni_texts(1, {"local-ipv4s": FIFTY}), ipv6_texts(1)])
def test_everything_for_people_fits_80_columns(survey, texts):
    found = survey(texts)
    for text in (report.status_text(found), report.plans_text(plans_of(found))):
        assert max(len(line) for line in text.splitlines()) <= 80
        assert text.endswith("\n") and not text.endswith("\n\n")
        assert all(line == line.rstrip() or line.startswith(" ") for line in text.splitlines())


def test_status_is_a_table_with_the_addresses_below(survey):
    texts = eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11", "ipv4-prefix": "10.0.1.64/28"})
    lines = report.status_text(survey(texts)).splitlines()
    assert lines[0].split() == ["NAME", "MAC", "ENI", "DEV", "TABLE", "STATE"]
    row = [line for line in lines if line.startswith("eth1")][0]
    assert row.split() == ["eth1", SECOND, "eni-0a1", "0/1", "10001", "differs"]
    assert "  addresses 10.0.1.10 10.0.1.11" in lines
    assert "  prefixes 10.0.1.64/28" in lines
    column = lines[0].index("STATE")
    assert [line[column:].split()[0] for line in lines if line.startswith("eth")] == [
        "unmanaged",
        "differs",
        "differs",
    ]


def test_a_plan_shows_the_files_as_diffs_and_the_kernel_as_commands(survey):
    text = report.plans_text(plans_of(survey()))
    path = "/etc/network/interfaces.d/eth1.cfg"
    assert "--- /dev/null\n+++ {0}\n".format(path) in text
    assert "+allow-hotplug eth1\n" in text
    assert "+ ip rule add pref 10001 from 10.0.1.10 lookup 10001\n" in text
    assert "eth0: left alone: " in text
    # What will happen before how it is written down.
    assert text.index("+ ip rule") < text.index("+++ ")


def test_a_plan_for_ipv6_names_the_family(survey):
    text = report.plans_text(plans_of(survey(ipv6_texts(1))))
    assert "+ ip -6 rule add pref 10001 from 2600:1f18:0:1::10 lookup 10001\n" in text


def test_a_plan_without_changes_says_so(survey):
    plan = by_name(survey(), "eth1")._replace(files={}, steps=[])
    assert "nothing to change" in report.plans_text([plan])


def test_a_change_of_a_file_shows_only_what_changes(survey):
    texts = eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})
    survey(add=["eth1"])
    text = report.plans_text([by_name(survey(texts), "eth1")])
    assert "--- /etc/network/interfaces.d/eth1.cfg\n" in text
    assert "+allow-hotplug eth1" not in text
    assert "10.0.1.11" in text


def test_json_of_a_plan_has_everything(survey):
    eth0, eth1, eth2 = json.loads(as_json.plans(plans_of(survey()), common()))["interfaces"]
    assert eth0["name"] == "eth0" and eth0["left_alone"]
    assert (eth1["left_alone"], eth1["warning"], eth1["live"]) == (None, None, True)
    assert [one["path"] for one in eth1["files"]] == ["/etc/network/interfaces.d/eth1.cfg"]
    assert eth1["files"][0]["before"] is None
    assert eth1["files"][0]["after"].startswith("#")
    assert eth1["kernel"][-2:] == [
        {"family": 4, "add": True, "ip": "rule add pref 10001 from 10.0.1.10 lookup 10001"},
        {
            "family": 4,
            "add": False,
            "ip": "route del 10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10",
        },
    ]
    assert eth2["live"] is False


def test_json_of_the_status_has_the_columns_and_more(survey):
    eth0, eth1, _ = json.loads(as_json.status(survey(), common()))["interfaces"]
    assert (eth0["state"], eth0["table"]) == ("unmanaged", None)
    assert eth0["interface_id"] == "eni-0a0"
    assert eth1 == {
        "name": "eth1",
        "mac": SECOND,
        "interface_id": "eni-0a1",
        "network_card": 0,
        "device_number": 1,
        "table": 10001,
        "addresses": ["10.0.1.10"],
        "prefixes": [],
        "state": "differs",
        "why": "1 file, 6 kernel changes",
        "warning": None,
    }


def test_of_no_devices_there_is_an_empty_list_and_a_heading():
    assert json.loads(as_json.status([], common()))["interfaces"] == []
    assert json.loads(as_json.plans([], common()))["interfaces"] == []
    assert report.status_text([]).split() == ["NAME", "MAC", "ENI", "DEV", "TABLE", "STATE"]


def test_json_of_the_status_has_the_alternative_names_that_are_there():
    given = {"eth1": record.Names(3, ("eni-0a1", "device-number-1"), ("x",)),
             "eth0": record.Names(2, ("eni-0a0",), ())}
    settlement = done(names=given)._replace(
        changes=[Change(True, AlternativeName("eth0", "eni-0a0"))]
    )
    told = json.loads(as_json.status([], settlement))["all_enis"]
    assert told["alternative_names"] == {"eth1": ["eni-0a1", "device-number-1"]}
    assert told["why"] == "alternative names of eth0"


def test_the_log_says_in_a_line_what_was_done(survey):
    plan = by_name(survey(), "eth1")
    line = report.summary(plan, "add")
    assert "1 address" in line and "table 10001" in line
    assert "wrote /etc/network/interfaces.d/eth1.cfg" in line
    assert "6 kernel changes" in line
    done = plan._replace(files={}, steps=[])
    assert "nothing to change" in report.summary(done, "add")
    assert "nothing" in report.summary(done, "remove")
    gone = plan._replace(files={"/x": None})
    assert "removed /x" in report.summary(gone, "remove")
    assert "left alone" in report.summary(by_name(survey(), "eth0"), "add")


def test_numbers_agree_with_their_nouns(survey):
    texts = {"local-ipv4s": "10.0.1.10\n10.0.1.11", "ipv4-prefix": "10.0.1.64/28"}
    line = report.summary(by_name(survey(eni_texts(1, texts)), "eth1"), "add")
    assert "2 addresses, 1 prefix," in line


def common(**fields):
    """Return a plan for all ENIs in which nothing differs but `fields`."""
    return shared.IDLE._replace(**fields)


MAIN_FIRST = MainFirst(1, 10000, 9990, 4)
MAIN_FIRST6 = MainFirst(4, 10000, 9990, 6)
LONG = "/".join(["fd00:1234:5678:9abc:def0:1234:5678:9abc", "128"])
MARKS = netfilter.rules([("eth1", 0x100)], 0x3F00, ["eth0", "eth1"])
EVERYTHING = common(
    changes=[
        Change(False, MarkRule(0x100, 0xF0, 10001, 10001, 4)),
        Change(True, Group("eth0", 10000)),
        Change(True, Group("eth1", 10000)),
        Change(True, MarkRule(0x100, 0x3F00, 10001, 10001, 6)),
        Change(True, Route(LONG, "fe80::1234:5678:9abc:def0", "abcdefghijklmno", 10001, 6)),
        Change(True, MAIN_FIRST),
        Change(True, MAIN_FIRST6),
        Change(True, Parameter("net/ipv4/conf/eth1.5/rp_filter", 2)),
        Change(True, Chain(4, MARKS)),
        Change(False, Chain(6, ())),
        Change(False, AlternativeName("eth1", "device-number-1")),
        Change(True, AlternativeName("eth0", "eni-0a0")),
    ]
)


def done(**fields):
    return common(done=record.NOTHING_SHARED._replace(**fields))


def test_a_plan_shows_what_all_enis_have_in_common(survey):
    text = report.plans_text(plans_of(survey()), EVERYTHING)
    whole = " ".join(text[text.index("all ENIs:") :].split())
    for line in (
        "- ip rule del pref 10001 fwmark 0x100/0xf0 lookup 10001",
        "+ ip -6 rule add pref 10001 fwmark 0x100/0x3f00 lookup 10001",
        "+ ip link set dev eth0 group 10000 + ip link set dev eth1 group 10000",
        "+ ip rule add pref 9990 lookup main suppress_prefixlength 1 suppress_ifgroup 10000",
        "+ ip -6 rule add pref 9990 lookup main suppress_prefixlength 4 suppress_ifgroup 10000",
        "+ sysctl -w net/ipv4/conf/eth1.5/rp_filter=2",
        "+ iptables -t mangle -A PREROUTING -j EC2NET",
        "+ iptables -t mangle -A EC2NET -i eth0 -j RETURN",
        "- ip6tables -t mangle -X EC2NET",
        "- ip link property del dev eth1 altname device-number-1",
        "+ ip link property add dev eth0 altname eni-0a0",
    ):
        assert line in whole


def test_where_that_is_in_step_a_plan_is_as_without(survey):
    plans = plans_of(survey())
    in_step = done(items=(MAIN_FIRST,))
    assert report.plans_text(plans, in_step) == report.plans_text(plans)


def test_a_plan_says_why_connections_will_not_be_marked(survey):
    text = report.plans_text(plans_of(survey()), done()._replace(problem="no iptables"))
    assert text.endswith("\nall ENIs:\nconnections cannot be marked: no iptables\n")


@pytest.mark.parametrize(
    "settlement, said",
    [
        (common(), []),
        (done(items=(MAIN_FIRST6,)), ["all ENIs: main first"]),
        (done(cannot=(4,)), ["all ENIs: copies of main's routes"]),
        (done(items=(MAIN_FIRST,), chains=(4,)), ["all ENIs: main first; connections marked"]),
        (done(items=(MAIN_FIRST,))._replace(changes=[Change(True, Group("eth1", 7))]),
         ["all ENIs: main first; differs: link group of eth1"]),
        (done(items=(MAIN_FIRST,))._replace(problem="no iptables"),
         ["all ENIs: main first; connections cannot be marked: no iptables"]),
        # What is wanted and not there is not "on".
        (done(items=(MAIN_FIRST,))._replace(changes=[Change(True, MAIN_FIRST)]),
         ["all ENIs: differs: 1 kernel change"]),
        (done(chains=(4,), cannot=(4,))._replace(changes=[Change(True, Chain(4, MARKS))]),
         ["all ENIs: copies of main's routes; differs: marks of connections"]),
        (done(items=(MAIN_FIRST,), chains=(4,), failed=(4,))._replace(problem="no iptables"),
         ["all ENIs: main first; connections cannot be marked: no iptables"]),
        (done(enis={"eth1": (3, None)}),
         ["all ENIs: main is not first until metadata says which cards are ENIs"]),
    ],
)
def test_the_status_ends_with_a_line_about_all_enis(survey, settlement, said):
    found = survey()
    without = report.status_text(found).splitlines()
    assert report.status_text(found, settlement).splitlines() == without + said


def test_what_is_said_of_all_enis_fits_80_columns(survey):
    found = survey()
    whole = EVERYTHING._replace(problem="cannot run iptables-save: No such file; " * 3)
    for text in (report.status_text(found, whole), report.plans_text(plans_of(found), whole)):
        assert max(len(line) for line in text.splitlines()) <= 80
        assert text.endswith("\n") and not text.endswith("\n\n")


def test_json_of_a_plan_has_what_all_enis_have_in_common():
    told = json.loads(as_json.plans([], EVERYTHING._replace(problem="no iptables")))
    assert told["all_enis"] == {
        "kernel": [
            {"family": 4, "add": False, "ip": "rule del pref 10001 fwmark 0x100/0xf0 lookup 10001"},
            {"family": 4, "add": True, "ip": "link set dev eth0 group 10000"},
            {"family": 4, "add": True, "ip": "link set dev eth1 group 10000"},
            {
                "family": 6,
                "add": True,
                "ip": "rule add pref 10001 fwmark 0x100/0x3f00 lookup 10001",
            },
            {
                "family": 6,
                "add": True,
                "ip": "route replace fd00:1234:5678:9abc:def0:1234:5678:9abc/128"
                " via fe80::1234:5678:9abc:def0 dev abcdefghijklmno table 10001",
            },
            {
                "family": 4,
                "add": True,
                "ip": "rule add pref 9990 lookup main suppress_prefixlength 1"
                " suppress_ifgroup 10000",
            },
            {
                "family": 6,
                "add": True,
                "ip": "rule add pref 9990 lookup main suppress_prefixlength 4"
                " suppress_ifgroup 10000",
            },
            {
                "family": 4,
                "add": False,
                "ip": "link property del dev eth1 altname device-number-1",
            },
            {"family": 4, "add": True, "ip": "link property add dev eth0 altname eni-0a0"},
        ],
        "parameters": {"net/ipv4/conf/eth1.5/rp_filter": 2},
        "marks": [{"family": 4, "rules": list(MARKS)}, {"family": 6, "rules": []}],
        "problem": "no iptables",
    }


@pytest.mark.parametrize(
    "settlement, expected",
    [
        (common(), ["in step", None, None, [], None]),
        (done(items=(MAIN_FIRST,), chains=(4,)), ["in step", None, "first", [4], None]),
        (done(cannot=(4,)), ["in step", None, "copied", [], None]),
        (done(enis={"eth1": (3, None)}), ["in step", None, "not yet first", [], None]),
        (
            done(items=(MAIN_FIRST,))._replace(
                changes=[Change(True, MAIN_FIRST)], problem="no iptables"
            ),
            ["differs", "1 kernel change", None, [], "no iptables"],
        ),
    ],
)
def test_json_of_the_status_has_it_too(settlement, expected):
    told = json.loads(as_json.status([], settlement))["all_enis"]
    keys = ["state", "why", "main", "marked_families", "problem"]
    told.pop("alternative_names")
    assert [told.pop(key) for key in keys] == expected
    assert told == {}


def test_the_log_says_in_a_line_what_was_done_for_all_enis():
    assert report.shared_summary(common()) == ""
    assert report.shared_summary(EVERYTHING) == (
        "5 kernel changes, link group of eth0 eth1, 1 kernel parameter, marks of connections,"
        " alternative names of eth0 eth1"
    )
