"""The whole product as a real process: started as an operator starts it, driven from outside, stopped or killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from api.wire.client import Answer, StarVCenter
from core.timeseries.embedded import EmbeddedStore
from tests.support.real import answers, eventually, server

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "api")
START_SECONDS = 30.0
_URL = re.compile(r"product_up .*?url=(http://\S+)")


def environment(data: Path, settings: Mapping[str, object]) -> dict[str, str]:
    """What the process is started with: none of the caller's own STARVC_ variables, and the source tree to import."""
    named = {f"STARVC_{name.upper()}": str(value) for name, value in {"data_dir": data, **settings}.items()}
    inherited = {name: "" for name in os.environ if name.startswith("STARVC_")}
    return {**inherited, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "NO_COLOR": "1", **named}


def command(data: Path, *arguments: str, seconds: float = 30.0, **settings: object) -> subprocess.CompletedProcess[str]:
    """A command of `starvc`, run to its end in an empty folder."""
    folder = data.parent / "elsewhere"
    folder.mkdir(exist_ok=True)
    env = {**os.environ, **environment(data, settings)}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=seconds, check=False, cwd=folder, env=env
    )


class Product:
    """`starvc up` on the data folder `folder/data`; the log of all its starts is `log`. Running between `start` and
    `stop` or `kill`, and inside a `with` block."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.data = folder / "data"
        self.log = folder / "log"
        self._folder = folder
        self._token = str(settings.get("platform_token", ""))
        self._env = environment(self.data, {"port": 0, "scrape_interval": 1, "sim_hosts": 2, "sim_vms": 6, **settings})
        self._running = ExitStack()
        self._clients = ExitStack()
        self.process: subprocess.Popen[bytes] | None = None
        self.start_seconds = 0.0
        self.url = ""

    def start(self) -> Self:
        self.log.touch()
        before, began = self.log.stat().st_size, time.monotonic()

        def up() -> bool:
            found = _URL.search(self.log.read_bytes()[before:].decode(errors="replace"))
            self.url = found.group(1) if found else ""
            return bool(found) and answers(f"{self.url}/health")

        started = server([*COMMAND, "up"], up, self.log, self._env, START_SECONDS, self._folder)
        self.process = self._running.enter_context(started)
        self.start_seconds = time.monotonic() - began
        try:
            self.platform = self._clients.enter_context(self.client(self.platform_token))
            if (self.data / "demo-token").exists():
                self.demo = self._clients.enter_context(self.client(self.demo_token))
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        self._clients.close()
        self._running.close()
        self.process = None

    def kill(self) -> None:
        """kill -9."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.stop()
        return code

    def client(self, token: str) -> StarVCenter:
        return StarVCenter(self.url, token, language="en")

    @property
    def platform_token(self) -> str:
        return self._token or (self.data / "platform-token").read_text("utf-8").strip()

    @property
    def demo_token(self) -> str:
        return (self.data / "demo-token").read_text("utf-8").strip()

    def inject(self, action: str, target: str, device: str | None = None) -> None:
        """A fault of the simulated data centre, as `starvc sim` injects it."""
        headers = {"KEY_TOKEN": self.platform_token}
        url = f"{self.url}/simulation/{action}"
        answer = httpx.post(
            url, json={"target": target, "device": device}, headers=headers, timeout=30, trust_env=False
        )
        assert answer.is_success, answer.text

    @contextmanager
    def store(self) -> Iterator[EmbeddedStore]:
        """The series as another process sees them."""
        with closing(EmbeddedStore.reader(self.data / "series")) as reader:
            yield reader

    def metrics(self) -> str:
        answer = httpx.get(f"{self.url}/metrics", timeout=30, trust_env=False)
        assert answer.is_success
        return answer.text

    def errors(self) -> list[str]:
        """Lines of the log that say that something is broken here."""
        text = self.log.read_text("utf-8", errors="replace")
        return [line for line in text.splitlines() if "[error" in line or "[critical" in line or "Traceback" in line]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def rows(answer: Answer) -> list[dict[str, Any]]:
    """The list in a successful answer."""
    assert answer.succeeded, answer.text
    assert isinstance(answer.data, list)
    return answer.data


def fields(answer: Answer) -> dict[str, Any]:
    """The object in a successful answer."""
    assert answer.succeeded, answer.text
    assert isinstance(answer.data, dict)
    return answer.data


def host_ids(product: Product) -> list[str]:
    return [row["host.id"] for row in rows(product.platform("cloudhost/search"))]


def vm_ids(product: Product, **where: str) -> list[str]:
    found = rows(product.platform("cloudvm/search"))
    return [row["vm.id"] for row in found if all(row[name] == value for name, value in where.items())]


def measured(product: Product, seconds: float = 30.0) -> None:
    """Waits until every simulated VM and every host has current values, rates included."""

    def complete() -> bool:
        def values(kind: str, ids: list[str]) -> list[str]:
            wanted = {"monitor.obj.type": kind, "monitor.objids": ids}
            current = rows(product.platform("cloudmonitor/compute/currents", wanted))
            return [row["monitor.cpu.rate"] for row in current]

        return all((*values("host", host_ids(product)), *values("vm", vm_ids(product))))

    eventually(complete, seconds)
