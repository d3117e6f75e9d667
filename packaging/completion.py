#!/usr/bin/env python3
"""What completes the commands in bash and zsh, made by shtab from the parsers.

`completion.py DIRECTORY` writes bash/NAME and zsh/_NAME there.
"""
import argparse
import re
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
_CHOICES = """
{name}() {{
  compgen -W $'{words}' -- "$1"
}}
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
    functions = _mark(parser, shell)
    preamble = {shell: _PREAMBLES[shell] + "".join(functions[name] for name in sorted(functions))}
    made = shtab.complete(parser, shell, preamble=preamble)
    return made if shell == "bash" else _with_arguments(made, parser)


def _with_arguments(made, parser):
    """Return what completes a program in zsh with its own arguments.

    shtab 1.5.5 (Debian 12) leaves them out where they are not a sub-command's.
    """
    end = "# End Custom Preamble\n"
    for action in parser._actions:
        by = _COMPLETED.get(action.dest)
        if by and not action.option_strings and not re.search('(?m)^ +":.*:{}"$'.format(by), made):
            options = "_shtab_{}_options".format(re.sub(r"\W", "_", parser.prog))
            made = made.replace(end, '{}+=(":{}:{}")\n\n{}'.format(options, action.dest, by, end))
    return made


def _mark(parser, shell):
    """Say of each argument by what it is completed; return {name: text} of functions for that."""
    functions = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                functions.update(_mark(command, shell))
        if action.choices and shell == "bash":
            # shtab 1.5.5 (Debian 12) completes nothing but the first of several choices by itself.
            name = "_ec2net_choices_of_" + action.dest
            functions[name] = _CHOICES.format(name=name, words="\\n".join(action.choices))
            action.complete = {shell: name}
        elif action.dest in _COMPLETED:
            action.complete = {shell: _COMPLETED[action.dest]}
        elif action.metavar == "FILE":
            action.complete = shtab.FILE
    return functions


def main(directory):
    """Write all of them."""
    for shell, name in (("bash", "{}"), ("zsh", "_{}")):
        (Path(directory) / shell).mkdir(parents=True, exist_ok=True)
        for program in usage.PROGRAMS:
            path = Path(directory) / shell / name.format(program)
            path.write_text(complete(program, shell))


if __name__ == "__main__":
    main(sys.argv[1])
