"""Who reaches whom by TCP, and what the VPC dropped over it."""

import contextlib
import json
import subprocess
import sys

from tests.lab import ask


def configure(lab, text):
    """Make `text` the host's ec2net.conf."""
    lab.host(["sh", "-c", 'mkdir -p /etc/ec2net; printf "%s\\n" "$1" >/etc/ec2net/ec2net.conf',
              "sh", text])


def drops(lab):
    """Return what the source checks have dropped so far, by ENI.

    The router's own is left out: a host that forwards does so with what the DHCP server sends to an
    address that it does not have yet.
    """
    return {name: lab.drops(name) - lab.drops(name, eni.gateway) for name, eni in lab.enis.items()}


@contextlib.contextmanager
def no_drops(lab):
    """Check that nothing leaves by another ENI than its own meanwhile."""
    before = drops(lab)
    yield
    after = drops(lab)
    assert after == before, (before, after)


# What is asked over and over until its input ends; prints what was not answered, and how often it
# has asked.
_ASKING = """
import json, select, socket, sys, time
failed, count = [], 0
while not select.select([sys.stdin], [], [], 0.02)[0]:
    for address in sys.argv[1:]:
        count += 1
        try:
            with socket.create_connection((address, 80), 1) as connection:
                assert connection.recv(1000)
        except (OSError, AssertionError) as error:
            failed.append("%s: %s" % (address, error))
print(json.dumps([count, failed]))
"""


@contextlib.contextmanager
def asked(namespace, addresses):
    """Ask port 80 of `addresses` from `namespace` all the while; each has to answer each time."""
    argv = [sys.executable, "-I", "-c", _ASKING, *addresses]
    with namespace.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        yield
        count, failed = json.loads(asking.communicate()[0])
    assert failed == [], failed
    assert count >= 10, count


def unanswered(namespace, addresses, **options):
    """Return which of `addresses` do not answer TCP from `namespace`."""
    answers = ask(namespace, addresses, **options)
    return [address for address in addresses if address not in answers]
