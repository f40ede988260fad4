"""Mappings of outer IPs, or of single ports of them, to VMs: making and deleting them.

A mapping's router is the one that its VM's network is attached to; without one there is no mapping. The races are
closed by `core.network.outer`: everything is decided while the tenant and the router are locked.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen
from sqlalchemy import ColumnElement, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from core.compute.rows import Nic, Vm
from core.context import Context
from core.db.guarded import changed, written
from core.db.search import exactly, only
from core.errors import Conflict, Invalid, NotFound
from core.ids import new_id
from core.network import nodes, outer, traffic
from core.network.balancer_rows import Balancer
from core.network.outer_rows import NatMapping, NatType, OuterIp, Transport
from core.network.router_rows import Router, RouterVpc
from core.network.traffic import Blocks

_Port = Annotated[int, Ge(1), Le(traffic.HIGHEST_PORT)]
_Address = Annotated[str, MaxLen(64)]
_Sources = Annotated[str, MaxLen(traffic.LONGEST_LIST)]

_FREE_PORT: Final = "a port of the address that nothing uses"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectVm:
    """Everything that comes to `outer_ip`, by default the next free one, goes to the VM. `sources`: from there only."""

    vm_id: Annotated[str, MaxLen(64)]
    outer_ip: _Address | None = None
    sources: _Sources = ""
    description: Annotated[str, MaxLen(1024)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectedVm:
    outer_ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPort:
    """What comes to the port of `outer_ip` goes to that of `inner_ip`, the address of a VM. `sources`: from there
    only."""

    inner_ip: _Address
    inner_port: _Port
    outer_ip: _Address
    outer_port: _Port
    protocol: Transport
    sources: _Sources = ""
    description: Annotated[str, MaxLen(1024)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingRef:
    """One mapping, of an IP or of a port."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True)
class _End:
    """The inside of a mapping: a NIC whose network is attached to the router."""

    nic: Nic
    router: Router
    vpc_id: str


def connect(at: Context, want: ConnectVm) -> ConnectedVm:
    """The first NIC of the VM that is behind a router gets an outer IP of its own. Raises NotFound, Invalid,
    QuotaExceeded; Conflict when there is no such NIC, or it has one already, or none is free."""
    sources = str(Blocks.parse(want.sources, "sources"))
    vm = only(at.session, select(Vm).where(*exactly(Vm.id, want.vm_id)), "VM", want.vm_id)
    outer.lock_tenant(at.session, vm.tenant_id)
    end = _behind(at.session, Nic.vm_id == vm.id)
    if end is None:
        raise Conflict("VM", vm.id, "no router is attached to its networks")
    own = (NatMapping.nic_id == end.nic.id, NatMapping.type == NatType.IP)
    known = at.session.scalar(select(NatMapping.outer_ip).where(*own))
    if known is not None:
        raise Conflict("VM", vm.id, f"is mapped to {known} already")
    held = outer.hold(at, end.router, NatType.IP, want.outer_ip, "outer_ip")
    at.session.add(_mapping(at, end, held, sources, want.description))
    nodes.mark_routers(at.session, [end.router.id])
    return ConnectedVm(outer_ip=held.ip)


def map_port(at: Context, want: MapPort) -> None:
    """Raises NotFound, Invalid when the outer IP or its port is not free, QuotaExceeded; Conflict when the VM is behind
    no router."""
    sources = str(Blocks.parse(want.sources, "sources"))
    inner_ip = traffic.address(want.inner_ip, "inner_ip")
    having = select(Nic).join(Vm, Vm.id == Nic.vm_id).where(Nic.ip == inner_ip).order_by(Nic.vpc_id.is_(None)).limit(1)
    nic = only(at.session, having, "inner IP", inner_ip)
    outer.lock_tenant(at.session, nic.tenant_id)
    end = _behind(at.session, Nic.id == nic.id)
    if end is None:
        raise Conflict("inner IP", inner_ip, "no router is attached to its network")
    held = outer.hold(at, end.router, NatType.PORT, want.outer_ip, "outer_ip")
    _refuse_used_port(at.session, held.ip, want.outer_port, want.protocol)
    mapping = _mapping(at, end, held, sources, want.description)
    mapping.outer_port, mapping.inner_port, mapping.protocol = want.outer_port, want.inner_port, want.protocol
    at.session.add(mapping)
    nodes.mark_routers(at.session, [end.router.id])


