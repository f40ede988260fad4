"""What tenants want of one node, as read from the inventory: the pure input of the compiler. No rows, no session.

Lists are in no order, and what is switched off is still there: the compiler decides what it means.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from core.network.balancer_rows import Balancing, Policy
from core.network.traffic import Blocks, Direction, PortSet, Protocol

_EVERY_PORT: Final = PortSet()
_ANYBODY: Final = Blocks()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleIntent:
    """One line that allows something. `peers`: the other side. `protocol` None, empty lists: any."""

    id: str
    direction: Direction
    protocol: Protocol | None = None
    ports: PortSet = _EVERY_PORT
    peers: Blocks = _ANYBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupIntent:
    """A security group. NICs in the same group share the object."""

    id: str
    rules: tuple[RuleIntent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NicIntent:
    """`gateway`: of its network, where DHCP answers from; None without one. `rules`: its inner access rules, enforced
    while `firewall_enabled`."""

    id: str
    vm_id: str
    device: str
    mac: str
    ip: str
    vpc_id: str | None
    gateway: str | None = None
    firewall_enabled: bool = False
    groups: tuple[GroupIntent, ...] = ()
    rules: tuple[RuleIntent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestIntent:
    """A NIC in a network of a router. `host_name`: of its VM, as people wrote it. `rules`: its access rules at the
    boundary of the network."""

    nic_id: str
    mac: str
    ip: str
    host_name: str = ""
    rules: tuple[RuleIntent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkIntent:
    """A network that is attached to the router. `gate_open`: the boundary lets through only what its rules allow."""

    vpc_id: str
    cidr: str
    gateway: str
    gate_open: bool = False
    guests: tuple[GuestIntent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OuterIntent:
    """An outer IP that the router answers to. `netmask` is that of its pool."""

    ip: str
    netmask: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingIntent:
    """An IP mapping, or a port mapping: then it has ports and a protocol. `sources`: who may use it, empty: anybody."""

    id: str
    outer_ip: str
    inner_ip: str
    protocol: Protocol | None = None
    outer_port: int | None = None
    inner_port: int | None = None
    sources: Blocks = _ANYBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class BackEndIntent:
    id: str
    ip: str
    port: int
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateIntent:
    """Both PEM. The key is in the open here, and never in a repr."""

    chain: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerIntent:
    """Times in seconds; see `core.network.balancer_rows.Balancer`."""

    id: str
    enabled: bool
    protocol: Balancing
    ip: str
    port: int
    policy: Policy
    retries: int
    check_seconds: int
    timeout_seconds: int
    idle_seconds: int
    max_connections: int
    path: str = ""
    check_path: str = ""
    certificate: CertificateIntent | None = None
    back_ends: tuple[BackEndIntent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterIntent:
    """`wan_ip` is one of `outer`."""

    id: str
    wan_ip: str
    outer: tuple[OuterIntent, ...] = ()
    networks: tuple[NetworkIntent, ...] = ()
    mappings: tuple[MappingIntent, ...] = ()
    balancers: tuple[BalancerIntent, ...] = ()
