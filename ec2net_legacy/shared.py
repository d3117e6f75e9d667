"""Deciding about what all ENIs share: main first, marks of connections, link groups, kernel
parameters, alternative names.

Pure functions, from what was seen to one plan for all ENIs together. What `coexistence` says is
wanted is compared here with what is there and with what the record says is ours.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import altnames, coexistence
from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.kernel import netfilter
from ec2net_legacy.kernel.diff import Change
from ec2net_legacy.model import MAIN_TABLE, Chain, Group, MainFirst, MarkRule, Parameter, Rule
from ec2net_legacy.ownership import is_for
from ec2net_legacy.record import NOTHING_SHARED

if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

    from ec2net_legacy.kernel.parse import KernelState
    from ec2net_legacy.look import Interface, Netfilter
    from ec2net_legacy.model import Device, InterfaceState, Managed
    from ec2net_legacy.record import HostRecord
    from ec2net_legacy.settings import Settings

# An ENI may be the only port of one of these, which then has its MAC address.
_KINDS = ("", "bridge", "bond", "team")

Enis = namedtuple("Enis", ["managed", "members", "unknown", "numbers", "macs"])
"""The ENIs of a host. `managed`: those with a configuration of ours, each a Managed; `members`: the
names of all devices by which an ENI is reached; `unknown`: the cards of which that is not known.
`numbers`: {name of each device: the kernel's number}; `macs`: the MAC addresses of all devices."""

Present = namedtuple(
    "Present", ["kernel", "groups", "parameters", "chains", "has_containers", "names"]
)
"""What is there, see `look`. `groups`: {device: link group}, `parameters`: {name: value}, each None
where there is none; `chains`: {family: Netfilter}; `names`: see `altnames.decide`."""

Case = namedtuple("Case", ["settings", "enis", "parameters", "names", "present", "before"])
"""All that is decided from. `parameters`: {name of a kernel parameter that ENIs need: the least and
the most that it may be}; `names`: see `altnames.wanted`; `before`: the HostRecord as it is."""

_Chains = namedtuple("_Chains", ["changes", "kept", "failed", "problem"])
"""What is to be done about the chains of marks. `kept`: the families that have one after that;
`failed`: those of which netfilter does not work, and the `problem` that it has."""

SharedPlan = namedtuple("SharedPlan", ["changes", "done", "before", "problem"])
"""What is to be done for all ENIs together. `changes`: in the order in which they are made.
`before`: the HostRecord as it is; `done`: as it is after that. `problem`: why connections cannot be
marked, "" if they can."""

IDLE = SharedPlan([], NOTHING_SHARED, NOTHING_SHARED, "")


def items(plan, kind):
    # type: (SharedPlan, Any) -> List[Any]
    """Return what is set or added of one kind of item."""
    return [step.item for step in plan.changes if step.add and isinstance(step.item, kind)]


def cards(devices):
    # type: (Iterable[Device]) -> List[Device]
    """Return the network cards: also the port of a bridge that has its MAC address."""
    devices = list(devices)
    macs = {device.name: device.mac for device in devices}
    return [
        device
        for device in devices
        if device.mac and not device.kind and macs.get(device.master, device.mac) == device.mac
    ]


def enis(interfaces, states, before, with_ipv6):
    # type: (Sequence[Interface], Mapping[str, InterfaceState], HostRecord, bool) -> Enis
    """Return the ENIs among `interfaces`.

    `states` are those that some are about to have; `with_ipv6`: whether this kernel has IPv6 at
    all.
    """
    managed = []
    for interface in interfaces:
        device, configuration = interface.device, interface.configuration
        state = states.get(interface.name)
        if state is None and is_for(configuration, device) and not configuration.inherited:
            state = interface.filed
        eni = state and coexistence.managed(state, configuration.knobs.provision_prefixes)
        index, recorded = before.enis.get(interface.name, (0, None))
        if not configuration.knobs.sync and index == device.index:
            # The administrator has opted out: nothing of it is touched (any more), nor what it
            # needs.
            eni = recorded
        if eni and not with_ipv6:
            eni = eni._replace(families=tuple(one for one in eni.families if one == 4))
        if eni:
            managed.append(eni)
    devices = [interface.device for interface in interfaces]
    members, unknown = _members(devices, managed, before.cards)
    return Enis(
        managed=managed,
        members=members,
        unknown=unknown,
        numbers={device.name: device.index for device in devices},
        macs=frozenset(device.mac for device in devices),
    )


def _members(devices, managed, known):
    # type: (Sequence[Device], Iterable[Managed], Mapping[str, Any]) -> Tuple[List[str], List[str]]
    """Return the devices by which an ENI is reached, and those of which that is not known.

    ENIs that are left alone otherwise are members, too: what main has by them is not for another's
    address.
    """
    names = {eni.name for eni in managed}
    members = [
        device.name
        for device in devices
        if device.name in names or (device.kind in _KINDS and known.get(device.mac) is True)
    ]
    unknown = [
        device.name
        for device in cards(devices)
        if device.mac not in known and device.name not in names
    ]
    return members if names else [], unknown


def is_lost(before, groups, settings):
    # type: (HostRecord, Mapping[str, Optional[int]], Settings) -> bool
    """Return whether the record was lost of something that was done: a card is in the link group of
    ours.

    `groups`: those of the cards. An ifup may have recorded the parameters that it needs from the
    start, and metadata may have been asked about cards.
    """
    nothing_done = before._replace(parameters={}, cards={}, primary=()) == NOTHING_SHARED
    return nothing_done and settings.link_group in groups.values()


def recovered(before, groups, numbers, settings):
    # type: (HostRecord, Mapping[str, Optional[int]], Mapping[str, int], Settings) -> HostRecord
    """Return the record of link groups that was lost.

    What there was before them is taken to be none.
    """
    group = settings.link_group
    return before._replace(
        groups={
            name: [numbers[name], 0, group] for name in groups if groups[name] == group
        }
    )


def families_to_read(found, before, lost):
    # type: (Enis, HostRecord, bool) -> List[int]
    """Return the families of which the kernel is to be looked at."""
    families = set(coexistence.families_of(found.managed)) | {4}
    families.update(item.family for item in before.items)
    return sorted(families | {6} if lost else families)


def with_marks(settings, before, kernel):
    # type: (Settings, HostRecord, KernelState) -> HostRecord
    """Return a recovered record with the families that have mark rules of ours, and so a chain."""
    families = {
        rule.family
        for rule in kernel.host_rules
        if isinstance(rule, MarkRule) and coexistence.is_our_rule(settings, rule)
    }
    return before._replace(chains=tuple(sorted(families)))


def parameters(found, ignored, kernel, hears_routers):
    # type: (Enis, Iterable[str], KernelState, bool) -> Dict[str, Tuple[int, int]]
    """Return the kernel parameters that ENIs need, with the least and the most that each may be.

    `hears_routers`: whether the distribution does, so that the kernel needs none of IPv6's.
    """
    wanted = coexistence.parameters(found.managed, found.members, kernel.addresses)
    return {
        name: span
        for name, span in wanted.items()
        if name.split("/")[3] not in ignored
        and not (hears_routers and name.startswith("net/ipv6/"))
    }


def chain_families(found, before, has_containers):
    # type: (Enis, HostRecord, bool) -> List[int]
    """Return the families of which netfilter is to be looked at."""
    families = set(coexistence.families_of(found.managed)) if has_containers else set()
    return sorted(families.union(before.chains))


def decide(case):
    # type: (Case) -> SharedPlan
    """Return what is to be done."""
    found, before, managed = case.enis, case.before, case.enis.managed
    cannot = _cannot(case)
    main_first = [
        rule
        for rule in coexistence.main_first(case.settings, found.managed)
        if rule.family not in cannot
        and (not found.unknown or rule in case.present.kernel.host_rules)
    ]
    marked = _marks(case)
    chains = _chains(case, marked)
    wanted = _wanted(case, marked, cannot, chains.kept)
    groups, set_groups = _groups(case)
    parameters_before, set_parameters = _parameters(case)
    there = case.present.kernel.host_rules | case.present.kernel.routes  # type: Any
    changes = [Change(False, item) for item in _gone(case, wanted + main_first, there)]
    changes += [Change(True, Group(*pair)) for pair in sorted(set_groups.items())]
    changes += [Change(True, item) for item in wanted + main_first if item not in there]
    changes += [Change(True, Parameter(*pair)) for pair in sorted(set_parameters.items())]
    names, steps = altnames.decide(case.names, before.names, case.present.names, found.numbers)
    changes += [Change(*step) for step in steps]
    done = before._replace(
        cards={mac: one for mac, one in before.cards.items() if managed and mac in found.macs},
        enis={eni.name: (found.numbers[eni.name], eni) for eni in managed},
        items=tuple(wanted + main_first),
        groups=groups,
        parameters=parameters_before,
        chains=chains.kept,
        cannot=tuple(sorted(cannot)),
        failed=chains.failed,
        names=names,
        primary=before.primary if managed else (),
    )
    return SharedPlan(changes + chains.changes, done, before, chains.problem)


def _cannot(case):
    # type: (Case) -> Set[int]
    """Return the families in which main cannot be asked first, because the kernel is too old."""
    families = set(coexistence.families_of(case.enis.managed))
    # A device that has just gone says nothing about this kernel; it is not among the groups.
    if any(case.present.groups.get(name, 0) is None for name in case.enis.members):
        return families
    return families.intersection(case.before.cannot)


def _marks(case):
    # type: (Case) -> Dict[str, int]
    """Return {name of an ENI: the mark of connections that came in by it}."""
    managed, there = case.enis.managed, case.present
    if not managed or not there.has_containers:
        return {}
    present = [rule for rule in there.kernel.host_rules if isinstance(rule, MarkRule)]
    return coexistence.marks(case.settings, managed, present)


def _wanted(case, marked, cannot, chains):
    # type: (Case, Dict[str, int], Set[int], Iterable[int]) -> List[Any]
    """Return the rules of marks, in the families that have `chains`, and the copies of routes."""
    found, routes = case.enis, case.present.kernel.routes
    rules = coexistence.mark_rules(case.settings, found.managed, marked)
    wanted = [rule for rule in rules if rule.family in chains]  # type: List[Any]
    wanted += coexistence.copies(found.managed, found.members + found.unknown, routes, cannot)
    return wanted


def _groups(case):
    # type: (Case) -> Tuple[Dict[str, Any], Dict[str, int]]
    """Return what is remembered of link groups, and which are set now."""
    found, before = case.enis, case.before  # type: Enis, HostRecord
    spans = dict.fromkeys(found.members, (case.settings.link_group, case.settings.link_group))
    found_groups = coexistence.to_set(
        spans, before.groups, case.present.groups.get, found.numbers.get
    )  # type: Tuple[Dict[str, Any], Dict[str, int]]
    return found_groups


def _parameters(case):
    # type: (Case) -> Tuple[Dict[str, Any], Dict[str, int]]
    """Return what is remembered of kernel parameters, and which are set now."""
    found = coexistence.to_set(
        case.parameters,
        case.before.parameters,
        case.present.parameters.get,
        lambda name: case.enis.numbers.get(name.split("/")[3]),
    )  # type: Tuple[Dict[str, Any], Dict[str, int]]
    return found


def _chains(case, marked):
    # type: (Case, Dict[str, int]) -> _Chains
    """Return what is to be done about the chains, which set the marks."""
    found, before = case.enis, case.before
    rules = ()  # type: Tuple[str, ...]
    families = []  # type: List[int]
    if marked:
        mask = case.settings.mark_mask
        rules = netfilter.rules(sorted(marked.items()), mask, found.members)
        families = coexistence.families_of(found.managed)
    chains = case.present.chains  # type: Mapping[int, Netfilter]
    changes, kept, failed = [], [], []
    for family in sorted(chains):
        seen = chains[family]
        if family not in families and family not in before.chains:
            continue
        if seen.problem:
            failed.append(family)
        elif family in families:
            kept.append(family)
            if seen.rules != rules:
                changes.append(Change(True, Chain(family, rules)))
        elif seen.exists:
            changes.append(Change(False, Chain(family, ())))
    # Of what cannot be looked at now it is to be remembered that it may be there.
    kept += [family for family in failed if family in before.chains]
    problem = "; ".join(chains[family].problem for family in failed)
    return _Chains(changes, tuple(sorted(kept)), tuple(failed), problem)


def _gone(case, wanted, there):
    # type: (Case, List[Any], Set[Any]) -> List[Any]
    """Return the rules and copied routes that are to go, in this order."""
    has, before = case.present.kernel, case.before
    ours = set(before.items)
    ours.update(rule for rule in has.host_rules if coexistence.is_our_rule(case.settings, rule))
    gone = [item for item in ours if item in there and item not in wanted]
    # The rule of main goes first: main asked first while the rest is not there any more would
    # mislead.
    gone.sort(key=lambda item: (not isinstance(item, MainFirst), item.arguments))
    # A kernel before 3.12 ignores the conditions of that rule. A run that died while it tried it
    # there has left a rule for all packets.
    return [
        item
        for item in before.items
        if isinstance(item, MainFirst)
        and item not in there
        and Rule("all", MAIN_TABLE, item.priority) in has.rules
    ] + gone


def underway(plan):
    # type: (SharedPlan) -> HostRecord
    """Return the record of what may be there while the plan is carried out."""
    done, before = plan.done, plan.before
    found = done._replace(
        items=tuple(set(done.items) | set(before.items)),
        groups=dict(before.groups, **done.groups),
        parameters=dict(before.parameters, **done.parameters),
        chains=tuple(sorted(set(done.chains) | set(before.chains))),
        names=altnames.underway(before.names, done.names),
    )  # type: HostRecord
    return found
