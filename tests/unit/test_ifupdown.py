"""ifupdown: where the generated file goes, what it says, and whose it is."""
from __future__ import absolute_import, print_function, unicode_literals

import re

import pytest

from ec2net_legacy import backends, desired, metadata
from ec2net_legacy.backends import ifupdown
from ec2net_legacy.errors import HostError
from ec2net_legacy.model import MAIN_TABLE, Route
from tests.unit.fakes import SECOND, FakeReader, eni_texts, ipv6_texts

INTERFACES = "/etc/network/interfaces"
DIRECTORY = "/etc/network/interfaces.d"
DOT = DIRECTORY + "/eth1.cfg"
DOTLESS = DIRECTORY + "/eth1"
SOURCE_CFG = "source /etc/network/interfaces.d/*.cfg\n"

ENIS = {
    "one address": eni_texts(),
    "three addresses": eni_texts(1, {"local-ipv4s": "10.0.1.10\n10.0.1.30\n10.0.1.20"}),
    "prefixes": eni_texts(1, {"ipv4-prefix": "10.0.1.64/28\n10.0.1.48/28"}),
    "addresses and prefixes": eni_texts(
        1, {"local-ipv4s": "10.0.1.10\n10.0.1.11", "ipv4-prefix": "10.0.1.64/28"}
    ),
    "fifty addresses": eni_texts(
        1, {"local-ipv4s": "\n".join("10.0.1.{0}".format(n) for n in range(10, 60))}
    ),
    "ipv6 only": ipv6_texts(),
    "ipv6 only with more": ipv6_texts(
        1,
        {
            "ipv6s": "2600:1f18:0:1::10\n2600:1f18:0:1::11\n2600:1f18:0:1::a",
            "subnet-ipv6-cidr-blocks": "2600:1f18:0:1::/64\n2600:1f18:0:2::/64",
            "ipv6-prefix": "2600:1f18:0:1:ab::/80",
        },
    ),
    "dual stack": eni_texts(
        1, {"ipv6s": "2600:1f18:0:1::10", "subnet-ipv6-cidr-blocks": "2600:1f18:0:1::/64"}
    ),
    "dual stack with more": eni_texts(
        1,
        {
            "local-ipv4s": "10.0.1.10\n10.0.1.11",
            "ipv4-prefix": "10.0.1.64/28",
            "ipv6s": "2600:1f18:0:1::10\n2600:1f18:0:1::11\n2600:1f18:0:1::a",
            "subnet-ipv6-cidr-blocks": "2600:1f18:0:1::/64\n2600:1f18:0:2::/64",
            "ipv6-prefix": "2600:1f18:0:1:ab::/80",
        },
    ),
}


def eni_of(texts):
    return metadata.parse_eni(SECOND, texts)


def state_of(texts, name="eth1", table=10001, priority=10001):
    return desired.interface_state(name, eni_of(texts), table, priority)


def text_of(texts, name="eth1", table=10001, priority=10001):
    return ifupdown.render(state_of(texts, name, table, priority), eni_of(texts))


def backend_of(files):
    return ifupdown.Ifupdown(FakeReader(files))


def generated_files(files, texts=None):
    """Return what the backend would write on a host with `files`."""
    texts = texts or eni_texts()
    return backend_of(files).files(state_of(texts), eni_of(texts))


@pytest.mark.parametrize(
    "text, path",
    [
        ("source /etc/network/interfaces.d/*.cfg", DOT),
        ("source /etc/network/interfaces.d/*", DOT),
        ("source /etc/network/interfaces.d/eth*", DOT),
        ("source interfaces.d/*", DOT),
        ("source interfaces.d/*.cfg", DOT),
        ("source ./interfaces.d/*.cfg", DOT),
        ("source /etc/network/*/*", DOT),
        ("  source\t/etc/network/interfaces.d/*", DOT),
        ("source \\\n /etc/network/interfaces.d/*", DOT),
        ("source-directory /etc/network/interfaces.d", DOTLESS),
        ("source-directory /etc/network/interfaces.d/", DOTLESS),
        ("source-directory interfaces.d", DOTLESS),
        ("source-directory /etc/network/inter*.d", DOTLESS),
        ("source /etc/network/interfaces.d/eth?", DOTLESS),
        ("source /etc/network/interfaces.d/*[0-9]", DOTLESS),
        ("source-directory interfaces.d\nsource interfaces.d/*.cfg", DOT),
        ("source /run/network/interfaces.d/*", DOT),
        ("#source-directory interfaces.d", DOT),
        ("", DOT),
    ],
)
def test_the_file_has_the_name_that_this_host_reads(text, path):
    assert list(generated_files({INTERFACES: text + "\n"})) == [path]


