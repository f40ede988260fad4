"""A task engine for tests: one kind of task on a small world of boxes, beside the VMs of the inventory.

The world is the driver: a folder in which a file is a thing that exists. Real processes may share it, and it survives
them, like a hypervisor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import cast

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.clock import VirtualClock
from core.compute.rows import Vm, VmLock
from core.context import Caller, Context, Role
from core.db.engine import Database
from core.db.session import PlatformSession
from core.drivers.compute import ComputeDriver
from core.settings import Settings
from core.tasks import queue
from core.tasks.claims import TaskFacts
from core.tasks.context import Runtime, TaskContext
from core.tasks.kinds import Kind, Target, Write, declare
from core.tasks.rows import Task, TaskState
from core.timeseries.store import TimeSeriesStore


@dataclass
class Script:
    """What the tests' kind does; a test sets its parts, and reads what happened."""

    run: Callable[[TaskContext], Write | None] = lambda _: None
    undo: Callable[[TaskContext], Write | None] = lambda _: None
    ran: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    released: list[str] = field(default_factory=list)

    def reset(self) -> None:
        self.__init__()  # type: ignore[misc]


SCRIPT = Script()


def _nothing(_session: PlatformSession) -> None:
    return


def _run(context: TaskContext) -> Write:
    SCRIPT.ran.append(context.task.id)
    return SCRIPT.run(context) or _nothing


def _undo(context: TaskContext) -> Write:
    SCRIPT.undone.append(context.task.id)
    return SCRIPT.undo(context) or _nothing


def _withdraw(_session: Session, task: TaskFacts) -> None:
    SCRIPT.withdrawn.append(task.id)


def _release(_session: Session, task_id: str) -> None:
    SCRIPT.released.append(task_id)


BOX = Target("box", _release)
WORK = declare(
    Kind(
        name="test.work", title="work", target=BOX, run=_run, undo=_undo, withdraw=_withdraw,
        limit=timedelta(minutes=1), cancellable=True,
    )
)  # fmt: skip
STUBBORN = declare(
    Kind(
        name="test.stubborn", title="stubborn work", target=BOX, run=_run, undo=_undo, withdraw=_withdraw,
        limit=timedelta(minutes=1),
    )
)  # fmt: skip


NO_DRIVER = cast("ComputeDriver", None)
"""The kinds above ask no driver."""


def runtime(database: Database, folder: Path, clock: VirtualClock, settings: Settings | None = None) -> Runtime:
    return Runtime(database, NO_DRIVER, clock, settings or Settings(data_dir=folder))


def context(at: Runtime, session: Session, server_id: str | None = None, tenant_id: str | None = None) -> Context:
    role = Role.PLATFORM if tenant_id is None else Role.TENANT
    store = cast("TimeSeriesStore", None)
    return Context(Caller(role, "token", tenant_id), session, at.clock, store, at.settings, server_id)


def submit(
    at: Runtime,
    object_id: str = "box-1",
    kind: Kind = WORK,
    server_id: str | None = None,
    secrets: dict[str, str] | None = None,
) -> str:
    """One task of the platform's, in a transaction of its own."""
    with at.database.platform(write=True) as session:
        return queue.submit(context(at, session, server_id), kind, object_id, None, {"size": 1}, secrets)


def read(database: Database, task_id: str) -> Task:
    with database.platform() as session:
        return session.scalars(select(Task).where(Task.id == task_id)).one()


def states(database: Database) -> dict[str, TaskState]:
    with database.platform() as session:
        return {task.id: task.state for task in session.scalars(select(Task))}


def lock(session: PlatformSession, vm_id: str, code: VmLock, at: VirtualClock) -> None:
    """The VM is locked by a task that nobody runs."""
    task = Task(
        id=f"task-of-{vm_id}", kind="test.absent", object_type="vm", object_id=vm_id, arguments={}, created_at=at.now()
    )
    session.add(task)
    session.flush()
    session.execute(update(Vm).where(Vm.id == vm_id).values(lock=code, lock_task=task.id))
