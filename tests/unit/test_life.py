"""An interface's life: brought up, taken down, pulled, attached again; and what is left of it."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import distribution, notes, upkeep, workflow
from ec2net_legacy.errors import CommandError, HostError, MetadataUnavailable
from ec2net_legacy.event import LeaseEvent
from ec2net_legacy.scan import catch_up
from tests.unit.fakes import COMMON_RULES, MACS, PRIMARY, SECOND, THIRD, eni_texts, nic
from tests.unit.hosts import (
    ETH1,
    INTERFACES,
    RULE,
    SCRIPTS,
    Hosts,
    asked,
    brought_up,
    card,
    inet,
    kernel_with,
)

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
    workflow.up(hosts(card()), "eth1")
    return hosts


def wish(host, name="eth1", index=3):
    return notes.wish(host.run_directory, name, index)


class TestWish(object):
    """What somebody wants of an interface, until it is so."""

    def test_after_an_up_there_is_none(self, up):
        assert wish(up(card())) == ""
        assert "wish-eth1" not in up.notes

    def test_an_up_of_what_is_left_alone_leaves_none(self, hosts):
        for one, name in ((hosts(), "eth0"), (hosts(nic("br0", SECOND, kind="bridge")), "br0")):
            assert workflow.up(one, name).left_alone
            assert "wish-" + name not in hosts.notes

    def test_an_up_that_fails_is_still_wished(self, hosts):
        one = hosts(card())
        one.runner.statuses["ifup"] = 1
        with pytest.raises(CommandError):
            workflow.up(one, "eth1")
        assert wish(one) == notes.UP

    def test_an_up_without_metadata_is_still_wished(self, hosts):
        one = hosts(card(), down=True)
        with pytest.raises(MetadataUnavailable):
            workflow.up(one, "eth1")
        assert wish(one) == notes.UP

    def test_an_up_by_the_last_good_configuration_has_come_true(self, up):
        one = up(card(), down=True)
        workflow.up(one, "eth1")
        assert wish(one) == ""

    def test_an_up_of_what_is_not_there_leaves_none(self, hosts):
        with pytest.raises(HostError):
            workflow.up(hosts(), "eth1")
        assert not hosts.directory.join("run").check()

    @pytest.mark.parametrize("use_case", [workflow.remove, workflow.down])
    def test_who_takes_it_away_wants_it_down(self, up, use_case):
        one = up(card(up=True))
        use_case(one, "eth1")
        assert wish(one) == notes.DOWN

    def test_another_device_of_that_name_inherits_nothing(self, up):
        workflow.down(up(card()), "eth1")
        one = up(card(index=4))
        assert wish(one, index=4) == ""
        assert [plan.name for plan in catch_up(one, by_hand=False)[0]] == ["eth1"]


@pytest.fixture(params=[workflow.remove, workflow.down], ids=["remove", "ec2ifdown"])
def unwanted(up, request):
    """Return the same after somebody took eth1 away, whose device is there."""
    request.param(up(card(up=True)), "eth1")
    return up


class TestUnwanted(object):
    """Whoever has taken an interface away does not find it back by itself."""

    def test_the_refresh_and_its_scan_leave_it_alone(self, unwanted):
        one = unwanted(card(up=True))
        plans, failures = upkeep.refresh(one)
        assert ([plan.name for plan in plans], failures) == (["eth0"], [])
        assert catch_up(one, by_hand=False) == ([], [], [])
        assert unwanted.files == [INTERFACES]
        assert [path for path in asked(one) if SECOND in path or path == MACS] == []

    def test_a_refresh_of_just_this_one_leaves_it_alone(self, unwanted):
        one = unwanted(card(up=True))
        assert upkeep.refresh(one, "eth1") == ([], [])
        assert one.session.requests == []

    @pytest.mark.parametrize("action", ["gained", "lost"])
    def test_a_lease_that_comes_still_leaves_it_alone(self, unwanted, action):
        one = unwanted(card(up=True), kernel=kernel_with(inet("10.0.1.10/24"), RULE))
        plan = upkeep.lease(one, LeaseEvent(action, "eth1", 4, None), 5.0)
        assert plan.left_alone
        assert (one.session.requests, one.runner.changes) == ([], [])

    def test_a_scan_by_hand_brings_it_back(self, unwanted):
        one = unwanted(card())
        assert [plan.name for plan in catch_up(one)[0]] == ["eth1"]
        assert brought_up(one) == ["eth1"]
        assert wish(one) == ""

    @pytest.mark.parametrize("use_case", [workflow.add, workflow.up], ids=["add", "ec2ifup"])
    def test_so_does_who_names_it(self, unwanted, use_case):
        one = unwanted(card())
        use_case(one, "eth1")
        assert unwanted.file(ETH1).check()
        assert wish(one) == ""
        assert [plan.name for plan in upkeep.refresh(unwanted(card()))[0]] == ["eth0", "eth1"]

    def test_an_add_that_comes_to_nothing_leaves_it_unwanted(self, unwanted):
        one = unwanted(card(), down=True)
        with pytest.raises(MetadataUnavailable):
            workflow.add(one, "eth1")
        assert wish(one) == notes.DOWN


class TestDetached(object):
    """Of a device that is gone nothing is left but its name's rule."""

    @pytest.mark.parametrize("use_case", [workflow.detach, workflow.down])
    def test_no_note_no_lock_and_no_lease_is_left(self, hosts, use_case):
        hosts.file("etc/udev/rules.d").ensure(dir=True)
        for name in ("dhclient.eth1.leases", "dhclient6.eth1.leases", "dhclient.eth11.leases"):
            hosts.file(LEASES + name).write("lease {}\n", ensure=True)
        workflow.up(hosts(card()), "eth1")
        upkeep.lease(hosts(card(up=True)), LeaseEvent("gained", "eth1", 4, None), 5.0)
        upkeep.refresh(hosts(card(up=True)))
        one = hosts(kernel=kernel_with(RULE))
        use_case(one, "eth1")
        assert hosts.notes == ["lock", "lock-eth0", "metadata-eth0", "token"]
        assert hosts.files == [INTERFACES, NAMES, LEASES + "dhclient.eth11.leases"]
        assert one.runner.changes == ["rule del pref 10001 from 10.0.1.10 lookup 10001"]
        assert [argv[0] for argv in one.runner.shown] == ["ifdown"]

    STRAYS = ["10001:\tfrom 10.0.1.77 lookup 10001 ", "10001:\tfrom 2600::77 lookup 10001 "]

    def stray(self, hosts, *cards):
        """Return the host on which an ifup added rules by a file that was gone then."""
        foreign = ["10002:\tfrom 10.0.2.10 lookup 10002 ", "500:\tfrom 10.0.1.9 lookup 10001 "]
        kernel = kernel_with(*([self.STRAYS[0]] + foreign))
        kernel[6] = COMMON_RULES + self.STRAYS[1] + "\n"
        hosts.file(LEASES + "dhclient.eth1.leases").write("lease {}\n", ensure=True)
        return hosts(*cards, kernel=kernel)

    @pytest.mark.parametrize("use_case", [workflow.detach, workflow.down])
    def test_what_an_ifup_added_by_a_file_that_was_gone_goes_too(self, hosts, use_case):
        one = self.stray(hosts)
        use_case(one, "eth1")
        assert one.runner.changes == [
            "rule del pref 10001 from 10.0.1.77 lookup 10001",
            "-6 rule del pref 10001 from 2600::77 lookup 10001",
        ]
        assert one.ended == ["eth1", "eth1"]
        assert not hosts.file(LEASES + "dhclient.eth1.leases").check()

    def test_not_while_the_device_is_there(self, hosts):
        one = self.stray(hosts, card())
        workflow.remove(one, "eth1")
        assert (one.runner.changes, one.ended) == ([], [])
        assert hosts.file(LEASES + "dhclient.eth1.leases").check()

    def test_nor_what_is_anothers_by_its_table(self, hosts):
        text = "# Generated by ec2net: ens5, {0}, table 10001\niface ens5 inet dhcp\n"
        text += "    post-up ip route replace 10.0.1.0/24 dev ens5 table 10001\n"
        ens5 = hosts.file("etc/network/interfaces.d/ens5.cfg")
        ens5.write(text.format(SECOND), ensure=True)
        one = self.stray(hosts)
        workflow.detach(one, "eth1")
        assert (one.runner.changes, one.ended) == ([], [])

    def test_the_same_again_finds_nothing_to_do(self, up):
        workflow.detach(up(), "eth1")
        one = up()
        plan = workflow.detach(one, "eth1")
        assert (plan.files, plan.steps, plan.left_alone) == ({}, [], "")
        assert (one.runner.changes, one.runner.shown) == ([], [])
        assert up.notes == ["lock", "token"]

    def test_one_that_was_unwanted_before_leaves_nothing_either(self, up):
        workflow.down(up(card(up=True)), "eth1")
        workflow.detach(up(), "eth1")
        assert up.notes == ["lock", "token"]

    def test_one_that_never_came_up_leaves_nothing_either(self, hosts):
        with pytest.raises(MetadataUnavailable):
            workflow.up(hosts(card(), enis={SECOND: {"device-number": "1"}}), "eth1")
        assert "wish-eth1" in hosts.notes
        workflow.detach(hosts(), "eth1")
        assert hosts.notes == ["lock", "token"]

    def test_its_dhclient_is_ended_before_ifdown_which_would_wait_for_an_ifup(self, up):
        one = up()
        order = []
        one.end_dhclient = lambda name: order.append("dhclient of " + name)
        show = one.runner.run_visibly
        one.runner.run_visibly = lambda argv: order.append(argv[0]) or show(argv)
        workflow.detach(one, "eth1")
        assert order[:2] == ["dhclient of eth1", "ifdown"]

    def test_one_that_is_there_is_removed_without_an_ifdown(self, up):
        one = up(card(up=True))
        workflow.detach(one, "eth1")
        assert one.runner.shown == []
        assert not up.file(ETH1).check()

    def test_while_a_dhclient_lives_its_leases_stay(self, up):
        lease = up.file(LEASES + "dhclient.eth1.leases")
        lease.write("lease {}\n", ensure=True)
        one = up(card(up=True))
        one.has_dhclient = lambda name: name == "eth1"
        workflow.remove(one, "eth1")
        assert lease.check()

    def test_leases_of_what_was_never_ours_stay(self, hosts):
        lease = hosts.file(LEASES + "dhclient.eth1.leases")
        lease.write("lease {}\n", ensure=True)
        workflow.detach(hosts(), "eth1")
        assert lease.check()


