"""Values and patterns are what the standard library would have made of the same words."""
from __future__ import absolute_import, print_function, unicode_literals

import collections
import copy

import pytest

from ec2net_legacy import _cheap

Ours = _cheap.namedtuple("Ours", ["one", "two", "three"])
Theirs = collections.namedtuple("Theirs", ["one", "two", "three"])


@pytest.mark.parametrize(
    "given, named",
    [
        ((1, 2, 3), {}),
        ((1,), {"three": 3, "two": 2}),
        ((), {"one": 1, "two": 2, "three": 3}),
    ],
)
def test_a_value_is_the_same_tuple(given, named):
    ours, theirs = Ours(*given, **named), Theirs(*given, **named)
    assert ours == theirs == (1, 2, 3)
    assert hash(ours) == hash(theirs)
    assert (ours.one, ours.two, ours.three) == (1, 2, 3)
    assert ours._replace(two=5) == theirs._replace(two=5)
    assert ours._asdict() == theirs._asdict()
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert Ours._fields == Theirs._fields


@pytest.mark.parametrize(
    "given, named",
    [
        ((1, 2), {}),
        ((1, 2, 3, 4), {}),
        ((1, 2, 3), {"one": 1}),
        ((1, 2), {"four": 4}),
        ((), {}),
    ],
)
def test_fields_that_are_missing_or_unknown_are_refused(given, named):
    with pytest.raises(TypeError):
        Ours(*given, **named)
    with pytest.raises(TypeError):
        Ours(1, 2, 3)._replace(four=4)
    with pytest.raises(AttributeError):
        Ours(1, 2, 3).one = 5


def test_a_copy_is_the_same_value():
    value = Ours(1, [2], 3)
    for copied in (copy.copy(value), copy.deepcopy(value)):
        assert copied == value
        assert type(copied) is Ours


def test_a_pattern_is_compiled_when_it_is_used():
    lazy = _cheap.pattern("(a)(?P<b>B)", 2)
    assert vars(lazy) == {"_made_of": ("(a)(?P<b>B)", 2)}
    assert lazy.match("AB").groups() == ("A", "B")
    assert lazy.findall("abab") == [("a", "b")] * 2
    assert lazy.groupindex == {"b": 2}
