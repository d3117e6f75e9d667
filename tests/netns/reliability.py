"""``python3 -m tests.netns.reliability``: every way for metadata to fail, for every key.

Prints the table of docs/reliability.md; the test of the same name compares the two. Each case is
tried once, on whichever host is free; those of each distribution have a primary with a further
address and a dual-stack ENI with prefixes, all in step.

One part of the metadata service then fails in one way, one command runs, and what it did is noted.
"""

import re
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab import Lab
from tests.netns.dhcp import RENEWED
from tests.netns.driver import FORGET, status, unreachable, wait_until, write

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# Gives up within half a second, and trusts nothing that it read before.
SETTINGS = """[metadata]
deadline = 0.5
connect_timeout = 0.5
read_timeout = 0.5
attach_deadline = 0.5
reuse = 0
transport = {transport}
"""
TRANSPORTS = ("requests", "light")
COMMANDS = {
    "add": (["ec2net-hotplug", "add"], {"INTERFACE": "eth1"}),
    "refresh": (["ec2net", "refresh"], {}),
    # With the hook, as dhclient runs it.
    "lease": (["/sbin/dhclient-script"], dict(RENEWED, reason="RENEW", interface="eth1")),
}
FAULTS = {
    "404": {"status": 404},
    "401": {"status": 401},
    "403": {"status": 403},
    "500": {"status": 500},
    "503": {"status": 503},
    "503, `Retry-After: 30`": {"status": 503, "headers": {"Retry-After": "30"}},
    "reset": {"action": "reset"},
    "hang": {"action": "hang"},
    "slow drip": {"action": "slow"},
    "huge": {"action": "huge"},
    "HTML, 200": {"body": "<html><body>Sign in</body></html>"},
    "empty, 200": {"body": ""},
    "binary, 200": {"body": "\x00\x01\u00ff\u20ac\n"},
    "a shell's command, 200": {"body": "$(touch /tmp/owned)"},
}
REFUSED = "connection refused"
# Where there is no dhclient there is no event of a lease.
OF_NETWORKD = ("add", "refresh")
# What fails, as a part of the request's path.
ENI_KEYS = ("local-ipv4s", "ipv4-prefix", "device-number", "interface-id",
            "subnet-ipv4-cidr-block", "network-card", "ipv6s", "subnet-ipv6-cidr-blocks",
            "ipv6-prefix")
PLACES = {
    "token": "api/token",
    "`mac`": "meta-data/mac$",
    "listing": "macs/{eth1}/$",
    **{"`{}`".format(key): "macs/{eth1}/" + key + "$" for key in ENI_KEYS},
    "primary's listing": "macs/{eth0}/$",
    "primary's `local-ipv4s`": "macs/{eth0}/local-ipv4s$",
}
# `refresh` meets each place; for the others the keys of an ENI are alike.
EXEMPLARY = ("token", "`mac`", "listing", "`local-ipv4s`", "`ipv4-prefix`", "everything")

Result = namedtuple("Result", ["code", "said", "lost", "changed"])
"""Exit code, lines on stderr, and what of the kernel and the files is missing or differs."""

# What a run could destroy, in one process: the files by their checksums.
LOOK = """
for family in 4 6; do
    printf 'rule show\\nroute show table all\\naddr show\\n' | ip -$family -o -force -batch -
done
find /etc/network /etc/sysconfig /etc/dhcp /run/systemd/network /var/lib/ec2net -type f \
    -exec md5sum {} + 2>/dev/null || :
"""
_PASSING = re.compile(r"\s+(?:valid_lft|preferred_lft|expires|hoplimit) \S+")


def furnished(distribution, transport):
    """Return a lab with everything in step, where each command speaks HTTP by `transport`."""
    kind, _, version = distribution.partition("-")
    lab = Lab(distribution=kind, networkd=version or None, primary_addresses=2)
    try:
        lab.host(["make", "-s", "-C", str(REPOSITORY), "install", "PYTHON=/usr/bin/python3",
                  "REFRESH=no", "LEASE_TIMEOUT=4"])
        lab.attach("eth1", subnet="10.0.1.0/24", addresses=3, prefixes=["10.0.1.240/28"],
                   ipv6=2, ipv6_prefixes=["2001:db8:0:1:1::/80"], network_card=0)
        eni = lab.enis["eth1"]
        lab.host(["ec2ifup", "eth1"])
        wait_until(lambda: unreachable(lab, eni.addresses + eni.ipv6) == [])
        lab.host(["ec2net", "refresh"])
        wait_until(lambda: status(lab)["eth1"]["state"] == "in step")
        assert status(lab)["eth0"]["state"] == "in step", status(lab)
        lab.host(["mkdir", "-p", "/etc/ec2net"])
        write(lab, "/etc/ec2net/ec2net.conf", SETTINGS.format(transport=transport))
    except BaseException:
        lab.close()
        raise
    return lab


