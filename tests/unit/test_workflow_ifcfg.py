"""The use cases on a host with network-scripts, and the knobs on either kind of host."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import workflow
from ec2net_legacy.errors import CommandError, HostError
from ec2net_legacy.host.rundir import RunDirectory
from tests.unit.fakes import (
    COMMON_RULES,
    PRIMARY,
    SECOND,
    FakeDevices,
    eni_texts,
    ipv6_texts,
    make_host,
    metadata_tree,
    nic,
)

SCRIPTS = "etc/sysconfig/network-scripts/"
IFCFG = SCRIPTS + "ifcfg-eth1"
ROUTE = SCRIPTS + "route-eth1"
INTERFACES = "etc/network/interfaces"
ETH1 = "etc/network/interfaces.d/eth1.cfg"

DUAL = eni_texts(
    1,
    {
        "local-ipv4s": "10.0.1.10\n10.0.1.11",
        "ipv6s": "2600:1f18:0:1::10\n2600:1f18:0:1::11",
        "subnet-ipv6-cidr-blocks": "2600:1f18:0:1::/64",
    },
)

LEASED = {
    4: "3: eth1    inet 10.0.1.10/24 scope global eth1\\       valid_lft 3402sec",
    6: "3: eth1    inet6 2600:1f18:0:1::10/128 scope global \\       valid_lft 402sec",
}
ADVERTISED = "default via fe80::1 dev eth1 proto ra metric 1024 expires 1797sec pref medium"
# What DUAL makes of the kernel: {the line that shows it: the line that adds it}, in order.
FULL = {
    4: [
        (
            "10.0.1.0/24 dev eth1 table 10001 scope link ",
            "route replace 10.0.1.0/24 dev eth1 table 10001",
        ),
        (
            "default via 10.0.1.1 dev eth1 table 10001 ",
            "route replace default via 10.0.1.1 dev eth1 table 10001",
        ),
        (
            "default via 10.0.1.1 dev eth1 metric 10001 ",
            "route replace default via 10.0.1.1 dev eth1 metric 10001",
        ),
        ("10001:\tfrom 10.0.1.10 lookup 10001 ", "rule add pref 10001 from 10.0.1.10 lookup 10001"),
        ("10001:\tfrom 10.0.1.11 lookup 10001 ", "rule add pref 10001 from 10.0.1.11 lookup 10001"),
        (
            "3: eth1    inet 10.0.1.11/32 scope global eth1\\       valid_lft forever",
            "addr add 10.0.1.11/32 dev eth1",
        ),
    ],
    6: [
        (
            "2600:1f18:0:1::/64 dev eth1 table 10001 metric 1024 pref medium",
            "-6 route replace 2600:1f18:0:1::/64 dev eth1 table 10001",
        ),
        (
            "default via fe80::1 dev eth1 table 10001 metric 1024 pref medium",
            "-6 route replace default via fe80::1 dev eth1 table 10001",
        ),
        (
            "10001:\tfrom 2600:1f18:0:1::10 lookup 10001 ",
            "-6 rule add pref 10001 from 2600:1f18:0:1::10 lookup 10001",
        ),
        (
            "10001:\tfrom 2600:1f18:0:1::11 lookup 10001 ",
            "-6 rule add pref 10001 from 2600:1f18:0:1::11 lookup 10001",
        ),
        (
            "3: eth1    inet6 2600:1f18:0:1::11/128 scope global \\       valid_lft forever",
            "-6 addr add 2600:1f18:0:1::11/128 dev eth1",
        ),
    ],
}
ADDED = {family: [added for _, added in FULL[family]] for family in FULL}
TAKEN_BACK = {
    4: [
        "addr del 10.0.1.11/32 dev eth1",
        "rule del pref 10001 from 10.0.1.10 lookup 10001",
        "rule del pref 10001 from 10.0.1.11 lookup 10001",
    ],
    6: [
        "-6 addr del 2600:1f18:0:1::11/128 dev eth1",
        "-6 rule del pref 10001 from 2600:1f18:0:1::10 lookup 10001",
        "-6 rule del pref 10001 from 2600:1f18:0:1::11 lookup 10001",
    ],
}
FOREIGN = [
    "3: eth1    inet 10.0.1.99/32 scope global eth1\\       valid_lft forever",
    "500:\tfrom 10.0.1.99 lookup 10001 ",
    "10.99.0.0/16 via 10.0.1.7 dev eth1 table 10001 ",
]


def kernel_of(lines, family):
    return {family: COMMON_RULES + "".join(line + "\n" for line in lines)}


def full(family):
    """Return the lines of a kernel that lacks nothing."""
    shown = [LEASED[family]] + [line for line, _ in FULL[family]]
    return shown + [ADVERTISED] if family == 6 else shown


@pytest.fixture
def host(tmpdir):
    """Return a function that makes a host with network-scripts: eth0 is the primary."""
    tmpdir.ensure("root", SCRIPTS, "ifup-eth")
    tmpdir.ensure("root", SCRIPTS, "ifcfg-eth0").write("DEVICE=eth0\nBOOTPROTO=dhcp\n")
    tmpdir.ensure("root", "etc/dhcp", dir=True)

    def make(texts=None, up=False, **others):
        answers = metadata_tree({PRIMARY: eni_texts(0), SECOND: texts or eni_texts()})
        cards = FakeDevices(nic("eth0", PRIMARY, up=True), nic("eth1", SECOND, up=up))
        return make_host(tmpdir, answers, cards, **others)

    return make


@pytest.fixture
def leased(host, tmpdir):
    """Return a function that makes a host on which `texts` are configured.

    With `notes` as they are in the run directory, without them as after a reboot.
    """

    def make(lines, family=4, ancestors=(), texts=None, notes=False):
        workflow.add(host(texts or DUAL), "eth1")
        if not notes:
            tmpdir.join("run").remove()
        one = host(kernel=kernel_of(lines, family), up=True)
        one.ancestors = lambda: list(ancestors)
        return one

    return make


def file_of(tmpdir, path):
    return tmpdir.join("root", path)


class TestLease(object):
    """`ec2net lease`, which dhclient-script's hook calls."""

    @pytest.mark.parametrize("family", [4, 6])
    @pytest.mark.parametrize("notes", [True, False])
    def test_gained_adds_what_the_files_say_and_asks_no_metadata(self, leased, family, notes):
        lines = [LEASED[family]] + ([ADVERTISED] if family == 6 else FOREIGN)
        one = leased(lines, family, ["dhclient-script", "dhclient"], notes=notes)
        workflow.lease(one, "eth1", True, family)
        assert one.runner.changes == ADDED[family]
        assert one.session.requests == []
        assert one.runner.shown == []

    @pytest.mark.parametrize("family", [4, 6])
    def test_a_renewal_changes_nothing(self, leased, family):
        one = leased(full(family) + (FOREIGN if family == 4 else []), family)
        assert workflow.lease(one, "eth1", True, family).steps == []
        assert one.runner.changes == one.clock.sleeps == []

    @pytest.mark.parametrize(
        "family, missing", [(family, at) for family in FULL for at in range(len(FULL[family]))]
    )
    def test_gained_adds_what_is_missing_and_nothing_else(self, leased, family, missing):
        line, added = FULL[family][missing]
        one = leased([shown for shown in full(family) if shown != line], family)
        workflow.lease(one, "eth1", True, family)
        assert one.runner.changes == [added]

    def test_gained_deletes_nothing(self, leased):
        one = leased(full(4) + ["10001:\tfrom 10.0.1.77 lookup 10001 "])
        workflow.lease(one, "eth1", True, 4)
        assert one.runner.changes == []

    def test_an_address_with_the_subnets_length_is_there(self, leased):
        one = leased([line.replace("10.0.1.11/32", "10.0.1.11/24") for line in full(4)])
        workflow.lease(one, "eth1", True, 4)
        assert one.runner.changes == []

    @pytest.mark.parametrize("program", ["ifup", "ifup-eth"])
    @pytest.mark.parametrize("family", [4, 6])
    def test_while_ifup_runs_only_what_it_does_not_add_is_added(self, leased, family, program):
        lines = [LEASED[family]] + ([ADVERTISED] if family == 6 else [])
        one = leased(lines, family, ["dhclient-script", "dhclient", program, "bash"])
        workflow.lease(one, "eth1", True, family)
        only = [line for line in ADDED[family] if "addr add" in line or "via fe80::1" in line]
        assert one.runner.changes == only

    @pytest.mark.parametrize("program", ["ifdown", "ifdown-eth"])
    @pytest.mark.parametrize("gained", [True, False])
    @pytest.mark.parametrize("family", [4, 6])
    def test_while_ifdown_runs_nothing_is_done(self, leased, family, gained, program):
        one = leased(full(family)[:2], family, ["dhclient-script", program])
        assert workflow.lease(one, "eth1", gained, family).left_alone
        assert one.runner.ran == one.clock.sleeps == []

    @pytest.mark.parametrize("family", [4, 6])
    def test_lost_takes_rules_and_addresses_back_and_no_more(self, leased, family):
        one = leased(full(family) + (FOREIGN if family == 4 else []), family, notes=True)
        workflow.lease(one, "eth1", False, family)
        assert one.runner.changes == TAKEN_BACK[family]
        assert one.clock.sleeps == []

    def test_lost_takes_an_address_back_with_the_length_that_it_has(self, leased):
        one = leased(["3: eth1    inet 10.0.1.11/24 scope global secondary eth1\\       valid_lft"])
        workflow.lease(one, "eth1", False, 4)
        assert one.runner.changes == ["addr del 10.0.1.11/24 dev eth1"]

    @pytest.mark.parametrize("family", [4, 6])
    def test_lost_of_what_is_gone_is_nothing(self, leased, family):
        one = leased([], family)
        workflow.lease(one, "eth1", False, family)
        assert one.runner.changes == []

    @pytest.mark.parametrize("gained", [True, False])
    @pytest.mark.parametrize("family", [4, 6])
    def test_the_other_family_is_not_even_looked_at(self, leased, family, gained):
        one = leased(full(family), family)
        workflow.lease(one, "eth1", gained, family)
        assert one.runner.reads == 1
        assert all("-{0}".format(family) in argv for argv, _ in one.runner.ran)

    @pytest.mark.parametrize("gained", [True, False])
    @pytest.mark.parametrize("family", [4, 6])
    def test_with_ec2sync_no_nothing_is_done(self, leased, tmpdir, family, gained):
        one = leased(full(family)[:2], family, notes=True)
        file_of(tmpdir, IFCFG).write("EC2SYNC=no\n", "a")
        assert "EC2SYNC=no" in workflow.lease(one, "eth1", gained, family).left_alone
        assert one.runner.ran == one.clock.sleeps == []

    @pytest.mark.parametrize("gained", [True, False])
    @pytest.mark.parametrize("family", [4, 6])
    def test_without_a_configuration_nothing_is_done(self, host, family, gained):
        one = host(kernel=kernel_of(full(family)[:2], family), up=True)
        assert workflow.lease(one, "eth1", gained, family).left_alone
        assert one.runner.ran == one.clock.sleeps == []

    @pytest.mark.parametrize("gained", [True, False])
    @pytest.mark.parametrize("family", [4, 6])
    def test_beside_an_administrators_file_nothing_is_done(self, leased, tmpdir, family, gained):
        one = leased(full(family)[:2], family, notes=True)
        file_of(tmpdir, IFCFG).write("DEVICE=eth1\nBOOTPROTO=dhcp\n")
        assert IFCFG in workflow.lease(one, "eth1", gained, family).left_alone
        assert one.runner.ran == one.clock.sleeps == []

    @pytest.mark.parametrize("texts, family", [(eni_texts(), 6), (ipv6_texts(), 4)])
    def test_of_a_family_that_the_eni_has_not_nothing_is_done(self, leased, texts, family):
        one = leased([], family, texts=texts)
        assert workflow.lease(one, "eth1", True, family).left_alone
        assert one.runner.ran == []

    def test_other_interfaces_are_not_touched(self, leased):
        one = leased(full(4)[:2])
        assert workflow.lease(one, "eth0", True, 4).left_alone
        assert workflow.lease(one, "eth10", True, 4).left_alone
        assert one.runner.ran == []


