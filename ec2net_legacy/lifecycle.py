"""The distribution's ifup and ifdown.

When to call them, never two at once, and starting over what is dead.
"""
from __future__ import absolute_import, print_function, unicode_literals

import contextlib

from ec2net_legacy import coexistence, daemon, log, record
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.act import apply_steps, set_parameters
from ec2net_legacy.errors import CommandError, HostError, LockHeld
from ec2net_legacy.kernel import diff
from ec2net_legacy.look import Look
from ec2net_legacy.model import Parameter
from ec2net_legacy.ownership import is_for

if TYPE_CHECKING:
    from typing import Iterator, List, Optional, Tuple

    from ec2net_legacy.host.rundir import Lock
    from ec2net_legacy.look import Interface
    from ec2net_legacy.model import Device
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.ports import Host

# Seconds. An ifup waits as long as its dhclient for an answer: "timeout 300" in dhclient-ethN.conf.
_LONGEST_IFUP = 320.0
# How long an ifup without a lease may have taken for a second one to be tried.
_TIME_FOR_ANOTHER = 150.0
# What a removal needs after its ifdown, and an ifup after the ifdown of what was up before.
_AFTER_IFDOWN = 15.0
# How often somebody else's dhclient is looked for.
_TURN = 1.0
# How long a daemon that nobody waits for has for a lease, and how often that is looked for.
_DAEMONS_TIME = 60.0
_DAEMONS_TURN = 0.1
_NEVER = float("inf")

# What is to be said of the address that a lease gives.
NOT_KNOWN = ""
THERE = "there"
AWAITED = "a DHCP client asks for it"
NO_DHCLIENT = "no lease, no DHCP client"
ADDRESS_GONE = "the lease's address is gone"
LOST = frozenset([NO_DHCLIENT, ADDRESS_GONE])


def look_at_lease(host, interface):
    # type: (Host, Interface) -> str
    """Return whether the address of the lease is THERE, AWAITED, or for which reason it is lost.

    NOT_KNOWN where nobody brought this very device up, or somebody took it down. For an address
    that is there this run's reading of the kernel is enough, and /proc is not looked through.
    """
    device, configuration = interface.device, interface.configuration
    rules, name = interface.filed.rules, interface.name
    known = interface.record.device == device.index
    if not (rules and device.up and known) or configuration.inherited:
        return NOT_KNOWN
    if not is_for(configuration, device):
        return NOT_KNOWN
    family = min(rule.family for rule in rules)
    wanted = ([rule.source for rule in rules if rule.family == family][0], name)
    for read in (host.known_kernel, host.kernel):
        has = read([family])
        if any((item.address, item.device) == wanted for item in has.addresses):
            return THERE
    if not Look(host).distribution.HAS_DHCLIENT:
        return AWAITED
    if not (host.has_dhclient if family == 4 else host.has_dhclient6)(name):
        return NO_DHCLIENT
    # A dhclient that never had a lease is still asking, and is left to that.
    had_lease = interface.record.lease if family == 4 else interface.record.lease6
    return ADDRESS_GONE if had_lease else AWAITED


def bring_up(host, plan, end=_NEVER, was_known=True, since=_NEVER):
    # type: (Host, Plan, float, bool, float) -> None
    """Bring the interface of `plan` up, unless it is, before the moment `end` of the clock.

    `plan` is what `add` made of it; `was_known`: whether its device was recorded before that;
    `since`: from when on the files are in place. Raises CommandError.
    """
    name = plan.name
    # network-scripts would start a second dhclient, which nobody ends.
    with _lock(host, name, min(_LONGEST_IFUP, max(end - host.clock(), 0.0))):
        look = Look(host)
        device, distribution = look.interface(name).device, look.distribution
        is_up = distribution.is_up(name)
        if _is_stale(host, look, plan, (is_up, was_known)):
            # The distribution takes it to be up still: ifup alone would do nothing, or fail.
            _start_over(host, name, end)
            is_up = False
        if device is not None:
            # Not before: a run that was killed over the ifdown would leave that out the next time.
            record.change(host.run_directory, name, device=device.index)
        if not is_up and distribution.DHCLIENT_NEEDS_FILES and host.has_dhclient(name):
            # The init system's own ifup, whose dhclient has no pid file before it has a lease.
            log.info("%s: an ifup waits for its lease already", name)
        elif not is_up and _ifup(host, name, device, end, since):
            return
        _complete(host, name)


