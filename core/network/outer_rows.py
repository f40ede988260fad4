"""Tables of outer addresses: pools, the outer IPs that tenants hold of them, and what these are mapped to.

The unique constraints are the referees, whatever was looked up before: an outer IP is held once; it carries one IP
mapping or some port mappings, never both (a mapping refers to the outer IP together with its use); of one address, a
port is mapped once per protocol; a NIC has one IP mapping. A mapping's network is attached to its router, and stays so
while the mapping exists.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, column_property, mapped_column

from core.db.types import Row, Shared, TenantOwned, Word
from core.network.traffic import LONGEST_LIST

_WAN = text("is_wan")
_WHOLE = text("type = 'ip'")


class NatType(StrEnum):
    """IP: everything that comes to the outer IP; PORT: what comes to one of its ports."""

    IP = "ip"
    PORT = "port"


class Transport(StrEnum):
    """Protocols that have ports."""

    TCP = "tcp"
    UDP = "udp"


class OuterPool(Row, Shared):
    """A range of addresses of one outer network."""

    __tablename__ = "outer_pool"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[datetime]
    first: Mapped[str] = mapped_column(String(15))
    last: Mapped[str] = mapped_column(String(15))
    gateway: Mapped[str] = mapped_column(String(15))
    netmask: Mapped[str] = mapped_column(String(15))


class PoolIp(Row, Shared):
    """An address of a pool, taken or not. `number`: the address as a number, for its order."""

    __tablename__ = "pool_ip"

    ip: Mapped[str] = mapped_column(String(15), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, unique=True)
    pool_id: Mapped[str] = mapped_column(ForeignKey("outer_pool.id"), index=True)


class OuterIp(Row, TenantOwned):
    """An outer IP that a tenant holds on one of its routers. `is_wan`: it is the router's own address, as
    long as there is the router.

    `use` PORT: its ports are mapped, or listened on by load balancers; IP: it carries one IP mapping. It is given back
    when nothing uses it any more (`core.network.outer`).
    """

    __tablename__ = "outer_ip"
    __table_args__ = (
        UniqueConstraint("tenant_id", "router_id", "ip", "use"),
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        Index("uq_outer_ip_wan", "router_id", unique=True, sqlite_where=_WAN, postgresql_where=_WAN),
        CheckConstraint("use = 'port' OR NOT is_wan", name="wan_has_ports"),
    )

    ip: Mapped[str] = mapped_column(ForeignKey("pool_ip.ip"), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    router_id: Mapped[str] = mapped_column(String(64), index=True)
    use: Mapped[NatType] = mapped_column(Word(NatType))
    is_wan: Mapped[bool] = mapped_column(default=False)
    taken_at: Mapped[datetime]


class TakenIp(Row, Shared):
    """Which outer IPs are taken, and not by whom: a tenant must know that to take another one."""

    __table__ = OuterIp.__table__
    __mapper_args__ = {"include_properties": ["ip"]}  # noqa: RUF012
    ip: Mapped[str] = column_property(OuterIp.__table__.c.ip)


class NatMapping(Row, TenantOwned):
    """What comes to `outer_ip` (and `outer_port`) goes to `inner_ip` (and `inner_port`), the address of the NIC.

    Ports and `protocol` are those of a PORT mapping and None in an IP mapping. `sources`: who may use it, the canonical
    text of `Blocks`, empty: anybody.
    """

    __tablename__ = "nat_mapping"
    __table_args__ = (
        UniqueConstraint("outer_ip", "outer_port", "protocol"),
        Index("uq_nat_mapping_outer_ip", "outer_ip", unique=True, sqlite_where=_WHOLE, postgresql_where=_WHOLE),
        Index("uq_nat_mapping_nic_id", "nic_id", unique=True, sqlite_where=_WHOLE, postgresql_where=_WHOLE),
        ForeignKeyConstraint(
            ["tenant_id", "router_id", "outer_ip", "type"],
            ["outer_ip.tenant_id", "outer_ip.router_id", "outer_ip.ip", "outer_ip.use"],
        ),
        ForeignKeyConstraint(
            ["tenant_id", "router_id", "vpc_id"],
            ["router_vpc.tenant_id", "router_vpc.router_id", "router_vpc.vpc_id"],
        ),
        ForeignKeyConstraint(["tenant_id", "nic_id"], ["nic.tenant_id", "nic.id"]),
        CheckConstraint(
            "(type = 'port') = (outer_port IS NOT NULL AND inner_port IS NOT NULL AND protocol IS NOT NULL)",
            name="ports_of_port_mappings",
        ),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    router_id: Mapped[str] = mapped_column(String(64), index=True)
    vpc_id: Mapped[str] = mapped_column(String(64), index=True)
    vm_id: Mapped[str] = mapped_column(String(64), index=True)
    nic_id: Mapped[str] = mapped_column(String(64), index=True)
    created_at: Mapped[datetime]
    description: Mapped[str] = mapped_column(String(1024), default="")
    type: Mapped[NatType] = mapped_column(Word(NatType))
    outer_ip: Mapped[str] = mapped_column(String(15))
    outer_port: Mapped[int | None]
    inner_ip: Mapped[str] = mapped_column(String(15))
    inner_port: Mapped[int | None]
    protocol: Mapped[Transport | None] = mapped_column(Word(Transport))
    sources: Mapped[str] = mapped_column(String(LONGEST_LIST), default="")