# All there but the router.
NOT_ROUTED = [line for line in full(6) if not line.startswith("default")]


class Router(object):
    """Sends its advertisement `after` seconds; who sleeps must not hold the host's lock."""

    def __init__(self, host, after):
        self.host = host
        self.after = after
        host.sleep = self.sleep

    def sleep(self, seconds):
        with self.host.run_directory.lock(wait=0):
            self.host.clock.sleep(seconds)
        if self.host.clock.passed >= self.after:
            self.host.runner.kernel.update(kernel_of(NOT_ROUTED + [ADVERTISED], 6))


class TestTheRoutersAdvertisement(object):
    """A DHCPv6 lease may come first; without the router's address there is no way out."""

    def test_it_is_waited_for_without_the_lock_and_copied(self, leased):
        one = leased(NOT_ROUTED, 6)
        Router(one, after=1)
        plan = workflow.lease(one, "eth1", True, 6)
        assert one.runner.changes == ["-6 route replace default via fe80::1 dev eth1 table 10001"]
        assert [step.line for step in plan.steps] == [line[3:] for line in one.runner.changes]
        assert 1 <= one.clock.passed < 1.5

    def test_the_rest_does_not_wait_for_it(self, leased):
        one = leased([LEASED[6]], 6)
        seen = []
        one.sleep = lambda seconds: (seen.append(one.runner.changes), one.clock.sleep(seconds))
        workflow.lease(one, "eth1", True, 6)
        assert seen[0] == [line for line in ADDED[6] if "default" not in line]

    def test_after_three_seconds_it_is_given_up(self, leased):
        one = leased(NOT_ROUTED, 6)
        Router(one, after=60)
        assert workflow.lease(one, "eth1", True, 6).steps == []
        assert 3 <= one.clock.passed < 3.5

    def test_a_lost_lease_and_ipv4_do_not_wait(self, leased):
        one = leased(NOT_ROUTED, 6)
        workflow.lease(one, "eth1", False, 6)
        workflow.lease(one, "eth1", True, 4)
        assert one.clock.sleeps == []

    def test_an_interface_that_is_removed_meanwhile_ends_it(self, leased, host):
        one = leased(NOT_ROUTED, 6)
        one.sleep = lambda _: workflow.remove(host(), "eth1")
        assert workflow.lease(one, "eth1", True, 6).left_alone
        assert one.runner.changes == []

    def test_a_lock_that_is_never_free_is_an_error_before_the_hook_loses_patience(self, leased):
        one = leased(NOT_ROUTED, 6)
        notes = RunDirectory(one.settings.run_directory, one.clock, one.clock.sleep)
        one.run_directory = notes
        with notes.lock(), pytest.raises(HostError):
            workflow.lease(one, "eth1", True, 6)
        assert 3 <= one.clock.passed < 5
        assert one.runner.ran == []


