"""Deleting VMs: with their disks, NICs, addresses and snapshots; backups stay."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.compute import locks, operations
from core.compute.operations import QUIET
from core.compute.rows import Vm, VmLock, VmState
from core.compute.vms import VmRef
from core.context import Context, Started
from core.db.guarded import written
from core.drivers.compute import VmAt
from core.tasks.claims import TaskFacts
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Write, declare, nothing_to_withdraw


def delete(at: Context, ref: VmRef) -> Started[None]:
    """Raises NotFound, Locked, Conflict while it runs."""
    _, task_id = operations.begin(at, DELETE, ref.id, VmLock.CHANGING, QUIET | {VmState.CREATE_FAILED})
    return Started(task_id, None)


def _run(task: TaskContext) -> Write:
    host_id = _host(task)
    if host_id is not None:
        task.driver.ensure_gone(VmAt(host_id, task.task.object_id))
    return lambda session: _forget(session, task.task)


def _undo(task: TaskContext) -> Write:
    """What is gone cannot be brought back: then it has been deleted after all."""
    host_id = _host(task)
    if host_id is not None:
        facts = task.driver.look(VmAt(host_id, task.task.object_id))
        if facts is not None:
            return operations.following(task, facts)
    return lambda session: _forget(session, task.task)


def _host(task: TaskContext) -> str | None:
    with task.read() as session:
        return session.scalar(select(Vm.host_id).where(Vm.id == task.task.object_id))


def _forget(session: Session, task: TaskFacts) -> None:
    operations.drop_parts(session, task.object_id)
    written(session, sql_delete(Vm).where(Vm.id == task.object_id))
    operations.settle(session, task)


DELETE: Final = declare(
    Kind(
        name="vm.delete", title="delete VM", target=locks.VM, run=_run, undo=_undo, withdraw=nothing_to_withdraw,
        limit=timedelta(minutes=10),
    )
)  # fmt: skip
