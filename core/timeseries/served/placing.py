"""Where the samples of a write go, so that the last write of an (object, time) wins on servers that only add points.

A sample later than everything stored of its object is written as it is. Any other is compared with what is stored at
its time: the same again is left out; something else becomes the next *revision* of that place, and readers take the
highest. Later samples are the rule, and cost nothing to tell: the time of the newest sample of each object is kept in
memory.

The race: two processes that write the same object. There is none by design: an object belongs to one collector.
Worst moment: a write fails and may have been done in part. Its objects are then compared at their next write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from core.timeseries.fields import FIELDS, Kind
from core.timeseries.names import Names
from core.timeseries.samples import Samples, settled
from core.timeseries.served.tables import Rows, Table, ticks_of
from core.timeseries.store import Floats, Frame, Ints, Level

NUMBER: Final = "batch"
"""The field that holds the number of the write a row came with."""


def fields(kind: Kind) -> list[str]:
    """What is stored of a sample."""
    return [NUMBER, *(field.name for field in FIELDS[kind])]


@dataclass(slots=True, eq=False)
class _Known:
    """By slot the tick of the newest sample; `floor` for objects not seen yet."""

    floor: int
    names: Names = field(default_factory=Names)
    newest: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def slots(self, objects: Sequence[str]) -> Ints:
        self.names.extend(self.names.missing(objects))
        grown = len(self.names) - len(self.newest)
        if grown:
            self.newest = np.concatenate([self.newest, np.full(grown, self.floor, dtype=np.int64)])
        return self.names.slots(objects)


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """The samples of a write by kind, each (object, tick) once: what to send, and what to remember of it."""

    kind: Kind
    slots: Ints
    ticks: Ints
    tables: Sequence[Table]


class Placing:
    """Not thread-safe: writes go through it one at a time."""

    def __init__(self, per_second: int, stored: Callable[[Kind, int, int, Sequence[str]], Rows]) -> None:
        """`stored`: all rows of the objects with first <= tick <= last, with whether each is of a committed write in
        the place of its number (1.0 or 0.0)."""
        self._per_second = per_second
        self._stored = stored
        self._known: dict[Kind, _Known] = {}

    def knows(self, kind: Kind) -> bool:
        return kind in self._known

    def start(self, kind: Kind, newest: int) -> None:
        """No sample of the kind is stored later than the tick `newest`."""
        self._known[kind] = _Known(newest)

    def place(self, kind: Kind, frames: Sequence[Frame], number: int) -> Placed:
        known = self._known[kind]
        samples = self._samples(known, frames)
        ticks = ticks_of(samples.times, self._per_second)
        revisions = np.zeros(len(samples), dtype=np.int64)
        stale = np.flatnonzero(ticks <= known.newest[samples.slots])
        if len(stale):
            revisions[stale] = self._compared(kind, known, samples.take(stale), ticks[stale])
        columns = {NUMBER: np.full(len(samples), float(number))}
        columns |= {field.name: samples.values[:, at] for at, field in enumerate(FIELDS[kind])}
        tables = []
        for revision in sorted({number for number in np.unique(revisions).tolist() if number >= 0}):
            rows = np.flatnonzero(revisions == revision)
            part = {name: column[rows] for name, column in columns.items()}
            objects = known.names.take(samples.slots[rows])
            tables.append(Table(Level.RAW, kind, objects, ticks[rows], part, revision))
        return Placed(kind, samples.slots, ticks, tables)

    def _samples(self, known: _Known, frames: Sequence[Frame]) -> Samples:
        slots = [known.slots(frame.objects) for frame in frames]
        times = np.concatenate([frame.times for frame in frames])
        values = np.concatenate([frame.values for frame in frames])
        return settled(Samples(np.concatenate(slots), times, values), np.arange(len(known.names)))

    def _compared(self, kind: Kind, known: _Known, samples: Samples, ticks: Ints) -> Ints:
        """The revision of each sample, -1 for one that is stored already."""
        objects = known.names.take(samples.slots)
        rows = self._stored(kind, int(ticks.min()), int(ticks.max()), list(dict.fromkeys(objects)))
        held: dict[tuple[str, int], tuple[int, int]] = {}
        for row, place in enumerate(zip(rows.objects, rows.ticks.tolist(), strict=True)):
            held[place] = max(held.get(place, (-1, -1)), (int(rows.revisions[row]), row))
        revisions = np.zeros(len(samples), dtype=np.int64)
        for sample, place in enumerate(zip(objects, ticks.tolist(), strict=True)):
            revision, row = held.get(place, (-1, -1))
            if row < 0:
                continue
            same = _same(rows.values[row, 1:], samples.values[sample])
            is_committed = rows.values[row, 0] == 1.0
            revisions[sample] = (-1 if is_committed else revision) if same else revision + 1
        return revisions

    def written(self, placed: Placed) -> None:
        newest = self._known[placed.kind].newest
        np.maximum.at(newest, placed.slots, placed.ticks)

    def failed(self, placed: Placed) -> None:
        """Nobody knows what is stored of these objects."""
        self._known[placed.kind].newest[placed.slots] = np.iinfo(np.int64).max


def winners(rows: Rows) -> Ints:
    """The rows with the highest revision of each (object, tick)."""
    if not rows.revisions.any():
        return np.arange(len(rows))
    best: dict[tuple[str, int], int] = {}
    for row, place in enumerate(zip(rows.objects, rows.ticks.tolist(), strict=True)):
        held = best.get(place)
        if held is None or rows.revisions[row] > rows.revisions[held]:
            best[place] = row
    return np.array(sorted(best.values()), dtype=np.int64)


def _same(one: Floats, other: Floats) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))
