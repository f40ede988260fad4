"""The product on several processes: what they say of themselves, and what the store and the API say of them all."""

from __future__ import annotations

import base64
import itertools
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

import httpx
from sqlalchemy import ColumnElement, select

from api.wire.client import StarVCenter
from core.alarms.rows import Alarm
from core.clock import SystemClock
from core.db.engine import Database
from core.settings import Settings
from core.timeseries.fields import Kind
from core.timeseries.opening import open_store
from core.timeseries.store import Level
from tests.support.lines import agrees, naive
from tests.support.process import Process, inject
from tests.support.product import rows

Span = tuple[float, float]


def keys() -> dict[str, object]:
    """Settings that processes must share: those under which tokens are hashed and secrets sealed."""
    return {name: base64.b64encode(secrets.token_bytes(32)).decode() for name in ("token_key", "sealing_keys")}


@dataclass
class Roles:
    """`settings`: of the store, as its readers need them. `gaps`: when hosts were not scraped, by their ids; nobody's
    fault but of the part that a test had ended."""

    centre: Process
    apis: list[Process]
    collectors: list[Process]
    aggregators: list[Process]
    settings: Settings
    database: Database
    token: str
    gaps: dict[str, list[Span]] = field(default_factory=dict)

    @property
    def all(self) -> Sequence[Process]:
        return (self.centre, *self.apis, *self.collectors, *self.aggregators)

    def call(self, api: int = 0) -> StarVCenter:
        return StarVCenter(self.apis[api].url, self.token, language="en")

    def inject(self, action: str, target: str) -> None:
        inject(self.centre.url, self.token, action, target)

    def raised(self, since: float = 0.0) -> list[tuple[str, str]]:
        """Rule and object of each alarm, the oldest first."""
        return self._alarms(Alarm.created_at >= datetime.fromtimestamp(since, UTC))

    def unrelieved(self) -> list[tuple[str, str]]:
        return self._alarms(Alarm.relieved_at.is_(None))

    def _alarms(self, which: ColumnElement[bool]) -> list[tuple[str, str]]:
        wanted = select(Alarm.rule_id, Alarm.object_id).where(which).order_by(Alarm.created_at)
        with self.database.platform() as session:
            return [(row[0], row[1]) for row in session.execute(wanted)]

    def hosts(self) -> dict[str, list[str]]:
        """By host the VMs on it."""
        with self.call() as client:
            found = {row["host.id"]: [] for row in rows(client("cloudhost/search"))}
            for vm in rows(client("cloudvm/search")):
                found[vm["vm.hostid"]].append(vm["vm.id"])
            return found

    def owner(self, lease: str) -> Process | None:
        """Whoever says that it has it; of several nobody."""
        owners = [one for one in self.aggregators if metric(one, f'starvc_lease_held{{lease="{lease}"}}') == 1]
        return owners[0] if len(owners) == 1 else None

    def other(self, than: Process | None) -> Process:
        return next(one for one in self.aggregators if one is not than)

    def scraped(self, vms: Collection[str], seconds: float = 10) -> bool:
        """Whether each of them has samples of the last seconds."""
        return self.times(time.time() - seconds, time.time()).keys() >= set(vms)

    def times(self, since: float, until: float) -> dict[str, list[float]]:
        """When VMs were measured, by their ids."""
        found: dict[str, list[float]] = {}
        with closing(open_store(self.settings, Path(), SystemClock())) as store:
            frame = store.read(Kind.VM, since, until)
        for name, moment in zip(frame.objects, frame.times.tolist(), strict=True):
            found.setdefault(name, []).append(moment)
        return found

    def lines_agree(self, since: float, until: float) -> bool:
        """Whether every line is what a plain recomputation of its samples gives; one that is open may lack the
        newest."""
        with closing(open_store(self.settings, Path(), SystemClock())) as store:
            cells = 0
            for kind in (Kind.HOST, Kind.VM, Kind.DISK, Kind.NIC):
                for lines in store.read_lines(Level.MINUTE, kind, since - since % 60, until):
                    raw = naive(store.read(kind, lines.start, lines.start + 60))
                    try:
                        cells += agrees(lines, raw, whole=lines.final)
                    except AssertionError:
                        return False
        return cells > 0


def metric(process: Process, name: str) -> float | None:
    """None: it is not there, or the process is not."""
    try:
        lines = process.metrics().splitlines()
    except httpx.TransportError:
        return None
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), None)


@dataclass(frozen=True)
class Completeness:
    """`holes`: of which object scrapes are missing, and between which two that are there."""

    expected: int
    lost: int
    holes: Sequence[tuple[str, Span]]

    @property
    def percent(self) -> float:
        return 100 * (1 - self.lost / self.expected)


def completeness(
    found: Mapping[str, Sequence[float]], spans: Mapping[str, Sequence[Span]], period: Span, interval: float
) -> Completeness:
    """The scrapes of a period that are in the store, those that came up to three quarters of an interval late, too.
    `spans`: the gaps that are an object's own; its keys are all objects."""
    began, until = period
    expected, lost, holes = 0, 0, []
    for name, gaps in spans.items():
        moments = [began, *sorted(at for at in found.get(name, []) if began < at < until), until]
        for before, after in itertools.pairwise(moments):
            if any(before <= end and after >= start for start, end in gaps):
                continue
            steps = max(1, ceil((after - before) / interval - 0.75))
            expected += steps
            if steps > 1:
                lost += steps - 1
                holes.append((name, (before, after)))
    return Completeness(expected, lost, holes)
