"""Whatever AWS says and whatever the kernel has: one step leads there, a second does nothing.

The examples are the same on every run. ``EC2NET_EXAMPLES=1000`` tries that many others instead.
"""
from __future__ import absolute_import, print_function, unicode_literals

import os
import shutil
import tempfile
from collections import namedtuple

import pytest

from ec2net_legacy import record
from ec2net_legacy.event import LeaseEvent
from ec2net_legacy.host.rundir import RunDirectory
from ec2net_legacy.kernel import diff, parse
from ec2net_legacy.model import LOCAL_TABLE, MAIN_TABLE, Lease, Route, Rule
from tests.unit import flows
from tests.unit.fakes import (
    COMMON_RULES,
    PRIMARY,
    QUICK,
    FakeDevices,
    applied,
    eni_texts,
    make_host,
    metadata_tree,
    nic,
)

hypothesis = pytest.importorskip(str("hypothesis"))
st = pytest.importorskip(str("hypothesis.strategies"))

_MORE = int(os.environ.get("EC2NET_EXAMPLES", "0"))
# Each example is a host with files; a first one that is slow is no failure.
often = hypothesis.settings(
    max_examples=_MORE or (5 if QUICK else 25),
    derandomize=not _MORE,
    deadline=None,
    database=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.data_too_large,
        hypothesis.HealthCheck.filter_too_much,
    ],
)

LIVE, NO_LEASE, DOWN = "live", "no lease", "down"
ROUTER6 = "fe80::1"

Card = namedtuple(
    "Card",
    [
        "number", "name", "before", "mac", "subnet", "up", "ipv6", "advertised", "main",
        "provision", "just_set",
    ],
)
"""An ENI's device: its `number` and `name`; the MAC address that the name had `before`, and `mac`
now; the number of its `subnet`; `up`: one of the three; whether it may have `ipv6`, and a router is
`advertised`; `main` and `provision`: two of the knobs, which may have been `just_set`."""

Has = namedtuple("Has", ["addresses", "prefixes", "addresses6", "prefixes6"])
"""What AWS gave an ENI: canonical texts, the first of `addresses` the primary one."""

World = namedtuple("World", ["backend", "cards", "earlier", "now", "foreign", "holes", "extra"])
"""`earlier` and `now`: what each card has, None in `earlier` where nothing was configured yet.
`foreign`, `holes` and `extra`: what else there is of others', is missing, and is there too much, as
numbers of lines."""


def subnet4(card):
    return "10.0.{0}.".format(card.subnet)


def subnet6(card):
    return "2600:1f18:0:{0}:".format(card.subnet)


def table_of(card):
    """Return the number of a card: ethN's or its device number, which are the same here."""
    return 10000 + card.number


@st.composite
def worlds(draw, up=(LIVE, LIVE, NO_LEASE, DOWN), configured=False):
    count = draw(st.integers(1, 4))
    shared = draw(st.booleans())
    cards = [draw(cards_of(index, shared, up)) for index in range(1, count + 1)]
    only6 = [draw(st.integers(0, 5)) == 0 for _ in cards]
    primaries = draw(unique(st.integers(4, 30), count))
    earlier = draw(epochs(cards, only6, primaries))
    now = draw(epochs(cards, only6, primaries))
    if not configured:
        earlier = [one if draw(st.integers(0, 3)) else None for one in earlier]
        # A knob can be set only where there is a file.
        cards = [
            card if has is not None else card._replace(main=True, provision=False)
            for card, has in zip(cards, earlier)
        ]
    return World(
        backend=draw(st.sampled_from(["ifupdown", "ifcfg"])),
        cards=cards,
        earlier=earlier,
        now=now,
        foreign=draw(st.sets(st.integers(0, 99), max_size=60)),
        holes=draw(st.sets(st.integers(0, 60), max_size=20)),
        extra=draw(st.sets(st.integers(0, 60), max_size=20)),
    )


def unique(values, count):
    return st.lists(values, min_size=count, max_size=count, unique=True)