class TestWithoutMetadata(object):
    """`ec2ifup` goes by the last good configuration if that is this ENI's."""

    def test_an_enis_own_configuration_is_brought_up(self, up):
        one = up(card(), down=True)
        workflow.up(one, "eth1")
        assert brought_up(one) == ["eth1"]

    def test_another_enis_configuration_is_not(self, up):
        before = up.file(ETH1).read()
        one = up(card(mac=THIRD, index=4), down=True)
        with pytest.raises(MetadataUnavailable):
            workflow.up(one, "eth1")
        assert one.runner.shown == []
        assert up.file(ETH1).read() == before

    def test_an_eni_that_was_pulled_is_not_waited_for(self, hosts):
        one = hosts(card(), enis={SECOND: {"device-number": "1"}})
        # The first look is at its address, the second is whether to go on.
        one.devices.shown["eth1"] = [card(), None]
        with pytest.raises(HostError):
            workflow.add(one, "eth1")
        assert one.clock.sleeps == []

    def test_nor_is_one_in_whose_place_there_is_another(self, hosts):
        one = hosts(card(), enis={SECOND: {"device-number": "1"}})
        one.devices.shown["eth1"] = [card(), card(), card(index=4)]
        with pytest.raises(HostError):
            workflow.add(one, "eth1")
        assert len(one.clock.sleeps) == 1

    def test_one_that_is_there_is_waited_for_to_the_end(self, hosts):
        one = hosts(card(), enis={SECOND: {"device-number": "1"}})
        with pytest.raises(MetadataUnavailable):
            workflow.add(one, "eth1")
        assert one.clock.passed > 20


