"""A task in the hands of one worker, and the condition under which it is still there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Update, update

from core.sealing import Sealed
from core.tasks.rows import Argument, Task, TaskState


class Overtaken(Exception):
    """The task was taken from its worker: nothing that it does counts any more."""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What a task is about, for those who carry it out or take it back. `tenant_id` is that of the object."""

    id: str
    kind: str
    object_id: str
    tenant_id: str | None
    arguments: Mapping[str, Argument]

    def text(self, name: str) -> str:
        """A text among the arguments."""
        value = self.arguments[name]
        assert isinstance(value, str), f"BUG: {self.kind} was submitted with {name}={value!r}"
        return value

    def number(self, name: str) -> int:
        """A number among the arguments."""
        value = self.arguments[name]
        assert isinstance(value, int), f"BUG: {self.kind} was submitted with {name}={value!r}"
        return value


@dataclass(frozen=True, slots=True)
class Claim:
    """`ending`, `reason`: the end that has been decided already; then only the object is put right."""

    number: int
    facts: TaskFacts
    sealed: Sealed | None
    owner: str
    fence: int
    created_at: datetime
    started_at: datetime
    deadline: datetime
    ending: TaskState | None
    reason: str
    settlements: int


def still_held(claim: Claim) -> Update:
    """An UPDATE of the claimed task that changes nothing once somebody else has it."""
    return update(Task).where(
        Task.number == claim.number,
        Task.state == TaskState.RUNNING,
        Task.owner == claim.owner,
        Task.fence == claim.fence,
    )


def facts(task: Task) -> TaskFacts:
    return TaskFacts(task.id, task.kind, task.object_id, task.tenant_id, task.arguments)
