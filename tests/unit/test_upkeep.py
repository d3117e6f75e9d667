"""Lease events, the refresh, and the primary's addresses, on a host whose edges are fakes."""
from __future__ import absolute_import, print_function, unicode_literals

import os
import re
from contextlib import contextmanager

import pytest
import requests

from ec2net_legacy import record, runs
from ec2net_legacy.errors import CommandError, HostError, MetadataInvalid, MetadataUnavailable
from ec2net_legacy.event import LeaseEvent
from ec2net_legacy.host.rundir import RunDirectory
from ec2net_legacy.imds import by_requests
from ec2net_legacy.model import Address, Lease
from tests.unit import flows
from tests.unit.fakes import COMMON_RULES, MACS, PRIMARY, SECOND, THIRD, eni_texts, ipv6_texts, nic
from tests.unit.hosts import (
    ETH1,
    INTERFACES,
    REFUSED,
    asked,
    debian,
    inet,
    kernel_with,
    tree,
    warnings_of,
)

TWO = eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})
THREE = eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11\n10.0.1.12"})
DUAL = eni_texts(
    1,
    {
        "local-ipv4s": "10.0.1.10\n10.0.1.11",
        "ipv6s": "2600:1f18:0:1::10",
        "subnet-ipv6-cidr-blocks": "2600:1f18:0:1::/64",
    },
)
ROUTES = [
    "10.0.1.0/24 dev eth1 table 10001 scope link ",
    "default via 10.0.1.1 dev eth1 table 10001 ",
    "10.0.1.0/24 dev eth1 scope link metric 10001 ",
    "default via 10.0.1.1 dev eth1 metric 10001 ",
]
FOREIGN = [
    "3: eth1    inet 10.0.1.99/32 scope global eth1\\       valid_lft forever",
    "500:\tfrom 10.0.1.99 lookup 10001 ",
    "10001:\tfrom 10.0.1.99 lookup 300 ",
    "10.99.0.0/16 via 10.0.1.7 dev eth1 table 10001 ",
]


def rule(source, table=10001):
    return "{1}:\tfrom {0} lookup {1} ".format(source, table)


def has_two():
    """Return what the kernel has when TWO are in step."""
    return (
        [inet("10.0.1.10/24"), inet("10.0.1.11/32")]
        + [rule("10.0.1.10"), rule("10.0.1.11")]
        + ROUTES
    )


def recorded(tmpdir, name="eth1"):
    """Return what is recorded about an interface."""
    return record.read(RunDirectory("{0}".format(tmpdir.join("run"))), name)


def added(tmpdir):
    """Return the addresses that are recorded as added to the primary."""
    return [one.address for one in recorded(tmpdir, "eth0").addresses]


@pytest.fixture
def host(tmpdir):
    """Return a function that makes a host with ifupdown: eth0 is the primary, eth1 another ENI."""
    make = debian(tmpdir, TWO, is_up=True, interfaces="iface eth0 inet dhcp\n")

    def make_leased(enis=None, devices=None, **others):
        one = make(enis, devices, **others)
        one.ancestors = lambda: ["dhclient-script", "dhclient", "init"]
        return one

    return make_leased


@pytest.fixture
def configured(host):
    """Return a function that makes a host on which eth1 has its files, which say TWO."""
    flows.add(host(), "eth1")
    return host


def gained(name="eth1", family=4, lease=None):
    return LeaseEvent("gained", name, family, lease)


def later(host, seconds=100):
    """Return the host when what another run has read is no news any more."""
    host.clock.now = host.clock.start = host.clock.now + seconds
    return host


def hanging(monkeypatch):
    """Let what asks metadata have a time limit; return the answer that uses it up."""
    limits = []

    @contextmanager
    def time_limit(seconds):
        limits.append(seconds)
        yield

    monkeypatch.setattr(by_requests, "_time_limit", time_limit)

    def hang(one):
        one.clock.sleep(limits[-1])
        return requests.exceptions.ReadTimeout("Read timed out.")

    return hang


