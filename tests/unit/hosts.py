"""A host that goes from one run to the next: its files and notes stay, its devices come and go."""
from __future__ import absolute_import, print_function, unicode_literals

import requests

from tests.unit.fakes import (
    COMMON_RULES,
    PRIMARY,
    SECOND,
    THIRD,
    FakeDevices,
    eni_texts,
    make_host,
    metadata_tree,
    nic,
    with_connected,
)

SCRIPTS = "etc/sysconfig/network-scripts/"
INTERFACES = "etc/network/interfaces"
ETH1 = "etc/network/interfaces.d/eth1.cfg"
ETH2 = "etc/network/interfaces.d/eth2.cfg"
REFUSED = requests.exceptions.ConnectionError("Connection refused")

ETH0 = nic("eth0", PRIMARY, up=True)
RULE = "10001:\tfrom 10.0.1.10 lookup 10001 "


def card(name="eth1", mac=SECOND, up=False, index=3):
    """Return an ENI's device."""
    return nic(name, mac, up=up, index=index)


def inet(address, device="eth1", family=""):
    """Return the line in which `ip -o` shows an address."""
    return "3: {1}    inet{2} {0} scope global {1}\\       valid_lft forever".format(
        address, device, family
    )


def kernel_with(*lines):
    """Return a kernel that has these lines, the rules that are always there, and what it makes."""
    return {4: COMMON_RULES + "".join(line + "\n" for line in with_connected(lines))}


class Hosts(object):
    """Makes the host as a run finds it: `hosts(device, ...)` beside the primary eth0.

    Metadata lists the primary, SECOND and THIRD, or what `enis` says; it is `down`, or answers.
    With `after` the kernel is what that host left, without what went with its devices.
    """

    def __init__(self, tmpdir, distribution="debian"):
        self.directory = tmpdir
        if distribution == "debian":
            text = "iface eth0 inet dhcp\nsource /etc/network/interfaces.d/*.cfg\n"
            self.file(INTERFACES).write(text, ensure=True)
        else:
            self.file(SCRIPTS + "ifup-eth").write("", ensure=True)
            self.file(SCRIPTS + "ifcfg-eth0").write("DEVICE=eth0\nBOOTPROTO=dhcp\n")

    def __call__(self, *devices, **others):
        enis = others.pop("enis", {SECOND: eni_texts(1), THIRD: eni_texts(2)})
        answers = metadata_tree(dict({PRIMARY: eni_texts(0)}, **enis))
        answers.update(others.pop("answers", {}))
        if others.pop("down", False):
            answers = dict.fromkeys(answers, REFUSED)
        primary = others.pop("primary", ETH0)
        after = others.pop("after", None)
        host = make_host(self.directory, answers, FakeDevices(primary, *devices), **others)
        if after is not None:
            keep_kernel(host, after)
        return host

    def file(self, path):
        """Return a file of the host."""
        return self.directory.join("root", path)

    def boot(self):
        """Let the host forget what is in /run."""
        self.directory.join("run").remove()

    @property
    def files(self):
        """The files there are."""
        root = self.directory.join("root")
        return sorted(path.relto(root) for path in root.visit(fil=lambda one: one.isfile()))

    @property
    def notes(self):
        """What is in the run directory but locks, which stay."""
        names = [path.basename for path in self.directory.join("run").listdir()]
        return sorted(name for name in names if name.split("-")[0] != "lock")


def keep_kernel(host, before):
    """Give `host` the kernel of the one `before`, for the devices that both have."""
    gone = [
        name for name, one in before.devices.shown.items() if host.devices.shown.get(name) is None
        or host.devices.shown[name].index != one.index
    ]
    host.runner, sysctl = before.runner, before.sysctl
    if host.devices.groups is not None:
        host.devices.groups = host.runner.groups
    for name in gone:
        host.runner.groups.pop(name, None)
        (host.runner.names or {}).pop(name, None)
        for family, text in host.runner.kernel.items():
            lines = [
                line for line in text.splitlines()
                if " dev {0} ".format(name) not in line + " "
                and ": {0} ".format(name) not in line
            ]
            host.runner.kernel[family] = "".join(line + "\n" for line in lines)
    for name, value in sysctl.values.items():
        if name in host.sysctl.values and name.split("/")[3] not in gone:
            host.sysctl.values[name] = value
    host.sysctl.refused = sysctl.refused
    del host.runner.ran[:]


def asked(host):
    """Return the keys that metadata was asked for."""
    return [one.path for one in host.session.requests if one.method == "GET"]


def brought_up(host):
    """Return which interfaces the distribution brought up."""
    return [argv[-1] for argv in host.runner.shown if argv[0] == "ifup"]


def ran(host):
    """Return which of the distribution's programs were run."""
    return [argv[0] for argv in host.runner.shown]


def before_each(host, act):
    """Let `act` happen before each of the distribution's programs; it gets argv and the limit."""
    show = host.runner.run_visibly

    def run_visibly(argv, limit):
        act(argv, limit)
        return show(argv, limit)

    host.runner.run_visibly = run_visibly


def tree(tmpdir):
    """Return {path: bytes} of the host's files."""
    root = tmpdir.join("root")
    return {path.relto(root): path.read_binary() for path in root.visit(fil=lambda p: p.isfile())}


def warnings_of(caplog):
    """Return what was logged as a warning."""
    return [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]


def debian(tmpdir, texts, is_up, interfaces=""):
    """Return a function that makes a host with ifupdown: eth0 is the primary, eth1 another ENI.

    `texts` are those of eth1's keys, `interfaces` what else is in ifupdown's file.
    """
    source = "source /etc/network/interfaces.d/*.cfg\n"
    tmpdir.ensure("root", INTERFACES).write(interfaces + source)

    def make(enis=None, devices=None, **others):
        enis = dict({PRIMARY: eni_texts(0)}, **(enis or {SECOND: texts}))
        answers = dict(metadata_tree(enis), **others.pop("answers", {}))
        cards = devices or [ETH0, nic("eth1", SECOND, up=is_up)]
        return make_host(tmpdir, answers, FakeDevices(*cards), **others)

    return make
