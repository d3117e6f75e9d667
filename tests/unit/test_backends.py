"""Which backend a host gets."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import backends
from ec2net_legacy.errors import HostError
from tests.unit.fakes import FakeReader

INTERFACES = "/etc/network/interfaces"
IFUP_ETH = "/etc/sysconfig/network-scripts/ifup-eth"


@pytest.mark.parametrize(
    "files, setting, expected",
    [
        ([INTERFACES], "auto", "ifupdown"),
        ([IFUP_ETH], "auto", "ifcfg"),
        # network-scripts are there as programs; an interfaces file alone proves nothing.
        ([INTERFACES, IFUP_ETH], "auto", "ifcfg"),
        ([INTERFACES, IFUP_ETH], "ifupdown", "ifupdown"),
        ([INTERFACES], "ifcfg", "ifcfg"),
        ([], "ifcfg", "ifcfg"),
        ([], "ifupdown", "ifupdown"),
    ],
)
def test_which_one_a_host_has(files, setting, expected):
    assert backends.choose(setting, FakeReader(dict.fromkeys(files, ""))).name == expected


@pytest.mark.parametrize(
    "files", [[], ["/etc/os-release"], ["/etc/sysconfig/network-scripts/ifcfg-lo"]]
)
def test_a_host_with_neither_is_told_what_was_looked_for(files):
    with pytest.raises(HostError) as caught:
        backends.choose("auto", FakeReader(dict.fromkeys(files, "")))
    assert INTERFACES in "{0}".format(caught.value)
    assert IFUP_ETH in "{0}".format(caught.value)
