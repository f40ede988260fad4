"""Keeps the lines: reads what arrived, computes minutes, hours and days, writes them, deletes what is too old. The
shell of `ledger` (what is to be done) and `rollup` (how).

Worst moments, and where they are closed:

* killed between writing lines and moving the cursor: the same windows are computed again, to the same digits;
* killed between a minute and its hour: the cursor has not moved, so the minute is touched again and its hour with it;
* killed while a window is open: the mark `lines.open.<level>`, written before the cursor, says where to look for open
  lines;
* a late sample for a minute whose other samples retention has deleted would replace a whole line by a fragment: the
  mark `lines.deleted`, written before deleting, makes such a minute refused and counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import structlog

from aggregator.ledger import Ledger, Window
from aggregator.metrics import LATE, PENDING, PRUNED, ROLLUP_LAG, STEP_SECONDS, WINDOWS
from aggregator.rollup import Fold, roll_samples
from core.clock import Clock
from core.timeseries.fields import Kind
from core.timeseries.policy import LINES, MINUTE, Policy
from core.timeseries.store import Level, Lines, TimeSeriesStore, Touched

_CURSOR = "lines.cursor"
_DELETED = "lines.deleted"
_NONE_OPEN = 2.0**53
_FINER = {Level.HOUR: Level.MINUTE, Level.DAY: Level.HOUR}
_CHUNKS = 6

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a step did: windows written, and how many are still to be done before everything that arrived is in its
    lines.
    """

    windows: int
    pending: int


