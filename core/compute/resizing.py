"""More or fewer CPUs and more or less memory.

A stopped VM takes any size that its host has room for; a running one only grows, and only where its hypervisor can.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen

from core.compute import locks, operations
from core.compute.hosting import ensure_room
from core.compute.operations import EITHER
from core.compute.placement import Wish
from core.compute.rows import Vm, VmLock, VmState
from core.context import Context, Started
from core.errors import Conflict
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Write, declare
from core.tenancy.quotas import Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeVcpus:
    id: Annotated[str, MaxLen(64)]
    vcpus: Annotated[int, Ge(1), Le(1024)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMemory:
    id: Annotated[str, MaxLen(64)]
    memory_mb: Annotated[int, Ge(1), Le(999_999_999)]


def change_vcpus(at: Context, want: ChangeVcpus) -> Started[None]:
    """Raises NotFound, Locked, QuotaExceeded, Conflict when it runs and cannot follow, or has that many."""
    vm = operations.existing(at.session, want.id)
    return _begin(at, vm, want.vcpus, vm.memory_mb)


def change_memory(at: Context, want: ChangeMemory) -> Started[None]:
    """Raises NotFound, Locked, QuotaExceeded, Conflict when it runs and cannot follow, or has that much."""
    vm = operations.existing(at.session, want.id)
    return _begin(at, vm, vm.vcpus, want.memory_mb)


def _begin(at: Context, seen: Vm, vcpus: int, memory_mb: int) -> Started[None]:
    more = Amounts(cpu=max(0, vcpus - seen.vcpus), memory_mb=max(0, memory_mb - seen.memory_mb))
    vm, task_id = operations.begin(
        at, RESIZE, seen.id, VmLock.CHANGING, EITHER, {"vcpus": vcpus, "memory_mb": memory_mb}, more=more
    )
    if (vm.vcpus, vm.memory_mb) == (vcpus, memory_mb):
        raise Conflict("VM", vm.id, "has this size already")
    if vm.state is VmState.RUNNING:
        _ensure_live(at, vm, vcpus, memory_mb)
    return Started(task_id, None)


def _ensure_live(at: Context, vm: Vm, vcpus: int, memory_mb: int) -> None:
    if vcpus < vm.vcpus or memory_mb < vm.memory_mb:
        raise Conflict("VM", vm.id, "is running: it can only grow; stop it to make it smaller")
    able = operations.driver(at).capabilities
    if (vcpus > vm.vcpus and not able.grow_vcpus_live) or (memory_mb > vm.memory_mb and not able.grow_memory_live):
        raise Conflict("VM", vm.id, "is running: its hypervisor changes its size only while it is stopped")


def _run(task: TaskContext) -> Write:
    """The room is taken by the rows, which say so before the driver is asked."""
    at = operations.home(task)
    vcpus, memory_mb = task.task.number("vcpus"), task.task.number("memory_mb")
    with task.write() as session:
        vm = session.get_one(Vm, at.vm_id)
        more = Wish(vcpus=max(0, vcpus - vm.vcpus), memory_mb=max(0, memory_mb - vm.memory_mb))
        if more != Wish():
            ensure_room(session, at, more, task.settings.cpu_overcommit)
        vm.vcpus, vm.memory_mb = max(vcpus, vm.vcpus), max(memory_mb, vm.memory_mb)
    return operations.following(task, task.driver.ensure_size(at, vcpus, memory_mb))


RESIZE: Final = declare(
    Kind(
        name="vm.resize", title="resize VM", target=locks.VM, run=_run, undo=operations.as_it_is,
        withdraw=operations.settle, limit=timedelta(minutes=5),
    )
)  # fmt: skip
