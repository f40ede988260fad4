"""What callers do with tasks: find them, and cancel them.

A tenant's session sees the tasks of its own objects; the platform sees all. The race: a worker claims the task in the
moment in which it is cancelled. The cancellation of a queued task is a compare-and-set on "queued": who comes second
finds it running, and asks the worker to stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from annotated_types import MaxLen
from sqlalchemy import select, update

from core.context import Context, Page
from core.db.guarded import changed
from core.db.search import exactly, only, page
from core.errors import Conflict
from core.paging import Paged
from core.tasks import kinds, queue
from core.tasks.rows import Task, TaskState

_CANCELLED = "cancelled before it ran; what it held was given back"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindTasks(Paged):
    """All given filters must hold. Accepted from `created_from` to `created_until`, both included."""

    id: Annotated[str, MaxLen(64)] | None = None
    state: TaskState | None = None
    object_id: Annotated[str, MaxLen(64)] | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRef:
    """One task."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDetails:
    """`name`: what is done, in English. `reason`: why it did not succeed; empty when it did, or has not ended.
    What names hosts is in it for the platform alone. `progress`: 0-100."""

    id: str
    name: str
    object_type: str
    object_id: str
    state: TaskState
    reason: str
    progress: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


def search(at: Context, find: FindTasks) -> Page[TaskDetails]:
    """Tasks, newest first."""
    columns = select(Task).where(
        *exactly(Task.id, find.id),
        *exactly(Task.state, find.state),
        *exactly(Task.object_id, find.object_id),
        *(() if find.created_from is None else (Task.created_at >= find.created_from,)),
        *(() if find.created_until is None else (Task.created_at <= find.created_until,)),
    )
    found = page(at, columns, find, order=(Task.number.desc(),))
    return Page(tuple(_details(at, task) for (task,) in found.rows), found.total)


def cancel(at: Context, ref: TaskRef) -> None:
    """A queued task ends at once, and what it held is given back; a running one is asked to stop, if its kind can.
    Asking again changes nothing. Raises NotFound, Conflict for a task that has ended or cannot be stopped."""
    task = only(at.session, select(Task).where(*exactly(Task.id, ref.id)), "task", ref.id)
    kind = kinds.find(task.kind)
    if kind is None:
        raise Conflict("task", task.id, "belongs to another version of the product")
    if task.state is TaskState.QUEUED and kind.withdraw is not None:
        if queue.end_queued(at.session, task, TaskState.CANCELLED, _CANCELLED, at.clock.now()):
            return
        at.session.refresh(task)
    if task.state.has_ended:
        raise Conflict("task", task.id, "has ended already")
    if task.ending is not None:
        raise Conflict("task", task.id, "is ending already")
    if not kind.cancellable:
        raise Conflict("task", task.id, "cannot be stopped once it runs")
    running = update(Task).where(Task.number == task.number, Task.state == TaskState.RUNNING, Task.ending.is_(None))
    if not changed(at.session, running.values(cancel_requested=True)):
        raise Conflict("task", task.id, "has ended already")


def _details(at: Context, task: Task) -> TaskDetails:
    kind = kinds.find(task.kind)
    public, _, inside = task.reason.partition("\n")
    reason = f"{public}: {inside}" if inside and at.caller.is_platform else public
    return TaskDetails(
        id=task.id, name=task.kind if kind is None else kind.title, object_type=task.object_type,
        object_id=task.object_id, state=task.state, reason=reason, progress=task.progress,
        created_at=task.created_at, started_at=task.started_at, ended_at=task.ended_at,
    )  # fmt: skip
