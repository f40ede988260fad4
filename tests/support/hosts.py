"""A cloud of hosts on a virtual clock, watched by the real watch over a real database and a real store.

What is played is the outside alone: whether pages answer, what ports and power controllers say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from aggregator.hosts import HostWatch, Outside
from core.clock import VirtualClock
from core.compute.rows import Vm, VmLock, VmState
from core.db.engine import Database
from core.drivers.power import Fencing, Power
from core.hosts.rows import Host, HostEvent, HostState, Origin
from core.hosts.state import Policy, Probe
from core.tenancy.rows import Tenant
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.recent import RecentStore
from core.timeseries.store import Frame, StoreUnavailable
from tests.support.tasks import lock


class Condition(StrEnum):
    UP = "up"
    CRASHED = "crashed"
    """Power gone, ports closed."""
    CUT = "cut"
    """Connections are taken and nothing is answered."""
    DARK = "dark"
    """Nothing reacts, the power controller neither."""
    HUNG = "hung"
    """The page of the host hangs; that of its VMs answers."""
    GARBLED = "garbled"
    """The pages answer, and no scrape succeeds."""


_PROBES = {Condition.UP: Probe.ANSWERS, Condition.CRASHED: Probe.REFUSED, Condition.CUT: Probe.ACCEPTS,
           Condition.DARK: Probe.SILENT, Condition.HUNG: Probe.ANSWERS, Condition.GARBLED: Probe.ANSWERS}  # fmt: skip
_POWERS = {Condition.CRASHED: Power.OFF, Condition.DARK: Power.UNKNOWN}


class AtOnce(Executor):
    """Runs what it is given before it returns."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@dataclass
class Cloud:
    """`fences`: whether fencing works. `link`: whether we reach anybody. `store_up`: whether the store answers."""

    database: Database
    folder: Path
    interval: float = 10.0
    controlled: bool = True
    fences: bool = True
    link: bool = True
    store_up: bool = True
    clock: VirtualClock = field(default_factory=VirtualClock)
    executor: Executor = field(default_factory=AtOnce)
    conditions: dict[str, Condition] = field(default_factory=dict)
    placed: dict[str, str] = field(default_factory=dict)
    fenced: list[str] = field(default_factory=list)
    probed: int = 0

    def __post_init__(self) -> None:
        self.began = self.clock.now()
        self.store = RecentStore(EmbeddedStore(self.folder / "series"))
        self.policy = Policy.for_interval(self.interval, min(5.0, self.interval))
        self.watches = [self.watch("detector-a")]

    def close(self) -> None:
        self.store.close()

    def watch(self, detector: str) -> HostWatch:
        outside = Outside(self.database, self, self.clock, self.executor, self if self.controlled else None, self.ask)  # type: ignore[arg-type]
        return HostWatch(outside, self.policy, detector)

    def add_hosts(self, *names: str, origin: Origin = Origin.REGISTERED, pages: int = 2) -> None:
        now = self.clock.now()
        with self.database.platform(write=True) as session:
            for name in names:
                session.add(
                    Host(
                        id=name,
                        name=name,
                        created_at=now,
                        origin=origin,
                        address="10.0.0.1",
                        state_since=now,
                        exporter_url=f"http://{name}/host",
                        vm_exporter_url=f"http://{name}/vms" if pages > 1 else None,
                        cpu_cores=16,
                        memory_mb=65536,
                    )
                )
                self.conditions[name] = Condition.UP

    def add_vm(self, name: str, host: str, *, locked: VmLock = VmLock.NONE, **facts: Any) -> None:
        with self.database.platform(write=True) as session:
            if session.get(Tenant, "tenant-1") is None:
                session.add(Tenant(id="tenant-1", name="one", created_at=self.clock.now()))
                session.flush()
            usual = {"vcpus": 4, "memory_mb": 8192, "state": VmState.RUNNING}
            session.add(
                Vm(
                    id=name,
                    tenant_id="tenant-1",
                    host_id=host,
                    name=name,
                    created_at=self.clock.now(),
                    domain_uuid=name,
                    **(usual | facts),
                )
            )
            session.flush()
            if locked is not VmLock.NONE:
                lock(session, name, locked, self.clock)

    # --- what the watch sees

    def latest(self, kind: Kind, since: float, objects: Collection[str] | None = None) -> Frame:
        if not self.store_up:
            raise StoreUnavailable("the store is away")
        return self.store.latest(kind, since, objects)

    def ask(self, pages: Mapping[str, Collection[str]], timeout: float) -> dict[str, Probe]:
        self.probed += len(pages)
        return {name: _PROBES[self.conditions[name]] if self.link else Probe.SILENT for name in pages}

    def look(self, host_ids: Collection[str]) -> Mapping[str, Power]:
        return {name: _POWERS.get(self.conditions[name], Power.ON) if self.link else Power.UNKNOWN for name in host_ids}

    def fence(self, host_id: str, within: float) -> Fencing:
        assert within > 0
        self.fenced.append(host_id)
        return Fencing.FENCED if self.fences and self.link else Fencing.UNKNOWN

    def place(self, homes: Mapping[str, str]) -> Mapping[str, str]:
        self.placed |= homes
        return {}

    # --- time

    def run(self, seconds: float) -> None:
        """Second by second: each host is scraped once per interval, at its own offset, and all watches step."""
        for _ in range(round(seconds)):
            self.clock.advance(1)
            self._scrape()
            for watch in self.watches:
                watch.step()

    def _scrape(self) -> None:
        elapsed = round((self.clock.now() - self.began).total_seconds())
        due = [(f"{name}/{page}", self._succeeds(name, page)) for place, name in enumerate(self.conditions)
               for page in ("node", "libvirt") if (elapsed - place) % self.interval == 0]  # fmt: skip
        if not due:
            return
        values = np.full((len(due), len(FIELDS[Kind.TARGET])), np.nan)
        values[:, COLUMN[Kind.TARGET]["up"]] = [up for _, up in due]
        times = np.full(len(due), self.clock.now().timestamp())
        self.store.write([Frame(Kind.TARGET, [name for name, _ in due], times, values)])

    def _succeeds(self, name: str, page: str) -> bool:
        condition = self.conditions[name]
        return self.link and (condition is Condition.UP or (condition is Condition.HUNG and page == "libvirt"))

    # --- what came of it

    def state(self, name: str) -> HostState:
        with self.database.platform() as session:
            return session.get_one(Host, name).state

    def log(self) -> list[str]:
        """The history: seconds, host, states and reason; for VMs the VM and its new home."""
        with self.database.platform() as session:
            events = session.scalars(select(HostEvent).order_by(HostEvent.id)).all()
        return [self._line(event) for event in events]

    def _line(self, event: HostEvent) -> str:
        parts = [f"{(event.at - self.began).total_seconds():.0f}", event.host_id or "all"]
        if event.from_state is not None and event.to_state is not None:
            parts.append(f"{int(event.from_state)}>{int(event.to_state)}")
        parts.append(str(event.reason))
        parts += [event.evidence[key] for key in ("vm_id", "to_host") if key in event.evidence]
        return " ".join(parts) + (" !" if event.urgent else "")
