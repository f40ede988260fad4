"""Samples by slot: the array form in which the stores keep, merge and sort them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.timeseries.fields import FIELDS, Kind
from core.timeseries.names import Names
from core.timeseries.store import Floats, Frame, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """`slots` (n,), `times` (n,) epoch seconds, `values` (n, fields); in the order in which they were written."""

    slots: Ints
    times: Floats
    values: Floats

    def __len__(self) -> int:
        return len(self.slots)

    def take(self, rows: Ints) -> Samples:
        return Samples(self.slots[rows], self.times[rows], self.values[rows])

    def between(self, start: float, end: float) -> Samples:
        """Those with start <= time < end."""
        inside = (self.times >= start) & (self.times < end)
        return self if inside.all() else self.take(np.flatnonzero(inside))

    def only(self, wanted: Ints) -> Samples:
        """Those of the slots `wanted`, which are sorted."""
        return self.take(np.flatnonzero(np.isin(self.slots, wanted)))


def check(frame: Frame) -> None:
    """ValueError when the arrays of a frame do not fit each other, its kind, or time."""
    n, fields = len(frame), len(FIELDS[frame.kind])
    if frame.times.shape != (n,) or frame.values.shape != (n, fields):
        found = f"{frame.times.shape} times and {frame.values.shape} values"
        raise ValueError(f"{frame.kind}: {n} objects need {(n,)} times and {(n, fields)} values, not {found}")
    if not np.isfinite(frame.times).all():
        raise ValueError(f"{frame.kind}: a time is not a finite number of seconds")


def empty(kind: Kind) -> Samples:
    return Samples(np.empty(0, dtype=np.int64), np.empty(0), np.empty((0, len(FIELDS[kind]))))


def joined(kind: Kind, pieces: Sequence[Samples]) -> Samples:
    """All pieces in their order, as one."""
    if not pieces:
        return empty(kind)
    if len(pieces) == 1:
        return pieces[0]
    return Samples(
        np.concatenate([piece.slots for piece in pieces]),
        np.concatenate([piece.times for piece in pieces]),
        np.concatenate([piece.values for piece in pieces]),
    )


def settled(samples: Samples, rank: Ints) -> Samples:
    """Sorted by (object, time), each (object, time) once: the one written last."""
    order = rank[samples.slots]
    rows = np.lexsort((samples.times, order))
    order, times = order[rows], samples.times[rows]
    last = np.ones(len(rows), dtype=np.bool_)
    last[:-1] = (order[1:] != order[:-1]) | (times[1:] != times[:-1])
    return samples.take(rows[last])


def newest(samples: Samples) -> Samples:
    """The last sample of each object of settled samples."""
    last = np.ones(len(samples), dtype=np.bool_)
    last[:-1] = samples.slots[1:] != samples.slots[:-1]
    return samples.take(np.flatnonzero(last))


def frame(kind: Kind, samples: Samples, names: Names) -> Frame:
    return Frame(kind, names.take(samples.slots), samples.times, samples.values)
