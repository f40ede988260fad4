"""Compiled once per layout of a page: which of its values go where, so that a scrape is array operations only.

A *cell* holds one quantity of one object. Cells are laid out kind by kind and quantity by quantity, so that a
quantity of all objects of a kind is one slice. Everything that needs names, labels or dictionaries happens here, and
only when the layout changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from collector.devices import disk_of, file_systems, is_nic, whole_disks
from collector.families import ALIVE, DEVICE, FAMILIES, MOUNTED, UUID_OF_DOMAIN, Family, Quantity, Take
from collector.parse import Series
from core.hosts.targets import Exporter, Target
from core.timeseries.fields import Kind
from core.timeseries.store import Ints

QUANTITIES: Final = tuple(Quantity)
_COLUMN: Final = {quantity: position for position, quantity in enumerate(QUANTITIES)}


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a kind on the page. `owner`: for disks and NICs, the position of their host or VM among the
    owners."""

    kind: Kind
    names: tuple[str, ...]
    owner: Ints
    first_cell: int

    def cells(self, quantity: Quantity) -> slice:
        start = self.first_cell + _COLUMN[quantity] * len(self.names)
        return slice(start, start + len(self.names))


@dataclass(frozen=True, slots=True)
class Plan:
    """`gauges` and `counters` are positions on the page; `gauge_cells` says where each gauge is added. Each counter
    belongs to a group (`counter_groups`), and the rate of group g goes to cell `rate_cells[g]`. `counts`: cells that
    are known beforehand. `alive`: position of the sample that says whether the exporter itself sees anything.
    `strangers`: series of domains that the inventory does not know on this host."""

    owners: Objects
    disks: Objects
    nics: Objects
    size: int
    gauges: Ints
    gauge_cells: Ints
    counters: Ints
    counter_keys: tuple[str, ...]
    counter_groups: Ints
    rate_cells: Ints
    counts: Mapping[int, float]
    alive: int | None
    strangers: int


@dataclass(frozen=True, slots=True)
class _Taken:
    """One series and what it is taken for. `device` is empty for the owner's own quantities."""

    position: int
    family: Family
    owner: str
    device: str = ""

    @property
    def name(self) -> str:
        return f"{self.owner}/{self.device}" if self.device else self.owner


@dataclass(slots=True)
class _Found:
    taken: list[_Taken] = field(default_factory=list)
    owners: dict[str, None] = field(default_factory=dict)
    strangers: int = 0


def compile_plan(target: Target, series: Sequence[Series]) -> Plan:
    """The plan of a page with these series, in this order."""
    found = _on_host(target, series) if target.exporter is Exporter.NODE else _on_hypervisor(target, series)
    owner_kind = Kind.HOST if target.exporter is Exporter.NODE else Kind.VM
    owners = Objects(owner_kind, tuple(found.owners), np.arange(len(found.owners)), 0)
    places = {name: position for position, name in enumerate(owners.names)}
    disks = _devices(Kind.DISK, found.taken, places, len(owners.names) * len(QUANTITIES))
    nics = _devices(Kind.NIC, found.taken, places, disks.first_cell + len(disks.names) * len(QUANTITIES))
    size = nics.first_cell + len(nics.names) * len(QUANTITIES)
    alive = next((position for position, one in enumerate(series) if one.name == ALIVE), None)
    return _assemble((owners, disks, nics), size, found, series, alive)


