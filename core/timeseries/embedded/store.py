"""The time-series store that needs no server: SQLite files in a folder, holding compressed columns.

    raw.db      the journal of samples, as they came        (`journal`)
    minute.db   lines of a minute, and the aggregator's marks (`windows`)
    hour.db     day.db                                         lines of an hour, of a calendar day

One file per level keeps checkpoints small and lets the collector write samples while the aggregator writes lines.
`database` has the rules that keep acknowledged data safe, `catalogue` what the numbers in the rows mean, `chunks` the
form of the blobs. Space of deleted rows is used again, not given back: the files reach a plateau.

One process opens `EmbeddedStore(folder)` and writes, from any of its threads; other processes read with
`EmbeddedStore.reader(folder)`. The folder must be on a local disk: SQLite's WAL shares memory between processes, which
network file systems cannot.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

import structlog

from core.timeseries import samples
from core.timeseries.embedded import journal, windows
from core.timeseries.embedded.database import Database
from core.timeseries.embedded.journal import Journal
from core.timeseries.embedded.lock import WriterLock
from core.timeseries.embedded.windows import Windows
from core.timeseries.fields import Kind
from core.timeseries.metrics import SAMPLES_WRITTEN, WRITE_SECONDS
from core.timeseries.store import Frame, Level, Lines, Touched

_LINES = (Level.MINUTE, Level.HOUR, Level.DAY)
_WAL_RESET_FIXED = (3, 51, 3)

_log = structlog.get_logger(__name__)


class EmbeddedStore:
    """A `TimeSeriesStore` in a folder, which is made when it is missing. Threads may share it."""

    def __init__(self, folder: Path, *, writable: bool = True) -> None:
        self._lock: WriterLock | None = None
        self._databases: list[Database] = []
        try:
            self._open(folder, writable=writable)
        except BaseException:
            self.close()
            raise
        self._journal = Journal(self._databases[0])
        self._windows = {database.level: Windows(database) for database in self._databases[1:]}

    def _open(self, folder: Path, *, writable: bool) -> None:
        if writable:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = WriterLock(folder)
        self._databases.append(Database(folder, Level.RAW, journal.SCHEMA, writable=writable))
        for level in _LINES:
            self._databases.append(Database(folder, level, windows.SCHEMA, writable=writable))
        if writable:
            fixed = sqlite3.sqlite_version_info >= _WAL_RESET_FIXED
            version = sqlite3.sqlite_version
            _log.info("embedded_store_opened", folder=str(folder), sqlite=version, wal_reset_fixed=fixed)

    @classmethod
    def reader(cls, folder: Path) -> EmbeddedStore:
        """A view for reading, beside the process that writes; its writes raise StoreUnavailable."""
        return cls(folder, writable=False)

    def write(self, frames: Sequence[Frame]) -> None:
        """ValueError when the arrays of a frame do not fit each other."""
        for frame in frames:
            samples.check(frame)
        with WRITE_SECONDS.labels(Level.RAW).time():
            self._journal.append(frames)
        for frame in frames:
            SAMPLES_WRITTEN.labels(frame.kind).inc(len(frame))

    def read(self, kind: Kind, start: float, end: float, objects: Collection[str] | None = None) -> Frame:
        return self._journal.read(kind, start, end, objects)

    def latest(self, kind: Kind, since: float, objects: Collection[str] | None = None) -> Frame:
        return self._journal.latest(kind, since, objects)

    def touched(self, cursor: int) -> Touched:
        return self._journal.touched(cursor)

    def write_lines(self, level: Level, lines: Sequence[Lines]) -> None:
        with WRITE_SECONDS.labels(level).time():
            self._windows[level].replace(lines)

    def read_lines(
        self, level: Level, kind: Kind, start: float, end: float, objects: Collection[str] | None = None
    ) -> Sequence[Lines]:
        return self._windows[level].read(kind, start, end, objects)

    def mark(self, name: str) -> float | None:
        return self._windows[Level.MINUTE].mark(name)

    def set_mark(self, name: str, value: float) -> None:
        self._windows[Level.MINUTE].set_mark(name, value)

    def prune(self, level: Level, before: float) -> int:
        """Lines are older than `before` when their window starts before it: give it a window start of the level."""
        return self._journal.prune(before) if level is Level.RAW else self._windows[level].prune(before)

    def close(self) -> None:
        """Idempotent. Waits for the write under way; reads under way in other threads finish first."""
        for database in self._databases:
            database.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
