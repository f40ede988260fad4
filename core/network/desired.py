"""The desired state of a node: everything that a network driver needs to bring it about, and nothing to decide.

States are plain values: the same intent gives the same state, lists are sorted by what identifies their entries, and a
node's state is whole in itself. A driver that shares what several nodes have in common (the chain of a security group)
names it by its content.

How filters are meant: a filter that is absent (None) lets everything pass. One that is there lets pass what one of its
lines allows, and nothing else. All of them are stateful: replies to what was let pass are let pass.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from core.network.balancer_rows import Balancing, Policy
from core.network.node_rows import NodeType
from core.network.traffic import Blocks, PortSet, Protocol


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """A router or a NIC."""

    type: NodeType
    id: str

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


@dataclass(frozen=True, slots=True)
class Allow:
    """A line of a filter. `protocol` None, empty lists: any. `peers`: the other side."""

    rule_id: str
    protocol: Protocol | None
    ports: PortSet
    peers: Blocks


Filter = tuple[Allow, ...]


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """The lines of one security group. `outbound` None: it has none, and restricts nothing there."""

    id: str
    inbound: Filter
    outbound: Filter | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NicState:
    """What passes the port of a NIC. Only `mac` and `ip` may be sent from; with an `ip`, only it is sent to.

    `groups`: empty: it is in none, and they restrict nothing. Otherwise inbound passes what a line of one of them
    allows; outbound likewise, unless no group has an outbound filter. `inner_*`: a second filter after that of the
    groups: what passes, passes both.
    """

    vm_id: str
    device: str
    mac: str
    ip: str
    vpc_id: str | None
    gateway: str | None
    groups: tuple[GroupFilter, ...] = ()
    inner_inbound: Filter | None = None
    inner_outbound: Filter | None = None


@dataclass(frozen=True, slots=True)
class OuterAddress:
    """An address of the router on the outer network, which it answers ARP for."""

    ip: str
    prefix: int
    gateway: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """Of DHCP, and the DNS name of its address: unique in its network."""

    nic_id: str
    mac: str
    ip: str
    host_name: str


@dataclass(frozen=True, slots=True)
class GateFilter:
    """What passes the boundary of a network to and from one of its NICs."""

    nic_id: str
    ip: str
    inbound: Filter
    outbound: Filter | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A network, with the router as its gateway. `gate` None: its boundary is open. Otherwise what goes to a NIC that
    has no filter there does not pass, and what comes from one does."""

    vpc_id: str
    cidr: str
    gateway: str
    gate: tuple[GateFilter, ...] | None = None
    reservations: tuple[Reservation, ...] = ()


@dataclass(frozen=True, slots=True)
class IpNat:
    """Everything that comes to `outer_ip` goes to `inner_ip`, and what comes from there leaves as `outer_ip`."""

    mapping_id: str
    outer_ip: str
    inner_ip: str


@dataclass(frozen=True, slots=True)
class PortNat:
    """What comes to a port goes to another one; empty `sources`: from anywhere."""

    mapping_id: str
    protocol: Protocol
    outer_ip: str
    outer_port: int
    inner_ip: str
    inner_port: int
    sources: Blocks


@dataclass(frozen=True, slots=True)
class Target:
    """Where a balancer sends to."""

    back_end_id: str
    ip: str
    port: int
    weight: int


@dataclass(frozen=True, slots=True)
class Check:
    """A target that fails `retries` checks, one every `every` seconds, each over after `timeout`, gets nothing.
    `path`: of the HTTP request that has to be answered with success; empty: a connection is enough."""

    retries: int
    every: int
    timeout: int
    path: str = ""


@dataclass(frozen=True, slots=True)
class TlsCertificate:
    """Both PEM. The key is in no repr and in no description; `digest` (SHA-256 of both) stands for it."""

    chain: str
    key: str = field(repr=False)

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.chain}\0{self.key}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A load balancer. `path`: the requests that it takes begin so; empty: all. Times in seconds."""

    balancer_id: str
    protocol: Balancing
    ip: str
    port: int
    policy: Policy
    check: Check
    idle: int
    max_connections: int
    path: str = ""
    certificate: TlsCertificate | None = None
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterState:
    """`wan_ip`: what has no IP mapping of its own leaves as this. Its networks reach each other through it."""

    wan_ip: str
    outer: tuple[OuterAddress, ...] = ()
    legs: tuple[Leg, ...] = ()
    ip_nat: tuple[IpNat, ...] = ()
    port_nat: tuple[PortNat, ...] = ()
    listeners: tuple[Listener, ...] = ()


NodeState = RouterState | NicState


@dataclass(frozen=True, slots=True)
class Desired:
    """A node as it is to be from `generation` on. `state` None: it is not to be there."""

    node: Node
    generation: int
    state: NodeState | None
