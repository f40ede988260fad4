"""What the numbers in the rows of one file mean: object slots, and which fields the columns hold.

New slots are inserted in the transaction of the rows that use them, so a row never points at a slot that a crash took
away. Each file has its own numbering, because SQLite in WAL mode has no atomic commit over several files. The writing
side and the reading side each keep their own copy: the writer's holds uncommitted slots and is forgotten on rollback,
the readers' never does.

Rows name their *layout*, the list of fields at the time of writing: fields may be added, removed or moved between
versions, and old rows still answer by name.
"""

from __future__ import annotations

import sqlite3
import threading

import numpy as np

from core.timeseries.fields import FIELDS, Kind
from core.timeseries.names import Names
from core.timeseries.store import Ints

SCHEMA = """
CREATE TABLE objects (kind TEXT, slot INTEGER, name TEXT NOT NULL, PRIMARY KEY (kind, slot)) WITHOUT ROWID;
CREATE TABLE layouts (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE (kind, fields));
"""


class Catalogue:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names = {kind: Names() for kind in Kind}
        self._layouts: dict[int, tuple[str, ...]] = {}

    def forget(self) -> None:
        """After a rollback: what was read inside the transaction may never have been."""
        with self._lock:
            self._names = {kind: Names() for kind in Kind}
            self._layouts = {}

    def names(self, connection: sqlite3.Connection, kind: Kind) -> Names:
        """The numbering of a kind, brought up to what the connection's transaction sees."""
        with self._lock:
            names = self._names[kind]
            query = "SELECT name FROM objects WHERE kind = ? AND slot >= ? ORDER BY slot"
            names.extend(name for (name,) in connection.execute(query, (kind, len(names))))
            return names

    def assign(self, connection: sqlite3.Connection, kind: Kind, objects: tuple[str, ...]) -> Ints:
        """The slot of every object; new ones are inserted in the connection's write transaction."""
        names = self.names(connection, kind)
        if missing := names.missing(objects):
            rows = ((kind, slot, name) for slot, name in enumerate(missing, len(names)))
            connection.executemany("INSERT INTO objects (kind, slot, name) VALUES (?, ?, ?)", rows)
            names = self.names(connection, kind)
        return names.slots(objects)

    def layout(self, connection: sqlite3.Connection, kind: Kind) -> int:
        """The number of the present fields of a kind; inserted when they are new."""
        fields = _present(kind)
        for number, known in self._layouts.items():
            if known == (kind, *fields):
                return number
        connection.execute("INSERT OR IGNORE INTO layouts (kind, fields) VALUES (?, ?)", (kind, ",".join(fields)))
        self.load_layouts(connection)
        return self.layout(connection, kind)

    def load_layouts(self, connection: sqlite3.Connection) -> None:
        """What another thread has read of a later snapshot stays: layouts are never removed."""
        rows = connection.execute("SELECT id, kind, fields FROM layouts")
        found = {number: (kind, *fields.split(",")) for number, kind, fields in rows}
        with self._lock:
            self._layouts = self._layouts | found

    def width(self, layout: int) -> int:
        """How many columns the rows of a layout have."""
        return len(self._layouts[layout]) - 1

    def columns(self, kind: Kind, layout: int) -> Ints | None:
        """For each present field the column that holds it in rows of the layout, -1 for none; None when nothing has
        changed.
        """
        stored, present = self._layouts[layout][1:], _present(kind)
        if stored == present:
            return None
        return np.array([stored.index(name) if name in stored else -1 for name in present], dtype=np.int64)


def _present(kind: Kind) -> tuple[str, ...]:
    return tuple(field.name for field in FIELDS[kind])
