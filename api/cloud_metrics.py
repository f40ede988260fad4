"""The collected fields themselves on `/metrics`, so that a Prometheus that scrapes only us sees the whole cloud.

`starvc_<kind>_<field>_<unit>`, in Prometheus' base units (bytes, not KB). Values older than three scrape intervals are
left out: an absent series is how Prometheus learns that there is no data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import select

from core.clock import Clock
from core.compute.rows import Vm
from core.db.engine import Database
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


class CloudCollector(Collector):
    """Reads the latest values once per kind and scrape."""

    def __init__(self, database: Database, store: TimeSeriesStore, clock: Clock, interval: float) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._interval = interval

    def describe(self) -> Iterator[GaugeMetricFamily]:
        for kind in Kind:
            yield from (family for family, _ in self._families(kind))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        names = self._names()
        since = self._clock.now().timestamp() - _CURRENT * self._interval
        for kind in Kind:
            families = self._families(kind)
            try:
                self._fill(families, names, self._store.latest(kind, since))
            except StoreUnavailable:
                continue
            yield from (family for family, _ in families)

    @staticmethod
    def _families(kind: Kind) -> list[tuple[GaugeMetricFamily, float]]:
        return [
            (
                GaugeMetricFamily(metric_name(kind, field), f"{kind.value}: {field.meaning}.", labels=_LABELS[kind]),
                _BASE_UNIT[field.unit][1],
            )
            for field in FIELDS[kind]
        ]

    @staticmethod
    def _fill(families: list[tuple[GaugeMetricFamily, float]], names: _Names, latest: Frame) -> None:
        labels = [names.labels(latest.kind, name) for name in latest.objects]
        for column, (family, factor) in enumerate(families):
            values = latest.values[:, column] * factor
            for row in np.flatnonzero(~np.isnan(values)):
                if (known := labels[row]) is not None:
                    family.add_metric(known, float(values[row]))

    def _names(self) -> _Names:
        with self._database.platform() as session:
            hosts = {row.id: row.name for row in session.execute(select(Host.id, Host.name))}
            vms = {
                row.id: (row.name, row.tenant_id, row.host_id or "")
                for row in session.execute(select(Vm.id, Vm.name, Vm.tenant_id, Vm.host_id))
            }
        return _Names(hosts, vms)
