"""Counters become rates: reset-safe, over the time that really passed, as array operations over all counters of a
page.

A *group* is what one rate is made of: most have one counter, the CPU time of a host has one per core and mode. Over
the counters of a group that are known now and before:

    growth = sum(now) - sum(before);  when that is negative the counters began again at zero, and growth = sum(now)

So a rate is never negative, and one mode of one core that steps back a little (the kernel's iowait may, proc(5)) is
no restart of the machine. A counter seen for the first time, or back after it was forgotten, has no rate: where it
stood before is not known.

Which clock: `elapsed` is the longer one of the monotonic and the wall clock. A wall clock that is set back cannot
make a rate infinite, and a machine that slept (its monotonic clock stood still, its hosts' counters did not) sees no
spike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.timeseries.store import Floats, Ints

FORGET: Final = 20.0
"""Intervals after which a counter that is no longer on the page is forgotten."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a page was asked for, by both clocks (seconds)."""

    wall: float
    monotonic: float

    def since(self, earlier: Moment) -> float:
        return max(self.wall - earlier.wall, self.monotonic - earlier.monotonic)


@dataclass(frozen=True, slots=True)
class Growth:
    """Per group: `rate` (per second; NaN: not known) and whether the counters began again."""

    rate: Floats
    reset: np.ndarray[tuple[int], np.dtype[np.bool_]]


class Rates:
    """The counters of one target: their last values and when that was. `horizon`: seconds until an absent counter is
    forgotten."""

    def __init__(self, horizon: float) -> None:
        self._horizon = horizon
        self._epoch: Moment | None = None
        self._keys: Sequence[str] = ()
        self._before: Floats = np.empty(0)
        self._when: Floats = np.empty(0)
        self._absent: dict[str, tuple[float, float]] = {}
        self._group: Ints = np.empty(0, np.int64)
        self._groups = 0
        self._clock = 0.0

    def follow(self, keys: Sequence[str], group: Ints, groups: int) -> None:
        """From now on `update` gets these counters, in this order; `group` (one per counter) counts from 0 to
        `groups` - 1."""
        known = self._absent | dict(zip(self._keys, self._kept(), strict=True))
        nothing = (np.nan, np.nan)
        carried = np.array([known.get(key, nothing) for key in keys], np.float64).reshape(-1, 2)
        gone = known.keys() - set(keys)
        self._absent = {key: known[key] for key in gone if self._clock - known[key][1] < self._horizon}
        self._keys, self._group, self._groups = keys, group, groups
        self._before, self._when = carried[:, 0].copy(), carried[:, 1].copy()

    def update(self, values: Floats, at: Moment) -> Growth:
        """The next values of all counters (NaN: not on the page). Moments only grow; at the same moment there is no
        rate."""
        now = self._elapse(at)
        known = ~(np.isnan(values) | np.isnan(self._before) | (now - self._when > self._horizon))
        group = self._group[known]
        count = np.bincount(group, minlength=self._groups)
        after = np.bincount(group, values[known], self._groups)
        growth = after - np.bincount(group, self._before[known], self._groups)
        reset = growth < 0
        with np.errstate(divide="ignore", invalid="ignore"):
            elapsed = now - np.bincount(group, self._when[known], self._groups) / count
            rate = np.where(elapsed > 0, np.where(reset, after, growth) / elapsed, np.nan)
        here = ~np.isnan(values)
        self._before = np.where(here, values, self._before)
        self._when = np.where(here, now, self._when)
        return Growth(rate, reset)

    @property
    def remembered(self) -> int:
        """Counters whose last value is kept, absent ones included."""
        return len(self._keys) + len(self._absent)

    def _kept(self) -> Iterable[tuple[float, float]]:
        return zip(self._before.tolist(), self._when.tolist(), strict=True)

    def _elapse(self, at: Moment) -> float:
        """Our own clock: the sum of what passed between the moments, however the wall clock was set."""
        if self._epoch is not None:
            self._clock += max(at.since(self._epoch), 0.0)
        self._epoch = at
        return self._clock