@st.composite
def cards_of(draw, number, shared, up):
    mac = "02:00:00:00:01:{0:02x}".format(number)
    return Card(
        number=number,
        name=draw(st.sampled_from(["eth{0}", "ens{0}"])).format(number),
        # Another ENI may have come to the same name without a remove in between.
        before=mac if draw(st.integers(0, 7)) else "02:00:00:00:02:{0:02x}".format(number),
        mac=mac,
        subnet=1 if shared else number,
        up=draw(st.sampled_from(up)),
        ipv6=draw(st.integers(0, 7)) > 0,
        advertised=draw(st.booleans()),
        main=draw(st.booleans()),
        # What others have in the table local is not replaced, another ENI's prefix not either.
        provision=draw(st.booleans()) and not shared,
        just_set=draw(st.booleans()),
    )


@st.composite
def epochs(draw, cards, only6, primaries):
    """Draw what each card has at one time; no address belongs to two."""
    who = st.integers(0, len(cards) - 1)

    def given_out(values, most):
        pairs = st.lists(st.tuples(who, values), max_size=most, unique_by=lambda pair: pair[1])
        found = [[] for _ in cards]
        for index, value in draw(pairs):
            found[index].append(value)
        return found

    further = given_out(st.integers(31, 63), 8)
    prefixes = given_out(st.integers(4, 14), 3)
    further6 = given_out(st.integers(0x10, 0x3F), 6)
    prefixes6 = given_out(st.integers(1, 15), 3)
    found = []
    for index, card in enumerate(cards):
        addresses6 = [subnet6(card) + ":{0:x}".format(host) for host in further6[index]]
        if only6[index]:
            # The lease's; what happens when another one becomes the first, test_upkeep.py knows.
            addresses6.insert(0, subnet6(card) + ":{0:x}".format(0x100 + card.number))
        dual = not only6[index]
        found.append(
            Has(
                addresses=[
                    subnet4(card) + "{0}".format(host)
                    for host in [primaries[index]] + further[index]
                    if dual
                ],
                prefixes=[subnet4(card) + "{0}/28".format(16 * n) for n in prefixes[index] if dual],
                addresses6=addresses6,
                prefixes6=[
                    subnet6(card) + "{0:x}::/80".format(n)
                    for n in prefixes6[index]
                    if addresses6
                ],
            )
        )
    return found


def texts_of(card, has):
    """Return the texts of the ENI's keys."""
    texts = {
        "local-ipv4s": has.addresses,
        "subnet-ipv4-cidr-block": [subnet4(card) + "0/24"] if has.addresses else [],
        "ipv4-prefix": has.prefixes,
        "ipv6s": has.addresses6,
        "subnet-ipv6-cidr-blocks": [subnet6(card) + ":/64"] if has.addresses6 else [],
        "ipv6-prefix": has.prefixes6,
    }
    changes = {key: "\n".join(lines) if lines else None for key, lines in texts.items()}
    return eni_texts(card.number, changes)


def metadata_of(world, enis, earlier=False):
    texts = {PRIMARY: eni_texts(0)}
    for card, has in zip(world.cards, enis):
        if has is not None:
            texts[card.before if earlier else card.mac] = texts_of(card, has)
    return metadata_tree(texts)


def wanted_routes(world, card, has, family):
    """Return the routes that this package is to have put up for `card`, but in main and local."""
    name, table = card.name, table_of(card)
    if family == 4 and has.addresses:
        return [
            Route(subnet4(card) + "0/24", "", name, table, 4),
            Route("default", subnet4(card) + "1", name, table, 4),
        ]
    if family == 6 and has.addresses6 and card.ipv6:
        learned = [Route("default", ROUTER6, name, table, 6)] if is_advertised(card) else []
        subnet = subnet6(card) + ":/64"
        return [
            Route(subnet, "", name, MAIN_TABLE, 6, table), Route(subnet, "", name, table, 6),
        ] + learned
    return []


def is_advertised(card):
    return card.advertised and card.ipv6 and card.up == LIVE