class TestLeaseGained(object):
    """On an interface that has its files."""

    LEASED = kernel_with(inet("10.0.1.10/24"))

    def test_with_what_a_run_has_just_read_nothing_is_asked(self, configured):
        one = configured(kernel=self.LEASED)
        flows.lease(one, gained(), 5.0)
        assert one.session.requests == []
        # Main's default route is not in the file: the lease brings it.
        main = "route add default via 10.0.1.1 dev eth1 metric 10001"
        assert sorted(line for line in one.runner.changes if line != main) == [
            "addr add 10.0.1.11/32 dev eth1",
            "route add 10.0.1.0/24 dev eth1 metric 10001",
            "route del 10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10",
            "route replace 10.0.1.0/24 dev eth1 table 10001",
            "route replace default via 10.0.1.1 dev eth1 table 10001",
            "rule add pref 10001 from 10.0.1.10 lookup 10001",
            "rule add pref 10001 from 10.0.1.11 lookup 10001",
        ]

    def test_a_renewed_lease_reads_the_kernel_once(self, configured):
        one = later(configured(kernel=self.LEASED))
        flows.lease(one, gained(), 5.0)
        one = later(later(configured(kernel=one.runner.kernel)))
        assert flows.lease(one, gained(), 5.0).steps == []
        assert one.session.count("GET") == 2
        assert one.runner.reads == 1

    def test_what_metadata_changes_is_decided_on_a_fresh_reading(self, configured):
        one = later(configured(kernel=self.LEASED))
        flows.lease(one, gained(), 5.0)
        one = later(later(configured({SECOND: THREE}, kernel=one.runner.kernel)))

        def somebody_adds_it():
            one.runner.kernel[4] += "2: eth1    inet 10.0.1.12/32 scope global eth1\n"
            return one.session.answers[MACS + SECOND + "/local-ipv4s"]

        listing = one.session.answers[MACS + SECOND + "/"]
        one.session.answers[MACS + SECOND + "/"] = lambda: somebody_adds_it() and listing
        flows.lease(one, gained(), 5.0)
        assert "rule add pref 10001 from 10.0.1.12 lookup 10001" in one.runner.changes
        assert not [line for line in one.runner.changes if line.startswith("addr add 10.0.1.12")]

    def test_what_another_run_read_while_this_one_waited_is_new_enough(self, configured):
        one = later(configured({SECOND: THREE}, kernel=kernel_with(*has_two())))

        def while_waiting():
            read_now(one)
            del one.session.requests[:]

        with locked_meanwhile(one, "eth1", while_waiting):
            flows.lease(one, gained(), 5.0)
        assert one.session.requests == []
        assert "addr add 10.0.1.12/32 dev eth1" in one.runner.changes

    @pytest.mark.parametrize("within", [2.0, 5.0, 9.0])
    @pytest.mark.parametrize("reaches", ["api/token", MACS + SECOND + "/"])
    def test_a_service_that_hangs_is_given_up_in_time(
        self, configured, monkeypatch, within, reaches
    ):
        hang = hanging(monkeypatch)
        one = configured(kernel=self.LEASED, answers={reaches: lambda: hang(one)})
        os.unlink(os.path.join(one.settings.run_directory, "token"))
        flows.lease(later(one), gained(), within)
        assert within - 1.5 <= one.clock.passed <= within
        assert "addr add 10.0.1.11/32 dev eth1" in one.runner.changes

    def test_a_lock_that_another_run_holds_is_not_waited_for_longer_than_it_has(
        self, configured, caplog
    ):
        one = later(configured(kernel=self.LEASED))
        with other(one).lock("eth1"):
            flows.lease(one, gained(), 5.0)
        assert one.clock.passed <= 5
        assert "addr add 10.0.1.11/32 dev eth1" in one.runner.changes
        assert "left to the refresh" in warnings_of(caplog)[0]

    def test_while_ifup_runs_its_work_is_left_to_it(self, configured):
        one = later(configured(kernel=self.LEASED))
        one.ancestors = lambda: ["dhclient-script", "dhclient", "ifup"]
        assert flows.lease(one, gained(), 5.0).steps == []
        assert (one.runner.changes, one.session.requests) == ([], [])

    @pytest.mark.parametrize("action", ["gained", "lost"])
    def test_while_ifdown_runs_nothing_is_done(self, configured, tmpdir, action):
        record.change(configured().run_directory, "eth1", lease=Lease("10.0.1.10", "10.0.1.1"))
        one = configured(kernel=kernel_with(*has_two()))
        one.ancestors = lambda: ["dhclient-script", "dhclient", "ifdown"]
        plan = flows.lease(one, LeaseEvent(action, "eth1", 4, None), 5.0)
        assert "ifdown" in plan.left_alone
        assert (one.runner.ran, one.session.requests) == ([], [])
        assert recorded(tmpdir).lease is None

    def test_impossible_metadata_is_told_after_the_files_were_applied(self, configured, caplog):
        answers = {MACS + SECOND + "/local-ipv4s": "$(id)"}
        one = later(configured(kernel=self.LEASED, answers=answers))
        plan = flows.lease(one, gained(), 5.0)
        assert "addr add 10.0.1.11/32 dev eth1" in one.runner.changes
        assert len(plan.steps) == len(one.runner.changes)
        assert ["local-ipv4s" in line for line in warnings_of(caplog)] == [True]

    def test_without_a_main_route_none_is_added_by_the_files(self, configured, tmpdir):
        path = tmpdir.join("root", ETH1)
        path.write(path.read().replace("MAINROUTETABLE=yes", "MAINROUTETABLE=no"))
        flows.add(configured(), "eth1")
        one = later(configured(kernel=self.LEASED, answers={MACS + SECOND + "/": REFUSED}))
        flows.lease(one, gained(), 5.0)
        assert [line for line in one.runner.changes if "metric" in line] == [
            "route add 10.0.1.0/24 dev eth1 metric 10001"
        ]


