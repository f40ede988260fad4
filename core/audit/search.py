"""Reading the audit log: for the platform."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import selectinload

from core.audit.rows import AuditEntry, AuditObject, Outcome
from core.context import Context, Page, Role
from core.db.search import containing, exactly, page
from core.paging import Paged

_WIRE_PRECISION: Final = timedelta(seconds=1)
"""Times of requests have no fractions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindEntries(Paged):
    """All given filters must hold. From `since` to `until`, both included to the second. `tenant_id`, `token_id`: the
    caller's; `operation`: contained, whatever the case; `object_id`: among the objects. `before`: older than this
    entry: for going through many, whatever is written meanwhile."""

    since: datetime | None = None
    until: datetime | None = None
    tenant_id: Annotated[str, MaxLen(64)] | None = None
    token_id: Annotated[str, MaxLen(64)] | None = None
    operation: Annotated[str, MaxLen(128)] | None = None
    object_id: Annotated[str, MaxLen(192)] | None = None
    outcome: Outcome | None = None
    before: Annotated[int, Ge(1), Le(2**63 - 1)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """An object, and the name under which its id was given."""

    name: str
    object_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenParameter:
    """`value` is empty where it may not be kept."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryDetails:
    """`role` None: nobody knows who it was. `times`: so many refusals, of which this was the last."""

    id: int
    at: datetime
    role: Role | None
    tenant_id: str | None
    token_id: str | None
    address: str
    operation: str
    parameters: tuple[GivenParameter, ...]
    objects: tuple[Concerned, ...]
    unlisted: int
    tasks: tuple[str, ...]
    outcome: Outcome
    code: str
    reason: str
    times: int


def search(at: Context, find: FindEntries) -> Page[EntryDetails]:
    """Entries, newest first."""
    columns = (
        select(AuditEntry)
        .options(selectinload(AuditEntry.objects))
        .where(
            *exactly(AuditEntry.tenant_id, find.tenant_id),
            *exactly(AuditEntry.token_id, find.token_id),
            *containing(AuditEntry.operation, find.operation),
            *exactly(AuditEntry.outcome, find.outcome),
            *_within(find.since, find.until),
            *(() if find.before is None else (AuditEntry.id < find.before,)),
            *_about(find.object_id),
        )
    )
    found = page(at, columns, find, order=(AuditEntry.id.desc(),))
    return Page(tuple(_details(entry) for (entry,) in found.rows), found.total)


def _within(since: datetime | None, until: datetime | None) -> tuple[ColumnElement[bool], ...]:
    return (
        *(() if since is None else (AuditEntry.at >= since,)),
        *(() if until is None else (AuditEntry.at < until + _WIRE_PRECISION,)),
    )


def _about(object_id: str | None) -> tuple[ColumnElement[bool], ...]:
    wanted = exactly(AuditObject.object_id, object_id)
    return (AuditEntry.id.in_(select(AuditObject.entry_id).where(*wanted)),) if wanted else ()


def _details(entry: AuditEntry) -> EntryDetails:
    return EntryDetails(
        id=entry.id, at=entry.at, role=entry.role, tenant_id=entry.tenant_id, token_id=entry.token_id,
        address=entry.address, operation=entry.operation, unlisted=entry.unlisted, tasks=tuple(entry.tasks),
        parameters=tuple(GivenParameter(name=name, value=value or "") for name, value in entry.parameters.items()),
        objects=tuple(Concerned(name=one.name, object_id=one.object_id) for one in entry.objects),
        outcome=entry.outcome, code=entry.code, reason=entry.reason, times=entry.times,
    )  # fmt: skip
