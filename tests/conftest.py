"""Fixtures of all tests: the database in both kinds, empty or migrated. On which kinds is said in
`tests.support.state`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import make_url

from core.db.engine import Database
from core.db.migrations import upgrade
from tests.support.postgres import Server, postgresql
from tests.support.shelf import Shelf
from tests.support.state import KINDS, told_to_the_tests_alone

__all__ = ["postgresql", "told_to_the_tests_alone"]

NewDatabase = Callable[[], Database]

SHARED: Final = ("product", "faulty")
"""Products of `tests.stories` that run for the session."""

# How fast a machine makes input is no property of what is tested: in a new clone the first text takes two seconds.
settings.register_profile("starvc", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("starvc")

# Tables on the command line are as wide as their terminal, which a worker does not have.
os.environ["COLUMNS"] = "200"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What may take longest begins first: at the end all workers would wait for it. What looks at a product that runs
    for the whole session comes last: it would take its share of the machine beside all other tests."""
    items.sort(key=lambda item: (-_patience(item), *(name in _fixtures(item) for name in SHARED)))


def _patience(item: pytest.Item) -> float:
    """Seconds."""
    marker = item.get_closest_marker("timeout")
    return 0.0 if marker is None else float(marker.args[0])


def _fixtures(item: pytest.Item) -> Collection[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else ()


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
def database(database_kind: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated database, once of each kind."""
    with shelf_of(database_kind, request).lend() as database:
        yield database


@pytest.fixture
def new_database(database_kind: str, request: pytest.FixtureRequest) -> Iterator[NewDatabase]:
    """Any number of migrated databases, of each kind."""
    with ExitStack() as lent:
        yield lambda: lent.enter_context(shelf_of(database_kind, request).lend())


@pytest.fixture
def new_state(request: pytest.FixtureRequest) -> Iterator[NewDatabase]:
    """Any number of migrated databases, of the first kind."""
    with ExitStack() as lent:
        yield lambda: lent.enter_context(shelf_of(KINDS[0], request).lend())


@pytest.fixture(scope="module")
def shared_database(database_kind: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated database for all tests of a module, once of each kind: they roll back what they write."""
    with shelf_of(database_kind, request).lend() as database:
        yield database


def shelf_of(kind: str, request: pytest.FixtureRequest) -> Shelf:
    shelf: Shelf = request.getfixturevalue(f"{kind}_shelf")
    return shelf


@pytest.fixture(scope="session")
def sqlite_shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    template = tmp_path_factory.mktemp("migrated") / "starvc.db"
    upgrade(make_url(f"sqlite:///{template}"))

    def new() -> Database:
        file = tmp_path_factory.mktemp("state") / "starvc.db"
        shutil.copy(template, file)
        return Database(f"sqlite:///{file}")

    with closing(Shelf(new)) as shelf:
        yield shelf


@pytest.fixture(scope="session")
def postgresql_shelf(postgresql: Server) -> Iterator[Shelf]:
    with ExitStack() as made:
        template = made.enter_context(postgresql.database())
        upgrade(make_url(template))
        with closing(Shelf(lambda: Database(made.enter_context(postgresql.database(_name(template)))))) as shelf:
            yield shelf


def _name(url: str) -> str:
    return str(make_url(url).database)
