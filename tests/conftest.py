"""Fixtures of all tests: the database in both kinds, empty or migrated. A migrated one is a copy: the history runs
once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from core.db.engine import Database
from core.db.migrations import upgrade
from tests.support.postgres import Server, postgresql

__all__ = ["postgresql"]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once of each kind."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'starvc.db'}"
    else:
        with request.getfixturevalue("postgresql").database() as url:
            yield url


@pytest.fixture
def database(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database, once of each kind."""
    if database_kind == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "starvc.db")
        yield from _opened(f"sqlite:///{tmp_path / 'starvc.db'}")
    else:
        template = request.getfixturevalue("migrated_postgresql")
        with request.getfixturevalue("postgresql").database(template) as url:
            yield from _opened(url)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "starvc.db"
    upgrade(make_url(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql: Server) -> Iterator[str]:
    with postgresql.database() as url:
        upgrade(make_url(url))
        yield str(make_url(url).database)


def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()
