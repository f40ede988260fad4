"""Opening VMs: from a request to a running VM, or to a refusal that left nothing behind.

At once: everything that can be refused is refused; rows, quota, addresses, locks and one task per VM are written
together, for all VMs of the request or for none. In the task: a host is found, the driver makes the VM, from an image
or as a clone of a template, and starts it. When that does not end well, nothing of the VM is left but a row that says
so and may be deleted.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from string import ascii_letters, ascii_lowercase, digits
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen, MinLen
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.compute import locks, models, operations, templates
from core.compute.hosting import find_home
from core.compute.placement import Wish
from core.compute.rows import Disk, Nic, Vm, VmLock, VmState
from core.context import Context
from core.db.session import of_every_kind
from core.drivers.compute import DiskWish, FromImage, FromVm, NicWish, Refused, VmAt, VmWish
from core.errors import Conflict, Invalid
from core.hosts import storages
from core.ids import new_id
from core.network import addresses, plugging, vpcs
from core.sealing import Place, sealing_keys
from core.tasks import queue
from core.tasks.claims import TaskFacts
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Write, declare
from core.tasks.rows import Argument
from core.tenancy import quotas
from core.tenancy.quotas import Amounts

_ADMIN_PASSWORD: Final = "admin_password"  # noqa: S105 (the name of a secret)
_VNC_PASSWORD: Final = "vnc_password"  # noqa: S105 (the name of a secret)
_LETTERS: Final = ascii_letters + digits
_SYSTEM_DEVICE: Final = "vda"
_IMAGE: Final = "image"
_TEMPLATE: Final = "template"
"""Arguments of the task: what the VM is made from, one of the two."""

VncPassword = Annotated[str, MinLen(1), MaxLen(8)]
"""The VNC protocol knows no longer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVms:
    """`number` VMs in the network `vpc_id`, either of a model or of a template; `data_disks` of `data_disk_gb` each
    beside the system disk, or beside the disks of the template. `nested`: VMs may run inside them. Passwords that are
    not given are random, and shown to nobody."""

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
    data_disks: Annotated[int, Ge(0), Le(len(ascii_lowercase) - 1)] = 0
    data_disk_gb: Annotated[int, Ge(0), Le(65_536)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedVm:
    """A VM that is being made by the task."""

    id: str
    name: str
    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What VMs are made from. `disks`: sizes in GB by device, the system disk first. `arguments` tell it the task."""

    type_code: str
    model_code: str
    state: VmState
    lock: VmLock
    disks: Mapping[str, int]
    arguments: Mapping[str, Argument]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What all VMs of a request have in common. `disks`: as of the source, and those beside."""

    tenant_id: str
    source: _Source
    storage_id: str | None
    disks: Mapping[str, int]
    each: Amounts


def open_vms(at: Context, want: OpenVms) -> tuple[OpenedVm, ...]:
    """Raises Invalid, NotFound, QuotaExceeded, Conflict: then nothing was opened."""
    if not operations.driver(at).capabilities.nested and want.nested:
        raise Invalid("nested", "the hypervisors run no VMs inside VMs", "false")
    plan = _plan(at, want)
    opened = [_insert(at, want, plan, name) for name in _names(want)]
    quotas.take(at.session, plan.tenant_id, plan.each.times(want.number))
    given = addresses.take(at.session, want.vpc_id, [new_id("nic") for _ in opened])
    for vm, (nic_id, ip) in zip(opened, given.items(), strict=True):
        at.session.add(new_nic(at, nic_id, plan.tenant_id, vm.id, want.vpc_id, ip))
    at.session.flush()
    plugging.plugged(at.session, given.keys())
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
    source = _image(at, want.model) if want.model is not None else _template(at, want.template_id or "")
    vpc = vpcs.existing(at, want.vpc_id)
    disks = {**source.disks, **dict.fromkeys(_more_devices(source.disks, want.data_disks), want.data_disk_gb)}
    each = Amounts(cpu=want.vcpus, memory_mb=want.memory_mb, storage_gb=sum(disks.values()))
    return _Plan(tenant_id=vpc.tenant_id, source=source, storage_id=storages.main(at.session), disks=disks, each=each)


def _image(at: Context, model_code: str) -> _Source:
    model = models.find(at, model_code)
    return _Source(
        type_code=model.type, model_code=model_code, state=VmState.INSTALLING, lock=VmLock.INSTALLING,
        disks={_SYSTEM_DEVICE: at.settings.vm_system_disk_gb}, arguments={_IMAGE: model_code},
    )  # fmt: skip


def _template(at: Context, template_id: str) -> _Source:
    original = templates.existing(at.session, template_id)
    return _Source(
        type_code=original.type_code, model_code=original.model_code, state=VmState.CLONING, lock=VmLock.CLONING,
        disks=original.disks, arguments={_TEMPLATE: original.id},
    )  # fmt: skip


def _more_devices(taken: Collection[str], number: int) -> list[str]:
    free = [device for letter in ascii_lowercase if (device := f"vd{letter}") not in taken]
    if number > len(free):
        raise Invalid("data_disks", f"{number} disks are too many beside the {len(taken)} there are", f"0-{len(free)}")
    return free[:number]


def _names(want: OpenVms) -> list[str | None]:
    """None: after its id."""
    if want.name is None or want.number == 1:
        return [want.name] * want.number
    return [f"{want.name}-{position}" for position in range(1, want.number + 1)]


def _insert(at: Context, want: OpenVms, plan: _Plan, name: str | None) -> OpenedVm:
    vm_id, source = new_id("vm"), plan.source
    vnc_password = want.vnc_password or random_password(8)
    task_id = queue.submit(
        at, OPEN, vm_id, plan.tenant_id, {**source.arguments, **operations.as_arguments(plan.each)},
        {_ADMIN_PASSWORD: want.admin_password or random_password(16), _VNC_PASSWORD: vnc_password},
    )  # fmt: skip
    sealed = sealing_keys(at.settings).seal(vnc_password, Place("vm", _VNC_PASSWORD, vm_id))
    vm = Vm(
        id=vm_id, tenant_id=plan.tenant_id, name=name or vm_id, created_at=at.clock.now(), vcpus=want.vcpus,
        state=source.state, lock=source.lock, lock_task=task_id, memory_mb=want.memory_mb,
        type_code=source.type_code, model_code=source.model_code, template_id=want.template_id,
        domain_uuid=str(uuid.uuid4()), vnc_password=sealed, nested=want.nested,
    )  # fmt: skip
    at.session.add(vm)
    at.session.flush()
    for device, size in plan.disks.items():
        at.session.add(
            Disk(
                id=new_id("disk"), tenant_id=plan.tenant_id, vm_id=vm_id, name=f"{vm.name}-{device}",
                created_at=at.clock.now(), device=device, size_gb=size, is_system=device == next(iter(plan.disks)),
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
        source=_origin(session, task.task), vcpus=vm.vcpus, memory_mb=vm.memory_mb,
        largest_vcpus=2 * vm.vcpus, largest_memory_mb=2 * vm.memory_mb,
        disks=tuple(
            DiskWish(id=disk.id, device=disk.device or "", size_gb=disk.size_gb, is_system=disk.is_system)
            for disk in disks
        ),
        nics=tuple(nic_wish(nic) for nic in nics), nested=vm.nested,
        admin_password=task.secret(_ADMIN_PASSWORD), vnc_password=task.secret(_VNC_PASSWORD),
    )  # fmt: skip


def _origin(session: Session, task: TaskFacts) -> FromImage | FromVm:
    """Where the template is now: it may have moved since the VM was accepted."""
    if _TEMPLATE not in task.arguments:
        return FromImage(task.text(_IMAGE))
    template_id = task.text(_TEMPLATE)
    host_id = session.scalar(of_every_kind(select(Vm.host_id)).where(Vm.id == template_id))
    if host_id is None:
        raise Conflict("template", template_id, "has no host")
    return FromVm(VmAt(host_id, template_id))


def nic_wish(nic: Nic) -> NicWish:
    """A NIC as the driver is to make it."""
    return NicWish(id=nic.id, device=nic.device, mac=nic.mac, ip=nic.ip, network_id=nic.vpc_id, position=nic.position)


def _undo(task: TaskContext) -> Write:
    """A VM that is whole, and that its hypervisor will not take away again, is the caller's: it stands still."""
    with task.read() as session:
        host_id = session.scalar(select(Vm.host_id).where(Vm.id == task.task.object_id))
    if host_id is not None:
        at = VmAt(host_id, task.task.object_id)
        try:
            task.driver.ensure_gone(at)
        except Refused:
            facts = task.driver.look(at)
            if facts is None or not facts.complete:
                raise
            return operations.following(task, facts)
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
