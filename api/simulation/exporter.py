"""One simulated host on the wire: a listening socket that serves two pages, hangs or is gone, as the host is.

* serving: pages are answered;
* silent: the kernel accepts connections and nobody answers, on old connections neither;
* closed: connections are refused and old ones reset. The port stays bound, so that no other program can get it
  meanwhile.

HTTP is spoken by h11; uvicorn cannot stop and resume one of its sockets.
"""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import Callable
from enum import StrEnum

import h11

from api.simulation.metrics import PAGES

HOST_PATH = "/metrics"
VM_PATH = "/libvirt/metrics"
LOOPBACK = "127.0.0.1"

_METHODS = {b"GET", b"HEAD"}
_PAGE_OF = {HOST_PATH: "host", VM_PATH: "vm"}
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_BACKLOG = 128
_GZIP = 16 + zlib.MAX_WBITS


class Line(StrEnum):
    SERVING = "serving"
    SILENT = "silent"
    CLOSED = "closed"


Render = Callable[[str], bytes | None]
"""The page for one of the two paths; None: this page hangs."""


class Exporter:
    """Belongs to one event loop."""

    def __init__(self, listener: socket.socket, render: Render) -> None:
        """`listener` is bound to a TCP port and not listening yet."""
        self._listener = listener
        self._address = listener.getsockname()
        self._render = render
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.line = Line.CLOSED

    @property
    def port(self) -> int:
        return int(self._address[1])

    async def turn(self, line: Line) -> None:
        """Serve, fall silent or close. Raises OSError when another program got the port while it was closed."""
        if line is self.line:
            return
        if line is Line.SERVING:
            await self._serve()
        elif line is Line.SILENT:
            await self._serve()
            self._fall_silent()
        else:
            self.close()
            self._listener = bind(*self._address)
        self.line = line

    def close(self) -> None:
        """The port is free and every connection is reset."""
        self._stop_serving()
        self._listener.close()
        for connection in tuple(self._connections):
            connection.abort()

    async def _serve(self) -> None:
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._connect, sock=self._listener.dup(), backlog=_BACKLOG)
        for connection in self._connections:
            connection.resume()

    def _fall_silent(self) -> None:
        """The server's socket goes and its twin stays: connections keep entering the kernel's queue."""
        self._stop_serving()
        for connection in self._connections:
            connection.pause()

    def _stop_serving(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _connect(self) -> _Connection:
        return _Connection(self._connections, self._render)


def bind(address: str, port: int) -> socket.socket:
    """A bound socket; port 0 picks a free one. Raises OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener


class _Connection(asyncio.Protocol):
    """A hanging request is never answered: the connection waits until its client gives up."""

    def __init__(self, connections: set[_Connection], render: Render) -> None:
        self._connections = connections
        self._render = render
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._connections.discard(self)

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        try:
            while self._step(self._http.next_event()):
                pass
        except h11.RemoteProtocolError:
            self._count("none", "refused")
            self._close()

    def _step(self, event: h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]) -> bool:
        """Whether there may be another event at once."""
        match event:
            case h11.Request():
                self._request = event
            case h11.EndOfMessage():
                return self._answer()
            case h11.ConnectionClosed():
                self._close()
                return False
            case h11.NEED_DATA | h11.PAUSED:
                return False
        return True

    def _answer(self) -> bool:
        """False when the page hangs or the connection ends here."""
        assert self._request is not None
        path = self._request.target.decode("ascii", "replace").partition("?")[0]
        page = _PAGE_OF.get(path)
        if page is None or self._request.method not in _METHODS:
            self._count("none", "refused")
            self._send(404 if page is None else 405, b"only GET and HEAD of the two pages are served here\n")
        else:
            body = self._render(path)
            if body is None:
                self._count(page, "unanswered")
                return False
            self._count(page, "served")
            self._send(200, body)
        if self._http.our_state is h11.MUST_CLOSE:
            self._close()
            return False
        self._http.start_next_cycle()
        return True

    def _send(self, status: int, body: bytes) -> None:
        assert self._transport is not None
        assert self._request is not None
        headers = [("Content-Type", _TEXT)]
        if self._accepts_gzip():
            packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
            body = packer.compress(body) + packer.flush()
            headers.append(("Content-Encoding", "gzip"))
        headers.append(("Content-Length", str(len(body))))
        head = self._http.send(h11.Response(status_code=status, headers=headers))
        if self._request.method == b"HEAD":
            body = b""
        sent = (head, self._http.send(h11.Data(data=body)), self._http.send(h11.EndOfMessage()))
        self._transport.writelines([part for part in sent if part])

    def _accepts_gzip(self) -> bool:
        assert self._request is not None
        return any(name == b"accept-encoding" and b"gzip" in value for name, value in self._request.headers)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _count(self, page: str, outcome: str) -> None:
        PAGES.labels(page, outcome).inc()
