"""What hosts report about themselves and their VMs, brought into the inventory: the simulator and the agent call this.

Idempotent by id, and safe when two processes do it at once: rows are upserted. The driver is right about what exists
(where a VM runs, its size, disks and NICs); people are right about names and descriptions, and the state machine about
states of hosts: those are written for new objects only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, ScalarSelect, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute

from core.compute import operations
from core.compute.rows import Disk, Nic, Vm, VmState
from core.db.batches import batches
from core.db.session import PlatformSession
from core.db.types import Row
from core.hosts.rows import Host, HostState, Origin
from core.tenancy.rows import Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSpec:
    """A host as its driver knows it. `cpu_cores`, `memory_mb`, `storage_gb` 0: not known."""

    id: str
    name: str
    origin: Origin
    address: str
    exporter_url: str
    vm_exporter_url: str | None = None
    os_product: str = ""
    os_bits: int = 64
    kernel_version: str = ""
    hypervisor_version: str = ""
    cpu_vendor: str = ""
    cpu_cores: int = 0
    cpu_sockets: int = 0
    memory_mb: int = 0
    storage_gb: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpec:
    """`device` as exporters name it."""

    id: str
    device: str
    size_gb: int
    is_system: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NicSpec:
    """`device` is the interface on the host. `position` 0 is the VM's first NIC."""

    id: str
    device: str
    mac: str
    ip: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSpec:
    """A VM as its driver knows it; `name` and `description` count for a new VM only."""

    id: str
    tenant_id: str
    host_id: str
    domain_uuid: str
    name: str
    vcpus: int
    memory_mb: int
    disks: tuple[DiskSpec, ...] = ()
    nics: tuple[NicSpec, ...] = ()
    state: VmState = VmState.RUNNING
    description: str = ""
    type_code: str = ""
    model_code: str = ""
    is_template: bool = False


_DRIVER_KNOWS: Final[Mapping[type[Row], Collection[str]]] = {
    Vm: ("host_id", "host_state", "domain_uuid", "vcpus", "memory_mb"),
    Disk: ("device", "size_gb", "is_system"),
    Nic: ("device", "mac", "ip", "position"),
}


def ensure_host(session: PlatformSession, spec: HostSpec, now: datetime) -> None:
    """The host is in the inventory as the spec says. A known one keeps state, connection, maintenance, description."""
    facts = asdict(spec)
    _upsert(session, Host, [facts | {"created_at": now, "state_since": now}], facts.keys() - {"id"})


def ensure_vms(session: PlatformSession, specs: Sequence[VmSpec], now: datetime) -> None:
    """The VMs are in the inventory with exactly these disks and NICs, and their tenants' quotas count them.

    VMs that no spec names are left alone. Hosts and tenants must exist. A known VM keeps its state: tasks and the state
    machine of its host own it.
    """
    ids = [spec.id for spec in specs]
    _remove_others(session, Disk, ids, {disk.id for spec in specs for disk in spec.disks})
    _remove_others(session, Nic, ids, {nic.id for spec in specs for nic in spec.nics})
    host_states = {host.id: host.state for host in session.execute(select(Host.id, Host.state))}
    _upsert(session, Vm, [_vm(spec, host_states, now) for spec in specs], _DRIVER_KNOWS[Vm])
    _upsert(session, Disk, [_part(spec, disk, now) for spec in specs for disk in spec.disks], _DRIVER_KNOWS[Disk])
    _upsert(session, Nic, [_part(spec, nic, now) for spec in specs for nic in spec.nics], _DRIVER_KNOWS[Nic])
    _recount(session, {spec.tenant_id for spec in specs} - _under_way(session))


def _vm(spec: VmSpec, host_states: Mapping[str, HostState], now: datetime) -> dict[str, Any]:
    facts = asdict(spec)
    del facts["disks"], facts["nics"]
    return facts | {"host_state": host_states.get(spec.host_id, HostState.RUNNING), "created_at": now}


def _part(spec: VmSpec, part: DiskSpec | NicSpec, now: datetime) -> dict[str, Any]:
    return asdict(part) | {"tenant_id": spec.tenant_id, "vm_id": spec.id, "created_at": now}


def _remove_others(session: PlatformSession, kind: type[Disk | Nic], vm_ids: Sequence[str], kept: set[str]) -> None:
    """Parts that the driver no longer has go first, so that their devices and addresses are free for the new ones."""
    for batch in batches(vm_ids):
        known = session.scalars(select(kind.id).where(kind.vm_id.in_(batch))).all()
        for gone in batches([id_ for id_ in known if id_ not in kept]):
            if kind is Nic:
                operations.drop_nics(session, gone)
            session.execute(delete(kind).where(kind.id.in_(gone)))


def _upsert(
    session: PlatformSession, kind: type[Row], values: Sequence[dict[str, Any]], known: Collection[str]
) -> None:
    """New rows as they stand; of rows that exist, by id, the columns `known` only."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    statement = insert(kind)
    values_known = {column: getattr(statement.excluded, column) for column in sorted(known)}
    if values:
        session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values_known), values)


def _recount(session: PlatformSession, tenant_ids: Collection[str]) -> None:
    """What a driver reports exists, within the quota or not: the counters follow it."""
    for tenant_id in sorted(tenant_ids):
        vms = (Vm.tenant_id == tenant_id, Vm.state != VmState.CREATE_FAILED)
        used = {
            "cpu_used": _total(Vm.vcpus, *vms),
            "memory_mb_used": _total(Vm.memory_mb, *vms),
            "storage_gb_used": _total(Disk.size_gb, Disk.tenant_id == tenant_id),
        }
        session.execute(update(Quota).where(Quota.tenant_id == tenant_id).values(used))


def _under_way(session: PlatformSession) -> set[str]:
    """Tenants with an operation on a VM: it may hold a part of the quota for what it is about to make."""
    return set(session.scalars(select(Vm.tenant_id).where(Vm.lock_task.is_not(None))))


def _total(column: InstrumentedAttribute[int], *conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.coalesce(func.sum(column), 0)).where(*conditions).scalar_subquery()