class TestLeaseOfOthers(object):
    """Of interfaces that are none of ours."""

    @pytest.mark.parametrize(
        "device, ignore",
        [
            (None, ()),
            (nic("eth1", SECOND, kind="vlan"), ()),
            (nic("eth1", SECOND, master="bond0"), ()),
            (nic("eth1", SECOND), ("eth1",)),
            (nic("eth1", SECOND), (SECOND,)),
        ],
        ids=["no device", "vlan", "enslaved", "ignored name", "ignored MAC"],
    )
    @pytest.mark.parametrize("action", ["gained", "lost"])
    def test_nobody_is_asked(self, configured, tmpdir, device, ignore, action):
        before = tree(tmpdir)
        cards = [nic("eth0", PRIMARY, up=True)] + ([device] if device else [])
        one = configured(devices=cards, changes={"ignore": ignore}, kernel=kernel_with(*has_two()))
        assert flows.lease(later(one), LeaseEvent(action, "eth1", 4, None), 5.0).left_alone
        assert (one.session.requests, one.runner.ran) == ([], [])
        assert tree(tmpdir) == before

    @pytest.mark.parametrize("name, path", [("eth1", ETH1), ("eth0", ETH1.replace("1.", "0."))])
    @pytest.mark.parametrize("action", ["gained", "lost"])
    def test_ec2sync_no_is_respected(self, host, tmpdir, name, path, action):
        tmpdir.ensure("root", path).write("# EC2SYNC=no\niface {0} inet dhcp\n".format(name))
        added = tuple(Address(one, 32, name) for one in ("10.0.0.11", "10.0.1.11"))
        record.change(host().run_directory, name, addresses=added)
        one = host(
            {PRIMARY: eni_texts(0, {"local-ipv4s": "10.0.0.10\n10.0.0.12"})},
            kernel=kernel_with(inet("10.0.0.10/24", "eth0"), inet("10.0.0.11/32", name)),
        )
        assert flows.lease(one, LeaseEvent(action, name, 4, None), 5.0).left_alone
        assert (one.session.requests, one.runner.ran) == ([], [])


class TestLeaseLost(object):
    """Expired, released or refused, while no ifdown runs."""

    def lost(self, one, name="eth1", family=4):
        return flows.lease(one, LeaseEvent("lost", name, family, None), 5.0)

    def test_nothing_is_added_where_the_kernel_dropped_the_routes_itself(self, configured):
        one = configured(kernel=kernel_with(rule("10.0.1.10"), rule("10.0.1.11")))
        self.lost(one)
        assert one.runner.changes == [
            "rule del pref 10001 from 10.0.1.10 lookup 10001",
            "rule del pref 10001 from 10.0.1.11 lookup 10001",
        ]

    def test_the_lease_is_forgotten(self, configured, tmpdir):
        record.change(configured().run_directory, "eth1", lease=Lease("10.0.1.10", "10.0.1.2"))
        self.lost(configured(kernel=kernel_with(*has_two())), family=6)
        assert recorded(tmpdir).lease
        self.lost(configured(kernel=kernel_with(*has_two())))
        assert recorded(tmpdir).lease is None

    def test_of_an_interface_without_anything_of_ours_not_even_the_kernel_is_read(self, host):
        one = host()
        self.lost(one, "eth0")
        assert (one.runner.ran, one.session.requests) == ([], [])


class TestRouterOfTheLease(object):
    """The usual one of AWS is the subnet's first address; the lease may name another."""

    def default_routes(self, one):
        state = flows.add(one, "eth1").state
        return {route.gateway for route in state.routes if route.destination == "default"}

    @pytest.mark.parametrize(
        "lease, router",
        [
            (Lease("10.0.1.10", "10.0.1.2"), "10.0.1.2"),
            (Lease("10.0.1.10", "10.0.1.1"), "10.0.1.1"),
            (Lease("10.0.1.10", "10.0.2.1"), "10.0.1.1"),
            (Lease("10.0.1.10", "0.0.0.0"), "10.0.1.1"),
            (Lease("10.0.1.10", ""), "10.0.1.1"),
            (Lease("10.0.1.11", "10.0.1.2"), "10.0.1.1"),
            (Lease("10.0.9.10", "10.0.1.2"), "10.0.1.1"),
        ],
        ids=["inside", "usual", "outside", "zero", "none", "of a further one", "of another ENI"],
    )
    def test_it_counts_when_it_is_this_enis_and_inside_the_subnet(self, configured, lease, router):
        flows.lease(configured(kernel=kernel_with(inet("10.0.1.10/24"))), gained(lease=lease), 5.0)
        assert self.default_routes(configured()) == {router}

    def test_it_comes_at_once_and_into_the_file(self, configured, tmpdir):
        one = configured(kernel=kernel_with(*has_two()))
        flows.lease(one, gained(lease=Lease("10.0.1.10", "10.0.1.2")), 5.0)
        assert "route replace default via 10.0.1.2 dev eth1 table 10001" in one.runner.changes
        assert "via 10.0.1.1 " not in tmpdir.join("root", ETH1).read()
        again = configured(kernel=one.runner.kernel)
        flows.lease(again, gained(lease=Lease("10.0.1.10", "10.0.1.2")), 5.0)
        assert again.runner.changes == []


def other(host):
    """Return the run directory as another process has it."""
    return RunDirectory(host.settings.run_directory)


