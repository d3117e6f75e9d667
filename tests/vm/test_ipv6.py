"""IPv6 of a machine that forwards, with a secondary beside its primary, after real boots."""

import re

import pytest

from tests.lab.namespaces import wait_for
from tests.vm.conftest import on_releases, prepared_machine
from tests.vm.watch import PATIENCE, answered

pytestmark = on_releases("ipv6")

AWAY = "2001:db8:ffff::9"
# The primary's part of it is the administrator's.
FORWARDING = """\
net.ipv6.conf.all.forwarding=1
net.ipv6.conf.eth0.accept_ra=2
"""


@pytest.fixture(scope="module")
def machine(request):
    """A machine whose primary has IPv6, with the product installed."""
    with prepared_machine(request.param, primary_ipv6=1) as made:
        made.shell("echo 'iface eth0 inet6 dhcp' >>/etc/network/interfaces")
        made.shell("echo '{}' >/etc/sysctl.d/forwarding.conf".format(FORWARDING))
        yield made


def out_by(machine, eni):
    """Return the device by which packets of an ENI's first IPv6 address leave."""
    said = machine.shell(f"ip -6 route get {AWAY} from {eni.ipv6[0]}")
    return said.split(" dev ")[1].split()[0]


def behind_the_primary(machine):
    """Return main's default routes once the secondary's comes after the primary's, else ""."""
    routes = machine.shell("ip -6 route show default").replace("\n", "; ")
    # Before Linux 5.12 it is a copy of what was heard.
    is_there = re.search("dev eth1 (proto ra )?metric 10001 ", routes)
    return routes if is_there and "dev eth1 proto ra metric 1024 " not in routes else ""


def test_each_address_answers_by_its_own_eni_after_a_boot(machine, report):
    second, _ = machine.attach("eth1", addresses=2, ipv6=2)
    first = machine.lab.enis["eth0"]
    for boot in ("hot-plugged", "booted"):
        if boot == "booted":
            machine.reboot()
        answered(machine.lab, [*first.addresses, *second.addresses, *second.ipv6])
        if boot == "booted":
            answered(machine.lab, first.ipv6)
            assert [out_by(machine, eni) for eni in (first, second)] == ["eth0", "eth1"]
        # Kernels before that hear each advertisement anew; the next refresh moves the route.
        routes = wait_for(lambda: behind_the_primary(machine), PATIENCE, "the routers in order")
        report(f"{boot}: {routes}")
    assert machine.failed_units() == []
