"""Fixtures of all tests: the database in both kinds, empty or migrated. A migrated one is a copy: the history runs
once. On which kinds is said in `tests.support.state`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from core.db.engine import Database
from core.db.migrations import upgrade
from tests.support.postgres import Server, postgresql
from tests.support.state import KINDS, told_to_the_tests_alone

__all__ = ["postgresql", "told_to_the_tests_alone"]

NewDatabase = Callable[[], Database]
NewState = Callable[[Path], str | None]

# Tables on the command line are as wide as their terminal, which a worker does not have.
os.environ["COLUMNS"] = "200"


@pytest.fixture(scope="session", params=KINDS)
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
    with _migrated(database_kind, request, tmp_path) as database:
        yield database


@pytest.fixture
def new_database(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewDatabase]:
    """Any number of migrated databases, of each kind."""
    with ExitStack() as opened:

        def make() -> Database:
            folder = Path(tempfile.mkdtemp(dir=tmp_path))
            return opened.enter_context(_migrated(database_kind, request, folder))

        yield make


@pytest.fixture
def new_state(request: pytest.FixtureRequest) -> Iterator[NewState]:
    """Gives a data folder a migrated database, of the first kind; what it returns is the setting `database_url`."""
    with ExitStack() as made:

        def make(folder: Path) -> str | None:
            if KINDS[0] == "sqlite":
                shutil.copy(request.getfixturevalue("migrated_sqlite"), folder / "starvc.db")
                return None
            server: Server = request.getfixturevalue("postgresql")
            return made.enter_context(server.database(request.getfixturevalue("migrated_postgresql")))

        yield make


@pytest.fixture(scope="module")
def shared_database(
    database_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A migrated database for all tests of a module, once of each kind: they roll back what they write."""
    with _migrated(database_kind, request, tmp_path_factory.mktemp("shared")) as database:
        yield database


@contextmanager
def _migrated(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Database]:
    if kind == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), folder / "starvc.db")
        with closing(Database(f"sqlite:///{folder / 'starvc.db'}")) as database:
            yield database
    else:
        template = request.getfixturevalue("migrated_postgresql")
        server: Server = request.getfixturevalue("postgresql")
        with server.database(template) as url, closing(Database(url)) as database:
            yield database


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
