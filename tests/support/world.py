"""A simulated data centre without a thread of its own: for tests of the driver, and of what stands on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import orjson

from api.simulation.inventory import host_specs
from core.clock import Clock
from core.compute.inventory import ensure_host
from core.db.session import PlatformSession
from core.drivers.simulated import datacentre
from core.drivers.simulated.compute import Act
from core.drivers.simulated.faults import Fault
from core.drivers.simulated.fleet import Fleet
from core.drivers.simulated.shared import Whereabouts
from core.hosts.rows import Host

T = TypeVar("T")


class MemoryWorld:
    """The owner of a fleet whose memory is a dump; `reborn` is what a restart makes of it."""

    def __init__(self, clock: Clock, hosts: int = 2, vms: int = 0, seed: int = 1) -> None:
        self.fleet = Fleet(datacentre.build(seed, hosts, vms))
        self.clock = clock
        self._lock = threading.Lock()
        self._shape = (clock, hosts, vms, seed)

    def change(self, act: Act[T]) -> T:
        return self.ask(act)

    def ask(self, act: Act[T]) -> T:
        with self._lock:
            return act(self.fleet, self.clock.now().timestamp())

    def inject(self, fault: Fault) -> None:
        self.change(lambda fleet, now: fleet.apply(fault, now))

    def reborn(self) -> MemoryWorld:
        other = MemoryWorld(*self._shape)
        assert other.fleet.restore(self.dump())
        return other

    def dump(self) -> Mapping[str, Any]:
        """As it is read again."""
        return orjson.loads(self.ask(lambda fleet, _: orjson.dumps(fleet.dump())))  # type: ignore[no-any-return]

    def host_ids(self) -> list[str]:
        return [host.id for host in self.fleet.centre.hosts]

    def vm_ids(self) -> Iterator[str]:
        return (vm.id for vm in self.fleet.vms.values())


def fill_inventory(session: PlatformSession, world: MemoryWorld, clock: Clock) -> None:
    """The world's hosts, connected."""
    for spec in host_specs(world.fleet.centre, Whereabouts("127.0.0.1", dict.fromkeys(world.host_ids(), 9100))):
        ensure_host(session, spec, clock.now())
    session.flush()
    for host_id in world.host_ids():
        session.get_one(Host, host_id).connected = True
