"""Real time-series servers for tests: one process for a module, a name space of its own for each test."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx

from tests.support import real

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
    _process: ExitStack = field(default_factory=ExitStack)
    _current: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        up = real.server(self.command, lambda: real.answers(self.url + self.ready), self.log, seconds=60)
        self._current = self._process.enter_context(up)

    def stop(self) -> None:
        """As an operator would."""
        self._process.close()

    def kill(self) -> None:
        assert self._current is not None
        self._current.send_signal(signal.SIGKILL)
        self._current.wait()
        self._process.close()

    def crash(self) -> None:
        """Killed and started again."""
        self.kill()
        self.start()

    @staticmethod
    def name() -> str:
        """A name space that no other test uses."""
        return f"t{os.getpid()}x{next(_NAMES)}"


@contextmanager
def victoria(folder: Path) -> Iterator[Running]:
    """VictoriaMetrics that keeps everything; skips when it is not installed."""
    port = real.free_port()
    command = [
        real.binary("victoria-metrics"),
        f"-storageDataPath={folder / 'victoria'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-search.maxUniqueTimeseries=2000000",
    ]
    running = Running(f"http://127.0.0.1:{port}", command, "/health", folder / "victoria.log")
    running.start()
    yield running
    running.stop()


@contextmanager
def influx(folder: Path) -> Iterator[Running]:
    """InfluxDB 2 with an organisation and an operator's token; skips when influxd is not on PATH and
    STARVC_TEST_INFLUXDB_URL (with STARVC_TEST_INFLUXDB_TOKEN) names no server."""
    if elsewhere := os.environ.get("STARVC_TEST_INFLUXDB_URL"):
        yield Running(elsewhere, [], "/health", folder / "none")
        return
    port = real.free_port()
    command = [
        real.binary("influxd"),
        f"--bolt-path={folder / 'influxd.bolt'}",
        f"--sqlite-path={folder / 'influxd.sqlite'}",
        f"--engine-path={folder / 'engine'}",
        f"--http-bind-address=127.0.0.1:{port}",
        "--reporting-disabled",
        "--log-level=error",
    ]
    running = Running(f"http://127.0.0.1:{port}", command, "/health", folder / "influxd.log")
    running.start()
    form = {"username": "starvc", "password": "of-the-tests", "org": ORG, "bucket": "unused", "token": TOKEN}
    httpx.post(f"{running.url}/api/v2/setup", json=form, timeout=30).raise_for_status()
    yield running
    running.stop()


def influx_token() -> str:
    return os.environ.get("STARVC_TEST_INFLUXDB_TOKEN", TOKEN)
