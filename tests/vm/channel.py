"""QEMU's two sockets: the monitor (QMP), and the agent in the guest.

Both take one JSON object a line, ``execute`` and ``arguments``, and answer with ``return`` or
``error``.
"""

import base64
import itertools
import json
import socket
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

from tests.lab import wait_for

Message = Dict[str, Any]


class Silent(Exception):
    """No answer in time."""


class Refused(Exception):
    """QEMU or the agent answered with an error."""


class _Socket:
    """JSON objects over a Unix socket."""

    def __init__(self, path: Path):
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            wait_for(lambda: self._connected(path), what=str(path))
        except BaseException:
            self._socket.close()
            raise
        self._pending = b""

    def _connected(self, path: Path) -> bool:
        try:
            self._socket.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def send(self, command: str, arguments: Message, deadline: float) -> None:
        message: Message = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        self._until(deadline)
        try:
            # Linux takes no more on a Unix socket once a quarter of its buffer waits to be read:
            # some seventy lines.
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except socket.timeout:
            raise Silent("nobody reads what is sent") from None

    def _until(self, deadline: float) -> None:
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))

    def receive(self, deadline: float) -> Message:
        while b"\n" not in self._pending:
            self._until(deadline)
            try:
                data = self._socket.recv(65536)
            except socket.timeout:
                raise Silent("no answer in time") from None
            if not data:
                raise ConnectionError("QEMU has ended")
            self._pending += data
        line, self._pending = self._pending.split(b"\n", 1)
        message: Message = json.loads(line)
        return message

    def close(self) -> None:
        self._socket.close()


def _result(message: Message) -> Any:
    if "error" in message:
        raise Refused(message["error"]["desc"])
    return message["return"]


class Monitor:
    """Commands to QEMU, and the events that it reports."""

    def __init__(self, path: Path):
        self._socket = _Socket(path)
        self._events: List[Message] = []
        self._socket.receive(time.monotonic() + 10)  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a command and return its result."""
        deadline = time.monotonic() + 30
        self._socket.send(command, arguments, deadline)
        while True:
            message = self._socket.receive(deadline)
            if "event" not in message:
                return _result(message)
            self._events.append(message)

    def wait(self, event: str, condition: Callable[[Message], bool], timeout: float) -> None:
        """Wait for an event with such data that was not waited for before."""
        deadline = time.monotonic() + timeout
        while True:
            for message in self._events:
                if message["event"] == event and condition(message.get("data", {})):
                    self._events.remove(message)
                    return
            self._events.append(self._socket.receive(deadline))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class Agent:
    """Commands to the agent in the guest, which is not there while the guest boots."""

    def __init__(self, path: Path):
        self._socket = _Socket(path)
        self._numbers = itertools.count(1)

    def sync(self, timeout: float) -> None:
        """Wait until the agent answers; answers to what was asked before are thrown away.

        What is sent while no agent runs waits for one.
        """
        deadline = time.monotonic() + timeout
        while True:
            number = next(self._numbers)
            this_time = min(deadline, time.monotonic() + 2)
            try:
                self._socket.send("guest-sync", {"id": number}, this_time)
                while self._socket.receive(this_time) != {"return": number}:
                    pass
                return
            except Silent:
                if time.monotonic() >= deadline:
                    raise Silent(f"no agent answered for {timeout:g} s") from None

    def execute(self, command: str, timeout: float = 30, **arguments: Any) -> Any:
        """Run a command of the agent and return its result."""
        deadline = time.monotonic() + timeout
        self._socket.send(command, arguments, deadline)
        return _result(self._socket.receive(deadline))

    def tell(self, command: str, **arguments: Any) -> None:
        """Send a command that has no answer when it succeeds."""
        self._socket.send(command, arguments, time.monotonic() + 30)

    def run(self, argv: Sequence[str], timeout: float,
            input: Optional[str] = None) -> "Optional[tuple[int, str, str]]":
        """Run a program in the guest: its status and output, or None if it takes too long."""
        arguments: Message = {"path": argv[0], "arg": list(argv[1:]), "capture-output": True}
        if input is not None:
            arguments["input-data"] = base64.b64encode(input.encode()).decode()
        pid = self.execute("guest-exec", **arguments)["pid"]
        deadline = time.monotonic() + timeout
        pause = 0.05
        while time.monotonic() < deadline:
            state = self.execute("guest-exec-status", pid=pid)
            if state["exited"]:
                out, err = (base64.b64decode(state.get(key, "")).decode(errors="replace")
                            for key in ("out-data", "err-data"))
                return state.get("exitcode", -state.get("signal", 1)), out, err
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        return None

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
