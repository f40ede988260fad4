"""The task engine of one process: its identity as a server, its workers and its keeping, put together.

    engine = TaskEngine(runtime)         # registers the server, and recovers what dead ones left
    engine.start()                       # worker threads
    scheduler.add_job(engine.keep, ...)  # every `task_heartbeat` seconds
    engine.stop()

Nothing else is needed by several processes on one database: they share the work and watch each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog
from sqlalchemy.exc import OperationalError

from core.drivers.compute import ComputeDriver
from core.tasks import metrics, queue
from core.tasks.bell import BELL
from core.tasks.context import Runtime
from core.tasks.execution import execute
from core.tasks.keeping import Keeper
from core.tasks.servers import FOLDER, Server

LOOK_EVERY: Final = 1.0
"""Seconds between two looks of a process at the queue when nobody rings: tasks of other processes, and settlements to
repeat. One thread looks for all workers."""

_log = structlog.get_logger(__name__)


class TaskEngine:
    """Threads share it. `keep` is called by one thread at a time."""

    def __init__(self, runtime: Runtime) -> None:
        """Raises OperationalError when the database cannot be used."""
        self._runtime = runtime
        self._keeper = Keeper(runtime.database, runtime.clock, runtime.settings)
        self._server = self._register()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._keeper.recover()

    @property
    def server_id(self) -> str:
        """The server that accepts tasks now. Ask each time: it is another one after a rebirth."""
        return self._server.id

    @property
    def driver(self) -> ComputeDriver:
        """By whom the tasks are carried out."""
        return self._runtime.driver

    def start(self) -> None:
        """`task_workers` threads that work until `stop`, and one that looks for work."""
        loops: dict[str, Callable[[], None]] = {"tasks-lookout": self._look_out}
        for number in range(self._runtime.settings.task_workers):
            loops[f"tasks-{number}"] = partial(self.run_until, self._stopping.is_set)
        for name, loop in loops.items():
            thread = threading.Thread(target=loop, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, within: float = 10.0) -> None:
        """Take no more tasks, and wait so many seconds in all for those under way. What does not end by then is
        recovered by whoever starts next."""
        self._stopping.set()
        BELL.ring()
        until = self._runtime.clock.monotonic() + within
        for thread in self._threads:
            thread.join(max(0.0, until - self._runtime.clock.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            _log.warning("tasks_still_running_at_stop")
        self._server.stop()

    def keep(self) -> None:
        """Once every `task_heartbeat` seconds. A database that fails is counted, and tried again next time."""
        try:
            if not self._server.beat():
                self._be_reborn()
            self._keeper.recover()
            self._keeper.forget()
            self._keeper.measure()
        except OperationalError as problem:
            _report(problem)

    def step(self) -> bool:
        """Run one task to its end. False: there was none. Raises OperationalError."""
        claim = queue.claim(self._runtime.database, self._server.id, self._runtime.clock.now())
        if claim is None:
            return False
        execute(self._runtime, claim)
        return True

    def run_until(self, done: Callable[[], bool]) -> None:
        """Work in this thread, and wait for work, until `done`."""
        look = True
        while not done():
            try:
                look = self.step() if look else BELL.wait(LOOK_EVERY)
            except OperationalError as problem:
                _report(problem)
                look = False
        BELL.ring()  # what this one has heard is for another

    def _look_out(self) -> None:
        while not self._stopping.wait(LOOK_EVERY):
            try:
                if queue.has_work(self._runtime.database, self._runtime.clock.now()):
                    BELL.ring()
            except OperationalError as problem:
                _report(problem)

    def _register(self) -> Server:
        runtime = self._runtime
        return Server(runtime.database, runtime.settings.data_dir / FOLDER, runtime.clock)

    def _be_reborn(self) -> None:
        """Tasks that this process still runs were taken from it; their results will be refused."""
        dead = self._server
        self._server = self._register()
        dead.vanish()
        metrics.REBIRTHS.inc()
        _log.error("task_server_declared_dead", was=dead.id, now=self._server.id)


def _report(problem: OperationalError) -> None:
    metrics.DATABASE_FAILURES.inc()
    _log.warning("task_database_failure", problem=str(problem.orig))
