"""What outlives the process: a fleet as a document of everything that differs from a data centre that nobody touched.

Objects are named by their ids; the positions of VMs that came later are given anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from core.drivers.simulated import records
from core.drivers.simulated.datacentre import SimDisk, SimNic, SimVm
from core.drivers.simulated.faults import HostCondition, VmCondition
from core.drivers.simulated.meter import Life

if TYPE_CHECKING:
    from core.drivers.simulated.fleet import Fleet

_FORMAT: Final = 2


def dump(fleet: Fleet) -> dict[str, Any]:
    """For orjson, which writes dataclasses as objects by itself: many times faster than `asdict`, and every change of
    the fleet is saved."""
    hosts, first = fleet.centre.hosts, {vm.index: vm for vm in fleet.centre.vms}
    fresh = HostCondition()
    pasts = zip(hosts, fleet.boots, fleet.guests_before.tolist(), strict=True)
    names = {i: vm.id for i, vm in fleet.vms.items()} | {fleet.position(host.index): host.id for host in hosts}
    return {
        "of": _identity(fleet),
        "hosts": {hosts[i].id: c for i, c in enumerate(fleet.host_conditions) if c != fresh},
        "gone": [vm.id for vm in fleet.centre.vms if vm.index not in fleet.vms],
        "described": [vm for i, vm in fleet.vms.items() if vm is not first.get(i)],
        "vms": {fleet.vms[i].id: c for i, c in fleet.vm_conditions.items()
                if i not in first or c != VmCondition(first[i].vcpus, first[i].memory_mb)},
        "homes": {fleet.vms[i].id: hosts[home].id for i, home in fleet.homes.items() if home != fleet.vms[i].host},
        "pasts": {host.id: [boot, *before] for host, boot, before in pasts if boot != host.boot or any(before)},
        "lives": {names[member]: fleet.meters.life(member) for member in sorted(fleet.touched)},
        "delays": fleet.load.delays(),
        "records": fleet.records.dump(),
    }  # fmt: skip


def restore(fleet: Fleet, dumped: Mapping[str, Any]) -> bool:
    """Take up a dump on an untouched fleet. False, and nothing done, when it is of another data centre."""
    if dumped["of"] != _identity(fleet):
        return False
    for host, condition in dumped["hosts"].items():
        fleet.host_conditions[fleet.directory.host(host).index] = HostCondition(**_tuples(condition))
    for vm in dumped["gone"]:
        found = fleet.directory.vm(vm)
        fleet.dismiss(found, found.boot)
    _restore_vms(fleet, dumped)
    for vm, host in dumped["homes"].items():
        fleet.settle(fleet.directory.vm(vm).index, fleet.directory.host(host).index)
    for host, (boot, *before) in dumped["pasts"].items():
        index = fleet.directory.host(host).index
        fleet.boots[index], fleet.guests_before[index] = boot, before
    _restore_lives(fleet, dumped["lives"])
    fleet.records = records.restore(dumped["records"])
    for volume in fleet.records.volumes:
        fleet.load.ensure_disk(volume)
    for disk, delay in dumped["delays"].items():
        fleet.load.ensure_disk(disk)
        fleet.load.take_back(disk, -delay, 0.0)
    return True


def _restore_vms(fleet: Fleet, dumped: Mapping[str, Any]) -> None:
    conditions = {vm: VmCondition(**_tuples(condition)) for vm, condition in dumped["vms"].items()}
    first = {vm.id: vm for vm in fleet.centre.vms}
    for vm in map(_vm, dumped["described"]):
        known = first.get(vm.id)
        if known is None or known.index not in fleet.vms:
            fleet.admit(vm, conditions[vm.id], vm.boot)
        else:
            fleet.describe(replace(vm, index=known.index))
    for vm_id, condition in conditions.items():
        fleet.vm_conditions[fleet.directory.vm(vm_id).index] = condition


def _restore_lives(fleet: Fleet, lives: Mapping[str, Any]) -> None:
    for name, life in lives.items():
        found = fleet.directory.either(name)
        member = found.index if isinstance(found, SimVm) else fleet.position(found.index)
        fleet.meters.resume(member, Life(**life))
        fleet.bend(member, life["since"])


def _identity(fleet: Fleet) -> list[int]:
    return [_FORMAT, fleet.centre.seed, len(fleet.centre.hosts), len(fleet.centre.vms)]


def _tuples(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {**condition, "filled": tuple(condition["filled"]), "failing": tuple(condition["failing"])}


def _vm(dumped: Mapping[str, Any]) -> SimVm:
    disks = tuple(SimDisk(**disk) for disk in dumped["disks"])
    nics = tuple(SimNic(**nic) for nic in dumped["nics"])
    return SimVm(**{**dumped, "disks": disks, "nics": nics})
