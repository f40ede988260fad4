"""What every `TimeSeriesStore` promises. Each implementation runs this suite in a few lines:

class TestEmbedded(TimeSeriesContract):
    @pytest.fixture
    def opened(self, tmp_path): ...
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from aggregator.rollup import roll_samples
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.store import Frame, Level, Lines, StoreUnavailable, TimeSeriesStore
from tests.support.real import eventually

T0 = 1_760_000_040.0
"""A minute's first second."""
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Opened:
    """How a test gets at the store under test: `open` the writing one (after closing the last); `elsewhere` is an
    expression that opens a reading one in another process after the imports `imports`."""

    open: Callable[[], TimeSeriesStore]
    imports: str
    elsewhere: str


def frame(kind: Kind, samples: Sequence[tuple[str, float, float]]) -> Frame:
    """(object, time, x): the fields are x, x + 1, ..., so that a mixed-up column shows."""
    width = len(FIELDS[kind])
    values = np.array([[x + column for column in range(width)] for _, _, x in samples], dtype=float)
    values = values.reshape(len(samples), width)
    return Frame(
        kind, [name for name, _, _ in samples], np.array([time for _, time, _ in samples], dtype=float), values
    )


def rows(found: Frame) -> list[tuple[str, float, float]]:
    """The inverse of `frame`; checks the columns on the way."""
    expected = found.values[:, :1] + np.arange(len(FIELDS[found.kind]))
    np.testing.assert_array_equal(found.values, expected)
    assert found.times.shape == (len(found),)
    return list(zip(found.objects, found.times.tolist(), found.values[:, 0].tolist(), strict=True))


def lines(kind: Kind, start: float, means: Mapping[str, float], *, expected: int = 6, final: bool = True) -> Lines:
    """Every field of an object has the given mean; minimum, maximum and count are told apart from it."""
    shape = (len(means), len(FIELDS[kind]))
    mean = np.repeat(np.array(list(means.values()), dtype=float).reshape(-1, 1), shape[1], axis=1)
    count = np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)
    return Lines(kind, start, list(means), mean, mean - 1, mean + 1, count, expected, final)


def assert_same_lines(found: Lines, wanted: Lines) -> None:
    order = sorted(range(len(wanted)), key=lambda row: wanted.objects[row])
    assert list(found.objects) == [wanted.objects[row] for row in order]
    assert (found.kind, found.start, found.expected, found.final) == (
        wanted.kind,
        wanted.start,
        wanted.expected,
        wanted.final,
    )
    for part in ("mean", "minimum", "maximum", "count"):
        np.testing.assert_array_equal(getattr(found, part), getattr(wanted, part)[order], err_msg=part)
    assert found.count.dtype == np.int64


