"""``ec2net config``: the settings and where each is from; all that is wrong with a file."""
from __future__ import absolute_import, print_function, unicode_literals

import json
import os

import pytest

from ec2net_legacy import cli, settings, settings_report
from ec2net_legacy.errors import SettingsError
from tests.unit.fakes import raised
from tests.unit.test_cli import Commands


@pytest.fixture
def commands(tmpdir, monkeypatch, capsys):
    monkeypatch.setattr(settings, "PATH", "{0}".format(tmpdir.join("ec2net.conf")))
    return Commands(tmpdir, monkeypatch, capsys)


def write(text):
    """Write the host's own file of settings."""
    with open(settings.PATH, "wb") as stream:
        stream.write(text.encode("utf-8"))


def test_without_a_file_all_are_defaults(commands):
    code, out, err = commands.run(cli.ec2net, "config")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert ["table_base", "default", "10000"] in rows
    assert ["mark_mask", "default", "0x3f00"] in rows
    assert rows[0] == ["SETTING", "FROM", "VALUE"]
    # One row each, the header, the section's name, and the second of two endpoints.
    names = len(settings.Settings._fields) + len(settings.MetadataSettings._fields)
    assert len(rows) == names - 1 + 3


def test_what_the_file_sets_is_shown_with_its_line(commands):
    write("# c\ntable_base = 0020000\n\n[metadata]\nreuse = 0.5\n")
    code, out, _ = commands.run(cli.ec2net, "config")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["table_base", settings.PATH + ":2", "20000"] in rows
    assert ["reuse", settings.PATH + ":5", "0.5"] in rows
    assert ["backend", "default", "auto"] in rows


def test_long_lists_are_folded_for_80_columns(monkeypatch):
    monkeypatch.setattr(settings, "PATH", "/etc/ec2net/ec2net.conf")
    names = ["eth{0}".format(number) for number in range(50)]
    content = "ignore = {0}\n".format(", ".join(names)).encode("ascii")
    monkeypatch.setattr(settings, "read", lambda path: content)
    out, right = settings_report.report(None, False)
    assert right
    assert max(len(line) for line in out.splitlines()) <= 80
    assert " ".join(names) in " ".join(out.replace(",", "").split())


def test_json_has_the_values_themselves(commands):
    write("ignore = eth7\nmark_mask = 0xff0000\n")
    code, out, _ = commands.run(cli.ec2net, "config", "--json")
    assert code == 0
    said = json.loads(out)
    assert said["problems"] == []
    found = {one["setting"]: (one["value"], one["file"], one["line"]) for one in said["settings"]}
    assert found["ignore"] == (["eth7"], settings.PATH, 1)
    assert found["mark_mask"] == (0xFF0000, settings.PATH, 2)
    assert found["deadline"] == (10.0, None, None)


def test_a_check_tells_everything_that_is_wrong_in_order(commands, tmpdir):
    path = "{0}".format(tmpdir.join("x.conf"))
    with open(path, "wb") as stream:
        stream.write(
            b"backend = netplan\n[metadata\ndeadline = -1\nfoo = 1\n\xff = 1\nendpoints = ftp://x\n"
        )
    code, out, err = commands.run(cli.ec2net, "config", "--check", path)
    assert (code, err) == (1, "")
    said = [line[len(path) + 1 :].split(": ", 1) for line in out.splitlines()]
    assert [number for number, _ in said] == ["1", "2", "3", "4", "5", "6"]
    assert said[0][1] == "backend = netplan: expected one of auto, ifupdown, ifcfg, networkd"
    assert said[2][1] == "deadline = -1: expected a number from 0.1 to 600"
    assert said[3][1].startswith("unknown key 'foo': expected one of attach_deadline, ")
    assert said[4][1].endswith("expected UTF-8 text")
    code, out, _ = commands.run(cli.ec2net, "config", "--check", path, "--json")
    assert code == 1
    (problems,) = json.loads(out).values()
    assert problems[2] == {
        "file": path,
        "line": 3,
        "found": "deadline = -1",
        "expected": "a number from 0.1 to 600",
    }


def test_a_right_file_is_0_and_nothing_is_said(commands, tmpdir):
    tmpdir.join("x.conf").write("backend = ifupdown\n")
    path = "{0}".format(tmpdir.join("x.conf"))
    assert commands.run(cli.ec2net, "config", "--check", path) == (0, "", "")


def test_a_file_that_is_not_there_is_no_right_one(commands, tmpdir):
    path = "{0}".format(tmpdir.join("none.conf"))
    code, out, err = commands.run(cli.ec2net, "config", "--check", path)
    assert (code, out) == (1, "")
    assert path in err and len(err.splitlines()) == 1


def test_of_a_wrong_file_of_the_host_the_mistakes_are_shown_not_the_settings(commands):
    write("backend = x\ntable_base = y\n")
    code, out, _ = commands.run(cli.ec2net, "config")
    assert code == 1
    assert [line.split(":")[1] for line in out.splitlines()] == ["1", "2"]


def test_other_commands_say_how_many_more_mistakes_there_are():
    said = raised(SettingsError, settings.parse, ["backend = x", "foo = 1"], "/x.conf")
    assert said.startswith("/x.conf:1: backend = x: expected one of ")
    assert said.endswith("; 1 more: ec2net config --check /x.conf")


def test_a_mistake_does_not_make_another_one():
    """What is below a broken header is below that, and a mask that is wrong has no bits."""
    checked = settings.check(["mark_mask = 5", "mark_base = 2", "[metadata", "deadline = 3"], "x")
    assert [problem.line for problem in checked.problems] == [1, 3]
    assert checked.settings.metadata.deadline == 3.0


def test_a_terminal_gets_no_control_characters():
    checked = settings.check(["backend = a\x1b[2Jb", "run_directory = \x9b"], "x")
    assert [problem.found for problem in checked.problems] == [
        "backend = a\\x1b[2Jb",
        "run_directory = \\x9b",
    ]


def test_a_file_may_have_a_name_in_whatever_encoding(commands, tmpdir):
    path = os.path.join("{0}".format(tmpdir).encode("ascii"), b"\xe9\xc3\xa9.conf")
    with open(path, "wb") as stream:
        stream.write(b"backend = x\n")
    # As this Python has it in sys.argv.
    given = getattr(os, "fsdecode", bytes)(path)
    code, out, err = commands.run(cli.ec2net, "config", "--check", given)
    assert (code, err) == (1, "")
    assert "/\\xe9\\xc3\\xa9.conf:1: backend = x: " in out
