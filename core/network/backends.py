"""Back-end nodes of load balancers: adding, finding, changing and deleting them, and whether they are healthy.

A node is an address of a NIC of a VM, in a network that is attached to the balancer's router. Everything is decided
while the tenant and the router are locked (`core.network.balancers.locked`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen, MinLen
from sqlalchemy import delete as sql_delete
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.compute.rows import Nic, Vm
from core.context import Context, Page
from core.db.batches import batches
from core.db.guarded import written
from core.db.search import containing, exactly, only, page
from core.db.session import PlatformSession
from core.errors import Conflict, Invalid, NotFound
from core.ids import new_id
from core.network import balancers, nodes, traffic
from core.network.balancer_rows import BackEnd, Balancer
from core.network.balancers import Order, Port
from core.network.router_rows import RouterVpc
from core.paging import Paged

_REACHABLE: Final = "an address of the VM in a private network that is attached to the load balancer's router"

Weight = Annotated[int, Ge(1), Le(10)]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBackEnd:
    """A node that has no name is named after its id. `address`: one of the VM's."""

    name: Annotated[str, MinLen(1), MaxLen(128)] | None = None
    description: Annotated[str, MaxLen(1024)] = ""
    address: Annotated[str, MaxLen(64)]
    port: Port
    vm_id: Annotated[str, MaxLen(64)]
    weight: Weight = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AddBackEnd(NewBackEnd):
    balancer_id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackEndRef:
    """One node."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeBackEnd:
    """What is not given stays."""

    id: Annotated[str, MaxLen(64)]
    port: Port | None = None
    weight: Weight | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindBackEnds(Paged):
    """All given filters must hold. `name`: contained, whatever the case."""

    id: Annotated[str, MaxLen(64)] | None = None
    name: Annotated[str, MaxLen(128)] | None = None
    address: Annotated[str, MaxLen(64)] | None = None
    port: Port | None = None
    order: Order = Order.CREATED_AT


@dataclass(frozen=True, slots=True, kw_only=True)
class BackEndDetails:
    """`enabled`: always; nothing switches a single node off. `healthy` None: not checked yet."""

    id: str
    name: str
    description: str
    created_at: datetime
    balancer_id: str
    enabled: bool
    address: str
    port: int
    vm_id: str
    weight: int
    healthy: bool | None


def search(at: Context, find: FindBackEnds) -> Page[BackEndDetails]:
    """Nodes that the caller may see."""
    wanted = select(BackEnd).where(
        *exactly(BackEnd.id, find.id),
        *containing(BackEnd.name, find.name),
        *exactly(BackEnd.ip, find.address),
        *exactly(BackEnd.port, find.port),
    )
    found = page(at, wanted, find, order=balancers.sorting(find.order, BackEnd))
    return Page(tuple(_details(row) for (row,) in found.rows), found.total)


def add(at: Context, want: AddBackEnd) -> BackEndRef:
    """Raises NotFound, Invalid for an address that is not the VM's or not behind the router, Conflict when the balancer
    has that node."""
    balancer = balancers.locked(at.session, want.balancer_id)
    node = attach(at, balancer, want)
    nodes.mark_routers(at.session, [balancer.router_id])
    return BackEndRef(id=node.id)


def attach(at: Context, balancer: Balancer, want: NewBackEnd) -> BackEnd:
    """A new node of the balancer, which is locked. Raises like `add`."""
    nic = _nic(at.session, balancer, want)
    _refuse_known(at.session, balancer.id, nic.ip, want.port)
    id_ = new_id("backend")
    node = BackEnd(
        id=id_, tenant_id=balancer.tenant_id, balancer_id=balancer.id, vm_id=nic.vm_id, nic_id=nic.id,
        name=want.name or id_, description=want.description, created_at=at.clock.now(), ip=nic.ip, port=want.port,
        weight=want.weight,
    )  # fmt: skip
    at.session.add(node)
    at.session.flush()
    return node


def modify(at: Context, want: ChangeBackEnd) -> None:
    """Raises NotFound, Conflict when the balancer has a node with that port."""
    balancer, node = _locked(at.session, want.id)
    if want.port is not None and want.port != node.port:
        _refuse_known(at.session, balancer.id, node.ip, want.port)
        node.port, node.healthy = want.port, None
    node.weight = want.weight or node.weight
    nodes.mark_routers(at.session, [balancer.router_id])


def delete(at: Context, ref: BackEndRef) -> None:
    """Raises NotFound."""
    balancer, node = _locked(at.session, ref.id)
    at.session.delete(node)
    nodes.mark_routers(at.session, [balancer.router_id])


def drop_of(session: Session, nic_ids: Collection[str]) -> None:
    """The NICs go: so do the nodes that they are. Their tenants are locked."""
    its = BackEnd.nic_id.in_(nic_ids)
    routers = select(Balancer.router_id).join(BackEnd, BackEnd.balancer_id == Balancer.id).where(its).distinct()
    touched = session.scalars(routers).all()
    written(session, sql_delete(BackEnd).where(its))
    nodes.mark_routers(session, touched)


def record_health(session: PlatformSession, health: Mapping[str, bool]) -> None:
    """What the network driver sees of nodes, by their ids: whether they answer. Ids of no nodes are passed over; who is
    not named keeps what was seen last.

    Nodes that somebody else is writing at this moment are passed over, too, until the next look: servers that see
    different things, or somebody who deletes several nodes, would otherwise wait for each other in a ring."""
    for ids in batches(health):
        named = select(BackEnd.id, BackEnd.healthy).where(BackEnd.id.in_(ids)).with_for_update(skip_locked=True)
        before = session.execute(named).all()
        for healthy in (True, False):
            news = [id_ for id_, seen in before if health[id_] is healthy and seen is not healthy]
            if news:
                written(session, update(BackEnd).where(BackEnd.id.in_(news)).values(healthy=healthy))


def forget_health(session: Session, balancer_id: str) -> None:
    """Nobody checks the nodes of the balancer any more, or not yet."""
    unknown = update(BackEnd).where(BackEnd.balancer_id == balancer_id).values(healthy=None)
    written(session, unknown)


def _locked(session: Session, id_: str) -> tuple[Balancer, BackEnd]:
    own = select(BackEnd).where(*exactly(BackEnd.id, id_)).execution_options(populate_existing=True)
    known = only(session, own, "back-end node", id_)
    try:
        balancer = balancers.locked(session, known.balancer_id)
    except NotFound:
        raise NotFound("back-end node", id_) from None
    node = only(session, own, "back-end node", id_)
    return balancer, node


def _nic(session: Session, balancer: Balancer, want: NewBackEnd) -> Nic:
    ip = traffic.address(want.address, "address")
    own = (*exactly(Vm.id, want.vm_id), Vm.tenant_id == balancer.tenant_id)
    vm_id = session.scalar(select(Vm.id).where(*own))
    if vm_id is None:
        raise NotFound("VM", want.vm_id)
    nic = session.scalars(select(Nic).where(Nic.vm_id == vm_id, Nic.ip == ip).order_by(Nic.position)).first()
    if nic is None:
        raise Invalid("address", f"{ip} is no address of VM {vm_id}", _REACHABLE)
    attached = (RouterVpc.router_id == balancer.router_id, RouterVpc.vpc_id == nic.vpc_id)
    if session.scalar(select(RouterVpc.vpc_id).where(*attached)) is None:
        raise Invalid("address", f"{ip} is in no network of the router", _REACHABLE)
    return nic


def _refuse_known(session: Session, balancer_id: str, ip: str, port: int) -> None:
    same = (BackEnd.balancer_id == balancer_id, BackEnd.ip == ip, BackEnd.port == port)
    if session.scalar(select(BackEnd.id).where(*same)) is not None:
        raise Conflict("load balancer", balancer_id, f"has the node {ip}:{port} already")


def _details(row: BackEnd) -> BackEndDetails:
    return BackEndDetails(
        id=row.id, name=row.name, description=row.description, created_at=row.created_at, balancer_id=row.balancer_id,
        enabled=True, address=row.ip, port=row.port, vm_id=row.vm_id, weight=row.weight, healthy=row.healthy,
    )  # fmt: skip
