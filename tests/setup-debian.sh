#!/bin/sh
# Install what the tests, the demo and the benchmarks need on Debian and its derivatives.
# Only what is missing; no service is started.
set -eu

set -- debian-archive-keyring debootstrap dnsmasq-base e2fsprogs git ifupdown iproute2 \
    iptables iputils-ping isc-dhcp-client make nftables procps python3 python3-configobj \
    python3-requests python3-venv qemu-system-x86 qemu-utils shellcheck strace util-linux

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "$0: neither Debian nor a derivative: install these yourself, or their like: $*"
    exit 0
fi

missing=
for package; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || true
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "$0: run as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

# Without this guard a package may start its service. One that is there already stays as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get -q update
# shellcheck disable=SC2086  # a list of words
apt-get -q install -y --no-install-recommends $missing </dev/null
