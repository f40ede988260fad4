"""The past that forecasts, changes and minute conditions need: a few columns of the lines of one kind and level, kept
in memory.

Reading hours of lines for all objects at every evaluation would be most of its cost, so windows are read once, when
they are final; the newest ones are read again until they are. The first read goes in small pieces: whole lines are
much wider than the columns that are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aggregator.rules.inventory import NOBODY, Population
from aggregator.rules.language import Stat
from aggregator.rules.regression import Line
from aggregator.rules.snapshot import Aligner, Readable
from core.timeseries.fields import COLUMN, Kind
from core.timeseries.store import Floats, Level, Lines

SECONDS = {Level.MINUTE: 60.0, Level.HOUR: 3600.0}
_PIECE = 15
_REREAD = 3
Column = tuple[Stat, str]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """`columns` is (columns, n)."""

    columns: Floats
    final: bool


class History:
    """`columns` of the last `span` seconds. Failure of the store passes through as StoreUnavailable and leaves it
    usable."""

    def __init__(self, kind: Kind, level: Level, columns: Sequence[Column], span: float) -> None:
        self.kind = kind
        self.level = level
        self.step = SECONDS[level]
        self._columns = {column: position for position, column in enumerate(columns)}
        self._span = span
        self._windows: dict[float, Window] = {}
        self._population: Population | None = None
        self._aligner = Aligner()
        self.lines: dict[object, Line] = {}
        """Lines fitted through it, by what was fitted: good until it changes."""

    def refresh(self, store: Readable | None, population: Population, now: float) -> None:
        """Follow the population, read what is new, forget what is too old. `store` None: nothing new is wanted yet."""
        self._follow(population)
        if store is None:
            return
        self.lines.clear()
        oldest = self.step * np.floor((now - self._span) / self.step) - self.step
        start = max(oldest, max(self._windows) - _REREAD * self.step) if self._windows else oldest
        while start <= now:
            end = min(start + _PIECE * self.step, now + self.step)
            for lines in store.read_lines(self.level, self.kind, start, end):
                self._windows[lines.start] = self._keep(population, lines)
            start += _PIECE * self.step
        self._windows = {begin: self._windows[begin] for begin in sorted(self._windows) if begin >= oldest}

    def table(self, column: Column, since: float, until: float) -> tuple[Floats, Floats]:
        """Window middles (t,) and values (t, n) of the windows that start in since <= start < until, oldest first."""
        position = self._columns[column]
        chosen = [(begin, window) for begin, window in self._windows.items() if since <= begin < until]
        size = len(self._population) if self._population is not None else 0
        values = np.array([window.columns[position] for _, window in chosen]).reshape(len(chosen), size)
        return np.array([begin + self.step / 2 for begin, _ in chosen]), values

    def newest(self, column: Column, now: float, *, final: bool) -> Floats | None:
        """The newest window's values, or the newest final one's; None when it is more than three windows old."""
        position = self._columns[column]
        for begin in reversed(self._windows):
            window = self._windows[begin]
            if begin + 4 * self.step <= now:
                return None
            if begin <= now and (window.final or not final):
                return np.asarray(window.columns[position], dtype=np.float64)
        return None

    def _keep(self, population: Population, lines: Lines) -> Window:
        rows = self._aligner.rows(population, lines.objects)
        known = rows != NOBODY
        kept = np.full((len(self._columns), len(population)), np.nan)
        sources = {Stat.MEAN: lines.mean, Stat.MIN: lines.minimum, Stat.MAX: lines.maximum}
        for (stat, name), position in self._columns.items():
            kept[position, rows[known]] = sources[stat][known, COLUMN[self.kind][name]]
        return Window(kept, lines.final)

    def _follow(self, population: Population) -> None:
        """Objects came or went: every window is brought into the new order, without reading it again."""
        before, self._population = self._population, population
        if before is None or before is population:
            return
        self.lines.clear()
        source = before.locate(population.ids)
        for begin, window in self._windows.items():
            columns = (
                np.where(source == NOBODY, np.nan, window.columns[:, source])
                if len(before)
                else np.full((len(self._columns), len(population)), np.nan)
            )
            self._windows[begin] = Window(columns, window.final)
