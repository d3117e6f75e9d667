"""ifupdown: where the generated file goes, what it says, and whose it is."""
from __future__ import absolute_import, print_function, unicode_literals

import re

import pytest

from ec2net_legacy.distributions import ifupdown
from ec2net_legacy.distributions.ifupdown import stanza
from ec2net_legacy.model import MAIN_TABLE, Route
from tests.unit.enis import ENIS, eni_of, state_of
from tests.unit.fakes import SECOND, FakeReader, eni_texts

INTERFACES = "/etc/network/interfaces"
DIRECTORY = "/etc/network/interfaces.d"
DOT = DIRECTORY + "/eth1.cfg"
DOTLESS = DIRECTORY + "/eth1"
SOURCE_CFG = "source /etc/network/interfaces.d/*.cfg\n"
DHCLIENT = "/etc/dhcp/dhclient.conf"
EACH_ENI = pytest.mark.parametrize("case", sorted(ENIS))


def text_of(texts, name="eth1", table=10001, priority=10001):
    return stanza.render(state_of(texts, name, table, priority), eni_of(texts))


TEXT = text_of(eni_texts())


def host(*files, **more):
    """Return ifupdown of a host that has `files` beside an `interfaces` with the usual line."""
    return ifupdown.Distribution(FakeReader(dict({INTERFACES: SOURCE_CFG}, **dict(*files, **more))))


def files_of(files, texts=None):
    """Return what would be written on a host with `files`."""
    texts = texts or eni_texts()
    return host(files).files(state_of(texts), eni_of(texts))