def wanted_elsewhere(world, card, has):
    """Return the IPv4 routes that belong into the tables main and local."""
    routes = []
    if has.addresses:
        routes.append(ours_in_main(card))
    if has.addresses and world.backend == "ifcfg" and card.main:
        router = subnet4(card) + "1"
        routes.append(Route("default", router, card.name, MAIN_TABLE, 4, table_of(card)))
    if card.provision:
        routes += [Route(prefix, "", card.name, LOCAL_TABLE, 4) for prefix in has.prefixes]
    return routes


def ours_in_main(card):
    return Route(subnet4(card) + "0/24", "", card.name, MAIN_TABLE, 4, table_of(card))


def kernels_in_main(world, card, has):
    """Return the same route as the kernel makes it for an address, in a list; that is base's."""
    there = [subnet4(card) + "251"]
    if card.up == LIVE:
        there = has.addresses[:1] + there
    base = {(item.address, item.device) for item in state_of(base_lines(world, 4)).addresses}
    return [
        ours_in_main(card)._replace(metric=0, connected=address)
        for address in there
        if (address, card.name) in base
    ][:1]


def wanted_rules(card, has, family):
    sources = has.addresses + has.prefixes
    if family == 6:
        sources = has.addresses6 + has.prefixes6 if card.ipv6 else []
    return [Rule(source, table_of(card), table_of(card)) for source in sources]


def wanted_addresses(card, has, family):
    """Return (address, device) of each but the lease's."""
    if family == 4:
        addresses = has.addresses[1:]
    elif card.ipv6:
        addresses = has.addresses6 if has.addresses else has.addresses6[1:]
    else:
        addresses = []
    return [(address, card.name) for address in addresses]


def wanted_lines(world, card, has, family):
    """Return how `ip -o` shows what is wanted."""
    lines = [
        "9: {1}    inet{2} {0}/{3} scope global {1}\\       valid_lft forever".format(
            address, name, "6" if family == 6 else "", 128 if family == 6 else 32
        )
        for address, name in wanted_addresses(card, has, family)
    ]
    lines += [
        "{0}:\tfrom {1} lookup {2} ".format(rule.priority, rule.source, rule.table)
        for rule in wanted_rules(card, has, family)
    ]
    routes = wanted_routes(world, card, has, family)
    routes += wanted_elsewhere(world, card, has) if family == 4 else []
    return lines + [route.arguments + " " for route in routes]


def leased_lines(world, card, has, family):
    """Return what a lease and the kernel itself put up and we leave as it is."""
    if card.up != LIVE:
        return []
    name, lines = card.name, []
    if family == 4 and has.addresses:
        first = has.addresses[0]
        lines = [
            "9: {1}    inet {0}/24 brd {2}255 scope global dynamic {1}\\       x".format(
                first, name, subnet4(card)
            ),
            "local {0} dev {1} table local proto kernel scope host src {0} ".format(first, name),
        ]
        if world.backend == "ifupdown" and card.main:
            lines.append("default via {0}1 dev {1} metric {2} ".format(
                subnet4(card), name, table_of(card)
            ))
    if family == 6 and card.ipv6:
        lines = ["fe80::/64 dev {0} proto kernel metric 256 pref medium".format(name)]
        if has.addresses6 and not has.addresses:
            lines.append("9: {1}    inet6 {0}/128 scope global \\       valid_lft 9sec".format(
                has.addresses6[0], name
            ))
        if is_advertised(card) and not is_passing(card, has):
            lines.append(advertised_line(card))
    return lines


def advertised_line(card):
    """Return main's route by the router that was heard; without `main` it is to go."""
    return "default via {0} dev {1} proto ra metric {2} expires 9sec".format(
        ROUTER6, card.name, table_of(card) if card.main else 1024
    )


def is_passing(card, has):
    """Return whether main is to have no router by this card, which is an ENI with IPv6."""
    return bool(is_advertised(card) and has.addresses6 and not card.main)


def passing_lines(world, family):
    """Return what the kernel has until a run of ours takes it away."""
    return [
        advertised_line(card)
        for card, has in zip(world.cards, world.now)
        if family == 6 and is_passing(card, has)
    ]


