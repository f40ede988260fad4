"""What people do with alarms: find, relieve, acknowledge, shelve, and read what happened.

A tenant's session sees the alarms of its own VMs, their disks and NICs (`Alarm.tenant_id`); the platform sees all.
The race: an evaluation that runs at the same moment. Both lock the machine's row first (`AlarmState`), so one of
them sees what the other did. What has changed here is told to the receivers by the next evaluation, which alone
writes to the outbox.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from annotated_types import MaxLen
from sqlalchemy import ColumnElement, select

from core.alarms import machine, memory, rows
from core.alarms.finding import Severity
from core.alarms.machine import Change, Phase, Transition
from core.alarms.metrics import TRANSITIONS
from core.alarms.rows import ReliefWay
from core.context import Context, Page, Role
from core.db.search import exactly, only, page
from core.errors import Conflict, Invalid
from core.paging import Paged
from core.timeseries.fields import Kind

_WIRE_PRECISION: Final = timedelta(seconds=1)


class Relieved(StrEnum):
    """How an alarm ended; NONE: it is open."""

    AUTO = "auto"
    MANUAL = "manual"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindAlarms(Paged):
    """All given filters must hold. Created from `starts_at` to `ends_at`, both included to the second: the wire has
    no fractions. `unpaged`: every alarm, whatever `start` and `limit` say.
    """

    severity: Severity | None = None
    object_kind: Kind | None = None
    object_id: Annotated[str, MaxLen(192)] | None = None
    relieved: Relieved | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    unpaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDetails:
    """`content_zh`, `content_en`: the text in both languages. `relieved_at` None: the alarm is open. `suppressed_by`:
    why nobody is told of it; a tenant reads whether it is for a host, maintenance or a window, and not for which."""

    id: str
    category: str
    severity: Severity
    object_kind: Kind
    object_id: str
    object_name: str
    content_zh: str
    content_en: str
    created_at: datetime
    relieved_at: datetime | None
    relieved: Relieved
    latched: bool
    acknowledged: bool
    flapping: bool
    shelved_until: datetime | None
    suppressed_by: str | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRef:
    """One alarm, and what the person who acts on it has to say (`None`: nothing; the old note stays)."""

    id: Annotated[str, MaxLen(64)]
    note: Annotated[str, MaxLen(1024)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelveAlarm:
    """No notifications until `until`, which must lie ahead."""

    id: Annotated[str, MaxLen(64)]
    until: datetime
    note: Annotated[str, MaxLen(1024)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmHistory(Paged):
    """What happened to one alarm."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmEvent:
    """`actor`: `system`, or the id of the token that was used; `platform` for a tenant's caller if it was one of the
    platform. `severity_after` None: the alarm ended."""

    alarm_id: str
    at: datetime
    change: Change
    before: Phase
    after: Phase
    severity_before: Severity | None
    severity_after: Severity | None
    reason: str
    actor: str


def search(at: Context, find: FindAlarms) -> Page[AlarmDetails]:
    """Alarms that the caller may see, newest first."""
    columns = select(rows.Alarm).where(
        *exactly(rows.Alarm.severity, find.severity),
        *exactly(rows.Alarm.object_kind, find.object_kind),
        *exactly(rows.Alarm.object_id, find.object_id),
        *_relieved(find.relieved),
        *_created(find.starts_at, find.ends_at),
    )
    wanted = replace(find, start=None, limit=None) if find.unpaged else find
    found = page(at, columns, wanted, order=(rows.Alarm.created_at.desc(), rows.Alarm.id.desc()))
    return Page(tuple(_details(at, alarm) for (alarm,) in found.rows), found.total)


def relieve(at: Context, ref: AlarmRef) -> None:
    """End an alarm by hand. A condition that still holds must hold for its whole time again to raise a new one.

    Raises NotFound, and Conflict when it is relieved already.
    """
    alarm, memory_row, state = _open(at, ref.id)
    _, transition = machine.relieve(state, at.clock.now().timestamp())
    _note(at, alarm, transition, ref.note)
    alarm.relieved_at, alarm.relieve_way = at.clock.now(), ReliefWay.MANUAL
    alarm.latched = alarm.flapping = False
    alarm.outstanding = alarm.told_severity is not None
    at.session.delete(memory_row)
    at.session.flush()


def acknowledge(at: Context, ref: AlarmRef) -> None:
    """Say that somebody looks after it. The first one stands. Raises NotFound, and Conflict when it is relieved."""
    alarm, _, state = _open(at, ref.id)
    if not state.acknowledged:
        _, transition = machine.acknowledge(state, at.clock.now().timestamp())
        alarm.acknowledged_at, alarm.acknowledged_by = at.clock.now(), at.caller.token_id
        _note(at, alarm, transition, ref.note)


