"""NICs that come, change or go, as far as nodes are concerned: their own filters, and the routers of their networks,
which know each of them by address and name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.compute.rows import Nic
from core.network import nodes
from core.network.filter_rows import AccessRule, Boundary
from core.network.node_rows import NodeType
from core.network.router_rows import RouterVpc


def plugged(session: Session, nic_ids: Collection[str]) -> None:
    """These NICs are there, or are somewhere else from now on."""
    _mark_routers(session, nic_ids)
    nodes.mark_nics(session, nic_ids)


def renamed(session: Session, vm_id: str) -> None:
    """The VM has another name, and so have its addresses."""
    _mark_routers(session, nics_of(session, [vm_id]))


def guarded(session: Session, vm_id: str) -> None:
    """The VM's inner rules are enforced from now on, or no more."""
    nics = nics_of(session, [vm_id])
    rules: defaultdict[str, list[str]] = defaultdict(list)
    inner = (AccessRule.nic_id.in_(nics), AccessRule.boundary == Boundary.NIC)
    for nic_id, rule_id in session.execute(select(AccessRule.nic_id, AccessRule.id).where(*inner)):
        rules[nic_id].append(rule_id)
    for nic_id in nics:
        nodes.mark_nics(session, [nic_id], rules[nic_id])


def drop(session: Session, nic_ids: Collection[str]) -> None:
    """The NICs are about to go."""
    _mark_routers(session, nic_ids)
    nodes.gone(session, NodeType.NIC, nic_ids)


def nics_of(session: Session, vm_ids: Collection[str]) -> list[str]:
    """By id."""
    return list(session.scalars(select(Nic.id).where(Nic.vm_id.in_(vm_ids)).order_by(Nic.id)))


def _mark_routers(session: Session, nic_ids: Collection[str]) -> None:
    joined = select(RouterVpc.router_id).join(Nic, Nic.vpc_id == RouterVpc.vpc_id).where(Nic.id.in_(nic_ids))
    if routers := session.scalars(joined.distinct().order_by(RouterVpc.router_id)).all():
        nodes.mark_routers(session, routers)
