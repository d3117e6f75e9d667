"""Deciding about one interface: from what was seen to the plan for it.

Pure functions. `ec2net plan` shows the value that they return, `act` carries it out.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import desired, metadata, names
from ec2net_legacy._cheap import namedtuple
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import MetadataUnavailable
from ec2net_legacy.kernel import diff
from ec2net_legacy.model import MAIN_TABLE
from ec2net_legacy.ownership import IS_CONFIGURED, mac_in
from ec2net_legacy.record import merged, router_of

if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Optional, Tuple

    from ec2net_legacy.kernel.parse import KernelState
    from ec2net_legacy.look import Interface, Seen
    from ec2net_legacy.model import Device, Eni, InterfaceState, Rule
    from ec2net_legacy.ownership import Reason
    from ec2net_legacy.settings import Settings


class Plan(
    namedtuple(
        "Plan",
        [
            "name", "eni", "state", "files", "before", "steps", "live", "reason", "unknown",
            "warning", "lost", "underway", "after",
        ],
    )
):
    """What is to be done for an interface.

    `files`: {path: text, or None to delete}; `before`: the present texts of the same paths.
    `steps`: the changes of the kernel, made at once when the interface is `live` (up, with its
    primary address); else only the deletions are made, and the generated file adds the rest when
    the interface comes up. `reason`: why nothing is done, else None; `unknown`: whether that is
    because metadata is missing. `warning`: what the administrator should know about it, else "".
    `lost`: why the address of its lease is not there although it was, for who reads it, else "".
    `underway` and `after`: what may be in the kernel because of ec2net while the plan is carried
    out, and after that; None where the record stays as it is.
    """

    __slots__ = ()

    @property
    def left_alone(self):
        # type: () -> str
        """Why nothing is done, for who reads it, else ""."""
        return self.reason.text if self.reason else ""

    @property
    def is_passed_by(self):
        # type: () -> bool
        """Whether nothing is done for the interface, not even by another run or by its files."""
        return self.reason is not None and self.reason.kind != IS_CONFIGURED

    @property
    def is_primary(self):
        # type: () -> bool
        """Whether it is about the primary ENI, which gets addresses and no table."""
        return self.state is not None and not self.state.table

    @property
    def acts(self):
        # type: () -> bool
        """Whether carrying it out changes anything now."""
        return bool(self.files) or any(self.live or not step.completes for step in self.steps)


def nothing(name, reason, configuration=None):
    # type: (str, Optional[Reason], Optional[Any]) -> Plan
    """Return the plan that does nothing, with a warning where `configuration` is edited by hand."""
    edited = reason is not None and configuration is not None and configuration.edited
    return Plan(
        name=name,
        eni=None,
        state=None,
        files={},
        before={},
        steps=[],
        live=False,
        reason=reason,
        unknown=False,
        warning="left alone: " + reason.text if reason and edited else "",
        lost="",
        underway=None,
        after=None,
    )


Wanted = namedtuple("Wanted", ["eni", "state", "files", "filed", "ours", "said"])
"""What a secondary ENI is to have. `files`: {path: text or None}, also those that are so already;
`filed`: what the files bring about. `ours`: what may be taken from the kernel. `said`: warnings."""


def wanted(settings, distribution, seen):
    # type: (Settings, Any, Seen) -> Wanted
    """Return what the ENI of an interface is to have, whatever the kernel has now.

    Raises MetadataUnavailable where metadata lacks its primary address, HostError where no table is
    free.
    """
    interface = seen.interface
    eni = _with_known_primary(interface, seen.eni)
    state = _wanted_state(settings, seen._replace(eni=eni))
    files = distribution.files(state, eni)
    texts = "".join(files[path] or "" for path in sorted(files))
    filed = distribution.recorded(interface.name, texts)
    ours = merged(interface.name, interface.record, interface.filed, filed)
    # Main's default route by this interface has the table's number as metric, whoever put it there
    # for us.
    main_routes = tuple(
        route._replace(table=MAIN_TABLE, metric=route.table)
        for route in ours.routes
        if (route.destination, route.family) == ("default", 4) and not route.metric
    )
    if seen.names is not False:
        names_text = names.with_name(seen.names, interface.device.mac, interface.name)
        files.update({} if names_text is None else {names.PATH: names_text})
    return Wanted(
        eni=eni,
        state=state,
        files=files,
        filed=filed,
        ours=ours._replace(routes=ours.routes + main_routes),
        said=[distribution.warning(interface.name)] + metadata.prefixes_outside(eni),
    )


def families_to_read(device, target):
    # type: (Device, Wanted) -> List[int]
    """Return the families of which the kernel is to be looked at for the plan.

    A device that is down has nothing in the kernel but the rules of what was there before.
    """
    if device.up or set(target.ours.rules) - set(target.state.rules):
        return sorted(set(target.state.families + target.ours.families))
    return []


def secondary(seen, target, has, texts):
    # type: (Seen, Wanted, KernelState, Dict[str, Optional[str]]) -> Plan
    """Return the plan for an ENI other than the primary.

    `has`: what the kernel has of the `families_to_read`; `texts`: what is in the files now.
    """
    interface, name, state = seen.interface, seen.interface.name, target.state
    displaced = desired.displaced(state, has.routes, seen.in_main6)
    state = desired.with_learned_router(state, has.routes, seen.in_main6)
    ours = target.ours._replace(routes=target.ours.routes + displaced)
    steps = diff.changes(state, ours, has)
    files = {path: text for path, text in target.files.items() if text != texts[path]}
    said = target.said + [
        "{0} is in the way of ours, and left alone".format(route.arguments)
        for route in diff.in_the_way(state.routes, set(has.routes) - set(target.ours.routes))
    ]
    known = interface.record.addresses + interface.record.routes + interface.record.rules
    return Plan(
        name=name,
        eni=target.eni,
        state=state,
        files=files,
        before=texts,
        steps=_possible(interface.device, steps),
        live=_has_address(has, state.primary, name),
        reason=None,
        unknown=False,
        warning="; ".join(sentence for sentence in said if sentence),
        lost="",
        underway=merged(name, interface.record, interface.filed, target.filed) if files else None,
        after=target.filed if files or known else None,
    )


def main_default6(configuration, sets_metric):
    # type: (Any, bool) -> str
    """Return who gives main's IPv6 default route by an ENI its metric where the kernel hears it."""
    if not configuration.knobs.main_route:
        return desired.NOBODY
    return desired.KERNEL if sets_metric else desired.COPY


