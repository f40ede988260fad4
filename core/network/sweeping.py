"""What a sweep reads and writes: which nodes there should be, and those that are to be applied again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session

from core.compute.rows import Nic, Vm
from core.db.guarded import changed
from core.db.session import of_every_kind
from core.network import claims, filters, nodes
from core.network.desired import Node
from core.network.drift import Known
from core.network.node_rows import NetworkNode, NodeType
from core.network.router_rows import Router, RouterState

_MOST: Final = 1000


def known(session: Session) -> dict[Node, Known]:
    """All nodes. What is gone is never settled: its removal is under way."""
    node = NetworkNode
    settled = and_(node.wanted == node.confirmed, node.lease_owner.is_(None), ~node.gone)
    joined = (
        of_every_kind(select(node.type, node.id, node.confirmed, node.host_id, settled, Vm.host_id))
        .join(Nic, and_(node.type == NodeType.NIC, Nic.id == node.id), isouter=True)
        .join(Vm, Vm.id == Nic.vm_id, isouter=True)
    )
    return {
        Node(type_, id_): Known(
            confirmed, host_id, settled=bool(is_settled), belongs=host_id if type_ is NodeType.ROUTER else vm_host
        )
        for type_, id_, confirmed, host_id, is_settled, vm_host in session.execute(joined)
    }


def unmarked(session: Session) -> list[Node]:
    """NICs in networks, and routers, that were never marked: some of them, if they are many."""
    rows = select(NetworkNode.id)
    marked_nic = rows.where(NetworkNode.type == NodeType.NIC, NetworkNode.id == Nic.id).exists()
    plugged = of_every_kind(select(Nic.id)).join(Vm, Vm.id == Nic.vm_id)
    nics = plugged.where(Nic.vpc_id.is_not(None), Vm.host_id.is_not(None))
    marked_router = rows.where(NetworkNode.type == NodeType.ROUTER, NetworkNode.id == Router.id).exists()
    routers = select(Router.id).where(Router.state == RouterState.READY)
    return [
        *(Node(NodeType.NIC, id_) for id_ in session.scalars(nics.where(~marked_nic).limit(_MOST))),
        *(Node(NodeType.ROUTER, id_) for id_ in session.scalars(routers.where(~marked_router).limit(_MOST))),
    ]


def mark(session: Session, found: Collection[Node]) -> None:
    nodes.mark_routers(session, [node.id for node in found if node.type is NodeType.ROUTER])
    nodes.mark_nics(session, [node.id for node in found if node.type is NodeType.NIC])


def apply_again(session: Session, confirmed: Mapping[Node, int]) -> None:
    """Those that are still as they were confirmed: a later mark, or another server's sweep, has done it already.
    None of their rules is in effect until then."""
    again = []
    for node in sorted(claims.lock_free(session, confirmed.keys())):
        generation = confirmed[node]
        same = (NetworkNode.type == node.type, NetworkNode.id == node.id, NetworkNode.wanted == generation)
        new = update(NetworkNode).where(*same).values(wanted=generation + 1, attempts=0, next_try_at=None)
        if changed(session, new):
            again.append(node)
    filters.await_routers(session, [node.id for node in again if node.type is NodeType.ROUTER])
    filters.await_nics(session, [node.id for node in again if node.type is NodeType.NIC])
