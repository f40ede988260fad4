"""How many alarms are open, for `/metrics`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from core.alarms.finding import Severity
from core.alarms.metrics import ALARMS
from core.alarms.rows import Alarm

_STATES = ("shelved", "suppressed", "flapping", "latched", "acknowledged", "raised")


def publish_census(session: Session, now: datetime) -> None:
    """Set `starvc_alarms` to what is open now."""
    state = case(
        (Alarm.shelved_until > now, "shelved"),
        (Alarm.suppressed_by.is_not(None), "suppressed"),
        (Alarm.flapping, "flapping"),
        (Alarm.latched, "latched"),
        (Alarm.acknowledged_at.is_not(None), "acknowledged"),
        else_="raised",
    )
    counted = (
        select(Alarm.severity, state, func.count()).where(Alarm.relieved_at.is_(None)).group_by(Alarm.severity, state)
    )
    found = {(severity, word): number for severity, word, number in session.execute(counted)}
    for severity in Severity:
        for word in _STATES:
            ALARMS.labels(severity.name.lower(), word).set(found.get((severity, word), 0))
