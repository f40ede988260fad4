"""What all operations on a VM have in common: how they begin, what they hold meanwhile, and how the VM follows the
driver afterwards.

The race: two operations on one VM. Each takes the VM's lock in the transaction that submits its task, and looks at the
VM's state only then: what was read before may have changed while it waited for the lock.

The worst moment: an operation that changed half of what it should. It holds, from its submission on, the larger of what
the VM has and what it is to have, of every resource. When it ends, however it ends, the VM's rows are made to say what
the driver says, and what is held and not used goes back, in one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from typing import Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from core.compute import locks
from core.compute.copy_rows import Snapshot
from core.compute.rows import Disk, Nic, Vm, VmLock, VmState
from core.context import Context
from core.db.guarded import written
from core.db.search import exactly, only
from core.db.session import PlatformSession
from core.drivers.compute import Capabilities, ComputeDriver, Power, VmAt, VmFacts
from core.errors import Conflict
from core.network import addresses, parting
from core.tasks import queue
from core.tasks.claims import TaskFacts
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Write
from core.tasks.rows import Argument
from core.tenancy import quotas
from core.tenancy.quotas import Amounts

QUIET: Final = frozenset({VmState.STOPPED})
AWAKE: Final = frozenset({VmState.RUNNING})
EITHER: Final = QUIET | AWAKE

_STATES: Final = {
    VmState.STOPPED: "is stopped",
    VmState.RUNNING: "is running",
    VmState.SUSPENDED: "is suspended",
    VmState.INSTALLING: "is being installed",
    VmState.CLONING: "is being cloned",
    VmState.FAULT_DETECTING: "is being checked for faults",
    VmState.CREATE_FAILED: "was never created: it failed",
}
_POWER: Final = {Power.OFF: VmState.STOPPED, Power.ON: VmState.RUNNING, Power.PAUSED: VmState.SUSPENDED}
_HELD: Final = "held_"


def driver(at: Context) -> ComputeDriver:
    """Raises Conflict when VMs cannot run here."""
    if at.driver is None:
        raise Conflict("platform", "starvc", "has no hypervisors")
    return at.driver


def require(at: Context, vm_id: str, capability: str) -> None:
    """Raises Conflict when the driver lacks it. `capability` is a field of Capabilities."""
    assert capability in {field.name for field in fields(Capabilities)}, f"BUG: {capability} is no capability"
    if not getattr(driver(at).capabilities, capability):
        raise Conflict("VM", vm_id, f"its hypervisor cannot do this ({capability})")


def existing(session: Session, vm_id: str) -> Vm:
    """A VM as it is now. Raises NotFound, also for another tenant's and for a template."""
    own = select(Vm).where(*exactly(Vm.id, vm_id)).execution_options(populate_existing=True)
    return only(session, own, "VM", vm_id)


def begin(
    at: Context,
    kind: Kind,
    vm_id: str,
    lock: VmLock,
    states: Collection[VmState],
    arguments: Mapping[str, Argument] | None = None,
    *,
    more: Amounts = Amounts(),  # noqa: B008 (frozen)
    secrets: Mapping[str, str] | None = None,
) -> tuple[Vm, str]:
    """The VM, locked for the task whose id is given, too. `more`: what it may have in addition afterwards.

    Raises NotFound, Locked, QuotaExceeded, Conflict when its state is not one of `states`: then roll back.
    """
    driver(at)
    known = existing(at.session, vm_id)
    held = total(owned(at.session, known), more)
    task_id = queue.submit(at, kind, known.id, known.tenant_id, {**(arguments or {}), **as_arguments(held)}, secrets)
    locks.take(at.session, [known.id], lock, task_id)
    vm = existing(at.session, known.id)
    if vm.state not in states:
        raise Conflict("VM", vm.id, _STATES[vm.state])
    if total(owned(at.session, vm), more) != held:
        raise Conflict("VM", vm.id, "was changed at the same time")
    quotas.take(at.session, vm.tenant_id, more)
    return vm, task_id


def owned(session: Session, vm: Vm) -> Amounts:
    """What the VM counts for, by its rows."""
    storage = session.scalar(select(func.coalesce(func.sum(Disk.size_gb), 0)).where(Disk.vm_id == vm.id))
    if vm.state is VmState.CREATE_FAILED:
        return Amounts(storage_gb=storage or 0)
    return Amounts(cpu=vm.vcpus, memory_mb=vm.memory_mb, storage_gb=storage or 0)


def total(one: Amounts, other: Amounts) -> Amounts:
    return Amounts(**{name: amount + getattr(other, name) for name, amount in asdict(one).items()})


