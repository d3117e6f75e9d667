"""The chain in which connections are marked, as the fake iptables of every age takes it."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy.errors import CommandError, HostError
from ec2net_legacy.kernel import netfilter
from tests.unit.fakes import FakeRunner, raised

both = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
JUMP = "-j EC2NET"
RULES = netfilter.rules([("eth1", 0x100), ("eth2", 0x200)], 0x3F00, ["eth0", "eth1", "eth2"])


@pytest.fixture
def runner():
    return FakeRunner()


def restores(runner):
    """Return how iptables-restore was called."""
    return [argv for argv, _ in runner.ran if argv[0].endswith("-restore")]


def chains(runner, family):
    """Return what is in the chains, but for the empty ones that are always there."""
    mangle = runner.mangle[family]
    return {
        name: rules
        for name, rules in mangle.chains.items()
        if rules or name not in mangle.BUILT_IN
    }


def bare(rules):
    return [rule[len("-A EC2NET ") :] for rule in rules]


def test_the_rules_are_as_iptables_save_prints_them():
    assert netfilter.rules([("eth1", 0x100)], 0x3F00, ["eth0", "eth1"]) == (
        "-A EC2NET -i eth1 -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x100/0x3f00",
        "-A EC2NET -i eth0 -j RETURN",
        "-A EC2NET -i eth1 -j RETURN",
        "-A EC2NET -m connmark ! --mark 0x0/0x3f00 -j CONNMARK --restore-mark --nfmask 0x3f00"
        " --ctmask 0x3f00",
    )


@both
def test_what_is_written_is_read(runner, family):
    netfilter.write(runner, family, RULES)
    assert netfilter.look(runner, family)[0] == RULES
    assert chains(runner, family) == {"PREROUTING": [JUMP], "EC2NET": bare(RULES)}
    assert chains(runner, 10 - family) == {}


@both
def test_the_programs_are_those_of_the_family(runner, family):
    netfilter.write(runner, family, RULES)
    assert [argv[0] for argv, _ in runner.ran] == {
        4: ["iptables-save", "iptables-restore"], 6: ["ip6tables-save", "ip6tables-restore"]
    }[family]


def test_the_jump_comes_first_and_others_rules_stay(runner):
    runner.mangle[4].chains.update(PREROUTING=["-i eth9 -j DROP"], OTHER=["-j MARK"])
    netfilter.write(runner, 4, RULES)
    assert chains(runner, 4) == {
        "PREROUTING": [JUMP, "-i eth9 -j DROP"], "OTHER": ["-j MARK"], "EC2NET": bare(RULES)
    }
    netfilter.write(runner, 4, ())
    assert chains(runner, 4) == {"PREROUTING": ["-i eth9 -j DROP"], "OTHER": ["-j MARK"]}


def test_where_there_is_no_chain_nothing_is_read(runner):
    assert netfilter.look(runner, 4)[0] == ()
    assert not netfilter.look(runner, 4)[1]


def test_where_mangle_was_never_used_nothing_is_read(runner, monkeypatch):
    # What iptables-nft-save prints.
    monkeypatch.setattr(runner.mangle[4], "save", lambda: "")
    assert netfilter.look(runner, 4)[0] == ()
    netfilter.write(runner, 4, RULES)
    monkeypatch.undo()
    assert netfilter.look(runner, 4)[0] == RULES


def flushed(found):
    found["EC2NET"] = []


def edited(found):
    found["EC2NET"][1] = "-i eth7 -j RETURN"


def longer(found):
    found["EC2NET"].append("-j DROP")


def in_another_order(found):
    found["EC2NET"].reverse()


def without_jump(found):
    found["PREROUTING"] = []


def with_two_jumps(found):
    found["PREROUTING"].append(JUMP)


def gone(found):
    found["PREROUTING"] = []
    del found["EC2NET"]


@pytest.mark.parametrize(
    "spoil",
    [flushed, edited, longer, in_another_order, without_jump, with_two_jumps, gone],
    ids=lambda one: one.__name__,
)
class TestSpoiled(object):
    """What others did to the chain."""

    def test_it_is_seen_and_made_good(self, runner, spoil):
        netfilter.write(runner, 4, RULES)
        spoil(runner.mangle[4].chains)
        found, exists = netfilter.look(runner, 4)
        assert (found != RULES, exists) == (True, spoil is not gone)
        netfilter.write(runner, 4, RULES)
        assert chains(runner, 4) == {"PREROUTING": [JUMP], "EC2NET": bare(RULES)}

    def test_it_goes_all_the_same(self, runner, spoil):
        netfilter.write(runner, 4, RULES)
        spoil(runner.mangle[4].chains)
        netfilter.write(runner, 4, ())
        assert chains(runner, 4) == {}


def test_with_a_jump_of_somebodys_own_it_stays_empty(runner):
    netfilter.write(runner, 4, RULES)
    own = {"OUTPUT": ["-o eth1 -g EC2NET", "-j ACCEPT"], "PREROUTING": ["-i eth1 -j EC2NET"]}
    runner.mangle[4].chains["OUTPUT"] = own["OUTPUT"]
    runner.mangle[4].chains["PREROUTING"] += own["PREROUTING"]
    assert netfilter.look(runner, 4)[0] == RULES
    assert netfilter.look(runner, 4)[1]
    netfilter.write(runner, 4, ())
    assert chains(runner, 4) == dict(own, EC2NET=[])
    assert not netfilter.look(runner, 4)[1]
    netfilter.write(runner, 4, RULES)
    assert netfilter.look(runner, 4)[0] == RULES


def test_a_comment_is_no_jump(runner):
    own = {"FORWARD": ['-m comment --comment "b\u00e9fore \\" -j EC2NET here" -j ACCEPT']}
    runner.mangle[4].chains.update(own)
    netfilter.write(runner, 4, RULES)
    netfilter.write(runner, 4, ())
    assert chains(runner, 4) == own


@pytest.mark.parametrize("rule", ["-p tcp --dport 22 -j MARK", "-j RETURN", "-i eth1 -j DROP"])
@pytest.mark.parametrize("use", [netfilter.look, lambda *words: netfilter.write(*words + (RULES,))])
def test_a_chain_of_that_name_may_be_somebodys_own(runner, rule, use):
    own = {"EC2NET": [rule], "OUTPUT": ["-j EC2NET"]}
    runner.mangle[4].chains.update(own)
    assert "chain EC2NET is somebody else's" in raised(HostError, use, runner, 4)
    assert chains(runner, 4) == own


def test_a_chain_with_a_name_that_begins_like_ours_is_not_ours(runner):
    other = {"EC2NET2": ["-j DROP"], "PREROUTING": ["-j EC2NET2"]}
    runner.mangle[4].chains.update(other)
    assert not netfilter.look(runner, 4)[1]
    netfilter.write(runner, 4, RULES)
    netfilter.write(runner, 4, ())
    assert chains(runner, 4) == other


def test_taking_away_what_is_not_there_runs_nothing_more(runner):
    netfilter.write(runner, 4, ())
    assert restores(runner) == []


@both
def test_it_waits_for_others_where_that_is_possible(runner, family):
    netfilter.write(runner, family, RULES)
    assert [argv[1:] for argv in restores(runner)] == [["-w", "2", "--noflush"]]


@both
def test_an_old_iptables_is_asked_again_without_waiting(runner, family):
    runner.old_restore = True
    netfilter.write(runner, family, RULES)
    assert [argv[1:] for argv in restores(runner)] == [["-w", "2", "--noflush"], ["--noflush"]]
    assert netfilter.look(runner, family)[0] == RULES


@pytest.mark.parametrize(
    "said",
    ["iptables-restore: invalid option -- 'w'", "iptables-restore: unrecognized option '-w'"],
)
def test_each_way_to_say_so_is_understood(said):
    assert netfilter._UNKNOWN_OPTION.search(said)


@both
def test_a_failure_is_told_with_its_reason_and_not_tried_again(runner, family):
    program = {4: "iptables-restore", 6: "ip6tables-restore"}[family]
    runner.failing[program] = "Extension connmark revision 0 not supported"
    assert "connmark" in raised(CommandError, netfilter.write, runner, family, RULES)
    assert len(restores(runner)) == 1
    assert chains(runner, family) == {}


def test_what_cannot_be_read_is_an_error(runner):
    runner.failing["iptables-save"] = "can't initialize iptables table `mangle'"
    assert "mangle" in raised(CommandError, netfilter.look, runner, 4)


def test_without_the_program_it_is_an_error(runner):
    runner.missing.add("iptables-save")
    assert "cannot run iptables-save" in raised(HostError, netfilter.look, runner, 4)
