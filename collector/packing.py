"""Batches as bytes: a header that names the frames, their fields and their objects, then the numbers, in one zlib
stream.

The stream ends with a checksum of its content (RFC 1950), so a flipped bit is found. Fields are named, so that what
another version has queued is read by their names; a field that it did not know is not measured.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, TypedDict

import numpy as np
import orjson

from collector.spool import Batch
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.store import Floats, Frame

_LEVEL: Final = 1
_NUMBER: Final = np.dtype("<f8")


class Damaged(Exception):
    """Not what `pack` has made."""


class _Head(TypedDict):
    kind: str
    fields: list[str]
    objects: list[str]


def pack(batch: Batch) -> bytes:
    heads = [_Head(kind=frame.kind, fields=_fields(frame.kind), objects=list(frame.objects)) for frame in batch]
    parts = [orjson.dumps(heads), b"\n"]
    for frame in batch:
        parts += [frame.times.astype(_NUMBER).tobytes(), frame.values.T.astype(_NUMBER, order="C").tobytes()]
    return zlib.compress(b"".join(parts), _LEVEL)


def unpack(body: bytes) -> Batch:
    """Raises Damaged."""
    try:
        head, _, numbers = zlib.decompress(body).partition(b"\n")
        heads: list[_Head] = orjson.loads(head)
        return tuple(_frames(heads, np.frombuffer(numbers, _NUMBER)))
    except (zlib.error, ValueError, KeyError, TypeError) as error:
        raise Damaged(str(error)) from error


def _frames(heads: list[_Head], numbers: Floats) -> Iterator[Frame]:
    at = 0
    for head in heads:
        rows, fields, kind = len(head["objects"]), head["fields"], Kind(head["kind"])
        times, at = numbers[at : at + rows], at + rows
        cells, at = numbers[at : at + rows * len(fields)].reshape(len(fields), rows), at + rows * len(fields)
        values = np.full((rows, len(FIELDS[kind])), np.nan)
        for column, name in enumerate(_fields(kind)):
            if name in fields:
                values[:, column] = cells[fields.index(name)]
        yield Frame(kind, head["objects"], times, values)
    if at != len(numbers):
        raise ValueError(f"{len(numbers)} numbers where {at} were written")


def _fields(kind: Kind) -> list[str]:
    return [field.name for field in FIELDS[kind]]
