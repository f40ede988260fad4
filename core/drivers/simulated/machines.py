"""What simulated hypervisors do with VMs, at once: each function brings a fleet into the wished state, whatever it is
in. Raises Refused with nothing changed. Duration, progress and failures on demand are the driver's."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from core.drivers.compute import (
    DiskFacts,
    DiskWish,
    FromImage,
    FromVm,
    NicFacts,
    NicWish,
    Power,
    Refused,
    VmAt,
    VmFacts,
    VmWish,
    VolumeWish,
)
from core.drivers.simulated.datacentre import SimDisk, SimHost, SimNic, SimVm, image_path
from core.drivers.simulated.faults import VmCondition
from core.drivers.simulated.fleet import OVERCOMMIT, Fleet
from core.drivers.simulated.records import Volume
from core.errors import Conflict

_BRIDGE = "br0"


def find(fleet: Fleet, at: VmAt) -> SimVm | None:
    """The VM on exactly this host; None: it is not there."""
    host = fleet.directory.host(at.host_id)
    return next((vm for i in fleet.residents(host.index) if (vm := fleet.vms[i]).id == at.vm_id), None)


def get(fleet: Fleet, at: VmAt) -> SimVm:
    """Raises Refused when it is not there."""
    vm = find(fleet, at)
    if vm is None:
        raise Refused(f"{at.host_id} has no VM {at.vm_id}")
    return vm


def is_whole(fleet: Fleet, at: VmAt) -> bool:
    """It is there, and not half made."""
    return find(fleet, at) is not None and at.vm_id not in fleet.records.incomplete


def has_disk(fleet: Fleet, at: VmAt, disk_id: str) -> bool:
    vm = find(fleet, at)
    return vm is not None and disk_id in {disk.id for disk in vm.disks}


def has_nic(fleet: Fleet, at: VmAt, nic_id: str) -> bool:
    vm = find(fleet, at)
    return vm is not None and nic_id in {nic.id for nic in vm.nics}


def facts(fleet: Fleet, vm: SimVm) -> VmFacts:
    """What is true of a VM whose host lives."""
    condition = fleet.vm_conditions[vm.index]
    return VmFacts(
        vm_id=vm.id,
        domain_uuid=vm.uuid,
        power=Power.ON if condition.on else Power.OFF,
        vcpus=condition.vcpus,
        memory_mb=condition.memory_mb,
        complete=vm.id not in fleet.records.incomplete,
        nested=vm.nested,
        disks=tuple(disk_facts(vm, disk) for disk in vm.disks),
        nics=tuple(_nic_facts(nic, position) for position, nic in enumerate(vm.nics)),
        snapshots=tuple(saved.id for saved in fleet.records.snapshots.get(vm.id, ())),
    )


def disk_facts(vm: SimVm, disk: SimDisk) -> DiskFacts:
    return DiskFacts(id=disk.id, device=disk.device, size_gb=disk.size_gb, is_system=disk is vm.disks[0])


def _nic_facts(nic: SimNic, position: int) -> NicFacts:
    return NicFacts(id=nic.id, device=nic.device, mac=nic.mac, network_id=nic.network_id, position=position)


# --- existence


def begin(fleet: Fleet, host_id: str, wish: VmWish, at: float) -> None:
    """The VM is there, not complete. A host that has not enough left refuses."""
    if find(fleet, VmAt(host_id, wish.vm_id)) is not None:
        return
    host = fleet.directory.host(host_id)
    _ensure_source(fleet, wish.source)
    ensure_room(fleet, host, sum(disk.size_gb for disk in wish.disks if disk.volume_id is None))
    if problem := fleet.lack(host, wish.vcpus, wish.memory_mb, overcommit=OVERCOMMIT):
        raise Refused(problem)
    vm = SimVm(
        index=-1, id=wish.vm_id, name=wish.name, uuid=wish.domain_uuid, host=host.index, vcpus=wish.vcpus,
        memory_mb=wish.memory_mb, boot=at, disks=tuple(_disk(wish.vm_id, disk) for disk in wish.disks),
        nics=tuple(map(_nic, sorted(wish.nics, key=lambda nic: nic.position))), nested=wish.nested,
    )  # fmt: skip
    fleet.admit(vm, VmCondition(wish.vcpus, wish.memory_mb, on=False), at)
    fleet.records.incomplete.add(wish.vm_id)
    for disk in wish.disks:
        fleet.records.volumes.pop(disk.volume_id or "", None)


def complete(fleet: Fleet, at: VmAt) -> VmFacts:
    vm = get(fleet, at)
    fleet.records.incomplete.discard(vm.id)
    return facts(fleet, vm)


def remove(fleet: Fleet, at: VmAt, now: float) -> None:
    vm = find(fleet, at)
    if vm is None:
        return
    fleet.dismiss(vm, now)
    fleet.records.snapshots.pop(vm.id, None)
    fleet.records.consoles.pop(vm.id, None)
    fleet.records.incomplete.discard(vm.id)


def _ensure_source(fleet: Fleet, source: FromImage | FromVm) -> None:
    if isinstance(source, FromImage):
        return
    template = get(fleet, source.template)
    if fleet.vm_conditions[template.index].on:
        raise Refused(f"the template {template.id} is running")


def gigabytes(fleet: Fleet, at: VmAt) -> int:
    """Of all disks of a VM."""
    return sum(disk.size_gb for disk in get(fleet, at).disks)


def ensure_room(fleet: Fleet, host: SimHost, more_gb: int) -> None:
    """Disks are counted with their full sizes."""
    used = sum(disk.size_gb for i in fleet.residents(host.index) for disk in fleet.vms[i].disks)
    used += sum(volume.size_gb for volume in fleet.records.volumes.values() if volume.host == host.id)
    if used + more_gb > host.store_gb:
        raise Refused(f"{host.id} has not enough storage left: {more_gb} GB wanted, {host.store_gb - used} left")


def _disk(vm_id: str, wish: DiskWish) -> SimDisk:
    return SimDisk(wish.id, wish.device, wish.size_gb, image_path(f"{vm_id}-{wish.device}"))


def _nic(wish: NicWish) -> SimNic:
    return SimNic(wish.id, wish.device, wish.mac, wish.ip, _BRIDGE, wish.network_id)


# --- power and size


def switch(fleet: Fleet, at: VmAt, *, on: bool, now: float) -> None:
    vm = get(fleet, at)
    if vm.id in fleet.records.incomplete:
        raise Refused(f"{vm.id} is not complete")
    condition, host = fleet.vm_conditions[vm.index], fleet.directory.host(at.host_id)
    if on and not condition.on:
        problem = fleet.lack(host, condition.vcpus, condition.memory_mb, overcommit=OVERCOMMIT)
        if problem:
            raise Refused(problem)
    fleet.set_power(vm.id, on=on, at=now)


def reboot(fleet: Fleet, at: VmAt, now: float) -> None:
    vm = running(fleet, at)
    fleet.restart(vm.index, now)


def running(fleet: Fleet, at: VmAt) -> SimVm:
    """Raises Refused when it is off."""
    vm = get(fleet, at)
    if not fleet.vm_conditions[vm.index].on:
        raise Refused(f"{vm.id} is not running")
    return vm


def set_console(fleet: Fleet, at: VmAt, sealed: str | None) -> None:
    """The password of the VM's console, sealed; None: nobody would ask for it."""
    vm = get(fleet, at)
    if sealed is not None:
        fleet.records.consoles[vm.id] = sealed


