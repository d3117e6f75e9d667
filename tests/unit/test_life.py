"""An interface's life: brought up, taken down, pulled, attached again; and what is left of it."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import lifecycle, record, settings
from ec2net_legacy.commands.scan import catch_up
from ec2net_legacy.errors import CommandError, HostError, LockHeld, MetadataUnavailable
from ec2net_legacy.event import LeaseEvent
from tests.unit import flows
from tests.unit.fakes import COMMON_RULES, MACS, PRIMARY, SECOND, THIRD, eni_texts, nic, raised
from tests.unit.hosts import (
    ETH1,
    INTERFACES,
    RULE,
    SCRIPTS,
    Hosts,
    asked,
    before_each,
    brought_up,
    card,
    inet,
    kernel_with,
    ran,
)

PATIENT = settings.DEFAULTS.metadata._replace(attach_deadline=600.0)
NAMES = "etc/udev/rules.d/70-ec2net-names.rules"
LEASES = "var/lib/dhcp/"
TWO = {SECOND: eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})}
# What TWO makes of a kernel, in the order in which it is added.
FULL = [
    inet("10.0.1.10/24"),
    "10.0.1.0/24 dev eth1 scope link metric 10001 ",
    "10.0.1.0/24 dev eth1 table 10001 scope link ",
    "default via 10.0.1.1 dev eth1 table 10001 ",
    RULE,
    RULE.replace("10.0.1.10", "10.0.1.11"),
    inet("10.0.1.11/32"),
]
ADDED = [
    None,
    "route add 10.0.1.0/24 dev eth1 metric 10001",
    "route replace 10.0.1.0/24 dev eth1 table 10001",
    "route replace default via 10.0.1.1 dev eth1 table 10001",
    "rule add pref 10001 from 10.0.1.10 lookup 10001",
    "rule add pref 10001 from 10.0.1.11 lookup 10001",
    "addr add 10.0.1.11/32 dev eth1",
]


@pytest.fixture
def hosts(tmpdir):
    return Hosts(tmpdir)


@pytest.fixture
def up(hosts):
    """Return the same after eth1 was brought up."""
    flows.up(hosts(card()), "eth1")
    return hosts


def wish(host, name="eth1", index=3):
    wanted = record.read(host.run_directory, name).wish
    return wanted.state if wanted is not None and wanted.index == index else ""


def gained(hosts, **others):
    """Let eth1 get a lease."""
    return lease_of(hosts(card(up=True), **others), "gained")


def lease_of(host, action):
    return flows.lease(host, LeaseEvent(action, "eth1", 4, None), 5.0)


def leases(hosts, name="dhclient.eth1.leases"):
    """Leave the file that a dhclient leaves."""
    path = hosts.file(LEASES + name)
    path.write("lease {}\n", ensure=True)
    return path


class TestWish(object):
    """What somebody wants of an interface, until it is so."""

    def test_an_up_of_what_is_left_alone_leaves_none(self, hosts):
        for one, name in ((hosts(), "eth0"), (hosts(nic("br0", SECOND, kind="bridge")), "br0")):
            assert flows.up(one, name).left_alone
            assert record.read(hosts().run_directory, name).wish is None

    @pytest.mark.parametrize("down", [False, True], ids=["ifup fails", "no metadata"])
    def test_an_up_that_fails_is_still_wished(self, hosts, down):
        one = hosts(card(), down=down)
        one.runner.statuses["ifup"] = 1
        raised(MetadataUnavailable if down else CommandError, flows.up, one, "eth1")
        assert wish(one) == record.UP

    @pytest.mark.parametrize("down", [False, True], ids=["", "by the last good configuration"])
    def test_after_an_up_there_is_none(self, up, down):
        one = up(card(), down=down)
        flows.up(one, "eth1")
        assert record.read(one.run_directory, "eth1").wish is None

    def test_an_up_of_what_is_not_there_leaves_none(self, hosts):
        raised(HostError, flows.up, hosts(), "eth1")
        assert not hosts.directory.join("run").check()

    @pytest.mark.parametrize("use_case", [flows.remove, flows.down])
    def test_who_takes_it_away_wants_it_down(self, up, use_case):
        one = up(card(up=True))
        use_case(one, "eth1")
        assert wish(one) == record.DOWN

    def test_another_device_of_that_name_inherits_nothing(self, up):
        flows.down(up(card()), "eth1")
        one = up(card(index=4))
        assert wish(one, index=4) == ""
        assert [plan.name for plan in catch_up(one, by_hand=False)[0]] == ["eth1"]


@pytest.fixture(params=[flows.remove, flows.down], ids=["remove", "ec2ifdown"])
def unwanted(up, request):
    """Return the same after somebody took eth1 away, whose device is there."""
    request.param(up(card(up=True)), "eth1")
    return up


class TestUnwanted(object):
    """Whoever has taken an interface away does not find it back by itself."""

    def test_the_refresh_and_its_scan_leave_it_alone(self, unwanted):
        one = unwanted(card(up=True))
        assert flows.refresh(one, "eth1") == ([], [])
        assert one.session.requests == []
        plans, failures = flows.refresh(one)
        assert ([plan.name for plan in plans], failures) == (["eth0"], [])
        assert catch_up(one, by_hand=False) == ([], [], [])
        assert unwanted.files == [INTERFACES]
        assert [path for path in asked(one) if SECOND in path or path == MACS] == []

    @pytest.mark.parametrize("action", ["gained", "lost"])
    def test_a_lease_that_comes_still_leaves_it_alone(self, unwanted, action):
        one = unwanted(card(up=True), kernel=kernel_with(inet("10.0.1.10/24"), RULE))
        assert lease_of(one, action).left_alone
        assert (one.session.requests, one.runner.changes) == ([], [])

    def test_a_scan_by_hand_brings_it_back(self, unwanted):
        one = unwanted(card())
        assert [plan.name for plan in catch_up(one)[0]] == ["eth1"]
        assert brought_up(one) == ["eth1"]
        assert wish(one) == ""

    @pytest.mark.parametrize("use_case", [flows.add, flows.up], ids=["add", "ec2ifup"])
    def test_so_does_who_names_it(self, unwanted, use_case):
        one = unwanted(card())
        use_case(one, "eth1")
        assert unwanted.file(ETH1).check()
        assert wish(one) == ""
        assert [plan.name for plan in flows.refresh(unwanted(card()))[0]] == ["eth0", "eth1"]

    def test_an_add_that_comes_to_nothing_leaves_it_unwanted(self, unwanted):
        one = unwanted(card(), down=True)
        raised(MetadataUnavailable, flows.add, one, "eth1")
        assert wish(one) == record.DOWN


class TestDetached(object):
    """Of a device that is gone nothing is left but its name's rule."""

    @pytest.mark.parametrize("use_case", [flows.detach, flows.down])
    def test_no_note_and_no_lease_is_left(self, hosts, use_case):
        hosts.file("etc/udev/rules.d").ensure(dir=True)
        for name in ("dhclient.eth1.leases", "dhclient6.eth1.leases", "dhclient.eth11.leases"):
            leases(hosts, name)
        flows.up(hosts(card()), "eth1")
        gained(hosts)
        flows.refresh(hosts(card(up=True)))
        one = hosts(kernel=kernel_with(RULE))
        use_case(one, "eth1")
        assert hosts.notes == ["interface-eth0", "token"]
        assert hosts.files == [INTERFACES, NAMES, LEASES + "dhclient.eth11.leases"]
        assert one.runner.changes == ["rule del pref 10001 from 10.0.1.10 lookup 10001"]
        assert ran(one) == ["ifdown"]

    STRAYS = ["10001:\tfrom 10.0.1.77 lookup 10001 ", "10001:\tfrom 2600::77 lookup 10001 "]

    def stray(self, hosts, *cards):
        """Return the host on which an ifup added rules by a file that was gone then."""
        foreign = ["10002:\tfrom 10.0.2.10 lookup 10002 ", "500:\tfrom 10.0.1.9 lookup 10001 "]
        kernel = kernel_with(*([self.STRAYS[0]] + foreign))
        kernel[6] = COMMON_RULES + self.STRAYS[1] + "\n"
        leases(hosts)
        return hosts(*cards, kernel=kernel)

    @pytest.mark.parametrize("use_case", [flows.detach, flows.down])
    def test_what_an_ifup_added_by_a_file_that_was_gone_goes_too(self, hosts, use_case):
        one = self.stray(hosts)
        use_case(one, "eth1")
        assert one.runner.changes == [
            "rule del pref 10001 from 10.0.1.77 lookup 10001",
            "-6 rule del pref 10001 from 2600::77 lookup 10001",
        ]
        assert one.ended == ["eth1", "eth1"]
        assert not hosts.file(LEASES + "dhclient.eth1.leases").check()

    @pytest.mark.parametrize(
        "cards, path, text",
        [
            ((card(),), None, ""),
            ((), INTERFACES, "iface eth1 inet dhcp\n"),
            ((), "etc/network/interfaces.d/ens5.cfg",
             "# Generated by ec2net: ens5, {0}, table 10001\niface ens5 inet dhcp\n"
             "    post-up ip route replace 10.0.1.0/24 dev ens5 table 10001\n".format(SECOND)),
        ],
        ids=["its device is there", "the administrator configures it", "its table is another's"],
    )
    def test_what_others_may_need_stays(self, hosts, cards, path, text):
        if path:
            hosts.file(path).write(text, "a", ensure=True)
        one = self.stray(hosts, *cards)
        flows.detach(one, "eth1")
        assert (one.runner.changes, one.ended) == ([], [])
        assert hosts.file(LEASES + "dhclient.eth1.leases").check()

    def test_what_an_ifup_left_whose_removal_had_begun_is_found_by_the_refresh(self, hosts):
        eth2 = card("eth2", THIRD, up=True, index=4)
        flows.up(hosts(eth2), "eth2")
        one = self.stray(hosts, eth2)
        for cleaned in (["eth1"], []):
            flows.refresh(one)
            names = [plan.name for plan in catch_up(one, by_hand=False)[0]]
            assert [name for name in names if name != "eth2"] == cleaned
            one = hosts(eth2, after=one)
        for text, stray in zip((one.runner.kernel[4], one.runner.kernel[6]), self.STRAYS):
            assert stray not in text
        assert "500:" in one.runner.kernel[4]
        assert not hosts.file(LEASES + "dhclient.eth1.leases").check()

    def test_the_same_again_finds_nothing_to_do(self, up):
        flows.detach(up(), "eth1")
        one = up()
        plan = flows.detach(one, "eth1")
        assert (plan.files, plan.steps, plan.left_alone) == ({}, [], "")
        assert (one.runner.changes, one.runner.shown) == ([], [])
        assert up.notes == ["token"]

    def test_one_that_was_unwanted_before_leaves_nothing_either(self, up):
        flows.down(up(card(up=True)), "eth1")
        flows.detach(up(), "eth1")
        assert up.notes == ["token"]

    def test_one_that_never_came_up_leaves_nothing_either(self, hosts):
        with pytest.raises(MetadataUnavailable):
            flows.up(hosts(card(), enis={SECOND: {"device-number": "1"}}), "eth1")
        assert record.read(hosts().run_directory, "eth1").wish == (record.UP, 3)
        flows.detach(hosts(), "eth1")
        assert hosts.notes == ["token"]

    def test_its_dhclient_is_ended_before_ifdown_which_would_wait_for_an_ifup(self, up):
        one = up()
        order = []
        one.end_dhclient = lambda name: order.append("dhclient of " + name)
        before_each(one, lambda argv, _: order.append(argv[0]))
        flows.detach(one, "eth1")
        assert order[:2] == ["dhclient of eth1", "ifdown"]

    def test_one_that_is_there_is_removed_without_an_ifdown(self, up):
        one = up(card(up=True))
        flows.detach(one, "eth1")
        assert one.runner.shown == []
        assert not up.file(ETH1).check()

    def test_while_a_dhclient_lives_its_leases_stay(self, up):
        lease = leases(up)
        one = up(card(up=True))
        one.has_dhclient = lambda name: name == "eth1"
        flows.remove(one, "eth1")
        assert lease.check()

    def test_leases_of_what_was_never_ours_stay(self, hosts):
        lease = leases(hosts)
        flows.detach(hosts(), "eth1")
        assert lease.check()


