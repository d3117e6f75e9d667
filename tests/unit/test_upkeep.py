"""Lease events, the refresh, and the primary's addresses, on a host whose edges are fakes."""
from __future__ import absolute_import, print_function, unicode_literals

import logging
import os
from contextlib import contextmanager

import pytest
import requests

from ec2net_legacy import cli, imds, notes, upkeep, workflow
from ec2net_legacy.errors import (
    CommandError,
    MetadataInvalid,
    MetadataUnavailable,
)
from ec2net_legacy.event import LeaseEvent
from ec2net_legacy.model import Lease
from tests.unit.fakes import (
    COMMON_RULES,
    MACS,
    PRIMARY,
    SECOND,
    THIRD,
    FakeDevices,
    eni_texts,
    ipv6_texts,
    make_host,
    metadata_tree,
    nic,
    with_connected,
)

INTERFACES = "etc/network/interfaces"
ETH1 = "etc/network/interfaces.d/eth1.cfg"
REFUSED = requests.exceptions.ConnectionError("Connection refused")
OUTAGES = [REFUSED, requests.exceptions.ReadTimeout("Read timed out."), (503, ""), (401, "")]
OUTAGE_NAMES = ["refused", "silent", "503", "401"]

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


def inet(address, device="eth1", family=""):
    return "3: {1}    inet{2} {0} scope global {1}\\       valid_lft forever".format(
        address, device, family
    )


def rule(source, table=10001):
    return "{1}:\tfrom {0} lookup {1} ".format(source, table)


def has_two():
    """Return what the kernel has when TWO are in step."""
    return (
        [inet("10.0.1.10/24"), inet("10.0.1.11/32")]
        + [rule("10.0.1.10"), rule("10.0.1.11")]
        + ROUTES
    )


def kernel_of(*lines):
    return {4: COMMON_RULES + "".join(line + "\n" for line in with_connected(lines))}


def tree(tmpdir):
    """Return {path: bytes} of the host's files."""
    root = tmpdir.join("root")
    return {
        path.relto(root): path.read_binary() for path in root.visit(fil=lambda p: p.isfile())
    }


def remembered(tmpdir):
    """Return the notes, but the token and the locks."""
    kept = {path.basename: path.read() for path in tmpdir.join("run").listdir()}
    return {name: text for name, text in kept.items() if not name.startswith(("token", "lock"))}


@pytest.fixture
def host(tmpdir):
    """Return a function that makes a host with ifupdown: eth0 is the primary, eth1 another ENI."""
    tmpdir.ensure("root", INTERFACES).write(
        "iface eth0 inet dhcp\nsource /etc/network/interfaces.d/*.cfg\n"
    )

    def make(enis=None, devices=None, **others):
        enis = dict(enis or {SECOND: TWO})
        enis.setdefault(PRIMARY, eni_texts(0))
        answers = dict(metadata_tree(enis), **others.pop("answers", {}))
        cards = devices or [nic("eth0", PRIMARY, up=True), nic("eth1", SECOND, up=True)]
        one = make_host(tmpdir, answers, FakeDevices(*cards), **others)
        one.ancestors = lambda: ["dhclient-script", "dhclient", "init"]
        return one

    return make


@pytest.fixture
def configured(host):
    """Return a function that makes a host on which eth1 has its files, which say TWO."""
    workflow.add(host(), "eth1")
    return host


def gained(name="eth1", family=4, lease=None):
    return LeaseEvent("gained", name, family, lease)


def asked(host):
    """Return the keys that metadata was asked for."""
    return [one.path for one in host.session.requests if one.method == "GET"]


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