class TestNames(object):
    """Which ENI has which ethN is written down where udev is."""

    def test_without_udevs_directory_nothing_is_written(self, up):
        assert up.files == [INTERFACES, ETH1]

    def test_each_eni_gets_its_rule_and_the_primary_none(self, hosts):
        hosts.file("etc/udev/rules.d").ensure(dir=True)
        for name in ("eth1", "eth2", "eth0"):
            workflow.up(hosts(card(), card("eth2", THIRD, index=4)), name)
        text = hosts.file(NAMES).read()
        assert '"{0}", NAME="eth1"'.format(SECOND) in text
        assert '"{0}", NAME="eth2"'.format(THIRD) in text
        assert PRIMARY not in text and text.count("NAME=") == 2

    def test_the_primary_gets_none_whatever_its_name_and_its_addresses(self, hosts):
        hosts.file("etc/udev/rules.d").ensure(dir=True)
        primary = nic("eth1", PRIMARY, up=True)
        more = {PRIMARY: eni_texts(0, {"local-ipv4s": "10.0.0.10\n10.0.0.11"})}
        kernel = kernel_with(inet("10.0.0.10/24"))
        assert workflow.add(hosts(primary=primary, enis=more, kernel=kernel), "eth1").live
        upkeep.refresh(hosts(primary=primary, enis=more, kernel=kernel))
        assert hosts.files == [INTERFACES]

    def test_a_link_in_their_place_says_that_none_are_wanted(self, hosts):
        hosts.file("etc/udev/rules.d").ensure(dir=True)
        hosts.file(NAMES).mksymlinkto("/dev/null")
        assert workflow.up(hosts(card()), "eth1").files
        assert hosts.file(NAMES).islink()

    def test_a_refresh_of_two_writes_both_and_no_more(self, hosts):
        cards = card(), card("eth2", THIRD, index=4)
        for name in ("eth1", "eth2"):
            workflow.add(hosts(*cards), name)
        hosts.file("etc/udev/rules.d").ensure(dir=True)
        assert upkeep.refresh(hosts(*cards))[1] == []
        assert hosts.file(NAMES).read().count("NAME=") == 2
        assert [plan.files for plan in upkeep.refresh(hosts(*cards))[0]] == [{}, {}, {}]


