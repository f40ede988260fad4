"""The schema's history, applied by Alembic without any file of settings.

The races: two processes that start at once, and a crash in the middle. The whole upgrade is one transaction that takes
the database for itself first (BEGIN IMMEDIATE on SQLite, an advisory lock on PostgreSQL), so the second process finds
the work done, and a crash leaves the old schema. SQLite changes a table by copying it; foreign keys are off meanwhile,
and checked before the commit.

A new revision after a change of the rows: `python -m core.db.migrations.new "what changed"`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, NullPool, create_engine

_ADVISORY_LOCK: Final = 0x5354_4152_5643
_LOCK_SECONDS: Final = 60


class SchemaTooNew(Exception):
    """The database was changed by a newer version of the product, which this one does not know."""


def upgrade(url: URL, revision: str = "head") -> None:
    """Bring the schema up to `revision`. Raises SchemaTooNew."""
    with _alone(url) as connection:
        _refuse_unknown(connection)
        command.upgrade(config(connection), revision)


def downgrade(url: URL, revision: str) -> None:
    """Bring the schema back down to `revision`; `base` is the empty database. Raises SchemaTooNew."""
    with _alone(url) as connection:
        _refuse_unknown(connection)
        command.downgrade(config(connection), revision)


def config(connection: Connection | None = None) -> Config:
    """Alembic's settings; its environment (`env.py`) finds the connection in them."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings


@contextmanager
def _alone(url: URL) -> Iterator[Connection]:
    arguments: dict[str, str | int | None]
    if url.get_backend_name() == "sqlite":
        arguments = {"isolation_level": None, "timeout": _LOCK_SECONDS}
    else:
        arguments = {"application_name": "starvc-migration"}
    engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            assert not broken, f"BUG: the migration breaks foreign keys: {broken[:5]}"
        else:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
            yield connection
        connection.commit()


def _refuse_unknown(connection: Connection) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise SchemaTooNew(
                f"the database has schema {revision}, of a newer version; this one knows up to {max(known)}"
            )
