"""A store that is away for half an hour while 10,500 objects are sampled every second: how much the disk queue holds,
what it costs to put, and how fast it is drained while fresh samples go on arriving.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from collector.disk_queue import DiskQueue
from collector.spool import Batch
from collector.writing import Writer
from core.clock import SystemClock
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.store import Frame, StoreUnavailable

OBJECTS: Final = 10_500
SECONDS: Final = int(os.environ.get("STARVC_QUEUE_SECONDS", "300"))
START: Final = 1_790_000_000.0

pytestmark = pytest.mark.benchmark


class Door(EmbeddedStore):
    shut = True

    def write(self, frames: Sequence[Frame]) -> None:
        if self.shut:
            raise StoreUnavailable("shut")
        super().write(frames)


def _second(number: int, random: np.random.Generator) -> Batch:
    width = len(FIELDS[Kind.VM])
    values = np.round(random.random((OBJECTS, width)) * 100)
    return (Frame(Kind.VM, [f"vm-{row:05}" for row in range(OBJECTS)], np.full(OBJECTS, START + number), values),)


def test_a_queue_of_many_minutes_is_drained_faster_than_it_grew(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    queue = DiskQueue(tmp_path / "queue.db", 10**10)
    with closing(Door(tmp_path / "series")) as store, closing(queue):
        writer = Writer(store, queue, SystemClock())
        begun = time.perf_counter()
        for number in range(SECONDS):
            writer.write(_second(number, random))
        putting = time.perf_counter() - begun
        size = (tmp_path / "queue.db").stat().st_size
        store.shut = False
        begun, fresh = time.perf_counter(), 0
        while queue.head() is not None:
            writer.write(_second(SECONDS + fresh, random))
            fresh += 1
        draining = time.perf_counter() - begun
        assert len(store.read(Kind.VM, START, START + SECONDS + fresh, ["vm-00042"])) == SECONDS + fresh
    print(
        f"\n{SECONDS} s of {OBJECTS} objects queued: {putting / SECONDS * 1000:.1f} ms a batch, {size / 1e6:.0f} MB;"
        f" drained in {draining:.1f} s beside {fresh} fresh batches: {SECONDS / draining:.0f} x faster than real time"
    )
