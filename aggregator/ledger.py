"""Which windows must be computed, when, and whether they are final. Pure: the shell `lines` tells it what happened.

A window is *dirty* when something arrived that its line does not show, *open* when its line stands in the store as not
final. The rule behind every decision: **a dirty window that is not open has no trace in the store**, so it is computed
at once and the cursor waits for it; an open one may wait for its next refresh, because a restart finds it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from core.timeseries.fields import Kind
from core.timeseries.policy import LINES, Policy
from core.timeseries.store import Level

_PARENT = {Level.MINUTE: Level.HOUR, Level.HOUR: Level.DAY}
_CHILD = {parent: child for child, parent in _PARENT.items()}


class Window(NamedTuple):
    """Ordered by time."""

    start: float
    end: float
    kind: Kind
    level: Level


class Ledger:
    """What is dirty, what is open, and how far each kind has come.

    `lag`: seconds after the newest sample of a kind during which a window of it stays open for stragglers. `horizon`:
    when data stop, a window is final this many seconds after its end.
    """

    def __init__(self, policy: Policy, horizon: float, lag: float) -> None:
        self._policy = policy
        self._horizon = horizon
        self._lag = lag
        self._newest = dict.fromkeys(Kind, float("-inf"))
        self._dirty: dict[Level, set[Window]] = {level: set() for level in LINES}
        self._open: dict[Level, dict[Window, float]] = {level: {} for level in LINES}

    def window(self, level: Level, kind: Kind, instant: float) -> Window:
        start = self._policy.start(level, instant)
        return Window(start, self._policy.next(level, start), kind, level)

    def seen(self, kind: Kind, instant: float) -> None:
        """A sample of this time is in the store: the watermark may rise."""
        self._newest[kind] = max(self._newest[kind], instant)

    def touch(self, window: Window) -> None:
        self._dirty[window.level].add(window)

    def found_open(self, window: Window) -> None:
        """At a restart: a line that is not final. What it lacks is unknown, so it is dirty too."""
        self._open[window.level][window] = float("-inf")
        self.touch(window)

    def in_time(self, window: Window, now: float) -> bool:
        """Whether samples for it may still come: neither the watermark nor the wall clock has left it behind."""
        return window.end > self._newest[window.kind] - self._lag and now < window.end + self._horizon

    def is_final(self, window: Window, now: float) -> bool:
        """In time no more, and everything that it is computed from is final too."""
        return not self.in_time(window, now) and not self._waits_for_child(window)

    def _waits_for_child(self, window: Window) -> bool:
        child = _CHILD.get(window.level)
        if child is None:
            return False
        waiting = (*self._dirty[child], *self._open[child])
        return any(other.kind is window.kind and window.start <= other.start < window.end for other in waiting)

    def due(self, level: Level, now: float, elapsed: float) -> list[Window]:
        """What to compute now, oldest first. `now` is the wall clock, `elapsed` the monotonic one."""
        open_, refresh = self._open[level], self._policy.resolutions[level].refresh
        ripe = {window for window in open_ if self.is_final(window, now)}
        waiting = (window for window in self._dirty[level] if window not in open_ or elapsed - open_[window] >= refresh)
        return sorted(ripe.union(waiting))

    def written(self, window: Window, *, final: bool, elapsed: float) -> None:
        """Its line is durable. The window above it is dirty now."""
        self._dirty[window.level].discard(window)
        if final:
            self._open[window.level].pop(window, None)
        else:
            self._open[window.level][window] = elapsed
        if parent := _PARENT.get(window.level):
            self.touch(self.window(parent, window.kind, window.start))

    def without_samples(self, window: Window) -> None:
        """Nothing is left to compute it from: what stands in the store stays."""
        self._dirty[window.level].discard(window)
        self._open[window.level].pop(window, None)

    def pending(self, level: Level) -> int:
        """Dirty windows without a trace in the store."""
        return len(self._dirty[level] - self._open[level].keys())

    def settled(self) -> bool:
        """Whether a restart would find everything that is still to be done."""
        return not any(self.pending(level) for level in LINES)

    def oldest_unfinished(self, level: Level) -> float:
        """The start of the oldest window that is dirty or open; infinity when there is none."""
        return min((window.start for window in self._unfinished(level)), default=float("inf"))

    def overdue(self, level: Level, now: float) -> float:
        """Seconds since the end of the oldest unfinished window; 0 when none has ended."""
        oldest = min((window.end for window in self._unfinished(level)), default=now)
        return max(0.0, now - oldest)

    def _unfinished(self, level: Level) -> Iterable[Window]:
        return self._dirty[level].union(self._open[level])
