"""The history of hosts: every change of state, what became of the VMs of a dead host, the brake, our own link.
Platform only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from annotated_types import MaxLen
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.context import Context, Page
from core.db.search import exactly, page
from core.hosts.rows import HostEvent, HostReason, HostState
from core.hosts.state import Transition
from core.paging import Paged

_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class FindHostEvents(Paged):
    """All given filters must hold. `since` is included, `until` is not. `urgent`: only those that a person must look
    at."""

    host_id: Annotated[str, MaxLen(64)] | None = None
    reason: HostReason | None = None
    to_state: HostState | None = None
    urgent: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One thing that was known at that moment."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEventDetails:
    """`host_id` None: about all hosts. The states are None where nothing changed its state."""

    id: int
    host_id: str | None
    at: datetime
    from_state: HostState | None
    to_state: HostState | None
    reason: HostReason
    urgent: bool
    detector: str
    evidence: tuple[Known, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something to remember that is no change of state."""

    reason: HostReason
    urgent: bool
    evidence: Mapping[str, str]
    host_id: str | None = None


def record_transition(session: Session, host_id: str, detector: str, change: Transition) -> None:
    note = Note(change.reason, change.urgent, change.evidence, host_id)
    _record(session, change.at, detector, note, (change.from_state, change.to_state))


def record_note(session: Session, at: datetime, detector: str, note: Note) -> None:
    _record(session, at, detector, note, (None, None))


def _record(
    session: Session, at: datetime, detector: str, note: Note, states: tuple[HostState | None, HostState | None]
) -> None:
    session.add(
        HostEvent(
            host_id=note.host_id, at=at, from_state=states[0], to_state=states[1],
            reason=note.reason, urgent=note.urgent, detector=detector, evidence=dict(note.evidence),
        )
    )  # fmt: skip


def forget(session: Session, before: datetime) -> int:
    """Delete what happened before then; the number of events, at most 1000 in a call."""
    old = select(HostEvent.id).where(HostEvent.at < before).order_by(HostEvent.at).limit(_AT_ONCE)
    ids = session.scalars(old).all()
    session.execute(delete(HostEvent).where(HostEvent.id.in_(ids)))
    return len(ids)


def search(at: Context, find: FindHostEvents) -> Page[HostEventDetails]:
    """Events, newest first."""
    columns = select(HostEvent).where(
        *exactly(HostEvent.host_id, find.host_id),
        *exactly(HostEvent.reason, find.reason),
        *exactly(HostEvent.to_state, find.to_state),
        *exactly(HostEvent.urgent, find.urgent),
        *(() if find.since is None else (HostEvent.at >= find.since,)),
        *(() if find.until is None else (HostEvent.at < find.until,)),
    )
    found = page(at, columns, find, order=(HostEvent.id.desc(),))
    return Page(tuple(_details(event) for (event,) in found.rows), found.total)


def _details(event: HostEvent) -> HostEventDetails:
    return HostEventDetails(
        id=event.id, host_id=event.host_id, at=event.at, from_state=event.from_state, to_state=event.to_state,
        reason=event.reason, urgent=event.urgent, detector=event.detector,
        evidence=tuple(Known(name=name, value=value) for name, value in event.evidence.items()),
    )  # fmt: skip
