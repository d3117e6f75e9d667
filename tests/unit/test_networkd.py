"""systemd-networkd: whose a link is, and what its file says on which version."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import distributions
from ec2net_legacy.distributions import networkd
from ec2net_legacy.distributions.networkd import links
from ec2net_legacy.errors import HostError
from ec2net_legacy.host.command import Result
from tests.unit import flows
from tests.unit.enis import ENIS, eni_of, state_of
from tests.unit.fakes import (
    PRIMARY,
    SECOND,
    THIRD,
    FakeDevices,
    FakeReader,
    eni_texts,
    make_host,
    metadata_tree,
    nic,
    raised,
)
from tests.unit.hosts import tree

LINKS = "/run/systemd/netif/links/"
RUN = "/run/systemd/network/"
ADMIN = "/etc/systemd/network/"
OURS = RUN + "70-eth1.network"
FIRST = RUN + "07-eth1.network"
DROP_IN = ADMIN + "70-eth1.network.d/own.conf"
ITEMS = "/var/lib/ec2net/eth1.items"
ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
DEFAULT = "{0}\t00000000\t0100000A\t0003\t0\t0\t{1}\t00000000\t0\t0\t0\n"
SUBNET = "eth1\t0001000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"


def host(files=(), version=252, setting="networkd"):
    library = "/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-{0}.so".format(version)
    indexes = {"/sys/class/net/eth{0}/ifindex".format(one): str(one + 2) for one in (0, 1)}
    present = dict({library: ""}, **indexes)
    present.update(files)
    return distributions.choose(setting, FakeReader(present))


def link(number, path="", state="configured"):
    """Return the file of networkd's about ethN."""
    lines = ["# private", "ADMIN_STATE=" + state] + (["NETWORK_FILE=" + path] if path else [])
    return {LINKS + str(number + 2): "\n".join(lines) + "\n"}


def written(files=(), version=252, case="three addresses"):
    found = host(files, version).files(state_of(ENIS[case]), eni_of(ENIS[case]))
    return {path: text for path, text in found.items() if text is not None}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("ADMIN_STATE=configured\nNETWORK_FILE=/a.network\n", ("configured", "/a.network")),
        # 247 keeps the name of the last one.
        ("ADMIN_STATE=unmanaged\nNETWORK_FILE=/a.network\n", ("unmanaged", "")),
        ("ADMIN_STATE=configured\nNETWORK_FILE=a.network\n", ("configured", "")),
        ("", ("", "")),
        ("NETWORK_FILE\n=x\n\0", ("", "")),
    ],
)
def test_what_networkd_says_of_a_link(text, expected):
    reader = FakeReader({"/sys/class/net/eth1/ifindex": "3\n", LINKS + "3": text})
    assert links.link(reader, "eth1") == expected


def test_a_device_that_is_gone_has_no_link():
    assert links.link(FakeReader({LINKS: ""}), "eth1") == ("", "")


@pytest.mark.parametrize(
    "routes, expected",
    [
        (ROUTES + SUBNET + DEFAULT.format("eth1", 10001) + DEFAULT.format("eth0", 100),
         ["eth1", "eth0"]),
        (ROUTES + SUBNET, []),
        # Half of a VPN's default route.
        (ROUTES + DEFAULT.format("tun0", 0).replace("\t00000000\t0\t0", "\t00000080\t0\t0"), []),
        ("", []),
    ],
)
def test_the_ways_out_are_the_default_routes(routes, expected):
    assert links.ways_out(FakeReader({"/proc/net/route": routes})) == expected


INTERFACES = {"/etc/network/interfaces": ""}
WAY_OUT = {"/proc/net/route": ROUTES + DEFAULT.format("eth0", 100)}


@pytest.mark.parametrize(
    "files, expected",
    [
        (dict(WAY_OUT, **link(0, ADMIN + "20-primary.network")), "networkd"),
        # A VPN has a default route as well.
        (dict({"/proc/net/route": WAY_OUT["/proc/net/route"] + DEFAULT.format("tun0", 0)},
              **link(0, ADMIN + "20-primary.network")), "networkd"),
        # A secondary's lease came before the primary's.
        (dict({"/proc/net/route": ROUTES + DEFAULT.format("eth1", 10001)}, **link(1, OURS)),
         "networkd"),
        # networkd has just started, and the primary has its route still.
        (dict(WAY_OUT, **dict(link(0, state="pending"), **{ITEMS: ""})), "networkd"),
        (dict(WAY_OUT, **link(0, state="pending")), "ifupdown"),
        # networkd is there for something else.
        (dict(WAY_OUT, **dict(link(0, state="unmanaged"), **link(1, ADMIN + "wg0.network"))),
         "ifupdown"),
        # Early in a boot.
        (link(0, ADMIN + "20-primary.network", "configuring"), "networkd"),
        (link(0, state="pending"), "ifupdown"),
        (dict(link(0, state="pending"), **{ITEMS: ""}), "networkd"),
        # Its restart: its links have gone, the default route has not.
        (dict(WAY_OUT, **{"/run/systemd/netif/state": "", ITEMS: ""}), "networkd"),
        (dict(WAY_OUT, **{"/run/systemd/netif/state": ""}), "ifupdown"),
        # It manages the primary no more.
        (dict(WAY_OUT, **dict(link(0, state="unmanaged"), **{ITEMS: ""})), "ifupdown"),
        # A file of ours alone proves nothing.
        (link(1, OURS), "ifupdown"),
        ({}, "ifupdown"),
    ],
)
def test_networkd_is_chosen_where_it_has_the_primary(files, expected):
    assert host(dict(INTERFACES, **files), setting="auto").name == expected