def _wanted_state(settings, seen):
    # type: (Settings, Seen) -> InterfaceState
    interface, eni = seen.interface, seen.eni
    offset = desired.choose_offset(
        interface.name,
        eni,
        None if seen.table is None else seen.table - settings.table_base,
        frozenset(table - settings.table_base for table in seen.taken.values()),
    )
    table = settings.table_base + offset
    options = interface.configuration.knobs
    return desired.interface_state(
        interface.name,
        eni,
        table,
        settings.priority_base + offset,
        desired.Options(
            main_metric=table if options.main_route else 0,
            local_prefixes=options.provision_prefixes,
            router=router_of(interface.record, eni),
        ),
    )


def _with_known_primary(interface, eni):
    # type: (Interface, Eni) -> Eni
    """Return `eni` with the address in front that it had from its first day.

    An ENI keeps its primary address for life. A list without it is not complete (yet).
    """
    if mac_in(interface.configuration.text) != eni.mac:
        return eni
    rules = interface.filed.rules
    before = [rule.source for rule in rules if rule.family == 4]
    if before and before[0] not in eni.addresses:
        raise MetadataUnavailable(
            "metadata of {0} lacks its primary address {1}".format(interface.name, before[0])
        )
    first6 = [rule.source for rule in rules if rule.family == 6 and rule.source in eni.addresses6]
    if eni.ipv6_only and first6:
        rest = tuple(address for address in eni.addresses6 if address != first6[0])
        eni = eni._replace(addresses6=(first6[0],) + rest)
    return _first(eni, before[:1])


def _first(eni, addresses):
    # type: (Eni, List[str]) -> Eni
    """Return `eni` with these of its addresses in front, in whatever order it lists them."""
    rest = tuple(address for address in eni.addresses if address not in addresses)
    return eni._replace(addresses=tuple(addresses) + rest)


def _possible(device, steps):
    # type: (Device, List[diff.Change]) -> List[diff.Change]
    # Where IPv6 is switched off the kernel refuses its addresses. The files have them for the day
    # when it is on.
    return [step for step in steps if device.ipv6 or step.family == 4 or not step.add]


def _has_address(has, address, name):
    # type: (KernelState, str, str) -> bool
    return any((item.address, item.device) == (address, name) for item in has.addresses)


