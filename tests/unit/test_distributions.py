"""Which distribution a host gets, and what each of them does."""
from __future__ import absolute_import, print_function, unicode_literals

import itertools
import re

import pytest

from ec2net_legacy import distributions
from ec2net_legacy.distributions import protocol
from ec2net_legacy.errors import HostError
from ec2net_legacy.kernel import diff
from ec2net_legacy.kernel.parse import KernelState
from ec2net_legacy.model import Address
from tests.unit.enis import ENIS, eni_of, state_of
from tests.unit.fakes import SECOND, FakeReader, raised

INTERFACES = "/etc/network/interfaces"
IFUP_ETH = "/etc/sysconfig/network-scripts/ifup-eth"
# What a host has before there is anything of ours.
HOSTS = {
    "ifcfg": {},
    "ifupdown": {INTERFACES: "source /etc/network/interfaces.d/*.cfg\n"},
    "networkd": {"/lib/systemd/libsystemd-shared-252.so": ""},
}
FIRST6 = Address("2600:1f18:0:1::10", 128, "eth1")
EACH = pytest.mark.parametrize("name", sorted(HOSTS))
EACH_ENI = pytest.mark.parametrize("case", sorted(ENIS))


@pytest.mark.parametrize(
    "files, setting, expected",
    [
        ([INTERFACES], "auto", "ifupdown"),
        ([IFUP_ETH], "auto", "ifcfg"),
        # network-scripts are there as programs; an interfaces file alone proves nothing.
        ([INTERFACES, IFUP_ETH], "auto", "ifcfg"),
        ([INTERFACES, IFUP_ETH], "ifupdown", "ifupdown"),
        ([INTERFACES], "ifcfg", "ifcfg"),
        ([], "ifcfg", "ifcfg"),
        ([], "ifupdown", "ifupdown"),
    ],
)
def test_which_one_a_host_has(files, setting, expected):
    assert distributions.choose(setting, FakeReader(dict.fromkeys(files, ""))).name == expected


@pytest.mark.parametrize(
    "files", [[], ["/etc/os-release"], ["/etc/sysconfig/network-scripts/ifcfg-lo"]]
)
def test_a_host_with_neither_is_told_what_was_looked_for(files):
    said = raised(HostError, distributions.choose, "auto", FakeReader(dict.fromkeys(files, "")))
    assert INTERFACES in said
    assert IFUP_ETH in said


def host(name, files=()):
    return distributions.choose(name, FakeReader(dict(HOSTS[name], **dict(files))))


def generated(name, texts, state=None):
    """Return the files that are written on a host that has none of ours."""
    written = host(name).files(state or state_of(texts), eni_of(texts))
    return {path: text for path, text in written.items() if text is not None}


def recorded_of(name, *cases):
    """Return what the files of ENIs are read as, one ENI after the other."""
    files = [generated(name, ENIS[case]) for case in cases]
    texts = [host(name, one).configuration("eth1").text for one in files]
    return host(name).recorded("eth1", "".join(texts))


@EACH
def test_each_one_does_all_that_the_protocol_says(name):
    own = vars(type(host(name)))
    methods = [one for one, value in vars(protocol.Distribution).items() if callable(value)]
    assert sorted(set(methods) - set(own) - set(dir(object))) == []
    assert {"configuration", "files"} < set(methods)
    # Their dhclient's hook has to know whose ifup it runs in.
    assert own.get("HAS_DHCLIENT", True) == bool(own.get("UP_PROGRAMS"))
    assert bool(own.get("UP_PROGRAMS")) == bool(own.get("DOWN_PROGRAMS"))


@EACH
@EACH_ENI
@pytest.mark.parametrize("place", [("eth1", 10001, 10001), ("ens6", 20100, 77)])
@pytest.mark.parametrize("main_metric", [0, 10001], ids=["", "main route"])
@pytest.mark.parametrize("local_prefixes", [False, True], ids=["", "local prefixes"])
def test_what_is_written_is_ours_and_can_be_read_back(
    name, case, place, main_metric, local_prefixes
):
    options = {"main_metric": main_metric, "local_prefixes": local_prefixes}
    state = state_of(ENIS[case], *place, **options)
    files = generated(name, ENIS[case], state)
    found = host(name, files).configuration(state.name)
    assert (found.exists, found.keep, found.edited, found.inherited) == (True, "", False, False)
    assert host(name, files).warning(state.name) == ""
    if name == "ifupdown":
        # The default route comes with the lease, by the metric of the stanza.
        state = state_of(ENIS[case], *place, local_prefixes=local_prefixes)
    assert host(name).recorded(state.name, found.text) == state._replace(primary="")


