"""Writing the audit log, and forgetting what is old.

The worst moment: something was done and the log does not say so. The entry of a success is therefore written in the
transaction of what was done: both are there, or neither. A failure has done nothing, and its entry a transaction of its
own; when that fails too, the loss is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import delete, event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from core.audit import metrics
from core.audit.rows import AuditEntry, AuditObject, Outcome
from core.context import Role
from core.db.engine import Database

AT_ONCE: Final = 1000
MOST_OBJECTS: Final = 100
"""So many objects of one entry are kept."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What somebody did or wanted to do. `objects`: ids, each with the name under which it was given."""

    operation: str
    address: str
    role: Role | None = None
    token_id: str | None = None
    tenant_id: str | None = None
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    objects: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How it ended. `tasks`: what goes on in the background because of it."""

    outcome: Outcome
    code: str = ""
    reason: str = ""
    tasks: Sequence[str] = ()
    times: int = 1


def record(session: Session, at: datetime, deed: Deed, end: End) -> None:
    """One entry, in the caller's transaction. Also in a tenant's session, of that tenant's deeds."""
    kept = list(deed.objects.items())[:MOST_OBJECTS]
    session.add(
        AuditEntry(
            at=at, tenant_id=deed.tenant_id, role=deed.role, token_id=deed.token_id, address=deed.address[:64],
            operation=deed.operation, parameters=dict(deed.parameters), outcome=end.outcome, code=end.code,
            reason=end.reason, tasks=list(end.tasks), times=end.times, unlisted=len(deed.objects) - len(kept),
            objects=[AuditObject(object_id=id_, name=name, tenant_id=deed.tenant_id) for id_, name in kept],
        )
    )  # fmt: skip
    event.listen(session, "after_commit", lambda _: metrics.ENTRIES.labels(end.outcome).inc(), once=True)


def record_apart(database: Database, at: datetime, deed: Deed, end: End) -> None:
    """One entry, in a transaction of its own. Never fails: what cannot be written is counted, and logged."""
    try:
        with database.platform(write=True) as session:
            record(session, at, deed, end)
    except SQLAlchemyError as problem:
        metrics.LOST.inc(end.times)
        _log.warning("audit_entry_lost", operation=deed.operation, outcome=end.outcome, problem=type(problem).__name__)


def forget(database: Database, before: datetime) -> None:
    """Delete all entries that are older, some at a time."""
    while ids := _oldest(database, before):
        with database.platform(write=True) as session:
            session.execute(delete(AuditEntry).where(AuditEntry.id.in_(ids)))
        metrics.FORGOTTEN.inc(len(ids))


def _oldest(database: Database, before: datetime) -> Sequence[int]:
    old = select(AuditEntry.id).where(AuditEntry.at < before).order_by(AuditEntry.at).limit(AT_ONCE)
    with database.platform() as session:
        return session.scalars(old).all()
