"""What all ENIs have in common is done, kept, and taken back with the last of them."""
from __future__ import absolute_import, print_function, unicode_literals

import copy
import logging
import shutil

import pytest

from ec2net_legacy import record
from ec2net_legacy.errors import HostError
from ec2net_legacy.host.command import Result
from tests.unit import flows
from tests.unit.fakes import (
    COMMON_RULES,
    MACS,
    PRIMARY,
    QUICK,
    SECOND,
    THIRD,
    eni_texts,
    ipv6_texts,
    nic,
    raised,
)
from tests.unit.hosts import REFUSED, Hosts, asked, card, inet

FIRST4 = "pref 9990 lookup main suppress_prefixlength 1 suppress_ifgroup 10000"
FIRST6 = "pref 9990 lookup main suppress_prefixlength 4 suppress_ifgroup 10000"
SHOWN4 = "9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup 10000 "
DUAL = eni_texts(1, {"ipv6s": "2600:1f18:0:1::10", "subnet-ipv6-cidr-blocks": "2600:1f18:0:1::/64"})
SHARED = {"local-ipv4s": "10.0.1.20", "subnet-ipv4-cidr-block": "10.0.1.0/24"}

ETH1, ETH2 = card(), card("eth2", THIRD, index=4)
DOCKER0 = nic("docker0", "02:42:00:00:00:01", up=True, kind="bridge", index=9)
TUN0 = nic("tun0", "", up=True, kind="non-Ethernet", index=8)
USB0 = nic("usb0", "02:00:00:00:00:99", index=7)
TO_DOCKER = "172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 "
TO_DOCKER6 = "fd00:17::/64 dev docker0 proto kernel metric 256 pref medium"
BY_TUN = "10.9.0.0/16 via 10.8.0.1 dev tun0 metric 50 "
TO_TUN = "10.8.0.1 dev tun0 proto kernel scope link src 10.8.0.2 "

RP = "net/ipv4/conf/eth1/rp_filter"
NOTHING = ([], {}, {}, {4: {}, 6: {}}, {})
# Before a router is heard.
HEARING = {"eth1/accept_ra": "2", "eth1/accept_ra_pinfo": "0", "eth1/ra_defrtr_metric": "10001"}


@pytest.fixture
def hosts(tmpdir):
    return Hosts(tmpdir)


def with_enis(hosts, *devices, **others):
    """Return a host on which those of `devices` that are ENIs were configured just now."""
    kernel, lines = others.pop("kernel", ()), others.pop("kernel6", ())
    before = hosts(*devices, **others)
    for family, more in ((4, kernel), (6, lines)):
        before.runner.kernel[family] = COMMON_RULES + "".join(line + "\n" for line in more)
    for device in devices:
        if device.mac in (SECOND, THIRD) and not device.master and not device.kind:
            flows.add(before, device.name)
    return hosts(*devices, after=before, **others)


def without_enis(hosts, before, *devices, **others):
    """Return the host after each configuration was taken away; the devices stay."""
    one = hosts(*devices, after=before, **others)
    for name in ("eth1", "eth2"):
        flows.remove(one, name)
    return hosts(*devices, after=one, **others)


def settled(hosts, *devices, **others):
    """Return such a host after what all share was done."""
    one = with_enis(hosts, *devices, **others)
    flows.settle(one)
    return one


def again(hosts, before, *devices, **others):
    """Return the host of a further run after what all share was done."""
    one = hosts(*devices, after=before, **others)
    flows.settle(one)
    return one


def taken_back(hosts, before, *devices, **others):
    """Return the host without configurations after what all share was done."""
    one = without_enis(hosts, before, *devices, **others)
    flows.settle(one)
    return one


def traces(host):
    """Return what is in the kernel: lines, link groups, parameters, chains, alternative names."""
    lines = [
        line
        for family in (4, 6)
        for line in host.runner.kernel[family].splitlines()
        if line not in COMMON_RULES.splitlines()
    ]
    chains = {
        family: {
            name: rules
            for name, rules in mangle.chains.items()
            if rules or name not in mangle.BUILT_IN
        }
        for family, mangle in host.runner.mangle.items()
    }
    groups = {name: number for name, number in host.runner.groups.items() if number}
    values = {short(name): value for name, value in host.sysctl.values.items()
              if value != host.sysctl.defaults[name]}
    names = {name: sorted(names) for name, names in (host.runner.names or {}).items() if names}
    return sorted(lines), groups, values, chains, names


def short(name):
    return name[len("net/ipv4/conf/") :]


def rules_of(host, family=4):
    """Return the rules that no kernel has by itself."""
    lines = host.runner.kernel[family].splitlines()
    return [line for line in lines if "from all" in line and line not in COMMON_RULES]


def routes_of(host, table, family=4):
    """Return the routes in a table."""
    lines = host.runner.kernel[family].splitlines()
    return sorted(line.strip() for line in lines if " table {0}".format(table) in line)


def programs(host):
    """Return what was started, but for what only reads."""
    return [argv[0] for argv, _ in host.runner.ran if "-o" not in argv and argv[0][-5:] != "-save"]


def saves(host):
    """Return which of the tables of iptables were looked at."""
    return {argv[0] for argv, _ in host.runner.ran if argv[0].endswith("-save")}


