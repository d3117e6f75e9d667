#!/bin/sh
# Install what the tests and the benchmarks need on Debian and its derivatives, or with the argument
# "demo" what the demo needs.
# Only what is missing; no service is started.
set -eu

case ${1:-all} in
    all | demo) wanted=${1:-all} ;;
    *) echo "usage: $0 [demo]" >&2; exit 2 ;;
esac
set -- dnsmasq-base ifupdown iproute2 iptables iputils-ping isc-dhcp-client make nftables \
    python3 python3-configobj python3-requests util-linux
[ "$wanted" = demo ] || set -- "$@" ansible-core ansible-lint bash-completion busybox-static \
    checkpolicy dbus-daemon debhelper debian-archive-keyring debootstrap dh-python e2fsprogs git \
    lintian man-db mandoc netplan.io procps python3-apt python3-build python3-docutils \
    python3-shtab python3-setuptools python3-venv python3-wheel python3-yaml qemu-system-x86 \
    qemu-utils rpm rpmlint semodule-utils setools shellcheck \
    strace systemd zsh

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

echo "installing by apt-get:$missing"
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
guard=
trap 'rm -f "$log" $guard' EXIT
trap 'exit 1' HUP INT TERM
# Without this guard a package may start its service. One that is there already stays as it is.
if [ ! -e "$policy" ]; then
    guard=$policy
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

quietly() { # what it says is of interest when it fails
    status=0
    "$@" </dev/null >>"$log" 2>&1 || status=$?
    [ "$status" = 0 ] && return
    cat "$log" >&2
    exit "$status"
}

export DEBIAN_FRONTEND=noninteractive
quietly apt-get -q update
# shellcheck disable=SC2086  # a list of words
quietly apt-get -q install -y --no-install-recommends $missing
