"""Making ENIs get along with each other, with containers and with VPNs.

A use case of its own, after each of the others: it knows the ENIs by their generated files, so that
it works without metadata, and takes everything back with the last of them.
"""
from __future__ import absolute_import, print_function, unicode_literals

import logging
from collections import namedtuple

from ec2net_legacy import coexistence, notes
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError, MetadataInvalid, MetadataUnavailable
from ec2net_legacy.kernel import diff, iproute, netfilter
from ec2net_legacy.model import MAIN_TABLE, Group, MainFirst, MarkRule, Rule
from ec2net_legacy.plan import devices_of, is_for, is_ignored
from ec2net_legacy.reconcile import apply_steps, is_done

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

    from ec2net_legacy.coexistence import Managed
    from ec2net_legacy.kernel.parse import KernelState
    from ec2net_legacy.model import Device, InterfaceState
    from ec2net_legacy.plan import Host

_log = logging.getLogger(__name__)

# By what a host is known that runs containers, or is about to, beside a bridge.
_CONTAINER_SIGNS = (
    "/usr/bin/dockerd",
    "/usr/bin/docker",
    "/usr/bin/containerd",
    "/usr/bin/podman",
    "/var/run/docker.sock",
)
# For how many seconds metadata may not list an ENI that is there: 18 have been seen.
_LATEST_LISTING = 60
# What an ENI can be the only port of, with its MAC address.
_KINDS = ("", "bridge", "bond", "team")

Settlement = namedtuple(
    "Settlement",
    ["steps", "main_first", "groups", "parameters", "chains", "done", "before", "problem"],
)
"""What is to be done for all ENIs together, each where it differs. `steps`: changes of rules and
copied routes; `main_first`: rules that have to be tried; `groups`: {device: link group};
`parameters`: {kernel parameter: value}; `chains`: {family: rules}. `done` is what is to be
remembered after that, `before` what is now; `problem` why connections cannot be marked, "" if they
can."""


def settle(host, ask=True, wait=20.0):
    # type: (Host, bool, float) -> Settlement
    """Do what all ENIs have in common; with `ask` metadata is asked about cards not seen before.

    Another run is waited for, but not longer than `wait` seconds. Raises HostError about what
    failed, when the rest is done.
    """
    if ask:
        _learn(host)
    with host.run_directory.lock(wait=wait):
        read_before = host.kernel_is_known
        settlement = look(host)
        if read_before and differs(settlement):
            # Others may have done it since.
            host.forget_kernel()
            settlement = look(host)
        settlement = _carry_out(host, settlement)
        if set(settlement.done.cannot) - set(settlement.before.cannot):
            # The tables get copies.
            _carry_out(host, look(host))
        _forget_gone(host, settlement)
    _tell_problem(host, settlement)
    return settlement


def _tell_problem(host, settlement):
    # type: (Host, Settlement) -> None
    if not settlement.problem:
        return
    if host.settings.containers == "yes":
        raise HostError("connections cannot be marked: {0}".format(settlement.problem))
    # Nobody asked for it; once is enough.
    new = set(settlement.done.failed) - set(settlement.before.failed)
    level = logging.WARNING if new else logging.DEBUG
    _log.log(level, "connections to containers are not marked: %s", settlement.problem)


def differs(settlement):
    # type: (Settlement) -> bool
    """Return whether anything is to be done."""
    return any((settlement.steps, settlement.main_first, settlement.groups)) or any(
        (settlement.parameters, settlement.chains)
    )


