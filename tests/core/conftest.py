"""Domain functions, called as the frame calls them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.db.engine import Database
from core.settings import Settings
from tests.support.requests import Desk


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return Desk(database, Settings(data_dir=tmp_path))
