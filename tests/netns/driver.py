"""What the tests do with the product on the lab's host."""

import contextlib
import json
import re
import subprocess
import tempfile
import time

SCRIPTS = "/etc/sysconfig/network-scripts/"
# Where the three variables are that users steer the product by.
KNOBS = {"debian": "/etc/network/interfaces.d/eth1.cfg", "rhel": SCRIPTS + "ifcfg-eth1"}

# What a run may know from the ones before it, without asking metadata. For the host's own Python.
FORGET = ["python3", "-c", """
import glob, json
for path in glob.glob("/run/ec2net/interface-*"):
    with open(path, "r+") as stream:
        kept = json.load(stream)
        kept.pop("reading", None)
        stream.seek(0)
        json.dump(kept, stream)
        stream.truncate()
"""]

# Stands in the way of `ip`: lets it look, but a run that comes to change something dies there.
_DEADLY_IP = """#!/bin/sh
case "$*" in *-o*) exec /usr/sbin/ip "$@" ;; *) kill -9 $PPID ;; esac
"""


def hotplug(lab, action, interface="eth1", check=True):
    """Run ``ec2net-hotplug`` as the README says."""
    environment = {"INTERFACE": interface, "ACTION": action}
    return lab.host(["ec2net-hotplug", action], env=environment, check=check)


def killed_add(lab):
    """Run ``ec2net-hotplug add`` for eth1, which dies between file and kernel."""
    write(lab, "/usr/local/bin/ip", _DEADLY_IP)
    lab.host(["chmod", "755", "/usr/local/bin/ip"])
    lab.host(["sh", "-c", "PATH=/usr/local/bin:$PATH INTERFACE=eth1 ec2net-hotplug add"],
             check=False)
    lab.host(["rm", "/usr/local/bin/ip"])


def status(lab):
    """Return what ``ec2net status --json`` says, by interface."""
    told = json.loads(lab.host(["ec2net", "status", "--json"]).stdout)
    return {row["name"]: row for row in told["interfaces"]}


def kernel(lab):
    """Return addresses, rules and routes of the host."""
    return {key: value for key, value in lab.snapshot().items() if key != "files"}


def read(lab, path):
    """Return a file of the host; None where there is none."""
    result = lab.host(["cat", path], check=False)
    return result.stdout if result.returncode == 0 else None


def write(lab, path, text):
    """Put `text` into a file of the host."""
    lab.host(["sh", "-c", 'printf %s "$2" > "$1"', "sh", path, text])


def set_knob(lab, name, value):
    """Change one of the user's variables in eth1's file, be it an assignment or a comment."""
    path = KNOBS[lab.distribution]
    before = read(lab, path)
    after = re.sub("(?m)^((?:# )?{}=).*$".format(name), r"\g<1>" + value, before)
    assert after != before, before
    write(lab, path, after)


def dhclient(lab, interface="eth1"):
    """Return the number of the one dhclient that `interface` has on a RHEL-like host."""
    pid = read(lab, "/run/dhclient-{}.pid".format(interface)).strip()
    assert interface in read(lab, "/proc/{}/cmdline".format(pid)).split("\0")
    return pid


def dhclient_script(lab, reason, interface="eth1", check=True, **variables):
    """Run dhclient-script as dhclient does."""
    return lab.host(["/sbin/dhclient-script"], check=check,
                    env=dict(variables, reason=reason, interface=interface))


def hurry_ipv6(lab):
    """Leave out duplicate address detection and the pause before a router is asked for."""
    lab.namespaces.host.sysctl({
        "net/ipv6/conf/{}/{}".format(name, key): 0
        for name in ("all", "default")
        for key in ("accept_dad", "dad_transmits", "router_solicitation_delay")
    })


def restart_primary(lab):
    """Take the primary's configuration away and have it made again, so that its routes come last.

    They may come after the return.
    """
    if lab.distribution == "networkd":
        # What is configured alike and kept stays where it is; what a link that is down had goes.
        lab.host(["networkctl", "down", "eth0"])
        lab.host(["networkctl", "up", "eth0"])
        return
    lab.host(["ifdown", "eth0"])
    lab.host(["ifup", "eth0"])


def unreachable(lab, addresses):
    """Return which of `addresses` do not answer the outside client."""
    return [address for address in addresses if not lab.pings(address)]


def wait_until(condition, seconds=60):
    """Wait for `condition`; fail if it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen within {} s".format(seconds)
        time.sleep(0.1)


@contextlib.contextmanager
def pinged(lab, targets, interval=0.02):
    """Ping from outside all the while; afterwards no answer but the last ones may be missing."""
    command = 'for a; do ping -n -i {} "$a" >"$0/ping-$a" & done; read end; kill -INT $(jobs -p)'
    with tempfile.TemporaryDirectory() as directory:
        # The end of its input ends it; what it has printed by then, it prints.
        watch = ["bash", "-c", command.format(interval) + "; wait", directory, *targets]
        with lab.namespaces.client.popen(watch, stdin=subprocess.PIPE):
            yield
        for target in targets:
            with open("{}/ping-{}".format(directory, target), encoding="ascii") as printed:
                text = printed.read()
            sent = int(re.search(r"(\d+) packets transmitted", text).group(1))
            came = {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", text)}
            assert sent > 20, text
            # On its way when the pinging ended.
            assert sorted(set(range(1, sent - 2)) - came) == [], text


@contextlib.contextmanager
def background(namespace, command):
    """Run a command of the shell's beside the block, and end it after it.

    The value is a list that has what it printed as soon as it has ended.
    """
    script = "{} & read _; kill $!".format(command)
    process = namespace.popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    printed = []
    try:
        yield printed
    finally:
        # The end of its input is what it waits for.
        printed.append(process.communicate()[0])
