"""Backups: full copies of a VM's disks that survive the VM."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import delete as sql_delete
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.compute import copies, locks, operations
from core.compute.copies import ChangeCopy, CopyDetails, CopyRef, CreateCopy, CreatedCopy
from core.compute.copy_rows import Backup
from core.compute.operations import EITHER, QUIET
from core.compute.rows import Vm, VmLock, VmState
from core.compute.vms import VmRef
from core.context import Context, Started
from core.db.guarded import written
from core.db.search import exactly, only
from core.errors import Conflict
from core.hosts import storages
from core.ids import new_id
from core.tasks import queue
from core.tasks.claims import TaskFacts
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Target, Write, declare
from core.tenancy.quotas import Amounts

_LIMIT: Final = timedelta(hours=2)


def read(at: Context, ref: VmRef) -> tuple[CopyDetails, ...]:
    """The backups of a VM, oldest first, also when the VM is gone. Raises NotFound when neither is there."""
    of_vm = exactly(Backup.vm_id, ref.id)
    found = at.session.scalars(select(Backup).where(*of_vm).order_by(Backup.created_at, Backup.id)).all()
    if not found:
        operations.existing(at.session, ref.id)
    return copies.details(found)


def create(at: Context, want: CreateCopy) -> Started[CreatedCopy]:
    """Raises NotFound, Locked, Conflict."""
    id_ = new_id("backup")
    vm, task_id = operations.begin(at, CREATE, want.vm_id, VmLock.BACKUP_CREATING, EITHER, {"backup": id_})
    operations.require(at, vm.id, "backup_running" if vm.state is VmState.RUNNING else "backup_stopped")
    assert vm.host_id is not None
    at.session.add(
        Backup(
            id=id_, tenant_id=vm.tenant_id, vm_id=vm.id, host_id=vm.host_id, name=want.name,
            description=want.description, created_at=at.clock.now(), storage_id=storages.secondary(at.session),
            storage_gb=operations.owned(at.session, vm).storage_gb,
        )
    )  # fmt: skip
    at.session.flush()
    return Started(task_id, CreatedCopy(id=id_))


def restore(at: Context, ref: CopyRef) -> Started[None]:
    """Of a stopped VM, whose snapshots are lost. Raises NotFound, Locked, QuotaExceeded when it had more disk then,
    Conflict."""
    backup = _existing(at, ref.id)
    now = operations.owned(at.session, operations.existing(at.session, backup.vm_id))
    more = Amounts(storage_gb=max(0, backup.storage_gb - now.storage_gb))
    arguments = {"backup": backup.id}
    _, task_id = operations.begin(at, RESTORE, backup.vm_id, VmLock.BACKUP_RESTORING, QUIET, arguments, more=more)
    _ensure_complete(backup)
    return Started(task_id, None)


def delete(at: Context, ref: CopyRef) -> None:
    """It is gone at once; its room is freed in the background. Raises NotFound; Conflict while its VM is restored."""
    backup = _existing(at, ref.id)
    vm_lock = at.session.scalar(select(Vm.lock).where(Vm.id == backup.vm_id))
    if vm_lock is VmLock.BACKUP_RESTORING:
        raise Conflict("backup", backup.id, "its VM is being restored")
    _ensure_complete(backup)
    operations.driver(at)
    queue.submit(at, DELETE, backup.id, backup.tenant_id, {"host": backup.host_id})
    at.session.delete(backup)
    at.session.flush()


def modify(at: Context, want: ChangeCopy) -> None:
    """Raises NotFound."""
    copies.change(_existing(at, want.id), want)


def _existing(at: Context, id_: str) -> Backup:
    return only(at.session, select(Backup).where(*exactly(Backup.id, id_)), "backup", id_)


def _ensure_complete(backup: Backup) -> None:
    if not backup.enabled:
        raise Conflict("backup", backup.id, "is not complete")


def _create(task: TaskContext) -> Write:
    id_, at = task.task.text("backup"), operations.home(task)
    facts = task.driver.ensure_backup(at, id_, task.part(0, 100))
    done = update(Backup).where(Backup.id == id_).values(enabled=True, size_gb=facts.size_gb, host_id=at.host_id)
    return lambda session: written(session, done)


def _take_back(task: TaskContext) -> Write:
    task.driver.ensure_backups_gone(operations.home(task).host_id, [task.task.text("backup")])
    return operations.both(operations.as_it_is(task), lambda session: _withdraw(session, task.task))


def _withdraw(session: Session, task: TaskFacts) -> None:
    written(session, sql_delete(Backup).where(Backup.id == task.text("backup")))


def _restore(task: TaskContext) -> Write:
    facts = task.driver.restore(operations.home(task), task.task.text("backup"), task.part(0, 100))
    return operations.following(task, facts)


def _delete(task: TaskContext) -> Write:
    """It cannot be undone, and is repeated until it is done."""
    task.driver.ensure_backups_gone(task.task.text("host"), [task.task.object_id])
    return lambda _session: None


def _no_locks(_session: Session, _task_id: str) -> None:
    """The row of a backup that is being deleted is gone: nobody finds it."""


BACKUP: Final = Target("backup", _no_locks)
CREATE: Final = declare(
    Kind(
        name="backup.create", title="create backup", target=locks.VM, run=_create, undo=_take_back,
        withdraw=_withdraw, limit=_LIMIT, cancellable=True,
    )
)  # fmt: skip
RESTORE: Final = declare(
    Kind(
        name="backup.restore", title="restore backup", target=locks.VM, run=_restore, undo=operations.as_it_is,
        withdraw=operations.settle, limit=_LIMIT,
    )
)  # fmt: skip
DELETE: Final = declare(
    Kind(
        name="backup.delete", title="delete backup", target=BACKUP, run=_delete, undo=_delete,
        withdraw=None, limit=_LIMIT,
    )
)  # fmt: skip
