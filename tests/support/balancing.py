"""A tenant with a router before its network, two VMs behind it, and outer IPs 203.0.113.2 to 203.0.113.14."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import select, update

from core.compute.rows import Nic
from core.db.types import Row
from core.network import attaching, backends, balancer_changes, balancers, pools, routers
from core.network.attaching import AttachVpc
from core.network.backends import AddBackEnd, BackEndDetails, BackEndRef, ChangeBackEnd, FindBackEnds, NewBackEnd
from core.network.balancer_changes import AddBalancer
from core.network.balancer_rows import Balancing, Side
from core.network.balancers import BalancerDetails, BalancerRef, FindBalancers
from core.network.node_rows import NetworkNode
from core.network.pools import AddPool
from core.network.routers import CreateRouter
from core.tenancy.rows import Quota
from tests.support.control import Control

A = TypeVar("A", bound=Row)
OUTER = "203.0.113.9"


@dataclass
class Site:
    """`inside`: the addresses of the VMs, by their ids."""

    control: Control
    router: str
    wan_ip: str
    inside: dict[str, str]

    def add(self, **want: object) -> str:
        """By default a shared `tcp` balancer on port 80 of an outer address."""
        return self.control.do(balancer_changes.add, self._balancer(want)).id

    def add_as_platform(self, **want: object) -> str:
        return self.control.platform(balancer_changes.add, self._balancer(want)).id

    def _balancer(self, want: Mapping[str, object]) -> AddBalancer:
        wish: dict[str, object] = {
            "name": "web", "tenant_id": self.control.tenant, "router_id": self.router, "protocol": Balancing.TCP,
            "side": Side.OUTER, "ip": OUTER, "port": 80, "exclusive": False, **want,
        }  # fmt: skip
        return AddBalancer(**wish)  # type: ignore[arg-type]

    @staticmethod
    def wish(vm_id: str, address: str, port: int = 8080) -> NewBackEnd:
        return NewBackEnd(vm_id=vm_id, address=address, port=port)

    def node(self, balancer_id: str, vm: int = 0, port: int = 8080, **want: object) -> str:
        """A node that is one of the VMs."""
        vm_id, ip = list(self.inside.items())[vm]
        wish: dict[str, object] = {"balancer_id": balancer_id, "vm_id": vm_id, "address": ip, "port": port, **want}
        return self.control.do(backends.add, AddBackEnd(**wish)).id  # type: ignore[arg-type]

    def change_node(self, id_: str, **want: object) -> None:
        self.control.do(backends.modify, ChangeBackEnd(id=id_, **want))  # type: ignore[arg-type]

    def delete_node(self, id_: str) -> None:
        self.control.do(backends.delete, BackEndRef(id=id_))

    def shown(self, balancer_id: str) -> BalancerDetails:
        (found,) = self.control.do(balancers.search, FindBalancers(id=balancer_id)).rows
        return found

    def nodes(self, **find: object) -> tuple[BackEndDetails, ...]:
        return self.control.do(backends.search, FindBackEnds(**find)).rows  # type: ignore[arg-type]

    def delete(self, balancer_id: str) -> None:
        self.control.do(balancer_changes.delete, BalancerRef(id=balancer_id))

    def rows(self, kind: type[A]) -> list[A]:
        with self.control.database.platform() as session:
            return list(session.scalars(select(kind)))

    def wanted(self) -> int:
        """The generation of the router that is wanted."""
        with self.control.database.platform() as session:
            return session.scalars(select(NetworkNode.wanted).where(NetworkNode.id == self.router)).one()

    def outer_ips_used(self) -> int:
        with self.control.database.platform() as session:
            return session.get_one(Quota, self.control.tenant).outer_ips_used


def make_site(control: Control) -> Site:
    with control.database.platform(write=True) as session:
        session.execute(update(Quota).values(outer_ips_limit=5))
    control.platform(pools.add, AddPool(addresses="203.0.113.0/28", gateway="203.0.113.1"))
    (machine,) = control.do(routers.create, CreateRouter(name="edge", wan_ip="203.0.113.2"))
    control.settle()
    control.do(attaching.attach, AttachVpc(vpc_id=control.vpc))
    vm_ids = control.open(number=2)
    with control.database.platform() as session:
        ips = {vm_id: session.scalars(select(Nic.ip).where(Nic.vm_id == vm_id)).one() for vm_id in vm_ids}
    return Site(control, machine.id, machine.wan_ip, ips)
