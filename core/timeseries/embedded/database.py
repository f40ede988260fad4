"""One SQLite file, used so that nothing acknowledged is ever lost.

* WAL with `synchronous=FULL`: a commit is on the disk when it returns; a torn tail of the log loses only what was not
  acknowledged.
* **Exactly one read-write connection**, behind a lock, and it alone checkpoints. SQLite 3.7.0 to 3.51.2 can lose or
  damage commits in WAL mode when two connections write or checkpoint at the same instant (the WAL-reset bug, fixed in
  3.51.3, 3.50.7 and 3.44.6; distributions still ship older ones). Everybody else, also in other processes, opens the
  file with `mode=ro`, which can do neither. `lock` sees to it that no second process opens it for writing.
* Readers get a snapshot (`BEGIN` ... `COMMIT`) and never wait for the writer. Their transactions are short: a long one
  keeps the log from being reset.
* A full disk, a lock and a damaged file become `StoreUnavailable`; the same connection goes on when space is there
  again.

Worst moment: the power fails inside COMMIT. Closed by SQLite: the log frame without its commit record is ignored at the
next open.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from core.timeseries.embedded.catalogue import SCHEMA as CATALOGUE_SCHEMA
from core.timeseries.embedded.catalogue import Catalogue
from core.timeseries.metrics import UNAVAILABLE
from core.timeseries.store import Level, StoreUnavailable

_FORMAT = 1
_IDLE_READERS = 8
_BUSY_SECONDS = 5.0


class Database:
    """The file of one level. `written` and `seen` are the writer's and the readers' copies of its catalogue."""

    def __init__(self, folder: Path, level: Level, schema: str, *, writable: bool) -> None:
        self.level = level
        self.path = folder / f"{level}.db"
        self.written = Catalogue()
        self.seen = Catalogue()
        self._lock = threading.Lock()
        self._pool_lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._open = True
        self._writer: sqlite3.Connection | None = None
        if writable:
            with self._failures():
                self._writer = self._prepared(CATALOGUE_SCHEMA + schema)

    def _prepared(self, schema: str) -> sqlite3.Connection:
        connection = self._connect("rwc")
        try:
            _prepare(connection, schema, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: durable when the block ends, undone when it raises. Raises StoreUnavailable."""
        with self._lock, self._failures():
            if self._writer is None or not self._open:
                raise StoreUnavailable(f"{self.path} is {'closed' if not self._open else 'open for reading only'}")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                self.written.forget()
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One snapshot; any number of threads at once. Raises StoreUnavailable."""
        with self._failures():
            connection = self._borrow()
            try:
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
            self._give_back(connection)

    def close(self) -> None:
        with self._lock, self._pool_lock:
            self._open = False
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _borrow(self) -> sqlite3.Connection:
        with self._pool_lock:
            if not self._open:
                raise StoreUnavailable(f"{self.path} is closed")
            if self._idle:
                return self._idle.pop()
        return self._connect("ro")

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._pool_lock:
            if self._open and len(self._idle) < _IDLE_READERS:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=_BUSY_SECONDS,
        )

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.DataError):
            raise
        except sqlite3.DatabaseError as error:
            UNAVAILABLE.labels(self.level).inc()
            raise StoreUnavailable(f"{self.path}: {error}") from error


def _prepare(connection: sqlite3.Connection, schema: str, path: Path) -> None:
    """Settings that live in the file or in the connection, and the tables when the file is new."""
    connection.execute("PRAGMA page_size = 8192")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = OFF")
    with closing(connection.execute("PRAGMA user_version")) as answer:
        (found,) = answer.fetchone()
    if found == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {_FORMAT}; COMMIT;")
    elif found != _FORMAT:
        raise StoreUnavailable(f"{path} has format {found}; this version reads format {_FORMAT}")
