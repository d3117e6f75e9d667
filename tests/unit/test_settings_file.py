"""Whatever is in a file of settings, it is either right or told to be wrong."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import settings

hypothesis = pytest.importorskip(str("hypothesis"))
st = pytest.importorskip(str("hypothesis.strategies"))

LINES = (
    "table_base = 20000",
    "ignore = eth7, ens*",
    "backend = netplan",
    "mark_mask = 0xff0000",
    "mark_base = 1",
    "mark_base = x",
    "[metadata]",
    "[metadata",
    "[[deep]]",
    "[x]",
    "deadline = 20",
    "deadline = nan",
    "endpoints = https://x",
    "endpoints =",
    "transport = light",
    "metadata = 1",
    "backend = '''",
    "table_base = 1, 2",
    "\u00e9 = \u2028\x85\x1b[2J",
    "'quoted' = \"",
    "\ufeff# x",
    "\0",
    "= x",
)


@hypothesis.settings(max_examples=300, derandomize=True, deadline=None, database=None)
@hypothesis.given(
    st.lists(st.sampled_from(LINES) | st.text(max_size=20), max_size=12).map("\n".join)
)
def test_every_text_is_either_right_or_wrong(text):
    checked = settings.check_content(text.encode("utf-8", "replace"), "/x.conf")
    for problem in checked.problems:
        assert 1 <= problem.line <= max(len(text.splitlines()), 1)
        assert "\n" not in settings.as_line(problem) and problem.expected
    if not checked.problems:
        assert settings.parse(text.splitlines(), "/x.conf") == checked.settings


@hypothesis.settings(max_examples=300, derandomize=True, deadline=None, database=None)
@hypothesis.given(st.binary(max_size=60) | st.binary(max_size=20).map(lambda x: b"backend=\n" + x))
def test_no_bytes_make_it_fail(content):
    checked = settings.check_content(content, "/x.conf")
    assert all("\n" not in settings.as_line(problem) for problem in checked.problems)


