"""From the spool to the store: one durable write per batch, oldest first. Blocks; runs in a thread of its own."""

from __future__ import annotations

import structlog

from collector import metrics
from collector.cpu import cpu_time
from collector.spool import Batch, Spool
from core.timeseries.store import StoreUnavailable, TimeSeriesStore

log = structlog.get_logger(__name__)


class Writer:
    def __init__(self, store: TimeSeriesStore, spool: Spool) -> None:
        self._store, self._spool = store, spool
        self._away = False

    def write(self, batch: Batch) -> None:
        """Queues the batch and writes what is queued, as far as the store takes it. What it refuses waits for the
        next call."""
        with cpu_time(metrics.WRITE_CPU):
            if batch:
                self._spool.put(batch)
            while (head := self._spool.head()) is not None and self._offer(head):
                self._spool.done()

    def _offer(self, batch: Batch) -> bool:
        try:
            with metrics.WRITE_SECONDS.time():
                self._store.write(batch)
        except StoreUnavailable as error:
            metrics.WRITE_FAILURES.inc()
            if not self._away:
                log.warning("store unavailable, samples are queued", reason=str(error))
            self._away = True
            return False
        if self._away:
            log.info("store takes samples again")
        self._away = False
        for frame in batch:
            metrics.POINTS.labels(frame.kind).inc(len(frame))
        return True
