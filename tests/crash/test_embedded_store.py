"""The embedded store against kill -9, a torn log and a full disk: what was acknowledged is there, whole, once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.store import Frame, Level, Lines, StoreUnavailable
from tests.contract.timeseries import T0, frame, rows

_ROOT = Path(__file__).parents[2]
_OBJECTS = 400
_WRITER = """
import sys
from pathlib import Path
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.store import Level
from tests.crash.test_embedded_store import tick, line
store, number = EmbeddedStore(Path(sys.argv[1])), int(sys.argv[2])
print("ready", flush=True)
while True:
    store.write(tick(number))
    print("samples", number, flush=True)
    store.write_lines(Level.MINUTE, [line(number)])
    print("lines", number, flush=True)
    number += 1
"""


def tick(number: int) -> list[Frame]:
    """Two frames that belong together, told from all others by their values; a few objects are new each time."""
    vms = [(f"vm-{index}", T0 + number, float(number)) for index in range(number, number + _OBJECTS)]
    return [frame(Kind.VM, vms), frame(Kind.HOST, [("host", T0 + number, float(number))])]


def line(number: int) -> Lines:
    shape = (_OBJECTS, len(FIELDS[Kind.VM]))
    cells, count = np.full(shape, float(number)), np.full(shape, number, dtype=np.int64)
    names = [f"vm-{index}" for index in range(number, number + _OBJECTS)]
    return Lines(Kind.VM, T0 + 60 * number, names, cells, cells, cells, count, 6, final=True)


def _killed(folder: Path, number: int, seconds: float) -> tuple[int, int]:
    """Run the writer from tick `number`, kill it after `seconds`; the last acknowledged tick and line, -1 for none."""
    command = [sys.executable, "-c", _WRITER, str(folder), str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "ready\n":
            assert process.poll() is None
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        whole, _, _killed_in_it = process.stdout.read().rpartition("\n")
        said = [text.split() for text in whole.splitlines()]
    last = {"samples": -1, "lines": -1}
    last.update({word: int(value) for word, value in said})
    return last["samples"], last["lines"]


def _assert_samples(store: EmbeddedStore, acknowledged: int) -> int:
    """Every tick up to the acknowledged one is there once, and none is there in part. How many there are."""
    hosts = [int(value) for _, _, value in rows(store.read(Kind.HOST, T0, 2 * T0))]
    assert hosts == list(range(len(hosts)))
    assert len(hosts) > acknowledged
    for number in hosts[-30:]:
        wanted = sorted((f"vm-{index}", T0 + number, float(number)) for index in range(number, number + _OBJECTS))
        assert rows(store.read(Kind.VM, T0 + number, T0 + number + 1)) == wanted
    return len(hosts)


def _assert_lines(store: EmbeddedStore, acknowledged: int) -> int:
    found = store.read_lines(Level.MINUTE, Kind.VM, 0, 2 * T0)
    assert len(found) > acknowledged
    for number, window in enumerate(found):
        assert window.start == T0 + 60 * number
        assert len(window) == _OBJECTS
        assert (window.mean == number).all()
        assert (window.count == number).all()
    return len(found)


def test_kill_9_loses_nothing_acknowledged_and_leaves_nothing_in_part(tmp_path: Path) -> None:
    chance = random.Random(7)
    number = 0
    for _ in range(12):
        samples, lines = _killed(tmp_path, number, chance.uniform(0.02, 0.4))
        store = EmbeddedStore(tmp_path)
        assert _assert_samples(store, samples) >= number
        number = _assert_lines(store, lines)
        store.close()
        for level in Level:
            with sqlite3.connect(tmp_path / f"{level}.db") as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            connection.close()
    assert number > 12


@pytest.mark.parametrize("damage", ["cut", "zeroed", "flipped"])
def test_a_torn_tail_of_the_log_loses_only_the_last_writes(tmp_path: Path, damage: str) -> None:
    store = EmbeddedStore(tmp_path / "living")
    for number in range(6):
        store.write(tick(number))
    shutil.copytree(tmp_path / "living", tmp_path / "torn")
    store.close()
    log = tmp_path / "torn" / "raw.db-wal"
    content = bytearray(log.read_bytes())
    assert len(content) > 20_000
    if damage == "cut":
        del content[-5_000:]
    elif damage == "zeroed":
        content[-9_000:] = bytes(9_000)
    else:
        content[-4_000] ^= 0xFF
    log.write_bytes(content)
    (tmp_path / "torn" / "raw.db-shm").unlink(missing_ok=True)
    torn = EmbeddedStore(tmp_path / "torn")
    kept = _assert_samples(torn, 3)
    assert kept == 5
    torn.write(tick(kept))
    assert _assert_samples(torn, kept) == 6
    torn.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_refuses_writes_keeps_reads_and_goes_on_when_there_is_space(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 * 1024 * 1024))
    store = EmbeddedStore(small_disk)
    number = _written_until_refused(store)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="full"):
            store.write(_noise(number))
    assert len(store.read(Kind.HOST, 0, 2 * T0)) == number
    ballast.unlink()
    store.write(_noise(number))
    assert len(store.read(Kind.HOST, 0, 2 * T0)) == number + 1
    assert len(store.read(Kind.VM, 0, 2 * T0)) == _OBJECTS * (number + 1)
    store.close()


def _written_until_refused(store: EmbeddedStore) -> int:
    """The number of the tick that found no space."""
    for number in range(10_000):
        try:
            store.write(_noise(number))
        except StoreUnavailable:
            return number
    pytest.fail("the disk never filled up")


def _noise(number: int) -> list[Frame]:
    """A tick that hardly compresses, with new objects each time."""
    vms, host = tick(number)
    noise = np.random.default_rng(number).random(vms.values.shape)
    return [Frame(Kind.VM, vms.objects, vms.times, noise), host]
