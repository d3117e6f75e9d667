"""Who is brought up without an event of its own, and what is cleaned up after whom."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import record, report
from ec2net_legacy.commands.scan import catch_up
from ec2net_legacy.errors import CommandError, MetadataInvalid, MetadataUnavailable
from ec2net_legacy.event import LeaseEvent
from ec2net_legacy.model import Lease
from tests.unit import flows
from tests.unit.fakes import MACS, PRIMARY, SECOND, THIRD, eni_texts, ipv6_texts, nic, raised
from tests.unit.hosts import (
    ETH1,
    ETH2,
    INTERFACES,
    REFUSED,
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

HELPER = "run/network/interfaces.d/eth0"
either = pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "by itself"])


@pytest.fixture
def hosts(tmpdir):
    return Hosts(tmpdir)


@pytest.fixture
def booted(hosts):
    """Return the same after a reboot; eth1 was up before, and is configured."""
    flows.up(hosts(card()), "eth1")
    hosts.boot()
    return hosts


@pytest.fixture
def orphaned(hosts):
    """Return the same after eth1 was brought up; without a card it was pulled, the event lost."""
    flows.up(hosts(card()), "eth1")
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
        flows.up(booted(card("eth2", THIRD)), "eth2")
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
        with hosts(card()).run_directory.lock(lock):
            one = hosts(card())
            assert scan(one) == ([], [], {})
            assert one.session.requests == []

    @either
    @pytest.mark.parametrize("is_up", [True, False], ids=["the boot", "a plain ifdown"])
    def test_what_the_boot_brought_up_or_a_plain_ifdown_took_down_stays_so(
        self, orphaned, by_hand, is_up
    ):
        if is_up:
            orphaned.boot()
        one = orphaned(card(up=is_up))
        assert scan(one, by_hand) == ([], [], {})
        assert (one.session.requests, one.runner.shown) == ([], [])

    @either
    def test_one_that_was_taken_down_in_another_device_comes_up(self, orphaned, by_hand):
        one = orphaned(card(index=4))
        assert scan(one, by_hand) == (["eth1"], [], {})
        assert ran(one) == ["ifdown", "ifup"]

    @either
    @pytest.mark.parametrize("is_up", [True, False], ids=["up", "down"])
    def test_the_file_of_another_eni_is_written_anew(self, booted, by_hand, is_up):
        one = booted(card(mac=THIRD, up=is_up))
        assert scan(one, by_hand) == (["eth1"], [], {})
        assert THIRD in booted.file(ETH1).read()
        assert brought_up(one) == ["eth1"]

    @pytest.mark.parametrize(
        "texts, error",
        [(eni_texts(1), CommandError), (eni_texts(1, {"local-ipv4s": None}), MetadataUnavailable)],
        ids=["its ifup failed", "its metadata was late"],
    )
    def test_one_that_did_not_come_up_gets_another_try(self, hosts, texts, error):
        failing = hosts(card(), enis={SECOND: texts})
        failing.runner.statuses["ifup"] = 1
        raised(error, flows.up, failing, "eth1")
        there = card(up=error is CommandError)
        one = hosts(there)
        assert scan(one) == (["eth1"], [], {})
        assert brought_up(one) == ["eth1"]
        assert scan(hosts(there)) == ([], [], {})

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
        "others, error",
        [
            ({"answers": {MACS: REFUSED}}, MetadataUnavailable),
            ({"answers": {MACS: "$(id)"}}, MetadataInvalid),
            ({"down": True}, MetadataUnavailable),
        ],
        ids=["no list", "nonsense", "down"],
    )
    def test_what_is_configured_comes_up_as_it_was_and_the_others_are_told(
        self, booted, by_hand, others, error
    ):
        before = booted.file(ETH1).read()
        one = booted(card(), card("eth2", THIRD), **others)
        assert scan(one, by_hand) == (["eth1"], [], {"the others": error})
        assert brought_up(one) == ["eth1"]
        assert booted.file(ETH1).read() == before
        assert not booted.file(ETH2).check()

    @either
    @pytest.mark.parametrize(
        "is_configured, devices",
        [(False, (card(),)), (True, (card(mac=THIRD),)), (True, ())],
        ids=["nothing is configured", "the file is another ENI's", "its device is gone"],
    )
    def test_where_there_is_nothing_to_bring_up_it_is_an_error(
        self, booted, by_hand, is_configured, devices
    ):
        if not is_configured:
            booted.file(ETH1).remove()
        one = booted(*devices, down=True)
        raised(MetadataUnavailable, catch_up, one, by_hand)
        assert one.runner.shown == []
        assert booted.file(ETH1).check() is is_configured


class TestOrphans(object):
    """Generated files of devices that are gone."""

    @either
    def test_what_metadata_does_not_list_any_more_is_cleaned_up(self, orphaned, by_hand):
        one = orphaned(enis={}, kernel=kernel_with(RULE))
        assert scan(one, by_hand) == (["eth1"], [], {})
        assert orphaned.files == [INTERFACES]
        assert one.runner.changes == ["rule del pref 10001 from 10.0.1.10 lookup 10001"]
        assert ran(one) == ["ifdown"]
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

    def test_without_metadata_it_is_kept_while_another_comes_up(self, orphaned):
        flows.add(orphaned(card("eth2", THIRD)), "eth2")
        orphaned.boot()
        one = orphaned(card("eth2", THIRD), down=True)
        assert scan(one) == (["eth2"], [], {"the others": MetadataUnavailable})
        assert orphaned.file(ETH1).check()

    @either
    @pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed yet"])
    def test_an_eni_that_has_another_name_by_now_is_not_gone(self, orphaned, by_hand, listed):
        one = orphaned(card("eth2"), enis={SECOND: eni_texts(1)} if listed else {})
        assert scan(one, by_hand) == (["eth2"] if listed else [], [], {})
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
        flows.up(hosts(card()), "eth1")
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
        assert flows.refresh(one)[1] == []
        return scan(one)

    def test_on_an_idle_host_it_asks_for_nothing_more(self, hosts):
        flows.up(hosts(card()), "eth1")
        has = kernel_with(inet("10.0.1.10/24"))
        alone = hosts(card(up=True), kernel=has)
        flows.refresh(alone)
        alone = hosts(card(up=True), kernel=has)
        flows.refresh(alone)
        one = hosts(card(up=True), kernel=has)
        assert self.refreshed(one) == ([], [], {})
        assert asked(one) == asked(alone)
        # The primary has been read before.
        assert "meta-data/mac" not in asked(one)
        assert MACS not in asked(one)
        assert one.runner.reads == alone.runner.reads


def test_what_a_scan_asks_has_its_full_time_after_a_refresh_and_a_slow_ifup(hosts):
    """The refresh has 30 s for its own questions; without an init system the scan goes on in it."""
    one = hosts(card(), card("eth2", THIRD, index=4))

    def slow(argv, _):
        if argv == ["ifup", "eth1"]:
            one.sleep(40)
            listing = MACS + THIRD + "/"
            one.session.answers[listing] = [(503, ""), one.session.answers[listing]]

    before_each(one, slow)
    assert flows.refresh(one)[1] == []
    assert scan(one) == (["eth1", "eth2"], [], {})
    assert brought_up(one) == ["eth1", "eth2"]


LEASED = Lease("10.0.1.10", "10.0.1.1")
HAS = [inet("10.0.1.10/24"), RULE]


@pytest.fixture(params=["debian", "rhel"])
def leased(tmpdir, request):
    """Return the hosts on which eth1 was up, and its dhclient had a lease."""
    hosts = Hosts(tmpdir, request.param)
    flows.up(hosts(card()), "eth1")
    flows.lease(
        hosts(card(up=True), kernel=kernel_with(*HAS)), LeaseEvent("gained", "eth1", 4, LEASED), 5.0
    )
    return hosts


def without_address(hosts, dhclient=False, **others):
    """Return the host as it is when the address of eth1's lease is not there (any more)."""
    one = hosts(card(up=True), kernel=kernel_with(RULE), **others)
    one.has_dhclient = lambda name: dhclient and name not in one.ended
    return one