class TestLeaseGained(object):
    """On an interface that has its files."""

    LEASED = kernel_of(inet("10.0.1.10/24"))

    def test_with_what_a_run_has_just_read_nothing_is_asked(self, configured):
        one = configured(kernel=self.LEASED)
        upkeep.lease(one, gained(), 5.0)
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

    def test_what_is_in_step_stays_as_it_is(self, configured, tmpdir):
        before = tree(tmpdir)
        one = configured(kernel=kernel_of(*(has_two() + FOREIGN)))
        plan = upkeep.lease(one, gained(), 5.0)
        assert (plan.steps, plan.files, one.runner.changes) == ([], {}, [])
        assert tree(tmpdir) == before

    def test_with_an_older_note_metadata_is_asked(self, configured, tmpdir):
        one = configured({SECOND: THREE}, kernel=kernel_of(*has_two()))
        one.clock.now += one.settings.metadata.reuse
        upkeep.lease(one, gained(), 5.0)
        assert MACS + SECOND + "/local-ipv4s" in asked(one)
        assert "addr add 10.0.1.12/32 dev eth1" in one.runner.changes
        assert "10.0.1.12" in tmpdir.join("root", ETH1).read()

    def test_what_another_run_read_while_this_one_waited_is_new_enough(self, configured):
        one = configured({SECOND: THREE}, kernel=kernel_of(*has_two()))
        one.clock.now += 100

        def while_waiting():
            eni = imds_eni(one)
            notes.keep_metadata(one.run_directory, "eth1", eni, one.clock.now)
            del one.session.requests[:]

        with locked_meanwhile(one, "eth1", while_waiting):
            upkeep.lease(one, gained(), 5.0)
        assert one.session.requests == []
        assert "addr add 10.0.1.12/32 dev eth1" in one.runner.changes

    def test_it_is_the_files_that_come_first(self, configured):
        seen = []
        one = configured(
            kernel=self.LEASED,
            answers={"api/token": lambda: seen.append(list(one.runner.changes)) or "TOKEN"},
        )
        one.clock.now += 100
        os.unlink(os.path.join(one.settings.run_directory, "token"))
        upkeep.lease(one, gained(), 5.0)
        assert "addr add 10.0.1.11/32 dev eth1" in seen[0]

    @pytest.mark.parametrize("answer", OUTAGES, ids=OUTAGE_NAMES)
    def test_without_metadata_the_files_are_applied_and_the_rest_is_left(
        self, configured, caplog, answer
    ):
        one = configured(
            kernel=self.LEASED, answers={"meta-data/mac": answer, MACS + SECOND + "/": answer}
        )
        one.clock.now += 100
        plan = upkeep.lease(one, gained(), 5.0)
        assert "addr add 10.0.1.11/32 dev eth1" in one.runner.changes
        assert len(plan.steps) == len(one.runner.changes)
        assert len([line for line in warnings_of(caplog) if "left to the refresh" in line]) == 1

    @pytest.mark.parametrize("within", [2.0, 5.0, 9.0])
    @pytest.mark.parametrize("reaches", ["api/token", MACS + SECOND + "/"])
    def test_a_service_that_hangs_is_given_up_in_time(
        self, configured, monkeypatch, within, reaches
    ):
        limits = []

        @contextmanager
        def time_limit(seconds):
            limits.append(seconds)
            yield

        def hang():
            one.clock.sleep(limits[-1])
            return requests.exceptions.ReadTimeout("Read timed out.")

        monkeypatch.setattr(imds, "_time_limit", time_limit)
        one = configured(kernel=self.LEASED, answers={reaches: hang})
        os.unlink(os.path.join(one.settings.run_directory, "token"))
        one.clock.now = one.clock.start = one.clock.now + 100
        upkeep.lease(one, gained(), within)
        assert within - 1.5 <= one.clock.passed <= within
        assert "addr add 10.0.1.11/32 dev eth1" in one.runner.changes

    def test_a_lock_that_another_run_holds_is_not_waited_for_longer_than_it_has(
        self, configured, caplog
    ):
        one = configured(kernel=self.LEASED)
        one.clock.now = one.clock.start = one.clock.now + 100
        with other(one).lock("eth1"):
            upkeep.lease(one, gained(), 5.0)
        assert one.clock.passed <= 5
        assert "addr add 10.0.1.11/32 dev eth1" in one.runner.changes
        assert "left to the refresh" in warnings_of(caplog)[0]

    @pytest.mark.parametrize("program", ["ifup"])
    def test_while_ifup_runs_its_work_is_left_to_it(self, configured, program):
        one = configured(kernel=self.LEASED)
        one.clock.now += 100
        one.ancestors = lambda: ["dhclient-script", "dhclient", program]
        assert upkeep.lease(one, gained(), 5.0).steps == []
        assert (one.runner.changes, one.session.requests) == ([], [])

    @pytest.mark.parametrize("action", ["gained", "lost"])
    def test_while_ifdown_runs_nothing_is_done(self, configured, tmpdir, action):
        notes.keep_lease(configured().run_directory, "eth1", Lease("10.0.1.10", "10.0.1.1"))
        one = configured(kernel=kernel_of(*has_two()))
        one.ancestors = lambda: ["dhclient-script", "dhclient", "ifdown"]
        plan = upkeep.lease(one, LeaseEvent(action, "eth1", 4, None), 5.0)
        assert "ifdown" in plan.left_alone
        assert (one.runner.ran, one.session.requests) == ([], [])
        assert "lease-eth1" not in remembered(tmpdir)

    def test_impossible_metadata_is_told_after_the_files_were_applied(self, configured, caplog):
        one = configured(
            kernel=self.LEASED, answers={MACS + SECOND + "/local-ipv4s": "$(id)"}
        )
        one.clock.now += 100
        plan = upkeep.lease(one, gained(), 5.0)
        assert "addr add 10.0.1.11/32 dev eth1" in one.runner.changes
        assert len(plan.steps) == len(one.runner.changes)
        assert ["local-ipv4s" in line for line in warnings_of(caplog)] == [True]

    def test_without_a_main_route_none_is_added_by_the_files(self, configured, tmpdir):
        path = tmpdir.join("root", ETH1)
        path.write(path.read().replace("MAINROUTETABLE=yes", "MAINROUTETABLE=no"))
        workflow.add(configured(), "eth1")
        one = configured(kernel=self.LEASED, answers={MACS + SECOND + "/": REFUSED})
        one.clock.now += 100
        upkeep.lease(one, gained(), 5.0)
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
        one = configured(
            devices=cards, changes={"ignore": ignore}, kernel=kernel_of(*has_two())
        )
        one.clock.now += 100
        assert upkeep.lease(one, LeaseEvent(action, "eth1", 4, None), 5.0).left_alone
        assert (one.session.requests, one.runner.ran) == ([], [])
        assert tree(tmpdir) == before

    @pytest.mark.parametrize("name, path", [("eth1", ETH1), ("eth0", ETH1.replace("1.", "0."))])
    @pytest.mark.parametrize("action", ["gained", "lost"])
    def test_ec2sync_no_is_respected(self, host, tmpdir, name, path, action):
        tmpdir.ensure("root", path).write("# EC2SYNC=no\niface {0} inet dhcp\n".format(name))
        notes.keep_addresses(
            host().run_directory, name, workflow_addresses(name, "10.0.0.11", "10.0.1.11")
        )
        one = host(
            {PRIMARY: eni_texts(0, {"local-ipv4s": "10.0.0.10\n10.0.0.12"})},
            kernel=kernel_of(inet("10.0.0.10/24", "eth0"), inet("10.0.0.11/32", name)),
        )
        assert upkeep.lease(one, LeaseEvent(action, name, 4, None), 5.0).left_alone
        assert (one.session.requests, one.runner.ran) == ([], [])

    def test_of_an_administrators_interface_it_is_only_asked_whether_it_is_the_primary(
        self, host, tmpdir
    ):
        tmpdir.ensure("root", ETH1).write("iface eth1 inet dhcp\n")
        one = host(kernel=kernel_of(inet("10.0.1.10/24")))
        upkeep.lease(one, gained(), 5.0)
        assert asked(one) == ["meta-data/mac"]
        assert one.runner.ran == []


