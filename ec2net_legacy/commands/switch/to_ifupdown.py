"""A host is to have ifupdown, or has it and is to be read."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.commands.switch import routes, units
from ec2net_legacy.distributions import user_options
from ec2net_legacy.distributions.ifupdown import DIRECTORY, interfaces
from ec2net_legacy.distributions.protocol import MARKER
from ec2net_legacy.errors import CommandError, HostError
from ec2net_legacy.switching import networks, stanzas

if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Optional, Tuple

    from ec2net_legacy.commands.switch.intended import Intended
    from ec2net_legacy.distributions.user_options import UserOptions
    from ec2net_legacy.ports import Host
    from ec2net_legacy.switching.declared import Declared
    from ec2net_legacy.switching.state import State

_NEEDS = ("/sbin/ifup", "/sbin/dhclient")
# Seconds, of one ifup.
_LONGEST = 90.0


class ToIfupdown(object):
    """How a host is with ifupdown."""

    def __init__(self, host):
        # type: (Host) -> None
        self._host = host

    def cannot(self):
        # type: () -> List[str]
        """Return why this host cannot have it."""
        lacks = [path for path in _NEEDS if not self._host.files.exists(path)]
        said = "there is no {0}: expected the packages ifupdown and isc-dhcp-client"
        return [said.format(" and no ".join(lacks))] if lacks else []

    def declared(self, enis):
        # type: (Iterable[str]) -> Tuple[List[Declared], List[str]]
        """Return what administrators have configured here, and what has no counterpart."""
        found = stanzas.read(interfaces.look(self._host.files).texts)
        return [one for one in found.links if one.name not in enis], found.problems

    def files(self, declared, last):
        # type: (List[Declared], State) -> Tuple[Dict[str, Optional[str]], List[str]]
        """Return the files by which ifupdown does what was declared, and which are in the way."""
        files, kept = self._host.files, last.kept
        if kept and all(files.read(path) == text for path, text in kept["after"].items()):
            # Nobody has changed anything since: the administrator's own words.
            return dict(kept["before"]), []
        return {stanzas.PATH: stanzas.render(declared)}, []

    def saying(self, name, options):
        # type: (str, UserOptions) -> Dict[str, Optional[str]]
        """Return the file in which the user's options for an ENI of ours stand here.

        The generated one takes its place, and repeats them.
        """
        if options == user_options.DEFAULTS:
            return {}
        lines = [MARKER] + ["# " + line for line in user_options.lines(options)]
        return {"{0}/{1}.cfg".format(DIRECTORY, name): "\n".join(lines) + "\n"}

    def steps(self, last):
        # type: (State) -> List[str]
        """Return what is done beside the files."""
        said = ["stop and disable " + units.NETWORKD, "ifup each interface",
                "enable " + units.IFUPDOWN]
        if last.kept and last.kept["units"].get(units.RESOLVED) is False:
            said.append("stop and disable {0}, with {1} as it was before".format(
                units.RESOLVED, units.RESOLV))
        return said

    def try_it(self, intended, trial):
        # type: (Intended, State) -> None
        """Have ifupdown configure this host; a reboot would still find networkd with its files."""
        host = self._host
        units.systemctl(host, "stop", units.SOCKET, units.NETWORKD)
        host.files.put({
            path: text for path, text in intended.files.items()
            if text is not None or not path.startswith(networks.DIRECTORY)
        })
        if trial.kept:
            # dhclient writes where it leads to.
            target, text = trial.kept["resolv"]
            units.put_resolv(host, (target, text))
        for one in intended.links:
            if one.name in intended.names:
                _ifup(host, one.name, bool(one.addresses))
        left = host.hand_over(host.runner, sorted(intended.enis), True)
        if left:
            raise HostError("nobody brings {0} up".format(" ".join(left)))

    def not_yet(self, intended):
        # type: (Intended) -> List[str]
        """Return what ifupdown has not done yet."""
        return [
            "{0} has no dhclient".format(name)
            for name in intended.asking
            if not (self._host.has_dhclient(name) or self._host.has_dhclient6(name))
        ]

    def settle(self, intended, trial):
        # type: (Intended, State) -> None
        """Have it so for good."""
        host = self._host
        routes.take_away(host, intended.names, ())
        # In this order, because the power may fail between any two of them.
        units.systemctl(host, "enable", units.IFUPDOWN)
        host.files.put(intended.files)
        units.systemctl(host, "disable", units.NETWORKD)
        # All is up, so this is for what is looked at at a shutdown.
        units.systemctl(host, "start", units.IFUPDOWN)
        if trial.kept and trial.kept["units"].get(units.RESOLVED) is False:
            units.enable_as(host, {units.RESOLVED: False})

    def keeps(self, trial):
        # type: (State) -> Dict[str, Any]
        """Return what a switch back needs."""
        return {}

    def stop(self, trial):
        # type: (State) -> None
        """End what `try_it` has begun."""
        for name in trial.asking:
            self._host.end_dhclient(name)

    def resume(self, trial):
        # type: (State) -> None
        """Go on as it was, when a switch away from it has come to nothing."""
        failures = []
        for name in trial.asking:
            if not self._host.has_dhclient(name):
                try:
                    _ifup(self._host, name, False)
                except CommandError as error:
                    # Its card may be gone. The others need their leases all the same.
                    failures.append("{0}".format(error))
        if failures:
            raise HostError("; ".join(failures))


def _ifup(host, name, is_static):
    # type: (Host, str, bool) -> None
    """Bring up an interface that is up already. Raises CommandError."""
    if is_static:
        # `ip addr add` fails for what is there. Connections do not notice.
        host.runner.run(["ip", "addr", "flush", "dev", name, "scope", "global"])
    argv = ["ifup", "--force", name]
    code = host.runner.run_visibly(argv, _LONGEST)
    if code:
        raise CommandError(argv, code, "")
