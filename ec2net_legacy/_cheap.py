"""What the standard library has at a price that each event would pay.

Every event is a process of its own, so whatever a module makes when it is imported is made anew
each minute. Of fifty patterns a run uses a few, and compiling one is dear. collections.namedtuple
compiles source text for each class (`python3 -m timeit` prints 61 us for one of four fields, and
there are over forty). What finds nothing to do needs neither ipaddress nor json.
"""
from __future__ import absolute_import, print_function, unicode_literals

import re
from operator import itemgetter

from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    # mypy takes them for exported only by this form.
    import ipaddress as ipaddress  # noqa: PLC0414
    import json as json  # noqa: PLC0414
    from collections import namedtuple as namedtuple  # noqa: PLC0414
    from typing import Any, Pattern


class _LazyModule(object):
    """A module that is imported when something of it is first looked up."""

    def __init__(self, name):
        # type: (str) -> None
        self._named = name

    def __getattr__(self, name):
        # type: (str) -> Any
        found = getattr(__import__(self._named), name)
        setattr(self, name, found)
        return found


class _LazyPattern(object):
    """A regular expression that is compiled when one of its methods is first looked up."""

    def __init__(self, expression, flags):
        # type: (str, int) -> None
        self._made_of = expression, flags

    def __getattr__(self, name):
        # type: (str) -> Any
        # Python asks here only for what the object does not have yet.
        found = getattr(re.compile(*self._made_of), name)
        setattr(self, name, found)
        return found


def pattern(expression, flags=0):
    # type: (str, int) -> Pattern[str]
    """Return what re.compile() returns, as far as its methods go."""
    lazy = _LazyPattern(expression, flags)  # type: Any
    made = lazy  # type: Pattern[str]
    return made


class _Value(tuple):  # type: ignore[type-arg]
    """What collections.namedtuple makes, but for defaults and source text."""

    __slots__ = ()
    _fields = ()  # type: Any

    def __new__(cls, *values, **named):
        # type: (*Any, **Any) -> Any
        """Return the value; each field is given once, by place or by name."""
        if named:
            rest = cls._fields[len(values) :]
            values += tuple(named.pop(field) for field in rest if field in named)
        if named or len(values) != len(cls._fields):
            expected = "{0}: expected {1}".format(cls.__name__, ", ".join(cls._fields))
            raise TypeError(expected)
        return tuple.__new__(cls, values)

    def __getnewargs__(self):
        # type: () -> Any
        """Return what copy makes another one of."""
        return tuple(self)

    def __repr__(self):
        # type: () -> str
        """Return the value as it could stand in a program."""
        named = ["{0}={1!r}".format(*pair) for pair in zip(self._fields, self)]
        return str("{0}({1})").format(type(self).__name__, ", ".join(named))

    def _replace(self, **named):
        # type: (**Any) -> Any
        values = [named.pop(*pair) for pair in zip(self._fields, self)]
        if named:
            raise TypeError("{0} has no {1}".format(type(self).__name__, ", ".join(named)))
        return tuple.__new__(type(self), values)

    def _asdict(self):
        # type: () -> Any
        return dict(zip(self._fields, self))


if not TYPE_CHECKING:
    ipaddress = _LazyModule("ipaddress")
    json = _LazyModule("json")

    def namedtuple(name, fields):
        """Return a class of values with these fields, as collections.namedtuple does."""
        body = {str(field): property(itemgetter(at)) for at, field in enumerate(fields)}
        body.update(__slots__=(), _fields=tuple(str(field) for field in fields))
        return type(str(name), (_Value,), body)