def delete(at: Context, ref: MappingRef) -> None:
    """Its outer IP is free again when it was the last one of it. Raises NotFound."""
    mapping = only(at.session, select(NatMapping).where(*exactly(NatMapping.id, ref.id)), "mapping", ref.id)
    outer.lock_tenant(at.session, mapping.tenant_id)
    outer.lock_router(at.session, mapping.router_id)
    if not changed(at.session, sql_delete(NatMapping).where(NatMapping.id == mapping.id)):
        raise NotFound("mapping", ref.id)
    outer.give_back_unused(at.session, mapping.tenant_id, [mapping.outer_ip])
    nodes.mark_routers(at.session, [mapping.router_id])


def drop_of(session: Session, nic_ids: Collection[str]) -> None:
    """The NICs go: so do their mappings, and the outer IPs that nothing else uses."""
    for tenant_id in sorted(set(session.scalars(select(Nic.tenant_id).where(Nic.id.in_(nic_ids))))):
        outer.lock_tenant(session, tenant_id)
        own = (NatMapping.tenant_id == tenant_id, NatMapping.nic_id.in_(nic_ids))
        mapped = session.execute(select(NatMapping.router_id, NatMapping.outer_ip).where(*own)).all()
        routers = sorted({router_id for router_id, _ in mapped})
        for router_id in routers:
            outer.lock_router(session, router_id)
        written(session, sql_delete(NatMapping).where(*own))
        outer.give_back_unused(session, tenant_id, {ip for _, ip in mapped})
        nodes.mark_routers(session, routers)


def _refuse_used_port(session: Session, ip: str, port: int, protocol: Transport) -> None:
    """The router of the outer IP is locked. Raises Invalid when a mapping or a load balancer has the port."""
    same = (NatMapping.outer_ip == ip, NatMapping.outer_port == port, NatMapping.protocol == protocol)
    if (one := session.scalars(select(NatMapping).where(*same)).one_or_none()) is not None:
        inner = f"{one.inner_ip}:{one.inner_port}"
        raise Invalid("outer_port", f"{port}/{protocol} of {ip} is mapped to {inner} already", _FREE_PORT)
    for balancer in session.scalars(select(Balancer).where(Balancer.ip == ip).order_by(Balancer.id)):
        name = balancer.name
        if balancer.exclusive:
            raise Invalid("outer_ip", f"{ip} is used by load balancer {name} alone", "an address that it shares")
        if (balancer.port, balancer.transport) == (port, protocol):
            taken = f"load balancer {name} listens on {port}/{protocol} of {ip}"
            raise Invalid("outer_port", taken, _FREE_PORT)


def _behind(session: Session, which: ColumnElement[bool]) -> _End | None:
    """The first such NIC that is behind a router, and the router, locked."""
    attached = select(Nic, RouterVpc.router_id, RouterVpc.vpc_id).join(RouterVpc, RouterVpc.vpc_id == Nic.vpc_id)
    found = session.execute(attached.where(which).order_by(Nic.position, Nic.id).limit(1)).one_or_none()
    if found is None:
        return None
    nic, router_id, vpc_id = found
    return _End(nic, outer.lock_router(session, router_id), vpc_id)


def _mapping(at: Context, end: _End, held: OuterIp, sources: str, description: str) -> NatMapping:
    return NatMapping(
        id=new_id("nat"), tenant_id=end.nic.tenant_id, router_id=end.router.id, vpc_id=end.vpc_id, vm_id=end.nic.vm_id,
        nic_id=end.nic.id, created_at=at.clock.now(), description=description, type=held.use, outer_ip=held.ip,
        inner_ip=end.nic.ip, sources=sources,
    )  # fmt: skip
