"""The engine on both databases, with a kind of task whose steps each test writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.clock import VirtualClock
from core.db.engine import Database
from core.tasks.context import Runtime
from core.tasks.engine import TaskEngine
from tests.support import tasks
from tests.support.tasks import SCRIPT, Script


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def at(database: Database, tmp_path: Path, clock: VirtualClock) -> Runtime:
    return tasks.runtime(database, tmp_path, clock)


@pytest.fixture
def engine(at: Runtime) -> Iterator[TaskEngine]:
    engine = TaskEngine(at)
    yield engine
    engine.stop()


@pytest.fixture
def script() -> Iterator[Script]:
    SCRIPT.reset()
    yield SCRIPT
    SCRIPT.reset()
