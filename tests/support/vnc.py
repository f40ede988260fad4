"""A small VNC client (RFC 6143) that speaks through a WebSocket: what a person with noVNC would see."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from websockets.sync.client import ClientConnection, connect

from core.drivers.simulated.rfb import response


class Rejected(Exception):
    """The server said so, with this reason."""


@dataclass
class Vnc:
    """Bytes of a WebSocket as a stream, and what is done with them."""

    socket: ClientConnection
    buffer: bytes = b""

    def read(self, size: int) -> bytes:
        while len(self.buffer) < size:
            chunk = self.socket.recv(timeout=10)
            assert isinstance(chunk, bytes)
            self.buffer += chunk
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def number(self) -> int:
        return int.from_bytes(self.read(4))

    def log_in(self, password: str | None) -> tuple[int, int, str]:
        """Width, height and name of the screen. Raises Rejected."""
        assert self.read(12) == b"RFB 003.008\n"
        self.socket.send(b"RFB 003.008\n")
        kinds = self.read(self.read(1)[0])
        assert list(kinds) == [1 if password is None else 2]
        self.socket.send(kinds)
        if password is not None:
            self.socket.send(response(self.read(16), password))
        if self.number() != 0:
            raise Rejected(self.read(self.number()).decode())
        self.socket.send(b"\x01")
        width, height = struct.unpack(">HH", self.read(4))
        assert self.read(16)[:4] == bytes((32, 24, 0, 1))
        return width, height, self.read(self.number()).decode()

    def picture(self, width: int, height: int, *, incremental: bool = False) -> tuple[int, bytes]:
        """The first row and the pixels, four bytes each, of the one rectangle that comes."""
        self.socket.send(struct.pack(">BBHHHH", 3, incremental, 0, 0, width, height))
        kind, count, x, y, across, down, encoding = struct.unpack(">BxHHHHHi", self.read(16))
        assert (kind, count, x, across, encoding) == (0, 1, 0, width, 0)
        return y, self.read(4 * across * down)


@contextmanager
def viewing(url: str) -> Iterator[Vnc]:
    """Raises InvalidStatus when the upgrade is refused."""
    with connect(url, subprotocols=["binary"], proxy=None, compression=None) as socket:  # type: ignore[list-item]
        yield Vnc(socket)
