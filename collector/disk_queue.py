"""A `Spool` on disk: what a store that is away did not take survives a restart, a kill and a long night.

One SQLite file, one row per batch, each put and each removal one durable transaction (WAL, `synchronous=FULL`).
Persistent queues on PyPI were looked at: none is bounded by bytes, and none tells a damaged entry from an end.

Worst moments: a kill between the store's acknowledgement and `done` (the batch is written again, which changes nothing
in a store); a flipped bit (zlib's checksum finds it: that batch is lost, counted, and the next one follows); a file
that is no database any more, at the start or in the middle (it is put aside under another name for `sqlite3 .recover`,
and an empty queue begins; its points are counted as lost where they are known, which at the start they are not); a
full disk (what cannot be queued is counted as lost; what is queued stays).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import structlog

from collector import metrics
from collector.packing import Damaged, pack, unpack
from collector.spool import Batch, points

log = structlog.get_logger(__name__)

T = TypeVar("T")

_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRIMARY: Final = 0xFF
"""The bits of an error code that name its kind."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY AUTOINCREMENT, points INTEGER NOT NULL, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS body (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row: `size` in bytes."""

    id: int
    points: int
    size: int


class QueueInUse(Exception):
    """Another process has the file open: two collectors must not share a queue."""


class DiskQueue:
    """At most `limit` bytes of batches, and always the newest one. Used by one thread at a time."""

    def __init__(self, path: Path, limit: int) -> None:
        """Raises QueueInUse; OSError when the file cannot be written."""
        self._path, self._limit = path, limit
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection, self._points, self._size = _opened(path)
        self._head: tuple[_Entry, Batch] | None = None
        self._tell()

    def put(self, batch: Batch) -> None:
        body = pack(batch)
        try:
            leaving = self._stored_or_anew(points(batch), body)
        except sqlite3.DatabaseError as error:
            metrics.DROPPED.labels("queue_failed").inc(points(batch))
            log.warning("samples cannot be queued and are lost", points=points(batch), reason=str(error))
            return
        for entry in leaving:
            metrics.DROPPED.labels("queue_full").inc(entry.points)
            self._forget(entry)
        self._points += points(batch)
        self._size += len(body)
        self._tell()

    def head(self) -> Batch | None:
        """None also while the disk cannot be read: what is queued stays."""
        return self._tried(self._first)

    def _first(self) -> Batch | None:
        while self._head is None:
            query = "SELECT id, points, size, body FROM batch JOIN body USING (id) ORDER BY id LIMIT 1"
            row = self._connection.execute(query).fetchone()
            if row is None:
                return None
            entry = _Entry(*row[:3])
            try:
                self._head = entry, unpack(row[3])
            except Damaged as error:
                metrics.DROPPED.labels("queue_damaged").inc(entry.points)
                log.warning("a queued batch is damaged and lost", points=entry.points, reason=str(error))
                self._remove(entry)
        return self._head[1]

    def done(self) -> None:
        assert self._head is not None
        self._tried(partial(self._remove, self._head[0]))

    def close(self) -> None:
        self._connection.close()

    def _stored(self, count: int, body: bytes) -> list[_Entry]:
        """Which batches have gone for it. All or nothing."""
        leaving = self._oldest(self._size + len(body) - self._limit)
        with self._connection:
            for entry in leaving:
                self._delete(entry)
            self._insert(count, body)
        return leaving

    def _stored_or_anew(self, count: int, body: bytes) -> list[_Entry]:
        try:
            return self._stored(count, body)
        except sqlite3.DatabaseError as error:
            if not _tells_of_damage(error):
                raise
            self._begin_anew(error)
            return self._stored(count, body)

    def _tried(self, deed: Callable[[], T]) -> T | None:
        """None when the disk does not let it be done."""
        try:
            return deed()
        except sqlite3.DatabaseError as error:
            metrics.QUEUE_TROUBLES.inc()
            log.warning("the queue cannot be read now", reason=str(error))
            if _tells_of_damage(error):
                self._begin_anew(error)
            return None

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        metrics.DROPPED.labels("queue_damaged").inc(self._points)
        self._connection.close()
        self._connection, self._points, self._size = _renewed(self._path, error)
        self._head = None
        self._tell()

    def _oldest(self, excess: int) -> list[_Entry]:
        """As many as `excess` bytes take."""
        found: list[_Entry] = []
        if excess > 0:
            for row in self._connection.execute("SELECT id, points, size FROM batch ORDER BY id"):
                found.append(_Entry(*row))
                excess -= found[-1].size
                if excess <= 0:
                    break
        return found

    def _insert(self, count: int, body: bytes) -> None:
        added = self._connection.execute("INSERT INTO batch (points, size) VALUES (?, ?)", (count, len(body)))
        self._connection.execute("INSERT INTO body (id, body) VALUES (?, ?)", (added.lastrowid, body))

    def _delete(self, entry: _Entry) -> None:
        self._connection.execute("DELETE FROM body WHERE id = ?", (entry.id,))
        self._connection.execute("DELETE FROM batch WHERE id = ?", (entry.id,))

    def _remove(self, entry: _Entry) -> None:
        with self._connection:
            self._delete(entry)
        self._forget(entry)
        self._tell()

    def _forget(self, entry: _Entry) -> None:
        self._points -= entry.points
        self._size -= entry.size
        if self._head is not None and self._head[0] == entry:
            self._head = None

    def _tell(self) -> None:
        metrics.QUEUED.set(self._points)
        metrics.QUEUED_BYTES.set(self._size)


def _opened(path: Path) -> tuple[sqlite3.Connection, int, int]:
    """With the points and bytes that are queued."""
    try:
        return _prepared(path)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise QueueInUse(f"{path} is in use by another process") from error
        raise OSError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        return _renewed(path, error)


def _tells_of_damage(error: sqlite3.DatabaseError) -> bool:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)  # what Python itself refuses has none
    return code & _PRIMARY in _DAMAGE


def _renewed(path: Path, error: sqlite3.DatabaseError) -> tuple[sqlite3.Connection, int, int]:
    aside = path.with_suffix(f".damaged-{len(list(path.parent.glob(f'{path.stem}.damaged-*')))}")
    log.warning("the queue is damaged: put aside, an empty one begins", file=str(aside), reason=str(error))
    metrics.QUEUES_DAMAGED.inc()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.rename(aside)
    return _prepared(path)


def _prepared(path: Path) -> tuple[sqlite3.Connection, int, int]:
    """The lock is exclusive from the first read on, and kept."""
    connection = sqlite3.connect(path, timeout=0, check_same_thread=False)
    try:
        for pragma in ("locking_mode = EXCLUSIVE", "auto_vacuum = FULL", "journal_mode = WAL", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.executescript(_SCHEMA)
        total = "SELECT coalesce(sum(points), 0), coalesce(sum(size), 0) FROM batch"
        return connection, *connection.execute(total).fetchone()
    except BaseException:
        connection.close()
        raise
