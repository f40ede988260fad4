"""Mappings, as they are found: those of whole IPs of VMs, and all of them by router."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, MaxLen
from sqlalchemy import select

from core.compute.rows import Vm
from core.context import Context, Page
from core.db.search import containing, exactly, page
from core.db.session import of_every_kind
from core.errors import NotFound
from core.network import traffic
from core.network.outer_rows import NatMapping, NatType, Transport
from core.paging import Paged

_Port = Annotated[int, Ge(1), Le(traffic.HIGHEST_PORT)]
_Text = Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindIpMappings(Paged):
    """Both are contained, whatever the case."""

    vm_name: Annotated[str, MaxLen(128)] | None = None
    outer_ip: _Text | None = None
    counts_pages: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class IpMapping:
    id: str
    vm_id: str
    vm_name: str
    outer_ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindMappings(Paged):
    """All given filters must hold, exactly."""

    outer_ip: _Text | None = None
    type: NatType | None = None
    outer_port: _Port | None = None
    inner_port: _Port | None = None
    inner_ip: _Text | None = None
    router_id: _Text | None = None
    tenant_id: _Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingDetails:
    """Ports and `protocol` are None in a mapping of a whole IP. `sources`: empty for anybody."""

    id: str
    type: NatType
    router_id: str
    outer_ip: str
    outer_port: int | None
    inner_ip: str
    inner_port: int | None
    protocol: Transport | None
    vm_id: str
    vm_name: str
    vpc_id: str
    sources: str
    description: str
    created_at: datetime


def of_ips(at: Context, find: FindIpMappings) -> Page[IpMapping]:
    """Newest first."""
    held = of_every_kind(select(NatMapping.id, Vm.id, Vm.name, NatMapping.outer_ip))
    columns = held.join(Vm, Vm.id == NatMapping.vm_id)
    wanted = (*containing(Vm.name, find.vm_name), *containing(NatMapping.outer_ip, find.outer_ip))
    found = page(at, columns.where(NatMapping.type == NatType.IP, *wanted), find, order=_NEWEST)
    return Page(
        tuple(IpMapping(id=id_, vm_id=vm_id, vm_name=name, outer_ip=ip) for id_, vm_id, name, ip in found.rows),
        found.total,
    )


def search(at: Context, find: FindMappings) -> Page[MappingDetails]:
    """Newest first. Raises NotFound for another tenant."""
    own_tenant(at, find.tenant_id)
    columns = of_every_kind(select(NatMapping, Vm.name)).join(Vm, Vm.id == NatMapping.vm_id)
    wanted = columns.where(
        *exactly(NatMapping.outer_ip, find.outer_ip),
        *exactly(NatMapping.type, find.type),
        *exactly(NatMapping.outer_port, find.outer_port),
        *exactly(NatMapping.inner_port, find.inner_port),
        *exactly(NatMapping.inner_ip, find.inner_ip),
        *exactly(NatMapping.router_id, find.router_id),
        *exactly(NatMapping.tenant_id, find.tenant_id),
    )
    found = page(at, wanted, find, order=_NEWEST)
    return Page(tuple(_details(mapping, name) for mapping, name in found.rows), found.total)


def own_tenant(at: Context, tenant_id: str | None) -> None:
    """A tenant asks for itself. Raises NotFound."""
    if tenant_id is not None and not at.caller.is_platform and tenant_id != at.caller.tenant_id:
        raise NotFound("tenant", tenant_id)


def _details(mapping: NatMapping, vm_name: str) -> MappingDetails:
    return MappingDetails(
        id=mapping.id, type=mapping.type, router_id=mapping.router_id, outer_ip=mapping.outer_ip,
        outer_port=mapping.outer_port, inner_ip=mapping.inner_ip, inner_port=mapping.inner_port,
        protocol=mapping.protocol, vm_id=mapping.vm_id, vm_name=vm_name, vpc_id=mapping.vpc_id,
        sources=mapping.sources, description=mapping.description, created_at=mapping.created_at,
    )  # fmt: skip


_NEWEST = (NatMapping.created_at.desc(), NatMapping.id)
