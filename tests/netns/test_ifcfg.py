"""What is a RHEL's own about an ENI: its files, ifup and ifdown, and which hosts have that.

The main job itself is in test_main_job, for both distributions.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.netns.driver import (
    SCRIPTS,
    dhclient,
    hotplug,
    kernel,
    read,
    set_knob,
    status,
    unreachable,
    wait_until,
    write,
)

# An administrator's own, which have nothing to do with eth1 or only with its addresses.
FOREIGN = [
    ["rule", "add", "pref", "500", "from", "10.0.1.10", "lookup", "500"],
    ["rule", "add", "pref", "10001", "from", "10.0.1.11", "lookup", "500"],
    ["rule", "add", "pref", "20000", "from", "10.0.1.11", "lookup", "10001"],
    ["addr", "add", "10.0.0.99/32", "dev", "eth0"],
    ["route", "add", "192.0.2.0/24", "via", "10.0.0.1", "dev", "eth0", "table", "500"],
    ["route", "add", "192.0.2.0/24", "via", "10.0.0.1", "dev", "eth0", "table", "10001"],
]
SETTINGS = "/etc/ec2net/ec2net.conf"


@pytest.fixture
def lab(build):
    """A host with network-scripts."""
    return build(distribution="rhel")


def attach(lab):
    """Attach an ENI that has something of everything but IPv6."""
    return lab.attach("eth1", subnet="10.0.1.0/24", addresses=3, prefixes=["10.0.1.16/28"])


def test_ifdown_takes_back_exactly_what_ifup_and_the_hook_added(lab):
    attach(lab)
    for arguments in FOREIGN:
        lab.host(["ip"] + arguments)
    before = lab.snapshot()
    hotplug(lab, "add")
    configured = lab.snapshot()
    # `ip` would complain of what is there already: older kernels would have that rule twice.
    assert lab.host(["ifup", "eth1"]).stderr == ""
    assert "10.0.1.12/32" in str(kernel(lab)["addresses"])
    assert lab.host(["ifdown", "eth1"]).stderr == ""
    assert lab.snapshot() == configured
    lab.host(["ifup", "eth1"])
    lab.host(["ec2ifdown", "eth1"])
    assert lab.snapshot() == before


def test_a_running_interface_is_not_restarted(lab):
    eni = attach(lab)
    lab.host(["ec2ifup", "eth1"])
    pid, before = dhclient(lab), lab.snapshot()
    acknowledged = lab.dhcp_log("eth1").count("DHCPACK")
    said = lab.host(["ec2ifup", "eth1"])
    assert said.stderr == ""
    hotplug(lab, "add")
    assert (dhclient(lab), lab.snapshot()) == (pid, before)
    assert lab.dhcp_log("eth1").count("DHCPACK") == acknowledged
    assert unreachable(lab, eni.addresses) == []


def dhclients(lab):
    """Return how many processes of dhclient there are; one is the primary's."""
    return len(lab.host(["pgrep", "-x", "dhclient"]).stdout.split())


def test_while_the_init_system_waits_for_the_lease(lab):
    """network.service has the file of an earlier boot, and udev's event comes meanwhile."""
    attach(lab)
    hotplug(lab, "add")
    no_dhcp = ("table inet slow { chain input {"
               " type filter hook input priority -500; udp dport 67 drop; }; }")
    lab.router(["nft", "-f", "-"], input=no_dhcp)
    lab.imds_clear_log()
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(lab.host, ["ifup", "eth1", "boot"])]
        wait_until(lambda: dhclients(lab) > 1)
        running.append(pool.submit(lab.host, ["ec2ifup", "eth1"]))
        # What comes after that is no matter of seconds; the next try of dhclient is.
        wait_until(lambda: any("ipv4-prefix" in one["path"] for one in lab.imds_requests()))
        lab.router(["nft", "delete", "table", "inet", "slow"])
        for command in running:
            command.result()
    assert dhclients(lab) == 2


def kill_dhclient(lab):
    """End eth1's dhclient as the kernel does when it is out of memory."""
    pid = dhclient(lab)
    lab.host(["kill", "-9", pid])
    wait_until(lambda: read(lab, "/proc/{}/comm".format(pid)) is None)


