"""Outer IPs: taken from the pools for routers, mappings and load balancers, and given back when nothing uses them.

The race: two tenants that find the same outer IP free, or two mappings that find the same port free. Whoever changes
what a tenant has outside takes the rows in one order: the tenant's quota (`lock_tenant`), then the router
(`lock_router`), then outer IPs; within a tenant nothing is therefore decided on what is changing. Between tenants the
primary key of `outer_ip` is the referee: who comes second looks again, or is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.context import Context
from core.db.guarded import written
from core.db.search import exactly, only
from core.errors import Conflict, Invalid, NotFound
from core.network import traffic
from core.network.balancer_rows import Balancer
from core.network.outer_rows import NatMapping, NatType, OuterIp, PoolIp, TakenIp
from core.network.router_rows import Router
from core.tenancy import quotas
from core.tenancy.quotas import Amounts
from core.tenancy.rows import Quota

_ATTEMPTS: Final = 10
_FREE: Final = "an outer IP that is free, as found by cloudip/mapping/outerIp/search"


def lock_tenant(session: Session, tenant_id: str) -> None:
    """Until the transaction ends nobody else changes what the tenant has outside. What was read before may have changed
    by now. Raises NotFound."""
    own = select(Quota.tenant_id).where(Quota.tenant_id == tenant_id).with_for_update()
    if session.scalar(own) is None:
        raise NotFound("tenant", tenant_id)


def lock_router(session: Session, router_id: str) -> Router:
    """The router as it is now, which nobody else changes until the transaction ends. After `lock_tenant`. Raises
    NotFound."""
    own = select(Router).where(Router.id == router_id).with_for_update().execution_options(populate_existing=True)
    return only(session, own, "router", router_id)


def hold(at: Context, router: Router, use: NatType, wanted: str | None, field: str, *, is_wan: bool = False) -> OuterIp:
    """An outer IP for `use` on the router, which is locked: `wanted`, or the lowest that is free. One whose ports the
    router uses already is used further, for its ports.

    Raises Invalid, naming `field`, when `wanted` is no address or not free; Conflict when none is free; QuotaExceeded.
    """
    ip = None if wanted is None else traffic.address(wanted, field)
    known = at.session.scalars(select(OuterIp).where(*exactly(OuterIp.ip, ip))).one_or_none() if ip else None
    if known is not None and known.tenant_id == router.tenant_id:
        _refuse_other_use(at.session, known, router, use, field)
        return known
    quotas.take(at.session, router.tenant_id, Amounts(outer_ips=1))
    for _ in range(_ATTEMPTS):
        chosen = _free(at.session, ip)
        if chosen is None and ip is None:
            raise Conflict("platform", "starvc", "has no free outer IP")
        if chosen is None:
            raise Invalid(field, f"{wanted} is not a free outer IP", _FREE)
        held = OuterIp(
            ip=chosen, tenant_id=router.tenant_id, router_id=router.id, use=use, is_wan=is_wan, taken_at=at.clock.now()
        )
        try:
            with at.session.begin_nested():
                at.session.add(held)
        except IntegrityError:
            continue
        return held
    raise Conflict("router", router.id, "others were faster, several times")


def give_back_unused(session: Session, tenant_id: str, ips: Collection[str]) -> None:
    """Those of the tenant's outer IPs that nothing uses any more are free, and the quota has them back. The tenant is
    locked; what used them is gone from the tables."""
    session.flush()
    mapped = select(NatMapping.id).where(NatMapping.outer_ip == OuterIp.ip).exists()
    balanced = select(Balancer.id).where(Balancer.ip == OuterIp.ip).exists()
    held = (OuterIp.tenant_id == tenant_id, OuterIp.ip.in_(ips), ~OuterIp.is_wan)
    drop(session, tenant_id, session.scalars(select(OuterIp.ip).where(*held, ~mapped, ~balanced)).all())


def drop(session: Session, tenant_id: str, ips: Collection[str]) -> None:
    """These outer IPs are free, and the quota has them back."""
    written(session, delete(OuterIp).where(OuterIp.tenant_id == tenant_id, OuterIp.ip.in_(ips)))
    quotas.give_back(session, tenant_id, Amounts(outer_ips=len(ips)))


def wan_ips(session: Session, router_ids: Collection[str]) -> dict[str, str]:
    """The address of each router, by its id."""
    own = select(OuterIp.router_id, OuterIp.ip).where(OuterIp.router_id.in_(router_ids), OuterIp.is_wan)
    return {router_id: ip for router_id, ip in session.execute(own)}


def _free(session: Session, ip: str | None) -> str | None:
    """Others that are being taken right now are skipped, where the database can tell."""
    taken = select(TakenIp.ip).where(TakenIp.ip == PoolIp.ip).exists()
    free = select(PoolIp.ip).where(*exactly(PoolIp.ip, ip), ~taken).order_by(PoolIp.number).limit(1)
    return session.scalar(free.with_for_update(skip_locked=ip is None, of=PoolIp))


def _refuse_other_use(session: Session, known: OuterIp, router: Router, use: NatType, field: str) -> None:
    if known.router_id != router.id:
        raise Invalid(field, f"{known.ip} is held by another router, {known.router_id}", _FREE)
    if known.use is NatType.IP:
        inner = session.scalar(select(NatMapping.inner_ip).where(NatMapping.outer_ip == known.ip))
        raise Invalid(field, f"{known.ip} is mapped to {inner} as a whole", _FREE)
    if use is NatType.IP and known.is_wan:
        raise Invalid(field, f"{known.ip} is the address of its router", _FREE)
    if use is NatType.IP:
        raise Invalid(field, f"{known.ip} has ports in use", _FREE)
