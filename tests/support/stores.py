"""Real time-series servers for tests: one process for a module, a name space of its own for each test."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.support import real
from tests.support.real import HERE, Place

_NAMES = count(1)
TOKEN = "token-of-the-tests"
ORG = "starvc"


@dataclass
class Running:
    """A server that can be killed and started again on its port and its files."""

    url: str
    command: list[str]
    ready: str
    log: Path
    place: Place = HERE
    _process: ExitStack = field(default_factory=ExitStack)
    _current: subprocess.Popen[bytes] | None = None
    _started: float = 0.0

    def start(self) -> None:
        up = real.server(self.command, lambda: real.answers(self.url + self.ready), self.log, seconds=60)
        self._current = self._process.enter_context(up)
        self._started = time.monotonic()

    def stop(self) -> None:
        """As an operator would."""
        self._process.close()

    def kill(self) -> None:
        if self._current is None:
            pytest.skip("a server that stands elsewhere is not killed")
        self._current.send_signal(signal.SIGKILL)
        self._current.wait()
        self._process.close()

    def halt(self) -> None:
        """It stands still until it is sent on."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._current is None:
            pytest.skip("a server that stands elsewhere is not halted")
        self._current.send_signal(number)

    def crash(self) -> None:
        """Killed and started again, in another second than last time: servers tell their start in seconds."""
        real.eventually(lambda: time.monotonic() > self._started + 1)
        self.kill()
        self.start()

    @staticmethod
    def name() -> str:
        """A name space that no other test uses."""
        return f"t{os.getpid()}x{next(_NAMES)}"


@contextmanager
def victoria(folder: Path, *flags: str, place: Place = HERE) -> Iterator[Running]:
    """VictoriaMetrics that keeps everything; skips when it is not installed."""
    address = f"{place.address}:{real.free_port()}"
    command = [
        *place.door,
        real.binary("victoria-metrics"),
        f"-storageDataPath={folder / 'victoria'}",
        f"-httpListenAddr={address}",
        "-retentionPeriod=100y",
        "-search.maxUniqueTimeseries=2000000",
        *flags,
    ]
    running = Running(f"http://{address}", command, "/health", folder / "victoria.log", place)
    running.start()
    try:
        yield running
    finally:
        running.stop()


@dataclass(frozen=True)
class Cluster:
    """A VictoriaMetrics cluster. `nodes`: those that store."""

    insert: str
    select: str
    nodes: tuple[str, ...]
    running: tuple[Running, ...] = ()
    inserting: Running = field(default_factory=lambda: Running("", [], "", Path()))

    def crash(self) -> None:
        """One of the nodes that store is killed and started again."""
        if not self.running:
            pytest.skip("a server that stands elsewhere is not killed")
        self.running[0].crash()


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """vminsert, vmselect and two vmstorage. STARVC_TEST_VICTORIA_CLUSTER_URLS (vminsert's, vmselect's, each vmstorage's
    URL, with commas) names one that runs elsewhere; skips without it when one of the programs is not on PATH."""
    if elsewhere := os.environ.get("STARVC_TEST_VICTORIA_CLUSTER_URLS"):
        insert, select, *nodes = elsewhere.split(",")
        yield Cluster(f"{insert}/insert/0", f"{select}/select/0", tuple(nodes))
        return
    programs = {name: real.binary(name) for name in ("vmstorage", "vminsert", "vmselect")}
    with ExitStack() as parts:

        def started(name: str, *flags: str) -> Running:
            port = real.free_port()
            command = [programs[name], f"-httpListenAddr=127.0.0.1:{port}", *flags]
            running = Running(f"http://127.0.0.1:{port}", command, "/health", folder / f"{name}.log")
            running.start()
            parts.callback(running.stop)
            return running

        nodes, from_insert, from_select = [], [], []
        for number in range(2):
            inward, outward = (f"127.0.0.1:{real.free_port()}" for _ in range(2))
            from_insert.append(f"-storageNode={inward}")
            from_select.append(f"-storageNode={outward}")
            data = f"-storageDataPath={folder / f'vmstorage{number}'}"
            flags = (data, f"-vminsertAddr={inward}", f"-vmselectAddr={outward}", "-retentionPeriod=100y")
            nodes.append(started("vmstorage", *flags))
        insert = started("vminsert", *from_insert)
        select = started("vmselect", *from_select, f"-cacheDataPath={folder / 'vmselect'}")
        urls = tuple(node.url for node in nodes)
        yield Cluster(f"{insert.url}/insert/0", f"{select.url}/select/0", urls, tuple(nodes), insert)


@contextmanager
def influx(folder: Path, *flags: str, place: Place = HERE) -> Iterator[Running]:
    """InfluxDB 2 with an organisation and an operator's token; skips when influxd is not on PATH and
    STARVC_TEST_INFLUXDB_URL (with STARVC_TEST_INFLUXDB_TOKEN) names no server."""
    if elsewhere := os.environ.get("STARVC_TEST_INFLUXDB_URL"):
        yield Running(elsewhere, [], "/health", folder / "none")
        return
    address = f"{place.address}:{real.free_port()}"
    command = [
        *place.door,
        real.binary("influxd"),
        f"--bolt-path={folder / 'influxd.bolt'}",
        f"--sqlite-path={folder / 'influxd.sqlite'}",
        f"--engine-path={folder / 'engine'}",
        f"--http-bind-address={address}",
        "--reporting-disabled",
        "--log-level=error",
        *flags,
    ]
    running = Running(f"http://{address}", command, "/health", folder / "influxd.log", place)
    running.start()
    try:
        if httpx.get(f"{running.url}/api/v2/setup", timeout=30).json()["allowed"]:
            _set_up(running.url)
        yield running
    finally:
        running.stop()


def _set_up(url: str) -> None:
    form = {"username": "starvc", "password": "of-the-tests", "org": ORG, "bucket": "unused", "token": TOKEN}
    httpx.post(f"{url}/api/v2/setup", json=form, timeout=30).raise_for_status()


def influx_token() -> str:
    return os.environ.get("STARVC_TEST_INFLUXDB_TOKEN", TOKEN)


def influx_stands_elsewhere() -> bool:
    return "STARVC_TEST_INFLUXDB_URL" in os.environ
