"""dhclient's hook on a host with network-scripts: what it does, and that it costs no lease."""

import contextlib
import subprocess
import time

import pytest

from tests.netns.conftest import REPOSITORY
from tests.netns.driver import (
    SCRIPTS,
    background,
    dhclient_script,
    hotplug,
    kernel,
    killed_add,
    read,
    set_knob,
    status,
    unreachable,
    wait_until,
    write,
)

HOOK = "/etc/dhcp/dhclient.d/ec2dhcp.sh"
# What dhclient knows of the lease of eth1.
LEASE = {
    "new_ip_address": "10.0.1.10",
    "new_subnet_mask": "255.255.255.0",
    "new_broadcast_address": "10.0.1.255",
    "new_routers": "10.0.1.1",
}
UNCHANGED = dict(LEASE, **{key.replace("new", "old"): value for key, value in LEASE.items()})
# Runs after ours.
WITNESS = 'zz_config() { echo "$reason" >>/run/reasons; }\nzz_restore() { zz_config; }\n'


@pytest.fixture
def lab(build):
    """A host with network-scripts whose eth1 is configured and not up."""
    return configured(build)


@pytest.fixture
def renewing(build):
    """The same, and its lease will be renewed every two seconds."""
    return configured(build, renew_after=2)


def configured(build, **options):
    """Return a host that writes to /run/reasons what its hooks have been through with."""
    lab = build(distribution="rhel")
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3, prefixes=["10.0.1.240/28"], **options)
    hotplug(lab, "add")
    write(lab, "/etc/dhcp/dhclient.d/zz.sh", WITNESS)
    lab.host(["chmod", "755", "/etc/dhcp/dhclient.d/zz.sh"])
    return lab


def heard(lab, reason):
    """Return how often the hooks have been through with `reason`."""
    return (read(lab, "/run/reasons") or "").split().count(reason)


def renewed(lab):
    """Wait for the next renewal of eth1's lease and its hooks."""
    before = heard(lab, "RENEW")
    wait_until(lambda: heard(lab, "RENEW") > before)


def changes_during(lab, action):
    """Return what the kernel says was changed in addresses, routes and rules of IPv4."""

    def marked(source):
        rule = ["pref", "1", "from", source, "lookup", "main"]
        lab.host(["ip", "rule", "add", *rule])
        lab.host(["ip", "rule", "del", *rule])
        return source in read(lab, "/run/changes")

    with background(lab.namespaces.host, "ip -4 monitor address route rule >/run/changes"):
        wait_until(lambda: marked("192.0.2.1"))
        action()
        wait_until(lambda: marked("192.0.2.2"))
    return [line for line in read(lab, "/run/changes").splitlines() if "from 192.0.2" not in line]


def test_without_the_hook_the_further_addresses_are_missing(lab):
    """The hook is what brings them; without this the other tests would prove nothing."""
    lab.host(["rm", HOOK])
    lab.host(["ifup", "eth1"])
    assert lab.pings("10.0.1.10")
    assert "10.0.1.11" not in str(kernel(lab)["addresses"])


def test_a_renewal_changes_nothing(renewing):
    renewing.host(["ifup", "eth1"])
    assert changes_during(renewing, lambda: renewed(renewing)) == []


def test_a_renewal_brings_back_what_is_missing(lab):
    lab.host(["ifup", "eth1"])
    lab.host(["ip", "address", "delete", "10.0.1.11/32", "dev", "eth1"])
    lab.host(["ip", "rule", "delete", "from", "10.0.1.12"])
    lab.host(["ip", "route", "flush", "table", "10001"])
    dhclient_script(lab, "RENEW", **UNCHANGED)
    assert status(lab)["eth1"]["state"] == "in step"
    assert unreachable(lab, lab.enis["eth1"].addresses) == []


def test_with_sync_no_a_lease_is_nothing_but_a_lease(renewing):
    set_knob(renewing, "EC2SYNC", "no")
    renewing.host(["ifup", "eth1"])
    assert "10.0.1.11" not in str(kernel(renewing)["addresses"])
    renewing.host(["ip", "rule", "delete", "from", "10.0.1.12"])
    before = renewing.snapshot()
    renewed(renewing)
    assert renewing.snapshot() == before


def test_no_metadata_is_needed(lab):
    lab.fault(".*", action="hang")
    lab.imds_clear_log()
    lab.host(["ifup", "eth1"])
    assert unreachable(lab, lab.enis["eth1"].addresses) == []
    assert lab.imds_requests() == []


def test_an_expired_lease_takes_everything_back_and_a_new_one_brings_it_again(lab):
    before = lab.snapshot()
    lab.host(["ifup", "eth1"])
    up = lab.snapshot()
    dhclient_script(lab, "EXPIRE", old_ip_address="10.0.1.10")
    assert lab.snapshot() == before
    # As when the server answers again some hours later: there is no ifup that adds rules.
    dhclient_script(lab, "BOUND", **LEASE)
    assert lab.snapshot() == up
    assert unreachable(lab, lab.enis["eth1"].addresses) == []