FOREIGN = {
    4: [
        "9: {name}    inet {net}250/32 scope global {name}\\       valid_lft forever",
        "9: {name}    inet {net}251/24 brd {net}255 scope global secondary {name}:0\\       x",
        "9: {name}    inet 192.168.7.1/30 scope global {name}\\       valid_lft forever",
        "500:\tfrom {net}250 lookup {table} ",
        "500:\tfrom {net}31 lookup {table} ",
        "{table}:\tfrom {net}32 lookup 300 ",
        "{table}:\tfrom all fwmark 0x1 lookup {table} ",
        "{table}:\tfrom {net}33 to 10.0.0.0/16 lookup {table} ",
        "32700:\tfrom {net}0/24 lookup {table} ",
        "32701:\tfrom {net}34 lookup 300 ",
        "32702:\tfrom all to {net}35 lookup {table} ",
        "10999:\tfrom {net}36 lookup 10999 ",
        "512:\tfrom all to {net}37 lookup main ",
        "1024:\tfrom all fwmark 0x80/0x80 lookup main ",
        "1536:\tfrom {net}38 to 10.0.0.0/16 lookup 2 ",
        "1536:\tfrom {net}39 lookup 2 ",
        "10.99.0.0/16 via {net}7 dev {name} table {table} ",
        "default via {net}8 dev {name} table {table} metric 50 ",
        "blackhole 10.97.0.0/16 table {table} ",
        "10.96.0.0/16 table {table} \\\tnexthop via {net}5 dev {name} weight 1 \\\tnexthop via "
        "{net}6 dev {name} weight 1 ",
        "10.98.0.0/16 via {net}7 dev {name} ",
        "default via {net}9 dev {name} metric 42 ",
        "default via {net}1 dev {name} table 2 ",
        "{net}1 dev {name} table 2 scope link ",
        "172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 linkdown ",
        "10.244.1.0/24 dev cni0 proto kernel scope link src 10.244.1.1 ",
        "local 10.95.0.0/16 dev lo table local ",
    ],
    6: [
        "9: {name}    inet6 {net6}:ffff/64 scope global \\       valid_lft forever",
        "9: {name}    inet6 fe80::42/64 scope link \\       valid_lft forever",
        "500:\tfrom {net6}:ffff lookup {table} ",
        "{table}:\tfrom {net6}:11 lookup 300 ",
        "{table}:\tfrom all fwmark 0x1 lookup {table} ",
        "32700:\tfrom {net6}:/64 lookup {table} ",
        "fd00:1::/64 via fe80::9 dev {name} table {table} metric 1024 pref medium",
        "default via fe80::2 dev wg0 table {table} metric 2048 pref medium",
        "fd00:2::/64 via fe80::9 dev {name} metric 1024 pref medium",
        "unreachable default dev lo table unspec proto kernel metric 4294967295 error -101",
    ],
}


def foreign_lines(world, family):
    every = [
        line.format(name=card.name, net=subnet4(card), net6=subnet6(card), table=table_of(card))
        for card in world.cards
        if card.up != DOWN and (family == 4 or card.ipv6)
        for line in FOREIGN[family]
    ]
    chosen = [line for index, line in enumerate(every) if index in world.foreign]
    return sorted(set(chosen), key=chosen.index)


def base_lines(world, family):
    """Return what is there in any case."""
    lines = COMMON_RULES.splitlines()
    if family == 4:
        lines += [
            "2: eth0    inet 10.0.0.10/24 brd 10.0.0.255 scope global eth0\\       valid_lft 9sec",
            "default via 10.0.0.1 dev eth0 ",
        ]
    for card, has in zip(world.cards, world.now):
        lines += leased_lines(world, card, has, family)
    return lines + foreign_lines(world, family)


def stale_lines(world, card, family):
    """Return what older tools and lost records left for a card's table."""
    number, source = table_of(card), subnet6(card) + ":" if family == 6 else subnet4(card)
    return [
        "32765:\tfrom {0}40 lookup {1} ".format(source, number),
        "32001:\tfrom {0}31 lookup {1} ".format(source, number),
        "{1}:\tfrom {0}77 lookup {1} ".format(source, number),
    ]


