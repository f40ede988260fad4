"""One target under watch: its connection, what is known about its page, and the scrape itself, from slot to samples."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog

from collector import metrics
from collector.cpu import ThreadTime
from collector.failure import Failure, ScrapeFailed
from collector.families import WANTED
from collector.parse import Page, ParseError, Parser, TooManySeries
from collector.rates import FORGET, Moment
from collector.samples import Sampler, Samples, SourceDown
from collector.scrape import Fetcher
from collector.slots import Slot, align
from collector.spool import AHEAD
from core.clock import Clock
from core.hosts.targets import Target
from core.timeseries.fields import COLUMN, FIELDS, Kind

log = structlog.get_logger(__name__)
_COLUMN: Final = COLUMN[Kind.TARGET]


@dataclass(frozen=True, slots=True)
class Limits:
    """`interval`, `timeout` and `behind` (how far back an exporter's own time stamp may lie) in seconds; `body` in
    bytes."""

    interval: float
    timeout: float
    body: int
    series: int
    behind: float


@dataclass(frozen=True, slots=True)
class Scraped:
    """What a scrape gave, dated: always a sample of the target itself, and its objects' samples if it succeeded."""

    time: float
    samples: tuple[Samples, ...]
    failure: Failure


class Watched:
    def __init__(self, target: Target, limits: Limits, clock: Clock, cpu: ThreadTime, trust: ssl.SSLContext) -> None:
        self.target = target
        self.busy = False
        self._limits, self._clock, self._cpu = limits, clock, cpu
        self._parser = Parser(WANTED[target.exporter], limits.series)
        self._sampler = Sampler(target, FORGET * limits.interval)
        self._fetcher = Fetcher(target.url, limits.timeout, limits.body, trust)
        self._failure = Failure.NONE

    def relabel(self, target: Target) -> None:
        """The same page, other VMs. Nothing is forgotten."""
        self.target = target
        self._sampler.retarget(target)

    async def close(self) -> None:
        await self._fetcher.close()

    async def scrape(self, slot: Slot) -> Scraped:
        """Fetch, parse, rate. Never raises: a failed scrape is a sample too."""
        began = Moment(self._clock.now().timestamp(), self._clock.monotonic())
        samples: tuple[Samples, ...] = ()
        found, failure = 0, Failure.NONE
        try:
            page = self._parse(await self._fetcher.fetch())
            found, samples = page.samples, self._rate(page, began)
        except ScrapeFailed as failed:
            failure = failed.failure
            self._complain(failed)
        if failure is Failure.NONE and self._failure is not Failure.NONE:
            log.info("target answers again", target=self.target.id)
        self._failure = failure
        duration = self._clock.monotonic() - began.monotonic
        lateness = began.wall - slot.scheduled
        return Scraped(
            align(slot.scheduled, began.wall, self._limits.interval),
            (*samples, self._report(failure, found, duration, lateness)),
            failure,
        )

    def _parse(self, body: bytes) -> Page:
        try:
            with self._cpu.phase(metrics.PARSE_CPU):
                return self._parser.parse(body)
        except ParseError as error:
            raise ScrapeFailed(Failure.PARSE, str(error)) from error
        except TooManySeries as error:
            raise ScrapeFailed(Failure.SERIES_LIMIT, str(error)) from error

    def _rate(self, page: Page, began: Moment) -> tuple[Samples, ...]:
        try:
            with self._cpu.phase(metrics.RATES_CPU):
                samples = self._sampler.sample(self._credible(page, began.wall), began)
        except SourceDown as error:
            raise ScrapeFailed(Failure.SOURCE, str(error)) from error
        metrics.STRANGERS.inc(self._sampler.strangers)
        return samples

    def _credible(self, page: Page, now: float) -> Page:
        """Without the values that the exporter itself dates too far from now."""
        if page.stamps is None:
            return page
        future, past = page.stamps > now + AHEAD, page.stamps < now - self._limits.behind
        metrics.DROPPED.labels("future").inc(int(future.sum()))
        metrics.DROPPED.labels("past").inc(int(past.sum()))
        return Page(page.series, np.where(future | past, np.nan, page.values), page.stamps, page.samples)

    def _report(self, failure: Failure, found: int, duration: float, lateness: float) -> Samples:
        metrics.SCRAPES.labels("success" if failure is Failure.NONE else failure.name.lower()).inc()
        metrics.SCRAPE_SECONDS.observe(duration)
        metrics.LATENESS.observe(max(lateness, 0.0))
        metrics.SAMPLES.inc(found)
        values = np.full((1, len(FIELDS[Kind.TARGET])), np.nan)
        values[0, _COLUMN["up"]] = float(failure is Failure.NONE)
        values[0, _COLUMN["duration"]] = duration
        values[0, _COLUMN["lateness"]] = lateness
        values[0, _COLUMN["samples"]] = found
        values[0, _COLUMN["failure"]] = failure
        return Samples(Kind.TARGET, (self.target.id,), values)

    def _complain(self, failed: ScrapeFailed) -> None:
        """Once per kind of failure, not once per scrape."""
        if failed.failure is not self._failure:
            log.warning(
                "scrape failed",
                target=self.target.id,
                url=self.target.url,
                failure=failed.failure.name,
                reason=str(failed),
            )