@contextlib.contextmanager
def busy_host(lab):
    """Hold the lock that every run of the product takes before it changes something."""
    holder = lab.namespaces.host.popen(
        ["flock", "/run/ec2net/lock", "sh", "-c", "echo held; cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    assert holder.stdout.readline() == "held\n"
    try:
        yield
    finally:
        # The end of its input ends it.
        holder.communicate()


def test_a_lease_waits_for_a_busy_host_for_less_than_five_seconds(renewing):
    with busy_host(renewing):
        assert seconds_of_ifup(renewing) < 5
        assert renewing.pings("10.0.1.10")
    # With the next renewal.
    wait_until(lambda: "10.0.1.12/32" in str(kernel(renewing)["addresses"]))
    assert unreachable(renewing, renewing.enis["eth1"].addresses) == []


def test_a_lease_waits_for_a_product_that_hangs_for_five_seconds(lab):
    write(lab, "/usr/sbin/ec2net", "#!/bin/sh\nexec sleep 60\n")
    assert seconds_of_ifup(lab) < 6.5
    assert lab.pings("10.0.1.10")


def seconds_of_ifup(lab):
    """Bring eth1 up, for which a tenth of a second is enough without a hook."""
    started = time.monotonic()
    lab.host(["ifup", "eth1"])
    return time.monotonic() - started


@pytest.mark.parametrize(
    "spoil",
    [
        # The hook is what a package manager may leave of a removed package.
        "cp -p {hook} /run; make -s -C {repository} uninstall; cp -p /run/ec2dhcp.sh {hook}",
        "echo 'this is no Python' >/usr/lib/ec2net/ec2net_legacy/cli.py",
        "sed -i '1s|.*|#!/nonexistent/python|' /usr/sbin/ec2net",
        "rm -r /run/ec2net; ln -s /nonexistent /run/ec2net",
    ],
    ids=["removed", "broken", "no interpreter", "no run directory"],
)
def test_a_lease_survives_a_broken_product(lab, spoil):
    lab.host(["sh", "-ec", spoil.format(hook=HOOK, repository=REPOSITORY)])
    lab.host(["test", "-x", HOOK])
    lab.host(["ifup", "eth1"])
    assert lab.pings("10.0.1.10")
    assert lab.sent("eth1", "10.0.1.10") > 0
    dhclient_script(lab, "RENEW", **UNCHANGED)
    dhclient_script(lab, "EXPIRE", old_ip_address="10.0.1.10")
    # Those hooks that come after ours run as well.
    assert [heard(lab, reason) for reason in ("BOUND", "RENEW", "EXPIRE")] == [1, 1, 1]


def test_a_hook_with_closed_streams(lab):
    script = "exec <&- >&- 2>&-; exec /sbin/dhclient-script"
    lab.host(["sh", "-c", script], env=dict(LEASE, reason="BOUND", interface="eth1"))
    assert status(lab)["eth1"]["state"] == "in step"


# Prints what a hook could leave behind in the shell that sources it.
TELL = 'tell() { set; echo "$-/$#/$*/$PWD/$?"; umask; trap; alias; ulimit -a; }'
SOURCING = """
set -- a "b c"
IFS=', |/2ot'
{tell}
tell >/run/before
. {hook}
ec2dhcp_config
ec2dhcp_restore
tell >/run/after
"""
# What a shell itself changes from one command to the next, and the hook's two functions.
PASSING = ("_=", "BASH", "LINENO=", "PIPESTATUS=", "RANDOM=", "SECONDS=", "EPOCH")


@pytest.mark.parametrize("shell", [["bash"], ["bash", "--posix"], ["dash"]], ids=" ".join)
def test_the_hook_leaves_its_callers_shell_alone(lab, shell):
    # -e, -u: an unset variable or a failing command would end the caller.
    lab.host(shell + ["-euf", "-c", SOURCING.format(tell=TELL, hook=HOOK)],
             env=dict(LEASE, reason="RENEW", interface="eth1"))
    before, after = (
        [line for line in read(lab, path).splitlines() if not line.startswith(PASSING)]
        for path in ("/run/before", "/run/after")
    )
    assert [line for line in before if line not in after] == []
    added = [line for line in after if line not in before]
    # Of the functions the names, not what is in them; not all shells list them.
    names = [line for line in added if not line.startswith((" ", "{", "}"))]
    assert names == (["ec2dhcp_config () ", "ec2dhcp_restore () "] if shell == ["bash"] else [])


def test_the_hook_adds_no_address_that_was_taken_back(lab):
    """A run that died has written down both what there was and what there should be."""
    lab.host(["ifup", "eth1"])
    lab.unassign("eth1", "10.0.1.12")
    killed_add(lab)
    assert "10.0.1.12" not in read(lab, SCRIPTS + "rule-eth1")
    lab.host(["ifdown", "eth1"])
    lab.host(["ifup", "eth1"])
    assert "10.0.1.12" not in lab.host(["ip", "address"]).stdout


def test_the_hook_does_nothing_for_an_interface_whose_files_are_gone(lab):
    lab.host(["ifup", "eth1"])
    lab.host(["sh", "-c", "rm {}*-eth1".format(SCRIPTS)])
    lab.host(["ip", "rule", "delete", "from", "10.0.1.11"])
    before = lab.snapshot()
    dhclient_script(lab, "RENEW", **UNCHANGED)
    assert lab.snapshot() == before


def test_another_interfaces_lease_is_none_of_ours(lab):
    lab.host(["ifup", "eth1"])
    before = lab.snapshot()
    for reason in ("BOUND", "RENEW", "EXPIRE", "STOP"):
        lab.host(["ec2net", "lease"], env={"reason": reason, "interface": "eth0"})
    assert lab.snapshot() == before
