"""Alternative names of ENIs: which there are, that only ours go, and kernels that have none."""
from __future__ import absolute_import, print_function, unicode_literals

import copy
import logging

import pytest

from ec2net_legacy import altnames, metadata, record, report
from tests.unit import flows
from tests.unit.fakes import MACS, PRIMARY, SECOND, THIRD, eni_texts
from tests.unit.hosts import Hosts, asked, card

ETH1, ETH2 = card(), card("eth2", THIRD, index=4)
FIRST, SECOND_NAMES = ["eni-0a1", "device-number-1"], ["eni-0a2", "device-number-2"]
OF_PRIMARY = ["eni-0a0", "device-number-0.0"]
BOTH = {"eth0": OF_PRIMARY, "eth1": FIRST}


def eni(number=1, **changes):
    return metadata.parse_eni(SECOND, eni_texts(number))._replace(**changes)


@pytest.mark.parametrize(
    "one, names",
    [
        (eni(), ("eni-0a1", "device-number-1")),
        (eni(network_card=0), ("eni-0a1", "device-number-1.0")),
        (eni(3, network_card=2), ("eni-0a3", "device-number-3.2")),
        (eni(0, network_card=1), ("eni-0a0", "device-number-0.1")),
        # As of a record that somebody wrote.
        (eni(interface_id=""), ()),
        (eni(interface_id="eni-0a1 x"), ()),
        (eni(interface_id="eni-0a1\n"), ()),
        (eni(interface_id="../eni-0a1"), ()),
        (eni(interface_id="eni-" + "0" * 124), ()),
        (eni(device_number="1\nlink del eth0"), ()),
        (eni(network_card="0 x"), ()),
    ],
)
def test_they_are_the_enis_id_and_its_number(one, names):
    assert altnames.of_eni(one) == names


def test_the_primary_is_number_0_of_card_0_also_where_no_card_is_named():
    assert altnames.of_primary("eni-0a0") == ("eni-0a0", "device-number-0.0")
    assert altnames.of_primary("") == altnames.of_primary("eni-0a0 x") == ()


@pytest.mark.parametrize(
    "enis, primary, untouched, expected",
    [
        ({"eth1": eni()}, {}, [], {"eth1": ("eni-0a1", "device-number-1")}),
        ({"eth1": eni()}, {"eth0": "eni-0a0"}, ["eth1"],
         {"eth0": ("eni-0a0", "device-number-0.0"), "eth1": None}),
        # Somebody else has configured it.
        ({"eth1": eni(), "eth2": eni(2)}, {}, [], {"eth1": ("eni-0a1", "device-number-1")}),
        # What metadata has not said yet is no reason to take them away.
        ({}, {}, ["eth9"], {"eth1": None, "eth9": None}),
    ],
)
def test_who_gets_them(enis, primary, untouched, expected):
    assert altnames.wanted(["eth1"], enis, primary, untouched) == expected


def given(*names, **others):
    return {"eth1": record.Names(others.get("index", 3), names, others.get("refused", ()))}


@pytest.mark.parametrize(
    "wanted, before, present, kept, steps",
    [
        (("a", "b"), {}, {"eth1": ()}, given("a", "b"), ["+a", "+b"]),
        (("a", "b"), given("a"), {"eth1": ("a",)}, given("a", "b"), ["+b"]),
        (("a",), given("a"), {"eth1": ("a",)}, given("a"), []),
        # Somebody took it away.
        (("a",), given("a"), {"eth1": ()}, given("a"), ["+a"]),
        ((), given("a"), {"eth1": ("a",)}, {}, ["-a"]),
        (("b",), given("a"), {"eth1": ("a",)}, given("b"), ["-a", "+b"]),
        # It is somebody else's, on this device, on another, or another's very name.
        (("a",), {}, {"eth1": ("a",)}, {}, []),
        ((), {}, {"eth1": ("a",)}, {}, []),
        (("a",), {}, {"eth1": (), "eth2": ("a",)}, {}, []),
        (("a",), {}, {"eth1": (), "a": ()}, {}, []),
        (("a",), given("a"), {"eth1": (), "eth2": ("a",)}, {}, []),
        # It was tried.
        (("a",), given(refused=("a",)), {"eth1": ()}, given(refused=("a",)), []),
        (("b",), given(refused=("a",)), {"eth1": ()}, given("b"), ["+b"]),
        # Another device had them.
        (("a",), given("a", index=2), {"eth1": ()}, given("a"), ["+a"]),
        ((), given("a", index=2), {"eth1": ("a",)}, {}, []),
        # Nothing is known about what there is to be, or what there is.
        (None, given("a"), {"eth1": ("a",)}, given("a"), []),
        (None, given("a"), {"eth1": ()}, given("a"), []),
        (("b",), given("a"), None, given("a"), []),
        ((), given("a"), None, given("a"), []),
    ],
)
def test_only_what_was_given_goes(wanted, before, present, kept, steps):
    seen = present and {device: frozenset(names) for device, names in present.items()}
    found = altnames.decide({"eth1": wanted}, before, seen, {"eth1": 3})
    said = ["{0}{1}".format("+" if add else "-", item.name) for add, item in found[1]]
    assert (found[0], said) == (kept, steps)


