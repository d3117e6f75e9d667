"""What of a shell file is read, and what is taken for granted of the rest."""
from __future__ import absolute_import, print_function, unicode_literals

import signal

import pytest

from ec2net_legacy.distributions.networkscripts import shell

PLAIN = {
    "A=1": "1",
    "  A=1 # said so": "1",
    "A=": "",
    "A=1;": "1",
    "A=1\r": "1",
    'A="two words"': "two words",
    "A='two words'\t# two": "two words",
    "A=a#b": "a#b",
    "A='$B `c` \\'": "$B `c` \\",
    "export A=1": "1",
}
# Each is a line by itself, after which the next one is certain to be run.
OTHER_LINES = [
    "# A=1", "", "A=$B", "A=${B:-no}", "A=$(touch /tmp/x)", "A=`touch /tmp/x`",
    'A="$(touch /tmp/x)"', 'A="\\""', "A=\\$B", "A='it'\\''s'", "A=$'\\n'", "A=yes command",
    "A=yes;touch /tmp/x", "A=1 B=2", "A+=1", "A=1 &", "A=1 && B=2", "A=1 | cat", "A=1 > /tmp/x",
    "[ -e /x ] && A=no", ". /etc/x # it's there", "A-B=1", "1A=1", "just words", "iffy words",
]
# Only a shell could tell where these end.
OPEN_LINES = [
    "if true; then", "if true; then A=no; fi", "[ -e /x ] && if true; then", "! if true; then",
    "while false; do", "case $x in", "f() {", "function f", "{", "(", "B=(", "cat <<END",
    "[ -e /x ] ||", "[ -e /x ] && # then", "A=one\\", "A='not closed", 'A="not closed',
    "[ -e /x ] && return", "exit 0",
]


@pytest.mark.parametrize("line", sorted(PLAIN), ids=repr)
def test_a_plain_assignment_is_read(line):
    text = "A=0\n{0}\nB=2".format(line)
    assert shell.assignments(text, "") == [("A", "0"), ("A", PLAIN[line]), ("B", "2")]


@pytest.mark.parametrize("line", OTHER_LINES, ids=repr)
def test_another_line_is_left_out(line):
    assert shell.assignments("A=0\n{0}\nB=2".format(line), "") == [("A", "0"), ("B", "2")]


@pytest.mark.parametrize("line", OPEN_LINES, ids=repr)
def test_what_stands_after_a_line_that_may_go_on_is_not_relied_on(line):
    assert shell.assignments("A=0\n{0}\nB=2".format(line), "") == [("A", "0")]


@pytest.mark.parametrize(
    "text, values",
    [
        ("A=1\nA='2' # A=3\n", ["1", "2"]),
        ('if true; then A="1"; fi\n  A=2;\n', ["1", "2"]),
        ("B=x A=1; export A=2\r\n(A=3)", ["1", "2", "3"]),
        ("A=\nA=''\n# A=1\nAA=1\nB_A=1\nA_=1\nB='A=1'", []),
    ],
    ids=repr,
)
def test_a_variable_is_found_wherever_it_is_mentioned(text, values):
    assert shell.mentioned(text, "A") == values


@pytest.mark.parametrize(
    "text",
    ['A="' + "x \\\n" * 40, "A=" + "$x " * 5000 + "(", "a  &&  " * 5000 + "'", "x " + "#" * 50000],
    ids=["open quote", "computed", "operators", "comment"],
)
def test_a_long_text_takes_no_time(text):
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("still reading"))
    signal.alarm(2)
    try:
        assert shell.assignments(text, "") == []
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_what_is_left_out_is_told_to_who_asks(caplog):
    with caplog.at_level("DEBUG"):
        shell.assignments("A=$(touch /tmp/x)", "/etc/ifcfg-eth1")
    assert "/etc/ifcfg-eth1" in caplog.text
    assert "A=$(touch /tmp/x)" in caplog.text
