"""Wakes the workers of this process when it has accepted a task, so that none waits for the next look at the queue.
Other processes look once a second."""

from __future__ import annotations

import threading


class Bell:
    """Rung after a commit. Whoever listens counts the rings that he has heard, so none is lost in between."""

    def __init__(self) -> None:
        self._rung = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        return self._count

    def ring(self) -> None:
        with self._rung:
            self._count += 1
            self._rung.notify_all()

    def wait(self, heard: int, seconds: float) -> None:
        """Until it has rung more often than `heard` times, or so many seconds."""
        with self._rung:
            self._rung.wait_for(lambda: self._count != heard, seconds)


BELL = Bell()
