"""Refused tokens, counted so that whoever floods the server with them does not fill the log.

The first refusal of an address, for a reason, is written at once. Its further ones are counted, and written as one
entry when the window is over. Of so many addresses more have no entries of their own: they share one. What a server has
counted and not written yet is lost when it is killed: one window's counts at most, never a first refusal.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from core.audit import metrics
from core.audit.log import Deed, End, record_apart
from core.audit.rows import Outcome
from core.db.engine import Database

WINDOW: Final = timedelta(minutes=5)
MOST: Final = 50
"""Addresses with entries of their own in one window, each counted again for every reason."""
OTHERS: Final = "others"
"""The address of the entry that all further ones share."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody without a good token. `token_id`: of a revoked one."""

    operation: str
    address: str
    reason: str
    token_id: str | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """So many refusals, the last one of them `at`. `first`: what it was about."""

    first: Refusal
    times: int
    at: datetime


@dataclass(slots=True)
class Refusals:
    """Those of one process; for any thread."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _since: datetime | None = None
    _counted: dict[tuple[str, str, str | None], Counted] = field(default_factory=dict)

    def note(self, refusal: Refusal, now: datetime) -> list[Counted]:
        """One more. What is to be written now."""
        metrics.REFUSALS.inc()
        with self._lock:
            due = self._finish() if self._is_over(now) else []
            self._since = self._since or now
            key = (refusal.address, refusal.reason, refusal.token_id)
            if key not in self._counted and len(self._counted) >= MOST:
                refusal = Refusal(refusal.operation, OTHERS, refusal.reason)
                key = (OTHERS, refusal.reason, None)
            before = self._counted.get(key)
            if before is None:
                self._counted[key] = Counted(refusal, 0, now)
                return [*due, Counted(refusal, 1, now)]
            self._counted[key] = replace(before, times=before.times + 1, at=now)
            return due

    def over(self, now: datetime) -> list[Counted]:
        """What is to be written of a window that is over; nothing while it is not."""
        with self._lock:
            return self._finish() if self._is_over(now) else []

    def all(self) -> list[Counted]:
        """What is to be written of a window that ends now."""
        with self._lock:
            return self._finish()

    def _is_over(self, now: datetime) -> bool:
        return self._since is not None and now - self._since >= WINDOW

    def _finish(self) -> list[Counted]:
        due = [counted for counted in self._counted.values() if counted.times]
        self._counted, self._since = {}, None
        return due


def write(database: Database, due: list[Counted]) -> None:
    """An entry for each of them."""
    for counted in due:
        first = counted.first
        deed = Deed(operation=first.operation, address=first.address, token_id=first.token_id)
        end = End(outcome=Outcome.REFUSED, code="unauthorised", reason=first.reason, times=counted.times)
        record_apart(database, counted.at, deed, end)
