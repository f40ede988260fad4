"""How much VMs and hosts do: closed-form functions of (object, time), and their exact integrals.

A rate is `level * (1 + daily + weekly + slow waves) + noise + bursts`, never negative. Each term has a closed integral,
so a counter is looked up at any instant instead of being kept: it cannot depend on when, how often or in which order it
is asked. Noise is the derivative of a polyline through hashed heights: the counter is that polyline, the rate its
slopes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.drivers.simulated.chance import Chance, Floats, Words, mix, unit
from core.drivers.simulated.datacentre import DAY, EPOCH, DataCentre, SimVm

Ints = NDArray[np.int64]

BUSY_CEILING: Final = 0.88
"""No VM uses more of its vCPUs than this by itself; what exceeds it was injected."""

_TAU: Final = 2 * np.pi
_WEEK: Final = 7 * DAY
_SUNDAY: Final = _TAU * 4.5 / 7 - 1.5 * np.pi
"""Phase of a week that is quietest at Sunday noon: EPOCH is a Wednesday."""

_KB: Final = 1024.0
_DIVISORS: Final = {"wave_period", "step", "burst_period"}


class Channel(IntEnum):
    """What is counted: busy thread-seconds, and bytes of all disks and NICs of an object (received, sent: its point of
    view)."""

    CPU = 0
    READ = 1
    WRITE = 2
    RECEIVED = 3
    SENT = 4


@dataclass(frozen=True, slots=True)
class Profile:
    """Parameters of n objects, each (channels, n); phases in radians, times in seconds, `key` addresses the noise."""

    level: Floats
    daily: Floats
    daily_phase: Floats
    weekly: Floats
    wave: Floats
    wave_period: Floats
    wave_phase: Floats
    noise: Floats
    step: Floats
    key: Words
    burst: Floats
    burst_period: Floats
    burst_length: Floats
    burst_offset: Floats

    def take(self, objects: Ints) -> Profile:
        """The same for some objects only."""
        return Profile(*(np.ascontiguousarray(getattr(self, field.name)[:, objects]) for field in fields(self)))

    def grown(self, number: int) -> Profile:
        """The same with so many more objects, which do nothing yet."""
        more = np.zeros((len(Channel), number))
        return Profile(
            *(
                np.hstack((column, (more + (field.name in _DIVISORS)).astype(column.dtype)))
                for field in fields(self)
                for column in (getattr(self, field.name),)
            )
        )

    def put(self, item: int, one: Profile) -> None:
        """The object at this position is from now on the only one of `one`."""
        for field in fields(self):
            getattr(self, field.name)[:, item] = getattr(one, field.name)[:, 0]

    def total(self, at: float | Floats) -> Floats:
        """The integral of the rates from the beginning to `at` (epoch seconds, anything that broadcasts): (...,
        channels, n)."""
        x = at - EPOCH
        smooth = (
            x
            - self.daily * (DAY / _TAU) * np.cos(_TAU / DAY * x - self.daily_phase)
            - self.weekly * (_WEEK / _TAU) * np.cos(_TAU / _WEEK * x - _SUNDAY)
            - self.wave * (self.wave_period / _TAU) * np.cos(_TAU / self.wave_period * x - self.wave_phase)
        )
        y = x + self.burst_offset
        cycles = np.floor(y / self.burst_period)
        bursts = cycles * self.burst_length + np.minimum(y - cycles * self.burst_period, self.burst_length)
        result: Floats = self.level * smooth + self.noise * self.step * self._polyline(x) + self.burst * bursts
        return result

    def ceiling(self) -> Floats:
        """What the rates never exceed: (channels, n)."""
        result: Floats = self.level * (1 + self.daily + self.weekly + self.wave) + self.noise + self.burst
        return result

    def _polyline(self, x: float | Floats) -> Floats:
        u = x / self.step
        k = np.floor(u)
        left = self.key + k.astype(np.int64).astype(np.uint64)
        low = unit(mix(left))
        result: Floats = low + (unit(mix(left + np.uint64(1))) - low) * (u - k)
        return result


@dataclass(frozen=True, slots=True)
class Gauges:
    """Parameters of what is a level and not a flow: used memory per object, used space per disk; fractions of the
    size."""

    memory: Floats
    memory_phase: Floats
    space: Floats
    space_period: Floats
    space_phase: Floats

    def memory_used(self, at: float, objects: Ints) -> Floats:
        """(n,) fractions: follows the day, wobbles over minutes."""
        x = at - EPOCH
        phase = self.memory_phase[objects]
        swing = 0.05 * np.sin(_TAU / DAY * x - phase) + 0.015 * np.sin(_TAU / 420 * x + 7 * phase)
        result: Floats = self.memory[objects] + swing
        return result

    def grown(self, vms: int = 0, disks: int = 0) -> Gauges:
        """The same with more objects and disks, which use nothing yet."""
        objects, devices = np.zeros(vms), np.zeros(disks)
        return Gauges(
            memory=np.append(self.memory, objects),
            memory_phase=np.append(self.memory_phase, objects),
            space=np.append(self.space, devices),
            space_period=np.append(self.space_period, devices + 1),
            space_phase=np.append(self.space_phase, devices),
        )

    def space_used(self, at: float | Floats, disks: Ints) -> Floats:
        """(n,) fractions: grows for weeks, then somebody cleans up."""
        cycle = ((at - EPOCH) / self.space_period[disks] + self.space_phase[disks]) % 1.0
        result: Floats = self.space[disks] + 0.15 * cycle
        return result


@dataclass(frozen=True, slots=True)
class Load:
    """Objects are the VMs in their order, then the hosts themselves. `first_disk[i]` is where VM i's disks begin."""

    profile: Profile
    gauges: Gauges
    first_disk: Ints


