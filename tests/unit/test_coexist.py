"""What all ENIs have in common is done, kept, and taken back with the last of them."""
from __future__ import absolute_import, print_function, unicode_literals

import copy
import json
import logging
import shutil

import pytest

from ec2net_legacy import coexist, notes, workflow
from ec2net_legacy.errors import HostError
from ec2net_legacy.host.command import Result
from tests.unit.fakes import (
    COMMON_RULES,
    MACS,
    PRIMARY,
    SECOND,
    THIRD,
    eni_texts,
    ipv6_texts,
    nic,
)
from tests.unit.hosts import REFUSED, Hosts, asked, card, inet

FIRST4 = "pref 9990 lookup main suppress_prefixlength 1 suppress_ifgroup 10000"
FIRST6 = "pref 9990 lookup main suppress_prefixlength 4 suppress_ifgroup 10000"
SHOWN4 = "9990:\tfrom all lookup main suppress_prefixlength 1 suppress_ifgroup 10000 "
DUAL = eni_texts(
    1, {"ipv6s": "2600:1f18:0:1::10", "subnet-ipv6-cidr-blocks": "2600:1f18:0:1::/64"}
)
SHARED = {"local-ipv4s": "10.0.1.20", "subnet-ipv4-cidr-block": "10.0.1.0/24"}

ETH1, ETH2 = card(), card("eth2", THIRD, index=4)
DOCKER0 = nic("docker0", "02:42:00:00:00:01", up=True, kind="bridge", index=9)
TUN0 = nic("tun0", "", up=True, kind="non-Ethernet", index=8)
USB0 = nic("usb0", "02:00:00:00:00:99", index=7)
TO_DOCKER = "172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 "
TO_DOCKER6 = "fd00:17::/64 dev docker0 proto kernel metric 256 pref medium"
BY_TUN = "10.9.0.0/16 via 10.8.0.1 dev tun0 metric 50 "
TO_TUN = "10.8.0.1 dev tun0 proto kernel scope link src 10.8.0.2 "

NOTHING = ([], {}, {}, {4: {}, 6: {}})


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
            workflow.add(before, device.name)
    return hosts(*devices, after=before, **others)


def without_enis(hosts, before, *devices, **others):
    """Return the host after each configuration was taken away; the devices stay."""
    one = hosts(*devices, after=before, **others)
    for name in ("eth1", "eth2"):
        workflow.remove(one, name)
    return hosts(*devices, after=one, **others)


def traces(host):
    """Return what is in the kernel: lines, link groups, parameters, chains."""
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
    values = {short(name): value for name, value in host.sysctl.values.items() if value != "0"}
    return sorted(lines), groups, values, chains


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
    return [
        argv[0] for argv, _ in host.runner.ran if "-o" not in argv and argv[0][-5:] != "-save"
    ]


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

    @pytest.mark.parametrize("others", [(), (USB0, DOCKER0, TUN0)], ids=["alone", "others"])
    @pytest.mark.parametrize("ask", [True, False], ids=["ask", "do not"])
    def test_nothing_is_read_run_or_written(self, hosts, others, ask):
        one = hosts(*others)
        coexist.settle(one, ask)
        assert one.runner.ran == one.session.requests == one.sysctl.written == []
        assert hosts.notes == ["lock"]

    def test_nor_with_an_eni_without_configuration(self, hosts):
        one = hosts(ETH1)
        coexist.settle(one)
        assert one.runner.ran == one.session.requests == one.sysctl.written == []

    def test_nor_with_one_whose_file_is_another_enis(self, hosts):
        with_enis(hosts, ETH1)
        one = hosts(card(mac=THIRD))
        coexist.settle(one)
        assert one.runner.ran == one.session.requests == one.sysctl.written == []


class TestFirst(object):
    """The first ENI beside the primary."""

    def test_the_groups_come_before_the_rule(self, hosts):
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        assert one.runner.changes == [
            "link set dev eth0 group 10000",
            "link set dev eth1 group 10000",
            "rule add " + FIRST4,
        ]

    def test_that_is_one_process_a_family(self, hosts):
        one = with_enis(hosts, ETH1, ETH2, DOCKER0, enis={SECOND: DUAL, THIRD: eni_texts(2)})
        coexist.settle(one)
        families = [argv[1] for argv, _ in one.runner.ran if "-batch" in argv and "-o" not in argv]
        assert families == ["-4", "-6"]
        assert {step[:8] for step in one.runner.changes if step[:3] != "-6 "} == {
            "rule add", "link set"
        }

    def test_it_filters_loosely(self, hosts):
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        assert one.sysctl.written == [("net/ipv4/conf/eth1/rp_filter", "2")]

    def test_on_the_primarys_subnet_both_answer_for_themselves(self, hosts):
        one = with_enis(hosts, ETH1, kernel=[inet("10.0.1.5/24", "eth0")])
        coexist.settle(one)
        assert [(short(name), value) for name, value in one.sysctl.written] == [
            ("eth0/arp_announce", "2"),
            ("eth0/arp_ignore", "1"),
            ("eth1/arp_announce", "2"),
            ("eth1/arp_ignore", "1"),
            ("eth1/rp_filter", "2"),
        ]

    def test_iptables_is_not_touched_without_containers(self, hosts):
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        assert {argv[0] for argv, _ in one.runner.ran} == {"ip"}

    def test_with_ipv6_main_is_first_there_too(self, hosts):
        one = with_enis(hosts, ETH1, enis={SECOND: DUAL})
        coexist.settle(one)
        assert one.runner.changes[-2:] == ["rule add " + FIRST4, "-6 rule add " + FIRST6]

    def test_with_ipv6_alone_only_there(self, hosts):
        one = with_enis(hosts, ETH1, enis={SECOND: ipv6_texts(1)})
        coexist.settle(one)
        assert one.runner.changes[2:] == ["-6 rule add " + FIRST6]
        assert one.sysctl.written == []

    def test_a_kernel_without_ipv6_is_not_asked_for_it(self, hosts):
        one = with_enis(hosts, ETH1, DOCKER0, enis={SECOND: DUAL})
        one.devices.kernel_has_ipv6 = False
        coexist.settle(one)
        assert not [argv for argv, _ in one.runner.ran if "-6" in argv or "ip6" in argv[0]]
        assert len(rules_of(one)) == 2

    def test_the_second_finds_what_is_there(self, hosts):
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        workflow.add(hosts(ETH1, ETH2, after=one), "eth2")
        two = hosts(ETH1, ETH2, after=one)
        coexist.settle(two)
        assert two.runner.changes == ["link set dev eth2 group 10000"]
        assert two.sysctl.written == [("net/ipv4/conf/eth2/rp_filter", "2")]


