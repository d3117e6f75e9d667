"""The routes that systemd-networkd makes, and leaves where a file has KeepConfiguration=yes."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Iterable, Tuple

    from ec2net_legacy.ports import Host

    Lines = Tuple[Tuple[str, str, str], ...]

# Whose they are is in their protocol, which the kernel does not tell apart otherwise. What it has
# heard of routers ends by itself.
_PROTOCOLS = ("static", "dhcp")


def of_networkd(host, names):
    # type: (Host, Iterable[str]) -> Lines
    """Return (interface, option for the family, line) of each route of networkd's kind."""
    found = []
    for name in names:
        for family in ("-4", "-6"):
            for protocol in _PROTOCOLS:
                argv = ["ip", family, "route", "show", "table", "all", "dev", name]
                said = host.runner.run(argv + ["proto", protocol]).stdout
                # Who is asked for a protocol does not say it again. Without it a deletion takes the
                # first of two routes that differ in nothing else.
                found += [
                    (name, family, "{0} proto {1}".format(line.strip(), protocol))
                    for line in said.splitlines()
                ]
    return tuple(found)


def take_away(host, names, before):
    # type: (Host, Iterable[str], Lines) -> None
    """Delete networkd's routes by some interfaces, but for those that were there before it."""
    for name, family, line in of_networkd(host, names):
        if (name, family, line) not in before:
            host.runner.run(["ip", family, "route", "del"] + line.split() + ["dev", name])
    host.forget_kernel()