def dhclient_runs(tmpdir, pid=77):
    """Make the host show a dhclient of eth1."""
    file_of(tmpdir, "var/run/dhclient-eth1.pid").write("77\n", ensure=True)
    file_of(tmpdir, "proc/{0}/cmdline".format(pid)).write("/sbin/dhclient\0eth1\0", ensure=True)


class TestUp(object):
    """`ec2ifup`: ifup fails where dhclient runs already."""

    @pytest.mark.parametrize(
        "running, is_up, commands",
        [
            (False, False, ["ifup"]),
            (False, True, ["ifup"]),
            (True, True, []),
            (True, False, ["ifdown", "ifup"]),
        ],
    )
    def test_which_commands_it_takes(self, host, tmpdir, running, is_up, commands):
        if running:
            dhclient_runs(tmpdir)
        one = host(up=is_up)
        assert workflow.up(one, "eth1").left_alone == ""
        assert one.runner.shown == [[command, "eth1"] for command in commands]
        assert file_of(tmpdir, IFCFG).check()

    def test_a_pid_file_that_outlived_its_dhclient_is_no_dhclient(self, host, tmpdir):
        dhclient_runs(tmpdir, pid=78)
        one = host(up=True)
        workflow.up(one, "eth1")
        assert one.runner.shown == [["ifup", "eth1"]]

    def test_what_is_up_is_changed_at_once(self, host, tmpdir):
        dhclient_runs(tmpdir)
        one = host(DUAL, up=True, kernel=kernel_of([LEASED[4]], 4))
        workflow.up(one, "eth1")
        assert one.runner.changes == ADDED[4] + [line for line in ADDED[6] if "default" not in line]

    def test_an_ifdown_that_fails_is_told_and_no_ifup_follows(self, host, tmpdir):
        dhclient_runs(tmpdir)
        one = host()
        one.runner.statuses["ifdown"] = 1
        with pytest.raises(CommandError) as caught:
            workflow.up(one, "eth1")
        assert "ifdown eth1" in "{0}".format(caught.value)
        assert one.runner.shown == [["ifdown", "eth1"]]