class TestAgain(object):
    """Nothing is done twice."""

    @pytest.mark.parametrize("first", ["knows", "refuses", "ignores"])
    @pytest.mark.parametrize("others", [(), (DOCKER0,)], ids=["alone", "docker"])
    def test_a_second_run_only_reads(self, hosts, first, others):
        one = with_enis(hosts, ETH1, *others, enis={SECOND: DUAL}, kernel=[TO_DOCKER])
        one.runner.main_first = {4: first, 6: first}
        coexist.settle(one)
        before, notes_before = traces(one), hosts.directory.join("run", "coexistence").stat().ino
        two = hosts(ETH1, *others, after=one, enis={SECOND: DUAL})
        settlement = coexist.settle(two)
        assert not coexist.differs(settlement)
        assert (programs(two), two.sysctl.written, asked(two)) == ([], [], [])
        assert two.runner.reads == 2
        assert traces(two) == before
        assert hosts.directory.join("run", "coexistence").stat().ino == notes_before

    def test_nor_does_the_same_process(self, hosts):
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        del one.runner.ran[:]
        assert not coexist.differs(coexist.settle(one))
        assert one.runner.ran == []

    def test_what_is_missing_is_seen_although_the_kernel_was_read_before(self, hosts):
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        two = hosts(ETH1, after=one)
        two.runner.kernel[4] = COMMON_RULES
        coexist.settle(two)
        assert two.runner.changes == ["rule add " + FIRST4]

    def test_what_another_run_did_since_the_kernel_was_read_is_not_done_again(self, hosts):
        one = with_enis(hosts, ETH1)
        one.known_kernel([4])
        coexist.settle(hosts(ETH1, after=one))
        del one.runner.ran[:]
        coexist.settle(one)
        assert programs(one) == []

    def test_a_rule_that_is_there_twice_is_left_and_goes_as_a_whole(self, hosts):
        one = with_enis(hosts, ETH1)
        one.runner.lenient = True
        coexist.settle(one)
        one.runner.kernel[4] += SHOWN4 + "\n"
        coexist.settle(hosts(ETH1, after=one))
        two = without_enis(hosts, one, ETH1)
        coexist.settle(two)
        assert traces(two) == NOTHING


class TestLast(object):
    """With the last ENI all goes back."""

    @pytest.mark.parametrize("first", ["knows", "refuses", "ignores"])
    def test_nothing_is_left(self, hosts, first):
        devices = (ETH1, ETH2, DOCKER0)
        enis = {SECOND: DUAL, THIRD: eni_texts(2, SHARED)}
        one = with_enis(hosts, *devices, enis=enis)
        one.runner.main_first = {4: first, 6: first}
        before = traces(one)
        coexist.settle(one)
        two = without_enis(hosts, one, *devices, enis=enis)
        coexist.settle(two)
        assert before == traces(two) == NOTHING
        assert "coexistence" not in hosts.notes
        assert asked(two) == []

    def test_the_rule_goes_first(self, hosts):
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        two = without_enis(hosts, one, ETH1)
        coexist.settle(two)
        assert two.runner.changes == [
            "rule del " + FIRST4,
            "link set dev eth0 group 0",
            "link set dev eth1 group 0",
        ]

    def test_also_before_the_marks(self, hosts):
        one = with_enis(hosts, ETH1, DOCKER0)
        coexist.settle(one)
        two = without_enis(hosts, one, ETH1, DOCKER0)
        coexist.settle(two)
        assert two.runner.changes[:2] == [
            "rule del " + FIRST4, "rule del pref 10001 fwmark 0x100/0x3f00 lookup 10001"
        ]

    def test_while_one_is_left_all_stays_but_its_own(self, hosts):
        one = with_enis(hosts, ETH1, ETH2)
        coexist.settle(one)
        workflow.remove(hosts(ETH1, ETH2, after=one), "eth2")
        two = hosts(ETH1, ETH2, after=one)
        coexist.settle(two)
        # It is an ENI still.
        assert two.runner.changes == []
        assert two.sysctl.written == [("net/ipv4/conf/eth2/rp_filter", "0")]

    def test_of_a_device_that_is_gone_nothing_is_taken_back(self, hosts):
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        workflow.remove(hosts(after=one), "eth1")
        two = hosts(after=one)
        coexist.settle(two)
        assert two.runner.changes == ["rule del " + FIRST4, "link set dev eth0 group 0"]
        assert traces(two) == NOTHING


