"""One moment, as rules look at it: samples, lines and states in the order of the populations; each measure computed
once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from aggregator.rules.history import SECONDS, History
from aggregator.rules.inventory import NOBODY, Census, Positions, at
from aggregator.rules.language import Change, Forecast, Measure, RunsOn, Stat, Threshold
from aggregator.rules.regression import Line, fit
from aggregator.rules.snapshot import STALE_SCRAPES, Samples
from aggregator.rules.troubles import Troubled
from aggregator.rules.verdicts import Bools
from core.compute.rows import VmState
from core.hosts.rows import HostState
from core.timeseries.fields import COLUMN, Kind
from core.timeseries.store import Floats, Level

HOURLY_FROM = 6 * 3600.0
"""Windows longer than this are read from hour lines: 360 minutes already tell a slope."""
UNKNOWN_STATE = -128


def level_of(condition: Threshold | Change | Forecast) -> Level | None:
    """The lines a condition reads; None: samples only."""
    if isinstance(condition, Threshold):
        return None if condition.runs_on is RunsOn.FRESH else Level.MINUTE
    return Level.HOUR if condition.window > HOURLY_FROM else Level.MINUTE


@dataclass(frozen=True, slots=True)
class Moment:
    """When: `now`, and since when somebody has been watching without a gap (`watched_since`), both epoch seconds."""

    now: float
    scrape_interval: float
    watched_since: float


@dataclass(frozen=True, eq=False)
class View:
    """`samples` and `histories` are None where the store failed. `asked_since`: by object, since when it is in
    question."""

    moment: Moment
    census: Census
    samples: Mapping[Kind, Samples | None]
    histories: Mapping[tuple[Kind, Level], History | None] = field(default_factory=dict)
    asked_since: Mapping[Kind, Floats] = field(default_factory=dict)
    troubles: Troubled = field(default_factory=dict)
    _memory: dict[object, Floats | None] = field(default_factory=dict)
    _expected: dict[Kind, Bools] = field(default_factory=dict)
    _serviced: dict[Kind, Bools] = field(default_factory=dict)

    def values(self, condition: Threshold | Change | Forecast) -> Floats | None:
        """(n,) values of the condition's measure, NaN for no data; None when the store failed."""
        key = (
            condition.measure,
            type(condition),
            level_of(condition),
            getattr(condition, "window", None),
            *_details(condition),
        )
        if key not in self._memory:
            self._memory[key] = self._compute(condition)
        return self._memory[key]

    def silence(self, kind: Kind) -> tuple[Floats, Floats] | None:
        """(n,) seconds since the newest sample (infinite: none), and seconds of silence that were watched; None: store
        failed."""
        samples = self.samples[kind]
        if samples is None:
            return None
        now = self.moment.now
        watched = np.maximum(samples.times, self.moment.watched_since)
        if kind in self.asked_since:
            watched = np.maximum(watched, self.asked_since[kind])
        return now - samples.times, now - watched

    def states(self, owner: Kind, kind: Kind) -> Positions:
        """(n,) state codes of the owners of a kind's objects; UNKNOWN_STATE where there is no owner."""
        population = self.census.populations[kind]
        if owner is Kind.HOST:
            return at(self.host_states, population.host, UNKNOWN_STATE)
        return at(self.vm_states, population.vm, UNKNOWN_STATE)

    @cached_property
    def host_states(self) -> Positions:
        return np.array([host.state for host in self.census.inventory.host_states], dtype=np.intp)

    @cached_property
    def vm_states(self) -> Positions:
        return np.array(self.census.inventory.vm_states, dtype=np.intp)

    @cached_property
    def maintained(self) -> Positions:
        return np.array([host.maintenance for host in self.census.inventory.host_states], dtype=np.intp)

    def expected(self, kind: Kind) -> Bools:
        """(n,) the objects that ought to have samples: of running VMs, of hosts that are not stopped; never in
        maintenance."""
        if kind not in self._expected:
            population = self.census.populations[kind]
            vm_state = at(self.vm_states, population.vm, UNKNOWN_STATE)
            running = (vm_state == int(VmState.RUNNING)) | (vm_state == int(VmState.FAULT_DETECTING))
            up = at(self.host_states, population.host, int(HostState.STOPPED)) != int(HostState.STOPPED)
            self._expected[kind] = np.where(population.vm != NOBODY, running, up) & ~self.in_maintenance(kind)
        return self._expected[kind]

    def in_maintenance(self, kind: Kind) -> Bools:
        """(n,) the objects of a host in maintenance, and of the VMs on it."""
        if kind not in self._serviced:
            self._serviced[kind] = np.not_equal(at(self.maintained, self.census.populations[kind].host, 0), 0)
        return self._serviced[kind]

    def fresh(self, kind: Kind) -> Floats | None:
        """(n, fields) newest values, NaN when too old."""
        samples = self.samples[kind]
        if samples is None:
            return None
        oldest = self.moment.now - STALE_SCRAPES * self.moment.scrape_interval
        return np.where((samples.times >= oldest)[:, None], samples.values, np.nan)

    def _compute(self, condition: Threshold | Change | Forecast) -> Floats | None:
        if isinstance(condition, Threshold):
            return self._measured(condition.measure, condition)
        if isinstance(condition, Change):
            return self._changed(condition)
        return self._forecast(condition)

    def _measured(self, measure: Measure, condition: Threshold | None = None) -> Floats | None:
        if condition is None or condition.runs_on is RunsOn.FRESH:
            fresh = self.fresh(measure.kind)
            return (
                None if fresh is None else _reckon(measure, {n: fresh[:, c] for n, c in COLUMN[measure.kind].items()})
            )
        history = self.histories[measure.kind, Level.MINUTE]
        if history is None:
            return None
        final = condition.runs_on is RunsOn.FINAL
        columns = {n: history.newest((condition.stat, n), self.moment.now, final=final) for n in fields_of(measure)}
        nothing = np.full(len(self.census.populations[measure.kind]), np.nan)
        return _reckon(measure, {name: nothing if column is None else column for name, column in columns.items()})

    def _changed(self, condition: Change) -> Floats | None:
        level = level_of(condition) or Level.MINUTE
        history, newest = self.histories[condition.measure.kind, level], self._measured(condition.measure)
        if history is None or newest is None:
            return None
        then = self.moment.now - condition.window - SECONDS[level]
        columns = {}
        for name in fields_of(condition.measure):
            _, table = history.table((Stat.MEAN, name), then - SECONDS[level], then + SECONDS[level] + 1e-6)
            columns[name] = _last_known(table, len(newest))
        earlier = _reckon(condition.measure, columns)
        if not condition.relative:
            return newest - earlier
        return 100.0 * (newest - earlier) / np.where(earlier == 0, np.nan, np.abs(earlier))

    def _forecast(self, condition: Forecast) -> Floats | None:
        """The later answer of two lines, through the whole window and through its newest half: growth that has ended is
        none."""
        measure, now = condition.measure, self.moment.now
        history, fresh = self.histories[measure.kind, level_of(condition) or Level.MINUTE], self.fresh(measure.kind)
        if history is None or fresh is None:
            return None
        reaches = condition.reaches
        full = fresh[:, COLUMN[measure.kind][reaches]] if isinstance(reaches, str) else reaches
        whole, newest = (self._line(history, measure, window) for window in (condition.window, condition.window / 2))
        return np.maximum(whole.until(full, now), newest.until(full, now))

    def _line(self, history: History, measure: Measure, window: float) -> Line:
        """Fitted once for all evaluations that see the same lines."""
        key = (measure.fields, measure.percent_of, window)
        if key not in history.lines:
            columns, times = {}, np.empty(0)
            for name in fields_of(measure):
                times, columns[name] = history.table((Stat.MEAN, name), self.moment.now - window, self.moment.now)
            history.lines[key] = fit(times, _reckon(measure, columns), least=max(3.0, window / history.step / 2))
        return history.lines[key]


def fields_of(measure: Measure) -> tuple[str, ...]:
    return (*measure.fields, measure.percent_of) if measure.percent_of else measure.fields


def _reckon(measure: Measure, columns: Mapping[str, Floats]) -> Floats:
    total = columns[measure.fields[0]]
    for name in measure.fields[1:]:
        total = total + columns[name]
    if measure.percent_of is None:
        return total
    whole = columns[measure.percent_of]
    return 100.0 * total / np.where(whole == 0, np.nan, whole)


def _last_known(table: Floats, size: int) -> Floats:
    """(t, n) -> (n,): the last row that has a value."""
    last = np.full(size, np.nan)
    for row in table:
        last = np.where(np.isnan(row), last, row)
    return last


def _details(condition: Threshold | Change | Forecast) -> tuple[object, ...]:
    if isinstance(condition, Threshold):
        return condition.runs_on, condition.stat
    return (condition.relative,) if isinstance(condition, Change) else (condition.reaches,)
