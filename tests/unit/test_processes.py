"""By whom this process was started, as /proc tells it."""
from __future__ import absolute_import, print_function, unicode_literals

import io
import os

import pytest

from ec2net_legacy.host import processes


@pytest.fixture
def proc(monkeypatch):
    """Return a function that lays out /proc, {pid: (name, parent)}, below a parent of number 50."""

    def lay_out(table):
        def stat(path, mode):
            pid = int(path.split("/")[2])
            assert (path, mode) == ("/proc/{0}/stat".format(pid), "rb")
            if pid not in table:
                raise IOError(2, "No such file or directory")
            name, parent = table[pid]
            text = "{0} ({1}) S {2} 7 7 0 -1 4194560 ".format(pid, name, parent)
            return io.BytesIO(text.encode("latin-1"))

        monkeypatch.setattr(os, "getppid", lambda: 50)
        monkeypatch.setattr(processes, "open", stat, raising=False)

    return lay_out


def test_parents_come_nearest_first_and_end_before_init(proc):
    proc({50: ("dhclient-script", 40), 40: ("dhclient", 30), 30: ("ifup-eth", 1), 1: ("init", 0)})
    assert processes.ancestors() == ["dhclient-script", "dhclient", "ifup-eth"]


@pytest.mark.parametrize(
    "name",
    ["(sd-pam)", "a) S 1 (b", "a b", ") S 99 ", "a\nb", "\xe9\xff", "kworker/0:1", ""],
    ids=repr,
)
def test_a_name_may_be_any_text(proc, name):
    proc({50: (name, 40), 40: ("ifup", 1)})
    assert processes.ancestors() == [name, "ifup"]


def test_a_parent_that_ended_meanwhile_ends_the_list(proc):
    proc({50: ("dhclient-script", 40)})
    assert processes.ancestors() == ["dhclient-script"]
    proc({})
    assert processes.ancestors() == []


def test_a_circle_ends(proc):
    proc({50: ("a", 40), 40: ("b", 50)})
    assert len(processes.ancestors()) == 100


def test_without_proc_there_is_nobody(monkeypatch):
    monkeypatch.setattr(processes, "open", lambda *_: io.BytesIO(b""), raising=False)
    monkeypatch.setattr(os, "getppid", lambda: 50)
    assert processes.ancestors() == []


@pytest.mark.skipif(os.getppid() <= 1, reason="started by init")
def test_the_kernels_own_text_is_read():
    with open("/proc/{0}/comm".format(os.getppid()), "rb") as stream:
        parent = stream.read().decode("latin-1").rstrip("\n")
    assert processes.ancestors()[0] == parent


@pytest.mark.parametrize(
    "words, is_one, for_ipv4",
    [
        (["/sbin/dhclient", "-q", "eth1"], True, True),
        (["dhclient", "-6", "-nw", "eth1"], True, False),
        # Another's interface is served by it, too.
        (["dhclient", "eth1", "lo"], False, False),
        (["dhclient", "-q", "eth10"], False, False),
        (["vi", "dhclient", "eth1"], False, False),
        (["dhclient", "eth1", "caf\xc3\xa9"], True, True),
        ([""], False, False),
    ],
)
def test_which_processes_are_the_dhclient_of_an_interface(monkeypatch, words, is_one, for_ipv4):
    own = "{0}".format(os.getpid())
    command_line = "\0".join(words + [""]).encode("latin-1")
    monkeypatch.setattr(os, "listdir", lambda path: ["1x", own])
    monkeypatch.setattr(processes, "open", lambda *_: io.BytesIO(command_line), raising=False)
    assert processes._is_dhclient(own, "eth1") is is_one
    assert processes.has_dhclient("eth1") is for_ipv4