class TestWithoutMetadata(object):
    """`ec2ifup` goes by the last good configuration if that is this ENI's."""

    def test_another_enis_configuration_is_not(self, up):
        before = up.file(ETH1).read()
        one = up(card(mac=THIRD, index=4), down=True)
        raised(MetadataUnavailable, flows.up, one, "eth1")
        assert one.runner.shown == []
        assert up.file(ETH1).read() == before

    @pytest.mark.parametrize(
        "looks, sleeps",
        # The first look is at its address, the second is whether to go on.
        [([card(), None], 0), ([card(), card(), card(index=4)], 1)],
        ids=["pulled", "another is in its place"],
    )
    def test_an_eni_that_is_gone_is_not_waited_for(self, hosts, looks, sleeps):
        one = hosts(card(), enis={SECOND: {"device-number": "1"}})
        one.devices.shown["eth1"] = looks
        raised(HostError, flows.add, one, "eth1")
        assert len(one.clock.sleeps) == sleeps

    def test_one_that_is_there_is_waited_for_to_the_end(self, hosts):
        one = hosts(card(), enis={SECOND: {"device-number": "1"}})
        raised(MetadataUnavailable, flows.add, one, "eth1")
        assert one.clock.passed > 20


class TestNames(object):
    """Which ENI has which ethN is written down where udev is."""

    def test_without_udevs_directory_nothing_is_written(self, up):
        assert up.files == [INTERFACES, ETH1]

    def test_each_eni_gets_its_rule_and_the_primary_none(self, hosts):
        hosts.file("etc/udev/rules.d").ensure(dir=True)
        for name in ("eth1", "eth2", "eth0"):
            flows.up(hosts(card(), card("eth2", THIRD, index=4)), name)
        text = hosts.file(NAMES).read()
        assert '"{0}", NAME="eth1"'.format(SECOND) in text
        assert '"{0}", NAME="eth2"'.format(THIRD) in text
        assert PRIMARY not in text and text.count("NAME=") == 2

    def test_the_primary_gets_none_whatever_its_name_and_its_addresses(self, hosts):
        hosts.file("etc/udev/rules.d").ensure(dir=True)
        primary = nic("eth1", PRIMARY, up=True)
        more = {PRIMARY: eni_texts(0, {"local-ipv4s": "10.0.0.10\n10.0.0.11"})}
        kernel = kernel_with(inet("10.0.0.10/24"))
        assert flows.add(hosts(primary=primary, enis=more, kernel=kernel), "eth1").live
        flows.refresh(hosts(primary=primary, enis=more, kernel=kernel))
        assert hosts.files == [INTERFACES]

    def test_a_link_in_their_place_says_that_none_are_wanted(self, hosts):
        hosts.file("etc/udev/rules.d").ensure(dir=True)
        hosts.file(NAMES).mksymlinkto("/dev/null")
        assert flows.up(hosts(card()), "eth1").files
        assert hosts.file(NAMES).islink()

    def test_a_refresh_of_two_writes_both_and_no_more(self, hosts):
        cards = card(), card("eth2", THIRD, index=4)
        for name in ("eth1", "eth2"):
            flows.add(hosts(*cards), name)
        hosts.file("etc/udev/rules.d").ensure(dir=True)
        assert flows.refresh(hosts(*cards))[1] == []
        assert hosts.file(NAMES).read().count("NAME=") == 2
        assert [plan.files for plan in flows.refresh(hosts(*cards))[0]] == [{}, {}, {}]


