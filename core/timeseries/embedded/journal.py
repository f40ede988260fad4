"""The raw level: an append-only journal, one row per written frame, all frames of a write in one transaction.

Scrapes are spread over the interval, so a write holds any subset of the objects, and the same object may come again
later or late. Nothing is looked up or rewritten: a reader merges the rows that overlap its range, and the row with the
higher number wins. The numbers only grow (AUTOINCREMENT, also over deletes), so that `touched` sees every row exactly
once.

`batches` holds what queries filter by; `bodies` the samples, so that no filter ever drags them in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import structlog

from core.timeseries import samples
from core.timeseries.embedded.chunks import CorruptRow, arrange, pack_samples, unpack_samples
from core.timeseries.embedded.database import Database
from core.timeseries.fields import Kind
from core.timeseries.metrics import CORRUPT
from core.timeseries.names import Names
from core.timeseries.samples import Samples
from core.timeseries.store import Frame, Ints, Level, Touched

SCHEMA = """
CREATE TABLE batches (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, min_time REAL NOT NULL,
                      max_time REAL NOT NULL, n INTEGER NOT NULL, layout INTEGER NOT NULL, minutes BLOB NOT NULL);
CREATE INDEX batches_by_time ON batches (kind, max_time, min_time);
CREATE TABLE bodies (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""
_PRUNED_AT_ONCE = 256

_log = structlog.get_logger(__name__)
_Row = tuple[int, int, int, bytes]


class Journal:
    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, frames: Sequence[Frame]) -> None:
        with self._database.writing() as connection:
            for frame in frames:
                if len(frame):
                    self._append(connection, frame)

    def _append(self, connection: sqlite3.Connection, frame: Frame) -> None:
        catalogue = self._database.written
        slots = catalogue.assign(connection, frame.kind, tuple(frame.objects))
        layout = catalogue.layout(connection, frame.kind)
        minutes = np.unique(np.floor_divide(frame.times, 60.0)).astype("<i8").tobytes()
        row = (frame.kind, float(frame.times.min()), float(frame.times.max()), len(frame), layout, minutes)
        cursor = connection.execute(
            "INSERT INTO batches (kind, min_time, max_time, n, layout, minutes) VALUES (?, ?, ?, ?, ?, ?)", row
        )
        body = pack_samples(Samples(slots, frame.times, frame.values))
        connection.execute("INSERT INTO bodies (id, body) VALUES (?, ?)", (cursor.lastrowid, body))

    def read(self, kind: Kind, start: float, end: float, objects: Collection[str] | None) -> Frame:
        with self._database.reading() as connection:
            names, wanted = self._wanted(connection, kind, objects)
            rows = connection.execute(
                "SELECT id, n, layout, body FROM batches JOIN bodies USING (id)"
                " WHERE kind = ? AND max_time >= ? AND min_time < ?",
                (kind, start, end),
            ).fetchall()
        pieces = [piece.between(start, end) for _, piece in self._unpacked(kind, sorted(rows), wanted)]
        return samples.frame(kind, samples.settled(samples.joined(kind, pieces), names.rank()), names)

    def latest(self, kind: Kind, since: float, objects: Collection[str] | None) -> Frame:
        """Newest rows first; for a few objects it stops as soon as no older row can hold anything newer of them."""
        with self._database.reading() as connection:
            names, wanted = self._wanted(connection, kind, objects)
            pieces: list[tuple[int, Samples]] = []
            newest = np.full(len(names), -np.inf)
            rows = connection.execute(
                "SELECT id, n, layout, body, max_time FROM batches JOIN bodies USING (id)"
                " WHERE kind = ? AND max_time >= ? ORDER BY max_time DESC",
                (kind, since),
            )
            for *row, max_time in rows:
                if wanted is not None and (newest[wanted] > max_time).all():
                    break
                for number, piece in self._unpacked(kind, [tuple(row)], wanted):
                    pieces.append((number, piece.between(since, np.inf)))
                    np.maximum.at(newest, piece.slots, piece.times)
        ordered = [piece for _, piece in sorted(pieces, key=lambda numbered: numbered[0])]
        found = samples.newest(samples.settled(samples.joined(kind, ordered), names.rank()))
        return samples.frame(kind, found, names)

    def touched(self, cursor: int) -> Touched:
        with self._database.reading() as connection:
            query = "SELECT id, kind, minutes, max_time FROM batches WHERE id > ? ORDER BY id"
            rows = connection.execute(query, (cursor,)).fetchall()
        distinct = {(kind, minutes) for _, kind, minutes, _ in rows}
        minutes = frozenset(
            (Kind(kind), minute * 60.0)
            for kind, packed in distinct
            for minute in np.frombuffer(packed, dtype="<i8").tolist()
        )
        newest: dict[Kind, float] = {}
        for _, kind, _, max_time in rows:
            newest[Kind(kind)] = max(newest.get(Kind(kind), max_time), max_time)
        return Touched(rows[-1][0] if rows else cursor, minutes, newest)

    def prune(self, before: float) -> int:
        return sum(self._prune(kind, before) for kind in Kind)

    def _prune(self, kind: Kind, before: float) -> int:
        """A bounded number of rows per transaction, so that writers wait for milliseconds at most."""
        pruned = 0
        while True:
            with self._database.writing() as connection:
                query = "SELECT id FROM batches WHERE kind = ? AND max_time < ? ORDER BY max_time LIMIT ?"
                rows = connection.execute(query, (kind, before, _PRUNED_AT_ONCE)).fetchall()
                connection.executemany("DELETE FROM bodies WHERE id = ?", rows)
                connection.executemany("DELETE FROM batches WHERE id = ?", rows)
            pruned += len(rows)
            if len(rows) < _PRUNED_AT_ONCE:
                return pruned

    def _wanted(
        self, connection: sqlite3.Connection, kind: Kind, objects: Collection[str] | None
    ) -> tuple[Names, Ints | None]:
        catalogue = self._database.seen
        catalogue.load_layouts(connection)
        names = catalogue.names(connection, kind)
        return names, None if objects is None else names.known(objects)

    def _unpacked(self, kind: Kind, rows: Sequence[_Row], wanted: Ints | None) -> Iterator[tuple[int, Samples]]:
        """The samples of the wanted slots, by row. A damaged row is a gap: counted, logged and left out."""
        catalogue = self._database.seen
        for number, n, layout, body in rows:
            try:
                piece = unpack_samples(body, n, catalogue.width(layout))
            except CorruptRow as error:
                CORRUPT.labels(Level.RAW).inc()
                _log.warning("corrupt_row_left_out", level=Level.RAW, row=number, reason=str(error))
                continue
            values = arrange(piece.values, catalogue.columns(kind, layout), np.nan)
            piece = Samples(piece.slots, piece.times, values)
            yield number, piece if wanted is None else piece.only(wanted)
