"""The use cases, on a host whose edges are fakes and whose files are in a directory."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest
import requests

from ec2net_legacy.commands.scan import catch_up
from ec2net_legacy.errors import CommandError, HostError, MetadataInvalid, MetadataUnavailable
from ec2net_legacy.host.command import Result
from tests.unit import flows
from tests.unit.fakes import (
    COMMON_RULES,
    MACS,
    PRIMARY,
    SECOND,
    THIRD,
    eni_texts,
    ipv6_texts,
    nic,
    raised,
)
from tests.unit.hosts import (
    ETH0,
    ETH1,
    INTERFACES,
    REFUSED,
    RULE,
    asked,
    debian,
    inet,
    kernel_with,
    tree,
)

OUTAGES = [REFUSED, requests.exceptions.ReadTimeout("Read timed out."), (503, ""), (500, ""),
           (401, "")]
OUTAGE_NAMES = ["refused", "silent", "503", "500", "401"]
UP = [nic("eth1", SECOND, up=True)]
TWO = {SECOND: eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})}
BOTH = {SECOND: eni_texts(1), THIRD: eni_texts(2)}
RULE2 = RULE.replace("10.0.1.10", "10.0.1.11")
TABLE = [
    "10.0.1.0/24 dev eth1 table 10001 scope link ", "default via 10.0.1.1 dev eth1 table 10001 "
]


# dhclient-script adds it with the lease.
MAIN_ROUTE = "default via 10.0.1.1 dev eth1 metric 10001 "
# In the place of the kernel's own.
CONNECTED = "10.0.1.0/24 dev eth1 scope link metric 10001 "
FOREIGN = [
    inet("10.0.1.99/32"),
    "500:\tfrom 10.0.1.99 lookup 10001 ",
    "10.99.0.0/16 via 10.0.1.7 dev eth1 table 10001 ",
]


@pytest.fixture
def host(tmpdir):
    """Return a function that makes a host: eth0 is the primary, eth1 another ENI."""
    return debian(tmpdir, eni_texts(), is_up=False)


def refusing(one):
    """Let `ip` refuse whatever it is told."""
    one.runner.answer = Result(1, "", "Operation not permitted\nCommand failed -:1\n")
    return one


def written(tmpdir, path=ETH1):
    return tmpdir.join("root", path).read_binary().decode("ascii")


class TestAdd(object):
    """`ec2net-hotplug add`."""

    def test_a_new_interface_gets_its_file_and_the_kernel_nothing_yet(self, host, tmpdir):
        one = host()
        plan = flows.add(one, "eth1")
        assert plan.left_alone == ""
        assert sorted(plan.files) == ["/" + ETH1]
        assert "10.0.1.10" in written(tmpdir)
        assert one.runner.ran == []
        assert one.runner.shown == []

    def test_again_changes_nothing(self, host, tmpdir):
        flows.add(host(), "eth1")
        before, inode = tree(tmpdir), tmpdir.join("root", ETH1).stat().ino
        plan = flows.add(host(), "eth1")
        assert (plan.files, tree(tmpdir)) == ({}, before)
        assert tmpdir.join("root", ETH1).stat().ino == inode

    def test_an_interface_that_is_up_is_changed_at_once(self, host):
        one = host(TWO, UP, kernel=kernel_with(inet("10.0.1.10/24"), MAIN_ROUTE))
        assert flows.add(one, "eth1").live
        assert one.runner.changes == [
            "route add 10.0.1.0/24 dev eth1 metric 10001",
            "route replace 10.0.1.0/24 dev eth1 table 10001",
            "route replace default via 10.0.1.1 dev eth1 table 10001",
            "rule add pref 10001 from 10.0.1.10 lookup 10001",
            "rule add pref 10001 from 10.0.1.11 lookup 10001",
            "addr add 10.0.1.11/32 dev eth1",
            "route del 10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10",
        ]

    @pytest.mark.parametrize(
        "lines",
        [[], [inet("10.0.1.77/24")], [inet("10.0.1.10/24", "eth2")], [inet("169.254.3.4/16")]],
        ids=["no address", "another address", "another device", "link-local"],
    )
    def test_an_interface_without_its_lease_waits_for_ifup(self, host, lines):
        one = host(devices=UP, kernel=kernel_with(*lines))
        assert not flows.add(one, "eth1").live
        assert one.runner.changes == []

    def test_without_its_lease_a_connected_route_is_not_replaced_by_none(self, host):
        present = kernel_with(inet("10.0.1.77/24"))
        one = host(devices=UP, kernel=present)
        assert "route del 10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.77" in [
            step.line for step in flows.add(one, "eth1").steps
        ]
        assert one.runner.kernel[4] == present[4]
        assert not flows.add(one, "eth1").acts

    def test_an_address_that_aws_took_back_leaves_file_and_kernel(self, host, tmpdir):
        flows.add(host(TWO), "eth1")
        has = [inet("10.0.1.10/24"), inet("10.0.1.11/32"), RULE, RULE2] + TABLE + FOREIGN
        one = host(devices=UP, kernel=kernel_with(CONNECTED, MAIN_ROUTE, *has))
        flows.add(one, "eth1")
        assert "10.0.1.11" not in written(tmpdir)
        assert one.runner.changes == [
            "addr del 10.0.1.11/32 dev eth1",
            "rule del pref 10001 from 10.0.1.11 lookup 10001",
        ]

    def test_what_a_failed_run_left_is_taken_back_by_the_next_and_then_others_to_add(self, host):
        flows.add(host(TWO), "eth1")
        present = kernel_with(inet("10.0.1.10/24"), inet("10.0.1.11/32"))
        raised(CommandError, flows.add, refusing(host(devices=UP, kernel=present)), "eth1")
        for is_ours in (True, False):
            # The second time the administrator has added it again.
            one = host(devices=UP, kernel=present)
            flows.add(one, "eth1")
            assert ("addr del 10.0.1.11/32 dev eth1" in one.runner.changes) is is_ours

    @pytest.mark.parametrize("is_up", [True, False], ids=["up without a lease", "down"])
    def test_rules_of_addresses_that_are_gone_go_at_once(self, host, is_up):
        flows.add(host(TWO), "eth1")
        one = host(devices=[nic("eth1", SECOND, up=is_up)], kernel=kernel_with(RULE2))
        assert not flows.add(one, "eth1").live
        assert one.runner.changes == ["rule del pref 10001 from 10.0.1.11 lookup 10001"]

    @pytest.mark.parametrize("name", ["eth0", "eth1", "ens5"])
    def test_the_primary_is_left_alone_whatever_its_name(self, host, tmpdir, name):
        before = tree(tmpdir)
        one = host(devices=[nic(name, PRIMARY, up=True)])
        assert "primary" in flows.add(one, name).left_alone
        assert tree(tmpdir) == before
        assert one.runner.ran == []

    def test_eth0_is_configured_when_it_is_not_the_primary(self, host, tmpdir):
        one = host(devices=[nic("eth0", SECOND), nic("eth1", PRIMARY, up=True)])
        assert flows.add(one, "eth0").state.table == 10000
        assert "10.0.1.10" in written(tmpdir, "etc/network/interfaces.d/eth0.cfg")

    @pytest.mark.parametrize(
        "device, ignore",
        [
            (nic("eth1", SECOND, kind="vlan"), ()),
            (nic("eth1", SECOND, kind="bridge"), ()),
            (nic("eth1", SECOND, master="bond0"), ()),
            (nic("eth1", SECOND), ("eth1",)),
            (nic("eth1", SECOND), ("eth[1-9]",)),
            (nic("eth1", SECOND), ("docker0", "e*")),
            (nic("eth1", SECOND), (SECOND,)),
            (nic("eth1", SECOND), ("02:00:00:00:*",)),
        ],
        ids=["vlan", "bridge", "enslaved", "name", "names", "one of two", "MAC", "MACs"],
    )
    def test_what_is_not_ours_is_left_alone_without_asking_anybody(
        self, host, tmpdir, device, ignore
    ):
        before = tree(tmpdir)
        one = host(devices=[device], changes={"ignore": ignore})
        plan = flows.add(one, "eth1")
        assert plan.left_alone
        assert plan.warning == ""
        assert tree(tmpdir) == before
        assert one.session.requests == []
        assert one.runner.ran == []

    @pytest.mark.parametrize(
        "pattern, matches",
        [
            ("eni-0a1", True), ("eni-*", True),
            # It has to match as a whole.
            ("eth", False), ("eth10", False), ("02:00:00:00:00", False), ("eni-0a", False),
        ],
    )
    def test_an_ignored_eni_is_left_alone(self, host, tmpdir, pattern, matches):
        before = tree(tmpdir)
        plan = flows.add(host(changes={"ignore": (pattern,)}), "eth1")
        assert ("eni-0a1" in plan.left_alone) is matches
        assert (tree(tmpdir) == before) is matches
        assert matches or plan.left_alone == ""

    @pytest.mark.parametrize(
        "path, text, surprising",
        [
            (ETH1, "# mine\niface eth1 inet dhcp\n", True),
            (ETH1, "# EC2SYNC=no\n", False),
            (INTERFACES, "iface eth1 inet static\n", False),
        ],
        ids=["edited", "opted out", "a stanza elsewhere"],
    )
    def test_an_administrators_file_stays_with_a_warning_unless_it_says_so_itself(
        self, host, tmpdir, path, text, surprising
    ):
        make = host()
        tmpdir.ensure("root", path).write(text)
        before = tree(tmpdir)
        plan = flows.add(make, "eth1")
        assert "/" + path in plan.left_alone
        assert bool(plan.warning) is surprising
        assert tree(tmpdir) == before
        # Whether it is the primary, which always has a configuration of the administrator's.
        assert asked(make) == ([] if "EC2SYNC" in text else ["meta-data/mac"])

    def test_a_device_that_is_not_there_is_an_error(self, host):
        assert "eth7" in raised(HostError, flows.add, host(), "eth7")

    def test_a_device_whose_driver_is_not_ready_is_waited_for(self, host, tmpdir):
        one = host()
        unset = nic("eth1", "")
        one.devices.shown["eth1"] = [unset, unset, nic("eth1", SECOND)]
        flows.add(one, "eth1")
        assert "10.0.1.10" in written(tmpdir)
        assert len(one.clock.sleeps) == 2

    def test_a_device_that_never_gets_an_address_is_an_error(self, host):
        one = host(devices=[nic("eth1", "")])
        raised(HostError, flows.add, one, "eth1")
        assert 5 <= one.clock.passed < 6
        assert one.session.requests == []

    @pytest.mark.parametrize(
        "later", [None, nic("eth1", THIRD), nic("eth1", "")], ids=["gone", "another", "not ready"]
    )
    def test_a_device_that_is_another_afterwards_changes_nothing(self, host, tmpdir, later):
        before = tree(tmpdir)
        one = host()
        one.devices.shown["eth1"] = [nic("eth1", SECOND), later]
        assert "eth1" in raised(HostError, flows.add, one, "eth1")
        assert tree(tmpdir) == before
        assert one.runner.ran == []

    @pytest.mark.parametrize("key", ["meta-data/mac", MACS + SECOND + "/"])
    @pytest.mark.parametrize("answer", OUTAGES, ids=OUTAGE_NAMES)
    def test_without_metadata_nothing_is_changed(self, host, tmpdir, key, answer):
        flows.add(host(TWO), "eth1")
        before = tree(tmpdir)
        present = kernel_with(inet("10.0.1.10/24"), inet("10.0.1.11/32"))
        one = host(answers={key: answer}, devices=UP, kernel=present)
        raised(MetadataUnavailable, flows.add, one, "eth1")
        assert tree(tmpdir) == before
        assert one.runner.ran == []

    @pytest.mark.parametrize("value", ["", "$(id)", "10.0.1.10\n10.9.9.9"], ids=repr)
    def test_a_value_that_cannot_be_true_changes_nothing(self, host, tmpdir, value):
        flows.add(host(), "eth1")
        before = tree(tmpdir)
        one = host({SECOND: eni_texts(1, {"local-ipv4s": value})})
        raised(MetadataInvalid, flows.add, one, "eth1")
        assert tree(tmpdir) == before
        assert one.runner.ran == []

    def test_two_interfaces_never_share_a_table(self, host):
        cards = [nic("eth2", SECOND), nic("ens6", THIRD)]
        enis = {SECOND: eni_texts(7), THIRD: eni_texts(2)}
        assert flows.add(host(enis, cards), "eth2").state.table == 10002
        state = flows.add(host(enis, cards), "ens6").state
        assert state.table == 15000
        assert {rule.priority for rule in state.rules} == {15000}
        assert flows.add(host(enis, cards), "ens6").files == {}
        flows.remove(host(enis, cards), "eth2")
        assert flows.add(host(enis, cards), "ens6").state.table == 10002

    def test_tables_and_priorities_start_where_the_settings_say(self, host):
        one = host(changes={"table_base": 20000, "priority_base": 300})
        state = flows.add(one, "eth1").state
        assert (state.table, state.rules[0].priority) == (20001, 301)


class TestRemove(object):
    """`ec2net-hotplug remove`."""

    def test_the_files_are_as_before_the_interface_came(self, host, tmpdir):
        tmpdir.ensure("root", "etc/dhcp/dhclient.conf").write_binary(b"timeout 300; # \xff")
        before = tree(tmpdir)
        flows.add(host(), "eth1")
        assert tree(tmpdir) != before
        plan = flows.remove(host(devices=[nic("eth0", PRIMARY)]), "eth1")
        assert sorted(plan.files) == ["/etc/dhcp/dhclient.conf", "/" + ETH1]
        assert tree(tmpdir) == before

    def test_the_kernel_loses_what_was_added_and_no_more(self, host):
        flows.add(host(TWO), "eth1")
        has = [inet("10.0.1.10/24"), inet("10.0.1.11/32"), RULE, RULE2, TABLE[1], CONNECTED]
        one = host(kernel=kernel_with(*(has + FOREIGN)))
        flows.remove(one, "eth1")
        assert one.runner.changes == [
            "route append 10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10",
            "addr del 10.0.1.11/32 dev eth1",
            "rule del pref 10001 from 10.0.1.10 lookup 10001",
            "rule del pref 10001 from 10.0.1.11 lookup 10001",
            "route del default via 10.0.1.1 dev eth1 table 10001",
            "route del 10.0.1.0/24 dev eth1 metric 10001",
        ]

    def test_on_the_primarys_subnet_the_connected_route_is_the_kernels_again(self, host):
        """The primary's has the same place."""
        shared = eni_texts(1, {"subnet-ipv4-cidr-block": "10.0.0.0/24", "local-ipv4s": "10.0.0.20"})
        up = [nic("eth0", PRIMARY, up=True), nic("eth1", SECOND, up=True)]
        leased = kernel_with(inet("10.0.0.10/24", "eth0"), inet("10.0.0.20/24"))
        one = host({SECOND: shared}, up, kernel=leased)
        flows.add(one, "eth1")
        kernels = "10.0.0.0/24 dev eth1 proto kernel scope link src 10.0.0.20"
        primarys = "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.10"
        assert self.connected(one) == [primarys, "10.0.0.0/24 dev eth1 metric 10001"]
        last = host({SECOND: shared}, up, kernel=one.runner.kernel)
        flows.remove(last, "eth1")
        assert self.connected(last) == [primarys, kernels]

    def connected(self, one):
        """Return the connected routes of main for the primary's subnet."""
        lines = [line.strip() for line in one.runner.kernel[4].splitlines()]
        return [line for line in lines if line.startswith("10.0.0.0/24 ") and "table" not in line]

    def test_the_router_that_ifup_copied_for_ipv6_goes_as_well(self, host):
        flows.add(host({SECOND: ipv6_texts()}), "eth1")
        lines = [
            "2600:1f18:0:1::/64 dev eth1 table 10001 metric 1024 pref medium\n",
            "default via fe80::1 dev eth1 table 10001 metric 1024 pref medium\n",
            "default via fe80::1 dev eth1 proto ra metric 1024 pref medium\n",
        ]
        one = host(kernel={6: COMMON_RULES + "".join(lines)})
        flows.remove(one, "eth1")
        (deleted,) = [line for line in one.runner.changes if "default" in line]
        assert deleted.startswith("-6 route del default")
        assert deleted.endswith("dev eth1 table 10001")

    @pytest.mark.parametrize("devices", [None, [ETH0]], ids=["with its device", "without"])
    def test_nothing_is_asked_of_the_metadata_service_nor_is_a_device_needed(
        self, host, tmpdir, devices
    ):
        flows.add(host(), "eth1")
        one = host(devices=devices, answers={"meta-data/mac": REFUSED})
        flows.remove(one, "eth1")
        assert one.session.requests == []
        assert not tmpdir.join("root", ETH1).check()

    def test_rules_go_once_also_when_somebody_removed_the_file_first(self, host, tmpdir):
        flows.add(host(), "eth1")
        tmpdir.join("root", ETH1).remove()
        for deleted in (["rule del pref 10001 from 10.0.1.10 lookup 10001"], []):
            one = host(kernel=kernel_with(RULE))
            flows.remove(one, "eth1")
            assert one.runner.changes == deleted

    def test_of_an_interface_never_configured_there_is_nothing_to_do(self, host, tmpdir):
        before = tree(tmpdir)
        one = host()
        plan = flows.remove(one, "eth1")
        assert (plan.files, plan.steps, plan.left_alone) == ({}, [], "")
        assert tree(tmpdir) == before
        assert one.runner.ran == []

    @pytest.mark.parametrize("form", ["# mine\n{0}", "{0}# EC2SYNC=no\n"], ids=["edited", "out"])
    def test_a_file_that_the_administrator_took_over_stays(self, host, tmpdir, form):
        flows.add(host(), "eth1")
        path = tmpdir.join("root", ETH1)
        path.write(form.format(path.read()))
        before = tree(tmpdir)
        one = host(kernel=kernel_with(RULE))
        assert flows.remove(one, "eth1").left_alone
        assert tree(tmpdir) == before
        assert one.runner.changes == []

    def test_a_kernel_that_refuses_keeps_the_record_of_what_is_left(self, host, tmpdir):
        flows.add(host(), "eth1")
        before = tree(tmpdir)
        raised(CommandError, flows.remove, refusing(host(kernel=kernel_with(RULE))), "eth1")
        assert tree(tmpdir) == before


