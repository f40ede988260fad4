"""A control plane on both databases, and a router in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.db.engine import Database
from tests.support.balancing import Site, make_site
from tests.support.control import Control
from tests.support.filtering import Wall


@pytest.fixture
def control(database: Database, tmp_path: Path) -> Iterator[Control]:
    made = Control(database, tmp_path)
    yield made
    made.close()


@pytest.fixture
def site(control: Control) -> Site:
    return make_site(control)


@pytest.fixture
def wall(site: Site) -> Wall:
    return Wall(site)
