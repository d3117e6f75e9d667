#!/bin/sh
# The state of which the recordings are, made in a new network namespace by Debian 12's `ip`:
#     unshare --net sh -e state.sh
# and then, with each version's ip (README.md),
#     printf 'addr show\nrule show\nroute show table all\n' | ip -4 -o -force -batch -
set -e
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
ip link set lo up
for name in eth0 eth1 eth2; do
    ip link add $name type veth peer name $name-peer
    ip link set $name-peer addrgenmode none
    ip link set $name-peer up
    ip link set $name addrgenmode none
    ip link set $name up
done
ip link add docker0 type bridge
ip tuntap add dev tun0 mode tun
for name in docker0 tun0; do
    ip link set $name addrgenmode none
    ip link set $name up
done

ip -4 -batch - <<END
addr add 10.0.0.10/24 brd 10.0.0.255 dev eth0 metric 100
addr add 10.0.0.11/32 dev eth0
addr add 10.0.1.10/24 brd 10.0.1.255 dev eth1 valid_lft 3400 preferred_lft 3400
addr add 10.0.1.11/32 dev eth1
addr add 10.0.1.12/24 dev eth1
addr add 10.0.1.13/24 brd 10.0.1.255 dev eth1 label eth1:1
addr add 10.0.2.10/24 dev eth2
addr add 10.8.0.1 peer 10.8.0.2/32 dev tun0
addr add 172.17.0.1/16 brd 172.17.255.255 dev docker0
route del 10.0.1.0/24 dev eth1 proto kernel
route add 10.0.1.0/24 dev eth1 metric 10001
route add 10.0.1.0/24 dev eth1 table 10001
route add default via 10.0.1.1 dev eth1 table 10001
route add 10.0.2.0/24 dev eth2 table 10002
route add default via 10.0.2.1 dev eth2 table 10002 onlink
route add default via 10.0.0.1 dev eth0 proto dhcp src 10.0.0.10 metric 100
route add default via 10.0.1.1 dev eth1 metric 10001
route add local 10.0.1.64/28 dev eth1 table local
route add 10.20.0.0/16 via 10.0.0.2 dev eth0 proto static mtu lock 1400 advmss 1360 initcwnd 10
route add 10.21.0.0/16 nexthop via 10.0.0.2 dev eth0 weight 1 nexthop via 10.0.1.2 dev eth1 weight 2
route add 10.22.0.0/16 via inet6 fe80::1 dev eth0
route add 10.23.0.0/16 tos 0x10 via 10.0.0.2 dev eth0
route add 10.30.0.0/16 encap ip id 30 dst 10.0.0.9 dev eth0
route add blackhole 10.24.0.0/16
route add unreachable 10.25.0.0/16 table 10001
route add prohibit 10.26.0.0/16
route add throw 10.27.0.0/16 table 10001
route add 10.28.0.7 dev docker0 scope link
nexthop add id 5 via 10.0.0.3 dev eth0
route add 10.29.0.0/16 nhid 5
rule add pref 9990 lookup main suppress_prefixlength 1 suppress_ifgroup 10000
rule add pref 9991 lookup main suppress_prefixlength 0
rule add pref 10001 from 10.0.1.10 lookup 10001
rule add pref 10001 from 10.0.1.64/28 lookup 10001
rule add pref 10001 fwmark 0x100/0x3f00 lookup 10001
rule add pref 10002 from 10.0.2.10 lookup 10002
rule add pref 10002 fwmark 0x200/0x3f00 lookup 10002 protocol static
rule add pref 10003 from 10.0.3.10 lookup 10003 protocol static
rule add pref 512 to 10.0.0.11 lookup main
rule add pref 1024 fwmark 0x80/0x80 iif eth0 lookup main
rule add pref 1025 fwmark 0x80 lookup main
rule add pref 1026 from 10.0.1.10 iif gone lookup 10001
rule add pref 1027 not fwmark 0xca6c lookup 51820
rule add pref 1028 from 10.0.1.10 ipproto tcp sport 22 lookup 10001
rule add pref 1029 uidrange 0-99 lookup 10001
rule add pref 1030 from 10.0.1.9 unreachable
rule add pref 1031 from 10.0.1.10 goto 32766
rule add pref 1032 from 10.0.1.10 tos 0x10 lookup 10001
rule add pref 32765 from 10.0.1.77 lookup 10001
END
ip -6 -batch - <<END
addr add fe80::10/64 dev eth0
addr add fe80::11/64 dev eth1
addr add 2600:1f18:0:1::10/128 dev eth1
addr add 2600:1f18:0:1::11/64 dev eth1 noprefixroute valid_lft 3400 preferred_lft 0
addr add 2600:1f18:0:8::1 peer 2600:1f18:0:8::2 dev tun0
route add 2600:1f18:0:1::/64 dev eth1 table 10001
route add default via fe80::1 dev eth1 table 10001
route add default via fe80::1 dev eth1 proto ra metric 1024 expires 1800 pref medium
route add default via fe80::1 dev eth0 proto ra metric 512 expires 1800 pref high
route add 2600:1f18:0:1::/64 dev eth1 proto ra metric 1024 expires 1800
route add 2600:1f18:20::/48 via fe80::2 dev eth0 metric 50 mtu 1400
route add 2600:1f18:21::/48 nexthop via fe80::2 dev eth0 nexthop via fe80::2 dev eth1
route add 2600:1f18:23::/48 from 2600:1f18:0:1::/64 via fe80::2 dev eth0
route add blackhole 2600:1f18:24::/48
route add unreachable default table 10001 metric 4278198272
rule add pref 9990 lookup main suppress_prefixlength 4 suppress_ifgroup 10000
rule add pref 10001 from 2600:1f18:0:1::10 lookup 10001
rule add pref 10001 from 2600:1f18:0:1:1::/80 lookup 10001
rule add pref 10001 fwmark 0x100/0x3f00 lookup 10001
rule add pref 10002 from 2600:1f18:0:2::10 lookup 10002
END
ip -6 nexthop add id 6 via fe80::3 dev eth0
ip -6 route add 2600:1f18:29::/48 nhid 6
