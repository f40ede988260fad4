"""To the store: the newest batch first, then what is queued, oldest first. Blocks; runs in a thread of its own.

Worst moments: a store that comes back after a long night (what is fresh goes first, because alarms wait for it, and the
queue is drained in turns of `TURN` seconds, so that the next fresh batch never waits longer); a batch that the store
will never take (it is halved until the samples at fault stand alone; these are given up, counted, and the rest is
written).
"""

from __future__ import annotations

from typing import Final

import structlog

from collector import metrics
from collector.cpu import cpu_time
from collector.spool import Batch, Spool, points
from core.clock import Clock
from core.timeseries.store import Frame, StoreUnavailable, TimeSeriesStore, WriteRefused

log = structlog.get_logger(__name__)

TURN: Final = 1.0
"""Seconds of one turn of draining."""


class Writer:
    def __init__(self, store: TimeSeriesStore, spool: Spool, clock: Clock) -> None:
        self._store, self._spool, self._clock = store, spool, clock
        self._away = False

    def write(self, batch: Batch) -> None:
        """Writes the batch, or queues it when the store does not take it now; then as much of the queue as fits into
        a turn."""
        with cpu_time(metrics.WRITE_CPU):
            if batch and not self._offer(batch):
                self._spool.put(batch)
            else:
                self._drain()

    def _drain(self) -> None:
        until = self._clock.monotonic() + TURN
        while (head := self._spool.head()) is not None and self._offer(head):
            self._spool.done()
            if self._clock.monotonic() >= until:
                return

    def _offer(self, batch: Batch) -> bool:
        """Whether the store has it now, short of what it will never take."""
        try:
            with metrics.WRITE_SECONDS.time():
                self._store.write(batch)
        except StoreUnavailable as error:
            metrics.WRITE_FAILURES.inc()
            if not self._away:
                log.warning("store unavailable, samples are queued", reason=str(error))
            self._away = True
            return False
        except WriteRefused as refused:
            return self._halved(batch, refused)
        if self._away:
            log.info("store takes samples again")
        self._away = False
        for frame in batch:
            metrics.POINTS.labels(frame.kind).inc(len(frame))
        return True

    def _halved(self, batch: Batch, refused: WriteRefused) -> bool:
        """Repeated from the start when the store goes away in between: writing a sample again changes nothing."""
        if points(batch) == 1:
            metrics.DROPPED.labels("refused").inc()
            log.warning(
                "the store will never take a sample: it is lost", object=batch[0].objects[0], reason=str(refused)
            )
            return True
        return all(self._offer(half) for half in _halves(batch))


def _halves(batch: Batch) -> tuple[Batch, Batch]:
    if len(batch) > 1:
        middle = len(batch) // 2
        return batch[:middle], batch[middle:]
    (frame,) = batch
    middle = len(frame) // 2
    return (_part(frame, slice(0, middle)),), (_part(frame, slice(middle, None)),)


def _part(frame: Frame, rows: slice) -> Frame:
    return Frame(frame.kind, frame.objects[rows], frame.times[rows], frame.values[rows])
