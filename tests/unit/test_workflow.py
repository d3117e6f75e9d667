"""The use cases, on a host whose edges are fakes and whose files are in a directory."""
from __future__ import absolute_import, print_function, unicode_literals

import os

import pytest
import requests

from ec2net_legacy import workflow
from ec2net_legacy.errors import (
    CommandError,
    HostError,
    MetadataInvalid,
    MetadataUnavailable,
)
from ec2net_legacy.host.command import Result
from ec2net_legacy.scan import catch_up
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
SILENT = requests.exceptions.ReadTimeout("Read timed out.")
OUTAGES = [REFUSED, SILENT, (503, ""), (500, ""), (401, "")]
OUTAGE_NAMES = ["refused", "silent", "503", "500", "401"]


def kernel_with(*lines):
    return {4: COMMON_RULES + "".join(line + "\n" for line in with_connected(lines))}


def inet(address, device="eth1"):
    return "3: {1}    inet {0} scope global {1}\\       valid_lft forever".format(address, device)


# dhclient-script adds it with the lease.
MAIN_ROUTE = "default via 10.0.1.1 dev eth1 metric 10001 "
# In the place of the kernel's own.
CONNECTED = "10.0.1.0/24 dev eth1 scope link metric 10001 "


def tree(tmpdir):
    """Return {path: bytes} of the host's files."""
    root = tmpdir.join("root")
    return {
        path.relto(root): path.read_binary() for path in root.visit(fil=lambda p: p.isfile())
    }


@pytest.fixture
def host(tmpdir):
    """Return a function that makes a host: eth0 is the primary, eth1 another ENI."""
    tmpdir.ensure("root", INTERFACES).write("source /etc/network/interfaces.d/*.cfg\n")

    def make(enis=None, devices=None, **others):
        enis = enis or {SECOND: eni_texts()}
        enis.setdefault(PRIMARY, eni_texts(0))
        answers = dict(metadata_tree(enis), **others.pop("answers", {}))
        cards = devices or [nic("eth0", PRIMARY, up=True), nic("eth1", SECOND)]
        return make_host(tmpdir, answers, FakeDevices(*cards), **others)

    return make


def written(tmpdir, path=ETH1):
    return tmpdir.join("root", path).read_binary().decode("ascii")