def _learn(host):
    # type: (Host) -> None
    """Ask metadata which of the cards are ENIs, if there is one that it was not asked about.

    A no is asked about once more: metadata may be late with a fresh ENI.
    """
    devices = devices_of(host)
    known = notes.enis(host.run_directory)
    cards = {device.mac for device in _cards(devices)}
    now = host.clock()
    doubtful = {
        mac for mac in cards.intersection(known) if known[mac] is not True and 0 < known[mac] <= now
    }
    if cards <= set(known) and not doubtful or not _managed(host, devices, {}, {}):
        return
    try:
        listed = host.imds.macs()
    except (MetadataUnavailable, MetadataInvalid) as error:
        _log.debug("which cards are ENIs is not known yet: %s", error)
        return
    verdicts = {mac: known.get(mac, now + _LATEST_LISTING) for mac in cards}  # type: Dict[str, Any]
    verdicts.update(dict.fromkeys(doubtful, False))
    verdicts.update(dict.fromkeys(cards.intersection(listed), True))
    notes.keep_enis(host.run_directory, verdicts)


def _forget_gone(host, settlement):
    # type: (Host, Settlement) -> None
    """Forget which cards are ENIs where they are gone, or there is nothing to be done for them."""
    known = notes.enis(host.run_directory)
    cards = {device.mac for device in devices_of(host)} if settlement.done.enis else set()
    if set(known) - cards:
        kept = {mac: verdict for mac, verdict in known.items() if mac in cards}
        notes.keep_enis(host.run_directory, kept)


def _cards(devices):
    # type: (Iterable[Device]) -> List[Device]
    """Return the network cards: also the port of a bridge that has its MAC address."""
    macs = {device.name: device.mac for device in devices}
    return [
        device
        for device in devices
        if device.mac and not device.kind and macs.get(device.master, device.mac) == device.mac
    ]


def _managed(host, devices, states, before):
    # type: (Host, Sequence[Device], Mapping[str, InterfaceState], Mapping[str, Tuple[int, Managed]]) -> List[Managed]  # noqa: E501
    """Return the ENIs with a configuration.

    `states` are what some of them are about to have, `before` is what was noted.
    """
    backend, found = host.backend, []
    for device in devices:
        configuration = backend.configuration(device.name)
        state = states.get(device.name)
        if state is None and is_for(configuration, device) and not configuration.inherited:
            state = backend.recorded(device.name, configuration.text)
        eni = state and coexistence.managed(state, configuration.knobs.provision_prefixes)
        index, noted = before.get(device.name, (0, None))
        if not configuration.knobs.sync and index == device.index:
            # Nothing of it is touched (any more), and nothing of what it needs.
            eni = noted
        if eni and not host.devices.has_ipv6():
            eni = eni._replace(families=tuple(one for one in eni.families if one == 4))
        if eni:
            found.append(eni)
    return found


