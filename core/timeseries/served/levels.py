"""Two engines as one: what is kept for years stands on a server of its own.

A server with one retention for everything would keep each raw sample as long as the lines of days: of 10,500 objects at
10 s that is two gigabytes a day, for years. Lines that are not final and the records of writes stand with the raw
samples, marks with the days.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.timeseries.served.tables import Engine, Rows, Selection, Table
from core.timeseries.store import Level

LONG: Final = frozenset({Level.HOUR, Level.DAY})
"""Levels that the second engine keeps."""


class ByLevel:
    """An `Engine`. The two count ticks alike."""

    def __init__(self, short: Engine, long: Engine) -> None:
        self._short, self._long = short, long
        self.ticks_per_second = short.ticks_per_second

    def write(self, tables: Sequence[Table]) -> None:
        for engine in (self._short, self._long):
            if mine := [table for table in tables if self._of(table.place) is engine]:
                engine.write(mine)

    def read(self, selection: Selection, start: int, end: int) -> Rows:
        return self._of(selection.place).read(selection, start, end)

    def newest(self, selection: Selection, start: int) -> Rows:
        return self._of(selection.place).newest(selection, start)

    def close(self) -> None:
        self._short.close()
        self._long.close()

    def _of(self, level: Level) -> Engine:
        return self._long if level in LONG else self._short
