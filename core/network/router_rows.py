"""Tables of cloud routers and of the networks that are attached to them.

A network is attached to one router or to none: the primary key of `router_vpc` is the referee. A router is no VM of the
inventory: it counts for no CPU and no memory, only for its outer IP.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, ForeignKeyConstraint, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.types import Row, TenantOwned, Word


class RouterState(StrEnum):
    """CREATING: its task has not ended; nothing can be attached to it yet."""

    CREATING = "creating"
    READY = "ready"


class Router(Row, TenantOwned):
    """`id` is also the id of its first machine; `standby_id`: of the second one, None unless it is highly available.
    Both answer to the same address, its outer IP with `is_wan` (`core.network.outer_rows`). Whoever changes what hangs
    on a router locks it first (`core.network.outer.lock_router`)."""

    __tablename__ = "router"
    __table_args__ = (UniqueConstraint("tenant_id", "id"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    standby_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(128), index=True)
    description: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime]
    state: Mapped[RouterState] = mapped_column(Word(RouterState), default=RouterState.CREATING)


class RouterVpc(Row, TenantOwned):
    """A network that is attached to a router, which is the gateway of it."""

    __tablename__ = "router_vpc"
    __table_args__ = (
        UniqueConstraint("tenant_id", "router_id", "vpc_id"),
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        ForeignKeyConstraint(["tenant_id", "vpc_id"], ["vpc.tenant_id", "vpc.id"]),
    )

    vpc_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    router_id: Mapped[str] = mapped_column(String(64), index=True)
    attached_at: Mapped[datetime]