@pytest.mark.parametrize(
    "text, read",
    [
        ("source /etc/network/interfaces.d/*.cfg", True),
        ("source-directory interfaces.d", True),
        ("source /etc/network/interfaces.d/*", True),
        ("source /etc/network/*.d/*.cfg", True),
        ("source /etc/network/interfaces.d/eth2*", False),
        ("source /etc/network/*", False),
        ("source /etc/network/interfaces.d", False),
        ("source /run/network/interfaces.d/*", False),
        ("#source /etc/network/interfaces.d/*", False),
        ("# source /etc/network/interfaces.d/*", False),
        ("sources /etc/network/interfaces.d/*", False),
        ("source", False),
        ("", False),
    ],
)
def test_where_no_line_reads_the_file_the_line_to_add_is_named(text, read):
    warning = backend_of({INTERFACES: text + "\n"}).warning("eth1")
    if read:
        assert warning == ""
    else:
        assert "'source /etc/network/interfaces.d/*.cfg'" in warning
        assert INTERFACES in warning


def test_a_sourced_file_that_sources_is_followed():
    files = {
        INTERFACES: "source /etc/network/more\n",
        "/etc/network/more": "source-directory interfaces.d\n",
    }
    assert list(generated_files(files)) == [DOTLESS]
    assert backend_of(files).warning("eth1") == ""


def test_files_that_source_each_other_in_a_circle_end():
    files = {INTERFACES: "source more\n", "/etc/network/more": "source interfaces more\n"}
    assert backend_of(files).warning("eth1") != ""




@pytest.mark.parametrize("case", sorted(ENIS))
@pytest.mark.parametrize("name, table, priority", [("eth1", 10001, 10001), ("ens6", 20100, 77)])
def test_what_is_written_can_be_read_back(case, name, table, priority):
    state = state_of(ENIS[case], name, table, priority)
    text = ifupdown.render(state, eni_of(ENIS[case]))
    found = ifupdown.recorded(name, text)
    assert found == state._replace(primary="")


@pytest.mark.parametrize("case", sorted(ENIS))
def test_two_texts_in_a_row_record_what_either_adds(case):
    before, after = text_of(ENIS["three addresses"]), text_of(ENIS[case])
    both = ifupdown.recorded("eth1", before + after)
    for text in (before, after):
        alone = ifupdown.recorded("eth1", text)
        assert set(alone.rules) <= set(both.rules)
        assert set(alone.routes) <= set(both.routes)
        assert set(alone.addresses) <= set(both.addresses)


@pytest.mark.parametrize("text", ["", "auto eth1\niface eth1 inet dhcp\n"], ids=repr)
def test_text_of_somebody_else_records_nothing(text):
    state = ifupdown.recorded("eth1", text)
    assert (state.table, state.addresses, state.routes, state.rules) == (0, (), (), ())


@pytest.mark.parametrize("case", sorted(ENIS))
def test_writing_again_changes_nothing(case):
    reader = FakeReader({INTERFACES: SOURCE_CFG})
    first = generated_files(reader.files, ENIS[case])
    reader.put(first)
    assert generated_files(reader.files, ENIS[case]) == first


