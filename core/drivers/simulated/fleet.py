"""The running data centre: what is broken in it, what its VMs' switches say, and its pages at any instant.

One thread owns a fleet. Time comes with every call and may stand still; it does not run backwards across changes: a change
dated before an earlier one takes effect at that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np

from core.drivers.simulated import load as loads
from core.drivers.simulated.chance import Floats
from core.drivers.simulated.datacentre import DAY, EPOCH, DataCentre, SimHost, SimVm
from core.drivers.simulated.faults import (
    EVERYTHING,
    MOUNTPOINTS,
    Action,
    Directory,
    Fault,
    HostCondition,
    VmCondition,
    on_host,
    on_vm,
)
from core.drivers.simulated.host_page import HostPage
from core.drivers.simulated.load import Channel, Ints, Profile
from core.drivers.simulated.meter import Life, Meters
from core.drivers.simulated.reading import Reading
from core.drivers.simulated.vm_page import VmPage
from core.errors import Conflict, Invalid

FULL: Final = 0.96
"""How full a filled disk is."""
LOADED: Final = 0.97
"""How busy the vCPUs of a loaded VM are."""

_GIB: Final = 2.0**30
_MIB: Final = 2.0**20
_BACK: Final = np.array([0.0, 60.0, 300.0, 900.0]).reshape(4, 1, 1)


@dataclass(slots=True)
class _Rig:
    """What is prepared for the pages of one host. `members` are its VMs and, last, the host itself."""

    members: Ints
    vms: tuple[SimVm, ...]
    profile: Profile
    disks: Ints
    disk_sizes: Floats
    host_page: HostPage
    vm_page: VmPage | None = field(default=None)


class Fleet:
    def __init__(self, centre: DataCentre) -> None:
        self.centre = centre
        self.directory = Directory(centre)
        self.host_conditions = [HostCondition() for _ in centre.hosts]
        self.vm_conditions = [VmCondition(vm.vcpus, vm.memory_mb) for vm in centre.vms]
        self._host_boots = [host.boot for host in centre.hosts]
        self._guests_before = np.zeros((len(centre.hosts), len(Channel)))
        self._load = loads.build(centre)
        boots = np.array([vm.boot for vm in centre.vms] + self._host_boots, np.float64)
        self._meters = Meters(self._load.profile, boots)
        self._touched: set[int] = set()
        self._rigs: dict[int, _Rig] = {}

    # --- what happens to it

    def apply(self, fault: Fault, at: float) -> frozenset[int]:
        """Positions of the hosts whose pages or ports may have changed. Invalid, Conflict: nothing was done."""
        if fault.action is Action.HEAL and fault.target in ("", EVERYTHING):
            return self._heal_everything(at)
        found = self._target(fault)
        if isinstance(found, SimHost):
            self._change_host(found, on_host(fault, found, self.host_conditions[found.index]), at)
            return frozenset((found.index,))
        condition = on_vm(fault, found, self.vm_conditions[found.index], self.host_conditions[found.host])
        self._change_vm(found, condition, at, restarted=fault.action is Action.RESTART_VM)
        return frozenset((found.host,))

    def set_power(self, vm: str, *, on: bool, at: float) -> None:
        """Switch a VM on (its counters begin at 0) or off. Doing it twice changes nothing. Invalid: no such VM."""
        found = self.directory.vm(vm)
        condition = self.vm_conditions[found.index]
        if condition.on != on:
            changed = replace(condition, on=on, loaded=condition.loaded and on)
            self._change_vm(found, changed, at, restarted=on)

    def resize(self, vm: str, *, vcpus: int, memory_mb: int, at: float) -> None:
        """Invalid: no such VM or size. Conflict: its host has not enough left; nothing was done."""
        found = self.directory.vm(vm)
        for name, value in (("vcpus", vcpus), ("memory_mb", memory_mb)):
            if value < 1:
                raise Invalid(name, f"{value} is too small", "1 or more")
        host = self.centre.hosts[found.host]
        others = [self.vm_conditions[i] for i in host.vms if i != found.index]
        if vcpus + sum(other.vcpus for other in others) > host.threads:
            raise Conflict("VM", found.id, f"{host.id} has not enough CPU left for {vcpus} vCPUs")
        if memory_mb + sum(other.memory_mb for other in others) > host.memory_mb:
            raise Conflict("VM", found.id, f"{host.id} has not enough memory left for {memory_mb} MB")
        self._change_vm(found, replace(self.vm_conditions[found.index], vcpus=vcpus, memory_mb=memory_mb), at)

    def runs(self, vm: int) -> bool:
        return self.vm_conditions[vm].on and not self.host_conditions[self.centre.vms[vm].host].crashed

    def _target(self, fault: Fault) -> SimHost | SimVm:
        match fault.action:
            case Action.CRASH_HOST | Action.CUT_LINK | Action.HANG_EXPORTER:
                return self.directory.host(fault.target)
            case Action.RESTART_VM | Action.LOAD_VM:
                return self.directory.vm(fault.target)
            case Action.FILL_DISK | Action.HEAL:
                return self.directory.either(fault.target)

    def _heal_everything(self, at: float) -> frozenset[int]:
        heal = Fault(Action.HEAL, EVERYTHING)
        changed = {i for i, condition in enumerate(self.host_conditions) if condition.faults}
        for i in changed:
            self._change_host(self.centre.hosts[i], on_host(heal, self.centre.hosts[i], self.host_conditions[i]), at)
        for i, condition in enumerate(self.vm_conditions):
            if condition.faults:
                vm = self.centre.vms[i]
                self._change_vm(vm, on_vm(heal, vm, condition, self.host_conditions[vm.host]), at)
        return frozenset(changed)

    def _change_host(self, host: SimHost, condition: HostCondition, at: float) -> None:
        before, self.host_conditions[host.index] = self.host_conditions[host.index], condition
        if before.crashed == condition.crashed:
            return
        rig = self._rig(host.index)
        for member in rig.members.tolist():
            self._bend(member, at)
        if before.crashed:
            self._meters.restart(rig.members.tolist(), at)
            self._guests_before[host.index] = self._meters.work(at, rig.members[:-1]).sum(axis=-1)
            self._host_boots[host.index] = at

    def _change_vm(self, vm: SimVm, condition: VmCondition, at: float, *, restarted: bool = False) -> None:
        before, self.vm_conditions[vm.index] = self.vm_conditions[vm.index], condition
        if restarted or replace(before, filled=()) != replace(condition, filled=()):
            self._bend(vm.index, at)
        if restarted:
            self._meters.restart([vm.index], at)

    def _bend(self, member: int, at: float) -> None:
        """Let the meter of a VM or host follow its condition."""
        self._touched.add(member)
        if member >= len(self.centre.vms):
            gain = 0.0 if self.host_conditions[member - len(self.centre.vms)].crashed else 1.0
            self._meters.bend(member, at, gain, gain, 0.0)
            return
        condition = self.vm_conditions[member]
        if not self.runs(member):
            self._meters.bend(member, at, 0.0, 0.0, 0.0)
        elif condition.loaded:
            self._meters.bend(member, at, 0.0, 1.0, LOADED * condition.vcpus)
        else:
            self._meters.bend(member, at, condition.vcpus / self.centre.vms[member].vcpus, 1.0, 0.0)

    # --- what it shows

    def host_page(self, host: int, at: float) -> bytes:
        """The host's own page, in node_exporter's names."""
        return self._rig(host).host_page.render(self._reading(host, at))

    def vm_page(self, host: int, at: float) -> bytes:
        """The page of the host's VMs, in a libvirt exporter's names."""
        rig = self._rig(host)
        running = tuple(self.runs(vm.index) for vm in rig.vms)
        if rig.vm_page is None or rig.vm_page.running != running:
            rig.vm_page = VmPage(rig.vms, running)
        return rig.vm_page.render(self._reading(host, at))

    def _rig(self, host: int) -> _Rig:
        if host not in self._rigs:
            here = self.centre.hosts[host]
            members = np.array([*here.vms, len(self.centre.vms) + host], np.int64)
            vms = tuple(self.centre.vms[i] for i in here.vms)
            profile = self._load.profile.take(members)
            sizes = np.array([disk.size_gb for vm in vms for disk in vm.disks], np.float64) * _GIB
            disks = [int(self._load.first_disk[vm.index]) + n for vm in vms for n in range(len(vm.disks))]
            traffic = float(profile.ceiling()[[Channel.READ, Channel.WRITE]].sum())
            page = HostPage(here, vms, max(traffic * 1.25, 500e6), self.centre.seed)
            self._rigs[host] = _Rig(members, vms, profile, np.array(disks, np.int64), sizes, page)
        return self._rigs[host]

    def _reading(self, host: int, at: float) -> Reading:
        rig = self._rig(host)
        here = self.centre.hosts[host]
        works = self._meters.work(at - _BACK, rig.members, rig.profile)
        work = works[0]
        counters = self._meters.counters(work, rig.members)
        busy = works[:, Channel.CPU].sum(axis=-1)
        conditions = [self.vm_conditions[vm.index] for vm in rig.vms]
        memory = np.array([condition.memory_mb for condition in conditions], np.float64) * _MIB
        runs = np.array([self.runs(vm.index) for vm in rig.vms], np.float64)
        space = self._space(rig, at, conditions)
        filled = self.host_conditions[host].filled
        root = FULL if MOUNTPOINTS[0] in filled else 0.22 + 0.08 * ((at - EPOCH) / (20 * DAY) % 1.0)
        store = FULL * here.store_gb * _GIB if MOUNTPOINTS[1] in filled else float(space.sum()) + 8 * _GIB
        return Reading(
            at=at,
            boot=self._host_boots[host],
            own=counters[:, -1],
            guests=work[:, :-1].sum(axis=-1) - self._guests_before[host],
            demand=(busy[0] - busy[1:]) / _BACK[1:, 0, 0],
            counters=counters[:, :-1],
            vcpus=np.array([condition.vcpus for condition in conditions], np.float64),
            memory=memory,
            memory_used=self._load.gauges.memory_used(at, rig.members[:-1]) * memory * runs,
            space_used=space,
            root_used=root * here.root_gb * _GIB,
            store_used=store,
        )

    def _space(self, rig: _Rig, at: float, conditions: Iterable[VmCondition]) -> Floats:
        used = self._load.gauges.space_used(at, rig.disks)
        full = [disk.device in condition.filled
                for vm, condition in zip(rig.vms, conditions, strict=True) for disk in vm.disks]  # fmt: skip
        result: Floats = np.where(np.array(full, bool), FULL, used) * rig.disk_sizes
        return result

    # --- what outlives the process

    def dump(self) -> dict[str, Any]:
        """Everything that differs from a data centre that nobody touched, for JSON."""
        vms, hosts = self.centre.vms, self.centre.hosts
        fresh = HostCondition()
        return {
            "of": self._identity(),
            "hosts": {hosts[i].id: asdict(c) for i, c in enumerate(self.host_conditions) if c != fresh},
            "vms": {vms[i].id: asdict(c) for i, c in enumerate(self.vm_conditions)
                    if c != VmCondition(vms[i].vcpus, vms[i].memory_mb)},
            "boots": {hosts[i].id: [boot, *self._guests_before[i].tolist()]
                      for i, boot in enumerate(self._host_boots) if boot != hosts[i].boot},
            "lives": {str(member): asdict(self._meters.life(member)) for member in sorted(self._touched)},
        }  # fmt: skip

    def restore(self, dumped: Mapping[str, Any]) -> bool:
        """Take up a dump on an untouched fleet. False, and nothing done, when it is of another data centre."""
        if dumped["of"] != self._identity():
            return False
        for host, condition in dumped["hosts"].items():
            self.host_conditions[self.directory.host(host).index] = HostCondition(**_tuples(condition))
        for vm, condition in dumped["vms"].items():
            self.vm_conditions[self.directory.vm(vm).index] = VmCondition(**_tuples(condition))
        for host, (boot, *guests_before) in dumped["boots"].items():
            index = self.directory.host(host).index
            self._host_boots[index], self._guests_before[index] = boot, guests_before
        for member, life in dumped["lives"].items():
            self._meters.resume(int(member), Life(**life))
            self._bend(int(member), life["since"])
        return True

    def _identity(self) -> list[int]:
        return [self.centre.seed, len(self.centre.hosts), len(self.centre.vms)]


def _tuples(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {**condition, "filled": tuple(condition["filled"])}
