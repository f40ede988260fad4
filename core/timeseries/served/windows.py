"""Lines on a server that only adds points: every writing of a window is a revision of its own.

The points of revision r stand at the window's start plus r ticks, and its header (`window`, in the level's own
retention) at the same tick, written after them: readers take the points of the newest header and no others, so a window
is replaced as a whole and nobody sees half of it. Windows start at full minutes, which leaves 60,000 revisions to an
engine of milliseconds.

Windows that are not final are rewritten many times: their points go where raw samples are kept, and only what is final
enters the level's retention.

What is left out of a point has a default: `count` is `expected` where there is a mean and 0 where there is none,
`minimum` and `maximum` are the mean. Constant fields and complete windows cost one number instead of four.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from core.timeseries.fields import FIELDS, Kind
from core.timeseries.served.tables import Engine, Rows, Selection, Table, bound, chained
from core.timeseries.store import Floats, Level, Lines

_HEADER: Final = "window"
_HEADER_FIELDS: Final = ("expected", "final", "rows")
_PRESENT: Final = "line"
_MINUTE: Final = 60
_REMEMBERED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Header:
    """The newest revision of a window: its points stand at `tick`."""

    kind: Kind
    start: float
    tick: int
    expected: int
    final: bool


class Windows:
    """The lines of all levels. One process writes a window at a time: the owner of its lease."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._ticks: dict[tuple[Level, Kind, float], int] = {}

    def replace(self, level: Level, lines: Sequence[Lines]) -> None:
        with self._lock:
            headers = [(window, self._next(level, window)) for window in lines]
            points = [_points(level, window, header) for window, header in headers if len(window)]
            if not points:
                return
            self._engine.write(points)
            self._engine.write([_header_row(level, header, len(window)) for window, header in headers])

    def _next(self, level: Level, lines: Lines) -> Header:
        """The revision is taken even when the write then fails: points of a failed one must never be taken for those
        of the next."""
        if lines.start % _MINUTE:
            raise ValueError(f"{level}: a window starts at {lines.start}, which is no full minute")
        key = (level, lines.kind, lines.start)
        tick = self._ticks.get(key)
        if tick is None:
            found = self.headers(level, lines.kind, lines.start, lines.start + 1)
            tick = found[0].tick if found else int(lines.start) * self._engine.ticks_per_second
        if len(self._ticks) > _REMEMBERED:
            self._ticks.clear()
        self._ticks[key] = tick + 1
        return Header(lines.kind, lines.start, tick + 1, lines.expected, lines.final)

    def headers(self, level: Level, kind: Kind | None, start: float, end: float) -> list[Header]:
        """Of the windows with start <= window start < end, oldest first; of all kinds for None."""
        per_second = self._engine.ticks_per_second
        wanted = None if kind is None else (kind,)
        first, last = (bound(np.ceil(at / _MINUTE) * _MINUTE, per_second) for at in (start, end))
        rows = self._engine.read(Selection(level, _HEADER, _HEADER_FIELDS, wanted), first, last).complete()
        newest: dict[tuple[str, float], Header] = {}
        for row in np.argsort(rows.ticks).tolist():
            tick = int(rows.ticks[row])
            opened = float(tick // (_MINUTE * per_second) * _MINUTE)
            expected, final, _ = rows.values[row].tolist()
            key = (rows.objects[row], opened)
            newest[key] = Header(Kind(key[0]), opened, tick, int(expected), bool(final))
        return sorted(newest.values(), key=lambda header: header.start)

    def read(self, level: Level, kind: Kind, start: float, end: float, objects: Collection[str] | None) -> list[Lines]:
        headers = self.headers(level, kind, start, end)
        parts = {
            final: self._rows(level, kind, [header for header in headers if header.final is final], objects)
            for final in (True, False)
        }
        found = []
        for header in headers:
            rows = parts[header.final]
            mine = rows.take(np.flatnonzero(rows.ticks == header.tick))
            if len(mine):
                found.append(_lines(header, mine))
        return found

    def _rows(self, level: Level, kind: Kind, headers: Sequence[Header], objects: Collection[str] | None) -> Rows:
        selection = Selection(Level.RAW, _measurement(level, kind), _fields(kind), objects)
        if not headers:
            return chained([], len(selection.fields))
        if headers[0].final:
            selection = replace(selection, place=level)
        return self._engine.read(selection, headers[0].tick, max(header.tick for header in headers) + 1)


def _measurement(level: Level, kind: Kind) -> str:
    return f"{level}_{kind}"


def _parts(kind: Kind) -> Iterator[tuple[str, int]]:
    """The field of each part of a line, with its column."""
    for part in ("mean", "min", "max", "count"):
        for column, field in enumerate(FIELDS[kind]):
            yield f"{field.name}_{part}", column


def _fields(kind: Kind) -> list[str]:
    return [_PRESENT, *(name for name, _ in _parts(kind))]


def _points(level: Level, lines: Lines, header: Header) -> Table:
    count = lines.count.astype(float)
    expected = np.where(np.isnan(lines.mean), 0.0, float(lines.expected))
    cells = np.concatenate(
        [
            lines.mean,
            np.where(lines.minimum == lines.mean, np.nan, lines.minimum),
            np.where(lines.maximum == lines.mean, np.nan, lines.maximum),
            np.where(count == expected, np.nan, count),
        ],
        axis=1,
    )
    columns = {name: cells[:, at] for at, (name, _) in enumerate(_parts(lines.kind))}
    ticks = np.full(len(lines), header.tick, dtype=np.int64)
    place = level if header.final else Level.RAW
    return Table(
        place, _measurement(level, lines.kind), lines.objects, ticks, {_PRESENT: np.ones(len(lines)), **columns}
    )


def _header_row(level: Level, header: Header, rows: int) -> Table:
    values = (float(header.expected), float(header.final), float(rows))
    columns = {name: np.array([value]) for name, value in zip(_HEADER_FIELDS, values, strict=True)}
    return Table(level, _HEADER, [header.kind], np.array([header.tick]), columns)


def _lines(header: Header, rows: Rows) -> Lines:
    order = sorted(range(len(rows)), key=rows.objects.__getitem__)
    width = len(FIELDS[header.kind])
    mean, minimum, maximum, count = np.split(rows.values[order, 1:], [width, 2 * width, 3 * width], axis=1)
    expected: Floats = np.where(np.isnan(mean), 0.0, float(header.expected))
    return Lines(
        header.kind,
        header.start,
        [rows.objects[row] for row in order],
        mean,
        np.where(np.isnan(minimum), mean, minimum),
        np.where(np.isnan(maximum), mean, maximum),
        np.where(np.isnan(count), expected, count).astype(np.int64),
        header.expected,
        header.final,
    )