class TestValuesOfOthers(object):
    """Link groups and parameters belong to the administrator, who gets them back."""

    RP = "net/ipv4/conf/eth1/rp_filter"
    IGNORE = "net/ipv4/conf/eth1/arp_ignore"

    def settled(self, hosts, groups=(), values=(), **others):
        one = with_enis(hosts, ETH1, kernel=[inet("10.0.1.5/24", "eth0")], **others)
        one.runner.groups.update(groups)
        one.sysctl.values.update(values)
        coexist.settle(one)
        return one

    def after(self, hosts, one):
        two = without_enis(hosts, one, ETH1)
        coexist.settle(two)
        return two

    def test_they_get_back_what_there_was(self, hosts):
        one = self.settled(hosts, {"eth0": 7}, {self.RP: "1"})
        assert (one.devices.group("eth0"), one.sysctl.values[self.RP]) == (10000, "2")
        two = self.after(hosts, one)
        assert (two.devices.group("eth0"), two.sysctl.values[self.RP]) == (7, "1")

    @pytest.mark.parametrize("value", ["1", "2", "8"])
    def test_what_is_as_strict_already_is_kept(self, hosts, value):
        one = self.settled(hosts, values={self.IGNORE: value})
        assert one.sysctl.values[self.IGNORE] == value
        assert self.after(hosts, one).sysctl.values[self.IGNORE] == value

    def test_what_somebody_made_stricter_meanwhile_stays(self, hosts):
        one = self.settled(hosts)
        one.sysctl.values[self.IGNORE] = "2"
        coexist.settle(hosts(ETH1, after=one))
        assert self.after(hosts, one).sysctl.values[self.IGNORE] == "2"

    def test_what_somebody_set_meanwhile_is_what_comes_back(self, hosts):
        one = self.settled(hosts)
        one.sysctl.values[self.RP] = "1"
        two = hosts(ETH1, after=one)
        coexist.settle(two)
        assert two.sysctl.values[self.RP] == "2"
        assert self.after(hosts, two).sysctl.values[self.RP] == "1"

    def test_what_somebody_set_at_last_stays(self, hosts):
        one = self.settled(hosts)
        one.sysctl.values[self.RP] = "1"
        one.runner.groups["eth1"] = 7
        two = self.after(hosts, one)
        assert (two.devices.group("eth1"), two.sysctl.values[self.RP]) == (7, "1")

    def test_another_device_of_that_name_does_not_get_the_old_ones(self, hosts):
        one = self.settled(hosts, {"eth1": 7}, {self.RP: "1"})
        other = card(index=30)
        two = hosts(other, after=one)
        coexist.settle(two)
        assert (two.devices.group("eth1"), two.sysctl.values[self.RP]) == (10000, "2")
        three = without_enis(hosts, two, other)
        coexist.settle(three)
        assert (three.devices.group("eth1"), three.sysctl.values[self.RP]) == (0, "0")

    def test_nor_does_one_that_has_our_value_by_itself(self, hosts):
        one = self.settled(hosts, values={self.RP: "1"})
        two = hosts(card(index=30), after=one)
        two.sysctl.values[self.RP] = "2"
        coexist.settle(two)
        three = without_enis(hosts, two, card(index=30))
        coexist.settle(three)
        assert three.sysctl.values[self.RP] == "2"

    @pytest.mark.parametrize("value", ["", "x", "-1", None])
    def test_what_is_no_number_is_left_alone(self, hosts, value):
        one = with_enis(hosts, ETH1)
        one.sysctl.values[self.RP] = value
        coexist.settle(one)
        assert one.sysctl.written == []


class TestUnknownCards(object):
    """Whether a card is an ENI only metadata knows."""

    def test_it_is_asked_once(self, hosts):
        one = with_enis(hosts, ETH1, USB0)
        coexist.settle(one)
        assert asked(one) == [MACS]
        two = hosts(ETH1, USB0, after=one)
        coexist.settle(two)
        assert asked(two) == []

    def test_a_card_that_is_none_is_in_no_group(self, hosts):
        one = with_enis(hosts, ETH1, USB0)
        coexist.settle(one)
        assert sorted(one.runner.groups) == ["eth0", "eth1"]

    def test_it_is_asked_again_when_there_is_a_new_card(self, hosts):
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        two = hosts(ETH1, ETH2, after=one)
        coexist.settle(two)
        assert asked(two) == [MACS]
        assert two.runner.changes == ["link set dev eth2 group 10000"]

    def test_a_no_is_asked_about_once_more(self, hosts):
        one = hosts(ETH1, ETH2, after=with_enis(hosts, ETH1), enis={SECOND: eni_texts(1)})
        coexist.settle(one)
        assert sorted(one.runner.groups) == ["eth0", "eth1"]
        for seconds, requests in ((59, []), (1, [MACS]), (1000, [])):
            one.sleep(seconds)
            two = hosts(ETH1, ETH2, after=one, enis={SECOND: eni_texts(1)})
            two.clock = one.clock
            coexist.settle(two)
            assert asked(two) == requests

    def test_what_metadata_lists_late_is_an_eni(self, hosts):
        one = hosts(ETH1, ETH2, after=with_enis(hosts, ETH1), enis={SECOND: eni_texts(1)})
        coexist.settle(one)
        two = hosts(ETH1, ETH2, after=one)
        two.sleep(60)
        coexist.settle(two)
        assert two.runner.changes == ["link set dev eth2 group 10000"]

    @pytest.mark.parametrize("ask", [True, False], ids=["ask", "do not"])
    def test_what_is_gone_is_forgotten(self, hosts, ask):
        coexist.settle(with_enis(hosts, ETH1, ETH2))
        coexist.settle(hosts(ETH1), ask)
        noted = hosts.directory.join("run", "enis").read()
        assert sorted(json.loads(noted)) == [PRIMARY, SECOND]

    def test_with_the_last_one_all_is_forgotten(self, hosts):
        one = with_enis(hosts, ETH1, USB0)
        coexist.settle(one)
        assert "enis" in hosts.notes
        coexist.settle(without_enis(hosts, one, ETH1, USB0))
        assert "enis" not in hosts.notes

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
        one = with_enis(hosts, ETH1, DOCKER0, TUN0)
        coexist.settle(one)
        two = hosts(ETH1, DOCKER0, TUN0, device, after=one)
        coexist.settle(two)
        assert asked(two) == []

    @pytest.mark.parametrize("answer", [REFUSED, "$(id)"], ids=["down", "nonsense"])
    def test_until_it_answers_main_is_not_first(self, hosts, answer):
        one = with_enis(hosts, ETH1)
        one.session.answers[MACS] = answer
        coexist.settle(one)
        assert one.runner.changes == ["link set dev eth1 group 10000"]
        two = hosts(ETH1, after=one)
        coexist.settle(two)
        assert two.runner.changes == ["link set dev eth0 group 10000", "rule add " + FIRST4]

    def test_where_it_is_not_to_be_asked_main_is_not_first_either(self, hosts):
        one = with_enis(hosts, ETH1)
        coexist.settle(one, ask=False)
        assert asked(one) == []
        assert one.runner.changes == ["link set dev eth1 group 10000"]

    def test_nor_are_routes_copied_by_a_card_that_may_be_one(self, hosts):
        routes = ["10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.9 ", TO_DOCKER]
        one = with_enis(hosts, ETH1, DOCKER0, kernel=routes)
        one.devices.groups = None
        coexist.settle(one, ask=False)
        assert routes_of(one, 10001) == ["172.17.0.0/16 dev docker0 table 10001"]

    def test_when_a_card_comes_while_it_is_silent_main_stays_first(self, hosts):
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        two = hosts(ETH1, ETH2, after=one, down=True)
        coexist.settle(two)
        assert two.runner.changes == []

    def test_the_card_of_an_eni_with_a_configuration_is_known(self, hosts):
        one = with_enis(hosts, ETH1)
        notes.keep_enis(one.run_directory, {PRIMARY: True})
        coexist.settle(one, ask=False)
        assert "rule add " + FIRST4 in one.runner.changes