def told(caplog, level):
    """Return what was told at that level."""
    return [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.fixture(autouse=True)
def all_is_logged(caplog):
    caplog.set_level(logging.INFO, str("ec2net_legacy"))


class TestJustThePrimary(object):
    """Most hosts have one ENI; they pay nothing."""

    @pytest.mark.parametrize("ask", [True, False], ids=["ask", "do not"])
    @pytest.mark.parametrize(
        "before, devices",
        [((), ()), ((), (USB0, DOCKER0, TUN0)), ((), (ETH1,)), ((ETH1,), (card(mac=THIRD),))],
        ids=["alone", "with others", "with an ENI without a file", "with one with another's file"],
    )
    def test_nothing_is_read_run_or_written(self, hosts, before, devices, ask):
        notes = with_enis(hosts, *before) and hosts.notes if before else []
        one = hosts(*devices)
        flows.settle(one, ask)
        assert one.runner.ran == one.session.requests == one.sysctl.written == []
        assert hosts.notes == notes


class TestFirst(object):
    """The first ENI beside the primary."""

    def test_the_groups_come_before_the_rule_it_filters_loosely_and_only_ip_runs(self, hosts):
        one = settled(hosts, ETH1)
        assert one.runner.changes == [
            "link set dev eth0 group 10000",
            "link set dev eth1 group 10000",
            "rule add " + FIRST4,
        ]
        assert one.sysctl.written == [(RP, "2")]
        # Iptables is not touched without containers.
        assert {argv[0] for argv, _ in one.runner.ran} == {"ip"}

    def test_that_is_one_process_a_family(self, hosts):
        one = settled(hosts, ETH1, ETH2, DOCKER0, enis={SECOND: DUAL, THIRD: eni_texts(2)})
        families = [argv[1] for argv, _ in one.runner.ran if "-batch" in argv and "-o" not in argv]
        assert families == ["-4", "-6"]
        assert {step[:8] for step in one.runner.changes if step[:3] != "-6 "} == {
            "rule add", "link set"
        }

    @pytest.mark.parametrize(
        "texts, rules, written",
        [
            (DUAL, ["rule add " + FIRST4, "-6 rule add " + FIRST6],
             dict(HEARING, **{"eth1/rp_filter": "2"})),
            (ipv6_texts(1), ["-6 rule add " + FIRST6], HEARING),
        ],
        ids=["dual stack", "IPv6 alone"],
    )
    def test_with_ipv6_main_is_first_there_too(self, hosts, texts, rules, written):
        one = settled(hosts, ETH1, enis={SECOND: texts})
        assert one.runner.changes[2:] == rules
        assert {short(name): value for name, value in one.sysctl.written} == written

    def test_a_kernel_without_ipv6_is_not_asked_for_it(self, hosts):
        one = with_enis(hosts, ETH1, DOCKER0, enis={SECOND: DUAL})
        one.devices.kernel_has_ipv6 = False
        flows.settle(one)
        assert not [argv for argv, _ in one.runner.ran if "-6" in argv or "ip6" in argv[0]]
        assert len(rules_of(one)) == 2

    def test_the_second_finds_what_is_there(self, hosts):
        one = settled(hosts, ETH1)
        flows.add(hosts(ETH1, ETH2, after=one), "eth2")
        two = again(hosts, one, ETH1, ETH2)
        assert two.runner.changes == ["link set dev eth2 group 10000"]
        assert two.sysctl.written == [("net/ipv4/conf/eth2/rp_filter", "2")]


class TestAgain(object):
    """Nothing is done twice."""

    @pytest.mark.parametrize("first", ["knows", "refuses", "ignores"])
    @pytest.mark.parametrize("others", [(), (DOCKER0,)], ids=["alone", "docker"])
    def test_a_second_run_only_reads(self, hosts, first, others):
        one = with_enis(hosts, ETH1, *others, enis={SECOND: DUAL}, kernel=[TO_DOCKER])
        one.runner.main_first = {4: first, 6: first}
        flows.settle(one)
        before, notes_before = traces(one), hosts.directory.join("run", "host").stat().ino
        two = hosts(ETH1, *others, after=one, enis={SECOND: DUAL})
        settlement = flows.settle(two)
        assert not settlement.changes
        assert (programs(two), two.sysctl.written, asked(two)) == ([], [], [])
        assert two.runner.reads == 2
        assert traces(two) == before
        assert hosts.directory.join("run", "host").stat().ino == notes_before

    def test_in_the_same_process_nothing_is_run_at_all(self, hosts):
        one = settled(hosts, ETH1)
        del one.runner.ran[:]
        assert not flows.settle(one).changes
        assert one.runner.ran == []

    def test_what_is_missing_is_seen_although_the_kernel_was_read_before(self, hosts):
        one = settled(hosts, ETH1)
        two = hosts(ETH1, after=one)
        two.runner.kernel[4] = COMMON_RULES
        flows.settle(two)
        assert two.runner.changes == ["rule add " + FIRST4]

    def test_what_another_run_did_since_the_kernel_was_read_is_not_done_again(self, hosts):
        one = with_enis(hosts, ETH1)
        one.known_kernel([4])
        again(hosts, one, ETH1)
        del one.runner.ran[:]
        flows.settle(one)
        assert programs(one) == []

    def test_a_rule_that_is_there_twice_is_left_and_goes_as_a_whole(self, hosts):
        one = with_enis(hosts, ETH1)
        one.runner.lenient = True
        flows.settle(one)
        one.runner.kernel[4] += SHOWN4 + "\n"
        again(hosts, one, ETH1)
        assert traces(taken_back(hosts, one, ETH1)) == NOTHING


class TestLast(object):
    """With the last ENI all goes back."""

    @pytest.mark.parametrize("first", ["knows", "refuses", "ignores"])
    def test_nothing_is_left(self, hosts, first):
        devices = (ETH1, ETH2, DOCKER0)
        enis = {SECOND: DUAL, THIRD: eni_texts(2, SHARED)}
        one = with_enis(hosts, *devices, enis=enis)
        one.runner.main_first = {4: first, 6: first}
        before = traces(one)
        flows.settle(one)
        two = taken_back(hosts, one, *devices, enis=enis)
        assert before == traces(two) == NOTHING
        assert "host" not in hosts.notes
        assert asked(two) == []

    @pytest.mark.parametrize(
        "devices, then",
        [
            ((ETH1,), ["link set dev eth0 group 0", "link set dev eth1 group 0"]),
            ((ETH1, DOCKER0), ["rule del pref 10001 fwmark 0x100/0x3f00 lookup 10001"]),
        ],
        ids=["before the groups", "before the marks"],
    )
    def test_the_rule_goes_first(self, hosts, devices, then):
        two = taken_back(hosts, settled(hosts, *devices), *devices)
        assert two.runner.changes[: 1 + len(then)] == ["rule del " + FIRST4] + then

    @pytest.mark.parametrize(
        "configured, left, changes, written",
        [
            # It is an ENI still.
            ((ETH1, ETH2), (ETH1, ETH2), [], [("net/ipv4/conf/eth2/rp_filter", "0")]),
            ((ETH2,), (), ["rule del " + FIRST4, "link set dev eth0 group 0"], []),
        ],
        ids=["all but its own stays while one is left", "nothing of a device that is gone"],
    )
    def test_with_one_eni_goes_what_is_its_own(self, hosts, configured, left, changes, written):
        one = settled(hosts, *configured)
        flows.remove(hosts(*left, after=one), "eth2")
        two = again(hosts, one, *left)
        assert two.runner.changes == changes
        assert two.sysctl.written == written
        assert left or traces(two) == NOTHING


@pytest.mark.parametrize(
    "index, at_last, left",
    [
        (3, None, (7, "1")),
        # Somebody has set them.
        (3, (5, "0"), (5, "0")),
        # Another device of that name.
        (30, None, (0, "0")),
    ],
    ids=["as they were", "as somebody has set them at last", "another device's own"],
)
def test_link_groups_and_parameters_are_given_back(hosts, index, at_last, left):
    one = with_enis(hosts, ETH1)
    one.runner.groups["eth1"], one.sysctl.values[RP] = 7, "1"
    flows.settle(one)
    two = again(hosts, one, card(index=index))
    assert (two.devices.group("eth1"), two.sysctl.values[RP]) == (10000, "2")
    if at_last:
        two.runner.groups["eth1"], two.sysctl.values[RP] = at_last
    three = taken_back(hosts, two, card(index=index))
    assert (three.devices.group("eth1"), three.sysctl.values[RP]) == left


class TestUnknownCards(object):
    """Whether a card is an ENI only metadata knows."""

    def test_it_is_asked_once_and_what_is_none_is_in_no_group(self, hosts):
        one = settled(hosts, ETH1, USB0)
        # And who the primary is, whose id is in no file.
        assert asked(one) == [MACS, "meta-data/mac", MACS + PRIMARY + "/interface-id"]
        assert sorted(one.runner.groups) == ["eth0", "eth1"]
        assert asked(again(hosts, one, ETH1, USB0)) == []

    @pytest.mark.parametrize(
        "down, changes",
        [(False, ["link set dev eth2 group 10000"]), (True, [])],
        ids=["which joins", "main stays first while it is silent"],
    )
    def test_it_is_asked_again_when_there_is_a_new_card(self, hosts, down, changes):
        two = again(hosts, settled(hosts, ETH1), ETH1, ETH2, down=down)
        assert down or asked(two) == [MACS]
        assert two.runner.changes == changes

    def test_a_no_is_asked_about_once_more(self, hosts):
        enis = {SECOND: eni_texts(1)}
        one = again(hosts, with_enis(hosts, ETH1), ETH1, ETH2, enis=enis)
        assert sorted(one.runner.groups) == ["eth0", "eth1"]
        for seconds, requests in ((59, []), (1, [MACS]), (1000, [])):
            one.sleep(seconds)
            two = hosts(ETH1, ETH2, after=one, enis=enis)
            two.clock = one.clock
            flows.settle(two)
            assert asked(two) == requests

    def test_what_metadata_lists_late_is_an_eni(self, hosts):
        one = again(hosts, with_enis(hosts, ETH1), ETH1, ETH2, enis={SECOND: eni_texts(1)})
        two = hosts(ETH1, ETH2, after=one)
        two.sleep(60)
        flows.settle(two)
        assert two.runner.changes == ["link set dev eth2 group 10000"]

    @pytest.mark.parametrize("ask", [True, False], ids=["ask", "do not"])
    def test_what_is_gone_is_forgotten(self, hosts, ask):
        flows.settle(with_enis(hosts, ETH1, ETH2))
        flows.settle(hosts(ETH1), ask)
        assert sorted(record.read_host(hosts().run_directory).cards) == [PRIMARY, SECOND]

    def test_with_the_last_one_all_is_forgotten(self, hosts):
        one = settled(hosts, ETH1, USB0)
        assert record.read_host(one.run_directory).cards
        assert not record.read_host(taken_back(hosts, one, ETH1, USB0).run_directory).cards

    @pytest.mark.parametrize(
        "device",
        [
            DOCKER0,
            TUN0,
            nic("eth1.5", "02:00:00:00:00:77", kind="vlan", index=20),
            nic("veth1", "02:00:00:00:00:78", master="docker0", index=21),
            nic("eth9", "", index=22),
        ],
        ids=lambda one: one.name,
    )
    def test_it_is_not_asked_about_what_cannot_be_one(self, hosts, device):
        one = settled(hosts, ETH1, DOCKER0, TUN0)
        assert asked(again(hosts, one, ETH1, DOCKER0, TUN0, device)) == []

    @pytest.mark.parametrize(
        "answer", [REFUSED, "$(id)", None], ids=["down", "nonsense", "not asked"]
    )
    def test_until_it_answers_main_is_not_first(self, hosts, answer):
        one = with_enis(hosts, ETH1)
        one.session.answers[MACS] = answer
        flows.settle(one, ask=answer is not None)
        assert answer or asked(one) == []
        assert one.runner.changes == ["link set dev eth1 group 10000"]
        two = again(hosts, one, ETH1)
        assert two.runner.changes == ["link set dev eth0 group 10000", "rule add " + FIRST4]

    def test_nor_are_routes_copied_by_a_card_that_may_be_one(self, hosts):
        routes = ["10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.9 ", TO_DOCKER]
        one = with_enis(hosts, ETH1, DOCKER0, kernel=routes)
        one.devices.groups = None
        flows.settle(one, ask=False)
        assert routes_of(one, 10001) == ["172.17.0.0/16 dev docker0 table 10001"]

    def test_the_card_of_an_eni_with_a_configuration_is_known(self, hosts):
        one = with_enis(hosts, ETH1)
        record.change_host(one.run_directory, cards={PRIMARY: True})
        flows.settle(one, ask=False)
        assert "rule add " + FIRST4 in one.runner.changes


class TestWhoIsAnEni(object):
    """All devices by which an ENI is reached are in the group."""

    @pytest.mark.parametrize("kind", ["bridge", "bond", "team"])
    @pytest.mark.parametrize("name", ["aaa0", "zzz0"])
    def test_also_what_has_the_primary_as_its_port_whose_subnet_may_be_shared(
        self, hosts, kind, name
    ):
        port = nic("eth0", PRIMARY, up=True, master=name)
        above = nic(name, PRIMARY, up=True, kind=kind, index=10)
        one = settled(
            hosts, ETH1, above, primary=port, changes={"containers": "no"},
            kernel=[inet("10.0.1.5/24", name)],
        )
        assert sorted(one.runner.groups) == sorted(["eth0", "eth1", name])
        assert one.runner.changes[-1] == "rule add " + FIRST4
        assert one.sysctl.values["net/ipv4/conf/{0}/arp_ignore".format(name)] == "1"

    def test_not_a_vlan_or_the_like(self, hosts):
        above = nic("eth0.5", PRIMARY, up=True, kind="vlan", index=10)
        one = settled(hosts, ETH1, above)
        assert sorted(one.runner.groups) == ["eth0", "eth1"]

    @pytest.mark.parametrize("pattern", ["eth2", "eni-0a2"], ids=["always", "since"])
    def test_one_that_is_ignored_is_in_the_group_and_left_alone_otherwise(self, hosts, pattern):
        # Its address shows that the subnet is shared.
        has = [inet("10.0.1.20/24", "eth2")]
        enis = {SECOND: eni_texts(1), THIRD: eni_texts(2, SHARED)}
        changes = {"ignore": (pattern,)}
        first = changes if pattern == "eth2" else {}
        before = with_enis(hosts, ETH1, ETH2, kernel=has, enis=enis, changes=first)
        one = again(hosts, before, ETH1, ETH2, enis=enis, changes=changes)
        assert sorted(one.runner.groups) == ["eth0", "eth1", "eth2"]
        assert {short(name).split("/")[0] for name, _ in one.sysctl.written} == {"eth1"}
        assert one.sysctl.values["net/ipv4/conf/eth1/arp_ignore"] == "1"

    def test_one_that_the_administrator_configures_is_in_the_group(self, hosts):
        one = with_enis(hosts, ETH1, ETH2)
        path = hosts.file("etc/network/interfaces.d/eth2.cfg")
        path.write("# mine\n" + path.read())
        flows.settle(one)
        assert sorted(one.runner.groups) == ["eth0", "eth1", "eth2"]
        assert one.sysctl.written == [(RP, "2")]

    def test_a_device_that_goes_in_this_moment_says_nothing_about_the_kernel(self, hosts):
        one = with_enis(hosts, ETH1, ETH2)
        group, asked_for = one.devices.group, []

        def going(name):
            asked_for.append(name)
            # Twice a look, of which the second one is what counts.
            if asked_for.count("eth2") == 3:
                one.devices.shown.pop("eth2", None)
            return group(name)

        one.devices.group = going
        flows.settle(one)
        assert rules_of(one) == [SHOWN4]
        assert record.read_host(one.run_directory).cannot == ()


class TestFrozen(object):
    """With EC2SYNC=no an ENI keeps what it has, and so what goes with that."""

    IFCFG = "etc/sysconfig/network-scripts/ifcfg-eth1"

    @pytest.fixture
    def frozen(self, tmpdir):
        """A host with DUAL at eth1 that was settled, and then told to leave eth1 as it is."""
        rhel = Hosts(tmpdir, "rhel")
        one = settled(rhel, ETH1, DOCKER0, enis={SECOND: DUAL})
        self.freeze(rhel)
        return rhel, one

    def freeze(self, rhel):
        path = rhel.file(self.IFCFG)
        path.write(path.read().replace("EC2SYNC=yes", "EC2SYNC=no"))
        assert "EC2SYNC=no" in path.read()

    def test_all_stays(self, frozen):
        rhel, one = frozen
        for _ in range(2):
            two = rhel(ETH1, DOCKER0, after=one)
            flows.settle(two)
            assert traces(two) == traces(one) != NOTHING
            assert two.runner.changes == two.sysctl.written == []

    def test_and_is_repaired(self, frozen):
        rhel, one = frozen
        whole = traces(one)
        two = rhel(ETH1, DOCKER0, after=one)
        two.runner.kernel[4] = two.runner.kernel[4].replace(SHOWN4 + "\n", "")
        two.runner.mangle[4].chains = {name: [] for name in two.runner.mangle[4].BUILT_IN}
        assert traces(two) != whole
        flows.settle(two)
        assert traces(two) == whole

    def test_another_device_of_that_name_has_none_of_it(self, frozen):
        rhel, one = frozen
        two = rhel(card(index=12), after=one)
        flows.settle(two)
        assert rules_of(two) == rules_of(two, 6) == []
        assert set(two.runner.groups.values()) == {0}

    def test_one_that_was_frozen_before_has_nothing(self, tmpdir):
        rhel = Hosts(tmpdir, "rhel")
        with_enis(rhel, ETH1)
        self.freeze(rhel)
        one = rhel(ETH1)
        flows.settle(one)
        assert one.runner.ran == one.sysctl.written == []


def refusing(host):
    host.runner.main_first = {4: "refuses", 6: "refuses"}


def ignoring(host):
    host.runner.main_first = {4: "ignores", 6: "ignores"}


def ignoring_twice(host):
    ignoring(host)
    host.runner.lenient = True


def without_groups(host):
    host.devices.groups = None


old_kernels = pytest.mark.parametrize(
    "old", [refusing, ignoring, ignoring_twice, without_groups], ids=lambda one: one.__name__
)


@old_kernels
class TestOldKernels(object):
    """Where main cannot be first, the tables get copies of its other routes."""

    KERNEL = {"kernel": [TO_DOCKER, TO_TUN, BY_TUN], "kernel6": [TO_DOCKER6]}
    COPIES = [
        "10.8.0.1 dev tun0 table 10001",
        "10.9.0.0/16 via 10.8.0.1 dev tun0 table 10001",
        "172.17.0.0/16 dev docker0 table 10001",
    ]
    DEVICES = (ETH1, DOCKER0, TUN0)
    CHANGES = {"containers": "no"}

    def old(self, old, **others):
        """Return such a host, after what all share was done."""
        one = with_enis(self.hosts, *self.DEVICES, changes=self.CHANGES, **others)
        old(one)
        flows.settle(one)
        return one

    @pytest.fixture
    def one(self, hosts, old):
        """The host on which that was done a first time."""
        self.hosts = hosts
        return self.old(old, **self.KERNEL)

    def again(self, old, before):
        one = self.hosts(*self.DEVICES, after=before, changes=self.CHANGES)
        old(one)
        flows.settle(one)
        return one

    def test_they_are_there_after_the_first_run_which_tells_why(self, old, one, caplog):
        assert routes_of(one, 10001) == self.COPIES
        assert rules_of(one) == []
        said = [one.getMessage() for one in caplog.get_records("setup")]
        assert ["copies" in line for line in said] == ([] if old is without_groups else [True])

    def test_for_each_family(self, hosts, old):
        self.hosts = hosts
        one = self.old(old, enis={SECOND: DUAL}, **self.KERNEL)
        assert routes_of(one, 10001) == self.COPIES
        assert routes_of(one, 10001, 6) == ["fd00:17::/64 dev docker0 table 10001"]
        assert rules_of(one) == rules_of(one, 6) == []

    def test_it_is_not_tried_again(self, old, one, caplog):
        caplog.clear()
        two = self.again(old, one)
        assert (programs(two), told(caplog, logging.INFO)) == ([], [])

    def test_they_follow_main(self, old, one):
        one.runner.kernel[4] = one.runner.kernel[4].replace(BY_TUN + "\n", "")
        one.runner.kernel[4] += "10.7.0.0/16 dev tun0 scope link \n"
        two = self.again(old, one)
        assert two.runner.changes == [
            "route del " + self.COPIES[1], "route replace 10.7.0.0/16 dev tun0 table 10001"
        ]

    def test_one_with_another_way_is_replaced(self, old, one):
        one.runner.kernel[4] = one.runner.kernel[4].replace(BY_TUN, "10.9.0.0/16 dev docker0 ")
        assert routes_of(self.again(old, one), 10001) == [
            self.COPIES[0], "10.9.0.0/16 dev docker0 table 10001", self.COPIES[2]
        ]

    def test_what_somebody_put_into_the_table_stays(self, old, one):
        mine = "10.6.0.0/16 via 10.0.1.7 dev eth1 table 10001"
        one.runner.kernel[4] += mine + " \n"
        assert mine in routes_of(self.again(old, one), 10001)

    def test_they_go_with_the_last_eni(self, hosts, old, one):
        two = without_enis(hosts, one, *self.DEVICES, changes=self.CHANGES)
        old(two)
        flows.settle(two)
        assert routes_of(two, 10001) == []
        assert "host" not in hosts.notes

    def test_after_a_reboot_it_is_tried_again(self, hosts, one):
        hosts.boot()
        again = hosts(*self.DEVICES)
        flows.settle(again)
        assert SHOWN4 in rules_of(again)


def test_each_family_may_have_main_first_without_the_other(hosts):
    one = with_enis(
        hosts, ETH1, DOCKER0, enis={SECOND: DUAL}, kernel=[TO_DOCKER], kernel6=[TO_DOCKER6],
        changes={"containers": "no"},
    )
    one.runner.main_first[6] = "refuses"
    flows.settle(one)
    assert rules_of(one) == [SHOWN4]
    assert routes_of(one, 10001) == []
    assert routes_of(one, 10001, 6) == ["fd00:17::/64 dev docker0 table 10001"]


MARK1 = "10001:\tfrom all fwmark 0x100/0x3f00 lookup 10001 "
MARK2 = "10002:\tfrom all fwmark 0x200/0x3f00 lookup 10002 "
RESTORE = (
    "-m connmark ! --mark 0x0/0x3f00 -j CONNMARK --restore-mark --nfmask 0x3f00 --ctmask 0x3f00"
)
CHAIN1 = [
    "-i eth1 -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x100/0x3f00",
    "-i eth0 -j RETURN",
    "-i eth1 -j RETURN",
    RESTORE,
]


def chain_of(host, family=4):
    """Return the rules of the chain, None where there is none or no jump."""
    chains = host.runner.mangle[family].chains
    assert ("EC2NET" in chains) is (chains["PREROUTING"] == ["-j EC2NET"])
    return chains.get("EC2NET")


class TestContainers(object):
    """Replies of containers leave by the ENI by which the connection came in."""

    @pytest.mark.parametrize(
        "path",
        ["usr/bin/dockerd", "usr/bin/docker", "usr/bin/podman", "usr/bin/containerd",
         "var/run/docker.sock", None],
        ids=lambda path: path or "a bridge",
    )
    def test_by_itself_where_something_runs_containers(self, hosts, path):
        if path:
            hosts.file(path).write("", ensure=True)
        one = settled(hosts, ETH1, *([] if path else [DOCKER0]))
        assert chain_of(one) == CHAIN1
        assert rules_of(one) == [MARK1, SHOWN4]

    @pytest.mark.parametrize(
        "wish, devices, expected",
        [("auto", (), None), ("no", (DOCKER0,), None), ("yes", (), CHAIN1)],
    )
    def test_the_settings_have_the_last_word(self, hosts, wish, devices, expected):
        one = settled(hosts, ETH1, *devices, changes={"containers": wish})
        assert chain_of(one) == expected
        assert saves(one) == ({"iptables-save"} if expected else set())

    @pytest.mark.parametrize(
        "texts, six", [(DUAL, True), (eni_texts(1), False)], ids=["dual stack", "IPv4 alone"]
    )
    def test_each_family_that_there_is_and_no_other_is_even_looked_at(self, hosts, texts, six):
        one = settled(hosts, ETH1, DOCKER0, enis={SECOND: texts})
        assert (chain_of(one), chain_of(one, 6)) == (CHAIN1, CHAIN1 if six else None)
        assert (MARK1 in rules_of(one, 6)) is six
        assert saves(one) == {"iptables-save"} | ({"ip6tables-save"} if six else set())

    def test_one_more_eni_gets_its_mark(self, hosts):
        one = settled(hosts, ETH1, DOCKER0)
        flows.add(hosts(ETH1, ETH2, DOCKER0, after=one), "eth2")
        two = again(hosts, one, ETH1, ETH2, DOCKER0)
        assert chain_of(two) == [
            CHAIN1[0],
            "-i eth2 -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x200/0x3f00",
            "-i eth0 -j RETURN",
            "-i eth1 -j RETURN",
            "-i eth2 -j RETURN",
            RESTORE,
        ]
        assert MARK2 in rules_of(two)

    def test_when_the_last_sign_is_gone_so_are_the_marks(self, hosts):
        two = again(hosts, settled(hosts, ETH1, DOCKER0), ETH1)
        assert chain_of(two) is None
        assert rules_of(two) == [SHOWN4]
        assert saves(again(hosts, two, ETH1)) == set()

    def test_a_mark_that_is_there_is_kept_and_given_to_nobody_else(self, hosts):
        one = with_enis(hosts, ETH1, ETH2, DOCKER0, changes={"mark_mask": 0x3})
        there = "10002:\tfrom all fwmark 0x1/0x3 lookup 10002 "
        one.runner.kernel[4] += there + "\n"
        flows.settle(one)
        assert sorted(rules_of(one)) == [
            "10001:\tfrom all fwmark 0x3/0x3 lookup 10001 ", there, SHOWN4
        ]


class TestSpoiledChain(object):
    """Somebody edited or flushed our chain; `netfilter` knows of all that may become of it."""

    @pytest.fixture(params=[["-j DROP"], []], ids=["edited", "flushed"])
    def spoiled(self, hosts, request):
        one = settled(hosts, ETH1, DOCKER0)
        one.runner.mangle[4].chains["EC2NET"] = request.param
        return one

    def test_it_is_written_again(self, hosts, spoiled):
        two = again(hosts, spoiled, ETH1, DOCKER0)
        assert chain_of(two) == CHAIN1
        assert programs(two) == ["iptables-restore"]

    def test_it_goes_with_the_last_eni(self, hosts, spoiled):
        assert traces(taken_back(hosts, spoiled, ETH1, DOCKER0)) == NOTHING


def not_installed(host, *programs):
    host.runner.missing = {one + end for one in programs for end in ("-save", "-restore")}


def not_readable(host, *programs):
    host.runner.failing = {one + "-save": "Table does not exist" for one in programs}


def not_writable(host, *programs):
    host.runner.failing = {one + "-restore": "no connmark" for one in programs}


@pytest.mark.parametrize(
    "broken", [not_installed, not_readable, not_writable], ids=lambda one: one.__name__
)
class TestWithoutIptables(object):
    """Hosts whose iptables do not work, or are not there."""

    def run(self, hosts, broken, after=None, wish="auto", programs=("iptables",)):
        others = {"enis": {SECOND: DUAL}, "changes": {"containers": wish}}
        if after is None:
            one = with_enis(hosts, ETH1, DOCKER0, **others)
        else:
            one = hosts(ETH1, DOCKER0, after=after, **others)
        broken(one, *programs)
        return one

    def test_by_itself_it_is_a_warning_once(self, hosts, broken, caplog):
        one = self.run(hosts, broken)
        settlement = flows.settle(one)
        (line,) = told(caplog, logging.WARNING)
        assert "iptables" in line and "\n" not in line
        assert settlement.problem in line
        for _ in range(2):
            caplog.clear()
            one = self.run(hosts, broken, one)
            assert not flows.settle(one).changes
            assert told(caplog, logging.WARNING) == []

    def test_when_asked_for_it_is_an_error_each_time(self, hosts, broken, caplog):
        one = self.run(hosts, broken, wish="yes")
        for _ in range(2):
            assert "iptables" in raised(HostError, flows.settle, one)
            one = self.run(hosts, broken, one, wish="yes")
        assert told(caplog, logging.WARNING) == []

    @pytest.mark.parametrize("wish", ["auto", "yes"])
    def test_all_else_is_done(self, hosts, broken, wish):
        one = self.run(hosts, broken, wish=wish)
        try:
            flows.settle(one)
        except HostError:
            assert wish == "yes"
        assert SHOWN4 in rules_of(one)
        assert sorted(one.runner.groups) == ["eth0", "eth1"]
        assert one.sysctl.values[RP] == "2"
        assert chain_of(one) is None
        # Known to be missing before, or too late: nothing bears the mark.
        assert (MARK1 in rules_of(one)) is (broken is not_writable)
        assert chain_of(one, 6) == CHAIN1
        assert MARK1 in rules_of(one, 6)

    def test_ipv6s_alone_leave_ipv4_as_it_should_be(self, hosts, broken):
        one = self.run(hosts, broken, programs=("ip6tables",))
        flows.settle(one)
        assert chain_of(one) == CHAIN1
        assert chain_of(one, 6) is None
        assert MARK1 in rules_of(one)

    def repaired(self, hosts, before):
        """Return the host after a run with an iptables that works."""
        one = self.run(hosts, lambda *_: None, before)
        one.runner.missing, one.runner.failing = set(), {}
        flows.settle(one)
        return one

    def test_when_they_work_again_the_chain_is_written(self, hosts, broken):
        one = self.run(hosts, broken)
        flows.settle(one)
        two = self.repaired(hosts, one)
        assert chain_of(two) == CHAIN1
        assert MARK1 in rules_of(two)
        assert record.read_host(two.run_directory).failed == ()

    def test_while_they_do_not_a_chain_that_is_there_keeps_its_rules(self, hosts, broken):
        one = self.run(hosts, lambda *_: None)
        flows.settle(one)
        two = self.run(hosts, broken, one, programs=("iptables", "ip6tables"))
        flows.settle(two)
        assert MARK1 in rules_of(two) and MARK1 in rules_of(two, 6)

    def test_the_last_eni_can_go_and_the_chain_when_they_work_again(self, hosts, broken, caplog):
        one = self.run(hosts, lambda *_: None)
        flows.settle(one)
        two = self.run(hosts, broken, one)
        flows.remove(two, "eth1")
        two = self.run(hosts, broken, two)
        flows.settle(two)
        assert rules_of(two) == rules_of(two, 6) == []
        assert len(told(caplog, logging.WARNING)) == 1
        assert traces(self.repaired(hosts, two)) == NOTHING
        assert "host" not in hosts.notes


class TestChangedSettings(object):
    """What the numbers were before is replaced."""

    DEVICES = (ETH1, DOCKER0)

    @pytest.mark.parametrize(
        "changes, rules",
        [
            ({"mark_mask": 0xFF0000}, ["10001:\tfrom all fwmark 0x10000/0xff0000 lookup 10001 ",
                                       SHOWN4]),
            ({"link_group": 7}, [MARK1, SHOWN4.replace("10000", "7")]),
            ({"containers": "no"}, [SHOWN4]),
        ],
        ids=["mask", "group", "containers"],
    )
    def test_old_ones_are_replaced_and_new_ones_go(self, hosts, changes, rules):
        two = again(hosts, settled(hosts, *self.DEVICES), *self.DEVICES, changes=changes)
        assert sorted(rules_of(two)) == sorted(rules)
        group = changes.get("link_group", 10000)
        assert two.runner.groups == {"eth0": group, "eth1": group}
        assert ("0x3f00" in "".join(chain_of(two) or ())) is ("link_group" in changes)
        assert traces(taken_back(hosts, two, *self.DEVICES, changes=changes)) == NOTHING

    def test_a_mark_stays_when_only_the_base_changes(self, hosts):
        one = settled(hosts, *self.DEVICES)
        two = hosts(*self.DEVICES, after=one, changes={"mark_base": 0x1000})
        assert not flows.settle(two).changes


class TestNotes(object):
    """The run directory may be lost, or hold garbage."""

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"items": 7}', '{"groups": {"a": 1}}'])
    def test_the_kernel_stays_as_it_is(self, hosts, text):
        one = settled(hosts, ETH1, DOCKER0)
        before = traces(one)
        one.run_directory.write("host", text)
        two = again(hosts, one, ETH1, DOCKER0)
        assert traces(two) == before
        assert programs(two) == []
        lines, _, _, chains, _ = traces(taken_back(hosts, two, ETH1, DOCKER0))
        assert (lines, chains) == ([], {4: {}, 6: {}})

    def test_of_an_eni_that_is_gone_no_rule_is_left(self, hosts):
        one = settled(hosts, ETH1, ETH2, DOCKER0)
        assert MARK2 in rules_of(one)
        one.run_directory.forget("host")
        flows.remove(hosts(ETH1, ETH2, DOCKER0, after=one), "eth2")
        two = again(hosts, one, ETH1, DOCKER0)
        assert sorted(rules_of(two)) == [MARK1, SHOWN4]

    def test_where_the_kernel_cannot_be_read_nothing_is_done(self, hosts):
        one = with_enis(hosts, ETH1, DOCKER0)
        one.runner.failing["ip"] = "no"
        raised(HostError, flows.settle, one)
        kept = record.read_host(one.run_directory)
        assert kept._replace(cards={}, primary=()) == record.NOTHING_SHARED
        assert one.sysctl.written == []