class TestComplete(object):
    """An ifup may have run by an older file, or one that was plain DHCP."""

    @pytest.mark.parametrize("distro", ["debian", "rhel"])
    @pytest.mark.parametrize("there", [FULL[:1], FULL[:3], FULL[:5], FULL[1:2] + FULL[:1]])
    def test_what_is_missing_is_added(self, tmpdir, distro, there):
        one = Hosts(tmpdir, distro)(card(), enis=TWO)
        # It got its address after the plan was made, by an ifup that knew less.
        before_each(one, lambda *_: one.runner.kernel.update(kernel_with(*there)))
        flows.up(one, "eth1")
        wanted = [added for line, added in zip(FULL, ADDED) if line not in there]
        if FULL[1] not in there:
            wanted.append("route del 10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10")
        # network-scripts have it in their files.
        main = "route add default via 10.0.1.1 dev eth1 metric 10001"
        assert [line for line in one.runner.changes if line != main] == wanted

    @pytest.mark.parametrize(
        "seconds, dhclient, now, commands",
        [
            (60, True, card(), ["ifup", "ifdown", "ifup"]),
            # The unit would not wait for two of them.
            (200, True, card(), ["ifup"]),
            # Whoever gives it its address, no dhclient of ours hears nothing.
            (60, False, card(), ["ifup"]),
            (60, True, None, ["ifup"]),
            (60, True, card(index=12), ["ifup"]),
        ],
        ids=["in time", "too late", "without a dhclient", "pulled", "replaced"],
    )
    def test_without_a_lease_another_dhclient_tries(  # noqa: PLR0913
        self, hosts, seconds, dhclient, now, commands
    ):
        one = hosts(card())
        one.has_dhclient = lambda name: dhclient
        before_each(one, lambda *_: (one.sleep(seconds), one.devices.shown.update(eth1=now)))
        flows.up(one, "eth1")
        assert ran(one) == commands
        assert one.ended == ["eth1"] * commands.count("ifdown")

    @pytest.mark.parametrize(
        "foreign", [[], [inet("10.0.1.99/32"), "500:\tfrom 10.0.1.99 lookup 10001 "]],
        ids=["", "also what is not in the files"],
    )
    def test_where_all_is_there_nothing_is_changed(self, hosts, foreign):
        one = hosts(card(), enis=TWO)
        flows.add(one, "eth1")
        one.runner.kernel = kernel_with(*(FULL + foreign))
        lifecycle.bring_up(one, flows.add(one, "eth1"))
        assert one.runner.changes == []

    @pytest.mark.parametrize(
        "lines", [[], [inet("10.0.1.11/32")], [inet("10.0.1.10/24", "eth2")], FULL[1:]],
        ids=["none", "another", "another device", "all but the lease's"],
    )
    def test_without_the_address_of_the_lease_nothing_is_added(self, hosts, lines):
        one = hosts(card(), enis=TWO, kernel=kernel_with(*lines))
        flows.up(one, "eth1")
        assert one.runner.changes == []


