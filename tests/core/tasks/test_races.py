"""Many workers at once, with real threads on real databases."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import suppress

import pytest
from sqlalchemy import update

from core.clock import VirtualClock
from core.errors import Conflict
from core.tasks import queue
from core.tasks import tasks as operations
from core.tasks.claims import Claim, Overtaken
from core.tasks.context import Runtime, TaskContext
from core.tasks.engine import TaskEngine
from core.tasks.rows import Task, TaskState
from core.tasks.tasks import TaskRef
from tests.support.tasks import Script, context, states, submit
from tests.support.threads import together

WORKERS, TASKS, BOXES = 16, 120, 6


def test_each_task_runs_once_in_the_order_of_its_object_and_never_two_of_one_object_at_once(
    engine: TaskEngine, at: Runtime, script: Script
) -> None:
    running: set[str] = set()
    order: dict[str, list[str]] = defaultdict(list)
    guard = threading.Lock()

    def run(context: TaskContext) -> None:
        box = context.task.object_id
        with guard:
            assert box not in running
            running.add(box)
            order[box].append(context.task.id)
        context.progress(50)
        with guard:
            running.remove(box)

    script.run = run
    wanted: dict[str, list[str]] = defaultdict(list)
    for number in range(TASKS):
        wanted[f"box-{number % BOXES}"].append(submit(at, f"box-{number % BOXES}"))

    together(WORKERS, lambda _: engine.run_until(lambda: len(script.released) >= TASKS))
    assert order == wanted
    assert set(states(at.database).values()) == {TaskState.SUCCEEDED}


@pytest.mark.parametrize("successor", ["a", "b"])
def test_a_zombie_may_not_finish_and_nobody_starts_beside_its_successor(
    at: Runtime, clock: VirtualClock, successor: str
) -> None:
    first, second = submit(at), submit(at)
    zombie = queue.claim(at.database, "a", clock.now())
    assert zombie is not None
    with at.database.platform(write=True) as session:
        freed = {"owner": None, "ending": TaskState.ABORTED, "retry_at": clock.now(), "fence": Task.fence + 1}
        session.execute(update(Task).where(Task.id == first).values(freed))
    heir = queue.claim(at.database, successor, clock.now())
    assert heir is not None
    assert (heir.facts.id, heir.ending) == (first, TaskState.ABORTED)
    assert queue.claim(at.database, "c", clock.now()) is None, "the second waits for the first to be settled"

    def finish(claim: Claim) -> bool:
        try:
            with at.database.platform(write=True) as session:
                queue.finish(session, claim, TaskState.SUCCEEDED, "", clock.now())
        except Overtaken:
            return False
        return True

    assert not finish(zombie)
    assert finish(heir)
    assert not finish(heir), "and only once"
    following = queue.claim(at.database, "c", clock.now())
    assert following is not None
    assert following.facts.id == second


def test_a_task_is_either_cancelled_or_run(engine: TaskEngine, at: Runtime, script: Script) -> None:
    ids = [submit(at, f"box-{number}") for number in range(24)]

    def either(position: int) -> None:
        if position % 2:
            for id_ in ids:
                with suppress(Conflict), at.database.platform(write=True) as session:
                    operations.cancel(context(at, session), TaskRef(id=id_))
        else:
            while engine.step():
                pass

    together(2, either)
    assert sorted(script.ran + script.withdrawn) == sorted(ids)
    assert sorted(script.released) == sorted(ids)
