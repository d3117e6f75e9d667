"""A machine to play with: ``python3 -m tests.vm --release bookworm``."""

import argparse
import contextlib
import shlex
import sys
from typing import Callable, Dict, List

from tests.lab import CommandFailed, Lab

from .image import RELEASES, available
from .machine import Machine

HELP = """\
A line is run by a shell on the machine, as root. Besides there are:
  .attach NAME [ADDRESSES]   plug in an ENI (eth1, ...) with so many addresses
  .detach NAME               pull it
  .ping ADDRESS              whether the client outside gets an answer
  .imds start|stop           the metadata service
  .reboot, .off, .on         the power; .console prints what the kernel said
  .quit                      end, and forget everything
"""


def attach(machine: Machine, name: str, addresses: str = "1") -> str:
    """Plug in an ENI and say which addresses it has."""
    eni, _ = machine.attach(name, addresses=int(addresses))
    return f"{eni.mac} {' '.join(eni.addresses)}"


def switch_on(machine: Machine) -> str:
    """Start the machine and say what failed."""
    return "failed: " + (" ".join(machine.boot()) or "nothing")


def imds(machine: Machine, action: str) -> None:
    """Start or stop the metadata service."""
    {"start": machine.lab.imds_start, "stop": machine.lab.imds_stop}[action]()


COMMANDS: Dict[str, Callable[..., object]] = {
    ".attach": attach,
    ".console": lambda machine: machine.console.read_text(errors="replace"),
    ".detach": lambda machine, name: machine.detach(name),
    ".help": lambda machine: HELP,
    ".imds": imds,
    ".off": lambda machine: machine.power_off(),
    ".on": switch_on,
    ".ping": lambda machine, address: machine.lab.pings(address),
    ".reboot": lambda machine: machine.reboot(),
}


def obey(machine: Machine, line: str) -> None:
    """Do what a line says, and print what comes of it."""
    words: List[str] = shlex.split(line)
    if words[0] in COMMANDS:
        said = COMMANDS[words[0]](machine, *words[1:])
        print("" if said is None else said)
    else:
        result = machine.run(["sh", "-c", line], check=False)
        print(result.stdout + result.stderr, end="")


def main() -> None:
    """Start a machine with the product installed, and read commands until the end of the input."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.vm", description=__doc__)
    parser.add_argument("--release", default="bookworm", help="of Debian (bookworm)")
    parser.add_argument("--kind", choices=RELEASES, default="ifupdown",
                        help="what configures the network (ifupdown)")
    parser.add_argument("--predictable", action="store_true", help="ens17 in place of eth1")
    options = parser.parse_args()
    reason = available()
    if reason:
        sys.exit(f"no machine: {reason}")
    with Lab(machine=True) as lab, contextlib.closing(
            Machine(lab, options.release, kind=options.kind,
                    predictable=options.predictable)) as machine:
        print(switch_on(machine), machine.install(), HELP, sep="\n")
        while True:
            print("machine# ", end="", flush=True)
            line = sys.stdin.readline()
            if not line or line.strip() == ".quit":
                break
            try:
                if line.strip():
                    obey(machine, line)
            except (CommandFailed, KeyError, RuntimeError, TypeError, ValueError) as error:
                print(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
