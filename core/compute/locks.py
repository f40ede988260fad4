"""VM locks (appendix 2): while a VM is locked, nothing else may be done to it. A lock belongs to a task.

Taking one is a compare-and-set on the VM's row, in the transaction that submits the task; giving it back is part of
the transaction that ends the task (`TARGET.release`), however it ends. A lock without a task that has not ended is
therefore impossible. Several VMs are locked in the order of their ids, all of them or none, so that no two operations
wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.compute.rows import Vm, VmLock
from core.db.guarded import changed, written
from core.errors import Conflict, NotFound
from core.tasks.kinds import Target

REASONS: Final = {
    VmLock.MIGRATING_HOST: "is locked: migrating across hosts",
    VmLock.MIGRATING_STORAGE: "is locked: migrating across storages",
    VmLock.BACKUP_CREATING: "is locked: creating a backup",
    VmLock.BACKUP_RESTORING: "is locked: restoring a backup",
    VmLock.SNAPSHOT_CREATING: "is locked: creating a snapshot",
    VmLock.SNAPSHOT_REVERTING: "is locked: restoring a snapshot",
    VmLock.STARTING: "is locked: starting",
    VmLock.STOPPING: "is locked: stopping",
    VmLock.EXPORTING: "is locked: exporting",
    VmLock.IMPORTING: "is locked: importing",
    VmLock.BEING_CLONED: "is locked: being cloned",
    VmLock.INSTALLING: "is locked: installing",
    VmLock.CLONING: "is locked: cloning",
    VmLock.MOVING: "is locked: moving",
    VmLock.CHANGING: "is locked: being changed",
}


class Locked(Conflict):
    """The VM is locked; `lock` says what is done to it."""

    def __init__(self, vm_id: str, lock: VmLock) -> None:
        super().__init__("VM", vm_id, REASONS[lock])
        self.lock = lock


def take(session: Session, vm_ids: Iterable[str], lock: VmLock, task_id: str) -> None:
    """Lock the VMs for a task of the same transaction. Raises Conflict (mostly Locked), NotFound: then roll
    back, some may be locked."""
    for vm_id in sorted(set(vm_ids)):
        free = update(Vm).where(Vm.id == vm_id, Vm.lock == VmLock.NONE)
        if not changed(session, free.values(lock=lock, lock_task=task_id)):
            raise _refusal(session, vm_id)


def release(session: Session, task_id: str) -> None:
    """Give back every lock that the task holds. Giving back none is no error: its VMs may be gone."""
    held = update(Vm).where(Vm.lock_task == task_id)
    written(session, held.values(lock=VmLock.NONE, lock_task=None))


VM: Final = Target("vm", release)
"""What tasks on VMs are about."""


def _refusal(session: Session, vm_id: str) -> Conflict | NotFound:
    """Read after the refusal: whoever held the lock may have given it back in between."""
    lock = session.scalar(select(Vm.lock).where(Vm.id == vm_id))
    if lock is None:
        return NotFound("VM", vm_id)
    return Conflict("VM", vm_id, "was changed at the same time") if lock is VmLock.NONE else Locked(vm_id, lock)
