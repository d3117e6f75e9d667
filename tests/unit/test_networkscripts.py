"""network-scripts: what the generated files say, whose a file is, and what gets into none."""
from __future__ import absolute_import, print_function, unicode_literals

import posixpath
import re

import pytest

from ec2net_legacy.distributions import networkscripts
from ec2net_legacy.distributions.networkscripts import shell
from ec2net_legacy.model import MAIN_TABLE, Route
from tests.unit.enis import ENIS, ONE6, THREE, eni_of, state_of
from tests.unit.fakes import SECOND, FakeReader, eni_texts

DIRECTORY = "/etc/sysconfig/network-scripts/"
IFCFG, ROUTE, ROUTE6, RULE, RULE6 = [
    DIRECTORY + kind + "-eth1" for kind in ("ifcfg", "route", "route6", "rule", "rule6")
]
FOO = DIRECTORY + "ifcfg-foo"
DHCLIENT = "/etc/dhcp/dhclient-eth1.conf"
ALL = [IFCFG, ROUTE, ROUTE6, RULE, RULE6, DHCLIENT]
EACH_ENI = pytest.mark.parametrize("case", sorted(ENIS))


def host(files=()):
    return networkscripts.Distribution(FakeReader(files))


def files_of(texts, state=None, present=()):
    """Return what would be written on a host that has the files `present`."""
    return host(present).files(state or state_of(texts), eni_of(texts))


def generated(texts=None, state=None):
    """Return the files of a host after that."""
    written = files_of(texts or eni_texts(), state)
    return {path: text for path, text in written.items() if text is not None}


def plus(text):
    """Return generated files with `text` at the end of ifcfg-eth1."""
    files = generated()
    return dict(files, **{IFCFG: files[IFCFG] + text})


def in_a_row(files):
    return "".join(files[path] or "" for path in sorted(files))


def kept_lines(files):
    """Return the lines that a configuration of `files` has: dhclient's are none of them."""
    text = in_a_row({path: files[path] for path in files if path != DHCLIENT})
    return [line for line in text.split("\n") if line]


def lines_of(text):
    """Return the lines that are not comments."""
    return [line for line in (text or "").splitlines() if not line.startswith("#")]


def recorded(text):
    return host().recorded("eth1", text)


@pytest.mark.parametrize(
    "line",
    [
        "10.0.1.0/24 dev eth2 table 10001", "10.0.1.0/24 dev eth10 table 10001",
        "10.0.1.0/24 dev eth1", "10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10",
        "10.99.0.0/16 via 10.0.1.7 dev eth1", "default via 10.0.1.1 dev eth1",
        "local 10.0.1.64/28 dev eth1 table 10001", "10.0.1.64/28 dev eth1 table 255",
        "10.0.1.64/99 dev eth1 table 10001", "blackhole 10.0.1.64/28 dev eth1 table 10001",
        "10.0.1.0/24 dev eth1 table 10001 mtu 9000", "pref 10001 from 10.0.1.11 lookup main",
        "pref 10001 from all lookup 10001",
        "pref 10001 from 10.0.1.11 lookup 10001 suppress_prefixlength 0",
    ],
)
def test_a_line_of_another_shape_or_of_the_administrators_records_nothing(line):
    for text in (generated()[RULE], OLD_MAIN):
        assert recorded(text + line + "\n") == recorded(text)


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


@pytest.mark.parametrize(
    "case, said",
    [
        ("one address", {"BOOTPROTO": "dhcp", "IPV6INIT": "no"}),
        ("dual stack", {"BOOTPROTO": "dhcp", "IPV6INIT": "yes", "DHCPV6C": "yes"}),
        # DHCPv4 would give a 169.254 address there.
        ("ipv6 only", {"BOOTPROTO": "none", "IPV6INIT": "yes", "DHCPV6C": "yes"}),
    ],
)
def test_the_variables_are_those_of_the_eni_and_main_stays_as_it_is(case, said):
    expected = {"DEVICE": "eth1", "HWADDR": SECOND, "DEFROUTE": "no", "PEERDNS": "no"}
    expected.update(said, NM_CONTROLLED="no")
    assigned = dict(shell.assignments(files_of(ENIS[case])[IFCFG], IFCFG))
    assert {name: assigned.get(name) for name in expected} == expected
    assert ("DHCPV6C" in assigned) == ("DHCPV6C" in said)


