"""The watch over the hosts: reads the evidence, lets `core.hosts.state` decide, writes what was decided. One step,
often.

Races and worst moments. Several watches may run: each decision is an UPDATE that names the token it was based on, so
one of them is refused, and only the one whose -2 was written fences. Fencing is slow, so it runs beside the steps and
its answer counts only under the token it was started for. The process may die anywhere: state, VMs' homes and events
are one transaction; a lock that its owner left behind ends by its deadline; hypervisors that have not followed the
inventory yet are made to follow at the next start. When the store is down there are no heartbeats; hosts that answer
when asked directly keep their state all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from aggregator.run import Job
from core.clock import Clock
from core.db.engine import Database
from core.drivers.power import HostPower, Power
from core.hosts import metrics
from core.hosts.events import Note, forget
from core.hosts.evidence import Fleet, Pulse, Survey, judge_fleet, survey
from core.hosts.fencing import Fencings
from core.hosts.probe import probe
from core.hosts.recovery import still_wanted
from core.hosts.rows import HostState
from core.hosts.state import MISSES, Evidence, Policy, Probe, heard, may_fence, resumed, step
from core.hosts.watched import Decision, Watched, load, recover_again, renew, write
from core.timeseries.fields import Kind
from core.timeseries.store import StoreUnavailable, TimeSeriesStore

_log = structlog.get_logger(__name__)

_PROBE_SECONDS: Final = 1.0
_CLEAN_EVERY: Final = 3600.0
_JUMP_SECONDS: Final = 2.0
"""So far may wall clock and monotonic clock drift apart between two steps before we call it a jump."""

Ask = Callable[[Mapping[str, Collection[str]], float], Mapping[str, Probe]]


def period(interval: float) -> float:
    """Seconds between two steps, for a scrape interval."""
    return min(1.0, interval / 2)


def host_event_retention(database: Database, clock: Clock, days: float) -> Job:
    """Events that happened longer ago than that are forgotten, a thousand an hour."""

    def clean() -> None:
        with database.platform(write=True) as session:
            forget(session, clock.now() - timedelta(days=days))

    return Job("host_event_retention", _CLEAN_EVERY, clean)


@dataclass(frozen=True, slots=True)
class Outside:
    """All that the watch touches. `power` None: no host can be fenced, none is ever declared dead. `executor` runs
    fencings. `overcommit`: virtual CPUs per core, at most, on a host that takes VMs in."""

    database: Database
    store: TimeSeriesStore
    clock: Clock
    executor: Executor
    power: HostPower | None = None
    ask: Ask = probe
    overcommit: float = 2.0


@dataclass(slots=True)
class _Memory:
    """What is remembered between steps: losing it costs time, never safety."""

    fleet: Fleet = field(default_factory=Fleet)
    probes: dict[str, tuple[float, Probe]] = field(default_factory=dict)
    unanswered: dict[str, float] = field(default_factory=dict)
    sampleless: bool = False
    unplaced: dict[str, str] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    last: tuple[datetime, float] | None = None
    recovered: float | None = None
    shown: dict[str, HostState] = field(default_factory=dict)


class HostWatch:
    """`step()` every `period(interval)` seconds, from one thread at a time. `detector` names this process among all
    watches."""

    def __init__(self, outside: Outside, policy: Policy, detector: str) -> None:
        self._out = outside
        self._policy = policy
        self._detector = detector
        self._memory = _Memory()
        self._pulse = Pulse()
        self._fencings = Fencings(outside.power, outside.executor)

    @property
    def blind(self) -> bool:
        """We see no host at all: it is our own link."""
        return self._memory.fleet.blind_since is not None

    @property
    def braked(self) -> bool:
        """Too many hosts are suspected at once."""
        return self._memory.fleet.braked

    def step(self) -> None:
        """Look once at every host, and write what changed."""
        began = time.perf_counter()
        now = self._out.clock.now()
        hosts = self._hosts()
        self._pulse.watch(hosts, now)
        if self._was_away(now):
            hosts = self._resume(hosts, now)
        self._hear(now)
        evidence = self._evidence(hosts, now)
        counted = survey(zip(hosts, evidence, strict=True), now, self._policy)
        notes = self._judge_fleet(counted, now)
        evidence = self._with_fleet(evidence, now)
        decisions = [self._decide(host, known, now) for host, known in zip(hosts, evidence, strict=True)]
        self._write(decisions, notes, now)
        self._fence(hosts, evidence, now)
        self._recover_again(hosts, now)
        self._place()
        self._show(decisions, counted)
        metrics.STEP_SECONDS.observe(time.perf_counter() - began)

    def _hosts(self) -> list[Watched]:
        with self._out.database.platform() as session:
            return load(session)

    def _was_away(self, now: datetime) -> bool:
        """At the first step, after a pause that is longer than our patience, and when the wall clock was set."""
        monotonic, last = self._out.clock.monotonic(), self._memory.last
        self._memory.last = now, monotonic
        if last is None:
            return True
        wall, passed = (now - last[0]).total_seconds(), monotonic - last[1]
        return passed > MISSES * self._policy.interval + self._policy.grace or abs(wall - passed) > _JUMP_SECONDS

    def _resume(self, hosts: Sequence[Watched], now: datetime) -> list[Watched]:
        """Nothing that happened, or did not happen, while we did not look is held against a host."""
        metrics.ABSENCES.inc()
        self._pulse.restart(now)
        self._memory.probes.clear()
        self._memory.unanswered.clear()
        self._memory.fleet = Fleet(braked=self._memory.fleet.braked)
        renewed = [replace(host, status=resumed(host.status, now, self._policy)) for host in hosts]
        with self._out.database.platform(write=True) as session:
            renew(session, [after for before, after in zip(hosts, renewed, strict=True) if before != after])
        return renewed

    def _hear(self, now: datetime) -> None:
        since = now.timestamp() - (MISSES + 1) * self._policy.interval - self._policy.grace
        try:
            self._pulse.hear(self._out.store.latest(Kind.TARGET, since), now)
        except StoreUnavailable as problem:
            metrics.STORE_FAILURES.inc()
            if not self._memory.sampleless:
                _log.warning("host watch without samples", problem=str(problem))
            self._memory.sampleless = True
        else:
            self._memory.sampleless = False

    def _evidence(self, hosts: Sequence[Watched], now: datetime) -> list[Evidence]:
        heartbeats = [
            Evidence(
                self._pulse.of(host),
                self._detector,
                maintenance=host.maintenance,
                fenced=self._fencings.certified(host.id),
            )
            for host in hosts
        ]
        doubted = [host for host, known in zip(hosts, heartbeats, strict=True) if not heard(known, now, self._policy)]
        probes, powers = self._probe(doubted), self._look(doubted)
        unanswered = self._unanswered(probes)
        return [
            replace(
                known, probe=probes[host.id], power=powers.get(host.id), unanswered_for=unanswered.get(host.id, 0.0)
            )
            if host.id in probes
            else known
            for host, known in zip(hosts, heartbeats, strict=True)
        ]

    def _unanswered(self, probes: Mapping[str, Probe]) -> Mapping[str, float]:
        """For how long the hosts that do not answer have not, in seconds."""
        clock, kept = self._out.clock.monotonic(), self._memory.unanswered
        silent = [host_id for host_id, answer in probes.items() if answer is not Probe.ANSWERS]
        self._memory.unanswered = {host_id: kept.get(host_id, clock) for host_id in silent}
        return {host_id: clock - since for host_id, since in self._memory.unanswered.items()}

    def _probe(self, doubted: Sequence[Watched]) -> dict[str, Probe]:
        """Answers that are younger than half an interval are used again: a silent cloud is not asked at every step."""
        clock, kept, limit = self._out.clock.monotonic(), self._memory.probes, self._policy.interval / 2
        fresh = {host.id: kept[host.id] for host in doubted if host.id in kept and clock - kept[host.id][0] < limit}
        pages = {host.id: tuple(host.urls.values()) for host in doubted if host.id not in fresh}
        answers = self._out.ask(pages, min(_PROBE_SECONDS, limit)) if pages else {}
        for answer in answers.values():
            metrics.PROBES.labels(answer).inc()
        self._memory.probes = fresh | {host_id: (clock, answer) for host_id, answer in answers.items()}
        return {host_id: answer for host_id, (_, answer) in self._memory.probes.items()}

    def _look(self, doubted: Sequence[Watched]) -> Mapping[str, Power]:
        if self._out.power is None or not doubted:
            return {}
        return self._out.power.look({host.id for host in doubted})

    def _judge_fleet(self, counted: Survey, now: datetime) -> list[Note]:
        self._memory.fleet, notes = judge_fleet(self._memory.fleet, counted, now, self._policy)
        for note in notes:
            _log.warning("all hosts", reason=str(note.reason), **note.evidence)
        return notes

    def _with_fleet(self, evidence: list[Evidence], now: datetime) -> list[Evidence]:
        blind_for, braked = self._memory.fleet.blind_for(now), self._memory.fleet.braked
        if blind_for is None and not braked:
            return evidence
        return [replace(known, blind_for=blind_for, braked=braked) for known in evidence]

    def _decide(self, host: Watched, known: Evidence, now: datetime) -> Decision:
        after, transitions = step(host.status, known, now, self._policy)
        scrapes = known if known.probe is None else replace(known, probe=None)
        return Decision(host, after, transitions, connected=heard(scrapes, now, self._policy))

    def _write(self, decisions: Sequence[Decision], notes: Sequence[Note], now: datetime) -> None:
        if not notes and not any(
            decision.transitions or decision.connected != decision.host.connected for decision in decisions
        ):
            return
        with self._out.database.platform(write=True) as session:
            moved = write(session, decisions, notes, now, self._detector, self._out.overcommit)
        self._memory.unplaced |= moved

    def _fence(self, hosts: Sequence[Watched], evidence: Sequence[Evidence], now: datetime) -> None:
        """Begins one step after the lock was written: what is fenced is what the database says we hold."""
        for host, known in zip(hosts, evidence, strict=True):
            deadline = host.status.deadline
            if deadline is not None and may_fence(host.status, known, now, self._policy):
                self._fencings.start(host.id, host.status.fence, (deadline - now).total_seconds())

    def _recover_again(self, hosts: Sequence[Watched], now: datetime) -> None:
        """Now and then: VMs of fenced hosts for which there was no time or no room."""
        clock, last = self._out.clock.monotonic(), self._memory.recovered
        if last is not None and clock - last < self._policy.detect_for:
            return
        self._memory.recovered = clock
        stopped = [host for host in hosts if host.status.state is HostState.STOPPED and not host.maintenance]
        powers = self._look(stopped)
        off = [host for host in stopped if powers.get(host.id) is Power.OFF]
        if off:
            with self._out.database.platform(write=True) as session:
                moved = recover_again(session, off, now, self._detector, self._out.overcommit)
            self._memory.unplaced |= moved

    def _place(self) -> None:
        """Let the hypervisors follow the inventory. What fails is tried again at the next step, while it is still
        wanted."""
        if self._out.power is None or not self._memory.unplaced:
            return
        with self._out.database.platform() as session:
            wanted = still_wanted(session, self._memory.unplaced)
        failed = self._out.power.place(wanted)
        for vm_id in failed.keys() - self._memory.refused:
            metrics.RESTARTS.labels("not_started").inc()
            _log.warning("VM not started", vm_id=vm_id, host_id=wanted[vm_id], why=failed[vm_id])
        self._memory.refused = frozenset(failed)
        self._memory.unplaced = {vm_id: wanted[vm_id] for vm_id in failed}

    def _show(self, decisions: Sequence[Decision], counted: Survey) -> None:
        states = {decision.host.id: decision.after.state for decision in decisions}
        shown, self._memory.shown = self._memory.shown, states
        for host_id, state in states.items():
            if shown.get(host_id) is not state:
                metrics.STATE.labels(host_id).set(state)
        for gone in shown.keys() - states.keys():
            metrics.STATE.remove(gone)
        metrics.SUSPECTS.set(counted.suspects)
        metrics.BRAKE.set(self._memory.fleet.braked)
        metrics.BLIND.set(self._memory.fleet.blind_since is not None)