def look(host, states=None, known=None):
    # type: (Host, Optional[Mapping[str, InterfaceState]], Optional[Mapping[str, Any]]) -> Settlement  # noqa: E501
    """Return what is to be done.

    `states` are those that planned ENIs are about to have, `known` whether the cards of these MAC
    addresses are ENIs; by default what was noted.
    """
    before = notes.coexistence(host.run_directory)
    devices, settings = devices_of(host), host.settings
    lost = before == notes.NO_COEXISTENCE
    if lost:
        before = before._replace(groups=_ours_without_a_note(host, devices))
        lost = bool(before.groups)
    enis = _managed(host, devices, states or {}, before.enis)
    if not enis and before == notes.NO_COEXISTENCE:
        return Settlement([], [], {}, {}, {}, before, before, "")
    if known is None:
        known = notes.enis(host.run_directory)
    members, unknown = _members(devices, enis, known)
    families = coexistence.families_of(enis)
    to_read = set(families) | {item.family for item in before.items} | {4}
    has = host.known_kernel(sorted(to_read | {6} if lost else to_read))
    if lost:
        marked_before = {
            rule.family
            for rule in has.host_rules
            if isinstance(rule, MarkRule) and coexistence.is_ours(settings, rule)
        }
        before = before._replace(chains=tuple(sorted(marked_before)))
    cannot = set(before.cannot) & set(families)
    if any(_has_no_group(host, name) for name in members):
        cannot = set(families)
    main_first = [
        rule
        for rule in coexistence.main_first(settings, enis)
        if rule.family not in cannot and (not unknown or rule in has.host_rules)
    ]
    marked, rules = {}, ()  # type: Dict[str, int], Tuple[str, ...]
    if enis and _has_containers(host, devices):
        present = [rule for rule in has.host_rules if isinstance(rule, MarkRule)]
        marked = coexistence.marks(settings, enis, present)
        rules = netfilter.rules(sorted(marked.items()), settings.mark_mask, members)
    chains, differing, failed, problem = _chains(host, families if marked else [], rules, before)
    wanted = [
        rule
        for rule in coexistence.mark_rules(settings, enis, marked)
        if rule.family in chains
    ]  # type: List[Any]
    wanted += coexistence.copies(enis, members + unknown, has.routes, cannot)
    index = {device.name: device.index for device in devices}
    groups, set_groups = _values(
        dict.fromkeys(members, (settings.link_group, settings.link_group)),
        before.groups,
        host.devices.group,
        index.get,
    )
    parameters, set_parameters = _values(
        _parameters(host, devices, enis, members, has),
        before.parameters,
        lambda name: _number(host.sysctl.read(name)),
        lambda name: index.get(name.split("/")[3]),
    )
    return Settlement(
        steps=_steps(settings, wanted, main_first, has, before),
        main_first=[rule for rule in main_first if rule not in has.host_rules],
        groups=set_groups,
        parameters=set_parameters,
        chains=differing,
        done=notes.Coexistence(
            enis={eni.name: (index[eni.name], eni) for eni in enis},
            items=tuple(wanted + main_first),
            groups=groups,
            parameters=parameters,
            chains=chains,
            cannot=tuple(sorted(cannot)),
            failed=failed,
        ),
        before=before,
        problem=problem,
    )


def _ours_without_a_note(host, devices):
    # type: (Host, Iterable[Device]) -> Dict[str, List[int]]
    """Return what is to be taken back of link groups although nothing is remembered of it.

    By these it is seen that a note was lost; what there was before them is taken to be none.
    """
    group = host.settings.link_group
    return {
        device.name: [device.index, 0, group]
        for device in _cards(devices)
        if host.devices.group(device.name) == group
    }


def _members(devices, enis, known):
    # type: (Sequence[Device], Iterable[Managed], Mapping[str, Any]) -> Tuple[List[str], List[str]]
    """Return the devices by which an ENI is reached, and those of which that is not known.

    Also those that are left alone otherwise: what main has by them is not for another's address.
    """
    names = {eni.name for eni in enis}
    members = [
        device.name
        for device in devices
        if device.name in names or (device.kind in _KINDS and known.get(device.mac) is True)
    ]
    unknown = [
        device.name
        for device in _cards(devices)
        if device.mac not in known and device.name not in names
    ]
    return members if names else [], unknown


def _has_no_group(host, name):
    # type: (Host, str) -> bool
    # A device that has just gone says nothing about this kernel.
    return host.devices.group(name) is None and host.devices.device(name) is not None


def _has_containers(host, devices):
    # type: (Host, Iterable[Device]) -> bool
    if host.settings.containers != "auto":
        return bool(host.settings.containers == "yes")
    if any(device.kind == "bridge" for device in devices):
        return True
    return any(host.files.exists(sign) for sign in _CONTAINER_SIGNS)


