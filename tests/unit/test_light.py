"""HTTP by sockets: an answer as a whole, or a reason in one line, whatever the other side sends."""
from __future__ import absolute_import, print_function, unicode_literals

import errno
import socket

import pytest

from ec2net_legacy import imds, settings
from ec2net_legacy.imds import by_requests, light
from ec2net_legacy.imds.answers import LARGEST_BODY, NoAnswer
from tests.unit.fakes import FakeClock

URL = "http://169.254.169.254/latest/meta-data/mac"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Note: a:b\r\n\r\nabc"
RESET = OSError(errno.ECONNRESET, "Connection reset by peer")
CHOSEN = settings.DEFAULTS.metadata

hypothesis = pytest.importorskip(str("hypothesis"))
strategies = pytest.importorskip(str("hypothesis.strategies"))


class FakeSocket(object):
    """Gives one of `pieces` at each recv(): bytes, an error to raise, or a silence of seconds."""

    def __init__(self, pieces, clock):
        self.pieces = list(pieces)
        self.clock = clock
        self.sent = b""
        self.timeout = None
        self.is_open = True

    def settimeout(self, seconds):
        assert seconds > 0
        self.timeout = seconds

    def sendall(self, question):
        self.sent += question

    def recv(self, _):
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        if isinstance(piece, float):
            self.clock.sleep(min(piece, self.timeout))
            # The next silence is a part of the same wait.
            self.timeout -= piece
            if self.timeout <= 0:
                raise socket.timeout("timed out")
            return self.recv(_)
        return piece

    def close(self):
        self.is_open = False


class Server(object):
    """What the transport connects to: a list of pieces for each connection."""

    def __init__(self, *connections):
        self.clock = FakeClock()
        self.sockets = []
        self.places = []
        self._connections = list(connections)
        self.transport = light.Transport(CHOSEN, self.clock, self._connect)

    def _connect(self, place, timeout):
        assert 0 < timeout <= CHOSEN.connect_timeout
        self.places.append(place)
        pieces = self._connections.pop(0)
        if isinstance(pieces, Exception):
            raise pieces
        self.sockets.append(FakeSocket(pieces, self.clock))
        return self.sockets[-1]

    def ask(self, url=URL, method="GET", limit=3.0):
        return self.transport.request(method, url, {"X-Token": "T"}, limit)


@pytest.fixture
def quiet(monkeypatch):
    """A kept connection is still open, and nothing has come by it."""
    monkeypatch.setattr(light.select, "select", lambda *_: ([], [], []))


def refusal(*pieces, **how):
    with pytest.raises(NoAnswer) as caught:
        Server(list(pieces)).ask(**how)
    return "{0}".format(caught.value)


def test_the_question_and_the_answer():
    server = Server([OK])
    answer = server.ask()
    assert answer == (200, {"content-length": "3", "x-note": "a:b"}, b"abc")
    assert server.places == [("169.254.169.254", 80)]
    assert server.sockets[0].sent == (
        b"GET /latest/meta-data/mac HTTP/1.1\r\nHost: 169.254.169.254\r\nX-Token: T\r\n\r\n"
    )


@pytest.mark.parametrize(
    "url, place, host",
    [
        ("http://[fd00:ec2::254]/latest", ("fd00:ec2::254", 80), b"[fd00:ec2::254]"),
        ("http://[::1]:8080/latest", ("::1", 8080), b"[::1]:8080"),
        ("http://localhost:1338/latest", ("localhost", 1338), b"localhost:1338"),
    ],
)
def test_where_it_asks(url, place, host):
    server = Server([OK])
    server.ask(url, method="PUT")
    assert server.places == [place]
    assert b"PUT /latest HTTP/1.1\r\nHost: " + host + b"\r\n" in server.sockets[0].sent
    assert b"\r\nContent-Length: 0\r\n" in server.sockets[0].sent


@pytest.mark.parametrize("url", ["https://x/", "http://[x]/", "http:///", "http://a b/", "ftp://x"])
def test_another_url_is_refused(url):
    assert refusal(OK, url=url) == "not a URL of plain HTTP"


@pytest.mark.parametrize(
    "pieces",
    [
        [OK[index : index + 1] for index in range(len(OK))],
        [b"HTTP/1.1 100 Continue\r\n\r\n" + OK],
        [b"HTTP/1.0 200 OK\n\nab", b"c"],
        [b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n",
         b"2;x=y\r\nab\r\n01\r\nc\r\n0\r\nT: x\r\n\r\n"],
    ],
    ids=["byte by byte", "after an interim answer", "until the end", "chunked"],
)
def test_ways_to_send_an_answer(pieces):
    answer = Server(pieces).ask()
    assert (answer.status, answer.body) == (200, b"abc")


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body(status):
    head = "HTTP/1.1 {0} x\r\n\r\n".format(status).encode("ascii")
    assert Server([head]).ask() == (status, {}, b"")


