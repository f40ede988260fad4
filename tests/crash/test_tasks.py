"""kill -9 at random moments: no lock, no quota, no half VM and no acknowledged task is left behind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

from sqlalchemy import select

from core.clock import SystemClock
from core.compute.rows import Vm, VmLock, VmState
from core.db.engine import Database
from core.tasks.context import Runtime
from core.tasks.engine import TaskEngine
from core.tasks.rows import Task, TaskState
from core.tenancy.rows import Quota, Tenant
from tests.support.real import eventually
from tests.support.task_server import EACH, TENANT, FolderDriver, runtime

KILLS = int(os.environ.get("STARVC_KILLS", "4"))
LEFT_BY_A_KILL = {TaskState.SUCCEEDED, TaskState.LOST, TaskState.ABORTED}


def prepare(database: Database, folder: Path) -> None:
    (folder / "world").mkdir()
    (folder / "acknowledged").touch()
    with database.platform(write=True) as session:
        session.add(Tenant(id=TENANT, name="one", created_at=SystemClock().now()))
        session.flush()
        session.add(Quota(tenant_id=TENANT, cpu_limit=40, memory_mb_limit=10**6))


@contextmanager
def server(url: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that accepts and runs tasks, killed without a warning at the end of the block."""
    command = [sys.executable, "-m", "tests.support.task_server", url, str(folder)]
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "up\n", (folder / "log").read_text()[-2000:]
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def violations(at: Runtime) -> list[str]:
    """What is wrong when nothing is under way."""
    with at.database.platform() as session:
        vms = session.scalars(select(Vm)).all()
        quota = session.scalars(select(Quota)).one()
        tasks = session.execute(select(Task.id, Task.state)).all()
    found = []
    if (quota.cpu_used, quota.memory_mb_used) != (len(vms) * EACH.cpu, len(vms) * EACH.memory_mb):
        found.append(f"quota says {quota.cpu_used} cores, and there are {len(vms)} VMs")
    found += [f"{vm.id} is locked by {vm.lock_task}" for vm in vms if vm.lock is not VmLock.NONE]
    found += [f"{vm.id} is {vm.state.name}" for vm in vms if vm.state is not VmState.RUNNING]
    found += [f"{id_} is {state.name}" for id_, state in tasks if state not in LEFT_BY_A_KILL]
    world = cast("FolderDriver", at.driver)
    found += [f"{name} is not in both worlds" for name in world.found() ^ {vm.id for vm in vms}]
    found += [f"{vm.id} is half made" for vm in vms if not world.is_complete(vm.id)]
    return found


def test_kill_9_leaves_nothing_behind(database_url: str, tmp_path: Path) -> None:
    with closing(runtime(database_url, tmp_path).database) as database:
        database.migrate()
        prepare(database, tmp_path)
    at = runtime(database_url, tmp_path)
    for _ in range(KILLS):
        with server(database_url, tmp_path):
            threading.Event().wait(random.random() * 0.6)
        engine = TaskEngine(at)
        while engine.step():
            pass
        assert violations(at) == []
        engine.stop()
    with at.database.platform() as session:
        states = {task.id: task.state for task in session.scalars(select(Task))}
    assert set((tmp_path / "acknowledged").read_text().split()) <= states.keys()
    counts = Counter(state.name for state in states.values())
    assert counts["SUCCEEDED"] > KILLS
    assert counts["LOST"] + counts["ABORTED"] > 0
    at.database.close()


def test_a_living_server_takes_over_from_one_that_was_killed(database_url: str, tmp_path: Path) -> None:
    at = runtime(database_url, tmp_path)
    at.database.migrate()
    prepare(at.database, tmp_path)
    engine = TaskEngine(at)
    engine.start()
    with server(database_url, tmp_path):
        threading.Event().wait(0.3)

    def is_quiet() -> bool:
        engine.keep()
        with at.database.platform() as session:
            return session.scalar(select(Task.id).where(Task.ended_at.is_(None)).limit(1)) is None

    eventually(is_quiet)
    assert violations(at) == []
    engine.stop()
    at.database.close()
