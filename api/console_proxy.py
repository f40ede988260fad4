"""Consoles of VMs through the API: a WebSocket that a ticket opens (`core.compute.console_tickets`), and behind it the
VNC server of the VM. Bytes go both ways as they are, in binary frames, as noVNC and websockify speak.

Whoever is refused is refused before the upgrade, and nothing of a ticket is logged. Neither side is read faster than
the other one takes it: what is on the way is bounded by one chunk, one message and the sockets' buffers. The worst
moment is a VM that stops under a viewer: its hypervisor closes the VNC connection, and with it the WebSocket. One that
hangs instead says nothing, and neither does a token that was revoked: for these there is a watch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog
from anyio import to_thread
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from api import metrics
from api.wire.frame import Services
from core.compute.console_tickets import Opened, Refusal, TicketRefused, may_stay, open_console
from core.compute.consoles import PATH
from core.db.engine import UNAVAILABLE
from core.drivers.compute import VncEndpoint
from core.secrets import key_ring

_CHUNK: Final = 64 * 1024
_CONNECT_SECONDS: Final = 5.0
_GOODBYE_SECONDS: Final = 2.0
_LOOK_EVERY: Final = 5.0
"""Seconds between two looks at the token and at idleness, at most."""
_SUBPROTOCOL: Final = "binary"
_STATUS: Final[Mapping[str, int]] = {Refusal.UNKNOWN: 404, Refusal.STOPPED: 409, Refusal.UNREACHABLE: 502}
_FORBIDDEN: Final = 403
_BUSY: Final = 503
_RESTARTING: Final = 1012
"""The close code with which uvicorn ends what is open at its stop."""
_FULL: Final = "full"
_UNAVAILABLE: Final = "unavailable"

_log = structlog.get_logger(__name__)


class _Refused(Exception):
    """Before the upgrade."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class By(StrEnum):
    """What ended a console."""

    VIEWER = "viewer"
    VM = "vm"
    IDLE = "idle"
    REVOKED = "revoked"
    PROTOCOL = "protocol"
    """The viewer sent text."""
    SHUTDOWN = "shutdown"


_CODES: Final = {By.VM: 1000, By.IDLE: 1001, By.SHUTDOWN: 1001, By.PROTOCOL: 1003, By.REVOKED: 1008}
"""Of the close frame (RFC 6455, section 7.4.1)."""


@dataclass(slots=True)
class _Line:
    """An open console. `moved_at`: when bytes went through last, of the loop's clock."""

    viewer: WebSocket
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    opened: Opened
    moved_at: float

    def moved(self, direction: str, size: int) -> None:
        self.moved_at = asyncio.get_running_loop().time()
        metrics.CONSOLE_BYTES.labels(direction).inc(size)