def _is_stale(host, look, plan, up_and_known):
    # type: (Host, Look, Plan, Tuple[bool, bool]) -> bool
    """Return whether the distribution takes an interface to be up that is not, or not whole."""
    is_up, was_known = up_and_known
    interface, name = look.interface(plan.name), plan.name
    device = interface.device
    if _came_back_unnoticed(interface):
        return True
    if is_up and (device is None or not device.up or _lacks_address(host, plan)):
        return True
    asks = device is not None and was_known and not plan.live
    if asks and look_at_lease(host, interface) in LOST:
        # ifupdown takes it to be up, and network-scripts would add what is left of it again.
        return True
    # On network-scripts the dhclient of an interface that is up has died. ifup would add the rules
    # again that are there, which kernels before 4.8 take.
    needs_files = look.distribution.DHCLIENT_NEEDS_FILES
    return bool(plan.live and not is_up and needs_files and not host.has_dhclient(name))


def _ifup(host, name, device, end, since):
    # type: (Host, str, Optional[Device], float, float) -> bool
    """Run the distribution's ifup, another time where its dhclient is deaf.

    Return whether all is there.
    """
    distribution, began = Look(host).distribution, host.clock()
    command = distribution.up_command(name)
    if not distribution.HEARS_ROUTERS:
        _prepare(host, name)
    if not distribution.HAS_DHCLIENT:
        daemon.read_files(host, distribution.RELOAD, since)
        _run(host, command, end)
        return _await_lease(host, name, min(began + _DAEMONS_TIME, end))
    _run(host, command, end)
    if _complete(host, name) or not host.has_dhclient(name):
        return True
    # A device that was pulled meanwhile, or replaced, has lost its address for another reason.
    now = host.devices.device(name)  # type: Optional[Device]
    is_same = device is not None and now is not None and now.index == device.index
    if is_same and host.clock() - began < min(_TIME_FOR_ANOTHER, end - host.clock()):
        # ifupdown's ifup does not fail over that. The dhclients of Debian 11 and Ubuntu 20.04 are
        # now and then deaf to all offers from their start (launchpad.net/bugs/1926139).
        log.warning("%s: no lease; another dhclient tries", name)
        _start_over(host, name, end)
        _run(host, command, end)
    return False


def _await_lease(host, name, end):
    # type: (Host, str, float) -> bool
    """Wait for the lease that a daemon asks for; return whether all is there."""
    while not _complete(host, name):
        if host.clock() >= end or host.devices.device(name) is None:
            log.warning("%s: no lease yet", name)
            return False
        host.sleep(_DAEMONS_TURN)
    return True


def _prepare(host, name):
    # type: (Host, str) -> None
    """Set what has to be so before the link is up, because the kernel then asks for a router at
    once.

    What there was before is recorded, for whoever takes the rest of it back.
    """
    interface = Look(host).interface(name)
    device, eni = interface.device, coexistence.managed(interface.filed, False)
    if device is None or not device.ipv6 or not eni:
        return
    with host.run_directory.lock():
        before = record.read_host(host.run_directory).parameters
        wanted = coexistence.parameters6(eni)
        recorded = {key: before[key] for key in wanted if key in before}
        kept, changes = coexistence.to_set(
            wanted, recorded, host.sysctl.number, lambda _: device.index
        )
        record.change_host(host.run_directory, parameters=dict(before, **kept))
        for problem in set_parameters(host, [Parameter(*pair) for pair in sorted(changes.items())]):
            # IPv4 comes up all the same, and what all ENIs share is looked at afterwards.
            log.warning("%s: %s", name, problem)


def _start_over(host, name, end):
    # type: (Host, str, float) -> None
    """Take down what the distribution believes to be up, with its dhclient."""
    distribution = Look(host).distribution
    try:
        _run(host, distribution.down_command(name), end - _AFTER_IFDOWN)
    except CommandError as error:
        # As it does when the dhclient has died; the ifup will tell.
        log.debug("%s: %s", name, error)
    host.end_dhclient(name)
    # A dhclient that died has told nobody.
    record.change(host.run_directory, name, lease=None, lease6=False)
    if distribution.DHCLIENT_NEEDS_FILES:
        _take_back(host, name)


def is_being_brought_up(host, name):
    # type: (Host, str) -> bool
    """Return whether another run is at bringing `name` up, or down."""
    return bool(host.run_directory.is_locked(_lock_name(name)))


