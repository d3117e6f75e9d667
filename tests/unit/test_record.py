"""The record: documents in the run directory that may be gone, garbage or somebody else's."""
from __future__ import absolute_import, print_function, unicode_literals

import json
import os

import pytest

from ec2net_legacy import metadata, record
from ec2net_legacy.errors import HostError
from ec2net_legacy.host.rundir import RunDirectory
from ec2net_legacy.model import (
    Address,
    InterfaceState,
    Lease,
    MainFirst,
    Managed,
    MarkRule,
    Route,
    Rule,
)
from tests.unit.fakes import PRIMARY, SECOND, eni_texts, ipv6_texts

ENI = metadata.parse_eni(SECOND, eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"}))
FULL = record.Record(
    addresses=(Address("10.0.1.11", 32, "eth1"), Address("2600:1f18::b", 128, "eth1")),
    routes=(Route("default", "10.0.1.1", "eth1", 10001, 4),),
    rules=(Rule("10.0.1.10", 10001, 10001),),
    device=7,
    wish=record.Wish(record.UP, 7),
    reading=record.Reading(ENI, 12.5),
    lease=Lease("10.0.1.10", "10.0.1.2"),
    lease6=True,
    tries=record.Tries(7, 2, 3.5),
)
SHARED = record.HostRecord(
    cards={SECOND: True, PRIMARY: 12.5},
    enis={"eth1": (3, Managed("eth1", 10001, 10001, "10.0.1.0/24", (4, 6), False))},
    items=(
        MainFirst(1, 10000, 9990, 4),
        MarkRule(0x100, 0x3F00, 10001, 10001, 6),
        Route("10.7.0.0/16", "", "v\xc3\x85", 10001, 4),
        Route("10.9.0.0/16", "10.8.0.1", "tun0", 10001, 4),
        Route("fd00:17::/64", "", "docker0", 10001, 6),
    ),
    groups={"eth1": [3, 0, 10000]},
    parameters={"net/ipv4/conf/eth1.5/rp_filter": [3, 1, 2]},
    chains=(4, 6),
    cannot=(6,),
    failed=(4,),
    primary=(PRIMARY, "eni-0a0"),
    names={"eth1": record.Names(3, ("eni-0a1", "device-number-1.0"), ("device-number-1",))},
)
GARBAGE = [
    "", "\n", "{", "{}", "[]", "[1]", "0", "null", '"x"', "\x00\xff", "[" * 200000,
    '{"version": 1, "device": 1' + "0" * 400 + ", }", '{"version": 1, "wish": null}',
    '{"version": 2, "device": 7}', '{"device": 7}',
]


@pytest.fixture
def directory(tmpdir):
    return RunDirectory("{0}".format(tmpdir.join("run")))


def keep(directory):
    record.change(directory, "eth1", **FULL._asdict())
    record.change_host(directory, **SHARED._asdict())


@pytest.mark.parametrize("field", record.Record._fields)
def test_each_part_is_read_as_it_was_written(directory, field):
    part = record.NOTHING._replace(**{str(field): getattr(FULL, field)})
    record.change(directory, "eth1", **part._asdict())
    assert record.read(directory, "eth1") == part
    assert record.read(directory, "eth10") == record.NOTHING


@pytest.mark.parametrize("field", record.HostRecord._fields)
def test_each_part_of_the_hosts_is_read_as_it_was_written(directory, field):
    part = record.NOTHING_SHARED._replace(**{str(field): getattr(SHARED, field)})
    record.change_host(directory, **part._asdict())
    assert record.read_host(directory) == part


@pytest.mark.parametrize("texts", [eni_texts(), ipv6_texts()], ids=["IPv4", "IPv6"])
def test_metadata_is_read_as_it_was_written(directory, texts):
    reading = record.Reading(metadata.parse_eni(SECOND, texts), 12.5)
    record.change(directory, "eth1", reading=reading)
    assert record.read(directory, "eth1").reading == reading


def test_a_change_leaves_the_rest_as_it_is(directory):
    keep(directory)
    record.change(directory, "eth1", wish=None)
    record.change_host(directory, cannot=())
    assert record.read(directory, "eth1") == FULL._replace(wish=None)
    assert record.read_host(directory) == SHARED._replace(cannot=())


def test_where_there_is_nothing_there_is_no_document(directory, tmpdir):
    keep(directory)
    record.change(directory, "eth1", **record.NOTHING._asdict())
    record.change_host(directory, **record.NOTHING_SHARED._asdict())
    assert [path.basename for path in tmpdir.join("run").listdir()] == ["lock"]


def test_what_is_gone_is_forgotten_but_for_the_device(directory):
    keep(directory)
    record.change(directory, "eth10", **FULL._asdict())
    record.forget(directory, "eth1")
    record.forget(directory, "eth1")
    assert record.read(directory, "eth1") == record.NOTHING._replace(device=7)
    assert record.read(directory, "eth10") == FULL


def test_the_same_in_another_order_is_not_written_again(directory, tmpdir):
    keep(directory)
    before = [os.stat(str(path)).st_ino for path in tmpdir.join("run").listdir(sort=True)]
    record.change(directory, "eth1", lease=FULL.lease)
    record.change_host(directory, items=SHARED.items[::-1])
    assert [os.stat(str(path)).st_ino for path in tmpdir.join("run").listdir(sort=True)] == before


@pytest.mark.parametrize("text", GARBAGE, ids=lambda text: repr(text[:40]))
def test_garbage_is_nothing(directory, text, caplog):
    directory.write("interface-eth1", text)
    directory.write("host", text)
    assert record.read(directory, "eth1") == record.NOTHING
    assert record.read_host(directory) == record.NOTHING_SHARED
    said = "the damaged record {0} is taken for an empty one"
    is_older = '"version": 2' in text
    expected = [] if is_older else [said.format("interface-eth1"), said.format("host")]
    assert [one.getMessage() for one in caplog.records] == expected


@pytest.mark.parametrize("fields", [list(ENI)[1:], list(ENI) + ["more"], {"mac": SECOND}])
def test_a_reading_of_another_release_costs_nothing_else(directory, fields):
    keep(directory)
    kept = json.loads(directory.read("interface-eth1"))
    kept["reading"][0] = fields
    directory.write("interface-eth1", json.dumps(kept))
    assert record.read(directory, "eth1") == FULL._replace(reading=None)


@pytest.mark.parametrize("spoil", ["mode", "link", "owner"])
def test_what_somebody_else_could_have_written_is_not_believed(
    directory, tmpdir, monkeypatch, spoil
):
    keep(directory)
    for name in ("interface-eth1", "host"):
        path = tmpdir.join("run", name)
        if spoil == "mode":
            path.chmod(0o666)
        elif spoil == "link":
            path.move(tmpdir.join(name))
            path.mksymlinkto(tmpdir.join(name))
    if spoil == "owner":
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert record.read(directory, "eth1") == record.NOTHING
    assert record.read_host(directory) == record.NOTHING_SHARED


@pytest.mark.parametrize(
    "field, value",
    [
        ("addresses", [["10.0.1.11", 32]]),
        ("addresses", [["10.0.1.11 dev eth0", 32, "eth1"]]),
        ("addresses", [["10.0.1.11\nlink del eth0", 32, "eth1"]]),
        ("rules", [["10.0.1.10 #", 10001, 10001]]),
        ("rules", "10.0.1.10"),
        ("routes", [["default", {}, "eth1", 10001, 4]]),
        ("device", "x"),
        ("device", None),
        ("wish", ["up"]),
        ("wish", None),
        ("reading", [list(ENI), "x"]),
        ("reading", [list(ENI)]),
        ("lease", {}),
        ("lease", ["10.0.1.10"]),
        ("tries", [7, 2]),
        ("tries", [7, 2, "x"]),
        ("more", 1),
    ],
)
def test_what_is_wrong_in_a_part_makes_all_of_it_nothing(directory, field, value):
    keep(directory)
    kept = json.loads(directory.read("interface-eth1"))
    directory.write("interface-eth1", json.dumps(dict(kept, **{str(field): value})))
    assert record.read(directory, "eth1") == record.NOTHING


@pytest.mark.parametrize(
    "field, value",
    [
        ("cards", {SECOND: "x"}),
        ("cards", []),
        ("enis", {"eth1": [3]}),
        ("enis", {"eth1": [3, ["eth1", 10001]]}),
        ("enis", {"eth1": [3, ["eth1", 10001, 10001, "", 4, False]]}),
        ("items", [["MainFirst", 1]]),
        ("items", [["Group", "eth1", 7]]),
        ("items", [["MainFirst", 1, 10000, 9990, 5]]),
        ("items", [["Route", "10.0.0.0/8 dev eth0", "", "eth1", 10001, 4]]),
        ("items", [[]]),
        ("items", [7]),
        ("items", None),
        ("items", [["MainFirst", 1, 10000, [9990], 4]]),
        ("items", [["MainFirst", 1, 10000, 9990, {}]]),
        ("groups", {"": [3, 0, 1]}),
        ("groups", {"eth1\0": [3, 0, 1]}),
        ("groups", {"../eth1": [3, 0, 1]}),
        ("groups", []),
        ("groups", {"eth1": [3, 0]}),
        ("groups", {"eth1": [3, 0, "x"]}),
        ("parameters", {"foo": [3, 0, 1]}),
        ("parameters", {"kernel/core_pattern": [3, 0, 1]}),
        ("parameters", {"net/ipv4/conf/../rp_filter/x": [3, 0, 1]}),
        ("parameters", {"net/ipv4/conf/eth1/rp_filter": [3, 0, None]}),
        ("parameters", {"net/ipv4/conf/eth1/rp_filter": [3, 0, float("inf")]}),
        ("chains", [4, 6, 9]),
        ("chains", [-1]),
        ("chains", 4),
        ("cannot", ["x"]),
        ("failed", [None]),
        ("primary", [PRIMARY]),
        ("primary", [PRIMARY, "eni-0a0\nlink del eth0"]),
        ("primary", [None, "eni-0a0"]),
        ("names", {"eth1": [3, []]}),
        ("names", {"../eth1": [3, [], []]}),
        ("names", {"eth1": [3, ["eni-0a1\nlink del eth0"], []]}),
        ("names", {"eth1": [3, [], ["a/b"]]}),
        ("names", {"eth1": [3, [None], []]}),
        ("more", []),
    ],
)
def test_so_it_does_in_the_hosts(directory, field, value):
    keep(directory)
    kept = json.loads(directory.read("host"))
    directory.write("host", json.dumps(dict(kept, **{str(field): value})))
    assert record.read_host(directory) == record.NOTHING_SHARED


def test_a_change_waits_for_another_run(directory, tmpdir):
    other = RunDirectory("{0}".format(tmpdir.join("run")))
    with other.lock(), pytest.raises(HostError):
        record.change(directory, "eth1", 0.0, device=7)
    assert record.read(directory, "eth1") == record.NOTHING


def test_the_leases_router_is_that_of_the_eni_whose_address_it_gave():
    def router(lease, eni=ENI):
        return record.router_of(record.NOTHING._replace(lease=lease), eni)

    assert router(None) == ""
    assert router(Lease("10.0.1.10", "10.0.1.2")) == "10.0.1.2"
    assert router(Lease("10.0.1.10", "$(id)")) == ""
    assert router(Lease("10.0.1.10", "10.0.1.2"), ENI._replace(addresses=("10.0.1.11",))) == ""
    assert router(Lease("10.0.1.10", "10.0.1.2"), ENI._replace(addresses=())) == ""


def test_merged_is_each_item_once_and_the_first_table():
    filed = InterfaceState("eth1", 10001, "", FULL.addresses[:1], (), FULL.rules)
    found = record.merged("eth1", FULL, filed)
    assert (found.table, found.addresses, found.routes, found.rules) == (
        10001, FULL.addresses, FULL.routes, FULL.rules)


def test_a_secondarys_addresses_are_not_a_primarys():
    assert record.added_to_primary(FULL) == ()
    assert record.added_to_primary(FULL._replace(rules=())) == FULL.addresses
