"""The sender's side of the outbox: claim, deliver, fail, give up. Each function is one short transaction of its own.

The race: two senders. A claim is a lease in the row; who finishes must still hold it. The worst moment: a sender
dies after the receiver has taken a letter and before that is written down. The lease runs out and the letter is sent
again, under the same key.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from aggregator.notify.metrics import OUTBOX_AGE, OUTBOX_DEPTH
from aggregator.notify.port import Letter
from core.alarms.announcement import Announcement
from core.alarms.rows import Outbox

LEASE: Final = timedelta(seconds=60)
"""Longer than any call of a notifier."""
MOST_ATTEMPTS: Final = 60
"""With pauses of up to a quarter of an hour: half a day."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A letter that this sender holds. `attempts`: how often it has been tried, this time included."""

    id: int
    letter: Letter
    attempts: int
    created_at: datetime


def anything_due(session: Session, receiver: str, now: datetime) -> bool:
    """Whether a claim may find something: asked without the write lock that a claim needs."""
    due = select(Outbox.id).where(_waiting(), Outbox.receiver == receiver, Outbox.next_try_at <= now).limit(1)
    return session.scalar(due) is not None


def claim(session: Session, receiver: str, owner: str, limit: int, now: datetime) -> Sequence[Claimed]:
    """The oldest letters that are due and free, of each alarm the first that waits: so none overtakes another.

    An attempt counts from here, so that a letter that breaks its sender each time is given up in the end.
    """
    heads = select(func.min(Outbox.id)).where(_waiting(), Outbox.receiver == receiver).group_by(Outbox.alarm_id)
    free = or_(Outbox.lease_until.is_(None), Outbox.lease_until <= now)
    due = (
        select(Outbox)
        .where(Outbox.id.in_(heads), Outbox.next_try_at <= now, free, _waiting())
        .order_by(Outbox.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.scalars(due).all()
    for row in rows:
        if row.attempts >= MOST_ATTEMPTS:
            row.dead_at = now
        else:
            row.lease_owner, row.lease_until, row.attempts = owner, now + LEASE, row.attempts + 1
    return [
        Claimed(row.id, Letter(row.key, Announcement.from_payload(row.payload)), row.attempts, row.created_at)
        for row in rows
        if row.dead_at is None
    ]


def delivered(session: Session, claimed: Claimed, owner: str, now: datetime) -> None:
    _finish(session, claimed, owner, {"delivered_at": now, "last_error": ""})


def failed(session: Session, claimed: Claimed, owner: str, reason: str, next_try_at: datetime) -> None:
    _finish(session, claimed, owner, {"last_error": reason[:512], "next_try_at": next_try_at})


def given_up(session: Session, claimed: Claimed, owner: str, reason: str, now: datetime) -> None:
    _finish(session, claimed, owner, {"last_error": reason[:512], "dead_at": now})


def released(session: Session, claimed: Claimed, owner: str) -> None:
    """It was not tried after all."""
    _finish(session, claimed, owner, {"attempts": claimed.attempts - 1})


def bury_strangers(session: Session, known: Collection[str], now: datetime) -> int:
    """Give up letters to receivers that are configured no more; how many."""
    lost = update(Outbox).where(_waiting(), Outbox.receiver.not_in(known))
    done = session.execute(lost.values(dead_at=now, last_error="the receiver is no longer configured"))
    return int(done.rowcount)  # type: ignore[attr-defined]  # an UPDATE's result has it


def forget_letters(session: Session, before: datetime) -> None:
    """Delete what was delivered or given up before then."""
    session.execute(sql_delete(Outbox).where(or_(Outbox.delivered_at < before, Outbox.dead_at < before)))


def publish(session: Session, receivers: Collection[str], now: datetime) -> None:
    """Set depth and age of the outbox."""
    counted = (
        select(Outbox.receiver, func.count(), func.min(Outbox.created_at)).where(_waiting()).group_by(Outbox.receiver)
    )
    found = {receiver: (number, oldest) for receiver, number, oldest in session.execute(counted)}
    for receiver in receivers:
        number, oldest = found.get(receiver, (0, now))
        OUTBOX_DEPTH.labels(receiver).set(number)
        OUTBOX_AGE.labels(receiver).set(max(0.0, (now - oldest).total_seconds()))


def _waiting() -> ColumnElement[bool]:
    return and_(Outbox.delivered_at.is_(None), Outbox.dead_at.is_(None))


def _finish(session: Session, claimed: Claimed, owner: str, columns: dict[str, Any]) -> None:
    mine = update(Outbox).where(Outbox.id == claimed.id, Outbox.lease_owner == owner, _waiting())
    session.execute(mine.values(lease_owner=None, lease_until=None, **columns))