class TestDetachedWithNetworkScripts(object):
    """The same where dhclient has files of its own."""

    def test_nothing_is_left(self, tmpdir):
        hosts = Hosts(tmpdir, "rhel")
        before = hosts.files
        flows.up(hosts(card()), "eth1")
        for name in ("dhclient--eth1.lease", "dhclient-eth1.leases", "dhclient6--eth1.lease"):
            hosts.file("var/lib/dhclient/" + name).write("lease {}\n", ensure=True)
        one = hosts(kernel=kernel_with(RULE))
        flows.detach(one, "eth1")
        assert hosts.files == before
        assert hosts.notes == ["token"]
        assert ran(one) == ["ifdown"]
        assert one.runner.changes == ["rule del pref 10001 from 10.0.1.10 lookup 10001"]

    def test_a_scan_of_an_older_tools_eni_brings_it_up_when_metadata_lists_it(self, tmpdir):
        hosts = Hosts(tmpdir, "rhel")
        text = "DEVICE=eth1\nBOOTPROTO=dhcp\nEC2SYNC=yes\n"
        hosts.file(SCRIPTS + "ifcfg-eth1").write(text)
        raised(MetadataUnavailable, catch_up, hosts(card(), down=True))
        one = hosts(card())
        assert [plan.name for plan in catch_up(one)[0]] == ["eth1"]
        assert brought_up(one) == ["eth1"]


