"""Which database the state is on: of both kinds in turn where that is what a test is about; elsewhere on SQLite in the
data folder. All of it is on PostgreSQL when STARVC_DATABASE_URL names a server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import create_engine, text

from core.db.engine import METADATA, Database, open_database
from core.settings import Settings
from tests.support import postgres

KINDS: Final = ("postgresql",) if postgres.ELSEWHERE else ("sqlite", "postgresql")
on_one_kind: Final = pytest.mark.parametrize("database_kind", KINDS[:1], scope="session")
"""For tests to which it does not matter which database it is."""

_made: Final[dict[Path, str]] = {}
_kept: Final = ExitStack()


def url_of(data: Path) -> str | None:
    """The setting `database_url` of a product with this data folder, the same each time; None: SQLite in the folder."""
    if not postgres.ELSEWHERE:
        return None
    if data not in _made:
        _made[data] = _kept.enter_context(postgres.elsewhere().database())
    return _made[data]


def database_of(data: Path) -> Database:
    """The state of such a product."""
    return open_database(Settings(data_dir=data, database_url=url_of(data)))


def contents(database: Database) -> str:
    """All that it holds, as it is stored."""
    engine = create_engine(database.url)
    with engine.connect() as connection:
        tables = [connection.execute(text(f'SELECT * FROM "{name}"')).all() for name in METADATA.tables]
    engine.dispose()
    return "\n".join(str(row) for rows in tables for row in rows)


@pytest.fixture(scope="session", autouse=True)
def told_to_the_tests_alone() -> Iterator[None]:
    """The tests' server is no setting of what they test; and what they made there is gone afterwards."""
    with _kept, pytest.MonkeyPatch.context() as patch:
        patch.delenv("STARVC_DATABASE_URL", raising=False)
        yield
