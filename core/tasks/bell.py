"""Wakes a worker of this process when there is something to do, so that no worker looks at the queue in vain.

The race: it rings while a worker looks and finds nothing yet. A ring stays until somebody has heard it, so that worker
hears it at once. One ring wakes one worker; whoever takes a task and has seen another rings for the next.
"""

from __future__ import annotations

import threading


class Bell:
    """Threads share it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rung = False

    def ring(self) -> None:
        with self._changed:
            self._rung = True
            self._changed.notify()

    def wait(self, seconds: float) -> bool:
        """Whether it has rung by then, for nobody else."""
        with self._changed:
            heard = self._changed.wait_for(lambda: self._rung, seconds)
            self._rung = False
            return heard


BELL = Bell()