def test_a_dhclient_that_died_is_started_again(lab):
    eni = attach(lab)
    lab.host(["ec2ifup", "eth1"])
    before = lab.snapshot()
    kill_dhclient(lab)
    # Nothing is added that is there: kernels before 4.8 would have it twice.
    assert "exists" not in lab.host(["ec2ifup", "eth1"]).stderr
    assert dhclient(lab)
    assert lab.snapshot() == before
    assert unreachable(lab, eni.addresses) == []


def test_up_again_after_a_remove_adds_nothing_twice(lab):
    eni = attach(lab)
    lab.host(["ec2ifup", "eth1"])
    before = lab.snapshot()
    hotplug(lab, "remove")
    assert "exists" not in lab.host(["ec2ifup", "eth1"]).stderr
    assert lab.snapshot() == before
    assert unreachable(lab, eni.addresses) == []


@pytest.mark.parametrize("pattern", ["eth1", "0a:ec:20:00:00:01"])
def test_what_the_settings_ignore_is_not_taken_away(lab, pattern):
    attach(lab)
    lab.host(["ec2ifup", "eth1"])
    lab.host(["mkdir", "-p", "/etc/ec2net"])
    write(lab, "/etc/ec2net/ec2net.conf", "ignore = {}\n".format(pattern))
    before = lab.snapshot()
    for command in (["ec2ifdown", "eth1"], ["ec2ifup", "eth1"], ["ec2net", "refresh"]):
        lab.host(command)
        assert lab.snapshot() == before
    hotplug(lab, "remove")
    assert lab.snapshot() == before


def test_down_with_a_dhclient_that_died(lab):
    before = lab.snapshot()
    attach(lab)
    lab.host(["ec2ifup", "eth1"])
    kill_dhclient(lab)
    lab.host(["ec2ifdown", "eth1"])
    lab.detach("eth1")
    assert lab.snapshot() == before


def test_an_eni_that_came_back_after_its_dhclient_died(lab):
    """network-scripts' ifdown fails over that, and ifup is what matters."""
    attach(lab)
    lab.host(["ec2ifup", "eth1"])
    kill_dhclient(lab)
    lab.detach("eth1")
    eni = lab.attach("eth1", subnet="10.0.2.0/24", addresses=2)
    lab.host(["ec2ifup", "eth1"])
    assert unreachable(lab, eni.addresses) == []


def test_the_configuration_of_one_eni_is_not_used_for_another(lab):
    attach(lab)
    lab.host(["ec2ifup", "eth1"])
    lab.detach("eth1")
    eni = lab.attach("eth1", subnet="10.0.2.0/24", addresses=2)
    lab.fault(".*", status=403)
    assert lab.host(["ec2ifup", "eth1"], check=False).returncode != 0
    assert "10.0.1." not in str(kernel(lab)["addresses"])
    lab.clear_faults()
    lab.host(["ec2ifup", "eth1"])
    assert unreachable(lab, eni.addresses) == []
    assert "10.0.1." not in str(kernel(lab)["rules"])


def test_the_metadata_service_is_still_reached_by_the_primary(lab):
    """ifup gives every interface a route to 169.254/16 unless it is told not to."""
    write(lab, "/etc/sysconfig/network", "NETWORKING=yes\n")
    attach(lab)
    lab.host(["ec2ifup", "eth1"])
    assert "dev eth0" in lab.host(["ip", "route", "get", "169.254.169.254"]).stdout


def test_what_a_user_adds_to_the_file_stays_there(lab):
    attach(lab)
    hotplug(lab, "add")
    text = read(lab, SCRIPTS + "ifcfg-eth1")
    write(lab, SCRIPTS + "ifcfg-eth1", text + "MTU=1400\nZONE='public'\nPEERDNS=yes\n")
    lab.assign("eth1", "10.0.1.77")
    hotplug(lab, "add")
    assert read(lab, SCRIPTS + "ifcfg-eth1") == text + "MTU='1400'\nZONE='public'\n"
    lab.host(["ec2ifup", "eth1"])
    assert lab.pings("10.0.1.77")


# Which hosts have this backend

