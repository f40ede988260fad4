"""A `TimeSeriesStore` on a server: the promises of the port, kept over an `Engine` that can only add points.

    placing    the last write of an (object, time) wins, the same again is nothing
    commits    a write of many points is seen whole or not at all; what arrived since a cursor
    windows    lines, each window replaced as a whole
    marks      small numbers, and from where on each level is kept

`prune` hides at once; the space comes back with the server's own retention, which deletes whole files where a delete of
a range would cost a rewrite.

Threads may share a store, and other processes may read and write beside it, as long as each object's samples come from
one process.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

import numpy as np

from core.clock import Clock, SystemClock
from core.timeseries import samples
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.metrics import SAMPLES_WRITTEN, WRITE_SECONDS
from core.timeseries.served.commits import Commits, Numbers, committed
from core.timeseries.served.marks import Marks
from core.timeseries.served.placing import Placing, fields, winners
from core.timeseries.served.tables import Engine, Rows, Selection, bound, times_of
from core.timeseries.served.windows import Windows
from core.timeseries.store import Frame, Ints, Level, Lines, Touched, WriteRefused


class ServedStore:
    def __init__(self, engine: Engine, clock: Clock | None = None) -> None:
        numbers = Numbers(clock or SystemClock())
        self._engine = engine
        self._numbers = numbers
        self._commits = Commits(engine, numbers)
        self._windows = Windows(engine)
        self._marks = Marks(engine, numbers)
        self._writing = threading.Lock()
        self._placing = Placing(engine.ticks_per_second, self._stored)

    def write(self, frames: Sequence[Frame]) -> None:
        """ValueError when the arrays of a frame do not fit each other; WriteRefused for what the server never takes."""
        for frame in frames:
            samples.check(frame)
            if np.isinf(frame.values).any():
                raise WriteRefused(f"{frame.kind}: a value is infinite, which no server takes")
        with WRITE_SECONDS.labels(Level.RAW).time(), self._writing:
            self._write([frame for frame in frames if len(frame)])
        for frame in frames:
            SAMPLES_WRITTEN.labels(frame.kind).inc(len(frame))

    def _write(self, frames: Sequence[Frame]) -> None:
        if not frames:
            return
        kinds = list(dict.fromkeys(frame.kind for frame in frames))
        self._start(kinds)
        number = self._numbers.next()
        placed = [self._placing.place(kind, [one for one in frames if one.kind is kind], number) for kind in kinds]
        try:
            if tables := [table for one in placed for table in one.tables]:
                self._engine.write(tables)
            self._engine.write(self._commits.tables(number, frames))
        except BaseException:
            for one in placed:
                self._placing.failed(one)
            raise
        for one in placed:
            self._placing.written(one)

    def _start(self, kinds: Sequence[Kind]) -> None:
        """Before the first write of a kind: the newest sample of it that any process has written."""
        if all(self._placing.knows(kind) for kind in kinds):
            return
        newest = dict.fromkeys(Kind, -1.0)
        for record in self._commits.since(0):
            newest[record.kind] = max(newest[record.kind], record.newest)
        for kind in Kind:
            if not self._placing.knows(kind):
                tick = bound(newest[kind], self._engine.ticks_per_second) if newest[kind] >= 0 else -1
                self._placing.start(kind, tick)

    def _stored(self, kind: Kind, first: int, last: int, objects: Sequence[str]) -> Rows:
        recent = self._commits.recent()
        rows = self._engine.read(Selection(Level.RAW, kind, fields(kind), objects), first, last + 1)
        rows.values[:, 0] = committed(rows.values[:, 0], recent)
        return rows

    def read(self, kind: Kind, start: float, end: float, objects: Collection[str] | None = None) -> Frame:
        if objects is not None and not objects:
            return _frame(kind, _nothing(kind), self._engine.ticks_per_second)
        recent = self._commits.recent()
        first, last = self._range(start, end)
        rows = self._engine.read(Selection(Level.RAW, kind, fields(kind), objects), first, last)
        rows = rows.take(np.flatnonzero(committed(rows.values[:, 0], recent)))
        return _frame(kind, rows.take(winners(rows)), self._engine.ticks_per_second)

    def latest(self, kind: Kind, since: float, objects: Collection[str] | None = None) -> Frame:
        """The rows of a write under way hide what was the newest before: then everything since is read."""
        if objects is not None and not objects:
            return _frame(kind, _nothing(kind), self._engine.ticks_per_second)
        recent = self._commits.recent()
        first, _ = self._range(since, np.inf)
        rows = self._engine.newest(Selection(Level.RAW, kind, fields(kind), objects), first)
        if not committed(rows.values[:, 0], recent).all():
            return _newest(self.read(kind, since, np.inf, objects))
        rows = rows.take(winners(rows))
        return _newest(_frame(kind, rows, self._engine.ticks_per_second))

    def _range(self, start: float, end: float) -> tuple[int, int]:
        per_second = self._engine.ticks_per_second
        return bound(max(start, self._marks.kept_from(Level.RAW)), per_second), bound(end, per_second)

    def touched(self, cursor: int) -> Touched:
        return self._commits.touched(cursor, self._marks.kept_from(Level.RAW))

    def write_lines(self, level: Level, lines: Sequence[Lines]) -> None:
        with WRITE_SECONDS.labels(level).time():
            self._windows.replace(level, lines)

    def read_lines(
        self, level: Level, kind: Kind, start: float, end: float, objects: Collection[str] | None = None
    ) -> Sequence[Lines]:
        if objects is not None and not objects:
            return []
        return self._windows.read(level, kind, max(start, self._marks.kept_from(level)), end, objects)

    def mark(self, name: str) -> float | None:
        return self._marks.get(name)

    def set_mark(self, name: str, value: float) -> None:
        self._marks.set(name, value)

    def prune(self, level: Level, before: float) -> int:
        """The number of frames or windows that are hidden from now on."""
        kept = self._marks.kept_from(level)
        if before <= kept:
            return 0
        hidden = self._hidden_frames(kept, before) if level is Level.RAW else self._hidden_windows(level, kept, before)
        self._marks.keep_from(level, before)
        return hidden

    def _hidden_frames(self, kept: float, before: float) -> int:
        newest: dict[tuple[int, Kind], float] = {}
        for record in self._commits.since(0):
            key = (record.number, record.kind)
            newest[key] = max(newest.get(key, record.newest), record.newest)
        return sum(kept <= time < before for time in newest.values())

    def _hidden_windows(self, level: Level, kept: float, before: float) -> int:
        return len(self._windows.headers(level, None, kept, before))

    def close(self) -> None:
        """Idempotent. Waits for the write under way."""
        with self._writing:
            self._engine.close()


def _nothing(kind: Kind) -> Rows:
    none = np.empty(0, dtype=np.int64)
    return Rows([], none, none, np.empty((0, len(FIELDS[kind]) + 1)))


def _frame(kind: Kind, rows: Rows, per_second: int) -> Frame:
    """Sorted by (object, time); the number of the write is left out."""
    ranks = {name: rank for rank, name in enumerate(sorted(set(rows.objects)))}
    rank: Ints = np.fromiter((ranks[name] for name in rows.objects), dtype=np.int64, count=len(rows))
    rows = rows.take(np.lexsort((rows.ticks, rank)))
    return Frame(kind, rows.objects, times_of(rows.ticks, per_second), rows.values[:, 1:])


def _newest(frame: Frame) -> Frame:
    """The last sample of each object of a sorted frame."""
    names = frame.objects
    last = [row for row in range(len(names)) if row + 1 == len(names) or names[row + 1] != names[row]]
    return Frame(frame.kind, [names[row] for row in last], frame.times[last], frame.values[last])
