"""When to try again: exponential with jitter for a letter, and a circuit for a receiver. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 900.0
LONGEST_ASKED_SECONDS: Final = 3600.0
_FAILURES_TO_OPEN: Final = 3


def delay(failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures in a row (at least 1). `jitter` from 0 to 1 takes up to half of it
    away, so that senders that failed together do not come back together.
    """
    whole = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 30))
    return whole * (1.0 - jitter / 2)


def wait(failures: int, retry_after: float | None, jitter: float) -> float:
    """As `delay`, and never before the moment that the receiver asked for (within reason)."""
    return max(delay(failures, jitter), min(retry_after or 0.0, LONGEST_ASKED_SECONDS))


@dataclass(frozen=True, slots=True)
class Circuit:
    """What is known about a receiver. Open: nothing is sent. After that one letter is tried, and all follow if it
    arrives.
    """

    failures: int = 0
    open_until: datetime | None = None

    def closed(self, now: datetime) -> bool:
        return self.open_until is None or now >= self.open_until

    def allowance(self, batch: int) -> int:
        """How many letters to try at once."""
        return 1 if self.failures >= _FAILURES_TO_OPEN else batch

    def succeeded(self) -> Circuit:
        return Circuit()

    def failed(self, now: datetime, retry_after: float | None, jitter: float) -> Circuit:
        """A receiver that asks for a pause gets it at once; one that fails several times in a row is left alone for
        a while.
        """
        failures = self.failures + 1
        if failures < _FAILURES_TO_OPEN and retry_after is None:
            return Circuit(failures)
        return Circuit(failures, now + timedelta(seconds=wait(failures, retry_after, jitter)))
