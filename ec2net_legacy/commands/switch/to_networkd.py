"""A host is to have systemd-networkd, or has it and is to be read."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import distributions, log, record
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.commands.switch import routes, units
from ec2net_legacy.distributions import user_options
from ec2net_legacy.distributions.networkd import links
from ec2net_legacy.distributions.protocol import MARKER
from ec2net_legacy.errors import CommandError, HostError
from ec2net_legacy.kernel.diff import Change
from ec2net_legacy.kernel.iproute import apply_changes
from ec2net_legacy.model import MainFirst, MarkRule
from ec2net_legacy.switching import networks, stanzas

if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Optional, Tuple

    from ec2net_legacy.commands.switch.intended import Intended
    from ec2net_legacy.distributions.user_options import UserOptions
    from ec2net_legacy.ports import Host
    from ec2net_legacy.switching.declared import Declared
    from ec2net_legacy.switching.state import State

_PLACES = ("/etc/systemd/network/", "/run/systemd/network/", "/lib/systemd/network/")
# netplan writes there at each boot, and has systemd start networkd although that is disabled.
_GENERATED = "/run/systemd/network/"
_MADE_AGAIN = "{0} is made again at a boot, as by netplan: expected a file below /etc"
_SAYING = "/etc/systemd/network/70-{0}.network.d/ec2net.conf"
_IFSTATE = "/run/network/ifstate"


class ToNetworkd(object):
    """How a host is with systemd-networkd."""

    def __init__(self, host):
        # type: (Host) -> None
        self._host = host

    def cannot(self):
        # type: () -> List[str]
        """Return why this host cannot have it."""
        host = self._host
        if not units.is_loaded(host, units.NETWORKD):
            return ["there is no systemd-networkd: expected its package"]
        try:
            distributions.choose("networkd", host.files)
        except HostError as error:
            # It is too old.
            return ["{0}".format(error)]
        if "resolvconf" in host.files.target(units.RESOLV) and not self._resolves():
            # Its list is empty after the next boot.
            said = "resolvconf writes {0}: expected systemd-resolved, which networkd tells"
            return [said.format(units.RESOLV)]
        return []

    def _resolves(self):
        # type: () -> bool
        return units.is_loaded(self._host, units.RESOLVED)

    def declared(self, enis):
        # type: (Iterable[str]) -> Tuple[List[Declared], List[str]]
        """Return what administrators have configured here, and what has no counterpart."""
        files = self._host.files
        found, problems = [], []  # type: List[Declared], List[str]
        for name in self._host.devices.names():
            path = links.link(files, name).network_file
            if not path or name in enis:
                continue
            if path.startswith(_GENERATED):
                problems.append(_MADE_AGAIN.format(path))
            drop_ins = path.rpartition("/")[2] + ".d/*.conf"
            paths = [path] + [one for place in _PLACES for one in files.glob(place + drop_ins)]
            one, said = networks.read({path: files.read(path) or "" for path in paths}, name)
            found.append(one)
            problems += said
        return found, problems

    def files(self, declared, last):
        # type: (List[Declared], State) -> Tuple[Dict[str, Optional[str]], List[str]]
        """Return the files by which networkd does what was declared, and which are in the way."""
        files = {}  # type: Dict[str, Optional[str]]
        files.update((networks.path_of(one.name), networks.render(one)) for one in declared)
        problems = [
            "{0} is there already".format(path)
            for path in sorted(files)
            if self._host.files.read(path) not in (None, files[path])
        ]
        files[stanzas.PATH] = stanzas.NOTHING
        if self._host.files.read(networks.FOREIGN_PATH) is None:
            files[networks.FOREIGN_PATH] = networks.FOREIGN
        return files, problems

    def saying(self, name, options):
        # type: (str, UserOptions) -> Dict[str, Optional[str]]
        """Return the file in which the user's options for an ENI of ours stand here."""
        lines = user_options.lines(options)
        text = networks.MARKER + "[X-EC2Net]\n" + "".join(line + "\n" for line in lines)
        return {_SAYING.format(name): text} if options != user_options.DEFAULTS else {}

    def steps(self, last):
        # type: (State) -> List[str]
        """Return what is done beside the files."""
        said = ["end each dhclient", "enable and start " + units.NETWORKD]
        if self._resolves() and not units.is_active(self._host, units.RESOLVED):
            said += ["enable and start " + units.RESOLVED,
                     "let {0} lead to {1}".format(units.RESOLV, units.STUB)]
        return said + ["disable " + units.IFUPDOWN]

    def try_it(self, intended, trial):
        # type: (Intended, State) -> None
        """Have networkd configure this host; a reboot would still find the former."""
        host = self._host
        host.files.put({
            path: text for path, text in intended.files.items()
            if text is not None and path != stanzas.PATH
        })
        _keep_rules(host, intended)
        for name in intended.asking:
            host.end_dhclient(name)
        units.systemctl(host, "start", units.NETWORKD)

    def not_yet(self, intended):
        # type: (Intended) -> List[str]
        """Return what networkd has not done yet."""
        states = {name: links.link(self._host.files, name).state for name in intended.names}
        return [
            "networkd says of {0}: {1}".format(name, states[name] or "nothing")
            for name in sorted(states)
            if states[name] != "configured"
        ]

    def settle(self, intended, trial):
        # type: (Intended, State) -> None
        """Have it so for good."""
        host = self._host
        units.systemctl(host, "enable", units.NETWORKD)
        units.systemctl(host, "disable", units.IFUPDOWN)
        if self._resolves() and not units.is_active(host, units.RESOLVED):
            units.systemctl(host, "enable", "--now", units.RESOLVED)
            units.put_resolv(host, (units.STUB, ""))
        # ifupdown takes them to be up, and would so still at a switch back.
        lines = (host.files.read(_IFSTATE) or "").splitlines(True)
        kept = [line for line in lines if line.partition("=")[0] not in intended.names]
        files = dict(intended.files)
        files.update(("{0}.{1}".format(_IFSTATE, name), None) for name in intended.names)
        host.files.put(dict(files, **{_IFSTATE: "".join(kept)}))

    def keeps(self, trial):
        # type: (State) -> Dict[str, Any]
        """Return what a switch back needs."""
        mine = [path for path, text in trial.after.items() if not _is_generated(text)]
        return {
            "before": {path: trial.before[path] for path in mine},
            "after": {path: trial.after[path] for path in mine},
            "units": trial.units,
            "resolv": list(trial.resolv),
        }

    def stop(self, trial):
        # type: (State) -> None
        """End what `try_it` has begun."""
        units.systemctl(self._host, "stop", units.SOCKET, units.NETWORKD)
        routes.take_away(self._host, trial.names, trial.networkds)

    def resume(self, trial):
        # type: (State) -> None
        """Go on as it was, when a switch away from it has come to nothing."""
        units.systemctl(self._host, "start", units.NETWORKD)


def _is_generated(text):
    # type: (Optional[str]) -> bool
    return text is None or text.startswith(MARKER)


def _keep_rules(host, intended):
    # type: (Host, Intended) -> None
    """Make each rule of ours once more, as one that networkd leaves alone when it starts.

    The former one goes after that, so no packet goes without: of two that differ in their protocol
    alone a deletion takes the first.
    """
    words = distributions.choose("networkd", host.files).RULE_WORDS
    has = host.kernel([4, 6])
    shared = record.read_host(host.run_directory).items
    rules = [one for one in shared if isinstance(one, (MainFirst, MarkRule))]  # type: List[Any]
    for name in sorted(intended.enis):
        rules += [rule for rule in intended.enis[name].state.rules if rule in has.rules]
    try:
        apply_changes(host.runner, [Change(True, rule) for rule in rules], words)
    except CommandError as error:
        log.debug("%s", error)
        return
    apply_changes(host.runner, [Change(False, rule) for rule in rules])
    host.forget_kernel()
