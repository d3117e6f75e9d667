"""``make bench [BASE=<commit>]``: what a run costs, beside floors of the same run.

The floors are the interpreter alone, the interpreter with one GET by the standard library, and the
interpreter with `requests`, one GET and one `ip`. They, this tree and with BASE= another commit run
in the lab's host in turn, so that a busy machine slows all of them. Figures are medians of the
rounds; nothing here passes or fails by the clock.

    python3 -m tests.bench --rounds 9 --sizes 1 --enis 1 --python PATH --base COMMIT

measures the same for the commonest host on another interpreter that has requests and configobj.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path

from tests.lab import Lab

REPOSITORY = Path(__file__).resolve().parent.parent
BASE_PREFIX = "/opt/base"
URL = "http://169.254.169.254/latest/"
# What each program has to do that asks the metadata service, by the standard library alone.
LIGHT_FLOOR = """
import sys
if sys.version_info[0] == 2:
    from httplib import HTTPConnection
else:
    from http.client import HTTPConnection
connection = HTTPConnection("169.254.169.254", timeout=2)
token = {"X-aws-ec2-metadata-token": sys.argv[1]}
connection.request("GET", "/latest/meta-data/mac", headers=token)
connection.getresponse().read()
"""
REQUESTS_FLOOR = """
import subprocess, sys
import requests
session = requests.Session()
session.trust_env = False
session.get("http://169.254.169.254/latest/meta-data/mac",
            headers={"X-aws-ec2-metadata-token": sys.argv[1]}, timeout=2).text
subprocess.Popen(["ip", "-o", "addr", "show"], stdout=subprocess.PIPE).communicate()
"""
TOKEN = """
import sys, urllib.request
headers = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
request = urllib.request.Request(sys.argv[1], headers=headers, method="PUT")
sys.stdout.write(urllib.request.urlopen(request).read().decode())
"""
ADD = ["env", "INTERFACE=eth1", "ec2net-hotplug", "add"]
REMOVE = ["env", "INTERFACE=eth1", "ec2net-hotplug", "remove"]
RENEWAL = ["env", "reason=RENEW", "interface=eth1", "new_ip_address=10.0.1.10",
           "new_routers=10.0.1.1", "ec2net", "lease"]
REFRESH = ["ec2net", "refresh"]
BACKENDS = (("debian", "ifupdown"), ("rhel", "ifcfg"), ("networkd", "networkd"))
SIZES = (1, 10, 50)
MANY = 15
FLOOR_FILE = "/etc/network/interfaces.d/eth1.cfg"

# A process counts for what the one had in memory that it was forked from: that one has to be small.
PEAK = """
import os, sys
child = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss / 1024.0)
"""

Spent = namedtuple("Spent", ["wall", "cpu"])
"""Milliseconds that a run took, and milliseconds of CPU of it and all that it started."""

Situation = namedtuple("Situation", ["name", "argv", "undo"])
"""`undo`: what puts things back after each run, which is not measured; None if nothing has to."""

# A lease event takes for true what another run has read within the last five seconds.
FORGET_TIME = ["sh", "-c", r"sed -i 's/\], [0-9.]*\]/], 1.0]/' /run/ec2net/interface-eth1"
               # Where commits up to ab08a03 keep it.
               "; rm -f /run/ec2net/metadata-eth1"]
# What hosts do whose ENIs are all up.
ALL_UP = (Situation("`add`, nothing to change", ADD, None),
          Situation("a lease renewed", RENEWAL, FORGET_TIME),
          Situation("refresh", REFRESH, None))


def spend(argv):
    """Run `argv`; return what it took."""
    with open(os.devnull, "r+b") as nothing:
        start = time.perf_counter()
        process = subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=nothing)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    if status != 0:
        raise SystemExit("{} failed with status {}".format(" ".join(argv), status))
    cpu = usage.ru_utime + usage.ru_stime
    return Spent(wall * 1000, cpu * 1000)


def measure(rounds, cases):
    """Run the cases in turn, `rounds` times; return {name: [Spent of each round]}.

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
        [sys.executable, "-m", "tests.bench", "--measure", json.dumps([rounds, cases])],
        env={"PYTHONPATH": str(REPOSITORY)},
        timeout=3600,
    )
    return {name: [Spent(*one) for one in rounds_of] for name, rounds_of
            in json.loads(result.stdout).items()}


