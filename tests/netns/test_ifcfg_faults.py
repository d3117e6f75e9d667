"""What goes wrong on a host with network-scripts, and text that would like to be a command."""

import pytest

from tests.netns.driver import (
    SCRIPTS,
    dhclient_script,
    hotplug,
    kernel,
    read,
    status,
    unreachable,
    write,
)
from tests.netns.test_faults import QUICK, SETTINGS, said

# None of these may make it: /run is the lab's own.
WITNESS = "/run/owned"
COMMANDS = [
    "$(touch /run/owned)",
    "`touch /run/owned`",
    "10.0.1.10; touch /run/owned",
    "10.0.1.10\n$(touch /run/owned)",
    "../../../run/owned",
]


@pytest.fixture
def lab(build):
    """A host with network-scripts whose eth1 has something of everything, and is not up."""
    lab = build(distribution="rhel")
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3, prefixes=["10.0.1.16/28"],
               subnet6="2001:db8:0:1::/64", ipv6=["2001:db8:0:1::10"],
               ipv6_prefixes=["2001:db8:0:1:ab::/80"], network_card=1)
    write(lab, SETTINGS, QUICK)
    return lab


def owned(lab):
    """Return whether somebody ran a command that was meant to be text."""
    return lab.host(["test", "-e", WITNESS], check=False).returncode == 0


def test_metadata_that_is_a_command(lab):
    hotplug(lab, "add")
    before = lab.snapshot()
    keys = ["meta-data/mac", "device-number", "interface-id", "network-card",
            "local-ipv4s", "subnet-ipv4-cidr-block", "ipv4-prefix",
            "ipv6s", "subnet-ipv6-cidr-blocks", "ipv6-prefix"]
    for key in keys:
        for command in COMMANDS:
            lab.fault(key + "$", status=200, body=command)
            result = hotplug(lab, "add", check=False)
            lab.clear_faults()
            assert (result.returncode, key.split("/")[-1] in said(result)) == (1, True), key
    assert not owned(lab)
    assert lab.snapshot() == before


def test_a_listing_that_is_a_command(lab):
    before = lab.snapshot()
    for command in COMMANDS:
        lab.fault("macs/$", status=200, body=command)
        assert lab.host(["ec2ifscan"], check=False).returncode == 1
        lab.clear_faults()
    # Of an ENI it lists none of the keys that there must be, which may come yet.
    lab.fault("macs/[^/]+/$", status=200, body="\n".join(COMMANDS))
    assert lab.host(["ec2ifscan"], check=False).returncode == 75
    assert not owned(lab)
    assert lab.snapshot() == before


IFCFG = r"""EC2SYNC=yes
MTU=1400
A=$(touch /run/owned)
B=`touch /run/owned`
C="$(touch /run/owned)"
D=x; touch /run/owned
E='x
touch /run/owned'
F='$(touch /run/owned)'
G="a;touch /run/owned"
H=a\;touch\ /run/owned
I=${J:=$(touch /run/owned)}
K=../../run/owned
MAINROUTETABLE="$(touch /run/owned)"
HWADDR="$(touch /run/owned)"
export L="\$(touch /run/owned)"
eval touch /run/owned
f() { touch /run/owned; }; f
if true; then touch /run/owned; fi
cat <<X
$(touch /run/owned)
X
"""


def test_a_file_of_the_older_tools_with_commands_in_it(lab):
    """ifup would run them, as it would without this package; we do not, nor keep them."""
    write(lab, SCRIPTS + "ifcfg-eth1", IFCFG)
    lab.host(["ec2net", "plan", "eth1"])
    lab.host(["ec2net", "status"])
    hotplug(lab, "add")
    assert not owned(lab)
    text = read(lab, SCRIPTS + "ifcfg-eth1")
    assert "touch" not in text and ".." not in text
    assert "MTU='1400'\n" in text
    # What is left may be run.
    lab.host(["bash", "-euc", ". {}ifcfg-eth1".format(SCRIPTS)])
    hotplug(lab, "add")
    hotplug(lab, "remove")
    assert not owned(lab)


def test_removal_runs_nothing_of_a_file_of_the_older_tools(lab):
    before = lab.snapshot()
    write(lab, SCRIPTS + "ifcfg-eth1", IFCFG)
    hotplug(lab, "remove")
    assert not owned(lab)
    assert lab.snapshot() == before


def test_a_lease_with_commands_in_it(lab):
    hotplug(lab, "add")
    files = lab.snapshot()["files"]
    options = ("domain_name", "host_name", "domain_search", "routers", "classless_static_routes",
               "ntp_servers", "root_path", "filename", "dhcp_client_identifier")
    trace = ["strace", "-f", "-qq", "-s", "4096", "-e", "trace=execve", "-o", "/run/trace"]
    for command in COMMANDS:
        lease = {"new_" + option: command for option in options}
        lease.update(new_ip_address="10.0.1.10", new_subnet_mask="255.255.255.0")
        lab.host(trace + ["/sbin/dhclient-script"],
                 env=dict(lease, reason="BOUND", interface="eth1"))
        # The hook has done its work, and none of it has become an argument of anything.
        assert "10.0.1.12/32" in str(kernel(lab)["addresses"])
        assert '"/usr/sbin/ec2net", "lease", "--within", "5"]' in read(lab, "/run/trace")
        assert "owned" not in read(lab, "/run/trace")
        dhclient_script(lab, "EXPIRE", old_ip_address="10.0.1.10")
    assert not owned(lab)
    assert lab.snapshot()["files"] == files


