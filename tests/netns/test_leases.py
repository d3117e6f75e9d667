"""A lease is renewed, ends or comes back: rules, routes and addresses stay as AWS says.

The shortest lease that dnsmasq gives lasts two minutes: that one expires is told to the real
dhclient-script by hand, with the environment that dhclient gives it. ISC's dhclient 4.4 calls its
script with RENEW also for an answer that comes after T2, so that REBIND is by hand, too.
"""

import contextlib
import subprocess
import time

import pytest

from tests.netns.conftest import PYTHON, REPOSITORY
from tests.netns.dhcp import (
    LEASE,
    OLD,
    RENEWED,
    SETTINGS,
    dhclient,
    dhclients,
    heard,
    listen,
    renewed,
    script,
)
from tests.netns.driver import hotplug, read, status, unreachable, wait_until, write
from tests.netns.looks import changes, look

EC2NET = "/etc/ec2net/ec2net.conf"
EXTRA = ("10.0.1.11/32", "10.0.1.12/32")


@pytest.fixture(params=["debian", "rhel"])
def bare(build, request):
    """A host, and eth1 with three addresses, on which nothing was done yet."""
    lab = build(distribution=request.param)
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3)
    listen(lab)
    return lab


@pytest.fixture
def lab(bare):
    """The same with eth1 up."""
    bare.host(["ec2ifup", "eth1"])
    return bare


def ours(lab):
    """Return which rules and further addresses of eth1 there are."""
    rules = [line for line in lab.host(["ip", "rule"]).stdout.splitlines()
             if line.startswith("10001:") and line.split()[-1] == "10001"]
    addresses = lab.host(["ip", "-o", "address"]).stdout
    return len(rules), [address for address in EXTRA if address in addresses]


def router(lab, table="10001"):
    """Return the default route of a table."""
    return lab.host(["ip", "route", "show", "default", "table", table]).stdout.strip()


@pytest.mark.parametrize("distribution", ["debian", "rhel"])
def test_a_real_lease_from_its_renewal_to_its_release_and_back(build, distribution):
    lab = build(distribution=distribution)
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=3, renew_after=2)
    listen(lab)
    lab.host(["env", "INTERFACE=eth1", "ec2net-hotplug", "add"])
    # It tries again each second instead of after ten.
    quick = "initial-interval 1;\nbackoff-cutoff 1;\n"
    write(lab, SETTINGS[distribution], read(lab, SETTINGS[distribution]) + quick)
    lab.host(["ifup", "eth1"])
    up = look(lab, files=False)
    renewed(lab)
    assert changes(up, look(lab, files=False)) == []

    # Nobody answers until after T2, three seconds after the last answer; then somebody else does.
    server = lab.vpc_router.dhcp("eth1")
    server.stop()
    before = heard(lab)
    end = time.monotonic() + 4
    wait_until(lambda: time.monotonic() > end)
    assert heard(lab) == before
    assert unreachable(lab, lab.enis["eth1"].addresses) == []
    other = ["ip", "address", "add", "10.0.1.2/24", "dev", lab.enis["eth1"].port]
    lab.router([*other, "noprefixroute"])
    server.gateway = "10.0.1.2"
    server.start()
    wait_until(lambda: heard(lab) > before)
    wait_until(lambda: "via 10.0.1.2" in router(lab))
    assert ours(lab) == (3, list(EXTRA))
    assert unreachable(lab, lab.enis["eth1"].addresses) == []
    up = look(lab)

    dhclient(lab, "-r")
    assert heard(lab, "RELEASE") == 1
    assert ours(lab) == (0, [])
    assert "10.0.1.10" not in lab.host(["ip", "address"]).stdout

    before = heard(lab, "BOUND")
    dhclient(lab)
    assert heard(lab, "BOUND") == before + 1
    # Debian's script has named main another router for a new lease only.
    assert [line for line in changes(up, look(lab)) if "metric 10001" not in line] == []
    assert unreachable(lab, lab.enis["eth1"].addresses) == []
    assert status(lab)["eth1"]["state"] == "in step"


@pytest.fixture
def unheard(build):
    """A host on which no dhclient of eth1 hears anything at first, and its server."""
    lab = build()
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=2)
    hotplug(lab, "add")
    quick = "initial-interval 1;\nbackoff-cutoff 1;\ntimeout 5;\n"
    write(lab, SETTINGS["debian"], read(lab, SETTINGS["debian"]) + quick)
    server = lab.vpc_router.dhcp("eth1")
    server.stop()
    return lab, server


