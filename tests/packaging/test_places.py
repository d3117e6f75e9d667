"""What ``make install`` puts where, and that systemd takes the units."""

import re
import shutil
import subprocess

import pytest

from tests.packaging.test_install import listing, make

HOOKS = {
    "debian": "etc/dhcp/dhclient-exit-hooks.d/ec2net",
    "rhel": "etc/dhcp/dhclient.d/ec2dhcp.sh",
}
REFRESH = {
    "timer": "ec2net-refresh.timer",
    "cron": "etc/cron.d/ec2net-refresh",
    "no": None,
}


def placed(tree):
    """Return the installed files that are not the package or its commands."""
    return [
        path for path, (_, content) in listing(tree).items()
        if content is not False and "usr/lib/ec2net" not in path and "usr/sbin" not in path
    ]


@pytest.mark.parametrize("flavour", sorted(HOOKS))
@pytest.mark.parametrize("refresh", sorted(REFRESH))
def test_hook_and_refresh_have_their_places(tmp_path, flavour, refresh):
    make("install", tmp_path, FLAVOUR=flavour, REFRESH=refresh, PREFIX="/usr", LEASE_TIMEOUT=7)
    found = placed(tmp_path)
    assert HOOKS[flavour] in found
    wanted = REFRESH[refresh]
    assert any(path.endswith(wanted) for path in found) if wanted else len(found) == 1
    for path in found:
        text = (tmp_path / path).read_text()
        assert not re.search("@[A-Z_]+@", text), path
        assert "/usr/sbin/ec2net" in text or path.endswith(".timer"), path
    assert "7" in (tmp_path / HOOKS[flavour]).read_text()
    make("uninstall", tmp_path, FLAVOUR=flavour, REFRESH=refresh)
    assert listing(tmp_path) == {}


def test_a_host_with_network_scripts_is_recognised(tmp_path):
    scripts = tmp_path / "etc/sysconfig/network-scripts"
    scripts.mkdir(parents=True)
    (scripts / "ifup-eth").touch()
    make("install", tmp_path, REFRESH="no")
    assert HOOKS["rhel"] in placed(tmp_path)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FLAVOUR", "suse"),
        ("REFRESH", "often"),
        ("PREFIX", "/opt/a&b"),
        ("PREFIX", "/opt/a|b"),
        ("PREFIX", "/opt/a\\1"),
        ("PREFIX", "opt"),
    ],
)
def test_what_it_cannot_do_it_refuses_before_the_first_file(tmp_path, variable, value):
    with pytest.raises(subprocess.CalledProcessError):
        make("install", tmp_path, **{variable: value})
    assert listing(tmp_path) == {}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_takes_the_units(tmp_path):
    make("install", tmp_path, REFRESH="timer")
    (unit,) = tmp_path.rglob("ec2net-refresh.service")
    # The command has to exist where the unit says.
    unit.write_text(unit.read_text().replace("=/usr", "={}/usr".format(tmp_path)))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit), str(unit.with_suffix(".timer"))],
        capture_output=True, text=True, check=False,
    )
    said = [line for line in verified.stderr.splitlines() if "ec2net" in line]
    assert (verified.returncode, said) == (0, [])