class TestLeaseLost(object):
    """Expired, released or refused, while no ifdown runs."""

    def lost(self, one, name="eth1", family=4):
        return upkeep.lease(one, LeaseEvent("lost", name, family, None), 5.0)

    def test_rules_and_further_addresses_go_and_nothing_is_asked(self, configured):
        one = configured(kernel=kernel_of(*(has_two() + FOREIGN)))
        one.clock.now += 100
        self.lost(one)
        assert one.runner.changes == [
            "addr del 10.0.1.11/32 dev eth1",
            "rule del pref 10001 from 10.0.1.10 lookup 10001",
            "rule del pref 10001 from 10.0.1.11 lookup 10001",
        ]
        assert one.session.requests == []
        for line in FOREIGN:
            assert line in one.runner.kernel[4].splitlines()

    def test_nothing_is_added_where_the_kernel_dropped_the_routes_itself(self, configured):
        one = configured(kernel=kernel_of(rule("10.0.1.10"), rule("10.0.1.11")))
        self.lost(one)
        assert one.runner.changes == [
            "rule del pref 10001 from 10.0.1.10 lookup 10001",
            "rule del pref 10001 from 10.0.1.11 lookup 10001",
        ]

    def test_the_lease_is_forgotten(self, configured, tmpdir):
        notes.keep_lease(configured().run_directory, "eth1", Lease("10.0.1.10", "10.0.1.2"))
        self.lost(configured(kernel=kernel_of(*has_two())), family=6)
        assert "lease-eth1" in remembered(tmpdir)
        self.lost(configured(kernel=kernel_of(*has_two())))
        assert "lease-eth1" not in remembered(tmpdir)

    def test_of_an_interface_without_anything_of_ours_not_even_the_kernel_is_read(self, host):
        one = host()
        self.lost(one, "eth0")
        assert (one.runner.ran, one.session.requests) == ([], [])


class TestRouterOfTheLease(object):
    """The usual one of AWS is the subnet's first address; the lease may name another."""

    def default_routes(self, one):
        state = workflow.add(one, "eth1").state
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
    def test_it_counts_when_it_is_this_enis_and_inside_the_subnet(
        self, configured, lease, router
    ):
        upkeep.lease(configured(kernel=kernel_of(inet("10.0.1.10/24"))), gained(lease=lease), 5.0)
        assert self.default_routes(configured()) == {router}

    def test_it_comes_at_once_and_into_the_file(self, configured, tmpdir):
        one = configured(kernel=kernel_of(*has_two()))
        upkeep.lease(one, gained(lease=Lease("10.0.1.10", "10.0.1.2")), 5.0)
        assert "route replace default via 10.0.1.2 dev eth1 table 10001" in one.runner.changes
        assert "via 10.0.1.1 " not in tmpdir.join("root", ETH1).read()
        again = configured(kernel=one.runner.kernel)
        upkeep.lease(again, gained(lease=Lease("10.0.1.10", "10.0.1.2")), 5.0)
        assert again.runner.changes == []

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[]",
            "1",
            "null",
            '{"address": "10.0.1.10"}',
            '{"address": "10.0.1.10", "router": "10.0.1.2", "more": 1}',
            '{"address": ["10.0.1.10"], "router": "10.0.1.2"}',
            '{"address": "10.0.1.10", "router": "$(id)"}',
            '{"address": "10.0.1.10", "router": null}',
            '{"address": "10.0.1.10", "router": ["1"]}',
        ],
    )
    def test_a_note_that_is_garbage_is_none(self, configured, text):
        configured().run_directory.write("lease-eth1", text)
        assert self.default_routes(configured()) == {"10.0.1.1"}


