"""What becomes of the tasks of dead servers, and of those that are over time: a pure plan.

The plan only decides; carrying it out is a compare-and-set for each task (`core.tasks.keeping`), so that two servers
that make the same plan do no harm, and a plan that is stale does nothing. It is made at the start of a server and again
and again afterwards: a peer may die later.

A task that never ran has changed nothing but the database, and is taken back there at once, or put back into the queue
when it has to be carried out (`Kind.withdraw`). One that ran may have changed anything: it is marked with how it will
end, and handed to the workers, who ask the driver what is true.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from core.tasks.rows import TaskState
from core.tasks.servers import Life

LOST: Final = "the server stopped before it ran; what it held was given back"
ABORTED: Final = "the server stopped while it ran; its object was set to what is true of it"
TIMED_OUT: Final = "it took longer than its time limit"

GRACE: Final = timedelta(seconds=15)
"""A step that learns of its deadline gets so long to stop by itself, before the task is taken from it."""


class AfterRestart(StrEnum):
    LOSE = "lose"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Unended:
    """A task as the plan sees it."""

    number: int
    kind: str
    state: TaskState
    ending: TaskState | None
    owner: str | None
    fence: int
    deadline: datetime | None


class Deed(StrEnum):
    """LOSE: end it as lost, now. RESUME: put it back into the queue, for any server. ABORT, TIME_OUT: take it from its
    owner, to be settled with that end. SETTLE: take it from its owner, to be settled with the end that was decided."""

    LOSE = "lost"
    RESUME = "resumed"
    ABORT = "aborted"
    TIME_OUT = "timed_out"
    SETTLE = "settled"


@dataclass(frozen=True, slots=True)
class Action:
    task: Unended
    deed: Deed


@dataclass(frozen=True, slots=True)
class Plan:
    """`buried`: dead servers that own no task any more. `foreign`: tasks of dead servers of another version, left to
    its servers."""

    actions: tuple[Action, ...]
    buried: tuple[str, ...]
    foreign: int


def plan(
    tasks: Iterable[Unended],
    life: Mapping[str, Life],
    known: Collection[str],
    after: AfterRestart,
    now: datetime,
    binding: Collection[str] = (),
) -> Plan:
    """`life`: of every server that has a row; an owner without one is dead. `binding`: kinds that are never lost."""
    actions, owners, foreign = [], set(), 0
    for task in tasks:
        deed = _deed(task, life, AfterRestart.RESUME if task.kind in binding else after, now)
        if task.owner is not None:
            owners.add(task.owner)
        if deed is None:
            continue
        if task.kind in known:
            actions.append(Action(task, deed))
        else:
            foreign += 1
    buried = sorted(server for server, state in life.items() if state is Life.DEAD and server not in owners)
    return Plan(tuple(actions), tuple(buried), foreign)


def _deed(task: Unended, life: Mapping[str, Life], after: AfterRestart, now: datetime) -> Deed | None:
    if task.owner is None:
        return None
    dead = life.get(task.owner, Life.DEAD) is Life.DEAD
    if task.state is TaskState.QUEUED:
        return None if not dead else Deed.RESUME if after is AfterRestart.RESUME else Deed.LOSE
    over = task.deadline is not None and now >= task.deadline + GRACE
    if task.ending is not None:
        return Deed.SETTLE if dead or over else None
    return Deed.ABORT if dead else Deed.TIME_OUT if over else None
