"""VictoriaMetrics as an engine of the served store: line protocol in, export and PromQL out. Least version: 1.79.

    single node   http://HOST:8428
    cluster       http://VMINSERT:8480/insert/ACCOUNT, reading from http://VMSELECT:8481/select/ACCOUNT

Reading goes through `/api/v1/export`: it takes selectors of any length, returns what was written and nothing computed,
and reads 1,000 objects in 4 % of the time of a query with the same selector.

What the server does not do for us:

* It answers before it has written: what came in the last seconds is gone after kill -9. The bodies of the last
  `KEPT` seconds are kept here and sent again when the server turns out to have been started anew (`replay`). Only a
  death of both at once loses them.
* What it acknowledged is not to be seen yet. On a single node every write is followed by a flush of its buffers; a
  cluster has no such request on its front, so there a write takes `settle` seconds longer.
* It tells of no point that it throws away: those out of its retention (`-retentionPeriod`, one for all levels: as long
  as the longest level is kept), in the far future, or with unreadable numbers. None is ever sent, but the first kind,
  and that is what retention means.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import orjson

from core.clock import Clock, SystemClock
from core.timeseries.served.labels import name
from core.timeseries.served.lineprotocol import LineProtocol
from core.timeseries.served.tables import FAR_FUTURE, Rows, Selection, Table, chained
from core.timeseries.served.transport import Transport, gzipped
from core.timeseries.store import Floats, StoreUnavailable
from core.timeseries.victoria import exact
from core.timeseries.victoria.replay import Replay
from core.timeseries.victoria.selectors import matcher, measurement, rows, series

_STORE: Final = "victoriametrics"
_RECENT: Final = 600.0
_GROUP: Final = 300_000
_EARLIEST: Final = 1_000_000_000
_LONGEST_QUERY: Final = 12_000


@dataclass(frozen=True, slots=True)
class Place:
    """`write` and `read`: URLs without their last parts. `settle`: seconds until a cluster shows what it took; None:
    a single node. `prefix`: of the names of all series, for several installations on one server."""

    write: str
    read: str
    prefix: str = "starvc"
    token: str | None = None
    settle: float | None = None


class Victoria:
    """Threads may share it."""

    ticks_per_second = 1000

    def __init__(self, place: Place, clock: Clock | None = None, pause: Callable[[float], None] = time.sleep) -> None:
        self._place = place
        self._clock = clock or SystemClock()
        self._pause = pause
        headers = {"Authorization": f"Bearer {place.token}"} if place.token else {}
        self._http = Transport(_STORE, headers)
        self._lines = LineProtocol()
        self._write_url = f"{place.write}/influx/write?precision=ms"
        self._replay = Replay(self._http, place.write, self._write_url, self._clock)
        self._open = True

    def write(self, tables: Sequence[Table]) -> None:
        body = gzipped(self._lines.body([_split(self._place.prefix, table) for table in tables]))
        self._must_be_open()
        self._replay.send(body)
        if self._place.settle is None:
            self._http.get(f"{self._place.write}/internal/force_flush", "flush")
        else:
            self._pause(self._place.settle)

    def read(self, selection: Selection, start: int, end: int) -> Rows:
        """The server's range has both its ends."""
        self._must_be_open()
        span = {"start": f"{start / 1000:.3f}", "end": f"{(end - 1) / 1000:.3f}"}
        form = {"match[]": series(self._place.prefix, selection), **span}
        body = self._http.ask(f"{self._place.read}/prometheus/api/v1/export", form)
        fields = [name for field in selection.fields for name in (field, field + exact.LOW, field + exact.HIGH)]
        return _joined(rows(body, self._place.prefix, selection, fields))

    def newest(self, selection: Selection, start: int) -> Rows:
        """What is asked for the current values is one request. Further back it is two: when each object was last
        written, then what was written then; objects that fell silent at different times cost a request for every five
        minutes in which some did."""
        far = int(FAR_FUTURE * 1000)
        if start / 1000 >= self._clock.now().timestamp() - _RECENT:
            return self.read(selection, start, far)
        last = self._last(selection, start)
        found = []
        while last:
            latest = max(last.values())
            group = {name: tick for name, tick in last.items() if tick > latest - _GROUP}
            found.append(self.read(replace(selection, objects=tuple(group)), min(group.values()), latest + 1))
            last = {name: tick for name, tick in last.items() if name not in group}
        return chained(found, len(selection.fields))

    def _last(self, selection: Selection, start: int) -> dict[str, int]:
        """By object the tick of its newest row. A window that reaches back to the epoch finds nothing at all, and the
        first instant of a window is outside it."""
        end = int(self._clock.now().timestamp()) + 86_400
        key = f"{measurement(self._place.prefix, selection.place, selection.measurement)}_{selection.fields[0]}"
        named = matcher(selection.objects)
        named = named if len(named) < _LONGEST_QUERY else ""
        window = max(end * 1000 - max(start - 1, _EARLIEST), 1)
        form = {"query": f"tlast_over_time({key}{{{named}}}[{window}ms])", "time": str(end), "nocache": "1"}
        answer = orjson.loads(self._http.ask(f"{self._place.read}/prometheus/api/v1/query", form))
        if answer.get("isPartial"):
            raise StoreUnavailable(f"{_STORE}: a part of the cluster does not answer")
        last: dict[str, int] = {}
        for found in answer["data"]["result"]:
            owner, tick = name(found["metric"].get("obj", "")), round(float(found["value"][1]) * 1000)
            if selection.objects is None or owner in selection.objects:
                last[owner] = max(last.get(owner, tick), tick)
        return last

    def _must_be_open(self) -> None:
        if not self._open:
            raise StoreUnavailable(f"{_STORE}: the store is closed")

    def close(self) -> None:
        self._open = False
        self._http.close()


def _split(prefix: str, table: Table) -> Table:
    columns: dict[str, Floats] = {}
    for field, values in table.columns.items():
        columns[field], columns[field + exact.LOW], columns[field + exact.HIGH] = exact.split(values)
    return replace(table, measurement=measurement(prefix, table.place, table.measurement), columns=columns)


def _joined(found: Rows) -> Rows:
    near, low, high = (np.ascontiguousarray(found.values[:, part::3]) for part in range(3))
    return replace(found, values=exact.joined(near, low, high))
