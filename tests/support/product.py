"""The whole product as a real process: started as an operator starts it, driven from outside, stopped or killed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from api.wire.client import Answer, StarVCenter
from core.timeseries.embedded import EmbeddedStore
from tests.support.process import COMMAND, Process, environment, inject
from tests.support.real import eventually


def command(data: Path, *arguments: str, seconds: float = 30.0, **settings: object) -> subprocess.CompletedProcess[str]:
    """A command of `starvc`, run to its end in an empty folder."""
    folder = data.parent / "elsewhere"
    folder.mkdir(exist_ok=True)
    env = {**os.environ, **environment(data, settings)}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=seconds, check=False, cwd=folder, env=env
    )


class Product(Process):
    """`starvc up`, or `starvc api`. Running between `start` and `stop` or `kill`, and inside a `with` block."""

    def __init__(self, folder: Path, *, role: str = "up", **settings: object) -> None:
        super().__init__(folder, role, **{"scrape_interval": 1, "sim_hosts": 2, "sim_vms": 6, **settings})
        self._token = str(settings.get("platform_token", ""))
        self._clients = ExitStack()
        self.start_seconds = 0.0

    def start(self) -> Self:
        began = time.monotonic()
        super().start()
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
        super().stop()

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
        inject(self.url, self.platform_token, action, target, device)

    @contextmanager
    def store(self) -> Iterator[EmbeddedStore]:
        """The series as another process sees them."""
        with closing(EmbeddedStore.reader(self.data / "series")) as reader:
            yield reader

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
