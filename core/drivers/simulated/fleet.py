"""The running data centre: where its VMs are, what their switches say, and what is broken.

One thread owns a fleet. Time comes with every call; it does not run backwards across changes: a change dated before an
earlier one takes effect at that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np

from core.drivers.simulated import load as loads
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
from core.drivers.simulated.meter import Life, Meters
from core.errors import Conflict, Invalid

LOADED: Final = 0.97
"""How busy the vCPUs of a loaded VM are."""
OVERCOMMIT: Final = 2
"""vCPUs per thread that a host takes when VMs are moved to it."""


class Fleet:
    """`host_conditions` and `boots` by position of the host; `vm_conditions` and `homes` by position of the VM."""

    def __init__(self, centre: DataCentre) -> None:
        self.centre = centre
        self.directory = Directory(centre)
        self.load = loads.build(centre)
        self.host_conditions = [HostCondition() for _ in centre.hosts]
        self.vm_conditions = [VmCondition(vm.vcpus, vm.memory_mb) for vm in centre.vms]
        self.homes = [vm.host for vm in centre.vms]
        self._residents = [host.vms for host in centre.hosts]
        self.boots = [host.boot for host in centre.hosts]
        self._guests_before = np.zeros((len(centre.hosts), len(Channel)))
        self.meters = Meters(self.load.profile, np.array([vm.boot for vm in centre.vms] + self.boots, np.float64))
        self._touched: set[int] = set()

    # --- what it is

    def residents(self, host: int) -> tuple[int, ...]:
        """VMs of a host, running or not."""
        return self._residents[host]

    def members(self, host: int) -> Ints:
        """Positions in the meters: the host's VMs and, last, the host itself."""
        return np.array([*self.residents(host), len(self.centre.vms) + host], np.int64)

    def runs(self, vm: int) -> bool:
        return self.vm_conditions[vm].on and not self.host_conditions[self.homes[vm]].crashed

    def guests(self, host: int, work: Floats) -> Floats:
        """(channels,) counters of all VMs of a host since its boot, from their `work` (channels, VMs)."""
        result: Floats = work.sum(axis=-1) - self._guests_before[host]
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

    def resize(self, vm: str, *, vcpus: int, memory_mb: int, at: float) -> None:
        """Invalid: no such VM or size. Conflict: its host has not enough left; nothing was done."""
        found = self.directory.vm(vm)
        for name, value in (("vcpus", vcpus), ("memory_mb", memory_mb)):
            if value < 1:
                raise Invalid(name, f"{value} is too small", "1 or more")
        now = self.vm_conditions[found.index]
        wanted = replace(now, vcpus=vcpus, memory_mb=memory_mb)
        host = self.centre.hosts[self.homes[found.index]]
        problem = self._lack(host, vcpus - now.vcpus, memory_mb - now.memory_mb, overcommit=1)
        if problem:
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
        if problem := self._lack(goal, condition.vcpus, condition.memory_mb, overcommit=OVERCOMMIT):
            raise Conflict("VM", found.id, problem)
        work = self.meters.work(at, np.array([index]))[:, 0]
        self._guests_before[source] -= work
        self._guests_before[goal.index] += work
        self._settle(index, goal.index)
        self._bend(index, at)
        self.meters.restart([index], at)

    def _settle(self, vm: int, host: int) -> None:
        source, self.homes[vm] = self.homes[vm], host
        self._residents[source] = tuple(other for other in self._residents[source] if other != vm)
        self._residents[host] = tuple(sorted((*self._residents[host], vm)))

    def _vcpus(self, host: int) -> int:
        return sum(self.vm_conditions[i].vcpus for i in self.residents(host))

    def _lack(self, host: SimHost, vcpus: int, memory_mb: int, *, overcommit: int) -> str:
        """What the host has not enough of for so much more; empty when it fits."""
        if vcpus > 0 and self._vcpus(host.index) + vcpus > host.threads * overcommit:
            return f"{host.id} has not enough CPU left for {vcpus} more vCPUs"
        if (
            memory_mb > 0
            and sum(self.vm_conditions[i].memory_mb for i in self.residents(host.index)) + memory_mb > host.memory_mb
        ):
            return f"{host.id} has not enough memory left for {memory_mb} MB more"
        return ""

    def _target(self, fault: Fault) -> SimHost | SimVm:
        match fault.action:
            case Action.CRASH_HOST | Action.CUT_LINK | Action.HANG_EXPORTER:
                return self.directory.host(fault.target)
            case Action.RESTART_VM | Action.LOAD_VM:
                return self.directory.vm(fault.target)
            case Action.FILL_DISK | Action.HEAL:
                return self.directory.either(fault.target)

    def _heal_everything(self, at: float) -> None:
        heal = Fault(Action.HEAL, EVERYTHING)
        for host in self.centre.hosts:
            if self.host_conditions[host.index].faults:
                self._change_host(host, on_host(heal, host, self.host_conditions[host.index]), at)
        for vm in self.centre.vms:
            condition = self.vm_conditions[vm.index]
            if condition.faults:
                self._change_vm(vm, on_vm(heal, vm, condition, self.host_conditions[self.homes[vm.index]]), at)

    def _change_host(self, host: SimHost, condition: HostCondition, at: float) -> None:
        before, self.host_conditions[host.index] = self.host_conditions[host.index], condition
        if before.crashed == condition.crashed:
            return
        members = self.members(host.index)
        for member in members.tolist():
            self._bend(member, at)
        if before.crashed:
            self.meters.restart(members.tolist(), at)
            self._guests_before[host.index] = self.meters.work(at, members[:-1]).sum(axis=-1)
            self.boots[host.index] = at

    def _change_vm(self, vm: SimVm, condition: VmCondition, at: float, *, restarted: bool = False) -> None:
        before, self.vm_conditions[vm.index] = self.vm_conditions[vm.index], condition
        if restarted or replace(before, filled=()) != replace(condition, filled=()):
            self._bend(vm.index, at)
        if restarted:
            self.meters.restart([vm.index], at)

    def _bend(self, member: int, at: float) -> None:
        """Let the meter of a VM or host follow its condition."""
        self._touched.add(member)
        if member >= len(self.centre.vms):
            gain = 0.0 if self.host_conditions[member - len(self.centre.vms)].crashed else 1.0
            self.meters.bend(member, at, gain, gain, 0.0)
            return
        condition = self.vm_conditions[member]
        if not self.runs(member):
            self.meters.bend(member, at, 0.0, 0.0, 0.0)
        elif condition.loaded:
            self.meters.bend(member, at, 0.0, 1.0, LOADED * condition.vcpus)
        else:
            self.meters.bend(member, at, condition.vcpus / self.centre.vms[member].vcpus, 1.0, 0.0)

    # --- what outlives the process

    def dump(self) -> dict[str, Any]:
        """Everything that differs from a data centre that nobody touched, for JSON."""
        vms, hosts = self.centre.vms, self.centre.hosts
        fresh = HostCondition()
        pasts = zip(hosts, self.boots, self._guests_before.tolist(), strict=True)
        return {
            "of": self._identity(),
            "hosts": {hosts[i].id: asdict(c) for i, c in enumerate(self.host_conditions) if c != fresh},
            "vms": {vms[i].id: asdict(c) for i, c in enumerate(self.vm_conditions)
                    if c != VmCondition(vms[i].vcpus, vms[i].memory_mb)},
            "homes": {vms[i].id: hosts[home].id for i, home in enumerate(self.homes) if home != vms[i].host},
            "pasts": {host.id: [boot, *before] for host, boot, before in pasts if boot != host.boot or any(before)},
            "lives": {str(member): asdict(self.meters.life(member)) for member in sorted(self._touched)},
        }  # fmt: skip

    def restore(self, dumped: Mapping[str, Any]) -> bool:
        """Take up a dump on an untouched fleet. False, and nothing done, when it is of another data centre."""
        if dumped["of"] != self._identity():
            return False
        for host, condition in dumped["hosts"].items():
            self.host_conditions[self.directory.host(host).index] = HostCondition(**_tuples(condition))
        for vm, condition in dumped["vms"].items():
            self.vm_conditions[self.directory.vm(vm).index] = VmCondition(**_tuples(condition))
        for vm, host in dumped["homes"].items():
            self._settle(self.directory.vm(vm).index, self.directory.host(host).index)
        for host, (boot, *before) in dumped["pasts"].items():
            index = self.directory.host(host).index
            self.boots[index], self._guests_before[index] = boot, before
        for member, life in dumped["lives"].items():
            self.meters.resume(int(member), Life(**life))
            self._bend(int(member), life["since"])
        return True

    def _identity(self) -> list[int]:
        return [self.centre.seed, len(self.centre.hosts), len(self.centre.vms)]


def _tuples(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {**condition, "filled": tuple(condition["filled"])}
