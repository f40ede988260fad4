"""The page of an answer: unpacked while it arrives, and stopped at the limit before a bomb has unpacked."""

from __future__ import annotations

import zlib
from typing import Final

from collector.failure import Failure, ScrapeFailed

_GZIP: Final = 31  # zlib's window bits for "a gzip header is expected"


class Body:
    """Never holds more than `limit` bytes and one chunk. All methods raise ScrapeFailed."""

    def __init__(self, encoding: str, limit: int) -> None:
        if encoding not in {"gzip", "identity"}:
            raise ScrapeFailed(Failure.BODY, f"encoded as {encoding}, which was not asked for")
        self._limit, self._read, self._size = limit, 0, 0
        self._gzip = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        self._read += len(chunk)
        self._bound(self._read)
        while chunk:
            chunk = self._unpack(chunk)

    def page(self) -> bytes:
        if self._gzip is not None and self._read and not self._gzip.eof:
            raise ScrapeFailed(Failure.BODY, "the packed page ended early")
        return b"".join(self._parts)

    def _unpack(self, chunk: bytes) -> bytes:
        """What is left for the next member of a gzip file with several."""
        if self._gzip is None:
            self._keep(chunk)
            return b""
        if self._gzip.eof:
            self._gzip = zlib.decompressobj(_GZIP)
        try:
            self._keep(self._gzip.decompress(chunk, self._limit - self._size + 1))
        except zlib.error as error:
            raise ScrapeFailed(Failure.BODY, f"not gzip: {error}") from error
        return self._gzip.unused_data

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        self._bound(self._size)
        self._parts.append(part)

    def _bound(self, size: int) -> None:
        if size > self._limit:
            raise ScrapeFailed(Failure.BODY_LIMIT, f"more than {self._limit} bytes")
