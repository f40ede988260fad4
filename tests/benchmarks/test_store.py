"""The embedded store at 10,500 VMs x 11 fields, beside plain SQL rows in the same SQLite, in the same run."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from aggregator.rollup import roll_samples
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.recent import RecentStore
from core.timeseries.store import Floats, Frame, Level

pytestmark = pytest.mark.benchmark

_OBJECTS = 10_500
_INTERVAL = 10.0
_T0 = 1_760_000_040.0
_FIELDS = [field.name for field in FIELDS[Kind.VM]]
_NAMES = [f"vm-{number:020d}" for number in range(_OBJECTS)]


class Load:
    """Believable load: slow walks, page-sized memory, 30 % idle VMs, values as exporters round them."""

    def __init__(self) -> None:
        chance = self._chance = np.random.default_rng(1)
        self._idle = chance.random(_OBJECTS) < 0.3
        self._size = chance.choice([2048.0, 4096.0, 8192.0, 16384.0], _OBJECTS)
        self._cpu = chance.gamma(2, 8, _OBJECTS)
        self._mem = chance.random(_OBJECTS) * 0.8 + 0.05

    def tick(self) -> Floats:
        chance = self._chance
        self._cpu = np.clip(self._cpu + chance.normal(0, 2, _OBJECTS), 0, 100)
        self._mem = np.clip(self._mem + chance.normal(0, 0.002, _OBJECTS) * (chance.random(_OBJECTS) < 0.5), 0.02, 0.98)
        values = np.full((_OBJECTS, len(_FIELDS)), np.nan)
        columns = {
            "cpu_rate": np.round(self._cpu, 2),
            "cpu_num": np.full(_OBJECTS, 4.0),
            "mem_rate": np.round(self._mem * 100, 2),
            "mem_size": self._size,
            "mem_used": np.round(self._mem * self._size * 256) / 256,
            "disk_size": self._size * 10,
            "disk_used": np.round(self._size * 3.3),
        }
        for name in ("disk_read", "disk_write", "net_down", "net_up"):
            rate = chance.gamma(0.7, 100.0, _OBJECTS)
            rate[self._idle] = 0.0
            columns[name] = np.round(rate * 10) / 10
        for name, column in columns.items():
            values[:, COLUMN[Kind.VM][name]] = column
        return values


class SqlRows:
    """The peer: one row per object and tick, as anyone would lay it out first. Same pragmas, same durability."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -65536", "secure_delete = OFF"):
            self._connection.execute(f"PRAGMA {pragma}")
        columns = ", ".join(f"{name} REAL" for name in _FIELDS)
        self._connection.execute(
            f"CREATE TABLE raw (ts REAL, obj INTEGER, {columns}, PRIMARY KEY (ts, obj)) WITHOUT ROWID"
        )

    def write(self, instant: float, values: Floats) -> None:
        rows = ((instant, number, *row) for number, row in enumerate(values.tolist()))
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(f"INSERT INTO raw VALUES ({','.join('?' * (2 + len(_FIELDS)))})", rows)
        self._connection.execute("COMMIT")

    def latest(self, objects: Sequence[int]) -> list[tuple[float, ...]]:
        marks = ",".join("?" * len(objects))
        query = f"SELECT * FROM raw WHERE ts = (SELECT max(ts) FROM raw) AND obj IN ({marks})"
        return self._connection.execute(query, objects).fetchall()

    def history(self, number: int, start: float, points: int) -> list[tuple[float, ...]]:
        times = [start + _INTERVAL * point for point in range(points)]
        marks = ",".join("?" * points)
        return self._connection.execute(
            f"SELECT * FROM raw WHERE obj = ? AND ts IN ({marks})", [number, *times]
        ).fetchall()

    def close(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()


def _timed(deed: Callable[[], object], times: int) -> tuple[float, float]:
    """Milliseconds, p50 and p95."""
    deed()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        deed()
        taken.append(1000 * (time.perf_counter() - start))
    taken.sort()
    return taken[len(taken) // 2], taken[int(len(taken) * 0.95)]


def _frame(tick: int, values: Floats) -> Frame:
    return Frame(Kind.VM, _NAMES, np.full(_OBJECTS, _T0 + _INTERVAL * tick), values)


def _report(name: str, ours: tuple[float, float], peer: tuple[float, float] | None = None) -> None:
    against = f"   SQL rows {peer[0]:8.2f} / {peer[1]:8.2f}   ratio {peer[0] / ours[0]:6.2f}" if peer else ""
    print(f"{name:42} p50 / p95 ms {ours[0]:8.2f} / {ours[1]:8.2f}{against}")


def test_samples_of_10_500_vms(tmp_path: Path) -> None:
    load, ticks = Load(), 60
    values = [load.tick() for _ in range(ticks)]
    store, peer = EmbeddedStore(tmp_path / "ours"), SqlRows(tmp_path / "rows.db")
    ours, theirs = iter(range(ticks)), iter(range(ticks))
    written = _timed(lambda: store.write([_frame(number := next(ours), values[number])]), ticks - 1)
    peered = _timed(lambda: peer.write(_T0 + _INTERVAL * (number := next(theirs)), values[number]), ticks - 1)
    _report("durable write of a tick", written, peered)

    end = _T0 + _INTERVAL * ticks
    one, thousand = [_NAMES[4242]], _NAMES[::10][:1000]
    numbers = list(range(0, _OBJECTS, 10))[:1000]
    recent = RecentStore(store, 900.0)
    assert len(recent.latest(Kind.VM, end - 30)) == _OBJECTS
    assert len(peer.latest(numbers)) == len(recent.latest(Kind.VM, end - 30, thousand)) == 1000
    _report(
        "latest of 1, from memory",
        _timed(lambda: recent.latest(Kind.VM, end - 30, one), 50),
        _timed(lambda: peer.latest([4242]), 50),
    )
    _report(
        "latest of 1,000, from memory",
        _timed(lambda: recent.latest(Kind.VM, end - 30, thousand), 30),
        _timed(lambda: peer.latest(numbers), 30),
    )
    _report("latest of 10,500, from memory", _timed(lambda: recent.latest(Kind.VM, end - 30), 30))
    _report("latest of 1,000, from disk", _timed(lambda: store.latest(Kind.VM, end - 30, thousand), 20))
    _report(
        "60 raw points of 1, from memory",
        _timed(lambda: recent.read(Kind.VM, _T0, end, one), 10),
        _timed(lambda: peer.history(4242, _T0, 60), 10),
    )
    _report("60 raw points of 1, from disk", _timed(lambda: store.read(Kind.VM, _T0, end, one), 5))
    _report("a minute of all, from memory", _timed(lambda: recent.read(Kind.VM, end - 60, end), 5))
    _report("a minute of all, from disk", _timed(lambda: store.read(Kind.VM, end - 60, end), 5))
    found = recent.read(Kind.VM, _T0, end, one)
    np.testing.assert_array_equal(found.values, [tick[4242] for tick in values])
    store.close()
    peer.close()
    cells = ticks * _OBJECTS * len(_FIELDS)
    size, rows = sum(path.stat().st_size for path in (tmp_path / "ours").iterdir()), peer.path.stat().st_size
    print(f"{'on disk':42} {size / cells:.2f} bytes a value; SQL rows {rows / cells:.2f}, ratio {rows / size:.2f}")


def test_samples_spread_over_the_interval(tmp_path: Path) -> None:
    """As scrapes really come: ten writes of a tenth of the objects each."""
    load, store = Load(), RecentStore(EmbeddedStore(tmp_path), 300.0)
    parts = np.array_split(np.arange(_OBJECTS), 10)
    names = [[_NAMES[row] for row in part] for part in parts]
    flushes = ((tick, part) for tick in range(12) for part in range(10))
    values = [load.tick() for _ in range(12)]

    def flush() -> None:
        tick, part = next(flushes)
        times = np.full(len(parts[part]), _T0 + _INTERVAL * tick + part)
        store.write([Frame(Kind.VM, names[part], times, values[tick][parts[part]])])

    _report("durable write of a tenth, into memory too", _timed(flush, 119))
    assert len(store.read(Kind.VM, _T0, _T0 + 120)) == 12 * _OBJECTS
    _report("a minute of all, from memory", _timed(lambda: store.read(Kind.VM, _T0, _T0 + 60), 5))
    store.close()


def test_lines_of_10_500_vms(tmp_path: Path) -> None:
    load, store = Load(), EmbeddedStore(tmp_path)
    minutes = 60
    lines = []
    for minute in range(3):
        ticks = [load.tick() for _ in range(6)]
        times = np.repeat(_T0 + 60 * minute + _INTERVAL * np.arange(6), _OBJECTS)
        frame = Frame(Kind.VM, _NAMES * 6, times, np.concatenate(ticks))
        lines.append(roll_samples(frame, _T0 + 60 * minute, _T0 + 60 * minute + 60, 6))
    windows = iter(range(minutes))

    def write() -> None:
        number = next(windows)
        source = lines[number % 3]
        start = _T0 + 60 * number
        store.write_lines(
            Level.MINUTE, [type(source)(Kind.VM, start, *(getattr(source, part) for part in _PARTS), 6, True)]
        )

    _report("durable write of a minute line", _timed(write, minutes - 1))
    end = _T0 + 60 * minutes
    one = [_NAMES[4242]]
    assert len(store.read_lines(Level.MINUTE, Kind.VM, _T0, end, one)) == 60
    _report(
        "60 points of 1 from minute lines", _timed(lambda: store.read_lines(Level.MINUTE, Kind.VM, _T0, end, one), 20)
    )
    _report("a minute line of all", _timed(lambda: store.read_lines(Level.MINUTE, Kind.VM, _T0, _T0 + 60), 10))
    store.close()
    size = (tmp_path / "minute.db").stat().st_size
    print(f"{'on disk':42} {size / (minutes * _OBJECTS * len(_FIELDS)):.2f} bytes a field (mean, min, max, count)")


_PARTS = ("objects", "mean", "minimum", "maximum", "count")