class TestWhoIsAnEni(object):
    """All devices by which an ENI is reached are in the group."""

    @pytest.mark.parametrize("kind", ["bridge", "bond", "team"])
    @pytest.mark.parametrize("name", ["aaa0", "zzz0"])
    def test_also_what_has_the_primary_as_its_port(self, hosts, kind, name):
        port = nic("eth0", PRIMARY, up=True, master=name)
        above = nic(name, PRIMARY, up=True, kind=kind, index=10)
        one = with_enis(hosts, ETH1, above, primary=port, changes={"containers": "no"})
        coexist.settle(one)
        assert sorted(one.runner.groups) == sorted(["eth0", "eth1", name])
        assert one.runner.changes[-1] == "rule add " + FIRST4

    def test_its_subnet_may_be_shared_as_well(self, hosts):
        port = nic("eth0", PRIMARY, up=True, master="br0")
        br0 = nic("br0", PRIMARY, up=True, kind="bridge", index=10)
        one = with_enis(hosts, ETH1, br0, primary=port, kernel=[inet("10.0.1.5/24", "br0")])
        coexist.settle(one)
        assert one.sysctl.values["net/ipv4/conf/br0/arp_ignore"] == "1"

    def test_not_a_vlan_or_the_like(self, hosts):
        above = nic("eth0.5", PRIMARY, up=True, kind="vlan", index=10)
        one = with_enis(hosts, ETH1, above)
        coexist.settle(one)
        assert sorted(one.runner.groups) == ["eth0", "eth1"]

    def test_one_that_is_ignored_is_in_the_group_and_left_alone_otherwise(self, hosts):
        # Its address shows that the subnet is shared.
        has = [inet("10.0.1.20/24", "eth2")]
        one = with_enis(
            hosts, ETH1, ETH2, kernel=has, changes={"ignore": ("eth2",)},
            enis={SECOND: eni_texts(1), THIRD: eni_texts(2, SHARED)},
        )
        coexist.settle(one)
        assert sorted(one.runner.groups) == ["eth0", "eth1", "eth2"]
        assert {short(name).split("/")[0] for name, _ in one.sysctl.written} == {"eth1"}
        assert one.sysctl.values["net/ipv4/conf/eth1/arp_ignore"] == "1"

    def test_one_that_the_administrator_configures_is_in_the_group(self, hosts):
        one = with_enis(hosts, ETH1, ETH2)
        path = hosts.file("etc/network/interfaces.d/eth2.cfg")
        path.write("# mine\n" + path.read())
        coexist.settle(one)
        assert sorted(one.runner.groups) == ["eth0", "eth1", "eth2"]
        assert one.sysctl.written == [("net/ipv4/conf/eth1/rp_filter", "2")]

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
        coexist.settle(one)
        assert rules_of(one) == [SHOWN4]
        assert notes.coexistence(one.run_directory).cannot == ()


