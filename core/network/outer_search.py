"""Outer IPs that a tenant can map: those that are free, and those whose ports it uses already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from annotated_types import MaxLen
from sqlalchemy import ColumnElement, false, or_, select
from sqlalchemy.orm import Session

from core.compute.rows import Nic, Vm
from core.context import Context, Page
from core.db.search import containing, exactly, page
from core.network.balancer_rows import Balancer
from core.network.mapping_search import own_tenant
from core.network.outer_rows import NatMapping, NatType, OuterIp, OuterPool, PoolIp, TakenIp
from core.network.router_rows import RouterVpc
from core.paging import Paged


@dataclass(frozen=True, slots=True, kw_only=True)
class FindOuterIps(Paged):
    """`inner_ip`: for a mapping to this address, so of its router. `part` is contained in the outer IP, `ip` is it.

    `type` IP: only those that nothing uses. `tenant_id`: as seen by this tenant.
    """

    inner_ip: Annotated[str, MaxLen(64)] | None = None
    type: NatType | None = None
    part: Annotated[str, MaxLen(15)] | None = None
    tenant_id: Annotated[str, MaxLen(64)] | None = None
    ip: Annotated[str, MaxLen(64)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OuterIpDetails:
    """`ports`: those that are mapped or listened on, with commas, empty when none is; None when a whole IP was asked
    for."""

    ip: str
    ports: str | None
    gateway: str
    netmask: str


def search(at: Context, find: FindOuterIps) -> Page[OuterIpDetails]:
    """In the order of their addresses. Raises NotFound for another tenant."""
    own_tenant(at, find.tenant_id)
    columns = select(PoolIp.ip, OuterPool.gateway, OuterPool.netmask).join(OuterPool, OuterPool.id == PoolIp.pool_id)
    wanted = (_mappable(at, find), *containing(PoolIp.ip, find.part), *exactly(PoolIp.ip, find.ip))
    found = page(at, columns.where(*wanted), find, order=(PoolIp.number,))
    ports = _ports(at.session, [ip for ip, _, _ in found.rows])
    whole = find.type is NatType.IP
    details = (
        OuterIpDetails(ip=ip, ports=None if whole else ports.get(ip, ""), gateway=gateway, netmask=netmask)
        for ip, gateway, netmask in found.rows
    )
    return Page(tuple(details), found.total)


def _mappable(at: Context, find: FindOuterIps) -> ColumnElement[bool]:
    free = ~select(TakenIp.ip).where(TakenIp.ip == PoolIp.ip).exists()
    router_id = None
    if find.inner_ip is not None:
        own = select(RouterVpc.router_id).join(Nic, Nic.vpc_id == RouterVpc.vpc_id).join(Vm, Vm.id == Nic.vm_id)
        router_id = at.session.scalar(own.where(*exactly(Nic.ip, find.inner_ip)).limit(1))
        if router_id is None:
            return false()
    if find.type is NatType.IP:
        return free
    shared = (*exactly(OuterIp.router_id, router_id), *exactly(OuterIp.tenant_id, find.tenant_id))
    alone = select(Balancer.id).where(Balancer.ip == OuterIp.ip, Balancer.exclusive).exists()
    used = select(OuterIp.ip).where(OuterIp.ip == PoolIp.ip, OuterIp.use == NatType.PORT, *shared, ~alone)
    return or_(free, used.exists())


def _ports(session: Session, ips: Collection[str]) -> dict[str, str]:
    mapped = select(NatMapping.outer_ip, NatMapping.outer_port).where(NatMapping.outer_ip.in_(ips))
    balanced = select(Balancer.ip, Balancer.port).where(Balancer.ip.in_(ips))
    ports: dict[str, set[int]] = defaultdict(set)
    for ip, port in (*session.execute(mapped), *session.execute(balanced)):
        if port is not None:
            ports[ip].add(port)
    return {ip: ",".join(map(str, sorted(numbers))) for ip, numbers in ports.items()}
