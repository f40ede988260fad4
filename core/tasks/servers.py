"""Which servers live: each start of a process is a server of its own, and its death must be certain before its tasks
are touched.

On one machine the kernel certifies it: a server holds a lock on a file (its livelock), and the kernel drops the lock
when the process ends, kill -9 included: no time-out, no clock. Where that file cannot be seen (another machine, another
container) a server is dead when its `beats` did not grow for `task_server_timeout` seconds of the observer's own
monotonic clock: clocks are never compared. A server that was only slow and comes back finds its row gone, and is told
so (`Server.beat`).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

from sqlalchemy import delete, select, update

from core.clock import Clock
from core.db.engine import Database
from core.db.guarded import changed
from core.tasks import rows

FOLDER = "servers"


class Life(StrEnum):
    ALIVE = "alive"
    DEAD = "dead"


class Server:
    """This process among the servers, from construction until `stop`."""

    def __init__(self, database: Database, folder: Path, clock: Clock) -> None:
        """Takes the livelock first: no moment at which the row is there and the certificate is not."""
        self.id = f"server-{uuid4().hex}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._database = database
        self._path = (folder / self.id).resolve()
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with database.platform(write=True) as session:
            session.add(rows.Server(id=self.id, livelock=str(self._path), started_at=clock.now()))

    def beat(self) -> bool:
        """A sign of life. False: the others have declared this server dead, and its tasks are no longer its own."""
        with self._database.platform(write=True) as session:
            mine = update(rows.Server).where(rows.Server.id == self.id)
            return changed(session, mine.values(beats=rows.Server.beats + 1))

    def stop(self) -> None:
        """Leave: what it still has queued is a dead server's from now on. Raises OperationalError: then it is dead
        to the others as soon as the process has ended."""
        try:
            with self._database.platform(write=True) as session:
                session.execute(delete(rows.Server).where(rows.Server.id == self.id))
        finally:
            self.vanish()

    def vanish(self) -> None:
        """Give the certificate back without a word to the database, as the kernel does when the process dies."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


@dataclass(frozen=True, slots=True)
class _Pulse:
    beats: int
    since: float


class Observer:
    """What one process knows about the life of all servers. For one thread."""

    def __init__(self, timeout: float) -> None:
        """`timeout`: seconds without a beat, where the livelock cannot be seen."""
        self._timeout = timeout
        self._pulses: dict[str, _Pulse] = {}

    def look(self, database: Database, now: float) -> Mapping[str, Life]:
        """Of every server that has a row. `now`: monotonic seconds."""
        with database.platform() as session:
            found = session.execute(select(rows.Server.id, rows.Server.livelock, rows.Server.beats)).all()
        pulses = {id_: self._pulse(id_, beats, now) for id_, _, beats in found}
        self._pulses = pulses
        return {id_: self._judge(Path(livelock), pulses[id_], now) for id_, livelock, _ in found}

    def _pulse(self, id_: str, beats: int, now: float) -> _Pulse:
        known = self._pulses.get(id_)
        return known if known is not None and known.beats == beats else _Pulse(beats, now)

    def _judge(self, livelock: Path, pulse: _Pulse, now: float) -> Life:
        held = _is_held(livelock)
        if held is None:
            return Life.DEAD if now - pulse.since >= self._timeout else Life.ALIVE
        return Life.ALIVE if held else Life.DEAD


def bury(database: Database, server_id: str) -> None:
    """Forget a dead server that owns nothing any more. Its file goes first: should we die in between, the row is
    still there."""
    with database.platform(write=True) as session:
        livelock = session.scalar(select(rows.Server.livelock).where(rows.Server.id == server_id))
        if livelock is not None:
            Path(livelock).unlink(missing_ok=True)
            session.execute(delete(rows.Server).where(rows.Server.id == server_id))


def _is_held(livelock: Path) -> bool | None:
    """None: the file cannot be seen from here."""
    try:
        file = os.open(livelock, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: observers are not in each other's way
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