class TestAdd(object):
    """`ec2net-hotplug add`."""

    def test_a_new_interface_gets_its_file_and_the_kernel_nothing_yet(self, host, tmpdir):
        one = host()
        plan = workflow.add(one, "eth1")
        assert plan.left_alone == ""
        assert sorted(plan.files) == ["/" + ETH1]
        assert "10.0.1.10" in written(tmpdir)
        assert one.runner.ran == []
        assert one.runner.shown == []

    def test_again_changes_nothing(self, host, tmpdir):
        workflow.add(host(), "eth1")
        before = tree(tmpdir)
        stat = os.stat(str(tmpdir.join("root", ETH1)))
        plan = workflow.add(host(), "eth1")
        assert (plan.files, tree(tmpdir)) == ({}, before)
        assert os.stat(str(tmpdir.join("root", ETH1))).st_ino == stat.st_ino

    def test_an_interface_that_is_up_is_changed_at_once(self, host):
        cards = [nic("eth1", SECOND, up=True)]
        one = host(
            {SECOND: eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})},
            cards,
            kernel=kernel_with(inet("10.0.1.10/24"), MAIN_ROUTE),
        )
        plan = workflow.add(one, "eth1")
        assert plan.live
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
        "line",
        [None, inet("10.0.1.77/24"), inet("10.0.1.10/24", "eth2"), inet("169.254.3.4/16")],
        ids=["no address", "another address", "another device", "link-local"],
    )
    def test_an_interface_without_its_lease_waits_for_ifup(self, host, line):
        one = host(
            devices=[nic("eth1", SECOND, up=True)], kernel=kernel_with(*([line] if line else []))
        )
        assert not workflow.add(one, "eth1").live
        assert one.runner.changes == []

    def test_without_its_lease_a_connected_route_is_not_replaced_by_none(self, host):
        present = kernel_with(inet("10.0.1.77/24"))
        one = host(devices=[nic("eth1", SECOND, up=True)], kernel=present)
        plan = workflow.add(one, "eth1")
        assert "route del 10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.77" in [
            step.line for step in plan.steps
        ]
        assert one.runner.kernel[4] == present[4]
        assert not workflow.add(one, "eth1").acts

    def test_an_address_that_aws_took_back_leaves_file_and_kernel(self, host, tmpdir):
        two = eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})
        workflow.add(host({SECOND: two}), "eth1")
        one = host(
            devices=[nic("eth1", SECOND, up=True)],
            kernel=kernel_with(
                inet("10.0.1.10/24"),
                inet("10.0.1.11/32"),
                inet("10.0.1.99/32"),
                "10001:\tfrom 10.0.1.10 lookup 10001 ",
                "10001:\tfrom 10.0.1.11 lookup 10001 ",
                "500:\tfrom 10.0.1.99 lookup 10001 ",
                "10.0.1.0/24 dev eth1 table 10001 scope link ",
                "default via 10.0.1.1 dev eth1 table 10001 ",
                CONNECTED,
                MAIN_ROUTE,
            ),
        )
        workflow.add(one, "eth1")
        assert "10.0.1.11" not in written(tmpdir)
        assert one.runner.changes == [
            "addr del 10.0.1.11/32 dev eth1",
            "rule del pref 10001 from 10.0.1.11 lookup 10001",
        ]

    def test_what_a_failed_run_left_in_the_kernel_is_taken_back_by_the_next(self, host):
        two = eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})
        workflow.add(host({SECOND: two}), "eth1")
        present = kernel_with(inet("10.0.1.10/24"), inet("10.0.1.11/32"))
        up = [nic("eth1", SECOND, up=True)]
        failing = host(devices=up, kernel=present)
        failing.runner.answer = Result(1, "", "Operation not permitted\nCommand failed -:1\n")
        with pytest.raises(CommandError):
            workflow.add(failing, "eth1")
        one = host(devices=up, kernel=present)
        workflow.add(one, "eth1")
        assert "addr del 10.0.1.11/32 dev eth1" in one.runner.changes

    def test_once_taken_back_an_address_is_the_administrators_to_add_again(self, host):
        two = eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})
        workflow.add(host({SECOND: two}), "eth1")
        present = [inet("10.0.1.10/24"), inet("10.0.1.11/32")]
        up = [nic("eth1", SECOND, up=True)]
        failing = host(devices=up, kernel=kernel_with(*present))
        failing.runner.answer = Result(1, "", "Operation not permitted\nCommand failed -:1\n")
        with pytest.raises(CommandError):
            workflow.add(failing, "eth1")
        workflow.add(host(devices=up, kernel=kernel_with(*present)), "eth1")
        by_hand = host(devices=up, kernel=kernel_with(*present))
        workflow.add(by_hand, "eth1")
        assert "addr del 10.0.1.11/32 dev eth1" not in by_hand.runner.changes

    @pytest.mark.parametrize("is_up", [True, False], ids=["up without a lease", "down"])
    def test_rules_of_addresses_that_are_gone_go_at_once(self, host, is_up):
        two = eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})
        workflow.add(host({SECOND: two}), "eth1")
        one = host(
            devices=[nic("eth1", SECOND, up=is_up)],
            kernel=kernel_with("10001:\tfrom 10.0.1.11 lookup 10001 "),
        )
        assert not workflow.add(one, "eth1").live
        assert one.runner.changes == ["rule del pref 10001 from 10.0.1.11 lookup 10001"]

    @pytest.mark.parametrize("name", ["eth0", "eth1", "ens5"])
    def test_the_primary_is_left_alone_whatever_its_name(self, host, tmpdir, name):
        before = tree(tmpdir)
        one = host(devices=[nic(name, PRIMARY, up=True)])
        assert "primary" in workflow.add(one, name).left_alone
        assert tree(tmpdir) == before
        assert one.runner.ran == []

    def test_eth0_is_configured_when_it_is_not_the_primary(self, host, tmpdir):
        one = host(devices=[nic("eth0", SECOND), nic("eth1", PRIMARY, up=True)])
        assert workflow.add(one, "eth0").state.table == 10000
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
        plan = workflow.add(one, "eth1")
        assert plan.left_alone
        assert plan.warning == ""
        assert tree(tmpdir) == before
        assert one.session.requests == []
        assert one.runner.ran == []

    @pytest.mark.parametrize("pattern", ["eni-0a1", "eni-*"])
    def test_an_ignored_eni_is_left_alone(self, host, tmpdir, pattern):
        before = tree(tmpdir)
        plan = workflow.add(host(changes={"ignore": (pattern,)}), "eth1")
        assert "eni-0a1" in plan.left_alone
        assert tree(tmpdir) == before

    @pytest.mark.parametrize("pattern", ["eth", "eth10", "02:00:00:00:00", "eni-0a"])
    def test_a_pattern_has_to_match_as_a_whole(self, host, pattern):
        assert workflow.add(host(changes={"ignore": (pattern,)}), "eth1").left_alone == ""

    @pytest.mark.parametrize(
        "text, surprising",
        [("# mine\niface eth1 inet dhcp\n", True), ("# EC2SYNC=no\n", False)],
        ids=["edited", "opted out"],
    )
    def test_an_administrators_file_stays_with_a_warning_unless_it_says_so_itself(
        self, host, tmpdir, text, surprising
    ):
        tmpdir.ensure("root", ETH1).write(text)
        before = tree(tmpdir)
        one = host()
        plan = workflow.add(one, "eth1")
        assert "/" + ETH1 in plan.left_alone
        assert bool(plan.warning) is surprising
        assert tree(tmpdir) == before
        # Whether it is the primary, which always has a configuration of the administrator's.
        asked = ["meta-data/mac"] if surprising else []
        assert [one.path for one in one.session.requests if one.method == "GET"] == asked

    def test_a_stanza_of_the_administrators_stays_without_a_warning(self, host, tmpdir):
        tmpdir.join("root", INTERFACES).write("iface eth1 inet static\n")
        plan = workflow.add(host(), "eth1")
        assert plan.left_alone
        assert plan.warning == ""

    def test_a_host_that_does_not_read_the_file_is_told(self, host, tmpdir):
        tmpdir.join("root", INTERFACES).write("# nothing is sourced\n")
        plan = workflow.add(host(), "eth1")
        assert "source /etc/network/interfaces.d/*.cfg" in plan.warning
        assert "10.0.1.10" in written(tmpdir)

    def test_a_device_that_is_not_there_is_an_error(self, host):
        with pytest.raises(HostError) as caught:
            workflow.add(host(), "eth7")
        assert "eth7" in "{0}".format(caught.value)

    def test_a_device_whose_driver_is_not_ready_is_waited_for(self, host, tmpdir):
        one = host()
        unset = nic("eth1", "")
        one.devices.shown["eth1"] = [unset, unset, nic("eth1", SECOND)]
        workflow.add(one, "eth1")
        assert "10.0.1.10" in written(tmpdir)
        assert len(one.clock.sleeps) == 2

    def test_a_device_that_never_gets_an_address_is_an_error(self, host):
        one = host(devices=[nic("eth1", "")])
        with pytest.raises(HostError):
            workflow.add(one, "eth1")
        assert 5 <= one.clock.passed < 6
        assert one.session.requests == []

    @pytest.mark.parametrize(
        "later", [None, nic("eth1", THIRD), nic("eth1", "")], ids=["gone", "another", "not ready"]
    )
    def test_a_device_that_is_another_afterwards_changes_nothing(self, host, tmpdir, later):
        before = tree(tmpdir)
        one = host()
        one.devices.shown["eth1"] = [nic("eth1", SECOND), later]
        with pytest.raises(HostError) as caught:
            workflow.add(one, "eth1")
        assert "eth1" in "{0}".format(caught.value)
        assert tree(tmpdir) == before
        assert one.runner.ran == []

    @pytest.mark.parametrize("key", ["meta-data/mac", MACS + SECOND + "/"])
    @pytest.mark.parametrize("answer", OUTAGES, ids=OUTAGE_NAMES)
    def test_without_metadata_nothing_is_changed(self, host, tmpdir, key, answer):
        workflow.add(host({SECOND: eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})}), "eth1")
        before = tree(tmpdir)
        one = host(
            answers={key: answer},
            devices=[nic("eth1", SECOND, up=True)],
            kernel=kernel_with(inet("10.0.1.10/24"), inet("10.0.1.11/32")),
        )
        with pytest.raises(MetadataUnavailable):
            workflow.add(one, "eth1")
        assert tree(tmpdir) == before
        assert one.runner.ran == []

    @pytest.mark.parametrize("value", ["", "$(id)", "10.0.1.10\n10.9.9.9"], ids=repr)
    def test_a_value_that_cannot_be_true_changes_nothing(self, host, tmpdir, value):
        workflow.add(host(), "eth1")
        before = tree(tmpdir)
        one = host({SECOND: eni_texts(1, {"local-ipv4s": value})})
        with pytest.raises(MetadataInvalid):
            workflow.add(one, "eth1")
        assert tree(tmpdir) == before
        assert one.runner.ran == []

    def test_two_interfaces_never_share_a_table(self, host):
        cards = [nic("eth2", SECOND), nic("ens6", THIRD)]
        enis = {SECOND: eni_texts(7), THIRD: eni_texts(2)}
        assert workflow.add(host(enis, cards), "eth2").state.table == 10002
        state = workflow.add(host(enis, cards), "ens6").state
        assert state.table == 15000
        assert {rule.priority for rule in state.rules} == {15000}
        assert workflow.add(host(enis, cards), "ens6").files == {}
        workflow.remove(host(enis, cards), "eth2")
        assert workflow.add(host(enis, cards), "ens6").state.table == 10002

    def test_tables_and_priorities_start_where_the_settings_say(self, host):
        one = host(changes={"table_base": 20000, "priority_base": 300})
        state = workflow.add(one, "eth1").state
        assert (state.table, state.rules[0].priority) == (20001, 301)

    def test_ipv6_only_is_a_normal_case(self, host, tmpdir):
        workflow.add(host({SECOND: ipv6_texts()}), "eth1")
        assert "inet6 dhcp" in written(tmpdir)

    def test_a_disk_that_is_full_changes_nothing(self, host, tmpdir, monkeypatch):
        workflow.add(host(), "eth1")
        before = tree(tmpdir)
        one = host({SECOND: eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.12"})})

        def full(_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(HostError):
                workflow.add(one, "eth1")
        assert tree(tmpdir) == before

    def test_a_host_of_another_distribution_is_told(self, host, tmpdir):
        tmpdir.join("root", INTERFACES).remove()
        with pytest.raises(HostError) as caught:
            workflow.add(host(), "eth1")
        assert "/etc/network/interfaces" in "{0}".format(caught.value)


class TestRemove(object):
    """`ec2net-hotplug remove`."""

    def test_the_files_are_as_before_the_interface_came(self, host, tmpdir):
        tmpdir.ensure("root", "etc/dhcp/dhclient.conf").write_binary(b"timeout 300; # \xff")
        before = tree(tmpdir)
        workflow.add(host(), "eth1")
        assert tree(tmpdir) != before
        plan = workflow.remove(host(devices=[nic("eth0", PRIMARY)]), "eth1")
        assert sorted(plan.files) == ["/etc/dhcp/dhclient.conf", "/" + ETH1]
        assert tree(tmpdir) == before

    def test_the_kernel_loses_what_was_added_and_no_more(self, host):
        workflow.add(host({SECOND: eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"})}), "eth1")
        one = host(
            kernel=kernel_with(
                inet("10.0.1.10/24"),
                inet("10.0.1.11/32"),
                inet("10.0.1.99/32"),
                "10001:\tfrom 10.0.1.10 lookup 10001 ",
                "10001:\tfrom 10.0.1.11 lookup 10001 ",
                "500:\tfrom 10.0.1.99 lookup 10001 ",
                "10.99.0.0/16 via 10.0.1.7 dev eth1 table 10001 ",
                "default via 10.0.1.1 dev eth1 table 10001 ",
                CONNECTED,
            )
        )
        workflow.remove(one, "eth1")
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
        workflow.add(one, "eth1")
        kernels = "10.0.0.0/24 dev eth1 proto kernel scope link src 10.0.0.20"
        primarys = "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.10"
        assert self.connected(one) == [primarys, "10.0.0.0/24 dev eth1 metric 10001"]
        last = host({SECOND: shared}, up, kernel=one.runner.kernel)
        workflow.remove(last, "eth1")
        assert self.connected(last) == [primarys, kernels]

    def connected(self, one):
        """Return the connected routes of main for the primary's subnet."""
        lines = [line.strip() for line in one.runner.kernel[4].splitlines()]
        return [line for line in lines if line.startswith("10.0.0.0/24 ") and "table" not in line]

    def test_the_router_that_ifup_copied_for_ipv6_goes_as_well(self, host):
        workflow.add(host({SECOND: ipv6_texts()}), "eth1")
        one = host(
            kernel={
                6: COMMON_RULES
                + "2600:1f18:0:1::/64 dev eth1 table 10001 metric 1024 pref medium\n"
                + "default via fe80::1 dev eth1 table 10001 metric 1024 pref medium\n"
                + "default via fe80::1 dev eth1 proto ra metric 1024 pref medium\n"
            }
        )
        workflow.remove(one, "eth1")
        deleted = [line for line in one.runner.changes if "default" in line]
        assert len(deleted) == 1
        assert deleted[0].startswith("-6 route del default")
        assert deleted[0].endswith("dev eth1 table 10001")

    def test_nothing_is_asked_of_the_metadata_service(self, host):
        workflow.add(host(), "eth1")
        one = host(answers={"meta-data/mac": REFUSED})
        workflow.remove(one, "eth1")
        assert one.session.requests == []

    def test_a_device_is_not_needed(self, host, tmpdir):
        workflow.add(host(), "eth1")
        workflow.remove(host(devices=[nic("eth0", PRIMARY)]), "eth1")
        assert not tmpdir.join("root", ETH1).check()

    def test_rules_go_also_when_somebody_removed_the_file_first(self, host, tmpdir):
        workflow.add(host(), "eth1")
        tmpdir.join("root", ETH1).remove()
        one = host(kernel=kernel_with("10001:\tfrom 10.0.1.10 lookup 10001 "))
        workflow.remove(one, "eth1")
        assert one.runner.changes == ["rule del pref 10001 from 10.0.1.10 lookup 10001"]
        again = host(kernel=kernel_with("10001:\tfrom 10.0.1.10 lookup 10001 "))
        workflow.remove(again, "eth1")
        assert again.runner.changes == []

    def test_of_an_interface_never_configured_there_is_nothing_to_do(self, host, tmpdir):
        before = tree(tmpdir)
        one = host()
        plan = workflow.remove(one, "eth1")
        assert (plan.files, plan.steps, plan.left_alone) == ({}, [], "")
        assert tree(tmpdir) == before
        assert one.runner.ran == []

    @pytest.mark.parametrize(
        "change", [lambda text: "# mine\n" + text, lambda text: text + "# EC2SYNC=no\n"]
    )
    def test_a_file_that_the_administrator_took_over_stays(self, host, tmpdir, change):
        workflow.add(host(), "eth1")
        path = tmpdir.join("root", ETH1)
        path.write(change(path.read()))
        before = tree(tmpdir)
        one = host(kernel=kernel_with("10001:\tfrom 10.0.1.10 lookup 10001 "))
        assert workflow.remove(one, "eth1").left_alone
        assert tree(tmpdir) == before
        assert one.runner.changes == []

    def test_eth1_goes_and_eth10_stays(self, host, tmpdir):
        tmpdir.ensure("root", "etc/dhcp/dhclient.conf").write("")
        cards = [nic("eth1", SECOND), nic("eth10", THIRD)]
        enis = {SECOND: eni_texts(1), THIRD: eni_texts(2)}
        workflow.add(host(enis, cards), "eth10")
        before = tree(tmpdir)
        workflow.add(host(enis, cards), "eth1")
        workflow.remove(host(enis, cards), "eth1")
        assert tree(tmpdir) == before

    def test_a_kernel_that_refuses_keeps_the_record_of_what_is_left(self, host, tmpdir):
        workflow.add(host(), "eth1")
        before = tree(tmpdir)
        one = host(kernel=kernel_with("10001:\tfrom 10.0.1.10 lookup 10001 "))
        one.runner.answer = Result(1, "", "Operation not permitted\nCommand failed -:1\n")
        with pytest.raises(CommandError):
            workflow.remove(one, "eth1")
        assert tree(tmpdir) == before


class TestUp(object):
    """`ec2ifup`."""

    def test_the_distribution_brings_up_what_was_configured(self, host, tmpdir):
        one = host()
        workflow.up(one, "eth1")
        assert one.runner.shown == [["ifup", "eth1"]]
        assert "10.0.1.10" in written(tmpdir)

    def test_what_is_left_alone_and_has_no_configuration_is_not_brought_up(self, host):
        one = host(devices=[nic("eth1", PRIMARY)])
        assert workflow.up(one, "eth1").left_alone
        assert one.runner.shown == []

    @pytest.mark.parametrize("use_case", [workflow.up, workflow.down])
    @pytest.mark.parametrize("text", ["iface eth1 inet dhcp\n", "# EC2SYNC=no\n"])
    def test_an_administrators_own_configuration_is_not_touched(
        self, host, tmpdir, text, use_case
    ):
        tmpdir.ensure("root", ETH1).write(text)
        one = host()
        assert use_case(one, "eth1").left_alone
        assert one.runner.shown == []

    @pytest.mark.parametrize("answer", OUTAGES, ids=OUTAGE_NAMES)
    def test_without_metadata_the_last_good_configuration_is_used(self, host, tmpdir, answer):
        workflow.add(host(), "eth1")
        before = tree(tmpdir)
        one = host(answers={"meta-data/mac": answer})
        workflow.up(one, "eth1")
        assert one.runner.shown == [["ifup", "eth1"]]
        assert tree(tmpdir) == before

    def test_without_metadata_and_configuration_there_is_nothing_to_bring_up(self, host, tmpdir):
        before = tree(tmpdir)
        one = host(answers={"meta-data/mac": REFUSED})
        with pytest.raises(MetadataUnavailable):
            workflow.up(one, "eth1")
        assert one.runner.shown == []
        assert tree(tmpdir) == before

    def test_impossible_metadata_brings_up_what_was_there_and_is_told(self, host):
        workflow.add(host(), "eth1")
        one = host({SECOND: eni_texts(1, {"local-ipv4s": "$(id)"})})
        with pytest.raises(MetadataInvalid):
            workflow.up(one, "eth1")
        assert one.runner.shown == [["ifup", "eth1"]]

    def test_without_a_device_nothing_is_brought_up(self, host):
        workflow.add(host(), "eth1")
        one = host(devices=[nic("eth0", PRIMARY)])
        with pytest.raises(HostError):
            workflow.up(one, "eth1")
        assert one.runner.shown == []

    @pytest.mark.parametrize(
        "index, ran", [(3, ["ifup"]), (4, ["ifdown", "ifup"])], ids=["the same", "another"]
    )
    def test_a_device_that_was_replaced_unnoticed_is_taken_down_first(self, host, index, ran):
        workflow.up(host(devices=[nic("eth1", SECOND, index=3)]), "eth1")
        one = host(devices=[nic("eth1", SECOND, index=index)])
        workflow.up(one, "eth1")
        assert [argv[0] for argv in one.runner.shown] == ran
        again = host(devices=[nic("eth1", SECOND, index=index)])
        workflow.up(again, "eth1")
        assert [argv[0] for argv in again.runner.shown] == ["ifup"]

    @pytest.mark.parametrize(
        "use_case, commands", [(workflow.remove, ["ifdown", "ifup"]), (workflow.down, ["ifup"])]
    )
    def test_a_replaced_device_is_taken_down_first_unless_it_was(self, host, use_case, commands):
        workflow.up(host(devices=[nic("eth1", SECOND, index=3)]), "eth1")
        use_case(host(), "eth1")
        one = host(devices=[nic("eth1", SECOND, index=4)])
        workflow.up(one, "eth1")
        assert [argv[0] for argv in one.runner.shown] == commands

    def test_an_ifup_that_fails_is_told_with_its_exit_code(self, host):
        one = host()
        one.runner.statuses["ifup"] = 7
        with pytest.raises(CommandError) as caught:
            workflow.up(one, "eth1")
        assert "ifup eth1" in "{0}".format(caught.value)
        assert caught.value.returncode == 7


class TestDown(object):
    """`ec2ifdown`."""

    def test_the_distribution_takes_down_before_the_configuration_goes(self, host, tmpdir):
        workflow.add(host(), "eth1")
        there = []
        one = host()
        show = one.runner.run_visibly

        def look(argv):
            there.append(tmpdir.join("root", ETH1).check())
            return show(argv)

        one.runner.run_visibly = look
        workflow.down(one, "eth1")
        assert there == [True]
        assert [argv[0] for argv in one.runner.shown] == ["ifdown"]
        assert not tmpdir.join("root", ETH1).check()

    def test_an_ifdown_that_leaves_the_device_up_is_told_after_all_is_gone(self, host, tmpdir):
        workflow.add(host(), "eth1")
        one = host(devices=[nic("eth1", SECOND, up=True)])
        one.runner.statuses["ifdown"] = 1
        with pytest.raises(CommandError):
            workflow.down(one, "eth1")
        assert not tmpdir.join("root", ETH1).check()

    def test_a_failing_ifdown_without_a_device_is_no_failure(self, host, tmpdir):
        workflow.add(host(), "eth1")
        one = host(devices=[nic("eth0", PRIMARY)])
        one.runner.statuses["ifdown"] = 1
        workflow.down(one, "eth1")
        assert not tmpdir.join("root", ETH1).check()

    def test_without_a_configuration_there_is_nothing_to_take_down(self, host):
        one = host()
        workflow.down(one, "eth1")
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

    def test_again_it_does_nothing_and_asks_nobody(self, host):
        cards = [nic("eth1", SECOND)]
        catch_up(host(devices=cards))
        one = host(devices=cards)
        assert catch_up(one) == ([], [], [])
        assert one.session.requests == []
        assert one.runner.shown == []

    def test_one_that_fails_does_not_keep_the_others_down(self, host):
        enis = {SECOND: eni_texts(1, {"local-ipv4s": "$(id)"}), THIRD: eni_texts(2)}
        one = host(enis, [nic("eth1", SECOND), nic("eth2", THIRD)])
        plans, _, failures = catch_up(one)
        assert [plan.name for plan in plans] == ["eth2"]
        assert [(name, type(error)) for name, error in failures] == [("eth1", MetadataInvalid)]

    def test_one_that_vanishes_does_not_keep_the_others_down(self, host):
        one = host(
            {SECOND: eni_texts(1), THIRD: eni_texts(2)}, [nic("eth1", SECOND), nic("eth2", THIRD)]
        )
        one.devices.shown["eth1"] = [nic("eth1", SECOND), None]
        plans, _, failures = catch_up(one)
        assert [plan.name for plan in plans] == ["eth2"]
        assert [(name, type(error)) for name, error in failures] == [("eth1", HostError)]

    def test_a_device_that_goes_between_two_looks_is_not_there(self, host):
        one = host()
        one.devices.shown["eth1"] = None
        plans, _, failures = catch_up(one)
        assert (plans, failures) == ([], [])

    def test_without_metadata_nothing_comes_up(self, host, tmpdir):
        before = tree(tmpdir)
        one = host(answers={MACS: REFUSED})
        with pytest.raises(MetadataUnavailable):
            catch_up(one)
        assert one.runner.shown == []
        assert tree(tmpdir) == before


class TestSurvey(object):
    """`ec2net plan` and `ec2net status`."""

    CARDS = [
        nic("eth0", PRIMARY, up=True),
        nic("eth1", SECOND, up=True),
        nic("eth1.5", SECOND, kind="vlan"),
        nic("eth2", THIRD),
        nic("usb0", "02:00:00:00:00:99"),
    ]

    def surveyed(self, one, name=None):
        found, problem = workflow.survey(one, name)
        assert problem is None
        return {device.name: plan for device, plan in found}

    def test_it_changes_nothing(self, host, tmpdir):
        before = tree(tmpdir)
        one = host(
            {SECOND: eni_texts(1), THIRD: eni_texts(2)},
            self.CARDS,
            kernel=kernel_with(inet("10.0.1.10/24")),
        )
        found = self.surveyed(one)
        assert found["eth1"].files and found["eth1"].steps
        assert tree(tmpdir) == before
        assert one.runner.changes == one.runner.shown == []

    def test_it_says_of_each_device_what_is_to_be_done(self, host):
        one = host(
            {SECOND: eni_texts(1), THIRD: eni_texts(2)},
            self.CARDS,
            kernel=kernel_with(inet("10.0.1.10/24")),
        )
        found = self.surveyed(one)
        assert sorted(found) == ["eth0", "eth1", "eth1.5", "eth2", "usb0"]
        assert "primary" in found["eth0"].left_alone
        assert "vlan" in found["eth1.5"].left_alone
        assert found["usb0"].left_alone
        assert (found["eth1"].left_alone, found["eth1"].live) == ("", True)
        assert (found["eth2"].left_alone, found["eth2"].live) == ("", False)

    def test_the_kernel_is_read_once_for_all(self, host):
        cards = [nic("eth1", SECOND, up=True), nic("eth2", THIRD, up=True)]
        one = host({SECOND: eni_texts(1), THIRD: eni_texts(2)}, cards)
        self.surveyed(one)
        assert one.runner.reads == 1

    def test_one_device_can_be_asked_for(self, host):
        assert sorted(self.surveyed(host(devices=self.CARDS), "eth1")) == ["eth1"]
        with pytest.raises(HostError):
            workflow.survey(host(), "eth7")

    def test_after_add_and_ifup_nothing_is_to_be_done(self, host):
        workflow.add(host(), "eth1")
        one = host(
            devices=[nic("eth1", SECOND, up=True)],
            kernel=kernel_with(
                inet("10.0.1.10/24"),
                "10001:\tfrom 10.0.1.10 lookup 10001 ",
                "10.0.1.0/24 dev eth1 table 10001 scope link ",
                "default via 10.0.1.1 dev eth1 table 10001 ",
                CONNECTED,
                MAIN_ROUTE,
            ),
        )
        plan = self.surveyed(one)["eth1"]
        assert (plan.files, plan.steps, plan.live) == ({}, [], True)

    def test_an_interface_that_metadata_does_not_describe_yet_is_not_waited_for(self, host):
        one = host({SECOND: eni_texts(1, {"local-ipv4s": None})})
        assert self.surveyed(one)["eth1"].left_alone
        assert one.clock.sleeps == []

    def test_without_metadata_it_tells_what_the_host_knows_by_itself(self, host):
        one = host(devices=self.CARDS, answers={MACS: REFUSED})
        found, problem = workflow.survey(one)
        assert isinstance(problem, MetadataUnavailable)
        plans = {device.name: plan for device, plan in found}
        assert "vlan" in plans["eth1.5"].left_alone
        assert "unavailable" in plans["eth1"].left_alone
        assert all(plan.files == {} and plan.steps == [] for plan in plans.values())

    def test_metadata_that_ends_half_way_is_told_beside_what_is_known(self, host):
        key = MACS + SECOND + "/local-ipv4s"
        one = host(devices=self.CARDS, answers={key: (500, "")})
        found, problem = workflow.survey(one)
        assert isinstance(problem, MetadataUnavailable)
        assert len(found) == len(self.CARDS)

    def test_an_administrators_interface_is_shown_with_its_eni(self, host, tmpdir):
        tmpdir.ensure("root", ETH1).write("# mine\n")
        plan = self.surveyed(host())["eth1"]
        assert "/" + ETH1 in plan.left_alone
        assert plan.eni.interface_id == "eni-0a1"
