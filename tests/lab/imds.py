r"""A stand-in for the EC2 instance metadata service (IMDS), with faults on request.

By itself::

    python3 imds.py --address 127.0.0.1 --port 8169 --state state.json --log requests.jsonl

or in a test::

    with ImdsServer(state={"enis": [...]}) as imds:
        urlopen(imds.url + "/latest/meta-data/mac")

The state is a JSON file that is read again whenever it has changed (write it under another name
and rename it), or a dict::

    {"tokens": "required" | "optional",          # IMDSv2 enforced or not
     "endpoint": "enabled" | "disabled",         # disabled: 403 for everything
     "instance": {"instance-id": "i-...", "placement/region": "..."},    # below meta-data/
     "enis": [{"mac": "0a:...", "attached": 1700000000.0,
               "keys": {"device-number": "1", "local-ipv4s": "10.0.1.10\n10.0.1.11"},
               "delays": {"local-ipv4s": 2.5, "device-number": 1, "*": 0.5}}],
     "faults": [{"id": 1, "match": "api/token", "method": "PUT", "status": 503,
                 "action": null, "times": 2, "headers": {"Retry-After": "1"}}]}

``delays`` are seconds after the attachment until a key is there, as new ENIs propagate in EC2:
404 and not listed until then.  ``device-number`` instead reads 0, and ``*`` is the ENI's whole
entry.

A fault applies to requests whose path contains a match of the regular expression, ``times`` times
or for ever; the first fault that is not used up wins.  It gives a ``status``, a ``body`` (status
200 unless given), or does one of these:

======  =============================================================================
hang    reads the request and never answers; ``seconds`` is how long at most
reset   ends the connection with a TCP reset
close   ends the connection without an answer
slow    answers properly, but over ``seconds`` (default 30)
huge    answers 200 with a body of ``size`` bytes (default 256 MiB)
======  =============================================================================

Each request is one line of JSON in the log: ``t`` (time), ``method``, ``path``, ``status`` (0 when
no answer was sent) and ``connection`` (a number per TCP connection), written before the answer.
"""

import argparse
import itertools
import json
import os
import re
import secrets
import socket
import socketserver
import struct
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import (
    Any,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
    cast,
)
from urllib.parse import urlsplit

MAX_TTL = 21600
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aws-ec2-metadata-token"
# The service has dated versions beside "latest"; all of them look the same here.
VERSION = re.compile(r"latest|1\.0|20\d\d-\d\d-\d\d")
ERROR_PAGE = """<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>{status} - {phrase}</title>
 </head>
 <body>
  <h1>{status} - {phrase}</h1>
 </body>
</html>
"""


class Answer(NamedTuple):
    """An HTTP response before it is written."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}
    content_type: str = "text/plain"


def error(status: int, headers: Optional[Mapping[str, str]] = None) -> Answer:
    """The service's error page, which is XHTML whatever the client asked for."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    page = ERROR_PAGE.format(status=status, phrase=phrase)
    return Answer(status, page.encode(), headers or {}, "text/html")


class Metadata:
    """The tree of keys, as it is at the moment."""

    def __init__(self, state: Union[Dict[str, Any], str, "os.PathLike[str]"]):
        self._path = None if isinstance(state, dict) else Path(state)
        self._lock = threading.Lock()
        self._version: object = None
        self._tree: Dict[str, Any] = {}
        self._tree_until = 0.0
        self.state: Dict[str, Any] = state if isinstance(state, dict) else {}

    def refresh(self) -> Dict[str, Any]:
        """Read the state file again if it is another one than last time; return the state."""
        with self._lock:
            if self._path is None:
                self._tree_until = 0.0  # a dict may be changed by its owner at any time
            else:
                status = self._path.stat()
                version = (status.st_ino, status.st_mtime_ns, status.st_size)
                if version != self._version:
                    self.state = json.loads(self._path.read_text(encoding="utf-8"))
                    self._version = version
                    self._tree_until = 0.0
            return self.state

    def lookup(self, words: List[str]) -> Optional[str]:
        """The text of a key or the listing of a directory; None when there is no such thing."""
        with self._lock:
            if time.time() >= self._tree_until:
                self._plant()
            node: Any = self._tree
        for word in words:
            if not isinstance(node, dict) or word not in node:
                return None
            node = node[word]
        if isinstance(node, dict):
            return "\n".join(
                name + "/" if isinstance(child, dict) else name
                for name, child in sorted(node.items())
            )
        return str(node)

    def _plant(self) -> None:
        """Build the tree for this moment, and note the moment at which it will be another."""
        now = time.time()
        changes = []
        macs: Dict[str, Dict[str, str]] = {}
        for eni in self.state.get("enis", ()):
            attached = eni.get("attached", 0)
            due = {key: attached + seconds for key, seconds in eni.get("delays", {}).items()}
            changes += [moment for moment in due.values() if moment > now]
            pending = {key for key, moment in due.items() if moment > now}
            if "*" in pending:
                continue
            keys = {key: text for key, text in eni["keys"].items() if key not in pending}
            if "device-number" in pending:
                keys["device-number"] = "0"
            macs[eni["mac"]] = keys
        tree: Dict[str, Any] = {"dynamic": {}, "meta-data": {}}
        for name, text in self.state.get("instance", {}).items():
            *path, leaf = name.split("/")
            node = tree["meta-data"]
            for word in path:
                node = node.setdefault(word, {})
            node[leaf] = text
        tree["meta-data"]["network"] = {"interfaces": {"macs": macs}}
        self._tree = tree
        self._tree_until = min(changes, default=float("inf"))


