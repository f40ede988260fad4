"""Load balancers: finding them, and what those who change them start with.

The race: two changes of what hangs on one router. Whoever changes a balancer, its nodes or its certificate locks the
tenant and the router first (`core.network.outer`), and reads what he decides on afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Le, MaxLen
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.compute.rows import Nic
from core.context import Context, Page
from core.db.search import containing, exactly, only, page
from core.network import certificates, outer
from core.network.balancer_rows import BackEnd, Balancer, Balancing, Certificate, Policy, Side
from core.network.mapping_search import own_tenant
from core.paging import Paged

FrontPort = Annotated[int, Ge(50), Le(65_535)]
Port = Annotated[int, Ge(1), Le(65_535)]


class Order(StrEnum):
    """CREATED_AT: newest first; NAME: ascending."""

    CREATED_AT = "created_at"
    NAME = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindBalancers(Paged):
    """All given filters must hold. `name`: contained, whatever the case."""

    id: Annotated[str, MaxLen(64)] | None = None
    name: Annotated[str, MaxLen(128)] | None = None
    tenant_id: Annotated[str, MaxLen(64)] | None = None
    enabled: bool | None = None
    protocol: Balancing | None = None
    side: Side | None = None
    ip: Annotated[str, MaxLen(64)] | None = None
    port: FrontPort | None = None
    order: Order = Order.CREATED_AT


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerRef:
    """One balancer."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerDetails:
    """`certificate_usable`: it has a certificate, and that holds now."""

    id: str
    name: str
    description: str
    created_at: datetime
    tenant_id: str
    router_id: str
    protocol: Balancing
    side: Side
    ip: str
    exclusive: bool
    port: int
    node_port: int
    enabled: bool
    path: str
    certificate_usable: bool
    policy: Policy
    retries: int
    check_seconds: int
    timeout_seconds: int
    idle_seconds: int
    check_path: str
    max_connections: int


def search(at: Context, find: FindBalancers) -> Page[BalancerDetails]:
    """Balancers that the caller may see. Raises NotFound for another tenant."""
    own_tenant(at, find.tenant_id)
    own = select(Balancer, Certificate).join(Certificate, Certificate.balancer_id == Balancer.id, isouter=True)
    wanted = own.where(
        *exactly(Balancer.id, find.id),
        *containing(Balancer.name, find.name),
        *exactly(Balancer.tenant_id, find.tenant_id),
        *exactly(Balancer.enabled, find.enabled),
        *exactly(Balancer.protocol, find.protocol),
        *exactly(Balancer.side, find.side),
        *exactly(Balancer.ip, find.ip),
        *exactly(Balancer.port, find.port),
    )
    found = page(at, wanted, find, order=sorting(find.order, Balancer))
    return Page(tuple(_details(row, certificate, at.clock.now()) for row, certificate in found.rows), found.total)


def sorting(
    order: Order, kind: type[Balancer] | type[BackEnd]
) -> tuple[ColumnElement[datetime] | InstrumentedAttribute[str], InstrumentedAttribute[str]]:
    """The columns that put rows in this order."""
    return (kind.name if order is Order.NAME else kind.created_at.desc()), kind.id


def locked(session: Session, balancer_id: str) -> Balancer:
    """The balancer as it is now, with its tenant and its router locked. Raises NotFound, also for another tenant's."""
    own = select(Balancer).where(*exactly(Balancer.id, balancer_id)).execution_options(populate_existing=True)
    known = only(session, own, "load balancer", balancer_id)
    outer.lock_tenant(session, known.tenant_id)
    outer.lock_router(session, known.router_id)
    return only(session, own, "load balancer", balancer_id)


def in_network(session: Session, vpc_id: str) -> Sequence[str]:
    """Names of the balancers that listen in the network or have nodes in it: it stays attached to their router."""
    with_nodes = select(BackEnd.balancer_id).join(Nic, Nic.id == BackEnd.nic_id).where(Nic.vpc_id == vpc_id)
    users = (Balancer.vpc_id == vpc_id) | Balancer.id.in_(with_nodes)
    return session.scalars(select(Balancer.name).where(users).order_by(Balancer.name)).all()


def _details(row: Balancer, certificate: Certificate | None, now: datetime) -> BalancerDetails:
    usable = certificate is not None and certificates.usable(certificate.starts_at, certificate.ends_at, now)
    return BalancerDetails(
        id=row.id, name=row.name, description=row.description, created_at=row.created_at, tenant_id=row.tenant_id,
        router_id=row.router_id, protocol=row.protocol, side=row.side, ip=row.ip, exclusive=row.exclusive,
        port=row.port, node_port=row.node_port, enabled=row.enabled, path=row.path, certificate_usable=usable,
        policy=row.policy, retries=row.retries, check_seconds=row.check_seconds, timeout_seconds=row.timeout_seconds,
        idle_seconds=row.idle_seconds, check_path=row.check_path, max_connections=row.max_connections,
    )  # fmt: skip
