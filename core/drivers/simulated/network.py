"""The NetworkDriver of the simulated data centre: it keeps what was applied, and packets are judged by it.

What hosts have is in memory and, before a call returns, in a small SQLite file: it survives the process as rules in a
kernel survive the death of who loaded them, and other processes read it anew when it has changed. A host that boots
loses everything. The races: calls are run one after another by one lock, each change in one transaction of the file.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import structlog

from core.drivers.network import Applied, Failed, Outcome, Refused, Unreachable
from core.drivers.simulated.compute import World
from core.drivers.simulated.faults import Deed
from core.drivers.simulated.fleet import Fleet
from core.drivers.simulated.network_states import dump, load
from core.drivers.simulated.shared_file import SharedFile
from core.network.desired import Desired, Leg, Listener, NicState, Node, NodeState, RouterState, Target
from core.network.node_rows import NodeType
from core.network.packets import Packet, enters, leg_of
from core.network.paths import Landscape, landscape
from core.network.traffic import Protocol

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS node (
    host TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, generation INTEGER NOT NULL, boot REAL NOT NULL,
    state TEXT NOT NULL, PRIMARY KEY (host, type, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failing (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    """`boot`: of the host when it was applied."""

    generation: int
    boot: float
    state: NodeState


@dataclass(frozen=True, slots=True)
class _Host:
    """`failing`: everything asked of it fails; `failing_vms`: what is asked for their NICs."""

    boot: float
    answers: bool
    failing: bool
    failing_vms: frozenset[str]


class SimulatedNetwork:
    """Threads share it. `file` is made when it is missing, and made anew when it cannot be understood."""

    def __init__(self, world: World, file: Path) -> None:
        """Raises OSError, sqlite3.Error when the file cannot be used."""
        self._world = world
        self._lock = threading.Lock()
        self._held: dict[tuple[str, Node], _Held] = {}
        self._failing: set[str] = set()
        self._file = SharedFile(file, _SCHEMA)
        self._follow()

    def close(self) -> None:
        self._file.close()

    # --- core.drivers.network.NetworkDriver

    def hosts(self) -> Collection[str]:
        return self._world.ask(lambda fleet, _: tuple(host.id for host in fleet.centre.hosts))

    def apply(self, host_id: str, wanted: Sequence[Desired]) -> Mapping[Node, Outcome]:
        with self._lock:
            host = self._look().get(host_id)
            if host is None:
                raise Refused(f"there is no simulated host {host_id}")
            if not host.answers:
                raise Unreachable(f"{host_id} does not answer")
            with self._transaction():
                return {one.node: self._apply(host_id, host, one) for one in wanted}

    def report(self, host_ids: Collection[str]) -> Mapping[str, Mapping[Node, int]]:
        with self._lock:
            answering = {id_ for id_, host in self._look().items() if host.answers and id_ in set(host_ids)}
            found: dict[str, dict[Node, int]] = {host_id: {} for host_id in answering}
            for (host_id, node), held in self._present().items():
                if host_id in found:
                    found[host_id][node] = held.generation
            return found

    def health(self, host_ids: Collection[str]) -> Mapping[str, bool]:
        """A back-end answers when its VM runs and its NIC lets the router in."""
        with self._lock:
            land = self._landscape()
            hosts = self._look()
            asked = {id_ for id_ in host_ids if id_ in hosts and hosts[id_].answers}
            routers = [held.state for (host_id, node), held in self._present().items()
                       if host_id in asked and node.type is NodeType.ROUTER]  # fmt: skip
        running = self._world.ask(lambda fleet, _: {vm.id for index, vm in fleet.vms.items() if fleet.runs(index)})
        return {
            target.back_end_id: _answers(land, leg_of(router, IPv4Address(target.ip)), listener, target, running)
            for router in routers
            if isinstance(router, RouterState)
            for listener in router.listeners
            for target in listener.targets
        }

    # --- for those who break it and look at it

    def landscape(self) -> Landscape:
        """The nodes that are there now, to follow packets through."""
        with self._lock:
            return self._landscape()

    def knows(self, node_id: str) -> bool:
        """Whether a node with this id is somewhere, or is told to fail."""
        with self._lock:
            self._follow()
            return node_id in self._failing or any(node.id == node_id for _, node in self._held)

    def fail(self, node_id: str) -> None:
        """Everything asked of the node fails from now on."""
        with self._lock, self._transaction():
            self._failing.add(node_id)
            self._file.execute("INSERT OR REPLACE INTO failing VALUES (?)", (node_id,))

    def heal(self, node_id: str | None = None) -> None:
        """None: all of them."""
        with self._lock, self._transaction():
            for one in tuple(self._failing) if node_id is None else (node_id,):
                self._failing.discard(one)
                self._file.execute("DELETE FROM failing WHERE id = ?", (one,))

    def lose(self, target: str) -> int:
        """A host forgets all its nodes, or every host a router, a NIC or those of a VM: how many were lost."""
        with self._lock, self._transaction():
            lost = [key for key, held in self._held.items() if target in {key[0], key[1].id, _vm_of(held)}]
            for key in lost:
                self._drop(key)
            return len(lost)

    # --- under the lock

    def _apply(self, host_id: str, host: _Host, wanted: Desired) -> Outcome:
        key = (host_id, wanted.node)
        held = self._held.get(key)
        if held is not None and held.boot == host.boot and held.generation > wanted.generation:
            return Applied(held.generation)
        if host.failing or wanted.node.id in self._failing or _vm_of(wanted.state or held) in host.failing_vms:
            return Failed(f"{host_id}: {Deed.NETWORK} of {wanted.node} fails (fail-operation)")
        if wanted.state is None:
            self._drop(key)
            return Applied(wanted.generation)
        self._held[key] = _Held(wanted.generation, host.boot, wanted.state)
        row = (host_id, wanted.node.type, wanted.node.id, wanted.generation, host.boot, dump(wanted.state))
        self._file.execute("INSERT OR REPLACE INTO node VALUES (?, ?, ?, ?, ?, ?)", row)
        return Applied(wanted.generation)

    def _drop(self, key: tuple[str, Node]) -> None:
        self._held.pop(key, None)
        host_id, node = key
        self._file.execute("DELETE FROM node WHERE host = ? AND type = ? AND id = ?", (host_id, node.type, node.id))

    def _present(self) -> Mapping[tuple[str, Node], _Held]:
        """What hosts have not forgotten by booting."""
        self._follow()
        boots = {host_id: host.boot for host_id, host in self._look().items()}
        return {key: held for key, held in self._held.items() if boots.get(key[0]) == held.boot}

    def _landscape(self) -> Landscape:
        """Of a node on two hosts, the later one counts."""
        latest = sorted(self._present().items(), key=lambda entry: entry[1].generation)
        return landscape({node: held.state for (_, node), held in latest})

    def _look(self) -> Mapping[str, _Host]:
        return self._world.ask(lambda fleet, _: {host.id: _host(fleet, host.index) for host in fleet.centre.hosts})

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """What was done in part is forgotten: all is read anew."""
        try:
            with self._file.transaction():
                self._follow()
                yield
        except BaseException:
            self._file.forget()
            raise

    def _follow(self) -> None:
        self._file.follow(self._recall)

    def _recall(self) -> None:
        self._held.clear()
        try:
            for host, type_, id_, generation, boot, state in self._file.execute("SELECT * FROM node"):
                node = Node(NodeType(type_), id_)
                self._held[host, node] = _Held(generation, boot, load(node.type, state))
        except (ValueError, KeyError, TypeError) as problem:
            _log.warning("simulated_network_forgotten", reason=str(problem))
            self._held.clear()
            self._file.execute("DELETE FROM node")
        self._failing = {id_ for (id_,) in self._file.execute("SELECT id FROM failing")}


def _vm_of(thing: NodeState | _Held | None) -> str | None:
    state = thing.state if isinstance(thing, _Held) else thing
    return state.vm_id if isinstance(state, NicState) else None


def _host(fleet: Fleet, index: int) -> _Host:
    condition = fleet.host_conditions[index]
    vms = ((fleet.vms[i].id, fleet.vm_conditions[i].failing) for i in fleet.residents(index))
    return _Host(
        fleet.boots[index],
        answers=not (condition.crashed or condition.cut),
        failing=Deed.NETWORK in condition.failing,
        failing_vms=frozenset(id_ for id_, failing in vms if Deed.NETWORK in failing),
    )


def _answers(land: Landscape, leg: Leg | None, listener: Listener, target: Target, running: Collection[str]) -> bool:
    nic_id = None if leg is None else land.nic_at.get((leg.vpc_id, target.ip))
    if leg is None or nic_id is None or land.nics[nic_id].vm_id not in running:
        return False
    protocol = Protocol(listener.protocol.transport)
    asked = Packet(protocol, IPv4Address(leg.gateway), IPv4Address(target.ip), target.port)
    return enters(nic_id, land.nics[nic_id], asked).passed
