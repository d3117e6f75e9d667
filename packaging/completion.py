#!/usr/bin/env python3
"""What completes the commands in bash and zsh, made by shtab from the parsers.

`completion.py DIRECTORY` writes bash/NAME and zsh/_NAME there.
"""
import argparse
import sys
from pathlib import Path

import shtab

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ec2net_legacy import usage  # noqa: E402

# Interfaces and addresses are those of the moment; bash divides words at the colons of IPv6. shtab
# calls these with a newline for IFS, so that words are one a line.
_BASH = r"""
_ec2net_interfaces() {
  local path
  for path in /sys/class/net/*/; do
    path=${path%/}
    compgen -W "${path##*/}" -- "$1"
  done
}
_ec2net_addresses() {
  compgen -W "$(ip -o -4 addr show 2>/dev/null | sed -n 's/.* inet \([0-9.]*\).*/\1/p')" -- "$1"
}
_ec2net_actions() {
  compgen -W $'add\nremove' -- "$1"
}
"""
_ZSH = r"""
_ec2net_interfaces() {
  local -a names
  names=(/sys/class/net/*(N-/:t))
  compadd -a names
}
_ec2net_addresses() {
  local -a found
  found=(${(f)"$(ip -o addr show 2>/dev/null | sed -n 's/.* inet6* \([0-9a-f.:]*\).*/\1/p')"})
  compadd -a found
}
_ec2net_actions() {
  compadd add remove
}
"""
_PREAMBLES = {"bash": _BASH, "zsh": _ZSH}
_COMPLETED = {
    "interface": "_ec2net_interfaces",
    "incoming": "_ec2net_interfaces",
    "source": "_ec2net_addresses",
    "destination": "_ec2net_addresses",
    "action": "_ec2net_actions",
}


def complete(program, shell):
    """Return what completes `program` in `shell`."""
    parser = usage.parser_of(program)
    _mark(parser)
    return shtab.complete(parser, shell, preamble=_PREAMBLES)


def _mark(parser):
    """Say of each argument by what it is completed."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _mark(command)
        elif action.dest in _COMPLETED:
            action.complete = dict.fromkeys(_PREAMBLES, _COMPLETED[action.dest])
        elif action.metavar == "FILE":
            action.complete = shtab.FILE


def main(directory):
    """Write all of them."""
    for shell, name in (("bash", "{}"), ("zsh", "_{}")):
        (Path(directory) / shell).mkdir(parents=True, exist_ok=True)
        for program in usage.PROGRAMS:
            path = Path(directory) / shell / name.format(program)
            path.write_text(complete(program, shell))


if __name__ == "__main__":
    main(sys.argv[1])