def processes(lab, argv):
    """Return how many programs a run of `argv` starts, itself included."""
    with tempfile.NamedTemporaryFile(mode="r") as log:
        trace = ["strace", "-f", "-qq", "-o", log.name, "-e", "trace=execve"]
        lab.host(trace + argv)
        # `env`, which only sets INTERFACE, is not the product; a shebang's lookup is no program.
        started = [line for line in log if "execve(" in line and line.rstrip().endswith("= 0")]
        return len(started) - (1 if argv[0] == "env" else 0)


def memory(lab, argv):
    """Return the peak in MiB of the process of a run of `argv` that takes most."""
    nothing = [sys.executable, "-ISc", PEAK, "sh", "-c", 'exec "$@" >/dev/null', "sh"]
    return float(lab.host(nothing + argv).stdout)


def requests_of(lab, argv):
    """Return how many GETs and connections a run of `argv` takes. Its token is in the cache."""
    lab.imds_clear_log()
    lab.host(argv)
    log = lab.imds_requests()
    assert all(entry["method"] == "GET" for entry in log), log
    return len(log), len({entry["connection"] for entry in log})


def of_base(argv):
    """Return the same command as the other commit installed it."""
    return [BASE_PREFIX + "/sbin/" + word if word.startswith("ec2") else word for word in argv]


def installed(distribution, python, base):
    """Return a lab with this tree installed, and the one in the directory `base` beside it."""
    lab = Lab(distribution=distribution)
    make = ["make", "-s", "install", "PYTHON=" + python]
    lab.host([*make, "-C", str(REPOSITORY)])
    if base:
        lab.host([*make, "-C", base, "PREFIX=" + BASE_PREFIX, "FLAVOUR=no", "INIT=no",
                  "REFRESH=no"])
    return lab


def rows(arguments):
    """Yield (backend, ENIs, addresses, situation, figures) for everything that is measured."""
    for distribution, backend in BACKENDS:
        ours = arguments
        if backend == "networkd":
            # Commits up to ab08a03 do not know it.
            ours = argparse.Namespace(**dict(vars(arguments), base=None))
        for size in arguments.sizes:
            with installed(distribution, ours.python, ours.base) as lab:
                lab.attach("eth1", subnet="10.0.1.0/24", addresses=size)
                for name, figures in one_eni(lab, ours, size):
                    yield (backend, 1, size, name, figures)
    if arguments.enis == 1:
        return
    for size in arguments.sizes:
        with installed("debian", arguments.python, arguments.base) as lab:
            for number in range(1, arguments.enis + 1):
                lab.attach("eth{}".format(number), subnet="10.0.{}.0/24".format(number),
                           addresses=size)
            lab.host(["ec2ifscan"], timeout=300)
            lab.host(REFRESH)
            for situation in ALL_UP:
                figures = figures_of(lab, arguments, situation)
                yield ("ifupdown", arguments.enis, size, situation.name, figures)


def one_eni(lab, arguments, size):
    """Yield (situation, figures) of one ENI with so many addresses."""
    if size == min(arguments.sizes):
        for situation in (Situation("`--help`", ["ec2net", "--help"], None),
                          Situation("`--version`", ["ec2net", "--version"], None),
                          Situation("`remove`, nothing there", REMOVE, None)):
            yield situation.name, figures_of(lab, arguments, situation)
    situation = Situation("first `add`", ADD, REMOVE)
    yield situation.name, figures_of(lab, arguments, situation)
    lab.host(["ec2ifup", "eth1"])
    lab.host(REFRESH)
    for situation in ALL_UP:
        if situation.argv is RENEWAL and not has_hook(lab):
            continue
        yield situation.name, figures_of(lab, arguments, situation)


