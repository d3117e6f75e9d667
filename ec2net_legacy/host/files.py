"""Reading and writing configuration: atomically, only on change, never through a symbolic link."""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import fnmatch
import os
import stat

from ec2net_legacy import _compat, log
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError, TooLarge

if TYPE_CHECKING:
    from typing import Dict, Iterable, List, Optional

# Every byte is a character of Latin-1, so an administrator's text in whatever encoding comes out
# as it went in. The same is true of paths.
_ENCODING = "latin-1"
_GENERATED_MODE = 0o644
_LARGEST = 1 << 20
# ELOOP: a link to itself, which nobody can read.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO)


class Files(object):
    """The files below `root`; paths are absolute as they are on the running host."""

    def __init__(self, root="/"):
        # type: (str) -> None
        # This Python's own text; all other paths are as _compat.native_path says.
        self._root = str(root)

    def exists(self, path):
        # type: (str) -> bool
        """Return whether `path` is there."""
        return os.path.exists(self._real(path))

    def may_write(self, path):
        # type: (str) -> bool
        """Return whether `path` is a regular file or not there at all."""
        try:
            return stat.S_ISREG(os.lstat(self._real(path)).st_mode)
        except OSError:
            return True

    def target(self, path):
        # type: (str) -> str
        """Return what the symbolic link `path` leads to, "" where it is none."""
        try:
            return _compat.path_text(os.readlink(self._real(path)))
        except OSError:
            return ""

    def read(self, path):
        # type: (str) -> Optional[str]
        """Return the text of the regular file `path`, None where there is none.

        Raises HostError where it cannot be read, or not to its end.
        """
        try:
            # O_NONBLOCK: a FIFO that somebody put there must not hold a boot.
            handle = os.open(self._real(path), os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    return None
                content = stream.read(_LARGEST + 1)
        except (IOError, OSError) as error:
            if error.errno in _NOT_THERE:
                return None
            raise HostError("cannot read {0}: {1}".format(path, error.strerror))
        if len(content) > _LARGEST:
            # What is rewritten from half of it would lose the rest.
            raise TooLarge(path, _LARGEST)
        return content.decode(_ENCODING)

    def glob(self, pattern):
        # type: (str) -> List[str]
        """Return the paths that match `pattern`, sorted."""
        if "\0" in pattern:
            return []
        real = _matching(self._real(pattern))
        return sorted("/" + _compat.path_text(os.path.relpath(path, self._root)) for path in real)

    def check(self, paths):
        # type: (Iterable[str]) -> None
        """Raise HostError for a path that is a symbolic link or the like: it is not ours."""
        for path in paths:
            if not self.may_write(path):
                raise HostError("{0} is a symbolic link or a directory, not a file".format(path))

    def tidy(self, paths):
        # type: (List[str]) -> None
        """Remove what a run that died while writing left beside `paths`."""
        for path in paths:
            _discard(_temporary(self._real(path)))

    def put(self, files):
        # type: (Dict[str, Optional[str]]) -> List[str]
        """Make each path have its text, or be absent for None; return those that changed.

        All new texts are on disk beside their files before the first of them takes its place, so
        a full or read-only disk leaves everything as it was.
        """
        changed = [path for path in sorted(files) if self.read(path) != files[path]]
        self.check(changed)
        texts = [(path, files[path]) for path in changed]
        staged = []  # type: List[str]
        try:
            for path, text in texts:
                if text is not None:
                    staged.append(path)
                    self._stage(path, text)
            # Texts before deletions: a file that moves is never nowhere.
            for path, text in sorted(texts, key=lambda item: item[1] is None):
                self._commit(path, text)
        finally:
            self.tidy(staged)
        return changed

    def _stage(self, path, text):
        # type: (str, str) -> None
        real = self._real(path)
        try:
            if not os.path.isdir(os.path.dirname(real)):
                _compat.make_directory(os.path.dirname(real), 0o755)
            _write(_temporary(real), text)
            _set_owner_and_mode(_temporary(real), real)
        except (IOError, OSError) as error:
            raise HostError("cannot write {0}: {1}".format(path, error.strerror))

    def _commit(self, path, text):
        # type: (str, Optional[str]) -> None
        real = self._real(path)
        try:
            if text is None:
                os.unlink(real)
            else:
                _compat.replace(_temporary(real), real)
            _sync_directory(os.path.dirname(real))
        except (IOError, OSError) as error:
            verb = "remove" if text is None else "write"
            raise HostError("cannot {0} {1}: {2}".format(verb, path, error.strerror))
        log.debug("%s: %s", "removed" if text is None else "written", path)

    def _real(self, path):
        # type: (str) -> str
        return os.path.join(self._root, _compat.native_path(path.lstrip("/")))


def _matching(pattern):
    # type: (str) -> List[str]
    """Return what the library's glob() does, without importing it for the usual `directory/*`."""
    directory, names = os.path.split(pattern)
    if _is_pattern(directory):
        import glob

        return glob.glob(pattern)
    if not _is_pattern(names):
        return [pattern] if os.path.lexists(pattern) else []
    try:
        listed = os.listdir(directory)
    except OSError:
        return []
    if not names.startswith(str(".")):
        listed = [one for one in listed if not one.startswith(str("."))]
    return [os.path.join(directory, one) for one in fnmatch.filter(listed, names)]


def _is_pattern(path):
    # type: (str) -> bool
    return any(one in path for one in str("*?["))


def _temporary(real):
    # type: (str) -> str
    # One name, not a random one: what a crash left is overwritten by the next run. ifupdown and
    # run-parts read no dot files.
    directory, name = os.path.split(real)
    return os.path.join(directory, str(".{0}.ec2net-new").format(name))


def _write(path, text):
    # type: (str, str) -> None
    _unlink(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(text.encode(_ENCODING))
        stream.flush()
        # Without it a crash after the rename can leave an empty file for the next boot.
        os.fsync(stream.fileno())


def _set_owner_and_mode(path, like):
    # type: (str, str) -> None
    """Make `path` what the file `like` is; 0644, whatever the umask, where there is none."""
    try:
        status = os.stat(like)
    except OSError:
        os.chmod(path, _GENERATED_MODE)
        return
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(path, status.st_uid, status.st_gid)
    os.chmod(path, stat.S_IMODE(status.st_mode))


def _unlink(path):
    # type: (str) -> None
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def _discard(path):
    # type: (str) -> None
    try:
        os.unlink(path)
    except OSError:
        # It took its file's place, or the disk became read-only: the next run overwrites it.
        pass


def _sync_directory(directory):
    # type: (str) -> None
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
