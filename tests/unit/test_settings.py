"""ec2net.conf: what it may say, and what an administrator reads who got it wrong."""
from __future__ import absolute_import, print_function, unicode_literals

import sys

import pytest

from ec2net_legacy import settings
from ec2net_legacy.errors import SettingsError
from tests.unit.fakes import raised


def refusal(text):
    """Return what is said about a file with `text`."""
    message = raised(SettingsError, settings.parse, text.splitlines(), "/x.conf")
    assert "\n" not in message
    return message


def test_an_empty_file_says_the_same_as_no_file():
    assert settings.parse([], "/x.conf") == settings.DEFAULTS
    assert settings.parse(["# nothing", "", "[metadata]"], "/x.conf") == settings.DEFAULTS


def test_a_missing_file_means_the_defaults(tmpdir):
    assert settings.load(str(tmpdir.join("none.conf"))) == settings.DEFAULTS
    tmpdir.join("file").write("")
    assert settings.load(str(tmpdir.join("file", "none.conf"))) == settings.DEFAULTS


def test_everything_can_be_set():
    found = settings.parse(
        """
        backend = ifupdown
        ignore = eth7, 02:00:00:00:00:09, eni-0a1b2c, veth*
        table_base = 20000
        priority_base = 500
        link_group = 7
        containers = no
        mark_mask = 0xff0000
        mark_base = 0x100000
        alternative_names = no
        run_directory = /run/elsewhere
        metrics_file = /var/lib/node/ec2net.prom
        [metadata]
        endpoints = http://127.0.0.1:8080/latest/, https://[::1]/x
        connect_timeout = 0.5
        read_timeout = 3
        deadline = 20
        attach_deadline = 0
        token_ttl = 60
        reuse = 0
        transport = requests
        """.splitlines(),
        "/x.conf",
    )
    assert found == settings.Settings(
        backend="ifupdown",
        ignore=("eth7", "02:00:00:00:00:09", "eni-0a1b2c", "veth*"),
        table_base=20000,
        priority_base=500,
        link_group=7,
        containers="no",
        mark_mask=0xFF0000,
        mark_base=0x100000,
        alternative_names="no",
        run_directory="/run/elsewhere",
        metrics_file="/var/lib/node/ec2net.prom",
        metadata=settings.MetadataSettings(
            endpoints=("http://127.0.0.1:8080/latest", "https://[::1]/x"),
            connect_timeout=0.5,
            read_timeout=3.0,
            deadline=20.0,
            attach_deadline=0.0,
            token_ttl=60,
            reuse=0.0,
            transport="requests",
        ),
    )


@pytest.mark.parametrize(
    "line, expected",
    [("ignore =", ()), ("ignore = eth7", ("eth7",)), ("ignore = eth7,", ("eth7",))],
)
def test_a_list_of_none_or_one_is_a_list(line, expected):
    assert settings.parse([line], "/x.conf").ignore == expected


@pytest.mark.parametrize("written", ["0A:EC:20:00:00:0f", "0a-ec-20-00-00-0F"])
def test_a_mac_address_may_be_written_in_other_ways(written):
    assert settings.parse(["ignore = ens*, " + written], "/x.conf").ignore == (
        "ens*", "0a:ec:20:00:00:0f"
    )


@pytest.mark.parametrize(
    "text, mask, base",
    [
        ("mark_mask = 0xFF0000", 0xFF0000, 0),
        ("mark_mask = 0XfffffffE", 0xFFFFFFFE, 0),
        ("mark_mask = 768", 0x300, 0),
        ("mark_mask = 0768", 768, 0),
        ("mark_base = 0x0100", 0x3F00, 0x100),
        ("mark_base = 00", 0x3F00, 0),
    ],
)
def test_bits_are_written_in_base_16_or_10(text, mask, base):
    found = settings.parse([text], "/x.conf")
    assert (found.mark_mask, found.mark_base) == (mask, base)


def test_a_file_is_read_as_utf8(tmpdir):
    path = tmpdir.join("x.conf")
    path.write_binary("# Gr\u00fc\u00dfe\ntable_base = 11000\n".encode("utf-8"))
    assert settings.load(str(path)).table_base == 11000


