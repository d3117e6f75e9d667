"""However metadata fails, nothing is lost, and docs/reliability.md says what one sees of it."""

import pytest

from tests.lab import networkd
from tests.netns import reliability
from tests.netns.conftest import REPOSITORY


@pytest.fixture(scope="module", params=reliability.TRANSPORTS)
def results(request):
    """Every case, tried once by each transport."""
    return reliability.measure(request.param)


@pytest.fixture(scope="module")
def on_networkd():
    """Every case that there is with networkd."""
    reason = networkd.available("252")
    if reason:
        pytest.skip(reason)
    return reliability.measure("light", ["networkd-252"], reliability.OF_NETWORKD)


def test_nothing_is_lost_or_changed(results):
    assert set(results) == set(reliability.cases())
    assert {case: result.changed for case, result in results.items() if result.changed} == {}


def test_a_lease_ends_well_for_dhclient(results):
    codes = {result.code for case, result in results.items() if case[0] == "lease"}
    assert codes == {0}


def test_one_line_says_what_failed(results):
    wrong = {
        case: result for case, result in results.items()
        if len(result.said) > 1 or (result.code and not result.said)
    }
    assert wrong == {}


@pytest.mark.parametrize("command", ["add", "refresh"])
def test_only_what_is_no_metadata_at_all_is_an_error(results, command):
    """75: metadata is unavailable; 1: it says something that it must not say."""
    codes = {result.code for case, result in results.items()
             if case[0] == command and not case[2].endswith(", 200")}
    assert codes == ({75} if command == "add" else {75, 0})
    codes = {result.code for case, result in results.items()
             if case[0] == command and case[2].endswith(", 200") and "listing" not in case[1]}
    assert codes == {1}


def test_the_table_of_the_documentation_is_true(results):
    table = reliability.table(results)
    text = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert table in text, "python3 -m tests.netns.reliability prints the new one:\n" + table


def test_with_networkd_it_is_the_same(on_networkd, results):
    assert set(on_networkd) == set(reliability.cases(reliability.OF_NETWORKD))
    cells = {case: reliability.cell(result) for case, result in on_networkd.items()}
    assert cells == {case: reliability.cell(results[case]) for case in cells}