def other(host):
    """Return the run directory as another process has it."""
    from ec2net_legacy.host.rundir import RunDirectory

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


def imds_eni(host, mac=SECOND):
    return host.imds.eni(mac)


def workflow_addresses(name, *addresses):
    from ec2net_legacy.model import Address

    return [Address(address, 32, name) for address in addresses]


class TestCollapse(object):
    """Events queue up at an attachment and at boot."""

    def test_an_add_that_waited_behind_a_newer_run_does_nothing(self, configured, tmpdir):
        before = tree(tmpdir)
        one = configured({SECOND: THREE}, kernel=kernel_of(*has_two()))

        def newer_run():
            eni = imds_eni(one)
            notes.keep_metadata(one.run_directory, "eth1", eni, one.clock.now)
            del one.session.requests[:]

        with locked_meanwhile(one, "eth1", newer_run):
            plan = workflow.add(one, "eth1")
        assert plan.left_alone
        assert (one.session.requests, one.runner.ran) == ([], [])
        assert tree(tmpdir) == before

    def test_one_that_waited_behind_an_older_run_does_its_work(self, configured):
        one = configured({SECOND: THREE}, kernel=kernel_of(*has_two()))
        start = one.clock.now

        def older_run():
            notes.keep_metadata(one.run_directory, "eth1", imds_eni(one), start)

        with locked_meanwhile(one, "eth1", older_run):
            workflow.add(one, "eth1")
        assert "addr add 10.0.1.12/32 dev eth1" in one.runner.changes

    def test_a_newer_run_for_another_eni_of_that_name_is_none(self, configured):
        one = configured({SECOND: THREE}, kernel=kernel_of(*has_two()))

        def newer_run():
            eni = imds_eni(one)._replace(mac=THIRD)
            notes.keep_metadata(one.run_directory, "eth1", eni, one.clock.now)

        with locked_meanwhile(one, "eth1", newer_run):
            workflow.add(one, "eth1")
        assert "addr add 10.0.1.12/32 dev eth1" in one.runner.changes

    @pytest.mark.parametrize(
        "asked_at",
        [
            "1e12",
            "Infinity",
            "NaN",
        ],
    )
    def test_a_note_of_the_future_is_of_another_boot(self, configured, asked_at):
        one = configured({SECOND: THREE}, kernel=kernel_of(*has_two()))
        text = one.run_directory.read("metadata-eth1")
        one.run_directory.write("metadata-eth1", text.replace("1000.0", asked_at))
        workflow.add(one, "eth1")
        assert "addr add 10.0.1.12/32 dev eth1" in one.runner.changes


def eni(number, further=1, changes=None):
    """Return the texts of an ENI with further addresses, on a subnet of its own."""
    hosts = range(10, 11 + further)
    texts = {"local-ipv4s": "\n".join("10.0.{0}.{1}".format(number, host) for host in hosts)}
    return eni_texts(number, dict(texts, **(changes or {})))


