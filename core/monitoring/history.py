"""Histories: the lines of one object, oldest first, one point for every window. A gap is a point without values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from core.context import Context
from core.errors import Invalid
from core.monitoring.objects import OneObject, runs
from core.monitoring.samples import Sample
from core.timeseries.fields import Kind
from core.timeseries.policy import Policy, declared
from core.timeseries.store import Level
from core.zone import zone

MOST_POINTS: Final = 10_080
"""The minutes of a week."""

Figure = Decimal | None


class Line(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def level(self) -> Level:
        return Level(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryOf(OneObject):
    """The windows that hold `starts_at` and `ends_at` are both in. Without them: the last 60 minutes, 24 hours or 30
    days.
    """

    line: Line
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputePoint:
    """Means of a window, in percent. `at` is the window's start."""

    object_id: str
    at: datetime
    cpu_rate: Figure
    mem_rate: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPoint:
    """Means of a window over all disks together, in KB/s."""

    object_id: str
    at: datetime
    disk_write: Figure
    disk_read: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class NetPoint:
    """Means of a window over all NICs together, in KB/s."""

    object_id: str
    at: datetime
    net_down: Figure
    net_up: Figure


def compute(at: Context, want: HistoryOf) -> tuple[ComputePoint, ...]:
    """CPU and memory. Raises NotFound, Forbidden, Invalid."""
    return tuple(
        ComputePoint(object_id=want.id, at=start, cpu_rate=point.of("cpu_rate"), mem_rate=point.of("mem_rate"))
        for start, point in _points(at, want)
    )


def disk(at: Context, want: HistoryOf) -> tuple[DiskPoint, ...]:
    """Disk traffic. Raises NotFound, Forbidden, Invalid."""
    return tuple(
        DiskPoint(object_id=want.id, at=start, disk_write=point.of("disk_write"), disk_read=point.of("disk_read"))
        for start, point in _points(at, want)
    )


def net(at: Context, want: HistoryOf) -> tuple[NetPoint, ...]:
    """Network traffic. Raises NotFound, Forbidden, Invalid."""
    return tuple(
        NetPoint(object_id=want.id, at=start, net_down=point.of("net_down"), net_up=point.of("net_up"))
        for start, point in _points(at, want)
    )


@dataclass(frozen=True, slots=True)
class _Point:
    """The line of one window; None: a gap."""

    mean: Sample | None

    def of(self, name: str) -> Figure:
        return None if self.mean is None else self.mean.figure(name)


def _points(at: Context, want: HistoryOf) -> Iterator[tuple[datetime, _Point]]:
    runs(at, want)
    policy = declared(at.settings, zone(at.settings.timezone))
    level, kind = want.line.level, want.watched.kind
    now = at.clock.now().timestamp()
    starts = _asked(policy, want, now) if want.starts_at or want.ends_at else _last(policy, level, now)
    if not starts:
        return
    found = _means(at, level, kind, want.id, starts)
    if not want.starts_at and not want.ends_at:
        starts = starts[:-1] if starts[-1] not in found else starts[1:]
    for start in starts:
        yield datetime.fromtimestamp(start, UTC), _Point(found.get(start))


def _last(policy: Policy, level: Level, now: float) -> list[float]:
    """One window more than are shown: the unfinished one is shown as soon as it has a line, and until then an older
    one.
    """
    first = policy.default_start(level, now)
    return list(policy.windows(level, policy.start(level, first - 1.0), now + 1e-6))


def _asked(policy: Policy, want: HistoryOf, now: float) -> list[float]:
    """The windows between the two times, as far as they lie between 1970 and now."""
    level = want.line.level
    end = now if want.ends_at is None else min(want.ends_at.timestamp(), now)
    start = policy.default_start(level, end) if want.starts_at is None else max(want.starts_at.timestamp(), 0.0)
    if want.starts_at and want.ends_at and want.starts_at > want.ends_at:
        raise Invalid("starts_at", "lies after the end", "a time before the end")
    granularity = policy.resolutions[level].granularity or 86_400.0
    if (end - start) / granularity >= MOST_POINTS:
        raise Invalid("starts_at", "asks for too many points", f"at most {MOST_POINTS} points of a line")
    return list(policy.windows(level, start, end + 1e-6)) if start <= end else []


def _means(at: Context, level: Level, kind: Kind, id_: str, starts: list[float]) -> dict[float, Sample]:
    lines = at.store.read_lines(level, kind, starts[0], starts[-1] + 1.0, (id_,))
    return {
        window.start: Sample(kind, window.start, window.mean[position])
        for window in lines
        for position, name in enumerate(window.objects)
        if name == id_
    }
