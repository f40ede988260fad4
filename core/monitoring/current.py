"""Current values. What is too old, or belongs to a VM that does not run, has no values but keeps the time of its last
sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.context import Context
from core.monitoring.objects import ManyObjects, OneObject, Part, Watched, disks, measurable, nics, runs
from core.monitoring.samples import STALE_INTERVALS, Sample, is_current, newest
from core.timeseries.fields import Kind

Figure = Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeNow:
    """Rates in percent, memory in MB. `measured_at` None: never measured."""

    object_id: str
    measured_at: datetime | None
    cpu_rate: Figure
    mem_rate: Figure
    cpu_num: Figure
    mem_size: Figure
    mem_used: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeAndDiskNow(ComputeNow):
    """`disk_used` in MB, of all disks."""

    disk_used: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskNow:
    """Speeds in KB/s, sizes in KB, requests per second. A host's disk has no id of its own: it is named `host
    id/device`.
    """

    object_id: str
    disk_id: str
    measured_at: datetime | None
    write: Figure
    read: Figure
    size: Figure
    read_requests: Figure
    write_requests: Figure
    used: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class NicNow:
    """Speeds in KB/s; `down` is what the VM or host receives. `mac` is empty for a host's NIC."""

    object_id: str
    nic_id: str
    mac: str
    measured_at: datetime | None
    down: Figure
    up: Figure


@dataclass(frozen=True, slots=True)
class _Reading:
    """The newest sample of one object, and whether its values still say something about now."""

    sample: Sample | None
    current: bool

    @property
    def measured_at(self) -> datetime | None:
        return None if self.sample is None else self.sample.measured_at

    def of(self, name: str) -> Figure:
        return self.sample.figure(name) if self.sample is not None and self.current else None


def current(at: Context, one: OneObject) -> ComputeNow:
    """CPU and memory of one object now. Raises NotFound, Forbidden."""
    running = runs(at, one)
    reading = _reading(at, newest(at, one.watched.kind, (one.id,)).get(one.id), running=running)
    return ComputeNow(
        object_id=one.id,
        measured_at=reading.measured_at,
        cpu_rate=reading.of("cpu_rate"),
        mem_rate=reading.of("mem_rate"),
        cpu_num=reading.of("cpu_num"),
        mem_size=reading.of("mem_size"),
        mem_used=reading.of("mem_used"),
    )


def currents(at: Context, many: ManyObjects) -> tuple[ComputeAndDiskNow, ...]:
    """CPU, memory and disk use of many objects, in the order of the request. Who does not exist for the caller is left
    out.
    """
    known = measurable(at, many.watched, many.ids)
    samples = newest(at, many.watched.kind, tuple(known))
    return tuple(
        ComputeAndDiskNow(
            object_id=id_,
            measured_at=reading.measured_at,
            cpu_rate=reading.of("cpu_rate"),
            mem_rate=reading.of("mem_rate"),
            cpu_num=reading.of("cpu_num"),
            mem_size=reading.of("mem_size"),
            mem_used=reading.of("mem_used"),
            disk_used=reading.of("disk_used"),
        )
        for id_, running in known.items()
        for reading in (_reading(at, samples.get(id_), running=running),)
    )


def every_disk(at: Context, one: OneObject) -> tuple[DiskNow, ...]:
    """Each disk of one object now. Raises NotFound, Forbidden."""
    return tuple(
        DiskNow(
            object_id=one.id,
            disk_id=part.id,
            measured_at=reading.measured_at,
            write=reading.of("write"),
            read=reading.of("read"),
            size=reading.of("size"),
            read_requests=reading.of("read_requests"),
            write_requests=reading.of("write_requests"),
            used=reading.of("used"),
        )
        for part, reading in _parts(at, one, Kind.DISK, disks)
    )


def every_nic(at: Context, one: OneObject) -> tuple[NicNow, ...]:
    """Each NIC of one object now. Raises NotFound, Forbidden."""
    return tuple(
        NicNow(
            object_id=one.id,
            nic_id=part.id,
            mac=part.mac,
            measured_at=reading.measured_at,
            down=reading.of("down"),
            up=reading.of("up"),
        )
        for part, reading in _parts(at, one, Kind.NIC, nics)
    )


def _parts(
    at: Context, one: OneObject, kind: Kind, inventory: Callable[[Context, str], tuple[Part, ...]]
) -> Iterator[tuple[Part, _Reading]]:
    """A VM's parts are those of the inventory, measured or not; a host's are those on its last page."""
    running = runs(at, one)
    if one.watched is Watched.VM:
        parts = inventory(at, one.id)
        samples = newest(at, kind, tuple(part.series for part in parts))
    else:
        samples = newest(at, kind, None)
        parts = _on_last_page(at, one.id, samples)
    for part in parts:
        yield part, _reading(at, samples.get(part.series), running=running)


def _on_last_page(at: Context, host_id: str, samples: Mapping[str, Sample]) -> tuple[Part, ...]:
    own = {name: sample.time for name, sample in samples.items() if name.startswith(f"{host_id}/")}
    oldest = max(own.values(), default=0.0) - STALE_INTERVALS * at.settings.scrape_interval
    return tuple(Part(name, name) for name in sorted(own) if own[name] >= oldest)


def _reading(at: Context, sample: Sample | None, *, running: bool) -> _Reading:
    return _Reading(sample, running and sample is not None and is_current(at, sample))
