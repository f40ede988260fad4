"""Disks of VMs: adding, growing, taking away, listing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from string import ascii_lowercase
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen
from sqlalchemy import delete as sql_delete
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from core.compute import locks, operations, volumes
from core.compute.copy_rows import Snapshot
from core.compute.operations import EITHER
from core.compute.rows import Disk, Vm, VmLock, VmState
from core.context import Context, Started
from core.db.guarded import written
from core.db.search import exactly, only
from core.drivers.compute import DiskWish
from core.errors import Conflict
from core.hosts import storages
from core.ids import new_id
from core.tasks.claims import TaskFacts
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Write, declare, nothing_to_withdraw
from core.tenancy.quotas import Amounts

_LIMIT: Final = timedelta(minutes=10)

SizeGb = Annotated[int, Ge(1), Le(65_536)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddDisk:
    vm_id: Annotated[str, MaxLen(64)]
    size_gb: SizeGb
    description: Annotated[str, MaxLen(1024)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedDisk:
    """The VM sees it under the name `device` when the task has succeeded."""

    id: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendDisk:
    """`size_gb`: afterwards."""

    id: Annotated[str, MaxLen(64)]
    size_gb: SizeGb


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRef:
    """One disk."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindDisks:
    """Those of one VM."""

    vm_id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskDetails:
    """`vm_id` None: it hangs on no VM."""

    id: str
    name: str
    device: str
    description: str
    created_at: datetime
    vm_id: str | None
    size_gb: int


def search(at: Context, find: FindDisks) -> tuple[DiskDetails, ...]:
    """The disks of a VM, the system disk first. Raises NotFound."""
    vm = operations.existing(at.session, find.vm_id)
    disks = at.session.scalars(select(Disk).where(Disk.vm_id == vm.id).order_by(Disk.device, Disk.id))
    return tuple(
        DiskDetails(
            id=disk.id, name=disk.name, device=disk.device or "", description=disk.description,
            created_at=disk.created_at, vm_id=disk.vm_id, size_gb=disk.size_gb,
        )
        for disk in disks
    )  # fmt: skip


def add(at: Context, want: AddDisk) -> Started[AddedDisk]:
    """Raises NotFound, Locked, QuotaExceeded, Conflict when the VM is not there yet or has no name left for a disk."""
    disk_id = new_id("disk")
    more = Amounts(storage_gb=want.size_gb)
    vm, task_id = operations.begin(
        at, ADD, want.vm_id, VmLock.CHANGING, EITHER, {"disk": disk_id, "size_gb": want.size_gb}, more=more
    )
    _ensure_hotplug(at, vm)
    device = _free_device(vm, at.session.scalars(select(Disk.device).where(Disk.vm_id == vm.id)).all())
    at.session.add(
        Disk(
            id=disk_id, tenant_id=vm.tenant_id, vm_id=vm.id, name=f"{vm.name}-{device}", created_at=at.clock.now(),
            description=want.description, device=device, size_gb=want.size_gb,
            storage_id=storages.main(at.session),
        )
    )  # fmt: skip
    at.session.flush()
    return Started(task_id, AddedDisk(id=disk_id, device=device))


def extend(at: Context, want: ExtendDisk) -> Started[None]:
    """Raises NotFound, Locked, QuotaExceeded; Conflict when the disk has that size, or its VM snapshots."""
    disk = _existing(at, want.id)
    if disk.vm_id is None:
        raise Conflict("disk", disk.id, "hangs on no VM")
    if want.size_gb <= disk.size_gb:
        raise Conflict("disk", disk.id, f"has {disk.size_gb} GB already; a disk only grows")
    kept = at.session.scalar(select(func.count()).select_from(Snapshot).where(Snapshot.vm_id == disk.vm_id))
    if kept:
        raise Conflict("disk", disk.id, f"its VM has {kept} snapshots; delete them first")
    vm, task_id = operations.begin(
        at, EXTEND, disk.vm_id, VmLock.CHANGING, EITHER, {"disk": disk.id, "size_gb": want.size_gb},
        more=Amounts(storage_gb=want.size_gb - disk.size_gb),
    )  # fmt: skip
    if vm.state is VmState.RUNNING:
        operations.require(at, vm.id, "extend_disks_live")
    return Started(task_id, None)


def delete(at: Context, ref: DiskRef) -> Started[None]:
    """A data disk of a VM, or a free volume. Raises NotFound, Locked, Conflict for a system disk."""
    disk = _existing(at, ref.id)
    if disk.vm_id is None:
        return volumes.delete(at, disk)
    if disk.is_system:
        raise Conflict("disk", disk.id, "is the system disk of its VM")
    vm, task_id = operations.begin(at, DELETE, disk.vm_id, VmLock.CHANGING, EITHER, {"disk": disk.id})
    _ensure_hotplug(at, vm)
    return Started(task_id, None)


def _existing(at: Context, id_: str) -> Disk:
    """A disk of a VM, or a free volume; those of templates are nobody's. Raises NotFound."""
    own = select(Disk).join(Vm, Vm.id == Disk.vm_id, isouter=True)
    hanging = own.where(*exactly(Disk.id, id_), or_(Disk.vm_id.is_(None), Vm.id.is_not(None)))
    return only(at.session, hanging, "disk", id_)


def _ensure_hotplug(at: Context, vm: Vm) -> None:
    if vm.state is VmState.RUNNING:
        operations.require(at, vm.id, "hotplug_disks")


def _free_device(vm: Vm, taken: Collection[str | None]) -> str:
    for letter in ascii_lowercase:
        if f"vd{letter}" not in taken:
            return f"vd{letter}"
    raise Conflict("VM", vm.id, f"has {len(taken)} disks: it takes no more")


def _add(task: TaskContext) -> Write:
    with task.read() as session:
        disk = session.get_one(Disk, task.task.text("disk"))
    assert disk.device is not None
    task.driver.ensure_disk(operations.home(task), DiskWish(id=disk.id, device=disk.device, size_gb=disk.size_gb))
    return operations.as_it_is(task)


def _take_back(task: TaskContext) -> Write:
    task.driver.ensure_disk_gone(operations.home(task), task.task.text("disk"))
    return operations.as_it_is(task)


def _withdraw(session: Session, task: TaskFacts) -> None:
    gone = sql_delete(Disk).where(Disk.id == task.text("disk"))
    written(session, gone)
    operations.settle(session, task)


def _extend(task: TaskContext) -> Write:
    task.driver.ensure_disk_size(operations.home(task), task.task.text("disk"), task.task.number("size_gb"))
    return operations.as_it_is(task)


ADD: Final = declare(
    Kind(
        name="disk.add", title="add disk", target=locks.VM, run=_add, undo=_take_back, withdraw=_withdraw, limit=_LIMIT
    )
)
EXTEND: Final = declare(
    Kind(
        name="disk.extend", title="extend disk", target=locks.VM, run=_extend, undo=operations.as_it_is,
        withdraw=operations.settle, limit=_LIMIT,
    )
)  # fmt: skip
DELETE: Final = declare(
    Kind(
        name="disk.delete", title="delete disk", target=locks.VM, run=_take_back, undo=operations.as_it_is,
        withdraw=nothing_to_withdraw, limit=_LIMIT,
    )
)  # fmt: skip