class TestComplete(object):
    """An ifup may have run by an older file, or one that was plain DHCP."""

    @pytest.mark.parametrize("distro", ["debian", "rhel"])
    @pytest.mark.parametrize("there", [FULL[:1], FULL[:3], FULL[:5], FULL[1:2] + FULL[:1]])
    def test_what_is_missing_is_added(self, tmpdir, distro, there):
        hosts = Hosts(tmpdir, distro)
        # It got its address after the plan was made, by an ifup that knew less.
        one = hosts(card(), enis=TWO)
        show = one.runner.run_visibly

        def ifup(argv):
            one.runner.kernel[4] = kernel_with(*there)[4]
            return show(argv)

        one.runner.run_visibly = ifup
        workflow.up(one, "eth1")
        wanted = [added for line, added in zip(FULL, ADDED) if line not in there]
        if FULL[1] not in there:
            wanted.append("route del 10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10")
        # network-scripts have it in their files.
        main = "route add default via 10.0.1.1 dev eth1 metric 10001"
        assert [line for line in one.runner.changes if line != main] == wanted

    @pytest.mark.parametrize(
        "seconds, dhclient, commands",
        [
            (60, True, ["ifup", "ifdown", "ifup"]),
            # The unit would not wait for two of them.
            (200, True, ["ifup"]),
            # Whoever gives it its address, no dhclient of ours hears nothing.
            (60, False, ["ifup"]),
        ],
    )
    def test_without_a_lease_another_dhclient_tries(self, hosts, seconds, dhclient, commands):
        one = hosts(card())
        one.has_dhclient = lambda name: dhclient
        show = one.runner.run_visibly

        def ifup(argv):
            one.sleep(seconds)
            return show(argv)

        one.runner.run_visibly = ifup
        workflow.up(one, "eth1")
        assert [argv[0] for argv in one.runner.shown] == commands
        assert one.ended == ["eth1"] * commands.count("ifdown")

    def test_where_all_is_there_nothing_is_changed(self, up):
        one = up(card(), enis=TWO)
        workflow.add(one, "eth1")
        one.runner.kernel = kernel_with(*FULL)
        distribution.bring_up(one, "eth1", workflow.add(one, "eth1"))
        assert one.runner.changes == []

    @pytest.mark.parametrize(
        "lines", [[], [inet("10.0.1.11/32")], [inet("10.0.1.10/24", "eth2")], FULL[1:]],
        ids=["none", "another", "another device", "all but the lease's"],
    )
    def test_without_the_address_of_the_lease_nothing_is_added(self, hosts, lines):
        one = hosts(card(), enis=TWO, kernel=kernel_with(*lines))
        workflow.up(one, "eth1")
        assert one.runner.changes == []

    def test_what_is_not_in_the_files_is_not_taken_away(self, hosts):
        foreign = [inet("10.0.1.99/32"), "500:\tfrom 10.0.1.99 lookup 10001 "]
        one = hosts(card(), enis=TWO)
        workflow.add(one, "eth1")
        one.runner.kernel = kernel_with(*(FULL + foreign))
        distribution.bring_up(one, "eth1", workflow.add(one, "eth1"))
        assert one.runner.changes == []


