"""The SELinux label of a written file: what the policy says for its path."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy import log
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError

if TYPE_CHECKING:
    from typing import List

    from ec2net_legacy.host.command import Runner
    from ec2net_legacy.host.files import Files

# Where the kernel shows its policy when SELinux is on; on RHEL 6 the latter.
_SIGNS = ("/sys/fs/selinux/enforce", "/selinux/enforce")


def restore_labels(runner, files, paths):
    # type: (Runner, Files, List[str]) -> None
    """Give `paths` their labels: a new file has that of its directory.

    dhclient (dhcpc_t) and the scripts of a confined service may not read net_conf_t's neighbours.
    Where that fails the file is as good as on any other host, so it is only logged.
    """
    if not paths or not any(files.exists(sign) for sign in _SIGNS):
        return
    try:
        result = runner.run(["restorecon"] + paths)
        if result.returncode != 0:
            log.warning("restorecon: exit code %s: %s", result.returncode, result.stderr.strip())
    except HostError as error:
        log.warning("the SELinux labels of written files stay as they are: %s", error)
