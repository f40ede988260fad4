"""Quotas: what a tenant may own, taken when something is accepted and given back when it is gone.

The race: two requests that both see the last core free. There is no looking: one conditional UPDATE is check and take,
in the transaction that writes the rows it is taken for; a refusal is explained afterwards. The worst moment is a second
return of the same thing: it must stand in the transaction that deletes the row it was taken for, whose DELETE or
compare-and-set says whether it was there; the database refuses a counter below zero, loudly, and nothing clamps it.

What exists is counted from acceptance to deletion, stopped or running. A driver may report more than the limit allows
(`core.compute.inventory`): then nothing more is given, and nothing is taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen
from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.context import Context
from core.db.guarded import changed
from core.db.search import exactly, only
from core.errors import Conflict, NotFound, QuotaExceeded
from core.tenancy.rows import Quota

Limit = Annotated[int, Ge(0), Le(2**31 - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Of each resource, in its unit; 0: nothing of it."""

    cpu: int = 0
    memory_mb: int = 0
    storage_gb: int = 0
    subnets: int = 0
    outer_ips: int = 0

    def __post_init__(self) -> None:
        if min(asdict(self).values()) < 0:
            raise ValueError(f"BUG: less than nothing: {self}")

    def times(self, number: int) -> Amounts:
        return Amounts(**{name: amount * number for name, amount in asdict(self).items()})


@dataclass(frozen=True, slots=True)
class _Counter:
    resource: str
    unit: str
    limit: InstrumentedAttribute[int]
    used: InstrumentedAttribute[int]


COUNTERS: Final[Mapping[str, _Counter]] = {
    "cpu": _Counter("CPU", "cores", Quota.cpu_limit, Quota.cpu_used),
    "memory_mb": _Counter("memory", "MB", Quota.memory_mb_limit, Quota.memory_mb_used),
    "storage_gb": _Counter("storage", "GB", Quota.storage_gb_limit, Quota.storage_gb_used),
    "subnets": _Counter("subnets", "pieces", Quota.subnets_limit, Quota.subnets_used),
    "outer_ips": _Counter("outer IPs", "pieces", Quota.outer_ips_limit, Quota.outer_ips_used),
}


def take(session: Session, tenant_id: str, wanted: Amounts) -> None:
    """All of it or nothing. Raises QuotaExceeded, naming the first resource that is short; NotFound."""
    amounts = _positive(wanted)
    if not amounts:
        return
    enough = [counter.used + amount <= counter.limit for counter, amount in amounts]
    more: dict[InstrumentedAttribute[int], ColumnElement[int]] = {
        counter.used: counter.used + amount for counter, amount in amounts
    }
    if not changed(session, update(Quota).where(Quota.tenant_id == tenant_id, *enough).values(more)):
        raise _refusal(session, tenant_id, amounts)


def give_back(session: Session, tenant_id: str, returned: Amounts) -> None:
    """In the transaction in which what it was taken for ceases to be. IntegrityError: it was given back before."""
    less = {counter.used: counter.used - amount for counter, amount in _positive(returned)}
    if less and not changed(session, update(Quota).where(Quota.tenant_id == tenant_id).values(less)):
        raise NotFound("tenant", tenant_id)


def follow(session: Session, tenant_id: str, before: Amounts, after: Amounts) -> None:
    """What was counted as `before` is `after` now, whatever the limit: a fact of the driver's is not refused. Raises
    NotFound; IntegrityError: it was given back before."""
    more: dict[InstrumentedAttribute[int], ColumnElement[int]] = {
        counter.used: counter.used + (getattr(after, name) - amount)
        for name, amount in asdict(before).items()
        if getattr(after, name) != amount
        for counter in (COUNTERS[name],)
    }
    if more and not changed(session, update(Quota).where(Quota.tenant_id == tenant_id).values(more)):
        raise NotFound("tenant", tenant_id)