def is_at_work(host, name):
    # type: (Host, str) -> bool
    """Return whether another run is at anything about `name`."""
    return is_being_brought_up(host, name) or bool(host.run_directory.is_locked(name))


def _complete(host, name):
    # type: (Host, str) -> bool
    """Add what the files say and an `ifup` left out that had read earlier ones.

    On Debian's cloud images an ifup may be on its way already for a device that is new. Returns
    whether the address is there that DHCP gives, if any does.
    """
    look = Look(host)
    filed = look.interface(name).filed
    if look.distribution.HAS_DHCLIENT:
        # IPv6 is its own client's hook's.
        filed = filed.of_family(4)
    if not filed.rules:
        return True
    with host.run_directory.lock():
        has = host.kernel(filed.families)
        primary = (filed.rules[0].source, name)
        # While there is no lease, the dhclient hook is still to come, and adds the rest.
        if not any((item.address, item.device) == primary for item in has.addresses):
            return False
        apply_steps(host, [step for step in diff.changes(filed, filed, has) if step.completes])
    return True


def _take_back(host, name):
    # type: (Host, str) -> None
    """Take the rules back that an `ifdown` without its dhclient leaves."""
    interface = Look(host).interface(name)
    ours = record.merged(name, interface.record, interface.filed)
    if ours.families:
        empty = ours._replace(addresses=(), routes=(), rules=())
        apply_steps(host, diff.changes(empty, ours, host.kernel(ours.families)))


@contextlib.contextmanager
def hold(host, name, end):
    # type: (Host, str, float) -> Iterator[None]
    """Keep others from bringing `name` up or down meanwhile; ends an `ifup` that waits.

    Raises LockHeld at the moment `end` of the clock.
    """
    while True:
        lock = _lock(host, name, _TURN)
        try:
            lock.__enter__()
            break
        except LockHeld:
            # Without its dhclient an ifup has nothing to wait for; the next in the queue likewise.
            host.end_dhclient(name)
            if host.clock() >= end:
                raise
    try:
        yield
    finally:
        lock.__exit__()


def take_down(host, name, end=_NEVER):
    # type: (Host, str, float) -> None
    """Take `name` down before the moment `end`; the caller holds it.

    Raises CommandError if it stays up.
    """
    if host.devices.device(name) is None:
        # An ifup that is not ours waits with it for nothing, and our ifdown for that.
        host.end_dhclient(name)
    try:
        _run(host, Look(host).distribution.down_command(name), end - _AFTER_IFDOWN)
    except CommandError as error:
        # network-scripts fail when the dhclient had died, or the device is gone, and are done.
        device = host.devices.device(name)
        if device is not None and device.up:
            raise
        log.debug("%s: %s", name, error)
    record.change(host.run_directory, name, device=0)


def forget(host, name, end):
    # type: (Host, str, float) -> None
    """Have the distribution forget an interface whose files are gone, before the moment `end`."""
    distribution = Look(host).distribution
    for command in distribution.forget_commands(name):
        try:
            if command == distribution.RELOAD:
                daemon.read_files(host, command, host.clock())
            else:
                _run(host, command, end)
        except HostError as error:
            # A device that goes meanwhile has nothing left on it.
            log.debug("%s: %s", name, error)


def _lock(host, name, wait):
    # type: (Host, str, float) -> Lock
    return host.run_directory.lock(_lock_name(name), wait)


def _lock_name(name):
    # type: (str) -> str
    return "ifup-" + name


def _lacks_address(host, plan):
    # type: (Host, Plan) -> bool
    """Return whether the interface has lost the address that its dhclient believes it has."""
    if plan.left_alone or plan.state is None or plan.live:
        return False
    # It may have come since the plan was made.
    has = host.kernel([4 if ":" not in plan.state.primary else 6])
    wanted = (plan.state.primary, plan.name)
    return not any((item.address, item.device) == wanted for item in has.addresses)


def _came_back_unnoticed(interface):
    # type: (Interface) -> bool
    """Return whether the device is another than the one that was last brought up by this name.

    So it is when it was detached, and it or another ENI of that name attached, without a remove in
    between. Each device has a number of its own (ifindex), which is recorded.
    """
    device, recorded = interface.device, interface.record.device
    return device is not None and recorded not in (0, device.index)


def _run(host, argv, end):
    # type: (Host, List[str], float) -> None
    try:
        returncode = host.runner.run_visibly(argv, max(end - host.clock(), 1.0))
    finally:
        host.forget_kernel()
    if returncode != 0:
        raise CommandError(argv, returncode, "")