class TestDetachedWithNetworkScripts(object):
    """The same where dhclient has files of its own."""

    def test_nothing_is_left(self, tmpdir):
        hosts = Hosts(tmpdir, "rhel")
        before = hosts.files
        workflow.up(hosts(card()), "eth1")
        for name in ("dhclient--eth1.lease", "dhclient-eth1.leases", "dhclient6--eth1.lease"):
            hosts.file("var/lib/dhclient/" + name).write("lease {}\n", ensure=True)
        one = hosts(kernel=kernel_with(RULE))
        workflow.detach(one, "eth1")
        assert hosts.files == before
        assert hosts.notes == ["lock", "token"]
        assert [argv[0] for argv in one.runner.shown] == ["ifdown"]
        assert one.runner.changes == ["rule del pref 10001 from 10.0.1.10 lookup 10001"]

    def test_a_scan_of_an_older_tools_eni_brings_it_up_when_metadata_lists_it(self, tmpdir):
        hosts = Hosts(tmpdir, "rhel")
        text = "DEVICE=eth1\nBOOTPROTO=dhcp\nEC2SYNC=yes\n"
        hosts.file(SCRIPTS + "ifcfg-eth1").write(text)
        with pytest.raises(MetadataUnavailable):
            catch_up(hosts(card(), down=True))
        one = hosts(card())
        assert [plan.name for plan in catch_up(one)[0]] == ["eth1"]
        assert brought_up(one) == ["eth1"]


class TestDeviceNote(object):
    """Which device was brought up is known also where it was not ec2net that did."""

    @pytest.mark.parametrize("ancestors, noted", [(["ifup"], "3"), ([], None)])
    def test_the_lease_of_an_ifup_tells(self, up, ancestors, noted):
        up.boot()
        one = up(card(up=True), down=True)
        one.ancestors = lambda: ancestors
        upkeep.lease(one, LeaseEvent("gained", "eth1", 4, None), 5.0)
        assert one.run_directory.read(notes.device("eth1")) == noted

    def test_so_does_a_refresh(self, up):
        up.boot()
        one = up(card(up=True), kernel=kernel_with(inet("10.0.1.10/24")))
        upkeep.refresh(one)
        assert one.run_directory.read(notes.device("eth1")) == "3"

    def test_a_device_in_its_place_is_then_taken_down_first(self, up):
        up.boot()
        upkeep.refresh(up(card(up=True), kernel=kernel_with(inet("10.0.1.10/24"))))
        one = up(card(index=5))
        workflow.up(one, "eth1")
        assert [argv[0] for argv in one.runner.shown] == ["ifdown", "ifup"]