class ImdsServer(ThreadingHTTPServer):
    """The service on one address.  ``start`` serves from a thread, ``serve_forever`` from here."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, state: Union[Dict[str, Any], str, "os.PathLike[str]"],
                 log: Union[str, "os.PathLike[str]", None] = None,
                 address: str = "127.0.0.1", port: int = 0):
        self.metadata = Metadata(state)
        self.connections = itertools.count(1)
        self.requests: List[Dict[str, Any]] = []
        self._tokens: Dict[str, float] = {}
        self._used: Dict[Any, int] = {}
        self._lock = threading.Lock()
        self._thread: Optional[threading.Thread] = None
        self._log = None
        if log is not None:
            self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        if ":" in address:
            self.address_family = socket.AF_INET6
        super().__init__((address, port), Handler)

    def server_bind(self) -> None:
        """Bind without the look-up of the address's name that ``HTTPServer`` would make."""
        socketserver.TCPServer.server_bind(self)
        name, self.server_port = self.server_address[:2]
        self.server_name = str(name)

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        host = str(self.server_name)
        return f"http://{'[' + host + ']' if ':' in host else host}:{self.server_port}"

    def start(self) -> "ImdsServer":
        """Serve from a thread until ``stop``."""
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening: connections are refused from now on."""
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
            self._thread = None
        self.server_close()
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def __enter__(self) -> "ImdsServer":
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that went away: faults are made to annoy them."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def note(self, method: str, path: str, status: int, connection: int) -> None:
        """Log a request; one write, so that lines of parallel requests do not mix."""
        entry = {"t": time.time(), "method": method, "path": path, "status": status,
                 "connection": connection}
        if self._log is None:
            self.requests.append(entry)
        else:
            os.write(self._log, (json.dumps(entry) + "\n").encode())

    def fault(self, method: str, path: str) -> Optional[Dict[str, Any]]:
        """The fault for this request, counted as used."""
        faults: Sequence[Dict[str, Any]] = self.metadata.refresh().get("faults", ())
        with self._lock:
            for position, fault in enumerate(faults):
                key = fault.get("id", position)
                if fault.get("method") not in (None, method):
                    continue
                if not re.search(fault["match"], path):
                    continue
                times = fault.get("times")
                if times is None or self._used.get(key, 0) < times:
                    self._used[key] = self._used.get(key, 0) + 1
                    return fault
        return None

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """What the service has to say when it works."""
        state = self.metadata.refresh()
        words = [word for word in urlsplit(path).path.split("/") if word]
        asks_for_token = words == ["latest", "api", "token"]
        allowed = ("PUT",) if asks_for_token else ("GET", "HEAD")
        if state.get("endpoint", "enabled") != "enabled":
            return error(403)
        if method not in allowed:
            return error(405, {"Allow": ", ".join(("OPTIONS", *allowed))})
        if asks_for_token:
            return self._token(headers)
        if not self._admits(headers.get(TOKEN_HEADER), state):
            return error(401)
        text: Optional[str] = "1.0\nlatest"
        if words:
            text = self.metadata.lookup(words[1:]) if VERSION.fullmatch(words[0]) else None
        return error(404) if text is None else Answer(200, text.encode())

    def _admits(self, token: Optional[str], state: Mapping[str, Any]) -> bool:
        """Whether a token, or its absence, is good enough; a bad one never is."""
        if token is None:
            return bool(state.get("tokens", "required") != "required")
        return self._tokens.get(token, 0) > time.time()

    def _token(self, headers: Mapping[str, str]) -> Answer:
        if "X-Forwarded-For" in headers:
            return error(403)  # the service's defence against open proxies on the instance
        text = headers.get(TTL_HEADER, "")
        if not text.isdigit() or not 1 <= int(text) <= MAX_TTL:
            return error(400)
        token = secrets.token_urlsafe(40) + "=="
        self._tokens[token] = time.time() + int(text)
        return Answer(200, token.encode(), {TTL_HEADER: text})


class Handler(BaseHTTPRequestHandler):
    """One connection, with as many requests as the client likes."""

    server: ImdsServer
    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"
    sys_version = ""
    # Answers leave at once and in one segment; otherwise the delayed acknowledgement of the
    # client would add 40 ms to each.
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        """Number the connection."""
        super().setup()
        self.number = next(self.server.connections)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: requests have a log of their own."""

    def _serve(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault(self.command, self.path)
        if fault is None:
            self._send(self._answer())
        elif fault.get("action"):
            getattr(self, "fault_" + fault["action"], self.fault_unknown)(fault)
        elif fault.get("body") is not None:
            body = fault["body"].encode()
            self._send(Answer(fault.get("status") or 200, body, fault.get("headers") or {}))
        else:
            self._send(error(fault.get("status") or 500, fault.get("headers")))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def _answer(self) -> Answer:
        # Not a dict: the names of headers are the same in upper and lower case.
        headers = cast(Mapping[str, str], self.headers)
        return self.server.answer(self.command, self.path, headers)

    def _note(self, status: int) -> None:
        self.server.note(self.command, self.path, status, self.number)

    def _start(self, answer: Answer, length: int) -> None:
        self._note(answer.status)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(length))
        for name, text in answer.headers.items():
            self.send_header(name, text)
        self.end_headers()

    def _send(self, answer: Answer) -> None:
        self._start(answer, len(answer.body))
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def fault_unknown(self, fault: Dict[str, Any]) -> None:
        """A mistake in the test, said so that it is found."""
        self._send(Answer(500, f"no such fault: {fault['action']}".encode()))

    def fault_hang(self, fault: Dict[str, Any]) -> None:
        """Hold the connection until the client gives up."""
        self._note(0)
        self.close_connection = True
        self.connection.settimeout(fault.get("seconds"))
        try:
            while self.connection.recv(4096):
                pass
        except OSError:
            pass

    def fault_reset(self, _fault: Dict[str, Any]) -> None:
        """Close with lingering off and data thrown away, which the kernel tells by a reset."""
        self._note(0)
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def fault_close(self, _fault: Dict[str, Any]) -> None:
        """Close politely, but without an answer."""
        self._note(0)
        self.close_connection = True

    def fault_slow(self, fault: Dict[str, Any]) -> None:
        """Dribble: each byte is in time for a read time-out, the answer is not for a deadline."""
        answer = self._answer()
        self._start(answer, len(answer.body))
        pause = (fault.get("seconds") or 30) / max(len(answer.body), 1)
        for byte in answer.body:
            self.wfile.flush()
            time.sleep(pause)
            self.wfile.write(bytes((byte,)))

    def fault_huge(self, fault: Dict[str, Any]) -> None:
        """Send more than anybody should read."""
        size = fault.get("size") or 256 << 20
        self._start(Answer(200, b"", fault.get("headers") or {}), size)
        for chunk in _filler(size):
            self.wfile.write(chunk)


def _filler(size: int) -> Iterator[bytes]:
    block = b"10.255.255.255\n" * 4096
    while size > 0:
        yield block[:size]
        size -= len(block)


def main(arguments: Optional[List[str]] = None) -> None:
    """Serve until killed; prints the URL once connections are accepted."""
    parser = argparse.ArgumentParser(description="A stand-in for the EC2 metadata service.")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--state", required=True, metavar="FILE", help="JSON, see the source")
    parser.add_argument("--log", metavar="FILE", help="requests as lines of JSON")
    options = parser.parse_args(arguments)
    server = ImdsServer(options.state, options.log, options.address, options.port)
    print(server.url, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


def read_log(path: Union[str, "os.PathLike[str]"]) -> List[Dict[str, Any]]:
    """The requests in a log file."""
    try:
        lines: Tuple[str, ...] = tuple(Path(path).read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


if __name__ == "__main__":
    main()
