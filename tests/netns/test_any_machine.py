"""What the machine has installed and configured makes no difference to the lab's host."""

import os
import subprocess
import sys

from tests.netns.conftest import REPOSITORY

# A machine that runs another ec2net, or an administrator's own set-up, as far as it would disturb.
_LEFTOVERS = """
for directory in /etc /usr; do
    mkdir -p /run/layers$directory/upper /run/layers$directory/work
    mount -t overlay overlay -o "lowerdir=$directory,upperdir=/run/layers$directory/upper,\
workdir=/run/layers$directory/work" $directory
done
mkdir -p /etc/ec2net /etc/iproute2/rt_tables.d /usr/lib/ec2net /usr/local/sbin
echo 'neither = key nor value' >/etc/ec2net/ec2net.conf
printf '10001 name-of-the-machine\\n' >/etc/iproute2/rt_tables.d/machine.conf
printf 'iface eth1 inet manual\\n' >/etc/network/interfaces.d/machine
echo 'reject 10.0.0.0/8;' >/etc/dhcp/dhclient.conf
for script in /etc/network/if-pre-up.d/machine /usr/local/sbin/ec2ifup /usr/sbin/ec2net \
    /usr/local/sbin/ec2net-hotplug; do
    printf '#!/bin/sh\\necho "of the machine: $0" >&2\\nexit 9\\n' >$script
    chmod 755 $script
done
echo 'exit 9' >/etc/dhcp/dhclient-exit-hooks.d/machine
echo /usr/lib/ec2net/of-the-machine >/usr/lib/ec2net/installed
"""


def test_a_configured_machine_changes_nothing_in_the_lab():
    inside = "mount -t tmpfs machine /run\n" + _LEFTOVERS + 'exec "$@"\n'
    story = "tests/netns/test_main_job.py"
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", inside, "sh",
         sys.executable, "-m", "pytest", "-q",
         story + "::test_every_address_answers_by_its_own_eni", "-k", "not 50",
         story + "::test_a_second_add_and_a_second_ifup_change_nothing"],
        cwd=str(REPOSITORY), env=dict(os.environ, CI="true"), capture_output=True, text=True,
        timeout=300, check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
