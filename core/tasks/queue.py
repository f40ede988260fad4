"""The queue: submit, claim, decide how a task ends, finish it.

Who submits does so in the transaction that writes everything else: the task, the locks, the quota and the rows of new
objects are there together or not at all. Every transaction takes its rows in one order, so that no two wait for each
other: task, host, VM (by id), disk and NIC, quota, address.

A claim is one statement on both databases: the oldest queued task whose object has nothing running and nothing older
queued. Two workers that choose the same one: one finds it taken (SQLite), or skips its locked row (PostgreSQL); two
that choose two tasks of one object: `uq_task_running` refuses one. Owner and fence stand in the WHERE of every later
UPDATE (`core.tasks.claims`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from sqlalchemy import Select, and_, bindparam, event, exists, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from core.context import Context
from core.db.engine import Database
from core.db.guarded import changed
from core.ids import new_id
from core.sealing import sealing_keys
from core.tasks import kinds, metrics
from core.tasks.bell import BELL
from core.tasks.claims import Claim, Overtaken, facts, still_held
from core.tasks.context import place_of_secrets
from core.tasks.kinds import Kind
from core.tasks.rows import Argument, Task, TaskState

SETTLE_WITHIN: Final = timedelta(minutes=5)
"""Until another worker may take a settlement over."""

_FIRST_RETRY: Final = timedelta(seconds=1)
_LONGEST_RETRY: Final = timedelta(minutes=1)
_SUBMITTED: Final = "submitted_tasks"


def submit(
    at: Context,
    kind: Kind,
    object_id: str,
    tenant_id: str | None,
    arguments: Mapping[str, Argument] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> str:
    """One more task, in the caller's transaction; its id, for the locks that it is to hold (`core.compute.locks`).

    `tenant_id`: of the object. `arguments` are readable by everybody who reads the database; `secrets` are not, and
    gone when the task has ended.
    """
    id_ = new_id("task")
    sealed = sealing_keys(at.settings).seal(json.dumps(dict(secrets)), place_of_secrets(id_)) if secrets else None
    task = Task(
        id=id_, tenant_id=tenant_id, kind=kind.name, object_type=kind.target.type, object_id=object_id,
        state=TaskState.QUEUED, created_at=at.clock.now(), owner=at.server_id, arguments=dict(arguments or {}),
        sealed=sealed,
    )  # fmt: skip
    at.session.add(task)
    at.session.flush()
    at.session.info.setdefault(_SUBMITTED, []).append(id_)
    event.listen(at.session, "after_commit", _accepted(kind.name), once=True)
    return id_


def submitted(session: Session) -> tuple[str, ...]:
    """The ids of the tasks that were submitted in this session."""
    return tuple(session.info.get(_SUBMITTED, ()))


def claim(database: Database, server_id: str, now: datetime) -> Claim | None:
    """The next task for a worker of this server: one that is to be settled, or else one that is queued. None: there is
    nothing to do, or another worker was faster.

    It looks before it takes, for a look needs no lock on SQLite. When it saw more than it took, it rings for the next
    worker.
    """
    known = kinds.known()
    with database.platform() as session:
        unsettled, queued = _waiting(session, known, now)
    for numbers, waiting in ((unsettled, _unsettled(known)), (queued, _queued(known))):
        if numbers and (taken := _take(database, waiting, server_id, now)) is not None:
            if len(unsettled) + len(queued) > 1:
                BELL.ring()
            return taken
    return None


def has_work(database: Database, now: datetime) -> bool:
    """Whether there is something that a worker could claim."""
    with database.platform() as session:
        return any(_waiting(session, kinds.known(), now))


def decide(database: Database, claim: Claim, ending: TaskState, reason: str, now: datetime) -> Claim:
    """The task will end like this once its object is put right: from now on whatever happens to this server, too.
    Raises Overtaken."""
    deadline = now + SETTLE_WITHIN
    with database.platform(write=True) as session:
        if not changed(session, still_held(claim).values(ending=ending, reason=reason, deadline=deadline)):
            raise Overtaken
    return replace(claim, ending=ending, reason=reason, deadline=deadline)


def finish(session: Session, claim: Claim, state: TaskState, reason: str, now: datetime) -> None:
    """The task has ended, and its secrets are gone. To be followed, in the same transaction, by what it changed and
    by the release of its locks. Raises Overtaken."""
    ended = {"state": state, "reason": reason, "ended_at": now, "sealed": None}
    if state is TaskState.SUCCEEDED:
        ended["progress"] = 100
    if not changed(session, still_held(claim).values(ended)):
        raise Overtaken


def postpone(database: Database, claim: Claim, now: datetime) -> None:
    """Nobody could tell what is true of the object: any server may try again a little later."""
    pause = min(_FIRST_RETRY * 2 ** min(claim.settlements, 10), _LONGEST_RETRY)
    with database.platform(write=True) as session:
        changed(session, still_held(claim).values(owner=None, retry_at=now + pause))


def end_queued(session: Session, task: Task, state: TaskState, reason: str, now: datetime) -> bool:
    """A task that never ran ends: LOST or CANCELLED; what was written at its submission is taken back with it. False:
    it is not queued any more. Its kind must be known, and have a `withdraw`. Also in a tenant's session."""
    ended = (
        update(Task)
        .where(Task.number == task.number, Task.state == TaskState.QUEUED, Task.fence == task.fence)
        .values(state=state, reason=reason, ended_at=now, sealed=None)
    )
    if not changed(session, ended):
        return False
    kind = kinds.find(task.kind)
    assert kind is not None, f"BUG: nobody knows how to take back {task.kind}"
    assert kind.withdraw is not None, f"BUG: {task.kind} cannot be taken back"
    kind.withdraw(session, facts(task))
    kind.target.release(session, task.id)
    return True


