"""The use cases on a host with network-scripts, and the knobs on either kind of host."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import record
from ec2net_legacy.commands.scan import catch_up
from ec2net_legacy.errors import CommandError
from ec2net_legacy.event import LeaseEvent
from ec2net_legacy.host.command import Result
from ec2net_legacy.host.rundir import RunDirectory
from ec2net_legacy.model import Lease
from tests.unit import flows, hosts
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
    raised,
)
from tests.unit.hosts import ETH1, INTERFACES, SCRIPTS, inet, warnings_of

IFCFG = SCRIPTS + "ifcfg-eth1"
ROUTE = SCRIPTS + "route-eth1"

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
        ("10.0.1.0/24 dev eth1 scope link metric 10001 ",
         "route add 10.0.1.0/24 dev eth1 metric 10001"),
        ("10.0.1.0/24 dev eth1 table 10001 scope link ",
         "route replace 10.0.1.0/24 dev eth1 table 10001"),
        ("default via 10.0.1.1 dev eth1 table 10001 ",
         "route replace default via 10.0.1.1 dev eth1 table 10001"),
        ("default via 10.0.1.1 dev eth1 metric 10001 ",
         "route add default via 10.0.1.1 dev eth1 metric 10001"),
        ("10001:\tfrom 10.0.1.10 lookup 10001 ", "rule add pref 10001 from 10.0.1.10 lookup 10001"),
        ("10001:\tfrom 10.0.1.11 lookup 10001 ", "rule add pref 10001 from 10.0.1.11 lookup 10001"),
        (inet("10.0.1.11/32"), "addr add 10.0.1.11/32 dev eth1"),
    ],
    6: [
        ("2600:1f18:0:1::/64 dev eth1 metric 10001 pref medium",
         "-6 route add 2600:1f18:0:1::/64 dev eth1 metric 10001"),
        ("2600:1f18:0:1::/64 dev eth1 table 10001 metric 1024 pref medium",
         "-6 route replace 2600:1f18:0:1::/64 dev eth1 table 10001"),
        ("default via fe80::1 dev eth1 table 10001 metric 1024 pref medium",
         "-6 route replace default via fe80::1 dev eth1 table 10001"),
        ("10001:\tfrom 2600:1f18:0:1::10 lookup 10001 ",
         "-6 rule add pref 10001 from 2600:1f18:0:1::10 lookup 10001"),
        ("10001:\tfrom 2600:1f18:0:1::11 lookup 10001 ",
         "-6 rule add pref 10001 from 2600:1f18:0:1::11 lookup 10001"),
        (inet("2600:1f18:0:1::11/128", family="6"), "-6 addr add 2600:1f18:0:1::11/128 dev eth1"),
    ],
}
ADDED = {family: [added for _, added in FULL[family]] for family in FULL}
# What the kernel makes itself for LEASED, and ours is in the place of.
CONNECTED = "10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10 "
REPLACED = "route del 10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10"
# What an interface has that just got its lease, and what becomes of it.
FRESH = {4: [LEASED[4], CONNECTED], 6: [LEASED[6], ADVERTISED]}
GAINED = {4: ADDED[4] + [REPLACED], 6: ADDED[6]}
# Beside IPv4 the first IPv6 address is added as well: nothing waits for DHCPv6.
FIRST6 = "-6 addr add 2600:1f18:0:1::10/128 dev eth1"
TAKEN_BACK = {
    4: [
        "addr del 10.0.1.11/32 dev eth1",
        "rule del pref 10001 from 10.0.1.10 lookup 10001",
        "rule del pref 10001 from 10.0.1.11 lookup 10001",
    ],
    6: [
        "-6 addr del 2600:1f18:0:1::10/128 dev eth1",
        "-6 addr del 2600:1f18:0:1::11/128 dev eth1",
        "-6 rule del pref 10001 from 2600:1f18:0:1::10 lookup 10001",
        "-6 rule del pref 10001 from 2600:1f18:0:1::11 lookup 10001",
    ],
}
FOREIGN = {
    4: [
        inet("10.0.1.99/32"),
        "500:\tfrom 10.0.1.99 lookup 10001 ",
        "10.99.0.0/16 via 10.0.1.7 dev eth1 table 10001 ",
    ],
    6: [],
}


each_family = pytest.mark.parametrize("family", [4, 6])


def each_event(test):
    """Let a test have a lease of either family that came, and one that went."""
    return each_family(pytest.mark.parametrize("action", ["gained", "lost"])(test))


def kernel_of(lines, family):
    return {family: COMMON_RULES + "".join(line + "\n" for line in lines)}


def full(family):
    """Return the lines of a kernel that lacks nothing."""
    shown = [LEASED[family]] + [line for line, _ in FULL[family]]
    return shown + [ADVERTISED] if family == 6 else shown


def kernel_but(lines, family):
    """Return a kernel that has `lines` of `family`, and lacks nothing of the other one."""
    kernel = kernel_of(full(10 - family), 10 - family)
    kernel.update(kernel_of(lines, family))
    return kernel


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
    """Return a function that makes a host on which `texts` are configured, as metadata has them.

    With `notes` as they are in the run directory, without them as after a reboot. The kernel has
    `lines` of `family` and lacks nothing of the other one.
    """

    def make(lines, family=4, ancestors=(), texts=None, notes=False):
        flows.add(host(texts or DUAL), "eth1")
        if not notes:
            tmpdir.join("run").remove()
        one = host(texts or DUAL, kernel=kernel_but(lines, family), up=True)
        one.ancestors = lambda: list(ancestors)
        return one

    return make


def file_of(tmpdir, path):
    return tmpdir.join("root", path)


def lease(host, action, family, name="eth1", within=5.0, given=None):
    """Hand the event to the product as the hook does."""
    return flows.lease(host, LeaseEvent(action, name, family, given), within)


def without_metadata(host):
    """Make the metadata service of `host` refuse to answer."""
    host.session.answers = dict.fromkeys(host.session.answers, (503, ""))
    return host


def asked(host):
    """Return what of the metadata service was asked, but for tokens."""
    return [path[len("meta-data/") :] for path in hosts.asked(host)]


def lines_of(plan):
    """Return the steps of a plan as the runner tells them."""
    return [("-6 " if step.family == 6 else "") + step.line for step in plan.steps]


class TestLease(object):
    """`ec2net lease`, which dhclient-script's hook calls."""

    @each_family
    @pytest.mark.parametrize("notes", [True, False])
    def test_gained_adds_each_thing_that_the_files_say_once(self, leased, family, notes):
        lines = FRESH[family] + FOREIGN[family]
        one = leased(lines, family, ["dhclient-script", "dhclient"], notes=notes)
        lease(one, "gained", family)
        assert one.runner.changes == GAINED[family]
        assert one.runner.shown == one.clock.sleeps == []

    @each_family
    def test_the_files_come_before_the_first_question_to_metadata(self, leased, family):
        one = leased(FRESH[family], family)
        before = []
        one.session.answers["api/token"] = lambda: before.extend(one.runner.changes) or "TOKEN"
        lease(one, "gained", family)
        assert before == GAINED[family]
        assert asked(one) != []

    @each_family
    def test_without_metadata_it_is_the_files_alone_and_one_warning(self, leased, family, caplog):
        one = without_metadata(leased(FRESH[family] + FOREIGN[family], family))
        plan = lease(one, "gained", family)
        assert one.runner.changes == GAINED[family]
        assert lines_of(plan) == GAINED[family]
        assert (plan.files, plan.left_alone) == ({}, "")
        assert one.clock.passed <= 4
        (said,) = warnings_of(caplog)
        assert said.startswith("eth1: left to the refresh: metadata unavailable")

    @pytest.mark.parametrize("within", [2.0, 5.0, 10.0])
    def test_metadata_is_waited_for_until_a_second_before_the_hooks_end(self, leased, within):
        one = without_metadata(leased(full(4)))
        lease(one, "gained", 4, within=within)
        assert within / 4 <= one.clock.passed <= within - 1

    @pytest.mark.parametrize("seconds, again", [(4.9, False), (5.0, True)])
    def test_what_another_run_has_just_read_is_not_asked_for_again(self, leased, seconds, again):
        one = leased(full(4), notes=True)
        one.clock.now += seconds
        lease(one, "gained", 4)
        assert ("network/interfaces/macs/{0}/local-ipv4s".format(SECOND) in asked(one)) is again
        assert again or one.session.requests == []

    @each_family
    def test_a_renewal_changes_nothing(self, leased, family):
        one = leased(full(family) + FOREIGN[family], family)
        plan = lease(one, "gained", family)
        assert (plan.steps, plan.files, plan.left_alone) == ([], {}, "")
        assert one.runner.changes == one.clock.sleeps == []

    @pytest.mark.parametrize(
        "family, missing", [(family, at) for family in FULL for at in range(len(FULL[family]))]
    )
    @pytest.mark.parametrize("metadata", [True, False], ids=["", "no metadata"])
    def test_gained_adds_what_is_missing_and_nothing_else(self, leased, family, missing, metadata):
        line, added = FULL[family][missing]
        one = leased([shown for shown in full(family) if shown != line], family)
        lease(one if metadata else without_metadata(one), "gained", family)
        assert one.runner.changes == [added]

    @pytest.mark.parametrize("ancestors", [(), ("dhclient", "ifup-eth")], ids=["", "ifup"])
    def test_the_first_ipv6_address_is_added_when_the_lease_is_for_another(self, leased, ancestors):
        lines = [line for line in full(6) if line != LEASED[6]]
        one = leased(lines, 6, ancestors)
        lease(one, "gained", 6)
        assert one.runner.changes == [FIRST6]

    @pytest.mark.parametrize("metadata", [True, False], ids=["", "no metadata"])
    def test_the_first_address_of_an_ipv6_only_eni_is_left_to_its_lease(self, leased, metadata):
        one = leased([ADVERTISED], 6, texts=ipv6_texts(1, {"ipv6s": DUAL["ipv6s"]}))
        lease(one if metadata else without_metadata(one), "gained", 6)
        assert one.runner.changes == ADDED[6]

    @pytest.mark.parametrize("metadata", [True, False], ids=["metadata", "files alone"])
    def test_files_alone_delete_nothing_and_metadata_does(self, leased, metadata):
        one = leased(full(4) + ["10001:\tfrom 10.0.1.77 lookup 10001 "])
        plan = lease(one if metadata else without_metadata(one), "gained", 4)
        deleted = ["rule del pref 10001 from 10.0.1.77 lookup 10001"] if metadata else []
        assert lines_of(plan) == one.runner.changes == deleted

    def test_what_aws_changed_comes_with_the_lease(self, leased, host, tmpdir):
        leased([])
        changed = dict(DUAL, **{"local-ipv4s": "10.0.1.10\n10.0.1.12"})
        one = host(changed, kernel=kernel_but(full(4), 4), up=True)
        one.ancestors = lambda: ["dhclient-script", "dhclient"]
        lease(one, "gained", 4)
        assert one.runner.changes == [
            "rule add pref 10001 from 10.0.1.12 lookup 10001",
            "addr add 10.0.1.12/32 dev eth1",
            "addr del 10.0.1.11/32 dev eth1",
            "rule del pref 10001 from 10.0.1.11 lookup 10001",
        ]
        assert "from 10.0.1.12 " in file_of(tmpdir, SCRIPTS + "rule-eth1").read()

    def test_a_lease_does_not_bring_back_what_aws_took_away(self, host):
        flows.add(host(eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})), "eth1")
        failing = host(up=True, kernel=kernel_of(full(4), 4))
        failing.runner.answer = Result(1, "", "Operation not permitted\nCommand failed -:1\n")
        raised(CommandError, flows.add, failing, "eth1")
        one = host(up=True, kernel=kernel_of(FRESH[4], 4))
        one.ancestors = list
        # What the first run has read is no news any more.
        one.clock.now += 10
        lease(one, "gained", 4)
        assert len(one.runner.changes) == len(GAINED[4]) - 2
        assert not any("10.0.1.11" in line for line in one.runner.changes)

    @pytest.mark.parametrize("program", ["ifup", "ifup-eth"])
    @each_family
    def test_while_ifup_runs_only_what_it_does_not_add_is_added(self, leased, family, program):
        one = leased(FRESH[family], family, ["dhclient-script", "dhclient", program, "bash"])
        lease(one, "gained", family)
        # Also the kernel's own route stays for no moment beside the one that ifup adds.
        assert one.runner.changes == [
            line
            for line in GAINED[family]
            if "addr add" in line or "via fe80::1" in line or line == REPLACED
        ]

    @pytest.mark.parametrize("program", ["ifup", "ifup-eth"])
    @each_family
    @pytest.mark.parametrize("notes", [True, False])
    def test_while_ifup_runs_metadata_is_not_asked(self, leased, tmpdir, family, program, notes):
        one = leased(full(family), family, ["dhclient-script", program], notes=notes)
        one.session.answers = {}
        before = file_of(tmpdir, IFCFG).read()
        assert lease(one, "gained", family).steps == []
        assert one.session.requests == one.runner.changes == []
        assert file_of(tmpdir, IFCFG).read() == before

    @pytest.mark.parametrize("program", ["ifdown", "ifdown-eth"])
    @each_event
    def test_while_ifdown_runs_nothing_is_done(self, leased, family, action, program):
        one = leased(full(family)[:2], family, ["dhclient-script", program])
        assert lease(one, action, family).left_alone
        assert one.runner.ran == one.clock.sleeps == one.session.requests == []

    @each_family
    def test_lost_takes_rules_and_addresses_back_and_no_more(self, leased, family):
        one = leased(full(family) + FOREIGN[family], family, notes=True)
        one.clock.now += 100
        plan = lease(one, "lost", family)
        assert lines_of(plan) == one.runner.changes == TAKEN_BACK[family]
        assert one.clock.sleeps == one.session.requests == []

    def test_lost_leaves_what_the_kernel_made_for_the_address_to_the_kernel(self, leased):
        one = leased(FRESH[4] + full(4)[-3:])
        lease(one, "lost", 4)
        assert one.runner.changes == TAKEN_BACK[4]

    def test_lost_leaves_the_first_address_of_an_ipv6_only_eni_to_its_lease(self, leased):
        one = leased(full(6), 6, texts=ipv6_texts(1, {"ipv6s": DUAL["ipv6s"]}))
        lease(one, "lost", 6)
        assert one.runner.changes == TAKEN_BACK[6][1:]

    def test_an_address_with_the_subnets_length_is_there_and_lost_takes_it_back(self, leased):
        one = leased([line.replace("10.0.1.11/32", "10.0.1.11/24") for line in full(4)])
        lease(one, "gained", 4)
        assert one.runner.changes == []
        lease(one, "lost", 4)
        assert one.runner.changes == [
            line.replace("10.0.1.11/32", "10.0.1.11/24") for line in TAKEN_BACK[4]
        ]

    @pytest.mark.parametrize("ancestors", [(), ("dhclient", "ifup-eth")], ids=["", "ifup"])
    @each_family
    def test_lost_and_gained_again_it_is_as_before(self, leased, family, ancestors):
        one = leased(full(family), family)
        lease(one, "lost", family)
        one.ancestors = lambda: ["dhclient-script", "dhclient"]
        lease(one, "gained", family)
        gained = one.runner.changes[len(TAKEN_BACK[family]) :]
        assert sorted(gained) == sorted(
            line.replace(" del ", " add ") for line in TAKEN_BACK[family]
        )

    @each_event
    def test_without_metadata_the_other_family_is_not_even_looked_at(self, leased, family, action):
        one = without_metadata(leased(full(family), family))
        lease(one, action, family)
        assert all("-{0}".format(family) in argv for argv, _ in one.runner.ran)
        assert one.runner.reads == (1 if action == "gained" else 2)

    @each_event
    @pytest.mark.parametrize(
        "text", [None, "DEVICE=eth1\nBOOTPROTO=dhcp\n"], ids=["none", "the administrator's"]
    )
    def test_without_a_configuration_of_ours_nothing_is_done(
        self, host, tmpdir, family, action, text
    ):
        if text:
            file_of(tmpdir, IFCFG).write(text)
        one = host(kernel=kernel_but(full(family)[:2], family), up=True)
        one.ancestors = list
        plan = lease(one, action, family)
        assert (plan.steps, plan.files) == ([], {})
        assert one.runner.ran == one.clock.sleeps == []
        # Just whether it is the primary, which has no configuration of ours either.
        assert asked(one) == (["mac"] if action == "gained" else [])
        assert (file_of(tmpdir, IFCFG).read() if text else None) == text
        assert file_of(tmpdir, IFCFG).check() is (text is not None)

    @pytest.mark.parametrize("texts, family", [(eni_texts(), 6), (ipv6_texts(), 4)])
    def test_of_a_family_that_the_eni_has_not_nothing_is_done(self, leased, texts, family):
        one = leased([], family, texts=texts)
        one.runner.kernel.update(kernel_of([], 10 - family))
        lease(one, "gained", family)
        assert one.runner.changes == one.clock.sleeps == []
        one = without_metadata(leased([], family, texts=texts))
        assert lease(one, "gained", family).steps == []
        assert one.runner.ran == []

    def test_other_interfaces_are_not_touched(self, leased):
        one = leased(full(4)[:2])
        for name in ("eth0", "eth10"):
            plan = lease(one, "gained", 4, name)
            assert plan.left_alone
            assert (plan.steps, plan.files) == ([], {})
        assert one.runner.ran == []

    def test_a_router_that_the_lease_names_is_that_of_the_table(self, leased, tmpdir):
        one = leased(full(4))
        lease(one, "gained", 4, given=Lease("10.0.1.10", "10.0.1.2"))
        assert "default via 10.0.1.2 dev eth1 table 10001\n" in file_of(tmpdir, ROUTE).read()
        assert "route replace default via 10.0.1.2 dev eth1 table 10001" in one.runner.changes


