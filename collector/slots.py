"""When each target is scraped: on a grid of its own, anchored to absolute time.

The slots of a target are `k * interval + offset`, where the offset is a hash of its id and the installation's seed:
spread over the interval, the same after a restart or a reload, different in two installations that watch the same
hosts. A loop that comes late takes the newest slot that is due and counts the others as missed; it never runs a burst
to catch up.

Offsets lie on a raster of 1/400 of the interval (not finer than 5 ms), so that the timer fires a few times a second
and not once per target.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

RASTER: Final = 400
FINEST: Final = 0.005


@dataclass(frozen=True, slots=True)
class Slot:
    """A scrape to make now. `scheduled`: epoch seconds; `missed`: slots of this target that were skipped before it."""

    target: str
    scheduled: float
    missed: int


class Slots:
    """All times are epoch seconds, handed in."""

    def __init__(self, interval: float, seed: int) -> None:
        self.interval = interval
        self._key = seed.to_bytes(8, "big", signed=True)
        self._armed: dict[str, int] = {}
        self._offsets: dict[str, float] = {}
        self._heap: list[tuple[float, str, int]] = []

    def __len__(self) -> int:
        return len(self._armed)

    def offset(self, target: str) -> float:
        """Seconds into the interval, the same for ever."""
        number = int.from_bytes(blake2b(target.encode(), digest_size=8, key=self._key).digest(), "big")
        steps = max(1, min(RASTER, int(self.interval / FINEST)))
        return number % steps * (self.interval / steps)

    def add(self, target: str, now: float) -> None:
        """Its first slot is the first one after `now`."""
        self._offsets[target] = self.offset(target)
        self._arm(target, self._count(target, now) + 1)

    def remove(self, target: str) -> None:
        self._armed.pop(target, None)
        self._offsets.pop(target, None)

    def due(self, now: float) -> Iterator[Slot]:
        """The slots whose time has come; each target at most once."""
        while self._heap and self._heap[0][0] <= now:
            _, target, armed = heapq.heappop(self._heap)
            if self._armed.get(target) != armed:
                continue
            newest = max(self._count(target, now), armed)
            self._arm(target, newest + 1)
            yield Slot(target, self._time(target, newest), newest - armed)

    def next(self) -> float | None:
        """When the next slot is due; None without targets."""
        while self._heap and self._armed.get(self._heap[0][1]) != self._heap[0][2]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def rebase(self, now: float) -> None:
        """The wall clock was set: everybody's next slot is the first one after `now`, and none was missed."""
        self._heap.clear()
        for target in self._armed:
            self._arm(target, self._count(target, now) + 1)

    def _arm(self, target: str, number: int) -> None:
        self._armed[target] = number
        heapq.heappush(self._heap, (self._time(target, number), target, number))

    def _time(self, target: str, number: int) -> float:
        return number * self.interval + self._offsets[target]

    def _count(self, target: str, now: float) -> int:
        """The number of the newest slot that is not after `now`; rounding never makes it a slot of the future."""
        number = math.floor((now - self._offsets[target]) / self.interval) + 1
        while self._time(target, number) > now:
            number -= 1
        return number


def align(scheduled: float, actual: float, interval: float) -> float:
    """The time that a sample gets: the scheduled one if the scrape began at most interval/20 (and 100 ms) late, else
    the true one.

    Prometheus allows 2 ms; an event loop that shares its process with rollups is rarely that punctual, and windows
    whose samples stand on the grid have an exact count. Rates do not depend on it: they use the true moments.
    """
    return scheduled if 0 <= actual - scheduled <= min(interval / 20, 0.1) else actual