class Start(object):
    """A host in the state that a world begins with."""

    def __init__(self, root, world):
        self.root = root
        self.world = world
        sign = {
            "ifupdown": ("etc/network", "interfaces", "source /etc/network/interfaces.d/*.cfg\n"),
            "ifcfg": ("etc/sysconfig/network-scripts", "ifup-eth", "#!/bin/bash\n"),
        }[world.backend]
        directory = os.path.join(root, "root", sign[0])
        os.makedirs(directory)
        with open(os.path.join(directory, sign[1]), "w") as stream:
            stream.write(sign[2])
        self.kernel = {4: COMMON_RULES, 6: COMMON_RULES}
        self.configure()
        self.kernel = {
            family: "".join(line + "\n" for line in self.lines_at_the_start(family))
            for family in (4, 6)
        }

    def configure(self):
        """Write the files of the earlier state, and set the knobs in them."""
        world = self.world
        for card, has in zip(world.cards, world.earlier):
            if has is not None:
                flows.add(self.host(world.earlier, earlier=True), card.name)
                self.set_knobs(card)
                if not card.just_set:
                    flows.add(self.host(world.earlier, earlier=True), card.name)

    def set_knobs(self, card):
        path = {
            "ifupdown": "etc/network/interfaces.d/{0}.cfg",
            "ifcfg": "etc/sysconfig/network-scripts/ifcfg-{0}",
        }[self.world.backend].format(card.name)
        path = os.path.join(self.root, "root", path)
        with open(path) as stream:
            text = stream.read()
        if not card.main:
            text = text.replace("MAINROUTETABLE=yes", "MAINROUTETABLE=no")
        if card.provision:
            text = text.replace("EC2PROVISIONPFXIPS=no", "EC2PROVISIONPFXIPS=yes")
        with open(path, "w") as stream:
            stream.write(text)

    def lines_at_the_start(self, family):
        world, ours = self.world, []
        for card, before, now in zip(world.cards, world.earlier, world.now):
            # A device that is down has nothing but the rules of what was there before.
            is_down = card.up == DOWN
            lines = []
            if before and not is_down and wanted_rules(card, before, family):
                lines = stale_lines(world, card, family)
            lines = [line for i, line in enumerate(lines) if i in world.extra]
            if family == 4 or card.ipv6:
                set_before = card._replace(main=True, provision=False) if card.just_set else card
                recorded = wanted_lines(world, set_before, before, family) if before else []
                fresh = wanted_lines(world, card, now, family) if before and not is_down else []
                lines += [line for i, line in enumerate(recorded) if i not in world.holes]
                lines += [line for i, line in enumerate(fresh) if i in world.extra]
            ours += [line for line in lines if "lookup" in line or not is_down]
        base = base_lines(world, family) + passing_lines(world, family)
        there = {item_of(line) for line in base}
        lines = base + sorted(line for line in set(ours) if item_of(line) not in there)
        if family == 4:
            # Where ours is, it has replaced the kernel's.
            for card, now in zip(world.cards, world.now):
                if ours_in_main(card) not in state_of(lines).routes:
                    kernels = kernels_in_main(world, card, now)
                    lines += [route.arguments + " " for route in kernels]
        return lines

    def host(self, enis=None, earlier=False):
        world = self.world
        cards = [nic("eth0", PRIMARY, up=True)] + [
            nic(
                card.name,
                card.before if earlier else card.mac,
                up=card.up != DOWN and not earlier,
                ipv6=card.ipv6,
            )
            for card in world.cards
        ]
        answers = metadata_of(world, world.now if enis is None else enis, earlier)
        host = make_host(self.root, answers, FakeDevices(*cards), self.kernel)
        host.ancestors = lambda: []
        return host

    def run(self, use_case, *arguments, **others):
        """Run a use case, check each step of it, and return the lines given to `ip`."""
        host = self.host()
        if others.get("silent"):
            host.session.answers.clear()
            host.clock.now += host.settings.metadata.reuse
        result = use_case(host, *arguments)
        assert use_case is not flows.refresh or result[1] == []
        for family in (4, 6):
            self.check_order(host.runner.ran, family)
        self.kernel = host.runner.kernel
        return host.runner.changes

    def check_order(self, ran, family):
        """No step leaves an address that is to work without its rule, or a rule without routes."""
        lines = self.kernel[family].splitlines()
        before = self.violations(lines, family)
        for argv, stdin in ran:
            if "-o" in argv or ("-6" in argv) != (family == 6):
                continue
            for command in stdin.splitlines():
                lines, reason = applied(lines, command, family)
                assert reason == "", command
                found = self.violations(lines, family)
                assert found <= before, (command, found - before)
                before = found

    def violations(self, lines, family):
        state = state_of(lines)
        found = set()
        for card, earlier, now in zip(self.world.cards, self.world.earlier, self.world.now):
            if card.up != LIVE:
                continue
            enis = [has for has in (earlier, now) if has is not None]
            complete = any(
                set(wanted_routes(self.world, card, has, family)[:2]) <= state.routes
                for has in enis
                if wanted_routes(self.world, card, has, family)
            )
            rules = {rule for rule in state.rules if rule.table == table_of(card)}
            mine = {rule for has in enis for rule in wanted_rules(card, has, family)}
            found.update(rule for rule in rules & mine if not complete)
            sources = {rule.source for rule in rules}
            there = {(item.address, item.device) for item in state.addresses}
            for has in enis:
                for address, name in wanted_addresses(card, has, family):
                    if (address, name) in there and address not in sources:
                        found.add((address, name))
        return found

    def files(self):
        """Return {path: (bytes, inode)}."""
        found = {}
        for directory, _, names in os.walk(os.path.join(self.root, "root")):
            for name in names:
                path = os.path.join(directory, name)
                with open(path, "rb") as stream:
                    found[path] = (stream.read(), os.stat(path).st_ino)
        return found

    def check_foreign(self):
        """What others put up is there, each line as it was."""
        for family in (4, 6):
            lines = self.kernel[family].splitlines()
            for line in base_lines(self.world, family):
                assert line in lines

    def ours(self, family):
        """Return what there is beside what others put up."""
        base = set(base_lines(self.world, family))
        return state_of(line for line in self.kernel[family].splitlines() if line not in base)

    def check_state(self, enis):
        """The kernel has exactly what `enis` (None: nothing) say, beside what others put up."""
        self.check_foreign()
        for family in (4, 6):
            ours = self.ours(family)
            addresses, routes, rules = set(), set(), set()
            for card, now, has in zip(self.world.cards, self.world.now, enis):
                if family == 4:
                    is_ours = has is not None and has.addresses and card.up == LIVE
                    if not is_ours and ours_in_main(card) not in ours.routes:
                        routes.update(kernels_in_main(self.world, card, now))
                if has is None:
                    # What the kernel heard itself is nothing that a removal takes.
                    heard = state_of(passing_lines(self.world, family)).routes
                    routes.update(ours.routes.intersection(heard))
                    continue
                there = wanted_addresses(card, has, family)
                card_routes = wanted_routes(self.world, card, has, family)
                card_routes += wanted_elsewhere(self.world, card, has) if family == 4 else []
                card_rules = wanted_rules(card, has, family)
                if card.up != LIVE:
                    # ifup will add what is missing.
                    has_now = {(item.address, item.device) for item in ours.addresses}
                    there = has_now.intersection(there)
                    card_routes = ours.routes.intersection(card_routes)
                    card_rules = ours.rules.intersection(card_rules)
                addresses.update(there)
                routes.update(card_routes)
                rules.update(card_rules)
            assert {(item.address, item.device) for item in ours.addresses} == addresses
            assert ours.routes == routes
            assert ours.rules == rules


