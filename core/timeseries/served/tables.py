"""The seam below the served stores: tables of numbers in a database of timestamped points.

A `Table` is what one write sends, `Rows` what one read returns: for each (object, revision, tick) one row of floats,
NaN where a field is not held. A tick is an integer time in the engine's own resolution. Points are only ever added:
what was written at a (measurement, object, revision, tick) is written there again with the same values or not at all,
because the engines differ in what a second write does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from core.timeseries.store import Floats, Ints, Level

FAR_FUTURE: Final = 7_258_118_400.0
"""2200-01-01, epoch seconds: no sample is later."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """`place` says which retention the points have. The first column holds a number in every row."""

    place: Level
    measurement: str
    objects: Sequence[str]
    ticks: Ints
    columns: Mapping[str, Floats]
    revision: int = 0

    def __len__(self) -> int:
        return len(self.objects)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """`values` is (n, fields), in the order of the fields asked for; in no particular order of rows."""

    objects: Sequence[str]
    revisions: Ints
    ticks: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.objects)

    def complete(self) -> Rows:
        """Those that hold every field: a row that is being written may show a part of them."""
        return self.take(np.flatnonzero(~np.isnan(self.values).any(axis=1)))

    def take(self, rows: Ints) -> Rows:
        objects = [self.objects[row] for row in rows.tolist()]
        return Rows(objects, self.revisions[rows], self.ticks[rows], self.values[rows])


@dataclass(frozen=True, slots=True)
class Selection:
    """`fields`: the first is one that every row holds. `objects` None: all."""

    place: Level
    measurement: str
    fields: Sequence[str]
    objects: Collection[str] | None = None


class Engine(Protocol):
    """One database server or cluster. Everything raises StoreUnavailable, `write` also WriteRefused."""

    ticks_per_second: int

    def write(self, tables: Sequence[Table]) -> None:
        """What is written can be read when this returns. A write that fails may have been done in part."""
        ...

    def read(self, selection: Selection, start: int, end: int) -> Rows:
        """Rows with start <= tick < end."""
        ...

    def newest(self, selection: Selection, start: int) -> Rows:
        """At least the newest row of each (object, revision) that is not before `start`."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Numbers of one field of one series, as servers return them: `owner` is the index of the (object, revision)."""

    owner: Ints
    field: Ints
    ticks: Ints
    values: Floats


def gathered(owners: Sequence[tuple[str, int]], cells: Cells, width: int) -> Rows:
    """Rows from cells. Of two values at one place, which a repeated write leaves, the larger one."""
    order = np.lexsort((cells.ticks, cells.owner))
    owner, ticks = cells.owner[order], cells.ticks[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (owner[1:] != owner[:-1]) | (ticks[1:] != ticks[:-1])
    values = np.full((int(first.sum()), width), np.nan)
    place = (np.cumsum(first) - 1, cells.field[order])
    np.fmax.at(values, place, cells.values[order])
    held = owner[first].tolist()
    revisions = np.array([owners[number][1] for number in held], dtype=np.int64)
    return Rows([owners[number][0] for number in held], revisions, ticks[first], values)


def chained(parts: Sequence[Rows], width: int) -> Rows:
    """All rows of the parts; `width`: the number of fields."""
    none = np.empty(0, dtype=np.int64)
    parts = [Rows([], none, none, np.empty((0, width))), *parts]
    return Rows(
        [name for part in parts for name in part.objects],
        np.concatenate([part.revisions for part in parts]),
        np.concatenate([part.ticks for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def ticks_of(times: Floats, per_second: int) -> Ints:
    """The nearest tick, but never one of the next second: a sample stays in its window."""
    seconds = np.floor(times)
    parts = np.minimum(np.rint((times - seconds) * per_second), per_second - 1)
    return seconds.astype(np.int64) * per_second + parts.astype(np.int64)


def times_of(ticks: Ints, per_second: int) -> Floats:
    """The inverse: exact for every time that the engine's resolution can tell apart."""
    seconds = ticks // per_second
    return seconds + (ticks - seconds * per_second) / per_second


def bound(instant: float, per_second: int) -> int:
    """The tick of the end of a range, which may be infinite."""
    clipped = min(max(instant, 0.0), FAR_FUTURE)
    return int(ticks_of(np.array([clipped]), per_second)[0])
