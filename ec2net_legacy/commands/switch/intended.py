"""What a switch is to do: looking at the host, and at what has no counterpart on the other side."""
from __future__ import absolute_import, print_function, unicode_literals

import fnmatch

from ec2net_legacy import distributions
from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.commands.propose import Planner
from ec2net_legacy.commands.switch.to_ifupdown import ToIfupdown
from ec2net_legacy.commands.switch.to_networkd import ToNetworkd
from ec2net_legacy.errors import Ec2netError, HostError
from ec2net_legacy.look import Look
from ec2net_legacy.ports import Host

if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional

    from ec2net_legacy.host.files import Files
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.switching.state import State

WAYS = {"networkd": ToNetworkd, "ifupdown": ToIfupdown}  # type: Dict[str, Any]

Intended = namedtuple(
    "Intended", ["here", "there", "files", "enis", "links", "names", "asking", "problems", "steps"]
)
"""A switch from `here` to `there`. `files`: {path: text, or None}; `enis`: {name: the Plan there};
`links`: what the administrator has configured, each a Declared. `names`: all interfaces that have
to be afterwards as before; `asking`: those of which `here` has a lease. `problems`: why it cannot
be; `steps`: what is done beside the files, for who reads it."""


def here(host):
    # type: (Host) -> str
    """Return the name of the distribution that this host has."""
    found = Look(host).distribution.name  # type: str
    return found


def intended(host, here, there, last):
    # type: (Host, str, str, State) -> Intended
    """Return what is to be done, after the `last` switch. Raises Ec2netError."""
    problems = _cannot(host, here, there)
    if problems:
        return Intended(here, there, {}, {}, [], [], [], problems, [])
    look, way, draft = Look(host), WAYS[there](host), Draft(host.files)
    ours = [
        one.name for one in look.present
        if one.configuration.text and not one.configuration.inherited
    ]
    links, problems = WAYS[here](host).declared(ours)
    files, said = way.files(links, last)
    draft.put(files)
    for name in ours:
        draft.put(way.saying(name, look.interface(name).configuration.knobs))
        draft.put(distributions.choose(here, draft).files_without(name))
    enis = {name: _plan(host, there, look, draft, name) for name in ours}
    present = {device.name for device in look.devices}
    problems += [
        "{0} is down: expected it up, or no configuration of it".format(one.name)
        for one in links
        if one.name in present and not look.interface(one.name).device.up
    ]
    asking = [one.name for one in links if (one.dhcp4 or one.dhcp6) and one.name in present]
    return Intended(
        here=here,
        there=there,
        files={path: draft.texts[path] for path in draft.texts
               if draft.texts[path] != host.files.read(path)},
        enis=enis,
        links=links,
        names=sorted(present.intersection([one.name for one in links] + ours)),
        asking=sorted(asking + ours),
        problems=problems + said,
        steps=way.steps(last),
    )


def _cannot(host, here, there):
    # type: (Host, str, str) -> List[str]
    """Return why a host cannot be switched at all."""
    if here not in WAYS:
        return ["this host has network-scripts: expected ifupdown or systemd-networkd"]
    if host.settings.backend != "auto":
        return ["ec2net.conf has backend = {0}: expected auto".format(host.settings.backend)]
    if not host.files.exists("/run/systemd/system"):
        return ["this host runs without systemd: expected systemd 244 or later"]
    said = WAYS[there](host).cannot()  # type: List[str]
    return said


def _plan(host, there, look, draft, name):  # noqa: PLR0913
    # type: (Host, str, Look, Draft, str) -> Plan
    """Return the plan by which an ENI of ours goes on, and put its files into the draft."""
    eni = host.imds.eni(look.interface(name).device.mac)
    if eni is None:
        raise HostError("metadata does not describe {0} completely".format(name))
    target = host.with_backend(there, draft)
    plan = Planner(target, tables=look.tables).for_eni(name, eni, False)
    draft.put(plan.files)
    return plan


class Draft(object):
    """The files of a host as they are to be; nothing of it is written."""

    def __init__(self, files):
        # type: (Files) -> None
        self._files = files
        self.texts = {}  # type: Dict[str, Optional[str]]

    def put(self, texts):
        # type: (Mapping[str, Optional[str]]) -> None
        """Have each path its text, None for absent."""
        self.texts.update(texts)

    def exists(self, path):
        # type: (str) -> bool
        """See `distributions.protocol.Reader`."""
        return self.texts[path] is not None if path in self.texts else self._files.exists(path)

    def read(self, path):
        # type: (str) -> Optional[str]
        """See `distributions.protocol.Reader`."""
        return self.texts[path] if path in self.texts else self._files.read(path)

    def may_write(self, path):
        # type: (str) -> bool
        """See `distributions.protocol.Reader`."""
        return path in self.texts or self._files.may_write(path)

    def glob(self, pattern):
        # type: (str) -> List[str]
        """See `distributions.protocol.Reader`."""
        directory, _, names = pattern.rpartition("/")
        found = set(self._files.glob(pattern)) - set(self.texts)
        for path in self.texts:
            place, _, name = path.rpartition("/")
            if self.exists(path) and place == directory and fnmatch.fnmatchcase(name, names):
                found.add(path)
        return sorted(found)


def no_metadata(host):
    # type: (Host) -> List[str]
    """Return why metadata does not answer, [] if it does."""
    try:
        # In a conversation of its own, so that it is asked now.
        Host(host.settings).imds.primary_mac()
    except Ec2netError as error:
        return ["{0}".format(error)]
    return []
