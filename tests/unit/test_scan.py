"""Who is brought up without an event of its own, and what is cleaned up after whom."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import upkeep, workflow
from ec2net_legacy.errors import CommandError, MetadataInvalid, MetadataUnavailable
from ec2net_legacy.scan import catch_up
from tests.unit.fakes import MACS, PRIMARY, SECOND, THIRD, eni_texts, nic
from tests.unit.hosts import (
    ETH1,
    ETH2,
    INTERFACES,
    REFUSED,
    RULE,
    SCRIPTS,
    Hosts,
    asked,
    brought_up,
    card,
    kernel_with,
)

HELPER = "run/network/interfaces.d/eth0"
either = pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "by itself"])


@pytest.fixture
def hosts(tmpdir):
    return Hosts(tmpdir)


@pytest.fixture
def booted(hosts):
    """Return the same after a reboot; eth1 was up before, and is configured."""
    workflow.up(hosts(card()), "eth1")
    hosts.boot()
    return hosts


@pytest.fixture
def orphaned(hosts):
    """Return the same after eth1 was pulled and the event got lost."""
    workflow.up(hosts(card()), "eth1")
    return hosts


def scan(host, by_hand=False):
    """Return (the plans' interfaces, the ones that were handed over, {name: type of error})."""
    plans, handed_over, failures = catch_up(host, by_hand)
    return [one.name for one in plans], handed_over, {name: type(why) for name, why in failures}


def with_init(host, left=()):
    """Give the host an init system that takes all but `left`; return what it was given."""
    given = []

    def hand_over(runner, names, wait):
        given.append((list(names), wait))
        return [name for name in names if name in left]

    host.hand_over = hand_over
    return given


class TestWhoWaits(object):
    """Devices that nobody has brought up, though somebody should have."""

    @either
    def test_a_new_one_comes_up(self, hosts, by_hand):
        one = hosts(card())
        assert scan(one, by_hand) == (["eth1"], [], {})
        assert brought_up(one) == ["eth1"]
        assert hosts.file(ETH1).check()

    @either
    def test_one_that_is_configured_and_was_never_brought_up_needs_no_metadata(
        self, booted, by_hand
    ):
        one = booted(card(), down=True)
        given = with_init(one)
        assert scan(one, by_hand) == ([], ["eth1"], {})
        assert given == [(["eth1"], by_hand)]
        assert one.session.requests == []

    @either
    def test_one_that_is_configured_comes_up_whatever_metadata_says_of_it(self, booted, by_hand):
        one = booted(card(), card("eth2", THIRD), enis={THIRD: eni_texts(2)})
        with_init(one)
        assert scan(one, by_hand) == ([], ["eth1", "eth2"], {})

    def test_a_refresh_without_metadata_brings_up_what_needs_none(self, booted):
        workflow.up(booted(card("eth2", THIRD)), "eth2")
        one = booted(card(), card("eth3", "02:00:00:00:00:09"), down=True)
        given = with_init(one)
        # Also eth2's file, whose device is not there: only metadata knows whether it is gone.
        before = booted.files
        assert ETH2 in before
        assert catch_up(one, by_hand=False, metadata=False) == ([], ["eth1"], [])
        assert booted.files == before
        assert given == [(["eth1"], False)]
        assert one.session.requests == []

    @either
    def test_one_that_the_settings_ignore_by_its_id_is_not_handed_over(self, hosts, by_hand):
        one = hosts(card(), card("eth2", THIRD), changes={"ignore": ("eni-0a1",)})
        given = with_init(one)
        assert scan(one, by_hand) == ([], ["eth2"], {})
        assert given == [(["eth2"], by_hand)]

    @pytest.mark.parametrize("lock", ["eth1", "ifup-eth1"])
    def test_one_that_another_run_is_at_is_left_to_that(self, hosts, lock):
        one = hosts(card())
        with one.run_directory.lock(lock):
            assert scan(one) == ([], [], {})

    @either
    def test_one_that_the_boot_brought_up_is_left_as_it_is(self, booted, by_hand):
        one = booted(card(up=True))
        assert scan(one, by_hand) == ([], [], {})
        assert (one.session.requests, one.runner.shown) == ([], [])

    @either
    def test_one_that_was_taken_down_by_a_plain_ifdown_stays_down(self, hosts, by_hand):
        workflow.up(hosts(card()), "eth1")
        one = hosts(card())
        assert scan(one, by_hand) == ([], [], {})
        assert (one.session.requests, one.runner.shown) == ([], [])

    @either
    def test_one_that_was_taken_down_in_another_device_comes_up(self, hosts, by_hand):
        workflow.up(hosts(card()), "eth1")
        one = hosts(card(index=4))
        assert scan(one, by_hand) == (["eth1"], [], {})
        assert [argv[0] for argv in one.runner.shown] == ["ifdown", "ifup"]

    @either
    @pytest.mark.parametrize("is_up", [True, False], ids=["up", "down"])
    def test_the_file_of_another_eni_is_written_anew(self, booted, by_hand, is_up):
        one = booted(card(mac=THIRD, up=is_up))
        assert scan(one, by_hand) == (["eth1"], [], {})
        assert THIRD in booted.file(ETH1).read()
        assert brought_up(one) == ["eth1"]

    def test_one_whose_ifup_failed_gets_another_try(self, hosts):
        failing = hosts(card())
        failing.runner.statuses["ifup"] = 1
        with pytest.raises(CommandError):
            workflow.up(failing, "eth1")
        one = hosts(card(up=True))
        assert scan(one) == (["eth1"], [], {})
        assert brought_up(one) == ["eth1"]
        assert scan(hosts(card(up=True))) == ([], [], {})

    def test_one_whose_metadata_was_late_gets_another_try(self, hosts):
        late = hosts(card(), enis={SECOND: eni_texts(1, {"local-ipv4s": None})})
        with pytest.raises(MetadataUnavailable):
            workflow.up(late, "eth1")
        one = hosts(card())
        assert scan(one) == (["eth1"], [], {})
        assert brought_up(one) == ["eth1"]

    def test_one_that_another_run_is_bringing_up_is_left_to_that(self, hosts):
        with hosts(card()).run_directory.lock("ifup-eth1"):
            one = hosts(card())
            assert scan(one) == ([], [], {})
            assert one.session.requests == []

    @either
    @pytest.mark.parametrize(
        "device",
        [
            nic("usb0", "02:00:00:00:00:99"),
            nic("eth1.5", SECOND, kind="vlan"),
            nic("eth1", SECOND, master="bond0"),
        ],
        ids=lambda one: one.name,
    )
    def test_what_is_no_eni_of_ours_never_comes_up(self, hosts, device, by_hand):
        one = hosts(device)
        assert scan(one, by_hand) == ([], [], {})
        assert one.runner.shown == []


class TestMetadataDown(object):
    """What can be done without it is done."""

    @either
    @pytest.mark.parametrize(
        "answer, error",
        [(REFUSED, MetadataUnavailable), ("$(id)", MetadataInvalid)],
        ids=["down", "nonsense"],
    )
    def test_what_is_configured_comes_up_and_the_others_are_told(
        self, booted, by_hand, answer, error
    ):
        one = booted(card(), card("eth2", THIRD), answers={MACS: answer})
        assert scan(one, by_hand) == (["eth1"], [], {"the others": error})
        assert brought_up(one) == ["eth1"]
        assert not booted.file(ETH2).check()

    @either
    def test_it_comes_up_as_it_was_configured(self, booted, by_hand):
        before = booted.file(ETH1).read()
        one = booted(card(), card("eth2", THIRD), down=True)
        assert scan(one, by_hand) == (["eth1"], [], {"the others": MetadataUnavailable})
        assert brought_up(one) == ["eth1"]
        assert booted.file(ETH1).read() == before

    @either
    def test_where_nothing_is_configured_it_is_an_error(self, hosts, by_hand):
        one = hosts(card(), down=True)
        with pytest.raises(MetadataUnavailable):
            catch_up(one, by_hand)
        assert one.runner.shown == []

    @either
    def test_the_file_of_another_eni_is_not_used(self, booted, by_hand):
        one = booted(card(mac=THIRD), down=True)
        with pytest.raises(MetadataUnavailable):
            catch_up(one, by_hand)
        assert one.runner.shown == []


class TestOrphans(object):
    """Generated files of devices that are gone."""

    @either
    def test_what_metadata_does_not_list_any_more_is_cleaned_up(self, orphaned, by_hand):
        one = orphaned(enis={}, kernel=kernel_with(RULE))
        assert scan(one, by_hand) == (["eth1"], [], {})
        assert orphaned.files == [INTERFACES]
        assert one.runner.changes == ["rule del pref 10001 from 10.0.1.10 lookup 10001"]
        assert [argv[0] for argv in one.runner.shown] == ["ifdown"]
        again = orphaned(enis={})
        assert scan(again, by_hand) == ([], [], {})
        assert again.session.requests == []

    @either
    def test_a_file_whose_name_is_an_option_of_ifdown_is_no_interfaces(self, orphaned, by_hand):
        text = orphaned.file(ETH1).read().replace("eth1", "--all")
        orphaned.file("etc/network/interfaces.d/--all.cfg").write(text)
        orphaned.file(ETH1).remove()
        one = orphaned(enis={})
        assert scan(one, by_hand) == ([], [], {})
        assert one.runner.shown == []

    @either
    @pytest.mark.parametrize("others", [[], [card("eth2", THIRD)]], ids=["alone", "one comes"])
    def test_what_it_still_lists_is_kept(self, orphaned, by_hand, others):
        one = orphaned(*others)
        with_init(one)
        assert scan(one, by_hand) == ([], [device.name for device in others], {})
        assert orphaned.file(ETH1).check()
        assert one.runner.shown == []

    @either
    def test_without_metadata_it_is_kept(self, orphaned, by_hand):
        one = orphaned(down=True)
        with pytest.raises(MetadataUnavailable):
            catch_up(one, by_hand)
        assert orphaned.file(ETH1).check()
        assert one.runner.shown == []

    def test_without_metadata_it_is_kept_while_another_comes_up(self, orphaned):
        workflow.add(orphaned(card("eth2", THIRD)), "eth2")
        orphaned.boot()
        one = orphaned(card("eth2", THIRD), down=True)
        assert scan(one) == (["eth2"], [], {"the others": MetadataUnavailable})
        assert orphaned.file(ETH1).check()

    @either
    def test_an_eni_that_has_another_name_by_now_is_not_gone(self, orphaned, by_hand):
        one = orphaned(card("eth2"), enis={SECOND: eni_texts(1)})
        assert scan(one, by_hand) == (["eth2"], [], {})
        assert orphaned.file(ETH1).check()

    @either
    def test_nor_is_one_that_metadata_does_not_list_yet(self, orphaned, by_hand):
        one = orphaned(card("eth2"), enis={})
        assert scan(one, by_hand) == ([], [], {})
        assert orphaned.file(ETH1).check()

    @pytest.mark.parametrize("mark", ["# mine\n{0}", "{0}# EC2SYNC=no\n"], ids=["edited", "out"])
    def test_a_file_that_the_administrator_took_over_is_kept(self, orphaned, mark):
        path = orphaned.file(ETH1)
        path.write(mark.format(path.read()))
        one = orphaned(enis={})
        assert scan(one) == ([], [], {})
        assert path.check()
        assert one.session.requests == []

    @pytest.mark.parametrize("pattern", ["eth1", "eth*", SECOND])
    def test_what_the_settings_ignore_is_not_even_asked_for(self, orphaned, pattern):
        one = orphaned(enis={}, changes={"ignore": (pattern,)})
        assert scan(one) == ([], [], {})
        assert orphaned.file(ETH1).check()
        assert one.session.requests == []

    def test_one_that_cannot_be_cleaned_up_does_not_keep_the_others(self, orphaned):
        one = orphaned(card("eth2", THIRD), enis={THIRD: eni_texts(2)}, kernel=kernel_with(RULE))
        one.runner.refused["rule del pref 10001 from 10.0.1.10 lookup 10001"] = "No"
        assert scan(one) == (["eth2"], [], {"eth1": CommandError})
        assert orphaned.file(ETH1).check()
        assert brought_up(one) == ["eth2"]


class TestPrimary(object):
    """Whatever the primary's configuration looks like, it is nobody's to bring up or clean up."""

    @either
    def test_with_the_cloud_images_file_it_costs_no_more_than_who_it_is(self, hosts, by_hand):
        hosts.file(INTERFACES).write("source /run/network/interfaces.d/*\n")
        hosts.file(HELPER).write("auto eth0\niface eth0 inet dhcp\n", ensure=True)
        one = hosts()
        assert scan(one, by_hand) == ([], [], {})
        assert asked(one) == ["meta-data/mac"]
        assert one.runner.shown == []

    @either
    @pytest.mark.parametrize("is_up", [True, False], ids=["up", "down"])
    @pytest.mark.parametrize("down", [True, False], ids=["no metadata", "metadata"])
    def test_with_a_file_of_an_older_tool_it_is_left_alone(self, tmpdir, by_hand, is_up, down):
        hosts = Hosts(tmpdir, "rhel")
        path = hosts.file(SCRIPTS + "ifcfg-eth0")
        path.write("DEVICE=eth0\nBOOTPROTO=dhcp\nEC2SYNC=yes\n")
        one = hosts(primary=nic("eth0", PRIMARY, up=is_up), down=down)
        given = with_init(one)
        try:
            assert scan(one, by_hand) == ([], [], {})
        except MetadataUnavailable:
            assert down
        assert [names for names, _ in given if names] == []
        assert one.runner.shown == []
        assert "EC2SYNC=yes" in path.read()

    @either
    def test_its_file_under_a_name_that_is_gone_is_kept(self, hosts, by_hand):
        workflow.up(hosts(card()), "eth1")
        path = hosts.file(ETH1)
        path.write(path.read().replace(SECOND, PRIMARY))
        assert scan(hosts(), by_hand) == ([], [], {})
        assert path.check()


class TestHandOver(object):
    """The init system brings up what it has a unit or a job for."""

    CARDS = (card(), card("eth2", THIRD, index=4))

    @either
    def test_what_it_takes_is_reported_and_not_brought_up_twice(self, hosts, by_hand):
        one = hosts(*self.CARDS)
        given = with_init(one, left=["eth2"])
        assert scan(one, by_hand) == (["eth2"], ["eth1"], {})
        assert given == [(["eth1", "eth2"], by_hand)]
        assert brought_up(one) == ["eth2"]
        assert not hosts.file(ETH1).check()

    def test_its_failure_names_whom_it_was_given(self, hosts):
        one = hosts(*self.CARDS)

        def fail(*_):
            raise CommandError(["systemctl"], 1, "")

        one.hand_over = fail
        assert scan(one, True) == ([], [], {"eth1 eth2": CommandError})
        assert one.runner.shown == []


class TestAfterARefresh(object):
    """`ec2net refresh` looks at the end whether something waits."""

    def refreshed(self, one):
        assert upkeep.refresh(one)[1] == []
        return scan(one)

    def test_on_an_idle_host_it_asks_for_nothing_more(self, hosts):
        workflow.up(hosts(card()), "eth1")
        alone = hosts(card(up=True))
        upkeep.refresh(alone)
        one = hosts(card(up=True))
        assert self.refreshed(one) == ([], [], {})
        assert asked(one) == asked(alone)
        assert asked(one).count("meta-data/mac") == 1
        assert MACS not in asked(one)

    def test_it_asks_for_the_list_when_something_waits(self, hosts):
        one = hosts(card())
        assert self.refreshed(one) == (["eth1"], [], {})
        assert asked(one).count(MACS) == 1
        assert asked(one).count("meta-data/mac") == 1
