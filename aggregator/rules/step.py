"""The shell around the rules, run by a scheduler: look, evaluate, settle; measured, on a grid of slots, deaf to clock
jumps.

Races and worst moments. A step that is late evaluates the slot it is in and counts those it missed: never a burst.
A wall clock that moved against the monotonic one makes all ages meaningless for a moment: that step evaluates
nothing, and silences begin anew. The process may die between evaluation and settlement: nothing was settled then,
and the next slot finds the same. Rules that cannot be used never replace those in force. Two steps at once are
refused by a lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np
import structlog
from sqlalchemy.exc import SQLAlchemyError

from aggregator.rules import metrics
from aggregator.rules.evaluate import Evaluated, evaluate
from aggregator.rules.explain import Memory
from aggregator.rules.facts import Facts
from aggregator.rules.language import RuleBook
from aggregator.rules.load import files_in_force, load_files
from aggregator.rules.observer import Observer
from aggregator.rules.reading import InventoryReader
from aggregator.rules.snapshot import STALE_SCRAPES
from aggregator.rules.source import RulesInvalid
from aggregator.rules.troubles import PLATFORM, Trouble
from aggregator.rules.view import View
from core.alarms.announcement import Routing, nobody
from core.alarms.engine import Happened, open_keys, retire_rules, settle
from core.alarms.finding import Evaluation
from core.clock import Clock
from core.db.engine import Database
from core.timeseries.fields import Kind
from core.timeseries.store import TimeSeriesStore

_log = structlog.get_logger(__name__)

JUMP_SECONDS: Final = 2.0
"""So far may wall clock and monotonic clock drift apart between two steps."""
_TOLERATED_MISSES: Final = 2


def period(scrape_interval: float) -> float:
    """Seconds between two evaluations: twice per scrape, at most once in 0.2 s and at least once in 5 s."""
    return min(5.0, max(0.2, scrape_interval / 2))


class Outcome(StrEnum):
    """How a step ended. SKIPPED: its slot was evaluated before."""

    COMPLETE = "complete"
    DEGRADED = "degraded"
    CLOCK_JUMP = "clock_jump"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Stepped:
    """One step: what the alarms made of it, in order."""

    outcome: Outcome
    happened: Sequence[Happened] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that a step touches. `fence` is the token of the lease under which this evaluator writes."""

    database: Database
    store: TimeSeriesStore
    clock: Clock
    routing: Routing = nobody
    fence: int = 0
    troubles: Callable[[], Collection[Trouble]] = tuple
    """Those of the platform that others than the rules notice."""


