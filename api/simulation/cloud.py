"""The simulated data centre as a part of a process: a thread with an event loop that owns the fleet and serves its
pages.

Other threads talk to it by handing work to the loop and waiting for its end, so that no state has two owners. A fault
is saved before it is acknowledged.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
from collections.abc import Callable, Collection, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from api.simulation.exporter import HOST_PATH, LOOPBACK, Exporter, Line, bind
from api.simulation.memory import Memory, recall, remember
from api.simulation.metrics import FAULTS
from core.clock import Clock
from core.drivers.power import Fencing, Power
from core.drivers.simulated import datacentre
from core.drivers.simulated.compute import Act
from core.drivers.simulated.datacentre import DataCentre
from core.drivers.simulated.faults import EVERYTHING, Action, Fault, HostCondition
from core.drivers.simulated.fleet import Fleet
from core.drivers.simulated.network import SimulatedNetwork
from core.drivers.simulated.pages import Pages
from core.errors import Conflict, Invalid
from core.errors import Fault as Refusal

T = TypeVar("T")
FILE: Final = "simulation.json"
NETWORK_FILE: Final = "simulation-network.db"
_FILES_PER_HOST: Final = 6
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
    """Up when `start` returns, gone when `stop` does. Every method but these two may be called from any thread between
    them."""

    def __init__(self, seed: int, hosts: int, vms: int, data_dir: Path, clock: Clock) -> None:
        """ValueError: VMs without hosts."""
        self.centre: DataCentre = datacentre.build(seed, hosts, vms)
        self._file = data_dir / FILE
        self._clock = clock
        self._fleet = Fleet(self.centre)
        self._pages = Pages(self._fleet)
        self._exporters: list[Exporter] = []
        self.network = SimulatedNetwork(self, data_dir / NETWORK_FILE)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulation", daemon=True)

    def start(self) -> None:
        """Raises OSError when sockets cannot be had."""
        _allow_files(len(self.centre.hosts) * _FILES_PER_HOST)
        self._thread.start()
        self._do(self._open())

    def stop(self) -> None:
        self._do(self._close())
        self.network.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def ports(self) -> Mapping[str, int]:
        """By host id. They do not change between start and stop, and where possible not across restarts."""
        return {host.id: exporter.port for host, exporter in zip(self.centre.hosts, self._exporters, strict=True)}

    def apply(self, fault: Fault) -> None:
        """On the wire and on disk when it returns. A target that is no host or VM may be a router or NIC of the
        network. Invalid, Conflict: nothing was done."""
        if self.network.knows(fault.target):
            self._break_node(fault)
        else:
            self._do(self._change(lambda at: self._fleet.apply(fault, at)))
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
        self._do(self._change(lambda at: self._fleet.set_power(vm, on=on, at=at)))

    def resize(self, vm: str, *, vcpus: int, memory_mb: int) -> None:
        """Invalid: no such VM or size. Conflict: its host has not enough left."""
        self._do(self._change(lambda at: self._fleet.resize(vm, vcpus=vcpus, memory_mb=memory_mb, at=at)))

    def homes(self) -> Mapping[str, str]:
        """Host id by VM id."""
        return {vm.id: vm.host_id for vm in self.status().vms}

    def status(self) -> Status:
        return self._do(self._status())

    # --- core.drivers.simulated.compute.World

    def change(self, act: Act[T]) -> T:
        """Durable when it returns. Raises what the act raises: then nothing is saved."""
        return self._do(self._change(lambda at: act(self._fleet, at)))

    def ask(self, act: Act[T]) -> T:
        return self._do(self._ask(act))

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
            self._do(self._change(lambda at: self._power_off(host_id, at)), within)
        except (Refusal, TimeoutError):
            return Fencing.UNKNOWN
        return Fencing.FENCED

    def place(self, homes: Mapping[str, str]) -> Mapping[str, str]:
        ours = self.homes().keys(), {host.id for host in self.centre.hosts}
        wanted = {vm: host for vm, host in homes.items() if vm in ours[0] and host in ours[1]}
        refused: dict[str, str] = {}
        self._do(self._change(lambda at: self._place(wanted, refused, at)))
        return refused

    # --- on the loop

    def _place(self, wanted: Mapping[str, str], refused: dict[str, str], at: float) -> None:
        for vm, host in wanted.items():
            try:
                self._fleet.move(vm, host, at)
            except Conflict as problem:
                refused[vm] = str(problem)

    def _power_off(self, host_id: str, at: float) -> None:
        host = self._fleet.directory.host(host_id)
        if not self._fleet.host_conditions[host.index].crashed:
            self._fleet.apply(Fault(Action.CRASH_HOST, host_id), at)

    async def _open(self) -> None:
        memory = recall(self._file)
        if memory.fleet is not None and not self._fleet.restore(memory.fleet):
            _log.warning("simulation_forgotten", file=str(self._file), reason="it is of another seed or size")
        for host in self.centre.hosts:
            listener = _bind_if_free(memory.ports.get(host.id, 0))
            self._exporters.append(Exporter(listener, self._renderer(host.index)))
        await self._follow()
        self._save()

    async def _close(self) -> None:
        for exporter in self._exporters:
            exporter.close()
        await asyncio.sleep(0)

    async def _change(self, change: Callable[[float], T]) -> T:
        result = change(self._clock.now().timestamp())
        self._save()
        await self._follow()
        return result

    async def _ask(self, act: Act[T]) -> T:
        return act(self._fleet, self._clock.now().timestamp())

    async def _follow(self) -> None:
        """Every socket is as its host is."""
        for exporter, condition in zip(self._exporters, self._fleet.host_conditions, strict=True):
            await exporter.turn(_line(condition))

    def _renderer(self, host: int) -> Callable[[str], bytes | None]:
        def render(path: str) -> bytes | None:
            at = self._clock.now().timestamp()
            if path != HOST_PATH:
                return self._pages.vm_page(host, at)
            return None if self._fleet.host_conditions[host].hung else self._pages.host_page(host, at)

        return render

    async def _status(self) -> Status:
        fleet = self._fleet
        hosts = tuple(
            HostStatus(host.id, host.name, self._exporters[host.index].port, host.threads, host.memory_mb,
                       len(fleet.residents(host.index)), tuple(map(str, fleet.host_conditions[host.index].faults)))
            for host in self.centre.hosts
        )  # fmt: skip
        vms = tuple(
            VmStatus(vm.id, vm.name, self.centre.hosts[fleet.homes[i]].id, condition.vcpus, condition.memory_mb,
                     condition.on, fleet.runs(i), tuple(map(str, condition.faults)))
            for i, vm in fleet.vms.items()
            for condition in (fleet.vm_conditions[i],)
        )  # fmt: skip
        return Status(self.centre.seed, hosts, vms)

    def _save(self) -> None:
        remember(self._file, Memory(self.ports(), self._fleet.dump()))

    def _do(self, work: Coroutine[Any, Any, T], within: float | None = None) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(within)


def _line(condition: HostCondition) -> Line:
    if condition.crashed:
        return Line.CLOSED
    return Line.SILENT if condition.cut else Line.SERVING


def _bind_if_free(port: int) -> socket.socket:
    try:
        return bind(port)
    except OSError:
        if port == 0:
            raise
        _log.warning("simulation_port_taken", port=port, address=LOOPBACK)
        return bind(0)


def _allow_files(number: int) -> None:
    """Every host needs a socket and its scrapers' connections: raise the soft limit as far as it takes and may go."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number + 512
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
