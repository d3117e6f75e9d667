"""What the tests see of a machine: from outside by pings, from inside by QEMU's agent."""

import subprocess
import time
from typing import Any, Dict, Iterable, List, Sequence

from tests.lab import Eni, Lab
from tests.lab.host import configuration

from .machine import Machine

# QEMU emulates the processor, and three machines share two: this is many times what anything takes
# on an idle machine.
PATIENCE = 420

# Names and contents of what may be written; of files that change by themselves the names. Locks
# stay.
_FILES = """
find /etc/network /etc/dhcp /etc/systemd/network /run/systemd/network /var/lib/ec2net \
    -type f -exec sha256sum {} + | sort -k 2
sha256sum /run/network/ifstate* | grep -v ' /run/network/ifstate\\.'
find /run/ec2net /run/dhclient* /var/lib/dhcp -type f ! -name 'lock-*' 2>/dev/null | sort
"""
_PARTS = {
    "files": _FILES,
    "dhclients": "ps -C dhclient -o args=",
    "failed": "systemctl --failed --plain --no-legend | cut -d ' ' -f 1",
}
_BETWEEN = "-- the next part --"
_EVIDENCE = {
    "journal": "journalctl -b --no-pager -o short-monotonic -t systemd -t systemd-udevd"
               " -t systemd-networkd -t dhclient"
               " -t ifup -t ifdown -t ec2net -t ec2ifup -t ec2ifdown -t ec2ifscan"
               " | grep -vE 'Copyright|rights reserved|Listening|Sending|isc.org| $' | tail -n 250",
    "units": "systemctl list-jobs; systemctl --failed;"
             " systemctl list-units --all 'ec2*' 'elastic*'",
    "networkd": "networkctl status --all --lines=0",
    "network": "ip address; ip rule; ip -6 rule; ip route show table all",
}


def start_pings(lab: Lab, addresses: Iterable[str],
                timeout: float = PATIENCE) -> "List[subprocess.Popen[Any]]":
    """Have the client ping each address until it answers."""
    return [
        lab.namespaces.client.popen(
            ["ping", "-n", "-q", "-i", "0.2", "-c", "1", "-w", f"{timeout:.0f}", address],
            stdout=subprocess.DEVNULL)
        for address in addresses
    ]


def answered(lab: Lab, addresses: Sequence[str], timeout: float = PATIENCE) -> float:
    """Wait until the client outside has an answer from each address; return when that was."""
    statuses = [process.wait() for process in start_pings(lab, addresses, timeout)]
    ended = time.monotonic()
    silent = [address for address, status in zip(addresses, statuses) if status]
    assert not silent, f"no answer from {' '.join(silent)} in {timeout:g} s"
    return ended


def drops(lab: Lab) -> Dict[str, Dict[str, int]]:
    """What the source check dropped of packets from addresses of ENIs, by port."""
    own = {address for eni in lab.enis.values() for address in eni.addresses + eni.ipv6}
    found = {}
    for name, eni in lab.enis.items():
        counts = lab.vpc_router.counters(eni, "dropped")
        dropped = {source: count for source, count in counts.items() if source in own}
        if dropped:
            found[name] = dropped
    return found


def assert_no_drops(lab: Lab, addresses: Sequence[str]) -> None:
    """What answers does so by its own ENI, every time."""
    before = drops(lab)
    for _ in range(3):
        answered(lab, addresses, timeout=15)
    assert drops(lab) == before


def look(machine: Machine) -> Dict[str, List[str]]:
    """Everything that an interface may leave behind, in an order that does not tell what came when.

    What the network is, the files, the dhclients and what failed.
    """
    parts = machine.shell(f"\necho {_BETWEEN}\n".join(_PARTS.values())).split(_BETWEEN + "\n")
    return {
        # What the kernel heard of routers comes and goes with their announcements, and before Linux
        # 5.12 a refresh moves it.
        **{key: sorted(line for line in lines if " proto ra " not in line)
           for key, lines in configuration(machine).items()},
        **{key: part.splitlines() for key, part in zip(_PARTS, parts)},
    }


def differences(before: Dict[str, List[str]], after: Dict[str, List[str]]) -> List[str]:
    """What is in one of two looks only."""
    return [
        f"{sign} {key}: {line}"
        for key in before
        for sign, some, others in (("-", before, after), ("+", after, before))
        for line in some[key]
        if line not in others[key]
    ]


def wait_until_as(machine: Machine, before: Dict[str, List[str]]) -> None:
    """Wait until the machine looks as it did before."""
    deadline = time.monotonic() + PATIENCE
    changed = differences(before, look(machine))
    while changed and time.monotonic() < deadline:
        changed = differences(before, look(machine))
    assert not changed, "\n".join(changed)


def dhclient(machine: Machine, name: str) -> str:
    """The process number of the one dhclient that an interface has."""
    lines = machine.shell("ps -C dhclient -o pid=,args=", check=False).splitlines()
    found = [line.split()[0] for line in lines if name in line.split()]
    assert len(found) == 1, lines
    return found[0]


def state(machine: Machine, eni: Eni) -> List[str]:
    """What must not change about an interface that is none of the others' business."""
    return [dhclient(machine, eni.name),
            *(line for line in configuration(machine)["addresses"] if f" {eni.name} " in line)]


def tables(machine: Machine, eni: Eni) -> List[str]:
    """The route tables that rules send an ENI's addresses to."""
    words = [line.split() for line in machine.shell("ip -4 rule").splitlines()]
    return sorted({line[-1] for line in words if line[2] in eni.addresses})


def refresh(machine: Machine) -> None:
    """Do now what the timer does every minute."""
    machine.run(["systemctl", "start", "ec2net-refresh.service"])


def evidence(machine: Machine) -> Dict[str, str]:
    """What a failed test is to be understood by."""
    console = machine.console.read_text(errors="replace") if machine.console.exists() else ""
    texts = {"console": "\n".join(console.splitlines()[-30:])}
    for name in machine.lab.enis:
        # Whether a question came, and whether it was answered.
        log = machine.lab.dhcp_log(name).splitlines()
        texts[f"DHCP server of {name}"] = "\n".join(log[-30:])
    for title, script in _EVIDENCE.items():
        try:
            machine.agent.sync(10)
            texts[title] = machine.shell(script, check=False, timeout=30)
        except Exception as error:  # noqa: BLE001 - the failure itself is what is to be seen
            texts[title] = f"not to be had: {error!r}"
    return texts
