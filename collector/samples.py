"""A page's values become samples of our fields: one pass of array operations per scrape, whatever is on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.families import OFF, Quantity
from collector.parse import Page, Series
from collector.plan import Objects, Plan, compile_plan
from collector.rates import Moment, Rates
from core.hosts.targets import Target
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.store import Floats, Ints

_KB: Final = 1024.0
_MB: Final = 1024.0 * 1024.0


class SourceDown(Exception):
    """The exporter answers, and says that it cannot reach what it reports about."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Values of one kind, (n, fields), not yet dated."""

    kind: Kind
    objects: Sequence[str]
    values: Floats


class Sampler:
    """What is remembered about one target between its scrapes: the plan of its page, and its counters."""

    def __init__(self, target: Target, horizon: float) -> None:
        self._target = target
        self._rates = Rates(horizon)
        self._series: tuple[Series, ...] | None = None
        self._plan: Plan | None = None

    def retarget(self, target: Target) -> None:
        """Other VMs are on the host now. Counters are kept."""
        self._target, self._plan = target, None

    def sample(self, page: Page, at: Moment) -> tuple[Samples, ...]:
        """The samples of a page. Raises SourceDown."""
        plan = self._plan_of(page)
        if plan.alive is not None and page.values[plan.alive] == 0:
            raise SourceDown("libvirt_up is 0")
        growth = self._rates.update(page.values[plan.counters], at)
        cells = np.full(plan.size, np.nan)
        held = np.bincount(plan.gauge_cells, minlength=plan.size) > 0
        cells[held] = np.bincount(plan.gauge_cells, page.values[plan.gauges], plan.size)[held]
        cells[list(plan.counts)] = list(plan.counts.values())
        cells[plan.rate_cells] = growth.rate
        reset = np.zeros(plan.size, np.bool_)
        reset[plan.rate_cells] = growth.reset
        _doubt(plan, cells, reset)
        return _fields(plan, cells)

    @property
    def strangers(self) -> int:
        """Series on the last page of VMs that the inventory does not know on this host."""
        return self._plan.strangers if self._plan else 0

    def _plan_of(self, page: Page) -> Plan:
        if self._plan is None or page.series is not self._series:
            self._plan, self._series = compile_plan(self._target, page.series), page.series
            self._rates.follow(self._plan.counter_keys, self._plan.counter_groups, len(self._plan.rate_cells))
        return self._plan