class LineKeeper:
    """One per store.

    `horizon`: seconds that a sample may be late; `lag`: seconds after the newest sample of a kind until a window is
    called final; `limit`: windows of a level computed in one step, so that catching up never holds up the rest.
    """

    def __init__(
        self,
        store: TimeSeriesStore,
        policy: Policy,
        clock: Clock,
        horizon: float = 3600.0,
        lag: float = 10.0,
        limit: int = 60,
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._horizon = horizon
        self._limit = limit
        self._ledger = Ledger(policy, horizon, lag)
        self._folds: dict[Window, tuple[Fold, float]] = {}
        self._marks: dict[str, float] = {}
        self._cursor: int | None = None
        self._caught_up = False
        self._deleted = 0.0
        self._swept = float("-inf")

    def step(self) -> Progress:
        """One round; the next goes on where this one stopped. Raises StoreUnavailable.

        (1) Take what arrived, (2) compute the minutes due, then hours, then days, (3) move the marks, (4) delete what
        is too old.
        """
        with STEP_SECONDS.time():
            now = self._clock.now().timestamp()
            self._take(self._recovered(), now)
            done = sum(self._advance(level, now) for level in LINES)
            self._move_marks()
            self._sweep(now)
        for level in LINES:
            ROLLUP_LAG.labels(level).set(self._ledger.overdue(level, now))
            PENDING.labels(level).set(self._ledger.pending(level))
        return Progress(done, sum(self._ledger.pending(level) for level in LINES))

    def _recovered(self) -> int:
        """The cursor; at the first step after a start also the watermarks and the lines that are not final."""
        if self._cursor is None:
            self._see(self._store.touched(0))
            for window in self._open_lines():
                self._ledger.found_open(window)
            self._deleted = self._store.mark(_DELETED) or 0.0
            self._cursor = int(self._store.mark(_CURSOR) or 0)
        return self._cursor

    def _open_lines(self) -> Iterator[Window]:
        for level in LINES:
            start = self._store.mark(_open_mark(level))
            if start is not None:
                for kind in Kind:
                    for lines in self._store.read_lines(level, kind, start, _NONE_OPEN):
                        if not lines.final:
                            yield self._ledger.window(level, kind, lines.start)

    def _take(self, cursor: int, now: float) -> None:
        touched = self._store.touched(cursor)
        for kind, minute in touched.minutes:
            window = self._ledger.window(Level.MINUTE, kind, minute)
            if self._count_late(window, now):
                self._ledger.touch(window)
        self._see(touched)
        self._cursor = touched.cursor

    def _see(self, touched: Touched) -> None:
        for kind, newest in touched.newest.items():
            self._ledger.seen(kind, newest)

    def _count_late(self, window: Window, now: float) -> bool:
        """Whether the window can still be computed."""
        if window.start < self._deleted:
            LATE.labels("raw_deleted").inc()
            _log.info("late_samples_refused", kind=window.kind, window=window.start, kept_from=self._deleted)
            return False
        if self._caught_up and not self._ledger.in_time(window, now):
            LATE.labels("beyond_horizon" if now >= window.end + self._horizon else "recomputed").inc()
        return True

    def _advance(self, level: Level, now: float) -> int:
        elapsed = self._clock.monotonic()
        due = self._ledger.due(level, now, elapsed)[: self._limit]
        for window in due:
            lines = self._minute(window) if level is Level.MINUTE else self._coarser(window)
            if len(lines):
                final = self._ledger.is_final(window, now)
                self._store.write_lines(level, [replace(lines, final=final)])
                self._ledger.written(window, final=final, elapsed=elapsed)
                self._forget_folds(window, final=final)
                WINDOWS.labels(level).inc()
            else:
                self._ledger.without_samples(window)
                self._folds.pop(window, None)
        return len(due)

    def _minute(self, window: Window) -> Lines:
        frame = self._store.read(window.kind, window.start, window.end)
        return roll_samples(frame, window.start, window.end, self._policy.expected(window.level, window.start))

    def _coarser(self, window: Window) -> Lines:
        """From the finer lines; what is final stays added up: an unfinished hour costs one minute, not sixty."""
        finer = _FINER[window.level]
        fold, until = self._folds.pop(window, (Fold(window.kind), window.start))
        tail: Fold | None = None
        for lines in self._finer_lines(window, until):
            if tail is None and lines.final:
                fold.add(lines)
                until = self._policy.next(finer, lines.start)
            else:
                tail = fold.copy() if tail is None else tail
                tail.add(lines)
        self._folds[window] = (fold, until)
        return (tail or fold).lines(window.start, self._policy.expected(window.level, window.start))

    def _finer_lines(self, window: Window, start: float) -> Iterator[Lines]:
        """Oldest first, a part of the window at a time: an hour of minutes of everything would be hundreds of
        megabytes.
        """
        span = (window.end - window.start) / _CHUNKS
        while start < window.end:
            end = min(start + span, window.end)
            yield from self._store.read_lines(_FINER[window.level], window.kind, start, end)
            start = end

    def _forget_folds(self, window: Window, *, final: bool) -> None:
        """A finished window needs no sum any more; a rewritten one makes the sums wrong that already hold it."""
        if final:
            self._folds.pop(window, None)
        stale = [
            other
            for other, (_, until) in self._folds.items()
            if _FINER[other.level] is window.level
            and other.kind is window.kind
            and other.start <= window.start < min(until, other.end)
        ]
        for other in stale:
            del self._folds[other]

    def _move_marks(self) -> None:
        for level in LINES:
            self._set_mark(_open_mark(level), min(self._ledger.oldest_unfinished(level), _NONE_OPEN))
        if self._ledger.settled() and self._cursor is not None:
            self._set_mark(_CURSOR, self._cursor)
            self._caught_up = True

    def _set_mark(self, name: str, value: float) -> None:
        if self._marks.get(name) != value:
            self._store.set_mark(name, value)
            self._marks[name] = value

    def _sweep(self, now: float) -> None:
        """Once a minute, and never samples whose minute is not finished: after a downtime they are computed first."""
        if self._clock.monotonic() - self._swept < MINUTE or not self._ledger.settled():
            return
        self._swept = self._clock.monotonic()
        kept_from = self._policy.start(Level.MINUTE, self._policy.kept_from(Level.RAW, now))
        self._deleted = max(self._deleted, min(kept_from, self._ledger.oldest_unfinished(Level.MINUTE)))
        self._set_mark(_DELETED, self._deleted)
        PRUNED.labels(Level.RAW).inc(self._store.prune(Level.RAW, self._deleted))
        for level in LINES:
            PRUNED.labels(level).inc(self._store.prune(level, self._policy.kept_from(level, now)))


def _open_mark(level: Level) -> str:
    return f"lines.open.{level}"
