"""Tables of tenants, their quotas and tokens."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, column_property, mapped_column

from core.context import Role
from core.db.types import Row, TenantOwned, Word


class Tenant(Row):
    __tablename__ = "tenant"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), index=True)
    description: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime]


class TenantName(Row, TenantOwned):
    """What a tenant is called: all that its own session sees of the tenant."""

    __table__ = Tenant.__table__
    __mapper_args__ = {"include_properties": ["id", "name"]}  # noqa: RUF012
    tenant_id: Mapped[str] = column_property(Tenant.__table__.c.id)
    name: Mapped[str] = column_property(Tenant.__table__.c.name)


class Quota(Row, TenantOwned):
    """What a tenant may own and what it owns. Taken and returned by conditional UPDATEs only (`core.tenancy.quotas`).

    `used` stands above `limit` where a driver reported more: that blocks new objects, and breaks none.
    """

    __tablename__ = "quota"
    __table_args__ = (
        CheckConstraint(
            "cpu_used >= 0 AND memory_mb_used >= 0 AND storage_gb_used >= 0"
            " AND subnets_used >= 0 AND outer_ips_used >= 0",
            name="used_not_negative",
        ),
    )

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"), primary_key=True)
    cpu_limit: Mapped[int] = mapped_column(default=0)
    cpu_used: Mapped[int] = mapped_column(default=0)
    memory_mb_limit: Mapped[int] = mapped_column(default=0)
    memory_mb_used: Mapped[int] = mapped_column(default=0)
    storage_gb_limit: Mapped[int] = mapped_column(default=0)
    storage_gb_used: Mapped[int] = mapped_column(default=0)
    subnets_limit: Mapped[int] = mapped_column(default=0)
    subnets_used: Mapped[int] = mapped_column(default=0)
    outer_ips_limit: Mapped[int] = mapped_column(default=0)
    outer_ips_used: Mapped[int] = mapped_column(default=0)


class Token(Row):
    """Only the keyed hash of a token is kept. `tenant_id` is NULL for the platform."""

    __tablename__ = "token"
    __table_args__ = (CheckConstraint("(role = 'platform') = (tenant_id IS NULL)", name="platform_has_no_tenant"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[Role] = mapped_column(Word(Role))
    tenant_id: Mapped[str | None] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
