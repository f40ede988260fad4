"""Small durable numbers by name: those of the aggregator, and from where on each level is kept."""

from __future__ import annotations

import threading

import numpy as np

from core.timeseries.served.commits import Numbers, instant
from core.timeseries.served.tables import Engine, Selection, Table, ticks_of
from core.timeseries.store import Level

_MEASUREMENT = "mark"
_FIELD = "value"


class Marks:
    """A mark is one series; its newest point counts. They stand where points are kept longest."""

    def __init__(self, engine: Engine, numbers: Numbers) -> None:
        self._engine = engine
        self._numbers = numbers
        self._lock = threading.Lock()
        self._kept: dict[Level, float] = {}

    def get(self, name: str) -> float | None:
        rows = self._engine.newest(Selection(Level.DAY, _MEASUREMENT, (_FIELD,), (name,)), 0)
        return float(rows.values[int(np.argmax(rows.ticks)), 0]) if len(rows) else None

    def set(self, name: str, value: float) -> None:
        with self._lock:
            when = np.array([instant(self._numbers.next())])
            ticks = ticks_of(when, self._engine.ticks_per_second)
            self._engine.write([Table(Level.DAY, _MEASUREMENT, [name], ticks, {_FIELD: np.array([value])})])

    def kept_from(self, level: Level) -> float:
        """Everything before it is as good as deleted. Asked once of the server, then remembered."""
        if level not in self._kept:
            self._kept[level] = self.get(_kept_mark(level)) or 0.0
        return self._kept[level]

    def keep_from(self, level: Level, instant: float) -> None:
        self.set(_kept_mark(level), instant)
        self._kept[level] = instant


def _kept_mark(level: Level) -> str:
    return f"kept.{level}"