def item_of(line):
    """Return what a line is about: the kernel has nothing twice."""
    items = [item for part in state_of([line]) for item in part]
    return items[0] if items else line


def state_of(lines):
    return diff.united(
        parse.kernel_state(line, {}, {}, 6 if "::" in line else 4) for line in lines
    )


@pytest.fixture(autouse=True, scope="module")
def no_waiting_for_the_disk():
    """What fsync is for, test_files.py tests."""
    real, os.fsync = os.fsync, lambda _: None
    yield
    os.fsync = real


class host_in(object):  # noqa: N801
    """A context with a Start in a directory of its own."""

    def __init__(self, world):
        self._world = world

    def __enter__(self):
        self._directory = tempfile.mkdtemp(prefix="ec2net-")
        return Start(self._directory, self._world)

    def __exit__(self, *_):
        shutil.rmtree(self._directory)


@often
@hypothesis.given(worlds(configured=True))
def test_one_refresh_leads_there_and_a_second_does_nothing(world):
    with host_in(world) as start:
        for card in world.cards:
            if card.before != card.mac:
                # What came in the place of another waits for its add.
                start.run(flows.add, card.name)
        start.run(flows.refresh)
        start.check_state(world.now)
        before = start.files()
        assert start.run(flows.refresh) == []
        assert start.files() == before


