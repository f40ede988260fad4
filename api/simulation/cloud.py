"""The simulated data centre as a part of a process: what may be done to it, and its pages where this process serves
them.

One process serves a data centre (`served`); others may take part in it (`attached`): what is done in one is true in
all. A fault is saved before it is acknowledged.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import structlog

from api.simulation.exporter import LOOPBACK
from api.simulation.front import Front
from api.simulation.metrics import FAULTS
from core.clock import Clock
from core.drivers.power import Fencing, Power
from core.drivers.simulated.compute import Act
from core.drivers.simulated.datacentre import DataCentre
from core.drivers.simulated.faults import EVERYTHING, Action, Fault
from core.drivers.simulated.fleet import Fleet
from core.drivers.simulated.network import SimulatedNetwork
from core.drivers.simulated.shared import FILE, SharedFleet, Whereabouts, open_or_forget
from core.drivers.simulated.shared_file import PATIENCE
from core.errors import Conflict, Invalid, NotFound
from core.errors import Fault as Refusal
from core.files import hold

T = TypeVar("T")
NETWORK_FILE: Final = "simulation-network.db"
_SERVED: Final = "simulation.lock"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HostStatus:
    """`faults` are names of actions."""

    id: str
    name: str
    port: int
    threads: int
    memory_mb: int
    vms: int
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VmStatus:
    """`on` is the VM's power switch; it is `running` when its host lives, too."""

    id: str
    name: str
    host_id: str
    vcpus: int
    memory_mb: int
    on: bool
    running: bool
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    seed: int
    hosts: tuple[HostStatus, ...]
    vms: tuple[VmStatus, ...]


class SimulatedCloud:
    """Threads share it."""

    def __init__(self, shared: SharedFleet, network: SimulatedNetwork, front: Front | None = None) -> None:
        """`front`: the pages, if this process serves them."""
        self.network = network
        self._shared = shared
        self._front = front

    @property
    def centre(self) -> DataCentre:
        return self.ask(lambda fleet, _: fleet.centre)

    @property
    def whereabouts(self) -> Whereabouts:
        """Ports do not change while a process serves the data centre, and where possible not across restarts."""
        return self._shared.whereabouts

    def apply(self, fault: Fault) -> None:
        """On disk when it returns, and on the wire if this process serves the pages. A target that is no host or VM may
        be a router or NIC of the network. Invalid, Conflict: nothing was done."""
        if self.network.knows(fault.target):
            self._break_node(fault)
        else:
            self.change(lambda fleet, at: fleet.apply(fault, at))
            self._break_network(fault)
        FAULTS.labels(fault.action).inc()
        _log.info("simulation_fault", action=str(fault.action), target=fault.target, device=fault.device)

    def _break_network(self, fault: Fault) -> None:
        """What a fault of a host, a VM or everything means for the network beside."""
        if fault.action is Action.HEAL and fault.target in ("", EVERYTHING):
            self.network.heal()
        if fault.action is Action.LOSE_NETWORK:
            self.network.lose(self.ask(lambda fleet, _: fleet.directory.either(fault.target).id))

    def _break_node(self, fault: Fault) -> None:
        match fault.action:
            case Action.FAIL_OPERATION:
                self.network.fail(fault.target)
            case Action.LOSE_NETWORK:
                self.network.lose(fault.target)
            case Action.HEAL:
                self.network.heal(fault.target)
            case _:
                raise Invalid(
                    "target", f"{fault.action} needs a host or VM, {fault.target} is of the network", "a host or a VM"
                )

    def set_power(self, vm: str, *, on: bool) -> None:
        """Switch a VM on or off. Invalid: no such VM."""
        self.change(lambda fleet, at: fleet.set_power(vm, on=on, at=at))

    def resize(self, vm: str, *, vcpus: int, memory_mb: int) -> None:
        """Invalid: no such VM or size. Conflict: its host has not enough left."""
        self.change(lambda fleet, at: fleet.resize(vm, vcpus=vcpus, memory_mb=memory_mb, at=at))

    def status(self) -> Status:
        ports = self.whereabouts.ports
        return self.ask(lambda fleet, _: _status(fleet, ports))

    # --- core.drivers.simulated.compute.World

    def change(self, act: Act[T], within: float = PATIENCE) -> T:
        """Durable when it returns. Raises what the act raises: then nothing is saved; TimeoutError, and nothing done,
        when other processes are not done `within` seconds."""
        result = self._shared.change(act, within)
        if self._front is not None:
            self._front.follow()
        return result

    def ask(self, act: Act[T]) -> T:
        return self._shared.ask(act)

    # --- core.drivers.power.HostPower

    def look(self, host_ids: Collection[str]) -> Mapping[str, Power]:
        """A cut link does not reach the power controller."""
        return {
            host.id: Power.OFF if str(Action.CRASH_HOST) in host.faults else Power.ON
            for host in self.status().hosts
            if host.id in host_ids
        }

    def fence(self, host_id: str, within: float) -> Fencing:
        """The host is crashed, by a fault or by this; healing it is the cold start that ends the certificate."""
        try:
            self.change(lambda fleet, at: _power_off(fleet, host_id, at), within)
        except (Refusal, TimeoutError):
            return Fencing.UNKNOWN
        return Fencing.FENCED

    def place(self, homes: Mapping[str, str]) -> Mapping[str, str]:
        return self.change(lambda fleet, at: _place(fleet, homes, at))