@EACH_ENI
@pytest.mark.parametrize("before", [{}, {IFCFG: "DEVICE=eth1\nEC2SYNC=yes\nHOTPLUG=yes\n"}])
def test_no_udev_rule_of_the_distributions_brings_it_up(case, before):
    text = files_of(ENIS[case], present=before)[IFCFG]
    assert re.findall("HOTPLUG=.*", text) == ["HOTPLUG=no"]


def test_the_dhclient_files_of_an_interface_are_those_of_no_other():
    directory = "/var/lib/dhclient/dhclient"
    assert host().dhclient_files("eth1") == [
        directory + "-eth1.leases",
        directory + "6-eth1.leases",
        directory + "--eth1.lease",
        directory + "6--eth1.lease",
        "/var/run/dhclient-eth1.pid",
        "/var/run/dhclient6-eth1.pid",
    ]


@EACH_ENI
@pytest.mark.parametrize("local_prefixes", [False, True], ids=["", "local prefixes"])
def test_each_line_is_one_list_of_arguments_and_nothing_a_shell_expands(case, local_prefixes):
    state = state_of(ENIS[case], main_metric=10001, local_prefixes=local_prefixes)
    files = files_of(ENIS[case], state)
    for route, rule, family in ((ROUTE, RULE, 4), (ROUTE6, RULE6, 6)):
        part = state.of_family(family)
        assert lines_of(files[route]) == [item.arguments for item in part.routes]
        assert lines_of(files[rule]) == [item.arguments for item in part.rules]
    for line in [line for path in ALL[:-1] for line in lines_of(files[path])]:
        assert re.match(r"[A-Za-z0-9 _.,:=/-]+\Z", line), line
    for line in lines_of(files[IFCFG]):
        assert re.match(r"[A-Z0-9_]+=[a-zA-Z0-9:-]+\Z", line), line


def test_only_acknowledgements_are_superseded():
    assert "if option dhcp-message-type = 5 {\n  supersede" in generated()[DHCLIENT]


