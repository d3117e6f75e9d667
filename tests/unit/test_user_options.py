"""What EC2SYNC, MAINROUTETABLE and EC2PROVISIONPFXIPS come to."""
from __future__ import absolute_import, print_function, unicode_literals

import itertools

import pytest

from ec2net_legacy.distributions import user_options

YES = ["yes", "y", "true", "t", "on", "1", "YES", "Yes", " yes "]
NO = ["no", "n", "false", "f", "off", "0", "NO", "No", " no "]
FIELDS = {
    "EC2SYNC": "sync",
    "MAINROUTETABLE": "main_route",
    "EC2PROVISIONPFXIPS": "provision_prefixes",
}


def read(name, *values):
    return user_options.read([(name, value) for value in values])


def test_who_sets_nothing_gets_the_defaults_of_the_older_tools():
    assert user_options.read([]) == user_options.DEFAULTS == (True, True, False, ())
    for name in FIELDS:
        assert read(name, "") == read(name, "  ") == user_options.DEFAULTS
    for name in ("EC2SYNC_", "XEC2SYNC", "ec2sync", "DEVICE", ""):
        assert read(name, "no", "maybe") == user_options.DEFAULTS


@pytest.mark.parametrize("name", sorted(FIELDS))
@pytest.mark.parametrize("value", YES + NO, ids=repr)
def test_a_boolean_is_what_network_scripts_take_for_one(name, value):
    found = read(name, value)
    assert (getattr(found, FIELDS[name]), found.problems) == (value in YES, ())


@pytest.mark.parametrize("name", sorted(FIELDS))
@pytest.mark.parametrize("value", ["maybe", "nope", "-1", "$(touch /tmp/x)", "no\nyes"], ids=repr)
def test_an_unclear_value_is_told_on_one_line_and_changes_nothing_or_is_a_no(name, value):
    found = read(name, value)
    assert found[:3] == (name != "EC2SYNC", True, False)
    (problem,) = found.problems
    assert problem.startswith(name + " is ")
    assert "\n" not in problem


@pytest.mark.parametrize(
    "values, sync",
    [
        (["yes", "no"], False), (["no", "yes"], False), (["", "no", "yes", ""], False),
        (["maybe", "yes"], False), (["yes", ""], True), (["yes", "yes"], True),
    ],
)
def test_any_ec2sync_no_counts(values, sync):
    assert read("EC2SYNC", *values).sync is sync


@pytest.mark.parametrize("name", ["MAINROUTETABLE", "EC2PROVISIONPFXIPS"])
@pytest.mark.parametrize("values, on", [(["no", "yes"], True), (["yes", "no"], False)])
def test_of_the_others_the_last_counts_as_in_a_shell(name, values, on):
    assert getattr(read(name, *values), FIELDS[name]) is on


@pytest.mark.parametrize("values", itertools.product([True, False], repeat=3))
def test_what_is_written_can_be_read_back(values):
    said = user_options.UserOptions(*(values + ((),)))
    assert user_options.read(line.split("=") for line in user_options.lines(said)) == said