def options_of(text):
    """Return the lines of a generated file as ifupdown takes them, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if not line.strip().startswith("#")]


# What reads the file as eth1.cfg, what as eth1, and what not at all.
READ = [
    "source /etc/network/interfaces.d/*.cfg", "source /etc/network/interfaces.d/*",
    "source /etc/network/interfaces.d/eth*", "source interfaces.d/*", "source interfaces.d/*.cfg",
    "source ./interfaces.d/*.cfg", "source /etc/network/*/*", "source /etc/network/*.d/*.cfg",
    "  source\t/etc/network/interfaces.d/*", "source \\\n /etc/network/interfaces.d/*",
    "source-directory interfaces.d\nsource interfaces.d/*.cfg",
]
READ_DOTLESS = [
    "source-directory /etc/network/interfaces.d", "source-directory /etc/network/interfaces.d/",
    "source-directory interfaces.d", "source-directory /etc/network/inter*.d",
    "source /etc/network/interfaces.d/eth?", "source /etc/network/interfaces.d/*[0-9]",
    "source more",
]
UNREAD = [
    "source circle", "source /etc/network/interfaces.d/eth2*", "source /etc/network/*",
    "source /etc/network/interfaces.d", "source /run/network/interfaces.d/*",
    "#source /etc/network/interfaces.d/*", "# source /etc/network/interfaces.d/*",
    "#source-directory interfaces.d", "sources /etc/network/interfaces.d/*", "source", "",
]


@pytest.mark.parametrize("text", READ + READ_DOTLESS + UNREAD, ids=repr)
def test_the_file_has_the_name_that_is_read_or_the_line_to_add_is_named(text):
    files = {
        INTERFACES: text + "\n",
        "/etc/network/more" if "more" in text else "/x": "source-directory interfaces.d\n",
        "/etc/network/circle" if "circle" in text else "/y": "source interfaces circle\n",
    }
    assert list(files_of(files)) == [DOTLESS if text in READ_DOTLESS else DOT]
    warning = host(files).warning("eth1")
    assert ("'source /etc/network/interfaces.d/*.cfg'" in warning) == (text in UNREAD)
    assert (INTERFACES in warning) == (warning != "") == (text in UNREAD)


@EACH_ENI
def test_a_file_is_a_stanza_and_its_options_in_plain_characters_for_a_terminal(case):
    text = text_of(ENIS[case])
    assert re.match(r"[ -~\n]*\n\Z", text)
    assert max(len(line) for line in text.splitlines()) < 80
    first, second = options_of(text)[:2]
    assert first == "allow-hotplug eth1"
    assert second == "iface eth1 inet{0} dhcp".format("6" if "ipv6 only" in case else "")
    for line in options_of(text)[2:]:
        assert line.split()[0] in ("pre-up", "post-up", "pre-down", "metric", "accept_ra")


@EACH_ENI
def test_before_anything_else_ifup_looks_whether_it_is_this_eni(case):
    commands = [line for line in options_of(text_of(ENIS[case])) if "-up " in line]
    assert commands[0].startswith("pre-up grep -qix " + SECOND + " /sys/class/net/eth1/address ||")
    assert "exit 1" in commands[0]
    # Then the router is to be heard, before the link is up.
    hearing = [line for line in commands[1:] if line.startswith("pre-up")]
    assert hearing == commands[1 : 1 + len(hearing)]
    assert len(hearing) == (1 if "ipv6s" in ENIS[case] else 0)
    for line in hearing:
        assert "echo 2 >accept_ra &&" in line
        assert "echo 10001 >ra_defrtr_metric)" in line
        assert line.endswith(" 2>/dev/null || :")


@EACH_ENI
def test_a_boot_brings_it_up_if_it_is_there_where_ifupdown_can_say_so(case):
    new = files_of({"/lib/ifupdown/wait-online.sh": ""}, ENIS[case])[DOT]
    assert options_of(new)[:2] == ["auto /eth1", "allow-hotplug eth1"]
    old = files_of({}, ENIS[case])[DOT]
    assert [line for line in options_of(old) if line.startswith("auto")] == []
    # It makes no other difference, also to what is read back.
    assert new.replace("# The slash: only if it is there.\nauto /eth1\n", "") == old
    assert stanza.recorded("eth1", new) == stanza.recorded("eth1", old)


@EACH_ENI
def test_whatever_ifup_adds_ifdown_takes_back_without_failing(case):
    options = options_of(text_of(ENIS[case]))
    added = taken_back = 0
    for line in options:
        batch = re.match(r"post-up printf '(rule add|addr replace) (.*?)\\n' (.*?) \|", line)
        route = re.match(r"post-up ip (-6 )?route replace (.*?)( \|\| :)?$", line)
        if batch:
            verb = batch.group(1).split()[0]
            back = "pre-down printf '{0} del {1}\\n' {2} |".format(verb, *batch.groups()[1:])
        elif route:
            back = "pre-down ip {0}route del {1} ".format(route.group(1) or "", route.group(2))
        else:
            continue
        added += 1
        taken_back += any(one.startswith(back) for one in options)
    assert taken_back == added >= 2
    for line in options:
        assert not line.startswith("pre-down ") or line.endswith(" 2>/dev/null || :")


def test_the_metric_keeps_the_default_route_of_the_lease_behind_the_primarys():
    assert "metric 10001" in options_of(TEXT)


@pytest.mark.parametrize(
    "case, flag, subnet, or_else",
    [
        ("one address", "", "10.0.1.0/24", ""),
        ("dual stack", "-6 ", "2600:1f18:0:1::/64", " || :"),
        ("ipv6 only", "-6 ", "2600:1f18:0:1::/64", ""),
        ("ipv6 only with more", "-6 ", "2600:1f18:0:1::/64", ""),
    ],
)
def test_main_has_our_connected_route_before_it_loses_the_kernels(case, flag, subnet, or_else):
    options = options_of(text_of(ENIS[case], table=20001))
    ours = "post-up ip {0}route replace {1} dev eth1 metric 20001{2}".format(flag, subnet, or_else)
    kernels = "post-up ip {0}route del {1} dev eth1 proto kernel 2>/dev/null || :"
    kernels = kernels.format(flag, subnet)
    assert options[options.index(ours) + 1] == kernels
    assert options.count(kernels) == 1


def test_mains_ipv6_router_is_moved_where_the_kernel_cannot():
    text = text_of(ENIS["dual stack"]).replace(" \\\n        ", " ")
    assert (
        "[ -f /proc/sys/net/ipv6/conf/eth1/ra_defrtr_metric ] || {"
        ' ip -6 route replace default via "$gw" dev eth1 metric 10001 &&'
        ' ip -6 route del default via "$gw" dev eth1 metric 1024; }; } )'
    ) in text


def test_our_connected_route_of_main_is_recorded_and_the_kernels_is_not():
    routes = stanza.recorded("eth1", text_of(ENIS["dual stack"])).routes
    assert [route for route in routes if route.table == MAIN_TABLE] == [
        Route("10.0.1.0/24", "", "eth1", MAIN_TABLE, 4, 10001),
        Route("2600:1f18:0:1::/64", "", "eth1", MAIN_TABLE, 6, 10001),
    ]
    # A file from before that route.
    text = "".join(line for line in TEXT.splitlines(True) if "metric" not in line)
    assert {route.table for route in stanza.recorded("eth1", text).routes} == {10001}


@pytest.mark.parametrize("case", ["dual stack", "dual stack with more"])
def test_ipv6_never_keeps_ipv4_from_coming_up(case):
    text = text_of(ENIS[case])
    assert "inet6" not in text
    ipv4, ipv6 = text.split("    # The same for IPv6", 1)
    assert "-6" not in ipv4
    options = [line for line in ipv6.replace("\\\n", "").split("\n") if "post-up" in line]
    # No failure counts, and what waits does so by itself.
    background = ") </dev/null >/dev/null 2>&1 &"
    assert [line for line in options if not line.endswith(("|| :", background))] == []
    (waiting,) = [line for line in options if "sleep" in line]
    assert waiting.endswith("&")


@pytest.mark.parametrize("path", [DOT, DOTLESS])
@pytest.mark.parametrize(
    "text",
    ["", "auto eth1\niface eth1 inet dhcp\n", "# mine\n" + TEXT, TEXT.split("\n", 1)[1]],
    ids=["empty", "a stanza", "a line in front", "first line deleted"],
)
def test_a_file_without_the_first_line_is_the_administrators(path, text):
    found = host({path: text}).configuration("eth1")
    assert (found.exists, found.text, found.edited) == (True, "", True)
    assert path in found.keep


@pytest.mark.parametrize(
    "line, keep",
    [
        ("# EC2SYNC=no", " says EC2SYNC=no"),
        ("#EC2SYNC=no", " says EC2SYNC=no"),
        ("  # ec2sync = NO", " says EC2SYNC=no"),
        ("# EC2SYNC='no'", " says EC2SYNC=no"),
        ('# EC2SYNC="no" ', " says EC2SYNC=no"),
        ("# EC2SYNC=none", ": EC2SYNC is 'none': expected yes or no"),
        ("# EC2SYNC=yes", ""),
        ("# EC2SYNC=no, or not", ""),
        ("# add EC2SYNC=no", ""),
        ("# EC2SYNC=", ""),
    ],
)
def test_a_generated_file_can_be_kept_with_a_comment(line, keep):
    found = host({DOT: TEXT + line + "\n"}).configuration("eth1")
    assert (found.keep, found.edited) == (keep and DOT + keep, "none" in line)
    problems = ("EC2SYNC is 'none': expected yes or no",) if "none" in line else ()
    assert (found.knobs.sync, found.knobs.problems) == (not keep, problems)


@pytest.mark.parametrize(
    "path, text, more",
    [
        (INTERFACES, "auto eth1\niface eth1 inet dhcp\n", {}),
        (INTERFACES, "iface eth1 inet static\n" + SOURCE_CFG, {}),
        (INTERFACES, "\tiface  eth1 inet6 auto\n", {}),
        (INTERFACES, "iface \\\n eth1 inet dhcp\n", {}),
        (DIRECTORY + "/50-cloud.cfg", "iface eth1 inet dhcp\n", {}),
        ("/etc/network/more", "iface eth1 inet dhcp\n", {INTERFACES: "source more\n"}),
    ],
    ids=["stanza", "static", "inet6", "continued line", "sourced by glob", "sourced by name"],
)
def test_a_stanza_elsewhere_is_the_administrators_configuration(path, text, more):
    found = host(dict(more, **{path: text})).configuration("eth1")
    assert (found.keep, found.edited) == (path + " configures it", False)


@pytest.mark.parametrize(
    "files",
    [
        {INTERFACES: "auto eth0\niface eth0 inet dhcp\n" + SOURCE_CFG},
        {INTERFACES: "iface eth10 inet dhcp\n" + SOURCE_CFG},
        {INTERFACES: "# iface eth1 inet dhcp\n" + SOURCE_CFG},
        {DIRECTORY + "/old.bak": "iface eth1 inet dhcp\n"},
        {DIRECTORY + "/.hidden.cfg": "iface eth1 inet dhcp\n"},
        {
            INTERFACES: "source-directory interfaces.d\n",
            DIRECTORY + "/x.cfg": "iface eth1 inet dhcp\n",
        },
    ],
    ids=["another", "eth10", "comment", "not sourced", "dot file", "name with a dot"],
)
def test_what_ifupdown_does_not_read_as_this_interface_keeps_nothing(files):
    assert host(files).configuration("eth1").keep == ""


HELPER = "/run/network/interfaces.d/eth1"
HELPER2 = "/run/network/interfaces.d/eth2"
PLAIN = "auto {0}\nallow-hotplug {0}\n\niface {0} inet dhcp\n"
# A Debian cloud image whose helper has seen eth1 and eth2.
CLOUD_IMAGE = {
    INTERFACES: SOURCE_CFG + "source-directory /run/network/interfaces.d\n",
    HELPER: PLAIN.format("eth1"),
    HELPER2: PLAIN.format("eth2"),
}


def test_what_the_cloud_images_helper_writes_is_nobodys_configuration():
    assert host(CLOUD_IMAGE).configuration("eth1")[:5] == (False, "", "", False, False)
    assert host(CLOUD_IMAGE).tables() == {}


def test_generated_files_take_the_place_of_the_helpers_and_of_no_others():
    reader = FakeReader(CLOUD_IMAGE)
    new = files_of(reader.files)
    assert (sorted(new), new[HELPER]) == ([DOT, HELPER], None)
    reader.put(new)
    assert HELPER2 in reader.files
    assert files_of(reader.files) == {DOT: new[DOT]}
    # A removal leaves it: it is the helper's to write.
    assert host(CLOUD_IMAGE, **{DOT: TEXT}).files_without("eth1") == {DOT: None}


@pytest.mark.parametrize("name", ["mine", "eth11"])
def test_another_file_beside_the_helpers_is_the_administrators(name):
    path = "/run/network/interfaces.d/" + name
    assert path in host(CLOUD_IMAGE, **{path: PLAIN.format("eth1")}).configuration("eth1").keep


def test_the_dhclient_files_of_an_interface_are_those_of_no_other():
    assert host().dhclient_files("eth1") == [
        "/var/lib/dhcp/dhclient.eth1.leases", "/var/lib/dhcp/dhclient6.eth1.leases",
        "/run/dhclient.eth1.pid", "/run/dhclient6.eth1.pid",
    ]


def test_a_file_moves_when_the_host_reads_another_name():
    assert files_of({DOTLESS: TEXT}) == {DOTLESS: None, DOT: TEXT}
    files = {INTERFACES: "source-directory interfaces.d\n", DOT: TEXT}
    assert files_of(files) == {DOT: None, DOTLESS: TEXT}


@pytest.mark.parametrize(
    "files, gone",
    [
        ({DOT: TEXT}, [DOT]), ({DOT: TEXT, DOTLESS: TEXT}, [DOT, DOTLESS]),
        ({DOT: TEXT, DOTLESS: "# mine\n"}, [DOT]), ({}, []),
    ],
)
def test_only_generated_files_are_taken_away(files, gone):
    assert host(files).files_without("eth1") == dict.fromkeys(gone)


@pytest.mark.parametrize(
    "files", [{DHCLIENT: "timeout 300;"}, {"/etc/dhcp/dhclient-exit-hooks.d/x": ""}]
)
def test_dhclient_conf_is_as_it_was_when_the_interface_goes(files):
    reader = FakeReader(dict({INTERFACES: SOURCE_CFG}, **files))
    before = dict(reader.files)
    reader.put(files_of(reader.files))
    assert "# ec2net eth1: begin" in reader.files[DHCLIENT]
    reader.put(host(reader.files).files_without("eth1"))
    assert reader.files == before


def test_without_dhclient_there_is_no_dhclient_conf():
    assert list(files_of({})) == [DOT]


def test_the_numbers_of_all_generated_files_are_known_also_of_edited_ones_but_not_of_copies():
    files = {
        DOT: TEXT,
        DOT + ".bak": TEXT,
        DIRECTORY + "/eth2.cfg": text_of(eni_texts(), "eth2", 10002, 10002).split("\n", 1)[1],
        DIRECTORY + "/eth3.cfg": "iface eth3 inet dhcp\n",
        DIRECTORY + "/ens6": text_of(eni_texts(2), "ens6", 15000, 15000),
    }
    assert host(files).tables() == {"eth1": 10001, "eth2": 10002, "ens6": 15000}


def test_a_dhclient_conf_behind_a_link_is_left_and_told_beside_what_else_is_wrong():
    class Linked(FakeReader):
        def may_write(self, path):
            return path != DHCLIENT

    found = ifupdown.Distribution(Linked({INTERFACES: "", DHCLIENT: "timeout 300;\n"}))
    assert DHCLIENT in found.warning("eth1")
    assert "add the line" in found.warning("eth1")
    assert DHCLIENT not in found.files_without("eth1")