def look(lab):
    """Return what there is to lose."""
    lines = lab.host(["sh", "-c", LOOK]).stdout.splitlines()
    return {" ".join(_PASSING.sub("", line).split()) for line in lines}


def outcome(lab, command, place, fault, before):
    """Return the result of `command` while `place` fails by `fault`."""
    argv, environment = COMMANDS[command]
    macs = {name: eni.mac for name, eni in lab.enis.items()}
    # A run that knows the ENI asks for less of it.
    lab.host(FORGET)
    if place == "token":
        # Tokens are kept for hours: only a run without one asks.
        lab.host(["rm", "-f", "/run/ec2net/token"])
    if fault == REFUSED:
        lab.imds_stop()
    else:
        lab.fault(".*" if place == "everything" else PLACES[place].format(**macs),
                  **FAULTS[fault])
    # Nothing here takes as long: a run that does not end by itself fails.
    result = lab.host(argv, env=environment, check=False, timeout=30)
    if fault == REFUSED:
        lab.imds_start()
    else:
        lab.clear_faults()
    after = look(lab)
    return Result(result.returncode, result.stderr.splitlines(),
                  sorted(before - after), sorted(after ^ before))


def cases(commands=tuple(COMMANDS)):
    """Yield each (command, place, fault) to try."""
    for command in commands:
        yield command, "everything", REFUSED
        yield command, "everything", "hang"
        for place in PLACES:
            if command == "refresh" or place in EXEMPLARY:
                for fault in FAULTS:
                    yield command, place, fault


def measure(transport, distributions=("debian", "rhel"), commands=tuple(COMMANDS), workers=4):
    """Try every case once, on the distributions in turn; return {case: result}.

    Most of the time is spent waiting for an answer that does not come, so several hosts share it.
    """
    left = list(cases(commands))
    results = {}
    lock = threading.Lock()

    def work(distribution):
        with furnished(distribution, transport) as lab:
            before = look(lab)
            while True:
                with lock:
                    if not left:
                        return
                    case = left.pop()
                results[case] = result = outcome(lab, *case, before)
                if result.changed:
                    # The next case starts from what all others started from.
                    return work(distribution)
                if not left:
                    assert unreachable(lab, lab.enis["eth0"].addresses) == []
                    assert unreachable(lab, lab.enis["eth1"].addresses) == []

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, (distributions * workers)[:workers]))
    return results


def table(results):
    """Return the results as Markdown; failures and places of the same effect share a row."""
    alike = {}
    for fault in (REFUSED, *FAULTS):
        alike.setdefault(tuple(rows_of(results, fault)), []).append(fault)
    lines = ["| failure | of | `add` | `refresh` | lease event |", "|---|---|---|---|---|"]
    for rows, faults in alike.items():
        for place, cells in rows:
            lines.append("| {} | {} | {} |".format("; ".join(faults), place, " | ".join(cells)))
    return "\n".join(lines) + "\n"


def rows_of(results, fault):
    """Yield (places, cells) for each effect that a failure has."""
    rows = {}
    for place in PLACES:
        cells = tuple(cell(results.get((command, place, fault))) for command in COMMANDS)
        # What was tried with `refresh` alone goes with what does the same there.
        fits = [row for row in rows
                if all(one in ("", other) for one, other in zip(cells, row)) and any(cells)]
        if "primary" in place and any(cells):
            # Of the three only `refresh` looks at it: the others are about eth1.
            rows.setdefault(tuple(one or "-" for one in cells), []).append(place)
        elif fits:
            rows[fits[0]].append(place)
        elif any(cells):
            rows[tuple(one or "-" for one in cells)] = [place]
    everything = tuple(cell(results.get((command, "everything", fault))) for command in COMMANDS)
    if any(everything) and everything not in rows:
        rows[everything] = ["everything"]
    for cells, places in rows.items():
        yield named(places), cells


def named(places):
    """Return the places in words."""
    keys = ["`{}`".format(key) for key in ENI_KEYS]
    if not set(keys) <= set(places):
        return ", ".join(places)
    first = places.index(keys[0])
    places = [place for place in places if place not in keys]
    return ", ".join(places[:first] + ["each key of an ENI"] + places[first:])


def cell(result):
    """Return what a command did, in a few words."""
    if result is None:
        return ""
    text = str(result.code)
    if len(result.said) != 1:
        text += ", {} lines".format(len(result.said)) if result.said else ", silent"
    return text + (", **changed**" if result.changed else "")


if __name__ == "__main__":
    for each in TRANSPORTS:
        print("{}:\n\n{}".format(each, table(measure(each))))