class TestConfiguration(object):
    """Whose an interface's configuration is."""

    @EACH_ENI
    def test_generated_files_are_ours(self, case):
        files = generated(ENIS[case])
        found = host(files).configuration("eth1")
        assert (found.exists, found.keep, found.edited, found.inherited) == (True, "", False, False)
        assert [line for line in found.text.split("\n") if line] == kept_lines(files)

    @pytest.mark.parametrize(
        "line",
        [
            "EC2SYNC=no", "EC2SYNC='no'", 'EC2SYNC="no"', "EC2SYNC=n\\o", "EC2SYNC=NO",
            "EC2SYNC=off", "EC2SYNC=false", "EC2SYNC=0", "  EC2SYNC=no   # mine",
            "EC2SYNC=no# mine", "export EC2SYNC=no", "MTU=9001 EC2SYNC=no", "MTU=9001; EC2SYNC=no",
            "if true; then\n  EC2SYNC=no\nfi", "if true; then\n\texport EC2SYNC='no'\nfi",
            "f() {\nEC2SYNC=\"NO\"\n}", "[ -e /etc/stop ] ||\nEC2SYNC=no;",
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
        # Beside it another reason is no surprise.
        for more in ({}, {ROUTE: "# mine\n", FOO: "DEVICE=eth1\n"}):
            found = host(dict(files, **more)).configuration("eth1")
            assert found[:5] == (True, "", IFCFG + " says EC2SYNC=no", False, False)
            assert found.knobs.sync is False

    @pytest.mark.parametrize(
        "line",
        ["EC2SYNC=yes", "EC2SYNC=", "# EC2SYNC=no", "XEC2SYNC=no", "EC2SYNC_=no", "N='EC2SYNC=no'"],
    )
    def test_what_only_looks_like_it_does_not(self, line):
        assert host(plus(line + "\n")).configuration("eth1").keep == ""

    @pytest.mark.parametrize("ending", ["\r\n", "\x0b\n", "\x0c\n"], ids=repr)
    def test_it_counts_in_a_file_of_another_editor(self, ending):
        text = generated()[IFCFG].replace("EC2SYNC=yes", "EC2SYNC=no").replace("\n", ending)
        found = host({IFCFG: text}).configuration("eth1")
        assert (found.knobs.sync, found.text, found.keep != "") == (False, "", True)

    @pytest.mark.parametrize("value", ["maybe", "none", "'not now'"])
    def test_an_unclear_value_stops_as_well_and_is_told(self, value):
        found = host(plus("EC2SYNC={0}\n".format(value))).configuration("eth1")
        problem = "EC2SYNC is '{0}': expected yes or no".format(value.strip("'"))
        assert found[:5] == (True, "", "{0}: {1}".format(IFCFG, problem), True, False)
        assert found.knobs.problems == (problem,)

    @pytest.mark.parametrize(
        "text",
        [
            "DEVICE=eth1\nBOOTPROTO=static\n",
            # The older tools' variable, if it is set at all.
            "DEVICE=eth1\nif true; then\nEC2SYNC=yes\nfi\n",
        ],
        ids=["static", "in a branch"],
    )
    def test_an_ifcfg_without_mark_or_ec2sync_is_the_administrators(self, text):
        found = host({IFCFG: text}).configuration("eth1")
        assert found[:5] == (True, "", IFCFG + " is not generated by ec2net", True, False)

    @pytest.mark.parametrize("path", [ROUTE, ROUTE6, RULE, RULE6])
    @pytest.mark.parametrize(
        "text",
        [
            "10.99.0.0/16 via 10.0.1.7 dev eth1\n", "10.99.0.0/16 via 10.0.1.7\n",
            "from 10.0.1.99 table 300\n",
            "ADDRESS0=10.99.0.0\nNETMASK0=255.255.0.0\nGATEWAY0=10.0.1.7\n", "# mine\n",
        ],
    )
    def test_an_administrators_file_beside_it_stops_as_well(self, path, text):
        found = host(dict(generated(), **{path: text})).configuration("eth1")
        assert found.keep == path + " is not generated by ec2net"
        assert (found.edited, found.text) == (True, "")

    @pytest.mark.parametrize(
        "text, about",
        [
            ("DEVICE=eth1\n", True),
            ('DEVICE="eth1"\n', True),
            ("DEVICE='eth1'\n", True),
            ("DEVICE=eth0\nDEVICE=eth1\n", True),
            ("NAME=foo DEVICE=eth1 # the second one\n", True),
            ("export DEVICE=eth1", True),
            # It may be run.
            ("if true; then\n  DEVICE=eth1\nfi\n", True),
            ("NAME=foo\nHWADDR=02:0A:00:00:00:02\nBOOTPROTO=static\n", True),
            ("HWADDR='02:0a:00:00:00:02'\n", True),
            ("DEVICE=\nHWADDR=02:0a:00:00:00:02\n", True),
            ("HWADDR=02:0a:00:00:00:03\n", False),
            # DEVICE says it, whatever else there is.
            ("DEVICE=eth2\nHWADDR=02:0a:00:00:00:02\n", False),
            ("HWADDR=\n", False),
            ("NAME=eth1\n", False),
        ],
    )
    @pytest.mark.parametrize("ours", [True, False], ids=["beside ours", "alone"])
    def test_another_ifcfg_of_it_is_the_administrators_configuration(self, text, about, ours):
        files = dict(generated() if ours else {}, **{FOO: text})
        files["/sys/class/net/eth1/address"] = "02:0a:00:00:00:02\n"
        files["/sys/class/net/eth2/address"] = "02:0a:00:00:00:04\n"
        found = host(files).configuration("eth1")
        assert (found.keep, found.exists) == (FOO + " configures it" if about else "", ours)
        assert (found.edited, found.text == "") == (False, about or not ours)
        assert (host(files).configuration("eth2").keep != "") == ("DEVICE=eth2" in text)

    @pytest.mark.parametrize(
        "name, text",
        [
            ("ifcfg-eth1.bak", "DEVICE=eth1\n"), ("ifcfg-eth1.old", "DEVICE=eth1\n"),
            ("ifcfg-eth1.orig", "DEVICE=eth1\n"), ("ifcfg-eth1~", "DEVICE=eth1\n"),
            ("ifcfg-eth1.rpmnew", "DEVICE=eth1\n"), ("ifcfg-eth1.rpmsave", "DEVICE=eth1\n"),
            ("ifcfg-eth1:0", "DEVICE=eth1:0\nIPADDR=10.0.1.99\n"),
            ("ifcfg-eth1.5", "DEVICE=eth1.5\nVLAN=yes\n"), ("ifcfg-eth10", "DEVICE=eth10\n"),
            ("ifcfg-eth2", "#DEVICE=eth1\nDEVICE=eth2\n"), ("route-foo", "DEVICE=eth1\n"),
            (DHCLIENT, "send host-name \"x\";\n"),
        ],
    )
    def test_copies_aliases_and_others_are_no_conflict(self, name, text):
        files = dict(generated(), **{posixpath.join(DIRECTORY, name): text})
        assert host(files).configuration("eth1").keep == ""


# As the releases wrote it: 2012, 2018 and 2021.
OLD_IFCFG = (
    "DEVICE=eth1\nBOOTPROTO=dhcp\nONBOOT=yes\nTYPE=Ethernet\nUSERCTL=yes\nPEERDNS=no\n"
    "IPV6INIT=yes\nDHCPV6C=yes\nDHCPV6C_OPTIONS=-nw\nPERSISTENT_DHCLIENT=yes\n"
    "HWADDR=02:00:00:00:00:02\nDEFROUTE=no\nEC2SYNC=yes\n"
)
OLD_DEFAULT = "default via 10.0.1.1 dev eth1 table 10001\n"
OLD_MAIN = "default via 10.0.1.1 dev eth1 metric 10001\n"
OLD_SUBNET = "{0} dev eth1 proto kernel scope link src {1} table 10001\n"
SUPERSEDE = "supersede dhcp-server-identifier 255.255.255.255;\n"
OLDER_TOOLS = {
    "1.0": {ROUTE: OLD_DEFAULT + OLD_MAIN, DHCLIENT: SUPERSEDE},
    "1.2": {
        ROUTE: OLD_DEFAULT + OLD_SUBNET.format("10.0.1.0/24", "10.0.1.10") + OLD_MAIN,
        ROUTE6: "default via fe80::8ff:fe00:1 dev eth1 table 10001\n",
        DHCLIENT: SUPERSEDE + "timeout 300;\n",
    },
    "1.7": {
        IFCFG: OLD_IFCFG + "MAINROUTETABLE=no\nEC2PROVISIONPFXIPS=yes\n",
        ROUTE: OLD_DEFAULT + OLD_SUBNET.format("10.0.1.0/24", "10.0.1.10"),
        DHCLIENT: SUPERSEDE + "\ttimeout 300;\n",
    },
    "with a netmask": {ROUTE: OLD_SUBNET.format("10.0.1.0/255.255.255.0", "10.0.1.10")},
    "no IPv4 address in metadata": {ROUTE: OLD_DEFAULT + OLD_SUBNET.format("10.0.1.0/24", "")},
    "no router in metadata": {ROUTE: OLD_DEFAULT, ROUTE6: "default via  dev eth1 table 10001\n"},
    "route file emptied": {ROUTE: ""},
    "ifcfg alone": {},
}


@pytest.mark.parametrize("version", sorted(OLDER_TOOLS))
def test_what_ec2_net_utils_left_is_taken_over(version):
    files = dict({IFCFG: OLD_IFCFG}, **OLDER_TOOLS[version])
    found = host(files).configuration("eth1")
    assert (found.exists, found.keep, found.inherited) == (True, "", True)
    assert [line for line in found.text.split("\n") if line] == kept_lines(files)
    assert host(files).warning("eth1") == ""
    # Its routes are recorded as the kernel shows them. Without a router it is none.
    routes = recorded(in_a_row(files)).routes
    learned = Route("default", "fe80::8ff:fe00:1", "eth1", 10001, 6)
    assert set(routes) <= set(state_of(eni_texts(), main_metric=10001).routes + (learned,))
    text = files.get(ROUTE, "") + files.get(ROUTE6, "")
    assert len(routes) == text.count("\n") - text.count("via  dev")
    # It is replaced as a whole, and goes as a whole.
    reader = FakeReader(files)
    reader.put(networkscripts.Distribution(reader).files_without("eth1"))
    assert reader.files == {}
    after = generated_after(files)
    now = host(after).configuration("eth1")
    assert (now.keep, now.inherited, now.knobs) == ("", False, found.knobs)
    assert all(text.startswith("# Generated by ec2net") for text in after.values())


def generated_after(files, texts=None):
    """Return what a host with `files` has after a run."""
    reader = FakeReader(files)
    reader.put(files_of(texts or eni_texts(), present=files))
    return reader.files


@pytest.mark.parametrize("path", [ROUTE, ROUTE6, RULE, RULE6])
@pytest.mark.parametrize(
    "line",
    [
        "10.99.0.0/16 via 10.0.1.7 dev eth1 table 10001",
        "10.99.0.0/16 via 10.0.1.7 dev eth1 table 300",
        "10.99.0.0/16 via 10.0.1.7 dev eth1 metric 50", "10.0.1.0/24 dev eth1 table 10001",
        "10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10",
        "10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.10 table 10002",
        "10.0.1.0/24 dev eth2 proto kernel scope link src 10.0.1.10 table 10001",
        "default via 10.0.1.1 dev eth1", "default via 10.0.1.1 dev eth1 table 10002",
        "default via 10.0.1.1 dev eth1 table 100010", "default via 10.0.1.1 dev eth1 table main",
        "default via 10.0.1.1 dev eth1 metric 50", "default via 10.0.1.1 dev eth2 table 10001",
        "default via 10.0.1.1 dev eth1 table 10001 mtu 1400",
        "# default via 10.0.1.1 dev eth1 table 10001", "from 10.0.1.10 lookup 10001",
    ],
)
def test_an_administrators_file_of_almost_their_shape_is_kept(path, line):
    for others in (generated(), {IFCFG: OLD_IFCFG}):
        for text in (line + "\n", OLD_DEFAULT + line + "\n", line + "\n" + OLD_MAIN):
            found = host(dict(others, **{path: text})).configuration("eth1")
            assert (found.keep, found.edited) == (path + " is not generated by ec2net", True)


@pytest.mark.parametrize("name, table", [("eth0", 10000), ("eth12", 10012), ("ens6", 10000)])
def test_their_table_is_10000_and_the_number_of_the_name_if_it_has_one(name, table):
    for number in (10000, 10001, 10012, 10006):
        route = "default via 10.0.1.1 dev {0} table {1}\n".format(name, number)
        ifcfg = "DEVICE={0}\nEC2SYNC=yes\n".format(name)
        files = {DIRECTORY + "ifcfg-" + name: ifcfg, DIRECTORY + "route-" + name: route}
        found = host(files).configuration(name)
        assert (found.keep == "", found.inherited) == (number == table, number == table)


class Linked(FakeReader):
    """Files of which dhclient's is a symbolic link."""

    def may_write(self, path):
        return path != DHCLIENT


@pytest.mark.parametrize(
    "reader_class, dhclient",
    [(FakeReader, {DHCLIENT: "timeout 60;\n" + SUPERSEDE}), (Linked, generated()), (Linked, {})],
    ids=["the administrator's", "a link", "a dangling link"],
)
def test_a_dhclient_conf_that_is_not_ours_to_write_is_kept_and_told(reader_class, dhclient):
    reader = reader_class(plus("MAINROUTETABLE=sometimes\n"))
    del reader.files[DHCLIENT]
    reader.files.update({path: text for path, text in dhclient.items() if path == DHCLIENT})
    found = networkscripts.Distribution(reader)
    assert DHCLIENT in found.warning("eth1")
    assert "MAINROUTETABLE is 'sometimes'" in found.warning("eth1")
    assert DHCLIENT not in found.files(state_of(eni_texts()), eni_of(eni_texts()))
    assert sorted(found.files_without("eth1")) == sorted([IFCFG, ROUTE, RULE])


def test_the_numbers_of_all_generated_files_are_known():
    one = generated()[IFCFG]
    files = generated(eni_texts(), state_of(eni_texts(), "ens6", 15000))
    files.update({IFCFG + suffix: one for suffix in ("", ".bak", "~", "-20260101")})
    two = one.replace("10001", "10002").replace("=eth1", "=eth2") + "EC2SYNC=no\n"
    # As another editor leaves it.
    files[DIRECTORY + "ifcfg-eth2"] = two.replace("\n", "\r\n")
    files[DIRECTORY + "ifcfg-eth3"] = "DEVICE=eth3\n"
    files[DIRECTORY + "ifcfg-eth4"] = "\n" + one
    assert host(files).tables() == {"eth1": 10001, "eth2": 10002, "ens6": 15000}


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
    assert host(dict(files, **{"/proc/77/cmdline": command})).is_up("eth1") is expected


class TestTheUsersVariables(object):
    """What is kept of an ifcfg file that is written anew."""

    def rewritten(self, more):
        """Return the assignments of a generated file that had `more`, after two more runs."""
        files = generated_after(generated_after(plus(more)))
        return shell.assignments(files[IFCFG], IFCFG)

    @pytest.mark.parametrize(
        "line, name, value",
        [
            ("MAINROUTETABLE=no", "MAINROUTETABLE", "no"),
            ("MAINROUTETABLE=yes", "MAINROUTETABLE", "yes"),
            ("EC2PROVISIONPFXIPS=yes", "EC2PROVISIONPFXIPS", "yes"),
            ("MTU=9001", "MTU", "9001"),
            (". /etc/x\nMTU=9001", "MTU", "9001"),
            ("ETHTOOL_OPTS='-K eth1 tso off'", "ETHTOOL_OPTS", "-K eth1 tso off"),
            ('NAME="System eth1"', "NAME", "System eth1"),
            ("export DHCP_HOSTNAME=host-1.example", "DHCP_HOSTNAME", "host-1.example"),
            ("EMPTY=", "EMPTY", ""),
        ],
    )
    def test_they_stay(self, line, name, value):
        assert [pair for pair in self.rewritten(line + "\n") if pair[0] == name] == [(name, value)]

    @pytest.mark.parametrize(
        "line", ["DEVICE=eth7", "BOOTPROTO=static", "DHCPV6C=yes", "ONBOOT=no"]
    )
    def test_what_the_eni_decides_is_set_anew(self, line):
        assert tuple(line.split("=")) not in self.rewritten(line + "\n")

    @pytest.mark.parametrize(
        "line, level",
        [
            ('ETHTOOL_OPTS="-K eth1 tso off; -G eth1 rx 4096"', "WARNING"),
            ('NAME="B\xfcro"', "WARNING"),
            ("DHCP_HOSTNAME='$(hostname -s)'", "WARNING"),
            ("KEY='`id`'", "WARNING"),
            ("SCRIPT=../../tmp/x", "WARNING"),
            ('ETHTOOL_OPTS="-K ${DEVICE} tso off"', "DEBUG"),
            ('DHCP_HOSTNAME="$(hostname -s)"', "DEBUG"),
        ],
    )
    def test_one_that_is_not_harmless_is_dropped_and_told_or_computed(self, line, level, caplog):
        name = line.split("=")[0]
        with caplog.at_level("DEBUG"):
            assert name not in dict(self.rewritten(line + "\n"))
        said = [one for one in caplog.records if name in one.getMessage()]
        assert {one.levelname for one in said} == {level}
        assert all(one.getMessage().startswith(IFCFG + ": ") for one in said)
        assert level == "DEBUG" or ["not kept" in one.getMessage() for one in said] == [True]

    def test_of_an_eni_that_lost_ipv6_no_dhcpv6_is_left(self):
        files = generated_after(generated(eni_texts(1, ONE6)))
        assert "DHCPV6C" not in files[IFCFG]
        assert sorted(files) == sorted([IFCFG, ROUTE, RULE, DHCLIENT])


HOSTILE = [
    "$(touch /tmp/pwned)", "`touch /tmp/pwned`", "1;touch /tmp/pwned", "1\ntouch /tmp/pwned",
    "1 & touch /tmp/pwned", "> /tmp/pwned", "../../tmp/pwned", "1';touch /tmp/pwned;'",
    '1";touch /tmp/pwned;"', "\\$(touch /tmp/pwned)",
]
NAMES = [name for name, _ in shell.assignments(generated(eni_texts(1, ONE6))[IFCFG], IFCFG)]
FORMS = ["{0}={1}\n", "{0}='{1}'\n", '{0}="{1}"\n', "export {0}={1}\n"]
LINES = [
    "default via {0} dev eth1 table 10001", "default via 10.0.1.1 dev eth1{0} table 10001",
    "default via 10.0.1.1 dev {0} table 10001", "default via 10.0.1.1 dev eth1 table 10001 {0}",
    "10.0.1.0/24{0} dev eth1 table 10001", "{0} dev eth1 table 10001",
    "10.0.1.0/24 dev eth1 proto kernel scope link src {0} table 10001",
    "pref 10001 from {0} lookup 10001", "pref 10001 from 10.0.1.11 lookup 10001 {0}", "{0}",
]


def nothing_gets_through(files):
    eni = eni_of(eni_texts(1, dict(THREE, **ONE6)))
    # Also where what is there would keep the product from writing.
    state = state_of(eni_texts(1, dict(THREE, **ONE6)), main_metric=10001)
    written = in_a_row(host(files).files(state, eni))
    for text in (in_a_row(files), host(files).configuration("eth1").text):
        written += repr(recorded(text))
    assert "pwned" not in written
    assert "touch" not in written


@pytest.mark.parametrize("name", NAMES + ["MTU"])
@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_no_value_of_an_ifcfg_file_reaches_a_shell(name, form):
    for value in HOSTILE:
        nothing_gets_through({IFCFG: form.format(name, value) + "EC2SYNC=yes\n"})
        nothing_gets_through(plus(form.format(name, value)))


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_no_line_of_another_file_reaches_ip_or_a_shell_and_no_header_is_copied(path, value):
    ours = generated(eni_texts(1, ONE6))
    first, rest = ours[path].split("\n", 1)
    texts = [line + "\n" for line in LINES] + [first + "\n" + line + "\n" for line in LINES]
    texts = [text.format(value) for text in texts]
    for header in ("{0}, {1}, table 10001", "eni-0a1, {0}, table 10001", "eni-0a1, {1}, table {0}"):
        texts.append("# Generated by ec2net: " + header.format(value, SECOND) + "\n" + rest)
    for text in texts:
        nothing_gets_through(dict(ours, **{path: text}))


@pytest.mark.parametrize(
    "case, path, first",
    [
        ("one address", ROUTE, "10.0.1.0/24 dev eth1 metric 20001"),
        ("dual stack", ROUTE6, "2600:1f18:0:1::/64 dev eth1 metric 20001"),
    ],
)
def test_main_has_our_connected_route_from_the_route_file(case, path, first):
    text = files_of(ENIS[case], state_of(ENIS[case], table=20001))[path]
    assert [line for line in lines_of(text) if "table" not in line] == [first]
    routes = [route for route in recorded(text).routes if route.table == MAIN_TABLE]
    assert [route.arguments for route in routes] == [first]
