"""What ``make install`` puts where, and that systemd and udev take it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.test_install import listing, make

UNITS = {
    "ec2-ifup@.service",
    "ec2-ifdown@.service",
    "elastic-network-interfaces.service",
    "ec2net-docker.service",
    "ec2net-networkd.service",
    "ec2net-switch@.service",
}
JOBS = {
    "etc/init/ec2-ifup.conf",
    "etc/init/ec2-ifdown.conf",
    "etc/init/elastic-network-interfaces.conf",
    "etc/init/docker-finish.conf",
}
TIMER = {"ec2net-refresh.service", "ec2net-refresh.timer", "ec2net-networkd.path"}
CRON = "etc/cron.d/ec2net-refresh"
HOOKS = {
    "debian": "etc/dhcp/dhclient-exit-hooks.d/ec2net",
    "rhel": "etc/dhcp/dhclient.d/ec2dhcp.sh",
}
OLD_PLACES = {
    "debian": "etc/network/ec2net.hotplug",
    "rhel": "etc/sysconfig/network-scripts/ec2net.hotplug",
}
RULES = "53-ec2-network-interfaces.rules"
GENERATOR = "etc/udev/rules.d/75-persistent-net-generator.rules"
ENABLED = {
    "etc/systemd/system/multi-user.target.wants/elastic-network-interfaces.service",
    "etc/systemd/system/docker.service.wants/ec2net-docker.service",
    "etc/systemd/system/timers.target.wants/ec2net-refresh.timer",
    "etc/systemd/system/systemd-networkd.service.wants/ec2net-networkd.service",
    "etc/systemd/system/systemd-networkd.service.wants/ec2net-networkd.path",
}


def placed(tree):
    """Return the installed files that are not the package, its commands or its settings."""
    return {
        path for path, (_, content) in listing(tree).items()
        if content is not False and "usr/lib/ec2net/" not in path and "usr/sbin" not in path
        and path != "etc/ec2net/ec2net.conf"
    }


def below(directory, paths):
    """Return the names of those of `paths` that are in a directory of that name."""
    return {os.path.basename(path) for path in paths if directory in path.split("/")[-2:-1]}


@pytest.mark.parametrize("flavour", sorted(HOOKS))
def test_on_systemd(tmp_path, flavour):
    make("install", tmp_path, FLAVOUR=flavour, INIT="systemd")
    found = placed(tmp_path)
    assert below("system", found) == UNITS | TIMER
    assert below("rules.d", found) == {RULES, os.path.basename(GENERATOR)}
    assert {HOOKS[flavour], OLD_PLACES[flavour], GENERATOR} | ENABLED <= found
    assert len(found) == len(UNITS | TIMER | ENABLED) + 4
    for link in ENABLED:
        assert Path(str(tmp_path) + os.readlink(str(tmp_path / link))).is_file()


@pytest.mark.parametrize("flavour", sorted(HOOKS))
def test_on_upstart(tmp_path, flavour):
    make("install", tmp_path, FLAVOUR=flavour, INIT="upstart")
    found = placed(tmp_path)
    assert below("rules.d", found) == {RULES, os.path.basename(GENERATOR)}
    assert JOBS | {CRON, HOOKS[flavour], OLD_PLACES[flavour]} <= found
    assert len(found) == len(JOBS) + 5


def test_without_either_there_is_no_trigger_but_cron(tmp_path):
    make("install", tmp_path, FLAVOUR="no", INIT="no")
    assert placed(tmp_path) == {CRON}


def test_cron_mails_nobody_what_the_log_has(tmp_path):
    make("install", tmp_path, FLAVOUR="no", INIT="no")
    lines = (tmp_path / CRON).read_text().splitlines()
    assert 'MAILTO=""' in lines[:-1]
    assert lines[-1].startswith("* * * * * root ")


@pytest.mark.parametrize("flavour", sorted(HOOKS))
@pytest.mark.parametrize("init", ["systemd", "upstart"])
def test_nothing_is_left_to_fill_in(tmp_path, flavour, init):
    make("install", tmp_path, FLAVOUR=flavour, INIT=init, PREFIX="/usr", LEASE_TIMEOUT=7)
    for path in placed(tmp_path):
        file = tmp_path / path
        if not file.is_symlink():
            assert not re.search("@[A-Z_]+@", file.read_text()), path
    assert "7" in (tmp_path / HOOKS[flavour]).read_text()


@pytest.mark.parametrize("flavour", sorted(OLD_PLACES))
def test_the_command_is_also_where_the_older_tools_had_it(tmp_path, flavour):
    make("install", tmp_path, FLAVOUR=flavour, PREFIX="/usr/local")
    link = tmp_path / OLD_PLACES[flavour]
    assert os.readlink(str(link)) == "/usr/local/sbin/ec2net-hotplug"


def test_a_generator_that_was_switched_off_stays_so(tmp_path):
    generator = tmp_path / GENERATOR
    generator.parent.mkdir(parents=True)
    generator.symlink_to("/dev/null")
    make("install", tmp_path)
    assert os.readlink(str(generator)) == "/dev/null"


def test_a_host_with_network_scripts_is_recognised(tmp_path):
    scripts = tmp_path / "etc/sysconfig/network-scripts"
    scripts.mkdir(parents=True)
    (scripts / "ifup-eth").touch()
    make("install", tmp_path, REFRESH="no")
    assert HOOKS["rhel"] in placed(tmp_path)


@pytest.mark.skipif(os.path.exists("/run/systemd/system"), reason="systemd runs here")
@pytest.mark.parametrize(
    ("sign", "found"),
    [("sbin/initctl", "etc/init/ec2-ifup.conf"), ("lib/systemd/systemd", CRON)],
)
def test_the_init_system_of_a_tree_is_recognised(tmp_path, sign, found):
    (tmp_path / sign).parent.mkdir(parents=True)
    (tmp_path / sign).touch()
    make("install", tmp_path)
    assert (found in placed(tmp_path)) is (sign == "sbin/initctl")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FLAVOUR", "suse"),
        ("INIT", "openrc"),
        ("REFRESH", "often"),
        ("PACKAGING", "perhaps"),
        ("PREFIX", "/opt/a&b"),
        ("PREFIX", "/opt/a|b"),
        ("PREFIX", "/opt/a\\1"),
        ("PREFIX", "opt"),
        ("LEASE_TIMEOUT", "5; reboot"),
        ("LEASE_TIMEOUT", "0"),
        ("LEASE_TIMEOUT", "601"),
        ("LEASE_TIMEOUT", "999"),
        ("PYTHON", "/opt/a|b/python"),
    ],
)
def test_what_it_cannot_do_it_refuses_before_the_first_file(tmp_path, variable, value):
    with pytest.raises(subprocess.CalledProcessError):
        make("install", tmp_path, **{variable: value})
    assert listing(tmp_path) == {}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_takes_the_units(tmp_path):
    make("install", tmp_path, INIT="systemd")
    (directory,) = {path.parent for path in tmp_path.rglob("ec2-ifup@.service")}
    paths = []
    for name in sorted(UNITS | TIMER):
        # The command has to exist where the unit says; a template needs an instance.
        file = directory / name
        file.write_text(file.read_text().replace("=/usr", "={}/usr".format(tmp_path)))
        paths.append(str(file).replace("@.", "@eth1."))
        if "@" in name:
            os.symlink(str(file), paths[-1])
    verified = subprocess.run(
        ["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False
    )
    said = [line for line in verified.stderr.splitlines() if "ec2" in line or "elastic" in line]
    assert (verified.returncode, said) == (0, [])
