"""That systemd calls an interface's unit as we and the udev rule do."""

import shutil
import subprocess

import pytest

from ec2net_legacy import event
from ec2net_legacy.host import init

NAMES = ["eth1", "eth10", "ens6", "enP5p0s3", "eth1.5", "my_nic", "my-nic", "a-b-", "_", "9"]


@pytest.mark.skipif(not shutil.which("systemd-escape"), reason="no systemd-escape here")
@pytest.mark.parametrize("name", NAMES)
def test_it_escapes_names_as_we_do(name):
    assert event.is_interface_name(name)
    argv = ["systemd-escape", "--template=ec2-ifup@.service", name]
    said = subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    assert init.unit_of(name) == said
