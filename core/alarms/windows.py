"""Maintenance windows: when they are open and whom they cover. Pure.

A recurring window starts at a local time of its zone and lasts its minutes: over a change to summer time it keeps
its length, and a start that the clocks skip is the moment after the gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.alarms.finding import Severity

_MINUTES_OF_A_DAY = 1440
LONGEST_MINUTES = 7 * _MINUTES_OF_A_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What suppression looks at: whose alarm it is. `host_id` is the host that the object is or runs on."""

    rule_id: str
    severity: Severity
    tenant_id: str | None = None
    host_id: str | None = None
    vm_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """`weekdays`: Monday is 1. `start` is local time in `zone`."""

    weekdays: frozenset[int]
    start: time
    minutes: int
    zone: ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Open from `starts_at` until `ends_at` (None: unbounded), and with a recurrence only during its turns in
    between.

    `matchers`: `tenant`, `host`, `vm`, `severity` (`high`, `medium`, `low`) and `rule`, each with the values that
    match; every named kind must match. An empty one covers everything.
    """

    id: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    recurrence: Recurrence | None = None
    matchers: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def covers(self, subject: Subject, now: datetime) -> bool:
        return _within(self, now) and all(_value(subject, kind) in wanted for kind, wanted in self.matchers.items())


def _within(window: Window, now: datetime) -> bool:
    if window.starts_at is not None and now < window.starts_at:
        return False
    if window.ends_at is not None and now >= window.ends_at:
        return False
    return window.recurrence is None or _in_turn(window.recurrence, now)


def _in_turn(recurrence: Recurrence, now: datetime) -> bool:
    today = now.astimezone(recurrence.zone).date()
    for days_back in range(recurrence.minutes // _MINUTES_OF_A_DAY + 2):
        day = today - timedelta(days=days_back)
        if day.isoweekday() not in recurrence.weekdays:
            continue
        start = datetime.combine(day, recurrence.start, recurrence.zone).astimezone(UTC)
        if start <= now < start + timedelta(minutes=recurrence.minutes):
            return True
    return False


def _value(subject: Subject, kind: str) -> str | None:
    match kind:
        case "tenant":
            return subject.tenant_id
        case "host":
            return subject.host_id
        case "vm":
            return subject.vm_id
        case "severity":
            return subject.severity.name.lower()
        case "rule":
            return subject.rule_id
        case _:
            raise ValueError(f"BUG: no such matcher: {kind}")


MATCHERS = ("tenant", "host", "vm", "severity", "rule")