@pytest.mark.parametrize(
    "text, said",
    [
        ("tabel_base = 1", ["/x.conf:1:", "unknown key 'tabel_base'", "table_base", "backend"]),
        ("\n# c\nfoo = 1", ["/x.conf:3:", "'foo'"]),
        ("[metadata]\n\ntable_base = 11000", ["/x.conf:3:", "'table_base'", "endpoints"]),
        ("[meta]\nendpoints = http://x/", ["/x.conf:1:", "unknown section 'meta'", "metadata"]),
        ("[metadata]\n[[deep]]\na = 1", ["/x.conf:2:", "'deep'"]),
        ("backend = netplan", ["/x.conf:1:", "netplan", "auto, ifupdown, ifcfg"]),
        ("\ntable_base = much", ["/x.conf:2:", "much", "whole number from 1000 to 4294957295"]),
        ("table_base = 253", ["/x.conf:1:", "253", "from 1000 to"]),
        ("table_base = 4294967295", ["/x.conf:1:", "to 4294957295"]),
        ("priority_base = 32766", ["/x.conf:1:", "from 11 to 22766"]),
        # Main is asked ten before the first ENI.
        ("priority_base = 10", ["/x.conf:1:", "from 11 to"]),
        ("link_group = 0", ["/x.conf:1:", "whole number from 1 to 2147483647"]),
        ("containers = maybe", ["/x.conf:1:", "auto, yes, no"]),
        ("alternative_names = auto", ["/x.conf:1:", "one of yes, no"]),
        ("\nmark_mask = many", ["/x.conf:2:", "mark_mask = many", "a number such as 0x3f00"]),
        ("mark_mask =", ["/x.conf:1:", "a number such as 0x3f00"]),
        ("mark_mask = 0x100000000", ["/x.conf:1:", "a number such as 0x3f00"]),
        ("mark_mask = 0", ["/x.conf:1:", "mark_mask = 0x0", "2 to 31 bits side by side"]),
        ("mark_mask = 0x100", ["/x.conf:1:", "mark_mask = 0x100", "side by side"]),
        ("mark_mask = 0x5", ["/x.conf:1:", "side by side"]),
        ("mark_mask = 0xffffffff", ["/x.conf:1:", "mark_mask = 0xffffffff", "2 to 31"]),
        ("mark_base = -1", ["/x.conf:1:", "mark_base = -1", "a number such as"]),
        ("mark_base = 0x4000", ["/x.conf:1:", "mark_base = 0x4000", "mark_mask (0x3f00) only"]),
        ("mark_mask = 0xff0000\nmark_base = 256", ["/x.conf:2:", "mark_base = 0x100"]),
        ("ignore = eth1 eth2", ["/x.conf:1:", "ignore = eth1 eth2", "commas between them"]),
        ("table_base = 1, 2", ["/x.conf:1:", "whole number"]),
        ("run_directory = run", ["/x.conf:1:", "run_directory = run", "absolute path"]),
        ("metrics_file = /etc/passwd", ["/x.conf:1:", "metrics_file = /etc/passwd", ".prom"]),
        ("metrics_file = x.prom", ["/x.conf:1:", "absolute path"]),
        ("[metadata]\nendpoints = ftp://x/", ["/x.conf:2:", "ftp://x", "http://169.254.169.254"]),
        ("[metadata]\nendpoints =", ["/x.conf:2:", "http://169.254.169.254"]),
        ("[metadata]\ndeadline = -1", ["/x.conf:2:", "-1", "a number from 0.1 to 600"]),
        ("[metadata]\nread_timeout = 2s", ["/x.conf:2:", "2s", "a number from 0.1 to 60"]),
        ("[metadata]\ntoken_ttl = 1.5", ["/x.conf:2:", "1.5", "whole number from 60 to 21600"]),
        ("metadata = x", ["/x.conf", "metadata", "section"]),
        ("[table_base]\nx = 1", ["/x.conf", "table_base"]),
        ("a line", ["/x.conf:1:", "'a line'", "KEY = VALUE"]),
        ("backend = auto\n[metadata\n", ["/x.conf:2:", "'[metadata'"]),
        ("backend = auto\nbackend = auto", ["/x.conf:2:", "backend"]),
        ("[metadata]\nendpoints = 'x", ["/x.conf:2:"]),
    ],
    ids=lambda value: repr(value).lstrip("u") if not isinstance(value, list) else "said",
)
def test_a_mistake_is_shown_with_its_line_and_what_may_stand_there(text, said):
    message = refusal(text)
    for words in said:
        assert words in message


def test_interpolation_is_not_done():
    assert settings.parse(["ignore = %(backend)s"], "/x.conf").ignore == ("%(backend)s",)


def test_a_file_that_is_not_text_is_refused(tmpdir):
    path = tmpdir.join("x.conf")
    path.write_binary(b"backend = \xff\xfe\n")
    assert "x.conf" in raised(SettingsError, settings.load, str(path))


def test_a_file_that_cannot_be_read_is_refused_not_skipped(tmpdir):
    assert str(tmpdir) in raised(SettingsError, settings.load, str(tmpdir))


def test_settings_are_not_read_without_an_end(tmpdir):
    path = tmpdir.join("ec2net.conf")
    path.write("# " + "x" * (1 << 20))
    said = raised(SettingsError, settings.load, "{0}".format(path))
    assert "{0} is too large".format(path) in said


@pytest.mark.parametrize(
    "content",
    [b"", b"\n \n", b"# a\n\t# b = 1\n[metadata]\n#c = 2", b"# a\r\n[metadata]\r\n"],
    ids=["empty", "blank", "commented out", "lines of Windows"],
)
def test_a_file_that_sets_nothing_is_read_without_configobj(tmpdir, monkeypatch, content):
    monkeypatch.setitem(sys.modules, "configobj", None)
    tmpdir.join("x.conf").write_binary(content)
    assert settings.load(str(tmpdir.join("x.conf"))) == settings.DEFAULTS


@pytest.mark.parametrize(
    "content",
    [b"#\ra = 1", b"#\x0ca = 1", b"[meta]", b"#\n\na = 1", b"[metadata] a", b"# \xff"],
)
def test_every_other_file_is_read_to_its_end(tmpdir, content):
    tmpdir.join("x.conf").write_binary(content)
    raised(SettingsError, settings.load, str(tmpdir.join("x.conf")))