class TestRefresh(object):
    """`ec2net refresh`."""

    MACS = {number: "02:00:00:00:00:0{0}".format(number + 1) for number in range(1, 9)}

    def enis(self, count, further=1, changes=None):
        return {
            self.MACS[number]: eni(number, further, changes) for number in range(1, count + 1)
        }

    def cards(self, count, **others):
        return [nic("eth0", PRIMARY, up=True)] + [
            nic("eth{0}".format(number), self.MACS[number], up=True, **others)
            for number in range(1, count + 1)
        ]

    def leased(self, count):
        return kernel_of(
            inet("10.0.0.10/24", "eth0"),
            *[
                inet("10.0.{0}.10/24".format(number), "eth{0}".format(number))
                for number in range(1, count + 1)
            ]
        )

    def in_step(self, host, count, changes=None):
        """Configure `count` interfaces and return the kernel that has all of it."""
        for number in range(1, count + 1):
            one = host(self.enis(count, changes=changes), self.cards(count))
            workflow.add(one, "eth{0}".format(number))
        one = host(
            self.enis(count, changes=changes), self.cards(count), kernel=self.leased(count)
        )
        upkeep.refresh(one)
        return one.runner.kernel

    @pytest.mark.parametrize("count", [1, 4, 8])
    def test_many_cost_one_session_one_reading_and_one_batch(self, host, count):
        kernel = self.in_step(host, count)
        one = host(self.enis(count, 2), self.cards(count), kernel=kernel)
        plans, failures = upkeep.refresh(one)
        assert failures == []
        assert len([plan for plan in plans if plan.steps]) == count
        # The primary's MAC address; the list of an ENI's keys, and the four of them; eth0's too.
        assert one.session.count("GET") == 1 + 5 * (count + 1)
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
        upkeep.refresh(one)
        assert (one.runner.reads, one.runner.changes) == (1, [])
        assert tree(tmpdir) == before

    def test_two_families_are_two_readings_and_two_batches(self, host):
        changes = {
            "ipv6s": "2600:1f18::10",
            "subnet-ipv6-cidr-blocks": "2600:1f18::/64",
        }
        kernel = self.in_step(host, 2, changes)
        bare = dict(kernel)
        bare.update({6: COMMON_RULES})
        bare.update(self.leased(2))
        one = host(self.enis(2, changes=changes), self.cards(2), kernel=bare)
        upkeep.refresh(one)
        assert one.runner.reads == 4
        assert [argv[1] for argv, _ in one.runner.ran if "-o" not in argv] == ["-4", "-6"]
        for family in (4, 6):
            assert sorted(one.runner.kernel[family]) == sorted(kernel[family])

    def test_without_metadata_at_whichever_request_nothing_is_changed(self, host, tmpdir):
        kernel = self.in_step(host, 2)
        before, noted = tree(tmpdir), remembered(tmpdir)
        counted = host(self.enis(2, 2), self.cards(2), kernel=kernel)
        total = self.count_requests(counted, kernel, host)
        assert total > 10
        for number in range(total):
            one = host(self.enis(2, 2), self.cards(2), kernel=kernel)
            self.fail_at(one, number)
            with pytest.raises(MetadataUnavailable) as caught:
                upkeep.refresh(one)
            assert caught.value.exit_code == 75
            assert one.runner.changes == []
            assert (tree(tmpdir), remembered(tmpdir)) == (before, noted)

    def count_requests(self, one, kernel, host):
        seen = []
        request = one.session.request

        def counting(method, url, **others):
            seen.append(url)
            if len(seen) > 1000:
                pytest.fail("no end")
            return request(method, url, **others)

        one.session.request = counting
        one.run_directory.lock = lambda *_: pytest.fail("not to be written")
        names = [device.mac for device in one.devices.shown.values()]
        one.imds.primary_mac()
        for mac in names:
            one.imds.eni(mac, mac == PRIMARY)
        return len([url for url in seen if "token" not in url])

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
        _, failures = upkeep.refresh(one)
        assert [(name, type(error)) for name, error in failures] == [("eth2", MetadataInvalid)]
        assert cli._report_failures(failures) == 1
        added = [line for line in one.runner.changes if line.startswith("addr add")]
        assert added == ["addr add 10.0.1.12/32 dev eth1", "addr add 10.0.3.12/32 dev eth3"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"local-ipv4s": "10.0.2.11"},
            {"local-ipv4s": "10.0.2.11\n10.0.2.12"},
            pytest.param(
                {
                    "local-ipv4s": None,
                    "subnet-ipv4-cidr-block": None,
                    "ipv6s": "2600:1f18::10",
                    "subnet-ipv6-cidr-blocks": "2600:1f18::/64",
                },
            ),
        ],
        ids=["less", "others", "IPv6 only"],
    )
    def test_a_half_propagated_list_without_the_primary_address_changes_nothing(
        self, host, tmpdir, changes
    ):
        kernel = self.in_step(host, 2)
        path = tmpdir.join("root", ETH1.replace("eth1", "eth2"))
        before = path.read()
        enis = self.enis(2, 2)
        enis[self.MACS[2]] = eni(2, 1, changes)
        one = host(enis, self.cards(2), kernel=kernel)
        _, failures = upkeep.refresh(one)
        assert [(name, type(error)) for name, error in failures] == [("eth2", MetadataUnavailable)]
        assert cli._report_failures(failures) == 75
        assert path.read() == before
        assert not [line for line in one.runner.changes if "10.0.2." in line]
        assert "addr add 10.0.1.12/32 dev eth1" in one.runner.changes

    def test_an_eni_that_left_the_list_stays_as_it_is(self, host, tmpdir):
        kernel = self.in_step(host, 2)
        path = tmpdir.join("root", ETH1.replace("eth1", "eth2"))
        before = path.read()
        one = host(self.enis(1, 2), self.cards(2), kernel=kernel)
        _, failures = upkeep.refresh(one)
        assert failures == []
        assert path.read() == before
        assert not [line for line in one.runner.changes if "eth2" in line or "10002" in line]
        assert "addr add 10.0.1.12/32 dev eth1" in one.runner.changes

    def test_a_device_that_another_run_is_at_is_left_to_it(self, host):
        kernel = self.in_step(host, 2)
        one = host(self.enis(2, 2), self.cards(2), kernel=kernel)
        with other(one).lock("eth1"):
            plans, failures = upkeep.refresh(one)
        assert failures == []
        assert "eth1" not in [plan.name for plan in plans]
        assert one.clock.sleeps == []
        added = [line for line in one.runner.changes if line.startswith("addr add")]
        assert added == ["addr add 10.0.2.12/32 dev eth2"]

    @pytest.mark.parametrize("answer", [None, REFUSED], ids=["done", "failed"])
    def test_afterwards_no_lock_is_held(self, host, answer):
        kernel = self.in_step(host, 2)
        one = host(self.enis(2, 2), self.cards(2), kernel=kernel)
        if answer:
            one.session.answers["meta-data/mac"] = answer
            with pytest.raises(MetadataUnavailable):
                upkeep.refresh(one)
        else:
            upkeep.refresh(one)
        for name in ("", "eth1", "eth2"):
            with other(one).lock(name, 0.0):
                pass

    def test_one_interface_can_be_named(self, host):
        kernel = self.in_step(host, 2)
        one = host(self.enis(2, 2), self.cards(2), kernel=kernel)
        plans, _ = upkeep.refresh(one, "eth2")
        assert [plan.name for plan in plans] == ["eth2"]
        assert not [path for path in asked(one) if self.MACS[1] in path]
        assert all("10.0.2.12" in line for line in one.runner.changes)

    @pytest.mark.parametrize(
        "text", [None, "iface eth2 inet dhcp\n", "# EC2SYNC=no\n"], ids=["none", "other", "opt-out"]
    )
    def test_an_interface_without_a_generated_file_is_not_touched(self, host, tmpdir, text):
        kernel = self.in_step(host, 1)
        if text:
            tmpdir.join("root", ETH1.replace("eth1", "eth2")).write(text)
        one = host(self.enis(2, 2), self.cards(2), kernel=kernel)
        before = {path: data for path, data in tree(tmpdir).items() if "eth1" not in path}
        upkeep.refresh(one)
        after = {path: data for path, data in tree(tmpdir).items() if "eth1" not in path}
        assert after == before
        assert not [line for line in one.runner.changes if "eth2" in line or "10.0.2" in line]
        assert not [path for path in asked(one) if self.MACS[2] in path]

    def test_where_nothing_is_configured_only_the_primary_is_asked_for(self, host, tmpdir):
        tmpdir.join("root", INTERFACES).write("source interfaces.d/*\n")
        one = host()
        (plan,), failures = upkeep.refresh(one)
        assert (plan.name, plan.left_alone, failures) == ("eth0", "it is the primary interface", [])
        assert one.runner.ran == []

    @pytest.mark.parametrize("number", [1, 2])
    def test_where_a_device_may_not_have_ipv6_it_gets_none_and_the_others_do(self, host, number):
        changes = {"ipv6s": "2600:1f18::10", "subnet-ipv6-cidr-blocks": "2600:1f18::/64"}
        self.in_step(host, 2, changes)
        cards = self.cards(2)
        cards[number] = cards[number]._replace(ipv6=False)
        one = host(self.enis(2, changes=changes), cards, kernel=self.leased(2))
        upkeep.refresh(one)
        without, other_one = ("1", "2") if number == 1 else ("2", "1")
        six = [line for line in one.runner.changes if line.startswith("-6")]
        assert six
        assert all("1000" + other_one in line or "eth" + other_one in line for line in six)
        assert "addr add 10.0.{0}.11/32 dev eth{0}".format(without) in one.runner.changes
        again = host(self.enis(2, changes=changes), cards, kernel=one.runner.kernel)
        upkeep.refresh(again)
        assert again.runner.changes == []

    def test_a_kernel_without_ipv6_gets_ipv4_all_the_same(self, host):
        changes = {"ipv6s": "2600:1f18::10", "subnet-ipv6-cidr-blocks": "2600:1f18::/64"}
        self.in_step(host, 1, changes)
        # What `ip -6` shows with ipv6.disable=1: no rule at all.
        kernel = dict(self.leased(1))
        kernel[6] = ""
        one = host(self.enis(1, changes=changes), self.cards(1, ipv6=False), kernel=kernel)
        one.devices.kernel_has_ipv6 = False
        assert upkeep.refresh(one)[1] == []
        assert "addr add 10.0.1.11/32 dev eth1" in one.runner.changes

    def test_a_file_that_cannot_be_written_does_not_stop_the_others(self, host, tmpdir):
        kernel = self.in_step(host, 2)
        path = tmpdir.join("root", ETH1)
        path.move(tmpdir.join("elsewhere"))
        path.mksymlinkto(tmpdir.join("elsewhere"))
        one = host(self.enis(2, 2), self.cards(2), kernel=kernel)
        try:
            _, failures = upkeep.refresh(one)
        except Exception as error:
            failures = [("", error)]
        assert failures
        assert "addr add 10.0.2.12/32 dev eth2" in one.runner.changes

    def test_a_device_that_went_meanwhile_changes_nothing(self, host, tmpdir):
        kernel = self.in_step(host, 2)
        before = tree(tmpdir)
        one = host(self.enis(2, 2), self.cards(2), kernel=kernel)
        gone = self.cards(2)[1]
        one.devices.shown["eth1"] = [gone, None]
        plans, failures = upkeep.refresh(one)
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
            workflow.add(host({SECOND: first, THIRD: second}, cards), name)
        one = host({SECOND: first, THIRD: second}, cards, kernel=self.leased(2))
        upkeep.refresh(one)
        first["local-ipv4s"], second["local-ipv4s"] = "10.0.1.10", "10.0.2.10\n10.0.9.9"
        one = host({SECOND: first, THIRD: second}, cards, kernel=one.runner.kernel)
        upkeep.refresh(one)
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
        workflow.add(host(enis, cards), "eth2")
        workflow.add(host(enis, cards), "ens6")
        one = host(enis, cards, changes={"table_base": 20000, "priority_base": 20000})
        plans, _ = upkeep.refresh(one)
        tables = [plan.state.table for plan in plans if plan.state is not None]
        assert len(set(tables)) == len(tables) == 2


