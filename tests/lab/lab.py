"""The lab as tests see it: an EC2 instance in a VPC, with a client outside."""

import contextlib
import ipaddress
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Union

from . import host, imds, tcp
from . import networkd as systemd
from .namespaces import Daemon, LabUnavailable, Namespace, Namespaces
from .router import IMDS_ADDRESS, Router
from .vpc import INSTANCE_ID, REGION, Eni, Vpc, Wanted

IMDS_PORT = 80


class Neighbour(NamedTuple):
    """Another instance in the VPC."""

    namespace: Namespace
    address: str


class Lab:
    """Three network namespaces: ``host`` (the instance), ``router`` (the VPC) and ``client``.

    ``distribution`` is ``debian`` (with ifupdown), ``rhel`` (with stand-ins for network-scripts,
    see rhel/README.md) or ``networkd`` (with systemd-networkd), ``networkd`` the version of the
    latter (``247``, ``252`` or ``257``, that of a Debian release; None is the machine's own),
    ``interfaces_line`` the include line of a Debian's /etc/network/interfaces, ``imds_tokens`` is
    ``required`` or ``optional``, ``rp_filter`` the host's setting (the kernel's default is 0,
    systemd's is 2), ``primary`` the name of the primary interface and ``primary_addresses`` and
    ``primary_ipv6`` its addresses; with the latter the host configures it by DHCPv6 as well.
    ``boot=False`` leaves the host without ``ifup`` (and networkd, which a test then starts).  With
    ``machine=True`` the VPC waits for a machine in QEMU instead (tests/vm): every port is a tap
    device, and the host has none.

    ``directory`` is for state and logs.  One that the lab makes is removed with it; one that was
    there is kept.  The host sees the machine's files, except that what it writes to /etc, /usr,
    /var, /run and their like stays its own and vanishes with the lab; /dev, /tmp and /home are
    shared.
    """

    def __init__(self,  # noqa: PLR0913
                 interfaces_line: str = "source /etc/network/interfaces.d/*",
                 imds_tokens: str = "required", directory: Union[str, Path, None] = None, *,
                 rp_filter: int = 0, primary: str = "eth0", primary_addresses: Wanted = 1,
                 primary_ipv6: Wanted = (), boot: bool = True, distribution: str = "debian",
                 networkd: Optional[str] = None, machine: bool = False):
        if distribution not in host.WATCHED:
            raise ValueError(f"{distribution} is none of {', '.join(host.WATCHED)}")
        reason = systemd.available(networkd) if distribution == "networkd" else None
        if reason:
            raise LabUnavailable(reason)
        self.distribution = distribution
        self.vpc = Vpc()
        self.enis: Dict[str, Eni] = {}
        self._forgotten: List[Dict[str, Any]] = []
        self._faults: List[Dict[str, Any]] = []
        self._fault_ids = itertools.count(1)
        self._tokens = imds_tokens
        self._endpoint = "enabled"
        self._namespaces: Optional[Namespaces] = None
        self._imds: Optional[Daemon] = None
        self._servers: List[Daemon] = []
        self._neighbours: List[Eni] = []
        self._router: Optional[Router] = None
        self._networkd: Optional[systemd.Networkd] = None

        first = self._new_eni(primary, "10.0.0.0/24", primary_addresses, ipv6=primary_ipv6)
        self.primary = primary
        if directory is None:
            self.directory, made = Path(tempfile.mkdtemp(prefix="ec2net-lab-")), True
        else:
            self.directory = Path(directory).resolve()
            made = not self.directory.exists()
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            settings = host.settings(first, distribution, interfaces_line, networkd)
            self._namespaces = Namespaces(self.directory, {**settings, "remove": made})
            self._router = Router(self._namespaces, self.directory, str(self.vpc.cidr[2]),
                                  taps=machine)
            self.enis[primary] = first
            self._publish()
            service = self._start_imds()
            self._router.attach(first)
            service.ready()
            if distribution == "networkd":
                self._networkd = systemd.Networkd(
                    self._namespaces.host, self.namespaces.host_root, self.directory)
            if boot and not machine:
                host.boot(self._namespaces.host, first, rp_filter, self._networkd)
        except BaseException:
            self.close()
            if made:
                _remove_empty(self.directory)
            raise

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process of the lab and leave nothing behind; may be called again."""
        if self._namespaces is not None:
            self._namespaces.close()
            self._namespaces = None
        self.imds_stop()
        if self._networkd is not None:
            self._networkd.close()
            self._networkd = None
        for server in self._servers:
            server.stop()
        if self._router is not None:
            self._router.close()
            self._router = None

    @property
    def namespaces(self) -> Namespaces:
        """The namespaces, for what this class does not offer."""
        if self._namespaces is None:
            raise RuntimeError("the lab is closed")
        return self._namespaces

    @property
    def vpc_router(self) -> Router:
        """The VPC's side, for what this class does not offer."""
        if self._router is None:
            raise RuntimeError("the lab is closed")
        return self._router

    @property
    def networkd(self) -> systemd.Networkd:
        """The host's systemd-networkd."""
        if self._networkd is None:
            raise RuntimeError("the host has no networkd")
        return self._networkd

    # Commands

    def host(self, argv: Iterable[str], env: Optional[Mapping[str, str]] = None,
             check: bool = True, timeout: float = 60,
             input: Optional[str] = None) -> "subprocess.CompletedProcess[str]":
        """Run a command on the instance; ``env`` is added to a small fixed environment."""
        return self.namespaces.host.run(list(argv), env, check, timeout, input)

    def router(self, argv: Iterable[str], env: Optional[Mapping[str, str]] = None,
               check: bool = True, timeout: float = 60,
               input: Optional[str] = None) -> "subprocess.CompletedProcess[str]":
        """Run a command on the VPC's router."""
        return self.namespaces.router.run(list(argv), env, check, timeout, input)

    def client(self, argv: Iterable[str], env: Optional[Mapping[str, str]] = None,
               check: bool = True, timeout: float = 60,
               input: Optional[str] = None) -> "subprocess.CompletedProcess[str]":
        """Run a command on the client outside the VPC."""
        return self.namespaces.client.run(list(argv), env, check, timeout, input)

    def path(self, name: str) -> Path:
        """A file of the host as this process can open it.

        Links with absolute targets lead out of the host's file system.
        """
        return self.namespaces.host_root / name.lstrip("/")

    # ENIs

    def _new_eni(self, name: str, subnet: Optional[str] = None, addresses: Wanted = 1,
                 **options: Any) -> Eni:
        defaults: Dict[str, Any] = {
            "prefixes": (), "ipv6": (), "ipv6_prefixes": (), "subnet6": None, "ipv6_only": False,
            "device_number": None, "network_card": None, "mac": None, "delays": None,
            "lease_time": 3600, "renew_after": None,
        }
        options = {**defaults, **options}
        if options["device_number"] is None:
            taken = {eni.device_number for eni in self.enis.values()
                     if (eni.network_card or 0) == (options["network_card"] or 0)}
            options["device_number"] = next(n for n in itertools.count() if n not in taken)
        enis = [*self.enis.values(), *self._neighbours]
        addressed = [word for eni in enis for word in eni.addresses + eni.ipv6]
        return self.vpc.eni(name, subnet, addresses, taken=addressed, **options)

    def attach(self,  # noqa: PLR0913
               name: str, subnet: Optional[str] = None, addresses: Wanted = 1, *,
               prefixes: Wanted = (), ipv6: Wanted = (), ipv6_prefixes: Wanted = (),
               subnet6: Optional[str] = None, ipv6_only: bool = False,
               device_number: Optional[int] = None, network_card: Optional[int] = None,
               mac: Optional[str] = None, delays: Optional[Mapping[str, float]] = None,
               lease_time: int = 3600, renew_after: Optional[int] = None) -> Eni:
        """Attach a new ENI: the device appears in the host, down, as after a hotplug.

        ``addresses`` and ``ipv6`` are addresses, or a count of free ones (base + 10 and on).
        ``subnet`` is 10.0.N.0/24 by default, N being the device number.  ``delays`` say when the
        metadata has a key (see :mod:`tests.lab.imds`); ``renew_after`` is when the client
        renews, in seconds (networkd wants 3 of them).
        """
        if name in self.enis:
            raise ValueError(f"{name} is attached already")
        eni = self._new_eni(
            name, subnet, addresses, prefixes=prefixes, ipv6=ipv6, ipv6_prefixes=ipv6_prefixes,
            subnet6=subnet6, ipv6_only=ipv6_only, device_number=device_number,
            network_card=network_card, mac=mac, delays=delays, lease_time=lease_time,
            renew_after=renew_after,
        )
        self.vpc_router.attach(eni)
        self.enis[name] = eni = replace(eni, attached=time.time())
        self._publish()
        return eni

    def neighbour(self, subnet: str) -> Neighbour:
        """Launch another instance, with one address in a subnet of the VPC."""
        name = f"neighbour{len(self._neighbours)}"
        eni = self._new_eni(name, subnet, device_number=0)
        namespace = self.namespaces.add(name)
        self.vpc_router.attach(eni, name)
        self._neighbours.append(eni)
        lines = [f"link set {name} up", f"address add {eni.link} dev {name}",
                 f"route add default via {eni.gateway}"]
        namespace.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n")
        return Neighbour(namespace, str(eni.address))

    def detach(self, name: str, keep_metadata: bool = False) -> None:
        """Detach an ENI; with ``keep_metadata`` the metadata lists it until ``forget``."""
        eni = self.enis.pop(name)
        self.vpc_router.detach(eni)
        if keep_metadata:
            self._forgotten.append(self._entry(eni))
        self._publish()

    def forget(self, mac: Optional[str] = None) -> None:
        """Take detached ENIs (or the one) out of the metadata."""
        self._forgotten = [entry for entry in self._forgotten if mac and entry["mac"] != mac]
        self._publish()

    def assign(self, name: str, address: str) -> Eni:
        """Assign an address or, with a ``/``, a prefix to an ENI."""
        eni = self.enis[name]
        field = _field(address)
        if address in getattr(eni, field):
            raise ValueError(f"{name} has {address} already")
        if "ipv6" in field and eni.subnet6 is None:
            raise ValueError(f"{name} has no IPv6 subnet")
        values: Any = {field: (*getattr(eni, field), address)}
        return self._change(replace(eni, **values), added=[address])

    def unassign(self, name: str, address: str) -> Eni:
        """Take an address or a prefix from an ENI."""
        eni = self.enis[name]
        field = _field(address)
        if address not in getattr(eni, field):
            raise ValueError(f"{name} does not have {address}")
        if address == eni.address:
            raise ValueError(f"{address} is the primary address of {name}")
        values: Any = {field: tuple(item for item in getattr(eni, field) if item != address)}
        return self._change(replace(eni, **values), removed=[address])

    def _change(self, eni: Eni, added: Iterable[str] = (), removed: Iterable[str] = ()) -> Eni:
        self.vpc_router.change(eni, added, removed)
        self.enis[eni.name] = eni
        self._publish()
        return eni

    # Connections

    def serve(self, namespace: Namespace, port: int = 80) -> None:
        """Answer TCP connections in a namespace as long as the lab is there; see ``ask``."""
        server = Daemon(namespace, tcp.server(namespace.name, port),
                        self.directory / "tcp.err")
        self._servers.append(server)
        server.ready()

    # What became of packets

    def pings(self, address: str, timeout: float = 1) -> bool:
        """Whether the client outside gets an answer to a ping."""
        argv = ["ping", "-n", "-q", "-c", "1", "-W", str(timeout), address]
        return not self.client(argv, check=False).returncode

    def drops(self, name: str, source: Optional[str] = None) -> int:
        """Packets that the source check dropped on an ENI's port (from one source, or all)."""
        counts = self.vpc_router.counters(self.enis[name], "dropped")
        return counts.get(source, 0) if source else sum(counts.values())

    def sent(self, name: str, source: Optional[str] = None) -> int:
        """Packets that an ENI's port accepted (from one source, or all)."""
        counts = self.vpc_router.counters(self.enis[name], "sent")
        return counts.get(source, 0) if source else sum(counts.values())

    def dhcp_log(self, name: str) -> str:
        """What the DHCP server of an ENI has logged."""
        return self.vpc_router.dhcp_log(self.enis[name])

    def snapshot(self) -> Dict[str, Any]:
        """The host's addresses, rules, routes and network files, to compare before and after."""
        return host.snapshot(self.namespaces.host, self.namespaces.host_root,
                             host.WATCHED[self.distribution])

    # The metadata service

    def _entry(self, eni: Eni) -> Dict[str, Any]:
        return {"mac": eni.mac, "attached": eni.attached, "keys": eni.metadata(self.vpc),
                "delays": dict(eni.delays)}

    def _publish(self) -> None:
        """Write the metadata service's state; renamed into place, so that it is read whole."""
        first = self.enis[self.primary]
        state = {
            "tokens": self._tokens,
            "endpoint": self._endpoint,
            "instance": {
                "ami-id": "ami-0ec20000000000001",
                "hostname": f"{first.hostname}.{REGION}.compute.internal",
                "instance-id": INSTANCE_ID,
                "instance-type": "m5.large",
                "local-hostname": f"{first.hostname}.{REGION}.compute.internal",
                "local-ipv4": first.address,
                "mac": first.mac,
                "placement/availability-zone": f"{REGION}a",
                "placement/region": REGION,
                "security-groups": "default",
            },
            "enis": [*map(self._entry, self.enis.values()), *self._forgotten],
            "faults": self._faults,
        }
        path = self.directory / "imds.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(state, indent=1), encoding="utf-8")
        os.replace(fresh, path)

    def _start_imds(self) -> Daemon:
        self._imds = Daemon(
            self.namespaces.router,
            [sys.executable, "-I", imds.__file__, "--address", IMDS_ADDRESS,
             "--port", str(IMDS_PORT), "--state", str(self.directory / "imds.json"),
             "--log", str(self.directory / "imds.log")],
            self.directory / "imds.err",
        )
        return self._imds

    def imds_requests(self) -> List[Dict[str, Any]]:
        """The requests since the start or ``imds_clear_log``."""
        return imds.read_log(self.directory / "imds.log")

    def imds_clear_log(self) -> None:
        """Forget the requests up to now."""
        os.truncate(self.directory / "imds.log", 0)

    def imds_endpoint(self, endpoint: str) -> None:
        """Switch the service ``enabled`` or ``disabled`` (403), as in the instance's options."""
        self._endpoint = endpoint
        self._publish()

    def imds_tokens(self, tokens: str) -> None:
        """Make tokens ``required`` or ``optional``."""
        self._tokens = tokens
        self._publish()

    def imds_stop(self) -> None:
        """Stop the service: connections are refused, and tokens are lost."""
        if self._imds is not None:
            self._imds.stop()
            self._imds = None

    def imds_start(self) -> None:
        """Start the service again."""
        if self._imds is None:
            self._start_imds().ready()

    def fault(self,  # noqa: PLR0913
              path_regex: str, status: Optional[int] = None, action: Optional[str] = None, *,
              times: Optional[int] = None, method: Optional[str] = None,
              headers: Optional[Mapping[str, str]] = None, body: Optional[str] = None,
              seconds: Optional[float] = None, size: Optional[int] = None) -> None:
        """Make the service fail for some requests; see :mod:`tests.lab.imds` for the actions."""
        self._faults.append({
            "id": next(self._fault_ids), "match": path_regex, "status": status, "action": action,
            "times": times, "method": method, "headers": dict(headers or {}), "body": body,
            "seconds": seconds, "size": size,
        })
        self._publish()

    def clear_faults(self) -> None:
        """Let the service work again."""
        self._faults = []
        self._publish()


def _remove_empty(directory: Path) -> None:
    """Remove a directory that nothing was put into yet; the keeper removes a furnished one."""
    with contextlib.suppress(OSError):
        directory.rmdir()


def _field(address: str) -> str:
    """Which of an ENI's lists an address or a prefix belongs to."""
    if "/" in address:
        return "prefixes" if ipaddress.ip_network(address).version == 4 else "ipv6_prefixes"
    return "addresses" if ipaddress.ip_address(address).version == 4 else "ipv6"
