"""NICs in security groups.

The race: a NIC is bound while it is deleted, or twice at once. Binding locks the group and then the NICs, deleting a
NIC locks the NIC; the primary key of `group_member` is the referee.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import MaxLen, MinLen
from sqlalchemy import delete, select

from core.compute.nics import NicDetails, details
from core.compute.rows import Nic, Vm
from core.context import Context, Page
from core.db.guarded import written
from core.db.search import exactly, page
from core.errors import Conflict, NotFound
from core.network import filters, groups
from core.network.filter_rows import GroupMember
from core.network.rows import Vpc
from core.network.traffic import address
from core.paging import Paged


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A group and NICs, all or none of which are bound or unbound."""

    group_id: Annotated[str, MaxLen(64)]
    nic_ids: Annotated[tuple[Annotated[str, MaxLen(64)], ...], MinLen(1), MaxLen(100)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindBound(Paged):
    """The NICs of one group. `ip`: exactly."""

    group_id: Annotated[str, MaxLen(64)]
    ip: Annotated[str, MaxLen(64)] | None = None


def bind(at: Context, want: Binding) -> None:
    """NICs that are bound already stay so. Raises NotFound; Conflict for another tenant's NIC."""
    group = groups.locked(at.session, want.group_id)
    for nic in _existing(at, want.nic_ids):
        if nic.tenant_id != group.tenant_id:
            raise Conflict("NIC", nic.id, "belongs to another tenant than the security group")
    new = set(want.nic_ids) - set(groups.members(at.session, group.id))
    at.session.add_all(
        GroupMember(group_id=group.id, nic_id=nic_id, tenant_id=group.tenant_id) for nic_id in sorted(new)
    )
    at.session.flush()
    filters.mark_members(at.session, group.id, new, groups.rules(at.session, group.id))


def unbind(at: Context, want: Binding) -> None:
    """NICs that are not bound stay so. Raises NotFound."""
    group = groups.locked(at.session, want.group_id)
    _existing(at, want.nic_ids)
    bound = set(want.nic_ids) & set(groups.members(at.session, group.id))
    gone = delete(GroupMember).where(GroupMember.group_id == group.id, GroupMember.nic_id.in_(bound))
    written(at.session, gone)
    filters.mark_members(at.session, group.id, bound, groups.rules(at.session, group.id))


def search(at: Context, find: FindBound) -> Page[NicDetails]:
    """Raises NotFound; Invalid for an address that is none."""
    groups.require(at.session, [find.group_id])
    ip = None if find.ip is None else address(find.ip, "ip")
    columns = (
        select(Nic, Vpc.name)
        .join(GroupMember, GroupMember.nic_id == Nic.id)
        .join(Vpc, Vpc.id == Nic.vpc_id, isouter=True)
        .where(GroupMember.group_id == find.group_id, *exactly(Nic.ip, ip))
    )
    found = page(at, columns, find, order=(Nic.vm_id, Nic.position, Nic.id))
    return Page(tuple(details(nic, vpc_name) for nic, vpc_name in found.rows), found.total)


def _existing(at: Context, nic_ids: tuple[str, ...]) -> list[Nic]:
    """The NICs, locked; those of templates are nobody's. Raises NotFound for the first that does not exist."""
    wanted = [nic_id for nic_id in nic_ids if "\0" not in nic_id]
    of_vms = select(Nic.id).join(Vm, Vm.id == Nic.vm_id).where(Nic.id.in_(wanted))
    nics = filters.lock_nics(at.session, at.session.scalars(of_vms).all())
    known = {nic.id for nic in nics}
    for nic_id in nic_ids:
        if nic_id not in known:
            raise NotFound("NIC", nic_id)
    return nics