def test_of_two_that_are_to_have_the_same_name_one_gets_it():
    wanted = {"eth1": ("a", "b"), "eth2": ("b",)}
    _, steps = altnames.decide(wanted, {}, {}, {"eth1": 3, "eth2": 4})
    assert [(item.device, item.name) for _, item in steps] == [("eth1", "a"), ("eth1", "b")]


def test_of_a_device_that_is_gone_nothing_is_remembered():
    assert altnames.decide({}, given("a"), {}, {}) == ({}, [])


@pytest.fixture
def hosts(tmpdir):
    return Hosts(tmpdir)


def knowing(hosts, *devices, **others):
    """Return a host whose kernel knows alternative names, and on which `devices` were added."""
    one = hosts(*devices, **others)
    if one.runner.names is None:
        one.runner.names = {}
    for device in devices:
        flows.add(one, device.name)
    del one.runner.ran[:]
    return one


def settled(hosts, *devices, **others):
    one = knowing(hosts, *devices, **others)
    flows.settle(one)
    return one


def names(host):
    return {device: names for device, names in host.runner.names.items() if names}


def steps(host):
    """Return what was given or taken away."""
    return [line for line in host.runner.changes if line.startswith("link property ")]


class TestLife(object):
    """From the first ENI to the last."""

    def test_they_are_the_last_lines_of_one_process_and_then_nothing_is_run(self, hosts):
        one = settled(hosts, ETH1)
        assert names(one) == BOTH
        changing = [stdin for argv, stdin in one.runner.ran if "-o" not in argv]
        assert len(changing) == 1
        assert changing[0].splitlines()[-4:] == [
            "link property add dev {0} altname {1}".format(device, name)
            for device in ("eth0", "eth1")
            for name in BOTH[device]
        ]
        two = hosts(ETH1, after=one)
        assert flows.settle(two).changes == two.runner.changes == asked(two) == []

    def test_the_primary_has_them_as_long_as_there_is_another(self, hosts):
        alone = knowing(hosts)
        flows.refresh(alone)
        flows.settle(alone)
        assert names(alone) == {}
        one = settled(hosts, ETH1, ETH2, after=alone)
        assert names(one) == dict(BOTH, eth2=SECOND_NAMES)
        flows.remove(one, "eth1")
        flows.settle(one)
        assert names(one) == {"eth0": OF_PRIMARY, "eth2": SECOND_NAMES}
        flows.remove(one, "eth2")
        flows.settle(one)
        assert names(one) == {}
        assert "host" not in hosts.notes

    @pytest.mark.parametrize("wrong", ["eni-0a0 x", "<html>", ""])
    def test_a_primary_without_a_proper_id_has_none(self, hosts, wrong):
        one = settled(hosts, ETH1, answers={MACS + PRIMARY + "/interface-id": wrong})
        assert names(one) == {"eth1": FIRST}
        two = hosts(ETH1, after=one)
        flows.settle(two)
        assert (names(two), asked(two)) == ({"eth1": FIRST}, [])

    def test_what_goes_with_its_device_is_not_taken_away(self, hosts):
        one = settled(hosts, ETH1, ETH2)
        two = hosts(ETH2, after=one)
        flows.settle(two)
        assert (names(two), steps(two)) == ({"eth0": OF_PRIMARY, "eth2": SECOND_NAMES}, [])
        assert sorted(record.read_host(two.run_directory).names) == ["eth0", "eth2"]

    def test_somebody_elses_stay(self, hosts):
        one = knowing(hosts, ETH1)
        # Also an equal one, and on another device.
        theirs = {"eth1": ["mine", "device-number-1"], "eth0": ["eni-0a1", "device-number-0.0"]}
        one.runner.names = copy.deepcopy(theirs)
        flows.settle(one)
        assert steps(one) == ["link property add dev eth0 altname eni-0a0"]
        flows.remove(one, "eth1")
        flows.settle(one)
        assert names(one) == theirs

    def test_while_nothing_is_known_of_the_eni_they_stay(self, hosts):
        one = settled(hosts, ETH1)
        record.change(one.run_directory, "eth1", reading=None)
        two = hosts(ETH1, after=one, down=True)
        flows.settle(two)
        assert names(two) == BOTH

    def test_what_was_not_given_by_us_as_far_as_is_known_stays(self, hosts):
        one = settled(hosts, ETH1)
        hosts.directory.join("run", "host").remove()
        flows.remove(one, "eth1")
        flows.settle(one)
        assert names(one) == BOTH


