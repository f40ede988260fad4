"""The recent ring keeps the contract, and answers from memory alone."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import Kind
from core.timeseries.recent import RecentStore
from core.timeseries.store import Frame, StoreUnavailable, TimeSeriesStore
from tests.contract.timeseries import T0, Opened, TimeSeriesContract, frame, rows


class TestRecent(TimeSeriesContract):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Opened:
        imports = "from pathlib import Path\nfrom core.timeseries.embedded import EmbeddedStore"
        reader = f"EmbeddedStore.reader(Path({str(tmp_path)!r}))"
        return Opened(lambda: RecentStore(EmbeddedStore(tmp_path), seconds=120), imports, reader)


class Counted:
    """Counts the calls that reach the store behind the ring."""

    def __init__(self, inner: TimeSeriesStore) -> None:
        self._inner = inner
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> object:
        self.calls[name] += 1
        return getattr(self._inner, name)


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[Counted]:
    store = EmbeddedStore(tmp_path)
    yield Counted(store)
    store.close()


def _recent(inner: Counted, seconds: float = 120.0, limit: int = 1 << 30) -> RecentStore:
    store = RecentStore(cast("TimeSeriesStore", inner), seconds, limit)
    inner.calls.clear()
    return store


def test_recent_questions_never_reach_the_disk(inner: Counted) -> None:
    store = _recent(inner)
    for second in range(300):
        store.write([frame(Kind.VM, [("a", T0 + second, second)])])
    inner.calls.clear()
    assert len(store.read(Kind.VM, T0 + 180, T0 + 300)) == 120
    assert rows(store.latest(Kind.VM, T0 + 200)) == [("a", T0 + 299, 299.0)]
    assert inner.calls == {}
    assert len(store.read(Kind.VM, T0, T0 + 300)) == 300
    assert inner.calls == {"read": 1}


def test_after_a_restart_the_ring_knows_what_it_knew(inner: Counted) -> None:
    before = _recent(inner)
    before.write([frame(Kind.VM, [(f"vm-{index}", T0 + index, index) for index in range(300)])])
    after = _recent(inner)
    assert rows(after.read(Kind.VM, T0 + 200, T0 + 300)) == rows(before.read(Kind.VM, T0 + 200, T0 + 300))
    assert rows(after.latest(Kind.VM, T0 + 200)) == rows(before.latest(Kind.VM, T0 + 200))
    assert inner.calls == {}
    assert len(after.latest(Kind.VM, T0)) == 300


def test_memory_is_bounded_in_time(inner: Counted) -> None:
    store = _recent(inner, seconds=60)
    for second in range(500):
        store.write([frame(Kind.VM, [("a", T0 + second, second)])])
    assert len(store._rings[Kind.VM].batches) <= 61


def test_memory_is_bounded_when_the_same_time_is_written_again_and_again(inner: Counted) -> None:
    store = _recent(inner, limit=20_000)
    for number in range(50):
        store.write([frame(Kind.VM, [(f"vm-{index}", T0 + index, number) for index in range(50)])])
    assert sum(batch.size for batch in store._rings[Kind.VM].batches) <= 20_000
    assert [value for *_, value in rows(store.read(Kind.VM, T0, T0 + 60))] == [49.0] * 50
    assert [value for *_, value in rows(store.latest(Kind.VM, T0))] == [49.0] * 50


def test_a_write_that_the_inner_store_refuses_is_not_remembered(inner: Counted) -> None:
    store = _recent(inner)
    store.write([frame(Kind.VM, [("a", T0, 1.0)])])
    inner._inner.close()
    with pytest.raises(StoreUnavailable):
        store.write([frame(Kind.VM, [("a", T0 + 1, 2.0)])])
    assert rows(store.latest(Kind.VM, T0)) == [("a", T0, 1.0)]


class Slow:
    """A store whose write is durable some time before it returns."""

    def __init__(self, inner: TimeSeriesStore) -> None:
        self._inner = inner
        self.durable, self.go_on = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def write(self, frames: Sequence[Frame]) -> None:
        self._inner.write(frames)
        self.durable.set()
        assert self.go_on.wait(10)


def test_what_is_touched_can_be_read(tmp_path: Path) -> None:
    slow = Slow(EmbeddedStore(tmp_path))
    store = RecentStore(cast("TimeSeriesStore", slow))
    writer = threading.Thread(target=store.write, args=[[frame(Kind.VM, [("a", T0, 1.0)])]])
    writer.start()
    assert slow.durable.wait(10)
    threading.Timer(0.05, slow.go_on.set).start()
    told = store.touched(0).minutes
    found = len(store.read(Kind.VM, T0, T0 + 60))
    writer.join()
    assert (told, found) == ({(Kind.VM, T0)}, 1)
    store.close()


_writes = st.lists(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 400), st.integers(0, 9)), max_size=8), max_size=12
)


@given(_writes, st.integers(0, 12), st.integers(0, 400), st.integers(1, 400))
@settings(max_examples=30, deadline=None)
def test_the_ring_always_answers_as_the_store_behind_it(
    writes: list[list[tuple[str, int, int]]], restart_at: int, start: int, span: int
) -> None:
    with TemporaryDirectory() as folder:
        inner = EmbeddedStore(Path(folder))
        store = RecentStore(inner, seconds=100)
        for position, samples in enumerate(writes):
            if position == restart_at:
                store = RecentStore(inner, seconds=100)
            store.write([frame(Kind.NIC, [(name, T0 + second, float(x)) for name, second, x in samples])])
        for objects in (None, ["b", "d"]):
            window = (Kind.NIC, T0 + start, T0 + start + span, objects)
            assert rows(store.read(*window)) == rows(inner.read(*window))
            since = (Kind.NIC, T0 + start, objects)
            assert rows(store.latest(*since)) == rows(inner.latest(*since))
        inner.close()
