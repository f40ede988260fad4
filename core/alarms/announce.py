"""Filling the outbox: every open difference between what receivers know and what is true is told, or waits with its
reason.

Runs inside the transaction of the evaluation (`core.alarms.engine`), which alone writes to the outbox: what people
change in the meantime, and what was suppressed, is `Alarm.outstanding` and is told by the next evaluation. A relief
is never suppressed - it is told to those who were told of the alarm, and to nobody else. The race with people is
closed by locks on the alarms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.orm import Session

from core.alarms.announcement import Announcement, Known, Routing, difference
from core.alarms.machine import Change
from core.alarms.maintenance import windows_in_force
from core.alarms.rows import Alarm, Outbox
from core.alarms.suppress import Circumstances, HostCondition, suppressed_by
from core.alarms.windows import Subject
from core.hosts.rows import Host, HostState


@dataclass(frozen=True, slots=True)
class _Decision:
    """What becomes of one outstanding alarm: its new columns, and what is told."""

    columns: dict[str, Any]
    announcement: Announcement | None = None


def announce(session: Session, routing: Routing, now: datetime) -> None:
    """One outbox row for each announcement that is due and each of its receivers."""
    waiting = select(Alarm).where(Alarm.outstanding).order_by(Alarm.created_at, Alarm.object_id, Alarm.id)
    outstanding = session.scalars(waiting.with_for_update().execution_options(populate_existing=True)).all()
    if not outstanding:
        return
    around = circumstances(session, now)
    decisions = [_decide(alarm, around, now) for alarm in outstanding]
    changed = [
        decision.columns
        for decision, alarm in zip(decisions, outstanding, strict=True)
        if _differs(decision.columns, alarm)
    ]
    if changed:
        session.execute(update(Alarm), changed)
    letters = [
        _letter(decision.announcement, receiver, now)
        for decision in decisions
        if decision.announcement is not None
        for receiver in routing(decision.announcement)
    ]
    if letters:
        session.execute(insert(Outbox), letters)


def open_announcements(session: Session, now: datetime) -> Sequence[Announcement]:
    """Every open alarm that has been told, as it stands: for receivers that forget and must be told again."""
    told = select(Alarm).where(Alarm.relieved_at.is_(None), Alarm.told_severity.is_not(None)).order_by(Alarm.id)
    return [_announcement(alarm, Change.RAISED, alarm.announcements, now) for alarm in session.scalars(told)]


def circumstances(session: Session, now: datetime) -> Circumstances:
    """What may suppress an alarm at this moment."""
    unusual = select(Host.id, Host.state, Host.maintenance).where(
        or_(Host.state != HostState.RUNNING, Host.maintenance)
    )
    hosts = {id_: HostCondition(state, maintenance) for id_, state, maintenance in session.execute(unusual)}
    return Circumstances(hosts, windows_in_force(session, now))


def _decide(alarm: Alarm, around: Circumstances, now: datetime) -> _Decision:
    told = Known(alarm.told_severity, alarm.told_flapping, alarm.told_latched)
    is_open = alarm.relieved_at is None
    true = Known(alarm.severity, alarm.flapping, alarm.latched) if is_open else Known()
    change = difference(told, true)
    if is_open and change is not None:
        reason = suppressed_by(_subject(alarm), alarm.shelved_until, around, now)
        if reason is not None:
            return _Decision({"id": alarm.id, "suppressed_by": reason, "outstanding": True})
    columns = {
        "id": alarm.id, "suppressed_by": None if change or is_open else alarm.suppressed_by, "outstanding": False,
        "told_severity": true.severity, "told_flapping": true.flapping, "told_latched": true.latched,
    }  # fmt: skip
    if change is None:
        return _Decision(columns)
    number = alarm.announcements + 1
    return _Decision({**columns, "announcements": number}, _announcement(alarm, change, number, now))


def _subject(alarm: Alarm) -> Subject:
    return Subject(
        rule_id=alarm.rule_id,
        severity=alarm.severity,
        tenant_id=alarm.tenant_id,
        host_id=alarm.host_id,
        vm_id=alarm.vm_id,
    )


def _differs(columns: dict[str, Any], alarm: Alarm) -> bool:
    return any(getattr(alarm, name) != value for name, value in columns.items())


def _letter(announcement: Announcement, receiver: str, now: datetime) -> dict[str, Any]:
    return {
        "key": f"{announcement.alarm_id}/{announcement.number}/{receiver}", "alarm_id": announcement.alarm_id,
        "receiver": receiver, "payload": announcement.payload(), "created_at": now, "next_try_at": now,
    }  # fmt: skip


def _announcement(alarm: Alarm, change: Change, number: int, now: datetime) -> Announcement:
    return Announcement(
        alarm_id=alarm.id, number=number, change=change, at=now, severity=alarm.severity,
        severity_before=alarm.told_severity,
        rule_id=alarm.rule_id, category=alarm.category, labels=alarm.labels, object_kind=alarm.object_kind,
        object_id=alarm.object_id, object_name=alarm.object_name, tenant_id=alarm.tenant_id, host_id=alarm.host_id,
        vm_id=alarm.vm_id, content={"zh": alarm.content_zh, "en": alarm.content_en}, created_at=alarm.created_at,
        relieved_at=alarm.relieved_at, relieve_way=alarm.relieve_way, flapping=alarm.flapping,
        acknowledged=alarm.acknowledged_at is not None, note=alarm.note,
    )  # fmt: skip
