"""What the task engine costs: accepted tasks and executed tasks per second, each beside one empty write transaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from core.clock import SystemClock
from core.db.engine import Database
from core.settings import Settings
from core.tasks.context import Runtime
from core.tasks.engine import TaskEngine
from core.tasks.rows import Server, TaskState
from tests.support import tasks
from tests.support.tasks import SCRIPT, states

_TASKS, _BOXES = 300, 20


def _seconds(deed: Callable[[], object]) -> float:
    began = time.perf_counter()
    deed()
    return time.perf_counter() - began


@pytest.mark.benchmark
def test_tasks_per_second(database: Database, database_kind: str, tmp_path: Path) -> None:
    SCRIPT.reset()
    at = Runtime(database, tasks.NO_DRIVER, SystemClock(), Settings(data_dir=tmp_path))
    engine = TaskEngine(at)

    def commit() -> None:
        for _ in range(_TASKS):
            with database.platform(write=True) as session:
                session.execute(update(Server).values(beats=Server.beats + 1))

    def accept() -> None:
        for number in range(_TASKS):
            tasks.submit(at, f"box-{number % _BOXES}")

    def work() -> None:
        def run() -> None:
            engine.run_until(lambda: len(SCRIPT.released) >= _TASKS)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    base, accepted, worked = _seconds(commit), _seconds(accept), _seconds(work)
    engine.stop()
    assert list(states(database).values()) == [TaskState.SUCCEEDED] * _TASKS
    print(f"\n{database_kind}: a commit {base / _TASKS * 1000:.2f} ms; accept a task {accepted / _TASKS * 1000:.2f} ms"
          f" (x {accepted / base:.1f}), {_TASKS / accepted:.0f}/s; run an empty task {worked / _TASKS * 1000:.2f} ms"
          f" (x {worked / base:.1f}), {_TASKS / worked:.0f}/s with 4 workers")  # fmt: skip
