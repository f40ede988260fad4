"""Tenants: creating, finding and deleting them. For the platform only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.orm import Session

from core.context import Context, Page
from core.db.search import containing, exactly, only, page
from core.db.types import Row
from core.errors import Conflict
from core.ids import new_id
from core.paging import Paged
from core.tenancy import rows, tokens

_Limit = Annotated[int, Ge(0), Le(2**31 - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTenant:
    """Limits that are not given come from the settings. Two tenants may have the same name."""

    name: Annotated[str, MinLen(1), MaxLen(128)]
    description: Annotated[str, MaxLen(1024)] = ""
    cpu_limit: _Limit | None = None
    memory_mb_limit: _Limit | None = None
    storage_gb_limit: _Limit | None = None
    subnets_limit: _Limit | None = None
    outer_ips_limit: _Limit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedTenant:
    """`token` is shown here and never again."""

    id: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindTenants(Paged):
    """`id` exact; `name` contained, whatever the case. Both must hold."""

    id: Annotated[str, MaxLen(64)] | None = None
    name: Annotated[str, MaxLen(128)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRef:
    """One tenant."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantDetails:
    """The limits of the quota, in cores, MB, GB and pieces."""

    id: str
    name: str
    description: str
    created_at: datetime
    cpu_limit: int
    memory_mb_limit: int
    storage_gb_limit: int
    subnets_limit: int
    outer_ips_limit: int


def create(at: Context, want: CreateTenant) -> CreatedTenant:
    """A tenant, its quota and its first token, all or nothing."""
    tenant = rows.Tenant(id=new_id("tenant"), name=want.name, description=want.description, created_at=at.clock.now())
    at.session.add(tenant)
    at.session.flush()
    at.session.add(_quota(at, tenant.id, want))
    return CreatedTenant(id=tenant.id, token=tokens.issue(at, tenant.id).token)


def search(at: Context, find: FindTenants) -> Page[TenantDetails]:
    """Tenants, newest first."""
    columns = (
        select(rows.Tenant, rows.Quota)
        .join(rows.Quota, rows.Quota.tenant_id == rows.Tenant.id)
        .where(*exactly(rows.Tenant.id, find.id), *containing(rows.Tenant.name, find.name))
    )
    found = page(at, columns, find, order=(rows.Tenant.created_at.desc(), rows.Tenant.id))
    return Page(tuple(_details(tenant, quota) for tenant, quota in found.rows), found.total)


def delete(at: Context, ref: TenantRef) -> None:
    """A tenant with its quota and tokens goes. Raises Conflict while it owns anything, naming what."""
    tenant = only(at.session, select(rows.Tenant).where(*exactly(rows.Tenant.id, ref.id)), "tenant", ref.id)
    if owned := _owned(at.session, tenant.id):
        raise Conflict("tenant", tenant.id, f"still owns {', '.join(owned)}")
    at.session.delete(tenant)
    at.session.flush()


def _quota(at: Context, tenant_id: str, want: CreateTenant) -> rows.Quota:
    default = at.settings
    return rows.Quota(
        tenant_id=tenant_id,
        cpu_limit=default.quota_cpu if want.cpu_limit is None else want.cpu_limit,
        memory_mb_limit=default.quota_memory_mb if want.memory_mb_limit is None else want.memory_mb_limit,
        storage_gb_limit=default.quota_storage_gb if want.storage_gb_limit is None else want.storage_gb_limit,
        subnets_limit=default.quota_subnets if want.subnets_limit is None else want.subnets_limit,
        outer_ips_limit=default.quota_outer_ips if want.outer_ips_limit is None else want.outer_ips_limit,
    )


def _owned(session: Session, tenant_id: str) -> list[str]:
    """What stands against deleting a tenant: rows that refer to it and would not go with it, as `vm: 2`."""
    found = []
    for table in Row.metadata.sorted_tables:
        if any(_holds(key) for key in table.foreign_keys):
            count = session.scalar(select(func.count()).select_from(table).where(table.c.tenant_id == tenant_id))
            found += [f"{table.name}: {count}"] if count else []
    return found


def _holds(key: ForeignKey) -> bool:
    return key.column.table is rows.Tenant.__table__ and key.ondelete is None


def _details(tenant: rows.Tenant, quota: rows.Quota) -> TenantDetails:
    return TenantDetails(
        id=tenant.id, name=tenant.name, description=tenant.description, created_at=tenant.created_at,
        cpu_limit=quota.cpu_limit, memory_mb_limit=quota.memory_mb_limit, storage_gb_limit=quota.storage_gb_limit,
        subnets_limit=quota.subnets_limit, outer_ips_limit=quota.outer_ips_limit,
    )  # fmt: skip
