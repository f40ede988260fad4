"""The fleet of a data centre that several processes may have: its truth is one row of a small SQLite file.

Every process keeps a copy. A change takes the file's write lock, brings the copy up to date, is made and saved, and the
lock is given back; whoever asks first looks whether another process has changed the file. So the acts of all processes
are run one at a time, and each sees those before it. The worst moment is a death under the lock: the file is as it was
before, and nobody has seen the act.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import orjson
import structlog

from core.clock import Clock
from core.drivers.simulated import datacentre
from core.drivers.simulated.compute import Act
from core.drivers.simulated.fleet import Fleet
from core.errors import NotFound

T = TypeVar("T")
FILE: Final = "simulation.db"
PATIENCE: Final = 10.0
"""Seconds that an act waits for those of other processes."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS centre (
    one INTEGER PRIMARY KEY CHECK (one = 1), seed INTEGER NOT NULL, hosts INTEGER NOT NULL, vms INTEGER NOT NULL,
    address TEXT NOT NULL, ports TEXT NOT NULL, fleet TEXT NOT NULL
)
"""
_BROKEN: Final = (ValueError, KeyError, TypeError, AttributeError, sqlite3.DatabaseError)
"""What reading a file raises that we did not write."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the pages of its hosts are served; `ports` by host id."""

    address: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)


class SharedFleet:
    """Threads and processes share it (`core.drivers.simulated.compute.World`)."""

    def __init__(self, file: Path, clock: Clock) -> None:
        """Raises sqlite3.Error, OSError when the file cannot be used."""
        self._file = file
        self._clock = clock
        self._lock = threading.RLock()
        self._truth = open_shared(file)
        self._truth.execute(_SCHEMA)
        self._seen: int | None = None
        self._fleet: Fleet | None = None
        self._whereabouts = Whereabouts()

    def close(self) -> None:
        with self._lock:
            self._truth.close()

    # --- core.drivers.simulated.compute.World

    def change(self, act: Act[T], within: float = PATIENCE) -> T:
        """Durable when it returns. Raises what the act raises: then nothing is saved; TimeoutError, and nothing done,
        when other processes do not give the file back `within` seconds."""
        with self._turn(within):
            fleet = self._present()
            result = act(fleet, self._clock.now().timestamp())
            self._save(fleet, self._whereabouts)
        return result

    def ask(self, act: Act[T]) -> T:
        with self._lock:
            return act(self._present(), self._clock.now().timestamp())

    # --- who serves it

    @property
    def whereabouts(self) -> Whereabouts:
        with self._lock:
            self._present()
            return self._whereabouts

    def begin(self, seed: int, hosts: int, vms: int) -> None:
        """There is a data centre of this seed and size from now on: the one that is in the file, or a new one.
        ValueError: VMs without hosts."""
        fresh = Fleet(datacentre.build(seed, hosts, vms))
        with self._turn(PATIENCE):
            try:
                self._follow()
                known = self._fleet
            except _BROKEN as problem:
                known = None
                _log.warning("simulation_forgotten", file=str(self._file), reason=str(problem))
            if known is None or _identity(known) != _identity(fresh):
                if known is not None:
                    _log.warning("simulation_forgotten", file=str(self._file), reason="it is of another seed or size")
                self._save(fresh, self._whereabouts)

    def serve(self, whereabouts: Whereabouts) -> None:
        """Its pages are there from now on."""
        with self._turn(PATIENCE):
            self._save(self._present(), whereabouts)

    # --- under the lock

    @contextmanager
    def _turn(self, within: float) -> Iterator[None]:
        """Alone with the file. What could not be saved is forgotten: the copy is read anew."""
        if not self._lock.acquire(timeout=within):
            raise TimeoutError(f"{self._file} was not to be had in {within:g} seconds")
        try:
            self._truth.execute(f"PRAGMA busy_timeout = {int(within * 1000)}")
            try:
                self._truth.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as problem:
                raise TimeoutError(f"{self._file} was not to be had in {within:g} seconds: {problem}") from None
            try:
                yield
                self._truth.execute("COMMIT")
            except BaseException as problem:
                if self._truth.in_transaction:
                    self._truth.execute("ROLLBACK")
                if isinstance(problem, sqlite3.Error):
                    self._seen = None
                raise
        finally:
            self._lock.release()

    def _present(self) -> Fleet:
        """The copy, as the file is now. Raises NotFound when there is no data centre in it."""
        self._follow()
        if self._fleet is None:
            raise NotFound("simulated data centre", str(self._file.parent))
        return self._fleet

    def _follow(self) -> None:
        version: int = self._truth.execute("PRAGMA data_version").fetchone()[0]
        if version == self._seen:
            return
        row = self._truth.execute("SELECT seed, hosts, vms, address, ports, fleet FROM centre").fetchone()
        if row is not None:
            seed, hosts, vms, address, ports, dumped = row
            fleet = Fleet(self._centre(seed, hosts, vms))
            if not fleet.restore(orjson.loads(dumped)):
                raise ValueError("it was written by another version")
            self._fleet, self._whereabouts = fleet, Whereabouts(address, orjson.loads(ports))
        self._seen = version

    def _centre(self, seed: int, hosts: int, vms: int) -> datacentre.DataCentre:
        if self._fleet is not None and _identity(self._fleet) == (seed, hosts, vms):
            return self._fleet.centre
        return datacentre.build(seed, hosts, vms)

    def _save(self, fleet: Fleet, whereabouts: Whereabouts) -> None:
        dumped, ports = orjson.dumps(fleet.dump()).decode(), orjson.dumps(dict(whereabouts.ports)).decode()
        row = (1, *_identity(fleet), whereabouts.address, ports, dumped)
        self._truth.execute("INSERT OR REPLACE INTO centre VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self._fleet, self._whereabouts = fleet, whereabouts


def open_or_forget(file: Path, clock: Clock) -> SharedFleet:
    """For the one that serves it, whom a damaged file does not stop. Raises sqlite3.OperationalError, OSError."""
    try:
        return SharedFleet(file, clock)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as problem:
        _log.warning("simulation_forgotten", file=str(file), reason=str(problem))
        file.unlink()
        return SharedFleet(file, clock)


def open_shared(file: Path) -> sqlite3.Connection:
    """A private file that processes share: no write-ahead log, for its reset is not safe with several writers in the
    versions of SQLite that are about (https://sqlite.org/wal.html). Raises OSError, sqlite3.Error."""
    if not file.exists():  # otherwise closing it would release this process's locks on it
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    opened = sqlite3.connect(file, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    opened.execute("PRAGMA journal_mode = TRUNCATE")
    return opened


def _identity(fleet: Fleet) -> tuple[int, int, int]:
    return fleet.centre.seed, len(fleet.centre.hosts), len(fleet.centre.vms)