def _chains(host, families, rules, before):
    # type: (Host, Iterable[int], Tuple[str, ...], notes.Coexistence) -> Tuple[Any, Any, Any, str]
    """Return the families with a chain, {family: rules} where it differs, and what failed why."""
    kept, failed, problems = [], [], []
    differing = {}  # type: Dict[int, Tuple[str, ...]]
    for family in families:
        try:
            if netfilter.read(host.runner, family) != rules:
                differing[family] = rules
            kept.append(family)
        except HostError as error:
            failed.append(family)
            problems.append("{0}".format(error))
    for family in sorted(set(before.chains) - set(families)):
        try:
            if netfilter.exists(host.runner, family):
                differing[family] = ()
        except HostError as error:
            failed.append(family)
            problems.append("{0}".format(error))
    # Of what cannot be looked at now it is to be remembered that it may be there.
    kept += [family for family in failed if family in before.chains]
    return tuple(sorted(kept)), differing, tuple(sorted(failed)), "; ".join(problems)


def _steps(settings, wanted, main_first, has, before):
    # type: (Any, List[Any], List[MainFirst], KernelState, notes.Coexistence) -> List[diff.Change]
    """Return the changes of rules and copied routes."""
    there = has.host_rules | has.routes  # type: Any
    ours = set(before.items)
    ours.update(rule for rule in has.host_rules if coexistence.is_ours(settings, rule))
    gone = [item for item in ours if item in there and item not in wanted + main_first]
    # Main asked first while the rest is not there any more would mislead.
    gone.sort(key=lambda item: (not isinstance(item, MainFirst), item.arguments))
    # What a run left that died while it tried the rule on a kernel that ignores its conditions.
    gone = [
        item
        for item in before.items
        if isinstance(item, MainFirst)
        and item not in there
        and Rule("all", MAIN_TABLE, item.priority) in has.rules
    ] + gone
    missing = [item for item in wanted if item not in there]
    return [diff.Change(False, item) for item in gone] + [
        diff.Change(True, item) for item in missing
    ]


def _parameters(host, devices, enis, members, has):
    # type: (Host, Sequence[Device], Sequence[Managed], Sequence[str], KernelState) -> Any
    ignored = {
        device.name
        for device in devices
        if is_ignored(host.settings, device.name) or is_ignored(host.settings, device.mac)
    }
    wanted = coexistence.parameters(enis, members, has.addresses)
    return {name: span for name, span in wanted.items() if name.split("/")[3] not in ignored}


def _number(value):
    # type: (Optional[str]) -> Optional[int]
    return int(value) if value is not None and value.isdigit() else None


def _values(wanted, before, read, index_of):
    # type: (Any, Any, Callable[[str], Optional[int]], Callable[[str], Optional[int]]) -> Any
    """Return what is to be remembered of values that are somebody else's, and the new ones.

    `wanted` is {name: (least, most)}, `before` {name: [ifindex, value before, our value]}.
    """
    kept, changes = {}, {}
    for name in sorted(set(wanted) | set(before)):
        now, index, was = read(name), index_of(name), before.get(name)
        if now is None or index is None:
            continue
        if was is not None and (was[0], was[2]) != (index, now):
            # Another device, or somebody has set it since.
            was = None
        if name not in wanted:
            if was is not None:
                changes[name] = was[1]
        elif wanted[name][0] <= now <= wanted[name][1]:
            if was is not None:
                kept[name] = was
        else:
            changes[name] = wanted[name][0]
            kept[name] = [index, now if was is None else was[1], changes[name]]
    return kept, changes


