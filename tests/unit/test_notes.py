"""What is remembered in the run directory: text that may be gone, garbage or somebody else's."""
from __future__ import absolute_import, print_function, unicode_literals

import json
import os

import pytest

from ec2net_legacy import metadata, notes
from ec2net_legacy.coexistence import Managed
from ec2net_legacy.host.rundir import RunDirectory
from ec2net_legacy.model import Address, Lease, MainFirst, MarkRule, Route
from tests.unit.fakes import PRIMARY, SECOND, THIRD, eni_texts, ipv6_texts

ENI = metadata.parse_eni(SECOND, eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.11"}))
ADDRESSES = (Address("10.0.1.11", 32, "eth0"), Address("2600:1f18::b", 128, "eth0"))
def shortened(text):
    return repr(text[:40])


GARBAGE = [
    "",
    "\n",
    "{",
    "{}",
    "[]",
    "[1]",
    "0",
    "null",
    '"x"',
    "\x00\xff",
    "[" * 200000,
    '{"eth1": 1' + "0" * 400 + "}",
    '{"eni": null, "asked": 1}',
    '{"eni": {}, "asked": 1}',
    '{"eni": [], "asked": 1}',
    '{"eni": {"mac": "02:00:00:00:00:02"}, "asked": 1}',
    '{"asked": 1}',
]


@pytest.fixture
def directory(tmpdir):
    return RunDirectory("{0}".format(tmpdir.join("run")))


@pytest.mark.parametrize("texts", [eni_texts(), ipv6_texts()], ids=["IPv4", "IPv6"])
def test_metadata_is_remembered_as_it_was(directory, texts):
    eni = metadata.parse_eni(SECOND, texts)
    notes.keep_metadata(directory, "eth1", eni, 12.5)
    assert notes.metadata(directory, "eth1", SECOND) == (eni, 12.5)


def test_metadata_of_another_eni_of_that_name_is_none(directory):
    notes.keep_metadata(directory, "eth1", ENI, 12.5)
    assert notes.metadata(directory, "eth1", THIRD) == (None, 0.0)
    assert notes.metadata(directory, "eth2", SECOND) == (None, 0.0)


@pytest.mark.parametrize("text", GARBAGE, ids=shortened)
def test_garbage_is_nothing(directory, text):
    for name in ("metadata", "addresses", "lease", "wish"):
        directory.write(name + "-eth1", text)
    assert notes.metadata(directory, "eth1", SECOND) == (None, 0.0)
    assert notes.added_addresses(directory, "eth1") == ()
    assert notes.router(directory, "eth1", ENI) == ""
    assert notes.wish(directory, "eth1", 7) == ""


@pytest.mark.parametrize("asked", ['"x"', "null", "[]", "{}"])
def test_metadata_without_a_time_is_nothing(directory, asked):
    notes.keep_metadata(directory, "eth1", ENI, 12.5)
    directory.write("metadata-eth1", directory.read("metadata-eth1").replace("12.5", asked))
    assert notes.metadata(directory, "eth1", SECOND) == (None, 0.0)


def test_metadata_of_another_version_is_nothing(directory):
    notes.keep_metadata(directory, "eth1", ENI, 12.5)
    kept = json.loads(directory.read("metadata-eth1"))
    for change in ({"more": 1}, None):
        eni = dict(kept["eni"], **(change or {}))
        if change is None:
            del eni["subnet"]
        directory.write("metadata-eth1", json.dumps(dict(kept, eni=eni)))
        assert notes.metadata(directory, "eth1", SECOND) == (None, 0.0)


def test_addresses_are_remembered_until_there_are_none(directory):
    notes.keep_addresses(directory, "eth0", reversed(ADDRESSES))
    assert notes.added_addresses(directory, "eth0") == ADDRESSES
    assert notes.added_addresses(directory, "eth1") == ()
    notes.keep_addresses(directory, "eth0", [])
    assert directory.read("addresses-eth0") is None


@pytest.mark.parametrize(
    "line",
    ["10.0.1.12", "10.0.1.12/", "/32", " 10.0.1.12/32", "10.0.1.12/32 dev eth1", "$(id)/32"],
)
def test_of_the_addresses_a_line_that_is_none_is_left_out(directory, line):
    directory.write("addresses-eth0", "10.0.1.11/32\n" + line + "\n2600:1f18::b/128")
    assert notes.added_addresses(directory, "eth0") == ADDRESSES


def test_the_leases_router_is_that_of_the_eni_whose_address_it_gave(directory):
    notes.keep_lease(directory, "eth1", Lease("10.0.1.10", "10.0.1.2"))
    assert notes.router(directory, "eth1", ENI) == "10.0.1.2"
    assert notes.router(directory, "eth2", ENI) == ""
    assert notes.router(directory, "eth1", ENI._replace(addresses=("10.0.1.11",))) == ""
    assert notes.router(directory, "eth1", ENI._replace(addresses=())) == ""
    notes.keep_lease(directory, "eth1", None)
    assert notes.router(directory, "eth1", ENI) == ""
    notes.keep_lease(directory, "eth1", None)


def test_a_renewed_lease_is_not_written_again(directory, tmpdir):
    notes.keep_lease(directory, "eth1", Lease("10.0.1.10", "10.0.1.2"))
    before = os.stat(str(tmpdir.join("run", "lease-eth1"))).st_ino
    notes.keep_lease(directory, "eth1", Lease("10.0.1.10", "10.0.1.2"))
    assert os.stat(str(tmpdir.join("run", "lease-eth1"))).st_ino == before
    notes.keep_lease(directory, "eth1", Lease("10.0.1.10", "10.0.1.3"))
    assert notes.router(directory, "eth1", ENI) == "10.0.1.3"


def remember_everything(directory, name):
    directory.write(notes.added(name), "text")
    notes.keep_addresses(directory, name, ADDRESSES)
    notes.keep_metadata(directory, name, ENI, 12.5)
    notes.keep_lease(directory, name, Lease("10.0.1.10", "10.0.1.2"))
    notes.keep_wish(directory, name, notes.UP, 7)
    directory.write(notes.device(name), "7")


def test_what_is_gone_is_forgotten_but_for_the_device(directory, tmpdir):
    for name in ("eth1", "eth10"):
        remember_everything(directory, name)
    with directory.lock("eth1"):
        pass
    notes.forget(directory, "eth1")
    notes.forget(directory, "eth1")
    left = sorted(path.basename for path in tmpdir.join("run").listdir())
    assert left == [
        "added-eth10", "addresses-eth10", "device-eth1", "device-eth10", "lease-eth10",
        "metadata-eth10", "wish-eth10",
    ]


@pytest.mark.parametrize("kept", [notes.UP, notes.DOWN])
def test_a_wish_is_for_the_device_that_it_was_made_for(directory, kept):
    notes.keep_wish(directory, "eth1", kept, 7)
    assert notes.wish(directory, "eth1", 7) == kept
    assert notes.wish(directory, "eth1", 70) == notes.wish(directory, "eth1", 8) == ""
    assert notes.wish(directory, "eth2", 7) == notes.wish(directory, "eth10", 7) == ""


def test_the_last_wish_counts_until_it_is_forgotten(directory):
    notes.keep_wish(directory, "eth1", notes.UP, 7)
    notes.keep_wish(directory, "eth1", notes.DOWN, 7)
    assert notes.wish(directory, "eth1", 7) == notes.DOWN
    notes.forget_wish(directory, "eth1")
    notes.forget_wish(directory, "eth1")
    assert notes.wish(directory, "eth1", 7) == ""


@pytest.mark.parametrize("spoil", ["mode", "link", "owner"])
def test_what_somebody_else_could_have_written_is_not_believed(
    directory, tmpdir, monkeypatch, spoil
):
    remember_everything(directory, "eth1")
    for name in ("metadata-eth1", "addresses-eth1", "lease-eth1", "wish-eth1"):
        path = tmpdir.join("run", name)
        if spoil == "mode":
            path.chmod(0o666)
        elif spoil == "link":
            path.move(tmpdir.join(name))
            path.mksymlinkto(tmpdir.join(name))
    if spoil == "owner":
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert notes.metadata(directory, "eth1", SECOND) == (None, 0.0)
    assert notes.added_addresses(directory, "eth1") == ()
    assert notes.router(directory, "eth1", ENI) == ""
    assert notes.wish(directory, "eth1", 7) == ""


DONE = notes.Coexistence(
    enis={"eth1": (3, Managed("eth1", 10001, 10001, "10.0.1.0/24", (4, 6), False))},
    items=(
        MainFirst(1, 10000, 9990, 4),
        MarkRule(0x100, 0x3F00, 10001, 10001, 6),
        Route("10.9.0.0/16", "10.8.0.1", "tun0", 10001, 4),
        Route("fd00:17::/64", "", "docker0", 10001, 6),
    ),
    groups={"eth1": [3, 0, 10000]},
    parameters={"net/ipv4/conf/eth1.5/rp_filter": [3, 1, 2]},
    chains=(4, 6),
    cannot=(6,),
    failed=(4,),
)


def test_what_all_enis_have_in_common_is_remembered(directory):
    notes.keep_coexistence(directory, DONE)
    assert notes.coexistence(directory) == DONE


@pytest.mark.parametrize("field", notes.Coexistence._fields)
def test_each_part_of_that_is_worth_a_note(directory, field):
    part = notes.NO_COEXISTENCE._replace(**{str(field): getattr(DONE, field)})
    notes.keep_coexistence(directory, part)
    assert notes.coexistence(directory) == part


def test_where_there_is_nothing_in_common_there_is_no_note(directory):
    notes.keep_coexistence(directory, notes.NO_COEXISTENCE)
    assert notes.coexistence(directory) == notes.NO_COEXISTENCE
    notes.keep_coexistence(directory, DONE)
    notes.keep_coexistence(directory, notes.NO_COEXISTENCE)
    assert directory.read("coexistence") is None


def test_the_same_in_another_order_is_not_written_again(directory, tmpdir):
    notes.keep_coexistence(directory, DONE)
    before = os.stat(str(tmpdir.join("run", "coexistence"))).st_ino
    notes.keep_coexistence(directory, DONE._replace(items=DONE.items[::-1]))
    assert os.stat(str(tmpdir.join("run", "coexistence"))).st_ino == before


@pytest.mark.parametrize("text", GARBAGE, ids=shortened)
def test_garbage_is_nothing_in_common_and_no_eni(directory, text):
    directory.write("coexistence", text)
    directory.write("enis", text)
    assert notes.coexistence(directory) == notes.NO_COEXISTENCE
    assert SECOND not in notes.enis(directory)


@pytest.mark.parametrize(
    "field, value",
    [
        ("enis", {"eth1": [3]}),
        ("enis", {"eth1": [3, ["eth1", 10001]]}),
        ("enis", {"eth1": [3, ["eth1", 10001, 10001, "", 4, False]]}),
        ("items", [["MainFirst", 1]]),
        ("items", [["Group", "eth1", 7]]),
        ("items", [["MainFirst", 1, 10000, 9990, 5]]),
        ("items", [[]]),
        ("items", [7]),
        ("items", None),
        ("items", [["MainFirst", 1, 10000, [9990], 4]]),
        ("items", [["MainFirst", 1, 10000, 9990, {}]]),
        ("groups", {"": [3, 0, 1]}),
        ("groups", {"eth1\0": [3, 0, 1]}),
        ("groups", {"../eth1": [3, 0, 1]}),
        ("parameters", {"foo": [3, 0, 1]}),
        ("parameters", {"kernel/core_pattern": [3, 0, 1]}),
        ("parameters", {"net/ipv4/conf/../rp_filter/x": [3, 0, 1]}),
        ("chains", [4, 6, 9]),
        ("chains", [-1]),
        ("groups", []),
        ("groups", {"eth1": [3, 0]}),
        ("groups", {"eth1": [3, 0, "x"]}),
        ("parameters", {"x": [3, 0, None]}),
        ("parameters", {"x": [3, 0, float("inf")]}),
        ("chains", 4),
        ("cannot", ["x"]),
        ("failed", [None]),
        ("more", []),
    ],
)
def test_what_is_wrong_in_a_part_makes_all_of_it_nothing(directory, field, value):
    notes.keep_coexistence(directory, DONE)
    kept = json.loads(directory.read("coexistence"))
    kept[field] = value
    directory.write("coexistence", json.dumps(kept))
    assert notes.coexistence(directory) == notes.NO_COEXISTENCE


def test_which_cards_are_enis_is_remembered(directory):
    assert notes.enis(directory) == {}
    notes.keep_enis(directory, {SECOND: True, THIRD: False, PRIMARY: 12.5})
    assert notes.enis(directory) == {SECOND: True, THIRD: False, PRIMARY: 12.5}
    assert notes.enis(directory)[SECOND] is True
    notes.keep_enis(directory, {})
    assert directory.read("enis") is None
