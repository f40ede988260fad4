"""What the simulated data centre consists of: hosts, VMs, disks and NICs, all given by (seed, hosts, vms).

VMs come first and differ in size; they are spread over the hosts by weight; each host is then the smallest server of a
catalogue that carries twice its VMs without overcommitment. So no load that VMs can make ever exceeds their host.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final

from core.drivers.simulated.chance import Chance, Words

EPOCH: Final = 1_735_689_600.0
"""2025-01-01 UTC: the simulated world begins; every host and VM has been up since some day of that year."""

DAY: Final = 86_400.0
_CPU_ROOM: Final = 0.82
"""The part of a host's threads that VMs may have: the rest covers the host itself and uneven use of its threads."""
_MEMORY_ROOM: Final = 0.5
"""The part of a host's memory that VMs have at first: the rest is for those that are opened."""
_STORE_ROOM: Final = 0.5
_SIZES: Final = (
    ((1, 1), 0.16), ((1, 2), 0.19), ((2, 2), 0.1), ((2, 4), 0.15), ((2, 8), 0.1), ((4, 8), 0.14), ((4, 16), 0.06),
    ((8, 16), 0.05), ((8, 32), 0.02), ((16, 32), 0.02), ((16, 64), 0.01),
)  # fmt: skip
"""(vCPUs, GB) of VMs, and how common they are."""
_ROLES: Final = (("web", 0.3), ("app", 0.25), ("db", 0.15), ("cache", 0.1), ("batch", 0.1), ("dev", 0.1))
_THREADS: Final = (16, 32, 48, 64, 96, 128, 192, 256)
_MODELS: Final = (("GenuineIntel", 0.6), ("AuthenticAMD", 0.4))


@dataclass(frozen=True, slots=True)
class SimDisk:
    """`device` as the guest sees it; `path` of its image on the host."""

    id: str
    device: str
    size_gb: int
    path: str


@dataclass(frozen=True, slots=True)
class SimNic:
    """`device` is the tap, named alike on every host, so that it stays the same when the VM moves; `mac` is locally
    administered."""

    id: str
    device: str
    mac: str
    ip: str
    bridge: str
    network_id: str | None = None


@dataclass(frozen=True, slots=True)
class SimVm:
    """`index` is its position in `DataCentre.vms` or, if it came later, among all objects of the fleet; `host` is that
    of the host it is first placed on; `boot` in epoch seconds."""

    index: int
    id: str
    name: str
    uuid: str
    host: int
    vcpus: int
    memory_mb: int
    boot: float
    disks: tuple[SimDisk, ...]
    nics: tuple[SimNic, ...]
    nested: bool = False


@dataclass(frozen=True, slots=True)
class SimHost:
    """`vms` are first placed here, as positions in `DataCentre.vms`; `store_gb` is the size of the file system of the
    VMs' images."""

    index: int
    id: str
    name: str
    threads: int
    sockets: int
    memory_mb: int
    cpu_vendor: str
    kernel: str
    mac: str
    root_gb: int
    store_gb: int
    boot: float
    vms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DataCentre:
    seed: int
    hosts: tuple[SimHost, ...]
    vms: tuple[SimVm, ...]


def build(seed: int, hosts: int, vms: int) -> DataCentre:
    """The same arguments give the same data centre. VMs need at least one host: ValueError."""
    if vms and not hosts:
        raise ValueError(f"{vms} simulated VMs need at least one simulated host")
    chance = Chance(seed)
    homes = _homes(chance, hosts, vms)
    machines = _vms(chance, homes)
    residents: list[list[SimVm]] = [[] for _ in range(hosts)]
    for machine in machines:
        residents[machine.host].append(machine)
    boots = chance.uniform("host boot", hosts, EPOCH, EPOCH + 30 * DAY)
    vendors = chance.choice("vendor", hosts, _MODELS)
    macs = chance.words("host mac", hosts)
    return DataCentre(
        seed,
        tuple(_host(i, residents[i], float(boots[i]), vendors[i], int(macs[i])) for i in range(hosts)),
        tuple(machines),
    )


def _homes(chance: Chance, hosts: int, vms: int) -> list[int]:
    """Host of each VM: always the one that is least full for its weight, so that larger hosts carry more."""
    weights = chance.choice("host weight", hosts, ((0.8, 1.0), (1.0, 2.0), (1.25, 1.0)))
    share = sum(weights) / vms if vms else 1.0
    slots = sorted((share * (place + 0.5) / weight, host) for host, weight in enumerate(weights)
                   for place in range(ceil(vms * weight / sum(weights)) + 1))  # fmt: skip
    return [host for _, host in slots[:vms]]


