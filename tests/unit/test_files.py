"""Files change as a whole or not at all, and only when they have to.

In a real directory: what counts is what the kernel makes of links, modes and renames.
"""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import glob
import os

import pytest

from ec2net_legacy import _compat
from ec2net_legacy.errors import HostError
from ec2net_legacy.host.files import Files
from tests.unit.fakes import raised

ONE = "/etc/network/interfaces.d/eth1.cfg"
TWO = "/etc/network/interfaces.d/eth2.cfg"


@pytest.fixture
def root(tmpdir):
    tmpdir.ensure("etc", "network", "interfaces.d", dir=True)
    return tmpdir


@pytest.fixture
def files(root):
    return Files("{0}".format(root))


def real(root, path):
    return root.join(*path.strip("/").split("/"))


def tree(root):
    """Return {path: bytes} of all files below `root`, also hidden ones."""
    return {path.relto(root): path.read_binary() for path in root.visit(fil=lambda p: p.isfile())}


def mode_of(path):
    return oct(path.stat().mode & 0o7777)


def test_what_was_written_is_read(files, root):
    assert files.put({ONE: "one\n", TWO: "two\n"}) == [ONE, TWO]
    assert files.read(ONE) == "one\n"
    assert tree(root) == {ONE[1:]: b"one\n", TWO[1:]: b"two\n"}


def test_what_is_not_a_file_reads_as_nothing(files, root):
    assert files.read("/etc/none") is None
    assert files.read("/etc/network") is None
    real(root, "/etc/file").write("")
    assert files.read("/etc/file/below") is None
    assert not files.exists("/etc/none")
    assert files.exists("/etc/network")
    assert files.exists("/etc/file")


def test_a_file_that_cannot_be_read_is_not_a_file_that_is_not_there(files, monkeypatch):
    def refuse(*_, **__):
        raise IOError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(HostError) as caught:
            files.read(ONE)
    assert ONE in "{0}".format(caught.value)
    assert "Input/output error" in "{0}".format(caught.value)


def test_every_byte_comes_out_as_it_went_in(files, root):
    content = bytes(bytearray(range(256))) + b"\r\n\n\n"
    real(root, ONE).write_binary(content)
    text = files.read(ONE)
    files.put({TWO: text})
    assert real(root, TWO).read_binary() == content


def test_half_of_a_file_is_not_taken_for_all_of_it(files, root):
    real(root, ONE).write_binary(b"x" * (1 << 20))
    assert len(files.read(ONE)) == 1 << 20
    real(root, ONE).write_binary(b"x" * ((1 << 20) + 1))
    for act in (lambda: files.read(ONE), lambda: files.put({ONE: "one\n", TWO: "two\n"})):
        with pytest.raises(HostError) as caught:
            act()
        assert "{0} is too large: expected at most 1048576 bytes".format(ONE) in str(caught.value)
    assert real(root, ONE).size() == (1 << 20) + 1
    assert not real(root, TWO).check()


def test_a_file_that_is_as_it_should_be_is_not_touched(files, root):
    files.put({ONE: "one\n"})
    before = os.stat(str(real(root, ONE)))
    assert files.put({ONE: "one\n", TWO: None}) == []
    after = os.stat(str(real(root, ONE)))
    assert (after.st_ino, after.st_mtime) == (before.st_ino, before.st_mtime)


def test_a_changed_file_is_a_new_one_not_a_rewritten_one(files, root):
    files.put({ONE: "one\n"})
    with open(str(real(root, ONE)), "rb") as reader:
        assert files.put({ONE: "another\n"}) == [ONE]
        assert reader.read() == b"one\n"
    assert files.read(ONE) == "another\n"


def test_a_file_can_be_removed(files, root):
    files.put({ONE: "one\n", TWO: "two\n"})
    assert files.put({ONE: None, TWO: "two\n"}) == [ONE]
    assert tree(root) == {TWO[1:]: b"two\n"}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_file_can_be_read_by_everybody_whatever_the_umask(files, root, umask):
    before = os.umask(umask)
    try:
        files.put({ONE: "one\n"})
    finally:
        os.umask(before)
    assert mode_of(real(root, ONE)) == oct(0o644)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_an_administrators_mode_is_kept(files, root, mode):
    real(root, ONE).write("theirs\n")
    real(root, ONE).chmod(mode)
    files.put({ONE: "one\n"})
    assert mode_of(real(root, ONE)) == oct(mode)