class TestUp(object):
    """`ec2ifup`."""

    def test_the_distribution_brings_up_what_was_configured(self, host, tmpdir):
        one = host()
        flows.up(one, "eth1")
        assert one.runner.shown == [["ifup", "eth1"]]
        assert "10.0.1.10" in written(tmpdir)

    def test_what_is_left_alone_and_has_no_configuration_is_not_brought_up(self, host):
        one = host(devices=[nic("eth1", PRIMARY)])
        assert flows.up(one, "eth1").left_alone
        assert one.runner.shown == []

    @pytest.mark.parametrize("use_case", [flows.up, flows.down])
    @pytest.mark.parametrize("text", ["iface eth1 inet dhcp\n", "# EC2SYNC=no\n"])
    def test_an_administrators_own_configuration_is_not_touched(self, host, tmpdir, text, use_case):
        tmpdir.ensure("root", ETH1).write(text)
        one = host()
        assert use_case(one, "eth1").left_alone
        assert one.runner.shown == []

    @pytest.mark.parametrize("answer", OUTAGES, ids=OUTAGE_NAMES)
    def test_without_metadata_the_last_good_configuration_is_used(self, host, tmpdir, answer):
        flows.add(host(), "eth1")
        before = tree(tmpdir)
        one = host(answers={"meta-data/mac": answer})
        flows.up(one, "eth1")
        assert one.runner.shown == [["ifup", "eth1"]]
        assert tree(tmpdir) == before

    def test_without_metadata_and_configuration_there_is_nothing_to_bring_up(self, host, tmpdir):
        before = tree(tmpdir)
        one = host(answers={"meta-data/mac": REFUSED})
        raised(MetadataUnavailable, flows.up, one, "eth1")
        assert one.runner.shown == []
        assert tree(tmpdir) == before

    def test_impossible_metadata_brings_up_what_was_there_and_is_told(self, host):
        flows.add(host(), "eth1")
        one = host({SECOND: eni_texts(1, {"local-ipv4s": "$(id)"})})
        raised(MetadataInvalid, flows.up, one, "eth1")
        assert one.runner.shown == [["ifup", "eth1"]]

    def test_without_a_device_nothing_is_brought_up(self, host):
        flows.add(host(), "eth1")
        one = host(devices=[ETH0])
        raised(HostError, flows.up, one, "eth1")
        assert one.runner.shown == []

    @pytest.mark.parametrize(
        "index, ran", [(3, ["ifup"]), (4, ["ifdown", "ifup"])], ids=["the same", "another"]
    )
    def test_a_device_that_was_replaced_unnoticed_is_taken_down_first(self, host, index, ran):
        flows.up(host(devices=[nic("eth1", SECOND, index=3)]), "eth1")
        one = host(devices=[nic("eth1", SECOND, index=index)])
        flows.up(one, "eth1")
        assert [argv[0] for argv in one.runner.shown] == ran
        again = host(devices=[nic("eth1", SECOND, index=index)])
        flows.up(again, "eth1")
        assert [argv[0] for argv in again.runner.shown] == ["ifup"]

    @pytest.mark.parametrize(
        "use_case, commands", [(flows.remove, ["ifdown", "ifup"]), (flows.down, ["ifup"])]
    )
    def test_a_replaced_device_is_taken_down_first_unless_it_was(self, host, use_case, commands):
        flows.up(host(devices=[nic("eth1", SECOND, index=3)]), "eth1")
        use_case(host(), "eth1")
        one = host(devices=[nic("eth1", SECOND, index=4)])
        flows.up(one, "eth1")
        assert [argv[0] for argv in one.runner.shown] == commands

    def test_an_ifup_that_fails_is_told_with_its_exit_code(self, host):
        one = host()
        one.runner.statuses["ifup"] = 7
        with pytest.raises(CommandError) as caught:
            flows.up(one, "eth1")
        assert "ifup eth1" in "{0}".format(caught.value)
        assert caught.value.returncode == 7


