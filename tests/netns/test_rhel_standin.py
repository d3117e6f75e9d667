"""The lab's stand-in for RHEL does what its README says; without the product."""

import subprocess

import pytest

from tests import lab as vpc
from tests.netns.driver import (
    SCRIPTS,
    dhclient_script,
    kernel,
    read,
    unreachable,
    wait_until,
    write,
)

DHCP = "DEVICE=eth1\nBOOTPROTO=dhcp\nDEFROUTE=no\n"
# Writes down what it was called for and what it found.
HOOK = r"""
witness_tell() {
    address=$(/sbin/ip -4 -o address show dev $interface scope global)
    echo "$1 $reason $interface" >> /run/witness
    echo "$reason IFS=${IFS@Q} ${address:+addressed}" >> /run/witness.state
    pid=$$
    names=
    while [ "$pid" -gt 1 ]; do
        names="$names $(cat /proc/$pid/comm)"
        pid=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$pid/status)
    done
    echo "$names" >> /run/witness.processes
}
witness_config() { witness_tell config; }
witness_restore() { witness_tell restore; }
"""


@pytest.fixture
def lab():
    """A RHEL-like host without the product."""
    with vpc.Lab(distribution="rhel") as lab:
        yield lab


def install_hook(lab, text=HOOK, name="witness"):
    """Put an executable hook where dhclient-script looks for them."""
    path = "/etc/dhcp/dhclient.d/{}.sh".format(name)
    write(lab, path, text)
    lab.host(["chmod", "755", path])


def said(lab, what=""):
    """Return the lines that the hook has written."""
    return (read(lab, "/run/witness" + what) or "").splitlines()


def test_the_primary_is_up_after_boot(lab):
    assert unreachable(lab, lab.enis["eth0"].addresses) == []
    assert "10.0.0.10" in read(lab, "/var/lib/dhclient/dhclient-eth0.leases")
    assert "default via 10.0.0.1 dev eth0" in lab.host(["ip", "route"]).stdout
    assert "127.0.0.1" in lab.host(["ip", "address", "show", "dev", "lo"]).stdout


def test_nothing_of_debians_own_is_left(lab):
    for path in ("/etc/network", "/sbin/ifquery", "/var/lib/dhcp"):
        assert lab.host(["test", "-e", path], check=False).returncode == 1
    assert lab.host(["ls", "/etc/dhcp"]).stdout.split() == ["dhclient.d"]
    assert "STAND-IN" in read(lab, "/sbin/ifup")
    with open("/sbin/ifup", "rb") as own:
        assert b"STAND-IN" not in own.read()


def test_the_snapshot_has_the_files(lab):
    before = lab.snapshot()
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP)
    install_hook(lab)
    files = lab.snapshot()["files"]
    new = {path: text for path, text in files.items() if path not in before["files"]}
    assert new == {SCRIPTS + "ifcfg-eth1": DHCP, "/etc/dhcp/dhclient.d/witness.sh": HOOK}
    assert "/etc/sysconfig/network" in files


def test_routes_and_rules_come_and_go_with_the_interface(lab):
    eni = lab.attach("eth1", subnet="10.0.1.0/24")
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP)
    lab.host(["ifup", "eth1"])
    assert unreachable(lab, eni.addresses) == list(eni.addresses)
    lab.host(["ifdown", "eth1"])

    write(lab, SCRIPTS + "route-eth1", "# by hand\n\n"
          "default via 10.0.1.1 dev eth1 table 10001\n"
          "192.0.2.0/24 via 10.9.9.9 dev eth1\n"
          "  10.0.1.0/24 dev eth1 table 10001")
    write(lab, SCRIPTS + "rule-eth1", "pref 10001 from 10.0.1.10 lookup 10001\n")
    write(lab, SCRIPTS + "rule6-eth1", "pref 10001 from 2001:db8::1 lookup 10001\n")
    before = lab.snapshot()
    result = lab.host(["ifup", "eth1"])
    # A gateway that cannot be reached: ip complains, and the rest is done all the same.
    assert "10.9.9.9" not in lab.host(["ip", "route"]).stdout
    assert result.stderr.count("Error") == 1
    assert unreachable(lab, eni.addresses) == []
    assert "10.0.1.0/24" in lab.host(["ip", "route", "show", "table", "10001"]).stdout
    assert "2001:db8::1" in lab.host(["ip", "-6", "rule"]).stdout
    assert lab.host(["ip", "route", "show", "default"]).stdout.split()[4] == "eth0"
    lab.host(["ifdown", "eth1"])
    assert lab.snapshot() == before
    assert len(lab.host(["pgrep", "-x", "dhclient"]).stdout.split()) == 1


