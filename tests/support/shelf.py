"""Migrated databases that tests use one after the other. Whoever returns one finds it emptied for the next: that costs
less than a new one, and an engine that stays compiles each statement once.

A database that somebody still holds a connection to when its test is over is not used again, and its test can do
nothing more with what it was lent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from core.db.engine import METADATA, Database

_TABLES = tuple(reversed(METADATA.sorted_tables))
_OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


class Lent(Database):
    """A database for as long as one test has it."""

    def __init__(self, lender: Database) -> None:
        vars(self).update(vars(lender))
        self.is_over = False

    def _turn(self, *, write: bool) -> AbstractContextManager[None]:
        assert not self.is_over, "the test that this database was lent to is over"
        return super()._turn(write=write)


class Shelf:
    """Of one kind of database. Not thread-safe."""

    def __init__(self, new: Callable[[], Database]) -> None:
        """`new` makes a migrated one, and whoever made it removes it in the end."""
        self._new = new
        self._free: list[Database] = []

    @contextmanager
    def lend(self) -> Iterator[Database]:
        database = self._free.pop() if self._free else self._new()
        lent = Lent(database)
        try:
            yield lent
        finally:
            lent.is_over = True
            if _emptied(database._engine, database._writer):
                self._free.append(database)
            else:
                database.close()

    def close(self) -> None:
        for database in self._free:
            database.close()


def _emptied(engine: Engine, writer: Engine) -> bool:
    if engine.pool.checkedout():  # type: ignore[attr-defined]  # both kinds have a pool that counts
        return False
    try:
        with writer.begin() as connection:
            if engine.dialect.name == "postgresql" and _others(connection) > engine.pool.checkedin():  # type: ignore[attr-defined]
                return False
            for table in _TABLES:
                connection.execute(table.delete())
    except DBAPIError:
        return False
    return True


def _others(connection: Connection) -> int:
    connection.execute(text("SET LOCAL lock_timeout = '1s'"))
    return int(connection.execute(text(_OTHERS)).scalar_one())
