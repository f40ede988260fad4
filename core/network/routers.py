"""Cloud routers: creating, finding and deleting them.

At once: rows, quota, address and one task per machine are written together. In the task: the router becomes ready to be
used, and the network driver makes it. A first machine that is not made takes the router with it, a second one only the
router's high availability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

from annotated_types import MaxLen, MinLen
from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from core.context import Context, Page
from core.db.guarded import written
from core.db.search import containing, exactly, only, page
from core.errors import Conflict, Forbidden, NotFound
from core.ids import new_id
from core.naming import some
from core.network import nodes, outer
from core.network.balancer_rows import Balancer, BalancerCount
from core.network.node_rows import NetworkNode, NodeType
from core.network.outer_rows import NatType, OuterIp
from core.network.router_rows import Router, RouterState, RouterVpc
from core.network.rows import Vpc
from core.paging import Paged
from core.tasks import queue
from core.tasks.claims import TaskFacts
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Target, Write, declare

_ROUTER: Final = "router"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRouter:
    """A router without a name is named after its id. `wan_ip`: by default the next free outer IP."""

    name: Annotated[str, MinLen(1), MaxLen(128)] | None = None
    highly_available: bool = False
    wan_ip: Annotated[str, MaxLen(64)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedMachine:
    """A machine of the router, which the task makes; the id of the first one is the router's."""

    id: str
    name: str
    wan_ip: str
    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterRef:
    """The router that has the machine."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindRouters(Paged):
    """`id` exact; `name` contained, whatever the case. Both must hold."""

    id: Annotated[str, MaxLen(64)] | None = None
    name: Annotated[str, MaxLen(128)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterDetails:
    """`online`: the network driver has made it. It registers with its outer address, which is also the one to manage it
    by."""

    id: str
    name: str
    description: str
    created_at: datetime
    registered_ip: str
    online: bool
    wan_ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRouter(RouterDetails):
    """`machine_ids`: one, or two when it is highly available."""

    machine_ids: tuple[str, ...]
    vpc_ids: tuple[str, ...]


def create(at: Context, want: CreateRouter) -> tuple[CreatedMachine, ...]:
    """A router of the caller's tenant; its machines are made by their tasks. Raises Invalid when `wan_ip` is not free,
    QuotaExceeded, Conflict when there is no outer IP, Forbidden for the platform, which owns no routers."""
    tenant_id = at.caller.tenant_id
    if tenant_id is None:
        raise Forbidden("a router belongs to a tenant: create it with the tenant's token")
    outer.lock_tenant(at.session, tenant_id)
    id_ = new_id("vroute")
    standby_id = new_id("vroute") if want.highly_available else None
    router = Router(
        id=id_, tenant_id=tenant_id, standby_id=standby_id, name=want.name or id_, created_at=at.clock.now(),
        state=RouterState.CREATING,
    )  # fmt: skip
    at.session.add(router)
    at.session.flush()
    held = outer.hold(at, router, NatType.PORT, want.wan_ip, "wan_ip", is_wan=True)
    return tuple(
        CreatedMachine(id=machine, name=name, wan_ip=held.ip, task_id=_submit(at, machine, router))
        for machine, name in ((id_, router.name), (standby_id, f"{router.name}-standby"))
        if machine is not None
    )


def read(at: Context, ref: RouterRef) -> RouterDetails:
    """Raises NotFound, also for another tenant's."""
    router = existing(at.session, ref.id)
    row = at.session.execute(_columns().where(Router.id == router.id)).one()
    return _details(*row)


def search(at: Context, find: FindRouters) -> Page[FoundRouter]:
    """Routers, newest first."""
    wanted = (*(_having(find.id) if find.id is not None else ()), *containing(Router.name, find.name))
    found = page(at, _columns().where(*wanted), find, order=(Router.created_at.desc(), Router.id))
    attached = select(RouterVpc).where(RouterVpc.router_id.in_([row[0].id for row in found.rows]))
    networks = at.session.scalars(attached.order_by(RouterVpc.attached_at, RouterVpc.vpc_id)).all()
    return Page(tuple(_found(row[0], row[1], row[2], networks) for row in found.rows), found.total)


