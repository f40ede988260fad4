"""Rules that are not in effect yet, and rules that still are although they were deleted: what the network driver has
not confirmed, NIC by NIC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import MaxLen
from sqlalchemy import select

from core.compute.rows import Nic
from core.context import Context, Page
from core.db.search import exactly, page
from core.network import nodes
from core.network.node_rows import PendingRule
from core.paging import Paged


@dataclass(frozen=True, slots=True, kw_only=True)
class FindPendingRules(Paged):
    """Both filters must hold. `group_id`: rules that are or were of the group."""

    vm_id: Annotated[str, MaxLen(64)] | None = None
    group_id: Annotated[str, MaxLen(64)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingRuleDetails:
    """`id`: of the issue, one for each rule and NIC. `retries`: since the last change or reset."""

    id: str
    rule_id: str
    vm_id: str
    retries: int


def search(at: Context, find: FindPendingRules) -> Page[PendingRuleDetails]:
    """Oldest first."""
    columns = (
        select(PendingRule.id, PendingRule.rule_id, Nic.vm_id, PendingRule.retries)
        .join(Nic, Nic.id == PendingRule.nic_id)
        .where(*exactly(Nic.vm_id, find.vm_id), *exactly(PendingRule.group_id, find.group_id))
    )
    found = page(at, columns, find, order=(PendingRule.id,))
    details = (
        PendingRuleDetails(id=id_, rule_id=rule_id, vm_id=vm_id, retries=retries)
        for id_, rule_id, vm_id, retries in found.rows
    )
    return Page(tuple(details), found.total)


def reset(at: Context) -> None:
    """All of the caller's are tried again at once, and their retries count from 0."""
    nodes.retry_now(at.session)