def _positive(amounts: Amounts) -> list[tuple[_Counter, int]]:
    return [(COUNTERS[name], amount) for name, amount in asdict(amounts).items() if amount]


def _refusal(session: Session, tenant_id: str, amounts: list[tuple[_Counter, int]]) -> QuotaExceeded | NotFound:
    """Read after the refusal: if somebody gave something back in between, the first resource that was asked for is
    named."""
    columns = [column for counter, _ in amounts for column in (counter.limit, counter.used)]
    row = session.execute(select(*columns).where(Quota.tenant_id == tenant_id)).one_or_none()
    if row is None:
        return NotFound("tenant", tenant_id)
    left = [max(0, limit - used) for limit, used in zip(row[::2], row[1::2], strict=True)]
    shortages = [item for item in zip(amounts, left, strict=True) if item[0][1] > item[1]]
    (counter, amount), free = shortages[0] if shortages else (amounts[0], left[0])
    return QuotaExceeded(counter.resource, amount, free, counter.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRef:
    """A tenant's quota."""

    tenant_id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeQuota:
    """The new limits, all of them."""

    tenant_id: Annotated[str, MaxLen(64)]
    cpu: Limit
    memory_mb: Limit
    storage_gb: Limit
    outer_ips: Limit
    subnets: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaDetails:
    """What is left of each resource, never less than 0, and its limit. Object storage is outside this product."""

    cpu_left: int
    memory_mb_left: int
    storage_gb_left: int
    outer_ips_left: int
    subnets_left: int
    object_storage_gb_left: int
    cpu_limit: int
    memory_mb_limit: int
    storage_gb_limit: int
    outer_ips_limit: int
    subnets_limit: int
    object_storage_gb_limit: int


def read(at: Context, ref: QuotaRef) -> QuotaDetails:
    """Raises NotFound, also for another tenant's."""
    quota = only(at.session, select(Quota).where(*exactly(Quota.tenant_id, ref.tenant_id)), "tenant", ref.tenant_id)
    objects = at.settings.quota_object_storage_gb
    return QuotaDetails(
        cpu_left=max(0, quota.cpu_limit - quota.cpu_used), cpu_limit=quota.cpu_limit,
        memory_mb_left=max(0, quota.memory_mb_limit - quota.memory_mb_used), memory_mb_limit=quota.memory_mb_limit,
        storage_gb_left=max(0, quota.storage_gb_limit - quota.storage_gb_used), storage_gb_limit=quota.storage_gb_limit,
        outer_ips_left=max(0, quota.outer_ips_limit - quota.outer_ips_used), outer_ips_limit=quota.outer_ips_limit,
        subnets_left=max(0, quota.subnets_limit - quota.subnets_used), subnets_limit=quota.subnets_limit,
        object_storage_gb_left=objects, object_storage_gb_limit=objects,
    )  # fmt: skip


def change(at: Context, want: ChangeQuota) -> None:
    """New limits, all or none. Raises NotFound; Conflict when one would be lowered under what is used, naming it.

    A limit that is under what is used already (a driver reported more) may be raised without reaching it.
    """
    limits = [(counter, getattr(want, name)) for name, counter in COUNTERS.items()]
    allowed = [or_(limit >= counter.used, limit >= counter.limit) for counter, limit in limits]
    new = {counter.limit: limit for counter, limit in limits}
    quota = exactly(Quota.tenant_id, want.tenant_id)
    if changed(at.session, update(Quota).where(*quota, *allowed).values(new)):
        return
    used = at.session.execute(select(*(counter.used for counter, _ in limits)).where(*quota)).one_or_none()
    if used is None:
        raise NotFound("tenant", want.tenant_id)
    (counter, limit), taken = next(item for item in zip(limits, used, strict=True) if item[0][1] < item[1])
    shown = f"{counter.resource}: {limit} {counter.unit}"
    raise Conflict("tenant", want.tenant_id, f"the quota cannot be lowered under what is used: {shown}, {taken} used")
