"""One process: what becomes of a task, whatever its step does."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from core.clock import VirtualClock
from core.db.session import PlatformSession
from core.drivers.compute import Refused, Stopped, Unreachable
from core.errors import Conflict, NotFound
from core.tasks import queue
from core.tasks import tasks as operations
from core.tasks.context import Runtime, TaskContext
from core.tasks.engine import TaskEngine
from core.tasks.kinds import Write
from core.tasks.rows import Server, Task, TaskState
from core.tasks.tasks import FindTasks, TaskRef
from tests.support.tasks import STUBBORN, Script, context, read, states, submit


def work(engine: TaskEngine) -> None:
    while engine.step():
        pass


def cancel(at: Runtime, id_: str) -> None:
    with at.database.platform(write=True) as session:
        operations.cancel(context(at, session), TaskRef(id=id_))


def test_a_task_runs_once_and_what_it_writes_is_there_with_its_end(
    engine: TaskEngine, at: Runtime, script: Script, clock: VirtualClock
) -> None:
    def describe(session: PlatformSession) -> None:
        session.execute(update(Task).values(object_type="written"))

    script.run = lambda _: describe
    id_ = submit(at)
    accepted = clock.now()
    clock.advance(3)
    work(engine)
    task = read(at.database, id_)
    assert (task.state, task.reason, task.progress) == (TaskState.SUCCEEDED, "", 100)
    assert (task.created_at, task.started_at, task.ended_at) == (accepted, clock.now(), clock.now())
    assert task.object_type == "written"
    assert (script.ran, script.undone, script.released) == ([id_], [], [id_])


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Refused("host-1: no such image"), "its hypervisor refused it\nhost-1: no such image"),
        (Conflict("VM", "vm-1", "runs"), "VM vm-1: runs"),
        (Conflict("VM", "vm-1", "fits nowhere", "host-1: full"), "VM vm-1: fits nowhere\nhost-1: full"),
    ],
)
def test_a_step_that_fails_says_why_and_is_undone(
    engine: TaskEngine, at: Runtime, script: Script, problem: Exception, reason: str
) -> None:
    def fail(_: TaskContext) -> Write:
        raise problem

    script.run = fail
    id_ = submit(at)
    work(engine)
    task = read(at.database, id_)
    assert (task.state, task.reason) == (TaskState.FAILED, reason)
    assert (script.undone, script.released) == ([id_], [id_])


def test_a_mistake_in_a_step_ends_the_task_and_not_the_worker(engine: TaskEngine, at: Runtime, script: Script) -> None:
    def fail(_: TaskContext) -> Write:
        raise ZeroDivisionError("the inner workings")

    script.run = fail
    id_ = submit(at)
    work(engine)
    task = read(at.database, id_)
    assert task.state is TaskState.FAILED
    assert task.reason.startswith("internal error, incident incident-")
    assert "workings" not in task.reason


def test_a_write_that_fails_leaves_nothing_and_the_task_is_undone(
    engine: TaskEngine, at: Runtime, script: Script
) -> None:
    def half(session: PlatformSession) -> None:
        session.execute(update(Task).values(object_type="half"))
        raise Conflict("VM", "vm-1", "is gone")

    script.run = lambda _: half
    id_ = submit(at)
    work(engine)
    task = read(at.database, id_)
    assert (task.state, task.object_type) == (TaskState.FAILED, "box")
    assert script.undone == [id_]


def test_a_database_that_is_away_at_the_end_of_a_task_is_waited_for(
    engine: TaskEngine, at: Runtime, script: Script
) -> None:
    away = 6

    def write(_: PlatformSession) -> None:
        nonlocal away
        away -= 1
        if away >= 0:
            raise OperationalError("COMMIT", None, Exception("server closed the connection"))

    script.run = lambda _: write
    id_ = submit(at)
    work(engine)
    assert (read(at.database, id_).state, away, script.ran, script.undone) == (TaskState.SUCCEEDED, -1, [id_], [])


def test_a_database_that_is_away_while_a_task_runs_ends_it_with_that_reason(
    engine: TaskEngine, at: Runtime, script: Script
) -> None:
    def fail(_: TaskContext) -> Write:
        raise OperationalError("SELECT", None, Exception("server closed the connection"))

    script.run = fail
    id_ = submit(at)
    work(engine)
    task = read(at.database, id_)
    assert (task.state, task.reason) == (TaskState.FAILED, "the database was away while it ran")
    assert script.undone == [id_]


def test_what_nobody_can_tell_is_asked_again_until_it_is_known(
    engine: TaskEngine, at: Runtime, script: Script, clock: VirtualClock
) -> None:
    def fail(_: TaskContext) -> Write:
        raise Unreachable("host-1 does not answer")

    script.run = script.undo = fail
    id_ = submit(at)
    work(engine)
    task = read(at.database, id_)
    assert (task.state, task.ending, task.owner) == (TaskState.RUNNING, TaskState.FAILED, None)
    assert script.released == [], "the object stays locked"
    assert not engine.step(), "not at once"
    clock.advance(2)
    work(engine)
    script.undo = lambda _: None
    clock.advance(60)
    work(engine)
    task = read(at.database, id_)
    reason = "its hypervisor does not answer\nhost-1 does not answer"
    assert (task.state, task.reason) == (TaskState.FAILED, reason)
    assert (len(script.undone), script.released) == (3, [id_])


def test_a_queued_task_is_cancelled_at_once_and_taken_back(engine: TaskEngine, at: Runtime, script: Script) -> None:
    id_ = submit(at)
    cancel(at, id_)
    assert read(at.database, id_).state is TaskState.CANCELLED
    assert (script.withdrawn, script.released) == ([id_], [id_])
    work(engine)
    assert script.ran == []
    with pytest.raises(Conflict, match="has ended already"):
        cancel(at, id_)
    with pytest.raises(NotFound):
        cancel(at, "task-absent")


def test_a_running_task_is_told_to_stop(engine: TaskEngine, at: Runtime, script: Script, clock: VirtualClock) -> None:
    def run(context: TaskContext) -> Write:
        assert not context.stopping()
        cancel(at, context.task.id)
        cancel(at, context.task.id)
        clock.advance(1)
        assert context.stopping()
        raise Stopped("taken back")

    script.run = run
    id_ = submit(at)
    work(engine)
    assert read(at.database, id_).state is TaskState.CANCELLED
    assert script.undone == [id_]


def test_a_task_that_succeeded_all_the_same_has_succeeded(engine: TaskEngine, at: Runtime, script: Script) -> None:
    script.run = lambda context: cancel(at, context.task.id)
    id_ = submit(at)
    work(engine)
    assert read(at.database, id_).state is TaskState.SUCCEEDED


def test_what_cannot_be_stopped_is_not_cancelled_while_it_runs(engine: TaskEngine, at: Runtime, script: Script) -> None:
    def run(context: TaskContext) -> None:
        with pytest.raises(Conflict, match="cannot be stopped"):
            cancel(at, context.task.id)

    script.run = run
    id_ = submit(at, kind=STUBBORN)
    work(engine)
    assert read(at.database, id_).state is TaskState.SUCCEEDED


def test_a_step_that_heeds_its_time_limit_ends_as_timed_out(
    engine: TaskEngine, at: Runtime, script: Script, clock: VirtualClock
) -> None:
    def run(context: TaskContext) -> None:
        clock.advance(59)
        context.check()
        clock.advance(1)
        context.check()

    script.run = run
    id_ = submit(at)
    work(engine)
    assert read(at.database, id_).state is TaskState.TIMED_OUT
    assert script.undone == [id_]


def test_a_step_that_hangs_loses_its_task_and_its_result_is_refused(
    engine: TaskEngine, at: Runtime, script: Script, clock: VirtualClock
) -> None:
    def run(_: TaskContext) -> Write:
        clock.advance(60 + 16)
        engine.keep()
        assert engine.step(), "another worker settles it"
        return lambda session: session.execute(update(Task).values(object_type="zombie"))  # type: ignore[return-value]

    script.run = run
    id_ = submit(at)
    work(engine)
    task = read(at.database, id_)
    assert (task.state, task.object_type) == (TaskState.TIMED_OUT, "box")
    assert script.released == [id_]


def test_progress_is_seen_from_outside_and_never_goes_back(
    engine: TaskEngine, at: Runtime, script: Script, clock: VirtualClock
) -> None:
    seen = []

    def run(context: TaskContext) -> None:
        for percent in (10, 50.9, 30, 120):
            context.part(0, 50).progress(percent) if percent == 50.9 else context.progress(percent)
            seen.append(read(at.database, context.task.id).progress)
            clock.advance(2)

    script.run = run
    submit(at)
    work(engine)
    assert seen == [10, 25, 30, 99]


def test_secrets_are_read_by_the_step_alone_and_wiped(engine: TaskEngine, at: Runtime, script: Script) -> None:
    read_back = []
    script.run = lambda context: read_back.append(context.secret("password"))
    id_ = submit(at, secrets={"password": "hunter2"})
    sealed = read(at.database, id_).sealed
    assert sealed is not None
    assert "hunter2" not in sealed.text + repr(sealed) + repr(read(at.database, id_).__dict__)
    work(engine)
    assert read_back == ["hunter2"]
    assert read(at.database, id_).sealed is None
    cancelled = submit(at, secrets={"password": "hunter2"})
    cancel(at, cancelled)
    assert read(at.database, cancelled).sealed is None


def test_tasks_of_one_object_keep_their_order_and_wait_for_each_other(
    engine: TaskEngine, at: Runtime, script: Script
) -> None:
    started = []

    def run(context: TaskContext) -> None:
        started.append(context.task.object_id)
        if len(started) == 1:
            assert engine.step(), "the other object's"
            assert not engine.step(), "the same object's waits"

    script.run = run
    ids = [submit(at, box) for box in ("box-1", "box-1", "box-2")]
    work(engine)
    assert script.ran == [ids[0], ids[2], ids[1]]


def test_a_rolled_back_submission_never_happened(engine: TaskEngine, at: Runtime, script: Script) -> None:
    with at.database.platform(write=True) as session:
        queue.submit(context(at, session), STUBBORN, "box-1", None)
        session.rollback()
    assert not engine.step()
    assert states(at.database) == {}


def test_ended_tasks_are_forgotten_after_their_retention(
    engine: TaskEngine, at: Runtime, script: Script, clock: VirtualClock
) -> None:
    submit(at)
    work(engine)
    waiting = submit(at)
    clock.advance(89 * 86400)
    engine.keep()
    assert len(states(at.database)) == 2
    clock.advance(2 * 86400)
    engine.keep()
    assert list(states(at.database)) == [waiting]


def test_a_stopped_engine_leaves_no_server_behind(engine: TaskEngine, at: Runtime) -> None:
    with at.database.platform() as session:
        assert session.scalar(select(func.count()).select_from(Server)) == 1
    second = TaskEngine(at)
    second.stop()
    with at.database.platform() as session:
        assert session.scalars(select(Server.id)).all() == [engine.server_id]


def test_tasks_are_found_by_what_they_are_about(
    engine: TaskEngine, at: Runtime, script: Script, clock: VirtualClock
) -> None:
    first = submit(at, "box-1")
    work(engine)
    clock.advance(10)
    second = submit(at, "box-2")

    def found(**filters: object) -> list[str]:
        with at.database.platform() as session:
            page = operations.search(context(at, session), FindTasks(**filters))  # type: ignore[arg-type]
            assert page.total == len(page.rows)
            return [task.id for task in page.rows]

    assert found() == [second, first]
    assert found(id=first) == found(state=TaskState.SUCCEEDED) == found(object_id="box-1") == [first]
    assert found(created_from=clock.now()) == [second]
    assert found(created_until=clock.now()) == [second, first]


def test_a_tenant_submits_finds_and_cancels_its_own_tasks_only(engine: TaskEngine, at: Runtime, script: Script) -> None:
    with at.database.tenant("t1", write=True) as session:
        id_ = queue.submit(context(at, session, engine.server_id, "t1"), STUBBORN, "box-1", "t1", secrets={"a": "b"})
    platforms = submit(at, "box-2")
    with at.database.tenant("t2", write=True) as session:
        other = context(at, session, tenant_id="t2")
        assert operations.search(other, FindTasks(id=id_)).total == 0
        with pytest.raises(NotFound):
            operations.cancel(other, TaskRef(id=id_))
    with at.database.tenant("t1", write=True) as session:
        own = context(at, session, tenant_id="t1")
        assert [task.id for task in operations.search(own, FindTasks()).rows] == [id_]
        with pytest.raises(NotFound):
            operations.cancel(own, TaskRef(id=platforms))
        operations.cancel(own, TaskRef(id=id_))
    assert script.withdrawn == [id_]
    with at.database.platform() as session:
        assert operations.search(context(at, session), FindTasks()).total == 2