class TestLostNotes(object):
    """Somebody emptied the run directory."""

    @pytest.mark.parametrize("between", [False, True], ids=["removal", "refresh and removal"])
    def test_only_parameters_are_left(self, hosts, between):
        devices, enis = (ETH1, ETH2, DOCKER0), {SECOND: DUAL, THIRD: eni_texts(2)}
        lost = settled(hosts, *devices, enis=enis)
        hosts.boot()
        if between:
            before = traces(lost)
            lost = again(hosts, lost, *devices, enis=enis)
            assert traces(lost) == before
            assert programs(lost) == []
        two = taken_back(hosts, lost, *devices, enis=enis)
        lines, groups, values, chains, _ = traces(two)
        assert (lines, groups, chains) == ([], {}, {4: {}, 6: {}})
        # Which there were before nobody can know.
        assert values == dict(HEARING, **{"eth1/rp_filter": "2", "eth2/rp_filter": "2"})
        assert "host" not in hosts.notes

    def test_a_device_of_somebodys_in_another_group_stays_there(self, hosts):
        one = hosts(ETH1, USB0, DOCKER0)
        one.runner.groups.update(usb0=7, docker0=10000)
        flows.settle(one)
        assert one.runner.ran == []


def failing_once(host, words, result):
    """Let the next run of a program whose input has `words` fail without doing anything."""
    run = host.runner.run

    def fail(argv, stdin=""):
        if words not in stdin:
            return run(argv, stdin)
        host.runner.run = run
        return result

    host.runner.run = fail