def inherit(tmpdir, more=""):
    """Lay out what ec2-net-utils 1.x leaves."""
    file_of(tmpdir, IFCFG).write("DEVICE=eth1\nBOOTPROTO=dhcp\nEC2SYNC=yes\n" + more)
    file_of(tmpdir, ROUTE).write(
        "default via 10.0.1.1 dev eth1 table 10001\n"
        "10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10 table 10001\n"
        "default via 10.0.1.1 dev eth1 metric 10001\n"
    )


class TestScan(object):
    """`ec2ifscan` takes over what the older tools configured."""

    KERNEL = [
        LEASED[4],
        "3: eth1    inet 10.0.1.11/24 scope global secondary eth1\\       valid_lft forever",
        "32764:\tfrom 10.0.1.11 lookup 10001 ",
        "32765:\tfrom 10.0.1.10 lookup 10001 ",
        "default via 10.0.1.1 dev eth1 table 10001 ",
        "10.0.1.0/24 dev eth1 table 10001 proto kernel scope link src 10.0.1.10 ",
        "default via 10.0.1.1 dev eth1 metric 10001 ",
    ]
    TEXTS = eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})

    def test_a_running_interface_is_taken_over_without_an_interruption(self, host, tmpdir):
        inherit(tmpdir)
        dhclient_runs(tmpdir)
        one = host(self.TEXTS, up=True, kernel=kernel_of(self.KERNEL, 4))
        plans, failures = workflow.scan(one)
        assert ([plan.name for plan in plans], failures) == (["eth1"], [])
        assert one.runner.shown == []
        assert one.runner.changes == [
            "rule add pref 10001 from 10.0.1.10 lookup 10001",
            "rule add pref 10001 from 10.0.1.11 lookup 10001",
            "rule del pref 32765 from 10.0.1.10 lookup 10001",
            "rule del pref 32764 from 10.0.1.11 lookup 10001",
        ]

    def test_again_it_does_nothing_and_asks_nobody(self, host, tmpdir):
        inherit(tmpdir)
        workflow.scan(host(self.TEXTS))
        one = host(self.TEXTS)
        assert workflow.scan(one) == ([], [])
        assert one.session.requests == one.runner.shown == []

    def test_one_that_is_down_comes_up(self, host, tmpdir):
        inherit(tmpdir)
        one = host(self.TEXTS)
        workflow.scan(one)
        assert one.runner.shown == [["ifup", "eth1"]]

    def test_the_users_wish_is_kept_and_carried_out_at_once(self, host, tmpdir):
        inherit(tmpdir, "MAINROUTETABLE=no\n")
        dhclient_runs(tmpdir)
        one = host(self.TEXTS, up=True, kernel=kernel_of(self.KERNEL, 4))
        workflow.scan(one)
        assert "route del default via 10.0.1.1 dev eth1 metric 10001" in one.runner.changes
        assert "MAINROUTETABLE=no\n" in file_of(tmpdir, IFCFG).read()

    @pytest.mark.parametrize(
        "name, text",
        [("ifcfg-eth1", "DEVICE=eth1\nEC2SYNC=yes\nEC2SYNC=no\n"), ("rule-eth1", "# mine\n")],
        ids=["EC2SYNC=no", "a rule of the administrator's"],
    )
    def test_what_its_user_wants_to_keep_is_not_taken_over(self, host, tmpdir, name, text):
        inherit(tmpdir)
        file_of(tmpdir, SCRIPTS + name).write(text)
        one = host(self.TEXTS)
        assert workflow.scan(one) == ([], [])
        assert one.session.requests == one.runner.shown == []


