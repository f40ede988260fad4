"""NICs of VMs: listing and adding them. A new one has its address at once and is plugged in in the background."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

from annotated_types import MaxLen
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.compute import locks, operations
from core.compute.opening import new_nic, nic_wish
from core.compute.operations import EITHER
from core.compute.rows import Nic, VmLock, VmState
from core.context import Context
from core.errors import Conflict
from core.ids import new_id
from core.network import addresses, plugging, vpcs
from core.network.rows import Vpc
from core.tasks.claims import TaskFacts
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Write, declare

_MOST: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FindNics:
    """Those of one VM."""

    vm_id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddNic:
    vm_id: Annotated[str, MaxLen(64)]
    vpc_id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedNic:
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NicDetails:
    """`vpc_id`, `vpc_name` None: it is plugged into no private network."""

    id: str
    name: str
    description: str
    created_at: datetime
    vm_id: str
    mac: str
    ip: str
    vpc_id: str | None
    vpc_name: str | None


def search(at: Context, find: FindNics) -> tuple[NicDetails, ...]:
    """The NICs of a VM in their order. Raises NotFound."""
    vm = operations.existing(at.session, find.vm_id)
    joined = select(Nic, Vpc.name).join(Vpc, Vpc.id == Nic.vpc_id, isouter=True).where(Nic.vm_id == vm.id)
    return tuple(details(nic, vpc_name) for nic, vpc_name in at.session.execute(joined.order_by(Nic.position, Nic.id)))


def details(nic: Nic, vpc_name: str | None) -> NicDetails:
    """What is told of a NIC, plugged into the network of that name."""
    return NicDetails(
        id=nic.id, name=nic.name, description=nic.description, created_at=nic.created_at, vm_id=nic.vm_id, mac=nic.mac,
        ip=nic.ip, vpc_id=nic.vpc_id, vpc_name=vpc_name,
    )  # fmt: skip


def add(at: Context, want: AddNic) -> AddedNic:
    """Raises NotFound, Locked, Conflict when the network has no address left or the VM takes no more NICs."""
    vpc = vpcs.existing(at, want.vpc_id)
    nic_id = new_id("nic")
    vm, _ = operations.begin(at, ADD, want.vm_id, VmLock.CHANGING, EITHER, {"nic": nic_id})
    if vm.state is VmState.RUNNING:
        operations.require(at, vm.id, "hotplug_nics")
    if vpc.tenant_id != vm.tenant_id:
        raise Conflict("private network", vpc.id, "belongs to another tenant than the VM")
    counted = select(func.count(), func.coalesce(func.max(Nic.position), -1)).where(Nic.vm_id == vm.id)
    count, last = at.session.execute(counted).one()
    if count >= _MOST:
        raise Conflict("VM", vm.id, f"has {count} NICs: it takes no more")
    ip = addresses.take(at.session, vpc.id, [nic_id])[nic_id]
    at.session.add(new_nic(at, nic_id, vm.tenant_id, vm.id, vpc.id, ip, last + 1))
    at.session.flush()
    plugging.plugged(at.session, [nic_id])
    return AddedNic(id=nic_id)


def _add(task: TaskContext) -> Write:
    with task.read() as session:
        wish = nic_wish(session.get_one(Nic, task.task.text("nic")))
    task.driver.ensure_nic(operations.home(task), wish)
    return operations.as_it_is(task)


def _take_back(task: TaskContext) -> Write:
    task.driver.ensure_nic_gone(operations.home(task), task.task.text("nic"))
    return operations.as_it_is(task)


def _withdraw(session: Session, task: TaskFacts) -> None:
    operations.drop_nics(session, [task.text("nic")])


ADD: Final = declare(
    Kind(
        name="nic.add", title="add NIC", target=locks.VM, run=_add, undo=_take_back, withdraw=_withdraw,
        limit=timedelta(minutes=5),
    )
)  # fmt: skip