class TestDeviceNote(object):
    """Which device was brought up is known also where it was not ec2net that did."""

    @pytest.mark.parametrize("ancestors, noted", [(["ifup"], 3), ([], 0)])
    def test_the_lease_of_an_ifup_tells(self, up, ancestors, noted):
        up.boot()
        one = up(card(up=True), down=True)
        one.ancestors = lambda: ancestors
        lease_of(one, "gained")
        assert record.read(one.run_directory, "eth1").device == noted

    def test_so_does_a_refresh_and_a_device_in_its_place_is_taken_down_first(self, up):
        up.boot()
        one = up(card(up=True), kernel=kernel_with(inet("10.0.1.10/24")))
        flows.refresh(one)
        assert record.read(one.run_directory, "eth1").device == 3
        one = up(card(index=5))
        flows.up(one, "eth1")
        assert ran(one) == ["ifdown", "ifup"]


class TestBudget(object):
    """The unit of an interface ends after 500 s to start and 300 s to stop; ec2net before that."""

    def limits(self, one):
        """Return a list that gets (program, when it would be ended) of what is run."""
        seen = []
        before_each(one, lambda argv, limit: seen.append((argv[0], one.clock.passed + limit)))
        return seen

    def test_what_waits_for_metadata_and_locks_is_not_there_for_ifup(self, hosts):
        one = hosts(card(), changes={"metadata": PATIENT}, enis={SECOND: {"device-number": "1"}})
        flows.add(hosts(card()), "eth1")
        seen = self.limits(one)
        flows.up(one, "eth1")
        assert [name for name, _ in seen] == ["ifup"]
        assert one.clock.passed >= 300
        assert all(end <= 370 for _, end in seen)

    def test_an_ifup_elsewhere_is_waited_for_within_the_same_time(self, hosts):
        one = hosts(card())
        with hosts(card()).run_directory.lock("ifup-eth1"):
            one.sleep(100)
            raised(LockHeld, flows.up, one, "eth1")
        assert one.clock.passed - 100 <= 370

    def test_ifdown_leaves_time_for_the_removal(self, up):
        one = up(card(up=True))
        seen = self.limits(one)
        flows.down(one, "eth1")
        assert [name for name, _ in seen] == ["ifdown"]
        assert all(end <= 250 for _, end in seen)

    def test_an_ifup_that_is_ended_is_told(self, hosts):
        one = hosts(card())

        def endless(argv, limit):
            raise CommandError(argv, 143, "ended")

        one.runner.run_visibly = endless
        raised(CommandError, flows.up, one, "eth1")
        assert wish(one) == record.UP


