"""The agent's socket, without a machine."""

import json
import socket
import threading
from contextlib import closing, suppress

import pytest

from tests.vm.channel import Agent, Silent


@pytest.fixture
def ends(tmp_path):
    """An agent's two ends: the tests', and the one that QEMU holds."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent"))
        listener.listen(1)
        with closing(Agent(tmp_path / "agent")) as agent, listener.accept()[0] as guest:
            yield agent, guest


def answer_syncs(guest):
    for line in guest.makefile("rb"):
        number = json.loads(line).get("arguments", {}).get("id", 0)
        guest.sendall(json.dumps({"return": number}).encode() + b"\n")


def test_sync_outlasts_a_guest_that_reads_nothing_for_long(ends):
    agent, guest = ends
    for _ in range(100):
        with suppress(Silent):
            agent.execute("guest-ping", timeout=0.001)
    with pytest.raises(Silent, match="no agent answered for 0.2 s"):
        agent.sync(timeout=0.2)
    reader = threading.Thread(target=answer_syncs, args=(guest,), daemon=True)
    reader.start()
    agent.sync(timeout=10)
    guest.shutdown(socket.SHUT_RD)
    reader.join()
