"""Many threads that start at the same moment, or that wait for each other in the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from sqlalchemy import event, text

from core.db.engine import Database

A = TypeVar("A")


def together(number: int, deed: Callable[[int], A]) -> list[A]:
    """What `deed` answers to each of so many threads that start at the same moment."""
    ready = threading.Barrier(number)

    def one(position: int) -> A:
        ready.wait()
        return deed(position)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def until_somebody_waits(database: Database, one: Future[A]) -> None:
    """Until a transaction waits for a lock that another one holds; `one` fails the test when it has ended by then. On
    SQLite nobody is seen waiting, and everybody does: there is one transaction that writes."""
    if database.url.get_backend_name() == "sqlite":
        return
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    until = time.monotonic() + 20
    while time.monotonic() < until and not one.done():
        with database.platform() as session:
            if session.execute(waiting).scalar_one():
                return
    pytest.fail("nobody waited")


@contextmanager
def meeting_after(database: Database, statement: str) -> Iterator[None]:
    """Two threads wait for each other when each has carried out a statement that begins like this, once and for a
    second at most: each holds then what the other may want next. Where one must wait for the other before, they do not
    meet."""
    meeting = threading.Barrier(2)

    def meet(_connection: object, _cursor: object, sent: str, *_: Any) -> None:
        if sent.startswith(statement) and not meeting.broken:
            try:
                meeting.wait(1)
            except threading.BrokenBarrierError:
                return
            meeting.abort()

    event.listen(database._engine, "after_cursor_execute", meet)
    try:
        yield
    finally:
        event.remove(database._engine, "after_cursor_execute", meet)
