"""An event loop with a thread of its own: other threads hand work to it and wait for its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs between `start` and `stop`."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """What it returns, or raises. Not for callers on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def time(self) -> float:
        """Of the loop's clock, in seconds."""
        return self._loop.time()
