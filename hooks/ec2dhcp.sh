#!/bin/sh
# ec2net: RHEL's dhclient-script sources this file from /etc/dhcp/dhclient.d and calls
# ec2dhcp_config with a new or renewed lease and ec2dhcp_restore when one ends.
#
# The caller goes on with its own work after it, in the same shell: nothing here exits, sets a
# variable or fails, and a lease waits @LEASE_TIMEOUT@ seconds at most. $reason, $interface and what
# the lease brings are in the environment, from dhclient itself.

ec2dhcp_config() {
    # The words are quoted: dhclient-script may have another IFS by now.
    command "timeout" "@LEASE_TIMEOUT@" "@SBINDIR@/ec2net" "lease" "--within" "@LEASE_TIMEOUT@" \
        </dev/null || :
}

ec2dhcp_restore() {
    ec2dhcp_config
}
