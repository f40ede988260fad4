"""Attaching private networks to routers, and detaching them.

The race: a network that is attached twice, or is deleted or mapped while it is being detached. Whoever does any of it
locks the tenant first (`core.network.outer`); the tables' constraints are the referees behind that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import MaxLen
from sqlalchemy import delete as sql_delete
from sqlalchemy import select

from core.compute.rows import Vm
from core.context import Context
from core.db.guarded import written
from core.db.session import of_every_kind
from core.errors import Conflict, Invalid
from core.naming import some
from core.network import balancers, nodes, outer, routers, vpcs
from core.network.outer_rows import NatMapping
from core.network.router_rows import Router, RouterState, RouterVpc


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachVpc:
    """`router_id`: needed where the tenant has several routers."""

    vpc_id: Annotated[str, MaxLen(64)] | None = None
    router_id: Annotated[str, MaxLen(64)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachVpc:
    """From the router that it is attached to."""

    vpc_id: Annotated[str, MaxLen(64)]


def attach(at: Context, want: AttachVpc) -> None:
    """Raises Invalid without a network, or when it is not clear which router is meant; NotFound; Conflict when it is
    attached to one already, or the router is still being created."""
    if want.vpc_id is None:
        raise Invalid("vpc_id", "is missing", "the id of a private network")
    vpc = vpcs.locked(at, want.vpc_id)
    router = _meant(at, vpc.tenant_id, want.router_id)
    if router.state is RouterState.CREATING:
        raise Conflict("router", router.id, "is being created")
    known = at.session.scalar(select(RouterVpc.router_id).where(RouterVpc.vpc_id == vpc.id))
    if known is not None:
        raise Conflict("private network", vpc.id, f"is attached to router {known} already")
    at.session.add(RouterVpc(vpc_id=vpc.id, tenant_id=vpc.tenant_id, router_id=router.id, attached_at=at.clock.now()))
    nodes.mark_routers(at.session, [router.id])


def detach(at: Context, want: DetachVpc) -> None:
    """Raises NotFound; Conflict when it is attached to no router, or while VMs in it are mapped or load balancers
    listen or have nodes in it, naming them."""
    vpc = vpcs.locked(at, want.vpc_id)
    router_id = at.session.scalar(select(RouterVpc.router_id).where(RouterVpc.vpc_id == vpc.id))
    if router_id is None:
        raise Conflict("private network", vpc.id, "is attached to no router")
    outer.lock_router(at.session, router_id)
    mapped = of_every_kind(select(Vm.name)).join(NatMapping, NatMapping.vm_id == Vm.id)
    if names := at.session.scalars(mapped.where(NatMapping.vpc_id == vpc.id).distinct().order_by(Vm.name)).all():
        raise Conflict("private network", vpc.id, f"VMs in it are mapped: {some(names)}")
    if users := balancers.in_network(at.session, vpc.id):
        raise Conflict("private network", vpc.id, f"load balancers listen or have nodes in it: {some(users)}")
    written(at.session, sql_delete(RouterVpc).where(RouterVpc.vpc_id == vpc.id))
    nodes.mark_routers(at.session, [router_id])


def _meant(at: Context, tenant_id: str, router_id: str | None) -> Router:
    """The router that is named, else the only one of the tenant; locked."""
    if router_id is not None:
        named = routers.existing(at.session, router_id)
        if named.tenant_id != tenant_id:
            raise Conflict("router", named.id, "belongs to another tenant than the private network")
        return outer.lock_router(at.session, named.id)
    known = at.session.scalars(select(Router.id).where(Router.tenant_id == tenant_id).order_by(Router.id)).all()
    if not known:
        raise Conflict("tenant", tenant_id, "has no router")
    if len(known) > 1:
        raise Invalid("router_id", "is missing", f"one of {', '.join(known)}")
    return outer.lock_router(at.session, known[0])
