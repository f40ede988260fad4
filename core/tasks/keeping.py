"""Keeping the tasks: a sign of life, the recovery of what dead servers left, time limits, retention, gauges.

It talks to the database only, and never to a driver: nothing that hangs can keep this server from beating.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import delete, func, or_, select, update

from core.clock import Clock
from core.db.engine import Database
from core.db.guarded import changed
from core.settings import Settings
from core.tasks import kinds, metrics, queue, servers
from core.tasks.bell import BELL
from core.tasks.recovery import ABORTED, LOST, TIMED_OUT, Action, AfterRestart, Deed, Unended, plan
from core.tasks.rows import Task, TaskState
from core.tasks.servers import Life, Observer

_ENDINGS: Final[Mapping[Deed, Mapping[str, object]]] = {
    Deed.ABORT: {"ending": TaskState.ABORTED, "reason": ABORTED},
    Deed.TIME_OUT: {"ending": TaskState.TIMED_OUT, "reason": TIMED_OUT},
}
_AT_ONCE: Final = 500
"""Ended tasks that are forgotten in one transaction."""

_log = structlog.get_logger(__name__)


class Keeper:
    """For one thread."""

    def __init__(self, database: Database, clock: Clock, settings: Settings) -> None:
        self._database = database
        self._clock = clock
        self._after = AfterRestart(settings.tasks_after_restart)
        self._retention = timedelta(days=settings.task_retention)
        self._observer = Observer(settings.task_server_timeout)

    def recover(self) -> None:
        """Decide what becomes of tasks whose servers are dead or whose time is up. Raises OperationalError."""
        life = self._observer.look(self._database, self._clock.monotonic())
        now = self._clock.now()
        wanted = plan(self._unended(life), life, kinds.known(), self._after, now, kinds.binding())
        for action in wanted.actions:
            if self._carry_out(action, now):
                metrics.RECOVERED.labels(action.deed).inc()
                _log.warning("task_recovered", number=action.task.number, kind=action.task.kind, deed=action.deed)
        for server in wanted.buried:
            servers.bury(self._database, server)
        if wanted.foreign:
            _log.warning("tasks_of_another_version", count=wanted.foreign)
        if wanted.actions:
            BELL.ring()
        metrics.SERVERS.set(sum(state is Life.ALIVE for state in life.values()))

    def forget(self) -> None:
        """Delete tasks that ended longer ago than the retention, some at a time."""
        old = Task.ended_at < self._clock.now() - self._retention
        with self._database.platform() as session:
            numbers = session.scalars(select(Task.number).where(old).limit(_AT_ONCE)).all()
        if numbers:
            with self._database.platform(write=True) as session:
                session.execute(delete(Task).where(Task.number.in_(numbers)))
            metrics.FORGOTTEN.inc(len(numbers))

    def measure(self) -> None:
        """Set the gauges."""
        settling = Task.ending.is_not(None)
        with self._database.platform() as session:
            found = session.execute(
                select(Task.state, settling, func.count(), func.min(Task.created_at))
                .where(Task.state.in_((TaskState.QUEUED, TaskState.RUNNING)))
                .group_by(Task.state, settling)
            ).all()
        counts: Counter[str] = Counter()
        for state, ending, count, _ in found:
            counts["settling" if ending else state.name.lower()] += count
        for name in ("queued", "running", "settling"):
            metrics.TASKS.labels(name).set(counts[name])
        oldest = [since for state, _, _, since in found if state is TaskState.QUEUED]
        metrics.OLDEST.set(max(0.0, (self._clock.now() - min(oldest)).total_seconds()) if oldest else 0.0)

    def _unended(self, life: Mapping[str, Life]) -> list[Unended]:
        """All that run, and what is queued by servers that do not live."""
        living = [server for server, state in life.items() if state is Life.ALIVE]
        orphaned = (Task.state == TaskState.QUEUED) & Task.owner.not_in(living)
        columns = select(Task.number, Task.kind, Task.state, Task.ending, Task.owner, Task.fence, Task.deadline)
        with self._database.platform() as session:
            found = session.execute(columns.where(or_(Task.state == TaskState.RUNNING, orphaned)).order_by(Task.number))
            return [Unended(*row) for row in found]

    def _carry_out(self, action: Action, now: datetime) -> bool:
        """False: meanwhile somebody else had to do with the task."""
        seen = action.task
        own = (Task.number == seen.number, Task.state == seen.state, Task.owner == seen.owner, Task.fence == seen.fence)
        with self._database.platform(write=True) as session:
            if action.deed is Deed.LOSE:
                task = session.scalars(select(Task).where(*own).with_for_update()).one_or_none()
                return task is not None and queue.end_queued(session, task, TaskState.LOST, LOST, now)
            if action.deed is Deed.RESUME:
                return changed(session, update(Task).where(*own).values(owner=None))
            freed = {"owner": None, "fence": Task.fence + 1, "retry_at": now, **_ENDINGS.get(action.deed, {})}
            return changed(session, update(Task).where(*own).values(freed))