def resize(fleet: Fleet, at: VmAt, vcpus: int, memory_mb: int, now: float) -> VmFacts:
    """Up while it runs, down only when it is off."""
    vm = get(fleet, at)
    condition = fleet.vm_conditions[vm.index]
    if condition.on and (vcpus < condition.vcpus or memory_mb < condition.memory_mb):
        raise Refused(f"{vm.id} is running: it can only grow")
    try:
        fleet.resize(vm.id, vcpus=vcpus, memory_mb=memory_mb, at=now, overcommit=OVERCOMMIT)
    except Conflict as problem:
        raise Refused(problem.reason) from None
    return facts(fleet, vm)


# --- disks, volumes and NICs


def attach(fleet: Fleet, at: VmAt, wish: DiskWish) -> DiskFacts:
    vm = get(fleet, at)
    known = next((disk for disk in vm.disks if disk.id == wish.id), None)
    if known is None:
        known = _disk(vm.id, wish)
        volume = fleet.records.volumes.pop(wish.volume_id or "", None)
        if volume is not None:
            known = replace(known, size_gb=volume.size_gb)
        else:
            ensure_room(fleet, fleet.directory.host(at.host_id), wish.size_gb)
        vm = replace(vm, disks=(*vm.disks, known))
        fleet.describe(vm)
    return disk_facts(vm, known)