def shelve(at: Context, want: ShelveAlarm) -> None:
    """No notifications until then. Raises NotFound, Invalid for a moment that has passed, and Conflict when it is
    relieved.
    """
    now = at.clock.now()
    if want.until <= now:
        raise Invalid("until", "has passed", "a moment in the future")
    alarm, _, state = _open(at, want.id)
    _, transition = machine.shelve(state, want.until.timestamp(), now.timestamp())
    alarm.shelved_until = want.until
    _note(at, alarm, transition, want.note)


def history(at: Context, find: AlarmHistory) -> Page[AlarmEvent]:
    """What happened to an alarm, oldest first. Raises NotFound."""
    _existing(at, find.id)
    columns = select(rows.AlarmTransition).where(rows.AlarmTransition.alarm_id == find.id)
    found = page(at, columns, find, order=(rows.AlarmTransition.number,))
    return Page(tuple(_event(at, transition) for (transition,) in found.rows), found.total)


def _existing(at: Context, id_: str) -> rows.Alarm:
    return only(at.session, select(rows.Alarm).where(*exactly(rows.Alarm.id, id_)), "alarm", id_)


def _open(at: Context, id_: str) -> tuple[rows.Alarm, rows.AlarmState, machine.State]:
    """The alarm with its machine's row, both locked in the order in which the evaluation locks them."""
    locked = select(rows.AlarmState).where(*exactly(rows.AlarmState.alarm_id, id_)).with_for_update()
    kept = at.session.scalars(locked).one_or_none()
    if kept is None:
        raise Conflict("alarm", _existing(at, id_).id, "is relieved already")
    alarm = at.session.scalars(select(rows.Alarm).where(rows.Alarm.id == id_).with_for_update()).one()
    return alarm, kept, memory.recalled(_stored(kept), _visible(alarm), None)


def _stored(kept: rows.AlarmState) -> memory.Stored:
    return memory.Stored(
        rungs=kept.rungs, evidence_until=kept.evidence_until, flap_score=kept.flap_score, flap_at=kept.flap_at,
        flapping=kept.flapping,
    )  # fmt: skip


def _visible(alarm: rows.Alarm) -> memory.Visible:
    return memory.Visible(
        severity=alarm.severity, acknowledged_at=alarm.acknowledged_at, shelved_until=alarm.shelved_until
    )


def _note(at: Context, alarm: rows.Alarm, transition: Transition, note: str | None) -> None:
    """The transition in the history; the note on the alarm and in the history."""
    alarm.transitions += 1
    if note is not None:
        alarm.note = note
    at.session.add(
        rows.AlarmTransition(
            alarm_id=alarm.id, tenant_id=alarm.tenant_id, number=alarm.transitions, at=at.clock.now(),
            reason=note or "",
            change=transition.change, before=transition.before, after=transition.after, actor=at.caller.token_id,
            actor_role=at.caller.role,
            severity_before=transition.severity_before, severity_after=transition.severity_after,
        )
    )  # fmt: skip
    TRANSITIONS.labels(transition.change).inc()


def _relieved(wanted: Relieved | None) -> tuple[ColumnElement[bool], ...]:
    match wanted:
        case None:
            return ()
        case Relieved.NONE:
            return (rows.Alarm.relieved_at.is_(None),)
        case Relieved.AUTO | Relieved.MANUAL:
            return (rows.Alarm.relieve_way == ReliefWay(wanted.value),)


def _created(starts_at: datetime | None, ends_at: datetime | None) -> tuple[ColumnElement[bool], ...]:
    since = () if starts_at is None else (rows.Alarm.created_at >= starts_at,)
    until = () if ends_at is None else (rows.Alarm.created_at < ends_at + _WIRE_PRECISION,)
    return (*since, *until)


def _details(at: Context, alarm: rows.Alarm) -> AlarmDetails:
    suppressed_by = alarm.suppressed_by
    if suppressed_by is not None and not at.caller.is_platform:
        suppressed_by = suppressed_by.partition(":")[0]
    return AlarmDetails(
        id=alarm.id, category=alarm.category, severity=alarm.severity, object_kind=alarm.object_kind,
        object_id=alarm.object_id, object_name=alarm.object_name, content_zh=alarm.content_zh,
        content_en=alarm.content_en, created_at=alarm.created_at, relieved_at=alarm.relieved_at,
        relieved=Relieved.NONE if alarm.relieve_way is None else Relieved(alarm.relieve_way.value),
        latched=alarm.latched, acknowledged=alarm.acknowledged_at is not None, flapping=alarm.flapping,
        shelved_until=alarm.shelved_until, suppressed_by=suppressed_by, note=alarm.note,
    )  # fmt: skip


def _event(at: Context, row: rows.AlarmTransition) -> AlarmEvent:
    is_hidden = row.actor_role is Role.PLATFORM and not at.caller.is_platform
    return AlarmEvent(
        alarm_id=row.alarm_id, at=row.at, change=row.change, before=row.before, after=row.after,
        severity_before=row.severity_before, severity_after=row.severity_after, reason=row.reason,
        actor=str(Role.PLATFORM) if is_hidden else row.actor,
    )  # fmt: skip
