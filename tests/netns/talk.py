"""Who reaches whom by TCP, and what the VPC dropped over it."""

import contextlib

from tests.lab import ask


def configure(lab, text):
    """Make `text` the host's ec2net.conf."""
    lab.host(["sh", "-c", 'mkdir -p /etc/ec2net; printf "%s\\n" "$1" >/etc/ec2net/ec2net.conf',
              "sh", text])


def drops(lab):
    """Return what the source checks have dropped so far, by ENI."""
    return {name: lab.drops(name) for name in lab.enis}


@contextlib.contextmanager
def no_drops(lab):
    """Check that nothing leaves by another ENI than its own meanwhile."""
    before = drops(lab)
    yield
    assert drops(lab) == before


def unanswered(namespace, addresses, **options):
    """Return which of `addresses` do not answer TCP from `namespace`."""
    answers = ask(namespace, addresses, **options)
    return [address for address in addresses if address not in answers]
