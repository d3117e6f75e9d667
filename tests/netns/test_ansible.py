"""The Ansible role of contrib/ on the lab's host, with the Debian package."""

import json
import os
import re
import shutil

import pytest

from tests.netns.driver import read, status
from tests.packaging import deb

COMMANDS = (*deb.COMMANDS, "ansible-playbook")
pytestmark = pytest.mark.skipif(
    not all(shutil.which(command) for command in COMMANDS) and not os.environ.get("CI"),
    reason="commands not installed: " + " ".join(COMMANDS))

SETTINGS = {"ignore": ["eth7"], "containers": False, "table_base": 20000}


def play(lab, directory, **variables):
    """Run the playbook on the host itself; return how many tasks have changed something."""
    variables.update(ansible_become=False, ansible_python_interpreter="/usr/bin/python3",
                     ec2net_legacy_package=str(deb.packages()[deb.NAME]))
    home = str(directory)
    done = lab.host(
        ["/usr/bin/ansible-playbook", "--inventory", "localhost,", "--connection", "local",
         "--extra-vars", json.dumps(variables), str(deb.REPOSITORY / "contrib/ansible/site.yml")],
        env={"HOME": home, "ANSIBLE_LOCAL_TEMP": home, "ANSIBLE_REMOTE_TMP": home,
             "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"},
        timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(re.search("changed=([0-9]+)", done.stdout).group(1))


def test_the_role_installs_the_package_and_its_settings_once(build_bare, tmp_path):
    lab = build_bare()
    eni = lab.attach("eth1", addresses=2)
    assert play(lab, tmp_path, ec2net_legacy_settings=SETTINGS,
                ec2net_legacy_metadata_settings={"reuse": 7}) > 0
    lab.host(["ec2ifup", "eth1"])
    assert status(lab)["eth1"]["table"] == 20001
    assert [address for address in eni.addresses if not lab.pings(address)] == []
    shown = json.loads(lab.host(["ec2net", "config", "--json"]).stdout)["settings"]
    values = {entry["setting"]: entry["value"] for entry in shown if entry["file"]}
    assert values == {"ignore": ["eth7"], "containers": "no", "table_base": 20000, "reuse": 7}
    # A second time there is nothing to do, and without settings there are the defaults.
    assert play(lab, tmp_path, ec2net_legacy_settings=SETTINGS,
                ec2net_legacy_metadata_settings={"reuse": 7}) == 0
    assert play(lab, tmp_path) > 0
    assert "table_base" not in read(lab, "/etc/ec2net/ec2net.conf")
