"""The database: one URL, two kinds of transaction.

The race: on SQLite a transaction that reads first and writes later fails with *database is locked* as soon as another
one wrote in between, whatever the busy timeout. So every write transaction says so before it starts and takes the write
lock at once (BEGIN IMMEDIATE); a transaction that did not say so cannot write at all, on either database. Read
transactions see one snapshot. A commit is on the disk when it returns (synchronous=FULL; PostgreSQL's default).

SQLite before 3.51.3 can lose commits when one connection writes while another checkpoints, which it does at the end of
its own commit, after it has let the write lock go. So the write transactions of a process stand in line, commit
included.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoneFree

from core.db import tables
from core.db.session import PlatformSession, TenantSession
from core.errors import Invalid
from core.settings import Settings

METADATA: Final = tables.METADATA
"""Tables refer to each other by name: whoever has a database has all of them."""
SQLITE_FILE: Final = "starvc.db"
"""In the data folder, unless the settings name another database."""
BUSY_SECONDS: Final = 30.0
"""How long a writer waits for the others (SQLite), and how long any statement may take (PostgreSQL)."""
LINK_SECONDS: Final = 5
"""How long a PostgreSQL may leave us without a word, connected or connecting, until it counts as away."""
UNAVAILABLE: Final = (OperationalError, InterfaceError, NoneFree)
"""What a session raises while the database is away, starting or too slow. Whether a commit under way was done is not
known then."""

_LINK: Final = {
    "tcp_user_timeout": LINK_SECONDS * 1000, "keepalives_idle": 2, "keepalives_interval": 1, "keepalives_count": 3,
}  # fmt: skip
"""Of libpq: how long what was sent may stay unacknowledged (ms), and how a silent server is asked whether it is
there."""
_FOUNDING: Final = 0x5354_4152_5644
"""The key of PostgreSQL's advisory lock; the next number to that of the migrations."""
_MODE: Final = "starvc_mode"
_READ: Final = {_MODE: "read"}
_WRITE: Final = {_MODE: "write"}


class Database:
    """The state of the product. Threads share it; each session belongs to one thread and one unit of work."""

    def __init__(self, url: str) -> None:
        """`url` as of SQLAlchemy: `sqlite:///path` or `postgresql://user@host/name`. Nothing is opened yet."""
        self.url = _parsed(url)
        self._line = threading.Lock()
        if self.url.get_backend_name() == "sqlite":
            self._engine = _sqlite(self.url)
            self._reader = self._engine.execution_options(**_READ)
            self._writer: Engine = self._engine.execution_options(**_WRITE)
        else:
            self._engine = _postgresql(self.url)
            self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            self._writer = self._engine

    @contextmanager
    def platform(self, *, write: bool = False) -> Iterator[PlatformSession]:
        """A transaction that sees everything: committed at the end of the block, rolled back when it raises."""
        with self._turn(write=write), PlatformSession(self._bind(write=write)) as session, session.begin():
            yield session

    @contextmanager
    def tenant(self, tenant_id: str, *, write: bool = False) -> Iterator[TenantSession]:
        """A transaction that sees one tenant's rows: committed at the end of the block, rolled back when it raises."""
        with self._turn(write=write), TenantSession(self._bind(write=write), tenant_id) as session, session.begin():
            yield session

    @contextmanager
    def founding(self) -> Iterator[PlatformSession]:
        """A platform's write transaction for what is there from the start: of several processes that start at once,
        each sees what those before it have entered."""
        with self.platform(write=True) as session:
            if self._engine.dialect.name == "postgresql":
                session.execute(select(func.pg_advisory_xact_lock(_FOUNDING)))
            yield session

    def migrate(self) -> None:
        """Bring the schema to this version of the product. Safe when several processes start at once.

        Raises `core.db.migrations.SchemaTooNew` when a newer version has already changed it.
        """
        from core.db.migrations import upgrade  # commands that only ask need not wait for Alembic

        upgrade(self.url)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _turn(self, *, write: bool) -> Iterator[None]:
        """Waits as long as SQLite itself would, and fails as it would."""
        if not write or self._engine.dialect.name != "sqlite":
            yield
            return
        if not self._line.acquire(timeout=BUSY_SECONDS):
            raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))
        try:
            yield
        finally:
            self._line.release()

    def _bind(self, *, write: bool) -> Engine:
        return self._writer if write else self._reader


def open_database(settings: Settings) -> Database:
    """The database that the settings name; by default SQLite in the data folder."""
    if settings.database_url is not None:
        return Database(settings.database_url)
    return Database(f"sqlite:///{settings.data_dir / SQLITE_FILE}")


def _parsed(text: str) -> URL:
    allowed = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as problem:
        raise Invalid("database_url", "not a database URL", allowed) from problem
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        raise Invalid("database_url", f"{url.drivername} is not supported", allowed)
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise Invalid("database_url", "each connection would have its own database in memory", allowed)
    return url


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        connect_args={"isolation_level": None, "timeout": BUSY_SECONDS, "check_same_thread": False},
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    """`lower` knows ASCII only in SQLite; names are compared as PostgreSQL compares them."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: str | None) -> str | None:
    return None if text is None else str(text).lower()


def _begin_sqlite(connection: Connection) -> None:
    """Only the statement that may fail goes through SQLAlchemy: there it costs ten times as much."""
    cursor, mode = connection.connection.cursor(), connection.get_execution_options().get(_MODE)
    if connection.info.get(_MODE) != mode:
        cursor.execute(f"PRAGMA query_only={'OFF' if mode == 'write' else 'ON'}")
        connection.info[_MODE] = mode
    if mode == "write":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        cursor.execute("BEGIN")


def _postgresql(url: URL) -> Engine:
    """A cut link says nothing: without limits of its own the kernel would wait a quarter of an hour for what it sent,
    and for ever for an answer."""
    milliseconds = int(BUSY_SECONDS * 1000)
    options = (
        f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds} -c timezone=UTC"
    )
    return create_engine(
        url,
        connect_args={"options": options, "application_name": "starvc", "connect_timeout": LINK_SECONDS, **_LINK},
        hide_parameters=True,
        pool_size=10,
        max_overflow=30,
        pool_pre_ping=True,
    )