def _assemble(
    objects: tuple[Objects, Objects, Objects], size: int, found: _Found, series: Sequence[Series], alive: int | None
) -> Plan:
    place = {(one.kind, name): (one, position) for one in objects for position, name in enumerate(one.names)}
    gauges: list[tuple[int, int]] = []
    counters: list[tuple[int, int, str]] = []
    counts: dict[int, float] = {}
    first: dict[int, str] = {}
    for taken in found.taken:
        one, position = place[taken.family.kind, taken.name]
        cell = one.cells(taken.family.quantity).start + position
        if first.setdefault(cell, taken.family.name) != taken.family.name:
            continue  # another exporter's name of the same quantity
        if taken.family.take is Take.COUNT:
            counts[cell] = counts.get(cell, 0.0) + 1.0
        elif taken.family.take is Take.GAUGE:
            gauges.append((taken.position, cell))
        else:
            counters.append((taken.position, cell, f"{taken.owner} {series[taken.position].text}"))
    rate_cells, groups = np.unique(_ints(cell for _, cell, _ in counters), return_inverse=True)
    return Plan(
        *objects,
        size=size,
        gauges=_ints(position for position, _ in gauges),
        gauge_cells=_ints(cell for _, cell in gauges),
        counters=_ints(position for position, _, _ in counters),
        counter_keys=tuple(key for _, _, key in counters),
        counter_groups=groups.astype(np.int64),
        rate_cells=rate_cells,
        counts=counts,
        alive=alive,
        strangers=found.strangers,
    )


def _ints(numbers: Iterable[int]) -> Ints:
    return np.fromiter(numbers, np.int64)


def _devices(kind: Kind, taken: Iterable[_Taken], places: Mapping[str, int], first_cell: int) -> Objects:
    owner_of = {one.name: places[one.owner] for one in taken if one.family.kind is kind}
    return Objects(kind, tuple(owner_of), _ints(owner_of.values()), first_cell)


def _by_family(exporter: Exporter, series: Sequence[Series]) -> Iterable[tuple[Family, int, Series]]:
    """In the order of the table, so that of two names for one quantity the first wins."""
    positions: dict[str, list[int]] = {}
    for position, one in enumerate(series):
        positions.setdefault(one.name, []).append(position)
    for family in FAMILIES[exporter]:
        for position in positions.get(family.name, ()):
            if family.takes(series[position].labels):
                yield family, position, series[position]


def _on_host(target: Target, series: Sequence[Series]) -> _Found:
    host, label = target.host_id, DEVICE[Exporter.NODE]
    found = _Found(owners={host: None})
    mounts = file_systems(one.labels for one in series if one.name in MOUNTED)
    disks = whole_disks({one.labels.get(label, "") for one in series if one.name.startswith("node_disk_")})
    for family, position, one in _by_family(Exporter.NODE, series):
        device = one.labels.get(label, "")
        if family.name in MOUNTED:
            if one.labels.get("mountpoint", "") in (mounts.get(device), mounts.get(device.partition("/")[0])):
                found.taken.append(_Taken(position, family, host))
                if disk := disk_of(device, disks):
                    on_disk = Family(family.name, Kind.DISK, family.quantity)
                    found.taken.append(_Taken(position, on_disk, host, disk))
        elif family.kind is Kind.HOST:
            found.taken.append(_Taken(position, family, host))
        elif device in disks if family.kind is Kind.DISK else is_nic(device):
            found.taken.append(_Taken(position, family, host, device))
    return found


def _on_hypervisor(target: Target, series: Sequence[Series]) -> _Found:
    label = DEVICE[Exporter.LIBVIRT]
    uuids = {
        one.labels.get("domain", ""): one.labels.get(UUID_OF_DOMAIN[one.name], "")
        for one in series
        if one.name in UUID_OF_DOMAIN
    }
    found = _Found()
    for family, position, one in _by_family(Exporter.LIBVIRT, series):
        domain = one.labels.get("domain", "")
        uuid = one.labels.get("uuid") or uuids.get(domain) or domain
        vm, device = target.vms.get(uuid), one.labels.get(label, "")
        if vm is None:
            found.strangers += 1
        elif family.kind is Kind.VM:
            found.owners[vm] = None
            found.taken.append(_Taken(position, family, vm))
        elif device:
            found.owners[vm] = None
            found.taken.append(_Taken(position, family, vm, device))
    return found
