"""What becomes of the tasks of servers that died, by plan and in the database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from core.clock import VirtualClock
from core.settings import Settings
from core.tasks import rows
from core.tasks.context import Runtime
from core.tasks.engine import TaskEngine
from core.tasks.recovery import GRACE, AfterRestart, Deed, Unended, plan
from core.tasks.rows import Task, TaskState
from core.tasks.servers import Life, Server
from tests.support import tasks
from tests.support.tasks import Script, read, submit

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TASK = Unended(1, "known", TaskState.RUNNING, None, "dead", 1, NOW + timedelta(minutes=1))
LIFE = {"alive": Life.ALIVE, "dead": Life.DEAD}

endings = st.sampled_from([None, TaskState.FAILED, TaskState.CANCELLED, TaskState.TIMED_OUT])
anything = st.builds(
    Unended,
    number=st.integers(1, 1000),
    kind=st.sampled_from(["known", "foreign"]),
    state=st.sampled_from([TaskState.QUEUED, TaskState.RUNNING]),
    ending=endings,
    owner=st.sampled_from([None, "alive", "dead", "unheard-of"]),
    fence=st.integers(0, 3),
    deadline=st.integers(-3600, 3600).map(lambda seconds: NOW + timedelta(seconds=seconds)),
)


@pytest.mark.parametrize(
    ("task", "deed"),
    [
        (TASK, Deed.ABORT),
        (replace(TASK, owner="unheard-of"), Deed.ABORT),
        (replace(TASK, state=TaskState.QUEUED), Deed.LOSE),
        (replace(TASK, ending=TaskState.FAILED), Deed.SETTLE),
        (replace(TASK, owner="alive"), None),
        (replace(TASK, owner="alive", deadline=NOW - GRACE), Deed.TIME_OUT),
        (replace(TASK, owner="alive", deadline=NOW - GRACE + timedelta(seconds=1)), None),
        (replace(TASK, owner="alive", deadline=NOW - GRACE, ending=TaskState.CANCELLED), Deed.SETTLE),
        (replace(TASK, owner="alive", state=TaskState.QUEUED, deadline=None), None),
        (replace(TASK, owner=None, ending=TaskState.FAILED), None),
        (replace(TASK, kind="foreign"), None),
    ],
)
def test_the_fate_of_a_task(task: Unended, deed: Deed | None) -> None:
    actions = plan([task], LIFE, {"known"}, AfterRestart.LOSE, NOW).actions
    assert [action.deed for action in actions] == ([] if deed is None else [deed])


def test_what_cannot_be_taken_back_is_put_back_into_the_queue() -> None:
    queued = replace(TASK, state=TaskState.QUEUED)
    actions = plan([queued, TASK], LIFE, {"known"}, AfterRestart.LOSE, NOW, {"known"}).actions
    assert [action.deed for action in actions] == [Deed.RESUME, Deed.ABORT]


def test_queued_tasks_go_back_into_the_queue_when_they_are_to_be_resumed() -> None:
    queued = replace(TASK, state=TaskState.QUEUED)
    (action,) = plan([queued], LIFE, {"known"}, AfterRestart.RESUME, NOW).actions
    assert action.deed is Deed.RESUME


@given(st.lists(anything, unique_by=lambda task: task.number), st.sampled_from(AfterRestart))
def test_a_plan_touches_the_dead_and_the_overdue_only_and_forgets_nobody(
    found: list[Unended], after: AfterRestart
) -> None:
    made = plan(found, LIFE, {"known"}, after, NOW)
    touched = {action.task.number: action for action in made.actions}
    assert len(touched) == len(made.actions), "one decision for each task"
    for task in found:
        dead = task.owner in {"dead", "unheard-of"}
        overdue = task.state is TaskState.RUNNING and task.deadline is not None and task.deadline + GRACE <= NOW
        assert (task.number in touched) == (task.kind == "known" and task.owner is not None and (dead or overdue))
    for action in made.actions:
        ran = action.task.state is TaskState.RUNNING
        assert ran == (action.deed in {Deed.ABORT, Deed.TIME_OUT, Deed.SETTLE}), "what ran is settled, never just ended"
        assert (action.deed is Deed.SETTLE) == (ran and action.task.ending is not None), "an end that was decided stays"
    assert made.buried == (() if any(task.owner == "dead" for task in found) else ("dead",))


def test_at_a_start_queued_tasks_are_lost_and_running_ones_aborted_after_asking(
    at: Runtime, script: Script, clock: VirtualClock
) -> None:
    dead = Server(at.database, at.settings.data_dir / "servers", clock)
    queued, running, peers = (submit(at, box, server_id=dead.id) for box in ("box-1", "box-2", "box-3"))
    with at.database.platform(write=True) as session:
        started = {"state": TaskState.RUNNING, "started_at": clock.now(), "deadline": clock.now(), "fence": 1}
        session.execute(update(Task).where(Task.id == running).values(started))
        session.execute(update(Task).where(Task.id == peers).values(owner=None))
    dead.vanish()
    (at.settings.data_dir / "servers" / dead.id).touch()  # the kernel drops the lock, not the file
    engine = TaskEngine(at)
    lost = read(at.database, queued)
    assert (lost.state, script.withdrawn, script.released) == (TaskState.LOST, [queued], [queued])
    assert "given back" in lost.reason
    while engine.step():
        pass
    assert read(at.database, running).state is TaskState.ABORTED
    assert script.undone == [running]
    assert read(at.database, peers).state is TaskState.SUCCEEDED, "a task that no server owns is everybody's"
    engine.keep()
    with at.database.platform() as session:
        assert session.scalars(select(rows.Server.id)).all() == [engine.server_id], "and the dead are buried"
    engine.stop()


def test_queued_tasks_run_after_all_when_the_setting_says_so(
    at: Runtime, script: Script, tmp_path: Path, clock: VirtualClock
) -> None:
    first = TaskEngine(at)
    id_ = submit(at, server_id=first.server_id)
    first.stop()
    settings = Settings(data_dir=tmp_path, tasks_after_restart="resume")
    second = TaskEngine(tasks.runtime(at.database, tmp_path, clock, settings))
    assert second.step()
    assert read(at.database, id_).state is TaskState.SUCCEEDED
    second.stop()


def test_the_tasks_of_a_living_peer_are_left_alone(at: Runtime, script: Script) -> None:
    peer = TaskEngine(at)
    id_ = submit(at, server_id=peer.server_id)
    engine = TaskEngine(at)
    engine.keep()
    assert read(at.database, id_).state is TaskState.QUEUED
    assert engine.step(), "but any server may run them"
    for each in (peer, engine):
        each.stop()


def test_a_server_whose_livelock_cannot_be_seen_is_dead_when_it_has_not_beaten_for_long(
    engine: TaskEngine, at: Runtime, script: Script, clock: VirtualClock
) -> None:
    id_ = submit(at, server_id="server-elsewhere")
    with at.database.platform(write=True) as session:
        session.add(rows.Server(id="server-elsewhere", livelock="/nowhere/server-elsewhere", started_at=clock.now()))

    def beat() -> None:
        with at.database.platform(write=True) as session:
            session.execute(update(rows.Server).values(beats=rows.Server.beats + 1))

    for _ in range(5):
        clock.advance(20)
        beat()
        engine.keep()
    assert read(at.database, id_).state is TaskState.QUEUED
    for _ in range(2):
        clock.advance(20)
        engine.keep()
    assert read(at.database, id_).state is TaskState.LOST


def test_a_server_that_was_declared_dead_goes_on_under_a_new_identity(
    engine: TaskEngine, at: Runtime, script: Script
) -> None:
    before = engine.server_id
    with at.database.platform(write=True) as session:
        session.delete(session.get_one(rows.Server, before))
    engine.keep()
    assert engine.server_id != before
    id_ = submit(at, server_id=engine.server_id)
    engine.keep()
    assert engine.step()
    assert read(at.database, id_).state is TaskState.SUCCEEDED
