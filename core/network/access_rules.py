"""Access rules of VMs, and the gate of a network that makes its routers enforce them.

A rule allows; what no rule allows is refused while it is enforced: on the boundary of the network while its gate is
open, on the NIC while the firewall of its VM is enabled. Rules are kept when they are not enforced.

The race: a rule is added while its NIC is deleted, or while its network is attached to a router. Whoever adds or
deletes a rule locks the network and the NIC first, as deleting and attaching do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from annotated_types import MaxLen
from sqlalchemy import delete as sql_delete
from sqlalchemy import select

from core.compute.rows import Nic, Vm
from core.context import Context, Page
from core.db.guarded import changed
from core.db.search import containing, exactly, only, page
from core.db.session import of_every_kind
from core.errors import Conflict, Invalid, NotFound
from core.ids import new_id
from core.network import filters, nodes
from core.network.addresses import locked_network
from core.network.filter_rows import AccessRule, Boundary
from core.network.router_rows import Router, RouterVpc
from core.network.rows import Vpc
from core.network.traffic import (
    LONGEST_LIST,
    OWN_SIDE,
    Blocks,
    Direction,
    PortSet,
    Protocol,
    address,
    refuse_ports_without_protocol,
)
from core.paging import Paged
from core.tenancy.rows import TenantName

_List = Annotated[str, MaxLen(LONGEST_LIST)]


class Gate(StrEnum):
    """OPEN: the boundary is filtered."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindAccessRules(Paged):
    """All given filters must hold. `target`, `vpc_id`: contained; `ports`: each entry is one of the rule's."""

    target: Annotated[str, MaxLen(64)] | None = None
    vpc_id: Annotated[str, MaxLen(64)] | None = None
    boundary: Boundary | None = None
    ports: _List = ""
    router_id: Annotated[str, MaxLen(64)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRuleDetails:
    """`vpc_id`, `router_id` None: the NIC is in no network, or that is attached to no router. Empty `source`, `target`,
    `ports`, and no `protocol`: any."""

    id: str
    boundary: Boundary
    router_id: str | None
    vpc_id: str | None
    target: str
    vm_name: str
    source: str
    ports: str
    protocol: Protocol | None
    router_name: str | None
    tenant_name: str
    tenant_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddAccessRule:
    """`ip`: of the NIC; it stands on the NIC's own side whether it is repeated there or not. Without a direction:
    inbound, on the boundary of the network; on the NIC it must be given."""

    ip: Annotated[str, MaxLen(64)]
    boundary: Boundary
    description: Annotated[str, MaxLen(1024)] = ""
    direction: Direction | None = None
    targets: _List = ""
    ports: _List = ""
    sources: _List = ""
    protocol: Protocol | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedAccessRule:
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRuleRef:
    """One rule."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetGate:
    vpc_id: Annotated[str, MaxLen(64)]
    gate: Gate


def search(at: Context, find: FindAccessRules) -> Page[AccessRuleDetails]:
    """Newest first. Raises Invalid for ports that cannot be."""
    rule = AccessRule
    columns = (
        of_every_kind(select(rule, Vm.name, Router.id, Router.name, TenantName.name))
        .join(Nic, Nic.id == rule.nic_id)
        .join(Vm, Vm.id == Nic.vm_id)
        .join(TenantName, TenantName.tenant_id == rule.tenant_id)
        .join(Vpc, Vpc.id == rule.vpc_id, isouter=True)
        .join(RouterVpc, RouterVpc.vpc_id == rule.vpc_id, isouter=True)
        .join(Router, Router.id == RouterVpc.router_id, isouter=True)
        .where(
            *containing(rule.targets, find.target),
            *containing(Vpc.id, find.vpc_id),
            *exactly(rule.boundary, find.boundary),
            *filters.listing(rule.ports, PortSet.parse(find.ports, "ports").ranges),
            *exactly(Router.id, find.router_id),
        )
    )
    found = page(at, columns, find, order=(rule.created_at.desc(), rule.id))
    return Page(tuple(_details(*row) for row in found.rows), found.total)


def add(at: Context, want: AddAccessRule) -> AddedAccessRule:
    """In force within about a second. Raises Invalid; NotFound when no NIC has the address; Conflict when several have
    it, or when the NIC is in no network and the rule is for its boundary."""
    ip, direction, ports = address(want.ip, "ip"), _direction(want), PortSet.parse(want.ports, "ports")
    refuse_ports_without_protocol(want.protocol, ports, ("protocol", "ports"))
    sides = {name: _side(want, name, direction, ip) for name in ("sources", "targets")}
    nic = _locked_nic(at, ip)
    if want.boundary is Boundary.NETWORK and nic.vpc_id is None:
        raise Conflict("NIC", nic.id, "is in no private network, whose boundary could be guarded")
    rule = AccessRule(
        id=new_id("rule"), tenant_id=nic.tenant_id, nic_id=nic.id, vpc_id=nic.vpc_id, created_at=at.clock.now(),
        description=want.description, boundary=want.boundary, direction=direction, protocol=want.protocol,
        ports=str(ports), **sides,
    )  # fmt: skip
    at.session.add(rule)
    at.session.flush()
    _mark(at, rule)
    return AddedAccessRule(id=rule.id)


def delete(at: Context, ref: AccessRuleRef) -> None:
    """Raises NotFound."""
    rule = only(at.session, select(AccessRule).where(*exactly(AccessRule.id, ref.id)), "access rule", ref.id)
    if rule.vpc_id is not None:
        filters.lock_network(at.session, rule.vpc_id)
    if not changed(at.session, sql_delete(AccessRule).where(AccessRule.id == rule.id)):
        raise NotFound("access rule", ref.id)
    _mark(at, rule)


def set_gate(at: Context, want: SetGate) -> None:
    """Setting what is set already changes nothing. Raises NotFound."""
    vpc = only(at.session, locked_network(want.vpc_id), "private network", want.vpc_id)
    if vpc.gate_open is (want.gate is Gate.OPEN):
        return
    vpc.gate_open = not vpc.gate_open
    guarded = (AccessRule.vpc_id == vpc.id, AccessRule.boundary == Boundary.NETWORK)
    rules = {row.id: row.nic_id for row in at.session.execute(select(AccessRule.id, AccessRule.nic_id).where(*guarded))}
    filters.mark_networks(at.session, [vpc.id], rules)


def _direction(want: AddAccessRule) -> Direction:
    if want.direction is None and want.boundary is Boundary.NIC:
        raise Invalid("direction", "is missing for a rule inside the network", "in or out")
    return want.direction or Direction.IN


def _side(want: AddAccessRule, name: str, direction: Direction, ip: str) -> str:
    """The canonical text of the sources or of the targets."""
    given = str(Blocks.parse(getattr(want, name), name))
    if name != OWN_SIDE[direction]:
        return given
    if given not in {"", ip}:
        raise Invalid(name, f"{given} is not the address of the VM", f"nothing, or {ip}")
    return ip


def _locked_nic(at: Context, ip: str) -> Nic:
    having = select(Nic.id, Nic.vpc_id).join(Vm, Vm.id == Nic.vm_id).where(Nic.ip == ip)
    found = at.session.execute(having).all()
    if len(found) > 1:
        raise Conflict("NIC", ip, f"{len(found)} NICs have this address")
    for nic_id, vpc_id in found:
        if vpc_id is not None:
            filters.lock_network(at.session, vpc_id)
        for nic in filters.lock_nics(at.session, [nic_id]):
            return nic
    raise NotFound("NIC", ip)


def _mark(at: Context, rule: AccessRule) -> None:
    if rule.boundary is Boundary.NIC:
        nodes.mark_nics(at.session, [rule.nic_id], [rule.id])
    elif rule.vpc_id is not None:
        filters.mark_networks(at.session, [rule.vpc_id], {rule.id: rule.nic_id})


def _details(
    rule: AccessRule, vm_name: str, router_id: str | None, router_name: str | None, tenant_name: str
) -> AccessRuleDetails:
    return AccessRuleDetails(
        id=rule.id, boundary=rule.boundary, router_id=router_id, vpc_id=rule.vpc_id, target=rule.targets,
        vm_name=vm_name, source=rule.sources, ports=rule.ports, protocol=rule.protocol, router_name=router_name,
        tenant_name=tenant_name, tenant_id=rule.tenant_id,
    )  # fmt: skip
