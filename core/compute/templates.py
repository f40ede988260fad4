"""Templates: VMs marked as such by the platform, for all tenants to clone; they do not run, and nothing else is done to
them.

The race: a template is unmarked, and then started or deleted, while it is cloned. Opening a VM from it holds its row
against changes until the VM's row stands (`existing`); unmarking it locks the row and looks for VMs that are being
cloned only then. It has locked the host by then, as everybody does who locks both: the watch over the hosts holds a
host while it writes the rows of all VMs on it. Any number of VMs may be cloned from a template at once, so no single
task holds the lock "being cloned": it is there as long as such VMs are.

A template takes storage only: marking a stopped VM gives the CPU and memory of its quota back, unmarking takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from annotated_types import MaxLen
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.compute import hosting, operations
from core.compute.locks import Locked
from core.compute.placement import Wish
from core.compute.rows import Vm, VmLock, VmState
from core.compute.template_rows import Template, TemplateDisk
from core.compute.vms import VmRef
from core.context import Context, Page
from core.db.guarded import changed
from core.db.search import containing, exactly, only, page
from core.db.session import of_every_kind
from core.drivers.compute import VmAt
from core.errors import Conflict, Invalid
from core.paging import Paged
from core.tenancy import quotas
from core.tenancy.quotas import Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRef:
    """One template, by the id of its VM."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindTemplates(Paged):
    """Both filters must hold. `id` exact; `name` contained, whatever the case."""

    id: Annotated[str, MaxLen(64)] | None = None
    name: Annotated[str, MaxLen(128)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateDetails:
    """`storage_gb`: of all its disks, which every clone has. `tenant_id`: whose VM it is. `clones`: VMs that are being
    made from it now; then `lock` is BEING_CLONED. These three for the platform only: None for a tenant's caller."""

    id: str
    name: str
    description: str
    created_at: datetime
    vcpus: int
    memory_mb: int
    storage_gb: int
    type_code: str
    model_code: str
    tenant_id: str | None
    lock: VmLock | None
    clones: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What a clone is made from. `disks`: sizes in GB by device, the system disk first."""

    id: str
    type_code: str
    model_code: str
    disks: Mapping[str, int]


def add(at: Context, ref: VmRef) -> TemplateRef:
    """The VM is a template from now on, with what is on its disks, for all tenants. It must be stopped. Raises
    NotFound, Locked, Conflict."""
    vm = operations.existing(at.session, ref.id)
    if vm.lock is not VmLock.NONE:
        raise Locked(vm.id, vm.lock)
    if vm.state is not VmState.STOPPED:
        raise Conflict("VM", vm.id, "is not stopped: only a stopped VM becomes a template")
    free = (Vm.id == vm.id, Vm.lock == VmLock.NONE, Vm.state == VmState.STOPPED)
    if not changed(at.session, update(Vm).where(*free).values(is_template=True)):
        raise Conflict("VM", vm.id, "was changed at the same time")
    at.session.refresh(vm)
    quotas.give_back(at.session, vm.tenant_id, _power_of(vm))
    return TemplateRef(id=vm.id)


def remove(at: Context, ref: TemplateRef) -> None:
    """It is a stopped VM of its tenant again; VMs that were cloned from it stay. Raises NotFound, QuotaExceeded,
    Conflict while it is being cloned, or when its host has no room for it."""
    template = of_every_kind(select(Vm)).where(*exactly(Vm.id, ref.id), Vm.is_template)
    vm = only(at.session, template, "template", ref.id)
    home = vm.host_id
    if home is not None:
        room = Wish(vcpus=vm.vcpus, memory_mb=vm.memory_mb)
        hosting.ensure_room(at.session, VmAt(home, vm.id), room, at.settings.cpu_overcommit)
    locked = template.with_for_update().execution_options(populate_existing=True)
    vm = only(at.session, locked, "template", ref.id)
    if vm.host_id != home:
        raise Conflict("template", vm.id, "was changed at the same time")
    clones = _clones(at.session, vm.id)
    if clones:
        raise Conflict("template", vm.id, f"is being cloned: {clones} VMs are made from it")
    vm.is_template = False
    at.session.flush()
    quotas.take(at.session, vm.tenant_id, _power_of(vm))


def search(at: Context, find: FindTemplates) -> Page[TemplateDetails]:
    """All templates, newest first."""
    columns = select(Template).where(*exactly(Template.id, find.id), *containing(Template.name, find.name))
    found = page(at, columns, find, order=(Template.created_at.desc(), Template.id))
    return Page(tuple(_details(at, template) for (template,) in found.rows), found.total)


def existing(session: Session, template_id: str) -> Original:
    """The template, which stays one until the transaction ends. Raises Invalid."""
    marked = select(Template).where(*exactly(Template.id, template_id))
    template = session.scalars(marked.with_for_update(read=True)).one_or_none()
    if template is None:
        raise Invalid("template_id", "there is no such template", "a template, or a model instead")
    return Original(
        id=template.id, type_code=template.type_code, model_code=template.model_code,
        disks=_disks(session, template.id),
    )  # fmt: skip


def _power_of(vm: Vm) -> Amounts:
    return Amounts(cpu=vm.vcpus, memory_mb=vm.memory_mb)


def _disks(session: Session, template_id: str) -> dict[str, int]:
    own = select(TemplateDisk).where(TemplateDisk.vm_id == template_id)
    disks = session.scalars(own.order_by(TemplateDisk.device))
    return {disk.device: disk.size_gb for disk in disks if disk.device is not None}


def _clones(session: Session, template_id: str) -> int:
    """VMs that are being cloned from it: a platform's session sees them all."""
    making = (Vm.template_id == template_id, Vm.lock == VmLock.CLONING)
    return session.scalar(select(func.count()).select_from(Vm).where(*making)) or 0


def _details(at: Context, template: Template) -> TemplateDetails:
    clones = tenant_id = lock = None
    if at.caller.is_platform:
        clones = _clones(at.session, template.id)
        lock = VmLock.BEING_CLONED if clones else VmLock.NONE
        tenant_id = at.session.scalar(of_every_kind(select(Vm.tenant_id)).where(Vm.id == template.id))
    return TemplateDetails(
        id=template.id, name=template.name, description=template.description, created_at=template.created_at,
        vcpus=template.vcpus, memory_mb=template.memory_mb, storage_gb=sum(_disks(at.session, template.id).values()),
        type_code=template.type_code, model_code=template.model_code, tenant_id=tenant_id, lock=lock, clones=clones,
    )  # fmt: skip
