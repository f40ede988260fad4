"""RFB 3.8, the protocol of VNC (RFC 6143), as far as a simulated screen speaks it: raw rectangles and true colour.
Pure: bytes in, bytes out."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from core.drivers.simulated.screen import Picture

VERSION: Final = b"RFB 003.008\n"
CHALLENGE_BYTES: Final = 16
_KEY_BYTES: Final = 8
_FORMAT: Final = struct.Struct(">BBBBHHHBBB3x")
_RECTANGLE: Final = struct.Struct(">BxHHHHHi")
_RAW: Final = 0


class Security(IntEnum):
    NONE = 1
    VNC = 2


class Request(IntEnum):
    """What a client sends once it has been let in (7.5)."""

    SET_PIXEL_FORMAT = 0
    SET_ENCODINGS = 2
    UPDATE = 3
    KEY = 4
    POINTER = 5
    CUT_TEXT = 6


REST: Final = {
    Request.SET_PIXEL_FORMAT: 19, Request.SET_ENCODINGS: 3, Request.UPDATE: 9, Request.KEY: 7, Request.POINTER: 5,
    Request.CUT_TEXT: 7,
}  # fmt: skip
"""Bytes of a request after the first one, without its list or text."""


class Unsupported(Exception):
    """The client wants what this server does not speak."""


@dataclass(frozen=True, slots=True)
class Area:
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Of true colour (7.4). `maxima` and `shifts`: of red, green and blue."""

    bits: int = 32
    depth: int = 24
    big_endian: bool = False
    maxima: tuple[int, int, int] = (255, 255, 255)
    shifts: tuple[int, int, int] = (16, 8, 0)

    def pack(self) -> bytes:
        return _FORMAT.pack(self.bits, self.depth, self.big_endian, 1, *self.maxima, *self.shifts)

    def pixels(self, picture: Picture) -> bytes:
        """Row by row, from the top left."""
        kind = np.dtype(f"{'>' if self.big_endian else '<'}u{self.bits // 8}")
        scaled = picture.astype(np.uint32) * np.array(self.maxima, np.uint32) // 255
        shifted = scaled << np.array(self.shifts, np.uint32)
        packed: bytes = np.bitwise_or.reduce(shifted, axis=-1).astype(kind).tobytes()
        return packed


def pixel_format(packed: bytes) -> PixelFormat:
    """From the 16 bytes that a client sends. Raises Unsupported for colour maps, and what is no format."""
    bits, depth, big_endian, true_colour, *rest = _FORMAT.unpack(packed)
    maxima, shifts = (rest[0], rest[1], rest[2]), (rest[3], rest[4], rest[5])
    fits = all(highest << shift < 1 << bits for highest, shift in zip(maxima, shifts, strict=True))
    if not true_colour or bits not in {8, 16, 32} or not fits:
        raise Unsupported(f"pixels of {bits} bits, {'true colour' if true_colour else 'a colour map'}")
    return PixelFormat(bits, depth, bool(big_endian), maxima, shifts)


def greeting(width: int, height: int, name: str) -> bytes:
    """ServerInit (7.3.2)."""
    text = name.encode()
    return struct.pack(">HH", width, height) + PixelFormat().pack() + struct.pack(">I", len(text)) + text


def update(picture: Picture, area: Area, pixels: PixelFormat) -> bytes:
    """One raw rectangle of the picture (7.6.1, 7.7.1)."""
    part = picture[area.y : area.y + area.height, area.x : area.x + area.width]
    head = _RECTANGLE.pack(0, 1, area.x, area.y, part.shape[1], part.shape[0], _RAW)
    return head + pixels.pixels(part)


def changed(old: Picture, new: Picture, wanted: Area) -> Area | None:
    """The rows of the wanted area that differ; None: none."""
    across = slice(wanted.x, wanted.x + wanted.width)
    down = slice(wanted.y, wanted.y + wanted.height)
    rows = np.flatnonzero((old[down, across] != new[down, across]).any(axis=(1, 2)))
    if not len(rows):
        return None
    first, last = int(rows[0]), int(rows[-1])
    return Area(wanted.x, wanted.y + first, wanted.width, last - first + 1)


def clipped(area: Area, width: int, height: int) -> Area:
    """What of the area is on the screen."""
    x, y = min(area.x, width), min(area.y, height)
    return Area(x, y, min(area.width, width - x), min(area.height, height - y))


def response(challenge: bytes, password: str) -> bytes:
    """Of VNC authentication (7.2.2): DES with the password as the key, each byte of it mirrored. A password longer than
    8 bytes is cut, a shorter one filled up with zeros. Triple DES with one key three times is DES."""
    key = password.encode()[:_KEY_BYTES].ljust(_KEY_BYTES, b"\0")
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in key)
    encryptor = Cipher(TripleDES(mirrored * 3), modes.ECB()).encryptor()  # noqa: S305 (what the protocol prescribes)
    return encryptor.update(challenge) + encryptor.finalize()