class Rules:
    """The rules in force, and their evaluation. `file` None: the shipped rules. Raises RulesInvalid."""

    def __init__(self, around: Surroundings, scrape_interval: float, file: Path | None = None) -> None:
        self._around = around
        self._files = files_in_force(file)
        self._interval = scrape_interval
        self.period = period(scrape_interval)
        self.memory = Memory()
        self._inventory = InventoryReader()
        self._observer = Observer(self._read(), around.clock.now().timestamp())
        self._stamps = self._modified()
        self._retire = True
        self._last: tuple[datetime, float] | None = None
        self._slot: float | None = None
        self._blind = False
        self._busy = threading.Lock()

    @property
    def book(self) -> RuleBook:
        return self._observer.book

    def reload(self) -> None:
        """Read the files again. States stay, by rule id; alarms of rules that are gone end at the next step.

        Raises RulesInvalid; the rules in force stay then.
        """
        book = self._read()
        with self._busy:
            self._observer = self._observer.use(book, self._around.clock.now().timestamp())
            self._retire = True
        _log.info("rules_loaded", rules=len(book.rules))

    def step(self) -> Stepped:
        """Evaluate the slot that is now, once. Failures of the database pass through, and nothing is settled then."""
        self._follow_files()
        with self._busy:
            now, monotonic = self._around.clock.now(), self._around.clock.monotonic()
            if self._jumped(now, monotonic):
                return self._count(Stepped(Outcome.CLOCK_JUMP))
            slot = self.period * np.floor(now.timestamp() / self.period + 1e-9)
            if self._slot is not None and slot <= self._slot:
                return Stepped(Outcome.SKIPPED)
            self._miss(slot)
            try:
                return self._count(self._evaluate(float(slot)))
            except SQLAlchemyError:
                metrics.EVALUATIONS.labels("failed").inc()
                raise

    def _evaluate(self, slot: float) -> Stepped:
        observer, around = self._observer, self._around
        began = time.perf_counter()
        with around.database.platform() as session:
            inventory, opened = self._inventory.read(session), open_keys(session)
        noticed = dict.fromkeys(around.troubles(), frozenset({PLATFORM}))
        inventory = replace(inventory, troubles={**inventory.troubles, **noticed})
        kinds = {rule.id: rule.kind for rule in observer.book.rules}
        view = observer.look(
            around.store, inventory, slot, [(kinds[rule], name) for rule, name in opened if rule in kinds]
        )
        looked = time.perf_counter()
        limits = observer.limits(view.census)
        evaluated = evaluate(observer.book, limits, view, opened)
        judged = time.perf_counter()
        happened = self._settle(evaluated, slot)
        settled = time.perf_counter()
        self.memory.remember(evaluated, dict(limits))
        for stage, seconds in (("look", looked - began), ("judge", judged - looked), ("settle", settled - judged)):
            metrics.DURATION.labels(stage).observe(seconds)
        _publish(evaluated, slot)
        self._tell_of_store(blind := evaluated.degraded)
        return Stepped(Outcome.DEGRADED if blind else Outcome.COMPLETE, happened)

    def _tell_of_store(self, blind: bool) -> None:  # noqa: FBT001 - private
        """Once when it begins and once when it ends, not at every step."""
        if blind != self._blind:
            self._blind = blind
            _log.warning("rules_store_unavailable" if blind else "rules_store_back")

    def _settle(self, evaluated: Evaluated, slot: float) -> Sequence[Happened]:
        """One transaction: all alarms of the moment, and the end of those whose rule is gone."""
        around, moment = self._around, datetime.fromtimestamp(slot, UTC)
        facts = {kind: Facts(evaluated.view, kind) for kind in Kind}
        evaluations = [
            Evaluation(outcome.rule.policy(self.period), outcome.findings, facts[outcome.rule.kind])
            for outcome in evaluated.outcomes
        ]
        with around.database.platform(write=True) as session:
            ended: Sequence[Happened] = ()
            if self._retire:
                keep = [rule.id for rule in self.book.rules]
                ended = retire_rules(session, keep, moment, routing=around.routing, fence=around.fence)
            happened = settle(session, evaluations, moment, routing=around.routing, fence=around.fence)
        self._retire = False
        return (*ended, *happened)

    def _jumped(self, now: datetime, monotonic: float) -> bool:
        last, self._last = self._last, (now, monotonic)
        if last is None or abs((now - last[0]).total_seconds() - (monotonic - last[1])) <= JUMP_SECONDS:
            return False
        metrics.JUMPS.inc()
        _log.warning("rules_clock_jump", seconds=(now - last[0]).total_seconds() - (monotonic - last[1]))
        self._slot = None
        self._observer.restart(now.timestamp())
        return True

    def _miss(self, slot: float) -> None:
        missed = round((slot - self._slot) / self.period) - 1 if self._slot is not None else 0
        self._slot = slot
        if missed > 0:
            metrics.MISSED.inc(missed)
        if missed > _TOLERATED_MISSES:
            _log.warning("rules_slots_missed", missed=missed)
            self._observer.restart(slot)

    def _count(self, stepped: Stepped) -> Stepped:
        metrics.EVALUATIONS.labels(stepped.outcome.value).inc()
        return stepped

    def _read(self) -> RuleBook:
        try:
            book = load_files(self._files, self._interval)
        except RulesInvalid:
            metrics.RELOADS.labels("refused").inc()
            raise
        metrics.RELOADS.labels("loaded").inc()
        metrics.LOADED.set(len(book.rules))
        return book

    def _modified(self) -> tuple[int, ...]:
        return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in self._files)

    def _follow_files(self) -> None:
        stamps = self._modified()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self.reload()
        except RulesInvalid as refusal:
            _log.warning("rules_refused", problems=[str(problem) for problem in refusal.problems])


def _publish(evaluated: Evaluated, slot: float) -> None:
    for outcome in evaluated.outcomes:
        metrics.FINDINGS.labels(outcome.rule.id).set(len(outcome.findings))
    for kind in evaluated.view.samples:
        metrics.COMPLETENESS.labels(kind.value).set(completeness(evaluated.view, kind))
    metrics.LAST.set(slot)


def completeness(view: View, kind: Kind) -> float:
    """Share of the objects that ought to have samples and have fresh ones; 1 when there are none."""
    expected, samples = view.expected(kind), view.samples[kind]
    if not expected.any():
        return 1.0
    if samples is None:
        return 0.0
    fresh = samples.times >= view.moment.now - STALE_SCRAPES * view.moment.scrape_interval
    return float((expected & fresh).sum() / expected.sum())