def _carry_out(host, settlement):
    # type: (Host, Settlement) -> Settlement
    """Carry it out; return what of it came true. Raises HostError when the rest is done."""
    done, before = settlement.done, settlement.before
    if not differs(settlement):
        notes.keep_coexistence(host.run_directory, done)
        return settlement
    # Whatever becomes of this run, the next one knows what may be there.
    both = done._replace(
        items=tuple(set(done.items) | set(before.items)),
        groups=dict(before.groups, **done.groups),
        parameters=dict(before.parameters, **done.parameters),
        chains=tuple(sorted(set(done.chains) | set(before.chains))),
    )
    notes.keep_coexistence(host.run_directory, both)
    problems = []

    def attempt(action, *arguments):
        # type: (Callable[..., None], *Any) -> None
        try:
            action(host, *arguments)
        except HostError as error:
            problems.append("{0}".format(error))

    cannot = set(done.cannot)
    attempt(_change_kernel, settlement, cannot)
    for name in sorted(settlement.parameters):
        attempt(_set_parameter, name, settlement.parameters[name])
    unmarked = _write_chains(host, settlement.chains)
    refused = [rule for rule in settlement.main_first if rule.family in cannot]
    done = done._replace(
        items=tuple(item for item in done.items if item not in refused),
        chains=tuple(sorted(set(done.chains) | set(unmarked))),
        cannot=tuple(sorted(cannot)),
        failed=tuple(sorted(set(done.failed) | set(unmarked))),
    )
    if problems:
        notes.keep_coexistence(
            host.run_directory, both._replace(cannot=done.cannot, failed=done.failed)
        )
        raise HostError("; ".join(problems))
    notes.keep_coexistence(host.run_directory, done)
    said = [settlement.problem] + [unmarked[family] for family in sorted(unmarked)]
    return settlement._replace(
        chains={
            family: rules for family, rules in settlement.chains.items() if family not in unmarked
        },
        done=done,
        problem="; ".join(problem for problem in said if problem),
    )


def _change_kernel(host, settlement, cannot):
    # type: (Host, Settlement, Set[int]) -> None
    """Change rules, routes and link groups; add to `cannot` the families without a main first.

    That is tried: kernels know the rule since Linux 3.12, and an older one, with a younger `ip`,
    takes it without the conditions, that is for all packets.
    """
    removals = [step for step in settlement.steps if not step.add]
    groups = [diff.Change(True, Group(*pair)) for pair in sorted(settlement.groups.items())]
    additions = [step for step in settlement.steps if step.add]
    tries = [diff.Change(True, rule) for rule in settlement.main_first]
    families = sorted({step.family for step in settlement.steps + tries})
    had, said = host.known_kernel(families), ""
    try:
        iproute.apply_changes(host.runner, removals + groups + additions + tries)
    except HostError as error:
        said = "{0}".format(error)
    has = host.kernel(families)
    refused = [step for step in tries if not is_done(step, has)]
    if refused and said:
        # That may have had another reason; alone it is certain.
        try:
            iproute.apply_changes(host.runner, refused)
        except HostError as error:
            said = "{0}".format(error)
        has = host.kernel(families)
        refused = [step for step in refused if not is_done(step, has)]
    wrong = [
        name
        for name, number in sorted(settlement.groups.items())
        if host.devices.group(name) != number and host.devices.device(name) is not None
    ]
    # Without the link groups main would answer for the wrong ENI. A plain rule of that number that
    # was there before is somebody's, if it is not what a run left that died.
    left = {step.item for step in removals}
    withdrawn = [
        step._replace(add=False)
        for step in tries
        if wrong
        or Rule("all", MAIN_TABLE, step.item.priority)
        in (has.rules if step.item in left else has.rules - had.rules)
    ]
    iproute.apply_changes(host.runner, withdrawn)
    if not all(is_done(step, has) for step in settlement.steps):
        apply_steps(host, settlement.steps)
    if wrong:
        raise HostError("link group of {0}: {1}".format(" ".join(wrong), said))
    cannot.update(step.family for step in refused)
    if refused:
        _log.info(
            "the tables of ENIs get copies of main's other routes: %s", said or "no effect"
        )


def _set_parameter(host, name, value):
    # type: (Host, str, int) -> None
    _log.debug("set: %s = %s", name, value)
    host.sysctl.write(name, "{0}".format(value))


def _write_chains(host, chains):
    # type: (Host, Mapping[int, Sequence[str]]) -> Dict[int, str]
    """Write them; return why that failed, by family."""
    failed = {}
    for family in sorted(chains):
        try:
            netfilter.write(host.runner, family, chains[family])
        except HostError as error:
            failed[family] = "{0}".format(error)
    return failed
