"""What is kept between two evaluations: the census, the past, and since when each object has been watched.

Losing it costs nothing but time: silence is counted anew from the start, so that our own absence is nobody's. The
worst moment is the first look after a start: an object with an open alarm that no table knows (a host's disk) has
not been seen yet, and must not be taken for gone - `open_objects` are expected until they were silent for an hour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from aggregator.rules import metrics
from aggregator.rules.conditions import Limits
from aggregator.rules.history import SECONDS, Column, History
from aggregator.rules.inventory import NOBODY, Census, Inventory
from aggregator.rules.language import Measured, NoData, RuleBook, RunsOn, Stat, Threshold, leaves
from aggregator.rules.overrides import limits_of
from aggregator.rules.snapshot import STALE_SCRAPES, Aligner, Readable, Samples, read_latest
from aggregator.rules.troubles import PLATFORM, Trouble
from aggregator.rules.verdicts import Bools
from aggregator.rules.view import Moment, View, fields_of, level_of
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.store import Floats, Frame, Level, StoreUnavailable

FORGOTTEN_AFTER: Final = 3600.0
"""A device that no table has is expected this long (seconds) after it was last seen."""
_REFRESH: Final = 20.0
"""Seconds between two looks for new lines, when no rule reads unfinished ones."""
_DEVICES: Final = (Kind.DISK, Kind.NIC)


class Observer:
    """The eyes of one rule book. One thread at a time."""

    def __init__(self, book: RuleBook, now: float) -> None:
        self.book = book
        self._needs = Needs(book)
        self._watched_since = now
        self._census = Census(Inventory((), ()))
        self._limits: Mapping[str, Limits] = {}
        self._limited: object = None
        self._seen: dict[Kind, dict[str, float]] = {kind: {} for kind in _DEVICES}
        self._aligners: dict[Kind, Aligner] = defaultdict(Aligner)
        self._asked: dict[Kind, tuple[Collection[str], Floats, Bools]] = {}
        self._histories = {
            (kind, level): History(kind, level, sorted(columns), self._needs.spans[kind, level])
            for (kind, level), columns in self._needs.columns.items()
        }
        self._refreshed = -np.inf

    def restart(self, now: float) -> None:
        """A gap in our own watching, a store that did not answer, a clock that was set: every silence begins anew."""
        self._watched_since = now
        self._asked.clear()

    def use(self, book: RuleBook, now: float) -> Observer:
        """An observer with other rules that has watched as long as this one."""
        other = Observer(book, now)
        other._watched_since, other._asked, other._seen = self._watched_since, self._asked, self._seen
        return other

    def limits(self, census: Census) -> Mapping[str, Limits]:
        if census.populations is not self._limited:
            self._limits = {rule.id: limits_of(rule, census) for rule in self.book.rules}
            self._limited = census.populations
        return self._limits

    def look(
        self, store: Readable, inventory: Inventory, now: float, open_objects: Iterable[tuple[Kind, str]] = ()
    ) -> View:
        """The moment `now` (epoch seconds, a slot), with one read per kind. `open_objects` have machine state."""
        interval = self.book.scrape_interval
        frames = read_latest(store, {kind: now - reach for kind, reach in self._needs.reach(interval).items()})
        self._count(inventory, frames, now, open_objects)
        census = self._census
        samples: dict[Kind, Samples | None] = {
            kind: None if frame is None else self._aligners[kind].samples(census.populations[kind], frame)
            for kind, frame in frames.items()
        }
        histories = self._refresh(store, census, now)
        moment = Moment(now, interval, self._watched_since)
        failed = None in frames.values() or None in histories.values()
        if failed:
            self.restart(now)
        troubles = {**inventory.troubles, Trouble.STORE_UNAVAILABLE: frozenset({PLATFORM} if failed else ())}
        view = View(moment, census, samples, histories, troubles=troubles)
        asked = {kind: self._ask(view, kind, now) for kind in frames}
        return replace(view, asked_since=asked)

    def _count(
        self,
        inventory: Inventory,
        frames: Mapping[Kind, Frame | None],
        now: float,
        open_objects: Iterable[tuple[Kind, str]],
    ) -> None:
        """Bring the census up to date; the same objects keep their numbers, and so everything computed from them."""
        known = self._census if inventory.same_objects(self._census.inventory) else Census(inventory, self._census.seen)
        for kind, name in open_objects:
            if kind in _DEVICES and known.strangers(kind, (name,)):
                self._seen[kind].setdefault(name, now)
        for kind in _DEVICES:
            frame = frames.get(kind)
            if frame is not None:
                self._notice(known, kind, frame)
        seen = {
            kind: frozenset(name for name, last in names.items() if last >= now - FORGOTTEN_AFTER)
            for kind, names in self._seen.items()
        }
        for kind, names in self._seen.items():
            self._seen[kind] = {name: last for name, last in names.items() if last >= now - 2 * FORGOTTEN_AFTER}
        if known is self._census and seen == self._census.seen:
            self._census = known.with_states(inventory)
        else:
            self._census = Census(inventory, seen)

    def _notice(self, census: Census, kind: Kind, frame: Frame) -> None:
        rows = self._aligners[kind].rows(census.populations[kind], frame.objects)
        unknown = [frame.objects[place] for place in np.flatnonzero(rows == NOBODY).tolist()]
        for name in census.strangers(kind, unknown):
            self._seen[kind].setdefault(name, -np.inf)
        seen = self._seen[kind]
        for name, time in zip(frame.objects, frame.times.tolist(), strict=True) if seen else ():
            if name in seen:
                seen[name] = max(seen[name], time)

    def _refresh(self, store: Readable, census: Census, now: float) -> Mapping[tuple[Kind, Level], History | None]:
        due = self._needs.partial or now - self._refreshed >= _REFRESH or now < self._refreshed
        result: dict[tuple[Kind, Level], History | None] = {}
        for key, history in self._histories.items():
            try:
                history.refresh(store if due else None, census.populations[key[0]], now)
                result[key] = history
            except StoreUnavailable:
                metrics.STORE_FAILURES.inc()
                result[key] = None
        if due and all(result.values()):
            self._refreshed = now
        return result

    def _ask(self, view: View, kind: Kind, now: float) -> Floats:
        """(n,) since when each object has been expected to have samples, without a break."""
        population = view.census.populations[kind]
        expected = view.expected(kind)
        before = self._asked.get(kind)
        if before is None:
            since = np.full(len(population), self._watched_since)
        elif before[0] is population.ids:
            since = np.where(before[2], before[1], now)
        else:
            place = {name: position for position, name in enumerate(before[0])}
            old = np.fromiter(
                (place.get(name, NOBODY) for name in population.ids), dtype=np.intp, count=len(population)
            )
            padded = np.append(np.where(before[2], before[1], now), now)
            since = padded[old]
        self._asked[kind] = (population.ids, since, expected)
        return since


class Needs:
    """What the rules of a book read."""

    def __init__(self, book: RuleBook) -> None:
        self._silences: dict[Kind, float] = {Kind.TARGET: 0.0}
        self.columns: dict[tuple[Kind, Level], set[Column]] = defaultdict(set)
        self.spans: dict[tuple[Kind, Level], float] = defaultdict(float)
        self.partial = False
        for rule in book.rules:
            if FIELDS[rule.kind]:
                self._silences.setdefault(rule.kind, 0.0)
            for leaf in leaves(rule.condition):
                if isinstance(leaf, NoData):
                    self._silences[leaf.kind] = max(self._silences.get(leaf.kind, 0.0), leaf.seconds)
                elif isinstance(leaf, Measured):
                    self._lines(leaf)

    def reach(self, interval: float) -> Mapping[Kind, float]:
        """How far back (seconds) the newest samples matter, by kind."""
        return {kind: max(STALE_SCRAPES * interval, silence) + interval for kind, silence in self._silences.items()}

    def _lines(self, leaf: Measured) -> None:
        self._silences.setdefault(leaf.measure.kind, 0.0)
        level = level_of(leaf)
        if level is None:
            return
        key = leaf.measure.kind, level
        stat = leaf.stat if isinstance(leaf, Threshold) else Stat.MEAN
        self.columns[key].update((stat, name) for name in fields_of(leaf.measure))
        window = 4 * SECONDS[level] if isinstance(leaf, Threshold) else leaf.window + 3 * SECONDS[level]
        self.spans[key] = max(self.spans[key], window)
        self.partial = self.partial or (isinstance(leaf, Threshold) and leaf.runs_on is RunsOn.PARTIAL)