class TestFrozen(object):
    """With EC2SYNC=no an ENI keeps what it has, and so what goes with that."""

    IFCFG = "etc/sysconfig/network-scripts/ifcfg-eth1"

    @pytest.fixture
    def frozen(self, tmpdir):
        """A host with DUAL at eth1 that was settled, and then told to leave eth1 as it is."""
        rhel = Hosts(tmpdir, "rhel")
        one = with_enis(rhel, ETH1, DOCKER0, enis={SECOND: DUAL})
        coexist.settle(one)
        path = rhel.file(self.IFCFG)
        path.write(path.read().replace("EC2SYNC=yes", "EC2SYNC=no"))
        assert "EC2SYNC=no" in path.read()
        return rhel, one

    def test_all_stays(self, frozen):
        rhel, one = frozen
        for _ in range(2):
            two = rhel(ETH1, DOCKER0, after=one)
            coexist.settle(two)
            assert traces(two) == traces(one) != NOTHING
            assert two.runner.changes == two.sysctl.written == []

    def test_and_is_repaired(self, frozen):
        rhel, one = frozen
        whole = traces(one)
        two = rhel(ETH1, DOCKER0, after=one)
        two.runner.kernel[4] = two.runner.kernel[4].replace(SHOWN4 + "\n", "")
        two.runner.mangle[4].chains = {name: [] for name in two.runner.mangle[4].BUILT_IN}
        assert traces(two) != whole
        coexist.settle(two)
        assert traces(two) == whole

    def test_another_device_of_that_name_has_none_of_it(self, frozen):
        rhel, one = frozen
        two = rhel(card(index=12), after=one)
        coexist.settle(two)
        assert rules_of(two) == rules_of(two, 6) == []
        assert set(two.runner.groups.values()) == {0}

    def test_one_that_was_frozen_before_has_nothing(self, tmpdir):
        rhel = Hosts(tmpdir, "rhel")
        with_enis(rhel, ETH1)
        path = rhel.file(self.IFCFG)
        path.write(path.read().replace("EC2SYNC=yes", "EC2SYNC=no"))
        one = rhel(ETH1)
        coexist.settle(one)
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

    def settled(self, hosts, old, **others):
        chosen = dict(self.KERNEL, changes={"containers": "no"}, **others)
        one = with_enis(hosts, *self.DEVICES, **chosen)
        old(one)
        coexist.settle(one)
        return one

    def again(self, hosts, old, before):
        one = hosts(*self.DEVICES, after=before, changes={"containers": "no"})
        old(one)
        coexist.settle(one)
        return one

    def test_they_are_there_after_the_first_run(self, hosts, old):
        one = self.settled(hosts, old)
        assert routes_of(one, 10001) == self.COPIES
        assert rules_of(one) == []

    def test_for_each_family(self, hosts, old):
        one = self.settled(hosts, old, enis={SECOND: DUAL})
        assert routes_of(one, 10001) == self.COPIES
        assert routes_of(one, 10001, 6) == ["fd00:17::/64 dev docker0 table 10001"]
        assert rules_of(one) == rules_of(one, 6) == []

    def test_a_line_tells_why_where_it_was_tried(self, hosts, old, caplog):
        self.settled(hosts, old)
        said = [line for line in told(caplog, logging.INFO) if "copies" in line]
        assert len(said) == (0 if old is without_groups else 1)

    def test_it_is_not_tried_again(self, hosts, old, caplog):
        one = self.settled(hosts, old)
        caplog.clear()
        two = self.again(hosts, old, one)
        assert (programs(two), told(caplog, logging.INFO)) == ([], [])

    def test_they_follow_main(self, hosts, old):
        one = self.settled(hosts, old)
        one.runner.kernel[4] = one.runner.kernel[4].replace(BY_TUN + "\n", "")
        one.runner.kernel[4] += "10.7.0.0/16 dev tun0 scope link \n"
        two = self.again(hosts, old, one)
        assert two.runner.changes == [
            "route del " + self.COPIES[1], "route replace 10.7.0.0/16 dev tun0 table 10001"
        ]

    def test_one_with_another_way_is_replaced(self, hosts, old):
        one = self.settled(hosts, old)
        one.runner.kernel[4] = one.runner.kernel[4].replace(BY_TUN, "10.9.0.0/16 dev docker0 ")
        two = self.again(hosts, old, one)
        assert routes_of(two, 10001) == [
            self.COPIES[0], "10.9.0.0/16 dev docker0 table 10001", self.COPIES[2]
        ]

    def test_what_somebody_put_into_the_table_stays(self, hosts, old):
        one = self.settled(hosts, old)
        mine = "10.6.0.0/16 via 10.0.1.7 dev eth1 table 10001"
        one.runner.kernel[4] += mine + " \n"
        two = self.again(hosts, old, one)
        assert mine in routes_of(two, 10001)

    def test_they_go_with_the_last_eni(self, hosts, old):
        one = self.settled(hosts, old)
        two = without_enis(hosts, one, *self.DEVICES, changes={"containers": "no"})
        old(two)
        coexist.settle(two)
        assert routes_of(two, 10001) == []
        assert "coexistence" not in hosts.notes

    def test_after_a_reboot_it_is_tried_again(self, hosts, old):
        self.settled(hosts, old)
        hosts.boot()
        one = hosts(*self.DEVICES)
        coexist.settle(one)
        assert SHOWN4 in rules_of(one)


class TestOneFamilyCannot(object):
    """Each family for itself."""

    def test_the_other_one_has_main_first(self, hosts):
        one = with_enis(
            hosts, ETH1, DOCKER0, enis={SECOND: DUAL}, kernel=[TO_DOCKER], kernel6=[TO_DOCKER6],
            changes={"containers": "no"},
        )
        one.runner.main_first[6] = "refuses"
        coexist.settle(one)
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
         "var/run/docker.sock"],
    )
    def test_by_itself_where_something_runs_containers(self, hosts, path):
        hosts.file(path).write("", ensure=True)
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        assert chain_of(one) == CHAIN1
        assert rules_of(one) == [MARK1, SHOWN4]

    def test_or_where_there_is_a_bridge(self, hosts):
        one = with_enis(hosts, ETH1, DOCKER0)
        coexist.settle(one)
        assert chain_of(one) == CHAIN1

    @pytest.mark.parametrize(
        "wish, devices, expected",
        [("auto", (), None), ("no", (DOCKER0,), None), ("yes", (), CHAIN1)],
    )
    def test_the_settings_have_the_last_word(self, hosts, wish, devices, expected):
        one = with_enis(hosts, ETH1, *devices, changes={"containers": wish})
        coexist.settle(one)
        assert chain_of(one) == expected
        assert saves(one) == ({"iptables-save"} if expected else set())

    def test_each_family_that_there_is(self, hosts):
        one = with_enis(hosts, ETH1, DOCKER0, enis={SECOND: DUAL})
        coexist.settle(one)
        assert chain_of(one) == chain_of(one, 6) == CHAIN1
        assert MARK1 in rules_of(one, 6)

    def test_without_ipv6_its_iptables_are_not_even_looked_at(self, hosts):
        one = with_enis(hosts, ETH1, DOCKER0)
        coexist.settle(one)
        assert saves(one) == {"iptables-save"}

    def test_one_more_eni_gets_its_mark(self, hosts):
        one = with_enis(hosts, ETH1, DOCKER0)
        coexist.settle(one)
        workflow.add(hosts(ETH1, ETH2, DOCKER0, after=one), "eth2")
        two = hosts(ETH1, ETH2, DOCKER0, after=one)
        coexist.settle(two)
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
        one = with_enis(hosts, ETH1, DOCKER0)
        coexist.settle(one)
        two = hosts(ETH1, after=one)
        coexist.settle(two)
        assert chain_of(two) is None
        assert rules_of(two) == [SHOWN4]
        three = hosts(ETH1, after=two)
        coexist.settle(three)
        assert saves(three) == set()

    def test_a_mark_that_is_there_is_kept_and_given_to_nobody_else(self, hosts):
        one = with_enis(hosts, ETH1, ETH2, DOCKER0, changes={"mark_mask": 0x3})
        there = "10002:\tfrom all fwmark 0x1/0x3 lookup 10002 "
        one.runner.kernel[4] += there + "\n"
        coexist.settle(one)
        assert sorted(rules_of(one)) == [
            "10001:\tfrom all fwmark 0x3/0x3 lookup 10001 ", there, SHOWN4
        ]

    def test_an_old_iptables_does(self, hosts):
        one = with_enis(hosts, ETH1, DOCKER0)
        one.runner.old_restore = True
        coexist.settle(one)
        assert chain_of(one) == CHAIN1


