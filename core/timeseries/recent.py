"""The last minutes in memory, in front of a durable store: current values, rules and minute lines never wait for a
disk.

Every write goes to the inner store first, so memory never holds what a crash would take back. It is right only where it
sees every write: one `RecentStore` in the one process that writes.

Two races. Two writers of the same (object, time) must leave the same winner in both stores; and a write that `touched`
tells of must be in memory before it does, or its minute would be computed without it and never again. `_writing` closes
both: it spans the inner write and the update of memory, and `touched` waits for it. Readers take `_state` only to copy
references and rows, and sort outside of it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.timeseries import samples
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.names import Names
from core.timeseries.samples import Samples
from core.timeseries.store import Floats, Frame, Level, Lines, TimeSeriesStore, Touched

_SAMPLE_OVERHEAD = 16


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    samples: Samples
    newest: float
    oldest: float

    @property
    def size(self) -> int:
        return len(self.samples) * _SAMPLE_OVERHEAD + self.samples.values.nbytes


@dataclass(slots=True, eq=False)
class _Ring:
    """One kind. Every sample with time >= `floor` is in `batches`, in the order of writing; `last_*` hold one row per
    slot.
    """

    kind: Kind
    names: Names = field(default_factory=Names)
    batches: deque[_Batch] = field(default_factory=deque)
    floor: float = -np.inf
    newest: float = -np.inf
    last_times: Floats = field(init=False)
    last_values: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.last_times = np.empty(0)
        self.last_values = np.empty((0, len(FIELDS[self.kind])))

    def add(self, frame: Frame) -> None:
        self.names.extend(self.names.missing(frame.objects))
        added = Samples(self.names.slots(frame.objects), frame.times.copy(), frame.values.copy())
        batch = _Batch(added, float(frame.times.max()), float(frame.times.min()))
        self.newest = max(self.newest, batch.newest)
        if batch.newest >= self.floor:
            self.batches.append(batch)
        self._update_last(samples.newest(samples.settled(added, self.names.rank())))

    def _update_last(self, newest: Samples) -> None:
        """A late sample never replaces a newer one; the same time again is the last write, and wins."""
        grown = len(self.names) - len(self.last_times)
        if grown:
            blank = np.full((grown, self.last_values.shape[1]), np.nan)
            self.last_values = np.concatenate([self.last_values, blank])
            self.last_times = np.concatenate([self.last_times, np.full(grown, -np.inf)])
        ahead = newest.take(np.flatnonzero(newest.times >= self.last_times[newest.slots]))
        self.last_times[ahead.slots] = ahead.times
        self.last_values[ahead.slots] = ahead.values

    def trim(self, seconds: float, limit: int) -> None:
        """Drop what is older than `seconds` before the newest sample, then the oldest batches over `limit` bytes."""
        self.floor = max(self.floor, self.newest - seconds)
        kept = [batch for batch in self.batches if batch.newest >= self.floor]
        excess = sum(batch.size for batch in kept) - limit
        for batch in sorted(kept, key=lambda batch: batch.newest) if excess > 0 else ():
            if excess <= 0:
                break
            excess -= batch.size
            self.floor = max(self.floor, float(np.nextafter(batch.newest, np.inf)))
        self.batches = deque(batch for batch in kept if batch.newest >= self.floor)


class RecentStore:
    """A `TimeSeriesStore`: `seconds` of samples in memory, never more than `limit` bytes per kind; everything else
    from `inner`.
    """

    def __init__(self, inner: TimeSeriesStore, seconds: float = 300.0, limit: int = 256 * 1024 * 1024) -> None:
        self._inner = inner
        self._seconds = seconds
        self._limit = limit
        self._writing = threading.Lock()
        self._state = threading.Lock()
        self._rings = {kind: _Ring(kind) for kind in Kind}
        self._load()
        self._loaded_from = {kind: ring.floor for kind, ring in self._rings.items()}

    def _load(self) -> None:
        """Fill memory as if it had seen the last writes itself."""
        for kind, newest in self._inner.touched(0).newest.items():
            ring = self._rings[kind]
            ring.floor = newest - self._seconds
            if len(frame := self._inner.read(kind, ring.floor, np.inf)):
                ring.add(frame)
                ring.trim(self._seconds, self._limit)

    def write(self, frames: Sequence[Frame]) -> None:
        with self._writing:
            self._inner.write(frames)
            with self._state:
                for frame in frames:
                    if len(frame):
                        self._rings[frame.kind].add(frame)
                        self._rings[frame.kind].trim(self._seconds, self._limit)

    def read(self, kind: Kind, start: float, end: float, objects: Collection[str] | None = None) -> Frame:
        ring = self._rings[kind]
        with self._state:
            held = start >= ring.floor
            batches = list(ring.batches) if held else []
            rank = ring.names.rank()
            wanted = None if objects is None else ring.names.known(objects)
        if not held:
            return self._inner.read(kind, start, end, objects)
        overlapping = (batch.samples for batch in batches if batch.newest >= start and batch.oldest < end)
        pieces = [piece.between(start, end) for piece in overlapping]
        found = samples.joined(kind, pieces)
        found = found if wanted is None else found.only(wanted)
        return samples.frame(kind, samples.settled(found, rank), ring.names)

    def latest(self, kind: Kind, since: float, objects: Collection[str] | None = None) -> Frame:
        if since < self._loaded_from[kind]:
            return self._inner.latest(kind, since, objects)
        ring = self._rings[kind]
        with self._state:
            slots = np.arange(len(ring.last_times)) if objects is None else ring.names.known(objects)
            slots = slots[ring.last_times[slots] >= since]
            found = Samples(slots, ring.last_times[slots], ring.last_values[slots])
            rank = ring.names.rank()
        return samples.frame(kind, found.take(np.argsort(rank[slots])), ring.names)

    def touched(self, cursor: int) -> Touched:
        with self._writing:
            return self._inner.touched(cursor)

    def write_lines(self, level: Level, lines: Sequence[Lines]) -> None:
        self._inner.write_lines(level, lines)

    def read_lines(
        self, level: Level, kind: Kind, start: float, end: float, objects: Collection[str] | None = None
    ) -> Sequence[Lines]:
        return self._inner.read_lines(level, kind, start, end, objects)

    def mark(self, name: str) -> float | None:
        return self._inner.mark(name)

    def set_mark(self, name: str, value: float) -> None:
        self._inner.set_mark(name, value)

    def prune(self, level: Level, before: float) -> int:
        return self._inner.prune(level, before)

    def close(self) -> None:
        self._inner.close()
