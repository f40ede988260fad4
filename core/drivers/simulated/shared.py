"""The fleet of a data centre that several processes may have: its truth is one row of a small SQLite file.

Every process keeps a copy. A change takes the file's write lock, brings the copy up to date, is made and saved, and the
lock is given back; whoever asks first looks whether another process has changed the file. So the acts of all processes
are run one at a time, and each sees those before it. The worst moment is a death under the lock: the file is as it was
before, and nobody has seen the act.
"""

from __future__ import annotations

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
from core.drivers.simulated.shared_file import PATIENCE, SharedFile
from core.errors import NotFound

T = TypeVar("T")
FILE: Final = "simulation.db"
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
        self._clock = clock
        self._lock = threading.RLock()
        self._truth = SharedFile(file, _SCHEMA)
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
            forgotten = None
            try:
                self._truth.follow(self._recall)
            except _BROKEN as problem:
                self._fleet, forgotten = None, str(problem)
            if self._fleet is not None and _identity(self._fleet) != _identity(fresh):
                self._fleet, forgotten = None, "it is of another seed or size"
            if forgotten is not None:
                _log.warning("simulation_forgotten", file=str(self._truth.path), reason=forgotten)
            if self._fleet is None:
                self._save(fresh, self._whereabouts)

    def serve(self, whereabouts: Whereabouts) -> None:
        """Its pages are there from now on."""
        with self._turn(PATIENCE):
            self._save(self._present(), whereabouts)

    # --- under the lock

    @contextmanager
    def _turn(self, within: float) -> Iterator[None]:
        """Alone with the file, of all threads and processes."""
        if not self._lock.acquire(timeout=within):
            raise TimeoutError(f"{self._truth.path} was not to be had in {within:g} seconds")
        try:
            with self._truth.transaction(within):
                yield
        finally:
            self._lock.release()

    def _present(self) -> Fleet:
        """The copy, as the file is now. Raises NotFound when there is no data centre in it."""
        self._truth.follow(self._recall)
        if self._fleet is None:
            raise NotFound("simulated data centre", str(self._truth.path.parent))
        return self._fleet

    def _recall(self) -> None:
        row = self._truth.execute("SELECT seed, hosts, vms, address, ports, fleet FROM centre").fetchone()
        if row is None:
            return
        seed, hosts, vms, address, ports, dumped = row
        fleet = Fleet(self._centre(seed, hosts, vms))
        if not fleet.restore(orjson.loads(dumped)):
            raise ValueError("it was written by another version")
        self._fleet, self._whereabouts = fleet, Whereabouts(address, orjson.loads(ports))

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


def _identity(fleet: Fleet) -> tuple[int, int, int]:
    return fleet.centre.seed, len(fleet.centre.hosts), len(fleet.centre.vms)