@pytest.mark.parametrize(
    "files, reason, is_edited",
    [
        ({ADMIN + "70-eth1.network": "[Match]\n"}, "70-eth1.network takes the place", False),
        ({ADMIN + "07-eth1.network": ""}, ADMIN + "07-eth1.network takes the place", False),
        (link(1, ADMIN + "20-all.network"), ADMIN + "20-all.network configures it", False),
        ({OURS: "[Match]\nName=eth1\n"}, OURS + " is not generated by ec2net", True),
        ({DROP_IN: "[X-EC2Net]\nEC2SYNC=no\n"}, "says EC2SYNC=no", False),
        ({DROP_IN: "# EC2SYNC=maybe\n"}, "expected yes or no", True),
        # Whatever sorts behind ours has no say where ours is there.
        (link(1, ADMIN + "90-all.network"), "", False),
        (link(1, "/lib/systemd/network/99-default.network"), "", False),
        (link(1, RUN + "10-netplan-all-eth.network"), "", False),
        (link(1, OURS), "", False),
        (link(1, FIRST), "", False),
        ({DROP_IN: "[Link]\nMTUBytes=1400\n"}, "", False),
        ({ADMIN + "70-eth10.network": ""}, "", False),
    ],
)
def test_what_an_administrator_wrote_wins(files, reason, is_edited):
    found = host(files).configuration("eth1")
    assert reason in found.keep and bool(found.keep) == bool(reason)
    assert found.edited == is_edited


@pytest.mark.parametrize(
    "path", [RUN + "10-netplan-all-eth.network", ADMIN + "10-cloud-init-eth1.network"]
)
def test_what_a_program_wrote_is_preceded_and_stays_so(path):
    found = written(link(1, path))
    assert sorted(found) == [FIRST, "/var/lib/ec2net/07-eth1.network", ITEMS]
    assert written(dict(found, **link(1, FIRST))) == found


def test_a_file_of_another_name_goes():
    earlier = written()
    files = host(dict(earlier, **link(1, RUN + "10-netplan-all-eth.network"))).files(
        state_of(ENIS["three addresses"]), eni_of(ENIS["three addresses"])
    )
    assert files[OURS] is None and FIRST in files


def test_the_text_of_networkd_does_not_change_with_the_addresses():
    assert written(case="one address")[OURS] == written(case="fifty addresses")[OURS]


@pytest.mark.parametrize("version, in_main", [(246, False), (0, False), (247, True), (257, True)])
def test_a_version_gets_what_it_knows(version, in_main):
    text = written(version=version, case="dual stack")[OURS].split("[IPv6AcceptRA]")[1]
    section, _, routes = text.partition("\n\n")
    assert "RouteTable=10001" in section
    router = "[Route]\nGateway=_ipv6ra\nMetric=10001\nTable=main\n"
    assert routes.startswith(router) == ("_ipv6ra" in routes) == in_main


@pytest.mark.parametrize("version, fails", [(243, True), (244, False), (0, False)])
def test_a_networkd_that_cannot_be_asked_to_read_is_an_error(version, fails):
    if fails:
        said = raised(HostError, host, version=version)
        assert "is of version 243: expected 244 or later" in said
    else:
        host(version=version)


def test_of_two_versions_the_younger_one_is_there():
    earlier = {"/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-241.so": ""}
    assert "_ipv6ra" in written(earlier, version=257, case="dual stack")[OURS]


@pytest.mark.parametrize("command", [flows.up, flows.down, flows.refresh])
def test_with_an_old_networkd_nothing_is_changed(machine, tmpdir, command):
    flows.add(machine, "eth1")
    tmpdir.ensure("root/lib/systemd/libsystemd-shared-241.so")
    before = tree(tmpdir)
    assert "expected 244" in raised(HostError, command, machine, "eth1")
    assert (tree(tmpdir), machine.runner.shown) == (before, [])


def test_without_a_route_in_main_the_router_is_in_the_table_alone():
    own = {DROP_IN: "[X-EC2Net]\nMAINROUTETABLE=no\n"}
    text = written(own, case="dual stack")[OURS]
    assert "_ipv6ra" not in text
    assert "RouteTable=10001" in text.split("[IPv6AcceptRA]")[1]


