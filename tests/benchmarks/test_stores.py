"""All stores in one run, in one table; for InfluxDB the stock way of its client beside ours.

STARVC_BENCH_OBJECTS (10,500) and STARVC_BENCH_HOURS (1) set the size: one sample of every object a minute. Reading is
measured after each store has merged its files; bytes are those on the disk then, of a sampled value and of a value of a
minute line (mean, minimum, maximum and count). Minute lines are those of the last hour. The stock way writes the last
STARVC_BENCH_STOCK_MINUTES (10) into a bucket of its own on the same server, and reads from there: it has less to look
through.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import pytest

from core.clock import VirtualClock
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.influx import engine as influx
from core.timeseries.served import ServedStore
from core.timeseries.store import Floats, Frame, Level, Lines, TimeSeriesStore
from core.timeseries.victoria import engine as victoria
from tests.support import stores

pytestmark = pytest.mark.benchmark

_OBJECTS = int(os.environ.get("STARVC_BENCH_OBJECTS", "10500"))
_MINUTES = int(60 * float(os.environ.get("STARVC_BENCH_HOURS", "1")))
_STOCK_MINUTES = min(int(os.environ.get("STARVC_BENCH_STOCK_MINUTES", "10")), _MINUTES)
_HOUR = min(60, _MINUTES)
_T0 = 1_760_000_040.0
_LAST = _T0 + 60 * (_MINUTES - 1)
_FRESH = 30.0
"""Seconds that a current value may be old: three intervals of scraping."""
_NAMES = [f"vm-{number:020d}" for number in range(_OBJECTS)]
_ONE, _MANY = _NAMES[_OBJECTS // 2 :][:1], _NAMES[:: max(1, _OBJECTS // 1000)][:1000]
_WIDTH = len(FIELDS[Kind.VM])


def _values(minute: int) -> Floats:
    chance = np.random.default_rng(minute)
    return np.round(chance.gamma(0.7, 100.0, (_OBJECTS, _WIDTH)), 2)


def _frame(minute: int) -> Frame:
    return Frame(Kind.VM, _NAMES, np.full(_OBJECTS, _T0 + 60 * minute), _values(minute))


def _lines(minute: int) -> Lines:
    mean, count = _values(minute), np.full((_OBJECTS, _WIDTH), 6, dtype=np.int64)
    return Lines(Kind.VM, _T0 + 60 * minute, _NAMES, mean, mean - 1, mean + 1, count, 6, final=True)


def _timed(deed: Callable[[], object], times: int) -> tuple[float, float]:
    """Milliseconds, p50 and p99."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        deed()
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99))


