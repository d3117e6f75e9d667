"""Build a lab and play with it: ``python3 -m tests.lab up`` and then the other commands."""

import argparse
import contextlib
import json
import os
import signal
import socket
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from . import Lab, LabUnavailable
from .namespaces import ENVIRONMENT
from .networkd import VERSIONS

SOCKET = "socket"


def default_directory() -> Path:
    """Where ``up`` and the other commands meet unless told otherwise."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(base, f"ec2net-lab-{os.geteuid()}")


# The serving side


def status(lab: Lab) -> str:
    """One paragraph per ENI, and what the metadata service has seen."""
    lines = [f"directory {lab.directory}"]
    for name, eni in lab.enis.items():
        addresses = eni.addresses + eni.prefixes + eni.ipv6 + eni.ipv6_prefixes
        lines += [
            f"{name}  {eni.mac}  {eni.eni_id}  device {eni.device_number}",
            f"    {' '.join(addresses)}",
            f"    packets accepted {lab.sent(name)}, dropped by the source check {lab.drops(name)}",
        ]
    lines.append(f"metadata requests {len(lab.imds_requests())}")
    return "\n".join(lines)


def enter(lab: Lab, place: str) -> List[str]:
    """The command prefix that enters a namespace."""
    return list(getattr(lab.namespaces, place).enter)


def describe(lab: Lab, name: str, **options: Any) -> str:
    """Attach an ENI and say what it is."""
    eni = lab.attach(name, **options)
    return f"{name} {eni.mac} {eni.eni_id} {' '.join(eni.addresses + eni.ipv6)}"


SERVED: Dict[str, Callable[..., Any]] = {
    "attach": describe,
    "detach": lambda lab, **options: lab.detach(**options),
    "assign": lambda lab, **options: lab.assign(**options) and None,
    "unassign": lambda lab, **options: lab.unassign(**options) and None,
    "fault": lambda lab, **options: lab.fault(**options),
    "clear-faults": lambda lab: lab.clear_faults(),
    "status": status,
    "enter": enter,
}


def serve(lab: Lab, listener: socket.socket) -> None:
    """Carry out one request after the other."""
    while True:
        connection, _ = listener.accept()
        # Whoever asked may be gone, before the question (see ``running``) or before the answer.
        with contextlib.suppress(OSError), connection:
            with connection.makefile("r", encoding="utf-8") as stream:
                line = stream.readline()
            if line:
                connection.sendall(json.dumps(carry_out(lab, line)).encode() + b"\n")


def carry_out(lab: Lab, line: str) -> Dict[str, Any]:
    """Do what is asked; what goes wrong is told to the asker, and the lab goes on."""
    try:
        request = json.loads(line)
        return {"result": SERVED[request.pop("command")](lab, **request)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def up(directory: Path, interfaces_line: str, imds_tokens: str, rp_filter: int,
       distribution: str, networkd: Optional[str] = None) -> None:
    """Build a lab and serve it until Ctrl-C."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    if directory.exists():
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            sys.exit(f"{directory} belongs to somebody else; use --directory")
        if running(directory):
            sys.exit(f"a lab is up in {directory} already")
        leftovers = [name for name in os.listdir(directory) if name != SOCKET]
        if leftovers:
            sys.exit(f"{directory} is not empty")
        (directory / SOCKET).unlink(missing_ok=True)
        directory.rmdir()  # the lab removes what it made itself
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Lab(interfaces_line, imds_tokens, directory, rp_filter=rp_filter,
                 distribution=distribution, networkd=networkd) as lab, \
                socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(directory / SOCKET))
            listener.listen()
            print(f"{status(lab)}\nup; Ctrl-C ends it", flush=True)
            serve(lab, listener)
    except KeyboardInterrupt:
        print()
    except LabUnavailable as error:
        sys.exit(f"no lab here: {error}")


# The asking side


def running(directory: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(directory / SOCKET)) == 0