class TestFailures(object):
    """One thing that fails does not keep the others."""

    def test_a_parameter_that_cannot_be_set(self, hosts):
        devices = (ETH1, ETH2, DOCKER0)
        one = with_enis(hosts, *devices)
        one.sysctl.refused = {RP}
        for _ in range(2):
            assert "eth1/rp_filter" in raised(HostError, flows.settle, one)
            assert SHOWN4 in rules_of(one)
            assert one.sysctl.values["net/ipv4/conf/eth2/rp_filter"] == "2"
            assert chain_of(one) is not None
            one = hosts(*devices, after=one)
        one.sysctl.refused = set()
        flows.settle(one)
        assert traces(taken_back(hosts, one, *devices)) == NOTHING

    def test_a_device_that_is_pulled_meanwhile_is_no_failure(self, hosts):
        one = with_enis(hosts, ETH1, ETH2)
        write = one.sysctl.write

        def pulled(name, value):
            if "/eth2/" in name:
                one.sysctl.values = {
                    name: value for name, value in one.sysctl.values.items() if "/eth2/" not in name
                }
            write(name, value)

        one.sysctl.write = pulled
        flows.settle(one)
        assert one.sysctl.values[RP] == "2"

    def test_nor_one_that_cannot_be_set_back(self, hosts):
        one = settled(hosts, ETH1)
        two = without_enis(hosts, one, ETH1)
        two.sysctl.refused = {RP}
        raised(HostError, flows.settle, two)
        assert rules_of(two) == []
        two.sysctl.refused = set()
        flows.settle(two)
        assert traces(two) == NOTHING

    def test_without_the_groups_main_is_not_first(self, hosts):
        one = with_enis(hosts, ETH1)
        one.runner.refused["link set dev eth0 group 10000"] = "Operation not supported"
        assert "eth0 group 10000" in raised(HostError, flows.settle, one)
        assert rules_of(one) == []
        assert one.sysctl.values[RP] == "2"

    @pytest.mark.parametrize(
        "result", [Result(137, "", ""), Result(1, "", "Cannot allocate memory\nCommand failed -:1")]
    )
    def test_one_failure_does_not_make_a_kernel_an_old_one(self, hosts, result):
        one = settled(hosts, ETH1)
        two = hosts(ETH1, after=one)
        two.runner.kernel[4] = two.runner.kernel[4].replace(SHOWN4 + "\n", "")
        failing_once(two, "suppress", result)
        flows.settle(two)
        assert rules_of(two) == [SHOWN4]
        assert record.read_host(two.run_directory).cannot == ()

    def test_a_device_that_goes_meanwhile_is_no_reason_against_main_first(self, hosts):
        one = with_enis(hosts, ETH1, ETH2)
        run = one.runner.run

        def pulled(argv, stdin=""):
            if "group 10000" in stdin:
                one.devices.shown.pop("eth2", None)
                one.runner.refused["link set dev eth2 group 10000"] = "Cannot find device eth2"
            return run(argv, stdin)

        one.runner.run = pulled
        flows.settle(one)
        assert rules_of(one) == [SHOWN4]

    def test_a_plain_rule_of_that_number_may_be_somebodys(self, hosts):
        plain = "9990:\tfrom all lookup main "
        one = settled(hosts, ETH1, kernel=[plain])
        assert rules_of(one) == [plain, SHOWN4]
        two = again(hosts, one, ETH1)
        assert two.runner.changes == []
        assert rules_of(taken_back(hosts, two, ETH1)) == [plain]

    def test_on_an_old_kernel_it_is_tried_once_whatever_else_fails(self, hosts, caplog):
        one = with_enis(hosts, ETH1, DOCKER0, kernel=[TO_DOCKER])
        ignoring(one)
        one.sysctl.refused = {RP}
        for _ in range(3):
            raised(HostError, flows.settle, one)
        assert len([line for line in told(caplog, logging.INFO) if "copies" in line]) == 1
        assert routes_of(one, 10001) == ["172.17.0.0/16 dev docker0 table 10001"]

    def test_two_runs_do_not_work_at_once(self, hosts):
        one = with_enis(hosts, ETH1)
        with hosts(ETH1).run_directory.lock(), pytest.raises(HostError):
            flows.settle(one)
        assert one.runner.changes == []


