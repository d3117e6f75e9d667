"""TCP in the lab: servers that say who they are and who asks, and what they answer."""

import json
import sys
from typing import Dict, Iterable, List, Optional

from .namespaces import Namespace

_SERVER = """
import socket, sys
listener = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6,
                                dualstack_ipv6=True, backlog=64)
print("ready", flush=True)
while True:
    connection, peer = listener.accept()
    with connection:
        connection.sendall((sys.argv[1] + " to " + peer[0].replace("::ffff:", "")).encode())
"""

_CLIENT = """
import json, socket, sys, threading
addresses, port, source, timeout = json.loads(sys.argv[1])
source = (source, 0) if source else None
answers = {}
def ask(address):
    try:
        with socket.create_connection((address, port), timeout, source) as connection:
            answers[address] = connection.recv(1000).decode()
    except OSError:
        pass
threads = [threading.Thread(target=ask, args=[address]) for address in addresses]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(answers))
"""


def server(name: str, port: int) -> List[str]:
    """The command of a server that answers "NAME to ADDRESS"; it prints a line when it is ready."""
    return [sys.executable, "-I", "-c", _SERVER, name, str(port)]


def ask(namespace: Namespace, addresses: Iterable[str], port: int = 80,
        source: Optional[str] = None, timeout: float = 1) -> Dict[str, str]:
    """What servers answer, by address; of one that does not answer in time there is nothing.

    All are asked at once. ``source`` is the address to ask from, the kernel's choice by default.
    """
    wanted = [list(addresses), port, source, timeout]
    result = namespace.run([sys.executable, "-I", "-c", _CLIENT, json.dumps(wanted)])
    answers: Dict[str, str] = json.loads(result.stdout)
    return answers