def test_the_other_format_of_routes_is_reported(lab):
    lab.attach("eth1")
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP)
    write(lab, SCRIPTS + "route-eth1", "ADDRESS0=192.0.2.0\nNETMASK0=255.255.255.0\n")
    assert "ADDRESS0= format" in lab.host(["ifup", "eth1"]).stderr


def test_zeroconf_has_a_route_unless_it_is_switched_off(lab):
    lab.attach("eth1")
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP + "NOZEROCONF=\n")
    lab.host(["ifup", "eth1"])
    index = int(read(lab, "/sys/class/net/eth1/ifindex"))
    routes = lab.host(["ip", "route", "show", "169.254.0.0/16"]).stdout
    assert routes.split()[1:] == ["dev", "eth1", "scope", "link", "metric", str(1000 + index)]


def test_without_dhcp_the_link_is_up_and_nothing_else(lab):
    lab.attach("eth1")
    write(lab, SCRIPTS + "ifcfg-eth1", "DEVICE=eth1\nBOOTPROTO=none\n")
    lab.host(["ifup", "eth1"])
    shown = lab.host(["ip", "-o", "link", "show", "dev", "eth1"]).stdout
    assert ",UP" in shown
    assert "inet " not in lab.host(["ip", "address", "show", "dev", "eth1"]).stdout


def test_dhcpv6(lab):
    eni = lab.attach("eth1", ipv6=1)
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP + "IPV6INIT=yes\nDHCPV6C=yes\n")
    lab.host(["ifup", "eth1"])
    wait_until(lambda: unreachable(lab, eni.ipv6) == [])
    lab.host(["ifdown", "eth1"])
    assert "eth1" not in lab.host(["ip", "-6", "-o", "address"]).stdout
    assert len(lab.host(["pgrep", "-x", "dhclient"]).stdout.split()) == 1


def test_hooks_hear_of_leases(lab):
    lab.attach("eth1", renew_after=2)
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP)
    install_hook(lab)
    write(lab, "/etc/dhcp/dhclient.d/sleeping.sh", "not executable, so never read\n")
    lab.host(["ifup", "eth1"])
    assert said(lab) == ["config BOUND eth1"]
    wait_until(lambda: "config RENEW eth1" in said(lab))
    lab.host(["ifdown", "eth1"])
    assert said(lab)[-1] == "restore STOP eth1"
    # The address goes only after the hooks.
    states = said(lab, ".state")
    assert states[0] == "BOUND IFS=', |' addressed"
    assert states[-1] == r"STOP IFS=$' \t\n' addressed"
    # The parents, up to what the test has started.  Which dhclient it is decides on how many of
    # them there are before it has gone to the background.
    processes = [line.split() for line in said(lab, ".processes")]
    assert processes[0][:2] == ["dhclient-script", "dhclient"]
    assert processes[0][-1] == "ifup-eth"
    assert processes[1] == ["dhclient-script", "dhclient"]
    assert processes[-1] == ["dhclient-script", "ifdown-eth"]


