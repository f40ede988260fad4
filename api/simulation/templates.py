"""The templates that the simulated data centre ships: small VMs of the demo tenant that never run."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import select

from api.simulation.cloud import SimulatedCloud
from api.simulation.inventory import DEMO_TENANT
from core.compute.inventory import DiskSpec, VmSpec, ensure_vms
from core.compute.rows import VmState
from core.compute.template_rows import Template
from core.db.session import PlatformSession
from core.drivers.compute import DiskWish, FromImage, VmAt, VmWish
from core.drivers.simulated import machines
from core.drivers.simulated.fleet import Fleet

_NAMESPACE: Final = uuid.UUID("8f1f1a52-6c0e-4f0e-9f0e-1d6f5c8a7b21")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shipped:
    model: str
    type: str
    vcpus: int
    memory_mb: int
    disk_gb: int

    @property
    def id(self) -> str:
        return f"vm-sim-template-{self.model}"

    @property
    def domain_uuid(self) -> str:
        return str(uuid.uuid5(_NAMESPACE, self.model))


_SHIPPED: Final = (
    _Shipped(model="debian-12", type="tenant_system_model", vcpus=1, memory_mb=1024, disk_gb=20),
    _Shipped(model="k8s-1-16-8", type="tenant_app_model", vcpus=2, memory_mb=2048, disk_gb=40),
)


def register(session: PlatformSession, cloud: SimulatedCloud, now: datetime, *, ship: bool) -> None:
    """They are in the data centre and in the inventory. Not `ship`: those only that are templates still; what was
    unmarked or deleted does not come back. May be repeated; the demo tenant must exist."""
    hosts = cloud.centre.hosts
    kept = set(session.scalars(select(Template.id)))
    placed = [
        (VmAt(hosts[position % len(hosts)].id, one.id), one)
        for position, one in enumerate(_SHIPPED)
        if hosts and (ship or one.id in kept)
    ]
    for at, one in placed:
        cloud.change(partial(_ensure, at, one))
    ensure_vms(session, [_spec(at, one) for at, one in placed], now)


def _ensure(at: VmAt, one: _Shipped, fleet: Fleet, moment: float) -> None:
    machines.begin(fleet, at.host_id, _wish(one), moment)
    machines.complete(fleet, at)


def _wish(one: _Shipped) -> VmWish:
    return VmWish(
        vm_id=one.id, tenant_id=DEMO_TENANT, name=f"template-{one.model}", domain_uuid=one.domain_uuid,
        source=FromImage(one.model), vcpus=one.vcpus, memory_mb=one.memory_mb,
        disks=tuple(
            DiskWish(id=disk.id, device=disk.device, size_gb=disk.size_gb, is_system=True) for disk in _disks(one)
        ),
    )  # fmt: skip


def _spec(at: VmAt, one: _Shipped) -> VmSpec:
    return VmSpec(
        id=one.id, tenant_id=DEMO_TENANT, host_id=at.host_id, domain_uuid=one.domain_uuid,
        name=f"template-{one.model}", description="shipped with the simulated data centre", vcpus=one.vcpus,
        memory_mb=one.memory_mb, disks=_disks(one), state=VmState.STOPPED, type_code=one.type, model_code=one.model,
        is_template=True,
    )  # fmt: skip


def _disks(one: _Shipped) -> tuple[DiskSpec, ...]:
    id_ = f"{one.id.replace('vm-', 'disk-', 1)}-vda"
    return (DiskSpec(id=id_, device="vda", size_gb=one.disk_gb, is_system=True, name=f"template-{one.model}-vda"),)