def flushed(chains):
    chains["EC2NET"] = []


def edited(chains):
    chains["EC2NET"][0] = "-j DROP"


def jumped_twice(chains):
    chains["PREROUTING"] *= 2


def not_jumped(chains):
    chains["PREROUTING"] = []


def lost(chains):
    chains["PREROUTING"] = []
    del chains["EC2NET"]


@pytest.mark.parametrize(
    "spoil", [flushed, edited, jumped_twice, not_jumped, lost], ids=lambda one: one.__name__
)
class TestSpoiledChain(object):
    """Somebody flushed iptables, or edited our chain."""

    def test_it_is_written_again(self, hosts, spoil):
        one = with_enis(hosts, ETH1, DOCKER0)
        coexist.settle(one)
        spoil(one.runner.mangle[4].chains)
        two = hosts(ETH1, DOCKER0, after=one)
        coexist.settle(two)
        assert chain_of(two) == CHAIN1
        assert programs(two) == ["iptables-restore"]

    def test_it_goes_with_the_last_eni(self, hosts, spoil):
        one = with_enis(hosts, ETH1, DOCKER0)
        coexist.settle(one)
        spoil(one.runner.mangle[4].chains)
        two = without_enis(hosts, one, ETH1, DOCKER0)
        coexist.settle(two)
        assert traces(two) == NOTHING


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
        settlement = coexist.settle(one)
        (line,) = told(caplog, logging.WARNING)
        assert "iptables" in line and "\n" not in line
        assert settlement.problem in line
        for _ in range(2):
            caplog.clear()
            one = self.run(hosts, broken, one)
            assert not coexist.differs(coexist.settle(one))
            assert told(caplog, logging.WARNING) == []

    def test_when_asked_for_it_is_an_error_each_time(self, hosts, broken, caplog):
        one = self.run(hosts, broken, wish="yes")
        for _ in range(2):
            with pytest.raises(HostError) as caught:
                coexist.settle(one)
            assert "iptables" in "{0}".format(caught.value)
            one = self.run(hosts, broken, one, wish="yes")
        assert told(caplog, logging.WARNING) == []

    @pytest.mark.parametrize("wish", ["auto", "yes"])
    def test_all_else_is_done(self, hosts, broken, wish):
        one = self.run(hosts, broken, wish=wish)
        try:
            coexist.settle(one)
        except HostError:
            assert wish == "yes"
        assert SHOWN4 in rules_of(one)
        assert sorted(one.runner.groups) == ["eth0", "eth1"]
        assert one.sysctl.values["net/ipv4/conf/eth1/rp_filter"] == "2"
        assert chain_of(one) is None
        # Known to be missing before, or too late: nothing bears the mark.
        assert (MARK1 in rules_of(one)) is (broken is not_writable)
        assert chain_of(one, 6) == CHAIN1
        assert MARK1 in rules_of(one, 6)

    def test_ipv6s_alone_leave_ipv4_as_it_should_be(self, hosts, broken):
        one = self.run(hosts, broken, programs=("ip6tables",))
        coexist.settle(one)
        assert chain_of(one) == CHAIN1
        assert chain_of(one, 6) is None
        assert MARK1 in rules_of(one)

    def test_when_they_work_again_the_chain_is_written(self, hosts, broken):
        one = self.run(hosts, broken)
        coexist.settle(one)
        two = self.run(hosts, lambda *_: None, one)
        two.runner.missing, two.runner.failing = set(), {}
        coexist.settle(two)
        assert chain_of(two) == CHAIN1
        assert MARK1 in rules_of(two)
        assert notes.coexistence(two.run_directory).failed == ()

    def test_while_they_do_not_a_chain_that_is_there_keeps_its_rules(self, hosts, broken):
        one = self.run(hosts, lambda *_: None)
        coexist.settle(one)
        two = self.run(hosts, broken, one, programs=("iptables", "ip6tables"))
        coexist.settle(two)
        assert MARK1 in rules_of(two) and MARK1 in rules_of(two, 6)

    def test_the_last_eni_can_go_and_the_chain_when_they_work_again(self, hosts, broken, caplog):
        one = self.run(hosts, lambda *_: None)
        coexist.settle(one)
        two = self.run(hosts, broken, one)
        workflow.remove(two, "eth1")
        two = self.run(hosts, broken, two)
        coexist.settle(two)
        assert rules_of(two) == rules_of(two, 6) == []
        assert len(told(caplog, logging.WARNING)) == 1
        three = self.run(hosts, lambda *_: None, two)
        three.runner.missing, three.runner.failing = set(), {}
        coexist.settle(three)
        assert traces(three) == NOTHING
        assert "coexistence" not in hosts.notes


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
        one = with_enis(hosts, *self.DEVICES)
        coexist.settle(one)
        two = hosts(*self.DEVICES, after=one, changes=changes)
        coexist.settle(two)
        assert sorted(rules_of(two)) == sorted(rules)
        group = changes.get("link_group", 10000)
        assert two.runner.groups == {"eth0": group, "eth1": group}
        three = without_enis(hosts, two, *self.DEVICES, changes=changes)
        coexist.settle(three)
        assert traces(three) == NOTHING

    def test_a_mark_stays_when_only_the_base_changes(self, hosts):
        one = with_enis(hosts, *self.DEVICES)
        coexist.settle(one)
        two = hosts(*self.DEVICES, after=one, changes={"mark_base": 0x1000})
        assert not coexist.differs(coexist.settle(two))

    def test_the_old_chain_is_written_anew(self, hosts):
        one = with_enis(hosts, *self.DEVICES)
        coexist.settle(one)
        two = hosts(*self.DEVICES, after=one, changes={"mark_mask": 0xFF0000})
        coexist.settle(two)
        assert "0x3f00" not in "".join(chain_of(two))


