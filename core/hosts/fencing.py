"""Fencing beside the steps of the watch: it may take a minute, and must not keep the other hosts waiting.

The race: an answer may arrive after the lock it was asked under is gone. So each answer is kept with the token of its
lock, and the state machine listens to the answer of the present token only.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future

import structlog

from core.drivers.power import Fencing, HostPower
from core.hosts import metrics

_log = structlog.get_logger(__name__)


class Fencings:
    """At most one attempt per host at a time. For one thread; the attempts run on the executor."""

    def __init__(self, power: HostPower | None, executor: Executor) -> None:
        self._power = power
        self._executor = executor
        self._running: dict[str, tuple[int, Future[Fencing]]] = {}
        self._certified: dict[str, int] = {}

    def certified(self, host_id: str) -> int | None:
        """The token under which the host was fenced, if the last attempt succeeded."""
        self._collect(host_id)
        return self._certified.get(host_id)

    def start(self, host_id: str, token: int, within: float) -> None:
        """Try, unless an attempt is under way or has succeeded. `within`: seconds until the lock ends."""
        self._collect(host_id)
        if self._power is None or host_id in self._running or self._certified.get(host_id) == token:
            return
        _log.warning("fencing", host_id=host_id, fence=token)
        self._running[host_id] = (token, self._executor.submit(self._power.fence, host_id, within))

    def _collect(self, host_id: str) -> None:
        token, future = self._running.get(host_id, (0, None))
        if future is None or not future.done():
            return
        del self._running[host_id]
        problem = future.exception()
        if problem is not None:
            metrics.FENCINGS.labels("error").inc()
            _log.error("fencing raised", host_id=host_id, problem=repr(problem))
            return
        result = future.result()
        metrics.FENCINGS.labels(result).inc()
        if result is Fencing.FENCED:
            self._certified[host_id] = token
