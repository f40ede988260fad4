"""Maintenance windows as the platform keeps them: announced in advance, listed, taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from annotated_types import Ge, Le, MaxLen, MinLen
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from core.alarms.finding import Severity
from core.alarms.rows import MaintenanceWindow
from core.alarms.windows import LONGEST_MINUTES, MATCHERS, Recurrence, Window
from core.context import Context, Page
from core.db.search import page
from core.errors import Invalid, NotFound
from core.ids import new_id
from core.paging import Paged


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryWeek:
    """On these days (Monday is 1) from the local time `start` (`HH:MM`) for so many minutes."""

    weekdays: frozenset[int]
    start: str
    minutes: Annotated[int, Ge(1), Le(LONGEST_MINUTES)]
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindow:
    """One-off: `starts_at` and `ends_at`. Recurring: `every_week`, within them where they are given. `matchers`: as
    in `Window`.
    """

    name: Annotated[str, MinLen(1), MaxLen(128)]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    every_week: EveryWeek | None = None
    matchers: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRef:
    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowDetails:
    id: str
    name: str
    starts_at: datetime | None
    ends_at: datetime | None
    every_week: EveryWeek | None
    matchers: Mapping[str, frozenset[str]]


def open_window(at: Context, want: OpenWindow) -> WindowRef:
    """From now on notifications wait while the window is open. Raises Invalid."""
    check(want)
    row = MaintenanceWindow(
        id=new_id("window"), name=want.name, created_at=at.clock.now(), created_by=at.caller.token_id,
        starts_at=want.starts_at, ends_at=want.ends_at,
        matchers={kind: sorted(values) for kind, values in want.matchers.items()},
    )  # fmt: skip
    if want.every_week is not None:
        row.weekdays = "".join(map(str, sorted(want.every_week.weekdays)))
        row.start_time, row.minutes, row.zone = want.every_week.start, want.every_week.minutes, want.every_week.zone
    at.session.add(row)
    at.session.flush()
    return WindowRef(id=row.id)


def check(want: OpenWindow) -> None:
    """Raises Invalid for a window that never opens or covers nothing."""
    if want.every_week is None and (want.starts_at is None or want.ends_at is None):
        raise Invalid("ends_at", "a window needs a beginning and an end", "starts_at and ends_at, or every_week")
    if want.starts_at is not None and want.ends_at is not None and want.starts_at >= want.ends_at:
        raise Invalid("ends_at", "is not after the start", "a later moment")
    if want.every_week is not None:
        _recurrence(want.every_week)
    _check_matchers(want.matchers)


def search(at: Context, find: Paged) -> Page[WindowDetails]:
    """All windows, newest first."""
    found = page(at, select(MaintenanceWindow), find, order=(MaintenanceWindow.created_at.desc(), MaintenanceWindow.id))
    return Page(tuple(_details(row) for (row,) in found.rows), found.total)


def delete(at: Context, ref: WindowRef) -> None:
    """Take a window back; what it suppressed is told by the next evaluation. Raises NotFound."""
    row = at.session.get(MaintenanceWindow, ref.id)
    if row is None:
        raise NotFound("window", ref.id)
    at.session.delete(row)
    at.session.flush()


def windows_in_force(session: Session, now: datetime) -> Sequence[Window]:
    """The windows that have not ended."""
    lasting = or_(MaintenanceWindow.ends_at.is_(None), MaintenanceWindow.ends_at > now)
    return [
        _window(row) for row in session.scalars(select(MaintenanceWindow).where(lasting).order_by(MaintenanceWindow.id))
    ]


def _check_matchers(matchers: Mapping[str, frozenset[str]]) -> None:
    for kind, values in matchers.items():
        if kind not in MATCHERS:
            raise Invalid("matchers", f"{kind} is not known", ", ".join(MATCHERS))
        if not values:
            raise Invalid("matchers", f"{kind} has no values, so nothing would match", "at least one value")
    severities = {severity.name.lower() for severity in Severity}
    if wrong := matchers.get("severity", frozenset()) - severities:
        raise Invalid("matchers", f"severity {min(wrong)}", ", ".join(sorted(severities)))


def _recurrence(want: EveryWeek) -> Recurrence:
    if not want.weekdays or not want.weekdays <= set(range(1, 8)):
        raise Invalid("weekdays", "no day, or no such day", "some of 1 (Monday) to 7 (Sunday)")
    try:
        start = time.fromisoformat(want.start)
    except ValueError as problem:
        raise Invalid("start", f"{want.start} is not a time", "HH:MM") from problem
    if len(want.start) != len("HH:MM") or start.tzinfo is not None:
        raise Invalid("start", f"{want.start} is not a time of day", "HH:MM")
    try:
        zone = ZoneInfo(want.zone)
    except (ZoneInfoNotFoundError, ValueError) as problem:
        raise Invalid("zone", f"{want.zone} is not known", "an IANA zone such as Asia/Shanghai") from problem
    return Recurrence(weekdays=want.weekdays, start=start, minutes=want.minutes, zone=zone)


def _every_week(row: MaintenanceWindow) -> EveryWeek | None:
    if not row.weekdays:
        return None
    days = frozenset(map(int, row.weekdays))
    return EveryWeek(weekdays=days, start=row.start_time, minutes=row.minutes, zone=row.zone)


def _window(row: MaintenanceWindow) -> Window:
    weekly = _every_week(row)
    return Window(
        id=row.id,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        recurrence=None if weekly is None else _recurrence(weekly),
        matchers={kind: frozenset(values) for kind, values in row.matchers.items()},
    )


def _details(row: MaintenanceWindow) -> WindowDetails:
    return WindowDetails(
        id=row.id, name=row.name, starts_at=row.starts_at, ends_at=row.ends_at, every_week=_every_week(row),
        matchers={kind: frozenset(values) for kind, values in row.matchers.items()},
    )  # fmt: skip
