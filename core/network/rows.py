"""Tables of private networks and their addresses.

Two networks never have the same block, two NICs of a network never the same address: the unique constraints are the
referees, whatever was looked up before.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, ForeignKeyConstraint, String, UniqueConstraint
from sqlalchemy.orm import Mapped, column_property, mapped_column

from core.db.types import Row, Shared, TenantOwned


class Vpc(Row, TenantOwned):
    """A subnet: the `block`-th /24 of the supernet that was configured when it was made. `gate_open`: its routers let
    through only what access rules allow (`core.network.access_rules`)."""

    __tablename__ = "vpc"
    __table_args__ = (UniqueConstraint("tenant_id", "id"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    name: Mapped[str] = mapped_column(String(128), index=True)
    description: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime]
    cidr: Mapped[str] = mapped_column(String(18), unique=True)
    gateway: Mapped[str] = mapped_column(String(15))
    gate_open: Mapped[bool] = mapped_column(default=False)


class TakenCidr(Row, Shared):
    """Which blocks are taken, and not by whom: a tenant must know that to take another one."""

    __table__ = Vpc.__table__
    __mapper_args__ = {"include_properties": ["id", "cidr"]}  # noqa: RUF012
    cidr: Mapped[str] = column_property(Vpc.__table__.c.cidr)


class Address(Row, TenantOwned):
    """An address of a subnet that is taken. `nic_id`: by which NIC."""

    __tablename__ = "address"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "vpc_id"], ["vpc.tenant_id", "vpc.id"]),)

    vpc_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    ip: Mapped[str] = mapped_column(String(15), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    nic_id: Mapped[str] = mapped_column(String(64), index=True)
