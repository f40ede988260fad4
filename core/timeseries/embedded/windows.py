"""The line levels: for each window of a kind one row per block of 64 object slots.

Means stand apart from minimum, maximum and count, in a table of their own: the two compress differently. Small blocks
make the history of one object cheap: blocks of 256 write a window in 0.6 of the time and read one object's hour in 2.4
times. A window is replaced as a whole in one transaction. Rows are keyed `window number << 16 | block`, so a
window's rows lie side by side and retention is a range delete.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import numpy as np
import structlog

from core.timeseries.embedded.chunks import (
    CorruptRow,
    Spread,
    arrange,
    pack_means,
    pack_spread,
    unpack_means,
    unpack_spread,
)
from core.timeseries.embedded.database import Database
from core.timeseries.fields import Kind
from core.timeseries.metrics import CORRUPT
from core.timeseries.names import Names
from core.timeseries.store import Floats, Ints, Lines

SCHEMA = """
CREATE TABLE windows (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, start REAL NOT NULL, expected INTEGER NOT NULL,
                      final INTEGER NOT NULL, layout INTEGER NOT NULL, UNIQUE (kind, start));
CREATE TABLE means (key INTEGER PRIMARY KEY, n INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE spreads (key INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE marks (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
"""
_BLOCK = 64
_SHIFT = 16
_PRUNED_AT_ONCE = 16
_UPSERT = """
INSERT INTO windows (kind, start, expected, final, layout) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (kind, start) DO UPDATE SET expected = excluded.expected, final = excluded.final, layout = excluded.layout
RETURNING id
"""
_SELECT = """
SELECT w.start, w.expected, w.final, w.layout, m.key, m.n, m.body, s.body
FROM windows w CROSS JOIN {blocks} CROSS JOIN spreads s ON s.key = m.key
WHERE w.kind = ? AND w.start >= ? AND w.start < ? ORDER BY w.start
"""
_ALL_BLOCKS = _SELECT.format(blocks="means m ON m.key >= w.id << 16 AND m.key < (w.id + 1) << 16")
_SOME_BLOCKS = _SELECT.format(blocks="json_each(?) b CROSS JOIN means m ON m.key = (w.id << 16) | b.value")

_log = structlog.get_logger(__name__)
_Row = tuple[float, int, int, int, int, int, bytes, bytes]


@dataclass(slots=True)
class _Parts:
    """The decoded blocks of one window."""

    slots: list[Ints] = field(default_factory=list)
    mean: list[Floats] = field(default_factory=list)
    minimum: list[Floats] = field(default_factory=list)
    maximum: list[Floats] = field(default_factory=list)
    count: list[Ints] = field(default_factory=list)

    def add(self, slots: Ints, mean: Floats, spread: Spread, rows: Ints) -> None:
        self.slots.append(slots[rows])
        self.mean.append(mean[rows])
        self.minimum.append(spread.minimum[rows])
        self.maximum.append(spread.maximum[rows])
        self.count.append(spread.count[rows])


class Windows:
    """The lines of one level, in one file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(self, lines: Sequence[Lines]) -> None:
        with self._database.writing() as connection:
            for window in lines:
                self._replace(connection, window)

    def _replace(self, connection: sqlite3.Connection, lines: Lines) -> None:
        catalogue = self._database.written
        slots = catalogue.assign(connection, lines.kind, tuple(lines.objects))
        layout = catalogue.layout(connection, lines.kind)
        row = (lines.kind, lines.start, lines.expected, int(lines.final), layout)
        ((number,),) = connection.execute(_UPSERT, row).fetchall()
        _clear(connection, number)
        for block, rows in _blocks(slots):
            key = number << _SHIFT | block
            means = pack_means(slots[rows] - block * _BLOCK, lines.mean[rows])
            spread = pack_spread(Spread(lines.minimum[rows], lines.maximum[rows], lines.count[rows]))
            connection.execute("INSERT INTO means (key, n, body) VALUES (?, ?, ?)", (key, len(rows), means))
            connection.execute("INSERT INTO spreads (key, body) VALUES (?, ?)", (key, spread))

    def read(self, kind: Kind, start: float, end: float, objects: Collection[str] | None) -> list[Lines]:
        catalogue = self._database.seen
        with self._database.reading() as connection:
            catalogue.load_layouts(connection)
            names = catalogue.names(connection, kind)
            wanted = None if objects is None else names.known(objects)
            rows = self._select(connection, kind, start, end, wanted)
            windows = (list(window) for _, window in groupby(rows, key=itemgetter(0)))
            return [lines for window in windows for lines in self._lines(kind, window, wanted, names)]

    def _select(
        self, connection: sqlite3.Connection, kind: Kind, start: float, end: float, wanted: Ints | None
    ) -> Iterator[_Row]:
        if wanted is None:
            return connection.execute(_ALL_BLOCKS, (kind, start, end))
        blocks = json.dumps(np.unique(wanted // _BLOCK).tolist())
        return connection.execute(_SOME_BLOCKS, (blocks, kind, start, end))

    def _lines(self, kind: Kind, rows: Sequence[_Row], wanted: Ints | None, names: Names) -> Iterator[Lines]:
        """One window from its rows; nothing when none of the wanted objects stands in it."""
        start, expected, final, *_ = rows[0]
        parts = _Parts()
        for row in rows:
            self._decode(kind, row, wanted, parts)
        slots = np.concatenate(parts.slots) if parts.slots else np.empty(0, dtype=np.int64)
        if len(slots):
            order = np.argsort(names.rank()[slots])
            mean, minimum, maximum = (
                np.concatenate(part)[order] for part in (parts.mean, parts.minimum, parts.maximum)
            )
            count = np.concatenate(parts.count)[order]
            yield Lines(kind, start, names.take(slots[order]), mean, minimum, maximum, count, expected, bool(final))

    def _decode(self, kind: Kind, row: _Row, wanted: Ints | None, parts: _Parts) -> None:
        """Add the wanted objects of one block. A damaged block is a gap: counted, logged and left out."""
        catalogue = self._database.seen
        *_, layout, key, n, means, spreads = row
        width = catalogue.width(layout)
        try:
            offsets, mean = unpack_means(means, n, width)
            spread = unpack_spread(spreads, n, width)
        except CorruptRow as error:
            CORRUPT.labels(self._database.level).inc()
            _log.warning("corrupt_row_left_out", level=self._database.level, row=key, reason=str(error))
            return
        slots = offsets + (key & (1 << _SHIFT) - 1) * _BLOCK
        rows = np.arange(n) if wanted is None else np.flatnonzero(np.isin(slots, wanted))
        columns = catalogue.columns(kind, layout)
        mean, minimum, maximum = (arrange(part, columns, np.nan) for part in (mean, spread.minimum, spread.maximum))
        parts.add(slots, mean, Spread(minimum, maximum, arrange(spread.count, columns, 0)), rows)

    def prune(self, before: float) -> int:
        """A bounded number of windows per transaction, so that writers wait for milliseconds at most."""
        pruned = 0
        while True:
            with self._database.writing() as connection:
                query = "SELECT id FROM windows WHERE start < ? ORDER BY kind, start LIMIT ?"
                rows = connection.execute(query, (before, _PRUNED_AT_ONCE)).fetchall()
                for (number,) in rows:
                    _clear(connection, number)
                connection.executemany("DELETE FROM windows WHERE id = ?", rows)
            pruned += len(rows)
            if len(rows) < _PRUNED_AT_ONCE:
                return pruned

    def mark(self, name: str) -> float | None:
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        return None if row is None else float(row[0])

    def set_mark(self, name: str, value: float) -> None:
        query = "INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        with self._database.writing() as connection:
            connection.execute(query, (name, value))


def _clear(connection: sqlite3.Connection, number: int) -> None:
    span = (number << _SHIFT, (number + 1) << _SHIFT)
    connection.execute("DELETE FROM means WHERE key >= ? AND key < ?", span)
    connection.execute("DELETE FROM spreads WHERE key >= ? AND key < ?", span)


def _blocks(slots: Ints) -> Iterator[tuple[int, Ints]]:
    """Block numbers, each with the positions of its slots."""
    order = np.argsort(slots, kind="stable")
    blocks = slots[order] // _BLOCK
    bounds = np.flatnonzero(np.diff(blocks)) + 1
    for rows in np.split(order, bounds):
        if len(rows):
            yield int(slots[rows[0]]) // _BLOCK, rows
