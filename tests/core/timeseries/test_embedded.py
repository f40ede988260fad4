"""The embedded store keeps the contract, and its own promises about files."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from core.metrics import REGISTRY
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.embedded.catalogue import Catalogue
from core.timeseries.fields import FIELDS, Field, Kind, Unit
from core.timeseries.store import Frame, Level, StoreUnavailable
from tests.contract.timeseries import T0, Opened, TimeSeriesContract, frame, lines, rows


class TestEmbedded(TimeSeriesContract):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Opened:
        imports = "from pathlib import Path\nfrom core.timeseries.embedded import EmbeddedStore"
        return Opened(lambda: EmbeddedStore(tmp_path), imports, f"EmbeddedStore.reader(Path({str(tmp_path)!r}))")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made" / "on demand"


def _flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]


def _corrupt(path: Path, table: str) -> None:
    """Flip one byte in the middle of every blob of a table."""
    connection = sqlite3.connect(path)
    connection.create_function("damaged", 1, _flipped)
    with connection:
        connection.execute(f"UPDATE {table} SET body = damaged(body)")
    connection.close()


def _corrupt_rows(level: Level) -> float:
    return REGISTRY.get_sample_value("starvc_store_corrupt_rows_total", {"level": level}) or 0.0


def test_a_second_writer_is_refused_and_told_who_writes(folder: Path) -> None:
    store = EmbeddedStore(folder)
    with pytest.raises(StoreUnavailable, match=f"process {os.getpid()}"):
        EmbeddedStore(folder)
    store.close()
    EmbeddedStore(folder).close()


def test_a_reader_cannot_write(folder: Path) -> None:
    EmbeddedStore(folder).close()
    reader = EmbeddedStore.reader(folder)
    with pytest.raises(StoreUnavailable, match="reading only"):
        reader.write([frame(Kind.VM, [("a", T0, 1.0)])])
    assert len(reader.read(Kind.VM, 0, 2 * T0)) == 0
    reader.close()


def test_a_reader_follows_what_is_written_after_it_was_opened(folder: Path) -> None:
    store, reader = EmbeddedStore(folder), EmbeddedStore.reader(folder)
    for number in range(5):
        store.write([frame(Kind.VM, [(f"vm-{number}", T0 + number, number)])])
        assert len(reader.latest(Kind.VM, 0)) == number + 1
    store.close()
    assert len(reader.read(Kind.VM, 0, 2 * T0)) == 5
    reader.close()


def test_a_reader_that_began_before_a_layout_was_known_takes_it_from_nobody(folder: Path) -> None:
    """It is held up between asking and noting the answer, while others read what came after its own snapshot."""
    catalogue = Catalogue()
    store = EmbeddedStore(folder)
    earlier, later = (sqlite3.connect(folder / "raw.db", isolation_level=None) for _ in range(2))
    earlier.execute("BEGIN")
    assert earlier.execute("SELECT count(*) FROM layouts").fetchone() == (0,)
    store.write([frame(Kind.VM, [("a", T0, 1.0)])])
    catalogue.load_layouts(later)
    catalogue.load_layouts(earlier)
    assert catalogue.width(1) == len(FIELDS[Kind.VM])
    for connection in (earlier, later):
        connection.close()
    store.close()


def test_a_reader_without_a_store_says_so(folder: Path) -> None:
    reader = EmbeddedStore.reader(folder)
    with pytest.raises(StoreUnavailable, match=r"raw\.db"):
        reader.read(Kind.VM, 0, 1)
    reader.close()


def test_a_closed_store_is_unavailable(folder: Path) -> None:
    store = EmbeddedStore(folder)
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.write([frame(Kind.VM, [("a", T0, 1.0)])])
    with pytest.raises(StoreUnavailable, match="closed"):
        store.latest(Kind.VM, 0)


def test_damaged_samples_are_a_counted_gap_and_never_wrong_values(folder: Path) -> None:
    store = EmbeddedStore(folder)
    store.write([frame(Kind.VM, [("a", T0, 1.0)])])
    store.close()
    _corrupt(folder / "raw.db", "bodies")
    before = _corrupt_rows(Level.RAW)
    store = EmbeddedStore(folder)
    store.write([frame(Kind.VM, [("b", T0 + 1, 2.0)])])
    assert rows(store.read(Kind.VM, 0, 2 * T0)) == [("b", T0 + 1, 2.0)]
    assert rows(store.latest(Kind.VM, 0)) == [("b", T0 + 1, 2.0)]
    assert _corrupt_rows(Level.RAW) == before + 2
    store.close()


@pytest.mark.parametrize("table", ["means", "spreads"])
def test_damaged_lines_are_a_counted_gap_and_never_wrong_values(folder: Path, table: str) -> None:
    store = EmbeddedStore(folder)
    store.write_lines(Level.HOUR, [lines(Kind.VM, T0, {"a": 1.0})])
    store.close()
    _corrupt(folder / "hour.db", table)
    before = _corrupt_rows(Level.HOUR)
    store = EmbeddedStore(folder)
    assert store.read_lines(Level.HOUR, Kind.VM, 0, 2 * T0) == []
    assert _corrupt_rows(Level.HOUR) == before + 1
    store.close()


def test_a_file_that_is_no_database_is_unavailable(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "raw.db").write_bytes(b"not a database" * 1000)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="not a database"):
            EmbeddedStore(folder)
    (folder / "raw.db").unlink()
    EmbeddedStore(folder).close()


def test_a_file_of_a_later_version_is_refused(folder: Path) -> None:
    EmbeddedStore(folder).close()
    connection = sqlite3.connect(folder / "day.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreUnavailable, match="format 99"):
        EmbeddedStore(folder)


def test_old_rows_answer_by_name_after_the_fields_have_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    down, up = FIELDS[Kind.NIC]
    store = EmbeddedStore(folder)
    store.write([frame(Kind.NIC, [("n", T0, 1.0)])])
    store.write_lines(Level.MINUTE, [lines(Kind.NIC, T0, {"n": 5.0})])
    store.close()
    errors = Field("errors", Unit.PER_SECOND, 2, "packets with errors")
    monkeypatch.setitem(FIELDS, Kind.NIC, (up, errors, down))
    store = EmbeddedStore(folder)
    store.write([frame(Kind.NIC, [("n", T0 + 1, 7.0)])])
    found = store.read(Kind.NIC, T0, T0 + 2)
    np.testing.assert_array_equal(found.values, [[2.0, np.nan, 1.0], [7.0, 8.0, 9.0]])
    (line,) = store.read_lines(Level.MINUTE, Kind.NIC, T0, T0 + 1)
    np.testing.assert_array_equal(line.mean, [[5.0, np.nan, 5.0]])
    np.testing.assert_array_equal(line.count, [[1, 0, 0]])
    store.close()


def test_a_write_that_fails_half_way_leaves_nothing_and_numbers_stay_right(folder: Path) -> None:
    store = EmbeddedStore(folder)
    bad = Frame(Kind.VM, ["\ud800"], np.array([T0]), frame(Kind.VM, [("x", T0, 1.0)]).values)
    with pytest.raises(UnicodeEncodeError):
        store.write([frame(Kind.VM, [("lost", T0, 1.0)]), bad])
    store.write([frame(Kind.VM, [("kept", T0, 2.0)])])
    assert rows(store.read(Kind.VM, 0, 2 * T0)) == [("kept", T0, 2.0)]
    store.close()


def test_space_of_deleted_samples_is_used_again(folder: Path) -> None:
    store = EmbeddedStore(folder)
    sizes = []
    for number in range(60):
        store.write([frame(Kind.VM, [(f"vm-{index}", T0 + number, index * number / 7) for index in range(300)])])
        store.prune(Level.RAW, T0 + number - 5)
        sizes.append((folder / "raw.db").stat().st_size)
    store.close()
    assert max(sizes[40:]) <= max(sizes[20:40])