class TestNotes(object):
    """The run directory may be lost, or hold garbage."""

    @pytest.mark.parametrize("text", [None, "", "{", "[]", '{"items": 7}', '{"groups": {"a": 1}}'])
    def test_the_kernel_stays_as_it_is(self, hosts, text):
        one = with_enis(hosts, ETH1, DOCKER0)
        coexist.settle(one)
        before = traces(one)
        if text is None:
            one.run_directory.forget("coexistence")
        else:
            one.run_directory.write("coexistence", text)
        two = hosts(ETH1, DOCKER0, after=one)
        coexist.settle(two)
        assert traces(two) == before
        assert programs(two) == []
        three = without_enis(hosts, two, ETH1, DOCKER0)
        coexist.settle(three)
        lines, _, __, chains = traces(three)
        assert (lines, chains) == ([], {4: {}, 6: {}})

    def test_of_an_eni_that_is_gone_no_rule_is_left(self, hosts):
        one = with_enis(hosts, ETH1, ETH2, DOCKER0)
        coexist.settle(one)
        assert MARK2 in rules_of(one)
        one.run_directory.forget("coexistence")
        workflow.remove(hosts(ETH1, ETH2, DOCKER0, after=one), "eth2")
        two = hosts(ETH1, DOCKER0, after=one)
        coexist.settle(two)
        assert sorted(rules_of(two)) == [MARK1, SHOWN4]

    def test_where_the_kernel_cannot_be_read_nothing_is_done(self, hosts):
        one = with_enis(hosts, ETH1, DOCKER0)
        one.runner.failing["ip"] = "no"
        with pytest.raises(HostError):
            coexist.settle(one)
        assert notes.coexistence(one.run_directory) == notes.NO_COEXISTENCE
        assert one.sysctl.written == []


