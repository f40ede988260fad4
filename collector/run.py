"""The collector: rounds of scrapes and writes, driven by APScheduler on an event loop in a thread of its own.

One job for all targets, not one per target: APScheduler was measured at 0.5 ms per firing of a job, 5 % of a core for
1,000 targets at 10 s. A single job follows the earliest slot (`_NextSlot`), which on the slots' raster costs 1-2 %.

Where the worst moments are closed: a store that is slow or away stops nothing, because writes happen in a second
thread and batches wait in the spool (`_flush`); a wall clock that is set, or a machine that slept, is noticed by
comparing it with the monotonic clock, and all jobs are due again at once, for APScheduler alone would wait for the
old wall time (`_watch_clock`); a list of targets that cannot be had leaves the known one in force (`_refresh`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog
from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from collector import metrics
from collector.cpu import cpu_time
from collector.rounds import Rounds
from collector.spool import MemorySpool, Spool
from collector.targets import SourceUnavailable, TargetSource
from collector.watched import Limits
from collector.writing import Writer
from core.clock import Clock
from core.hosts.targets import Target
from core.settings import Settings
from core.timeseries.store import TimeSeriesStore

log = structlog.get_logger(__name__)

REFRESH: Final = 3.0
"""Seconds between two looks at the list of targets."""
JUMP: Final = 1.0
"""Seconds by which wall and monotonic clock may drift apart between two looks, one second apart."""
QUEUE: Final = 5_000_000
"""Points that wait in memory for the store: about 15 minutes of 10,000 VMs with their devices at 10 s."""


class _NextSlot(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 has no types
    """Fires when the next slot is due; APScheduler asks for that after each firing."""

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds

    def get_next_fire_time(self, _: datetime | None, now: datetime) -> datetime:
        return now + timedelta(seconds=self._rounds.advance())


class Collector:
    """`start` returns when the loop runs; `stop` when what was collected has been offered to the store. `seed` is the
    installation's own number: it decides the slots."""

    def __init__(
        self,
        source: TargetSource,
        store: TimeSeriesStore,
        clock: Clock,
        settings: Settings,
        *,
        seed: int = 0,
        spool: Spool | None = None,
    ) -> None:
        interval = settings.scrape_interval
        limits = Limits(
            interval,
            min(settings.scrape_timeout, interval),
            settings.scrape_body_limit,
            settings.scrape_series_limit,
            settings.late_horizon,
        )
        self._source, self._clock = source, clock
        self._writer = Writer(store, spool or MemorySpool(QUEUE), clock)
        self._rounds = Rounds(limits, clock, seed=seed, concurrency=settings.scrape_concurrency)
        self._refreshing = asyncio.Lock()
        self._flush_interval = max(0.05, min(1.0, interval / 4))
        self._drift = self._apart()
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._writing = ThreadPoolExecutor(1, "collector-write")
        self._reading = ThreadPoolExecutor(1, "collector-targets")

    def start(self) -> None:
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # late and overlapping firings are counted here
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Scrapes under way are abandoned; what was collected is written, if the store takes it."""
        if self._thread is not None:
            self._stop()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        finally:
            self._ready.set()

    async def _live(self) -> None:
        loop, ending = asyncio.get_running_loop(), asyncio.Event()
        self._stop = partial(loop.call_soon_threadsafe, ending.set)
        with self._writing, self._reading:
            scheduler = self._scheduler(loop)
            scheduler.start()
            watch = asyncio.create_task(self._watch_clock(scheduler))
            self._ready.set()
            await ending.wait()
            scheduler.pause()  # `shutdown` would cancel jobs that run, and log them as errors
            await asyncio.sleep(0)  # those just submitted start now
            watch.cancel()
            async with self._refreshing:
                pass
            await self._rounds.close()
            await self._flush()

    def _scheduler(self, loop: asyncio.AbstractEventLoop) -> AsyncIOScheduler:
        always = {"misfire_grace_time": None, "coalesce": True}
        scheduler = AsyncIOScheduler(
            event_loop=loop, timezone=UTC, executors={"default": AsyncIOExecutor()}, job_defaults=always
        )
        scheduler.add_job(self._rounds.begin, _NextSlot(self._rounds), id="scrape", max_instances=100)
        now = datetime.now(UTC)

        async def refresh() -> None:
            if await self._refresh():
                scheduler.modify_job("scrape", next_run_time=datetime.now(UTC))

        scheduler.add_job(refresh, "interval", seconds=REFRESH, next_run_time=now, id="refresh")
        scheduler.add_job(self._flush, "interval", seconds=self._flush_interval, id="flush")
        return scheduler

    async def _refresh(self) -> bool:
        """Whether the slots have changed."""
        async with self._refreshing:
            try:
                targets = await asyncio.get_running_loop().run_in_executor(self._reading, self._targets)
            except SourceUnavailable as error:
                metrics.SOURCE_FAILURES.inc()
                log.warning("targets cannot be listed, the known ones stay", reason=str(error))
                return False
            return await self._rounds.adopt(targets)

    def _targets(self) -> tuple[Target, ...]:
        with cpu_time(metrics.TARGETS_CPU):
            return self._source.targets()

    async def _flush(self) -> None:
        batch = self._rounds.collected()
        await asyncio.get_running_loop().run_in_executor(self._writing, self._writer.write, batch)

    async def _watch_clock(self, scheduler: AsyncIOScheduler) -> None:
        while True:
            await asyncio.sleep(1)
            before, self._drift = self._drift, self._apart()
            if abs(self._drift - before) > JUMP:
                metrics.CLOCK_JUMPS.inc()
                log.warning("wall clock jumped", seconds=round(self._drift - before, 3))
                self._rounds.rebase()
                for job in scheduler.get_jobs():
                    job.modify(next_run_time=datetime.now(UTC))

    def _apart(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()