def has_hook(lab):
    """Return whether leases are told of: networkd has no hook for that."""
    return lab.distribution != "networkd"


def figures_of(lab, arguments, situation):
    """Measure a situation beside the floors, and beside the other commit if there is one."""
    python = arguments.python
    token = lab.host([sys.executable, "-c", TOKEN, URL + "api/token"]).stdout
    cases = [
        ["interpreter", [python, "-sE", "-c", "pass"], None],
        ["one GET", [python, "-sE", "-c", LIGHT_FLOOR, token], None],
        ["requests", [python, "-sE", "-c", REQUESTS_FLOOR, token], None],
        ["it", situation.argv, situation.undo],
    ]
    if arguments.base:
        cases.append(["base", of_base(situation.argv), situation.undo])
    spent = in_host(lab, arguments.rounds, cases)
    counts = []
    for count in (memory, processes, requests_of):
        counts.append(count(lab, situation.argv))
        if situation.undo:
            lab.host(situation.undo)
    return spent, counts


def median(spent, field, name="it"):
    """Return the median of one figure of a case."""
    return statistics.median(getattr(one, field) for one in spent[name])


def ratio(spent, other):
    """Return the median of the rounds' ratios of wall time."""
    return statistics.median(mine.wall / its.wall for mine, its in zip(spent["it"], spent[other]))


HEADER = ("backend", "ENIs", "addresses", "situation", "wall ms", "of base", "of requests",
          "of one GET", "of interpreter", "CPU ms", "MiB", "processes", "GET", "connections")


def cells(row):
    """Return the cells of a row of the table."""
    backend, enis, size, name, (spent, (peak, started, (gets, connections))) = row
    ratios = ["{:.2f}".format(ratio(spent, other)) if other in spent else "-"
              for other in ("base", "requests", "one GET", "interpreter")]
    return [backend, str(enis), str(size), name, "{:.0f}".format(median(spent, "wall")), *ratios,
            "{:.0f}".format(median(spent, "cpu")), "{:.0f}".format(peak),
            *map(str, (started, gets, connections))]


def slopes(measured, sizes, enis):
    """Yield sentences about what a further ENI and a further address cost."""
    most, least = max(sizes), min(sizes)
    for situation in ALL_UP:
        wall = {row[1:3]: median(row[4][0], "wall") for row in measured
                if row[3] == situation.name and row[0] == "ifupdown"}
        per_eni = (wall[enis, least] - wall[1, least]) / (enis - 1)
        per_address = (wall[enis, most] - wall[enis, least]) / (enis * (most - least))
        yield ("- {}: a further ENI costs {:.1f} ms, a further address {:.0f} us."
               .format(situation.name, per_eni, per_address * 1000))


def attachments(arguments):
    """Return seconds to the first answer of an ENI with three addresses: {who: one for each round}.

    `ec2ifup`, as udev's event starts it, and beside it a plain `ifup` with the same file written by
    hand, on a host that does not have the product.
    """
    with installed("debian", arguments.python, None) as ours, Lab() as plain:
        enis = [lab.attach("eth1", subnet="10.0.1.0/24", addresses=3) for lab in (ours, plain)]
        ours.host(["env", "INTERFACE=eth1", "ec2net-hotplug", "add"])
        text = ours.host(["cat", FLOOR_FILE]).stdout
        ours.host(["ec2ifdown", "eth1"])
        plain.path(FLOOR_FILE).write_text(text)
        found = {"ec2ifup": [], "ifup": []}
        for _ in range(arguments.rounds):
            found["ec2ifup"].append(answered_after(ours, ["ec2ifup", "eth1"], enis[0]))
            ours.host(["ec2ifdown", "eth1"])
            found["ifup"].append(answered_after(plain, ["ifup", "eth1"], enis[1]))
            plain.host(["ifdown", "eth1"])
            plain.host(["sh", "-c", "rm -f /var/lib/dhcp/dhclient.eth1.*"])
        return found


