"""Lines of the running product against a recompute in plain Python from the raw samples."""

from __future__ import annotations

import time
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np

from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.store import Frame, Level, Lines
from tests.support.lines import agrees, naive
from tests.support.product import Product, rows, vm_ids
from tests.support.real import eventually

MEASURED = (Kind.HOST, Kind.VM, Kind.DISK, Kind.NIC)


def shown(value: float) -> str:
    """As the wire writes a rate in percent."""
    return str(Decimal(value).quantize(Decimal(1), ROUND_HALF_UP))


def test_final_minutes_are_exactly_their_raw_samples_and_history_shows_them(product: Product) -> None:
    with product.store() as store:

        def finished() -> dict[Kind, Lines]:
            found = {kind: store.read_lines(Level.MINUTE, kind, 0, time.time()) for kind in MEASURED}
            first = {kind: lines[0] for kind, lines in found.items() if lines and lines[0].final}
            return first if len(first) == len(MEASURED) else {}

        finals = eventually(finished, 90, 0.5)
        for kind, lines in finals.items():
            raw = naive(store.read(kind, lines.start, lines.start + 60))
            assert {name for name, _ in raw} == set(lines.objects)
            assert agrees(lines, raw, whole=True) > len(lines)
            assert lines.expected == 60
    minute = finals[Kind.VM]
    for vm in vm_ids(product):
        wanted = {"monitor.obj.type": "vm", "monitor.obj": vm, "lineType": "minute"}
        points = rows(product.platform("cloudmonitor/compute/history", wanted))
        assert len(points) == 60
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(minute.start))
        (point,) = [point for point in points if point["monitor.createtime"] == moment]
        mean = minute.mean[list(minute.objects).index(vm)]
        assert point["monitor.cpu.rate"] == shown(mean[COLUMN[Kind.VM]["cpu_rate"]])
        assert point["monitor.mem.rate"] == shown(mean[COLUMN[Kind.VM]["mem_rate"]])


def test_lines_in_the_making_never_show_what_was_not_measured(product: Product) -> None:
    with product.store() as store:

        def begun(level: Level) -> Lines | None:
            found = store.read_lines(level, Kind.VM, 0, 2**40)
            return found[-1] if found else None

        minute, hour = (eventually(lambda level=level: begun(level), 60, 0.2) for level in (Level.MINUTE, Level.HOUR))  # type: ignore[misc]
        assert agrees(minute, naive(store.read(Kind.VM, minute.start, minute.start + 60)), whole=False) > len(minute)
        raw = naive(store.read(Kind.VM, hour.start, hour.start + 3600))
        for row, name in enumerate(hour.objects):
            for column in np.flatnonzero(hour.count[row]).tolist():
                samples = raw[name, column]
                assert hour.count[row, column] <= len(samples)
                assert min(samples) <= hour.minimum[row, column] <= hour.mean[row, column] <= hour.maximum[row, column]
                assert hour.maximum[row, column] <= max(samples)


def test_what_was_collected_before_a_downtime_gets_its_minutes_and_hours(tmp_path: Path) -> None:
    """Three hours of samples of which no line was ever made."""
    hour = 3600.0
    newest = time.time() - 600
    start = (newest // hour - 2) * hour
    times = np.arange(start, newest, 30.0)
    names = [f"vm-sim-0000{number}" for number in (1, 2, 3)]
    values = np.random.default_rng(5).random((len(times) * len(names), len(FIELDS[Kind.VM]))) * 100
    values[np.random.default_rng(6).random(values.shape) < 0.1] = np.nan
    series = tmp_path / "data" / "series"
    store = EmbeddedStore(series)
    store.write([Frame(Kind.VM, names * len(times), np.repeat(times, len(names)), values)])
    store.close()
    with Product(tmp_path, sim_hosts=0, scrape_interval=30, timezone="UTC") as product, product.store() as reader:

        def done(level: Level, end: float) -> list[Lines]:
            found = [lines for lines in reader.read_lines(level, Kind.VM, start, end) if lines.final]
            return found if found and found[-1].start == end - {Level.MINUTE: 60, Level.HOUR: hour}[level] else []

        last_hour = (times[-1] - 30) // hour * hour
        for level, seconds, end in (
            (Level.HOUR, hour, last_hour),
            (Level.MINUTE, 60.0, (times[-1] - 30) // 60 * 60),
        ):
            found = eventually(lambda level=level, end=end: done(level, end), 30, 0.2)  # type: ignore[misc]
            assert [lines.start for lines in found] == list(np.arange(start, end, seconds))
            for lines in found:
                agrees(lines, naive(reader.read(Kind.VM, lines.start, lines.start + seconds)), whole=True)
        assert not product.errors()