def _size(folder: Path) -> int:
    """Bytes that are taken on the disk. Files may go while they are counted."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += 512 * Path(root, name).stat().st_blocks
    return total


def _unchanging(folder: Path, seconds: float = 15.0) -> int:
    """The size of a folder that has kept it for a while."""
    while True:
        sizes = []
        for _ in range(4):
            sizes.append(_size(folder))
            time.sleep(seconds / 3)
        if all(abs(after - before) < 0.001 * before for before, after in pairwise(sizes)):
            return sizes[-1]


@dataclass(frozen=True)
class _Part:
    """A store with the clock that follows the samples, and how to have its files merged and measured."""

    name: str
    store: TimeSeriesStore
    clock: VirtualClock
    merged: Callable[[], int]


def _written(part: _Part) -> float:
    """Values a second."""
    taken = 0.0
    for minute in range(_MINUTES):
        samples = _frame(minute)
        part.clock.advance(60)
        start = time.perf_counter()
        part.store.write([samples])
        taken += time.perf_counter() - start
    return _MINUTES * _OBJECTS * _WIDTH / taken


def _row(name: str, rate: float, times: Sequence[float], sizes: Sequence[float] = ()) -> str:
    figures = [f"{milliseconds:9.1f}" for milliseconds in times] + [f"{size:9.2f}" for size in sizes]
    return f"{name:32} {rate / 1e6:9.2f} {' '.join(figures)}"


def _measured(part: _Part) -> str:
    """One row of the table."""
    rate, store = _written(part), part.store
    sampled = part.merged()
    assert len(store.latest(Kind.VM, _LAST - _FRESH, _MANY)) == len(_MANY)
    latest_one, _ = _timed(lambda: store.latest(Kind.VM, _LAST - _FRESH, _ONE), 50)
    latest_many, _ = _timed(lambda: store.latest(Kind.VM, _LAST - _FRESH, _MANY), 10)
    chance = np.random.default_rng(1)

    def some() -> list[str]:
        return [_NAMES[int(chance.integers(_OBJECTS))]]

    def history() -> None:
        assert len(store.read(Kind.VM, _LAST - 59 * 60, _LAST + 1, some())) == _HOUR

    def line() -> None:
        assert len(store.read_lines(Level.MINUTE, Kind.VM, _LAST - 59 * 60, _LAST + 1, some())) == _HOUR

    points = _timed(history, 100)
    for minute in range(_MINUTES - _HOUR, _MINUTES):
        store.write_lines(Level.MINUTE, [_lines(minute)])
    lines = _timed(line, 100)
    lined = part.merged() - sampled
    store.close()
    sizes = (sampled / (_MINUTES * _OBJECTS * _WIDTH), lined / (_HOUR * _OBJECTS * _WIDTH))
    return _row(part.name, rate, (latest_one, latest_many, *points, *lines), sizes)


class _Stock:
    """InfluxDB as the client's own documentation shows it: Point objects in, `query_data_frame` out, nothing set that
    has a default."""

    def __init__(self, place: influx.Place) -> None:
        from influxdb_client import InfluxDBClient
        from influxdb_client.client.write_api import SYNCHRONOUS

        self._client = InfluxDBClient(place.url, token=place.token, org=place.org, timeout=120_000)
        self._client.buckets_api().create_bucket(bucket_name=place.prefix, org=place.org)
        self._bucket = place.prefix
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    def write(self, frame: Frame) -> None:
        from influxdb_client import Point, WritePrecision

        points = []
        for name, instant, row in zip(frame.objects, frame.times.tolist(), frame.values.tolist(), strict=True):
            point = Point("vm").tag("obj", name).time(int(instant), WritePrecision.S)
            for field, value in zip(FIELDS[Kind.VM], row, strict=True):
                point = point.field(field.name, value)
            points.append(point)
        self._api.write(bucket=self._bucket, record=points, write_precision=WritePrecision.S)

    def rows(self, start: float, names: Sequence[str], tail: str) -> int:
        chosen = f'r.obj == "{names[0]}"' if len(names) == 1 else f"r.obj =~ /^(?:{'|'.join(names)})$/"
        frame = self._client.query_api().query_data_frame(
            f'from(bucket: "{self._bucket}") |> range(start: {int(start)}, stop: {int(_LAST + 1)})'
            f' |> filter(fn: (r) => r._measurement == "vm" and {chosen}) {tail}'
            ' |> pivot(rowKey: ["_time", "obj"], columnKey: ["_field"], valueColumn: "_value")'
        )
        return len(frame)

    def close(self) -> None:
        self._client.close()


def _stock(place: influx.Place) -> str:
    stock = _Stock(place)
    minutes = iter(range(_MINUTES - _STOCK_MINUTES, _MINUTES))
    batches = iter([_frame(minute) for minute in minutes])
    written, _ = _timed(lambda: stock.write(next(batches)), _STOCK_MINUTES)
    assert stock.rows(_LAST - _FRESH, _MANY, "|> last()") == len(_MANY)
    one, _ = _timed(lambda: stock.rows(_LAST - _FRESH, _ONE, "|> last()"), 50)
    many, _ = _timed(lambda: stock.rows(_LAST - _FRESH, _MANY, "|> last()"), 5)
    chance = np.random.default_rng(1)
    points = _timed(lambda: stock.rows(_LAST - 59 * 60, [_NAMES[int(chance.integers(_OBJECTS))]], ""), 100)
    stock.close()
    return _row("InfluxDB, Point, data frame", _OBJECTS * _WIDTH / written * 1000, (one, many, *points))


@pytest.fixture
def parts() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _clock() -> VirtualClock:
    return VirtualClock(datetime.fromtimestamp(_T0 - 60, UTC))


def test_all_stores(tmp_path: Path, parts: ExitStack) -> None:
    """Servers that are not installed are left out of the table."""
    print(f"\n{_OBJECTS} objects x {_WIDTH} fields, {_MINUTES} samples of each; Mvalues/s, then ms, then bytes a value")
    titles = ("write", "latest 1", "of 1000", "60 p50", "60 p99", "lines p50", "lines p99", "B/sample", "B/line")
    print(f"{'':32} {' '.join(f'{title:>9}' for title in titles)}", flush=True)
    for measure in (_embedded, _victoria, _influx):
        folder = tmp_path / measure.__name__
        folder.mkdir()
        try:
            measure(folder, parts)
        except pytest.skip.Exception as reason:
            print(f"{measure.__name__[1:]:32} {reason}")


def _embedded(folder: Path, parts: ExitStack) -> None:
    clock = _clock()
    print(_measured(_Part("embedded", EmbeddedStore(folder), clock, lambda: _size(folder))), flush=True)


def _victoria(folder: Path, parts: ExitStack) -> None:
    server, clock = parts.enter_context(stores.victoria(folder)), _clock()

    def merged() -> int:
        httpx.get(f"{server.url}/internal/force_merge", timeout=30).raise_for_status()
        return _unchanging(folder)

    store = ServedStore(victoria.Victoria(victoria.Place(server.url, server.url), clock), clock)
    print(_measured(_Part("VictoriaMetrics", store, clock, merged)), flush=True)
    server.stop()


def _influx(folder: Path, parts: ExitStack) -> None:
    """It merges a shard that has not been written to for a while: here for seconds instead of hours."""
    soon = ("--storage-cache-snapshot-write-cold-duration=5s", "--storage-compact-full-write-cold-duration=10s")
    server, clock = parts.enter_context(stores.influx(folder, *soon)), _clock()
    place = influx.Place(server.url, stores.ORG, stores.influx_token(), timeout=120.0)
    store = ServedStore(influx.Influx(place, clock), clock)
    print(_measured(_Part("InfluxDB", store, clock, lambda: _unchanging(folder, 45.0))), flush=True)
    print(_stock(influx.Place(server.url, stores.ORG, stores.influx_token(), prefix="stock")), flush=True)
    server.stop()
