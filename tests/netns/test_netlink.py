"""What is read by rtnetlink is what `ip` prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
STATE = REPOSITORY / "tests" / "unit" / "recorded" / "state.sh"
# 64 more rules and addresses, so that a list comes in several parts.
MORE = """
i=0
while [ $i -lt 64 ]; do
    i=$((i + 1))
    echo "addr add 10.7.0.$i/32 dev eth1"
    echo "rule add pref 10001 from 10.7.0.$i lookup 10001"
    echo "route add 10.9.$i.0/24 dev eth1 table 10001"
done | ip -batch -
"""
READ = """
import json, sys
from ec2net_legacy.host.command import Runner
from ec2net_legacy.host.files import Files
from ec2net_legacy.kernel import iproute, netlink
files = Files()
tables = iproute.table_names(files.read, files.glob)
groups = iproute.group_names(files.read, files.glob)
found = {}
for family in (4, 6):
    read = netlink.read(family), iproute.read(Runner(), tables, groups, [family])
    for field, by_netlink, by_ip in zip(read[0]._fields, *read):
        found["%s %d" % (field, family)] = [
            sorted(map(repr, by_netlink)), sorted(map(repr, by_ip))
        ]
found["names"] = sorted([device, sorted(names)] for device, names in
                        netlink.alternative_names().items())
json.dump(found, sys.stdout)
"""
NAMES = """
ip link property add dev eth1 altname eni-0a1
ip link property add dev eth1 altname {}
ip link property add dev docker0 altname eni-0a2
""".format("x" * 127)


@pytest.fixture(scope="module")
def found():
    """Both readings of a namespace with one of everything, by what is read."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    script = 'sh -e "$1" && ' + MORE.strip() + NAMES + 'exec "$2" -c "$3"'
    result = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, "sh", str(STATE), sys.executable, READ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, universal_newlines=True,
        env=dict(os.environ, PYTHONPATH=str(REPOSITORY)))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("kind", ["addresses 4", "routes 4", "rules 4", "host_rules 4",
                                  "addresses 6", "routes 6", "rules 6", "host_rules 6"])
def test_rtnetlink_says_what_ip_prints(found, kind):
    by_netlink, by_ip = found[kind]
    assert by_netlink
    assert by_netlink == by_ip


def test_rtnetlink_says_which_device_has_which_alternative_names(found):
    assert [one for one in found["names"] if one[1]] == [
        ["docker0", ["eni-0a2"]], ["eth1", ["eni-0a1", "x" * 127]]
    ]
    assert {"lo", "eth0", "tun0"} < {device for device, _ in found["names"]}
