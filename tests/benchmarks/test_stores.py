"""All stores in one run, in one table; for InfluxDB the stock way of its client beside ours.

STARVC_BENCH_OBJECTS (10,500) and STARVC_BENCH_MINUTES (60) set the size: one sample of every object a minute.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.influx import engine as influx
from core.timeseries.served import ServedStore
from core.timeseries.store import Floats, Frame, TimeSeriesStore
from core.timeseries.victoria import engine as victoria
from tests.support import stores

pytestmark = pytest.mark.benchmark

_OBJECTS = int(os.environ.get("STARVC_BENCH_OBJECTS", "10500"))
_MINUTES = int(os.environ.get("STARVC_BENCH_MINUTES", "60"))
_T0 = 1_760_000_040.0
_NAMES = [f"vm-{number:020d}" for number in range(_OBJECTS)]
_WIDTH = len(FIELDS[Kind.VM])


def _values(minute: int) -> Floats:
    chance = np.random.default_rng(minute)
    return np.round(chance.gamma(0.7, 100.0, (_OBJECTS, _WIDTH)), 2)


def _frame(minute: int) -> Frame:
    return Frame(Kind.VM, _NAMES, np.full(_OBJECTS, _T0 + 60 * minute), _values(minute))


def _timed(deed: Callable[[], object], times: int) -> tuple[float, float]:
    """Milliseconds, p50 and p99."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        deed()
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _measured(name: str, store: TimeSeriesStore, folder: Path) -> str:
    """One row of the table."""
    minutes = iter(range(_MINUTES))
    written, _ = _timed(lambda: store.write([_frame(next(minutes))]), _MINUTES)
    last = _T0 + 60 * (_MINUTES - 1)
    one, many = [_NAMES[_OBJECTS // 2]], _NAMES[:: max(1, _OBJECTS // 1000)][:1000]
    assert len(store.latest(Kind.VM, last, many)) == len(many)
    latest_one, _ = _timed(lambda: store.latest(Kind.VM, last, one), 20)
    latest_many, _ = _timed(lambda: store.latest(Kind.VM, last, many), 5)
    chance = np.random.default_rng(1)

    def history() -> None:
        name = _NAMES[int(chance.integers(_OBJECTS))]
        assert len(store.read(Kind.VM, last - 59 * 60, last + 1, [name])) == min(60, _MINUTES)

    p50, p99 = _timed(history, 50)
    store.close()
    rate = _OBJECTS * _WIDTH / written * 1000
    size = _size(folder) / (_MINUTES * _OBJECTS * _WIDTH)
    return f"{name:32} {rate / 1e6:9.2f} {latest_one:9.1f} {latest_many:11.1f} {p50:9.1f} {p99:9.1f} {size:9.2f}"


class _Stock:
    """InfluxDB as the client's own documentation shows it: Point objects in, `query_data_frame` out."""

    def __init__(self, place: influx.Place) -> None:
        from influxdb_client import InfluxDBClient
        from influxdb_client.client.write_api import SYNCHRONOUS

        self._client = InfluxDBClient(place.url, token=place.token, org=place.org, timeout=120_000, enable_gzip=True)
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

    def rows(self, start: float, end: float, names: list[str], tail: str) -> int:
        chosen = f'r.obj == "{names[0]}"' if len(names) == 1 else f"r.obj =~ /^(?:{'|'.join(names)})$/"
        frame = self._client.query_api().query_data_frame(
            f'from(bucket: "{self._bucket}") |> range(start: {int(start)}, stop: {int(end)})'
            f' |> filter(fn: (r) => r._measurement == "vm" and {chosen}) {tail}'
            ' |> pivot(rowKey: ["_time", "obj"], columnKey: ["_field"], valueColumn: "_value")'
        )
        return len(frame)

    def close(self) -> None:
        self._client.close()


def _stock(place: influx.Place) -> str:
    stock, last = _Stock(place), _T0 + 60 * (_MINUTES - 1)
    minutes = iter(range(_MINUTES))
    written, _ = _timed(lambda: stock.write(_frame(next(minutes))), min(_MINUTES, 10))
    for minute in minutes:
        stock.write(
            Frame(Kind.VM, _NAMES[:1000], np.full(len(_NAMES[:1000]), _T0 + 60 * minute), _values(minute)[:1000])
        )
    some, end = _NAMES[:1000], last + 1
    assert stock.rows(last, end, some, "|> last()") == len(some)
    one, _ = _timed(lambda: stock.rows(last, end, some[:1], "|> last()"), 10)
    many, _ = _timed(lambda: stock.rows(last, end, some, "|> last()"), 3)
    chance = np.random.default_rng(1)
    p50, p99 = _timed(lambda: stock.rows(last - 59 * 60, end, [some[int(chance.integers(len(some)))]], ""), 30)
    stock.close()
    rate = _OBJECTS * _WIDTH / written * 1000
    return f"{'InfluxDB, Point, data frame':32} {rate / 1e6:9.2f} {one:9.1f} {many:11.1f} {p50:9.1f} {p99:9.1f}"


@pytest.fixture
def parts() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_all_stores(tmp_path: Path, parts: ExitStack) -> None:
    """Servers that are not installed are left out of the table."""
    print(f"\n{_OBJECTS} objects x {_WIDTH} fields, {_MINUTES} samples of each; Mvalues/s, then ms, then bytes a value")
    print(f"{'':32} {'write':>9} {'latest 1':>9} {'latest 1000':>11} {'60 p50':>9} {'60 p99':>9} {'bytes':>9}")
    print(_measured("embedded", EmbeddedStore(tmp_path / "embedded"), tmp_path / "embedded"))
    for measure in (_victoria, _influx):
        folder = tmp_path / measure.__name__
        folder.mkdir()
        try:
            measure(folder, parts)
        except pytest.skip.Exception as reason:
            print(f"{measure.__name__[1:]:32} {reason}")


def _victoria(folder: Path, parts: ExitStack) -> None:
    server = parts.enter_context(stores.victoria(folder))
    place = victoria.Place(server.url, server.url)
    print(_measured("VictoriaMetrics", ServedStore(victoria.Victoria(place)), folder))


def _influx(folder: Path, parts: ExitStack) -> None:
    server = parts.enter_context(stores.influx(folder))
    place = influx.Place(server.url, stores.ORG, stores.influx_token(), timeout=120.0)
    print(_measured("InfluxDB", ServedStore(influx.Influx(place)), folder))
    print(_stock(influx.Place(server.url, stores.ORG, stores.influx_token(), prefix="stock")))
