"""What the tests do with the product on the lab's host."""

import json
import time


def hotplug(lab, action, interface="eth1", check=True):
    """Run ``ec2net-hotplug`` as the README says."""
    environment = {"INTERFACE": interface, "ACTION": action}
    return lab.host(["ec2net-hotplug", action], env=environment, check=check)


def status(lab):
    """Return what ``ec2net status --json`` says, by interface."""
    return {row["name"]: row for row in json.loads(lab.host(["ec2net", "status", "--json"]).stdout)}


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


def unreachable(lab, addresses):
    """Return which of `addresses` do not answer the outside client."""
    return [address for address in addresses if not lab.pings(address)]


def wait_until(condition, seconds=60):
    """Wait for `condition`; fail if it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen within {} s".format(seconds)
        time.sleep(0.1)
