"""A command of `starvc` that runs until it is ended: a real process, driven from outside, stopped or killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import httpx

from tests.support.real import HERE, PLAIN, Place, answers, server
from tests.support.state import url_of

ROOT: Final = Path(__file__).parents[2]
COMMAND: Final = (sys.executable, "-m", "api")
START_SECONDS: Final = 30.0
_URL: Final = re.compile(r"(?:_up .*?url=|^up: )(http://\S+)", re.MULTILINE)


def environment(data: Path, settings: Mapping[str, object]) -> dict[str, str]:
    """What the process is started with: none of the caller's own STARVC_ variables, and the source tree to import."""
    chosen = {"data_dir": data, **({"database_url": url} if (url := url_of(data)) else {}), **settings}
    named = {f"STARVC_{name.upper()}": str(value) for name, value in chosen.items()}
    inherited = {name: "" for name in os.environ if name.startswith("STARVC_")}
    return {**inherited, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "NO_COLOR": "1", **named}


def inject(url: str, token: str, action: str, target: str, device: str | None = None) -> None:
    """A fault of the simulated data centre, as `starvc sim` injects it."""
    fault = {"target": target, "device": device}
    headers = {"KEY_TOKEN": token}
    answer = httpx.post(f"{url}/simulation/{action}", json=fault, headers=headers, timeout=30, trust_env=False)
    assert answer.is_success, answer.text


class Process:
    """Running between `start` and `stop` or `kill`; the log of all its starts is `folder/log`, its data folder
    `folder/data`. `as_whom`: what else stands before the command."""

    as_whom: Sequence[str] = ()
    program: Sequence[str] = COMMAND

    def __init__(self, folder: Path, *arguments: str, place: Place = HERE, **settings: object) -> None:
        self.place = place
        self.folder, self.data, self.log = folder, folder / "data", folder / "log"
        self._arguments = arguments
        self._env = environment(self.data, {"port": 0, "host": place.address, **settings})
        self._running = ExitStack()
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> Self:
        self.log.touch()
        before = self.log.stat().st_size

        def up() -> bool:
            found = _URL.search(self.log.read_bytes()[before:].decode(errors="replace"))
            self.url = found.group(1) if found else ""
            return bool(found) and answers(f"{self.url}/health")

        started = server(
            [*self.place.door, *self.as_whom, *self.program, *self._arguments],
            up,
            self.log,
            self._env,
            START_SECONDS,
            self.folder,
        )
        self.process = self._running.enter_context(started)
        return self

    def stop(self) -> None:
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

    def metrics(self) -> str:
        answer = PLAIN.get(f"{self.url}/metrics", timeout=30)
        assert answer.is_success
        return answer.text

    def errors(self) -> list[str]:
        """Lines of the log that say that something is broken here."""
        text = self.log.read_text("utf-8", errors="replace")
        return [line for line in text.splitlines() if "[error" in line or "[critical" in line or "Traceback" in line]