def _waiting(session: Session, known: frozenset[str], now: datetime) -> tuple[Sequence[int], Sequence[int]]:
    """The next two, if there are so many, that are to be settled; and of those that are queued."""
    unsettled, queued = (
        session.scalars(waiting.with_only_columns(Task.number).limit(2), {"now": now}).all()
        for waiting in (_unsettled(known), _queued(known))
    )
    return unsettled, queued


def _take(database: Database, waiting: Select[Task], server_id: str, now: datetime) -> Claim | None:
    first = waiting.limit(1).with_for_update(skip_locked=True, of=Task)
    try:
        with database.platform(write=True) as session:
            task = session.scalars(first, {"now": now}).one_or_none()
            if task is None:
                return None
            kind = kinds.find(task.kind)
            assert kind is not None
            task.owner, task.fence = server_id, task.fence + 1
            if task.ending is None:
                task.state, task.started_at, task.deadline = TaskState.RUNNING, now, now + kind.limit
            else:
                task.settlements, task.deadline = task.settlements + 1, now + SETTLE_WITHIN
            session.flush()
            return _claim(task)
    except IntegrityError:
        return None


def _claim(task: Task) -> Claim:
    assert task.owner is not None
    assert task.started_at is not None
    assert task.deadline is not None
    return Claim(
        number=task.number, facts=facts(task), sealed=task.sealed, owner=task.owner, fence=task.fence,
        created_at=task.created_at, started_at=task.started_at, deadline=task.deadline, ending=task.ending,
        reason=task.reason, settlements=task.settlements,
    )  # fmt: skip


@cache
def _queued(known: frozenset[str]) -> Select[Task]:
    """The tasks that may start now, the oldest first. Kinds of another version are left for its servers."""
    other = aliased(Task)
    older = and_(other.state == TaskState.QUEUED, other.number < Task.number)
    blocked = exists().where(
        other.object_type == Task.object_type,
        other.object_id == Task.object_id,
        or_(other.state == TaskState.RUNNING, older),
    )
    own = (Task.state == TaskState.QUEUED, Task.kind.in_(sorted(known)))
    return select(Task).where(*own, ~blocked).order_by(Task.number)


@cache
def _unsettled(known: frozenset[str]) -> Select[Task]:
    """The tasks that are to be settled `now`."""
    due = Task.retry_at <= bindparam("now", type_=Task.retry_at.type)
    waiting = (Task.state == TaskState.RUNNING, Task.ending.is_not(None), Task.owner.is_(None), due)
    return select(Task).where(*waiting, Task.kind.in_(sorted(known))).order_by(Task.number)


def _accepted(kind: str) -> Callable[[Session], None]:
    def tell(_session: Session) -> None:
        metrics.SUBMITTED.labels(kind).inc()
        BELL.ring()

    return tell