class TestTooLarge(object):
    """A file that is far larger than any configuration."""

    LARGE = "# x\n" * (1 << 19)

    @pytest.mark.parametrize(
        "distribution, path",
        [("debian", "etc/network/interfaces.d/dump.cfg"), ("rhel", SCRIPTS + "ifcfg-bak")],
    )
    def test_what_is_somebody_elses_keeps_no_eni_unreachable(self, tmpdir, distribution, path):
        hosts = Hosts(tmpdir, distribution)
        hosts.file(path).write(self.LARGE, ensure=True)
        one = hosts(card())
        plan = flows.up(one, "eth1")
        assert brought_up(one) == ["eth1"]
        assert "/{0} is too large".format(path) in plan.warning
        assert flows.refresh(hosts(card(up=True)))[1] == []


@pytest.fixture(params=["debian", "rhel"])
def ignored(tmpdir, request):
    """Return the hosts on which eth1 was brought up, and whose settings ignore it by its id since.

    The last word of what it is called with may say otherwise.
    """
    hosts = Hosts(tmpdir, request.param)
    flows.up(hosts(card()), "eth1")

    def make(*devices, **others):
        return hosts(*devices, **dict({"changes": {"ignore": ("eni-0a1",)}}, **others))

    make.hosts = hosts
    return make