def written(lab):
    """Return what `ec2net-hotplug add` writes for eth1."""
    before = lab.snapshot()["files"]
    hotplug(lab, "add")
    return sorted(set(lab.snapshot()["files"]) - set(before))


def test_a_host_with_network_scripts(lab):
    attach(lab)
    assert written(lab) == [
        "/etc/dhcp/dhclient-eth1.conf", SCRIPTS + "ifcfg-eth1", SCRIPTS + "route-eth1",
        SCRIPTS + "rule-eth1",
    ]


def test_a_host_with_both(lab):
    """Many write /etc/network/interfaces who have no ifupdown."""
    lab.host(["mkdir", "/etc/network"])
    write(lab, "/etc/network/interfaces", "auto lo\niface lo inet loopback\n")
    attach(lab)
    assert SCRIPTS + "ifcfg-eth1" in written(lab)
    assert lab.host(["ls", "/etc/network"]).stdout == "interfaces\n"


def test_a_host_with_neither(lab):
    attach(lab)
    lab.host(["ec2ifup", "eth1"])
    lab.host(["rm", SCRIPTS + "ifup-eth"])
    before = lab.snapshot()
    for command in (["ec2ifup", "eth1"], ["ec2ifdown", "eth1"], ["ec2ifscan"],
                    ["ec2net", "plan"], ["ec2net", "status"]):
        result = lab.host(command, check=False)
        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1
        assert SCRIPTS + "ifup-eth" in result.stderr
        assert "/etc/network/interfaces" in result.stderr
    assert lab.snapshot() == before


def test_the_other_backend_is_what_the_settings_say(lab):
    attach(lab)
    lab.host(["mkdir", "-p", "/etc/ec2net", "/etc/network"])
    write(lab, SETTINGS, "backend = ifupdown\n")
    before = lab.snapshot()
    result = hotplug(lab, "add")
    # It does not run there, and that is said.
    assert "/etc/network/interfaces reads no /etc/network/interfaces.d/eth1.cfg" in result.stderr
    assert lab.host(["ls", "/etc/network/interfaces.d"]).stdout == "eth1.cfg\n"
    hotplug(lab, "remove")
    assert lab.snapshot() == before
    write(lab, SETTINGS, "backend = ifcfg\n")
    assert SCRIPTS + "ifcfg-eth1" in written(lab)


# What is shown

def texts(lab):
    """Return what status and plan say."""
    return [lab.host(["ec2net", what]).stdout for what in ("status", "plan")]


def values(lab):
    """Return the same of eth1 as values."""
    return [json.loads(lab.host(["ec2net", what, "--json"]).stdout)["interfaces"][1]
            for what in ("status", "plan")]


def test_the_same_is_told_as_on_debian(lab, build):
    debian = build()
    kernels = []
    for each in (lab, debian):
        attach(each)
        shown, planned = values(each)
        assert (shown["state"], shown["table"]) == ("differs", 10001)
        kernels.append([step["ip"] for step in planned["kernel"]])
        each.host(["ec2ifup", "eth1"])
    assert kernels[0] == kernels[1]
    assert texts(lab) == texts(debian)
    assert values(lab) == values(debian)


def test_all_of_it_fits_a_terminal(lab):
    attach(lab)
    said = texts(lab)
    lab.host(["ec2ifup", "eth1"])
    said += texts(lab)
    lab.assign("eth1", "10.0.1.77")
    said += texts(lab)
    set_knob(lab, "EC2SYNC", "no")
    said += texts(lab)
    assert [line for line in "".join(said).splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/dhcp/dhclient-eth1.conf", "send host-name \"web\";\n"),
        (SCRIPTS + "ifcfg-eth1", "DEVICE=eth1\nBOOTPROTO=static\nIPADDR=10.0.1.10\n"),
    ],
    ids=["a warning", "left alone"],
)
def test_what_is_an_administrators_is_told_on_a_terminal(lab, path, text):
    attach(lab)
    write(lab, path, text)
    said = texts(lab)
    assert all("is not generated by ec2net" in " ".join(one.split()) for one in said)
    assert [line for line in "".join(said).splitlines() if len(line) > 80] == []
    assert status(lab)["eth1"]["state"] in ("differs", "unmanaged")