def _vms(chance: Chance, homes: list[int]) -> list[SimVm]:
    count = len(homes)
    sizes = chance.choice("size", count, _SIZES)
    roles = chance.choice("role", count, _ROLES)
    boots = chance.uniform("vm boot", count, EPOCH + 31 * DAY, EPOCH + 330 * DAY)
    uuids = _uuids(chance.words("uuid high", count), chance.words("uuid low", count))
    disks = _disks(chance, count)
    nics = _nics(chance, count)
    return [
        SimVm(
            i,
            f"vm-sim-{i + 1:05d}",
            f"{roles[i]}-{i + 1:05d}",
            uuids[i],
            homes[i],
            sizes[i][0],
            sizes[i][1] * 1024,
            float(boots[i]),
            disks[i],
            next(nics),
        )
        for i in range(count)
    ]


def _uuids(high: Words, low: Words) -> list[str]:
    return [str(uuid.UUID(int=int(h) << 64 | int(w), version=4)) for h, w in zip(high, low, strict=True)]


def _disks(chance: Chance, count: int) -> list[tuple[SimDisk, ...]]:
    numbers = chance.choice("disks", count, ((1, 0.5), (2, 0.35), (3, 0.15)))
    system = chance.choice("system disk", count, ((20, 0.3), (40, 0.5), (80, 0.2)))
    extra = chance.choice("extra disk", count * 2, ((50, 0.3), (100, 0.4), (200, 0.2), (500, 0.1)))
    return [
        tuple(
            SimDisk(f"disk-sim-{name}", f"vd{letter}", size, image_path(f"vm-sim-{name}"))
            for letter, size in zip("abc"[: numbers[i]], (system[i], *extra[2 * i : 2 * i + 2]), strict=False)
            for name in (f"{i + 1:05d}-vd{letter}",)
        )
        for i in range(count)
    ]


def image_path(name: str) -> str:
    """Of a disk's image on its host."""
    return f"/var/lib/libvirt/images/{name}.qcow2"


def _nics(chance: Chance, count: int) -> Iterator[tuple[SimNic, ...]]:
    scramble = int(chance.words("mac", 1)[0])
    serial = 0
    for vm, number in enumerate(chance.choice("nics", count, ((1, 0.75), (2, 0.25))), 1):
        nics = []
        for position in range(number):
            subnet, place = divmod(serial, 240)
            ip = f"10.{128 + subnet // 256}.{subnet % 256}.{place + 10}"
            mac = _mac("52:54:00", serial * 0x9E3779 + scramble)
            nics.append(SimNic(f"nic-sim-{vm:05d}-{position}", f"vnet{serial}", mac, ip, "br0"))
            serial += 1
        yield tuple(nics)


def _mac(prefix: str, number: int) -> str:
    """`number` modulo 2**24; an odd step through it visits every address once."""
    return f"{prefix}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def _host(index: int, vms: list[SimVm], boot: float, vendor: str, word: int) -> SimHost:
    threads = _smallest(_THREADS, sum(vm.vcpus for vm in vms) / _CPU_ROOM)
    memory_gb = _smallest((64, 128, 256, 512, 1024, 2048), (sum(vm.memory_mb for vm in vms) / 1024 + 4) / _MEMORY_ROOM)
    store = sum(disk.size_gb for vm in vms for disk in vm.disks)
    return SimHost(
        index=index,
        id=f"host-sim-{index + 1:03d}",
        name=f"sim-node-{index + 1:03d}",
        threads=threads,
        sockets=1 if threads <= 32 else 2,
        memory_mb=memory_gb * 1024,
        cpu_vendor=vendor,
        kernel="6.1.0-18-amd64",
        mac=_mac("02:73:69", word),
        root_gb=100,
        store_gb=_smallest((1000, 2000, 4000, 8000, 16000), store / _STORE_ROOM),
        boot=boot,
        vms=tuple(vm.index for vm in vms),
    )


def _smallest(catalogue: tuple[int, ...], need: float) -> int:
    """The first size that is enough; beyond the catalogue the largest is doubled until it is."""
    for size in catalogue:
        if size >= need:
            return size
    size = catalogue[-1]
    while size < need:
        size *= 2
    return size
