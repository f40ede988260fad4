"""Between the scrapes and the store: points are gathered into frames, and frames wait while the store is away.

The worst moment is a store that is down for long: a queue is bounded and drops its oldest batch first, counted; what is
newest is what alarms need. Two queues: one in memory, one on disk (`disk_queue`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from collector import metrics
from collector.samples import Samples
from core.timeseries.fields import Kind
from core.timeseries.store import Frame

AHEAD: Final = 600.0
"""Seconds that a point may be dated into the future; Prometheus allows the same."""

Batch = tuple[Frame, ...]


class Buffer:
    """Gathers the samples of many scrapes. Touched by one thread."""

    def __init__(self) -> None:
        self._parts: dict[Kind, list[tuple[Samples, float]]] = {}

    def add(self, samples: Sequence[Samples], time: float) -> None:
        for part in samples:
            self._parts.setdefault(part.kind, []).append((part, time))

    def take(self, now: float, behind: float) -> Batch:
        """One frame per kind of everything gathered; points dated more than `AHEAD` after or `behind` before `now`
        are refused."""
        parts, self._parts = self._parts, {}
        dated = (
            (kind, [(s, time) for s, time in some if _credible(s, time, now, behind)]) for kind, some in parts.items()
        )
        return tuple(_frame(kind, some) for kind, some in dated if some)


def _credible(samples: Samples, time: float, now: float, behind: float) -> bool:
    if now - behind <= time <= now + AHEAD:
        return True
    metrics.DROPPED.labels("future" if time > now else "past").inc(len(samples.objects))
    return False


def _frame(kind: Kind, parts: Sequence[tuple[Samples, float]]) -> Frame:
    sizes = [len(part.objects) for part, _ in parts]
    return Frame(
        kind,
        [name for part, _ in parts for name in part.objects],
        np.repeat(np.array([time for _, time in parts]), sizes),
        np.concatenate([part.values for part, _ in parts]),
    )


class Spool(Protocol):
    """First in, first out. Used by one thread at a time."""

    def put(self, batch: Batch) -> None:
        """May drop the oldest batches, counted in `starvc_collector_dropped_points_total`."""
        ...

    def head(self) -> Batch | None:
        """The oldest batch, which stays until `done`."""
        ...

    def done(self) -> None:
        """The head is in the store."""
        ...


class MemorySpool:
    """Holds at most `limit` points, and always the newest batch."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: deque[Batch] = deque()
        self._points = 0

    def put(self, batch: Batch) -> None:
        self._batches.append(batch)
        self._points += points(batch)
        while self._points > self._limit and len(self._batches) > 1:
            lost = points(self._batches.popleft())
            self._points -= lost
            metrics.DROPPED.labels("queue_full").inc(lost)
        metrics.QUEUED.set(self._points)

    def head(self) -> Batch | None:
        return self._batches[0] if self._batches else None

    def done(self) -> None:
        self._points -= points(self._batches.popleft())
        metrics.QUEUED.set(self._points)


def points(batch: Batch) -> int:
    """Samples of objects, not single values."""
    return sum(len(frame) for frame in batch)