# All there but the router.
NOT_ROUTED = [line for line in full(6) if not line.startswith("default")]
BY_FE80_1 = "route replace default via fe80::1 dev eth1 table 10001"


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

    @pytest.mark.parametrize(
        "ancestors, metadata",
        [((), True), (("dhclient-script", "dhclient", "ifup-eth"), True), ((), False)],
        ids=["", "ifup", "no metadata"],
    )
    def test_it_is_waited_for_without_the_lock_and_copied(self, leased, ancestors, metadata):
        one = leased(NOT_ROUTED, 6, ancestors)
        Router(one if metadata else without_metadata(one), after=1)
        plan = lease(one, "gained", 6)
        assert lines_of(plan) == one.runner.changes == ["-6 " + BY_FE80_1]
        assert not metadata or 1 <= one.clock.passed < 1.5

    def test_the_rest_does_not_wait_for_it(self, leased):
        one = leased([LEASED[6]], 6)
        seen = []
        one.sleep = lambda seconds: (seen.append(one.runner.changes), one.clock.sleep(seconds))
        lease(one, "gained", 6)
        assert seen[0] == [line for line in ADDED[6] if "default" not in line]

    @pytest.mark.parametrize("within, seconds", [(5.0, 3), (3.0, 2)], ids=["", "or a shorter hook"])
    def test_after_three_seconds_it_is_given_up(self, leased, within, seconds):
        one = leased(NOT_ROUTED, 6)
        Router(one, after=60)
        assert lease(one, "gained", 6, within=within).steps == []
        assert seconds <= one.clock.passed < seconds + 0.5

    def test_a_lost_lease_and_ipv4_do_not_wait(self, leased):
        one = leased(NOT_ROUTED, 6)
        lease(one, "lost", 6)
        lease(one, "gained", 4)
        assert one.clock.sleeps == []

    def test_a_lock_that_is_never_free_is_given_up_before_the_hook_is(self, leased, caplog):
        one = leased(NOT_ROUTED, 6)
        with RunDirectory(one.settings.run_directory).lock():
            plan = lease(one, "gained", 6)
        assert (plan.steps, plan.files) == ([], {})
        assert 3 <= one.clock.passed < 5
        assert one.runner.ran == []
        (said,) = warnings_of(caplog)
        assert "eth1: left to the refresh: another ec2net holds" in said


