"""One who looks at the console of a simulated VM: RFB 3.8 on a connection, until either side ends it.

Keys and pointer are read and change nothing: nobody is at home in a simulated VM.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import struct
from collections.abc import Callable, Sequence
from typing import Final

from core.drivers.simulated import rfb, screen
from core.drivers.simulated.rfb import Area, PixelFormat, Request, Security, Unsupported

_PATIENCE: Final = 30.0
"""Seconds that a client has to be let in."""
_PAINT_EVERY: Final = 0.5
_LONGEST_TEXT: Final = 1 << 20


class Viewer:
    """Belongs to one event loop."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        name: str,
        page: Callable[[], Sequence[str]],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._name = name
        self._page = page
        self._pixels = PixelFormat()
        self._wanted: Area | None = None
        self._whole = False
        self._asked = asyncio.Event()

    async def serve(self, password: str | None) -> None:
        """Returns when the client is not let in or wants what is not spoken here. Raises OSError, IncompleteReadError
        when it is gone, and what the page raises."""
        try:
            async with asyncio.timeout(_PATIENCE):
                admitted = await self._admit(password)
            if admitted:
                await self._show()
        except (Unsupported, TimeoutError):
            return

    async def _admit(self, password: str | None) -> bool:
        """From the version to ServerInit (7.1 to 7.3)."""
        self._writer.write(rfb.VERSION)
        if await self._reader.readexactly(len(rfb.VERSION)) != rfb.VERSION:
            await self._fail(b"\0", "only RFB 3.8 is spoken here")
            return False
        security = Security.NONE if password is None else Security.VNC
        self._writer.write(bytes((1, security)))
        if await self._reader.readexactly(1) != bytes((security,)):
            await self._fail(struct.pack(">I", 1), "this security type was not offered")
            return False
        if password is not None and not await self._knows(password):
            await self._fail(struct.pack(">I", 1), "the password is wrong")
            return False
        self._writer.write(struct.pack(">I", 0))
        await self._reader.readexactly(1)
        self._writer.write(rfb.greeting(screen.WIDTH, screen.HEIGHT, self._name))
        await self._writer.drain()
        return True

    async def _knows(self, password: str) -> bool:
        challenge = secrets.token_bytes(rfb.CHALLENGE_BYTES)
        self._writer.write(challenge)
        answer = await self._reader.readexactly(rfb.CHALLENGE_BYTES)
        return hmac.compare_digest(answer, rfb.response(challenge, password))

    async def _fail(self, head: bytes, reason: str) -> None:
        self._writer.write(head + struct.pack(">I", len(reason)) + reason.encode())
        await self._writer.drain()
        self._writer.write_eof()
        await self._reader.read(1)

    async def _show(self) -> None:
        """Requests are read while the picture changes; the first that ends ends the other."""
        both = [asyncio.create_task(self._listen()), asyncio.create_task(self._paint())]
        try:
            ended, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for one in ended:
                one.result()
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            code = (await self._reader.readexactly(1))[0]
            if code not in rfb.REST:
                raise Unsupported(f"request {code}")
            request = Request(code)
            body = await self._reader.readexactly(rfb.REST[request])
            match request:
                case Request.SET_PIXEL_FORMAT:
                    self._pixels = rfb.pixel_format(body[3:])
                case Request.SET_ENCODINGS:  # raw is always understood
                    await self._reader.readexactly(4 * int.from_bytes(body[1:3]))
                case Request.CUT_TEXT:
                    await self._skip(int.from_bytes(body[3:7]))
                case Request.UPDATE:
                    incremental, *corners = struct.unpack(">BHHHH", body)
                    self._wanted = rfb.clipped(Area(*corners), screen.WIDTH, screen.HEIGHT)
                    self._whole = self._whole or not incremental
                    self._asked.set()
                case Request.KEY | Request.POINTER:
                    continue

    async def _skip(self, size: int) -> None:
        if size > _LONGEST_TEXT:
            raise Unsupported(f"a text of {size} bytes")
        await self._reader.readexactly(size)

    async def _paint(self) -> None:
        """An update answers a request: at once the whole area, or what has changed as soon as something has."""
        shown = screen.paint(())
        while True:
            await self._asked.wait()
            lines = self._page()
            picture = await asyncio.to_thread(screen.paint, lines)
            wanted = self._wanted
            assert wanted is not None
            area = wanted if self._whole else rfb.changed(shown, picture, wanted)
            if area is not None:
                self._asked.clear()
                self._whole, shown = False, picture
                self._writer.write(rfb.update(picture, area, self._pixels))
                await self._writer.drain()
            await asyncio.sleep(_PAINT_EVERY if area is None else 0)