@contextmanager
def locked_meanwhile(host, name, act):
    """Hold the lock `name` until somebody waits for it; `act` just before it is released."""
    lock = other(host).lock(name)
    lock.__enter__()
    sleep = host.run_directory._sleep
    held = [lock]

    def wake(seconds):
        sleep(seconds)
        if held:
            act()
            held.pop().__exit__()

    host.run_directory._sleep = wake
    try:
        yield
    finally:
        host.run_directory._sleep = sleep
    assert not held, "nobody waited"


def read_now(host, mac=SECOND, asked=None):
    """Leave the record that another run leaves which has read metadata now, or when it says."""
    eni = host.imds.eni(SECOND)._replace(mac=mac)
    asked = host.clock.now if asked is None else asked
    record.change(host.run_directory, "eth1", reading=record.Reading(eni, asked))


class TestCollapse(object):
    """Events queue up at an attachment and at boot."""

    def test_an_add_that_waited_behind_a_newer_run_does_nothing(self, configured, tmpdir):
        before = tree(tmpdir)
        one = configured({SECOND: THREE}, kernel=kernel_with(*has_two()))

        def newer_run():
            read_now(one)
            del one.session.requests[:]

        with locked_meanwhile(one, "eth1", newer_run):
            plan = flows.add(one, "eth1")
        assert plan.left_alone
        assert (one.session.requests, one.runner.ran) == ([], [])
        assert tree(tmpdir) == before

    @pytest.mark.parametrize("others", [{"asked": 1000.0}, {"mac": THIRD}], ids=["older", "other"])
    def test_one_that_waited_behind_an_older_run_or_another_enis_does_its_work(
        self, configured, others
    ):
        one = configured({SECOND: THREE}, kernel=kernel_with(*has_two()))
        with locked_meanwhile(one, "eth1", lambda: read_now(one, **others)):
            flows.add(one, "eth1")
        assert "addr add 10.0.1.12/32 dev eth1" in one.runner.changes

    @pytest.mark.parametrize("asked_at", ["1e12", "Infinity", "NaN"])
    def test_a_note_of_the_future_is_of_another_boot(self, configured, asked_at):
        one = configured({SECOND: THREE}, kernel=kernel_with(*has_two()))
        text = one.run_directory.read("interface-eth1")
        one.run_directory.write("interface-eth1", text.replace("1000.0", asked_at))
        flows.add(one, "eth1")
        assert "addr add 10.0.1.12/32 dev eth1" in one.runner.changes


def eni(number, further=1, changes=None):
    """Return the texts of an ENI with further addresses, on a subnet of its own."""
    hosts = range(10, 11 + further)
    texts = {"local-ipv4s": "\n".join("10.0.{0}.{1}".format(number, host) for host in hosts)}
    return eni_texts(number, dict(texts, **(changes or {})))


