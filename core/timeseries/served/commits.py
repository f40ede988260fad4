"""The record of what was written when: it makes a write of many points one step, and tells the aggregator of it.

Every write has a number and stamps it on its rows. After the rows come its commit records, one per (kind, minute); a
reader first asks which recent writes have one, then leaves out rows of those that have none. A write older than
`SETTLED` seconds counts as committed, so that only recent records are ever asked for.

A number is the wall clock in milliseconds, never twice the same in one writer, times 64 plus six bits that tell writers
apart: several processes may write (each its own objects) without asking each other.

The race: two writers commit in another order than that of their numbers. Closed in `Told`: a cursor stands `SETTLED`
seconds behind, and the instance that issued it remembers what beyond it has been told. Another instance that goes on
from it tells the last minute again, which costs a recomputation and loses nothing.

Worst moment: a writer dies between rows and commit. Whoever repeats the write repairs it at once; otherwise its rows
appear after `SETTLED` seconds.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.clock import Clock
from core.timeseries.fields import Kind
from core.timeseries.served.tables import Engine, Rows, Selection, Table, bound, ticks_of
from core.timeseries.store import Floats, Frame, Level, Touched

SETTLED: Final = 60.0
MEASUREMENT: Final = "commit"
_FIELDS: Final = ("number", "minute", "newest", "parts")
_WRITERS: Final = 64
_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True)
class Record:
    """That write `number` brought samples of a kind in a minute (its start); `newest`: the time of the last of them."""

    number: int
    kind: Kind
    minute: float
    newest: float


class Numbers:
    """Thread-safe. Numbers of this writer, always rising."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0
        self._writer = secrets.randbelow(_WRITERS)

    @property
    def writer(self) -> str:
        return f"w{self._writer:02d}"

    def next(self) -> int:
        with self._lock:
            self._last = max(int(self._clock.now().timestamp() * 1000), self._last + 1)
            return self._last * _WRITERS + self._writer

    def settled(self) -> int:
        """Every number up to this one counts as committed."""
        return int((self._clock.now().timestamp() - SETTLED) * 1000) * _WRITERS


def instant(number: int) -> float:
    """When a write began, epoch seconds."""
    return number // _WRITERS / 1000


class Commits:
    """The commit records of one store. Threads may share it."""

    def __init__(self, engine: Engine, numbers: Numbers) -> None:
        self._engine = engine
        self._numbers = numbers
        self._told = Told()

    def tables(self, number: int, frames: Sequence[Frame]) -> list[Table]:
        """The records of one write; nothing when it has no samples."""
        rows = [(frame.kind, *row) for frame in frames if len(frame) for row in _minutes(frame.times)]
        tick = self._tick(number)
        return [
            Table(
                Level.RAW,
                MEASUREMENT,
                [f"{self._numbers.writer}.{kind}"],
                np.array([tick]),
                {
                    name: np.array([value], dtype=float)
                    for name, value in zip(_FIELDS, (number, minute, newest, len(rows)), strict=True)
                },
                revision=position,
            )
            for position, (kind, minute, newest) in enumerate(rows)
        ]

    def since(self, number: int) -> list[Record]:
        """The records of all committed writes with a higher number, in their order."""
        selection = Selection(Level.RAW, MEASUREMENT, _FIELDS)
        found = self._engine.read(selection, self._tick(number), bound(np.inf, self._engine.ticks_per_second))
        return [record for record in _records(found) if record.number > number]

    def recent(self) -> tuple[int, frozenset[int]]:
        """A number up to which everything counts as committed, and the committed writes after it."""
        settled = self._numbers.settled()
        return settled, frozenset(record.number for record in self.since(settled))

    def touched(self, cursor: int, kept_from: float) -> Touched:
        settled = self._numbers.settled()
        records = self._told.news(cursor, self.since(cursor))
        newest: dict[Kind, float] = {}
        for record in records:
            newest[record.kind] = max(newest.get(record.kind, record.newest), record.newest)
        minutes = frozenset((record.kind, record.minute) for record in records if record.minute + 60 > kept_from)
        issued = self._told.issue(cursor, settled, {record.number for record in records})
        return Touched(issued, minutes, newest)

    def _tick(self, number: int) -> int:
        return int(ticks_of(np.array([instant(number)]), self._engine.ticks_per_second)[0])


class Told:
    """What has been told beyond the cursors that this instance issued."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._beyond: dict[int, frozenset[int]] = {}

    def news(self, cursor: int, records: Sequence[Record]) -> list[Record]:
        with self._lock:
            told = self._beyond.get(cursor, frozenset())
        return [record for record in records if record.number not in told]

    def issue(self, cursor: int, settled: int, told: set[int]) -> int:
        """The cursor after `cursor`: the same one when nothing new has been told."""
        if not told:
            return cursor
        with self._lock:
            everything = told | self._beyond.get(cursor, frozenset())
            issued = max(cursor + 1, min(settled, max(everything)))
            while issued in self._beyond:
                issued += 1
            self._beyond[issued] = frozenset(number for number in everything if number > issued)
            while len(self._beyond) > _REMEMBERED:
                del self._beyond[next(iter(self._beyond))]
            return issued


def committed(numbers: Floats, recent: tuple[int, frozenset[int]]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of the write numbers of rows are of committed writes."""
    settled, known = recent
    inside = numbers <= settled
    if not inside.all():
        inside |= np.isin(numbers, np.array(sorted(known), dtype=float))
    return inside


def _minutes(times: Floats) -> list[tuple[float, float]]:
    """The minutes that hold samples, each with the time of its newest."""
    starts, place = np.unique(np.floor_divide(times, 60.0) * 60.0, return_inverse=True)
    newest = np.full(len(starts), -np.inf)
    np.maximum.at(newest, place, times)
    return list(zip(starts.tolist(), newest.tolist(), strict=True))


def _records(rows: Rows) -> list[Record]:
    """A write of which a part of the records is missing is not committed yet."""
    rows = rows.complete()
    kinds = [name.partition(".")[2] for name in rows.objects]
    parts: dict[int, int] = {}
    for number in rows.values[:, 0].astype(np.int64).tolist():
        parts[number] = parts.get(number, 0) + 1
    found = [
        Record(int(number), Kind(kind), minute, newest)
        for kind, (number, minute, newest, wanted) in zip(kinds, rows.values.tolist(), strict=True)
        if parts[int(number)] >= wanted
    ]
    return sorted(found, key=lambda record: (record.number, record.minute))
