#!/bin/sh
# Make a guest: image.sh RELEASE KIND DIRECTORY MIRROR leaves disk.img, vmlinuz and initrd.img in
# DIRECTORY, made of packages from the MIRROR. KIND is what configures its network: ifupdown (with
# dhclient) or networkd.
#
# As root and in a mount namespace of its own: the tree is in a tmpfs, which is faster than a disk
# and vanishes with the namespace, however this ends. Networking (ifupdown, udev's rules, dhclient,
# or networkd) is Debian's, untouched; the product is not in it.
set -eu

release=$1
kind=$2
directory=$3
mirror=$4
packages=dbus,initramfs-tools,iproute2,iputils-ping,kmod,linux-image-cloud-amd64,make,procps,\
python3,python3-configobj,python3-requests,qemu-guest-agent,systemd-sysv,udev
case $kind in
ifupdown) packages=$packages,ifupdown,isc-dhcp-client ;;
# Its test runs a container.
networkd) packages=$packages,iptables ;;
*) exit 2 ;;
esac
tree=/mnt/tree

put() { # a file, from standard input
    mkdir -p "$tree${1%/*}"
    cat >"$tree$1"
}

mount -t tmpfs -o mode=0755,size=4G image /mnt
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
debootstrap --foreign --variant=minbase --include="$packages" "$release" "$tree" "$mirror"

# Nobody reads the manual in there.
put /etc/dpkg/dpkg.cfg.d/vm <<'END'
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
END
# An initial RAM disk with just what finds the root file system.
put /etc/initramfs-tools/conf.d/vm <<'END'
MODULES=list
BUSYBOX=n
RESUME=none
END
printf '%s\n' virtio_pci virtio_blk ext4 | put /usr/share/initramfs-tools/modules.d/vm
chroot "$tree" /debootstrap/debootstrap --second-stage

case $kind in
ifupdown)
    # As in Debian's images for clouds.
    put /etc/network/interfaces <<'END'
# interfaces(5) file used by ifup(8) and ifdown(8)
auto lo
iface lo inet loopback

auto eth0
iface eth0 inet dhcp

source /etc/network/interfaces.d/*
END
    mkdir -p "$tree/etc/network/interfaces.d"
    ;;
networkd)
    put /etc/systemd/network/20-primary.network <<'END'
[Match]
Name=eth0

[Network]
DHCP=ipv4
END
    chroot "$tree" systemctl enable systemd-networkd.service
    ;;
esac
# Also where interfaces get predictable names the lab's primary stays the one of the files above.
put /etc/systemd/network/10-primary.link <<'END'
[Match]
MACAddress=0a:ec:20:00:00:00
[Link]
Name=eth0
END
printf 'machine\n' | put /etc/hostname
printf '127.0.0.1 localhost machine\n' | put /etc/hosts
printf '[Journal]\nStorage=volatile\n' | put /etc/systemd/journald.conf.d/vm.conf
# Somebody has to want it, or it is never reached.
mkdir -p "$tree/etc/systemd/system/multi-user.target.wants"
ln -s /lib/systemd/system/network-online.target "$tree/etc/systemd/system/multi-user.target.wants"
# What takes time at boot, or runs by itself later, and has nothing to do with the network.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer getty.target logrotate.timer man-db.timer \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service; do
    ln -sf /dev/null "$tree/etc/systemd/system/$unit"
done
rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/*

cp "$tree"/boot/vmlinuz-* "$directory/vmlinuz"
# Later ones begin with the modules, which have been compressed each for itself, and stay as they are.
gzip -dc "$tree"/boot/initrd.img-* >"$directory/initrd.img" ||
    cp "$tree"/boot/initrd.img-* "$directory/initrd.img"
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1,root_owner=0:0 -L root -d "$tree" \
    "$directory/disk.img" 2G