def delete(at: Context, ref: RouterRef) -> None:
    """Its outer IP is free again. Raises NotFound; Conflict while it is being created, has networks attached or load
    balancers, naming them."""
    router = existing(at.session, ref.id)
    outer.lock_tenant(at.session, router.tenant_id)
    router = outer.lock_router(at.session, router.id)
    if router.state is RouterState.CREATING:
        raise Conflict("router", router.id, "is being created")
    attached = select(Vpc.name).join(RouterVpc, RouterVpc.vpc_id == Vpc.id).where(RouterVpc.router_id == router.id)
    if networks := at.session.scalars(attached.order_by(Vpc.name)).all():
        raise Conflict("router", router.id, f"networks are attached: {some(networks)}")
    listening = select(Balancer.name).where(Balancer.router_id == router.id).order_by(Balancer.name)
    if balancers := at.session.scalars(listening).all():
        raise Conflict("router", router.id, f"load balancers are on it: {some(balancers)}")
    _drop(at.session, router)


def existing(session: Session, machine_id: str) -> Router:
    """The router that has this machine. Raises NotFound, also for another tenant's."""
    return only(session, select(Router).where(*_having(machine_id)), "router", machine_id)


def _having(machine_id: str) -> tuple[ColumnElement[bool], ...]:
    return (or_(*exactly(Router.id, machine_id), *exactly(Router.standby_id, machine_id)),)


def _columns() -> Select[Router, str, int | None]:
    node = and_(NetworkNode.id == Router.id, NetworkNode.type == NodeType.ROUTER)
    return (
        select(Router, OuterIp.ip, NetworkNode.confirmed)
        .join(OuterIp, and_(OuterIp.router_id == Router.id, OuterIp.is_wan))
        .join(NetworkNode, node, isouter=True)
    )


def _details(router: Router, wan_ip: str, confirmed: int | None) -> RouterDetails:
    return RouterDetails(
        id=router.id, name=router.name, description=router.description, created_at=router.created_at,
        registered_ip=wan_ip, online=bool(confirmed), wan_ip=wan_ip,
    )  # fmt: skip


def _found(router: Router, wan_ip: str, confirmed: int | None, networks: Sequence[RouterVpc]) -> FoundRouter:
    machines = (router.id, router.standby_id)
    return FoundRouter(
        **asdict(_details(router, wan_ip, confirmed)),
        machine_ids=tuple(machine for machine in machines if machine is not None),
        vpc_ids=tuple(network.vpc_id for network in networks if network.router_id == router.id),
    )


def _drop(session: Session, router: Router) -> None:
    held = session.scalars(select(OuterIp.ip).where(OuterIp.router_id == router.id)).all()
    outer.drop(session, router.tenant_id, held)
    written(session, sql_delete(BalancerCount).where(BalancerCount.router_id == router.id))
    nodes.gone(session, NodeType.ROUTER, [router.id])
    session.delete(router)
    session.flush()


def _submit(at: Context, machine_id: str, router: Router) -> str:
    return queue.submit(at, CREATE, machine_id, router.tenant_id, {_ROUTER: router.id})


def _run(task: TaskContext) -> Write:
    """The network driver makes it; it may be used at once."""
    return lambda session: _ready(session, task.task)


def _ready(session: Session, task: TaskFacts) -> None:
    router = _of(session, task)
    if router is None:
        raise NotFound("router", task.text(_ROUTER))
    if task.object_id == router.id:
        router.state = RouterState.READY
    session.flush()
    nodes.mark_routers(session, [router.id])


def _undo(task: TaskContext) -> Write:
    return lambda session: _take_back(session, task.task)


def _take_back(session: Session, task: TaskFacts) -> None:
    router = _of(session, task)
    if router is None:
        return
    if task.object_id != router.id:
        router.standby_id = None
        nodes.mark_routers(session, [router.id] if router.state is RouterState.READY else [])
    elif router.state is RouterState.CREATING:
        _drop(session, router)


def _of(session: Session, task: TaskFacts) -> Router | None:
    """The task's router, locked."""
    assert task.tenant_id is not None
    outer.lock_tenant(session, task.tenant_id)
    own = select(Router).where(Router.id == task.text(_ROUTER)).with_for_update()
    return session.scalars(own.execution_options(populate_existing=True)).one_or_none()


def _no_locks(_session: Session, _task_id: str) -> None:
    """Tasks on one machine follow each other; it needs no lock beside."""


_MACHINE: Final = Target("router", _no_locks)
CREATE: Final = declare(
    Kind(
        name="router.create", title="create router", target=_MACHINE, run=_run, undo=_undo, withdraw=_take_back,
        limit=timedelta(minutes=10),
    )
)  # fmt: skip
