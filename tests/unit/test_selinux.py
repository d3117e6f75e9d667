"""When restorecon is called, and that its failure is no failure.

SELinux itself cannot run here: that labels come out right takes a RHEL.
"""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy.errors import HostError
from ec2net_legacy.host import selinux
from ec2net_legacy.host.command import Result
from tests.unit.fakes import FakeReader, FakeRunner

PATHS = ["/etc/sysconfig/network-scripts/ifcfg-eth1", "/etc/dhcp/dhclient-eth1.conf"]
ENFORCE = "/sys/fs/selinux/enforce"


class FailingRunner(object):
    """A host without restorecon."""

    def run(self, argv):
        raise HostError("cannot run {0}: No such file or directory".format(argv[0]))


@pytest.mark.parametrize("sign", [ENFORCE, "/selinux/enforce"])
@pytest.mark.parametrize("enforcing", ["0", "1"])
def test_with_selinux_all_written_files_get_their_labels_at_once(sign, enforcing):
    runner = FakeRunner()
    selinux.restore_labels(runner, FakeReader({sign: enforcing}), PATHS)
    assert [argv for argv, _ in runner.ran] == [["restorecon"] + PATHS]


@pytest.mark.parametrize(
    "files, paths", [({}, PATHS), ({"/sys/fs/x": ""}, PATHS), ({ENFORCE: "1"}, [])]
)
def test_without_selinux_or_files_nothing_is_run(files, paths):
    runner = FakeRunner()
    selinux.restore_labels(runner, FakeReader(files), paths)
    assert runner.ran == []


def test_a_refusal_is_a_warning(caplog):
    runner = FakeRunner()
    runner.answer = Result(255, "", "restorecon: lstat failed\n")
    selinux.restore_labels(runner, FakeReader({ENFORCE: "1"}), PATHS)
    assert "restorecon: lstat failed" in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_host_without_restorecon_is_a_warning(caplog):
    selinux.restore_labels(FailingRunner(), FakeReader({ENFORCE: "1"}), PATHS)
    assert "cannot run restorecon" in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING"]
