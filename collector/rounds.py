"""The scrapes of all targets: which are due, which are under way, what they brought. Lives on the event loop of one
thread.

Where the worst moments are closed: a loop that comes late, or a scrape that outlasts its slot, skips slots and counts
them; a target that hangs gives its place to others (`collector.lane`); a new list of targets touches only what
changed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from functools import cache
from typing import Final

import structlog

from collector import metrics
from collector.cpu import ThreadTime
from collector.lane import Lane
from collector.slots import Slot, Slots
from collector.spool import Batch, Buffer
from collector.targets import changes
from collector.watched import Limits, Watched
from core.clock import Clock
from core.hosts.targets import Target

log = structlog.get_logger(__name__)

PATIENCE: Final = 0.1
"""Seconds after which a scrape that waits for its exporter makes room for another."""
WELCOME: Final = 100.0
"""New targets per second: a page that is read for the first time costs some 20 times what it costs later."""
IDLE: Final = 1.0
"""Seconds between two looks when there is no target."""


@cache
def _trust() -> ssl.SSLContext:
    """Made once: it takes some 20 ms, and every connection wants one."""
    return ssl.create_default_context()


class Rounds:
    def __init__(self, limits: Limits, clock: Clock, *, seed: int, concurrency: int) -> None:
        self._limits, self._clock, self._cpu = limits, clock, ThreadTime()
        self._slots = Slots(limits.interval, seed)
        self._lane = Lane(concurrency, PATIENCE)
        self._buffer = Buffer()
        self._watched: dict[str, Watched] = {}
        self._due: list[Slot] = []
        self._running: set[asyncio.Task[None]] = set()

    def advance(self) -> float:
        """Takes note of what is due; seconds until the next slot."""
        now = self._clock.now().timestamp()
        self._due.extend(self._slots.due(now))
        upcoming = self._slots.next()
        return IDLE if upcoming is None else max(upcoming - now, 0.0)

    def rebase(self) -> None:
        """The wall clock was set: the grid is followed from here on, and nothing counts as missed."""
        self._due.clear()
        self._slots.rebase(self._clock.now().timestamp())

    async def begin(self) -> None:
        """Starts the scrapes that are due, and does not wait for them."""
        due, self._due = self._due, []
        for slot in due:
            watched = self._watched.get(slot.target)
            metrics.MISSED.labels("late").inc(slot.missed)
            if watched is None:
                continue
            if watched.busy:
                metrics.MISSED.labels("busy").inc()
                continue
            watched.busy = True
            task = asyncio.create_task(self._scrape(watched, slot))
            self._running.add(task)
            task.add_done_callback(self._ended)

    async def adopt(self, targets: Iterable[Target]) -> bool:
        """Follows a new list of targets; whether anything changed."""
        change = changes({key: watched.target for key, watched in self._watched.items()}, targets)
        for key in change.removed:
            self._slots.remove(key)
            await self._watched.pop(key).close()
        for target in change.moved:
            old, self._watched[target.id] = self._watched[target.id], self._watch(target)
            await old.close()
        for target in change.relabelled:
            self._watched[target.id].relabel(target)
        now = self._clock.now().timestamp()
        for position, target in enumerate(change.added):
            self._watched[target.id] = self._watch(target)
            self._slots.add(target.id, now + position / WELCOME)
        metrics.TARGETS.set(len(self._watched))
        if change.added or change.moved or change.removed:
            log.info("targets", added=len(change.added), moved=len(change.moved), removed=len(change.removed))
        return bool(change.added or change.removed)

    def collected(self) -> Batch:
        """The points of all scrapes since the last call."""
        self._cpu.rest(metrics.FETCH_CPU)
        return self._buffer.take(self._clock.now().timestamp(), self._limits.behind)

    async def close(self) -> None:
        """Scrapes under way are abandoned."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for watched in self._watched.values():
            await watched.close()
        metrics.TARGETS.set(0)

    def _watch(self, target: Target) -> Watched:
        return Watched(target, self._limits, self._clock, self._cpu, _trust())

    def _watches(self, watched: Watched) -> bool:
        """It was neither removed nor replaced since its slot."""
        return self._watched.get(watched.target.id) is watched

    async def _scrape(self, watched: Watched, slot: Slot) -> None:
        try:
            async with self._lane.place():
                if self._watches(watched):
                    scraped = await watched.scrape(slot)
                    if self._watches(watched):
                        self._buffer.add(scraped.samples, scraped.time)
        finally:
            watched.busy = False

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("BUG: a scrape ended with an exception", exc_info=error)