class TestRefresh(object):
    """`ec2net refresh`."""

    MACS = {number: "02:00:00:00:00:0{0}".format(number + 1) for number in range(1, 9)}
    SIX = {"ipv6s": "2600:1f18::10", "subnet-ipv6-cidr-blocks": "2600:1f18::/64"}

    def enis(self, count, further=1, changes=None):
        return {self.MACS[number]: eni(number, further, changes) for number in range(1, count + 1)}

    def cards(self, count, **others):
        return [nic("eth0", PRIMARY, up=True)] + [
            nic("eth{0}".format(number), self.MACS[number], up=True, **others)
            for number in range(1, count + 1)
        ]

    def leased(self, count):
        return kernel_with(
            inet("10.0.0.10/24", "eth0"),
            *[
                inet("10.0.{0}.10/24".format(number), "eth{0}".format(number))
                for number in range(1, count + 1)
            ]
        )

    def in_step(self, host, count, changes=None):
        """Configure `count` interfaces and return the kernel that has all of it."""
        enis, cards = self.enis(count, changes=changes), self.cards(count)
        for number in range(1, count + 1):
            flows.add(host(enis, cards), "eth{0}".format(number))
        one = host(enis, cards, kernel=self.leased(count))
        flows.refresh(one)
        return one.runner.kernel

    def grown(self, host, count):
        """Return a host on which `count` interfaces are in step but for one more address each."""
        kernel = self.in_step(host, count)
        return host(self.enis(count, 2), self.cards(count), kernel=kernel)

    @pytest.mark.parametrize("count", [1, 4, 8])
    def test_many_cost_one_session_one_reading_and_one_batch(self, host, count):
        kernel = self.in_step(host, count)
        one = host(self.enis(count, 2), self.cards(count), kernel=kernel)
        plans, failures = flows.refresh(one)
        assert failures == []
        assert len([plan for plan in plans if plan.steps]) == count
        # The list of an ENI's keys, and its addresses; eth0's too. The rest is known.
        assert one.session.count("GET") == 2 * (count + 1)
        assert one.session.count("PUT") <= 1
        changing = [argv for argv, _ in one.runner.ran if "-o" not in argv]
        assert len(changing) == 1
        # Before, and after to see that it is done.
        assert one.runner.reads == 2
        assert len(one.runner.changes) == 2 * count

    def test_what_is_in_step_costs_one_reading_and_writes_nothing(self, host, tmpdir):
        kernel = self.in_step(host, 3)
        before = tree(tmpdir)
        one = host(self.enis(3), self.cards(3), kernel=kernel)
        flows.refresh(one)
        assert (one.runner.reads, one.runner.changes) == (1, [])
        assert tree(tmpdir) == before

    def test_of_two_enis_the_second_adds_to_the_file_that_the_first_has_written(self, host, tmpdir):
        shared = tmpdir.join("root", "etc", "dhcp", "dhclient.conf")
        shared.write("send host-name;\n", ensure=True)
        kernel = self.in_step(host, 2)
        before = shared.read()
        shared.write("send host-name;\n")
        flows.refresh(host(self.enis(2), self.cards(2), kernel=kernel))
        assert shared.read() == before
        assert [mac in before for mac in (self.MACS[1], self.MACS[2])] == [True, True]

    def test_two_families_are_two_readings_and_two_batches(self, host):
        kernel = self.in_step(host, 2, self.SIX)
        bare = dict(self.leased(2))
        bare[6] = COMMON_RULES
        one = host(self.enis(2, changes=self.SIX), self.cards(2), kernel=bare)
        flows.refresh(one)
        assert one.runner.reads == 4
        assert [argv[1] for argv, _ in one.runner.ran if "-o" not in argv] == ["-4", "-6"]
        for family in (4, 6):
            assert sorted(one.runner.kernel[family]) == sorted(kernel[family])

    @pytest.mark.parametrize("is_known, requests", [(True, 2 * 3), (False, 1 + 5 * 3)])
    def test_without_metadata_at_whichever_request_nothing_is_changed(
        self, host, tmpdir, is_known, requests
    ):
        kernel = self.in_step(host, 2)
        if not is_known:
            # Then the primary's MAC address, and what each ENI keeps for life, is asked for, too.
            for name in ("eth0", "eth1", "eth2"):
                record.change(RunDirectory(str(tmpdir.join("run"))), name, reading=None)
        before, noted = tree(tmpdir), recorded(tmpdir)
        for number in range(requests):
            one = host(self.enis(2, 2), self.cards(2), kernel=kernel)
            self.fail_at(one, number)
            with pytest.raises(MetadataUnavailable) as caught:
                flows.refresh(one)
            assert caught.value.exit_code == 75
            assert one.runner.changes == []
            assert (tree(tmpdir), recorded(tmpdir)) == (before, noted)
        one = host(self.enis(2, 2), self.cards(2), kernel=kernel)
        self.fail_at(one, requests)
        assert flows.refresh(one)[1] == []

    def fail_at(self, one, number):
        """From the GET `number` on the service answers nothing."""
        request = one.session.request
        seen = []

        def failing(method, url, **others):
            if method == "GET":
                seen.append(url)
            if len(seen) > number:
                raise REFUSED
            return request(method, url, **others)

        one.session.request = failing

    def test_one_invalid_eni_does_not_stop_the_others(self, host):
        kernel = self.in_step(host, 3)
        enis = self.enis(3, 2)
        enis[self.MACS[2]]["local-ipv4s"] = "$(id)"
        one = host(enis, self.cards(3), kernel=kernel)
        _, failures = flows.refresh(one)
        assert [(name, type(error)) for name, error in failures] == [("eth2", MetadataInvalid)]
        assert runs.tell_failures(failures) == 1
        added = [line for line in one.runner.changes if line.startswith("addr add")]
        assert added == ["addr add 10.0.1.12/32 dev eth1", "addr add 10.0.3.12/32 dev eth3"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"local-ipv4s": "10.0.2.11"},
            {"local-ipv4s": "10.0.2.11\n10.0.2.12"},
            dict({"local-ipv4s": None, "subnet-ipv4-cidr-block": None}, **SIX),
            None,
        ],
        ids=["less", "others", "IPv6 only", "the ENI is not listed"],
    )
    def test_an_eni_whose_list_lacks_the_primary_address_stays_as_it_is(
        self, host, tmpdir, changes
    ):
        kernel = self.in_step(host, 2)
        path = tmpdir.join("root", ETH1.replace("eth1", "eth2"))
        before = path.read()
        enis = self.enis(1, 2)
        if changes:
            enis[self.MACS[2]] = eni(2, 1, changes)
        one = host(enis, self.cards(2), kernel=kernel)
        _, failures = flows.refresh(one)
        assert [(name, type(error)) for name, error in failures] == (
            [("eth2", MetadataUnavailable)] if changes else []
        )
        assert runs.tell_failures(failures) == (75 if changes else 0)
        assert path.read() == before
        assert not [line for line in one.runner.changes if re.search("eth2|10.0.2.|10002", line)]
        assert "addr add 10.0.1.12/32 dev eth1" in one.runner.changes

    def test_a_device_that_another_run_is_at_is_left_to_it(self, host):
        one = self.grown(host, 2)
        with other(one).lock("eth1"):
            plans, failures = flows.refresh(one)
        assert failures == []
        assert "eth1" not in [plan.name for plan in plans]
        assert one.clock.sleeps == []
        added = [line for line in one.runner.changes if line.startswith("addr add")]
        assert added == ["addr add 10.0.2.12/32 dev eth2"]

    @pytest.mark.parametrize("answer", [None, REFUSED], ids=["done", "failed"])
    def test_afterwards_no_lock_is_held(self, host, answer):
        one = self.grown(host, 2)
        if answer:
            one.session.answers["meta-data/mac"] = answer
        try:
            flows.refresh(one)
        except MetadataUnavailable:
            assert answer
        for name in ("", "eth1", "eth2"):
            with other(one).lock(name, 0.0):
                pass

    def test_one_interface_can_be_named(self, host):
        one = self.grown(host, 2)
        plans, _ = flows.refresh(one, "eth2")
        assert [plan.name for plan in plans] == ["eth2"]
        assert not [path for path in asked(one) if self.MACS[1] in path]
        assert all("10.0.2.12" in line for line in one.runner.changes)

    @pytest.mark.parametrize(
        "text", [None, "iface eth2 inet dhcp\n", "# EC2SYNC=no\n"], ids=["none", "other", "opt-out"]
    )
    def test_an_interface_without_a_generated_file_is_not_touched(self, host, tmpdir, text):
        def others():
            return {path: data for path, data in tree(tmpdir).items() if "eth1" not in path}

        kernel = self.in_step(host, 1)
        if text:
            tmpdir.join("root", ETH1.replace("eth1", "eth2")).write(text)
        one = host(self.enis(2, 2), self.cards(2), kernel=kernel)
        before = others()
        flows.refresh(one)
        assert others() == before
        assert not [line for line in one.runner.changes if "eth2" in line or "10.0.2" in line]
        assert not [path for path in asked(one) if self.MACS[2] in path]

    def test_where_nothing_is_configured_only_the_primary_is_asked_for(self, host, tmpdir):
        tmpdir.join("root", INTERFACES).write("source interfaces.d/*\n")
        one = host()
        (plan,), failures = flows.refresh(one)
        assert (plan.name, plan.left_alone, failures) == ("eth0", "it is the primary interface", [])
        assert one.runner.ran == []

    @pytest.mark.parametrize("number", [1, 2])
    def test_where_a_device_may_not_have_ipv6_it_gets_none_and_the_others_do(self, host, number):
        self.in_step(host, 2, self.SIX)
        cards = self.cards(2)
        cards[number] = cards[number]._replace(ipv6=False)
        one = host(self.enis(2, changes=self.SIX), cards, kernel=self.leased(2))
        flows.refresh(one)
        six = [line for line in one.runner.changes if line.startswith("-6")]
        assert six
        assert all(re.search("(1000|eth){0}".format(3 - number), line) for line in six)
        assert "addr add 10.0.{0}.11/32 dev eth{0}".format(number) in one.runner.changes
        again = host(self.enis(2, changes=self.SIX), cards, kernel=one.runner.kernel)
        flows.refresh(again)
        assert again.runner.changes == []

    def test_a_kernel_without_ipv6_gets_ipv4_all_the_same(self, host):
        self.in_step(host, 1, self.SIX)
        # What `ip -6` shows with ipv6.disable=1: no rule at all.
        kernel = dict(self.leased(1))
        kernel[6] = ""
        one = host(self.enis(1, changes=self.SIX), self.cards(1, ipv6=False), kernel=kernel)
        one.devices.kernel_has_ipv6 = False
        assert flows.refresh(one)[1] == []
        assert "addr add 10.0.1.11/32 dev eth1" in one.runner.changes

    def test_a_file_that_cannot_be_written_does_not_stop_the_others(self, host, tmpdir):
        one = self.grown(host, 2)
        path = tmpdir.join("root", ETH1)
        path.move(tmpdir.join("elsewhere"))
        path.mksymlinkto(tmpdir.join("elsewhere"))
        _, failures = flows.refresh(one)
        assert [(name, type(error)) for name, error in failures] == [("eth1", HostError)]
        assert "addr add 10.0.2.12/32 dev eth2" in one.runner.changes

    def test_a_device_that_went_meanwhile_changes_nothing(self, host, tmpdir):
        kernel = self.in_step(host, 2)
        before = tree(tmpdir)
        one = host(self.enis(2, 2), self.cards(2), kernel=kernel)
        gone = self.cards(2)[1]
        one.devices.shown["eth1"] = [gone, None]
        plans, failures = flows.refresh(one)
        assert [plan.name for plan in plans if plan.steps] == ["eth2"]
        assert failures == []
        assert tree(tmpdir)[ETH1] == before[ETH1]

    def test_an_address_that_moved_from_one_to_the_other_is_moved(self, host):
        """Both are in one subnet, as with two network cards of a cluster."""
        shared = {"subnet-ipv4-cidr-block": "10.0.0.0/16"}
        first = eni_texts(1, dict(shared, **{"local-ipv4s": "10.0.1.10\n10.0.9.9"}))
        second = eni_texts(2, dict(shared, **{"local-ipv4s": "10.0.2.10"}))
        cards = self.cards(2)
        for name in ("eth1", "eth2"):
            flows.add(host({SECOND: first, THIRD: second}, cards), name)
        one = host({SECOND: first, THIRD: second}, cards, kernel=self.leased(2))
        flows.refresh(one)
        first["local-ipv4s"], second["local-ipv4s"] = "10.0.1.10", "10.0.2.10\n10.0.9.9"
        one = host({SECOND: first, THIRD: second}, cards, kernel=one.runner.kernel)
        flows.refresh(one)
        assert one.runner.changes == [
            "addr del 10.0.9.9/32 dev eth1",
            "rule del pref 10001 from 10.0.9.9 lookup 10001",
            "rule add pref 10002 from 10.0.9.9 lookup 10002",
            "addr add 10.0.9.9/32 dev eth2",
        ]

    def test_two_that_want_the_same_number_do_not_both_get_it(self, host):
        """As after a change of table_base in the settings."""
        cards = [nic("eth0", PRIMARY, up=True), nic("eth2", SECOND), nic("ens6", THIRD)]
        enis = {SECOND: eni_texts(1, {"device-number": "1"}), THIRD: eni_texts(2)}
        flows.add(host(enis, cards), "eth2")
        flows.add(host(enis, cards), "ens6")
        one = host(enis, cards, changes={"table_base": 20000, "priority_base": 20000})
        plans, _ = flows.refresh(one)
        tables = [plan.state.table for plan in plans if plan.state is not None]
        assert len(set(tables)) == len(tables) == 2