class ConsoleProxy:
    """The consoles of one process. Belongs to the event loop of its server."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._keys = key_ring(services.settings)
        self._open = 0

    def route(self) -> WebSocketRoute:
        """Of all WebSockets below the path: pages are no WebSockets."""
        return WebSocketRoute(f"{PATH}/{{ticket:path}}", self._answer)

    async def _answer(self, viewer: WebSocket) -> None:
        """Counted from before the ticket is used up: one that finds no room stays good."""
        self._open += 1
        try:
            await self._serve(viewer)
        except OSError:
            _log.debug("console_viewer_left", address=_address(viewer))
        finally:
            self._open -= 1

    async def _serve(self, viewer: WebSocket) -> None:
        """Raises OSError when the viewer is gone before anything began."""
        try:
            line = await self._connected(viewer)
        except _Refused as refused:
            metrics.CONSOLES_REFUSED.labels(refused.reason).inc()
            _log.info("console_refused", reason=refused.reason, address=_address(viewer))
            await viewer.send_denial_response(PlainTextResponse(f"{refused.reason}\n", refused.status))
            return
        metrics.CONSOLES_OPENED.inc()
        with metrics.CONSOLES_OPEN.track_inprogress():
            await self._carry(line)

    async def _connected(self, viewer: WebSocket) -> _Line:
        """Both sides, from the ticket to the upgrade. Raises _Refused, OSError when the viewer is gone."""
        if self._open > self._services.settings.console_limit:
            raise _Refused(_FULL, _BUSY)
        opened = await self._opened(viewer.path_params["ticket"])
        reader, writer = await _reach(opened.endpoint)
        try:
            await viewer.accept(_SUBPROTOCOL if _SUBPROTOCOL in viewer.scope["subprotocols"] else None)
        except OSError:
            writer.transport.abort()
            raise
        _log.info("console_opened", vm=opened.vm_id, token_id=opened.token_id, address=_address(viewer))
        return _Line(viewer, reader, writer, opened, asyncio.get_running_loop().time())

    async def _opened(self, ticket: str) -> Opened:
        services = self._services
        if services.tasks is None:
            raise _Refused(Refusal.UNREACHABLE, _STATUS[Refusal.UNREACHABLE])
        given = services.database, self._keys, services.tasks.driver, ticket, services.clock.now()
        try:
            return await to_thread.run_sync(open_console, *given)
        except TicketRefused as refused:
            raise _Refused(refused.reason, _STATUS.get(refused.reason, _FORBIDDEN)) from None
        except UNAVAILABLE as problem:
            _log.warning("database_unavailable", operation="console", reason=str(problem))
            raise _Refused(_UNAVAILABLE, _BUSY) from None

    async def _carry(self, line: _Line) -> None:
        """Until one side, the watch or the server ends it; then both sides are closed."""
        by = By.SHUTDOWN
        work = [asyncio.create_task(part) for part in (_to_viewer(line), _to_vm(line), self._watch(line))]
        try:
            ended, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            by = ended.pop().result()
        finally:
            for task in work:
                task.cancel()
            line.writer.transport.abort()
            await asyncio.gather(*work, return_exceptions=True)
            metrics.CONSOLES_CLOSED.labels(by).inc()
            _log.info("console_closed", vm=line.opened.vm_id, token_id=line.opened.token_id, by=str(by))
        if by in _CODES:
            await _hang_up(line.viewer, _CODES[by])

    async def _watch(self, line: _Line) -> By:
        """Ends when nothing has moved for too long, or the token is not valid any more."""
        patience = self._services.settings.console_idle_seconds
        while True:
            left = line.moved_at + patience - asyncio.get_running_loop().time()
            if left <= 0:
                return By.IDLE
            await asyncio.sleep(min(left, _LOOK_EVERY))
            try:
                if not await to_thread.run_sync(may_stay, self._services.database, line.opened.token_id):
                    return By.REVOKED
            except UNAVAILABLE as problem:
                _log.warning("database_unavailable", operation="console", reason=str(problem))


async def _reach(endpoint: VncEndpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await asyncio.open_connection(endpoint.host, endpoint.port, limit=_CHUNK)
    except (OSError, TimeoutError) as problem:
        _log.warning("console_unreachable", host=endpoint.host, port=endpoint.port, reason=str(problem))
        raise _Refused(Refusal.UNREACHABLE, _STATUS[Refusal.UNREACHABLE]) from None


async def _to_viewer(line: _Line) -> By:
    try:
        while chunk := await line.reader.read(_CHUNK):
            try:
                await line.viewer.send_bytes(chunk)
            except (WebSocketDisconnect, RuntimeError):
                return By.VIEWER
            line.moved("to_viewer", len(chunk))
    except OSError:
        return By.VM
    return By.VM


async def _to_vm(line: _Line) -> By:
    while True:
        message = await line.viewer.receive()
        if message["type"] == "websocket.disconnect":
            return By.SHUTDOWN if message.get("code") == _RESTARTING else By.VIEWER
        data = message.get("bytes")
        if data is None:
            return By.PROTOCOL
        try:
            line.writer.write(data)
            await line.writer.drain()
        except OSError:
            return By.VM
        line.moved("to_vm", len(data))


async def _hang_up(viewer: WebSocket, code: int) -> None:
    """A viewer that takes nothing any more does not take this either."""
    try:
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await viewer.close(code)
    except (RuntimeError, WebSocketDisconnect, TimeoutError):
        _log.debug("console_viewer_left", address=_address(viewer))


def _address(viewer: WebSocket) -> str:
    return viewer.client.host if viewer.client else ""