class Died(Exception):
    """The power failed, or somebody killed the process."""


class Mortal(object):
    """Lets a run die before its step `number`, or halfway through its batch `number`."""

    def __init__(self, host, number, moment):
        self._host, self._number, self._moment = host, number, moment
        self.count = 0

    def __enter__(self):
        self._wrap(self._host.runner, "run")
        self._wrap(self._host.sysctl, "write")
        self._wrap(self._host.run_directory, "write")
        self._wrap(self._host.run_directory, "forget")
        return self

    def __exit__(self, *_):
        # The runner is the kernel, which lives on.
        del self._host.runner.run

    def _wrap(self, owner, name):
        action = getattr(owner, name)

        def wrapped(*arguments):
            lines = arguments[1].splitlines() if len(arguments) == 2 else []
            halves = self._moment == "halfway"
            # Half of what only reads, or of a single line, is nothing.
            if halves and (arguments[0][:1] != ["ip"] or "-o" in arguments[0] or len(lines) < 2):
                return action(*arguments)
            self.count += 1
            if self.count != self._number:
                return action(*arguments)
            if halves:
                action(arguments[0], "".join(line + "\n" for line in lines[: len(lines) // 2]))
            raise Died

        setattr(owner, name, wrapped)


FULL = (ETH1, ETH2, DOCKER0, TUN0)
FULL_ENIS = {SECOND: DUAL, THIRD: eni_texts(2, SHARED)}
FULL_KERNEL = {
    "kernel": [inet("10.0.1.5/24", "eth0"), TO_DOCKER, TO_TUN, BY_TUN],
    "kernel6": [TO_DOCKER6],
}


def newest(_):
    """As the host is made."""


def full(hosts, after=None):
    """Return a host that has everything that can be done."""
    if after is not None:
        return hosts(*FULL, enis=FULL_ENIS, after=after)
    one = with_enis(hosts, *FULL, enis=FULL_ENIS, **FULL_KERNEL)
    one.runner.groups["eth0"] = 7
    one.runner.names = {"eth1": ["mine"]}
    one.sysctl.values["net/ipv4/conf/eth2/rp_filter"] = "1"
    return one


def fresh(hosts, kernel):
    one = full(hosts)
    kernel(one)
    return one


def leaving(hosts, kernel):
    one = fresh(hosts, kernel)
    flows.settle(one)
    return without_enis(hosts, one, *FULL, enis=FULL_ENIS)


@pytest.mark.parametrize("moment", ["before", "halfway"])
@pytest.mark.parametrize(
    "kernel", [newest, refusing, ignoring, ignoring_twice], ids=lambda one: one.__name__
)
class TestDying(object):
    """A run that dies anywhere is made good by the next one, and leaves nothing after the last."""

    def dying(self, tmpdir, moment, prepared):
        """Yield copies of a host, each of whose runs died at another step."""
        for number in range(1, 100, 4 if QUICK and moment == "before" else 1):
            there = "{0}".format(tmpdir.join("{0}".format(number)))
            shutil.copytree("{0}".format(tmpdir.join("first")), there)
            hosts = Hosts(tmpdir.join("{0}".format(number)))
            one = full(hosts, copy.copy(prepared))
            one.runner = copy.deepcopy(one.runner)
            one.devices.groups = one.runner.groups
            with Mortal(one, number, moment) as mortal:
                try:
                    flows.settle(one)
                except Died:
                    pass
            if mortal.count < number:
                assert number > (1 if moment == "halfway" else 10)
                return
            yield hosts, one
        pytest.fail("a run without an end")

    @pytest.fixture
    def before(self, tmpdir, kernel):
        return traces(fresh(Hosts(tmpdir.mkdir("before")), kernel))

    @pytest.fixture
    def whole(self, tmpdir, kernel):
        one = fresh(Hosts(tmpdir.mkdir("whole")), kernel)
        flows.settle(one)
        return traces(one)

    def test_the_next_run_does_the_rest(self, tmpdir, kernel, moment, before, whole):
        prepared = fresh(Hosts(tmpdir.mkdir("first")), kernel)
        for hosts, one in self.dying(tmpdir, moment, prepared):
            two = full(hosts, one)
            flows.settle(two)
            assert traces(two) == whole
            assert not flows.settle(two).changes
            three = taken_back(hosts, two, *FULL, enis=FULL_ENIS)
            assert traces(three) == before

    def test_when_the_enis_go_meanwhile_nothing_is_left(self, tmpdir, kernel, moment, before):
        prepared = fresh(Hosts(tmpdir.mkdir("first")), kernel)
        for hosts, one in self.dying(tmpdir, moment, prepared):
            two = taken_back(hosts, one, *FULL, enis=FULL_ENIS)
            assert traces(two) == before
            assert "host" not in hosts.notes

    def test_what_is_taken_back_is_taken_back_by_the_next(self, tmpdir, kernel, moment, before):
        prepared = leaving(Hosts(tmpdir.mkdir("first")), kernel)
        for hosts, one in self.dying(tmpdir, moment, prepared):
            two = full(hosts, one)
            flows.settle(two)
            assert traces(two) == before
            assert "host" not in hosts.notes
