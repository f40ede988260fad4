"""What the objects of a fleet do, by position: first the VMs that the data centre was built with, then the hosts, then
the VMs that came later. Positions of the latter are used again when they are gone."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import numpy as np

from core.drivers.simulated import load
from core.drivers.simulated.chance import Floats
from core.drivers.simulated.datacentre import DataCentre, SimVm
from core.drivers.simulated.load import Gauges, Ints

_CHUNK: Final = 64
"""So many positions are made at once."""


class Roster:
    """`profile`, `gauges`: parameters by position; the space gauges by position of the disk."""

    def __init__(self, centre: DataCentre) -> None:
        built = load.build(centre)
        self.profile, self.gauges = built.profile, built.gauges
        self._seed = centre.seed
        self._disks = {
            disk.id: int(built.first_disk[vm.index]) + n for vm in centre.vms for n, disk in enumerate(vm.disks)
        }
        self._delays = np.zeros(len(self.gauges.space))
        self._vms_free: list[int] = []
        self._disks_free: list[int] = []
        self.gauges = self.gauges.grown(vms=len(centre.hosts))
        self._later = self.size

    @property
    def size(self) -> int:
        """Positions there are, taken or not."""
        return int(self.profile.level.shape[1])

    def admit(self, vm: SimVm) -> int:
        """The position of one more VM; its disks come by `keep_disks`."""
        if not self._vms_free:
            self._vms_free = list(range(self.size, self.size + _CHUNK))
            self.profile, self.gauges = self.profile.grown(_CHUNK), self.gauges.grown(vms=_CHUNK)
        position = self._vms_free.pop(0)
        own = load.of_vm(self._seed, vm)
        self.profile.put(position, own.profile)
        self.gauges.memory[position] = own.gauges.memory[0]
        self.gauges.memory_phase[position] = own.gauges.memory_phase[0]
        return position

    def dismiss(self, vm: SimVm, position: int) -> None:
        """A VM and its disks are gone."""
        if position >= self._later:
            self._vms_free.append(position)
        for disk in vm.disks:
            self.forget_disk(disk.id)

    def ensure_disk(self, disk_id: str) -> None:
        if disk_id in self._disks:
            return
        if not self._disks_free:
            here = len(self.gauges.space)
            self._disks_free = list(range(here, here + _CHUNK))
            self.gauges = self.gauges.grown(disks=_CHUNK)
            self._delays = np.append(self._delays, np.zeros(_CHUNK))
        position = self._disks[disk_id] = self._disks_free.pop(0)
        self._delays[position] = 0.0
        own: Gauges = load.of_disk(self._seed, disk_id)
        for name in (field.name for field in fields(own) if field.name.startswith("space")):
            getattr(self.gauges, name)[position] = getattr(own, name)[0]

    def forget_disk(self, disk_id: str) -> None:
        position = self._disks.pop(disk_id, None)
        if position is not None:
            self._disks_free.append(position)

    def disks(self, vm: SimVm) -> list[int]:
        """Positions of the VM's disks, in their order."""
        return [self._disks[disk.id] for disk in vm.disks]

    # --- disks that were taken back to an earlier moment

    def moment(self, disk_id: str, at: float) -> float:
        """The time whose content the disk has at `at`: earlier than `at` when it was taken back once."""
        return float(at - self._delays[self._disks[disk_id]])

    def take_back(self, disk_id: str, moment: float, at: float) -> None:
        """At `at` the disk is as it was at that moment, and goes on from there."""
        self._delays[self._disks[disk_id]] = at - moment

    def delays(self) -> dict[str, float]:
        """Of disks that have one."""
        return {disk: delay for disk, n in self._disks.items() if (delay := float(self._delays[n]))}

    def space_used(self, at: float, disks: Ints) -> Floats:
        """(n,) fractions."""
        return self.gauges.space_used(at - self._delays[disks], disks)
