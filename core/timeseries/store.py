"""The port to the time-series store: batches in, batches out. One contract suite runs on every implementation.

The two shapes:

* `Frame`: samples of many objects of one kind. `objects` has n names, `times` is (n,) float64 epoch seconds, `values`
  is (n, fields) float64 with the columns of `fields.FIELDS[kind]`; NaN = not measured. An object may stand in it
  several times.
* `Lines`: one window of one level for many objects. `mean`, `minimum`, `maximum` are (n, fields) float64, `count` is
  (n, fields) int64: the samples behind each value; `count` 0 goes with NaN.

Promises of every implementation: a write is durable when it returns; writing the same sample again changes nothing; the
last write of an (object, time) wins; readers never see half a batch; objects never written are absent from answers, not
zero. Times are kept to the millisecond at least; windows start at full minutes of the epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.timeseries.fields import Kind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class StoreUnavailable(Exception):
    """The store cannot be reached or refuses everything now. Nothing was acknowledged; the same call may be tried
    again."""


class StoreDenied(StoreUnavailable):
    """The store answers and does not let us in (credentials, permissions, a missing organisation or bucket). The same
    call succeeds once somebody has corrected that, not before."""


class WriteRefused(Exception):
    """The store will never take this write as it is: something in it is at fault. Parts of it may have been written; a
    smaller write may succeed."""


class Level(StrEnum):
    RAW = "raw"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    kind: Kind
    objects: Sequence[str]
    times: Floats
    values: Floats

    def __len__(self) -> int:
        return len(self.objects)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """`start` is the window's first instant (epoch seconds); `expected` the samples a complete window has; `final`: no
    sample that may still come can change it, short of one later than its watermark."""

    kind: Kind
    start: float
    objects: Sequence[str]
    mean: Floats
    minimum: Floats
    maximum: Floats
    count: Ints
    expected: int
    final: bool

    def __len__(self) -> int:
        return len(self.objects)


@dataclass(frozen=True, slots=True)
class Touched:
    """Which windows got samples since a cursor. `minutes` holds window starts (epoch seconds, multiples of 60);
    `newest` the time of the newest sample that arrived, by kind.
    """

    cursor: int
    minutes: frozenset[tuple[Kind, float]]
    newest: Mapping[Kind, float]


class TimeSeriesStore(Protocol):
    def write(self, frames: Sequence[Frame]) -> None:
        """All frames or none; durable on return. Raises StoreUnavailable, WriteRefused."""
        ...

    def read(self, kind: Kind, start: float, end: float, objects: Collection[str] | None = None) -> Frame:
        """Raw samples with start <= time < end, sorted by (object, time), each (object, time) once."""
        ...

    def latest(self, kind: Kind, since: float, objects: Collection[str] | None = None) -> Frame:
        """The newest sample of each object, if not older than `since`; sorted by object. One call for all objects."""
        ...

    def touched(self, cursor: int) -> Touched:
        """What arrived after `cursor` (0: everything kept), so that late samples make their windows dirty exactly
        once."""
        ...

    def write_lines(self, level: Level, lines: Sequence[Lines]) -> None:
        """Each window of a kind is replaced as a whole; all or none, durable on return."""
        ...

    def read_lines(
        self, level: Level, kind: Kind, start: float, end: float, objects: Collection[str] | None = None
    ) -> Sequence[Lines]:
        """Windows with start <= window start < end that exist, oldest first; objects sorted in each."""
        ...

    def mark(self, name: str) -> float | None:
        """A small durable number of the aggregator (cursor, watermark), or None if never set."""
        ...

    def set_mark(self, name: str, value: float) -> None: ...

    def prune(self, level: Level, before: float) -> int:
        """Delete what is wholly older than `before`; the number of batches or windows deleted."""
        ...

    def close(self) -> None: ...
