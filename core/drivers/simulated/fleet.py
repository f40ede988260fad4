"""The running data centre: where its VMs are, what their switches say, and what is broken.

One thread owns a fleet. Time comes with every call; it does not run backwards across changes: a change dated before an
earlier one takes effect at that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from core.drivers.simulated import chronicle
from core.drivers.simulated.chance import Floats
from core.drivers.simulated.datacentre import DataCentre, SimHost, SimVm
from core.drivers.simulated.faults import (
    EVERYTHING,
    Action,
    Directory,
    Fault,
    HostCondition,
    VmCondition,
    on_host,
    on_vm,
)
from core.drivers.simulated.load import Channel, Ints
from core.drivers.simulated.meter import Meters
from core.drivers.simulated.records import Records
from core.drivers.simulated.roster import Roster
from core.errors import Conflict, Invalid

LOADED: Final = 0.97
"""How busy the vCPUs of a loaded VM are."""
OVERCOMMIT: Final = 2
"""vCPUs per thread that a host takes when VMs are moved to it."""


class Fleet:
    """`host_conditions` and `boots` by position of the host; `vms`, `vm_conditions` and `homes` by index of the VM.

    `records` is what its hypervisors know beside it: snapshots, backups, volumes.
    """

    def __init__(self, centre: DataCentre) -> None:
        self.centre = centre
        self.directory = Directory(centre)
        self.load = Roster(centre)
        self.records = Records()
        self.vms: dict[int, SimVm] = {vm.index: vm for vm in centre.vms}
        self.host_conditions = [HostCondition() for _ in centre.hosts]
        self.vm_conditions = {vm.index: VmCondition(vm.vcpus, vm.memory_mb) for vm in centre.vms}
        self.homes = {vm.index: vm.host for vm in centre.vms}
        self._residents = [host.vms for host in centre.hosts]
        self.boots = [host.boot for host in centre.hosts]
        self.guests_before = np.zeros((len(centre.hosts), len(Channel)))
        self.meters = Meters(self.load.profile, np.array([vm.boot for vm in centre.vms] + self.boots, np.float64))
        self.touched: set[int] = set()

    # --- what it is

    def residents(self, host: int) -> tuple[int, ...]:
        """VMs of a host, running or not."""
        return self._residents[host]

    def members(self, host: int) -> Ints:
        """Positions in the meters: the host's VMs and, last, the host itself."""
        return np.array([*self.residents(host), self.position(host)], np.int64)

    def position(self, host: int) -> int:
        """Of a host in the meters."""
        return len(self.centre.vms) + host

    def runs(self, vm: int) -> bool:
        return self.vm_conditions[vm].on and not self.host_conditions[self.homes[vm]].crashed

    def guests(self, host: int, work: Floats) -> Floats:
        """(channels,) counters of all VMs of a host since its boot, from their `work` (channels, VMs)."""
        result: Floats = work.sum(axis=-1) - self.guests_before[host]
        return result

    # --- what happens to it

    def apply(self, fault: Fault, at: float) -> None:
        """Invalid, Conflict: nothing was done."""
        if fault.action is Action.HEAL and fault.target in ("", EVERYTHING):
            self._heal_everything(at)
            return
        found = self._target(fault)
        if isinstance(found, SimHost):
            self._change_host(found, on_host(fault, found, self.host_conditions[found.index]), at)
            return
        home = self.homes[found.index]
        if fault.action is Action.LOAD_VM and self._vcpus(home) > self.centre.hosts[home].threads:
            raise Conflict("VM", found.id, f"its host {self.centre.hosts[home].id} is overcommitted and cannot load it")
        condition = on_vm(fault, found, self.vm_conditions[found.index], self.host_conditions[home])
        self._change_vm(found, condition, at, restarted=fault.action is Action.RESTART_VM)

    def set_power(self, vm: str, *, on: bool, at: float) -> None:
        """Switch a VM on (its counters begin at 0) or off. Doing it twice changes nothing. Invalid: no such VM."""
        found = self.directory.vm(vm)
        condition = self.vm_conditions[found.index]
        if condition.on != on:
            self._change_vm(found, replace(condition, on=on, loaded=condition.loaded and on), at, restarted=on)

    def resize(self, vm: str, *, vcpus: int, memory_mb: int, at: float, overcommit: int = 1) -> None:
        """Invalid: no such VM or size. Conflict: its host has not enough left; nothing was done."""
        found = self.directory.vm(vm)
        for name, value in (("vcpus", vcpus), ("memory_mb", memory_mb)):
            if value < 1:
                raise Invalid(name, f"{value} is too small", "1 or more")
        now = self.vm_conditions[found.index]
        wanted = replace(now, vcpus=vcpus, memory_mb=memory_mb)
        host = self.centre.hosts[self.homes[found.index]]
        problem = self.lack(host, vcpus - now.vcpus, memory_mb - now.memory_mb, overcommit=overcommit)
        if problem and now.on:
            raise Conflict("VM", found.id, problem)
        self._change_vm(found, wanted, at)

    def move(self, vm: str, host: str, at: float) -> None:
        """The VM is on this host and on no other; a VM that comes from another one starts anew.

        Invalid: no such VM or host. Conflict: the host is down or has not enough left; nothing was done.
        """
        found, goal = self.directory.vm(vm), self.directory.host(host)
        index, source = found.index, self.homes[found.index]
        if source == goal.index:
            return
        if self.host_conditions[goal.index].crashed:
            raise Conflict("host", goal.id, "is down (crash-host)")
        condition = self.vm_conditions[index]
        if problem := self.lack(goal, condition.vcpus, condition.memory_mb, overcommit=OVERCOMMIT):
            raise Conflict("VM", found.id, problem)
        work = self._work(index, at)
        self.guests_before[source] -= work
        self.guests_before[goal.index] += work
        self.settle(index, goal.index)
        self.bend(index, at)
        self.meters.restart([index], at)

    def admit(self, vm: SimVm, condition: VmCondition, at: float) -> SimVm:
        """One VM more, on its host; the same with its index."""
        admitted = replace(vm, index=self.load.admit(vm))
        index = admitted.index
        if index >= self.meters.size:
            self.meters.grow(self.load.profile)
        self.vms[index], self.vm_conditions[index], self.homes[index] = admitted, condition, vm.host
        self._residents[vm.host] = tuple(sorted((*self._residents[vm.host], index)))
        self.describe(admitted)
        self.meters.begin(index, at)
        self.bend(index, at)
        return admitted

    def dismiss(self, vm: SimVm, at: float) -> None:
        """The VM is gone with its disks. What it did stays in its host's counters."""
        home = self.homes.pop(vm.index)
        self.guests_before[home] -= self._work(vm.index, at)
        self._residents[home] = tuple(other for other in self._residents[home] if other != vm.index)
        self.directory.dismiss(vm)
        self.load.dismiss(vm, vm.index)
        self.touched.discard(vm.index)
        del self.vms[vm.index], self.vm_conditions[vm.index]

    def describe(self, vm: SimVm) -> None:
        """A VM has these disks and NICs from now on. Disks that it has no more are not forgotten: they may be
        volumes."""
        self.vms[vm.index] = vm
        self.directory.admit(vm)
        for disk in vm.disks:
            self.load.ensure_disk(disk.id)

    def restart(self, vm: int, at: float) -> None:
        """Counters of the VM begin at 0."""
        self.meters.restart([vm], at)

    def settle(self, vm: int, host: int) -> None:
        """The VM is on this host from now on."""
        source, self.homes[vm] = self.homes[vm], host
        self._residents[source] = tuple(other for other in self._residents[source] if other != vm)
        self._residents[host] = tuple(sorted((*self._residents[host], vm)))

    def _work(self, vm: int, at: float) -> Floats:
        return self.meters.work(at, np.array([vm]))[:, 0]

    def _vcpus(self, host: int) -> int:
        return sum(condition.vcpus for condition in self._powered(host))

    def _powered(self, host: int) -> list[VmCondition]:
        """What is off, as templates always are, takes storage only."""
        return [condition for i in self.residents(host) if (condition := self.vm_conditions[i]).on]

    def lack(self, host: SimHost, vcpus: int, memory_mb: int, *, overcommit: int) -> str:
        """What the host has not enough of for so much more; empty when it fits."""
        if vcpus > 0 and self._vcpus(host.index) + vcpus > host.threads * overcommit:
            return f"{host.id} has not enough CPU left for {vcpus} more vCPUs"
        if (
            memory_mb > 0
            and sum(condition.memory_mb for condition in self._powered(host.index)) + memory_mb > host.memory_mb
        ):
            return f"{host.id} has not enough memory left for {memory_mb} MB more"
        return ""

    def _target(self, fault: Fault) -> SimHost | SimVm:
        match fault.action:
            case Action.CRASH_HOST | Action.CUT_LINK | Action.HANG_EXPORTER:
                return self.directory.host(fault.target)
            case Action.RESTART_VM | Action.LOAD_VM:
                return self.directory.vm(fault.target)
            case Action.FILL_DISK | Action.FAIL_OPERATION | Action.LOSE_NETWORK | Action.HEAL:
                return self.directory.either(fault.target)

    def _heal_everything(self, at: float) -> None:
        heal = Fault(Action.HEAL, EVERYTHING)
        for host in self.centre.hosts:
            if self.host_conditions[host.index].faults:
                self._change_host(host, on_host(heal, host, self.host_conditions[host.index]), at)
        for vm in tuple(self.vms.values()):
            condition = self.vm_conditions[vm.index]
            if condition.faults:
                self._change_vm(vm, on_vm(heal, vm, condition, self.host_conditions[self.homes[vm.index]]), at)

    def _change_host(self, host: SimHost, condition: HostCondition, at: float) -> None:
        before, self.host_conditions[host.index] = self.host_conditions[host.index], condition
        if before.crashed == condition.crashed:
            return
        members = self.members(host.index)
        for member in members.tolist():
            self.bend(member, at)
        if before.crashed:
            self.meters.restart(members.tolist(), at)
            self.guests_before[host.index] = self.meters.work(at, members[:-1]).sum(axis=-1)
            self.boots[host.index] = at

    def _change_vm(self, vm: SimVm, condition: VmCondition, at: float, *, restarted: bool = False) -> None:
        before, self.vm_conditions[vm.index] = self.vm_conditions[vm.index], condition
        if restarted or replace(before, filled=(), failing=()) != replace(condition, filled=(), failing=()):
            self.bend(vm.index, at)
        if restarted:
            self.meters.restart([vm.index], at)

    def bend(self, member: int, at: float) -> None:
        """Let the meter of a VM or host follow its condition."""
        self.touched.add(member)
        host = member - len(self.centre.vms)
        if 0 <= host < len(self.centre.hosts):
            gain = 0.0 if self.host_conditions[host].crashed else 1.0
            self.meters.bend(member, at, gain, gain, 0.0)
            return
        condition = self.vm_conditions[member]
        if not self.runs(member):
            self.meters.bend(member, at, 0.0, 0.0, 0.0)
        elif condition.loaded:
            self.meters.bend(member, at, 0.0, 1.0, LOADED * condition.vcpus)
        else:
            self.meters.bend(member, at, condition.vcpus / self.vms[member].vcpus, 1.0, 0.0)

    # --- what outlives the process

    def dump(self) -> dict[str, Any]:
        """Everything that differs from a data centre that nobody touched, for orjson."""
        return chronicle.dump(self)

    def restore(self, dumped: Mapping[str, Any]) -> bool:
        """Take up a dump on an untouched fleet. False, and nothing done, when it is of another data centre."""
        return chronicle.restore(self, dumped)
