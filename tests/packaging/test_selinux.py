"""The SELinux module: it compiles, and with it Debian's policy lets dhclient run the hook."""

import bz2
import json
import os
import shutil
import subprocess

import pytest

from tests.lab import archive
from tests.packaging.deb import REPOSITORY

SOURCE = REPOSITORY / "packaging" / "selinux"
COMMANDS = ("checkmodule", "semodule_package", "semodule_link", "semodule_expand", "sesearch")
pytestmark = pytest.mark.skipif(
    not all(shutil.which(command) for command in COMMANDS) and not os.environ.get("CI"),
    reason="commands not installed: " + " ".join(COMMANDS),
)

# What a run at a lease does, and as what, in the words of refpolicy: whom, what, which rights.
CHANGE = "create getattr open read rename setattr unlink write"
DIRECTORY = "add_name open read remove_name search write"
OURS = [
    ("var_run_t", "dir", DIRECTORY + " create setattr"),  # /run/ec2net
    ("var_run_t", "file", CHANGE + " lock"),
    ("initrc_var_run_t", "file", CHANGE + " lock"),  # as an init script leaves it
    ("dhcpc_t", "process", "setpgid"),  # timeout
    ("initrc_t", "file", "getattr open read"),  # /proc/PID/stat
    ("initrc_t", "dir", "search"),
    ("iptables_exec_t", "file", "execute getattr open read"),
    ("iptables_t", "process", "transition"),
    ("setfiles_exec_t", "file", "execute getattr open read"),
    ("setfiles_t", "process", "transition"),
]
PYTHON = "/usr/bin/python3"
LACKING = """
import json, setools, sys
policy = setools.SELinuxPolicy(sys.argv[1])
may = {}
def allows(target, kind, right):
    if (target, kind) not in may:
        rules = setools.TERuleQuery(policy, ruletype=["allow"], source="dhcpc_t", target=target,
                                    tclass=[kind], source_indirect=True, target_indirect=True)
        may[target, kind] = {perm for rule in rules.results() for perm in rule.perms}
    return right in may[target, kind]
json.dump([entry for entry in json.load(sys.stdin) if not allows(*entry)], sys.stdout)
"""
THE_DISTRIBUTIONS = [
    ("dhcp_etc_t", "file", "getattr open read"),  # /etc/dhcp/dhclient.d/ec2dhcp.sh
    ("bin_t", "file", "execute execute_no_trans getattr open read"),  # timeout, ec2net, Python
    ("lib_t", "file", "getattr open read"),  # /usr/lib/ec2net
    ("etc_t", "file", "getattr open read"),  # /etc/ec2net/ec2net.conf
    ("net_conf_t", "dir", DIRECTORY),  # /etc/sysconfig/network-scripts
    ("net_conf_t", "file", CHANGE),
    ("sysfs_t", "file", "getattr open read"),
    ("sysctl_net_t", "file", "getattr open read write"),
    ("dhcpc_t", "netlink_route_socket", "bind create nlmsg_read nlmsg_write read write"),
    ("dhcpc_t", "tcp_socket", "connect create read write"),
    ("http_port_t", "tcp_socket", "name_connect"),  # the metadata service
    ("ifconfig_t", "process", "transition"),  # ip
]


def module(directory, *options):
    """Compile the module; return its package."""
    made, package = directory / "ec2net.mod", directory / "ec2net.pp"
    subprocess.run(["checkmodule", "-M", "-m", *options, "-o", made, SOURCE / "ec2net.te"],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["semodule_package", "-o", package, "-m", made, "-f", SOURCE / "ec2net.fc"],
                   check=True)
    return package


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    """Debian's policy, without the module and with it."""
    directory = tmp_path_factory.mktemp("policy")
    tree = archive.unpacked("bookworm", "selinux-policy-default", REPOSITORY / ".build" / "selinux")
    parts = []
    for name in ("base", "iptables"):
        parts.append(directory / f"{name}.pp")
        packed = tree / "usr/share/selinux/default" / f"{name}.pp.bz2"
        parts[-1].write_bytes(bz2.decompress(packed.read_bytes()))
    return [linked(directory, "without", parts),
            linked(directory, "with", [*parts, module(directory)])]


def linked(directory, name, parts):
    """Make one policy of packages, as semodule does on a host."""
    whole, policy = directory / f"{name}.lnk", directory / name
    subprocess.run(["semodule_link", "-o", whole, *parts], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["semodule_expand", whole, policy], check=True)
    return policy


def lacking(policy, wanted):
    """Return what of `wanted` dhcpc_t may not do."""
    asked = [[target, kind, right] for target, kind, rights in wanted for right in rights.split()]
    # A call of sesearch for each would read the policy a hundred times.
    said = subprocess.run([PYTHON, "-c", LACKING, policy], check=True, input=json.dumps(asked),
                          stdout=subprocess.PIPE, text=True).stdout
    return [tuple(entry) for entry in json.loads(said)]


def test_it_compiles_for_the_policy_of_rhel_6(tmp_path):
    # Its libsepol takes modules up to version 10.
    assert module(tmp_path, "-c", "10").stat().st_size > 0


def test_dhclient_may_run_the_hook_with_it(policies):
    without, policy = policies
    assert lacking(policy, OURS + THE_DISTRIBUTIONS) == []
    # Each of these is a reason for the module.
    missing = {(target, kind) for target, kind, _ in lacking(without, OURS)}
    assert [entry for entry in OURS if entry[:2] not in missing] == []
    assert lacking(without, THE_DISTRIBUTIONS) == []


@pytest.mark.parametrize("program, domain", [("iptables_exec_t", "iptables_t"),
                                             ("setfiles_exec_t", "setfiles_t")])
def test_iptables_and_restorecon_have_their_own_domains(policies, program, domain):
    said = subprocess.run(["sesearch", "-T", "-s", "dhcpc_t", "-t", program, policies[1]],
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    assert said.split() == ["type_transition", "dhcpc_t", program + ":process", domain + ";"]
