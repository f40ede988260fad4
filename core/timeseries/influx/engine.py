"""InfluxDB 2.x as an engine of the served store, through `influxdb-client`: line protocol in, Flux out.

The server acknowledges a write when its log is on the disk, and shows it at once; nothing is repeated or waited for.
A write is one body per bucket, written by hand and compressed at level 1 (the client's own serialisers take three to
seven times as long, its compression level 9 another 85 ms a tick), sent synchronously: the caller, who has the queue,
learns of every failure.

    429, 503        the server is busy: repeated after Retry-After, three times at most, then StoreUnavailable
    401, 403, 404   StoreDenied: the token, the organisation, the bucket
    400, 413, 422   WriteRefused: a conflict of types, a body too large; the caller halves it
    422 for age     the points are older than the bucket keeps, the others are written: counted, done. A write that has
                    points of both faults is refused for the other one, and halved until they stand apart
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.domain.dialect import Dialect
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService

from core.clock import Clock, SystemClock
from core.timeseries.influx import buckets, flux
from core.timeseries.metrics import SENT_BYTES, TOO_OLD
from core.timeseries.served.lineprotocol import LineProtocol
from core.timeseries.served.refusals import Answer, patiently, retry_after
from core.timeseries.served.tables import FAR_FUTURE, Rows, Selection, Table, chained
from core.timeseries.served.transport import LINK_SOCKET, asked, gzipped
from core.timeseries.store import Level, StoreUnavailable

_STORE: Final = "influxdb"
_RECENT: Final = 600.0
_TOO_OLD: Final = re.compile(rb"dropped (\d+) points? outside retention policy")
_FOREVER: Final = dict.fromkeys(Level, 0)


@dataclass(frozen=True, slots=True)
class Place:
    """`retention` in seconds by level, 0 for ever: what the buckets `<prefix>_<level>` keep at least."""

    url: str
    org: str
    token: str
    prefix: str = "starvc"
    retention: Mapping[Level, int] = field(default_factory=lambda: _FOREVER)
    timeout: float = 30.0


class Influx:
    """Threads may share it."""

    ticks_per_second = 1_000_000_000

    def __init__(self, place: Place, clock: Clock | None = None, pause: Callable[[float], None] = time.sleep) -> None:
        """Raises StoreDenied, StoreUnavailable."""
        self._place = place
        self._clock = clock or SystemClock()
        self._pause = pause
        self._lines = LineProtocol()
        self._buckets = {level: f"{place.prefix}_{level}" for level in Level}
        self._client = InfluxDBClient(
            place.url, token=place.token, org=place.org, timeout=int(place.timeout * 1000), retries=False
        )
        self._client.api_client.rest_client.pool_manager.connection_pool_kw["socket_options"] = LINK_SOCKET
        self._writes = WriteService(self._client.api_client)
        self._dialect = Dialect(
            header=True, delimiter=",", annotations=[], comment_prefix="#", date_time_format="RFC3339Nano"
        )
        self._open = True
        try:
            buckets.ensure(self._client, place.org, self._buckets, place.retention)
        except BaseException:
            self.close()
            raise

    def write(self, tables: Sequence[Table]) -> None:
        for level in dict.fromkeys(table.place for table in tables):
            body = gzipped(self._lines.body([table for table in tables if table.place is level]))
            SENT_BYTES.labels(_STORE).inc(len(body))
            self._ask("write", lambda body=body, level=level: self._post(self._buckets[level], body))  # type: ignore[misc]

    def _post(self, bucket: str, body: bytes) -> Answer:
        try:
            self._writes.post_write(
                org=self._place.org,
                bucket=bucket,
                body=body,
                precision="ns",
                content_encoding="gzip",
                content_type="text/plain; charset=utf-8",
            )
        except ApiException as problem:
            answer = _answer(problem)
            if too_old := _TOO_OLD.search(answer.body):
                TOO_OLD.labels(_STORE).inc(int(too_old.group(1)))
                return Answer(204, b"")
            return answer
        return Answer(204, b"")

    def read(self, selection: Selection, start: int, end: int) -> Rows:
        return self._rows(selection, start, end, last=False)

    def newest(self, selection: Selection, start: int) -> Rows:
        """Of the current values a few samples each are read as they are, in half the time of `last`."""
        recent = start / self.ticks_per_second >= self._clock.now().timestamp() - _RECENT
        return self._rows(selection, start, int(FAR_FUTURE) * self.ticks_per_second, last=not recent)

    def _rows(self, selection: Selection, start: int, end: int, *, last: bool) -> Rows:
        if start >= end:
            return chained([], len(selection.fields))
        text = flux.query(self._buckets[selection.place], selection, start, end, last=last)
        return flux.rows(self._ask("read", lambda: self._query(text)), selection)

    def _query(self, text: str) -> Answer:
        try:
            return Answer(200, self._client.query_api().query_raw(text, dialect=self._dialect).data)
        except ApiException as problem:
            return _answer(problem)

    def _ask(self, operation: str, once: Callable[[], Answer]) -> bytes:
        if not self._open:
            raise StoreUnavailable(f"{_STORE}: the store is closed")
        with asked(_STORE, operation, self._place.url):
            return patiently(_STORE, operation, once, self._pause)

    def close(self) -> None:
        self._open = False
        self._client.close()


def _answer(problem: ApiException) -> Answer:
    body = problem.body if isinstance(problem.body, bytes) else str(problem.body or problem.reason).encode()
    header = problem.headers.get("Retry-After") if problem.headers else None
    return Answer(problem.status or 0, body, retry_after(header))