class TestDown(object):
    """`ec2ifdown`."""

    def test_the_distribution_takes_down_before_the_configuration_goes(self, host, tmpdir):
        flows.add(host(), "eth1")
        ran = []
        one = host()
        one.runner.run_visibly = lambda argv, _: ran.append(
            (argv[0], tmpdir.join("root", ETH1).check())
        ) or 0
        flows.down(one, "eth1")
        assert ran == [("ifdown", True)]
        assert not tmpdir.join("root", ETH1).check()

    @pytest.mark.parametrize("devices, told", [(UP, True), ([ETH0], False)], ids=["up", "gone"])
    def test_a_failing_ifdown_is_told_when_the_device_is_up_after_all_is_gone(
        self, host, tmpdir, devices, told
    ):
        flows.add(host(), "eth1")
        one = host(devices=devices)
        one.runner.statuses["ifdown"] = 1
        try:
            flows.down(one, "eth1")
            assert not told
        except CommandError:
            assert told
        assert not tmpdir.join("root", ETH1).check()

    def test_without_a_configuration_there_is_nothing_to_take_down(self, host):
        one = host()
        flows.down(one, "eth1")
        assert one.runner.shown == []


class TestScan(object):
    """`ec2ifscan`."""

    def test_every_eni_without_a_configuration_comes_up(self, host, tmpdir):
        cards = [
            nic("docker0", "02:42:00:00:00:01", kind="bridge"),
            nic("eth0", PRIMARY, up=True),
            nic("eth1", SECOND),
            nic("eth2", THIRD),
            nic("tun0", ""),
            nic("usb0", "02:00:00:00:00:99"),
        ]
        one = host({SECOND: eni_texts(1), THIRD: eni_texts(2)}, cards)
        plans, _, failures = catch_up(one)
        assert [plan.name for plan in plans] == ["eth1", "eth2"]
        assert failures == []
        assert one.runner.shown == [["ifup", "eth1"], ["ifup", "eth2"]]
        assert len(tree(tmpdir)) == 3

    @pytest.mark.parametrize(
        "value, later, error",
        [("$(id)", [nic("eth1", SECOND)], MetadataInvalid),
         ("10.0.1.10", [nic("eth1", SECOND), None], HostError)],
        ids=["fails", "vanishes"],
    )
    def test_one_that_fails_does_not_keep_the_others_down(self, host, value, later, error):
        enis = {SECOND: eni_texts(1, {"local-ipv4s": value}), THIRD: eni_texts(2)}
        one = host(enis, [nic("eth1", SECOND), nic("eth2", THIRD)])
        one.devices.shown["eth1"] = later
        plans, _, failures = catch_up(one)
        assert [plan.name for plan in plans] == ["eth2"]
        assert [(name, type(why)) for name, why in failures] == [("eth1", error)]

    def test_a_device_that_goes_between_two_looks_is_not_there(self, host):
        one = host()
        one.devices.shown["eth1"] = None
        assert catch_up(one) == ([], [], [])


