"""A reconciler beside a wall: what the simulated hosts have, and what packets become of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from sqlalchemy import select

from core.drivers.simulated.network import SimulatedNetwork
from core.network import paths
from core.network.desired import Node
from core.network.node_rows import NetworkNode, NodeType
from core.network.packets import Packet, Step
from core.network.reconcile import Reconciler, Surroundings
from core.network.traffic import Protocol
from core.sealing import sealing_keys
from tests.support.filtering import Wall


@dataclass
class Yard:
    """`reconciler` works for the server "one"."""

    wall: Wall
    network: SimulatedNetwork
    pool: ThreadPoolExecutor

    def __post_init__(self) -> None:
        self.control = self.wall.control
        self.router = Node(NodeType.ROUTER, self.wall.site.router)
        self.nics = [Node(NodeType.NIC, nic) for nic in self.wall.nics]
        self.reconciler = self.another("one")

    def another(self, owner: str) -> Reconciler:
        keys = sealing_keys(self.control.settings)
        database, clock = self.control.database, self.control.clock
        return Reconciler(Surroundings(database, self.network, clock, keys, self.pool, lambda: 0.0), owner)

    def row(self, node: Node) -> NetworkNode:
        with self.control.database.platform() as session:
            mine = (NetworkNode.type == node.type, NetworkNode.id == node.id)
            return session.scalars(select(NetworkNode).where(*mine)).one()

    def nodes(self) -> set[Node]:
        with self.control.database.platform() as session:
            return {Node(type_, id_) for type_, id_ in session.execute(select(NetworkNode.type, NetworkNode.id))}

    def there(self) -> dict[Node, str]:
        """Host by node, as the hosts report it."""
        report = self.network.report(self.network.hosts())
        return {node: host_id for host_id, found in report.items() for node in found}

    def try_between(self, port: int) -> Step:
        """From the second VM to the first: the step that decides."""
        first, second = map(IPv4Address, self.wall.ips[:2])
        packet = Packet(Protocol.TCP, second, first, port)
        return paths.from_nic(self.network.landscape(), self.wall.nics[1], packet)[-1]

    def try_outside(self, target: str, port: int, source: str = "198.51.100.7") -> tuple[Step, ...]:
        packet = Packet(Protocol.TCP, IPv4Address(source), IPv4Address(target), port)
        return paths.from_outside(self.network.landscape(), packet)


@contextmanager
def a_yard(wall: Wall) -> Iterator[Yard]:
    network = SimulatedNetwork(wall.control.world, wall.control.folder / "network.db")
    with ThreadPoolExecutor(2) as pool:
        yield Yard(wall, network, pool)
    network.close()
