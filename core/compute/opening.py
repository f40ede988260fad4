"""Opening VMs: from a request to a running VM, or to a refusal that left nothing behind.

At once: everything that can be refused is refused; rows, quota, addresses, locks and one task per VM are written
together, for all VMs of the request or for none. In the task: a host is found, the driver makes the VM and starts it.
When that does not end well, nothing of the VM is left but a row that says so and may be deleted.
"""

from __future__ import annotations

import secrets
import string
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen, MinLen
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.compute import locks, models, operations
from core.compute.hosting import find_home
from core.compute.placement import Wish
from core.compute.rows import Disk, Nic, Vm, VmLock, VmState
from core.context import Context
from core.drivers.compute import DiskWish, FromImage, NicWish, VmAt, VmWish
from core.errors import Invalid
from core.hosts import storages
from core.ids import new_id
from core.network import addresses, vpcs
from core.sealing import Place, sealing_keys
from core.tasks import queue
from core.tasks.claims import TaskFacts
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Write, declare
from core.tenancy import quotas
from core.tenancy.quotas import Amounts

_ADMIN_PASSWORD: Final = "admin_password"  # noqa: S105 (the name of a secret)
_VNC_PASSWORD: Final = "vnc_password"  # noqa: S105 (the name of a secret)
_LETTERS: Final = string.ascii_letters + string.digits
_DEVICES: Final = "bcdefghijklmnopqrstuvwxyz"

VncPassword = Annotated[str, MinLen(1), MaxLen(8)]
"""The VNC protocol knows no longer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVms:
    """`number` VMs in the network `vpc_id`, either of a model or of a template; `data_disks` of `data_disk_gb` each
    beside the system disk. Passwords that are not given are random, and shown to nobody."""

    name: Annotated[str, MinLen(1), MaxLen(120)] | None = None
    model: Annotated[str, MaxLen(64)] | None = None
    template_id: Annotated[str, MaxLen(64)] | None = None
    vcpus: Annotated[int, Ge(1), Le(1024)]
    memory_mb: Annotated[int, Ge(1), Le(999_999_999)]
    vpc_id: Annotated[str, MaxLen(64)]
    number: Annotated[int, Ge(1), Le(10)] = 1
    vnc_password: VncPassword | None = None
    admin_password: Annotated[str, MinLen(1), MaxLen(128)] | None = None
    nested: bool = False
    data_disks: Annotated[int, Ge(0), Le(len(_DEVICES))] = 0
    data_disk_gb: Annotated[int, Ge(0), Le(65_536)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedVm:
    """A VM that is being made by the task."""

    id: str
    name: str
    task_id: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all VMs of a request have in common."""

    tenant_id: str
    type_code: str
    storage_id: str | None
    sizes: tuple[int, ...]
    each: Amounts


def open_vms(at: Context, want: OpenVms) -> tuple[OpenedVm, ...]:
    """Raises Invalid, NotFound, QuotaExceeded, Conflict: then nothing was opened."""
    operations.driver(at)
    plan = _plan(at, want)
    opened = [_insert(at, want, plan, name) for name in _names(want)]
    quotas.take(at.session, plan.tenant_id, plan.each.times(want.number))
    given = addresses.take(at.session, want.vpc_id, [new_id("nic") for _ in opened])
    for vm, (nic_id, ip) in zip(opened, given.items(), strict=True):
        at.session.add(new_nic(at, nic_id, plan.tenant_id, vm.id, want.vpc_id, ip))
    at.session.flush()
    return tuple(opened)


def new_nic(at: Context, nic_id: str, tenant_id: str, vm_id: str, vpc_id: str, ip: str, position: int = 0) -> Nic:
    """The row of a NIC with a MAC address of its own: locally administered, 40 random bits."""
    mac = ":".join(("52", *(f"{byte:02x}" for byte in secrets.token_bytes(5))))
    return Nic(
        id=nic_id, tenant_id=tenant_id, vm_id=vm_id, created_at=at.clock.now(), position=position,
        device=f"tap{nic_id[-10:]}", mac=mac, ip=ip, vpc_id=vpc_id, name=f"eth{position}",
    )  # fmt: skip


