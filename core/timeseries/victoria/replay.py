"""What was sent in the last seconds, to be sent again to a server that forgot it.

VictoriaMetrics acknowledges what it holds in memory; measured with kill -9 on 1.79, data is safe after ten seconds. A
restart shows as a new connection; the server's own start time then tells it from a connection that was merely closed.
Sending a point again changes nothing.

Worst moment: the server is killed and started again between two writes, and the second one goes through without any
error. Closed by counting connections: a new one is always asked about.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import Final

import structlog

from core.clock import Clock
from core.timeseries.metrics import REPLAYS
from core.timeseries.served.transport import Transport

KEPT: Final = 60.0
_STARTED: Final = re.compile(rb"^vm_app_start_timestamp (\S+)", re.MULTILINE)

_log = structlog.get_logger(__name__)


class Replay:
    def __init__(self, http: Transport, base: str, url: str, clock: Clock) -> None:
        self._http = http
        self._base = base
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: deque[tuple[float, bytes]] = deque()
        self._connections = 0
        self._started: float | None = None

    def send(self, body: bytes) -> None:
        """Raises StoreUnavailable, WriteRefused; the body is kept only when it was taken."""
        with self._lock:
            self._http.send(self._url, body)
            if self._restarted():
                self._again()
            now = self._clock.monotonic()
            self._sent.append((now, body))
            while self._sent[0][0] < now - KEPT:
                self._sent.popleft()

    def _restarted(self) -> bool:
        """Whether another server process answers than last time. It is asked when there is a new connection."""
        connections = self._http.connections(self._url)
        if connections == self._connections:
            return False
        found = _STARTED.search(self._http.get(f"{self._base}/metrics", "metrics"))
        started = float(found.group(1)) if found else None
        changed = self._started is not None and started != self._started
        if not changed:
            self._connections, self._started = connections, started
        return changed

    def _again(self) -> None:
        """The new start time is remembered only when everything has been sent: a failure is tried again."""
        for _, body in self._sent:
            self._http.send(self._url, body)
        REPLAYS.labels("victoriametrics").inc()
        _log.warning("store_was_restarted", sent_again=len(self._sent))
        self._started = None
        self._restarted()