def of_vm(seed: int, vm: SimVm) -> Load:
    """What a VM does that no data centre was built with: given by its id and size. Its disks are `of_disk`."""
    chance = Chance(_own(seed, vm.id))
    alone = DataCentre(seed, (), (vm,))
    return Load(_profile(chance, alone), _gauges(chance, 1, 0), np.zeros(1, np.int64))


def of_disk(seed: int, disk_id: str) -> Gauges:
    """How full one disk is: given by its id."""
    return _gauges(Chance(_own(seed, disk_id)), 0, 1)


def _own(seed: int, id_: str) -> int:
    return seed ^ int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=8).digest())


def build(centre: DataCentre) -> Load:
    chance = Chance(centre.seed)
    counts = np.array([0, *(len(vm.disks) for vm in centre.vms)], np.int64)
    return Load(_profile(chance, centre), _gauges(chance, len(centre.vms), int(counts.sum())), np.cumsum(counts)[:-1])


def _profile(chance: Chance, centre: DataCentre) -> Profile:
    vms, count = len(centre.vms), len(centre.vms) + len(centre.hosts)
    shape = (len(Channel), count)

    def spread(stream: str, low: float, high: float) -> Floats:
        return chance.uniform(stream, len(Channel) * count, low, high).reshape(shape)

    level, burst = _levels(chance, centre)
    night = np.where(chance.uniform("night", count) < 0.12, np.pi, 0.0)
    daily_phase = _TAU * 8 / 24 + night + chance.uniform("daily phase", count, -0.5, 0.5)
    burst_period = spread("burst period", 1_800, 14_400)
    return Profile(
        level=level,
        daily=np.tile(chance.uniform("daily", count, 0.15, 0.45), (len(Channel), 1)),
        daily_phase=np.tile(daily_phase, (len(Channel), 1)),
        weekly=np.tile(
            np.where(np.arange(count) < vms, chance.uniform("weekly", count, 0.02, 0.15), 0.02), (len(Channel), 1)
        ),
        wave=spread("wave", 0.03, 0.15),
        wave_period=spread("wave period", 240, 3_600),
        wave_phase=spread("wave phase", 0, _TAU),
        noise=level * spread("noise", 0.05, 0.22),
        step=spread("step", 15, 60),
        key=chance.words("noise key", len(Channel) * count).reshape(shape),
        burst=burst,
        burst_period=burst_period,
        burst_length=burst_period * spread("burst length", 0.01, 0.06),
        burst_offset=spread("burst offset", 0, 14_400),
    )


def _levels(chance: Chance, centre: DataCentre) -> tuple[Floats, Floats]:
    """Mean rates and bursts, (channels, n). CPU: level * 1.97 + burst stays below BUSY_CEILING of the vCPUs."""
    vms, hosts = len(centre.vms), len(centre.hosts)
    idle = chance.uniform("idle", vms) < 0.3
    busy = np.where(idle, chance.uniform("idle level", vms, 0.004, 0.03), chance.uniform("busy level", vms, 0.06, 0.34))
    vcpus = np.array([vm.vcpus for vm in centre.vms], np.float64)
    room = BUSY_CEILING - busy * 1.97
    traffic = np.exp(chance.uniform("traffic", 4 * vms, np.log(2 * _KB), np.log(1500 * _KB)).reshape(4, vms))
    traffic = np.where(idle, traffic * 0.02, traffic)
    level = np.zeros((len(Channel), vms + hosts))
    level[Channel.CPU, :vms] = busy * vcpus
    level[Channel.READ :, :vms] = traffic
    burst = level * 2.0
    burst[Channel.CPU, :vms] = room * vcpus * chance.uniform("burst", vms, 0.3, 1.0) * np.where(idle, 0.1, 1.0)
    threads = np.array([host.threads for host in centre.hosts], np.float64)
    level[Channel.CPU, vms:] = threads * chance.uniform("host level", hosts, 0.004, 0.012)
    level[Channel.READ :, vms:] = chance.uniform("host traffic", 4 * hosts, 2 * _KB, 40 * _KB).reshape(4, hosts)
    return level, burst


def _gauges(chance: Chance, vms: int, disks: int) -> Gauges:
    return Gauges(
        memory=chance.uniform("memory", vms, 0.2, 0.72),
        memory_phase=chance.uniform("memory phase", vms, 1.6, 2.6),
        space=chance.uniform("space", disks, 0.12, 0.58),
        space_period=chance.uniform("space period", disks, 12 * DAY, 60 * DAY),
        space_phase=chance.uniform("space phase", disks),
    )
