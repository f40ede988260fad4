"""VictoriaMetrics as an engine of the served store: line protocol in, export and PromQL out. Least version: 1.66.

    single node   http://HOST:8428
    cluster       http://VMINSERT:8480/insert/ACCOUNT, reading from http://VMSELECT:8481/select/ACCOUNT

Reading goes through `/api/v1/export`: it takes selectors of any length (a query is refused above 16 KB), returns what
was written and nothing computed, reads 1,000 objects in 4 % of the time of a query with the same selector, and fails
where a query of a cluster would answer in part.

What the server does not do for us:

* It answers before it has written: what came in the last seconds is gone after kill -9. The bodies of the last
  `KEPT` seconds are kept here and sent again when a node turns out to have been started anew (`replay`). Only a death
  of both at once loses them.
* What it acknowledged is not to be seen yet: every write is followed by a flush of the buffers of each node. That is
  all for a single node. The vminsert of a cluster has passed on nothing when it answers, so that a write to a cluster
  is acknowledged when it was read again (`receipt`): the vmstorage nodes are flushed and asked until they show it. One
  that does not show within `_LONGEST` seconds is not acknowledged, and its caller sends it again later. A look that
  fails shows nothing: after a restart of a vmstorage, vmselect 1.79 fails until it has tried all its old connections.
  Nodes that are not named show it by themselves some seconds later, and their deaths are not noticed.
* It tells of no point that it throws away: those out of its retention (`-retentionPeriod`, one for all levels: as long
  as the longest level is kept; one that is shorter is told of at the start), in the far future, or with unreadable
  numbers. None is ever sent, but the first kind, and that is what retention means.

Without room on its disk it is read-only and answers 503: the samples wait in the queue.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Final
from urllib.parse import urlencode

import numpy as np
import orjson

from core.clock import Clock, SystemClock
from core.timeseries.served.labels import name
from core.timeseries.served.lineprotocol import LineProtocol
from core.timeseries.served.tables import FAR_FUTURE, Rows, Selection, Table, chained
from core.timeseries.served.transport import Transport, gzipped
from core.timeseries.store import Floats, Level, StoreDenied, StoreUnavailable
from core.timeseries.victoria import exact, nodes
from core.timeseries.victoria.receipt import Receipt, receipts
from core.timeseries.victoria.replay import Replay
from core.timeseries.victoria.selectors import first, matcher, measurement, rows, series

_STORE: Final = "victoriametrics"
_RECENT: Final = 600.0
_GROUP: Final = 300_000
_EARLIEST: Final = 1_000_000_000
_AHEAD: Final = 2 * 86_400.0
_LONGEST_QUERY: Final = 12_000
_LONGEST: Final = 20.0
_LOOKS: Final = 200
_BETWEEN_LOOKS: Final = 0.1
_SHORTEST_KEPT: Final = 86_400.0
"""VictoriaMetrics takes no shorter retention."""
_AT_THE_EDGE: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Place:
    """`write` and `read`: URLs without their last parts. `nodes`: URLs of what stores the data; None: `write` itself,
    a single node. `settle`: seconds from a write to a cluster to the first look for it. `prefix`: of the names of all
    series, for several installations on one server. `token`: a bearer token, or USER:PASSWORD. `retention`: seconds by
    level that the nodes should keep, 0 for ever."""

    write: str
    read: str
    prefix: str = "starvc"
    token: str | None = None
    nodes: Sequence[str] | None = None
    settle: float = 0.0
    retention: Mapping[Level, int] = field(default_factory=dict)


class Victoria:
    """Threads may share it."""

    ticks_per_second = 1000

    def __init__(self, place: Place, clock: Clock | None = None, pause: Callable[[float], None] = time.sleep) -> None:
        self._place = place
        self._clock = clock or SystemClock()
        self._pause = pause
        self._http = Transport(_STORE, _authorization(place.token), pause=pause)
        self._lines = LineProtocol()
        self._write_url = f"{place.write}/influx/write?precision=ms"
        self._nodes = (place.write,) if place.nodes is None else tuple(place.nodes)
        self._kept = _SHORTEST_KEPT
        self._replay = Replay(self._http, self._write_url, self._nodes, self._clock)
        self._open = True
        try:
            self._examine()
        except BaseException:
            self.close()
            raise

    def _examine(self) -> None:
        """That each URL leads where it should, which is not left to the first sample: a write to a wrong path would be
        refused as if its samples were at fault."""
        kept = nodes.examine(self._http, self._nodes, self._place.retention)
        self._kept = min((seconds or _SHORTEST_KEPT for seconds in kept), default=_SHORTEST_KEPT)
        self._http.check("POST", self._write_url)
        nobody = urlencode({"match[]": series(self._place.prefix, Selection(Level.RAW, "nothing", ()))})
        self._http.check("GET", f"{self._place.read}/prometheus/api/v1/export?{nobody}")

    def write(self, tables: Sequence[Table]) -> None:
        sent = [_split(table) for table in tables]
        body = gzipped(self._lines.body([_named(self._place.prefix, table) for table in sent]))
        self._must_be_open()
        expected = [] if self._place.nodes is None else [one for table in sent for one in receipts(table, self._edge())]
        self._replay.send(body, expected)
        self._acknowledge(expected)
        if expected:
            self._flush()  # numbers that came to a node with the ones that were looked for, and after them

    def _edge(self) -> int:
        """The first tick that every node keeps for certain."""
        return int((self._clock.now().timestamp() - self._kept + _AT_THE_EDGE) * 1000)

    def _acknowledge(self, expected: list[Receipt]) -> None:
        """Until everything can be read, what had to be sent again included. Raises StoreUnavailable."""
        until = self._clock.monotonic() + _LONGEST
        for wait in chain((self._place.settle,), repeat(_BETWEEN_LOOKS, _LOOKS)):
            if self._place.nodes is not None:
                self._pause(wait)
            expected = self._replay.catch_up() or expected
            self._flush()
            expected = [receipt for receipt in expected if not self._shown(receipt)]
            if not expected:
                return
            if self._clock.monotonic() > until:
                break
        raise StoreUnavailable(f"{_STORE}: what {self._place.write} took cannot be read at {self._place.read}")

    def _flush(self) -> None:
        for node in self._nodes:
            self._http.get(f"{node}/internal/force_flush", "flush")

    def _shown(self, receipt: Receipt) -> bool:
        wanted = receipt.selection
        selector = (series if receipt.every else first)(self._place.prefix, wanted)
        try:
            body = self._export(selector, int(receipt.ticks.min()), int(receipt.ticks.max()))
        except StoreDenied:
            raise
        except StoreUnavailable:
            return False
        return receipt.shown_by(rows(body, self._place.prefix, wanted, wanted.fields))

    def read(self, selection: Selection, start: int, end: int) -> Rows:
        self._must_be_open()
        body = self._export(series(self._place.prefix, selection), start, end - 1)
        fields = [name for field in selection.fields for name in (field, field + exact.LOW, field + exact.HIGH)]
        return _joined(rows(body, self._place.prefix, selection, fields))

    def _export(self, selector: str, start: int, end: int) -> bytes:
        """The server's range has both its ends."""
        span = {"start": f"{start / 1000:.3f}", "end": f"{min(end / 1000, self._horizon()):.3f}"}
        return self._http.ask(f"{self._place.read}/prometheus/api/v1/export", {"match[]": selector, **span})

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
        end = int(self._horizon())
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

    def _horizon(self) -> float:
        """The end of the time that is asked about: 1.122 finds nothing at all in a range that ends decades ahead, and
        no version takes a sample from further ahead than two days."""
        return self._clock.now().timestamp() + _AHEAD

    def _must_be_open(self) -> None:
        if not self._open:
            raise StoreUnavailable(f"{_STORE}: the store is closed")

    def close(self) -> None:
        self._open = False
        self._http.close()


def _authorization(token: str | None) -> dict[str, str]:
    if token is None:
        return {}
    if ":" in token:
        return {"Authorization": f"Basic {b64encode(token.encode()).decode()}"}
    return {"Authorization": f"Bearer {token}"}


def _named(prefix: str, table: Table) -> Table:
    return replace(table, measurement=measurement(prefix, table.place, table.measurement))


def _split(table: Table) -> Table:
    columns: dict[str, Floats] = {}
    for column, values in table.columns.items():
        columns[column], columns[column + exact.LOW], columns[column + exact.HIGH] = exact.split(values)
    return replace(table, columns=columns)


def _joined(found: Rows) -> Rows:
    near, low, high = (np.ascontiguousarray(found.values[:, part::3]) for part in range(3))
    return replace(found, values=exact.joined(near, low, high))
