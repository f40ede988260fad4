"""The whole collector in its own thread, on the real clock: a real node_exporter, a store that goes away, a clock
that is set."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import numpy as np
import pytest

from collector import metrics
from collector.run import Collector
from collector.shards import Shard, ShardSource
from collector.targets import InventorySource, SourceUnavailable
from core.clock import Clock, SystemClock
from core.hosts.targets import Exporter, Target
from core.settings import Settings
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import COLUMN, Kind
from core.timeseries.store import Frame, StoreUnavailable
from tests.support.real import answers, binary, eventually, free_port, server

ALONE = Shard()


class Store(EmbeddedStore):
    away = False

    def write(self, frames: Sequence[Frame]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        super().write(frames)

    def all(self, kind: Kind) -> Frame:
        return self.read(kind, 0, 1e12)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[str]:
    url = f"http://127.0.0.1:{(port := free_port())}/metrics"
    command = [binary("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}", "--no-collector.systemd"]
    with server(command, lambda: answers(url), tmp_path / "log"):
        yield url


@contextmanager
def collecting(
    store: Store, *targets: Target, interval: float = 0.2, clock: Clock | None = None, shard: Shard = ALONE
) -> Iterator[Collector]:
    source = ShardSource(InventorySource(lambda: targets), shard)
    settings = Settings(scrape_interval=interval, scrape_timeout=1.0)
    collector = Collector(source, store, clock or SystemClock(), settings, seed=shard.index)
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def node(url: str, name: str = "h-1") -> Target:
    return Target(f"{name}/node", name, Exporter.NODE, url)


def column(frame: Frame, field: str) -> list[float]:
    return frame.values[:, COLUMN[frame.kind][field]].tolist()


def test_a_real_node_exporter_is_measured_into_the_store(store: Store, exporter: str) -> None:
    with collecting(store, node(exporter)):
        eventually(lambda: len(store.all(Kind.HOST)) >= 5)
    hosts = store.all(Kind.HOST)
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    assert column(hosts, "mem_size")[-1] == pytest.approx(int(memory.split()[1]) / 1024)
    assert np.isnan(column(hosts, "cpu_rate")[0])
    assert all(0 <= rate <= 100 for rate in column(hosts, "cpu_rate")[2:])
    assert set(column(store.all(Kind.TARGET), "up")) == {1}
    assert min(column(store.all(Kind.TARGET), "samples")) > 300


def test_samples_stand_on_the_grid_and_none_is_made_twice(store: Store, exporter: str) -> None:
    with collecting(store, *(node(exporter, f"h-{number}") for number in range(8))):
        eventually(lambda: len(store.all(Kind.TARGET)) >= 40)
    frame = store.all(Kind.TARGET)
    late = np.array(column(frame, "lateness"))
    for name in set(frame.objects):
        mine = np.array([one == name for one in frame.objects])
        times = frame.times[mine & (late < 0.01)]
        assert len(np.unique(frame.times[mine])) == mine.sum()
        phase = times / 0.2
        assert np.allclose((phase - phase[:1] + 0.5) % 1, 0.5, atol=1e-3)


def test_the_store_gets_what_was_collected_while_it_was_away(store: Store, exporter: str) -> None:
    with collecting(store, node(exporter)):
        eventually(lambda: len(store.all(Kind.HOST)) >= 2)
        store.away = True
        failures = metrics.WRITE_FAILURES._value.get()
        eventually(lambda: metrics.WRITE_FAILURES._value.get() >= failures + 10)
        store.away = False
        held = len(store.all(Kind.HOST))
        eventually(lambda: len(store.all(Kind.HOST)) >= held + 3)
    times = store.all(Kind.HOST).times
    lost = metrics.MISSED.labels("late")._value.get()
    assert np.diff(times).max() < 0.2 * (2 + lost) + 0.2


def test_of_two_collectors_that_scrape_a_host_one_may_end_without_a_gap(store: Store, exporter: str) -> None:
    with collecting(store, node(exporter), shard=Shard(1, 2, replicas=2)):
        with collecting(store, node(exporter), shard=Shard(2, 2, replicas=2)):
            eventually(lambda: len(store.all(Kind.HOST)) >= 10)
        held = len(store.all(Kind.HOST))
        eventually(lambda: len(store.all(Kind.HOST)) >= held + 5)
    times = store.all(Kind.HOST).times
    lost = metrics.MISSED.labels("late")._value.get()
    assert len(times) >= 15
    assert np.diff(times).max() < 0.2 * (2 + lost)


def test_stopping_writes_what_was_collected_and_leaves_no_thread(store: Store, exporter: str) -> None:
    before = threading.active_count()
    with collecting(store, node(exporter)):
        eventually(lambda: len(store.all(Kind.HOST)) >= 1)
    made = metrics.SCRAPES.labels("success")._value.get()
    assert made > 0
    assert threading.active_count() == before
    assert metrics.TARGETS._value.get() == 0


def test_a_list_of_targets_that_cannot_be_had_stops_nothing(
    store: Store, exporter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.run.REFRESH", 0.1)
    lists: list[tuple[Target, ...]] = [(node(exporter),)]

    def read() -> tuple[Target, ...]:
        if not lists:
            raise SourceUnavailable("no database")
        return lists.pop()

    before = metrics.SOURCE_FAILURES._value.get()
    collector = Collector(
        InventorySource(read), store, SystemClock(), Settings(scrape_interval=0.2, scrape_timeout=1.0)
    )
    collector.start()
    eventually(lambda: metrics.SOURCE_FAILURES._value.get() >= before + 2)
    held = len(store.all(Kind.HOST))
    eventually(lambda: len(store.all(Kind.HOST)) > held)
    collector.stop()


class SetClock(SystemClock):
    """The real clock, whose wall time an operator sets."""

    ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.mark.parametrize("jump", [-7200, 7200])
def test_a_wall_clock_that_is_set_does_not_silence_the_collector(
    store: Store, exporter: str, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SetClock()

    class Shifted(datetime):
        """What APScheduler takes for the time of day."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + clock.ahead

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Shifted)
    monkeypatch.setattr("collector.run.datetime", Shifted)
    before = metrics.CLOCK_JUMPS._value.get()
    with collecting(store, node(exporter), clock=clock):
        eventually(lambda: len(store.all(Kind.HOST)) >= 2)
        clock.ahead = timedelta(seconds=jump)
        now = clock.now().timestamp()
        eventually(lambda: np.sum(np.abs(store.all(Kind.HOST).times - now) < 100) >= 3, 5)
        eventually(lambda: metrics.CLOCK_JUMPS._value.get() > before)


def test_an_exporter_that_dies_and_comes_back_is_seen_doing_so(store: Store, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    command = [binary("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}", "--no-collector.systemd"]

    def ups() -> list[float]:
        return column(store.all(Kind.TARGET), "up")

    with collecting(store, node(url)):
        eventually(lambda: len(ups()) >= 2)
        with server(command, lambda: answers(url), tmp_path / "log"):
            eventually(lambda: ups()[-1] == 1)
        eventually(lambda: ups()[-1] == 0)
