"""What both ways of talking to the metadata service give: an answer, or why there is none.

A way, or transport, is an object with one method, request(method, url, headers, limit). It returns
an Answer within `limit` seconds, or raises NoAnswer.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._cheap import namedtuple

# Bytes. 64 addresses are 1 KiB; anything near this is not metadata.
LARGEST_BODY = 64 * 1024

Answer = namedtuple("Answer", ["status", "headers", "body"])
"""`status`: a number; `headers`: {name in lower case: value}; `body`: bytes."""


class NoAnswer(Exception):
    """No answer came, or it is too large, ended too early, or is not HTTP."""


def too_late(limit):
    # type: (float) -> NoAnswer
    """Return what is raised when an answer is not complete within `limit` seconds."""
    return NoAnswer("no complete answer within {0:.1f} s".format(limit))


def too_large():
    # type: () -> NoAnswer
    """Return what is raised about a body that is larger than LARGEST_BODY."""
    return NoAnswer("more than {0} bytes".format(LARGEST_BODY))


def too_short(came, length):
    # type: (int, object) -> NoAnswer
    """Return what is raised when only `came` of `length` bytes came, half of the addresses, say."""
    return NoAnswer("{0} of {1} bytes came".format(came, length))
