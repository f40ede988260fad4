"""Buffer, spool and writer: nothing lost that need not be, nothing twice, everything lost is counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from collector import metrics
from collector.disk_queue import DiskQueue
from collector.samples import Samples
from collector.spool import AHEAD, Buffer, MemorySpool, Spool
from collector.writing import TURN, Writer
from core.clock import VirtualClock
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.store import Frame, StoreUnavailable, WriteRefused

NOW = 1_790_000_000.0
POISON = NOW - 60


def samples(kind: Kind, *objects: str, value: float = 1.0) -> Samples:
    return Samples(kind, objects, np.full((len(objects), len(FIELDS[kind])), value))


def batch(*times: float) -> tuple[Frame, ...]:
    buffer = Buffer()
    for time in times:
        buffer.add([samples(Kind.NIC, "vm/vnet0")], time)
    return buffer.take(NOW, 3600)


def dropped(reason: str) -> float:
    return metrics.DROPPED.labels(reason)._value.get()


class Door(EmbeddedStore):
    """A real store whose door can be shut, and that never takes samples of the time `POISON`."""

    shut = False
    writes = 0

    def write(self, frames: Sequence[Frame]) -> None:
        if self.shut:
            raise StoreUnavailable("shut")
        if any((frame.times == POISON).any() for frame in frames):
            raise WriteRefused("poison")
        self.writes += 1
        super().write(frames)

    def times(self) -> list[float]:
        return self.read(Kind.NIC, 0, NOW * 2).times.tolist()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    opened = Door(tmp_path)
    yield opened
    opened.close()


def test_many_scrapes_become_one_frame_per_kind() -> None:
    buffer = Buffer()
    buffer.add([samples(Kind.VM, "vm-1", "vm-2"), samples(Kind.NIC, "vm-1/vnet0")], NOW)
    buffer.add([samples(Kind.VM, "vm-3", value=7)], NOW + 1)
    frames = {frame.kind: frame for frame in buffer.take(NOW, 3600)}
    assert list(frames[Kind.VM].objects) == ["vm-1", "vm-2", "vm-3"]
    assert frames[Kind.VM].times.tolist() == [NOW, NOW, NOW + 1]
    assert frames[Kind.VM].values[2, 0] == 7
    assert len(frames[Kind.NIC]) == 1
    assert buffer.take(NOW, 3600) == ()


def test_points_dated_too_far_from_now_are_refused_and_counted() -> None:
    future, past = dropped("future"), dropped("past")
    (frame,) = batch(NOW + AHEAD + 1, NOW - 3601, NOW, NOW + AHEAD, NOW - 3600)
    assert sorted(frame.times.tolist()) == [NOW - 3600, NOW, NOW + AHEAD]
    assert (dropped("future") - future, dropped("past") - past) == (1, 1)


@pytest.fixture(params=["memory", "disk"])
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spool]:
    if request.param == "memory":
        yield MemorySpool(1000)
        return
    queue = DiskQueue(tmp_path / "queue.db", 1_000_000)
    yield queue
    queue.close()


def test_what_the_store_refuses_is_written_later_in_order_and_once(door: Door, spool: Spool) -> None:
    writer = Writer(door, spool, VirtualClock())
    writer.write(batch(NOW))
    door.shut = True
    for second in range(1, 5):
        writer.write(batch(NOW + second))
    assert door.times() == [NOW]
    door.shut = False
    writer.write(())
    assert door.times() == [NOW + second for second in range(5)]
    assert door.writes == 5
    writer.write(())
    assert door.writes == 5


def test_what_is_fresh_does_not_wait_for_what_is_queued(door: Door, spool: Spool) -> None:
    order: list[float] = []

    class Slow(VirtualClock):
        def monotonic(self) -> float:
            self.advance(TURN)
            return super().monotonic()

    class Watched(Door):
        def write(self, frames: Sequence[Frame]) -> None:
            super().write(frames)
            order.extend(frames[0].times)

    door.__class__ = Watched
    writer = Writer(door, spool, Slow())
    door.shut = True
    for second in range(3):
        writer.write(batch(NOW + second))
    door.shut = False
    for second in (10, 11, 12):
        writer.write(batch(NOW + second))
    assert [time - NOW for time in order] == [10, 0, 11, 1, 12, 2]


@pytest.mark.parametrize("shut", [False, True])
def test_a_poisoned_sample_is_given_up_alone(door: Door, spool: Spool, shut: bool) -> None:
    before = dropped("refused")
    writer = Writer(door, spool, VirtualClock())
    door.shut = shut
    writer.write(batch(NOW, NOW + 1, POISON, NOW + 2, NOW + 3))
    door.shut = False
    writer.write(batch(NOW + 4))
    assert door.times() == [NOW, NOW + 1, NOW + 2, NOW + 3, NOW + 4]
    assert dropped("refused") - before == 1
    assert spool.head() is None


def test_a_full_queue_loses_its_oldest_and_counts_them(door: Door) -> None:
    before = dropped("queue_full")
    writer = Writer(door, MemorySpool(3), VirtualClock())
    door.shut = True
    for second in range(10):
        writer.write(batch(NOW + second))
    door.shut = False
    writer.write(())
    assert door.times() == [NOW + 7, NOW + 8, NOW + 9]
    assert dropped("queue_full") - before == 7


def test_a_batch_larger_than_the_queue_is_still_written(door: Door) -> None:
    Writer(door, MemorySpool(1), VirtualClock()).write(batch(NOW, NOW + 1, NOW + 2))
    assert len(door.times()) == 3
