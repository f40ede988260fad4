"""The product as separate processes: each a real one with a folder of its own, to be killed and started again."""

from __future__ import annotations

import re
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import httpx

from tests.support.product import COMMAND, START_SECONDS, environment
from tests.support.real import answers, server

_UP = re.compile(r"_up .*?url=(http://\S+)")


class Role:
    """`starvc NAME ARGUMENTS`, running between `start` and `stop` or `kill`."""

    def __init__(self, folder: Path, *arguments: str, **settings: object) -> None:
        folder.mkdir(parents=True)
        self.folder, self.log = folder, folder / "log"
        self._arguments = arguments
        self._env = environment(folder / "data", {"port": 0, "agent": "false", **settings})
        self._running = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> Self:
        self.log.touch()
        before = self.log.stat().st_size

        def up() -> bool:
            found = _UP.search(self.log.read_bytes()[before:].decode(errors="replace"))
            self.url = found.group(1) if found else ""
            return bool(found) and answers(f"{self.url}/health")

        started = server([*COMMAND, *self._arguments], up, self.log, self._env, START_SECONDS, self.folder)
        self._process = self._running.enter_context(started)
        return self

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(20)
        self.stop()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        self._running.close()
        self._process = None

    def metric(self, name: str) -> float:
        """The value of the line that begins like that."""
        text = httpx.get(f"{self.url}/metrics", timeout=30, trust_env=False).text
        (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(line.rpartition(" ")[2])

    def errors(self) -> list[str]:
        text = self.log.read_text("utf-8", errors="replace")
        return [line for line in text.splitlines() if "[error" in line or "[critical" in line or "Traceback" in line]
