"""Series-minutes a second (a series is one field of one object), beside pandas' own `resample` per series."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from aggregator.lines import LineKeeper
from aggregator.rollup import Fold, roll_samples
from core.clock import VirtualClock
from core.settings import Settings
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.policy import declared
from core.timeseries.recent import RecentStore
from core.timeseries.store import Frame, Level

pytestmark = pytest.mark.benchmark

_OBJECTS = 10_500
_SAMPLES = 6
_T0 = 1_760_000_040.0
_WIDTH = len(FIELDS[Kind.VM])


def _frame() -> Frame:
    chance = np.random.default_rng(1)
    names = [f"vm-{number:020d}" for number in range(_OBJECTS)]
    times = np.tile(_T0 + 10.0 * np.arange(_SAMPLES), _OBJECTS)
    objects = [name for name in names for _ in range(_SAMPLES)]
    return Frame(Kind.VM, objects, times, chance.random((_OBJECTS * _SAMPLES, _WIDTH)) * 100)


def _best(times: int, deed: object) -> float:
    taken = []
    for _ in range(times):
        start = time.process_time()
        deed()  # type: ignore[operator]
        taken.append(time.process_time() - start)
    return min(taken)


def test_minutes_of_10_500_vms() -> None:
    frame = _frame()
    taken = _best(5, lambda: roll_samples(frame, _T0, _T0 + 60, 6))
    ours = _OBJECTS * _WIDTH / taken

    series = 300
    index = pd.to_datetime(frame.times[:_SAMPLES], unit="s")
    columns = [pd.Series(frame.values[:_SAMPLES, 0] + number, index) for number in range(series)]
    start = time.process_time()
    peer_lines = [column.resample("1min").agg(["mean", "min", "max", "count"]) for column in columns]
    peer = series / (time.process_time() - start)
    print(
        f"minute: {1000 * taken:.1f} ms CPU for {_OBJECTS} x {_WIDTH} x {_SAMPLES}; {ours:,.0f} series-minutes/s/core"
    )
    print(f"pandas resample per series: {peer:,.0f} series-minutes/s/core; ratio {ours / peer:,.0f}")

    line = roll_samples(frame, _T0, _T0 + 60, 6)
    np.testing.assert_allclose(line.mean[0, 0], peer_lines[0]["mean"].iloc[0])
    np.testing.assert_allclose(line.mean, frame.values.reshape(_OBJECTS, _SAMPLES, _WIDTH).mean(axis=1))


def test_hours_of_10_500_vms() -> None:
    line = roll_samples(_frame(), _T0, _T0 + 60, 6)

    def fold() -> Fold:
        fold = Fold(Kind.VM)
        for _ in range(60):
            fold.add(line)
        return fold

    taken = _best(3, fold)
    series = _OBJECTS * _WIDTH
    print(f"hour of 60 minutes: {1000 * taken:.1f} ms CPU; {60 * series / taken:,.0f} series-minutes/s/core")
    assert (fold().lines(_T0, 360).count == 360).all()


def test_ten_minutes_of_a_running_aggregator(tmp_path: Path) -> None:
    """10,500 VMs scraped every 10 s, spread over the interval, written and rolled up every second, as it really is."""
    chance = np.random.default_rng(1)
    names = [f"vm-{number:020d}" for number in range(_OBJECTS)]
    parts = [names[part::10] for part in range(10)]
    store = RecentStore(EmbeddedStore(tmp_path))
    clock = VirtualClock(datetime.fromtimestamp(_T0, UTC))
    policy = declared(Settings(scrape_interval=10.0), ZoneInfo("Asia/Shanghai"))
    keeper = LineKeeper(store, policy, clock)
    writing, steps, seconds = 0.0, [], 600
    for second in range(seconds):
        part = parts[second % 10]
        values = np.round(chance.random((len(part), _WIDTH)) * 100, 2)
        frame = Frame(Kind.VM, part, np.full(len(part), _T0 + second), values)
        start = time.process_time()
        store.write([frame])
        written = time.process_time()
        writing += written - start
        clock.advance(1)
        keeper.step()
        steps.append(time.process_time() - written)
    print(f"CPU per second: writing {1000 * writing / seconds:.1f} ms, lines {1000 * sum(steps) / seconds:.1f} ms")
    print(f"longest step {1000 * max(steps):.0f} ms CPU")
    minutes = store.read_lines(Level.MINUTE, Kind.VM, _T0, _T0 + seconds)
    assert [line.final for line in minutes] == [True] * 9 + [False]
    assert all((line.count == _SAMPLES).all() for line in minutes[:9])
    store.close()