def ask(directory: Path, command: str, **options: Any) -> Any:
    """Have the running lab do something."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(directory / SOCKET))
        except OSError:
            sys.exit(f"no lab is up in {directory}")
        with connection.makefile("rw", encoding="utf-8") as stream:
            print(json.dumps({"command": command, **options}), file=stream, flush=True)
            line = stream.readline()
    answer = json.loads(line or '{"error": "the lab ended"}')
    if "error" in answer:
        sys.exit(answer["error"])
    return answer["result"]


def execute(directory: Path, place: str, argv: List[str]) -> None:
    """Become a command in the lab, with this terminal."""
    argv = [*ask(directory, "enter", place=place), *argv]
    environment = {**ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb")}
    os.execvpe(argv[0], argv, environment)  # noqa: S606


def wanted(text: str) -> Any:
    """A count or a list of addresses."""
    return int(text) if text.isdigit() else text.split(",")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python3 -m tests.lab", description=__doc__)
    top.add_argument("--directory", type=Path, default=default_directory(),
                     help="where the lab keeps its state and its socket (default: %(default)s)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, *positional: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        for word in positional:
            command.add_argument(word)
        return command

    command = add("up", "build a lab and keep it until Ctrl-C")
    command.add_argument("--distribution", choices=("debian", "rhel", "networkd"),
                         default="debian")
    command.add_argument("--networkd", choices=[name for name in VERSIONS if name],
                         help="the version of networkd (default: the machine's own)")
    command.add_argument("--interfaces-line", default="source /etc/network/interfaces.d/*",
                         help="the include line of a Debian's /etc/network/interfaces")
    command.add_argument("--imds-tokens", choices=("required", "optional"), default="required")
    command.add_argument("--rp-filter", type=int, choices=(0, 1, 2), default=0)
    command = add("attach", "attach an ENI to the host", "name")
    command.add_argument("--subnet", help="default: 10.0.N.0/24, N being the device number")
    command.add_argument("--addresses", type=wanted, default=1, metavar="N|A,B,C")
    command.add_argument("--prefix", dest="prefixes", action="append", default=[])
    command.add_argument("--ipv6", type=wanted, default=[], metavar="N|A,B,C")
    command.add_argument("--ipv6-prefix", dest="ipv6_prefixes", action="append", default=[])
    command.add_argument("--ipv6-only", action="store_true")
    command.add_argument("--device-number", type=int)
    command.add_argument("--network-card", type=int)
    command.add_argument("--lease-time", type=int, default=3600)
    command.add_argument("--renew-after", type=int, metavar="SECONDS")
    command = add("detach", "take an ENI away", "name")
    command.add_argument("--keep-metadata", action="store_true",
                         help="let the metadata go on listing it")
    add("assign", "assign an address or a prefix", "name", "address")
    add("unassign", "take an address or a prefix away", "name", "address")
    command = add("fault", "let the metadata service fail", "path_regex")
    command.add_argument("--status", type=int)
    command.add_argument("--action", choices=("hang", "reset", "close", "slow", "huge"))
    command.add_argument("--times", type=int)
    command.add_argument("--method")
    add("clear-faults", "let the metadata service work again")
    command = add("exec", "run a command")
    command.add_argument("place", choices=("host", "router", "client"))
    command.add_argument("argv", nargs="+", metavar="COMMAND", help="after --")
    add("shell", "an interactive shell on the host")
    add("status", "what there is and what happened")
    return top


def main(arguments: Optional[List[str]] = None) -> None:
    """Run one command."""
    options = vars(parser().parse_args(arguments))
    directory, command = options.pop("directory"), options.pop("command")
    if command == "up":
        up(directory, **options)
    elif command == "exec":
        execute(directory, **options)
    elif command == "shell":
        execute(directory, "host", ["sh", "-i"])
    else:
        result = ask(directory, command, **options)
        if result is not None:
            print(result)


if __name__ == "__main__":
    main()
