"""A guard for the unit tests: none of them may start a process or reach a network."""
import logging
import os
import platform
import socket
import subprocess

import pytest

from ec2net_legacy import log

# Old releases of requests put the platform into their User-Agent, and Python 2.7 asks a
# subprocess for it, once: let it do that now, before the guard stands.
platform.uname()

PROCESSES = [
    (subprocess.Popen, "__init__"),
    (os, "execv"),
    (os, "execve"),
    (os, "fork"),
    (os, "forkpty"),
    (os, "popen"),
    (os, "posix_spawn"),
    (os, "posix_spawnp"),
    (os, "system"),
]
NETWORK = [(socket, "getaddrinfo"), (socket, "gethostbyname"), (socket.socket, "__init__")]


def refuse(owner, name):
    """Return a stand-in for `name` of `owner` that fails the test."""

    def fail(*args, **kwargs):
        # pytest.fail raises a BaseException: an `except Exception` on the way does not hide it.
        pytest.fail("a unit test called %s.%s" % (owner.__name__, name))

    return fail


@pytest.fixture(autouse=True)
def no_outside_world(monkeypatch):
    """Refuse processes and networks. Attributes are replaced, so earlier imports see it too."""
    for owner, name in PROCESSES + NETWORK:
        # posix_spawn came with Python 3.8.
        if hasattr(owner, name):
            monkeypatch.setattr(owner, name, refuse(owner, name))


@pytest.fixture(autouse=True)
def caught_lines(monkeypatch):
    """What is logged goes to logging, where pytest catches it."""
    caught = logging.getLogger("ec2net_legacy")
    monkeypatch.setattr(log, "hearers", [(log.DEBUG, caught.log)])
