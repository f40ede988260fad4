"""Real servers for tests: found, started on a free port, waited for, and always stopped."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import httpx
import pytest

T = TypeVar("T")
_FOLDERS = ("/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/15/bin", "/usr/sbin")


@dataclass(frozen=True)
class Place:
    """Where a program runs. `door`: what stands before its command to get it there."""

    address: str = "127.0.0.1"
    door: tuple[str, ...] = ()


HERE: Final = Place()
PLAIN: Final = httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
"""For those who ask often: each new client reads the certificates of the world, which takes 30 ms."""


def require(name: str, path: str | None, reason: str = "") -> str:
    """`path`, or skip; STARVC_REQUIRE (a comma list of names, or `all`) turns the skip into a failure."""
    if path:
        return path
    reason = reason or f"{name} is not installed"
    wanted = os.environ.get("STARVC_REQUIRE", "").split(",")
    if name in wanted or "all" in wanted:
        pytest.fail(f"{reason}, and STARVC_REQUIRE demands it")
    pytest.skip(reason)


def binary(name: str) -> str:
    """The path of an installed program."""
    found = shutil.which(name) or next((str(p) for f in _FOLDERS if (p := Path(f) / name).exists()), None)
    return require(name, found)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def eventually(probe: Callable[[], T | None], seconds: float = 20.0, every: float = 0.05) -> T:
    """The first truthy answer of `probe`; fails when none came in time."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"nothing within {seconds} s"
        time.sleep(every)
    return answer


def answers(url: str) -> bool:
    try:
        return PLAIN.get(url, timeout=1).is_success
    except httpx.TransportError:
        return False


@contextmanager
def server(
    command: Sequence[str],
    ready: Callable[[], bool],
    log: Path,
    env: dict[str, str] | None = None,
    seconds: float = 20.0,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is up when the block starts and gone when it ends, whatever happened in between."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **(env or {})}, cwd=cwd)
        try:
            eventually(lambda: ready() or _died(process, log), seconds)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _died(process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        pytest.fail(f"{process.args!r} ended with {process.returncode}: {log.read_text(errors='replace')[-2000:]}")
    return False
