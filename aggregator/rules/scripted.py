"""A time-series store that holds what a test says, and shows of it what had arrived at the test's own time.

Lines are computed from the visible samples when they are asked for, naively: the tests of rules must not depend on
the rollups.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from aggregator.rules.history import SECONDS
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.store import Floats, Frame, Level, Lines, StoreUnavailable


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One object: `times` (t,) ascending, `values` (t, fields), `visible` (t,) when each sample can be read."""

    times: Floats
    values: Floats
    visible: Floats


@dataclass
class ScriptedStore:
    """The reading half of `TimeSeriesStore`, at `now`. `outages`: spans of time in which it does not answer."""

    tracks: Mapping[Kind, Mapping[str, Track]]
    scrape_interval: float
    outages: Sequence[tuple[float, float]] = ()
    now: float = field(default=0.0)

    def latest(self, kind: Kind, since: float, objects: Collection[str] | None = None) -> Frame:
        self._answer()
        names, times, values = [], [], []
        for name, track in sorted(self.tracks.get(kind, {}).items()):
            seen = np.flatnonzero((track.visible <= self.now) & (track.times >= since))
            if len(seen) and (objects is None or name in objects):
                names.append(name)
                times.append(track.times[seen[-1]])
                values.append(track.values[seen[-1]])
        return Frame(kind, names, np.array(times), np.array(values).reshape(len(names), len(FIELDS[kind])))

    def read_lines(
        self, level: Level, kind: Kind, start: float, end: float, objects: Collection[str] | None = None
    ) -> Sequence[Lines]:
        self._answer()
        step = SECONDS[level]
        starts = np.arange(np.ceil(start / step) * step, end, step)
        windows = (self._window(kind, float(begin), step, objects) for begin in starts if begin <= self.now)
        return [window for window in windows if window is not None]

    def _window(self, kind: Kind, begin: float, step: float, objects: Collection[str] | None) -> Lines | None:
        names, parts = [], []
        for name, track in sorted(self.tracks.get(kind, {}).items()):
            first, last = np.searchsorted(track.times, (begin, begin + step))
            seen = track.values[first:last][track.visible[first:last] <= self.now]
            if len(seen) and (objects is None or name in objects):
                names.append(name)
                parts.append(_aggregate(seen))
        if not names:
            return None
        mean, low, high, count = (np.array([part[row] for part in parts]) for row in range(4))
        final = begin + step + self.scrape_interval <= self.now
        expected = max(1, round(step / self.scrape_interval))
        return Lines(kind, begin, names, mean, low, high, count.astype(np.int64), expected, final)

    def _answer(self) -> None:
        if any(begin <= self.now < end for begin, end in self.outages):
            raise StoreUnavailable("the test says so")


def _aggregate(seen: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """(t, fields) into mean, min, max and count by field; NaN where nothing was measured."""
    count = (~np.isnan(seen)).sum(axis=0).astype(np.float64)
    known = np.where(count > 0, count, np.nan)
    low = np.where(np.isnan(seen), np.inf, seen).min(axis=0)
    high = np.where(np.isnan(seen), -np.inf, seen).max(axis=0)
    return np.nansum(seen, axis=0) / known, low * known / known, high * known / known, count
