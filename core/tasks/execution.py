"""One claimed task, from its claim to its end. Every way it can go wrong ends here, and the task with it.

The worst moment is after the driver did its work and before the inventory says so: the process dies there, or the
transaction fails. The task is then not known to have succeeded, so `undo` asks the driver what is true and writes that.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import structlog
from sqlalchemy.exc import OperationalError

from core.drivers.compute import DriverFault, Stopped
from core.errors import Fault
from core.ids import new_id
from core.tasks import kinds, metrics, queue
from core.tasks.claims import Claim, Overtaken
from core.tasks.context import Runtime, TaskContext
from core.tasks.kinds import Kind, Write
from core.tasks.rows import TaskState

A = TypeVar("A")

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_log = structlog.get_logger(__name__)


def execute(runtime: Runtime, claim: Claim) -> None:
    """Run the task, and settle it when it does not succeed. Raises OperationalError when the database fails for longer
    than the task may take."""
    kind = kinds.find(claim.facts.kind)
    assert kind is not None, f"BUG: claimed without knowing {claim.facts.kind}"
    try:
        if claim.ending is None:
            metrics.WAITED.labels(kind.name).observe((claim.started_at - claim.created_at).total_seconds())
            ending = _run(runtime, claim, kind)
            if ending is None:
                return
            deciding = partial(queue.decide, runtime.database, claim, *ending, runtime.clock.now())
            claim = _insist(runtime, claim, deciding)
        _settle(runtime, claim, kind)
    except Overtaken:
        metrics.OVERTAKEN.labels(kind.name).inc()
        _log.warning("task_overtaken", task=claim.facts.id, kind=kind.name, fence=claim.fence)


def _run(runtime: Runtime, claim: Claim, kind: Kind) -> tuple[TaskState, str] | None:
    """None: it has succeeded, and everything is written."""
    context = TaskContext(runtime, claim, claim.deadline - runtime.clock.now())
    try:
        _finish(runtime, claim, kind, kind.run(context), (TaskState.SUCCEEDED, ""))
    except Overtaken:
        raise
    except Stopped as stop:
        return _stopped(context, stop)
    except (DriverFault, Fault) as problem:
        return TaskState.FAILED, _reason(problem)
    except OperationalError:
        return TaskState.FAILED, "the database was away while it ran"
    except Exception as error:  # noqa: BLE001 (a step's mistake must not take the worker and its other tasks along)
        return TaskState.FAILED, f"internal error, incident {_incident(claim, error)}"
    return None


def _stopped(context: TaskContext, stop: Stopped) -> tuple[TaskState, str]:
    if context.cancelled():
        return TaskState.CANCELLED, "cancelled while it ran"
    if context.is_over_time():
        return TaskState.TIMED_OUT, "it took longer than its time limit"
    return TaskState.FAILED, _reason(stop)


def _reason(problem: DriverFault | Fault) -> str:
    """As `Task.reason` has it: on the first line what everybody may read."""
    return f"{problem.public}\n{problem.inside}" if problem.inside else problem.public


def _settle(runtime: Runtime, claim: Claim, kind: Kind) -> None:
    """Put the object right and end the task as it was decided; when that fails, leave it for later."""
    assert claim.ending is not None
    try:
        write = kind.undo(TaskContext(runtime, claim, claim.deadline - runtime.clock.now()))
        _finish(runtime, claim, kind, write, (claim.ending, claim.reason))
    except Overtaken:
        raise
    except (DriverFault, Fault, OperationalError) as problem:
        _postpone(runtime, claim, kind, str(problem))
    except Exception as error:  # noqa: BLE001 (as above; it is repeated until it succeeds, and seen in the metrics)
        _postpone(runtime, claim, kind, f"incident {_incident(claim, error)}")


def _finish(runtime: Runtime, claim: Claim, kind: Kind, write: Write, end: tuple[TaskState, str]) -> None:
    _insist(runtime, claim, partial(_write_end, runtime, claim, kind, write, end))


def _insist(runtime: Runtime, claim: Claim, transaction: Callable[[], A]) -> A:
    """A transaction that failed for the database's reasons is repeated while the task is ours: if it was committed
    after all, that is noticed by its own condition. Nobody else would take the task from a server that lives before
    its time is over."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return transaction()
        except OperationalError as problem:
            if runtime.clock.now() >= claim.deadline:
                raise
            metrics.DATABASE_FAILURES.inc()
            _log.warning("task_waits_for_database", task=claim.facts.id, problem=str(problem.orig))
        threading.Event().wait(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _write_end(runtime: Runtime, claim: Claim, kind: Kind, write: Write, end: tuple[TaskState, str]) -> None:
    state, reason = end
    now = runtime.clock.now()
    with runtime.database.platform(write=True) as session:
        queue.finish(session, claim, state, reason, now)
        write(session)
        kind.target.release(session, claim.facts.id)
    metrics.DURATION.labels(kind.name, state.name.lower()).observe((now - claim.started_at).total_seconds())
    _log.info("task_ended", task=claim.facts.id, kind=kind.name, object=claim.facts.object_id,
              state=state.name.lower(), reason=reason)  # fmt: skip


def _postpone(runtime: Runtime, claim: Claim, kind: Kind, problem: str) -> None:
    metrics.SETTLEMENTS_FAILED.labels(kind.name).inc()
    _log.warning("task_settlement_failed", task=claim.facts.id, kind=kind.name, problem=problem)
    _insist(runtime, claim, partial(queue.postpone, runtime.database, claim, runtime.clock.now()))


def _incident(claim: Claim, error: Exception) -> str:
    incident = new_id("incident")
    metrics.CRASHES.labels(claim.facts.kind).inc()
    trace = "".join(traceback.format_exception(error))
    _log.error("task_crashed", incident=incident, task=claim.facts.id, kind=claim.facts.kind, trace=trace)
    return incident
