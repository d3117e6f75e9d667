"""HTTP by sockets: for lease events and the refresh, which a machine runs for ever.

To import requests takes longer than all else that such a run does. The metadata service speaks
plain HTTP on a link-local address, so neither TLS, proxies, redirects, cookies nor compression are
understood here.
"""
from __future__ import absolute_import, print_function, unicode_literals

import re
import select
import socket

from ec2net_legacy import _compat
from ec2net_legacy._cheap import namedtuple, pattern
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.imds.answers import (
    LARGEST_BODY,
    Answer,
    NoAnswer,
    too_large,
    too_late,
    too_short,
)

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, Tuple

    from ec2net_legacy.settings import MetadataSettings

# Bytes of the head of an answer, or of the lines between the chunks of a body.
_LONGEST_HEAD = 16 * 1024
_READ_SIZE = 16 * 1024

_URL = pattern(r"http://(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?(/[!-~]*)?\Z")
_STATUS = pattern(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: |\Z)")
_CHUNK = pattern(r"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\Z")
# A server may send some of these before the answer itself (RFC 9110, 15.2).
_MOST_INTERIM = 4

_Head = namedtuple("_Head", ["version", "status", "headers"])
"""The head of an answer; `version` is the digit after "HTTP/1."."""


class Transport(object):
    """Asks over connections that are kept open for the next question, one for each endpoint."""

    def __init__(self, settings, clock=_compat.monotonic, connect=None):
        # type: (MetadataSettings, Callable[[], float], Optional[Callable[..., Any]]) -> None
        self._settings = settings
        self._clock = clock
        self._connect = connect or _connect
        self._kept = {}  # type: Dict[Tuple[str, int], _Connection]

    def request(self, method, url, headers, limit):
        # type: (str, str, Dict[str, str], float) -> Answer
        """Return the answer, whose body is read to its end. Raises NoAnswer."""
        host, port, path = _parts(url)
        lines = ["{0} {1} HTTP/1.1".format(method, path), "Host: " + _host_header(host, port)]
        lines += ["{0}: {1}".format(name, headers[name]) for name in sorted(headers)]
        if method == "PUT":
            lines.append("Content-Length: 0")
        question = "\r\n".join(lines + ["", ""]).encode("ascii")
        deadline = _Deadline(self._clock, limit, self._settings.read_timeout)
        kept = self._kept.pop((host, port), None)
        if kept is not None and kept.is_quiet():
            try:
                return self._ask(kept, question, deadline)
            except _Closed:
                # The service ends connections that were idle. Its questions can be asked again.
                pass
        try:
            fresh = _Connection((host, port), self._open(host, port, deadline))
            return self._ask(fresh, question, deadline)
        except _Closed:
            raise NoAnswer("the connection was closed without an answer")

    def _open(self, host, port, deadline):
        # type: (str, int, _Deadline) -> Any
        try:
            limit = min(self._settings.connect_timeout, deadline.left())
            return self._connect((host, port), limit)
        except socket.timeout:
            raise NoAnswer("timed out")
        except (IOError, OSError, OverflowError, UnicodeError) as error:
            # OverflowError: there is no such port.
            raise NoAnswer(_reason(error))

    def _ask(self, connection, question, deadline):
        # type: (_Connection, bytes, _Deadline) -> Answer
        """Ask over a connection, and keep it if that can be used again."""
        try:
            answer, is_reusable = connection.ask(question, deadline)
        except socket.timeout:
            connection.close()
            raise NoAnswer("timed out")
        except (IOError, OSError) as error:
            connection.close()
            if not connection.is_answering:
                raise _Closed
            raise NoAnswer(_reason(error))
        except (NoAnswer, _Closed):
            connection.close()
            raise
        if is_reusable:
            self._kept[connection.place] = connection
        else:
            connection.close()
        return answer


class _Closed(Exception):
    """The other side had closed the connection before any of the answer came."""


class _Deadline(object):
    """Until when a request has to be through, and how long a silence in it may be."""

    def __init__(self, clock, limit, silence):
        # type: (Callable[[], float], float, float) -> None
        self._clock = clock
        self._limit = limit
        self._silence = silence
        self._end = clock() + limit

    def left(self):
        # type: () -> float
        """Return how many seconds are left. Raises NoAnswer if none is."""
        left = self._end - self._clock()
        if left <= 0:
            raise too_late(self._limit)
        return left

    def apply(self, sock):
        # type: (Any) -> bool
        """Set the time-out for what is done next; return whether the deadline is what ends it."""
        left = self.left()
        sock.settimeout(min(left, self._silence))
        return left < self._silence


