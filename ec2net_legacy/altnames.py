"""The alternative names of ENIs: which there are to be, and which are given or taken away.

Pure functions. They are the names of amazon-ec2-net-utils 2.x, on which users' scripts rely: the
ENI's id and its device number, ``eni-0123456789abcdef0`` and ``device-number-1``, on types of
instances that name network cards ``device-number-1.0``. The primary's is always
``device-number-0.0``. Where the id is not known there are none.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.model import AlternativeName
from ec2net_legacy.record import ALTERNATIVE_NAME, Names

if TYPE_CHECKING:
    from typing import Dict, FrozenSet, Iterable, List, Mapping, Optional, Set, Tuple

    from ec2net_legacy.model import Eni

    Wanted = Dict[str, Optional[Tuple[str, ...]]]
    Present = Optional[Mapping[str, FrozenSet[str]]]
    Steps = List[Tuple[bool, AlternativeName]]


def of_eni(eni):
    # type: (Eni) -> Tuple[str, ...]
    """Return the names of an ENI other than the primary."""
    card = "" if eni.network_card is None else ".{0}".format(eni.network_card)
    return _checked(eni.interface_id, "device-number-{0}{1}".format(eni.device_number, card))


def of_primary(interface_id):
    # type: (str) -> Tuple[str, ...]
    """Return the names of the primary."""
    return _checked(interface_id, "device-number-0.0")


def _checked(*names):
    # type: (*str) -> Tuple[str, ...]
    return names if all(ALTERNATIVE_NAME.match(name) for name in names) else ()


def wanted(managed, enis, primary, untouched):
    # type: (Iterable[str], Mapping[str, Eni], Mapping[str, str], Iterable[str]) -> Wanted
    """Return {device: the names that it is to have, or None for those that it was given before}.

    `managed` are the devices with a configuration of ours, `enis` what metadata says of them as far
    as that is known, and `primary` is {its device: its ENI's id}. What is `untouched` keeps what it
    has.
    """
    found = {
        device: of_eni(enis[device]) if device in enis else None for device in managed
    }  # type: Wanted
    found.update({device: of_primary(interface_id) for device, interface_id in primary.items()})
    found.update(dict.fromkeys(untouched))
    return found


def decide(wanted, before, present, numbers):
    # type: (Wanted, Mapping[str, Names], Present, Mapping[str, int]) -> Tuple[Dict[str, Names], Steps]  # noqa: E501
    """Return what is to be remembered, and the steps: whether a name is added, and which.

    `before` is what was remembered; `present` are {each device: its alternative names}, None where
    that cannot be found out; `numbers` are the kernel's of the devices. A name that a device has
    and was not given by us stays, and one that another device has is not asked for.
    """
    kept = {}  # type: Dict[str, Names]
    gone, new = [], []  # type: Steps, Steps
    taken = _taken(present or {})
    for device in sorted(set(wanted) | set(before)):
        was = before.get(device)
        if device not in numbers:
            continue
        if was is None or was.index != numbers[device]:
            # The names of another device went with it.
            was = Names(numbers[device], (), ())
        target = wanted.get(device, ())
        if present is not None and target is not None:
            given = [name for name in was.given if name in present.get(device, ())]
            added = [
                name for name in target if name not in taken and name not in was.refused
            ]
            taken.update(added)
            gone += [(False, AlternativeName(device, name)) for name in given if name not in target]
            new += [(True, AlternativeName(device, name)) for name in added]
            was = was._replace(
                given=tuple([name for name in given if name in target] + added),
                refused=tuple(name for name in was.refused if name in target),
            )
        if was.given or was.refused:
            kept[device] = was
    return kept, gone + new


def _taken(present):
    # type: (Mapping[str, FrozenSet[str]]) -> Set[str]
    """Return all names that devices have: the kernel gives none of them a second time."""
    return set(present).union(*present.values())


def underway(before, done):
    # type: (Mapping[str, Names], Mapping[str, Names]) -> Dict[str, Names]
    """Return what may be there while names are given and taken away."""
    found = dict(before, **done)
    for device in set(before).intersection(done):
        was, now = before[device], done[device]
        if was.index == now.index:
            more = tuple(name for name in was.given if name not in now.given)
            found[device] = now._replace(given=now.given + more)
    return found


def came_true(before, done, present):
    # type: (Mapping[str, Names], Mapping[str, Names], Present) -> Dict[str, Names]
    """Return what is to be remembered after names were given and taken away.

    What the device does not have then was refused; what it has still, `ip` could not take away.
    """
    found = underway(before, done)
    if present is None:
        return found
    for device in set(found).intersection(present):
        names, there = found[device], present[device]
        asked = done[device].given if device in done else ()
        refused = tuple(name for name in asked if name not in there)
        found[device] = names._replace(
            given=tuple(name for name in names.given if name in there),
            refused=names.refused + refused,
        )
    return {
        device: names
        for device, names in found.items()
        if device in present and (names.given or names.refused)
    }