class TimeSeriesContract:
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Opened:
        raise NotImplementedError

    @pytest.fixture
    def store(self, opened: Opened) -> Iterator[TimeSeriesStore]:
        store = opened.open()
        yield store
        store.close()

    # samples

    def test_what_is_written_is_read(self, store: TimeSeriesStore) -> None:
        samples = [("vm-a", T0, 1.5), ("vm-a", T0 + 10, 2.5), ("vm-b", T0 + 1, -3.0)]
        store.write([frame(Kind.VM, samples)])
        assert rows(store.read(Kind.VM, T0, T0 + 60)) == samples

    def test_kinds_are_apart(self, store: TimeSeriesStore) -> None:
        store.write([frame(Kind.VM, [("x", T0, 1.0)]), frame(Kind.DISK, [("x", T0, 2.0)])])
        assert rows(store.read(Kind.VM, T0, T0 + 1)) == [("x", T0, 1.0)]
        assert rows(store.read(Kind.DISK, T0, T0 + 1)) == [("x", T0, 2.0)]
        assert rows(store.read(Kind.NIC, T0, T0 + 1)) == []

    def test_an_empty_store_answers_empty(self, store: TimeSeriesStore) -> None:
        found = store.read(Kind.HOST, 0, T0)
        assert len(found) == 0
        assert found.values.shape == (0, len(FIELDS[Kind.HOST]))
        assert len(store.latest(Kind.HOST, 0)) == 0
        assert (store.touched(0).minutes, store.touched(0).newest) == (frozenset(), {})
        assert list(store.read_lines(Level.MINUTE, Kind.HOST, 0, T0)) == []

    def test_answers_are_sorted_by_object_and_time(self, store: TimeSeriesStore) -> None:
        store.write([frame(Kind.VM, [("b", T0 + 5, 1.0), ("a", T0 + 9, 2.0), ("b", T0, 3.0), ("B", T0, 4.0)])])
        store.write([frame(Kind.VM, [("a", T0 + 3, 5.0)])])
        assert [row[:2] for row in rows(store.read(Kind.VM, T0, T0 + 60))] == [
            ("B", T0),
            ("a", T0 + 3),
            ("a", T0 + 9),
            ("b", T0),
            ("b", T0 + 5),
        ]

    def test_a_range_includes_its_start_and_not_its_end(self, store: TimeSeriesStore) -> None:
        store.write([frame(Kind.VM, [("a", T0 + second, second) for second in range(5)])])
        assert [row[2] for row in rows(store.read(Kind.VM, T0 + 1, T0 + 4))] == [1, 2, 3]

    def test_only_the_named_objects_are_read(self, store: TimeSeriesStore) -> None:
        store.write([frame(Kind.VM, [(name, T0, 1.0) for name in "abcd"])])
        assert [row[0] for row in rows(store.read(Kind.VM, T0, T0 + 1, ["c", "a", "c", "never-seen"]))] == ["a", "c"]
        assert rows(store.read(Kind.VM, T0, T0 + 1, [])) == []
        assert rows(store.read(Kind.VM, T0, T0 + 1, ["never-seen"])) == []

    def test_writing_the_same_again_changes_nothing(self, store: TimeSeriesStore) -> None:
        samples = [("a", T0, 1.0), ("b", T0 + 1, 2.0)]
        for _ in range(3):
            store.write([frame(Kind.VM, samples)])
        store.write([frame(Kind.VM, samples), frame(Kind.VM, samples)])
        assert rows(store.read(Kind.VM, T0, T0 + 60)) == samples

    def test_the_last_write_of_a_time_wins(self, store: TimeSeriesStore) -> None:
        store.write([frame(Kind.VM, [("a", T0, 1.0)])])
        store.write([frame(Kind.VM, [("a", T0, 2.0)]), frame(Kind.VM, [("a", T0, 3.0), ("a", T0, 4.0)])])
        assert rows(store.read(Kind.VM, T0, T0 + 1)) == [("a", T0, 4.0)]
        assert rows(store.latest(Kind.VM, T0)) == [("a", T0, 4.0)]

    def test_late_samples_find_their_place(self, store: TimeSeriesStore) -> None:
        store.write([frame(Kind.VM, [("a", T0 + 100, 1.0)])])
        store.write([frame(Kind.VM, [("a", T0 - 600, 2.0)])])
        assert rows(store.read(Kind.VM, T0 - 3600, T0 + 3600)) == [("a", T0 - 600, 2.0), ("a", T0 + 100, 1.0)]
        assert rows(store.read(Kind.VM, T0 - 600, T0)) == [("a", T0 - 600, 2.0)]

    def test_not_measured_stays_not_measured(self, store: TimeSeriesStore) -> None:
        values = np.full((1, len(FIELDS[Kind.DISK])), np.nan)
        values[0, COLUMN[Kind.DISK]["used"]] = 7.0
        store.write([Frame(Kind.DISK, ["d"], np.array([T0]), values)])
        np.testing.assert_array_equal(store.read(Kind.DISK, T0, T0 + 1).values, values)
        np.testing.assert_array_equal(store.latest(Kind.DISK, T0).values, values)

    @pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e-300, 1.7976931348623157e308, -123456789.987654321, 2.0**53])
    def test_values_come_back_to_the_last_bit(self, store: TimeSeriesStore, value: float) -> None:
        values = np.full((1, len(FIELDS[Kind.NIC])), value)
        store.write([Frame(Kind.NIC, ["n"], np.array([T0]), values)])
        np.testing.assert_array_equal(store.read(Kind.NIC, T0, T0 + 1).values, values)

    @pytest.mark.parametrize(
        "name", ["vm-1/vda", "虚拟机-一", "a b", 'ü,="\\', "x" * 200, "'; DROP TABLE batches; --", "🖥️", "a\tb"]
    )
    def test_any_name_comes_back(self, store: TimeSeriesStore, name: str) -> None:
        store.write([frame(Kind.DISK, [(name, T0, 1.0), ("plain", T0, 2.0)])])
        assert rows(store.read(Kind.DISK, T0, T0 + 1, [name])) == [(name, T0, 1.0)]
        assert rows(store.latest(Kind.DISK, T0, [name])) == [(name, T0, 1.0)]

    def test_an_empty_write_is_nothing(self, store: TimeSeriesStore) -> None:
        store.write([])
        store.write([frame(Kind.VM, [])])
        assert store.touched(0).minutes == frozenset()

    def test_a_frame_that_does_not_fit_is_refused_whole(self, store: TimeSeriesStore) -> None:
        misfit = Frame(Kind.VM, ["a"], np.array([T0]), np.zeros((1, 2)))
        with pytest.raises(ValueError, match="vm"):
            store.write([frame(Kind.VM, [("a", T0, 1.0)]), misfit])
        with pytest.raises(ValueError, match="time"):
            store.write([frame(Kind.VM, [("a", float("nan"), 1.0)])])
        assert rows(store.read(Kind.VM, 0, T0 * 2)) == []

    def test_what_was_handed_over_may_be_changed_afterwards(self, store: TimeSeriesStore) -> None:
        handed = frame(Kind.VM, [("a", T0, 1.0)])
        store.write([handed])
        handed.values[:] = 99.0
        handed.times[:] = 0.0
        assert rows(store.read(Kind.VM, T0, T0 + 1)) == [("a", T0, 1.0)]

    # latest

    def test_latest_is_the_newest_of_each_object(self, store: TimeSeriesStore) -> None:
        store.write([frame(Kind.VM, [("b", T0, 1.0), ("a", T0 + 10, 2.0), ("b", T0 + 20, 3.0)])])
        store.write([frame(Kind.VM, [("c", T0 + 5, 4.0)])])
        assert rows(store.latest(Kind.VM, T0)) == [("a", T0 + 10, 2.0), ("b", T0 + 20, 3.0), ("c", T0 + 5, 4.0)]
        assert rows(store.latest(Kind.VM, T0, ["c", "b", "nobody"])) == [("b", T0 + 20, 3.0), ("c", T0 + 5, 4.0)]

    def test_a_late_sample_never_becomes_the_latest(self, store: TimeSeriesStore) -> None:
        store.write([frame(Kind.VM, [("a", T0 + 100, 1.0)])])
        store.write([frame(Kind.VM, [("a", T0 + 50, 2.0), ("b", T0 + 40, 3.0)])])
        assert rows(store.latest(Kind.VM, T0)) == [("a", T0 + 100, 1.0), ("b", T0 + 40, 3.0)]

    def test_latest_leaves_out_what_is_older_than_asked(self, store: TimeSeriesStore) -> None:
        store.write([frame(Kind.VM, [("old", T0, 1.0), ("new", T0 + 30, 2.0)])])
        assert rows(store.latest(Kind.VM, T0 + 30)) == [("new", T0 + 30, 2.0)]
        assert rows(store.latest(Kind.VM, T0 + 31)) == []
        assert rows(store.latest(Kind.VM, T0 + 30, ["old"])) == []

    def test_latest_finds_an_object_that_fell_silent_long_ago(self, store: TimeSeriesStore) -> None:
        store.write([frame(Kind.VM, [("silent", T0, 1.0)])])
        for minute in range(1, 40):
            store.write([frame(Kind.VM, [("alive", T0 + 60 * minute, minute)])])
        assert rows(store.latest(Kind.VM, T0)) == [("alive", T0 + 39 * 60, 39.0), ("silent", T0, 1.0)]
        assert rows(store.latest(Kind.VM, 0, ["silent"])) == [("silent", T0, 1.0)]

    # touched

    def test_touched_names_each_write_exactly_once(self, store: TimeSeriesStore) -> None:
        store.write([frame(Kind.VM, [("a", T0, 1.0), ("a", T0 + 59.9, 1.0)]), frame(Kind.HOST, [("h", T0 + 60, 1.0)])])
        first = store.touched(0)
        assert first.minutes == {(Kind.VM, T0), (Kind.HOST, T0 + 60)}
        assert first.newest == {Kind.VM: T0 + 59.9, Kind.HOST: T0 + 60}
        assert store.touched(first.cursor).minutes == frozenset()
        store.write([frame(Kind.VM, [("a", T0 - 120, 1.0)])])
        second = store.touched(first.cursor)
        assert second.minutes == {(Kind.VM, T0 - 120)}
        assert second.newest == {Kind.VM: T0 - 120}
        assert store.touched(second.cursor).minutes == frozenset()

    def test_a_frame_over_many_minutes_touches_only_those_it_has_samples_in(self, store: TimeSeriesStore) -> None:
        store.write([frame(Kind.VM, [("a", T0 + 600, 1.0), ("a", T0, 1.0), ("b", T0 + 300.5, 1.0)])])
        assert store.touched(0).minutes == {(Kind.VM, T0), (Kind.VM, T0 + 300), (Kind.VM, T0 + 600)}

    def test_the_cursor_outlives_retention_and_reopening(self, opened: Opened) -> None:
        store = opened.open()
        store.write([frame(Kind.VM, [("a", T0, 1.0)])])
        cursor = store.touched(0).cursor
        store.prune(Level.RAW, T0 + 3600)
        store.close()
        store = opened.open()
        store.write([frame(Kind.VM, [("a", T0 + 7200, 1.0)])])
        assert store.touched(cursor).minutes == {(Kind.VM, T0 + 7200)}
        store.close()

    # lines

    def test_lines_come_back_sorted_and_whole(self, store: TimeSeriesStore) -> None:
        later = lines(Kind.VM, T0 + 60, {"b": 2.0, "a": 1.0})
        earlier = lines(Kind.VM, T0, {"c": 3.0}, final=False, expected=60)
        store.write_lines(Level.MINUTE, [later, earlier])
        found = store.read_lines(Level.MINUTE, Kind.VM, T0, T0 + 120)
        assert [window.start for window in found] == [T0, T0 + 60]
        assert_same_lines(found[0], earlier)
        assert_same_lines(found[1], later)

    def test_levels_and_kinds_of_lines_are_apart(self, store: TimeSeriesStore) -> None:
        store.write_lines(Level.MINUTE, [lines(Kind.VM, T0, {"a": 1.0}), lines(Kind.HOST, T0, {"a": 2.0})])
        store.write_lines(Level.HOUR, [lines(Kind.VM, T0, {"a": 3.0})])
        assert store.read_lines(Level.MINUTE, Kind.VM, T0, T0 + 1)[0].mean[0, 0] == 1.0
        assert store.read_lines(Level.MINUTE, Kind.HOST, T0, T0 + 1)[0].mean[0, 0] == 2.0
        assert store.read_lines(Level.HOUR, Kind.VM, T0, T0 + 1)[0].mean[0, 0] == 3.0
        assert list(store.read_lines(Level.DAY, Kind.VM, T0, T0 + 1)) == []

    def test_a_window_is_replaced_as_a_whole(self, store: TimeSeriesStore) -> None:
        store.write_lines(Level.MINUTE, [lines(Kind.VM, T0, {"a": 1.0, "b": 2.0}, final=False)])
        replacement = lines(Kind.VM, T0, {"b": 5.0, "c": 6.0})
        store.write_lines(Level.MINUTE, [replacement])
        (found,) = store.read_lines(Level.MINUTE, Kind.VM, T0, T0 + 60)
        assert_same_lines(found, replacement)

    def test_lines_of_named_objects_skip_windows_without_them(self, store: TimeSeriesStore) -> None:
        many = {f"vm-{number:04d}": float(number) for number in range(700)}
        store.write_lines(Level.MINUTE, [lines(Kind.VM, T0, many), lines(Kind.VM, T0 + 60, {"other": 1.0})])
        (found,) = store.read_lines(Level.MINUTE, Kind.VM, T0, T0 + 120, ["vm-0600", "vm-0003", "nobody"])
        assert list(found.objects) == ["vm-0003", "vm-0600"]
        assert found.mean[:, 0].tolist() == [3.0, 600.0]
        assert list(store.read_lines(Level.MINUTE, Kind.VM, T0, T0 + 120, ["nobody"])) == []

    def test_a_gap_in_a_line_stays_a_gap(self, store: TimeSeriesStore) -> None:
        shape = (1, len(FIELDS[Kind.NIC]))
        nan = np.full(shape, np.nan)
        gap = Lines(Kind.NIC, T0, ["n"], nan, nan, nan, np.zeros(shape, dtype=np.int64), 6, final=True)
        store.write_lines(Level.MINUTE, [gap])
        assert_same_lines(store.read_lines(Level.MINUTE, Kind.NIC, T0, T0 + 1)[0], gap)

    def test_rolled_up_results_are_the_same_to_the_last_digit(self, store: TimeSeriesStore) -> None:
        chance = np.random.default_rng(7)
        width, names, times = len(FIELDS[Kind.VM]), [f"vm-{number}" for number in range(30)], T0 + 10.0 * np.arange(6)
        values = chance.gamma(0.7, 100.0, (len(names) * len(times), width)) * 10.0 ** chance.integers(-6, 9, width)
        values[chance.random(values.shape) < 0.1] = np.nan
        samples = Frame(Kind.VM, [name for name in names for _ in times], np.tile(times, len(names)), values)
        store.write([samples])
        wanted = roll_samples(samples, T0, T0 + 60, 6)
        found = roll_samples(store.read(Kind.VM, T0, T0 + 60), T0, T0 + 60, 6)
        assert_same_lines(found, wanted)
        store.write_lines(Level.MINUTE, [found])
        assert_same_lines(store.read_lines(Level.MINUTE, Kind.VM, T0, T0 + 60)[0], wanted)

    def test_10_500_objects_come_back_whole(self, store: TimeSeriesStore) -> None:
        names = [f"vm-{number:05d}" for number in range(10_500)]
        many = frame(Kind.NIC, [(name, T0, float(number)) for number, name in enumerate(names)])
        store.write([many])
        assert list(store.read(Kind.NIC, T0, T0 + 1).objects) == names
        found = store.latest(Kind.NIC, T0)
        np.testing.assert_array_equal(found.values, many.values)
        some = names[::11]
        assert list(store.latest(Kind.NIC, T0, some).objects) == some

    # marks, retention

    def test_marks_are_kept(self, opened: Opened) -> None:
        store = opened.open()
        assert store.mark("cursor") is None
        store.set_mark("cursor", 1.0)
        store.set_mark("cursor", 2.0**52 + 1)
        store.set_mark("other", -0.5)
        store.close()
        store = opened.open()
        assert (store.mark("cursor"), store.mark("other")) == (2.0**52 + 1, -0.5)
        store.close()

    def test_retention_deletes_what_is_wholly_older(self, store: TimeSeriesStore) -> None:
        for second in range(0, 100, 10):
            store.write([frame(Kind.VM, [("a", T0 + second, second), ("b", T0 + second + 5, second)])])
        assert store.prune(Level.RAW, T0 + 50) == 5
        kept = rows(store.read(Kind.VM, 0, T0 + 1000))
        assert min(time for _, time, _ in kept) == T0 + 50
        assert len(kept) == 10
        assert store.prune(Level.RAW, T0 + 50) == 0

    def test_retention_of_lines(self, store: TimeSeriesStore) -> None:
        windows = [lines(kind, T0 + 60 * minute, {"a": 1.0}) for minute in range(40) for kind in (Kind.VM, Kind.HOST)]
        store.write_lines(Level.MINUTE, windows)
        store.write_lines(Level.HOUR, [lines(Kind.VM, T0, {"a": 1.0})])
        assert store.prune(Level.MINUTE, T0 + 60 * 30) == 60
        kept = [window.start for window in store.read_lines(Level.MINUTE, Kind.VM, 0, T0 * 2)]
        assert kept == [T0 + 60 * minute for minute in range(30, 40)]
        assert len(store.read_lines(Level.HOUR, Kind.VM, 0, T0 * 2)) == 1

    # durability, concurrency

    def test_everything_is_there_after_reopening(self, opened: Opened) -> None:
        store = opened.open()
        samples = [("a", T0, 1.0), ("虚", T0 + 1, 2.0)]
        written = lines(Kind.VM, T0, {"a": 1.0, "z": 2.0})
        store.write([frame(Kind.VM, samples)])
        store.write_lines(Level.DAY, [written])
        store.close()
        store = opened.open()
        store.write([frame(Kind.VM, [("b", T0 + 2, 3.0)])])
        assert rows(store.read(Kind.VM, T0, T0 + 60)) == [samples[0], ("b", T0 + 2, 3.0), samples[1]]
        assert len(store.latest(Kind.VM, T0)) == 3
        assert_same_lines(store.read_lines(Level.DAY, Kind.VM, T0, T0 + 60)[0], written)
        store.close()

    def test_readers_beside_a_writer_never_see_half_a_batch(self, store: TimeSeriesStore) -> None:
        names = [f"vm-{number}" for number in range(50)]
        failures: list[str] = []
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                latest = store.latest(Kind.VM, 0)
                if len(latest) and (len(latest) != len(names) or len(set(latest.times.tolist())) != 1):
                    failures.append(f"latest: {len(latest)} objects, times {set(latest.times.tolist())}")
                found = store.read(Kind.VM, T0, T0 + 1000)
                hosts = store.read(Kind.HOST, T0, T0 + 1000)
                if len(found) % len(names) or len(hosts) * len(names) < len(found):
                    failures.append(f"read: {len(found)} samples of VMs, {len(hosts)} of hosts")

        with ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(read) for _ in range(3)]
            try:
                for second in range(40):
                    vms = frame(Kind.VM, [(name, T0 + second, second) for name in names])
                    store.write([vms, frame(Kind.HOST, [("h", T0 + second, second)])])
            finally:
                done.set()
            for reader in readers:
                reader.result()
        assert failures == []

    def test_writers_of_samples_and_of_lines_run_side_by_side(self, store: TimeSeriesStore) -> None:
        failures: list[Exception] = []

        def guarded(deed: Callable[[int], None]) -> threading.Thread:
            def run() -> None:
                try:
                    for step in range(25):
                        deed(step)
                except (StoreUnavailable, ValueError, LookupError) as error:
                    failures.append(error)

            return threading.Thread(target=run)

        threads = [
            guarded(lambda step: store.write([frame(Kind.VM, [(f"a{step}", T0 + step, 1.0)])])),
            guarded(lambda step: store.write([frame(Kind.VM, [(f"b{step}", T0 + step, 1.0)])])),
            guarded(lambda step: store.write_lines(Level.MINUTE, [lines(Kind.VM, T0 + 60 * step, {f"c{step}": 1.0})])),
            guarded(lambda step: store.set_mark("cursor", step)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(store.read(Kind.VM, T0, T0 + 60)) == 50
        assert len(store.read_lines(Level.MINUTE, Kind.VM, T0, T0 + 6000)) == 25

    def test_another_process_reads_while_this_one_writes(self, store: TimeSeriesStore, opened: Opened) -> None:
        store.write([frame(Kind.VM, [("a", T0, 1.0), ("虚", T0 + 1, 2.0)])])
        store.write_lines(Level.MINUTE, [lines(Kind.VM, T0, {"a": 4.5})])
        script = (
            f"from core.timeseries.fields import Kind\nfrom core.timeseries.store import Level\n{opened.imports}\n"
            f"store = {opened.elsewhere}\n"
            f"print(ascii(list(store.read(Kind.VM, {T0}, {T0 + 60}).objects)), flush=True)\n"
            f"print(store.read_lines(Level.MINUTE, Kind.VM, {T0}, {T0 + 60})[0].mean[0, 0], flush=True)\n"
            "input()\n"
            f"print(list(store.latest(Kind.VM, {T0 + 30}).objects))\n"
            "store.close()\n"
        )
        command = [sys.executable, "-c", script]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=_ROOT) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            answers = [process.stdout.readline() for _ in range(2)]
            store.write([frame(Kind.VM, [("b", T0 + 30, 3.0)])])
            answers += process.communicate("\n", timeout=60)[0].splitlines()
        assert answers == ["['a', '\\u865a']\n", "4.5\n", "['b']"]


def taken(store: TimeSeriesStore, batch: Sequence[Frame]) -> bool:
    """Whether it was acknowledged."""
    try:
        store.write(batch)
    except StoreUnavailable:
        return False
    return True


class ServedContract(TimeSeriesContract):
    """What stores that are servers promise beyond it: several processes write, and the server may die."""

    @pytest.fixture
    def crash(self) -> Callable[[], None]:
        """Kills the server and starts it again."""
        raise NotImplementedError

    def test_nothing_acknowledged_is_lost_when_the_server_dies_in_the_middle_of_writes(
        self, opened: Opened, crash: Callable[[], None]
    ) -> None:
        """What was not acknowledged is written again, as the queue of a collector does."""
        store, names = opened.open(), [f"vm-{number}" for number in range(50)]
        crashing = threading.Thread(target=crash)
        for second in range(60):
            batch = [frame(Kind.VM, [(name, T0 + second, second) for name in names])]
            if second == 20:
                crashing.start()
            eventually(partial(taken, store, batch))
        crashing.join()
        eventually(partial(taken, store, [frame(Kind.VM, [("after", T0 + 100, 1.0)])]))
        found = rows(store.read(Kind.VM, T0, T0 + 1000))
        times = [time for _, time, _ in found]
        assert [times.count(T0 + second) for second in (*range(60), 100)] == [50] * 60 + [1]
        store.close()

    def test_two_collectors_write_at_once_and_one_aggregator_hears_of_everything(self, opened: Opened) -> None:
        """Each collector has its own objects and its own connection, as each shard has."""
        aggregator, heard, cursor = opened.open(), set(), 0
        failures: list[Exception] = []

        def collect(shard: int) -> None:
            store = opened.open()
            try:
                for step in range(15):
                    names = [f"vm-{shard}-{number}" for number in range(20)]
                    store.write([frame(Kind.VM, [(name, T0 + 60 * (2 * step + shard), step) for name in names])])
            except (StoreUnavailable, ValueError) as error:
                failures.append(error)
            finally:
                store.close()

        collectors = [threading.Thread(target=collect, args=(shard,)) for shard in range(2)]
        for collector in collectors:
            collector.start()
        while any(collector.is_alive() for collector in collectors):
            touched = aggregator.touched(cursor)
            heard, cursor = heard | touched.minutes, touched.cursor
        assert failures == []
        heard |= aggregator.touched(cursor).minutes
        assert heard == {(Kind.VM, T0 + 60 * minute) for minute in range(30)}
        assert len(aggregator.read(Kind.VM, T0, T0 + 3600)) == 2 * 15 * 20
        latest = aggregator.latest(Kind.VM, T0)
        assert len(latest) == 40
        assert set(latest.values[:, 0].tolist()) == {14.0}
        aggregator.close()
