"""One source for what each setting is: settings.spec; the file and the documentation follow it."""

import importlib.util
import re
import shutil

import pytest

from tests.packaging.test_install import REPOSITORY, listing, make, write

PATH = "etc/ec2net/ec2net.conf"


def module(name):
    """Return a program of packaging/, which is no package, as a module."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "packaging" / (name + ".py"))
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


TEXT = module("spec_text")
AGAIN = "call packaging/spec_text.py"


def test_the_installed_file_is_made_from_the_specification():
    assert (REPOSITORY / "packaging/ec2net.conf").read_text() == TEXT.conf(), AGAIN


def test_the_documented_table_is_made_from_the_specification():
    assert (REPOSITORY / "docs/configuring.md").read_text() == TEXT.document(), AGAIN


def test_what_is_commented_out_are_the_defaults_of_all_settings():
    lines = [re.sub(r"^#(?=\w+ =)", "", line) for line in TEXT.conf().splitlines()]
    checked = TEXT.settings.check(lines)
    assert checked.problems == []
    assert checked.settings == TEXT.settings.DEFAULTS
    fields = TEXT.settings.Settings._fields + TEXT.settings.MetadataSettings._fields
    assert {key for _, key in checked.given} == set(fields) - {"metadata"}


def test_it_is_installed_and_taken_away_unless_somebody_changed_it(tmp_path):
    before = listing(tmp_path)
    make("install", tmp_path)
    assert (tmp_path / PATH).read_text() == TEXT.conf()
    make("uninstall", tmp_path)
    assert listing(tmp_path) == before
    make("install", tmp_path)
    (tmp_path / PATH).write_text("backend = ifupdown\n")
    make("install", tmp_path)
    make("uninstall", tmp_path)
    assert [path for path in listing(tmp_path) if "etc" in path] == ["etc", "etc/ec2net", PATH]
    assert (tmp_path / PATH).read_text() == "backend = ifupdown\n"


@pytest.mark.parametrize("same", [False, True])
def test_one_that_is_there_stays_as_it_is(tmp_path, same):
    write(tmp_path / PATH, TEXT.conf() if same else "backend = ifupdown\n")
    before = listing(tmp_path)
    make("install", tmp_path)
    assert listing(tmp_path)[PATH] == before[PATH]
    make("uninstall", tmp_path)
    assert listing(tmp_path) == before


def test_a_newer_one_takes_the_place_of_an_unchanged_one(tmp_path):
    make("install", tmp_path)
    older = "# an older one\n"
    for place in (PATH, "usr/lib/ec2net/ec2net.conf"):
        (tmp_path / place).write_text(older)
    make("install", tmp_path)
    assert (tmp_path / PATH).read_text() == TEXT.conf()


def test_what_the_specification_does_not_explain_is_refused(tmp_path, monkeypatch):
    spec = tmp_path / "settings.spec"
    shutil.copy(TEXT.settings_file.SPEC, spec)
    with spec.open("a") as stream:
        stream.write("\nnew = string(default='')\n")
    monkeypatch.setattr(TEXT.settings_file, "SPEC", str(spec))
    with pytest.raises(ValueError, match="what new is"):
        TEXT.read()
