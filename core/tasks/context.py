"""What a step is given: its task, the database, the driver, and the ways to say and to learn how it stands.

The worst moment: the step is taken from its worker (its time was up, or its server seemed dead) while it runs on. Every
transaction that it opens to write therefore begins with the question whether the task is still its own, and holds the
task's row until it commits; `Overtaken` ends a step whose task is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select

from core.clock import Clock
from core.db.engine import Database
from core.db.guarded import changed
from core.db.session import PlatformSession
from core.drivers.compute import ComputeDriver, Stopped
from core.sealing import Place, sealing_keys
from core.settings import Settings
from core.tasks.claims import Claim, Overtaken, TaskFacts, still_held
from core.tasks.rows import Task, TaskState

_LOOK_EVERY: Final = 0.5
_TELL_EVERY: Final = 1.0
"""Seconds between two readings and two writings of the task's row, however often a driver asks and tells."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What all tasks of a process run on."""

    database: Database
    driver: ComputeDriver
    clock: Clock
    settings: Settings


class TaskContext:
    """One task under way, for the thread that runs it. It is the `Watch` that long calls of a driver ask for."""

    def __init__(self, runtime: Runtime, claim: Claim, within: timedelta) -> None:
        """`within`: the time from now until the step is to stop."""
        self.task: TaskFacts = claim.facts
        self.driver: ComputeDriver = runtime.driver
        self.clock: Clock = runtime.clock
        self.settings: Settings = runtime.settings
        self._database = runtime.database
        self._claim = claim
        self._until = runtime.clock.monotonic() + within.total_seconds()
        self._looked_at: float | None = None
        self._told_at: float | None = None
        self._cancelled = False
        self._secrets: dict[str, str] | None = None

    def read(self) -> AbstractContextManager[PlatformSession]:
        """A transaction that sees everything and writes nothing. Keep it short: no driver call inside."""
        return self._database.platform()

    @contextmanager
    def write(self) -> Iterator[PlatformSession]:
        """A transaction of the step's own. Raises Overtaken. Keep it short: no driver call inside."""
        with self._database.platform(write=True) as session:
            if not changed(session, still_held(self._claim).values(fence=self._claim.fence)):
                raise Overtaken
            yield session

    def secret(self, name: str) -> str:
        """A secret that was submitted with the task."""
        if self._secrets is None:
            assert self._claim.sealed is not None, f"BUG: {self.task.kind} was submitted without secrets"
            opened = sealing_keys(self.settings).open(self._claim.sealed, place_of_secrets(self.task.id))
            self._secrets = json.loads(opened)
        return self._secrets[name]

    def progress(self, percent: float) -> None:
        """0-100 of the whole task; one that would go back is passed over. Raises Overtaken."""
        now = self.clock.monotonic()
        if self._told_at is not None and now - self._told_at < _TELL_EVERY:
            return
        self._told_at = now
        whole = max(0, min(99, int(percent)))
        with self.write() as session:
            changed(session, still_held(self._claim).where(Task.progress < whole).values(progress=whole))

    def part(self, begin: float, end: float) -> Part:
        """The watch of a driver's call that is this part, in percent, of the task."""
        return Part(self, begin, end)

    def stopping(self) -> bool:
        """Somebody cancelled the task, its time is up, or it was taken from us."""
        try:
            return self.cancelled() or self.is_over_time()
        except Overtaken:
            return True

    def is_over_time(self) -> bool:
        return self.clock.monotonic() >= self._until

    def cancelled(self) -> bool:
        """Somebody cancelled it: known within half a second. Raises Overtaken."""
        now = self.clock.monotonic()
        if not self._cancelled and (self._looked_at is None or now - self._looked_at >= _LOOK_EVERY):
            self._looked_at = now
            self._cancelled = self._look()
        return self._cancelled

    def check(self) -> None:
        """Between two calls of the driver: raises Stopped when the step is to stop, Overtaken when it is too late."""
        if self.cancelled():
            raise Stopped("it was cancelled")
        if self.is_over_time():
            raise Stopped("its time is up")

    def _look(self) -> bool:
        claim = self._claim
        with self.read() as session:
            row = session.execute(
                select(Task.cancel_requested, Task.state, Task.owner, Task.fence).where(Task.number == claim.number)
            ).one()
        requested, *held = row
        if held != [TaskState.RUNNING, claim.owner, claim.fence]:
            raise Overtaken
        return requested and claim.ending is None


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a task's progress."""

    context: TaskContext
    begin: float
    end: float

    def progress(self, percent: float) -> None:
        self.context.progress(self.begin + (self.end - self.begin) * percent / 100)

    def stopping(self) -> bool:
        return self.context.stopping()


def place_of_secrets(task_id: str) -> Place:
    return Place("task", "sealed", task_id)