class TestPrimary(object):
    """Its further addresses, known by a note, are all that is done to it."""

    MORE = eni_texts(0, {"local-ipv4s": "10.0.0.10\n10.0.0.11\n10.0.0.12"})
    LEASED = inet("10.0.0.10/24", "eth0")

    def make(self, host, texts, *lines, **others):
        kernel = kernel_of(*(lines or [self.LEASED]))
        kernel.update(others.pop("kernel6", {}))
        return host({PRIMARY: texts}, kernel=kernel, **others)

    @pytest.fixture(params=["add", "refresh", "lease"])
    def run(self, request):
        runs = []

        def act(one):
            runs.append(one)
            one.clock.now += 100 * len(runs)
            if request.param == "add":
                workflow.add(one, "eth0")
            elif request.param == "refresh":
                upkeep.refresh(one)
            else:
                upkeep.lease(one, gained("eth0"), 5.0)
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
        assert remembered(tmpdir)["addresses-eth0"] == "10.0.0.11/32\n10.0.0.12/32"
        again = self.make(host, self.MORE)
        again.runner.kernel = one.runner.kernel
        assert run(again).runner.changes == []

    def test_one_that_was_there_before_is_not_ours(self, host, tmpdir, run):
        there = inet("10.0.0.11/24", "eth0")
        one = run(self.make(host, self.MORE, self.LEASED, there))
        assert remembered(tmpdir)["addresses-eth0"] == "10.0.0.12/32"
        fewer = self.make(host, eni_texts(0))
        fewer.runner.kernel = one.runner.kernel
        assert run(fewer).runner.changes == ["addr del 10.0.0.12/32 dev eth0"]
        assert there in fewer.runner.kernel[4]
        assert "addresses-eth0" not in remembered(tmpdir)

    def test_removing_takes_back_what_was_added_and_nothing_else(self, host, tmpdir, run):
        there = inet("10.0.0.11/24", "eth0")
        before = tree(tmpdir)
        one = run(self.make(host, self.MORE, self.LEASED, there, *FOREIGN))
        last = self.make(host, self.MORE)
        last.runner.kernel = one.runner.kernel
        workflow.remove(last, "eth0")
        assert last.runner.changes == ["addr del 10.0.0.12/32 dev eth0"]
        assert tree(tmpdir) == before
        assert "addresses-eth0" not in remembered(tmpdir)
        assert last.session.requests == []

    def test_a_lost_lease_takes_back_what_was_added(self, host, tmpdir, run):
        one = run(self.make(host, self.MORE, self.LEASED, inet("10.0.0.99/32", "eth0")))
        last = self.make(host, self.MORE)
        last.runner.kernel = one.runner.kernel
        upkeep.lease(last, LeaseEvent("lost", "eth0", 4, None), 5.0)
        assert last.runner.changes == [
            "addr del 10.0.0.11/32 dev eth0",
            "addr del 10.0.0.12/32 dev eth0",
        ]
        assert "addresses-eth0" not in remembered(tmpdir)
        again = self.make(host, self.MORE)
        again.runner.kernel = last.runner.kernel
        assert len(run(again).runner.changes) == 2

    def test_before_its_lease_it_gets_nothing(self, host, tmpdir, run):
        one = run(self.make(host, self.MORE, inet("169.254.3.4/16", "eth0")))
        assert one.runner.changes == []
        assert "addresses-eth0" not in remembered(tmpdir)

    def test_with_one_address_the_kernel_is_not_even_read(self, host, run):
        assert run(self.make(host, eni_texts(0))).runner.ran == []

    def test_what_failed_half_way_is_still_ours(self, host, tmpdir):
        one = self.make(host, self.MORE)
        one.runner.refused = {"addr add 10.0.0.12/32 dev eth0": "Operation not permitted"}
        with pytest.raises(CommandError) as caught:
            workflow.add(one, "eth0")
        assert "10.0.0.12" in "{0}".format(caught.value)
        assert "10.0.0.11" in remembered(tmpdir)["addresses-eth0"]
        fewer = self.make(host, eni_texts(0))
        fewer.runner.kernel = one.runner.kernel
        workflow.add(fewer, "eth0")
        assert fewer.runner.changes == ["addr del 10.0.0.11/32 dev eth0"]

    @pytest.mark.parametrize("program", ["ifup", "ifup-eth"])
    def test_at_boot_metadata_gets_a_second(self, host, monkeypatch, program):
        limits = []

        @contextmanager
        def time_limit(seconds):
            limits.append(seconds)
            yield

        def hang():
            one.clock.sleep(limits[-1])
            return requests.exceptions.ReadTimeout("Read timed out.")

        monkeypatch.setattr(imds, "_time_limit", time_limit)
        one = self.make(host, self.MORE, answers={"api/token": hang})
        one.ancestors = lambda: ["dhclient-script", "dhclient", program]
        upkeep.lease(one, gained("eth0"), 5.0)
        assert one.clock.passed <= (1.5 if program == "ifup" else 5)

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
        one = run(
            self.make(host, self.dual(*self.SIX), kernel6=self.six("2600:1f18::a"))
        )
        later = self.make(host, self.dual(*now))
        later.runner.kernel = one.runner.kernel
        assert "-6 addr del 2600:1f18::b/128 dev eth0" not in run(later).runner.changes

    def test_ec2sync_no_keeps_what_was_added(self, host, tmpdir, run):
        one = run(self.make(host, self.MORE))
        tmpdir.ensure("root", ETH1.replace("eth1", "eth0")).write("# EC2SYNC=no\n")
        last = self.make(host, eni_texts(0))
        last.runner.kernel = one.runner.kernel
        assert run(last).runner.changes == []
        workflow.remove(last, "eth0")
        assert last.runner.changes == []


