"""Maintenance windows as people speak of them: announced, listed and taken back in plain words, one level deep."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen

from core.alarms import maintenance
from core.alarms.finding import Severity
from core.alarms.maintenance import EveryWeek, OpenWindow, WindowDetails, WindowRef
from core.alarms.windows import LONGEST_MINUTES
from core.context import Context, Page
from core.errors import Invalid
from core.paging import Paged
from core.zone import zone

Ids = Annotated[tuple[Annotated[str, MaxLen(128)], ...], MaxLen(1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceWindow:
    """One-off: `starts_at` and `ends_at`. Recurring: on `weekdays` (Monday is 1) from the local time `begins` (HH:MM)
    for `minutes`, in `zone` (default: the installation's), and within the two moments where they are given.

    It covers alarms that match one of each kind that is named; none is named: all alarms.
    """

    name: Annotated[str, MinLen(1), MaxLen(128)]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    weekdays: tuple[Annotated[int, Ge(1), Le(7)], ...] = ()
    begins: Annotated[str, MaxLen(5)] | None = None
    minutes: Annotated[int, Ge(1), Le(LONGEST_MINUTES)] | None = None
    zone: Annotated[str, MaxLen(64)] | None = None
    tenants: Ids = ()
    hosts: Ids = ()
    vms: Ids = ()
    severities: tuple[Severity, ...] = ()
    rules: Ids = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedWindow:
    """As it was announced."""

    id: str
    name: str
    starts_at: datetime | None
    ends_at: datetime | None
    weekdays: tuple[int, ...]
    begins: str | None
    minutes: int | None
    zone: str | None
    tenants: tuple[str, ...]
    hosts: tuple[str, ...]
    vms: tuple[str, ...]
    severities: tuple[Severity, ...]
    rules: tuple[str, ...]


def announce(at: Context, want: AnnounceWindow) -> WindowRef:
    """From now on notifications wait while the window is open. Raises Invalid."""
    given = {
        "tenant": want.tenants, "host": want.hosts, "vm": want.vms, "rule": want.rules,
        "severity": tuple(severity.name.lower() for severity in want.severities),
    }  # fmt: skip
    matchers = {kind: frozenset(values) for kind, values in given.items() if values}
    return maintenance.open_window(
        at,
        OpenWindow(
            name=want.name, starts_at=want.starts_at, ends_at=want.ends_at, every_week=_every_week(at, want),
            matchers=matchers,
        ),
    )  # fmt: skip


def search(at: Context, find: Paged) -> Page[AnnouncedWindow]:
    """All windows, newest first."""
    found = maintenance.search(at, find)
    return Page(tuple(map(_announced, found.rows)), found.total)


def _every_week(at: Context, want: AnnounceWindow) -> EveryWeek | None:
    given = {"weekdays": bool(want.weekdays), "begins": want.begins is not None, "minutes": want.minutes is not None}
    if not any(given.values()):
        return None
    if missing := [name for name, there in given.items() if not there]:
        raise Invalid(missing[0], "is missing", "weekdays, begins and minutes together")
    assert want.begins is not None
    assert want.minutes is not None
    name = want.zone or zone(at.settings.timezone).key
    if not name:
        raise Invalid("zone", "is missing: this server's own has no name", "an IANA zone such as Asia/Shanghai")
    return EveryWeek(weekdays=frozenset(want.weekdays), start=want.begins, minutes=want.minutes, zone=name)


def _announced(window: WindowDetails) -> AnnouncedWindow:
    weekly = window.every_week
    covered = {kind: tuple(sorted(values)) for kind, values in window.matchers.items()}
    return AnnouncedWindow(
        id=window.id, name=window.name, starts_at=window.starts_at, ends_at=window.ends_at,
        weekdays=tuple(sorted(weekly.weekdays)) if weekly else (), begins=weekly.start if weekly else None,
        minutes=weekly.minutes if weekly else None, zone=weekly.zone if weekly else None,
        tenants=covered.get("tenant", ()), hosts=covered.get("host", ()), vms=covered.get("vm", ()),
        severities=tuple(Severity[word.upper()] for word in covered.get("severity", ())),
        rules=covered.get("rule", ()),
    )  # fmt: skip