def options_of(text):
    """Return the lines of a generated file as ifupdown takes them, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if not line.strip().startswith("#")]


@pytest.mark.parametrize("case", sorted(ENIS))
def test_a_file_fits_a_terminal_and_has_plain_characters_only(case):
    text = text_of(ENIS[case])
    assert re.match(r"[ -~\n]*\Z", text)
    assert text.endswith("\n")
    assert max(len(line) for line in text.splitlines()) < 80


@pytest.mark.parametrize("case", sorted(ENIS))
def test_a_file_consists_of_a_stanza_and_its_options(case):
    first, second = options_of(text_of(ENIS[case]))[:2]
    assert first == "allow-hotplug eth1"
    assert second in ("iface eth1 inet dhcp", "iface eth1 inet6 dhcp")
    for line in options_of(text_of(ENIS[case]))[2:]:
        assert line.split()[0] in ("pre-up", "post-up", "pre-down", "metric", "accept_ra")


@pytest.mark.parametrize("case", sorted(ENIS))
def test_before_anything_else_ifup_looks_whether_it_is_this_eni(case):
    commands = [line for line in options_of(text_of(ENIS[case])) if "-up " in line]
    assert commands[0].startswith("pre-up grep -qix " + SECOND + " /sys/class/net/eth1/address ||")
    assert "exit 1" in commands[0]
    assert [line for line in commands[1:] if line.startswith("pre-up")] == []


@pytest.mark.parametrize("case", sorted(ENIS))
def test_a_boot_brings_it_up_if_it_is_there_where_ifupdown_can_say_so(case):
    files = {INTERFACES: SOURCE_CFG, "/lib/ifupdown/wait-online.sh": ""}
    new = generated_files(files, ENIS[case])[DOT]
    assert options_of(new)[:2] == ["auto /eth1", "allow-hotplug eth1"]
    old = generated_files({INTERFACES: SOURCE_CFG}, ENIS[case])[DOT]
    assert [line for line in options_of(old) if line.startswith("auto")] == []
    # It makes no other difference, also to what is read back.
    assert new.replace("# The slash: only if it is there.\nauto /eth1\n", "") == old
    assert ifupdown.recorded("eth1", new) == ifupdown.recorded("eth1", old)


@pytest.mark.parametrize("case", sorted(ENIS))
def test_whatever_ifup_adds_ifdown_takes_back(case):
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


@pytest.mark.parametrize("case", sorted(ENIS))
def test_ifdown_does_not_fail_where_something_is_gone_already(case):
    for line in options_of(text_of(ENIS[case])):
        if line.startswith("pre-down "):
            assert line.endswith(" 2>/dev/null || :")


def test_the_metric_keeps_the_default_route_of_the_lease_behind_the_primarys():
    assert "metric 10001" in options_of(text_of(ENIS["one address"]))


def test_main_has_our_connected_route_before_it_loses_the_kernels():
    options = options_of(text_of(ENIS["one address"], table=20001))
    ours = options.index("post-up ip route replace 10.0.1.0/24 dev eth1 metric 20001")
    kernels = "post-up ip route del 10.0.1.0/24 dev eth1 proto kernel 2>/dev/null || :"
    assert options[ours + 1] == kernels
    assert options.count(kernels) == 1


@pytest.mark.parametrize("case", ["ipv6 only", "ipv6 only with more"])
def test_of_ipv6_only_main_is_left_as_it_is(case):
    text = text_of(ENIS[case])
    assert "proto kernel" not in text
    assert "metric" not in text


def test_our_connected_route_of_main_is_recorded_and_the_kernels_is_not():
    routes = ifupdown.recorded("eth1", text_of(ENIS["dual stack"])).routes
    assert [route for route in routes if route.table == MAIN_TABLE] == [
        Route("10.0.1.0/24", "", "eth1", MAIN_TABLE, 4, 10001)
    ]


def test_a_file_from_before_that_route_records_none_of_main():
    text = "".join(
        line for line in text_of(eni_texts()).splitlines(True) if "metric" not in line
    )
    routes = ifupdown.recorded("eth1", text).routes
    assert {route.table for route in routes} == {10001}


def test_of_ipv6_only_the_stanza_is_inet6():
    text = text_of(ENIS["ipv6 only"])
    assert "iface eth1 inet6 dhcp\n" in text
    assert "inet dhcp" not in text
    assert " ip -6 " in text


def generated(text=None):
    return {INTERFACES: SOURCE_CFG, DOT: text if text is not None else text_of(eni_texts())}


@pytest.mark.parametrize("case", ["dual stack", "dual stack with more"])
def test_ipv6_never_keeps_ipv4_from_coming_up(case):
    text = text_of(ENIS[case])
    assert "inet6" not in text
    ipv4, ipv6 = text.split("    # The same for IPv6", 1)
    assert "-6" not in ipv4
    options = [line for line in ipv6.replace("\\\n", "").split("\n") if "post-up" in line]
    assert options
    for line in options:
        # No failure counts, and what waits does so by itself.
        assert line.endswith("|| :") or line.endswith(") </dev/null >/dev/null 2>&1 &")
    assert len([line for line in options if "sleep" in line]) == 1
    assert [line for line in options if "sleep" in line][0].endswith("&")


def test_a_generated_file_is_ours():
    found = backend_of(generated()).configuration("eth1")
    assert (found.exists, found.keep) == (True, "")
    assert found.text == text_of(eni_texts())


def test_nothing_is_not_a_configuration():
    found = backend_of({INTERFACES: SOURCE_CFG}).configuration("eth1")
    assert (found.exists, found.keep, found.text) == (False, "", "")


@pytest.mark.parametrize("path", [DOT, DOTLESS])
@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda _: "auto eth1\niface eth1 inet dhcp\n",
        lambda text: "# mine\n" + text,
        lambda text: text.split("\n", 1)[1],
    ],
    ids=["empty", "a stanza", "a line in front", "first line deleted"],
)
def test_a_file_without_the_first_line_is_the_administrators(path, change):
    files = {INTERFACES: SOURCE_CFG, path: change(text_of(eni_texts()))}
    found = backend_of(files).configuration("eth1")
    assert found.exists
    assert path in found.keep
    assert found.text == ""


@pytest.mark.parametrize(
    "line",
    ["# EC2SYNC=no", "#EC2SYNC=no", "  # ec2sync = NO", "# EC2SYNC='no'", '# EC2SYNC="no" '],
)
def test_a_generated_file_can_be_kept_with_a_comment(line):
    found = backend_of(generated(text_of(eni_texts()) + line + "\n")).configuration("eth1")
    assert DOT in found.keep
    assert "EC2SYNC=no" in found.keep


@pytest.mark.parametrize(
    "line", ["# EC2SYNC=yes", "# EC2SYNC=no, or not", "# add EC2SYNC=no", "# EC2SYNC="]
)
def test_other_comments_do_not_keep_a_generated_file(line):
    found = backend_of(generated(text_of(eni_texts()) + line + "\n")).configuration("eth1")
    assert found.keep == ""


def test_a_comment_that_is_neither_yes_nor_no_keeps_the_file_and_is_told():
    found = backend_of(generated(text_of(eni_texts()) + "# EC2SYNC=none\n")).configuration("eth1")
    assert (DOT in found.keep, found.edited) == (True, True)
    assert found.knobs.problems == ("EC2SYNC is 'none': expected yes or no",)


@pytest.mark.parametrize("case", sorted(ENIS))
def test_the_generated_explanation_itself_keeps_nothing(case):
    assert backend_of(generated(text_of(ENIS[case]))).configuration("eth1").keep == ""


@pytest.mark.parametrize(
    "files, kept",
    [
        ({INTERFACES: "auto eth1\niface eth1 inet dhcp\n"}, INTERFACES),
        ({INTERFACES: "iface eth1 inet static\n" + SOURCE_CFG}, INTERFACES),
        ({INTERFACES: "\tiface  eth1 inet6 auto\n"}, INTERFACES),
        ({INTERFACES: "iface \\\n eth1 inet dhcp\n"}, INTERFACES),
        (
            {INTERFACES: SOURCE_CFG, DIRECTORY + "/50-cloud.cfg": "iface eth1 inet dhcp\n"},
            DIRECTORY + "/50-cloud.cfg",
        ),
        (
            {INTERFACES: "source more\n", "/etc/network/more": "iface eth1 inet dhcp\n"},
            "/etc/network/more",
        ),
    ],
    ids=["stanza", "static", "inet6", "continued line", "sourced by glob", "sourced by name"],
)
def test_a_stanza_elsewhere_is_the_administrators_configuration(files, kept):
    found = backend_of(files).configuration("eth1")
    assert kept in found.keep


@pytest.mark.parametrize(
    "files",
    [
        {INTERFACES: "auto eth0\niface eth0 inet dhcp\n" + SOURCE_CFG},
        {INTERFACES: "iface eth10 inet dhcp\n" + SOURCE_CFG},
        {INTERFACES: "# iface eth1 inet dhcp\n" + SOURCE_CFG},
        {INTERFACES: SOURCE_CFG, DIRECTORY + "/old.bak": "iface eth1 inet dhcp\n"},
        {INTERFACES: SOURCE_CFG, DIRECTORY + "/.hidden.cfg": "iface eth1 inet dhcp\n"},
        {
            INTERFACES: "source-directory interfaces.d\n",
            DIRECTORY + "/x.cfg": "iface eth1 inet dhcp\n",
        },
    ],
    ids=["another", "eth10", "comment", "not sourced", "dot file", "name with a dot"],
)
def test_what_ifupdown_does_not_read_as_this_interface_keeps_nothing(files):
    assert backend_of(files).configuration("eth1").keep == ""


SOURCE_RUN = SOURCE_CFG + "source-directory /run/network/interfaces.d\n"
HELPER = "/run/network/interfaces.d/eth1"
PLAIN = "auto {0}\nallow-hotplug {0}\n\niface {0} inet dhcp\n"


def cloud_image(more=None):
    """Return the files of a Debian cloud image whose helper has seen eth1 and eth2."""
    files = {
        INTERFACES: SOURCE_RUN,
        HELPER: PLAIN.format("eth1"),
        HELPER[:-1] + "2": PLAIN.format("eth2"),
    }
    return dict(files, **(more or {}))


def test_what_the_cloud_images_helper_writes_is_nobodys_configuration():
    found = backend_of(cloud_image()).configuration("eth1")
    assert (found.keep, found.exists, found.text, found.edited) == ("", False, "", False)
    assert backend_of(cloud_image()).tables() == {}


def test_generated_files_take_the_place_of_the_helpers_and_of_no_others():
    reader = FakeReader(cloud_image())
    new = backend_of(reader.files).files(state_of(eni_texts()), eni_of(eni_texts()))
    assert sorted(new) == [DOT, HELPER]
    assert new[HELPER] is None
    reader.put(new)
    assert HELPER[:-1] + "2" in reader.files
    again = backend_of(reader.files).files(state_of(eni_texts()), eni_of(eni_texts()))
    assert again == {DOT: new[DOT]}


@pytest.mark.parametrize(
    "path", ["/run/network/interfaces.d/mine", "/run/network/interfaces.d/eth11"]
)
def test_another_file_beside_the_helpers_is_the_administrators(path):
    found = backend_of(cloud_image({path: PLAIN.format("eth1")})).configuration("eth1")
    assert path in found.keep


def test_the_helpers_file_goes_with_add_only():
    files = cloud_image({DOT: text_of(eni_texts())})
    assert backend_of(files).files_without("eth1") == {DOT: None}


def test_the_dhclient_files_of_an_interface_are_those_of_no_other():
    assert backend_of({INTERFACES: ""}).dhclient_files("eth1") == [
        "/var/lib/dhcp/dhclient.eth1.leases",
        "/var/lib/dhcp/dhclient6.eth1.leases",
        "/run/dhclient.eth1.pid",
        "/run/dhclient6.eth1.pid",
    ]


def test_a_file_moves_when_the_host_reads_another_name():
    text = text_of(eni_texts())
    files = {INTERFACES: SOURCE_CFG, DOTLESS: text}
    assert generated_files(files) == {DOTLESS: None, DOT: text}
    files = {INTERFACES: "source-directory interfaces.d\n", DOT: text}
    assert generated_files(files) == {DOT: None, DOTLESS: text}


def test_only_generated_files_are_taken_away():
    text = text_of(eni_texts())
    assert backend_of(generated()).files_without("eth1") == {DOT: None}
    both = {INTERFACES: SOURCE_CFG, DOT: text, DOTLESS: text}
    assert backend_of(both).files_without("eth1") == {DOT: None, DOTLESS: None}
    mine = {INTERFACES: SOURCE_CFG, DOT: text, DOTLESS: "# mine\n"}
    assert backend_of(mine).files_without("eth1") == {DOT: None}
    assert backend_of({INTERFACES: SOURCE_CFG}).files_without("eth1") == {}


def test_dhclient_conf_is_restored_when_the_interface_goes():
    dhclient = "/etc/dhcp/dhclient.conf"
    reader = FakeReader({INTERFACES: SOURCE_CFG, dhclient: "timeout 300;"})
    reader.put(generated_files(reader.files))
    assert "# ec2net eth1: begin" in reader.files[dhclient]
    reader.put(backend_of(reader.files).files_without("eth1"))
    assert reader.files == {INTERFACES: SOURCE_CFG, dhclient: "timeout 300;"}


def test_a_dhclient_conf_that_was_not_there_goes_with_the_interface():
    hook = "/etc/dhcp/dhclient-exit-hooks.d/x"
    reader = FakeReader({INTERFACES: SOURCE_CFG, hook: ""})
    reader.put(generated_files(reader.files))
    assert "/etc/dhcp/dhclient.conf" in reader.files
    reader.put(backend_of(reader.files).files_without("eth1"))
    assert reader.files == {INTERFACES: SOURCE_CFG, hook: ""}


def test_without_dhclient_there_is_no_dhclient_conf():
    assert list(generated_files({INTERFACES: SOURCE_CFG})) == [DOT]


def test_the_numbers_of_all_generated_files_are_known():
    files = {
        INTERFACES: SOURCE_CFG,
        DIRECTORY + "/eth1.cfg": text_of(eni_texts()),
        DIRECTORY + "/ens6": text_of(eni_texts(2), "ens6", 15000, 15000),
        DIRECTORY + "/eth3.cfg": "iface eth3 inet dhcp\n",
    }
    assert backend_of(files).tables() == {"eth1": 10001, "ens6": 15000}


def test_a_copy_of_a_generated_file_is_no_interface_and_an_edited_one_is():
    text = text_of(eni_texts())
    edited = text_of(eni_texts(), "eth2", 10002, 10002).split("\n", 1)[1]
    files = {
        INTERFACES: SOURCE_CFG,
        DIRECTORY + "/eth1.cfg": text,
        DIRECTORY + "/eth1.cfg.bak": text,
        DIRECTORY + "/eth2.cfg": edited,
    }
    assert backend_of(files).tables() == {"eth1": 10001, "eth2": 10002}


def test_the_distributions_commands_are_argument_lists():
    backend = backend_of({INTERFACES: ""})
    assert backend.up_command("eth1")[-1] == "eth1"
    assert backend.up_command("eth1")[0] == "ifup"
    assert backend.down_command("eth1")[0] == "ifdown"
    assert backend.down_command("eth1")[-1] == "eth1"


def test_a_dhclient_conf_behind_a_link_is_left_and_told_beside_what_else_is_wrong():
    class Linked(FakeReader):
        def may_write(self, path):
            return path != "/etc/dhcp/dhclient.conf"

    reader = Linked({INTERFACES: "", "/etc/dhcp/dhclient.conf": "timeout 300;\n"})
    backend = ifupdown.Ifupdown(reader)
    assert "/etc/dhcp/dhclient.conf" in backend.warning("eth1")
    assert "add the line" in backend.warning("eth1")
    assert "/etc/dhcp/dhclient.conf" not in backend.files_without("eth1")
