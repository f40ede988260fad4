"""The pages of a host and of its VMs at any instant: readings of the fleet, rendered.

What does not change between two scrapes - lines, labels, the load's parameters of one host - is prepared once, when the
host is first asked, and again when its VMs have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.drivers.simulated.chance import Floats
from core.drivers.simulated.datacentre import DAY, EPOCH, SimVm
from core.drivers.simulated.faults import MOUNTPOINTS, VmCondition
from core.drivers.simulated.fleet import Fleet
from core.drivers.simulated.host_page import HostPage
from core.drivers.simulated.load import Channel, Ints, Profile
from core.drivers.simulated.reading import Reading
from core.drivers.simulated.vm_page import VmPage

FULL: Final = 0.96
"""How full a filled disk is."""

_GIB: Final = 2.0**30
_MIB: Final = 2.0**20
_DISK_SPEED: Final = 500e6
_BACK: Final = np.array([0.0, 60.0, 300.0, 900.0]).reshape(4, 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Rig:
    """What is prepared for one host. `running[i]`: whether its VM i runs; `disks` are positions in the gauges."""

    running: tuple[bool, ...]
    members: Ints
    vms: tuple[SimVm, ...]
    profile: Profile
    disks: Ints
    disk_sizes: Floats
    host_page: HostPage
    vm_page: VmPage


class Pages:
    """Belongs to who owns the fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._rigs: dict[int, _Rig] = {}

    def host_page(self, host: int, at: float) -> bytes:
        """The host's own page, in node_exporter's names."""
        rig = self._rig(host)
        return rig.host_page.render(self._reading(rig, host, at))

    def vm_page(self, host: int, at: float) -> bytes:
        """The page of the host's VMs, in a libvirt exporter's names."""
        rig = self._rig(host)
        return rig.vm_page.render(self._reading(rig, host, at))

    def _rig(self, host: int) -> _Rig:
        residents = self.fleet.residents(host)
        running = tuple(map(self.fleet.runs, residents))
        rig = self._rigs.get(host)
        vms = tuple(self.fleet.vms[i] for i in residents)
        if rig is None or rig.running != running or not _same(rig.vms, vms):
            rig = self._rigs[host] = self._prepare(host, running)
        return rig

    def _prepare(self, host: int, running: tuple[bool, ...]) -> _Rig:
        fleet, here = self.fleet, self.fleet.centre.hosts[host]
        members = fleet.members(host)
        vms = tuple(fleet.vms[int(i)] for i in members[:-1])
        profile = fleet.load.profile.take(members)
        disks = [position for vm in vms for position in fleet.load.disks(vm)]
        traffic = float(profile.ceiling()[[Channel.READ, Channel.WRITE]].sum())
        return _Rig(
            running=running,
            members=members,
            vms=vms,
            profile=profile,
            disks=np.array(disks, np.int64),
            disk_sizes=np.array([disk.size_gb for vm in vms for disk in vm.disks], np.float64) * _GIB,
            host_page=HostPage(here, vms, max(traffic * 1.25, _DISK_SPEED), fleet.centre.seed),
            vm_page=VmPage(vms, running),
        )

    def _reading(self, rig: _Rig, host: int, at: float) -> Reading:
        fleet, here = self.fleet, self.fleet.centre.hosts[host]
        works = fleet.meters.work(at - _BACK, rig.members, rig.profile)
        counters = fleet.meters.counters(works[0], rig.members)
        busy = works[:, Channel.CPU].sum(axis=-1)
        conditions = [fleet.vm_conditions[vm.index] for vm in rig.vms]
        memory = np.array([condition.memory_mb for condition in conditions], np.float64) * _MIB
        used = fleet.load.gauges.memory_used(at, rig.members[:-1]) * memory
        space = self._space(rig, at, conditions)
        root, store = self._volumes(host, at, float(space.sum()))
        return Reading(
            at=at,
            boot=fleet.boots[host],
            own=counters[:, -1],
            guests=fleet.guests(host, works[0][:, :-1]),
            demand=(busy[0] - busy[1:]) / _BACK[1:, 0, 0],
            counters=counters[:, :-1],
            vcpus=np.array([condition.vcpus for condition in conditions], np.float64),
            memory=memory,
            memory_used=used * np.array(rig.running, np.float64),
            space_used=space,
            root_used=root * here.root_gb * _GIB,
            store_used=store,
        )

    def _volumes(self, host: int, at: float, images: float) -> tuple[float, float]:
        """How full the root file system is, as a fraction, and bytes used where the images are."""
        filled = self.fleet.host_conditions[host].filled
        size = self.fleet.centre.hosts[host].store_gb * _GIB
        root = FULL if MOUNTPOINTS[0] in filled else 0.22 + 0.08 * ((at - EPOCH) / (20 * DAY) % 1.0)
        return root, size * FULL if MOUNTPOINTS[1] in filled else min(images + size * 0.01, size)

    def _space(self, rig: _Rig, at: float, conditions: Sequence[VmCondition]) -> Floats:
        """Bytes in use on each disk of the host's VMs."""
        used = self.fleet.load.space_used(at, rig.disks)
        full = [disk.device in condition.filled
                for vm, condition in zip(rig.vms, conditions, strict=True) for disk in vm.disks]  # fmt: skip
        result: Floats = np.where(np.array(full, bool), FULL, used) * rig.disk_sizes
        return result


def _same(some: Sequence[SimVm], others: Sequence[SimVm]) -> bool:
    """Whether they are the very same descriptions."""
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))