def primary_families(interface, eni):
    # type: (Interface, Eni) -> List[int]
    """Return the families of which the kernel is to be looked at for the plan of the primary.

    None for a primary with the addresses of its lease alone, so that its boot does not pay for a
    process.
    """
    added = interface.record.addresses
    if not added and len(eni.addresses) <= 1 and len(eni.addresses6) <= 1:
        return []
    return [4, 6] if eni.addresses6 or any(one.family == 6 for one in added) else [4]


def primary(interface, eni, has):
    # type: (Interface, Eni, KernelState) -> Plan
    """Return the plan for the primary: its further addresses, which are in no file.

    `has`: what the kernel has of the `primary_families`. Raises MetadataUnavailable where metadata
    lists only addresses that ec2net has added itself.
    """
    name, added = interface.name, interface.record.addresses
    ours = {one.address for one in added}
    # The address that ec2net did not add is the lease's, in whatever order they are listed.
    leased = [address for address in eni.addresses if address not in ours][:1]
    if eni.addresses and not leased:
        raise MetadataUnavailable("metadata of {0} lacks its primary address".format(name))
    # Whether the primary has IPv6 at all is the administrator's business.
    leased6 = [
        one for one in eni.addresses6 if one not in ours and _has_address(has, one, name)
    ][:1]
    known = _first(eni, leased)._replace(
        addresses6=tuple(leased6) + tuple(one for one in eni.addresses6 if one not in leased6)
    )
    state = desired.primary_state(name, known if leased6 else known.of_family(4))
    # What is listed is never taken away, whatever it is taken for at the moment.
    listed = frozenset(eni.addresses + eni.addresses6)
    gone = state._replace(addresses=tuple(one for one in added if one.address not in listed))
    live = _has_address(has, state.primary, name)
    steps = _possible(interface.device, diff.changes(state, gone, has))
    kept = set(added).union(step.item for step in steps if step.add and live)
    deleted = {step.item for step in steps if not step.add}
    return nothing(name, None)._replace(
        eni=eni,
        state=state,
        steps=steps,
        live=live,
        underway=state._replace(addresses=tuple(sorted(kept))) if steps else None,
        after=state._replace(addresses=tuple(sorted(kept - deleted))) if steps else None,
    )


AtLease = namedtuple("AtLease", ["by_ifup", "hook_adds", "in_main"])
"""How a lease comes. `by_ifup`: whether an ifup runs; `hook_adds`: whether dhclient's hook is what
adds the further addresses; `in_main`: who gives main its IPv6 default route by the ENI."""


def lacking(filed, has, at_lease):
    # type: (InterfaceState, KernelState, AtLease) -> Tuple[List[diff.Change], bool]
    """Return what the kernel lacks of what the files say, and whether it has heard a router."""
    by_ifup, hook_adds, in_main = at_lease
    displaced = desired.displaced(filed, has.routes, in_main)
    learned = desired.with_learned_router(filed, has.routes, in_main)
    learned_routes = learned.routes[len(filed.routes) :]
    wanted = filed
    if by_ifup:
        # What ifup adds itself once it has the lease is left to it: kernels before 4.8 would take a
        # rule twice.
        addresses = filed.addresses if hook_adds else ()
        wanted = filed._replace(routes=(), rules=(), addresses=addresses)
    wanted = wanted._replace(routes=wanted.routes + learned_routes)
    ours = wanted._replace(routes=wanted.routes + displaced)
    changes = [step for step in diff.changes(wanted, ours, has) if step.completes]
    if by_ifup and hook_adds:
        # Files that can only add leave the kernel's own route beside theirs.
        gone = diff.replaced(filed.name, filed.routes, has)
        changes += [diff.Change(False, route) for route in gone]
    return changes, bool(learned_routes)


def removal(interface, record, stray, has):
    # type: (Interface, InterfaceState, Iterable[Rule], KernelState) -> Plan
    """Return the plan that takes back what is recorded for an interface, without its files.

    `stray`: rules that an ifup left that had read files which are gone.
    """
    empty = record._replace(addresses=(), routes=(), rules=())
    steps = [diff.Change(False, rule) for rule in stray]  # type: List[diff.Change]
    if record.families:
        steps += diff.changes(empty, record, has)
    return nothing(interface.name, None)._replace(steps=steps, live=True)