def test_for_a_dhclient_that_hears_nothing_another_one_tries(unheard):
    """As Debian 11's do now and then; here it is the server's fault."""
    lab, server = unheard
    process = lab.namespaces.host.popen(["ec2ifup", "eth1"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
    with process:
        assert any("eth1: no lease; another dhclient tries" in line for line in process.stderr)
        server.start()
    assert process.returncode == 0
    assert unreachable(lab, lab.enis["eth1"].addresses) == []
    assert len(dhclients(lab)) == 1


def test_that_is_tried_once(unheard):
    lab, _ = unheard
    result = lab.host(["ec2ifup", "eth1"])
    assert result.stderr.count("another dhclient tries") == 1
    # It goes on asking.
    assert len(dhclients(lab)) == 1


def test_a_lost_lease_takes_exactly_ours_and_the_next_brings_it_back(lab):
    foreign = [
        ["rule", "add", "pref", "500", "from", "10.0.1.10", "lookup", "500"],
        ["rule", "add", "pref", "10001", "from", "10.0.1.99", "lookup", "500"],
        ["rule", "add", "pref", "20000", "from", "10.0.1.99", "lookup", "10001"],
        ["addr", "add", "192.0.2.7/32", "dev", "lo"],
        ["route", "add", "192.0.2.128/25", "via", "10.0.0.1", "dev", "eth0"],
        ["route", "add", "192.0.2.64/26", "via", "10.0.0.1", "dev", "eth0", "table", "10001"],
    ]
    if lab.distribution == "debian":
        # RHEL's dhclient-script flushes the whole interface, Debian's all but other labels.
        foreign.append(["addr", "add", "192.0.2.8/32", "dev", "eth1", "label", "eth1:own"])
    for arguments in foreign:
        lab.host(["ip", *arguments])
    up = look(lab)
    for reason in ("EXPIRE", "FAIL", "RELEASE", "STOP"):
        script(lab, reason, **OLD)
        assert ours(lab) == (0, []), reason
        assert "10.0.1.10" not in lab.host(["ip", "address"]).stdout
        # What is there already cannot be added.
        again = [lab.host(["ip", *one], check=False).returncode for one in foreign]
        assert 0 not in again, reason
        assert lab.pings("10.0.0.10")
        script(lab, "BOUND", **LEASE)
        assert changes(up, look(lab)) == [], reason


def test_a_lost_lease_leaves_no_route(bare):
    """Debian's dhclient-script has flushed them by then."""
    hotplug(bare, "add")
    before = look(bare, files=False)
    bare.host(["ec2ifup", "eth1"])
    script(bare, "EXPIRE", **OLD)
    assert changes(before, look(bare, files=False)) == []


@contextlib.contextmanager
def monitored(lab):
    """Collect what the kernel says that was changed in addresses, routes and rules of IPv4."""
    watch = "ip -4 monitor address route rule >/run/changes & cat; kill $!"
    said = []

    def marked(number):
        rule = ["pref", "1", "from", "192.0.2.{}".format(number), "lookup", "main"]
        lab.host(["ip", "rule", "add", *rule])
        lab.host(["ip", "rule", "del", *rule])
        return rule[3] in (read(lab, "/run/changes") or "")

    with lab.namespaces.host.popen(["sh", "-c", watch], stdin=subprocess.PIPE):
        wait_until(lambda: marked(1))
        yield said
        wait_until(lambda: marked(2))
    said += [line for line in read(lab, "/run/changes").splitlines() if "192.0.2." not in line]


def test_200_renewals_leave_everything_where_it_was(lab):
    files = ["find", "/etc", "-xdev", "-newer", "/run/start", "-type", "f"]
    lab.host(["touch", "/run/start"])
    before = look(lab)
    # Fewer where all but the script, which is a stand-in, is the same.
    count = {"debian": 100, "rhel": 30}[lab.distribution]
    each = "for n in $(seq {1}); do reason=RENEW {0}; reason=REBIND {0}; done"
    with monitored(lab) as heard_of:
        lab.host(["sh", "-ec", each.format("/sbin/dhclient-script", count)], timeout=300,
                 env=dict(RENEWED, interface="eth1", IF_METRIC="10001"))
    assert heard(lab, "RENEW") == heard(lab, "REBIND") == count
    # Debian's script itself sets the lease's address again, for its life-time.
    assert [line for line in heard_of if "10.0.1.10/24" not in line and "lft" not in line] == []
    assert changes(before, look(lab)) == []
    assert lab.host(files).stdout == ""
    # Nor does what is kept about it grow.
    assert len(lab.host(["ls", "-A", "/run/ec2net"]).stdout.split()) < 12


def test_a_renewal_follows_what_aws_says(lab):
    write(lab, EC2NET, "[metadata]\nreuse = 0\n")
    lab.assign("eth1", "10.0.1.77")
    lab.unassign("eth1", "10.0.1.11")
    lab.assign("eth0", "10.0.0.77")
    script(lab, "RENEW", **RENEWED)
    assert ours(lab) == (3, ["10.0.1.12/32"])
    primary = {"old_ip_address": "10.0.0.10", "new_ip_address": "10.0.0.10",
               "new_subnet_mask": "255.255.255.0", "new_dhcp_lease_time": "3600"}
    script(lab, "RENEW", "eth0", **primary)
    assert unreachable(lab, lab.enis["eth1"].addresses + lab.enis["eth0"].addresses) == []
    # The primary's further addresses come and go with its lease as well, and nothing else does.
    rules = lab.snapshot()["rules"]
    lab.host(["ec2net", "lease"], env={"reason": "EXPIRE", "interface": "eth0"})
    shown = lab.host(["ip", "-o", "address", "show", "dev", "eth0"]).stdout
    assert ("10.0.0.77" in shown, "10.0.0.10" in shown) == (False, True)
    assert lab.snapshot()["rules"] == rules
    script(lab, "RENEW", "eth0", **primary)
    assert unreachable(lab, lab.enis["eth0"].addresses) == []


@contextlib.contextmanager
def held(lab, lock):
    """Hold a lock that runs of the product take."""
    argv = ["flock", "/run/ec2net/" + lock, "sh", "-c", "echo held; cat"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # The end of its input ends it.
    with lab.namespaces.host.popen(argv, **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        yield


def test_a_lease_costs_five_seconds_at_most(lab):
    """Two in this test, so that it is shorter: whatever hangs, hangs for ever."""
    lab.host(["make", "-s", "-C", str(REPOSITORY), "install", "PYTHON=" + PYTHON,
              "REFRESH=no", "LEASE_TIMEOUT=2"])
    lab.host(["mkdir", "-p", "/etc/ec2net"])
    write(lab, EC2NET, "[metadata]\nreuse = 0\n")
    interpreter = "sed -i '1s|.*|#!{}|' /usr/sbin/ec2net"
    write(lab, "/run/sleeper", "#!/bin/sh\nexec sleep 1000\n")
    lab.host(["chmod", "755", "/run/sleeper"])

    @contextlib.contextmanager
    def spoilt(command):
        lab.host(["sh", "-ec", "cp /usr/sbin/ec2net /run/kept; " + command])
        yield
        lab.host(["cp", "/run/kept", "/usr/sbin/ec2net"])

    @contextlib.contextmanager
    def silent():
        lab.fault(".*", action="hang")
        yield
        lab.clear_faults()

    def bound(situation):
        """Return how long dhclient takes for a lease in a situation."""
        dhclient(lab, "-r")
        with situation:
            started = time.monotonic()
            dhclient(lab)
            spent = time.monotonic() - started
            assert "10.0.1.10/24" in lab.host(["ip", "-o", "address"]).stdout
            return spent

    before, usual = heard(lab, "BOUND"), bound(contextlib.nullcontext())
    times = [bound(silent())]
    # The files say it all.
    assert ours(lab) == (3, list(EXTRA))
    times += [bound(held(lab, "lock")), bound(held(lab, "lock-eth1"))]
    times += [bound(spoilt(interpreter.format(path))) for path in ("/nonexistent", "/run/sleeper")]
    assert heard(lab, "BOUND") == before + 6
    # dhclient's own part takes about a second, of which it waits at random.
    assert max(times) < usual + 2 + 3, times
    lab.host(["ec2net", "refresh"])
    assert unreachable(lab, lab.enis["eth1"].addresses) == []


def test_what_a_dhcp_server_says_is_not_trusted(lab):
    before = look(lab)
    for routers in ("10.0.1.2;id", "$(touch /run/owned)", "192.0.2.1", "0.0.0.0", "127.0.0.1",
                    "224.0.0.1", "10.0.1.2/24", "fe80::1", "1" * 5000, "\u20ac"):
        renewed_as = dict(RENEWED, new_routers=routers, old_routers=routers)
        script(lab, "RENEW", **renewed_as)
        lab.host(["ec2net", "refresh"])
        assert changes(before, look(lab)) == [], routers
    for address in ("10.0.1.99", "$(touch /run/owned)", "", "10.0.1.10/24", "::1", "1e1"):
        told = dict(RENEWED, new_ip_address=address, new_routers="10.0.1.2",
                    reason="RENEW", interface="eth1")
        lab.host(["ec2net", "lease"], env=told)
        lab.host(["ec2net", "refresh"])
        assert changes(before, look(lab)) == [], address
    assert read(lab, "/run/owned") is None


def test_a_router_that_can_be_none_is_ignored(lab):
    before, followed = look(lab), {}
    for routers in ("10.0.1.0", "10.0.1.255", "10.0.1.10", "10.0.1.11"):
        script(lab, "RENEW", **dict(RENEWED, new_routers=routers, old_routers=routers))
        result = lab.host(["ec2net", "refresh"], check=False)
        if result.returncode or changes(before, look(lab)):
            followed[routers] = result.stderr
        # A good answer puts everything right again.
        script(lab, "RENEW", **RENEWED)
        lab.host(["ec2net", "refresh"])
        assert changes(before, look(lab)) == []
    assert followed == {}
