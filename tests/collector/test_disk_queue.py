"""The queue on disk: bounded, first in first out, whole after a restart, and never stopped by damage."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import metrics
from collector.disk_queue import DiskQueue, QueueInUse
from collector.packing import Damaged, pack, unpack
from collector.spool import Batch
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.store import Frame

MEGABYTE = 1_000_000
KINDS = st.sampled_from(list(Kind))


def batch(number: float, rows: int = 1) -> Batch:
    values = np.full((rows, len(FIELDS[Kind.VM])), number)
    return (Frame(Kind.VM, [f"vm-{row}" for row in range(rows)], np.full(rows, number), values),)


def number(found: Batch | None) -> float | None:
    return None if found is None else float(found[0].times[0])


def drained(queue: DiskQueue) -> list[float]:
    numbers = []
    while (head := queue.head()) is not None:
        numbers.append(float(head[0].times[0]))
        queue.done()
    return numbers


def dropped(reason: str) -> float:
    return metrics.DROPPED.labels(reason)._value.get()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue" / "samples.db"


@pytest.fixture
def queue(path: Path) -> Iterator[DiskQueue]:
    opened = DiskQueue(path, MEGABYTE)
    yield opened
    opened.close()


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    kind, objects = draw(KINDS), draw(st.lists(st.text(max_size=12), min_size=1, max_size=5))
    rows, fields = len(objects), len(FIELDS[kind])
    length = rows * (1 + fields) * 8
    numbers = np.frombuffer(draw(st.binary(min_size=length, max_size=length)))
    return Frame(kind, objects, numbers[:rows], numbers[rows:].reshape(rows, fields))


@given(st.lists(frames(), max_size=3))
def test_what_is_packed_is_unpacked(given_frames: list[Frame]) -> None:
    packed = tuple(given_frames)
    for before, after in zip(packed, unpack(pack(packed)), strict=True):
        assert (before.kind, list(before.objects)) == (after.kind, list(after.objects))
        assert np.array_equal(before.times, after.times, equal_nan=True)
        assert np.array_equal(before.values, after.values, equal_nan=True)


@given(st.data())
def test_a_damaged_body_is_told_from_a_whole_one(data: st.DataObject) -> None:
    """Some bits of a packed stream mean nothing: a body that is read all the same is read as it was."""
    whole = pack(batch(7, rows=3))
    body = bytearray(whole)
    at = data.draw(st.integers(2, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    try:
        found = unpack(bytes(body))
    except Damaged:
        return
    assert pack(found) == whole


def test_a_body_that_was_cut_off_is_damaged() -> None:
    with pytest.raises(Damaged):
        unpack(pack(batch(7))[:-1])


def test_a_field_that_the_writer_did_not_know_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    known = FIELDS[Kind.VM]
    monkeypatch.setitem(FIELDS, Kind.VM, known[1:])
    values = np.arange(len(known) - 1.0).reshape(1, -1)
    body = pack((Frame(Kind.VM, ["vm-1"], np.array([1.0]), values),))
    monkeypatch.setitem(FIELDS, Kind.VM, known)
    (found,) = unpack(body)
    assert np.isnan(found.values[0, 0])
    assert found.values[0, 1:].tolist() == values[0].tolist()


def test_first_in_first_out_also_after_a_restart(queue: DiskQueue, path: Path) -> None:
    for second in range(5):
        queue.put(batch(second))
    assert number(queue.head()) == 0
    queue.done()
    queue.close()
    again = DiskQueue(path, MEGABYTE)
    assert metrics.QUEUED._value.get() == 4
    assert drained(again) == [1, 2, 3, 4]
    again.close()


def test_over_its_limit_it_loses_the_oldest_and_counts_them(path: Path) -> None:
    size = len(pack(batch(1, rows=100)))
    before = dropped("queue_full")
    with closing(DiskQueue(path, 3 * size + size // 2)) as queue:
        for second in range(1, 9):
            queue.put(batch(second, rows=100))
            assert number(queue.head()) == max(1, second - 2)
        assert drained(queue) == [6, 7, 8]
    assert dropped("queue_full") - before == 500


def test_the_newest_batch_is_kept_even_if_it_is_larger_than_the_limit(path: Path) -> None:
    with closing(DiskQueue(path, 10)) as queue:
        queue.put(batch(1))
        queue.put(batch(2))
        assert drained(queue) == [2]


def test_the_file_shrinks_when_it_is_drained(queue: DiskQueue, path: Path) -> None:
    random = np.random.default_rng(1)
    for second in range(40):
        values = random.random((500, len(FIELDS[Kind.VM])))
        queue.put((Frame(Kind.VM, [f"vm-{row}" for row in range(500)], np.full(500, second), values),))
    drained(queue)
    queue.close()
    assert path.stat().st_size < 100_000


def test_a_damaged_batch_is_lost_alone(queue: DiskQueue, path: Path) -> None:
    for second in range(3):
        queue.put(batch(second))
    queue.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE body SET body = substr(body, 1, 20) WHERE id = 2")
    before = dropped("queue_damaged")
    with closing(DiskQueue(path, MEGABYTE)) as again:
        assert drained(again) == [0, 2]
    assert dropped("queue_damaged") - before == 1


def test_a_file_that_is_no_database_is_put_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"rubbish" * 1000)
    with closing(DiskQueue(path, MEGABYTE)) as queue:
        queue.put(batch(1))
        assert drained(queue) == [1]
    assert path.with_suffix(".damaged-0").read_bytes().startswith(b"rubbish")


@pytest.fixture
def filled(path: Path) -> Iterator[DiskQueue]:
    """With more than SQLite keeps in memory, all of it in the main file."""
    queue = DiskQueue(path, 10 * MEGABYTE)
    random = np.random.default_rng(1)
    for second in range(80):
        values = random.random((500, len(FIELDS[Kind.VM])))
        queue.put((Frame(Kind.VM, [f"vm-{row}" for row in range(500)], np.full(500, second), values),))
    queue._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    yield queue
    queue.close()


def spoilt(path: Path) -> None:
    """All pages but the first."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


