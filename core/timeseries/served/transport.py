"""HTTP to a store: pooled connections, one timeout, counted, and every failure as an exception of the port."""

from __future__ import annotations

import socket
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlencode

import urllib3
from urllib3.connection import HTTPConnection

from core.timeseries.metrics import REQUEST_SECONDS, REQUESTS, SENT_BYTES
from core.timeseries.served.refusals import Answer, patiently, retry_after
from core.timeseries.store import StoreUnavailable

_CONNECTIONS = 8
_GZIP = 16 + zlib.MAX_WBITS
_LINK_SECONDS = 5
LINK_SOCKET: Final = [
    *HTTPConnection.default_socket_options,
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _LINK_SECONDS * 1000),
]
"""Over a cut link nothing is sent again for longer: what was given up does not arrive much later after all."""


def gzipped(body: bytes) -> bytes:
    """Level 1: a quarter of the size for 12 ms a tick; level 6 takes 35 for a sixth."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()


@contextmanager
def asked(store: str, operation: str, url: str) -> Iterator[None]:
    """One request: timed, and what is wrong with it is said with whom it went to. Raises StoreUnavailable, StoreDenied;
    WriteRefused as it comes."""
    with REQUEST_SECONDS.labels(store, operation).time():
        try:
            yield
        except StoreUnavailable as problem:
            raise type(problem)(f"{store}: {url}: {problem}") from problem
        except (urllib3.exceptions.HTTPError, OSError) as problem:
            REQUESTS.labels(store, operation, "none").inc()
            raise StoreUnavailable(f"{store}: {url}: {problem}") from problem


class Transport:
    """Threads may share it. `store` names it in metrics and errors."""

    def __init__(
        self,
        store: str,
        headers: Mapping[str, str],
        timeout: float = 30.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._pause = pause
        limits = urllib3.Timeout(connect=min(timeout, _LINK_SECONDS), read=timeout)
        self._pool = urllib3.PoolManager(
            maxsize=_CONNECTIONS, headers=dict(headers), retries=False, timeout=limits, socket_options=LINK_SOCKET
        )

    def send(self, url: str, body: bytes) -> None:
        """Raises StoreUnavailable, WriteRefused."""
        SENT_BYTES.labels(self._store).inc(len(body))
        self._ask("write", "POST", url, body, {"Content-Encoding": "gzip", "Content-Type": "text/plain"})

    def ask(self, url: str, fields: Mapping[str, str]) -> bytes:
        """A question with form fields, which may be long. Raises StoreUnavailable."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("read", "POST", url, urlencode(fields).encode(), headers)

    def get(self, url: str, operation: str) -> bytes:
        """Raises StoreUnavailable."""
        return self._ask(operation, "GET", url, None, {})

    def check(self, method: str, url: str) -> None:
        """That a request without content is taken there. Raises StoreDenied when it is not, StoreUnavailable."""
        self._ask("check", method, url, b"" if method == "POST" else None, {})

    def _ask(self, operation: str, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        def once() -> Answer:
            found = self._pool.request(method, url, body=body, headers={**self._pool.headers, **headers})
            return Answer(found.status, found.data, retry_after(found.headers.get("Retry-After")))

        with asked(self._store, operation, url.partition("?")[0]):
            return patiently(self._store, operation, once, self._pause)

    def close(self) -> None:
        self._pool.clear()
