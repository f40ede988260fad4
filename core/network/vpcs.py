"""Private networks: opening, finding, changing and closing them.

The races: two tenants that both find the same block free: the database lets one of them have it, the other one looks
again; and a network that gets a NIC or a router while it is being closed: who closes it locks the tenant and its row.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from annotated_types import MaxLen, MinLen
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from core.compute.rows import Nic, Vm
from core.context import Context, Page
from core.db.search import exactly, only
from core.db.session import of_every_kind
from core.errors import Conflict, Forbidden
from core.ids import new_id
from core.naming import some
from core.network import addresses, outer
from core.network.router_rows import Router, RouterVpc
from core.network.rows import TakenCidr, Vpc
from core.tenancy import quotas
from core.tenancy.quotas import Amounts

_PREFIX: Final = 24
_ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVpc:
    """A network without a name is named after its id."""

    name: Annotated[str, MinLen(1), MaxLen(128)] | None = None
    description: Annotated[str, MaxLen(1024)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedVpc:
    id: str
    name: str
    cidr: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcRef:
    """One network."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeVpc:
    """What is not given stays; an empty description clears it."""

    id: Annotated[str, MaxLen(64)]
    name: Annotated[str, MinLen(1), MaxLen(128)] | None = None
    description: Annotated[str, MaxLen(1024)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcDetails:
    """`usable_addresses`: how many more NICs it takes."""

    id: str
    name: str
    cidr: str
    gateway: str
    usable_addresses: int
    description: str
    created_at: datetime


def create(at: Context, want: CreateVpc) -> CreatedVpc:
    """A network of the caller's tenant, in the next free block. Raises QuotaExceeded; Conflict when no block is left;
    Forbidden for the platform, which owns no networks."""
    tenant_id = at.caller.tenant_id
    if tenant_id is None:
        raise Forbidden("a private network belongs to a tenant: open it with the tenant's token")
    quotas.take(at.session, tenant_id, Amounts(subnets=1))
    id_ = new_id("vpc")
    vpc = _insert(at, id_, tenant_id, want)
    return CreatedVpc(id=vpc.id, name=vpc.name, cidr=vpc.cidr, gateway=vpc.gateway)


def search(at: Context) -> Page[VpcDetails]:
    """All networks, newest first."""
    found = at.session.scalars(select(Vpc).order_by(Vpc.created_at.desc(), Vpc.id)).all()
    taken = addresses.taken_of(at.session, [vpc.id for vpc in found])
    details = tuple(
        VpcDetails(
            id=vpc.id, name=vpc.name, cidr=vpc.cidr, gateway=vpc.gateway, description=vpc.description,
            created_at=vpc.created_at, usable_addresses=addresses.usable(vpc.cidr, taken.get(vpc.id, 0)),
        )
        for vpc in found
    )  # fmt: skip
    return Page(details, len(details))


def modify(at: Context, want: ChangeVpc) -> None:
    """Raises NotFound."""
    vpc = existing(at, want.id)
    vpc.name = want.name or vpc.name
    if want.description is not None:
        vpc.description = want.description


def delete(at: Context, ref: VpcRef) -> None:
    """Raises NotFound; Conflict while VMs are plugged in or it is attached to a router, naming them."""
    vpc = locked(at, ref.id)
    plugged = of_every_kind(select(Vm.name)).join(Nic, Nic.vm_id == Vm.id).where(Nic.vpc_id == vpc.id)
    if names := at.session.scalars(plugged.distinct().order_by(Vm.name)).all():
        raise Conflict("private network", vpc.id, f"VMs are in it: {some(names)}")
    attached = select(Router.name).join(RouterVpc, RouterVpc.router_id == Router.id).where(RouterVpc.vpc_id == vpc.id)
    if (router := at.session.scalar(attached)) is not None:
        raise Conflict("private network", vpc.id, f"is attached to router {router}")
    at.session.delete(vpc)
    at.session.flush()
    quotas.give_back(at.session, vpc.tenant_id, Amounts(subnets=1))


def existing(at: Context, id_: str) -> Vpc:
    """Raises NotFound, also for another tenant's."""
    return only(at.session, select(Vpc).where(*exactly(Vpc.id, id_)), "private network", id_)


def locked(at: Context, id_: str) -> Vpc:
    """As it is now, with its tenant locked (`core.network.outer`): nobody else changes what hangs on it until the
    transaction ends. Raises NotFound, also for another tenant's."""
    outer.lock_tenant(at.session, existing(at, id_).tenant_id)
    return only(at.session, addresses.locked_network(id_), "private network", id_)


def _insert(at: Context, id_: str, tenant_id: str, want: CreateVpc) -> Vpc:
    for _ in range(_ATTEMPTS):
        block = _free_block(at)
        vpc = Vpc(
            id=id_, tenant_id=tenant_id, name=want.name or id_, description=want.description,
            created_at=at.clock.now(), cidr=str(block), gateway=str(block.network_address + 1),
        )  # fmt: skip
        try:
            with at.session.begin_nested():
                at.session.add(vpc)
        except IntegrityError:
            continue
        return vpc
    raise Conflict("private network", id_, "others were faster, several times")


def _free_block(at: Context) -> ipaddress.IPv4Network:
    supernet = ipaddress.IPv4Network(at.settings.vpc_supernet)
    taken = set(at.session.scalars(select(TakenCidr.cidr)))
    for block in supernet.subnets(new_prefix=_PREFIX):
        if str(block) not in taken:
            return block
    raise Conflict("private network", str(supernet), "has no free block left")
