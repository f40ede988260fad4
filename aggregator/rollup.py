"""Samples to lines and lines to coarser lines, for all objects at once. Pure, and the same to the last digit whatever
the order.

Everything is sorted before it is added up: floating-point sums depend on the order of their terms. A value that is NaN
counts for nothing; a field without values is NaN with count 0.

pandas is loaded with the first line and not with the process: it takes a third of a second, and no line is made in the
first minute.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from core.timeseries.fields import FIELDS, Kind
from core.timeseries.store import Floats, Frame, Ints, Lines

_Number = TypeVar("_Number", np.float64, np.int64)


def roll_samples(frame: Frame, start: float, end: float, expected: int) -> Lines:
    """The line of one window from raw samples with start <= time < end; others are left out. Not final.

    Of several samples of one (object, time) the last in the frame counts. One groupby over all objects: about three
    million series-windows a second and core, where a `resample` per series manages about 600.
    """
    import pandas as pd

    codes, names = pd.factorize(np.asarray(frame.objects, dtype=object), sort=True)
    rows = np.lexsort((frame.times, codes))
    codes, times = codes[rows], frame.times[rows]
    keep = (times >= start) & (times < end)
    keep[:-1] &= (codes[1:] != codes[:-1]) | (times[1:] != times[:-1])
    kept = np.flatnonzero(keep)
    groups = pd.DataFrame(frame.values[rows[kept]]).groupby(codes[kept], sort=True)
    mean, count = groups.mean(), groups.count()
    return Lines(
        frame.kind,
        start,
        names[mean.index.to_numpy()].tolist(),
        mean.to_numpy(),
        groups.min().to_numpy(),
        groups.max().to_numpy(),
        count.to_numpy(dtype=np.int64),
        expected,
        final=False,
    )


class Fold:
    """Lines of consecutive windows, added up one after the other into a coarser one.

    Adding oldest first gives the same digits whether it is done at once or continued later from a copy.
    """

    def __init__(self, kind: Kind) -> None:
        width = len(FIELDS[kind])
        self.kind = kind
        self._objects = np.empty(0, dtype=object)
        self._total: Floats = np.zeros((0, width))
        self._minimum: Floats = np.zeros((0, width))
        self._maximum: Floats = np.zeros((0, width))
        self._count: Ints = np.zeros((0, width), dtype=np.int64)

    def __len__(self) -> int:
        return len(self._objects)

    def copy(self) -> Fold:
        other = Fold(self.kind)
        other._objects = self._objects
        other._total, other._count = self._total.copy(), self._count.copy()
        other._minimum, other._maximum = self._minimum.copy(), self._maximum.copy()
        return other

    def add(self, lines: Lines) -> None:
        """Means are weighted by their counts, so an hour of minutes is the hour of the samples."""
        rows = self._rows(lines)
        self._total[rows] += np.where(lines.count > 0, lines.mean * lines.count, 0.0)
        self._count[rows] += lines.count
        self._minimum[rows] = np.fmin(self._minimum[rows], lines.minimum)
        self._maximum[rows] = np.fmax(self._maximum[rows], lines.maximum)

    def _rows(self, lines: Lines) -> Ints:
        """Where the objects of the lines stand; new ones are appended."""
        objects = np.asarray(lines.objects, dtype=object)
        if np.array_equal(objects, self._objects):
            return np.arange(len(objects))
        import pandas as pd

        rows = pd.Index(self._objects).get_indexer(pd.Index(objects)).astype(np.int64)
        new = np.flatnonzero(rows < 0)
        rows[new] = len(self._objects) + np.arange(len(new))
        self._objects = np.concatenate([self._objects, objects[new]])
        self._total, self._count = _grown(self._total, len(new), 0), _grown(self._count, len(new), 0)
        self._minimum = _grown(self._minimum, len(new), np.nan)
        self._maximum = _grown(self._maximum, len(new), np.nan)
        return rows

    def lines(self, start: float, expected: int) -> Lines:
        """The line so far. Not final."""
        order = np.argsort(self._objects)
        count = self._count[order]
        with np.errstate(invalid="ignore"):
            mean = self._total[order] / count
        objects = self._objects[order].tolist()
        return Lines(
            self.kind, start, objects, mean, self._minimum[order], self._maximum[order], count, expected, final=False
        )


def _grown(cells: NDArray[_Number], rows: int, fill: float) -> NDArray[_Number]:
    return np.concatenate([cells, np.full((rows, cells.shape[1]), fill, dtype=cells.dtype)])