@often
@hypothesis.given(worlds())
def test_one_add_of_each_leads_there_and_a_second_does_nothing(world):
    with host_in(world) as start:
        for card in world.cards:
            start.run(flows.add, card.name)
        start.check_state(world.now)
        before = start.files()
        for card in world.cards:
            assert start.run(flows.add, card.name) == []
        assert start.files() == before


@often
@hypothesis.given(worlds(configured=True), st.booleans(), st.booleans())
def test_a_lease_lost_and_gained_again_leads_there_also_by_the_files_alone(world, flushed, silent):
    with host_in(world) as start:
        for card in world.cards:
            start.run(flows.add, card.name)
        for card, has in zip(world.cards, world.now):
            if card.up != LIVE:
                continue
            families = (4, 6) if card.ipv6 else (4,)
            for family in families:
                if flushed:
                    flush_routes(start, card, family)
                changes = start.run(flows.lease, LeaseEvent("lost", card.name, family, None), 5.0)
                assert all(" del " in line for line in changes)
                start.check_foreign()
                left = start.ours(family)
                assert not [rule for rule in left.rules if rule.table == table_of(card)]
                there = {(item.address, item.device) for item in left.addresses}
                assert not there.intersection(wanted_addresses(card, has, family))
            for family in families:
                lease = Lease(has.addresses[0], subnet4(card) + "1") if has.addresses else None
                event = LeaseEvent("gained", card.name, family, lease)
                # Without metadata it would add a main route that is not wanted.
                start.run(flows.lease, event, 5.0, silent=silent)
        start.check_state(world.now)


def flush_routes(start, card, family):
    """The kernel drops the routes that have lost their address."""
    base = set(base_lines(start.world, family))
    kept = [
        line
        for line in start.kernel[family].splitlines()
        if line in base
        or not any(route.device == card.name for route in state_of([line]).routes)
    ]
    has = dict(zip(start.world.cards, start.world.now))[card]
    if family == 6 and is_passing(card, has):
        kept.append(advertised_line(card))
    if family == 4:
        # With the new address it makes that one again.
        kept += [route.arguments + " " for route in kernels_in_main(start.world, card, has)]
    start.kernel = dict(start.kernel)
    start.kernel[family] = "".join(line + "\n" for line in kept)


@often
@hypothesis.given(worlds(), st.booleans())
def test_after_remove_nothing_of_ours_is_left(world, add_first):
    if not add_first:
        # Nothing is there that no file ever said.
        now = [before or now for before, now in zip(world.earlier, world.now)]
        cards = [card._replace(just_set=False) for card in world.cards]
        world = world._replace(now=now, cards=cards)
    with host_in(world) as start:
        if add_first:
            for card in world.cards:
                start.run(flows.add, card.name)
        for card in world.cards:
            start.run(flows.remove, card.name)
        start.check_state([None] * len(world.cards))
        assert len(start.files()) == 1
        directory = RunDirectory(os.path.join(start.root, "run"))
        assert record.read_host(directory) == record.NOTHING_SHARED
        for card in world.cards:
            kept = record.read(directory, card.name)
            assert kept._replace(device=0, wish=None) == record.NOTHING
        for card in world.cards:
            assert start.run(flows.remove, card.name) == []