def test_an_interface_name_that_is_a_command(lab):
    hotplug(lab, "add")
    before = lab.snapshot()
    hook = ". /etc/dhcp/dhclient.d/ec2dhcp.sh; ec2dhcp_config"
    for name in COMMANDS + ["../eth1", "eth1;x", "eth1\n", "-h", "*", ""]:
        for reason in ("BOUND", "EXPIRE6"):
            event = {"reason": reason, "interface": name}
            result = lab.host(["ec2net", "lease"], env=event, check=False)
            assert (result.returncode, "interface" in said(result)) == (2, True)
            lab.host(["sh", "-eu", "-c", hook], env=event)
    assert not owned(lab)
    assert lab.snapshot() == before


def test_a_reason_that_is_none(lab):
    hotplug(lab, "add")
    before = lab.snapshot()
    for reason in COMMANDS + ["PREINIT", "MEDIUM", "NBI", "bound", "6"]:
        lab.host(["ec2net", "lease"], env={"reason": reason, "interface": "eth1"})
    assert not owned(lab)
    assert lab.snapshot() == before


def test_failing_metadata_changes_nothing(lab):
    hotplug(lab, "add")
    before = lab.snapshot()
    lab.assign("eth1", "10.0.1.77")
    for fault, code in (({"status": 503}, 75), ({"body": "<html>"}, 1)):
        lab.fault("local-ipv4s", **fault)
        assert hotplug(lab, "add", check=False).returncode == code
        assert lab.snapshot() == before
        lab.clear_faults()


@pytest.mark.parametrize("how", ["read-only", "full"])
def test_where_one_file_cannot_be_written_none_is(lab, how):
    """/etc/dhcp can be written, and comes first."""
    if how == "read-only":
        lab.host(["mount", "--bind", "-o", "ro", "/etc/sysconfig", "/etc/sysconfig"])
        lab.host(["mount", "-o", "remount,bind,ro", "/etc/sysconfig"])
    else:
        lab.host(["sh", "-ec", "cp -a /etc/sysconfig /run; mount -t tmpfs -o size=64k none"
                  " /etc/sysconfig; cp -a /run/sysconfig/. /etc/sysconfig;"
                  " cat /dev/zero >/etc/sysconfig/ballast 2>/dev/null || :"])
    before = lab.snapshot()
    result = hotplug(lab, "add", check=False)
    assert result.returncode == 1
    assert SCRIPTS in said(result)
    assert lab.snapshot() == before


def test_a_symbolic_link_is_not_followed(lab):
    for name in ("ifcfg-eth1", "route-eth1", "rule-eth1", "rule6-eth1"):
        lab.host(["ln", "-s", "/etc/sysconfig/victim", SCRIPTS + name])
        before = lab.snapshot()
        for command in (["ec2ifup", "eth1"], ["ec2ifscan"]):
            result = lab.host(command, check=False)
            assert result.returncode == 1
            assert "{}{} is a symbolic link".format(SCRIPTS, name) in said(result)
        lab.host(["ec2ifdown", "eth1"])
        assert lab.snapshot() == before
        lab.host(["rm", SCRIPTS + name])


def test_dhclients_own_file_of_an_administrator_is_kept(lab):
    text = "timeout 30;\n"
    write(lab, "/etc/dhcp/dhclient-eth1.conf", text)
    assert "not renewed by broadcast" in said(hotplug(lab, "add"))
    hotplug(lab, "remove")
    assert read(lab, "/etc/dhcp/dhclient-eth1.conf") == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ifcfg-eth1", "DEVICE=eth1\nBOOTPROTO=static\nIPADDR=10.0.1.10\nPREFIX=24\n"),
        ("route-eth1", "192.0.2.0/24 via 10.0.1.1 dev eth1\n"),
        ("ifcfg-backend", "DEVICE=\"eth1\"\nBOOTPROTO=dhcp\n"),
    ],
)
def test_an_administrators_configuration_is_kept(lab, name, text):
    write(lab, SCRIPTS + name, text)
    before = lab.snapshot()
    for command in (["ec2ifup", "eth1"], ["ec2ifdown", "eth1"]):
        assert "eth1: left alone: " in said(lab.host(command))
        assert lab.snapshot() == before
    lab.host(["ec2ifscan"])
    assert lab.snapshot() == before
    assert status(lab)["eth1"]["state"] == "unmanaged"


@pytest.mark.parametrize("more", ["", "EC2SYNC=yes\n"], ids=["as it is", "with EC2SYNC=yes"])
def test_the_primary_is_nobodys_business(lab, more):
    """Without its file the host would be out of reach, after a reboot, too."""
    path = SCRIPTS + "ifcfg-eth0"
    write(lab, path, read(lab, path) + more)
    before = lab.snapshot()
    for command in (["ec2ifup", "eth0"], ["ec2ifdown", "eth0"],
                    ["env", "INTERFACE=eth0", "ec2net-hotplug", "remove"]):
        lab.host(command)
        assert lab.snapshot() == before, command
    assert unreachable(lab, ["10.0.0.10"]) == []
