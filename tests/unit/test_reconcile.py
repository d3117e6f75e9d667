"""Carrying out: what the kernel does not have afterwards is an error that names it."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import act
from ec2net_legacy.errors import CommandError
from ec2net_legacy.kernel.diff import Change
from ec2net_legacy.model import Address, Route, Rule
from tests.unit import flows
from tests.unit.fakes import COMMON_RULES, SECOND, THIRD, FakeDevices, eni_texts, make_host, raised
from tests.unit.hosts import Hosts, card, inet, kernel_with

ADDRESS = Address("10.0.1.11", 32, "eth1")
ROUTE = Route("10.0.1.0/24", "", "eth1", 10001, 4)
RULE = Rule("10.0.1.11", 10001, 10001)
RULE6 = Rule("2600:1f18::10", 10001, 10001)
SHOWN = {
    ADDRESS: "3: eth1    inet 10.0.1.11/32 scope global eth1",
    ROUTE: "10.0.1.0/24 dev eth1 table 10001 scope link ",
    RULE: "10001:\tfrom 10.0.1.11 lookup 10001 ",
    RULE6: "10001:\tfrom 2600:1f18::10 lookup 10001 ",
}


@pytest.fixture
def host(tmpdir):
    def make(*lines, **others):
        kernel = {4: COMMON_RULES + "".join(line + "\n" for line in lines)}
        tmpdir.ensure("root", "etc/network/interfaces")
        return make_host(tmpdir, {}, FakeDevices(), kernel, **others)

    return make


def shown(host, family=4):
    return host.runner.kernel[family][len(COMMON_RULES) :].splitlines()


def said_by(host, steps):
    return raised(CommandError, act.apply_steps, host, steps)


def test_without_a_step_there_is_no_process(host):
    one = host()
    act.apply_steps(one, [])
    assert one.runner.ran == []


@pytest.mark.parametrize("item", [ADDRESS, ROUTE, RULE], ids=["address", "route", "rule"])
@pytest.mark.parametrize("add", [True, False])
def test_a_step_is_done_in_one_batch_and_seen_in_one_reading(host, item, add):
    one = host() if add else host(SHOWN[item])
    act.apply_steps(one, [Change(add, item)])
    assert len(one.runner.changes) == 1
    assert one.runner.reads == 1
    assert len(shown(one)) == int(add)


@pytest.mark.parametrize("item", [ADDRESS, ROUTE, RULE], ids=["address", "route", "rule"])
@pytest.mark.parametrize("add", [True, False])
def test_a_step_without_effect_is_an_error_that_names_it(host, item, add):
    one = host() if add else host(SHOWN[item])
    one.runner.frozen = True
    step = Change(add, item)
    said = said_by(one, [step])
    assert step.line in said
    assert "\n" not in said


def test_only_what_has_no_effect_is_named(host):
    one = host()
    real = one.runner._batch
    one.runner._batch = lambda family, lines: real(
        family, [line for line in lines if not line.startswith("addr")]
    )
    said = said_by(one, [Change(True, RULE), Change(True, ADDRESS)])
    assert Change(True, ADDRESS).line in said
    assert Change(True, RULE).line not in said
    assert shown(one) == [SHOWN[RULE]]


def test_a_line_that_fails_is_named_and_the_others_are_tried(host):
    one = host()
    failing = Change(True, RULE)
    one.runner.refused = {failing.line: "Operation not permitted"}
    said = said_by(one, [Change(True, ROUTE), failing, Change(True, ADDRESS), Change(True, RULE6)])
    assert failing.line + ": RTNETLINK answers: Operation not permitted" in said
    assert Change(True, ADDRESS).line not in said
    assert len(shown(one)) == 2
    assert shown(one, 6) == [SHOWN[RULE6]]


@pytest.mark.parametrize("times", [2, 3])
def test_a_rule_that_an_old_kernel_has_several_times_is_taken_back_as_often(host, times):
    one = host(*[SHOWN[RULE]] * times)
    act.apply_steps(one, [Change(False, RULE)])
    assert shown(one) == []
    assert one.runner.changes == [Change(False, RULE).line] * times


def test_the_rest_is_not_done_again_with_it(host):
    one = host(SHOWN[RULE], SHOWN[RULE])
    one.runner.lenient = True
    other = Rule("10.0.1.12", 10001, 10001)
    act.apply_steps(one, [Change(True, other), Change(False, RULE)])
    assert shown(one) == ["10001:\tfrom 10.0.1.12 lookup 10001 "]


def test_what_another_was_faster_with_is_done(host):
    one = host(SHOWN[RULE])
    act.apply_steps(one, [Change(True, RULE), Change(False, ADDRESS)])
    assert shown(one) == [SHOWN[RULE]]


def test_a_rule_comes_once_on_an_old_kernel(tmpdir):
    """Not again with each run, which such a kernel would take."""
    hosts, kernel = Hosts(tmpdir), kernel_with(inet("10.0.1.10/24"))
    for use_case in (lambda one: flows.add(one, "eth1"), flows.refresh, flows.refresh):
        one = hosts(card(up=True), kernel=kernel)
        one.runner.lenient = True
        use_case(one)
        kernel = one.runner.kernel
    assert kernel[4].count("lookup 10001") == 1


@pytest.mark.parametrize("breaks", ["frozen", "refused"])
def test_a_failed_run_forgets_nothing_and_the_next_one_ends_it(tmpdir, breaks):
    hosts, cards = Hosts(tmpdir), (card(up=True), card("eth2", THIRD, up=True, index=4))
    more = {SECOND: eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"}), THIRD: eni_texts(2)}
    kernel = kernel_with(inet("10.0.1.10/24"), inet("10.0.2.10/24", "eth2"))
    one = hosts(*cards, enis=more, kernel=kernel)
    for name in ("eth1", "eth2"):
        flows.add(one, name)
    failing = hosts(*cards, kernel=one.runner.kernel)
    if breaks == "frozen":
        failing.runner.frozen = True
    else:
        failing.runner.refused = {"addr del 10.0.1.11/32 dev eth1": "Operation not permitted"}
    ((_, error),) = flows.refresh(failing)[1]
    assert "addr del 10.0.1.11/32 dev eth1" in "{0}".format(error)
    last = hosts(*cards, kernel=failing.runner.kernel)
    flows.refresh(last)
    assert "10.0.1.11" not in last.runner.kernel[4]
    assert "10.0.2.10 lookup" in last.runner.kernel[4]