@pytest.fixture
def machine(tmpdir):
    """A host with an ENI eth1, whose primary is networkd's."""
    root = tmpdir.join("root")
    root.ensure("run/systemd/netif/links/2").write(link(0, ADMIN + "20-eth0.network")[LINKS + "2"])
    root.ensure("var/lib/notes")
    answers = metadata_tree({PRIMARY: eni_texts(0), SECOND: ENIS["three addresses"]}, PRIMARY)
    devices = FakeDevices(nic("eth0", PRIMARY, up=True), nic("eth1", SECOND, index=3))
    return make_host(tmpdir, answers, devices)


def test_what_is_not_ours_is_neither_taken_down_nor_flushed(machine):
    # An administrator may have given it addresses by hand.
    flows.down(machine, "eth1")
    assert machine.runner.shown == machine.runner.changes == []


@pytest.mark.parametrize("is_pulled", [True, False])
def test_after_the_last_eni_there_is_no_note_of_a_reading(machine, tmpdir, is_pulled):
    flows.up(machine, "eth1")
    assert tmpdir.join("run", "when-files-were-read").check()
    if is_pulled:
        del machine.devices.shown["eth1"]
    flows.down(machine, "eth1")
    assert [one.basename for one in tmpdir.join("run").listdir("when-*")] == []


def test_what_is_ours_is_taken_down_and_networkd_forgets_it(machine):
    flows.add(machine, "eth1")
    flows.down(machine, "eth1")
    found = [argv[:2] for argv in machine.runner.order if "-batch" not in argv and argv[1] != "-6"]
    assert found == [["ip", "link"], ["networkctl", "reload"], ["ip", "addr"]]
    assert not machine.files.exists(OURS)


@pytest.mark.parametrize("verb", ["up", "down"])
def test_a_reload_that_is_refused_during_another_is_asked_for_again(machine, monkeypatch, verb):
    flows.add(machine, "eth1")
    refused = [1, 1]
    real = machine.runner.run

    def run(argv, stdin=""):
        result = real(argv, stdin)
        is_refused = argv[0] == "networkctl" and refused
        return Result(refused.pop(), "", "refused") if is_refused else result

    monkeypatch.setattr(machine.runner, "run", run)
    # No lease comes: an administrator sees that from the log.
    getattr(flows, verb)(machine, "eth1")
    assert machine.runner.order.count(["networkctl", "reload"]) == 3


def test_a_scan_has_networkd_read_the_files_of_all_enis_at_once(machine):
    third = {THIRD: eni_texts(2)}
    tree = metadata_tree(dict({PRIMARY: eni_texts(0), SECOND: eni_texts(1)}, **third), PRIMARY)
    machine.session.answers.update(tree)
    machine.devices.shown["eth2"] = nic("eth2", THIRD, index=4)
    flows.catch_up(machine)
    assert machine.files.exists(OURS.replace("eth1", "eth2"))
    found = [argv[:2] for argv in machine.runner.order if "-batch" not in argv]
    assert found == [["networkctl", "reload"], ["ip", "link"], ["ip", "link"]]


@pytest.mark.parametrize("killed_over", ["put", "run"])
def test_what_a_refresh_that_died_wrote_is_read_after_the_next_one(
    machine, tmpdir, monkeypatch, killed_over
):
    # The fake kernel has rules without.
    monkeypatch.setattr(networkd.Distribution, "RULE_WORDS", "")
    flows.up(machine, "eth1")
    lease = "3: eth1    inet 10.0.1.10/24 scope global eth1\n"
    machine.runner.kernel[4] = lease + machine.runner.kernel[4]
    machine.devices.shown["eth1"] = nic("eth1", SECOND, up=True, index=3)
    assert flows.refresh(machine)[1] == []

    def reloads():
        return [argv for argv, _ in machine.runner.ran].count(["networkctl", "reload"])

    before = machine.files.read(OURS)
    del machine.runner.ran[:]
    tmpdir.join("root" + DROP_IN).write("[X-EC2Net]\nMAINROUTETABLE=no\n", ensure=True)
    with monkeypatch.context() as killed:
        put_files, run_command = machine.files.put, machine.runner.run

        def put(files):
            put_files(files)
            raise KeyboardInterrupt

        def run(argv, stdin=""):
            if argv[0] == "networkctl":
                raise KeyboardInterrupt
            return run_command(argv, stdin)

        if killed_over == "put":
            killed.setattr(machine.files, "put", put)
        else:
            killed.setattr(machine.runner, "run", run)
        with pytest.raises(KeyboardInterrupt):
            flows.refresh(machine)
    assert machine.files.read(OURS) != before
    for _ in range(2):
        machine.clock.now += 60
        assert flows.refresh(machine)[1] == []
        assert reloads() == 1