@pytest.mark.parametrize("umask", [0o022, 0o077], ids=oct)
def test_a_missing_directory_is_made(files, root, umask):
    real(root, "/etc/network/interfaces.d").remove()
    before = os.umask(umask)
    try:
        files.put({ONE: "one\n"})
    finally:
        os.umask(before)
    assert files.read(ONE) == "one\n"
    assert mode_of(real(root, "/etc/network/interfaces.d")) == oct(0o755)


@pytest.mark.parametrize("target", ["elsewhere", "missing"])
@pytest.mark.parametrize("text", ["one\n", None], ids=["write", "remove"])
def test_a_symbolic_link_is_refused_and_stays(files, root, target, text):
    real(root, "/etc/elsewhere").write("theirs\n")
    link = real(root, ONE)
    link.mksymlinkto(str(real(root, "/etc/" + target)))
    if target == "missing" and text is None:
        # It reads as nothing, which is what is wanted.
        assert files.put({ONE: text}) == []
    else:
        assert ONE in raised(HostError, files.put, {ONE: text, TWO: "two\n"})
    assert link.islink()
    assert real(root, "/etc/elsewhere").read() == "theirs\n"
    assert not real(root, TWO).check()
    assert not real(root, "/etc/missing").check()


def failing(monkeypatch, owner, name, number, at_call):
    """Make `owner.name` fail with `number` from its call `at_call` (from 1) on."""
    works = getattr(owner, name)
    calls = []

    def call(*arguments):
        calls.append(arguments)
        if len(calls) >= at_call:
            raise OSError(number, os.strerror(number))
        return works(*arguments)

    monkeypatch.setattr(owner, name, call)
    return calls


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO], ids=os.strerror)
@pytest.mark.parametrize(
    "name, at_call", [("open", 2), ("fsync", 2), ("chmod", 2)], ids=["open", "fsync", "chmod"]
)
def test_when_the_second_file_cannot_be_written_both_stay_as_they_were(
    files, root, monkeypatch, name, at_call, number
):
    files.put({ONE: "one\n"})
    before = tree(root)
    with monkeypatch.context() as patch:
        calls = failing(patch, os, name, number, at_call)
        with pytest.raises(HostError) as caught:
            files.put({ONE: "changed\n", TWO: "two\n"})
        assert len(calls) == at_call
    assert TWO in "{0}".format(caught.value)
    assert os.strerror(number) in "{0}".format(caught.value)
    assert tree(root) == before


def test_on_a_read_only_disk_the_error_is_the_disks(files, root, monkeypatch):
    files.put({ONE: "one\n"})
    before = tree(root)
    with monkeypatch.context() as patch:
        failing(patch, os, "open", errno.EROFS, 1)
        failing(patch, os, "unlink", errno.EROFS, 1)
        with pytest.raises(HostError) as caught:
            files.put({ONE: "changed\n"})
    assert os.strerror(errno.EROFS) in "{0}".format(caught.value)
    assert tree(root) == before


def test_a_file_that_cannot_take_its_place_leaves_nothing_beside_it(files, root, monkeypatch):
    files.put({ONE: "one\n"})
    before = tree(root)
    with monkeypatch.context() as patch:
        failing(patch, _compat, "replace", errno.EIO, 1)
        with pytest.raises(HostError) as caught:
            files.put({ONE: "changed\n", TWO: "two\n"})
    assert "cannot write" in "{0}".format(caught.value)
    assert tree(root) == before


def test_a_file_that_cannot_be_removed_is_named(files, root, monkeypatch):
    files.put({ONE: "one\n"})
    with monkeypatch.context() as patch:
        failing(patch, os, "unlink", errno.EROFS, 1)
        with pytest.raises(HostError) as caught:
            files.put({ONE: None})
    assert "cannot remove " + ONE in "{0}".format(caught.value)
    assert files.read(ONE) == "one\n"