@contextmanager
def served(
    seed: int, hosts: int, vms: int, folder: Path, clock: Clock, address: str = LOOPBACK
) -> Iterator[SimulatedCloud]:
    """Its pages are there inside the block. Raises ValueError for VMs without hosts, Conflict when another process
    serves the data centre of this folder, OSError when sockets or files cannot be had."""
    with ExitStack() as parts:
        held = hold(folder / _SERVED)
        if held is None:
            raise Conflict("simulated data centre", str(folder), "is served by another process")
        parts.callback(os.close, held)
        shared = parts.enter_context(closing(open_or_forget(folder / FILE, clock)))
        shared.begin(seed, hosts, vms)
        network = parts.enter_context(closing(SimulatedNetwork(shared, folder / NETWORK_FILE)))
        front = Front(shared, address)
        front.start()
        parts.callback(front.stop)
        yield SimulatedCloud(shared, network, front)


@contextmanager
def attached(folder: Path, clock: Clock) -> Iterator[SimulatedCloud]:
    """Take part in a data centre that another process serves, or will serve again. Raises NotFound when there is none
    in the folder, OSError, sqlite3.Error."""
    if not (folder / FILE).exists():
        raise NotFound("simulated data centre", str(folder))
    with ExitStack() as parts:
        shared = parts.enter_context(closing(SharedFleet(folder / FILE, clock)))
        shared.ask(lambda *_: None)
        network = parts.enter_context(closing(SimulatedNetwork(shared, folder / NETWORK_FILE)))
        yield SimulatedCloud(shared, network)


def _place(fleet: Fleet, homes: Mapping[str, str], at: float) -> Mapping[str, str]:
    hosts = {host.id for host in fleet.centre.hosts}
    refused: dict[str, str] = {}
    for vm in fleet.vms.values():
        if homes.get(vm.id) in hosts:
            try:
                fleet.move(vm.id, homes[vm.id], at)
            except Conflict as problem:
                refused[vm.id] = str(problem)
    return refused


def _power_off(fleet: Fleet, host_id: str, at: float) -> None:
    host = fleet.directory.host(host_id)
    if not fleet.host_conditions[host.index].crashed:
        fleet.apply(Fault(Action.CRASH_HOST, host_id), at)


def _status(fleet: Fleet, ports: Mapping[str, int]) -> Status:
    hosts = tuple(
        HostStatus(host.id, host.name, ports[host.id], host.threads, host.memory_mb, len(fleet.residents(host.index)),
                   tuple(map(str, fleet.host_conditions[host.index].faults)))
        for host in fleet.centre.hosts
    )  # fmt: skip
    vms = tuple(
        VmStatus(vm.id, vm.name, fleet.centre.hosts[fleet.homes[i]].id, condition.vcpus, condition.memory_mb,
                 condition.on, fleet.runs(i), tuple(map(str, condition.faults)))
        for i, vm in fleet.vms.items()
        for condition in (fleet.vm_conditions[i],)
    )  # fmt: skip
    return Status(fleet.centre.seed, hosts, vms)
