"""The declared resolutions: which lines exist, what a window of each is, and how long it is kept. Pure.

Minutes are multiples of 60 s of the epoch. Hours begin on the full hour of the zone's standard time (in Kolkata at :30
UTC). Days are calendar days of the zone: 23 and 25 hours long when the clocks change. The windows of a level never
overlap and leave no gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.settings import Settings
from core.timeseries.store import Level

MINUTE = 60.0
HOUR = 3600.0
LONGEST_DAY = 25 * HOUR
LINES = (Level.MINUTE, Level.HOUR, Level.DAY)
"""Finer first: each is computed from the one before it, the first from raw samples."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """`granularity` in seconds, None for the calendar day; `retention` in seconds; `points`: what a history shows
    unasked; `refresh`: seconds between two writings of a window that is not finished.
    """

    level: Level
    granularity: float | None
    retention: float
    points: int
    refresh: float


class Policy:
    """The resolutions by level, and the arithmetic of their windows. All times are epoch seconds."""

    def __init__(self, resolutions: Mapping[Level, Resolution], interval: float, zone: ZoneInfo) -> None:
        self.resolutions = dict(resolutions)
        self.interval = interval
        self.zone = zone
        self._hour_phase = _hour_phase(zone)
        self._check()

    def _check(self) -> None:
        """A late sample makes its minute, hour and day be computed again: what they are computed from must still be
        there.
        """
        raw, minute, hour = (self.resolutions[level].retention for level in (Level.RAW, Level.MINUTE, Level.HOUR))
        for name, found, needed in (("minute", minute, raw + HOUR), ("hour", hour, raw + LONGEST_DAY)):
            if found < needed:
                raise ValueError(
                    f"{name}_retention: {found / HOUR:g} hours is too short beside a raw_retention of {raw / HOUR:g}"
                    f" hours; allowed: {needed / HOUR:g} hours or more"
                )

    def start(self, level: Level, instant: float) -> float:
        """The start of the window that holds the instant."""
        if level is Level.DAY:
            return self._midnight(datetime.fromtimestamp(instant, self.zone).date())
        if level is Level.HOUR:
            return instant - (instant - self._hour_phase) % HOUR
        if level is Level.MINUTE:
            return instant - instant % MINUTE
        return instant - instant % self.interval

    def next(self, level: Level, start: float) -> float:
        """The start of the window after the one that starts at `start`, which is that one's end."""
        if level is Level.DAY:
            following = datetime.fromtimestamp(start, self.zone).date() + timedelta(days=1)
            return self._midnight(following)
        granularity = self.resolutions[level].granularity
        return start + (self.interval if granularity is None else granularity)

    def windows(self, level: Level, start: float, end: float) -> Iterator[float]:
        """The starts of all windows that hold an instant of start <= t < end, oldest first."""
        window = self.start(level, start) if start < end else end
        while window < end:
            yield window
            window = self.next(level, window)

    def expected(self, level: Level, start: float) -> int:
        """How many samples of one object a complete window has, at the interval of the policy; at least 1."""
        return max(1, int((self.next(level, start) - start) / self.interval + 1e-9))

    def default_start(self, level: Level, now: float) -> float:
        """The start of the first of the last `points` windows, the unfinished one being the last."""
        window = self.start(level, now)
        for _ in range(self.resolutions[level].points - 1):
            window = self.start(level, window - 1.0)
        return window

    def kept_from(self, level: Level, now: float) -> float:
        """A window start: everything wholly before it may be deleted."""
        return self.start(level, now - self.resolutions[level].retention)

    def _midnight(self, day: date) -> float:
        return datetime.combine(day, time(), self.zone).timestamp()


def declared(settings: Settings, zone: ZoneInfo) -> Policy:
    """The policy of the product. ValueError when the retentions contradict each other."""
    day = 24 * HOUR
    interval = settings.scrape_interval
    resolutions = (
        Resolution(Level.RAW, interval, settings.raw_retention * HOUR, points=60, refresh=0.0),
        Resolution(Level.MINUTE, MINUTE, settings.minute_retention * day, points=60, refresh=max(3 * interval, 10.0)),
        Resolution(Level.HOUR, HOUR, settings.hour_retention * day, points=24, refresh=MINUTE),
        Resolution(Level.DAY, None, settings.day_retention * day, points=30, refresh=10 * MINUTE),
    )
    return Policy({resolution.level: resolution for resolution in resolutions}, interval, zone)


def _hour_phase(zone: ZoneInfo) -> float:
    """Seconds between a full hour of UTC and the full hour of the zone's standard time after it."""
    moment = datetime(2026, 1, 1, tzinfo=UTC).astimezone(zone)
    offset, saving = moment.utcoffset(), moment.dst()
    standard = (offset or timedelta()) - (saving or timedelta())
    return -standard.total_seconds() % HOUR