class TestDualStack(object):
    """On a host with ifupdown."""

    def test_ipv6_that_went_takes_the_copied_router_along(self, host):
        ra = "default via fe80::1 dev eth1 proto ra metric 1024 expires 9sec"
        kernel = kernel_of(inet("10.0.1.10/24"))
        kernel[6] = COMMON_RULES + ra + "\n"
        workflow.add(host({SECOND: DUAL}), "eth1")
        one = host({SECOND: DUAL}, kernel=kernel)
        upkeep.refresh(one)
        assert "-6 route replace default via fe80::1 dev eth1 table 10001" in one.runner.changes
        later = host({SECOND: TWO}, kernel=one.runner.kernel)
        upkeep.refresh(later)
        assert later.runner.kernel[6] == COMMON_RULES + ra + "\n"

    def test_removing_leaves_the_routers_own_route(self, host):
        ra = "default via fe80::1 dev eth1 proto ra metric 1024 expires 9sec"
        kernel = kernel_of(inet("10.0.1.10/24"))
        kernel[6] = COMMON_RULES + ra + "\n"
        workflow.add(host({SECOND: DUAL}), "eth1")
        one = host({SECOND: DUAL}, kernel=kernel)
        upkeep.refresh(one)
        last = host(kernel=one.runner.kernel)
        workflow.remove(last, "eth1")
        assert last.runner.kernel[6] == COMMON_RULES + ra + "\n"

    def test_a_first_ipv6_address_comes_with_the_refresh(self, configured):
        one = configured({SECOND: DUAL}, kernel=kernel_of(*has_two()))
        upkeep.refresh(one)
        assert one.runner.changes == [
            "-6 route replace 2600:1f18:0:1::/64 dev eth1 table 10001",
            "-6 rule add pref 10001 from 2600:1f18:0:1::10 lookup 10001",
            "-6 addr add 2600:1f18:0:1::10/128 dev eth1",
        ]

    @pytest.mark.xfail(reason="as the first one it counts as the lease's")
    def test_an_address_that_became_the_first_of_an_ipv6_only_eni_is_still_taken_back(self, host):
        both, second = "2600:1f18:0:1::10\n2600:1f18:0:1::11", "2600:1f18:0:1::11"
        kernel = kernel_of()
        kernel[6] = COMMON_RULES + inet("2600:1f18:0:1::10/128", family="6") + "\n"
        workflow.add(host({SECOND: ipv6_texts(1, {"ipv6s": both})}), "eth1")
        for addresses in (both, second):
            one = host({SECOND: ipv6_texts(1, {"ipv6s": addresses})}, kernel=kernel)
            upkeep.refresh(one)
            kernel = one.runner.kernel
        last = host(kernel=kernel)
        workflow.remove(last, "eth1")
        assert second + "/" not in last.runner.kernel[6]
