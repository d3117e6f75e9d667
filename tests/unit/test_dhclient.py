"""What the administrator has in dhclient.conf stays byte for byte."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy.distributions.ifupdown.dhclient import (
    with_broadcast_renewal,
    without_broadcast_renewal,
)

ADMINS = [
    "", "\n", "timeout 300;\n", "timeout 300;", "timeout 300;\n\n\n", "# a comment without an end",
    'interface "eth1" {\n  send host-name "x";\n}\n', "# ec2net is nice\n# ec2net eth1: end\n",
    "option r\xe9seau \xff\x80;\n", "dos;\r\nlines;\r\n",
]
MAC = "0a:ec:20:00:00:01"


@pytest.mark.parametrize("text", ADMINS, ids=repr)
def test_adding_and_taking_away_gives_the_same_text_back(text):
    added = with_broadcast_renewal(text, "eth1", MAC)
    assert added.startswith(text)
    assert "eth1" in added[len(text) :]
    assert with_broadcast_renewal(added, "eth1", MAC) == added
    assert without_broadcast_renewal(added, "eth1") == text
    assert without_broadcast_renewal(text, "eth1") == text


@pytest.mark.parametrize("text", ADMINS, ids=repr)
@pytest.mark.parametrize(
    "first, second",
    [("eth1", "eth2"), ("eth1", "eth10"), ("eth10", "eth1"), ("x.5", "xx5"), ("xx5", "x.5")],
)
def test_two_interfaces_come_and_go_in_any_order(text, first, second):
    one = with_broadcast_renewal(text, first, MAC)
    assert without_broadcast_renewal(one, second) == one
    both = with_broadcast_renewal(one, second, MAC)
    assert without_broadcast_renewal(both, second) == one
    assert without_broadcast_renewal(both, first) == with_broadcast_renewal(text, second, MAC)
    assert without_broadcast_renewal(without_broadcast_renewal(both, first), second) == text


def test_text_of_the_administrator_after_it_stays():
    added = with_broadcast_renewal("timeout 300;\n", "eth1", MAC) + "retry 60;\n"
    assert without_broadcast_renewal(added, "eth1") == "timeout 300;\nretry 60;\n"


def test_a_paragraph_of_an_earlier_version_is_replaced_not_doubled():
    added = with_broadcast_renewal("timeout 300;\n", "eth1", MAC)
    other = added.replace("255.255.255.255", "255.255.255.254")
    assert other != added
    assert with_broadcast_renewal(other, "eth1", MAC) == added


def test_an_unclosed_paragraph_takes_nothing_of_others_along():
    broken = with_broadcast_renewal("", "eth1", MAC).replace("# ec2net eth1: end\n", "")
    text = with_broadcast_renewal(broken, "eth2", MAC) + "retry 60;\n"
    for again in (text, with_broadcast_renewal(text, "eth1", MAC)):
        left = without_broadcast_renewal(again, "eth1")
        for kept in ("# ec2net eth2: begin", "# ec2net eth2: end", "retry 60;\n"):
            assert kept in left


def test_braces_are_balanced():
    added = with_broadcast_renewal("", "eth1", MAC)
    assert added.count("{") == added.count("}") > 0
    # Every dhclient, the primary's too, would run on an interface that has a block.
    assert "interface \"" not in added
    assert "hardware = 1:" + MAC in added
    assert "supersede dhcp-server-identifier 255.255.255.255;" in added
