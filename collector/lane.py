"""Bounds how many scrapes work at once, without letting the dead starve the living.

A burst of answers would hold all their pages in memory at once, so there are places. But a rack that is down would
hold all of them for its timeouts, and healthy hosts would miss their slots. Waiting costs nothing: whoever has held a
place for `patience` seconds is waiting for a slow exporter, and gives the place to the next one while he waits on. So
`places / patience` scrapes can begin in a second even if every exporter is slow: that must be well above the number
of targets in an interval.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Lane:
    def __init__(self, places: int, patience: float) -> None:
        self._places = asyncio.Semaphore(places)
        self._patience = patience

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        await self._places.acquire()
        lent = asyncio.get_running_loop().call_later(self._patience, self._places.release)
        try:
            yield
        finally:
            if lent.when() > asyncio.get_running_loop().time():  # else the timer gives it back, or has done so
                lent.cancel()
                self._places.release()