def home(task: TaskContext) -> VmAt:
    """Where the task's VM is. Raises Conflict when it is nowhere."""
    with task.read() as session:
        host_id = session.scalar(select(Vm.host_id).where(Vm.id == task.task.object_id))
    if host_id is None:
        raise Conflict("VM", task.task.object_id, "has no host")
    return VmAt(host_id, task.task.object_id)


def both(*writes: Write) -> Write:
    """One after the other."""

    def write(session: PlatformSession) -> None:
        for one in writes:
            one(session)

    return write


def as_it_is(task: TaskContext) -> Write:
    """The `undo` of everything that is whole or not at all: the VM's rows say what is true of it."""
    return following(task, task.driver.look(home(task)))


def following(task: TaskContext, facts: VmFacts | None) -> Write:
    """Make the VM's rows say what is true of it, and give back what is not used. None: it is not on its host; then it
    is stopped, to say the least."""

    def write(session: Session) -> None:
        if facts is None:
            set_state(session, task.task.object_id, VmState.STOPPED)
        else:
            _follow(session, task.task.object_id, facts)
        settle(session, task.task)

    return write


def set_state(session: Session, vm_id: str, state: VmState) -> None:
    _update(session, vm_id, state=state)


def set_nowhere(session: Session, vm_id: str) -> None:
    """Its creation failed, and nothing of it is anywhere."""
    _update(session, vm_id, state=VmState.CREATE_FAILED, host_id=None)


def settle(session: Session, task: TaskFacts) -> None:
    """Give back what the task holds beyond what its VM counts for now; all of it when the VM is gone."""
    assert task.tenant_id is not None
    session.flush()
    vm = session.scalars(
        select(Vm).where(Vm.id == task.object_id).execution_options(populate_existing=True)
    ).one_or_none()
    after = Amounts() if vm is None else owned(session, vm)
    quotas.follow(session, task.tenant_id, _from_arguments(task), after)


def drop_nics(session: Session, nic_ids: Collection[str]) -> None:
    """NICs are gone, with their addresses and all that the network does for them."""
    parting.drop(session, nic_ids)
    addresses.give_back(session, nic_ids)
    written(session, delete(Nic).where(Nic.id.in_(nic_ids)))


def drop_parts(session: Session, vm_id: str) -> None:
    """Disks, NICs with their addresses, and snapshots of a VM are gone."""
    drop_nics(session, session.scalars(select(Nic.id).where(Nic.vm_id == vm_id)).all())
    for kind in (Snapshot, Disk):
        written(session, delete(kind).where(kind.vm_id == vm_id))


def _follow(session: Session, vm_id: str, facts: VmFacts) -> None:
    _update(session, vm_id, state=_POWER[facts.power], vcpus=facts.vcpus, memory_mb=facts.memory_mb)
    disks = {disk.id: disk for disk in session.scalars(select(Disk).where(Disk.vm_id == vm_id))}
    wanted = {disk.id: disk for disk in facts.disks}
    for disk_id in disks.keys() - wanted.keys():
        session.delete(disks[disk_id])
    session.flush()
    vm = session.scalars(select(Vm).where(Vm.id == vm_id)).one()
    for disk_id, disk in wanted.items():
        row = disks.get(disk_id) or Disk(
            id=disk_id, tenant_id=vm.tenant_id, vm_id=vm_id, created_at=vm.created_at, name=f"{vm.name}-{disk.device}"
        )
        row.device, row.size_gb, row.is_system = disk.device, disk.size_gb, disk.is_system
        session.add(row)
    nics = set(session.scalars(select(Nic.id).where(Nic.vm_id == vm_id)))
    drop_nics(session, nics - {nic.id for nic in facts.nics})
    lost = (Snapshot.vm_id == vm_id, Snapshot.enabled, Snapshot.id.not_in(facts.snapshots))
    written(session, delete(Snapshot).where(*lost))


def _update(session: Session, vm_id: str, **values: object) -> None:
    written(session, update(Vm).where(Vm.id == vm_id).values(values))


def as_arguments(held: Amounts) -> dict[str, Argument]:
    """What a task holds, for `settle`."""
    return {f"{_HELD}{name}": amount for name, amount in asdict(held).items() if amount}


def _from_arguments(task: TaskFacts) -> Amounts:
    names = (field.name for field in fields(Amounts))
    return Amounts(**{name: task.number(f"{_HELD}{name}") for name in names if f"{_HELD}{name}" in task.arguments})
