"""The simulated hosts and VMs as the inventory knows them, owned by a tenant of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import select

from api.simulation.cloud import SimulatedCloud
from api.simulation.exporter import HOST_PATH, VM_PATH
from core.compute.inventory import DiskSpec, HostSpec, NicSpec, VmSpec, ensure_host, ensure_vms
from core.compute.rows import Vm, VmState
from core.db.session import PlatformSession
from core.drivers.simulated.datacentre import DataCentre, SimHost, SimVm
from core.drivers.simulated.fleet import Fleet
from core.drivers.simulated.host_page import OS_PRODUCT
from core.drivers.simulated.shared import Whereabouts
from core.hosts.rows import Origin
from core.tenancy.rows import Quota, Tenant

DEMO_TENANT: Final = "tenant-demo"
_ROOM: Final = 2
"""The demo tenant may own so many times what it has, so that there is something to create."""


def register(session: PlatformSession, simulation: SimulatedCloud, now: datetime) -> bool:
    """The simulation's hosts, and the VMs that it was built with, are in the inventory as they are now, and the demo
    tenant exists. VMs that something is being done to are left to those who do it, VMs that were opened later to the
    control plane. May be repeated. True: it was the first time."""
    is_first = _ensure_demo_tenant(session, simulation.centre, now)
    for spec in host_specs(simulation.centre, simulation.whereabouts):
        ensure_host(session, spec, now)
    session.flush()
    busy = set(session.scalars(select(Vm.id).where(Vm.lock_task.is_not(None))))
    built = {vm.id for vm in simulation.centre.vms} - busy
    ensure_vms(session, tuple(spec for spec in simulation.ask(vm_specs) if spec.id in built), now)
    return is_first


def host_specs(centre: DataCentre, where: Whereabouts) -> Iterator[HostSpec]:
    """With the URLs of their two pages."""
    for host in centre.hosts:
        yield _host_spec(host, where.address, where.ports[host.id])


def vm_specs(fleet: Fleet, _at: float) -> tuple[VmSpec, ...]:
    """With their present host, size, disks and power state."""
    return tuple(
        VmSpec(
            id=vm.id,
            tenant_id=DEMO_TENANT,
            host_id=fleet.centre.hosts[fleet.homes[index]].id,
            domain_uuid=vm.uuid,
            name=vm.name,
            vcpus=condition.vcpus,
            memory_mb=condition.memory_mb,
            disks=tuple(_disk_specs(vm)),
            nics=tuple(_nic_specs(vm)),
            state=VmState.RUNNING if condition.on else VmState.STOPPED,
        )
        for index, vm in fleet.vms.items()
        for condition in (fleet.vm_conditions[index],)
    )


def _host_spec(host: SimHost, address: str, port: int) -> HostSpec:
    base = f"http://{address}:{port}"
    return HostSpec(
        id=host.id,
        name=host.name,
        origin=Origin.SIMULATED,
        address=address,
        exporter_url=base + HOST_PATH,
        vm_exporter_url=base + VM_PATH,
        os_product=OS_PRODUCT,
        kernel_version=host.kernel,
        hypervisor_version="QEMU 7.2.7, libvirt 9.0.0",
        cpu_vendor=host.cpu_vendor,
        cpu_cores=host.threads,
        cpu_sockets=host.sockets,
        memory_mb=host.memory_mb,
        storage_gb=host.store_gb,
    )


def _disk_specs(vm: SimVm) -> Iterator[DiskSpec]:
    for position, disk in enumerate(vm.disks):
        yield DiskSpec(
            id=disk.id, device=disk.device, size_gb=disk.size_gb, is_system=position == 0,
            name=f"{vm.name}-{disk.device}",
        )  # fmt: skip


def _nic_specs(vm: SimVm) -> Iterator[NicSpec]:
    for position, nic in enumerate(vm.nics):
        yield NicSpec(id=nic.id, device=nic.device, mac=nic.mac, ip=nic.ip, position=position)


def _ensure_demo_tenant(session: PlatformSession, centre: DataCentre, now: datetime) -> bool:
    """Whether it is new."""
    if session.get(Tenant, DEMO_TENANT) is not None:
        return False
    session.add(Tenant(id=DEMO_TENANT, name="demo", description="owner of the simulated VMs", created_at=now))
    session.flush()
    session.add(
        Quota(
            tenant_id=DEMO_TENANT,
            cpu_limit=_ROOM * sum(vm.vcpus for vm in centre.vms),
            memory_mb_limit=_ROOM * sum(vm.memory_mb for vm in centre.vms),
            storage_gb_limit=_ROOM * sum(disk.size_gb for vm in centre.vms for disk in vm.disks),
            subnets_limit=10,
            outer_ips_limit=10,
        )
    )
    session.flush()
    return True
