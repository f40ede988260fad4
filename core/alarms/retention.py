"""What is old enough to be forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.alarms.rows import Alarm, AlarmState

_AT_ONCE: Final = 1000


def forget_alarms(session: Session, before: datetime) -> int:
    """Delete alarms that were relieved before then, with their history and letters; the number of them, at most 1000
    in a call.

    Those that some receiver was not told of yet stay.
    """
    old = (
        select(Alarm.id)
        .where(
            Alarm.relieved_at < before,
            ~Alarm.outstanding,
            ~select(AlarmState).where(AlarmState.alarm_id == Alarm.id).exists(),
        )
        .order_by(Alarm.relieved_at)
        .limit(_AT_ONCE)
    )
    ids = session.scalars(old).all()
    session.execute(delete(Alarm).where(Alarm.id.in_(ids)))
    return len(ids)