def test_a_moving_file_is_never_nowhere(files, root, monkeypatch):
    files.put({ONE: "one\n"})
    with monkeypatch.context() as patch:
        failing(patch, _compat, "replace", errno.EIO, 1)
        raised(HostError, files.put, {ONE: None, TWO: "one\n"})
    assert files.read(ONE) == "one\n"


def test_what_a_crash_left_behind_is_overwritten_and_never_read(files, root, monkeypatch):
    class PowerCut(BaseException):
        pass

    def cut(*_):
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", lambda _: None)
        patch.setattr(_compat, "replace", cut)
        raised(PowerCut, files.put, {ONE: "half"})
    left = list(tree(root))
    assert len(left) == 1
    # ifupdown's globs and run-parts take no names that begin with a dot.
    assert os.path.basename(left[0]).startswith(".")
    assert files.glob("/etc/network/interfaces.d/*") == []
    files.put({ONE: "one\n"})
    assert tree(root) == {ONE[1:]: b"one\n"}


def test_a_link_where_the_new_text_is_prepared_is_not_followed(files, root, monkeypatch):
    victim = real(root, "/etc/victim")
    victim.write("theirs\n")
    names = []
    with monkeypatch.context() as patch:
        opened = os.open
        patch.setattr(os, "open", lambda path, *rest: names.append(path) or opened(path, *rest))
        files.put({ONE: "one\n"})
    os.symlink(str(victim), [name for name in names if name.endswith("-new")][0])
    with monkeypatch.context() as patch:
        # As if the link came back right after the leftover was taken away.
        patch.setattr(os, "unlink", lambda _: None)
        raised(HostError, files.put, {ONE: "two\n"})
    assert victim.read() == "theirs\n"
    files.put({ONE: "three\n"})
    assert victim.read() == "theirs\n"
    assert files.read(ONE) == "three\n"


def test_a_new_text_is_on_disk_before_it_takes_its_place(files, monkeypatch):
    happened = []
    with monkeypatch.context() as patch:
        sync, replace = os.fsync, _compat.replace
        patch.setattr(os, "fsync", lambda handle: happened.append("sync") or sync(handle))
        patch.setattr(
            _compat, "replace", lambda *paths: happened.append("replace") or replace(*paths)
        )
        files.put({ONE: "one\n"})
    assert happened == ["sync", "replace", "sync"]


# In UTF-8 and in Latin-1; for Python the second byte of each of the former is a blank.
NAMES = ["caf\xc3\xa9", "\xc3\xa0", "\xc3\x85", "caf\xe9"]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_each_byte_of_a_name_is_a_character_in_whatever_encoding_it_is(files, root, name):
    path = "/etc/network/interfaces.d/{0}.cfg".format(name)
    with open(str(root).encode("ascii") + path.encode("latin-1"), "wb") as stream:
        stream.write(b"theirs\n")
    assert files.glob("/etc/network/interfaces.d/*") == [path]
    assert files.glob("/etc/network/interfaces.d/{0}*".format(name)) == [path]
    assert files.exists(path) and files.may_write(path)
    assert files.read(path) == "theirs\n"


def test_a_pattern_gives_paths_as_they_are_on_the_host(files):
    files.put({ONE: "", TWO: ""})
    assert files.glob("/etc/network/interfaces.d/*") == [ONE, TWO]
    assert files.glob("/etc/network/interfaces.d/*2*") == [TWO]
    assert files.glob("/etc/none/*") == []


@pytest.mark.parametrize(
    "pattern",
    ["*", "*.cfg", "a?.cfg", "[ab]1.cfg", "[!a]*", ".*", ".a1.cfg", "a1.cfg", "gone", "gone/*",
     "sub/*", "*/c1.cfg", "dangling", "*ling", ""],
)
def test_patterns_are_those_of_the_library(files, root, pattern):
    directory = root.join("etc/network/interfaces.d")
    for name in ("a1.cfg", "b1.cfg", ".a1.cfg", "sub/c1.cfg", "[ab]1.cfg"):
        directory.ensure(name)
    directory.join("dangling").mksymlinkto("/nonexistent")
    expected = glob.glob(str(directory.join("")) + "/" + pattern)
    place = "/etc/network/interfaces.d/"
    assert files.glob(place + pattern) == sorted(
        place + os.path.relpath(path, str(directory)) if pattern else place[:-1]
        for path in expected
    )
