"""An event loop with a thread of its own: other threads hand work to it and wait for its end; some it repeats."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs between `start` and `stop`."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._repeated: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self, last: Coroutine[Any, Any, None]) -> None:
        """Nothing is repeated any more; then the last work is done."""
        self.do(self._end(last))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """What it returns, or raises. Not for callers on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def repeat(self, every: float, step: Callable[[], Awaitable[None]]) -> None:
        """Once, after `start`: the step is taken again `every` seconds after its end. It raises nothing."""
        self._repeated = self.do(self._begin(every, step))

    def time(self) -> float:
        """Of the loop's clock, in seconds."""
        return self._loop.time()

    # --- on the loop

    async def _begin(self, every: float, step: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        async def keep() -> None:
            while True:
                await asyncio.sleep(every)
                await step()

        return asyncio.create_task(keep())

    async def _end(self, last: Coroutine[Any, Any, None]) -> None:
        if self._repeated is not None:
            self._repeated.cancel()
            await asyncio.gather(self._repeated, return_exceptions=True)
        await last
