"""A lease: work that one process at a time owns, and that another one takes over when the owner falls silent.

No clocks are compared. The owner renews by a counter; a candidate takes over when the counter did not move for `ttl`
seconds of the candidate's own monotonic clock (as in `core.tasks.servers`). The owner trusts its lease for
half as long, counted from before it asked for the renewal, so that it stops believing well before a candidate may begin
(Gray and Cheriton, Leases, 1989). Each change of owner raises the fence.

Worst moments: two candidates at once (the UPDATE names the fence and the beats it was decided on: one of them is
refused); an owner that slept and wakes up (its half time is over: `valid` says no before it writes anything); an owner
that returns after another one took over (its renewal finds another fence).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Update, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.clock import Clock
from core.db.engine import Database
from core.db.guarded import changed
from core.leases.rows import Lease

NOBODY: Final = ""
TRUSTED: Final = 0.5
"""The part of the time to live for which the owner trusts a renewal."""


class LeaseLost(Exception):
    """Somebody else may do this work by now. Nothing was written."""


class Seen(NamedTuple):
    """What a candidate saw of the row."""

    fence: int
    beats: int


@dataclass(frozen=True, slots=True)
class Silence:
    """Since when (monotonic seconds) the row has looked like this."""

    seen: Seen
    since: float


def observed(known: Silence | None, seen: Seen, now: float) -> Silence:
    """What a candidate knows after looking at `now`."""
    return known if known is not None and known.seen == seen else Silence(seen, now)


class Claimant:
    """One process that wants one lease, from one thread. `ttl` in seconds."""

    def __init__(self, database: Database, clock: Clock, name: str, owner: str, ttl: float) -> None:
        self._database, self._clock = database, clock
        self._name, self._owner, self._ttl = name, owner, ttl
        self._fence: int | None = None
        self._until = float("-inf")
        self._silence: Silence | None = None

    @property
    def valid(self) -> bool:
        """It is ours, and will be for long enough to finish a write."""
        return self._fence is not None and self._clock.monotonic() < self._until

    def hold(self) -> int | None:
        """Renews the lease, or takes it if its owner is silent: the fence; None: somebody else's."""
        asked = self._clock.monotonic()
        with self._database.platform(write=True) as session:
            fence = self._taken(session, asked) if self._fence is None else self._renewed(session, self._fence)
        self._fence = fence
        if fence is not None:
            self._until = asked + self._ttl * TRUSTED
        return fence

    def prove(self, session: Session) -> None:
        """In a transaction that writes, before it does: until it ends nobody takes the lease over. Raises
        LeaseLost."""
        mine = select(Lease.fence).where(
            Lease.name == self._name, Lease.owner == self._owner, Lease.fence == self._fence
        )
        if self._fence is None or session.scalar(mine.with_for_update(read=True)) is None:
            raise LeaseLost(f"the lease {self._name} is another process's")

    def release(self) -> None:
        """Another one may begin at once: the row stays, for fences must grow, and owns nobody."""
        if self._fence is None:
            return
        fence, self._fence = self._fence, None
        with self._database.platform(write=True) as session:
            changed(session, self._own(fence).values(owner=NOBODY))

    def _own(self, fence: int) -> Update:
        return update(Lease).where(Lease.name == self._name, Lease.owner == self._owner, Lease.fence == fence)

    def _renewed(self, session: Session, fence: int) -> int | None:
        return fence if changed(session, self._own(fence).values(beats=Lease.beats + 1)) else None

    def _taken(self, session: Session, now: float) -> int | None:
        row = session.execute(
            select(Lease.owner, Lease.fence, Lease.beats).where(Lease.name == self._name)
        ).one_or_none()
        if row is None:
            return self._founded(session)
        owner, seen = row[0], Seen(row[1], row[2])
        self._silence = observed(self._silence, seen, now)
        if owner != NOBODY and now - self._silence.since < self._ttl:
            return None
        as_seen = update(Lease).where(Lease.name == self._name, Lease.fence == seen.fence, Lease.beats == seen.beats)
        if not changed(session, as_seen.values(owner=self._owner, fence=seen.fence + 1, beats=0)):
            return None
        return seen.fence + 1

    def _founded(self, session: Session) -> int | None:
        first = Lease(name=self._name, owner=self._owner, fence=1)
        try:
            with session.begin_nested():
                session.add(first)
        except IntegrityError:
            return None
        return first.fence