class TestLostNotes(object):
    """Somebody emptied the run directory."""

    @pytest.fixture
    def lost(self, hosts):
        devices = (ETH1, ETH2, DOCKER0)
        one = with_enis(hosts, *devices, enis={SECOND: DUAL, THIRD: eni_texts(2)})
        coexist.settle(one)
        hosts.boot()
        return one

    @pytest.mark.parametrize("between", [False, True], ids=["removal", "refresh and removal"])
    def test_only_parameters_are_left(self, hosts, lost, between):
        devices, enis = (ETH1, ETH2, DOCKER0), {SECOND: DUAL, THIRD: eni_texts(2)}
        if between:
            lost = hosts(*devices, after=lost, enis=enis)
            before = traces(lost)
            coexist.settle(lost)
            assert traces(lost) == before
        two = without_enis(hosts, lost, *devices, enis=enis)
        coexist.settle(two)
        lines, groups, values, chains = traces(two)
        assert (lines, groups, chains) == ([], {}, {4: {}, 6: {}})
        # Which there were before nobody can know.
        assert values == {"eth1/rp_filter": "2", "eth2/rp_filter": "2"}
        assert "coexistence" not in hosts.notes
        assert programs(hosts(*devices, after=two, enis=enis)) == programs(two)

    def test_a_device_of_somebodys_in_another_group_stays_there(self, hosts):
        one = hosts(ETH1, USB0, DOCKER0)
        one.runner.groups.update(usb0=7, docker0=10000)
        coexist.settle(one)
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
        one = with_enis(hosts, ETH1, ETH2, DOCKER0)
        one.sysctl.refused = {"net/ipv4/conf/eth1/rp_filter"}
        for _ in range(2):
            with pytest.raises(HostError) as caught:
                coexist.settle(one)
            assert "eth1/rp_filter" in "{0}".format(caught.value)
            assert SHOWN4 in rules_of(one)
            assert one.sysctl.values["net/ipv4/conf/eth2/rp_filter"] == "2"
            assert chain_of(one) is not None
            one = hosts(ETH1, ETH2, DOCKER0, after=one)
        one.sysctl.refused = set()
        coexist.settle(one)
        two = without_enis(hosts, one, ETH1, ETH2, DOCKER0)
        coexist.settle(two)
        assert traces(two) == NOTHING

    def test_nor_one_that_cannot_be_set_back(self, hosts):
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        two = without_enis(hosts, one, ETH1)
        two.sysctl.refused = {"net/ipv4/conf/eth1/rp_filter"}
        with pytest.raises(HostError):
            coexist.settle(two)
        assert rules_of(two) == []
        two.sysctl.refused = set()
        coexist.settle(two)
        assert traces(two) == NOTHING

    def test_without_the_groups_main_is_not_first(self, hosts):
        one = with_enis(hosts, ETH1)
        one.runner.refused["link set dev eth0 group 10000"] = "Operation not supported"
        with pytest.raises(HostError) as caught:
            coexist.settle(one)
        assert "eth0 group 10000" in "{0}".format(caught.value)
        assert rules_of(one) == []
        assert one.sysctl.values["net/ipv4/conf/eth1/rp_filter"] == "2"

    @pytest.mark.parametrize(
        "result", [Result(137, "", ""), Result(1, "", "Cannot allocate memory\nCommand failed -:1")]
    )
    def test_one_failure_does_not_make_a_kernel_an_old_one(self, hosts, result):
        one = with_enis(hosts, ETH1)
        coexist.settle(one)
        two = hosts(ETH1, after=one)
        two.runner.kernel[4] = two.runner.kernel[4].replace(SHOWN4 + "\n", "")
        failing_once(two, "suppress", result)
        coexist.settle(two)
        assert rules_of(two) == [SHOWN4]
        assert '"cannot": []' in hosts.directory.join("run", "coexistence").read()

    def test_a_device_that_goes_meanwhile_is_no_reason_against_main_first(self, hosts):
        one = with_enis(hosts, ETH1, ETH2)
        run = one.runner.run

        def pulled(argv, stdin=""):
            if "group 10000" in stdin:
                one.devices.shown.pop("eth2", None)
                one.runner.refused["link set dev eth2 group 10000"] = "Cannot find device eth2"
            return run(argv, stdin)

        one.runner.run = pulled
        coexist.settle(one)
        assert rules_of(one) == [SHOWN4]

    def test_a_plain_rule_of_that_number_may_be_somebodys(self, hosts):
        plain = "9990:\tfrom all lookup main "
        one = with_enis(hosts, ETH1, kernel=[plain])
        coexist.settle(one)
        assert rules_of(one) == [plain, SHOWN4]
        two = hosts(ETH1, after=one)
        coexist.settle(two)
        assert two.runner.changes == []
        three = without_enis(hosts, two, ETH1)
        coexist.settle(three)
        assert rules_of(three) == [plain]

    def test_on_an_old_kernel_it_is_tried_once_whatever_else_fails(self, hosts, caplog):
        one = with_enis(hosts, ETH1, DOCKER0, kernel=[TO_DOCKER])
        ignoring(one)
        one.sysctl.refused = {"net/ipv4/conf/eth1/rp_filter"}
        for _ in range(3):
            with pytest.raises(HostError):
                coexist.settle(one)
        assert len([line for line in told(caplog, logging.INFO) if "copies" in line]) == 1
        assert routes_of(one, 10001) == ["172.17.0.0/16 dev docker0 table 10001"]

    def test_two_runs_do_not_work_at_once(self, hosts):
        one = with_enis(hosts, ETH1)
        with one.run_directory.lock(), pytest.raises(HostError):
            coexist.settle(one)
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
    pass


def full(hosts, after=None):
    """Return a host that has everything that can be done."""
    if after is not None:
        return hosts(*FULL, enis=FULL_ENIS, after=after)
    one = with_enis(hosts, *FULL, enis=FULL_ENIS, **FULL_KERNEL)
    one.runner.groups["eth0"] = 7
    one.sysctl.values["net/ipv4/conf/eth2/rp_filter"] = "1"
    return one


def fresh(hosts, kernel):
    one = full(hosts)
    kernel(one)
    return one


def leaving(hosts, kernel):
    one = fresh(hosts, kernel)
    coexist.settle(one)
    return without_enis(hosts, one, *FULL, enis=FULL_ENIS)


@pytest.mark.parametrize("moment", ["before", "halfway"])
@pytest.mark.parametrize(
    "kernel", [newest, refusing, ignoring, ignoring_twice], ids=lambda one: one.__name__
)
class TestDying(object):
    """A run that dies anywhere is made good by the next one, and leaves nothing after the last."""

    def dying(self, tmpdir, moment, prepared):
        """Yield copies of a host, each of whose runs died at another step."""
        for number in range(1, 100):
            there = "{0}".format(tmpdir.join("{0}".format(number)))
            shutil.copytree("{0}".format(tmpdir.join("first")), there)
            hosts = Hosts(tmpdir.join("{0}".format(number)))
            one = full(hosts, copy.copy(prepared))
            one.runner = copy.deepcopy(one.runner)
            one.devices.groups = one.runner.groups
            with Mortal(one, number, moment) as mortal:
                try:
                    coexist.settle(one)
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
        coexist.settle(one)
        return traces(one)

    def test_the_next_run_does_the_rest(self, tmpdir, kernel, moment, before, whole):
        prepared = fresh(Hosts(tmpdir.mkdir("first")), kernel)
        for hosts, one in self.dying(tmpdir, moment, prepared):
            two = full(hosts, one)
            coexist.settle(two)
            assert traces(two) == whole
            assert not coexist.differs(coexist.settle(two))
            three = without_enis(hosts, two, *FULL, enis=FULL_ENIS)
            coexist.settle(three)
            assert traces(three) == before

    def test_when_the_enis_go_meanwhile_nothing_is_left(self, tmpdir, kernel, moment, before):
        prepared = fresh(Hosts(tmpdir.mkdir("first")), kernel)
        for hosts, one in self.dying(tmpdir, moment, prepared):
            two = without_enis(hosts, one, *FULL, enis=FULL_ENIS)
            coexist.settle(two)
            assert traces(two) == before
            assert "coexistence" not in hosts.notes

    def test_what_is_taken_back_is_taken_back_by_the_next(self, tmpdir, kernel, moment, before):
        prepared = leaving(Hosts(tmpdir.mkdir("first")), kernel)
        for hosts, one in self.dying(tmpdir, moment, prepared):
            two = full(hosts, one)
            coexist.settle(two)
            assert traces(two) == before
            assert "coexistence" not in hosts.notes
