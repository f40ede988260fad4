"""Lines against a recompute in plain Python from the raw samples."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict

import pytest

from core.timeseries.fields import FIELDS
from core.timeseries.store import Frame, Lines

CELL = tuple[str, int]


def naive(frame: Frame) -> dict[CELL, list[float]]:
    """The measured values of each object and field, oldest first."""
    values: dict[CELL, list[tuple[float, float]]] = defaultdict(list)
    for name, at, row in zip(frame.objects, frame.times.tolist(), frame.values.tolist(), strict=True):
        for column, value in enumerate(row):
            if not math.isnan(value):
                values[name, column].append((at, value))
    return {cell: [value for _, value in sorted(found)] for cell, found in values.items()}


def agrees(lines: Lines, raw: dict[CELL, list[float]], *, whole: bool) -> int:
    """Every cell is computed from its first `count` samples; from all there are if `whole`. The number of cells."""
    cells = 0
    for row, name in enumerate(lines.objects):
        for column in range(len(FIELDS[lines.kind])):
            samples, count = raw.get((name, column), []), int(lines.count[row, column])
            assert len(samples) == count or (not whole and len(samples) > count), (lines.kind, name, column)
            if not count:
                assert math.isnan(lines.mean[row, column])
                continue
            used = samples[:count]
            assert lines.mean[row, column] == pytest.approx(statistics.fmean(used), rel=1e-9, abs=1e-9)
            assert lines.minimum[row, column] == min(used)
            assert lines.maximum[row, column] == max(used)
            cells += 1
    return cells