def test_a_lease_that_expires_or_changes(lab):
    lab.attach("eth1")
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP)
    install_hook(lab)
    lab.host(["ifup", "eth1"])
    dhclient_script(lab, "RENEW", old_ip_address="10.0.1.10", new_ip_address="10.0.1.20",
                    new_subnet_mask="255.255.255.0", new_routers="10.0.1.1")
    shown = lab.host(["ip", "-4", "-o", "address", "show", "dev", "eth1"]).stdout
    assert "10.0.1.20/24" in shown and "10.0.1.10" not in shown
    assert dhclient_script(lab, "EXPIRE", old_ip_address="10.0.1.20").returncode == 0
    assert said(lab) == ["config BOUND eth1", "config RENEW eth1", "restore EXPIRE eth1"]
    assert said(lab, ".state")[-1].endswith("addressed")
    assert not lab.host(["ip", "-4", "-o", "address", "show", "dev", "eth1"]).stdout


def test_a_hook_that_exits_ends_the_script(lab):
    lab.attach("eth1")
    install_hook(lab, "exit 7\n", "a")
    install_hook(lab)
    assert dhclient_script(lab, "STOP", check=False).returncode == 7
    assert said(lab) == []


def test_reasons_without_hooks(lab):
    lab.attach("eth1")
    install_hook(lab)
    reasons = {"PREINIT": 0, "STOP6": 2, "EXPIRE6": 2, "TIMEOUT": 1, "NONSENSE": 1}
    for reason, status in reasons.items():
        assert dhclient_script(lab, reason, check=False).returncode == status, reason
    assert said(lab) == []


def test_a_second_ifup_finds_dhclient_running(lab):
    lab.attach("eth1")
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP)
    lab.host(["ifup", "eth1"])
    pid = read(lab, "/run/dhclient-eth1.pid").strip()
    before = kernel(lab)
    result = lab.host(["ifup", "eth1"], check=False)
    assert result.returncode == 1
    assert "dhclient({}) is already running - exiting.".format(pid) in result.stderr
    assert kernel(lab) == before
    # One that has died is not in the way.
    lab.host(["kill", "-9", pid])
    wait_until(lambda: read(lab, "/proc/{}/comm".format(pid)) is None)
    lab.host(["ifup", "eth1"])


def test_another_mac_address_is_refused(lab):
    eni = lab.attach("eth1")
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP + "HWADDR=" + eni.mac + "\n")
    lab.host(["ifup", "eth1"])
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP + "HWADDR=0A:EC:20:99:99:99\n")
    before = kernel(lab)
    for command in ("ifdown", "ifup"):
        result = lab.host([command, "eth1"], check=False)
        assert result.returncode == 1
        assert "Device eth1 has different MAC address than expected" in result.stderr
    assert kernel(lab) == before


def test_what_is_missing(lab):
    result = lab.host(["ifup", "eth1"], check=False)
    assert result.returncode == 1
    assert "configuration for eth1 not found" in result.stderr
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP + "ONBOOT=no\n")
    assert lab.host(["ifup", "eth1", "boot"]).stdout == ""
    result = lab.host(["ifup", "eth1"], check=False)
    assert result.returncode == 1
    assert "Device eth1 does not seem to be present" in result.stderr


def test_a_files_configuration_is_dhclients(lab):
    lab.attach("eth1")
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP)
    write(lab, "/etc/dhcp/dhclient-eth1.conf", "supersede routers 10.0.1.77;\n")
    lab.host(["ifup", "eth1"])
    arguments = lab.host(["pgrep", "-a", "-x", "dhclient"]).stdout
    assert "-1 -q -cf /etc/dhcp/dhclient-eth1.conf" in arguments
    assert "10.0.1.77" in read(lab, "/var/lib/dhclient/dhclient-eth1.leases")


def test_dhclient_keeps_no_pipe_open(lab):
    """Whoever runs ifup and reads what it says is not kept waiting by the daemon it leaves."""
    lab.attach("eth1")
    write(lab, SCRIPTS + "ifcfg-eth1", DHCP)
    process = lab.namespaces.host.popen(["ifup", "eth1"], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
    said_by_ifup, _ = process.communicate(timeout=20)
    assert said_by_ifup == b"Determining IP information for eth1... done.\n"
    assert read(lab, "/run/dhclient-eth1.pid")
