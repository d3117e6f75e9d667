"""What EC2SYNC, MAINROUTETABLE and EC2PROVISIONPFXIPS come to."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy.backends import knobs

YES = ["yes", "y", "true", "t", "on", "1", "YES", "Yes", " yes "]
NO = ["no", "n", "false", "f", "off", "0", "NO", "No", " no "]
FIELDS = {
    "EC2SYNC": "sync",
    "MAINROUTETABLE": "main_route",
    "EC2PROVISIONPFXIPS": "provision_prefixes",
}
UNCLEAR = ["maybe", "nope", "-1", "$(touch /tmp/x)", "no\nyes"]


def test_who_sets_nothing_gets_the_defaults_of_the_older_tools():
    assert knobs.read([]) == knobs.DEFAULTS
    assert knobs.DEFAULTS[:3] == (True, True, False)


@pytest.mark.parametrize("name", sorted(FIELDS))
@pytest.mark.parametrize("value", YES + NO, ids=repr)
def test_a_boolean_is_what_network_scripts_take_for_one(name, value):
    found = knobs.read([(name, value)])
    assert getattr(found, FIELDS[name]) is (value in YES)
    assert found.problems == ()


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_an_empty_value_is_none(name):
    assert knobs.read([(name, "")]) == knobs.read([(name, "  ")]) == knobs.DEFAULTS


@pytest.mark.parametrize("name", ["MAINROUTETABLE", "EC2PROVISIONPFXIPS"])
@pytest.mark.parametrize("value", UNCLEAR, ids=repr)
def test_what_is_neither_changes_nothing_and_is_told_on_one_line(name, value):
    found = knobs.read([(name, value)])
    assert found[:3] == knobs.DEFAULTS[:3]
    assert len(found.problems) == 1
    assert found.problems[0].startswith(name + " is ")
    assert "\n" not in found.problems[0]


@pytest.mark.parametrize("value", UNCLEAR, ids=repr)
def test_an_unclear_ec2sync_is_a_no(value):
    found = knobs.read([("EC2SYNC", value)])
    assert (found.sync, len(found.problems)) == (False, 1)


@pytest.mark.parametrize(
    "values, sync",
    [
        (["yes", "no"], False),
        (["no", "yes"], False),
        (["", "no", "yes", ""], False),
        (["maybe", "yes"], False),
        (["yes", ""], True),
        (["yes", "yes"], True),
    ],
)
def test_any_ec2sync_no_counts(values, sync):
    assert knobs.read([("EC2SYNC", value) for value in values]).sync is sync


@pytest.mark.parametrize("name", ["MAINROUTETABLE", "EC2PROVISIONPFXIPS"])
@pytest.mark.parametrize("values, on", [(["no", "yes"], True), (["yes", "no"], False)])
def test_of_the_others_the_last_counts_as_in_a_shell(name, values, on):
    found = knobs.read([(name, value) for value in values])
    assert getattr(found, FIELDS[name]) is on


@pytest.mark.parametrize("name", ["EC2SYNC_", "XEC2SYNC", "ec2sync", "DEVICE", ""])
def test_other_names_say_nothing(name):
    assert knobs.read([(name, "no"), (name, "maybe")]) == knobs.DEFAULTS


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("main_route", [True, False])
@pytest.mark.parametrize("provision_prefixes", [True, False])
def test_what_is_written_can_be_read_back(sync, main_route, provision_prefixes):
    said = knobs.Knobs(sync, main_route, provision_prefixes, ())
    assert knobs.read(line.split("=") for line in knobs.lines(said)) == said