@pytest.mark.parametrize(
    "pieces, said",
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc"], "3 of 4 bytes came"),
        ([b"HTTP/1.1 200 OK\r\nContent-Le"], "the answer ended in its head"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"], "more than 65536 bytes"),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"x" * (LARGEST_BODY + 1)], "more than 65536 bytes"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"fff0\r\n" + b"x" * 0xFFF0
          + b"\r\nfff0\r\n"], "more than 65536 bytes"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n"],
         "a chunk that is longer than it says"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"],
         "not the size of a chunk: 'x'"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"], "encoded as 'gzip'"),
        ([b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n"], "encoded as 'br'"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"], "length '-1'"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 3\r\n\r\nabc"],
         "not a header: 'Content-Length: 3'"),
        ([b"HTTP/1.1 200 OK\r\nX y\r\n\r\n"], "not a header: 'X y'"),
        ([b"SSH-2.0-x\r\n"], "not HTTP: 'SSH-2.0-x'"),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9999], "a head of more than 16384 bytes"),
        ([b"HTTP/1.1 102 x\r\n\r\n" * 9], "status 102 again and again"),
        ([], "the connection was closed without an answer"),
        ([b"HTTP/1.1 2", RESET], "Connection reset by peer"),
        ([9.0], "timed out"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"] + [1.0, b"x"] * 9,
         "no complete answer within 3.0 s"),
    ],
)
def test_what_is_wrong_with_an_answer_is_one_line(pieces, said):
    assert refusal(*pieces) == said


@pytest.mark.parametrize(
    "error, said",
    [
        (OSError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (OverflowError("port must be 0-65535."), "port must be 0-65535."),
        (socket.timeout("timed out"), "timed out"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
    ],
)
def test_what_is_wrong_with_a_connection_is_one_line(error, said):
    with pytest.raises(NoAnswer) as caught:
        Server(error).ask()
    assert "{0}".format(caught.value) == said


def test_the_next_question_takes_the_same_connection(quiet):
    server = Server([OK, OK])
    assert server.ask() == server.ask()
    assert len(server.sockets) == 1


@pytest.mark.parametrize(
    "first",
    [
        OK.replace(b"X-Note: a:b", b"Connection: close"),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        OK + b"what nobody asked for",
        b"HTTP/1.1 200 OK\r\n\r\nabc",
    ],
    ids=["closed on purpose", "HTTP/1.0", "more than an answer", "ended by closing"],
)
def test_a_connection_that_cannot_be_used_again_is_closed(quiet, first):
    server = Server([first], [OK])
    assert server.ask().body == server.ask().body == b"abc"
    assert [one.is_open for one in server.sockets] == [False, True]


@pytest.mark.parametrize("end", [b"", RESET], ids=["closed", "reset"])
def test_a_connection_that_was_closed_meanwhile_is_made_anew(quiet, end):
    server = Server([OK, end], [OK])
    assert server.ask() == server.ask()
    assert len(server.sockets) == 2


def test_a_connection_with_something_to_read_is_not_used_again(monkeypatch):
    monkeypatch.setattr(light.select, "select", lambda *_: ([1], [], []))
    server = Server([OK, b"x"], [OK])
    assert server.ask() == server.ask()
    assert [one.is_open for one in server.sockets] == [False, True]


def test_a_question_that_was_being_answered_is_not_asked_again(quiet):
    server = Server([OK, b"HTTP/1.1 5", RESET])
    server.ask()
    with pytest.raises(NoAnswer):
        server.ask()


PIECES = strategies.one_of(
    strategies.binary(max_size=40),
    strategies.sampled_from([
        b"HTTP/1.1 200 OK\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n",
        b"\r\n", b"3\r\n", b"abc", b"0\r\n", 0.7, RESET,
    ]),
)


# derandomize: the examples are the same on every run.
@hypothesis.settings(max_examples=200, derandomize=True, deadline=None, database=None)
@hypothesis.given(strategies.lists(PIECES, max_size=12))
def test_whatever_comes_is_an_answer_or_a_reason_in_one_line(pieces):
    server = Server(pieces)
    try:
        answer = server.ask()
    except NoAnswer as error:
        said = "{0}".format(error)
        assert 0 < len(said) < 200
        assert len(said.splitlines()) == 1
    else:
        assert 200 <= answer.status <= 999
    assert server.clock.passed <= 3.0


@pytest.mark.parametrize(
    "changes, is_light, kind",
    [
        ({}, True, light.Transport),
        ({}, False, by_requests.Transport),
        ({"transport": "light"}, False, light.Transport),
        ({"transport": "requests"}, True, by_requests.Transport),
        ({"endpoints": ("https://10.0.0.1/latest",)}, True, by_requests.Transport),
        ({"endpoints": ("http://[::1]:80", "http://x/latest")}, True, by_requests.Transport),
        ({"endpoints": ("http://[::1]:80", "http://127.0.0.1/x")}, True, light.Transport),
    ],
)
def test_which_way_is_taken(changes, is_light, kind):
    assert type(imds.choose_transport(CHOSEN._replace(**changes), is_light)) is kind