class TestIgnoredSince(object):
    """An ENI that was configured when the settings began to ignore it by its id."""

    def untouched(self, ignored, one, use_case):
        before = ignored.hosts.files
        plan = use_case(one, "eth1")
        assert "eni-0a1 is ignored" in plan.left_alone
        assert (one.runner.shown, one.runner.changes, one.ended) == ([], [], [])
        assert ignored.hosts.files == before

    @pytest.mark.parametrize("down", [True, False], ids=["no metadata", "metadata"])
    @pytest.mark.parametrize("use_case", [flows.up, flows.down, flows.remove, flows.detach])
    def test_it_is_neither_brought_up_nor_taken_down(self, ignored, use_case, down):
        for is_up in (True, False):
            one = ignored(card(up=is_up), down=down, kernel=kernel_with(RULE))
            self.untouched(ignored, one, use_case)
            assert one.session.requests == []

    @pytest.mark.parametrize("action", ["gained", "lost"])
    def test_its_leases_are_left_alone(self, ignored, action):
        one = ignored(card(up=True), kernel=kernel_with(inet("10.0.1.10/24"), RULE))
        assert lease_of(one, action).left_alone
        assert (one.session.requests, one.runner.changes) == ([], [])

    def test_a_refresh_and_its_scan_do_not_look_at_it(self, ignored):
        ignored.hosts.boot()
        one = ignored(card())
        assert [plan.name for plan in flows.refresh(one)[0]] == ["eth0"]
        assert catch_up(one, by_hand=False) == ([], [], [])
        assert [path for path in asked(one) if SECOND in path] == []

    def test_its_file_stays_while_its_device_is_away(self, ignored):
        before = ignored.hosts.files
        one = ignored(enis={})
        assert catch_up(one, by_hand=False) == ([], [], [])
        assert ignored.hosts.files == before

    def test_another_eni_in_its_place_is_not_ignored(self, ignored):
        one = ignored(card(mac=THIRD, index=4))
        assert flows.up(one, "eth1").left_alone == ""
        assert brought_up(one) == ["eth1"]

    def test_in_the_file_of_an_older_tool_there_is_no_id_and_metadata_has_it(self, tmpdir):
        hosts = Hosts(tmpdir, "rhel")
        path = hosts.file(SCRIPTS + "ifcfg-eth1")
        path.write("DEVICE=eth1\nBOOTPROTO=dhcp\nEC2SYNC=yes\n")
        for use_case in (flows.up, flows.down, flows.remove):
            one = hosts(card(), changes={"ignore": ("eni-0a1",)})
            assert "eni-0a1 is ignored" in use_case(one, "eth1").left_alone
            assert (one.runner.shown, path.check()) == ([], True)

    @pytest.mark.parametrize("distribution", ["debian", "rhel"])
    def test_nor_is_one_brought_up_that_became_part_of_a_bond(self, tmpdir, distribution):
        hosts = Hosts(tmpdir, distribution)
        flows.up(hosts(card()), "eth1")
        one = hosts(nic("eth1", SECOND, master="bond0", index=3))
        assert flows.up(one, "eth1").left_alone
        assert one.runner.shown == []

    def test_nor_the_primary_with_an_older_tools_file_while_metadata_lacks_a_key(self, tmpdir):
        hosts = Hosts(tmpdir, "rhel")
        hosts.file(SCRIPTS + "ifcfg-eth0").write("DEVICE=eth0\nBOOTPROTO=dhcp\nEC2SYNC=yes\n")
        one = hosts(enis={PRIMARY: {"device-number": "0"}})
        assert flows.up(one, "eth0").left_alone
        assert one.runner.shown == []


class Killed(BaseException):
    """What no `except` of ours takes, as a signal that ends this process."""


@pytest.mark.parametrize("distribution", ["debian", "rhel"])
@pytest.mark.parametrize("killed_at, rest", [("ifdown", ["ifdown", "ifup"]), ("ifup", ["ifup"])])
def test_a_run_that_is_killed_over_a_replaced_device_leaves_it_to_the_next(
    tmpdir, distribution, killed_at, rest
):
    def kill(argv, _):
        if argv[0] == killed_at:
            raise Killed()

    hosts = Hosts(tmpdir, distribution)
    flows.up(hosts(card()), "eth1")
    one = hosts(card(index=5))
    before_each(one, kill)
    raised(Killed, flows.up, one, "eth1")
    for commands in (rest, ["ifup"]):
        again = hosts(card(index=5))
        flows.up(again, "eth1")
        assert ran(again) == commands
