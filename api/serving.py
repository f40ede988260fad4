"""HTTP servers as parts of a process: each in a thread with its own event loop, up after `start`, gone after `stop`.

Signals belong to the process, not to a server: uvicorn would catch them and, after its own shutdown, raise them again,
and the process would die before the other parts have stopped.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network

import uvicorn
from starlette.types import ASGIApp
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from core.errors import Invalid

_GRACE = 3
"""Seconds that requests under way are given at a stop."""
_LONGEST_MESSAGE = 1 << 20
"""Bytes of a WebSocket message that is taken: it is in memory as a whole."""


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _WebSockets(WebSocketsSansIOProtocol):
    """A refusal before the upgrade is an answer; uvicorn would log it as an error of the app
    (https://github.com/Kludex/uvicorn/pull/3138)."""

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; `port` 0 picks a free one. Raises OSError, whose text says why and which address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it on, an answer takes 40 ms longer
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as problem:
        listener.close()
        raise OSError(problem.errno, problem.strerror, f"{host}:{port}") from None
    return listener


def trusted(proxies: str) -> str:
    """The addresses and networks, when they are such. Raises Invalid: a mistake would make the server believe nobody,
    or everybody."""
    for text in filter(None, map(str.strip, proxies.split(","))):
        try:
            ip_network(text)
        except ValueError:
            allowed = "addresses and networks such as 10.0.0.5, 10.1.0.0/24, with commas between"
            raise Invalid("trusted_proxies", f"{text} is neither an address nor a network", allowed) from None
    return proxies.strip()


class BackgroundServer:
    """An ASGI app on sockets that are bound already, so that a port in use is refused before anything has started.

    `proxies`: those whose word about the caller's address is taken, addresses and networks with commas between.
    """

    def __init__(self, name: str, app: ASGIApp, sockets: Sequence[socket.socket], proxies: str = "") -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_GRACE,
            lifespan="off",
            server_header=False,
            ws=_WebSockets,
            ws_max_size=_LONGEST_MESSAGE,
            ws_per_message_deflate=False,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies,
        )
        self._server = _Server(config)
        self._sockets = list(sockets)
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    @property
    def port(self) -> int:
        return int(self._sockets[0].getsockname()[1])

    def start(self) -> None:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.005)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=self._sockets))
