"""Snapshots: what a VM was, kept on its own disks. A VM that runs is kept with its memory where its hypervisor can."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete as sql_delete
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.compute import copies, locks, operations
from core.compute.copies import ChangeCopy, CopyDetails, CopyRef, CreateCopy, CreatedCopy
from core.compute.copy_rows import Snapshot
from core.compute.operations import EITHER, QUIET
from core.compute.rows import VmLock, VmState
from core.compute.vms import VmRef
from core.context import Context, Started
from core.db.guarded import written
from core.db.search import exactly, only
from core.errors import Conflict
from core.ids import new_id
from core.tasks.claims import TaskFacts
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Write, declare
from core.tenancy.quotas import Amounts

_LIMIT: Final = timedelta(minutes=30)
_KEPT: Final = ("name", "description", "with_memory", "vcpus", "memory_mb", "storage_gb")
"""What the task of a deletion remembers, for the case that it fails."""


def read(at: Context, ref: VmRef) -> tuple[CopyDetails, ...]:
    """The snapshots of a VM, oldest first. Raises NotFound."""
    vm = operations.existing(at.session, ref.id)
    found = at.session.scalars(
        select(Snapshot).where(Snapshot.vm_id == vm.id).order_by(Snapshot.created_at, Snapshot.id)
    )
    return copies.details(found)


def create(at: Context, want: CreateCopy) -> Started[CreatedCopy]:
    """Raises NotFound, Locked, Conflict."""
    id_ = new_id("snapshot")
    vm, task_id = operations.begin(at, CREATE, want.vm_id, VmLock.SNAPSHOT_CREATING, EITHER, {"snapshot": id_})
    running = vm.state is VmState.RUNNING
    if running:
        operations.require(at, vm.id, "snapshot_running")
    size = operations.owned(at.session, vm)
    at.session.add(
        Snapshot(
            id=id_, tenant_id=vm.tenant_id, vm_id=vm.id, name=want.name, description=want.description,
            created_at=at.clock.now(), with_memory=running, vcpus=size.cpu, memory_mb=size.memory_mb,
            storage_gb=size.storage_gb,
        )
    )  # fmt: skip
    at.session.flush()
    return Started(task_id, CreatedCopy(id=id_))


def restore(at: Context, ref: CopyRef) -> Started[None]:
    """Raises NotFound, Locked, QuotaExceeded when the VM was larger then; Conflict when it runs, unless the snapshot
    holds its memory."""
    snapshot = _existing(at, ref.id)
    now = operations.owned(at.session, operations.existing(at.session, snapshot.vm_id))
    more = Amounts(
        cpu=max(0, snapshot.vcpus - now.cpu),
        memory_mb=max(0, snapshot.memory_mb - now.memory_mb),
        storage_gb=max(0, snapshot.storage_gb - now.storage_gb),
    )
    states = EITHER if snapshot.with_memory else QUIET
    arguments = {"snapshot": snapshot.id}
    vm, task_id = operations.begin(at, REVERT, snapshot.vm_id, VmLock.SNAPSHOT_REVERTING, states, arguments, more=more)
    if vm.state is VmState.RUNNING:
        operations.require(at, vm.id, "revert_running")
    _ensure_complete(snapshot)
    return Started(task_id, None)


def delete(at: Context, ref: CopyRef) -> None:
    """It is gone at once; its room is freed in the background. It is back when its hypervisor keeps it. Raises
    NotFound, Locked, Conflict."""
    snapshot = _existing(at, ref.id)
    kept = {name: getattr(snapshot, name) for name in _KEPT}
    arguments = {"snapshot": snapshot.id, "created_at": snapshot.created_at.isoformat(), **kept}
    operations.begin(at, DELETE, snapshot.vm_id, VmLock.CHANGING, EITHER, arguments)
    _ensure_complete(snapshot)
    at.session.delete(snapshot)
    at.session.flush()


def modify(at: Context, want: ChangeCopy) -> None:
    """Raises NotFound."""
    copies.change(_existing(at, want.id), want)


def _existing(at: Context, id_: str) -> Snapshot:
    return only(at.session, select(Snapshot).where(*exactly(Snapshot.id, id_)), "snapshot", id_)


def _ensure_complete(snapshot: Snapshot) -> None:
    if not snapshot.enabled:
        raise Conflict("snapshot", snapshot.id, "is not complete")


def _create(task: TaskContext) -> Write:
    id_ = task.task.text("snapshot")
    task.driver.ensure_snapshot(operations.home(task), id_, task.part(0, 100))
    enabled = update(Snapshot).where(Snapshot.id == id_).values(enabled=True)
    return lambda session: written(session, enabled)


def _take_back(task: TaskContext) -> Write:
    """Also what a deletion does."""
    task.driver.ensure_snapshot_gone(operations.home(task), task.task.text("snapshot"))
    return operations.both(operations.as_it_is(task), lambda session: _withdraw(session, task.task))


def _withdraw(session: Session, task: TaskFacts) -> None:
    written(session, sql_delete(Snapshot).where(Snapshot.id == task.text("snapshot")))


def _keep(task: TaskContext) -> Write:
    """A deletion that failed: the snapshot is there, or it is not."""
    facts = task.driver.look(operations.home(task))
    following = operations.following(task, facts)
    if facts is None or task.task.text("snapshot") not in facts.snapshots:
        return following
    return operations.both(lambda session: _put_back(session, task.task), following)


def _put_back(session: Session, task: TaskFacts) -> None:
    session.add(
        Snapshot(
            id=task.text("snapshot"), tenant_id=task.tenant_id, vm_id=task.object_id, enabled=True,
            created_at=datetime.fromisoformat(task.text("created_at")),
            **{name: task.arguments[name] for name in _KEPT},
        )
    )  # fmt: skip
    session.flush()


def _revert(task: TaskContext) -> Write:
    facts = task.driver.revert(operations.home(task), task.task.text("snapshot"), task.part(0, 100))
    return operations.following(task, facts)


CREATE: Final = declare(
    Kind(
        name="snapshot.create", title="create snapshot", target=locks.VM, run=_create, undo=_take_back,
        withdraw=_withdraw, limit=_LIMIT, cancellable=True,
    )
)  # fmt: skip
REVERT: Final = declare(
    Kind(
        name="snapshot.restore", title="restore snapshot", target=locks.VM, run=_revert, undo=operations.as_it_is,
        withdraw=operations.settle, limit=_LIMIT,
    )
)  # fmt: skip
DELETE: Final = declare(
    Kind(
        name="snapshot.delete", title="delete snapshot", target=locks.VM, run=_take_back, undo=_keep,
        withdraw=_put_back, limit=_LIMIT,
    )
)  # fmt: skip
