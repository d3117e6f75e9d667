"""The values everything else is about. Immutable, compared by content, free of input and output.

Addresses and networks are canonical text (what `ipaddress` prints, which is what the kernel
prints), so values from metadata, from a generated file and from the kernel compare equal.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Tuple


# The kernel's own tables.
MAIN_TABLE = 254
LOCAL_TABLE = 255


def family_of(text):
    # type: (str) -> int
    """Return 4 or 6 for an address or network."""
    return 6 if ":" in text else 4


class Address(namedtuple("Address", ["address", "length", "device"])):
    """`address`/`length` on `device`."""

    __slots__ = ()

    @property
    def family(self):
        # type: () -> int
        """4 or 6."""
        return family_of(self.address)

    @property
    def arguments(self):
        # type: () -> str
        """What follows ``ip addr add``."""
        return "{0}/{1} dev {2}".format(self.address, self.length, self.device)


class Route(
    namedtuple(
        "Route",
        [
            "destination",
            "gateway",
            "device",
            "table",
            "family",
            "metric",
            "connected",
            "learned",
        ],
    )
):
    """`destination` ("default" or a network) by `gateway` ("" when on link), in `table`.

    `metric` is 0 where the kernel's default applies. In the table `local` it is a route that makes
    every address of `destination` one of this host's. `connected` is the address for which the
    kernel itself made an IPv4 route of main, "" for all others. `learned` is the metric of an IPv6
    route that the kernel itself put into main, by a router's advertisement or for an address, 0 for
    all others.
    """

    __slots__ = ()

    def __new__(  # noqa: PLR0913
        cls, destination, gateway, device, table, family, metric=0, connected="", learned=0
    ):
        # type: (str, str, str, int, int, int, str, int) -> Route
        """Return the route; most have no metric."""
        return super(Route, cls).__new__(
            cls, destination, gateway, device, table, family, metric, connected, learned
        )

    @property
    def by_kernel(self):
        # type: () -> bool
        """Whether the kernel put it into main by itself."""
        return bool(self.connected or self.learned)

    def in_table(self, table, metric=0):
        # type: (int, int) -> Route
        """Return the same way in another table, as one that is given to `ip`."""
        return self._replace(table=table, metric=metric, connected="", learned=0)

    @property
    def arguments(self):
        # type: () -> str
        """What follows ``ip route add``."""
        return "".join(
            [
                "local " if self.table == LOCAL_TABLE else "",
                self.destination,
                " via " + self.gateway if self.gateway else "",
                " dev " + self.device,
                " proto kernel scope link src " + self.connected if self.connected else "",
                " table {0}".format(self.table) if self.table != MAIN_TABLE else "",
                # Without one `ip -6 route del` takes whichever it finds first.
                " metric {0}".format(self.metric or self.learned)
                if self.metric or self.learned
                else "",
            ]
        )


class Rule(namedtuple("Rule", ["source", "table", "priority"])):
    """Packets from `source` (an address or a network) look at `table`."""

    __slots__ = ()

    @property
    def family(self):
        # type: () -> int
        """4 or 6."""
        return family_of(self.source)

    @property
    def arguments(self):
        # type: () -> str
        """What follows ``ip rule add``."""
        return "pref {0} from {1} lookup {2}".format(self.priority, self.source, self.table)


class MarkRule(namedtuple("MarkRule", ["mark", "mask", "table", "priority", "family"])):
    """Packets that have `mark` in the bits of `mask` look at `table`."""

    __slots__ = ()

    @property
    def arguments(self):
        # type: () -> str
        """What follows ``ip rule add``."""
        return "pref {0} fwmark 0x{1:x}/0x{2:x} lookup {3}".format(
            self.priority, self.mark, self.mask, self.table
        )


class MainFirst(namedtuple("MainFirst", ["length", "group", "priority", "family"])):
    """All packets look at main, but for its routes up to a prefix `length` or by a link `group`.

    Source: ``suppress_prefixlength`` and ``suppress_ifgroup`` of ip-rule(8), since Linux 3.12.
    """

    __slots__ = ()

    @property
    def arguments(self):
        # type: () -> str
        """What follows ``ip rule add``."""
        return "pref {0} lookup main suppress_prefixlength {1} suppress_ifgroup {2}".format(
            self.priority, self.length, self.group
        )


class Parameter(namedtuple("Parameter", ["name", "value"])):
    """A kernel parameter of a device, named as sysctl(8) names it with slashes, and its number."""

    __slots__ = ()

    @property
    def device(self):
        # type: () -> str
        """The device that it is of."""
        return str(self.name.split("/")[3])


class Chain(namedtuple("Chain", ["family", "rules"])):
    """The chain of netfilter in which connections are marked.

    Without `rules` there is to be none.
    """

    __slots__ = ()


class Group(namedtuple("Group", ["device", "number"])):
    """The link group `number` of a device; each device is in one, by default in 0."""

    __slots__ = ()

    family = 4

    @property
    def arguments(self):
        # type: () -> str
        """What follows ``ip link set``."""
        return "dev {0} group {1}".format(self.device, self.number)


class AlternativeName(namedtuple("AlternativeName", ["device", "name"])):
    """A further `name` of a device, for whoever asks by name. Source: ip-link(8), Linux 5.5."""

    __slots__ = ()

    family = 4

    @property
    def arguments(self):
        # type: () -> str
        """What follows ``ip link property add``."""
        return "dev {0} altname {1}".format(self.device, self.name)


class InterfaceState(
    namedtuple("InterfaceState", ["name", "table", "primary", "addresses", "routes", "rules"])
):
    """How the host should treat one ENI beyond what its lease gives it.

    `primary` is the address that the lease brings, `addresses` are the further ones. `table` is 0
    and `primary` "" where the state only lists what was once added.
    """

    __slots__ = ()

    def of_family(self, family):
        # type: (int) -> InterfaceState
        """Return the part of this state that is IPv4 (4) or IPv6 (6)."""
        return self._replace(
            addresses=tuple(item for item in self.addresses if item.family == family),
            routes=tuple(item for item in self.routes if item.family == family),
            rules=tuple(item for item in self.rules if item.family == family),
        )

    @property
    def families(self):
        # type: () -> Tuple[int, ...]
        """The families that anything of this state belongs to."""
        items = self.addresses + self.routes + self.rules
        return tuple(sorted({item.family for item in items}))


class Eni(
    namedtuple(
        "Eni",
        [
            "mac",
            "interface_id",
            "device_number",
            "network_card",
            "subnet",
            "addresses",
            "prefixes",
            "subnets6",
            "addresses6",
            "prefixes6",
        ],
    )
):
    """What the metadata service says of one ENI.

    `subnet` is "" and `addresses` is empty on an IPv6-only subnet; the first of `addresses` is the
    primary one; `subnets6` and `addresses6` are empty where there is no IPv6. `network_card` is
    None on types of instances that name none. Source: the keys below
    ``network/interfaces/macs/<mac>/``.
    """

    __slots__ = ()

    @property
    def card(self):
        # type: () -> int
        """The number of the network card, which is the first where none is named."""
        return self.network_card or 0

    @property
    def ipv6_only(self):
        # type: () -> bool
        """Whether AWS gave this ENI no IPv4 address."""
        return not self.addresses

    def of_family(self, family):
        # type: (int) -> Eni
        """Return the ENI as if it had no other than IPv4 (4) or IPv6 (6)."""
        if family == 4:
            return self._replace(subnets6=(), addresses6=(), prefixes6=())
        return self._replace(subnet="", addresses=(), prefixes=())


class Lease(namedtuple("Lease", ["address", "router"])):
    """What DHCPv4 gave an interface: `address`, and the first `router` ("" where it named none).

    Source: dhclient's ``new_ip_address`` and ``new_routers``, checked.
    """

    __slots__ = ()


class Device(namedtuple("Device", ["name", "mac", "kind", "master", "up", "index", "ipv6"])):
    """A network device: `kind` is sysfs's DEVTYPE ("" for a NIC), `master` its bridge or bond.

    `index` is the kernel's number for this very device, which no later one gets; `ipv6` whether the
    kernel lets it have IPv6.
    """

    __slots__ = ()


Managed = namedtuple(
    "Managed", ["name", "table", "priority", "subnet", "families", "owns_prefixes"]
)
"""A secondary ENI that has a configuration of ours, as the others get to know it. `subnet` is ""
where it has no IPv4; `families`: those of its rules; `owns_prefixes`: whether each address of its
delegated prefixes is one of this host's."""
