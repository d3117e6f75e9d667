"""What the environment and the arguments of an event come to."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import event
from ec2net_legacy.errors import UsageError
from ec2net_legacy.model import Lease
from tests.unit.fakes import raised

HOSTILE_NAMES = [
    "", ".", "..", ".eth1", "-eth1", "../eth1", "eth1/../../x", "eth 1", "eth1\n", "eth1;id",
    "$(id)", "`id`", "eth1*", "eth1:0", "eth1'", "sixteen_letters_", "\u0665th1", "eth\u0661",
    "eth1\x00",
]


@pytest.mark.parametrize(
    "name", ["eth0", "eth1", "ens5", "enp0s31f6", "wlan0.100", "br-1a2b", "_x", "fifteen_letters"]
)
def test_a_plain_name_is_taken_as_it_is(name):
    assert event.interface_name(name) == name


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=repr)
def test_a_name_that_is_not_plain_is_refused_and_shown_on_one_line(name):
    message = raised(UsageError, event.interface_name, name, "INTERFACE")
    assert message.startswith("INTERFACE is ")
    assert "\n" not in message


def test_a_long_name_is_shown_only_in_part():
    assert len(raised(UsageError, event.interface_name, "e" * 5000)) < 200


def test_a_name_in_bytes_is_text_afterwards():
    assert event.interface_name(b"eth1") == "eth1"


@pytest.mark.parametrize(
    "argument, environ, expected",
    [
        ("add", {"INTERFACE": "eth1"}, ("add", "eth1")),
        ("remove", {"INTERFACE": "eth1"}, ("remove", "eth1")),
        (None, {"INTERFACE": "eth1", "ACTION": "add"}, ("add", "eth1")),
        (None, {"INTERFACE": "eth1", "ACTION": "remove"}, ("remove", "eth1")),
        ("add", {"INTERFACE": "eth1", "ACTION": "remove"}, ("add", "eth1")),
        ("remove", {"INTERFACE": "eth1", "ACTION": "add"}, ("remove", "eth1")),
        ("add", {"INTERFACE": "eth1", "ACTION": "nonsense"}, ("add", "eth1")),
        (b"add", {"INTERFACE": b"eth1"}, ("add", "eth1")),
        (None, {"INTERFACE": "eth1", "ACTION": "change"}, ("ignore", "eth1")),
        (None, {"INTERFACE": "eth1", "ACTION": "move"}, ("ignore", "eth1")),
        (None, {"INTERFACE": "eth1", "ACTION": "online"}, ("ignore", "eth1")),
        (None, {"INTERFACE": "eth1", "ACTION": "bind"}, ("ignore", "eth1")),
    ],
)
def test_an_event_is_an_action_and_an_interface(argument, environ, expected):
    assert event.hotplug_event(argument, environ) == expected


@pytest.mark.parametrize(
    "argument, environ, said",
    [
        (None, {"INTERFACE": "eth1"}, "no action"),
        (None, {"INTERFACE": "eth1", "ACTION": ""}, "no action"),
        ("", {"INTERFACE": "eth1", "ACTION": "add"}, "no action"),
        ("change", {"INTERFACE": "eth1"}, "add or remove"),
        ("ADD", {"INTERFACE": "eth1"}, "add or remove"),
        (None, {"INTERFACE": "eth1", "ACTION": "detach"}, "add or remove"),
        ("add", {}, "INTERFACE is not set"),
        ("add", {"INTERFACE": ""}, "INTERFACE is not set"),
        ("add", {"INTERFACE": "../x"}, "INTERFACE is '../x'"),
    ],
)
def test_an_event_that_lacks_something_says_what_was_expected(argument, environ, said):
    assert said in raised(UsageError, event.hotplug_event, argument, environ)


GAINED = ["BOUND", "RENEW", "REBIND", "REBOOT", "TIMEOUT"]
LOST = ["EXPIRE", "FAIL", "RELEASE", "STOP"]
NOTHING = ["PREINIT", "MEDIUM", "NBI", "DEPREF", "ARPCHECK", "bound", "nonsense"]


@pytest.mark.parametrize(
    "reason, action",
    [(reason, "gained") for reason in GAINED]
    + [(reason, "lost") for reason in LOST]
    + [(reason, "ignore") for reason in NOTHING],
)
def test_a_lease_event_is_what_dhclient_says_of_either_family(reason, action):
    for family, ending, old in ((4, "", "old_ip_address"), (6, "6", "old_ip6_address")):
        environ = {"reason": reason + ending, "interface": "eth1", old: "of a lease"}
        assert event.lease_event(environ) == (action, "eth1", family, None)


@pytest.mark.parametrize("reason", ["FAIL", "FAIL6"])
def test_a_dhclient_that_never_had_a_lease_has_none_to_lose(reason):
    assert event.lease_event({"reason": reason, "interface": "eth1"}).action == "ignore"


def test_a_lease_event_in_bytes_is_the_same():
    found = event.lease_event({"reason": b"BOUND6", "interface": b"ens6"})
    assert found == ("gained", "ens6", 6, None)
    found = event.lease_event(
        {
            "reason": b"BOUND",
            "interface": b"ens6",
            "new_ip_address": b"10.0.1.10",
            "new_routers": b"10.0.1.1",
        }
    )
    assert found == ("gained", "ens6", 4, Lease("10.0.1.10", "10.0.1.1"))


@pytest.mark.parametrize(
    "address, routers, lease",
    [
        ("10.0.1.10", "10.0.1.1", Lease("10.0.1.10", "10.0.1.1")),
        ("10.0.1.10", "10.0.1.2 10.0.1.3", Lease("10.0.1.10", "10.0.1.2")),
        (" 10.0.1.10 ", None, Lease("10.0.1.10", "")),
        ("10.0.1.10", "", Lease("10.0.1.10", "")),
        ("10.0.1.10", "$(id)", Lease("10.0.1.10", "")),
        ("10.0.1.10", "fe80::1", Lease("10.0.1.10", "")),
        ("10.0.1.10", "$(id) 10.0.1.1", Lease("10.0.1.10", "")),
        ("10.0.1.300", "10.0.1.1", None),
        ("`id`", "10.0.1.1", None),
        ("", "10.0.1.1", None),
        (None, "10.0.1.1", None),
    ],
)
def test_a_lease_is_an_address_and_a_router_or_none(address, routers, lease):
    said = {"new_ip_address": address, "new_routers": routers}
    environ = {name: value for name, value in said.items() if value is not None}
    for reason in GAINED:
        found = event.lease_event(dict(environ, reason=reason, interface="eth1"))
        assert found == ("gained", "eth1", 4, lease)
    for reason in LOST + ["PREINIT", "BOUND6"]:
        found = event.lease_event(dict(environ, reason=reason, interface="eth1"))
        assert found.lease is None


@pytest.mark.parametrize("name", ["new_ip_address", "new_routers"])
def test_what_is_no_address_is_told_on_one_short_line(name, caplog):
    environ = {"reason": "BOUND", "interface": "eth1", "new_ip_address": "10.0.1.10"}
    environ[name] = "x\x00;id" + "y" * 5000
    with caplog.at_level("WARNING"):
        event.lease_event(environ)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(name + " is ")
    assert "\n" not in said
    assert len(said) < 200


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"reason": "BOUND"},
        {"interface": "eth1"},
        {"reason": "", "interface": "eth1"},
        {"reason": "BOUND", "interface": ""},
        # What udev calls it.
        {"reason": "BOUND", "INTERFACE": "eth1"},
    ],
)
def test_a_lease_event_that_lacks_something_is_an_error(environ):
    assert "reason or interface is not set" in raised(UsageError, event.lease_event, environ)


@pytest.mark.parametrize("name", HOSTILE_NAMES[1:], ids=repr)
@pytest.mark.parametrize("reason", ["BOUND", "STOP6", "PREINIT"])
def test_a_lease_of_a_name_that_is_not_plain_is_refused(name, reason):
    said = raised(UsageError, event.lease_event, {"reason": reason, "interface": name})
    assert said.startswith("interface is ")
