"""Days of a small cloud on a virtual clock: the real host watch, the real rules and the real alarm engine over scripted
scrapes, with all the noise that is no outage, and with outages in between.

What is played is the outside alone: how each scrape ended and when, what ports and power controllers say, when our own
processes were away and what the wall clock did.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from aggregator.hosts import HostWatch, Outside
from aggregator.rules.step import Rules, Surroundings
from core.alarms.machine import Change
from core.clock import VirtualClock
from core.db.engine import Database
from core.drivers.power import Fencing, Power
from core.hosts.rows import Host
from core.hosts.state import Policy, Probe
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.recent import RecentStore
from core.timeseries.store import Frame, StoreUnavailable, TimeSeriesStore
from tests.support.hosts import AtOnce

INTERVAL: Final = 10.0
TIMEOUT: Final = 5.0
PAGES: Final = ("node", "libvirt")
HOUR: Final = 3600


class Doubtful:
    """A store that does not answer while it is not `there`."""

    def __init__(self, inner: RecentStore) -> None:
        self._inner = inner
        self.there = True

    def __getattr__(self, name: str) -> Any:
        if not self.there and name != "close":
            raise StoreUnavailable("the store is away")
        return getattr(self._inner, name)


class Trouble(StrEnum):
    MISS = "miss"
    """One scrape of each page fails; the host answers all the same."""
    HICCUP = "hiccup"
    """One page hangs for minutes; the other one answers."""
    SLOW = "slow"
    """Every page takes nearly as long as it may."""
    SHORT_CUT = "short_cut"
    """The link is gone for less than an interval."""
    LONG_CUT = "long_cut"
    """The link is gone for minutes: an outage."""
    CRASH = "crash"
    """Power gone for minutes: an outage."""


OUTAGES: Final = frozenset({Trouble.LONG_CUT, Trouble.CRASH})
_LASTS: Final = {
    Trouble.MISS: (INTERVAL, INTERVAL), Trouble.HICCUP: (30, 300), Trouble.SLOW: (30, 300),
    Trouble.SHORT_CUT: (1, INTERVAL - 1), Trouble.LONG_CUT: (60, 400), Trouble.CRASH: (60, 900),
}  # fmt: skip
_PROBES: Final = {
    Trouble.SHORT_CUT: Probe.SILENT, Trouble.LONG_CUT: Probe.ACCEPTS, Trouble.CRASH: Probe.REFUSED,
}  # fmt: skip


@dataclass(frozen=True)
class Incident:
    """From `start` to `end`, in monotonic seconds. `page`: the one that hangs in a hiccup."""

    host: str
    trouble: Trouble
    start: float
    end: float
    page: str = ""


def incidents(hosts: Sequence[str], seconds: float, chance: random.Random) -> list[Incident]:
    """For each host one trouble after another with calm in between; about one in thirty is an outage."""
    noise = [trouble for trouble in Trouble if trouble not in OUTAGES]
    found = []
    for host in hosts:
        at = 60.0 + chance.uniform(0, 120)
        while at < seconds - 1500:
            outage = chance.random() < 1 / 30
            trouble = chance.choice(sorted(OUTAGES) if outage else noise)
            end = at + chance.uniform(*_LASTS[trouble])
            found.append(Incident(host, trouble, at, end, chance.choice(PAGES)))
            at = end + (chance.uniform(240, 600) if outage else chance.uniform(2.5 * INTERVAL, 300))
    return sorted(found, key=lambda incident: incident.start)


@dataclass
class Day:
    """By moment, in monotonic seconds: `away`: for how long nothing is scraped; `restarts`: the evaluators begin anew;
    `jumps`: by how much the wall clock is set; `store_away`: for how long the store does not answer.
    """

    database: Database
    folder: Path
    troubles: Sequence[Incident]
    away: Mapping[int, float]
    restarts: Collection[int]
    jumps: Mapping[int, float]
    chance: random.Random
    store_away: Mapping[int, float] = field(default_factory=dict)
    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        self.store = Doubtful(RecentStore(EmbeddedStore(self.folder / "series")))
        self.hosts = sorted({trouble.host for trouble in self.troubles})
        self._current: dict[str, Incident] = {}
        self._arriving: list[tuple[float, int, str, str, bool, float]] = []
        self._number = 0
        self._away_until = self._store_away_until = 0.0
        self._spool: deque[list[Frame]] = deque()
        self._offsets = {(host, page): self.chance.uniform(0, INTERVAL) for host in self.hosts for page in PAGES}
        self._due = dict(self._offsets)
        self.history: list[tuple[int, str, str, Change]] = []
        self._add_hosts()
        self._restart()

    def _add_hosts(self) -> None:
        now = self.clock.now()
        with self.database.platform(write=True) as session:
            for host in self.hosts:
                session.add(
                    Host(
                        id=host, name=host, created_at=now, address="10.0.0.1", state_since=now, cpu_cores=16,
                        exporter_url=f"http://{host}/node", vm_exporter_url=f"http://{host}/libvirt", memory_mb=65536,
                    )
                )  # fmt: skip

    def _restart(self) -> None:
        """The evaluators as a new process has them: without a memory."""
        outside = Outside(self.database, cast("TimeSeriesStore", self.store), self.clock, AtOnce(), self, self.ask)
        self.watch = HostWatch(outside, Policy.for_interval(INTERVAL, TIMEOUT), "detector")
        self.rules = Rules(Surroundings(self.database, cast("TimeSeriesStore", self.store), self.clock), INTERVAL)

    def run(self, seconds: int) -> None:
        """Second by second: scrapes end, the watch steps; the rules step on their slots."""
        upcoming = iter(self.troubles)
        following = next(upcoming, None)
        for second in range(1, seconds + 1):
            self.clock.advance(1)
            while following is not None and following.start <= second:
                self._current[following.host] = following
                following = next(upcoming, None)
            self._happen(second)
            self._scrape(second)
            self._flush(second)
            self.watch.step()
            if second % self.rules.period == 0:
                self._evaluate(second)

    def _evaluate(self, second: int) -> None:
        for one in self.rules.step().happened:
            self.history.append((second, one.rule_id, one.object_id, one.transition.change))

    def _happen(self, second: int) -> None:
        self._current = {host: one for host, one in self._current.items() if one.end > second}
        if second in self.away:
            self._away_until = second + self.away[second]
            self._arriving.clear()
        if second in self.store_away:
            self._store_away_until = second + self.store_away[second]
        self.store.there = second >= self._store_away_until
        if second in self.restarts:
            self._restart()
        if second in self.jumps:
            self.clock.jump(self.jumps[second])

    def _scrape(self, second: float) -> None:
        """Begin what is due. A scrape is dated by its start and known at its end."""
        for key, due in self._due.items():
            if due > second:
                continue
            self._due[key] = due + INTERVAL
            if second < self._away_until:
                continue
            host, page = key
            up, took = self._scraped(host, page, due)
            began = self.clock.now().timestamp() - (second - due) + self.chance.uniform(0, 0.3)
            self._number += 1
            heapq.heappush(self._arriving, (due + took, self._number, host, page, up, began))

    def _scraped(self, host: str, page: str, at: float) -> tuple[bool, float]:
        """Whether a scrape that begins now succeeds, and how many seconds it takes."""
        incident = self._current.get(host)
        quick = self.chance.uniform(0.01, 0.4)
        match None if incident is None else incident.trouble:
            case None:
                return True, quick
            case Trouble.SLOW:
                return True, self.chance.uniform(3.0, TIMEOUT - 0.1)
            case Trouble.HICCUP:
                assert incident is not None
                return (False, TIMEOUT) if incident.page == page else (True, quick)
            case Trouble.CRASH:
                return False, quick
            case Trouble.MISS | Trouble.SHORT_CUT | Trouble.LONG_CUT:
                return False, self.chance.choice([quick, TIMEOUT])

    def _flush(self, second: int) -> None:
        """What has ended within the last second is written, as the collector does."""
        ended = []
        while self._arriving and self._arriving[0][0] <= second:
            ended.append(heapq.heappop(self._arriving))
        if not ended or second < self._away_until:
            return
        targets = [(f"{host}/{page}", began, up) for _, _, host, page, up, began in ended]
        frames = [_frame(Kind.TARGET, targets, {"up": None, "duration": 0.2, "lateness": 0.0, "samples": 500.0})]
        good = [(host, began, True) for _, _, host, page, up, began in ended if up and page == "node"]
        if good:
            usual = {"cpu_rate": 20.0, "mem_rate": 40.0, "net_down": 100.0, "net_up": 100.0, "cpu_num": 16.0}
            frames.append(_frame(Kind.HOST, good, usual))
        self._spool.append(frames)
        while self._spool and self.store.there:
            self.store.write(self._spool.popleft())

    # --- what the watch asks

    def ask(self, pages: Mapping[str, Collection[str]], timeout: float) -> dict[str, Probe]:
        return {host: self._probe(host) for host in pages}

    def _probe(self, host: str) -> Probe:
        incident = self._current.get(host)
        return Probe.ANSWERS if incident is None else _PROBES.get(incident.trouble, Probe.ANSWERS)

    def look(self, host_ids: Collection[str]) -> Mapping[str, Power]:
        return {host: Power.OFF if self._crashed(host) else Power.ON for host in host_ids}

    def _crashed(self, host: str) -> bool:
        incident = self._current.get(host)
        return incident is not None and incident.trouble is Trouble.CRASH

    def fence(self, host_id: str, within: float) -> Fencing:
        return Fencing.FENCED

    def place(self, homes: Mapping[str, str]) -> Mapping[str, str]:
        return {}

    def close(self) -> None:
        self.store.close()


def _frame(kind: Kind, rows: Sequence[tuple[str, float, bool]], usual: Mapping[str, float | None]) -> Frame:
    """`usual` None: the row's own verdict."""
    values = np.full((len(rows), len(FIELDS[kind])), np.nan)
    for name, value in usual.items():
        values[:, COLUMN[kind][name]] = [float(up) for _, _, up in rows] if value is None else value
    return Frame(kind, [name for name, _, _ in rows], np.array([at for _, at, _ in rows]), values)
