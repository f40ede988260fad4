"""Compiled once per layout of a page: which of its values go where, so that a scrape is array operations only.

A *cell* holds one quantity of one object. Cells are laid out kind by kind and quantity by quantity, so that a quantity of all objects
of a kind is one slice. Everything that needs names, labels or dictionaries happens here, and only when the layout changes.
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
    """The objects of a kind on the page. `owner`: for disks and NICs, the position of their host or VM among the owners."""

    kind: Kind
    names: tuple[str, ...]
    owner: Ints
    first_cell: int

    def cells(self, quantity: Quantity) -> slice:
        start = self.first_cell + _COLUMN[quantity] * len(self.names)
        return slice(start, start + len(self.names))


@dataclass(frozen=True, slots=True)
class Plan:
    """`gauges` and `counters` are positions on the page; `gauge_cells` says where each gauge is added. Each counter belongs to a
    group (`counter_groups`), and the rate of group g goes to cell `rate_cells[g]`. `counts`: cells that are known beforehand.
    `alive`: position of the sample that says whether the exporter itself sees anything. `strangers`: series of domains that the
    inventory does not know on this host."""

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
    counters: list[tuple[int, int]] = []
    counts: dict[int, float] = {}
    first: dict[int, str] = {}
    for taken in found.taken:
        kind = taken.family.kind
        one, position = place[kind, f"{taken.owner}/{taken.device}" if taken.device else taken.owner]
        cell = one.cells(taken.family.quantity).start + position
        if first.setdefault(cell, taken.family.name) != taken.family.name:
            continue  # another exporter's name of the same quantity
        if taken.family.take is Take.COUNT:
            counts[cell] = counts.get(cell, 0.0) + 1.0
        else:
            (gauges if taken.family.take is Take.GAUGE else counters).append((taken.position, cell))
    rate_cells, groups = np.unique(np.array([cell for _, cell in counters], np.int64), return_inverse=True)
    return Plan(
        *objects,
        size=size,
        gauges=np.array([position for position, _ in gauges], np.int64),
        gauge_cells=np.array([cell for _, cell in gauges], np.int64),
        counters=np.array([position for position, _ in counters], np.int64),
        counter_keys=tuple(f"{cell_key(place, cell)} {series[position].text}" for position, cell in counters),
        counter_groups=groups.astype(np.int64),
        rate_cells=rate_cells,
        counts=counts,
        alive=alive,
        strangers=found.strangers,
    )