def _doubt(plan: Plan, cells: Floats, reset: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    """A counter that fell and still stands higher than could have come together since is no restart: its rate is not
    known.

    CPU time shows it: it cannot grow faster than there are CPUs (twice that and one is left to the emulator's
    threads). If it fell to more than that, the VM did not start within this interval, and what its other counters
    fell to is its past, not a spike.
    """
    owners = plan.owners
    if owners.kind is Kind.HOST:
        free, everything = owners.cells(Quantity.CPU_FREE), owners.cells(Quantity.CPU_TIME)
        cells[free] = np.where(reset[free] & ~reset[everything], np.nan, cells[free])
        return
    time = owners.cells(Quantity.CPU_TIME)
    doubtful = reset[time] & (cells[time] > 2 * np.fmax(cells[owners.cells(Quantity.CPUS)], 1) + 1)
    if doubtful.any():
        cells[time] = np.where(doubtful, np.nan, cells[time])
        for devices in (plan.disks, plan.nics):
            for quantity in (
                Quantity.READ,
                Quantity.WRITTEN,
                Quantity.READS,
                Quantity.WRITES,
                Quantity.RECEIVED,
                Quantity.SENT,
            ):
                where = devices.cells(quantity)
                cells[where] = np.where(doubtful[devices.owner] & reset[where], np.nan, cells[where])


def _fields(plan: Plan, cells: Floats) -> tuple[Samples, ...]:
    with np.errstate(divide="ignore", invalid="ignore"):
        disks, nics = _disks(plan.disks, cells), _nics(plan.nics, cells)
        owners = _computers(plan, cells, disks, nics)
    state = cells[plan.owners.cells(Quantity.STATE)]
    on = ~np.isin(state, OFF)
    found = (
        _present(plan.owners, owners, on),
        _present(plan.disks, disks, on[plan.disks.owner]),
        _present(plan.nics, nics, on[plan.nics.owner]),
    )
    return tuple(samples for samples in found if len(samples.objects))


def _present(objects: Objects, values: Floats, on: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Samples:
    if on.all():
        return Samples(objects.kind, objects.names, values)
    return Samples(
        objects.kind, [name for name, here in zip(objects.names, on.tolist(), strict=True) if here], values[on]
    )


def _disks(disks: Objects, cells: Floats) -> Floats:
    size, free = cells[disks.cells(Quantity.SIZE)], cells[disks.cells(Quantity.FREE)]
    used = np.where(np.isnan(free), cells[disks.cells(Quantity.ALLOCATED)], size - free)
    return _table(
        disks,
        {
            "size": size / _KB,
            "used": used / _KB,
            "read": cells[disks.cells(Quantity.READ)] / _KB,
            "write": cells[disks.cells(Quantity.WRITTEN)] / _KB,
            "read_requests": cells[disks.cells(Quantity.READS)],
            "write_requests": cells[disks.cells(Quantity.WRITES)],
        },
    )


def _nics(nics: Objects, cells: Floats) -> Floats:
    down, up = cells[nics.cells(Quantity.RECEIVED)] / _KB, cells[nics.cells(Quantity.SENT)] / _KB
    return _table(nics, {"down": down, "up": up})


def _computers(plan: Plan, cells: Floats, disks: Floats, nics: Floats) -> Floats:
    owners = plan.owners
    cpus = cells[owners.cells(Quantity.CPUS)]
    if owners.kind is Kind.HOST:
        busy = 1 - cells[owners.cells(Quantity.CPU_FREE)] / cells[owners.cells(Quantity.CPU_TIME)]
        seen = memory = cells[owners.cells(Quantity.MEMORY)]
        usable = cells[owners.cells(Quantity.MEMORY_AVAILABLE)]
        size = cells[owners.cells(Quantity.SIZE)] / _MB
        used = size - cells[owners.cells(Quantity.FREE)] / _MB
    else:
        busy = cells[owners.cells(Quantity.CPU_TIME)] / cpus
        memory, seen = cells[owners.cells(Quantity.MEMORY)], _measured(cells[owners.cells(Quantity.MEMORY_SEEN)])
        usable, unused = cells[owners.cells(Quantity.MEMORY_USABLE)], cells[owners.cells(Quantity.MEMORY_UNUSED)]
        usable = np.where(np.isnan(_measured(usable)), _measured(unused), usable)
        size, used = (_total(plan.disks, disks, name, len(owners.names)) / _KB for name in ("size", "used"))
    taken = seen - usable
    return _table(
        owners,
        {
            "cpu_rate": np.clip(100 * busy, 0, 100),
            "cpu_num": cpus,
            "mem_rate": np.clip(100 * taken / seen, 0, 100),
            "mem_size": memory / _MB,
            "mem_used": taken / _MB,
            "disk_size": size,
            "disk_used": used,
            "disk_read": _total(plan.disks, disks, "read", len(owners.names)),
            "disk_write": _total(plan.disks, disks, "write", len(owners.names)),
            "net_down": _total(plan.nics, nics, "down", len(owners.names)),
            "net_up": _total(plan.nics, nics, "up", len(owners.names)),
        },
    )


def _measured(values: Floats) -> Floats:
    """Exporters write 0 where the guest tells nothing."""
    return np.where(values > 0, values, np.nan)


def _total(devices: Objects, values: Floats, name: str, owners: int) -> Floats:
    """The sum over the devices of each owner of those that were measured; NaN where none was."""
    column = values[:, COLUMN[devices.kind][name]]
    good = ~np.isnan(column)
    owner: Ints = devices.owner[good]
    return np.where(np.bincount(owner, minlength=owners) > 0, np.bincount(owner, column[good], owners), np.nan)


def _table(objects: Objects, columns: dict[str, Floats]) -> Floats:
    table = np.empty((len(objects.names), len(FIELDS[objects.kind])))
    for name, position in COLUMN[objects.kind].items():
        table[:, position] = columns[name]
    return table
