"""The manual pages: made from the parsers and the specification, and taken by man and mandoc."""

import argparse
import os
import shutil
import subprocess
import sys

import pytest

from tests.packaging.test_install import COMMANDS, REPOSITORY, listing, make

sys.path.insert(0, str(REPOSITORY))

from ec2net_legacy import settings, usage  # noqa: E402

PAGES = {name + ".8" for name in COMMANDS} | {"ec2net.conf.5"}
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "FILES", "ENVIRONMENT",
            "EXAMPLES", "SEE ALSO"]
REPRODUCIBLE = {"SOURCE_DATE_EPOCH": "1700000000"}


def build(target, directory, **environ):
    """Make `target` below `directory`; return the directory of what was made."""
    subprocess.run(
        ["make", "-s", "-C", str(REPOSITORY), target, "BUILT=" + str(directory),
         "BUILD_PYTHON=" + sys.executable],
        check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environ})
    return directory / target


def needs(tool):
    """Skip where a tool is missing, but not in CI."""
    if not shutil.which(tool):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(tool + " is not installed")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build("man", tmp_path_factory.mktemp("built"), **REPRODUCIBLE)


def shown(page):
    """Return a page as man shows it, and what it complains of."""
    needs("man")
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MAN_KEEP_FORMATTING": ""}
    return subprocess.run(["man", "--warnings", "--no-hyphenation", "--local-file", str(page)],
                          env=environ, check=True, capture_output=True, text=True)


def test_there_is_a_page_for_each_command_and_for_the_settings(built):
    assert {path.name for path in built.iterdir()} == PAGES


@pytest.mark.parametrize("name", sorted(PAGES))
def test_man_has_nothing_to_warn_of(built, name):
    assert shown(built / name).stderr == ""


@pytest.mark.parametrize("name", sorted(PAGES))
def test_mandoc_has_nothing_to_warn_of(built, name):
    needs("mandoc")
    found = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(built / name)],
                           check=False, capture_output=True, text=True)
    assert found.stdout == ""


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_s_page_has_all_sections_and_all_that_its_parser_knows(built, command):
    page = shown(built / (command + ".8")).stdout
    headings = [line for line in page.splitlines() if line and line[0] != " "]
    assert [one for one in headings if one in SECTIONS] == SECTIONS
    parsers = [usage.parser_of(command)]
    for action in parsers[0]._actions:
        if isinstance(action.choices, dict):
            parsers += action.choices.values()
            for name in action.choices:
                assert "{} {}".format(command, name) in page
    options = {
        option: action.help for parser in parsers
        for option, action in parser._option_string_actions.items()
    }
    for option, said in options.items():
        assert (option in page) == (said != argparse.SUPPRESS), option


def test_the_page_of_the_settings_has_all_of_them(built):
    page = shown(built / "ec2net.conf.5").stdout
    keys = settings.Settings._fields + settings.MetadataSettings._fields
    lines = [line.split()[0] for line in page.splitlines() if line.startswith("       ")
             and line[7:8].strip()]
    assert set(keys) - {"metadata"} <= set(lines)
    assert "21600" in page and "http://[fd00:ec2::254]/latest" in page


def test_two_builds_of_one_moment_are_the_same(built, tmp_path):
    assert listing(build("man", tmp_path, **REPRODUCIBLE)) == listing(built)
    assert "2023-11-14" in (built / "ec2net.8").read_text()


def test_they_are_installed_where_man_looks_and_taken_away_again(built, tmp_path):
    before = listing(tmp_path)
    make("install", tmp_path, BUILT=built.parent, PREFIX="/opt/x")
    manual = tmp_path / "opt/x/share/man"
    assert {path.name for path in manual.rglob("*.[58]")} == PAGES
    needs("man")
    found = subprocess.run(["man", "-M", str(manual), "-w", "ec2net", "ec2net.conf"], check=True,
                           capture_output=True, text=True)
    places = [str(manual / "man8/ec2net.8"), str(manual / "man5/ec2net.conf.5")]
    assert found.stdout.split() == places
    make("uninstall", tmp_path, PREFIX="/opt/x")
    assert listing(tmp_path) == before


def test_an_installation_without_them_has_none(tmp_path):
    make("install", tmp_path)
    assert not (tmp_path / "usr/share").exists()