class TestPrimary(object):
    """Its further addresses, known by a note, are all that is done to it."""

    MORE = eni_texts(0, {"local-ipv4s": "10.0.0.10\n10.0.0.11\n10.0.0.12"})
    LEASED = inet("10.0.0.10/24", "eth0")

    def make(self, host, texts, *lines, **others):
        kernel = kernel_with(*(lines or [self.LEASED]))
        kernel.update(others.pop("kernel6", {}))
        return host({PRIMARY: texts}, kernel=kernel, **others)

    def after(self, host, before, texts):
        """Return the host of a further run, with the kernel that the one `before` has left."""
        return host({PRIMARY: texts}, kernel=before.runner.kernel)

    @pytest.fixture(params=["add", "refresh", "lease"])
    def run(self, request):
        runs = []

        def act(one):
            runs.append(one)
            one.clock.now += 100 * len(runs)
            if request.param == "add":
                flows.add(one, "eth0")
            elif request.param == "refresh":
                flows.refresh(one)
            else:
                flows.lease(one, gained("eth0"), 5.0)
            return one

        return act

    def test_it_gets_its_further_addresses_and_nothing_else(self, host, tmpdir, run):
        before = tree(tmpdir)
        one = run(self.make(host, self.MORE))
        assert one.runner.changes == [
            "addr add 10.0.0.11/32 dev eth0",
            "addr add 10.0.0.12/32 dev eth0",
        ]
        assert tree(tmpdir) == before
        assert added(tmpdir) == ["10.0.0.11", "10.0.0.12"]
        again = self.after(host, one, self.MORE)
        assert run(again).runner.changes == []

    def test_one_that_was_there_before_is_not_ours(self, host, tmpdir, run):
        there = inet("10.0.0.11/24", "eth0")
        one = run(self.make(host, self.MORE, self.LEASED, there))
        assert added(tmpdir) == ["10.0.0.12"]
        fewer = self.after(host, one, eni_texts(0))
        assert run(fewer).runner.changes == ["addr del 10.0.0.12/32 dev eth0"]
        assert there in fewer.runner.kernel[4]
        assert added(tmpdir) == []

    def test_removing_takes_back_what_was_added_and_nothing_else(self, host, tmpdir, run):
        there = inet("10.0.0.11/24", "eth0")
        before = tree(tmpdir)
        one = run(self.make(host, self.MORE, self.LEASED, there, *FOREIGN))
        last = self.after(host, one, self.MORE)
        flows.remove(last, "eth0")
        assert last.runner.changes == ["addr del 10.0.0.12/32 dev eth0"]
        assert tree(tmpdir) == before
        assert added(tmpdir) == []
        assert last.session.requests == []

    def test_a_lost_lease_takes_back_what_was_added(self, host, tmpdir, run):
        one = run(self.make(host, self.MORE, self.LEASED, inet("10.0.0.99/32", "eth0")))
        last = self.after(host, one, self.MORE)
        flows.lease(last, LeaseEvent("lost", "eth0", 4, None), 5.0)
        assert last.runner.changes == [
            "addr del 10.0.0.11/32 dev eth0",
            "addr del 10.0.0.12/32 dev eth0",
        ]
        assert added(tmpdir) == []
        again = self.after(host, last, self.MORE)
        assert len(run(again).runner.changes) == 2

    def test_before_its_lease_it_gets_nothing(self, host, tmpdir, run):
        one = run(self.make(host, self.MORE, inet("169.254.3.4/16", "eth0")))
        assert one.runner.changes == []
        assert added(tmpdir) == []

    def test_with_one_address_the_kernel_is_not_even_read(self, host, run):
        assert run(self.make(host, eni_texts(0))).runner.ran == []

    def test_what_failed_half_way_is_still_ours(self, host, tmpdir):
        one = self.make(host, self.MORE)
        one.runner.refused = {"addr add 10.0.0.12/32 dev eth0": "Operation not permitted"}
        with pytest.raises(CommandError) as caught:
            flows.add(one, "eth0")
        assert "10.0.0.12" in "{0}".format(caught.value)
        assert "10.0.0.11" in added(tmpdir)
        fewer = self.after(host, one, eni_texts(0))
        flows.add(fewer, "eth0")
        assert fewer.runner.changes == ["addr del 10.0.0.11/32 dev eth0"]

    @pytest.mark.parametrize("program, most", [("ifup", 1.5), ("ifup-eth", 5)])
    def test_at_boot_metadata_gets_a_second(self, host, monkeypatch, program, most):
        hang = hanging(monkeypatch)
        one = self.make(host, self.MORE, answers={"api/token": lambda: hang(one)})
        one.ancestors = lambda: ["dhclient-script", "dhclient", program]
        flows.lease(one, gained("eth0"), 5.0)
        assert one.clock.passed <= most

    SIX = ["2600:1f18::a", "2600:1f18::b"]

    def dual(self, *addresses):
        return eni_texts(
            0, {"ipv6s": "\n".join(addresses), "subnet-ipv6-cidr-blocks": "2600:1f18::/64"}
        )

    def six(self, *addresses):
        lines = [inet(address + "/128", "eth0", "6") for address in addresses]
        return {6: COMMON_RULES + "".join(line + "\n" for line in lines)}

    def test_a_further_ipv6_address_comes_where_the_first_is(self, host, run):
        texts = self.dual(*self.SIX)
        one = run(self.make(host, texts, kernel6=self.six("2600:1f18::a")))
        assert one.runner.changes == ["-6 addr add 2600:1f18::b/128 dev eth0"]

    def test_without_ipv6_of_its_own_the_primary_gets_none(self, host, run):
        one = run(self.make(host, self.dual(*self.SIX), kernel6=self.six()))
        assert one.runner.changes == []

    @pytest.mark.parametrize(
        "now",
        [
            ["2600:1f18::b", "2600:1f18::a"],
            ["2600:1f18::b"],
            ["2600:1f18::9", "2600:1f18::a", "2600:1f18::b"],
        ],
        ids=["reordered", "first gone", "a new first"],
    )
    def test_an_ipv6_address_that_became_the_first_stays(self, host, run, now):
        one = run(self.make(host, self.dual(*self.SIX), kernel6=self.six("2600:1f18::a")))
        later = self.after(host, one, self.dual(*now))
        assert "-6 addr del 2600:1f18::b/128 dev eth0" not in run(later).runner.changes

    def test_ec2sync_no_keeps_what_was_added(self, host, tmpdir, run):
        one = run(self.make(host, self.MORE))
        tmpdir.ensure("root", ETH1.replace("eth1", "eth0")).write("# EC2SYNC=no\n")
        last = self.after(host, one, eni_texts(0))
        assert run(last).runner.changes == []
        flows.remove(last, "eth0")
        assert last.runner.changes == []


