"""The way httpx reaches one exporter: one connection, kept between scrapes (RFC 9112 section 9.3).

Worst moments: a scrape that is given up (its connection is thrown away, for the answer may still come); a kept
connection that the exporter has just closed (a reset before the answer is tried once more, and nothing else is).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

import h11
import httpx

from collector.connection import Connection
from collector.failure import Failure, ScrapeFailed, Unanswered

_PORTS: Final = {"http": 80, "https": 443}
_NEXT_ADDRESS: Final = 0.25
"""Seconds after which the next address of a name is tried beside the first (RFC 8305)."""


class KeptConnection(httpx.AsyncBaseTransport):
    """For the requests to one target, one at a time. `limit`: bytes of the unpacked page."""

    def __init__(self, limit: int, trust: ssl.SSLContext) -> None:
        self._limit, self._trust = limit, trust
        self._connection: Connection | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer with its unpacked page. Raises ScrapeFailed, for a status other than 200 too."""
        try:
            return httpx.Response(200, content=await self._twice(request))
        finally:
            if self._connection is not None and not self._connection.idle:
                self._drop()

    async def aclose(self) -> None:
        self._drop()
        await asyncio.sleep(0)  # the loop closes the socket

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    async def _twice(self, request: httpx.Request) -> bytes:
        try:
            return await self._once(request)
        except Unanswered:
            self._drop()
            return await self._once(request)

    async def _once(self, request: httpx.Request) -> bytes:
        if self._connection is None or not self._connection.idle:
            self._connection = await self._connect(request.url)
        asked = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
        return await self._connection.ask(asked)

    async def _connect(self, url: httpx.URL) -> Connection:
        port = url.port or _PORTS.get(url.scheme)
        if port is None:
            raise ScrapeFailed(Failure.PROTOCOL, f"{url.scheme} is not spoken here")
        trust = self._trust if url.scheme == "https" else None
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self._limit),
                url.raw_host.decode(),
                port,
                ssl=trust,
                happy_eyeballs_delay=_NEXT_ADDRESS,
            )
        except (OSError, UnicodeError) as error:
            raise ScrapeFailed(_connecting(error), str(error)) from error
        return connection


def _connecting(error: Exception) -> Failure:
    match error:
        case socket.gaierror() | UnicodeError():
            return Failure.DNS
        case ssl.SSLError():
            return Failure.TLS
    return Failure.CONNECT
