"""A control plane on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.db.engine import Database
from tests.support.control import Control


@pytest.fixture
def control(database: Database, tmp_path: Path) -> Iterator[Control]:
    made = Control(database, tmp_path)
    yield made
    made.close()