@pytest.mark.parametrize("deed", ["head", "put"])
def test_a_file_that_is_spoilt_in_the_middle_is_put_aside_and_counted(filled: DiskQueue, path: Path, deed: str) -> None:
    before = dropped("queue_damaged")
    spoilt(path)
    if deed == "head":
        assert drained(filled) == []
    else:
        filled._limit = filled._size  # the oldest is to go
        filled.put(batch(7))
        assert drained(filled) == [7]
    assert dropped("queue_damaged") - before == 80 * 500
    filled.put(batch(8))
    assert drained(filled) == [8]
    assert path.with_suffix(".damaged-0").exists()


def test_a_spoilt_file_does_not_keep_a_collector_from_starting(filled: DiskQueue, path: Path) -> None:
    filled.close()
    spoilt(path)
    with closing(DiskQueue(path, MEGABYTE)) as again:
        again.put(batch(1))
        assert drained(again) == [1]
    assert path.with_suffix(".damaged-0").exists()


def test_a_queue_has_one_owner(queue: DiskQueue, path: Path) -> None:
    queue.put(batch(1))
    with pytest.raises(QueueInUse, match="in use by another process"):
        DiskQueue(path, MEGABYTE)


def test_a_disk_that_takes_nothing_loses_what_comes_and_keeps_what_is_there(queue: DiskQueue) -> None:
    queue.put(batch(1))
    before = dropped("queue_failed")
    queue._connection.execute("PRAGMA max_page_count = 1")  # the database cannot grow
    queue.put(batch(2, rows=5000))
    assert dropped("queue_failed") - before == 5000
    assert drained(queue) == [1]


_PUTTER = """
import sys
from pathlib import Path
from collector.disk_queue import DiskQueue
from tests.collector.test_disk_queue import batch
queue = DiskQueue(Path(sys.argv[1]), 10**9)
second = 0
while True:
    second += 1
    queue.put(batch(second, rows=50))
    print(second, flush=True)
"""


def test_nothing_that_was_put_is_lost_by_kills(path: Path) -> None:
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", _PUTTER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(20)]
        os.kill(process.pid, signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().split("\n") if line.strip()]
        process.wait()
        process.stdout.close()
        with closing(DiskQueue(path, 10**9)) as queue:
            found = drained(queue)
        assert found[: len(told)] == told
        assert len(found) - len(told) in {0, 1}
