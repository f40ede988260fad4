"""Work that one of several aggregators does: begun when the lease is taken, ended when it is lost.

Worst moment: an owner that was stopped for a while and wakes up in the middle of a step. Its writes are refused
(`core.leases.fenced`), and at its next look here it ends and builds everything anew from what the new owner has
written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from aggregator.metrics import LEASE_CHANGES, LEASE_HELD
from core.leases.leases import TRUSTED, Claimant, LeaseLost
from core.timeseries.store import StoreUnavailable

_log = structlog.get_logger(__name__)

LOOKS: Final = 3
"""Looks at the lease within the time that a renewal is trusted."""

Work = Callable[[], Callable[[], None]]
"""Begins, and returns what ends it."""


class Tenure:
    """`begin` builds the work of one tenure and starts it."""

    def __init__(self, name: str, lease: Claimant, ttl: float, begin: Work) -> None:
        self._name, self._lease, self._begin = name, lease, begin
        self._every = ttl * TRUSTED / LOOKS
        self._fence: int | None = None
        self._end: Callable[[], None] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lease-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The work is ended, and the lease given back."""
        self._stopping.set()
        self._thread.join()

    def step(self) -> None:
        """Renews or takes the lease, and lets the work follow. A database that is away is as good as a lost lease once
        the last renewal is not trusted any more."""
        try:
            fence = self._lease.hold()
        except SQLAlchemyError as problem:
            fence = self._fence if self._lease.valid else None
            _log.warning("lease cannot be renewed", lease=self._name, reason=str(problem))
        if fence != self._fence:
            self._finish()
        if fence is not None and self._end is None:
            self._take_up(fence)

    def _take_up(self, fence: int) -> None:
        try:
            self._end = self._begin()
        except (StoreUnavailable, SQLAlchemyError, LeaseLost) as problem:
            _log.warning("work cannot begin", lease=self._name, reason=str(problem))
            return
        self._fence = fence
        LEASE_CHANGES.labels(self._name).inc()
        LEASE_HELD.labels(self._name).set(1)
        _log.info("lease taken", lease=self._name, fence=fence)

    def _finish(self) -> None:
        if self._end is not None:
            end, self._end, self._fence = self._end, None, None
            LEASE_HELD.labels(self._name).set(0)
            _log.info("lease ended", lease=self._name)
            end()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.step()
            self._stopping.wait(self._every)
        self._finish()
        self._lease.release()
