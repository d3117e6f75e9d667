"""``make bench``: what `add` costs, beside a floor that is measured in the same run.

The floor is what any Python that asks the metadata service must do: start the interpreter, import
requests, one GET, one `ip`. Both run in the lab's host, alternately, so that a busy machine slows
both. Ratios are medians of the run's pairs; nothing here passes or fails by the clock.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.lab import Lab

REPOSITORY = Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"
URL = "http://169.254.169.254/latest/"
FLOOR = """
import subprocess, sys
import requests
session = requests.Session()
session.trust_env = False
session.get(sys.argv[1], headers={"X-aws-ec2-metadata-token": sys.argv[2]}, timeout=2).text
subprocess.Popen(["ip", "-o", "addr", "show"], stdout=subprocess.PIPE).communicate()
"""
ADD = ["env", "INTERFACE=eth1", "ec2net-hotplug", "add"]
REMOVE = ["env", "INTERFACE=eth1", "ec2net-hotplug", "remove"]
RENEWAL = ["env", "reason=RENEW", "interface=eth1", "new_ip_address=10.0.1.10",
           "new_routers=10.0.1.1", "ec2net", "lease"]
# A lease event that follows another at once takes that one's metadata.
FORGET = ["rm", "-f", "/run/ec2net/metadata-eth1"]
REFRESH = ["ec2net", "refresh"]
SIZES = (1, 10, 50)


def spend(argv):
    """Run `argv`; return (wall, CPU) seconds of it and all its children."""
    with open(os.devnull, "r+b") as nothing:
        start = time.perf_counter()
        process = subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=nothing)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    if status != 0:
        raise SystemExit("{} failed with status {}".format(" ".join(argv), status))
    return wall, usage.ru_utime + usage.ru_stime


def measure(rounds, cases):
    """Run the cases in turn, `rounds` times; return {name: [(wall, CPU), ...]}.

    A case is [name, argv, argv of what puts things back, or null].
    """
    spent = {name: [] for name, _, _ in cases}
    for _, argv, after in cases:
        spend(argv)  # not counted: fills the page cache and the token cache
        if after:
            spend(after)
    for _ in range(rounds):
        for name, argv, after in cases:
            spent[name].append(spend(argv))
            if after:
                spend(after)
    return spent


def in_host(lab, rounds, cases):
    """`measure` inside the lab's host, so that entering its namespaces is not counted."""
    result = lab.host(
        [PYTHON, "-m", "tests.bench", "--measure", json.dumps([rounds, cases])],
        env={"PYTHONPATH": str(REPOSITORY)},
        timeout=600,
    )
    return json.loads(result.stdout)


def processes(lab, argv):
    """Return how many programs a run of `argv` starts, itself included."""
    with tempfile.NamedTemporaryFile(mode="r") as log:
        trace = ["strace", "-f", "-qq", "-o", log.name, "-e", "trace=execve"]
        lab.host(trace + argv)
        # `env`, which only sets INTERFACE, is not the product; a shebang's lookup is no program.
        started = [line for line in log if "execve(" in line and line.rstrip().endswith("= 0")]
        return len(started) - (1 if argv[0] == "env" else 0)


def requests_of(lab, argv):
    """Return (GETs, PUTs, connections) of a run of `argv`."""
    lab.imds_clear_log()
    lab.host(argv)
    log = lab.imds_requests()
    methods = [entry["method"] for entry in log]
    connections = {entry["connection"] for entry in log}
    return methods.count("GET"), methods.count("PUT"), len(connections)


TOKEN = """
import sys, urllib.request
headers = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
request = urllib.request.Request(sys.argv[1], headers=headers, method="PUT")
sys.stdout.write(urllib.request.urlopen(request).read().decode())
"""


def rows(rounds):
    """Yield a row of the table for each backend, size and situation."""
    for distribution, backend in (("debian", "ifupdown"), ("rhel", "ifcfg")):
        for values in rows_of(distribution, rounds):
            yield (backend,) + values


def rows_of(distribution, rounds):
    """Yield a row for each size and situation on one distribution."""
    for size in SIZES:
        with Lab(distribution=distribution) as lab:
            lab.host(["make", "-s", "-C", str(REPOSITORY), "install", "PYTHON=" + PYTHON])
            lab.attach("eth1", subnet="10.0.1.0/24", addresses=size)
            # The product finds its token in its cache, so the floor is given one, too.
            token = lab.host([PYTHON, "-c", TOKEN, URL + "api/token"]).stdout
            floor = ["floor", [PYTHON, "-sE", "-c", FLOOR, URL + "meta-data/mac", token], None]
            yield (size, "first `add`") + row(lab, rounds, floor, ADD, REMOVE)
            lab.host(["ec2ifup", "eth1"])
            yield (size, "`add`, nothing to change") + row(lab, rounds, floor, ADD)
            yield (size, "a lease renewed") + row(lab, rounds, floor, RENEWAL, FORGET)
            yield (size, "refresh") + row(lab, rounds, floor, REFRESH)
            lab.host(["ec2ifdown", "eth1"])
            if size == SIZES[0]:
                yield (size, "`remove`, nothing there") + row(lab, rounds, floor, REMOVE)
                yield (size, "`--help`") + row(lab, rounds, floor, ["ec2net-hotplug", "--help"])


def row(lab, rounds, floor, argv, undo=None):
    """Measure `argv` beside the floor, `undo` after each time; return the figures of its row."""
    spent = in_host(lab, rounds, [floor, ["it", argv, undo]])
    counts = requests_of(lab, argv)
    if undo:
        lab.host(undo)
    started = processes(lab, argv)
    if undo:
        lab.host(undo)
    wall, cpu = (statistics.median(values) * 1000 for values in zip(*spent["it"]))
    floor_wall, floor_cpu = (statistics.median(v) * 1000 for v in zip(*spent["floor"]))
    ratio = statistics.median(
        mine[0] / base[0] for mine, base in zip(spent["it"], spent["floor"])
    )
    return (floor_wall, wall, ratio, floor_cpu, cpu, started) + counts


HEADER = ("backend", "addresses", "situation", "floor ms", "wall ms", "ratio", "floor CPU ms",
          "CPU ms", "processes", "GET", "PUT", "connections")


def main():
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        json.dump(measure(*json.loads(arguments.measure)), sys.stdout)
        return
    print("| " + " | ".join(HEADER) + " |")
    print("|" + "---|" * len(HEADER))
    for values in rows(arguments.rounds):
        cells = ["{:.2f}".format(v) if i == 5 else "{:.0f}".format(v) if isinstance(v, float)
                 else str(v) for i, v in enumerate(values)]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
