"""ENIs of all kinds, and how a host should treat them."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import desired, metadata
from tests.unit.fakes import SECOND, eni_texts, ipv6_texts

THREE = {"local-ipv4s": "10.0.1.10\n10.0.1.30\n10.0.1.20"}
PREFIXES = {"ipv4-prefix": "10.0.1.64/28\n10.0.1.48/28"}
FIFTY = {"local-ipv4s": "\n".join("10.0.1.{0}".format(n) for n in range(10, 60))}
ONE6 = {"ipv6s": "2600:1f18:0:1::10", "subnet-ipv6-cidr-blocks": "2600:1f18:0:1::/64"}
MORE6 = {
    "ipv6s": "2600:1f18:0:1::10\n2600:1f18:0:1::11\n2600:1f18:0:1::a",
    "subnet-ipv6-cidr-blocks": "2600:1f18:0:1::/64\n2600:1f18:0:2::/64",
    "ipv6-prefix": "2600:1f18:0:1:ab::/80",
}
ENIS = {
    "one address": eni_texts(),
    "three addresses": eni_texts(1, THREE),
    "prefixes": eni_texts(1, PREFIXES),
    "addresses and prefixes": eni_texts(1, dict(THREE, **PREFIXES)),
    "fifty addresses": eni_texts(1, FIFTY),
    "dual stack": eni_texts(1, ONE6),
    "dual stack with more": eni_texts(1, dict(dict(THREE, **PREFIXES), **MORE6)),
    "ipv6 only": ipv6_texts(),
    "ipv6 only with more": ipv6_texts(1, MORE6),
}


def eni_of(texts):
    return metadata.parse_eni(SECOND, texts)


def state_of(texts, name="eth1", table=10001, priority=10001, **options):
    chosen = desired.PLAIN._replace(**options)
    return desired.interface_state(name, eni_of(texts), table, priority, chosen)
