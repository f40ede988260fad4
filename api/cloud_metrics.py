"""The collected fields themselves on `/metrics`, so that a Prometheus that scrapes only us sees the whole cloud.

`starvc_<kind>_<field>_<unit>`, in Prometheus' base units (bytes, not KB). Values older than three scrape intervals are
left out: an absent series is how Prometheus learns that there is no data.

Written as text here and not through prometheus_client's registry: 10,000 VMs with their devices are 250,000 samples,
for which its objects take 5 seconds of CPU and plain formatting a tenth of that. Gauges are written alike in both of
Prometheus' text formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final

import numpy as np
from sqlalchemy import select

from core.clock import Clock
from core.compute.rows import Vm
from core.db.engine import UNAVAILABLE, Database
from core.hosts.rows import Host
from core.timeseries.fields import FIELDS, Field, Kind, Unit
from core.timeseries.store import Frame, StoreUnavailable, TimeSeriesStore

_BASE_UNIT: Final[Mapping[Unit, tuple[str, float]]] = {
    Unit.PERCENT: ("percent", 1.0),
    Unit.COUNT: ("", 1.0),
    Unit.MEGABYTES: ("bytes", 1024.0 * 1024.0),
    Unit.KILOBYTES: ("bytes", 1024.0),
    Unit.KILOBYTES_PER_SECOND: ("bytes_per_second", 1024.0),
    Unit.PER_SECOND: ("per_second", 1.0),
    Unit.SECONDS: ("seconds", 1.0),
    Unit.BOOLEAN: ("", 1.0),
}
_LABELS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.HOST: ("host_id", "host"),
    Kind.VM: ("vm_id", "vm", "tenant", "host_id"),
    Kind.DISK: ("owner_id", "device", "tenant"),
    Kind.NIC: ("owner_id", "device", "tenant"),
    Kind.TARGET: ("host_id", "exporter"),
}
_CURRENT = 3
"""Scrape intervals after which a value is no longer current."""


@dataclass(frozen=True, slots=True)
class _Names:
    hosts: Mapping[str, str]
    vms: Mapping[str, tuple[str, str, str]]
    """VM id -> name, tenant id, host id."""

    def labels(self, kind: Kind, name: str) -> tuple[str, ...] | None:
        """Label values of an object, or None when the inventory no longer knows it."""
        owner, _, part = name.partition("/")
        if kind is Kind.HOST:
            return (name, self.hosts[name]) if name in self.hosts else None
        if kind is Kind.VM:
            return (name, *self.vms[name]) if name in self.vms else None
        if kind is Kind.TARGET:
            return (owner, part) if owner in self.hosts else None
        if owner in self.vms:
            return owner, part, self.vms[owner][1]
        return (owner, part, "") if owner in self.hosts else None


def metric_name(kind: Kind, field: Field) -> str:
    """`starvc_vm_cpu_rate_percent` for the CPU rate of VMs."""
    unit, _ = _BASE_UNIT[field.unit]
    return "_".join(part for part in ("starvc", kind.value, field.name, unit) if part)


class CloudPage:
    """Reads the latest values once per kind and page."""

    def __init__(self, database: Database, store: TimeSeriesStore, clock: Clock, interval: float) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._interval = interval

    def render(self) -> bytes:
        """The page. What the database or the store do not tell of now is left out."""
        try:
            names = self._names()
        except UNAVAILABLE:
            return b""
        since = self._clock.now().timestamp() - _CURRENT * self._interval
        parts: list[str] = []
        for kind in _LABELS:
            try:
                latest = self._store.latest(kind, since)
            except StoreUnavailable:
                continue
            parts.extend(_families(latest, names))
        return "".join(parts).encode()

    def _names(self) -> _Names:
        with self._database.platform() as session:
            hosts = {row.id: row.name for row in session.execute(select(Host.id, Host.name))}
            vms = {
                row.id: (row.name, row.tenant_id, row.host_id or "")
                for row in session.execute(select(Vm.id, Vm.name, Vm.tenant_id, Vm.host_id))
            }
        return _Names(hosts, vms)


def _families(latest: Frame, names: _Names) -> Iterator[str]:
    known = [(row, labels) for row, name in enumerate(latest.objects) if (labels := names.labels(latest.kind, name))]
    rows = np.array([row for row, _ in known], dtype=np.intp)
    texts = [_labelled(_LABELS[latest.kind], labels) for _, labels in known]
    for column, field in enumerate(FIELDS[latest.kind]):
        name = metric_name(latest.kind, field)
        yield f"# HELP {name} {latest.kind}: {field.meaning}.\n# TYPE {name} gauge\n"
        values = (latest.values[rows, column] * _BASE_UNIT[field.unit][1]).tolist()
        yield "".join(
            f"{name}{text} {value!r}\n" for text, value in zip(texts, values, strict=True) if not isnan(value)
        )


def _labelled(names: Sequence[str], values: Sequence[str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
