"""What was sent in the last seconds, to be sent again to a server that forgot it.

VictoriaMetrics acknowledges what it holds in memory; measured with kill -9 on 1.79, data is safe after ten seconds. A
restart of a node shows in the start time that it tells. Sending a point again changes nothing.

Worst moment: a node is killed and started again between two writes, and the second one goes through without any error
(a dropped connection is opened again unseen). Closed by asking every node after every write, which takes a millisecond.
Start times are told in seconds: only a node that dies in the second of its start, and is back in it, goes unnoticed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

import structlog

from core.clock import Clock
from core.timeseries.metrics import REPLAYS
from core.timeseries.served.transport import Transport
from core.timeseries.victoria import nodes
from core.timeseries.victoria.receipt import Receipt

KEPT: Final = 60.0

_log = structlog.get_logger(__name__)


class Replay:
    """Threads may share it. `watched`: URLs of the servers that may forget."""

    def __init__(self, http: Transport, url: str, watched: Sequence[str], clock: Clock) -> None:
        self._http = http
        self._url = url
        self._nodes = watched
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: deque[tuple[float, bytes, Sequence[Receipt]]] = deque()
        self._started: dict[str, float] = {}

    def send(self, body: bytes, receipts: Sequence[Receipt]) -> None:
        """Raises StoreUnavailable, WriteRefused; the body is kept only when it was taken."""
        with self._lock:
            self._http.send(self._url, body)
            now = self._clock.monotonic()
            self._sent.append((now, body, receipts))
            while self._sent[0][0] < now - KEPT:
                self._sent.popleft()

    def catch_up(self) -> list[Receipt]:
        """Sends everything again when a node has been started anew since the last call, and returns the receipts of all
        of it. Raises StoreUnavailable, WriteRefused: then it is tried again at the next call."""
        with self._lock:
            started = {node: self._started_at(node) for node in self._nodes}
            restarted = any(self._started.get(node, at) != at for node, at in started.items())
            if restarted:
                for _, body, _ in self._sent:
                    self._http.send(self._url, body)
                REPLAYS.labels("victoriametrics").inc()
                _log.warning("store_was_restarted", sent_again=len(self._sent))
            self._started = started
            return [receipt for _, _, receipts in self._sent for receipt in receipts] if restarted else []

    def _started_at(self, node: str) -> float:
        return nodes.started(self._http.get(f"{node}/metrics", "metrics"))