class TestSurvey(object):
    """`ec2net plan` and `ec2net status`."""

    CARDS = [
        nic("eth0", PRIMARY, up=True),
        nic("eth1", SECOND, up=True),
        nic("eth1.5", SECOND, kind="vlan"),
        nic("eth2", THIRD),
        nic("usb0", "02:00:00:00:00:99"),
    ]

    @pytest.fixture
    def one(self, host):
        """A host of which eth1 is up and differs, and eth2 is not up."""
        return host(BOTH, self.CARDS, kernel=kernel_with(inet("10.0.1.10/24")))

    def surveyed(self, one, name=None):
        found, problem, _ = flows.survey(one, name)
        assert problem is None
        return {device.name: plan for device, plan in found}

    def test_it_changes_nothing(self, one, tmpdir):
        before = tree(tmpdir)
        found = self.surveyed(one)
        assert found["eth1"].files and found["eth1"].steps
        assert tree(tmpdir) == before
        assert one.runner.changes == one.runner.shown == []

    def test_it_says_of_each_device_what_is_to_be_done(self, one):
        found = self.surveyed(one)
        assert sorted(found) == ["eth0", "eth1", "eth1.5", "eth2", "usb0"]
        assert "primary" in found["eth0"].left_alone
        assert "vlan" in found["eth1.5"].left_alone
        assert found["usb0"].left_alone
        assert (found["eth1"].left_alone, found["eth1"].live) == ("", True)
        assert (found["eth2"].left_alone, found["eth2"].live) == ("", False)

    def test_the_kernel_is_read_once_for_all(self, host):
        one = host(BOTH, UP + [nic("eth2", THIRD, up=True)])
        self.surveyed(one)
        assert one.runner.reads == 1

    def test_one_device_can_be_asked_for(self, host):
        assert sorted(self.surveyed(host(devices=self.CARDS), "eth1")) == ["eth1"]
        raised(HostError, flows.survey, host(), "eth7")

    def test_after_add_and_ifup_nothing_is_to_be_done(self, host):
        flows.add(host(), "eth1")
        has = [inet("10.0.1.10/24"), RULE, CONNECTED, MAIN_ROUTE] + TABLE
        plan = self.surveyed(host(devices=UP, kernel=kernel_with(*has)))["eth1"]
        assert (plan.files, plan.steps, plan.live) == ({}, [], True)

    def test_an_interface_that_metadata_does_not_describe_yet_is_not_waited_for(self, host):
        one = host({SECOND: eni_texts(1, {"local-ipv4s": None})})
        assert self.surveyed(one)["eth1"].left_alone
        assert one.clock.sleeps == []

    def test_without_metadata_it_tells_what_the_host_knows_by_itself(self, host):
        one = host(devices=self.CARDS, answers={MACS: REFUSED})
        found, problem, _ = flows.survey(one)
        assert isinstance(problem, MetadataUnavailable)
        plans = {device.name: plan for device, plan in found}
        assert "vlan" in plans["eth1.5"].left_alone
        assert "unavailable" in plans["eth1"].left_alone
        assert all(plan.files == {} and plan.steps == [] for plan in plans.values())

    @pytest.mark.parametrize(
        "since_the_boot, expected",
        [
            ([], "last known configuration, from before the boot"),
            ([flows.refresh], ""),
            # It failed over something else.
            ([flows.settle], ""),
        ],
        ids=["nothing", "refresh", "listed"],
    )
    def test_a_configuration_from_before_the_boot_is_told(
        self, host, tmpdir, since_the_boot, expected
    ):
        flows.add(host(devices=self.CARDS), "eth1")
        tmpdir.join("run").remove()
        for run in since_the_boot:
            run(host(devices=self.CARDS, kernel=kernel_with(inet("10.0.1.10/24"))))
        found = flows.survey(host(devices=self.CARDS, answers={MACS: REFUSED})).found
        told = {plan.name: plan.warning for _, plan in found}
        assert told == dict(dict.fromkeys(told, ""), eth1=expected)

    def test_metadata_that_ends_half_way_is_told_beside_what_is_known(self, host):
        key = MACS + SECOND + "/local-ipv4s"
        one = host(devices=self.CARDS, answers={key: (500, "")})
        found, problem, _ = flows.survey(one)
        assert isinstance(problem, MetadataUnavailable)
        assert len(found) == len(self.CARDS)

    def test_an_administrators_interface_is_shown_with_its_eni(self, host, tmpdir):
        tmpdir.ensure("root", ETH1).write("# mine\n")
        plan = self.surveyed(host())["eth1"]
        assert "/" + ETH1 in plan.left_alone
        assert plan.eni.interface_id == "eni-0a1"
