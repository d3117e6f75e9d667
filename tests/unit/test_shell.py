"""What of a shell file is read, and that a real shell agrees."""
from __future__ import absolute_import, print_function, unicode_literals

import signal

import pytest

from ec2net_legacy.backends import shell


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1", [("A", "1")]),
        ("A=1\nB=2\n", [("A", "1"), ("B", "2")]),
        ("  A=1 # said so", [("A", "1")]),
        ("# A=1\nB=2", [("B", "2")]),
        ("A=", [("A", "")]),
        ('A="two words"', [("A", "two words")]),
        ("A='two words'", [("A", "two words")]),
        ("A='it'\\''s'", [("A", "it's")]),
        ('A=one"two"\'three\'', [("A", "onetwothree")]),
        ("A=a#b", [("A", "a#b")]),
        ("A=a\\ b", [("A", "a b")]),
        ("A=one\\\ntwo", [("A", "onetwo")]),
        ('A="one\\\ntwo"', [("A", "onetwo")]),
        ('A="\\"\\$\\\\\\n"', [("A", '"$\\\\n')]),
        ("A='$B `c` \\'", [("A", "$B `c` \\")]),
        ('A="5 $"', [("A", "5 $")]),
        ("A=1; B=2;C=3", [("A", "1"), ("B", "2"), ("C", "3")]),
        ("A=1 B=2", [("A", "1"), ("B", "2")]),
        ("export A=1 B=2", [("A", "1"), ("B", "2")]),
        ("A=1\nA=2", [("A", "1"), ("A", "2")]),
        ("A='x\ny'", [("A", "x\ny")]),
        ("A=yes;touch /tmp/x", [("A", "yes")]),
    ],
)
def test_what_is_read(text, expected):
    assert shell.assignments(text, "ifcfg-eth1") == expected


@pytest.mark.parametrize(
    "text",
    [
        "A=$B",
        "A=${B:-no}",
        "A=$(touch /tmp/x)",
        "A=`touch /tmp/x`",
        'A="$(touch /tmp/x)"',
        "A=yes command",
        "A=(1 2)",
        "A+=1",
        "A=1 &",
        "A=1 && B=2",
        "A=1 | cat",
        "A=1 > /tmp/x",
        "[ -e /x ] && A=no",
        "if true; then\nA=no\nfi",
        "if true; then A=no; fi",
        "while false; do\nA=no\ndone",
        "case $x in\n a) A=no;;\nesac",
        "f() {\nA=no\n}",
        "function f {\nA=no\n}",
        "(\nA=no\n)",
        "B=(\nA=no\nx)",
        "cat <<END\nA=no\nEND",
        "A='not closed",
        'A="not closed',
        "A=$'\\n'",
        "A-B=1",
        "1A=1",
        "just words",
        "",
    ],
)
def test_what_only_a_shell_could_tell_is_left_out(text):
    assert shell.assignments(text, "ifcfg-eth1") == []


def test_what_follows_is_read_again():
    text = "if true; then\nA=1\nfi\ncase x in\n a) A=2;;\nesac\nB=3\n"
    assert shell.assignments(text, "ifcfg-eth1") == [("B", "3")]
    assert shell.assignments("function f {\nA=no\n}\nB=1", "ifcfg-eth1") == [("B", "1")]


@pytest.fixture
def soon():
    """Fail a test that takes longer than two seconds."""

    def too_long(*_):
        pytest.fail("still reading")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(2)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("soon")
def test_an_open_quote_over_many_lines_takes_no_time():
    assert shell.assignments('A="' + "x \\\n" * 40, "ifcfg-eth1") == []


def test_what_is_left_out_is_told_to_who_asks(caplog):
    with caplog.at_level("DEBUG"):
        shell.assignments("A=$(touch /tmp/x)", "/etc/ifcfg-eth1")
    assert "/etc/ifcfg-eth1" in caplog.text
    assert "A=$(touch /tmp/x)" in caplog.text
