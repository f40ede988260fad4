"""The database and the store as the owner of a lease may use them: whoever lost it cannot write any more.

In the database that is exact: the proof stands in the transaction that writes, and its row lock keeps a candidate out
until the commit. A time-series store has no such transaction: there the owner stops half a time to live before a
candidate may begin, and one request to the store takes less than that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from core.db.engine import Database
from core.db.session import PlatformSession
from core.leases.leases import Claimant, LeaseLost
from core.timeseries.fields import Kind
from core.timeseries.store import Frame, Level, Lines, TimeSeriesStore, Touched


class FencedDatabase(Database):
    """`platform(write=True)` raises LeaseLost."""

    def __init__(self, database: Database, lease: Claimant) -> None:
        """The same database, with connections of its own."""
        super().__init__(database.url.render_as_string(hide_password=False))
        self._lease = lease

    @contextmanager
    def platform(self, *, write: bool = False) -> Iterator[PlatformSession]:
        with super().platform(write=write) as session:
            if write:
                self._lease.prove(session)
            yield session


class FencedStore:
    """A `TimeSeriesStore` whose writes raise LeaseLost."""

    def __init__(self, inner: TimeSeriesStore, lease: Claimant) -> None:
        self._inner, self._lease = inner, lease

    def write(self, frames: Sequence[Frame]) -> None:
        self._prove()
        self._inner.write(frames)

    def read(self, kind: Kind, start: float, end: float, objects: Collection[str] | None = None) -> Frame:
        return self._inner.read(kind, start, end, objects)

    def latest(self, kind: Kind, since: float, objects: Collection[str] | None = None) -> Frame:
        return self._inner.latest(kind, since, objects)

    def touched(self, cursor: int) -> Touched:
        return self._inner.touched(cursor)

    def write_lines(self, level: Level, lines: Sequence[Lines]) -> None:
        self._prove()
        self._inner.write_lines(level, lines)

    def read_lines(
        self, level: Level, kind: Kind, start: float, end: float, objects: Collection[str] | None = None
    ) -> Sequence[Lines]:
        return self._inner.read_lines(level, kind, start, end, objects)

    def mark(self, name: str) -> float | None:
        return self._inner.mark(name)

    def set_mark(self, name: str, value: float) -> None:
        self._prove()
        self._inner.set_mark(name, value)

    def prune(self, level: Level, before: float) -> int:
        self._prove()
        return self._inner.prune(level, before)

    def close(self) -> None:
        """The inner store is its opener's."""

    def _prove(self) -> None:
        if not self._lease.valid:
            raise LeaseLost("the lease was not renewed in time")