class TestLostLease(object):
    """An ENI of ours that was up, and has neither its lease's address nor who would bring it."""

    @either
    @pytest.mark.parametrize("down", [True, False], ids=["no metadata", "metadata"])
    @pytest.mark.parametrize("dhclient", [True, False], ids=["address deleted", "dhclient died"])
    def test_it_is_started_over(self, leased, by_hand, down, dhclient):
        one = without_address(leased, dhclient, down=down)
        assert catch_up(one, by_hand, metadata=not down)[0][0].name == "eth1"
        assert ran(one)[:2] == ["ifdown", "ifup"]
        assert "eth1" in one.ended

    def test_a_dhclient_that_still_asks_is_left_to_that(self, leased):
        one = leased(card(up=True), kernel=kernel_with(*HAS))
        flows.lease(one, LeaseEvent("lost", "eth1", 4, None), 5.0)
        assert record.read(one.run_directory, "eth1").lease is None
        assert scan(without_address(leased, dhclient=True)) == ([], [], {})

    def test_so_is_the_one_of_the_start_over(self, leased):
        one = without_address(leased)
        scan(one)
        one = without_address(leased, dhclient=True)
        one.clock.now += 10000
        assert scan(one) == ([], [], {})

    @pytest.mark.parametrize("lock", ["eth1", "ifup-eth1"])
    def test_one_that_another_run_is_at_is_left_to_that(self, leased, lock):
        one = without_address(leased)
        with one.run_directory.lock(lock):
            assert scan(one) == ([], [], {})

    def test_one_that_was_taken_down_on_purpose_stays_down(self, leased):
        flows.down(without_address(leased), "eth1")
        assert scan(without_address(leased)) == ([], [], {})

    def test_the_pauses_grow_as_long_as_it_does_not_help(self, leased):
        tried = []
        for minute in range(130):
            one = without_address(leased)
            one.clock.now += 60 * minute
            if scan(one)[0]:
                tried.append(minute)
        assert tried == [0, 1, 3, 7, 15, 31, 61, 91, 121]

    def test_they_are_forgotten_when_it_has(self, leased):
        scan(without_address(leased))
        assert scan(without_address(leased)) == ([], [], {})
        assert scan(leased(card(up=True), kernel=kernel_with(*HAS))) == ([], [], {})
        assert record.read(leased().run_directory, "eth1").tries is None
        assert scan(without_address(leased)) == (["eth1"], [], {})

    def test_another_device_has_pauses_of_its_own(self, leased):
        for _ in range(3):
            scan(without_address(leased))
        record.change(leased().run_directory, "eth1", device=7)
        one = leased(card(up=True, index=7), kernel=kernel_with(RULE))
        assert scan(one) == (["eth1"], [], {})

    def test_status_says_so(self, leased):
        for dhclient, why in ((False, "no lease, no DHCP client"), (True, "address is gone")):
            one = without_address(leased, dhclient)
            found = {device.name: plan for device, plan in flows.survey(one)[0]}
            state, said = report.state_of(found["eth1"])
            assert (state, why in said) == ("differs", True)

    def test_an_address_that_is_there_costs_no_process_and_no_look_at_proc(self, leased):
        one = leased(card(up=True), kernel=kernel_with(*HAS))
        one.has_dhclient = None
        flows.refresh(one)
        before = one.runner.reads
        assert scan(one) == ([], [], {})
        assert one.runner.reads == before

    @pytest.mark.parametrize("dhclient, asking", [(False, False), (True, False), (True, True)])
    def test_one_with_ipv6_only_likewise(self, tmpdir, dhclient, asking):
        hosts = Hosts(tmpdir)
        only6 = {SECOND: ipv6_texts(1)}
        flows.up(hosts(card(), enis=only6), "eth1")
        if not asking:
            one = hosts(card(up=True), enis=only6)
            flows.lease(one, LeaseEvent("gained", "eth1", 6, None), 5.0)
        one = hosts(card(up=True), enis=only6)
        one.has_dhclient6 = lambda name: dhclient
        assert scan(one)[0] == ([] if asking else ["eth1"])
