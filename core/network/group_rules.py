"""Rules of security groups: what their members allow.

`aclrule_status` of the document is what the network driver has confirmed (`PendingRule`), never what was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypedDict

from annotated_types import MaxLen, MinLen
from sqlalchemy import ColumnElement, select
from sqlalchemy import delete as sql_delete

from core.compute import operations
from core.compute.rows import Nic
from core.context import Context, Page
from core.db.guarded import changed
from core.db.search import exactly, only, page
from core.errors import Invalid, NotFound
from core.ids import new_id
from core.network import filters, groups
from core.network.filter_rows import GroupMember, GroupRule, SecurityGroup
from core.network.node_rows import PendingRule
from core.network.traffic import (
    LONGEST_LIST,
    OWN_SIDE,
    PEERS,
    Blocks,
    Direction,
    PortSet,
    Protocol,
    refuse_ports_without_protocol,
)
from core.paging import Paged

_List = Annotated[str, MaxLen(LONGEST_LIST)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindGroupRules(Paged):
    """All given filters must hold; of `ports`, `sources` and `targets`, each entry is one of the rule's."""

    group_ids: Annotated[tuple[Annotated[str, MaxLen(64)], ...], MinLen(1), MaxLen(100)]
    id: Annotated[str, MaxLen(64)] | None = None
    ports: _List = ""
    protocol: Protocol | None = None
    sources: _List = ""
    targets: _List = ""
    direction: Direction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindRulesOfVm(Paged):
    """Those of the groups that its NICs are in."""

    vm_id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRuleDetails:
    """Empty `ports`, and no `protocol`: any. The group itself is the target of what comes in and the source of what
    goes out, which are empty; the other one is empty, too, when it is anybody."""

    id: str
    sources: str
    targets: str
    direction: Direction
    ports: str
    protocol: Protocol | None
    group_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VmRuleDetails(GroupRuleDetails):
    """`in_effect`: on every NIC of the VM that is in the group."""

    group_name: str
    in_effect: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AddGroupRule:
    """`sources` go with what comes in, `targets` with what goes out."""

    group_id: Annotated[str, MaxLen(64)]
    direction: Direction
    ports: _List = ""
    sources: _List = ""
    targets: _List = ""
    protocol: Protocol | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedGroupRule:
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRuleRef:
    """One rule."""

    id: Annotated[str, MaxLen(64)]


def search(at: Context, find: FindGroupRules) -> Page[GroupRuleDetails]:
    """Newest first. Raises NotFound for a group that does not exist, Invalid for ports and addresses that cannot be."""
    groups.require(at.session, find.group_ids)
    columns = select(GroupRule).where(
        GroupRule.group_id.in_(find.group_ids),
        *exactly(GroupRule.id, find.id),
        *filters.listing(GroupRule.ports, PortSet.parse(find.ports, "ports").ranges),
        *exactly(GroupRule.protocol, find.protocol),
        *exactly(GroupRule.direction, find.direction),
        *_with_peers(Direction.IN, find.sources),
        *_with_peers(Direction.OUT, find.targets),
    )
    found = page(at, columns, find, order=(GroupRule.created_at.desc(), GroupRule.id))
    return Page(tuple(GroupRuleDetails(**_shown(rule)) for (rule,) in found.rows), found.total)


def search_of_vm(at: Context, find: FindRulesOfVm) -> Page[VmRuleDetails]:
    """Newest first. Raises NotFound."""
    vm = operations.existing(at.session, find.vm_id)
    own = select(GroupMember.group_id).join(Nic, Nic.id == GroupMember.nic_id).where(Nic.vm_id == vm.id)
    columns = (
        select(GroupRule, SecurityGroup.name)
        .join(SecurityGroup, SecurityGroup.id == GroupRule.group_id)
        .where(GroupRule.group_id.in_(own))
    )
    found = page(at, columns, find, order=(GroupRule.created_at.desc(), GroupRule.id))
    late = _not_in_effect(at, vm.id)
    details = (
        VmRuleDetails(**_shown(rule), group_name=group_name, in_effect=rule.id not in late)
        for rule, group_name in found.rows
    )
    return Page(tuple(details), found.total)


def add(at: Context, want: AddGroupRule) -> AddedGroupRule:
    """In force within about a second. Raises Invalid, NotFound."""
    ports = PortSet.parse(want.ports, "ports")
    refuse_ports_without_protocol(want.protocol, ports, ("protocol", "ports"))
    peers = _peers(want)
    group = groups.locked(at.session, want.group_id)
    rule = GroupRule(
        id=new_id("rule"), tenant_id=group.tenant_id, group_id=group.id, created_at=at.clock.now(),
        direction=want.direction, protocol=want.protocol, ports=str(ports), peers=peers,
    )  # fmt: skip
    at.session.add(rule)
    at.session.flush()
    filters.mark_members(at.session, group.id, groups.members(at.session, group.id), [rule.id])
    return AddedGroupRule(id=rule.id)


def delete(at: Context, ref: GroupRuleRef) -> None:
    """Raises NotFound."""
    group_id = only(
        at.session, select(GroupRule.group_id).where(*exactly(GroupRule.id, ref.id)), "security group rule", ref.id
    )
    groups.locked(at.session, group_id)
    if not changed(at.session, sql_delete(GroupRule).where(GroupRule.id == ref.id)):
        raise NotFound("security group rule", ref.id)
    filters.mark_members(at.session, group_id, groups.members(at.session, group_id), [ref.id])


def _peers(want: AddGroupRule) -> str:
    """The canonical text of the other side; the group's own side is refused, as it would be taken for a limit."""
    own, peers = OWN_SIDE[want.direction], PEERS[want.direction]
    if getattr(want, own).strip():
        raise Invalid(own, f"does not go with the direction {want.direction}", "nothing: it is the group itself")
    return str(Blocks.parse(getattr(want, peers), peers))


def _with_peers(direction: Direction, text: str) -> tuple[ColumnElement[bool], ...]:
    if not text:
        return ()
    entries = str(Blocks.parse(text, PEERS[direction])).split(",")
    return (GroupRule.direction == direction, *filters.listing(GroupRule.peers, entries))


class _Shown(TypedDict):
    id: str
    sources: str
    targets: str
    direction: Direction
    ports: str
    protocol: Protocol | None
    group_id: str


def _shown(rule: GroupRule) -> _Shown:
    inbound = rule.direction is Direction.IN
    return {
        "id": rule.id, "sources": rule.peers if inbound else "", "targets": "" if inbound else rule.peers,
        "direction": rule.direction, "ports": rule.ports, "protocol": rule.protocol, "group_id": rule.group_id,
    }  # fmt: skip


def _not_in_effect(at: Context, vm_id: str) -> set[str]:
    """Rules that a NIC of the VM should follow, as a member of their group, and does not yet."""
    pending = PendingRule
    late = (
        select(pending.rule_id)
        .join(GroupMember, (GroupMember.nic_id == pending.nic_id) & (GroupMember.group_id == pending.group_id))
        .join(Nic, Nic.id == pending.nic_id)
        .where(Nic.vm_id == vm_id)
    )
    return set(at.session.scalars(late))
