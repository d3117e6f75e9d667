"""What the listings beside this file say, written by hand: {name: (tables, groups, state)}.

A state is (addresses, routes, rules, rules for all sources), as kernel.parse names them.
"""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy.model import Address, MainFirst, MarkRule, Route, Rule

MAIN, LOCAL, DEFAULT = 254, 255, 253

_ALWAYS = {Rule("all", LOCAL, 0), Rule("all", MAIN, 32766)}
_ALWAYS4 = _ALWAYS | {Rule("all", DEFAULT, 32767)}

_DEBIAN4 = (
    {
        Address("127.0.0.1", 8, "lo"),
        Address("10.0.0.10", 24, "eth0"),
        Address("10.0.0.11", 32, "eth0"),
        Address("10.0.1.10", 24, "eth1"),
        Address("10.0.1.11", 32, "eth1"),
        Address("10.0.1.12", 24, "eth1"),
        Address("10.0.1.13", 24, "eth1"),
        Address("10.0.2.10", 24, "eth2"),
        Address("172.17.0.1", 16, "docker0"),
        Address("10.8.0.1", 32, "tun0"),
    },
    {
        Route("default", "10.0.1.1", "eth1", 10001, 4),
        Route("10.0.1.0/24", "", "eth1", 10001, 4),
        Route("default", "10.0.2.1", "eth2", 10002, 4),
        Route("10.0.2.0/24", "", "eth2", 10002, 4),
        Route("default", "10.0.0.1", "eth0", MAIN, 4, 100),
        Route("default", "10.0.1.1", "eth1", MAIN, 4, 10001),
        Route("10.0.0.0/24", "", "eth0", MAIN, 4, 100, "10.0.0.10"),
        Route("10.0.1.0/24", "", "eth1", MAIN, 4, 10001),
        Route("10.0.2.0/24", "", "eth2", MAIN, 4, 0, "10.0.2.10"),
        Route("10.8.0.2", "", "tun0", MAIN, 4, 0, "10.8.0.1"),
        Route("10.20.0.0/16", "10.0.0.2", "eth0", MAIN, 4),
        # Not those with several next hops, for one type of service, by another family's gateway, in
        # a tunnel, and none that refuses.
        Route("10.28.0.7", "", "docker0", MAIN, 4),
        Route("10.29.0.0/16", "10.0.0.3", "eth0", MAIN, 4),
        Route("172.17.0.0/16", "", "docker0", MAIN, 4, 0, "172.17.0.1"),
        Route("10.0.1.64/28", "", "eth1", LOCAL, 4),
    },
    _ALWAYS4
    | {
        Rule("10.0.1.10", 10001, 10001),
        Rule("10.0.1.64/28", 10001, 10001),
        Rule("10.0.2.10", 10002, 10002),
        Rule("10.0.3.10", 10003, 10003),
        Rule("10.0.1.77", 10001, 32765),
    },
    {
        MainFirst(1, 10000, 9990, 4),
        MarkRule(0x100, 0x3F00, 10001, 10001, 4),
        MarkRule(0x200, 0x3F00, 10002, 10002, 4),
    },
)
_DEBIAN6 = (
    {
        Address("::1", 128, "lo"),
        Address("fe80::10", 64, "eth0"),
        Address("fe80::11", 64, "eth1"),
        Address("2600:1f18:0:1::10", 128, "eth1"),
        Address("2600:1f18:0:1::11", 64, "eth1"),
        Address("2600:1f18:0:8::1", 128, "tun0"),
    },
    {
        Route("2600:1f18:0:1::/64", "", "eth1", 10001, 6),
        Route("default", "fe80::1", "eth1", 10001, 6),
        Route("2600:1f18:0:1::10", "", "eth1", MAIN, 6, 256, learned=256),
        Route("2600:1f18:0:1::/64", "", "eth1", MAIN, 6, learned=1024),
        Route("2600:1f18:0:8::1", "", "tun0", MAIN, 6, 256, learned=256),
        Route("2600:1f18:0:8::2", "", "tun0", MAIN, 6, 256, learned=256),
        Route("2600:1f18:20::/48", "fe80::2", "eth0", MAIN, 6, 50),
        # Not the one for packets from 2600:1f18:0:1::/64 alone.
        Route("2600:1f18:29::/48", "fe80::3", "eth0", MAIN, 6),
        Route("fe80::/64", "", "eth0", MAIN, 6, 256, learned=256),
        Route("fe80::/64", "", "eth1", MAIN, 6, 256, learned=256),
        Route("default", "fe80::1", "eth0", MAIN, 6, 512, learned=512),
        Route("default", "fe80::1", "eth1", MAIN, 6, learned=1024),
    },
    _ALWAYS
    | {
        Rule("2600:1f18:0:1::10", 10001, 10001),
        Rule("2600:1f18:0:1:1::/80", 10001, 10001),
        Rule("2600:1f18:0:2::10", 10002, 10002),
    },
    {MainFirst(4, 10000, 9990, 6), MarkRule(0x100, 0x3F00, 10001, 10001, 6)},
)
_OLD4 = (
    {
        Address("127.0.0.1", 8, "lo"),
        Address("10.0.0.10", 24, "eth0"),
        Address("10.0.1.10", 24, "eth1"),
        Address("10.0.1.11", 32, "eth1"),
        Address("10.0.1.12", 24, "eth1"),
        Address("10.8.0.1", 32, "tun0"),
    },
    {
        Route("default", "10.0.1.1", "eth1", 10001, 4),
        Route("10.0.1.0/24", "", "eth1", 10001, 4),
        Route("default", "10.0.0.1", "eth0", MAIN, 4),
        Route("default", "10.0.1.1", "eth1", MAIN, 4, 10001),
        Route("10.0.0.0/24", "", "eth0", MAIN, 4, 0, "10.0.0.10"),
        Route("10.0.1.0/24", "", "eth1", MAIN, 4, 0, "10.0.1.10"),
        Route("10.0.1.0/24", "", "eth1", MAIN, 4, 10001),
        Route("10.8.0.2", "", "tun0", MAIN, 4, 0, "10.8.0.1"),
        Route("10.20.0.0/16", "10.0.0.2", "eth0", MAIN, 4),
        Route("169.254.0.0/16", "", "eth0", MAIN, 4, 1002),
        Route("10.0.1.64/28", "", "eth1", LOCAL, 4),
    },
    _ALWAYS4 | {Rule("10.0.1.10", 10001, 10001), Rule("10.0.1.64/28", 10001, 10001)},
    {MarkRule(0x100, 0x3F00, 10001, 10001, 4)},
)
_OLD6 = (
    {
        Address("::1", 128, "lo"),
        Address("2600:1f18:0:1::10", 128, "eth1"),
        Address("fe80::11", 64, "eth1"),
    },
    {
        Route("2600:1f18:0:1::/64", "", "eth1", 10001, 6),
        Route("default", "fe80::1", "eth1", 10001, 6),
        Route("2600:1f18:0:1::/64", "", "eth1", MAIN, 6, 256, learned=256),
        Route("2600:1f18:20::/48", "fe80::2", "eth1", MAIN, 6, 50),
        Route("fe80::/64", "", "eth1", MAIN, 6, 256, learned=256),
        Route("default", "fe80::1", "eth1", MAIN, 6, learned=1024),
    },
    _ALWAYS | {Rule("2600:1f18:0:1::10", 10001, 10001)},
    set(),
)
_SECOND, _ENIS = {"second": 10002}, {"enis": 10000}

EXPECTED = {
    "debian11-ipv4": (_SECOND, _ENIS, _DEBIAN4),
    "debian11-ipv6": (_SECOND, _ENIS, _DEBIAN6),
    "debian12-ipv4": (_SECOND, _ENIS, _DEBIAN4),
    "debian12-ipv6": (_SECOND, _ENIS, _DEBIAN6),
    "debian13-ipv4": (_SECOND, _ENIS, _DEBIAN4),
    "debian13-ipv6": (_SECOND, _ENIS, _DEBIAN6),
    "rhel6-ipv4": ({}, {}, _OLD4),
    "rhel6-ipv6": ({}, {}, _OLD6),
    "ubuntu1404-ipv4": ({}, {}, _OLD4[:3] + (_OLD4[3] | {MainFirst(1, 10000, 9990, 4)},)),
    "ubuntu1404-ipv6": ({}, {}, _OLD6),
    "rhel7-ipv4": ({}, {}, _OLD4),
    "rhel7-ipv6": ({}, {}, _OLD6),
}