@pytest.fixture(params=["ifcfg", "ifupdown"])
def knob(request, tmpdir):
    """Return a function that sets a variable in the generated file, on a host of either kind."""
    path = IFCFG if request.param == "ifcfg" else ETH1
    if request.param == "ifcfg":
        tmpdir.ensure("root", SCRIPTS, "ifup-eth")
    else:
        tmpdir.ensure("root", INTERFACES).write("source /etc/network/interfaces.d/*.cfg\n")

    def turn(name, before, after):
        text = file_of(tmpdir, path).read()
        assert text.count("{0}={1}\n".format(name, before)) == 1
        file_of(tmpdir, path).write(text.replace(name + "=" + before, name + "=" + after))

    return turn


class TestKnobs(object):
    """A variable that is set while the interface is up counts from the next run on."""

    TEXTS = eni_texts(1, {"ipv4-prefix": "10.0.1.64/28"})
    KERNEL = [
        LEASED[4],
        "10.0.1.0/24 dev eth1 table 10001 scope link ",
        "default via 10.0.1.1 dev eth1 table 10001 ",
        "default via 10.0.1.1 dev eth1 metric 10001 ",
        "10001:\tfrom 10.0.1.10 lookup 10001 ",
        "10001:\tfrom 10.0.1.64/28 lookup 10001 ",
    ]
    MAIN = KERNEL[3]
    LOCAL = "local 10.0.1.64/28 dev eth1 table local scope host "

    def added(self, tmpdir, lines):
        """Return what a run does while the kernel has `lines`."""
        answers = metadata_tree({PRIMARY: eni_texts(0), SECOND: self.TEXTS})
        cards = FakeDevices(nic("eth0", PRIMARY, up=True), nic("eth1", SECOND, up=True))
        one = make_host(tmpdir, answers, cards, kernel_of(lines, 4))
        plan = workflow.add(one, "eth1")
        return sorted(plan.files), one.runner.changes

    def test_a_run_without_a_change_of_mind_changes_nothing(self, knob, tmpdir):
        self.added(tmpdir, self.KERNEL)
        assert self.added(tmpdir, self.KERNEL) == ([], [])

    def test_without_a_route_of_main_it_goes_in_the_same_run_and_stays_away(self, knob, tmpdir):
        self.added(tmpdir, self.KERNEL)
        knob("MAINROUTETABLE", "yes", "no")
        files, changes = self.added(tmpdir, self.KERNEL)
        assert len(files) == 1
        assert changes == ["route del default via 10.0.1.1 dev eth1 metric 10001"]
        without = [line for line in self.KERNEL if line != self.MAIN]
        assert self.added(tmpdir, without) == ([], [])

    def test_the_addresses_of_prefixes_become_local_in_the_same_run_and_back(self, knob, tmpdir):
        self.added(tmpdir, self.KERNEL)
        knob("EC2PROVISIONPFXIPS", "no", "yes")
        files, changes = self.added(tmpdir, self.KERNEL)
        assert len(files) == 1
        assert changes == ["route replace local 10.0.1.64/28 dev eth1 table 255"]
        assert self.added(tmpdir, self.KERNEL + [self.LOCAL]) == ([], [])
        knob("EC2PROVISIONPFXIPS", "yes", "no")
        files, changes = self.added(tmpdir, self.KERNEL + [self.LOCAL])
        assert len(files) == 1
        assert changes == ["route del local 10.0.1.64/28 dev eth1 table 255"]

    def test_ec2sync_no_stops_everything(self, knob, tmpdir):
        self.added(tmpdir, self.KERNEL)
        knob("EC2SYNC", "yes", "no")
        assert self.added(tmpdir, self.KERNEL[:1]) == ([], [])