class TestSwitchedOff(object):
    """`alternative_names = no`, and interfaces that are not touched."""

    def test_what_was_given_is_taken_away_and_what_was_not_is_not(self, hosts):
        one = settled(hosts, ETH1)
        one.runner.names["eth1"].append("mine")
        two = hosts(ETH1, after=one, changes={"alternative_names": "no"})
        flows.settle(two)
        assert names(two) == {"eth1": ["mine"]}
        assert asked(two) == []
        assert flows.settle(two).changes == []

    def test_then_the_kernel_is_not_asked_for_them(self, hosts):
        one = knowing(hosts, ETH1, changes={"alternative_names": "no"})
        one.names_by_netlink = None
        flows.settle(one)
        assert steps(one) == []

    @pytest.mark.parametrize("ignore", [("eth1",), (SECOND,), ("eni-0a1",)])
    def test_one_that_is_ignored_keeps_them(self, hosts, ignore):
        one = settled(hosts, ETH1, ETH2)
        off = {"ignore": ignore, "alternative_names": "no"}
        two = hosts(ETH1, ETH2, after=one, changes=off)
        flows.settle(two)
        assert names(two) == {"eth1": FIRST}

    def test_so_does_one_that_is_opted_out(self, hosts):
        one = settled(hosts, ETH1)
        path = hosts.file("etc/network/interfaces.d/eth1.cfg")
        path.write(path.read().replace("# EC2SYNC=yes", "# EC2SYNC=no"))
        two = hosts(ETH1, after=one, changes={"alternative_names": "no"})
        del two.runner.names["eth1"][0]
        flows.settle(two)
        assert names(two) == {"eth1": FIRST[1:]}
        assert not [line for line in steps(two) if "eth1" in line]


def old_ip(host):
    host.runner.knows_names = False


def old_kernel(host):
    host.runner.refused = {
        "link property add dev {0} altname {1}".format(device, name): "Operation not supported"
        for device in BOTH
        for name in BOTH[device]
    }


@pytest.mark.parametrize("make_old", [old_ip, old_kernel], ids=lambda one: one.__name__)
class TestOldHosts(object):
    """Linux before 5.5, or iproute2 before 5.4."""

    def test_it_is_tried_once_and_only_debug_tells(self, hosts, make_old, caplog):
        caplog.set_level(logging.DEBUG, str("ec2net_legacy"))
        one = knowing(hosts, ETH1)
        make_old(one)
        done = flows.settle(one)
        assert names(one) == {}
        assert "alternative" not in report.shared_summary(done)
        said = [line for line in caplog.records if line.getMessage().startswith("ip: ")]
        assert [line.levelname for line in said] == ["DEBUG"]
        two = hosts(ETH1, after=one)
        assert flows.settle(two).changes == two.runner.changes == []
        assert two.runner.groups == {"eth0": 10000, "eth1": 10000}
        flows.remove(two, "eth1")
        flows.settle(two)
        assert "host" not in hosts.notes


def test_what_cannot_be_taken_away_is_not_forgotten(hosts):
    one = settled(hosts, ETH1)
    flows.remove(one, "eth1")
    one.runner.refused = {"link property del dev eth1 altname eni-0a1": "Operation not permitted"}
    flows.settle(one)
    assert names(one) == {"eth1": ["eni-0a1"]}
    assert list(record.read_host(one.run_directory).names) == ["eth1"]
    one.runner.refused = {}
    flows.settle(one)
    assert (names(one), "host" in hosts.notes) == ({}, False)


def test_where_they_cannot_be_read_nothing_is_done(hosts):
    one = hosts(ETH1)
    flows.add(one, "eth1")
    flows.settle(one)
    assert (steps(one), record.read_host(one.run_directory).names) == ([], {})


def test_a_plan_shows_them_before_anything_was_done(hosts):
    one = hosts(ETH1, enis={SECOND: eni_texts(1)})
    one.runner.names = {}
    shown = [step.line for step in report.kernel_changes(flows.survey(one).shared)]
    for device, given_names in BOTH.items():
        for name in given_names:
            assert "link property add dev {0} altname {1}".format(device, name) in shown
    assert one.runner.changes == []