class _Connection(object):
    """A connection, and what was read of it beyond what was asked for."""

    def __init__(self, place, sock):
        # type: (Tuple[str, int], Any) -> None
        self.place = place
        # Whether anything of the answer has come.
        self.is_answering = False
        self._sock = sock
        self._unread = b""

    def close(self):
        # type: () -> None
        """Close it."""
        self._sock.close()

    def is_quiet(self):
        # type: () -> bool
        """Return whether it is still open, with nothing to read that nobody asked for."""
        readable, _, _ = select.select([self._sock], [], [], 0)
        if readable:
            self.close()
        return not readable

    def ask(self, question, deadline):
        # type: (bytes, _Deadline) -> Tuple[Answer, bool]
        """Return the answer, and whether another question can follow."""
        self.is_answering = False
        deadline.apply(self._sock)
        self._sock.sendall(question)
        for _ in range(_MOST_INTERIM):
            head = self._head(deadline)
            if head.status >= 200:
                break
        else:
            raise NoAnswer("status {0} again and again".format(head.status))
        body, is_at_end = self._body(head, deadline)
        wanted = head.headers.get("connection", "").lower()
        is_kept = wanted == "keep-alive" or (head.version == "1" and wanted != "close")
        answer = Answer(head.status, head.headers, body)
        return answer, is_kept and is_at_end and not self._unread

    def _head(self, deadline):
        # type: (_Deadline) -> _Head
        first = self._line(deadline, _LONGEST_HEAD)
        status = _STATUS.match(first)
        if status is None:
            raise NoAnswer("not HTTP: {0}".format(_compat.quoted(first)))
        headers, size = {}, len(first)  # type: Dict[str, str], int
        while True:
            line = self._line(deadline, _LONGEST_HEAD - size)
            size += len(line) + 2
            if not line:
                return _Head(status.group(1), int(status.group(2)), headers)
            name, colon, value = line.partition(":")
            name = name.lower()
            if not colon or name != name.strip() or (name == "content-length" and name in headers):
                raise NoAnswer("not a header: {0}".format(_compat.quoted(line)))
            headers[name] = value.strip(" \t")

    def _body(self, head, deadline):
        # type: (_Head, _Deadline) -> Tuple[bytes, bool]
        """Return the body, and whether its end was told otherwise than by closing."""
        headers = head.headers
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise NoAnswer("encoded as {0}".format(_compat.quoted(headers["content-encoding"])))
        if head.status in (204, 304):
            return b"", True
        coding = headers.get("transfer-encoding")
        if coding is not None:
            if coding.lower() != "chunked":
                raise NoAnswer("encoded as {0}".format(_compat.quoted(coding)))
            return self._chunks(deadline), True
        length = headers.get("content-length")
        if length is None:
            while self._receive(deadline):
                if len(self._unread) > LARGEST_BODY:
                    raise too_large()
            return self._take(len(self._unread)), False
        if not re.match(r"[0-9]{1,19}\Z", length):
            raise NoAnswer("length {0}".format(_compat.quoted(length)))
        return self._exactly(int(length), deadline), True

    def _chunks(self, deadline):
        # type: (_Deadline) -> bytes
        body = b""
        while True:
            line = self._line(deadline, _LONGEST_HEAD)
            size = _CHUNK.match(line)
            if size is None:
                raise NoAnswer("not the size of a chunk: {0}".format(_compat.quoted(line)))
            length = int(size.group(1), 16)
            if length == 0:
                break
            if len(body) + length > LARGEST_BODY:
                raise too_large()
            body += self._exactly(length, deadline)
            if self._line(deadline, _LONGEST_HEAD):
                raise NoAnswer("a chunk that is longer than it says")
        rest = _LONGEST_HEAD
        while True:
            line = self._line(deadline, rest)
            if not line:
                return body
            rest -= len(line) + 2

    def _exactly(self, length, deadline):
        # type: (int, _Deadline) -> bytes
        if length > LARGEST_BODY:
            raise too_large()
        while len(self._unread) < length:
            if not self._receive(deadline):
                raise too_short(len(self._unread), length)
        return self._take(length)

    def _line(self, deadline, longest):
        # type: (_Deadline, int) -> str
        """Return the next line without its end."""
        while b"\n" not in self._unread[: max(longest, 0)]:
            if len(self._unread) >= longest:
                raise NoAnswer("a head of more than {0} bytes".format(_LONGEST_HEAD))
            if not self._receive(deadline):
                if not self.is_answering:
                    raise _Closed
                raise NoAnswer("the answer ended in its head")
        line = self._take(self._unread.index(b"\n") + 1)
        return line.rstrip(b"\n").rstrip(b"\r").decode("latin-1")

    def _take(self, length):
        # type: (int) -> bytes
        taken, self._unread = self._unread[:length], self._unread[length:]
        return taken

    def _receive(self, deadline):
        # type: (_Deadline) -> bool
        """Wait for more; return whether any came before the other side closed."""
        ends_at_deadline = deadline.apply(self._sock)
        try:
            more = self._sock.recv(_READ_SIZE)
        except socket.timeout:
            if ends_at_deadline:
                deadline.left()
            raise
        self.is_answering = self.is_answering or bool(more)
        self._unread += more
        return bool(more)


def _connect(place, limit):
    # type: (Tuple[str, int], float) -> socket.socket
    """Return a connection to a host and port."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            # str(): Python 2 would encode its text as a name, too.
            socket.inet_pton(family, str(place[0]))
        except (socket.error, ValueError):
            continue
        # create_connection() encodes also an address by the rules of names, which are imported for
        # that.
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(limit)
            connection.connect((str(place[0]), place[1]))
        except BaseException:
            connection.close()
            raise
        return connection
    return socket.create_connection(place, limit)


def _parts(url):
    # type: (str) -> Tuple[str, int, str]
    """Return host, port and path of a URL."""
    match = _URL.match(url)
    if match is None:
        raise NoAnswer("not a URL of plain HTTP")
    literal, name, port, path = match.groups()
    return literal or name, int(port or 80), path or "/"


def _host_header(host, port):
    # type: (str, int) -> str
    host = "[{0}]".format(host) if ":" in host else host
    return host if port == 80 else "{0}:{1}".format(host, port)


def _reason(error):
    # type: (Any) -> str
    return _compat.text(getattr(error, "strerror", None) or str(error))
