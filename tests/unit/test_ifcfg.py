"""network-scripts: what the generated files say, whose a file is, and what gets into none."""
from __future__ import absolute_import, print_function, unicode_literals

import itertools
import re

import pytest

from ec2net_legacy import desired, metadata
from ec2net_legacy.backends import ifcfg, shell
from ec2net_legacy.kernel import diff
from ec2net_legacy.kernel.parse import KernelState
from ec2net_legacy.model import MAIN_TABLE, Address, Route
from tests.unit.fakes import SECOND, FakeReader, eni_texts, ipv6_texts

DIRECTORY = "/etc/sysconfig/network-scripts/"
IFCFG = DIRECTORY + "ifcfg-eth1"
ROUTE = DIRECTORY + "route-eth1"
ROUTE6 = DIRECTORY + "route6-eth1"
RULE = DIRECTORY + "rule-eth1"
RULE6 = DIRECTORY + "rule6-eth1"
DHCLIENT = "/etc/dhcp/dhclient-eth1.conf"
ALL = [IFCFG, ROUTE, ROUTE6, RULE, RULE6, DHCLIENT]

THREE = {"local-ipv4s": "10.0.1.10\n10.0.1.30\n10.0.1.20"}
PREFIXES = {"ipv4-prefix": "10.0.1.64/28\n10.0.1.48/28"}
ONE6 = {"ipv6s": "2600:1f18:0:1::10", "subnet-ipv6-cidr-blocks": "2600:1f18:0:1::/64"}
MORE6 = {
    "ipv6s": "2600:1f18:0:1::10\n2600:1f18:0:1::11\n2600:1f18:0:1::a",
    "subnet-ipv6-cidr-blocks": "2600:1f18:0:1::/64\n2600:1f18:0:2::/64",
    "ipv6-prefix": "2600:1f18:0:1:ab::/80",
}
ENIS = {
    "one address": eni_texts(),
    "three addresses": eni_texts(1, THREE),
    "prefixes": eni_texts(1, PREFIXES),
    "addresses and prefixes": eni_texts(1, dict(THREE, **PREFIXES)),
    "fifty addresses": eni_texts(
        1, {"local-ipv4s": "\n".join("10.0.1.{0}".format(n) for n in range(10, 60))}
    ),
    "dual stack": eni_texts(1, ONE6),
    "dual stack with more": eni_texts(1, dict(dict(THREE, **PREFIXES), **MORE6)),
    "ipv6 only": ipv6_texts(),
    "ipv6 only with more": ipv6_texts(1, MORE6),
}
LEASED = {
    case: "2600:1f18:0:1::10" if case.startswith("ipv6 only") else "10.0.1.10" for case in ENIS
}


def eni_of(texts):
    return metadata.parse_eni(SECOND, texts)


def state_of(texts, name="eth1", number=10001, main_metric=0, local_prefixes=False):
    return desired.interface_state(
        name,
        eni_of(texts),
        number,
        number,
        desired.Options(main_metric=main_metric, local_prefixes=local_prefixes, router=""),
    )


def backend_of(files):
    return ifcfg.Ifcfg(FakeReader(files))


def files_of(texts, state=None, present=None):
    """Return what the backend would write on a host that has the files `present`."""
    return backend_of(present or {}).files(state or state_of(texts), eni_of(texts))


def generated(texts=None, state=None):
    """Return the files of a host after that."""
    written = files_of(texts or eni_texts(), state)
    return {path: text for path, text in written.items() if text is not None}


def in_a_row(files):
    return "".join(files[path] or "" for path in sorted(files))


def kept_lines(files):
    """Return the lines that a configuration of `files` has: dhclient's are none of them."""
    text = in_a_row({path: files[path] for path in files if path != DHCLIENT})
    return [line for line in text.split("\n") if line]