def dhclient_runs(tmpdir, pid=77):
    """Make the host show a dhclient of eth1."""
    file_of(tmpdir, "var/run/dhclient-eth1.pid").write("77\n", ensure=True)
    file_of(tmpdir, "proc/{0}/cmdline".format(pid)).write("/sbin/dhclient\0eth1\0", ensure=True)


class TestUp(object):
    """`ec2ifup`: ifup fails where dhclient runs already."""

    @pytest.mark.parametrize(
        "running, is_up, has_address, commands",
        [
            (False, False, False, ["ifup"]),
            (False, True, False, ["ifup"]),
            # ifup alone would add rules that are there, which old kernels take.
            (False, True, True, ["ifdown", "ifup"]),
            (True, True, True, []),
            # It believes to have what the kernel lost.
            (True, True, False, ["ifdown", "ifup"]),
            (True, False, False, ["ifdown", "ifup"]),
        ],
    )
    def test_which_commands_it_takes(  # noqa: PLR0913
        self, host, tmpdir, running, is_up, has_address, commands
    ):
        if running:
            dhclient_runs(tmpdir)
        one = host(up=is_up, kernel=kernel_of(FRESH[4] if has_address else [], 4))
        assert flows.up(one, "eth1").left_alone == ""
        assert one.runner.shown == [[command, "eth1"] for command in commands]
        assert one.ended == (["eth1"] if "ifdown" in commands else [])
        assert file_of(tmpdir, IFCFG).check()

    def test_what_is_up_is_changed_at_once(self, host, tmpdir):
        dhclient_runs(tmpdir)
        one = host(DUAL, up=True, kernel=kernel_of(FRESH[4], 4))
        flows.up(one, "eth1")
        six = [line for line in ADDED[6] if "default" not in line]
        assert one.runner.changes == GAINED[4] + six[:-1] + [FIRST6] + six[-1:]
        assert one.runner.shown == []

    def test_ipv6_that_came_while_up_does_not_wait_for_a_lease_of_it(self, host, tmpdir):
        flows.add(host(eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})), "eth1")
        dhclient_runs(tmpdir)
        kernel = kernel_of(full(4), 4)
        kernel.update(kernel_of([ADVERTISED], 6))
        one = host(DUAL, up=True, kernel=kernel)
        flows.up(one, "eth1")
        assert one.runner.changes == ADDED[6][:-1] + [FIRST6] + ADDED[6][-1:]
        assert one.runner.shown == []

    def test_after_an_ifdown_that_fails_it_is_the_ifup_that_tells(self, host, tmpdir):
        dhclient_runs(tmpdir)
        one = host()
        one.runner.statuses["ifdown"] = 1
        flows.up(one, "eth1")
        assert one.runner.shown == [["ifdown", "eth1"], ["ifup", "eth1"]]
        assert one.ended == ["eth1"]
        one.runner.statuses["ifup"] = 1
        assert "ifup eth1" in raised(CommandError, flows.up, one, "eth1")


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
        CONNECTED,
    ]
    TEXTS = eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})

    def test_a_running_interface_is_taken_over_without_an_interruption(self, host, tmpdir):
        inherit(tmpdir)
        dhclient_runs(tmpdir)
        one = host(self.TEXTS, up=True, kernel=kernel_of(self.KERNEL, 4))
        plans, _, failures = catch_up(one)
        assert ([plan.name for plan in plans], failures) == (["eth1"], [])
        assert one.runner.shown == []
        assert one.runner.changes == [
            "route add 10.0.1.0/24 dev eth1 metric 10001",
            "rule add pref 10001 from 10.0.1.10 lookup 10001",
            "rule add pref 10001 from 10.0.1.11 lookup 10001",
            "rule del pref 32765 from 10.0.1.10 lookup 10001",
            "rule del pref 32764 from 10.0.1.11 lookup 10001",
            REPLACED,
        ]

    def test_the_users_wish_is_kept_and_carried_out_at_once(self, host, tmpdir):
        inherit(tmpdir, "MAINROUTETABLE=no\n")
        dhclient_runs(tmpdir)
        one = host(self.TEXTS, up=True, kernel=kernel_of(self.KERNEL, 4))
        catch_up(one)
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
        assert catch_up(one) == ([], [], [])
        assert one.session.requests == one.runner.shown == []

    def test_removing_what_was_inherited_takes_its_rules_along(self, host, tmpdir):
        inherit(tmpdir)
        left = [line for line in self.KERNEL if line.startswith("327")]
        one = host(kernel=kernel_of(left + FOREIGN[4][1:2], 4))
        del one.devices.shown["eth1"]
        flows.remove(one, "eth1")
        assert sorted(one.runner.changes) == [
            "rule del pref 32764 from 10.0.1.11 lookup 10001",
            "rule del pref 32765 from 10.0.1.10 lookup 10001",
        ]
        assert not file_of(tmpdir, IFCFG).check()

    @pytest.mark.parametrize("use_case", [flows.remove, flows.down])
    @pytest.mark.parametrize(
        "told, reason", [(SECOND, "primary"), ((503, ""), "older tool")], ids=["primary", "silent"]
    )
    def test_it_is_not_removed_where_it_may_be_the_primarys(
        self, host, tmpdir, use_case, told, reason
    ):
        inherit(tmpdir)
        one = host(up=True, kernel=kernel_of(self.KERNEL, 4))
        one.session.answers["meta-data/mac"] = told
        assert reason in use_case(one, "eth1").left_alone
        assert one.runner.ran == one.runner.shown == one.ended == []
        assert file_of(tmpdir, IFCFG).check()

    def test_the_primary_with_such_a_file_is_not_brought_up_anew(self, host, tmpdir):
        inherit(tmpdir)
        dhclient_runs(tmpdir)
        one = host(up=True, kernel=kernel_of([], 4))
        one.session.answers["meta-data/mac"] = SECOND
        flows.up(one, "eth1")
        assert one.runner.shown == one.ended == []

    @pytest.mark.parametrize("action", ["gained", "lost"])
    def test_its_leases_are_left_alone_until_then(self, host, tmpdir, action):
        inherit(tmpdir)
        before = file_of(tmpdir, IFCFG).read()
        one = host(self.TEXTS, up=True, kernel=kernel_of(self.KERNEL, 4))
        plan = lease(one, action, 4)
        assert (plan.steps, plan.files) == ([], {})
        assert one.runner.changes == []
        assert file_of(tmpdir, IFCFG).read() == before


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
        "10.0.1.0/24 dev eth1 scope link metric 10001 ",
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
        plan = flows.add(one, "eth1")
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
        assert changes == ["route add local 10.0.1.64/28 dev eth1 table 255"]
        assert self.added(tmpdir, self.KERNEL + [self.LOCAL]) == ([], [])
        knob("EC2PROVISIONPFXIPS", "yes", "no")
        files, changes = self.added(tmpdir, self.KERNEL + [self.LOCAL])
        assert len(files) == 1
        assert changes == ["route del local 10.0.1.64/28 dev eth1 table 255"]