class TestDualStack(object):
    """On a host with ifupdown."""

    RA = "default via fe80::1 dev eth1 proto ra metric 1024 expires 9sec"

    @pytest.mark.parametrize("removed", [False, True], ids=["IPv6 went", "removed"])
    def test_the_copied_router_goes_and_the_routers_own_route_stays(self, host, removed):
        kernel = kernel_with(inet("10.0.1.10/24"))
        kernel[6] = COMMON_RULES + self.RA + "\n"
        flows.add(host({SECOND: DUAL}), "eth1")
        one = host({SECOND: DUAL}, kernel=kernel)
        flows.refresh(one)
        assert "-6 route replace default via fe80::1 dev eth1 table 10001" in one.runner.changes
        later = host({SECOND: TWO}, kernel=one.runner.kernel)
        if removed:
            flows.remove(later, "eth1")
        else:
            flows.refresh(later)
        assert later.runner.kernel[6] == COMMON_RULES + self.RA + "\n"

    def test_a_first_ipv6_address_comes_with_the_refresh(self, configured):
        one = configured({SECOND: DUAL}, kernel=kernel_with(*has_two()))
        flows.refresh(one)
        assert one.runner.changes == [
            "-6 route add 2600:1f18:0:1::/64 dev eth1 metric 10001",
            "-6 route replace 2600:1f18:0:1::/64 dev eth1 table 10001",
            "-6 rule add pref 10001 from 2600:1f18:0:1::10 lookup 10001",
            "-6 addr add 2600:1f18:0:1::10/128 dev eth1",
        ]

    @pytest.mark.xfail(reason="as the first one it counts as the lease's")
    def test_an_address_that_became_the_first_of_an_ipv6_only_eni_is_still_taken_back(self, host):
        both, second = "2600:1f18:0:1::10\n2600:1f18:0:1::11", "2600:1f18:0:1::11"
        kernel = kernel_with()
        kernel[6] = COMMON_RULES + inet("2600:1f18:0:1::10/128", family="6") + "\n"
        flows.add(host({SECOND: ipv6_texts(1, {"ipv6s": both})}), "eth1")
        for addresses in (both, second):
            one = host({SECOND: ipv6_texts(1, {"ipv6s": addresses})}, kernel=kernel)
            flows.refresh(one)
            kernel = one.runner.kernel
        last = host(kernel=kernel)
        flows.remove(last, "eth1")
        assert second + "/" not in last.runner.kernel[6]