def lines_of(text):
    """Return the lines that are not comments."""
    return [line for line in (text or "").splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("case", sorted(ENIS))
@pytest.mark.parametrize("name, number", [("eth1", 10001), ("ens6", 20100)])
@pytest.mark.parametrize("main_metric", [0, 10001], ids=["", "main route"])
@pytest.mark.parametrize("local_prefixes", [False, True], ids=["", "local prefixes"])
def test_what_is_written_can_be_read_back(case, name, number, main_metric, local_prefixes):
    state = state_of(ENIS[case], name, number, main_metric, local_prefixes)
    files = files_of(ENIS[case], state)
    assert backend_of({}).recorded(name, in_a_row(files)) == state._replace(primary="")


PAIRS = list(itertools.permutations(sorted(ENIS), 2))


def recorded_of(*cases):
    """Return what the texts of several ENIs are read as, one after the other."""
    texts = [text for case in cases for text in files_of(ENIS[case]).values() if text]
    return backend_of({}).recorded("eth1", "".join(texts))


@pytest.mark.parametrize("before, after", PAIRS)
def test_several_texts_in_a_row_record_what_either_adds(before, after):
    found, alone = recorded_of(before, after), (recorded_of(before), recorded_of(after))
    for field in ("addresses", "routes", "rules"):
        either = set(getattr(alone[0], field)) | set(getattr(alone[1], field))
        if field == "addresses" and LEASED[before] != LEASED[after]:
            # An ENI with IPv4 follows one without, or the other way round: the lease's address of
            # the latter is an added one of dual stack's.
            either.add(Address("2600:1f18:0:1::10", 128, "eth1"))
        assert set(getattr(found, field)) == either


@pytest.mark.parametrize("case", sorted(ENIS))
def test_the_leases_address_is_never_recorded(case):
    for cases in ((case,), (case, case)):
        assert LEASED[case] not in {item.address for item in recorded_of(*cases).addresses}
    for other in sorted(ENIS):
        assert "10.0.1.10" not in {item.address for item in recorded_of(case, other).addresses}


@pytest.mark.parametrize("before, after", PAIRS)
def test_several_texts_in_a_row_cost_no_address_that_is_assigned(before, after):
    eni = eni_of(ENIS[after])
    has = {Address(address, 24, "eth1") for address in eni.addresses}
    has |= {Address(address, 128, "eth1") for address in eni.addresses6}
    wanted = state_of(ENIS[after])
    present = KernelState(has, set(wanted.routes), set(wanted.rules), set())
    assert diff.changes(wanted, recorded_of(before, after), present) == []


def test_beside_ipv4_the_first_ipv6_address_is_recorded_as_added():
    first = Address("2600:1f18:0:1::10", 128, "eth1")
    assert recorded_of("dual stack").addresses == (first,)
    assert recorded_of("ipv6 only").addresses == ()


@pytest.mark.parametrize("text", ["", "DEVICE=eth1\n", "# Generated by ec2net: \n"], ids=repr)
def test_text_of_somebody_else_records_nothing(text):
    state = backend_of({}).recorded("eth1", text)
    assert (state.table, state.addresses, state.routes, state.rules) == (0, (), (), ())


@pytest.mark.parametrize(
    "line",
    [
        "10.0.1.0/24 dev eth2 table 10001",
        "10.0.1.0/24 dev eth10 table 10001",
        "10.99.0.0/16 via 10.0.1.7 dev eth1",
        "local 10.0.1.64/28 dev eth1 table 10001",
        "10.0.1.64/28 dev eth1 table 255",
        "blackhole 10.0.1.64/28 dev eth1 table 10001",
        "10.0.1.0/24 dev eth1 table 10001 mtu 9000",
        "pref 10001 from 10.0.1.11 lookup main",
        "pref 10001 from all lookup 10001",
        "pref 10001 from 10.0.1.11 lookup 10001 suppress_prefixlength 0",
    ],
)
def test_a_line_of_another_shape_records_nothing(line):
    text = generated()[RULE] + line + "\n"
    assert backend_of({}).recorded("eth1", text) == backend_of({}).recorded(
        "eth1", generated()[RULE]
    )


@pytest.mark.parametrize(
    "case, absent",
    [
        ("one address", [ROUTE6, RULE6]),
        ("dual stack", []),
        # DHCPv6 has nothing to supersede.
        ("ipv6 only", [ROUTE, RULE, DHCLIENT]),
    ],
)
def test_a_family_that_the_eni_has_not_has_no_files(case, absent):
    files = files_of(ENIS[case])
    assert sorted(files) == sorted(ALL)
    assert [path for path in sorted(files) if files[path] is None] == sorted(absent)


@pytest.mark.parametrize("case", sorted(ENIS))
def test_writing_again_changes_nothing(case):
    present = generated(ENIS[case])
    again = files_of(ENIS[case], present=present)
    assert {path: text for path, text in again.items() if text is not None} == present


@pytest.mark.parametrize(
    "case, said",
    [
        ("one address", {"BOOTPROTO": "dhcp", "IPV6INIT": "no"}),
        ("dual stack", {"BOOTPROTO": "dhcp", "IPV6INIT": "yes", "DHCPV6C": "yes"}),
        # DHCPv4 would give a 169.254 address there.
        ("ipv6 only", {"BOOTPROTO": "none", "IPV6INIT": "yes", "DHCPV6C": "yes"}),
    ],
)
def test_the_protocols_are_those_of_the_eni(case, said):
    assigned = dict(shell.assignments(files_of(ENIS[case])[IFCFG], IFCFG))
    assert {name: assigned.get(name) for name in said} == said
    assert ("DHCPV6C" in assigned) == ("DHCPV6C" in said)


def test_the_device_is_tied_to_its_address_and_main_stays_as_it_is():
    assigned = dict(shell.assignments(generated()[IFCFG], IFCFG))
    assert (assigned["DEVICE"], assigned["HWADDR"]) == ("eth1", SECOND)
    assert (assigned["DEFROUTE"], assigned["PEERDNS"]) == ("no", "no")
    assert assigned["NM_CONTROLLED"] == "no"


@pytest.mark.parametrize("case", sorted(ENIS))
@pytest.mark.parametrize("before", [{}, {IFCFG: "DEVICE=eth1\nEC2SYNC=yes\nHOTPLUG=yes\n"}])
def test_no_udev_rule_of_the_distributions_brings_it_up(case, before):
    text = files_of(ENIS[case], present=before)[IFCFG]
    assert text.count("HOTPLUG=") == 1
    assert dict(shell.assignments(text, IFCFG))["HOTPLUG"] == "no"


def test_the_dhclient_files_of_an_interface_are_those_of_no_other():
    directory = "/var/lib/dhclient/dhclient"
    assert backend_of({}).dhclient_files("eth1") == [
        directory + "-eth1.leases",
        directory + "6-eth1.leases",
        directory + "--eth1.lease",
        directory + "6--eth1.lease",
        "/var/run/dhclient-eth1.pid",
        "/var/run/dhclient6-eth1.pid",
    ]


@pytest.mark.parametrize("case", sorted(ENIS))
@pytest.mark.parametrize("local_prefixes", [False, True], ids=["", "local prefixes"])
def test_each_line_is_one_list_of_arguments_and_nothing_a_shell_expands(case, local_prefixes):
    state = state_of(ENIS[case], main_metric=10001, local_prefixes=local_prefixes)
    files = files_of(ENIS[case], state)
    for route, rule, family in ((ROUTE, RULE, 4), (ROUTE6, RULE6, 6)):
        part = state.of_family(family)
        assert lines_of(files[route]) == [item.arguments for item in part.routes]
        assert lines_of(files[rule]) == [item.arguments for item in part.rules]
    for path in (IFCFG, ROUTE, ROUTE6, RULE, RULE6):
        for line in lines_of(files[path]):
            assert re.match(r"[A-Za-z0-9 _.,:=/-]+\Z", line), line
    for line in lines_of(files[IFCFG]):
        assert re.match(r"[A-Z0-9_]+=[a-zA-Z0-9:-]+\Z", line), line


@pytest.mark.parametrize("case", sorted(ENIS))
def test_every_file_begins_with_whose_it_is_and_fits_a_terminal(case):
    for path, text in generated(ENIS[case]).items():
        first = text.split("\n")[0]
        assert first == "# Generated by ec2net: eni-0a1, {0}, table 10001".format(SECOND), path
        assert re.match(r"[ -~\n]*\Z", text)
        assert text.endswith("\n")
        assert max(len(line) for line in text.splitlines()) < 80


def test_only_acknowledgements_are_superseded():
    assert "if option dhcp-message-type = 5 {\n  supersede" in generated()[DHCLIENT]


class TestConfiguration(object):
    """Whose an interface's configuration is."""

    def test_nothing_is_not_a_configuration(self):
        found = backend_of({}).configuration("eth1")
        assert (found.exists, found.text, found.keep, found.edited) == (False, "", "", False)
        assert not found.inherited

    @pytest.mark.parametrize("case", sorted(ENIS))
    def test_generated_files_are_ours(self, case):
        files = generated(ENIS[case])
        found = backend_of(files).configuration("eth1")
        assert (found.exists, found.keep, found.edited, found.inherited) == (True, "", False, False)
        assert [line for line in found.text.split("\n") if line] == kept_lines(files)

    @pytest.mark.parametrize(
        "line",
        [
            "EC2SYNC=no",
            "EC2SYNC='no'",
            'EC2SYNC="no"',
            "EC2SYNC=n\\o",
            "EC2SYNC=NO",
            "EC2SYNC=off",
            "EC2SYNC=false",
            "EC2SYNC=0",
            "  EC2SYNC=no   # mine",
            "export EC2SYNC=no",
            "MTU=9001 EC2SYNC=no",
            "MTU=9001; EC2SYNC=no",
        ],
    )
    @pytest.mark.parametrize("place", ["before", "after", "at the end"])
    @pytest.mark.parametrize("ours", [True, False], ids=["generated", "inherited"])
    def test_ec2sync_no_anywhere_in_the_file_stops_everything(self, line, place, ours):
        files = generated() if ours else {IFCFG: "DEVICE=eth1\nEC2SYNC=yes\nMTU=9001\n"}
        before, after = files[IFCFG].split("EC2SYNC=yes\n")
        files[IFCFG] = {
            "before": before + line + "\nEC2SYNC=yes\n" + after,
            "after": before + "EC2SYNC=yes\n" + line + "\n" + after,
            "at the end": before + after + line,
        }[place]
        found = backend_of(files).configuration("eth1")
        assert found.keep == IFCFG + " says EC2SYNC=no"
        assert (found.exists, found.text, found.edited) == (True, "", False)
        assert not found.inherited

    def test_beside_ec2sync_no_another_reason_is_no_surprise(self):
        files = dict(generated(), **{ROUTE: "# mine\n", DIRECTORY + "ifcfg-foo": "DEVICE=eth1\n"})
        files[IFCFG] += "EC2SYNC=no\n"
        found = backend_of(files).configuration("eth1")
        assert (found.keep, found.edited) == (IFCFG + " says EC2SYNC=no", False)

    @pytest.mark.parametrize(
        "text",
        [
            "if true; then\n  EC2SYNC=no\nfi\n",
            "if true; then\n\texport EC2SYNC='no'\nfi\n",
            "f() {\nEC2SYNC=\"NO\"\n}\n",
            "[ -e /etc/stop ] ||\nEC2SYNC=no;\n",
            "EC2SYNC=no# mine\n",
        ],
        ids=repr,
    )
    def test_it_counts_as_for_the_older_tools_where_only_a_shell_could_tell(self, text):
        files = generated()
        files[IFCFG] += text
        found = backend_of(files).configuration("eth1")
        assert (found.keep, found.edited) == (IFCFG + " says EC2SYNC=no", False)
        assert (found.knobs.sync, found.text) == (False, "")

    @pytest.mark.parametrize("ending", ["\r\n", "\x0b\n", "\x0c\n"], ids=repr)
    def test_it_counts_in_a_file_of_another_editor(self, ending):
        files = generated()
        text = files[IFCFG].replace("EC2SYNC=yes", "EC2SYNC=no")
        files[IFCFG] = text.replace("\n", ending)
        found = backend_of(files).configuration("eth1")
        assert (bool(found.keep), found.text, found.knobs.sync) == (True, "", False)

    @pytest.mark.parametrize(
        "line",
        ["EC2SYNC=yes", "EC2SYNC=", "# EC2SYNC=no", "XEC2SYNC=no", "EC2SYNC_=no", "N='EC2SYNC=no'"],
    )
    def test_what_only_looks_like_it_does_not(self, line):
        files = generated()
        files[IFCFG] += line + "\n"
        assert backend_of(files).configuration("eth1").keep == ""

    @pytest.mark.parametrize("value", ["maybe", "none", "'not now'"])
    def test_an_unclear_value_stops_as_well_and_is_told(self, value):
        files = generated()
        files[IFCFG] += "EC2SYNC={0}\n".format(value)
        found = backend_of(files).configuration("eth1")
        problem = "EC2SYNC is '{0}': expected yes or no".format(value.strip("'"))
        assert found.keep == "{0}: {1}".format(IFCFG, problem)
        assert (found.edited, found.text) == (True, "")
        assert found.knobs.problems == (problem,)

    def test_an_ifcfg_without_mark_or_ec2sync_is_the_administrators(self):
        found = backend_of({IFCFG: "DEVICE=eth1\nBOOTPROTO=static\n"}).configuration("eth1")
        assert found.keep == IFCFG + " is not generated by ec2net"
        assert (found.exists, found.edited, found.inherited) == (True, True, False)

    @pytest.mark.parametrize("path", [ROUTE, ROUTE6, RULE, RULE6])
    @pytest.mark.parametrize(
        "text",
        [
            "10.99.0.0/16 via 10.0.1.7 dev eth1\n",
            "10.99.0.0/16 via 10.0.1.7\n",
            "from 10.0.1.99 table 300\n",
            "ADDRESS0=10.99.0.0\nNETMASK0=255.255.0.0\nGATEWAY0=10.0.1.7\n",
            "# mine\n",
        ],
    )
    def test_an_administrators_file_beside_it_stops_as_well(self, path, text):
        found = backend_of(dict(generated(), **{path: text})).configuration("eth1")
        assert found.keep == path + " is not generated by ec2net"
        assert (found.edited, found.text) == (True, "")

    @pytest.mark.parametrize(
        "text",
        [
            "DEVICE=eth1\n",
            'DEVICE="eth1"\n',
            "DEVICE='eth1'\n",
            "DEVICE=eth0\nDEVICE=eth1\n",
            "NAME=foo DEVICE=eth1 # the second one\n",
            "export DEVICE=eth1",
        ],
    )
    @pytest.mark.parametrize("ours", [True, False], ids=["beside ours", "alone"])
    def test_another_ifcfg_of_the_device_is_the_administrators_configuration(self, text, ours):
        other = DIRECTORY + "ifcfg-foo"
        found = backend_of(dict(generated() if ours else {}, **{other: text})).configuration("eth1")
        assert (found.keep, found.exists) == (other + " configures it", ours)
        assert (found.edited, found.text) == (False, "")

    @pytest.mark.parametrize(
        "text, about",
        [
            ("NAME=foo\nHWADDR=02:00:00:00:00:02\nBOOTPROTO=static\n", True),
            ("HWADDR='02:00:00:00:00:02'\n", True),
            ("DEVICE=\nHWADDR=02:00:00:00:00:02\n", True),
            ("HWADDR=02:00:00:00:00:03\n", False),
            # DEVICE says it, whatever else there is.
            ("DEVICE=eth2\nHWADDR=02:00:00:00:00:02\n", False),
            ("HWADDR=\n", False),
            ("NAME=eth1\n", False),
        ],
    )
    def test_an_ifcfg_of_the_address_is_the_administrators_configuration(self, text, about):
        other = DIRECTORY + "ifcfg-foo"
        sysfs = {
            "/sys/class/net/eth1/address": SECOND + "\n",
            "/sys/class/net/eth2/address": "02:00:00:00:00:04\n",
        }
        for files in ({}, generated()):
            backend = backend_of(dict(dict(files, **sysfs), **{other: text}))
            expected = other + " configures it" if about else ""
            assert backend.configuration("eth1").keep == expected
            assert (backend.configuration("eth2").keep != "") == ("DEVICE=eth2" in text)

    def test_an_address_is_the_same_in_capitals(self):
        files = {
            "/sys/class/net/eth1/address": "0a:ec:20:00:00:01\n",
            DIRECTORY + "ifcfg-foo": "HWADDR=0A:EC:20:00:00:01\n",
        }
        assert "ifcfg-foo" in backend_of(files).configuration("eth1").keep

    @pytest.mark.parametrize(
        "name, text",
        [
            ("ifcfg-eth1.bak", "DEVICE=eth1\n"),
            ("ifcfg-eth1.old", "DEVICE=eth1\n"),
            ("ifcfg-eth1.orig", "DEVICE=eth1\n"),
            ("ifcfg-eth1~", "DEVICE=eth1\n"),
            ("ifcfg-eth1.rpmnew", "DEVICE=eth1\n"),
            ("ifcfg-eth1.rpmsave", "DEVICE=eth1\n"),
            ("ifcfg-eth1:0", "DEVICE=eth1:0\nIPADDR=10.0.1.99\n"),
            ("ifcfg-eth1.5", "DEVICE=eth1.5\nVLAN=yes\n"),
            ("ifcfg-eth10", "DEVICE=eth10\n"),
            ("ifcfg-eth2", "#DEVICE=eth1\nDEVICE=eth2\n"),
            ("route-foo", "DEVICE=eth1\n"),
        ],
    )
    def test_copies_aliases_and_others_are_no_conflict(self, name, text):
        files = dict(generated(), **{DIRECTORY + name: text})
        assert backend_of(files).configuration("eth1").keep == ""

    def test_an_administrators_dhclient_conf_does_not_stop_the_rest(self):
        files = dict(generated(), **{DHCLIENT: "send host-name \"x\";\n"})
        assert backend_of(files).configuration("eth1").keep == ""


# As the releases wrote it: 2012, 2018 and 2021.
OLD_IFCFG = (
    "DEVICE=eth1\nBOOTPROTO=dhcp\nONBOOT=yes\nTYPE=Ethernet\nUSERCTL=yes\nPEERDNS=no\n"
    "IPV6INIT=yes\nDHCPV6C=yes\nDHCPV6C_OPTIONS=-nw\nPERSISTENT_DHCLIENT=yes\n"
    "HWADDR=02:00:00:00:00:02\nDEFROUTE=no\nEC2SYNC=yes\n"
)
OLD_DEFAULT = "default via 10.0.1.1 dev eth1 table 10001\n"
OLD_MAIN = "default via 10.0.1.1 dev eth1 metric 10001\n"
SUPERSEDE = "supersede dhcp-server-identifier 255.255.255.255;\n"
OLDER_TOOLS = {
    "1.0": {IFCFG: OLD_IFCFG, ROUTE: OLD_DEFAULT + OLD_MAIN, DHCLIENT: SUPERSEDE},
    "1.2": {
        IFCFG: OLD_IFCFG,
        ROUTE: OLD_DEFAULT
        + "10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10 table 10001\n"
        + OLD_MAIN,
        ROUTE6: "default via fe80::8ff:fe00:1 dev eth1 table 10001\n",
        DHCLIENT: SUPERSEDE + "timeout 300;\n",
    },
    "1.7": {
        IFCFG: OLD_IFCFG + "MAINROUTETABLE=no\nEC2PROVISIONPFXIPS=yes\n",
        ROUTE: OLD_DEFAULT
        + "10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10 table 10001\n",
        DHCLIENT: SUPERSEDE + "\ttimeout 300;\n",
    },
    "with a netmask": {
        IFCFG: OLD_IFCFG,
        ROUTE: OLD_DEFAULT
        + "10.0.1.0/255.255.255.0 dev eth1 proto kernel scope link src 10.0.1.10 table 10001\n",
    },
    "no IPv4 address in metadata": {
        IFCFG: OLD_IFCFG,
        ROUTE: OLD_DEFAULT + "10.0.1.0/24 dev eth1 proto kernel scope link src  table 10001\n",
    },
    "no router in metadata": {
        IFCFG: OLD_IFCFG,
        ROUTE: OLD_DEFAULT,
        ROUTE6: "default via  dev eth1 table 10001\n",
    },
    "route file emptied": {IFCFG: OLD_IFCFG, ROUTE: ""},
    "ifcfg alone": {IFCFG: OLD_IFCFG},
}


@pytest.mark.parametrize("version", sorted(OLDER_TOOLS))
class TestOlderTools(object):
    """What ec2-net-utils 1.x and its forks left is taken over."""

    def test_it_is_inherited(self, version):
        files = OLDER_TOOLS[version]
        found = backend_of(files).configuration("eth1")
        assert (found.exists, found.keep, found.inherited) == (True, "", True)
        assert [line for line in found.text.split("\n") if line] == kept_lines(files)
        assert backend_of(files).warning("eth1") == ""

    def test_its_routes_are_recorded_as_the_kernel_shows_them(self, version):
        files = OLDER_TOOLS[version]
        routes = backend_of(files).recorded("eth1", in_a_row(files)).routes
        known = state_of(eni_texts(), main_metric=10001).routes + (
            Route("default", "fe80::8ff:fe00:1", "eth1", 10001, 6),
        )
        assert set(routes) <= set(known)
        # Without a router it is none.
        assert len(routes) == sum(
            text.count("\n") - text.count("via  dev")
            for path, text in files.items()
            if path in (ROUTE, ROUTE6)
        )

    def test_it_is_replaced_as_a_whole_and_the_users_wishes_stay(self, version):
        reader = FakeReader(OLDER_TOOLS[version])
        before = ifcfg.Ifcfg(reader).configuration("eth1").knobs
        reader.put(ifcfg.Ifcfg(reader).files(state_of(eni_texts()), eni_of(eni_texts())))
        after = ifcfg.Ifcfg(reader).configuration("eth1")
        assert (after.keep, after.inherited, after.knobs) == ("", False, before)
        assert all(text.startswith("# Generated by ec2net") for text in reader.files.values())

    def test_it_goes_as_a_whole(self, version):
        reader = FakeReader(OLDER_TOOLS[version])
        reader.put(ifcfg.Ifcfg(reader).files_without("eth1"))
        assert reader.files == {}


@pytest.mark.parametrize("path", [ROUTE, ROUTE6, RULE, RULE6])
@pytest.mark.parametrize(
    "line",
    [
        "10.99.0.0/16 via 10.0.1.7 dev eth1 table 10001",
        "10.99.0.0/16 via 10.0.1.7 dev eth1 table 300",
        "10.99.0.0/16 via 10.0.1.7 dev eth1 metric 50",
        "10.0.1.0/24 dev eth1 table 10001",
        "10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10",
        "10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10 table 10002",
        "10.0.1.0/24 dev eth2 proto kernel scope link src 10.0.1.10 table 10001",
        "default via 10.0.1.1 dev eth1",
        "default via 10.0.1.1 dev eth1 table 10002",
        "default via 10.0.1.1 dev eth1 table 100010",
        "default via 10.0.1.1 dev eth1 table main",
        "default via 10.0.1.1 dev eth1 metric 50",
        "default via 10.0.1.1 dev eth2 table 10001",
        "default via 10.0.1.1 dev eth1 table 10001 mtu 1400",
        "# default via 10.0.1.1 dev eth1 table 10001",
        "from 10.0.1.10 lookup 10001",
    ],
)
def test_an_administrators_file_of_almost_their_shape_is_kept(path, line):
    for others in (generated(), {IFCFG: OLD_IFCFG}):
        for text in (line + "\n", OLD_DEFAULT + line + "\n", line + "\n" + OLD_MAIN):
            found = backend_of(dict(others, **{path: text})).configuration("eth1")
            assert (found.keep, found.edited) == (path + " is not generated by ec2net", True)


@pytest.mark.parametrize("name, table", [("eth0", 10000), ("eth12", 10012), ("ens6", 10000)])
def test_their_table_is_10000_and_the_number_of_the_name_if_it_has_one(name, table):
    for number in (10000, 10001, 10012, 10006):
        files = {
            DIRECTORY + "ifcfg-" + name: "DEVICE={0}\nEC2SYNC=yes\n".format(name),
            DIRECTORY + "route-" + name: "default via 10.0.1.1 dev {0} table {1}\n".format(
                name, number
            ),
        }
        found = backend_of(files).configuration(name)
        assert (found.keep == "", found.inherited) == (number == table, number == table)


class Linked(FakeReader):
    """Files of which dhclient's is a symbolic link."""

    def may_write(self, path):
        return path != DHCLIENT


def admins_dhclient():
    return FakeReader(dict(generated(), **{DHCLIENT: "timeout 60;\n" + SUPERSEDE}))


def linked_dhclient():
    return Linked(generated())


def dangling_dhclient():
    files = generated()
    del files[DHCLIENT]
    return Linked(files)


@pytest.mark.parametrize("reader", [admins_dhclient, linked_dhclient, dangling_dhclient])
def test_a_dhclient_conf_that_is_not_ours_to_write_is_kept_and_told(reader):
    backend = ifcfg.Ifcfg(reader())
    assert DHCLIENT in backend.warning("eth1")
    assert DHCLIENT not in backend.files(state_of(eni_texts()), eni_of(eni_texts()))
    assert sorted(backend.files_without("eth1")) == sorted([IFCFG, ROUTE, RULE])


def test_without_anything_unusual_there_is_no_warning():
    assert backend_of({}).warning("eth1") == backend_of(generated()).warning("eth1") == ""


def test_a_knob_that_is_neither_yes_nor_no_is_told_beside_the_rest():
    files = dict(generated(), **{DHCLIENT: "# mine\n"})
    files[IFCFG] += "MAINROUTETABLE=sometimes\n"
    assert "MAINROUTETABLE is 'sometimes'" in backend_of(files).warning("eth1")
    assert DHCLIENT in backend_of(files).warning("eth1")


def test_taking_away_what_is_not_there_is_nothing():
    assert backend_of({}).files_without("eth1") == {}


def test_eth1_goes_and_eth10_stays():
    texts = eni_texts(1, ONE6)
    ten = {path.replace("eth1", "eth10"): text for path, text in generated(texts).items()}
    reader = FakeReader(dict(generated(texts), **ten))
    reader.put(ifcfg.Ifcfg(reader).files_without("eth1"))
    assert reader.files == ten


def test_the_numbers_of_all_generated_files_are_known():
    one, six = generated()[IFCFG], generated(eni_texts(), state_of(eni_texts(), "ens6", 15000))
    files = {
        IFCFG: one,
        IFCFG + ".bak": one,
        IFCFG + "~": one,
        IFCFG + "-20260101": one,
        DIRECTORY + "ifcfg-eth2": one.replace("10001", "10002").replace("=eth1", "=eth2")
        + "EC2SYNC=no\n",
        DIRECTORY + "ifcfg-eth3": "DEVICE=eth3\n",
        DIRECTORY + "ifcfg-eth4": "\n" + one,
    }
    files.update(six)
    assert backend_of(files).tables() == {"eth1": 10001, "eth2": 10002, "ens6": 15000}


def test_a_number_in_a_file_of_another_editor_is_known():
    files = {IFCFG: generated()[IFCFG].replace("\n", "\r\n")}
    assert backend_of(files).tables() == {"eth1": 10001}


@pytest.mark.parametrize(
    "pids, command, expected",
    [
        ({}, "", False),
        ({"dhclient-eth1.pid": "77\n"}, "/sbin/dhclient\0-q\0eth1\0", True),
        ({"dhclient6-eth1.pid": "77"}, "/sbin/dhclient\0-6\0eth1\0", True),
        ({"dhclient-eth1.pid": "77"}, "/sbin/dhclient\0-q\0eth10\0", False),
        ({"dhclient-eth1.pid": "77"}, "/usr/bin/vi\0/etc/dhcp/dhclient-eth1.conf\0", False),
        ({"dhclient-eth1.pid": "78"}, "/sbin/dhclient\0-q\0eth1\0", False),
        ({"dhclient-eth1.pid": ""}, "/sbin/dhclient\0-q\0eth1\0", False),
        ({"dhclient-eth1.pid": "../77"}, "/sbin/dhclient\0-q\0eth1\0", False),
        ({"dhclient-eth10.pid": "77"}, "/sbin/dhclient\0-q\0eth1\0", False),
    ],
)
def test_an_interface_is_up_while_the_dhclient_of_its_pid_file_lives(pids, command, expected):
    files = {"/var/run/" + name: pid for name, pid in pids.items()}
    files["/proc/77/cmdline"] = command
    assert backend_of(files).is_up("eth1") is expected


def test_the_distributions_commands_are_argument_lists():
    assert backend_of({}).up_command("eth1") == ["ifup", "eth1"]
    assert backend_of({}).down_command("eth1") == ["ifdown", "eth1"]


class TestTheUsersVariables(object):
    """What is kept of an ifcfg file that is written anew."""

    def rewritten(self, more, texts=None):
        """Return the assignments of a generated file that had `more`, after two more runs."""
        reader = FakeReader(generated())
        reader.files[IFCFG] += more
        for _ in range(2):
            eni = eni_of(texts or eni_texts())
            reader.put(ifcfg.Ifcfg(reader).files(state_of(texts or eni_texts()), eni))
        return shell.assignments(reader.files[IFCFG], IFCFG)

    @pytest.mark.parametrize(
        "name, value",
        [("MAINROUTETABLE", "no"), ("EC2PROVISIONPFXIPS", "yes"), ("MAINROUTETABLE", "yes")],
    )
    def test_knobs_stay(self, name, value):
        found = self.rewritten("{0}={1}\n".format(name, value))
        assert [pair for pair in found if pair[0] == name] == [(name, value)]

    @pytest.mark.parametrize(
        "line, expected",
        [
            ("MTU=9001", ("MTU", "9001")),
            ("ETHTOOL_OPTS='-K eth1 tso off'", ("ETHTOOL_OPTS", "-K eth1 tso off")),
            ('NAME="System eth1"', ("NAME", "System eth1")),
            ("export DHCP_HOSTNAME=host-1.example", ("DHCP_HOSTNAME", "host-1.example")),
            ("EMPTY=", ("EMPTY", "")),
        ],
    )
    def test_other_variables_stay(self, line, expected):
        assert self.rewritten(line + "\n").count(expected) == 1

    @pytest.mark.parametrize(
        "line", ["DEVICE=eth7", "BOOTPROTO=static", "DHCPV6C=yes", "ONBOOT=no"]
    )
    def test_what_the_eni_decides_is_set_anew(self, line):
        name, value = line.split("=")
        assert (name, value) not in self.rewritten(line + "\n")

    @pytest.mark.parametrize(
        "line",
        [
            'ETHTOOL_OPTS="-K eth1 tso off; -G eth1 rx 4096"',
            'NAME="B\xfcro"',
            "DHCP_HOSTNAME='$(hostname -s)'",
            "KEY='`id`'",
            "SCRIPT=../../tmp/x",
        ],
    )
    def test_one_that_is_not_harmless_is_dropped_and_told(self, line, caplog):
        name = line.split("=")[0]
        with caplog.at_level("WARNING"):
            assert name not in dict(self.rewritten(line + "\n"))
        (said,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
        assert said.startswith("{0}: {1}=".format(IFCFG, name))
        assert "not kept" in said

    @pytest.mark.parametrize(
        "line", ['ETHTOOL_OPTS="-K ${DEVICE} tso off"', 'DHCP_HOSTNAME="$(hostname -s)"']
    )
    def test_what_only_a_shell_could_compute_is_ignored_with_a_debug_line(self, line, caplog):
        name = line.split("=")[0]
        with caplog.at_level("DEBUG"):
            assert name not in dict(self.rewritten(line + "\n"))
        said = [one for one in caplog.records if name in one.getMessage()]
        assert said
        assert {one.levelname for one in said} == {"DEBUG"}
        assert all(IFCFG in one.getMessage() for one in said)

    def test_of_an_eni_that_lost_ipv6_no_dhcpv6_is_left(self):
        reader = FakeReader(generated(eni_texts(1, ONE6)))
        reader.put(ifcfg.Ifcfg(reader).files(state_of(eni_texts()), eni_of(eni_texts())))
        assert "DHCPV6C" not in reader.files[IFCFG]
        assert sorted(reader.files) == sorted([IFCFG, ROUTE, RULE, DHCLIENT])


HOSTILE = [
    "$(touch /tmp/pwned)",
    "`touch /tmp/pwned`",
    "1;touch /tmp/pwned",
    "1\ntouch /tmp/pwned",
    "1 & touch /tmp/pwned",
    "> /tmp/pwned",
    "../../tmp/pwned",
    "1';touch /tmp/pwned;'",
    '1";touch /tmp/pwned;"',
    "\\$(touch /tmp/pwned)",
]
NAMES = [name for name, _ in shell.assignments(generated(eni_texts(1, ONE6))[IFCFG], IFCFG)]


def nothing_gets_through(files):
    backend = backend_of(files)
    eni = eni_of(eni_texts(1, dict(THREE, **ONE6)))
    # Also where what is there would keep the product from writing.
    written = backend.files(state_of(eni_texts(1, dict(THREE, **ONE6)), main_metric=10001), eni)
    assert "pwned" not in in_a_row(written)
    assert "touch" not in in_a_row(written)
    assert "pwned" not in repr(backend.recorded("eth1", in_a_row(files)))
    assert "pwned" not in repr(backend.recorded("eth1", backend.configuration("eth1").text))


FORMS = ["{0}={1}\n", "{0}='{1}'\n", '{0}="{1}"\n', "export {0}={1}\n"]


@pytest.mark.parametrize("name", NAMES + ["MTU"])
@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_no_value_of_an_ifcfg_file_reaches_a_shell(name, form):
    ours = generated()
    for value in HOSTILE:
        line = form.format(name, value)
        nothing_gets_through({IFCFG: line + "EC2SYNC=yes\n"})
        nothing_gets_through(dict(ours, **{IFCFG: ours[IFCFG] + line}))


LINES = [
    "default via {0} dev eth1 table 10001",
    "default via 10.0.1.1 dev eth1{0} table 10001",
    "default via 10.0.1.1 dev {0} table 10001",
    "default via 10.0.1.1 dev eth1 table 10001 {0}",
    "10.0.1.0/24{0} dev eth1 table 10001",
    "{0} dev eth1 table 10001",
    "10.0.1.0/24 dev eth1 proto kernel scope link src {0} table 10001",
    "pref 10001 from {0} lookup 10001",
    "pref 10001 from 10.0.1.11 lookup 10001 {0}",
    "{0}",
]


@pytest.mark.parametrize("path", [ROUTE, ROUTE6, RULE, RULE6, DHCLIENT])
@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_no_line_of_another_file_reaches_ip_or_a_shell(path, value):
    ours = generated()
    header = ours[ROUTE].split("\n")[0] + "\n"
    for line in LINES:
        for before in ("", header):
            nothing_gets_through(dict(ours, **{path: before + line.format(value) + "\n"}))


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_no_header_is_copied(path, value):
    files = generated(eni_texts(1, ONE6))
    rest = files[path].split("\n", 1)[1]
    for header in ("{0}, {1}, table 10001", "eni-0a1, {0}, table 10001", "eni-0a1, {1}, table {0}"):
        files[path] = "# Generated by ec2net: " + header.format(value, SECOND) + "\n" + rest
        nothing_gets_through(files)


def test_an_administrators_route_of_main_is_not_recorded():
    routes = backend_of({}).recorded("eth1", OLD_MAIN + "default via 10.0.1.1 dev eth1\n").routes
    assert routes == (Route("default", "10.0.1.1", "eth1", MAIN_TABLE, 4, 10001),)


def test_main_has_our_connected_route_from_the_route_file():
    assert lines_of(files_of(eni_texts(), state_of(eni_texts(), number=20001))[ROUTE]) == [
        "10.0.1.0/24 dev eth1 metric 20001",
        "10.0.1.0/24 dev eth1 table 20001",
        "default via 10.0.1.1 dev eth1 table 20001",
    ]


def test_of_ipv6_main_is_left_as_it_is():
    files = files_of(ENIS["dual stack"])
    assert [line for line in lines_of(files[ROUTE6]) if "table" not in line] == []


def test_our_connected_route_of_main_is_recorded():
    routes = backend_of({}).recorded("eth1", generated()[ROUTE]).routes
    assert [route for route in routes if route.table == MAIN_TABLE] == [
        Route("10.0.1.0/24", "", "eth1", MAIN_TABLE, 4, 10001)
    ]


@pytest.mark.parametrize("more", ["", " proto kernel scope link src 10.0.1.10"], ids=["", "src"])
def test_a_connected_route_of_main_without_a_number_of_ours_is_not_recorded(more):
    line = "10.0.1.0/24 dev eth1" + more + "\n"
    assert backend_of({}).recorded("eth1", OLD_MAIN + line).routes == (
        Route("default", "10.0.1.1", "eth1", MAIN_TABLE, 4, 10001),
    )
