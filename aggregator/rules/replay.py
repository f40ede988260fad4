"""Rules over stored history: what they would have done. The real evaluator and the real machine, minute by minute.

Samples live for hours and lines for days, so a replay reads minute lines and takes each minute's mean for its
sample: a peak shorter than a minute is not seen, and `for` counts in minutes. Inventory and states are those of
now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from aggregator.rules.evaluate import evaluate
from aggregator.rules.inventory import Inventory
from aggregator.rules.language import RuleBook
from aggregator.rules.observer import Observer
from aggregator.rules.snapshot import Readable
from core.alarms.machine import BLANK, Change, State, step
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.store import Frame, Level, Lines

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Tally:
    """One rule: how often its alarms were raised, and how often one of them was found to be flapping; by object too."""

    rule_id: str
    raised: int
    flaps: int
    open_at_end: int
    objects: Mapping[str, int] = field(default_factory=dict)


@dataclass
class _Minutes:
    """The store as it was at `now`, as far as its lines tell."""

    store: Readable
    now: float = 0.0

    def latest(self, kind: Kind, since: float, objects: Collection[str] | None = None) -> Frame:
        """The means of the minute that ended at `now`."""
        lines = self.store.read_lines(Level.MINUTE, kind, max(since, self.now - MINUTE), self.now, objects)
        if not lines:
            return Frame(kind, (), np.empty(0), np.empty((0, len(FIELDS[kind]))))
        newest = lines[-1]
        return Frame(kind, newest.objects, np.full(len(newest), self.now), newest.mean)

    def read_lines(
        self, level: Level, kind: Kind, start: float, end: float, objects: Collection[str] | None = None
    ) -> Sequence[Lines]:
        return self.store.read_lines(level, kind, start, min(end, self.now), objects)


def replay(
    book: RuleBook, store: Readable, inventory: Inventory, since: float, until: float,
    progress: Callable[[float], None] = lambda _done: None,
) -> Sequence[Tally]:  # fmt: skip
    """From `since` to `until` (epoch seconds). `book` must be loaded for a scrape interval of MINUTE. `progress`:
    share done.

    Raises StoreUnavailable.
    """
    minutes = _Minutes(store)
    observer = Observer(book, since)
    states: dict[tuple[str, str], State] = {}
    changes: Counter[tuple[str, Change, str]] = Counter()
    first = np.ceil(since / MINUTE) * MINUTE
    for now in np.arange(first, until + 1e-6, MINUTE).tolist():
        minutes.now = now
        _play(book, observer, minutes, inventory, states, changes)
        progress((now - since) / max(until - since, MINUTE))
    return [_tally(rule.id, states, changes) for rule in book.rules]


def _play(
    book: RuleBook, observer: Observer, minutes: _Minutes, inventory: Inventory,
    states: dict[tuple[str, str], State], changes: Counter[tuple[str, Change, str]],
) -> None:  # fmt: skip
    kinds = {rule.id: rule.kind for rule in book.rules}
    view = observer.look(minutes, inventory, minutes.now, [(kinds[rule], name) for rule, name in states])
    if not any((samples.times > -np.inf).any() for samples in view.samples.values() if samples is not None):
        observer.restart(minutes.now)  # nobody was measured: we were not there, and that is no evidence
        return
    for outcome in evaluate(book, observer.limits(view.census), view, set(states)).outcomes:
        policy = outcome.rule.policy(MINUTE)
        for finding in outcome.findings:
            key = outcome.rule.id, finding.object_id
            state, transitions = step(states.get(key, BLANK), finding, policy, minutes.now)
            changes.update((outcome.rule.id, transition.change, finding.object_id) for transition in transitions)
            if state == BLANK:
                states.pop(key, None)
            else:
                states[key] = state


def _tally(
    rule_id: str, states: Mapping[tuple[str, str], State], changes: Mapping[tuple[str, Change, str], int]
) -> Tally:
    raised = {
        name: times for (rule, change, name), times in changes.items() if rule == rule_id and change is Change.RAISED
    }
    flaps = sum(times for (rule, change, _), times in changes.items() if rule == rule_id and change is Change.FLAPPING)
    still = sum(1 for (rule, _), state in states.items() if rule == rule_id and state.severity is not None)
    return Tally(rule_id, sum(raised.values()), flaps, still, raised)