def answered_after(lab, argv, eni):
    """Run `argv` in the lab's host; return after how many seconds the ENI first answered."""
    with open(os.devnull, "r+b") as nothing:
        streams = {"stdin": nothing, "stdout": nothing, "stderr": nothing}
        ping = ["ping", "-n", "-q", "-i", "0.01", "-c", "1", "-w", "60", eni.addresses[0]]
        start = time.perf_counter()
        process = lab.namespaces.host.popen(argv, **streams)
        status = lab.namespaces.client.popen(ping, **streams).wait()
        seconds = time.perf_counter() - start
        if status or process.wait():
            raise SystemExit("{}: no answer".format(" ".join(argv)))
    return seconds


def chart(measured, path):
    """Draw where the time goes: the floors, and each situation of one ENI with one address."""
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.fonttype"] = "none"
    matplotlib.rcParams["svg.hashsalt"] = "ec2net"
    shown = [row for row in measured if row[:3] == ("ifupdown", 1, min(row[2] for row in measured))]
    figure, axes = pyplot.subplots(figsize=(8, 0.55 * len(shown) + 1.4))
    for place, (spent, _) in enumerate(row[4] for row in reversed(shown)):
        if "base" in spent:
            axes.barh(place + 0.2, median(spent, "wall", "base"), 0.36, color="#b8c4ce",
                      label="before" if place == 0 else None)
        parts = (("interpreter", "#2f4858", median(spent, "wall", "interpreter")),
                 ("ec2net", "#f26419", median(spent, "wall")))
        left = 0.0
        for label, colour, end in parts:
            axes.barh(place - 0.2, end - left, 0.36, left, color=colour,
                      label=label if place == 0 else None)
            left = end
    floor = statistics.median(median(row[4][0], "wall", "requests") for row in shown)
    axes.axvline(floor, color="#86bbd8", linestyle="--",
                 label="requests, one GET, one ip")
    axes.set_yticks(range(len(shown)), [row[3].replace("`", "") for row in reversed(shown)])
    axes.set_xlabel("milliseconds of wall time, median")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=4, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def checked_out(commit):
    """Return a directory with another commit of this repository."""
    directory = REPOSITORY / ".build" / "bench-base"
    git = ["git", "-C", str(REPOSITORY)]
    directory.mkdir(parents=True, exist_ok=True)
    archive = subprocess.run([*git, "archive", commit], check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["find", str(directory), "-mindepth", "1", "-delete"], check=True)
    subprocess.run(["tar", "-x", "-C", str(directory)], check=True, input=archive)
    return str(directory)


def main():
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--base", metavar="COMMIT", help="measure another commit beside this tree")
    parser.add_argument("--python", default="/usr/bin/python3", help="whose runs are measured")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="ADDRESSES")
    parser.add_argument("--enis", type=int, default=MANY, help="as many beside one; 1: only one")
    parser.add_argument("--chart", metavar="FILE", help="draw an SVG; needs matplotlib")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        json.dump(measure(*json.loads(arguments.measure)), sys.stdout)
        return
    if arguments.base:
        arguments.base = checked_out(arguments.base)
    print("| " + " | ".join(HEADER) + " |")
    print("|" + "---|" * len(HEADER))
    measured = []
    for row in rows(arguments):
        measured.append(row)
        print("| " + " | ".join(cells(row)) + " |", flush=True)
    print()
    if arguments.enis > 1:
        print("\n".join(slopes(measured, arguments.sizes, arguments.enis)))
    seconds = {who: statistics.median(found) for who, found in attachments(arguments).items()}
    print("- An attachment answers {:.2f} s after its event; a plain ifup with the same file takes "
          "{:.2f} s.".format(seconds["ec2ifup"], seconds["ifup"]))
    if arguments.chart:
        chart(measured, arguments.chart)


if __name__ == "__main__":
    main()