@EACH
@pytest.mark.parametrize("before, after", list(itertools.permutations(sorted(ENIS), 2)))
def test_several_texts_in_a_row_record_what_either_adds_and_cost_no_address(name, before, after):
    found = recorded_of(name, before, after)
    alone = recorded_of(name, before), recorded_of(name, after)
    for field in ("addresses", "routes", "rules"):
        either = set(getattr(alone[0], field)) | set(getattr(alone[1], field))
        # Where IPv6 only is beside IPv4 in the record, the lease's address of the one is an added
        # one of the other, which the rules of network-scripts do not tell apart.
        if (name, field) == ("ifcfg", "addresses") and ("ipv6 only" in before) != (
            "ipv6 only" in after
        ):
            either.add(FIRST6)
        assert set(getattr(found, field)) == either
    eni, wanted = eni_of(ENIS[after]), state_of(ENIS[after])
    has = {Address(address, 24, "eth1") for address in eni.addresses}
    has |= {Address(address, 128, "eth1") for address in eni.addresses6}
    present = KernelState(has, set(wanted.routes), set(wanted.rules), set())
    assert diff.changes(wanted, found, present) == []


@EACH
@EACH_ENI
def test_the_leases_address_is_never_recorded(name, case):
    leased = FIRST6.address if "ipv6 only" in case else "10.0.1.10"
    for cases in ((case,), (case, case)):
        assert leased not in {item.address for item in recorded_of(name, *cases).addresses}
    assert (FIRST6 in recorded_of(name, case).addresses) == ("dual stack" in case)
    for other in sorted(ENIS):
        found = recorded_of(name, case, other).addresses
        assert "10.0.1.10" not in {item.address for item in found}


@EACH
@pytest.mark.parametrize(
    "text",
    ["", "DEVICE=eth1\n", "# Generated by ec2net: \n", "auto eth1\niface eth1 inet dhcp\n"],
    ids=repr,
)
def test_text_of_somebody_else_records_nothing(name, text):
    assert host(name).recorded("eth1", text) == ("eth1", 0, "", (), (), ())


@EACH
@EACH_ENI
def test_writing_again_changes_nothing(name, case):
    present = generated(name, ENIS[case])
    again = host(name, present).files(state_of(ENIS[case]), eni_of(ENIS[case]))
    assert {path: text for path, text in again.items() if text is not None} == present


@EACH
def test_nothing_is_not_a_configuration(name):
    assert host(name).configuration("eth1")[:5] == (False, "", "", False, False)
    assert host(name).files_without("eth1") == {}


@EACH
@EACH_ENI
def test_every_file_begins_with_whose_it_is_and_fits_a_terminal(name, case):
    for path, text in generated(name, ENIS[case]).items():
        first = text.split("\n")[0]
        assert first == "# Generated by ec2net: eni-0a1, {0}, table 10001".format(SECOND), path
        assert re.match(r"[ -~\n]*\n\Z", text)
        assert max(len(line) for line in text.splitlines()) < 80


@EACH
@EACH_ENI
def test_eth1_goes_and_eth10_stays(name, case):
    ours = generated(name, ENIS[case])
    ten = generated(name, ENIS[case], state_of(ENIS[case], "eth10", 10010))
    both = host(name, dict(ours, **ten))
    assert both.files_without("eth1") == dict.fromkeys(ours)
    assert both.tables() == {"eth1": 10001, "eth10": 10010}


@EACH
def test_the_commands_are_argument_lists(name):
    one = host(name)
    if name == "networkd":
        set_link = ["ip", "link", "set", "dev", "eth1"]
        assert one.up_command("eth1") == set_link + ["up"]
        assert one.down_command("eth1") == set_link + ["down"]
        changed = ["/run/systemd/network/70-eth1.network", "/var/lib/ec2net/eth1.items"]
        assert one.RELOAD == ["networkctl", "reload"]
        assert (one.is_read(changed), one.is_read(changed[1:])) == (True, False)
        flush = ["addr", "flush", "dev", "eth1", "scope", "global"]
        assert one.forget_commands("eth1") == [
            ["networkctl", "reload"], ["ip"] + flush, ["ip", "-6"] + flush
        ]
        return
    assert one.up_command("eth1") == ["ifup", "eth1"]
    # --force: also what ifupdown has forgotten.
    force = ["--force"] if name == "ifupdown" else []
    assert one.down_command("eth1") == ["ifdown"] + force + ["eth1"]
    assert one.forget_commands("eth1") == one.RELOAD == []
    assert not one.is_read(["/etc/any"])
    assert one.is_up("eth1") is False
