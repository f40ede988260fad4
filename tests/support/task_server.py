"""A real server process on a real database, to be killed: it creates and deletes VMs as fast as it can.

    python -m tests.support.task_server URL FOLDER

The hypervisor is a folder: `<vm>` is a VM under construction, `<vm>/complete` one that exists. Every task that was
acknowledged is written to `FOLDER/acknowledged`, after its commit.
"""

from __future__ import annotations

import random
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Final, cast

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.clock import SystemClock
from core.compute import locks
from core.compute.rows import Vm, VmLock, VmState
from core.context import Caller, Context, Role
from core.db.engine import Database
from core.db.guarded import changed
from core.db.session import PlatformSession
from core.drivers.compute import ComputeDriver
from core.errors import Fault
from core.ids import new_id
from core.settings import Settings
from core.tasks import queue
from core.tasks.claims import TaskFacts
from core.tasks.context import Runtime, TaskContext
from core.tasks.engine import TaskEngine
from core.tasks.kinds import Kind, Write, declare, nothing_to_withdraw
from core.tenancy import quotas
from core.tenancy.quotas import Amounts
from core.timeseries.store import TimeSeriesStore

TENANT: Final = "tenant-1"
EACH: Final = Amounts(cpu=2, memory_mb=1024)


class FolderDriver:
    """A hypervisor that survives everything, and takes its time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ensure_vm(self, vm_id: str) -> None:
        (self.folder / vm_id).mkdir(exist_ok=True)
        threading.Event().wait(random.random() / 100)
        (self.folder / vm_id / "complete").touch()

    def ensure_gone(self, vm_id: str) -> None:
        (self.folder / vm_id / "complete").unlink(missing_ok=True)
        threading.Event().wait(random.random() / 100)
        if (self.folder / vm_id).exists():
            (self.folder / vm_id).rmdir()

    def is_complete(self, vm_id: str) -> bool:
        return (self.folder / vm_id / "complete").exists()

    def found(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


def _driver(task: TaskContext) -> FolderDriver:
    return cast("FolderDriver", task.driver)


def _here(vm_id: str) -> Write:
    def write(session: PlatformSession) -> None:
        assert changed(session, update(Vm).where(Vm.id == vm_id).values(state=VmState.RUNNING))

    return write


def _forget(session: Session, vm_id: str) -> None:
    if changed(session, delete(Vm).where(Vm.id == vm_id)):
        quotas.give_back(session, TENANT, EACH)


def _gone(vm_id: str) -> Write:
    return lambda session: _forget(session, vm_id)


def _create(task: TaskContext) -> Write:
    _driver(task).ensure_vm(task.task.object_id)
    return _here(task.task.object_id)


def _uncreate(task: TaskContext) -> Write:
    vm_id = task.task.object_id
    if _driver(task).is_complete(vm_id):
        return _here(vm_id)
    _driver(task).ensure_gone(vm_id)
    return _gone(vm_id)


def _delete(task: TaskContext) -> Write:
    _driver(task).ensure_gone(task.task.object_id)
    return _gone(task.task.object_id)


def _withdraw_create(session: Session, task: TaskFacts) -> None:
    _forget(session, task.object_id)


_LIMIT = timedelta(minutes=5)
CREATE = declare(
    Kind(
        name="crash.create", title="create", target=locks.VM, run=_create, undo=_uncreate, withdraw=_withdraw_create,
        limit=_LIMIT,
    )
)  # fmt: skip
DELETE = declare(
    Kind(
        name="crash.delete", title="delete", target=locks.VM, run=_delete, undo=_uncreate,
        withdraw=nothing_to_withdraw, limit=_LIMIT,
    )
)  # fmt: skip


def runtime(url: str, folder: Path) -> Runtime:
    driver = cast("ComputeDriver", FolderDriver(folder / "world"))
    return Runtime(Database(url), driver, SystemClock(), Settings(data_dir=folder, task_workers=3))


def open_vm(at: Context) -> str:
    """As the operation does it: task, quota, row and lock in one transaction."""
    vm_id = new_id("vm")
    task_id = queue.submit(at, CREATE, vm_id, TENANT)
    quotas.take(at.session, TENANT, EACH)
    at.session.add(
        Vm(
            id=vm_id, tenant_id=TENANT, name=vm_id, created_at=at.clock.now(), state=VmState.INSTALLING, vcpus=EACH.cpu,
            memory_mb=EACH.memory_mb, domain_uuid=vm_id[-30:], lock=VmLock.INSTALLING, lock_task=task_id,
        )
    )  # fmt: skip
    return task_id


def delete_vm(at: Context) -> str | None:
    """One that is not locked; None: there is none."""
    vm_id = at.session.scalar(select(Vm.id).where(Vm.lock == VmLock.NONE).limit(1))
    if vm_id is None:
        return None
    task_id = queue.submit(at, DELETE, vm_id, TENANT)
    locks.take(at.session, [vm_id], VmLock.STOPPING, task_id)
    return task_id


def _accept(runtime: Runtime, engine: TaskEngine, folder: Path) -> None:
    caller, store = Caller(Role.PLATFORM, "token"), cast("TimeSeriesStore", None)
    with (folder / "acknowledged").open("a") as acknowledged:
        while True:
            for deed in (open_vm, open_vm, delete_vm):
                try:
                    with runtime.database.platform(write=True) as session:
                        at = Context(caller, session, runtime.clock, store, runtime.settings, engine.server_id)
                        task_id = deed(at)
                except Fault:
                    continue
                acknowledged.write(f"{task_id}\n" if task_id else "")
                acknowledged.flush()
            threading.Event().wait(0.005)


def serve(url: str, folder: Path) -> None:
    at = runtime(url, folder)
    engine = TaskEngine(at)
    engine.start()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    _accept(at, engine, folder)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
