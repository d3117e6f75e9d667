"""What the tests do with dhclient, its script and its hooks; the same on both distributions."""

from tests.netns.driver import read, wait_until, write

# What dhclient knows of the lease of eth1.
LEASE = {
    "new_ip_address": "10.0.1.10",
    "new_subnet_mask": "255.255.255.0",
    "new_broadcast_address": "10.0.1.255",
    "new_routers": "10.0.1.1",
    "new_dhcp_lease_time": "3600",
}
OLD = {key.replace("new_", "old_"): value for key, value in LEASE.items()}
RENEWED = dict(LEASE, **OLD)
# Runs after ours: whatever it has noted, ours is through with.
_WITNESS = {
    "debian": ("/etc/dhcp/dhclient-exit-hooks.d/zz-witness", 'echo "$reason" >>/run/reasons\n'),
    "rhel": ("/etc/dhcp/dhclient.d/zz.sh",
             'zz_config() { echo "$reason" >>/run/reasons; }\nzz_restore() { zz_config; }\n'),
}
_FILES = {
    "debian": ["-pf", "/run/dhclient.eth1.pid", "-lf", "/var/lib/dhcp/dhclient.eth1.leases",
               # As ifup has it, which makes it the metric of main's default route.
               "-e", "IF_METRIC=10001"],
    "rhel": ["-cf", "/etc/dhcp/dhclient-eth1.conf", "-pf", "/var/run/dhclient-eth1.pid",
             "-lf", "/var/lib/dhclient/dhclient-eth1.leases"],
}
SETTINGS = {"debian": "/etc/dhcp/dhclient.conf", "rhel": "/etc/dhcp/dhclient-eth1.conf"}


def script(lab, reason, interface="eth1", check=True, **variables):
    """Run dhclient-script by hand with the environment that dhclient gives it."""
    environment = dict(variables, reason=reason, interface=interface, IF_METRIC="10001")
    return lab.host(["/sbin/dhclient-script"], env=environment, check=check)


def dhclient(lab, *options):
    """Run dhclient for eth1 by hand, with the files of the one that ifup starts."""
    return lab.host(["/sbin/dhclient", "-4", "-q", *_FILES[lab.distribution], *options, "eth1"])


def listen(lab):
    """From now on, note each reason that the hooks are called for."""
    path, text = _WITNESS[lab.distribution]
    write(lab, path, text)
    lab.host(["chmod", "755", path])


def heard(lab, reason=None):
    """Return how often the hooks have been through with `reason`, or with any."""
    reasons = (read(lab, "/run/reasons") or "").split()
    return len(reasons) if reason is None else reasons.count(reason)


def renewed(lab):
    """Wait for the next renewal of a lease and its hooks."""
    before = heard(lab, "RENEW")
    wait_until(lambda: heard(lab, "RENEW") > before)


def dhclients(lab, interface="eth1"):
    """Return the dhclients that run for an interface, each with its command line."""
    lines = lab.host(["pgrep", "-a", "-x", "dhclient"], check=False).stdout.splitlines()
    return [line for line in lines if interface in line.split()]
