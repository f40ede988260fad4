"""The store as one evaluation sees it: one read per kind and step, for all rules together.

The worst moment is a store that answers for one kind and not for another: what could not be read is None, and every
verdict that needs it is FAILED, never CLEAR.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from aggregator.rules import metrics
from aggregator.rules.inventory import NOBODY, Population
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.store import Floats, Frame, Level, Lines, StoreUnavailable

STALE_SCRAPES = 3.0
"""A value older than this many scrape intervals is no value."""


class Readable(Protocol):
    """The part of `core.timeseries.store.TimeSeriesStore` that rules read."""

    def latest(self, kind: Kind, since: float, objects: Collection[str] | None = None) -> Frame: ...

    def read_lines(
        self, level: Level, kind: Kind, start: float, end: float, objects: Collection[str] | None = None
    ) -> Sequence[Lines]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The newest sample of each object of a population: `times` (n,), -inf for none; `values` (n, fields)."""

    times: Floats
    values: Floats


def read_latest(store: Readable, wanted: Mapping[Kind, float]) -> Mapping[Kind, Frame | None]:
    """For each wanted kind the newest samples since the given instant (epoch seconds); None where the store failed."""
    frames: dict[Kind, Frame | None] = {}
    for kind, since in wanted.items():
        try:
            frames[kind] = store.latest(kind, since)
        except StoreUnavailable:
            metrics.STORE_FAILURES.inc()
            frames[kind] = None
    return frames


class Aligner:
    """Brings answers of the store, whose objects are mostly the same each time, into the order of a population."""

    def __init__(self) -> None:
        self._population: Population | None = None
        self._objects: Sequence[str] = ()
        self._rows = np.empty(0, dtype=np.intp)

    def rows(self, population: Population, objects: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """By object of the answer: its position in the population, or NOBODY."""
        if population is not self._population or objects != self._objects:
            self._population, self._objects = population, objects
            self._rows = population.locate(objects)
        return self._rows

    def samples(self, population: Population, frame: Frame) -> Samples:
        rows = self.rows(population, frame.objects)
        known = rows != NOBODY
        times = np.full(len(population), -np.inf)
        values = np.full((len(population), len(FIELDS[population.kind])), np.nan)
        times[rows[known]] = frame.times[known]
        values[rows[known]] = frame.values[known]
        return Samples(times, values)
