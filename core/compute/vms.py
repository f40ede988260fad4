"""Virtual machines: finding and reading them. A template is a VM marked as one; it cannot run and is left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated

from annotated_types import MaxLen, MinLen
from sqlalchemy import ColumnElement, Row, Select, false, select

from core.compute import operations, rows
from core.compute.rows import VmLock, VmState
from core.compute.state import shown_state
from core.context import Context, Page
from core.db.search import containing, exactly, page
from core.errors import NotFound
from core.network import plugging
from core.paging import Paged

_Columns = Select[str, str, str, datetime, VmState, VmLock, int, int, str, str, str | None, str | None]
_Found = Row[str, str, str, datetime, VmState, VmLock, int, int, str, str, str | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindVms(Paged):
    """All given filters must hold. `name`, `id`: contained, whatever the case. `ip`: exactly that of any of the VM's
    NICs.
    """

    name: Annotated[str, MaxLen(128)] | None = None
    id: Annotated[str, MaxLen(64)] | None = None
    state: VmState | None = None
    ip: Annotated[str, MaxLen(64)] | None = None
    host_id: Annotated[str, MaxLen(64)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VmRef:
    """One VM."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class VmDetails:
    """`ip`: of the first NIC, empty without one. `host_id`: None for a tenant's caller, and while the VM has no host.

    `state` is the VM's own, seen through its host's (`core.compute.state`).
    `reboot_enabled`, `shutdown_enabled`: the guest can be asked for it now: it runs and nothing else is under way.
    """

    id: str
    name: str
    description: str
    created_at: datetime
    state: VmState
    lock: VmLock
    vcpus: int
    memory_mb: int
    type_code: str
    model_code: str
    ip: str
    reboot_enabled: bool
    shutdown_enabled: bool
    host_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeVm:
    """What is not given stays; an empty description clears it."""

    id: Annotated[str, MaxLen(64)]
    name: Annotated[str, MinLen(1), MaxLen(128)] | None = None
    description: Annotated[str, MaxLen(1024)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchFirewall:
    """Whether the VM's access rules are enforced."""

    id: Annotated[str, MaxLen(64)]
    enabled: bool


def search(at: Context, find: FindVms) -> Page[VmDetails]:
    """VMs that the caller may see, newest first."""
    columns = _columns().where(
        *containing(rows.Vm.name, find.name),
        *containing(rows.Vm.id, find.id),
        *exactly(shown_state(), find.state),
        *_having_ip(find.ip),
        *exactly(rows.Vm.host_id, find.host_id),
    )
    found = page(at, columns, find, order=(rows.Vm.created_at.desc(), rows.Vm.id))
    return Page(tuple(_details(at, row) for row in found.rows), found.total)


def read(at: Context, ref: VmRef) -> VmDetails:
    """One VM. Raises NotFound, also for another tenant's VM and for a template."""
    row = at.session.execute(_columns().where(*exactly(rows.Vm.id, ref.id))).one_or_none()
    if row is None:
        raise NotFound("VM", ref.id)
    return _details(at, row)


def modify(at: Context, want: ChangeVm) -> None:
    """What people call it: that may change at any time. Raises NotFound."""
    vm = operations.existing(at.session, want.id)
    if want.name is not None and want.name != vm.name:
        vm.name = want.name
        plugging.renamed(at.session, vm.id)
    if want.description is not None:
        vm.description = want.description


def switch_firewall(at: Context, want: SwitchFirewall) -> None:
    """Setting what is set already changes nothing. Raises NotFound."""
    vm = operations.existing(at.session, want.id)
    if vm.firewall_enabled is not want.enabled:
        vm.firewall_enabled = want.enabled
        plugging.guarded(at.session, vm.id)


@cache
def _columns() -> _Columns:
    vm, nic = rows.Vm, rows.Nic
    first_ip = select(nic.ip).where(nic.vm_id == vm.id).order_by(nic.position).limit(1).correlate(vm).scalar_subquery()
    return select(
        vm.id, vm.name, vm.description, vm.created_at, shown_state(), vm.lock, vm.vcpus, vm.memory_mb, vm.type_code,
        vm.model_code, vm.host_id, first_ip,
    )  # fmt: skip


def _having_ip(ip: str | None) -> tuple[ColumnElement[bool], ...]:
    match exactly(rows.Nic.ip, ip):
        case ():
            return ()
        case (condition,):
            return (select(rows.Nic.id).where(rows.Nic.vm_id == rows.Vm.id, condition).exists(),)
    return (false(),)


def _details(at: Context, row: _Found) -> VmDetails:
    id_, name, description, created_at, state, lock, vcpus, memory_mb, type_code, model_code, host_id, ip = row
    responsive = state is VmState.RUNNING and lock is VmLock.NONE
    return VmDetails(
        id=id_, name=name, description=description, created_at=created_at, state=state, lock=lock, vcpus=vcpus,
        memory_mb=memory_mb, type_code=type_code, model_code=model_code, ip=ip or "", reboot_enabled=responsive,
        shutdown_enabled=responsive, host_id=host_id if at.caller.is_platform else None,
    )  # fmt: skip