def detach(fleet: Fleet, at: VmAt, disk_id: str, *, keep: bool) -> None:
    vm = find(fleet, at)
    gone = next((disk for disk in vm.disks if disk.id == disk_id), None) if vm else None
    if vm is None or gone is None:
        return
    fleet.describe(replace(vm, disks=tuple(disk for disk in vm.disks if disk is not gone)))
    if keep:
        fleet.records.volumes[disk_id] = Volume(disk_id, at.host_id, gone.size_gb)
    else:
        fleet.load.forget_disk(disk_id)


def extend(fleet: Fleet, at: VmAt, disk_id: str, size_gb: int) -> DiskFacts:
    vm = get(fleet, at)
    old = next((disk for disk in vm.disks if disk.id == disk_id), None)
    if old is None:
        raise Refused(f"{vm.id} has no disk {disk_id}")
    if size_gb > old.size_gb:
        ensure_room(fleet, fleet.directory.host(at.host_id), size_gb - old.size_gb)
        grown = replace(old, size_gb=size_gb)
        vm = replace(vm, disks=tuple(grown if disk is old else disk for disk in vm.disks))
        fleet.describe(vm)
        return disk_facts(vm, grown)
    return disk_facts(vm, old)


def create_volume(fleet: Fleet, host_id: str, wish: VolumeWish) -> None:
    known = fleet.records.volumes.get(wish.id)
    if known is None:
        ensure_room(fleet, fleet.directory.host(host_id), wish.size_gb)
        known = Volume(wish.id, host_id, wish.size_gb)
        fleet.load.ensure_disk(wish.id)
    digest = "" if wish.ceph_key is None else hashlib.sha256(wish.ceph_key.encode()).hexdigest()
    fleet.records.volumes[wish.id] = replace(known, key_sha256=digest)


def remove_volume(fleet: Fleet, volume_id: str) -> None:
    if fleet.records.volumes.pop(volume_id, None) is not None:
        fleet.load.forget_disk(volume_id)


def plug(fleet: Fleet, at: VmAt, wish: NicWish) -> NicFacts:
    vm = get(fleet, at)
    others = tuple(nic for nic in vm.nics if nic.id != wish.id)
    nics = (*others[: wish.position], _nic(wish), *others[wish.position :])
    if nics != vm.nics:
        fleet.describe(replace(vm, nics=nics))
    return _nic_facts(_nic(wish), min(wish.position, len(others)))


def unplug(fleet: Fleet, at: VmAt, nic_id: str) -> None:
    vm = find(fleet, at)
    if vm is None:
        return
    nics = tuple(nic for nic in vm.nics if nic.id != nic_id)
    if nics != vm.nics:
        fleet.describe(replace(vm, nics=nics))