def random_password(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def _plan(at: Context, want: OpenVms) -> _Plan:
    if (want.model is None) == (want.template_id is None):
        problem = "is missing" if want.model is None else "is given together with a template"
        raise Invalid("model", problem, "either a model or a template")
    if bool(want.data_disks) != bool(want.data_disk_gb):
        raise Invalid("data_disk_gb", "does not go with the number of disks", "both, or neither")
    if want.template_id is not None:
        raise Invalid("template_id", "there is no such template", "a template, or a model instead")
    assert want.model is not None
    model = models.find(at, want.model)
    vpc = vpcs.existing(at, want.vpc_id)
    sizes = (at.settings.vm_system_disk_gb, *[want.data_disk_gb] * want.data_disks)
    each = Amounts(cpu=want.vcpus, memory_mb=want.memory_mb, storage_gb=sum(sizes))
    return _Plan(vpc.tenant_id, model.type, storages.main(at.session), sizes, each)


def _names(want: OpenVms) -> list[str | None]:
    """None: after its id."""
    if want.name is None or want.number == 1:
        return [want.name] * want.number
    return [f"{want.name}-{position}" for position in range(1, want.number + 1)]


def _insert(at: Context, want: OpenVms, plan: _Plan, name: str | None) -> OpenedVm:
    vm_id = new_id("vm")
    vnc_password = want.vnc_password or random_password(8)
    task_id = queue.submit(
        at, OPEN, vm_id, plan.tenant_id, {"image": want.model, **operations.as_arguments(plan.each)},
        {_ADMIN_PASSWORD: want.admin_password or random_password(16), _VNC_PASSWORD: vnc_password},
    )  # fmt: skip
    sealed = sealing_keys(at.settings).seal(vnc_password, Place("vm", _VNC_PASSWORD, vm_id))
    vm = Vm(
        id=vm_id, tenant_id=plan.tenant_id, name=name or vm_id, created_at=at.clock.now(), vcpus=want.vcpus,
        state=VmState.INSTALLING, lock=VmLock.INSTALLING, lock_task=task_id, memory_mb=want.memory_mb,
        type_code=plan.type_code, model_code=want.model or "", domain_uuid=str(uuid.uuid4()), vnc_password=sealed,
        nested=want.nested,
    )  # fmt: skip
    at.session.add(vm)
    at.session.flush()
    for position, size in enumerate(plan.sizes):
        device = f"vd{_DEVICES[position - 1] if position else 'a'}"
        at.session.add(
            Disk(
                id=new_id("disk"), tenant_id=plan.tenant_id, vm_id=vm_id, name=f"{vm.name}-{device}",
                created_at=at.clock.now(), device=device, size_gb=size, is_system=position == 0,
                storage_id=plan.storage_id,
            )
        )  # fmt: skip
    return OpenedVm(id=vm_id, name=vm.name, task_id=task_id)


def _run(task: TaskContext) -> Write:
    vm_id, tenant_id = task.task.object_id, task.task.tenant_id
    assert tenant_id is not None
    with task.read() as session:
        wish = _wish(session, task)
    need = Wish(vcpus=wish.vcpus, memory_mb=wish.memory_mb, storage_gb=sum(disk.size_gb for disk in wish.disks))
    at = VmAt(find_home(task, vm_id, tenant_id, need), vm_id)
    task.driver.ensure_vm(at.host_id, wish, task.part(5, 80))
    task.check()
    task.driver.ensure_on(at)
    return lambda session: operations.set_state(session, vm_id, VmState.RUNNING)


def _wish(session: Session, task: TaskContext) -> VmWish:
    vm = session.scalars(select(Vm).where(Vm.id == task.task.object_id)).one()
    disks = session.scalars(select(Disk).where(Disk.vm_id == vm.id).order_by(Disk.device)).all()
    nics = session.scalars(select(Nic).where(Nic.vm_id == vm.id).order_by(Nic.position)).all()
    return VmWish(
        vm_id=vm.id, tenant_id=vm.tenant_id, name=vm.name, domain_uuid=vm.domain_uuid,
        source=FromImage(task.task.text("image")), vcpus=vm.vcpus, memory_mb=vm.memory_mb,
        largest_vcpus=2 * vm.vcpus, largest_memory_mb=2 * vm.memory_mb,
        disks=tuple(
            DiskWish(id=disk.id, device=disk.device or "", size_gb=disk.size_gb, is_system=disk.is_system)
            for disk in disks
        ),
        nics=tuple(nic_wish(nic) for nic in nics),
        admin_password=task.secret(_ADMIN_PASSWORD), vnc_password=task.secret(_VNC_PASSWORD),
    )  # fmt: skip


def nic_wish(nic: Nic) -> NicWish:
    """A NIC as the driver is to make it."""
    return NicWish(id=nic.id, device=nic.device, mac=nic.mac, ip=nic.ip, network_id=nic.vpc_id, position=nic.position)


def _undo(task: TaskContext) -> Write:
    with task.read() as session:
        host_id = session.scalar(select(Vm.host_id).where(Vm.id == task.task.object_id))
    if host_id is not None:
        task.driver.ensure_gone(VmAt(host_id, task.task.object_id))
    return lambda session: _give_up(session, task.task)


def _give_up(session: Session, task: TaskFacts) -> None:
    operations.drop_parts(session, task.object_id)
    operations.set_nowhere(session, task.object_id)
    operations.settle(session, task)


OPEN: Final = declare(
    Kind(
        name="vm.open", title="open VM", target=locks.VM, run=_run, undo=_undo, withdraw=_give_up,
        limit=timedelta(minutes=30), cancellable=True,
    )
)  # fmt: skip
