"""DHCP as a VPC does it: one server per port that knows exactly one client."""

import ipaddress
from pathlib import Path
from typing import List, Optional

from .namespaces import Daemon, Namespace
from .vpc import Eni

_STARTED = "started, version"


class DhcpServer:
    """dnsmasq on one port, for IPv4 and, where the ENI has it, IPv6.

    It hands out the ENI's first address and the subnet's router.  For IPv6 it also announces the
    router, with the "managed" flag and a prefix that must not be used for autoconfiguration.
    dnsmasq raises lease times below 120 s to that.  ``offer_after`` is how many seconds an offer
    takes.
    """

    def __init__(self, namespace: Namespace, directory: Path, eni: Eni, dns: str,
                 offer_after: int = 0):
        self._namespace = namespace
        self._eni = eni
        self._dns = dns
        self._offer_after = offer_after
        base = directory / f"dhcp-{eni.port}"
        self._log = base.with_suffix(".log")
        self._errors = base.with_suffix(".err")
        self._leases = base.with_suffix(".leases")
        self._daemon: Optional[Daemon] = None
        # The router that it names; another one counts from the next start.
        self.gateway = eni.gateway

    def start(self) -> None:
        """Start it (again, after a stop), and wait until its sockets are open."""
        before = self.log().count(_STARTED)
        self._daemon = Daemon(self._namespace, ["dnsmasq", *self._options()], self._errors)
        self._daemon.ready(lambda: self.log().count(_STARTED) > before)

    def _options(self) -> List[str]:
        eni = self._eni
        options = [
            "--conf-file=/dev/null",
            "--port=0",
            # Not only in the foreground: in a user namespace it could not change its group.
            "--no-daemon",
            f"--interface={eni.port}",
            "--except-interface=lo",
            "--bind-interfaces",
            "--no-ping",
            "--dhcp-authoritative",
            f"--dhcp-leasefile={self._leases}",
            f"--log-facility={self._log}",
            "--log-dhcp",
            f"--dhcp-range={eni.link.network[0]},static,{eni.link.netmask},{eni.lease_time}",
            # Known by its MAC address alone: a new client identifier is still the same ENI.
            f"--dhcp-host={eni.mac},id:*,{eni.link.ip},{eni.hostname},{eni.lease_time}",
            f"--dhcp-option=option:router,{self.gateway}",
            f"--dhcp-option=option:dns-server,{self._dns}",
            "--dhcp-option=option:domain-name,ec2.internal",
        ]
        if self._offer_after:
            options.append(f"--dhcp-reply-delay={self._offer_after}")
        if eni.renew_after is not None:
            rebind = max(eni.renew_after + 1, min(eni.renew_after * 7 // 4, eni.lease_time - 1))
            options += [
                f"--dhcp-option-force=58,{eni.renew_after}",
                f"--dhcp-option-force=59,{rebind}",
            ]
        if eni.ipv6 and eni.subnet6:
            first = ipaddress.IPv6Address(eni.ipv6[0])
            options += [
                "--enable-ra",
                f"--dhcp-range={first},{first},{eni.subnet6.prefixlen},{eni.lease_time}",
                f"--dhcp-host={eni.mac},[{first}],{eni.lease_time}",
            ]
        elif eni.ipv6_prefixes and eni.subnet6:
            # A router, but no address to lease.
            options += [
                "--enable-ra",
                f"--dhcp-range={eni.subnet6[0]},static,{eni.subnet6.prefixlen},{eni.lease_time}",
            ]
        return options

    def stop(self) -> None:
        """End it, and wait until it has; requests are then answered by nobody."""
        if self._daemon is not None:
            self._daemon.stop()
            self._daemon = None

    def log(self) -> str:
        """Everything it has logged so far."""
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
