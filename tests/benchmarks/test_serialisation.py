"""Samples as line protocol: the client's `Point` objects, its serialiser of data frames, and ours, in one run."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from influxdb_client import Point, WritePrecision
from influxdb_client.client.write.dataframe_serializer import DataframeSerializer
from influxdb_client.client.write_api import PointSettings

from core.timeseries.fields import FIELDS, Kind
from core.timeseries.served.lineprotocol import LineProtocol
from core.timeseries.served.tables import Table
from core.timeseries.served.transport import gzipped
from core.timeseries.store import Level

pytestmark = pytest.mark.benchmark

_OBJECTS = 10_500
_TICK = 1_760_000_040_000_000_000
_FIELDS = [field.name for field in FIELDS[Kind.VM]]
_NAMES = [f"vm-{number:020d}" for number in range(_OBJECTS)]
_VALUES = np.round(np.random.default_rng(1).gamma(0.7, 100.0, (_OBJECTS, len(_FIELDS))), 2)


def _points() -> bytes:
    lines = []
    for name, row in zip(_NAMES, _VALUES.tolist(), strict=True):
        point = Point("vm").tag("obj", name).tag("rev", "0").time(_TICK, WritePrecision.NS)
        for field, value in zip(_FIELDS, row, strict=True):
            point = point.field(field, value)
        lines.append(point.to_line_protocol())
    return "\n".join(lines).encode()


def _data_frame() -> bytes:
    frame = pd.DataFrame(_VALUES, columns=_FIELDS, index=pd.DatetimeIndex([_TICK] * _OBJECTS, tz="UTC"))
    frame["obj"], frame["rev"] = _NAMES, "0"
    serializer = DataframeSerializer(
        frame, PointSettings(), data_frame_measurement_name="vm", data_frame_tag_columns=["obj", "rev"]
    )
    return "\n".join(serializer.serialize()).encode()


def _ours(lines: LineProtocol) -> bytes:
    ticks = np.full(_OBJECTS, _TICK)
    return lines.body([Table(Level.RAW, "vm", _NAMES, ticks, dict(zip(_FIELDS, _VALUES.T, strict=True)))])


def _best(deed: Callable[[], bytes]) -> tuple[float, bytes]:
    taken, body = [], b""
    for _ in range(5):
        start = time.perf_counter()
        body = deed()
        taken.append(time.perf_counter() - start)
    return min(taken), body


def _values_of(body: bytes) -> list[dict[str, float]]:
    rows = [line.split(" ")[1].split(",") for line in body.decode().splitlines()]
    return [{name: float(text) for name, text in (cell.split("=") for cell in row)} for row in rows]


def test_serialisation() -> None:
    kept = LineProtocol()
    ways = {"Point": _points, "DataFrame": _data_frame, "ours": lambda: _ours(kept)}
    found = {name: _best(way) for name, way in ways.items()}
    print(f"\n{_OBJECTS} rows of {len(_FIELDS)} fields: one tick of all VMs")
    print(f"{'':10} {'rows/s':>10} {'ms':>8} {'bytes':>10}")
    for name, (seconds, body) in found.items():
        print(f"{name:10} {_OBJECTS / seconds:10.0f} {1000 * seconds:8.1f} {len(body):10}")
    body = found["ours"][1]
    for name, packed in (
        ("gzip 1, ours", lambda: gzipped(body)),
        ("gzip 9, the client's", lambda: gzip.compress(body)),
    ):
        seconds, small = _best(packed)
        print(f"{name:20} {1000 * seconds:8.1f} ms {len(small):8} bytes")
    wanted = _values_of(found["Point"][1])
    assert all(_values_of(body) == wanted for _, body in found.values())
