"""Security groups: finding, creating and deleting them.

A NIC in no group is open. In groups, what comes in is what an `in` rule of one of them allows; what goes out is free
until one of them has an `out` rule, and from then on what these allow. Replies pass.

The race: a rule is added while a NIC is bound, and each sees the world without the other. Whoever changes the rules or
the members of a group locks its row first (`locked`), so that one of them comes second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from annotated_types import MaxLen, MinLen
from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.compute.rows import Nic, Vm
from core.context import Context, Page
from core.db.guarded import written
from core.db.search import containing, exactly, only, page
from core.db.session import of_every_kind
from core.errors import Conflict, Invalid
from core.ids import new_id
from core.naming import some
from core.network.filter_rows import GroupMember, GroupRule, SecurityGroup
from core.paging import Paged
from core.tenancy.rows import TenantName


@dataclass(frozen=True, slots=True, kw_only=True)
class FindGroups(Paged):
    """Both filters must hold. `name`: contained, whatever the case."""

    id: Annotated[str, MaxLen(64)] | None = None
    name: Annotated[str, MaxLen(128)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDetails:
    id: str
    name: str
    description: str
    tenant_id: str
    tenant_name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateGroup:
    """`tenant_id`: the caller's when it is not given. Two groups may have the same name."""

    name: Annotated[str, MinLen(1), MaxLen(128)]
    description: Annotated[str, MaxLen(1024)] = ""
    tenant_id: Annotated[str, MaxLen(64)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedGroup:
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRef:
    """One group."""

    id: Annotated[str, MaxLen(64)]


def search(at: Context, find: FindGroups) -> Page[GroupDetails]:
    """Newest first."""
    columns = (
        select(SecurityGroup, TenantName.name)
        .join(TenantName, TenantName.tenant_id == SecurityGroup.tenant_id)
        .where(*exactly(SecurityGroup.id, find.id), *containing(SecurityGroup.name, find.name))
    )
    found = page(at, columns, find, order=(SecurityGroup.created_at.desc(), SecurityGroup.id))
    details = (
        GroupDetails(
            id=group.id, name=group.name, description=group.description, tenant_id=group.tenant_id,
            tenant_name=tenant_name, created_at=group.created_at,
        )
        for group, tenant_name in found.rows
    )  # fmt: skip
    return Page(tuple(details), found.total)


def create(at: Context, want: CreateGroup) -> CreatedGroup:
    """Raises NotFound for a tenant that does not exist or is another one; Invalid when the platform names none."""
    tenant_id = want.tenant_id or at.caller.tenant_id
    if tenant_id is None:
        raise Invalid("tenant_id", "is missing", "the tenant whose group it is, for a platform token")
    only(at.session, select(TenantName.tenant_id).where(*exactly(TenantName.tenant_id, tenant_id)), "tenant", tenant_id)
    group = SecurityGroup(
        id=new_id("group"), tenant_id=tenant_id, name=want.name, description=want.description, created_at=at.clock.now()
    )
    at.session.add(group)
    at.session.flush()
    return CreatedGroup(id=group.id)


def delete(at: Context, ref: GroupRef) -> None:
    """With its rules. Raises NotFound; Conflict while NICs are bound to it, naming their VMs."""
    group = locked(at.session, ref.id)
    bound = of_every_kind(select(Vm.name)).join(Nic, Nic.vm_id == Vm.id).join(GroupMember, GroupMember.nic_id == Nic.id)
    names = at.session.scalars(bound.where(GroupMember.group_id == group.id).distinct().order_by(Vm.name)).all()
    if names:
        raise Conflict("security group", group.id, f"VMs are bound to it: {some(names)}")
    rules = sql_delete(GroupRule).where(GroupRule.group_id == group.id)
    written(at.session, rules)
    at.session.delete(group)
    at.session.flush()


def locked(session: Session, group_id: str) -> SecurityGroup:
    """The group as it is now; its rules and members are the caller's until he is done. Raises NotFound."""
    own = select(SecurityGroup).where(*exactly(SecurityGroup.id, group_id)).with_for_update()
    return only(session, own.execution_options(populate_existing=True), "security group", group_id)


def require(session: Session, group_ids: Sequence[str]) -> None:
    """Raises NotFound for the first that does not exist, also for another tenant's."""
    for group_id in group_ids:
        only(session, select(SecurityGroup.id).where(*exactly(SecurityGroup.id, group_id)), "security group", group_id)


def members(session: Session, group_id: str) -> Sequence[str]:
    """The NICs that are bound to it, by id."""
    bound = select(GroupMember.nic_id).where(GroupMember.group_id == group_id).order_by(GroupMember.nic_id)
    return session.scalars(bound).all()


def rules(session: Session, group_id: str) -> Sequence[str]:
    """The ids of its rules."""
    return session.scalars(select(GroupRule.id).where(GroupRule.group_id == group_id).order_by(GroupRule.id)).all()
