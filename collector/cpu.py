"""CPU time of threads: of one block, or of a whole thread split into phases, where what is not in a phase is the
rest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter


@contextmanager
def cpu_time(counter: Counter) -> Iterator[None]:
    """Adds to `counter` the CPU time that this thread spends in the block."""
    began = time.thread_time()
    try:
        yield
    finally:
        counter.inc(time.thread_time() - began)


class ThreadTime:
    """Used by the thread whose time it measures, and by no other."""

    def __init__(self) -> None:
        self._since = time.thread_time()
        self._in_phases = 0.0

    @contextmanager
    def phase(self, counter: Counter) -> Iterator[None]:
        """Adds what the block takes to `counter`. The block does not await."""
        before = time.thread_time()
        try:
            yield
        finally:
            spent = time.thread_time() - before
            self._in_phases += spent
            counter.inc(spent)

    def rest(self, counter: Counter) -> None:
        """Adds to `counter` what was spent outside the phases since the last call."""
        now = time.thread_time()
        counter.inc(max(now - self._since - self._in_phases, 0.0))
        self._since, self._in_phases = now, 0.0
