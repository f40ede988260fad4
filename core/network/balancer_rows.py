"""Tables of load balancers, their back-end nodes and their certificates.

Two balancers never listen on the same address and port, two nodes of a balancer never have the same: the unique
constraints are the referees, whatever was looked up before. A balancer belongs to the tenant of its router, its nodes
to the tenant of their VMs: the composite foreign keys refuse anything else.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, ForeignKeyConstraint, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.types import Row, TenantOwned, Word
from core.network.outer_rows import Transport
from core.sealing import Sealed, SealedText


class Balancing(StrEnum):
    """What is balanced: connections, datagrams, or requests."""

    TCP = "tcp"
    UDP = "udp"
    HTTP = "http"
    HTTPS = "https"

    @property
    def transport(self) -> Transport:
        return Transport.UDP if self is Balancing.UDP else Transport.TCP

    @property
    def has_requests(self) -> bool:
        """Whether there are paths, and health is asked for by one."""
        return self in {Balancing.HTTP, Balancing.HTTPS}


class Side(StrEnum):
    """Where clients are: outside, behind the outer IPs, or in the router's private networks."""

    OUTER = "outer"
    INNER = "inner"


class Policy(StrEnum):
    ROUND_ROBIN = "rr"
    WEIGHTED_ROUND_ROBIN = "wrr"
    WEIGHTED_LEAST_CONNECTIONS = "wlc"


class Balancer(Row, TenantOwned):
    """It listens on `ip`:`port` of its router. `transport` follows from `protocol`, for the unique constraint.

    `vpc_id`: the network that an inner `ip` is of, attached to the router; None for an outer one. `exclusive`: nothing
    else uses the outer `ip`. `path` and `check_path` are of requests, empty for `tcp` and `udp`. `node_port`: the port
    of nodes, as it was asked for; each node has its own. A node that fails `retries` checks, one every `check_seconds`,
    each over after `timeout_seconds`, gets nothing. `idle_seconds`: so long a connection may be silent. Whoever changes
    the balancer, its nodes or its certificate locks the tenant and the router first (`core.network.balancers`).
    """

    __tablename__ = "balancer"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("ip", "port", "transport"),
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        ForeignKeyConstraint(
            ["tenant_id", "router_id", "vpc_id"],
            ["router_vpc.tenant_id", "router_vpc.router_id", "router_vpc.vpc_id"],
        ),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    router_id: Mapped[str] = mapped_column(String(64), index=True)
    vpc_id: Mapped[str | None] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(128), index=True)
    description: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime] = mapped_column(index=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    protocol: Mapped[Balancing] = mapped_column(Word(Balancing))
    transport: Mapped[Transport] = mapped_column(Word(Transport))
    side: Mapped[Side] = mapped_column(Word(Side))
    ip: Mapped[str] = mapped_column(String(15))
    port: Mapped[int]
    exclusive: Mapped[bool]
    node_port: Mapped[int]
    path: Mapped[str] = mapped_column(String(255), default="")
    policy: Mapped[Policy] = mapped_column(Word(Policy))
    retries: Mapped[int]
    check_seconds: Mapped[int]
    timeout_seconds: Mapped[int]
    idle_seconds: Mapped[int]
    check_path: Mapped[str] = mapped_column(String(255), default="")
    max_connections: Mapped[int]


class BalancerCount(Row, TenantOwned):
    """How many balancers a router ever had: the ids that follow from it are never reused."""

    __tablename__ = "balancer_count"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),)

    router_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    made: Mapped[int] = mapped_column(default=0)


class BackEnd(Row, TenantOwned):
    """A node of a balancer: an address of a NIC of a VM, and a port.

    `healthy` is what the network driver saw last (`core.network.backends.record_health`); None: not checked since it
    was made, changed or started.
    """

    __tablename__ = "back_end"
    __table_args__ = (
        UniqueConstraint("balancer_id", "ip", "port"),
        ForeignKeyConstraint(["tenant_id", "balancer_id"], ["balancer.tenant_id", "balancer.id"]),
        ForeignKeyConstraint(["tenant_id", "vm_id"], ["vm.tenant_id", "vm.id"]),
        ForeignKeyConstraint(["tenant_id", "nic_id"], ["nic.tenant_id", "nic.id"]),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    balancer_id: Mapped[str] = mapped_column(String(64), index=True)
    vm_id: Mapped[str] = mapped_column(String(64), index=True)
    nic_id: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(128), index=True)
    description: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime] = mapped_column(index=True)
    ip: Mapped[str] = mapped_column(String(15))
    port: Mapped[int]
    weight: Mapped[int] = mapped_column(default=1)
    healthy: Mapped[bool | None]


class Certificate(Row, TenantOwned):
    """Of an `https` balancer. `chain` is PEM, the balancer's own certificate first; it holds from `starts_at` until
    `ends_at`. `key` is PEM, sealed, and belongs to that certificate."""

    __tablename__ = "certificate"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "balancer_id"], ["balancer.tenant_id", "balancer.id"]),)

    balancer_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    chain: Mapped[str] = mapped_column(Text)
    key: Mapped[Sealed] = mapped_column(SealedText)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
