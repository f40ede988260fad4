"""The series of a server are backed up while it runs and restored into an empty one, with the commands that
docs/operations.md names."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from core.timeseries.fields import Kind
from core.timeseries.influx import engine as influx
from core.timeseries.served import ServedStore
from core.timeseries.store import Level, TimeSeriesStore
from core.timeseries.victoria import engine as victoria
from tests.contract.timeseries import T0, assert_same_lines, frame, lines, rows
from tests.support import real, stores
from tests.support.stores import Running

_SAMPLES = [
    (f"vm-{number:03d}", T0 + second, number + second / 7) for number in range(50) for second in range(0, 60, 10)
]
_LINES = lines(Kind.VM, T0, {"a": 1.5, "虚": 2.5})


def _fill(store: TimeSeriesStore) -> None:
    store.write([frame(Kind.VM, _SAMPLES)])
    store.write_lines(Level.DAY, [_LINES])
    store.set_mark("cursor", 7.0)
    store.close()


def _is_whole(store: TimeSeriesStore) -> None:
    """And takes samples again."""
    assert rows(store.read(Kind.VM, T0, T0 + 60)) == _SAMPLES
    assert_same_lines(store.read_lines(Level.DAY, Kind.VM, T0, T0 + 60)[0], _LINES)
    assert store.mark("cursor") == 7.0
    store.write([frame(Kind.VM, [("after", T0 + 60, 1.0)])])
    assert rows(store.read(Kind.VM, T0 + 60, T0 + 61)) == [("after", T0 + 60, 1.0)]
    store.close()


def _run(command: list[str], env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _victoria(server: Running) -> TimeSeriesStore:
    return ServedStore(victoria.Victoria(victoria.Place(server.url, server.url)))


def _influx(server: Running) -> TimeSeriesStore:
    return ServedStore(influx.Influx(influx.Place(server.url, stores.ORG, stores.influx_token())))


def test_victoriametrics_with_its_own_tool(tmp_path: Path) -> None:
    backup, restore = real.binary("vmbackup"), real.binary("vmrestore")
    first, second, copy = _folder(tmp_path / "first"), _folder(tmp_path / "second"), tmp_path / "copy"
    with stores.victoria(first) as server:
        _fill(_victoria(server))
        snapshot = f"-snapshot.createURL={server.url}/snapshot/create"
        _run([backup, f"-storageDataPath={first / 'victoria'}", snapshot, f"-dst=fs://{copy}"])
    _run([restore, f"-src=fs://{copy}", f"-storageDataPath={second / 'victoria'}"])
    with stores.victoria(second) as server:
        _is_whole(_victoria(server))


def test_influxdb_with_its_own_tool(tmp_path: Path) -> None:
    if stores.influx_stands_elsewhere():
        pytest.skip("a server that stands elsewhere is not overwritten")
    tool, token = real.binary("influx"), ["--token", stores.influx_token()]
    first, second, copy = _folder(tmp_path / "first"), _folder(tmp_path / "second"), tmp_path / "copy"
    env = {"HOME": str(tmp_path)}
    with stores.influx(first) as server:
        _fill(_influx(server))
        _run([tool, "backup", "--host", server.url, *token, str(copy)], env)
    with stores.influx(second) as server:
        _run([tool, "restore", "--host", server.url, *token, "--full", str(copy)], env)
        _is_whole(_influx(server))


def test_influxdb_as_a_copy_of_its_folder_while_it_is_stopped(tmp_path: Path) -> None:
    if stores.influx_stands_elsewhere():
        pytest.skip("the folder of a server that stands elsewhere is not here")
    first = _folder(tmp_path / "first")
    with stores.influx(first) as server:
        _fill(_influx(server))
    shutil.copytree(first, tmp_path / "second")
    with stores.influx(tmp_path / "second") as server:
        assert httpx.get(f"{server.url}/api/v2/setup").json() == {"allowed": False}
        _is_whole(_influx(server))
