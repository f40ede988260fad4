"""Snapshots and backups of simulated VMs, made at once, like everything in `machines`.

What a disk holds is a function of time: a copy remembers the moment, and going back means to be late from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Final

from core.drivers.compute import Refused, VmAt, VmFacts
from core.drivers.simulated import machines
from core.drivers.simulated.datacentre import SimVm
from core.drivers.simulated.fleet import OVERCOMMIT, Fleet
from core.drivers.simulated.records import Saved, SavedDisk

_BACKUP_SHARE: Final = 0.5
"""Of a disk's size: what a backup of it takes, packed."""


def save(fleet: Fleet, at: VmAt, id_: str, now: float) -> Saved:
    """The VM as it is."""
    vm = machines.get(fleet, at)
    condition = fleet.vm_conditions[vm.index]
    disks = tuple(SavedDisk(disk, fleet.load.moment(disk.id, now)) for disk in vm.disks)
    return Saved(id_, vm.id, at.host_id, condition.vcpus, condition.memory_mb, condition.on, disks, vm.nics)


def snapshot(fleet: Fleet, at: VmAt, snapshot_id: str, now: float) -> None:
    kept = fleet.records.snapshots.get(at.vm_id, ())
    if snapshot_id not in {saved.id for saved in kept}:
        fleet.records.snapshots[at.vm_id] = (*kept, save(fleet, at, snapshot_id, now))


def revert(fleet: Fleet, at: VmAt, snapshot_id: str, now: float) -> VmFacts:
    """Disks, size, NICs and power are those of the snapshot."""
    kept = fleet.records.snapshots.get(at.vm_id, ())
    saved = next((one for one in kept if one.id == snapshot_id), None)
    if saved is None:
        raise Refused(f"{at.vm_id} has no snapshot {snapshot_id}")
    vm = machines.get(fleet, at)
    now_is = fleet.vm_conditions[vm.index]
    host = fleet.directory.host(at.host_id)
    more_vcpus = saved.vcpus * saved.on - now_is.vcpus * now_is.on
    more_mb = saved.memory_mb * saved.on - now_is.memory_mb * now_is.on
    if problem := fleet.lack(host, more_vcpus, more_mb, overcommit=OVERCOMMIT):
        raise Refused(problem)
    fleet.set_power(vm.id, on=False, at=now)
    _take_disks_back(fleet, vm, saved, now)
    fleet.describe(replace(fleet.vms[vm.index], nics=saved.nics))
    fleet.resize(vm.id, vcpus=saved.vcpus, memory_mb=saved.memory_mb, at=now, overcommit=OVERCOMMIT)
    fleet.set_power(vm.id, on=saved.on, at=now)
    return machines.facts(fleet, fleet.vms[vm.index])


def has_snapshot(fleet: Fleet, at: VmAt, snapshot_id: str) -> bool:
    return snapshot_id in {saved.id for saved in fleet.records.snapshots.get(at.vm_id, ())}


def remove_snapshot(fleet: Fleet, at: VmAt, snapshot_id: str) -> None:
    kept = tuple(saved for saved in fleet.records.snapshots.get(at.vm_id, ()) if saved.id != snapshot_id)
    if kept:
        fleet.records.snapshots[at.vm_id] = kept
    else:
        fleet.records.snapshots.pop(at.vm_id, None)


def back_up(fleet: Fleet, at: VmAt, backup_id: str, now: float) -> int:
    """The GB that the backup takes."""
    known = fleet.records.backups.get(backup_id)
    if known is None:
        known = fleet.records.backups[backup_id] = save(fleet, at, backup_id, now)
    return ceil(sum(saved.disk.size_gb for saved in known.disks) * _BACKUP_SHARE)


def restore(fleet: Fleet, at: VmAt, backup_id: str, now: float) -> VmFacts:
    vm = machines.get(fleet, at)
    if fleet.vm_conditions[vm.index].on:
        raise Refused(f"{vm.id} is running")
    saved = fleet.records.backups.get(backup_id)
    if saved is None:
        raise Refused(f"there is no backup {backup_id}")
    _take_disks_back(fleet, vm, saved, now)
    fleet.records.snapshots.pop(vm.id, None)
    return machines.facts(fleet, fleet.vms[vm.index])


def has_backups(fleet: Fleet, backup_ids: Sequence[str]) -> bool:
    """Any of them."""
    return not fleet.records.backups.keys().isdisjoint(backup_ids)


def remove_backups(fleet: Fleet, backup_ids: Sequence[str]) -> None:
    for backup_id in backup_ids:
        fleet.records.backups.pop(backup_id, None)


def _take_disks_back(fleet: Fleet, vm: SimVm, saved: Saved, now: float) -> None:
    wanted = tuple(one.disk for one in saved.disks)
    more = sum(disk.size_gb for disk in wanted) - sum(disk.size_gb for disk in vm.disks)
    if more > 0:
        machines.ensure_room(fleet, fleet.directory.host(fleet.centre.hosts[fleet.homes[vm.index]].id), more)
    for disk in vm.disks:
        if disk.id not in {one.id for one in wanted}:
            fleet.load.forget_disk(disk.id)
    fleet.describe(replace(vm, disks=wanted))
    for one in saved.disks:
        fleet.load.take_back(one.disk.id, one.moment, now)
