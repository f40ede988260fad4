"""A small private SQLite file that processes share, and of which each keeps what it has read: it is told when that is
old.

No write-ahead log: its reset is not safe with several writers in the versions of SQLite that are about
(https://sqlite.org/wal.html). The worst moment is a death in a transaction: the file is as it was before.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PATIENCE: Final = 10.0
"""Seconds that a process waits for the others."""


class SharedFile:
    """Belongs to one thread at a time: whoever has it has a lock."""

    def __init__(self, path: Path, schema: str) -> None:
        """Raises OSError, sqlite3.Error when the file cannot be used."""
        self.path = path
        if not path.exists():  # otherwise closing it would release this process's locks on it
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = TRUNCATE")
        self._connection.executescript(schema)
        self._read: int | None = None

    def close(self) -> None:
        self._connection.close()

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, parameters)

    def follow(self, read: Callable[[], None]) -> None:
        """Calls `read` when another process has changed the file since `read` returned last, or it never has."""
        version: int = self.execute("PRAGMA data_version").fetchone()[0]
        if version != self._read:
            read()
            self._read = version

    def forget(self) -> None:
        """What was read does not hold any more."""
        self._read = None

    @contextmanager
    def transaction(self, within: float = PATIENCE) -> Iterator[None]:
        """Alone with the file; rolled back when the block raises. What could not be saved is forgotten. Raises
        TimeoutError, and nothing is done, when the others do not give it back `within` seconds."""
        self.execute(f"PRAGMA busy_timeout = {int(within * 1000)}")
        try:
            self.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as problem:
            raise TimeoutError(f"{self.path} was not to be had in {within:g} seconds: {problem}") from None
        try:
            yield
            self.execute("COMMIT")
        except BaseException as problem:
            if self._connection.in_transaction:
                self.execute("ROLLBACK")
            if isinstance(problem, sqlite3.Error):
                self.forget()
            raise
