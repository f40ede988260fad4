"""Nodes that are to be applied: whoever changes what a router or NIC should do marks it, in the same transaction.

The race: a change while the node is being applied. Every mark raises the wanted generation, and a confirmation counts
for the generation that was compiled: the node stays due. Who marks locks the node's row, and marks last: node rows come
after all others in the order of locks, and among themselves in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.compute.rows import Nic
from core.db.batches import batches
from core.db.guarded import written
from core.errors import Conflict
from core.ids import new_id
from core.network.node_rows import NetworkNode, NodeType, PendingRule
from core.network.router_rows import Router

__all__ = ["NodeType", "gone", "mark_nics", "mark_routers", "not_in_effect", "retry_now"]

_ATTEMPTS: Final = 10
_OBJECTS: Final[Mapping[NodeType, type[Router] | type[Nic]]] = {NodeType.ROUTER: Router, NodeType.NIC: Nic}


def mark_routers(session: Session, router_ids: Collection[str], rules: Mapping[str, str] | None = None) -> None:
    """What these routers should do has changed. Ids of no routers are passed over.

    `rules`: NIC id by rule id: rules that these routers enforce for a NIC, and that are not in effect until then.
    """
    nodes = _mark(session, NodeType.ROUTER, router_ids)
    _await(session, ((node, rule_id, nic_id) for node in nodes for rule_id, nic_id in (rules or {}).items()))


def mark_nics(session: Session, nic_ids: Collection[str], rules: Collection[str] = ()) -> None:
    """What these NICs should let pass has changed, and `rules` (ids; deleted ones, too) are not in effect there until
    the driver has confirmed it. Ids of no NICs are passed over."""
    nodes = _mark(session, NodeType.NIC, nic_ids)
    _await(session, ((node, rule_id, node.id) for node in nodes for rule_id in rules))


def gone(session: Session, type: NodeType, ids: Collection[str]) -> None:  # noqa: A002 (what it is)
    """The objects were deleted: the driver removes the nodes, then the rows go. Nothing is pending on them."""
    for node in _lock(session, type, ids):
        node.gone = True
        _change(node)
    session.flush()
    written(session, delete(PendingRule).where(PendingRule.node_type == type, PendingRule.node_id.in_(ids)))


def retry_now(session: Session) -> None:
    """Everything that the caller's nodes have not confirmed is tried again at once, and its retries count from 0.
    Nodes that are being marked or written at this moment are left alone: they are about to be tried anyway."""
    late = select(NetworkNode).where(NetworkNode.wanted != NetworkNode.confirmed).order_by(NetworkNode.id)
    locked = late.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    free = session.scalars(locked).all()
    for node in free:
        node.attempts, node.next_try_at = 0, None
    session.flush()
    for ids in batches([node.id for node in free]):
        written(session, update(PendingRule).where(PendingRule.node_id.in_(ids)).values(retries=0))


def not_in_effect(session: Session, rule_ids: Collection[str]) -> set[str]:
    """Those of the rules that at least one node has not confirmed."""
    return set(session.scalars(select(PendingRule.rule_id).where(PendingRule.rule_id.in_(rule_ids)).distinct()))


def _mark(session: Session, type_: NodeType, ids: Collection[str]) -> list[NetworkNode]:
    """Those that were deleted stay so. Somebody else may insert the missing ones meanwhile: then they are changed."""
    session.flush()
    for _ in range(_ATTEMPTS):
        known = _lock(session, type_, ids)
        missing = _missing(session, type_, set(ids) - {node.id for node in known})
        try:
            with session.begin_nested():
                session.add_all(missing)
        except IntegrityError:
            continue
        for node in known:
            _change(node)
        session.flush()
        return [*known, *missing]
    raise Conflict("network node", ", ".join(sorted(ids)), "others were faster, several times")


def _missing(session: Session, type_: NodeType, ids: Collection[str]) -> list[NetworkNode]:
    """Nodes of objects that have none yet."""
    if not ids:
        return []
    object_ = _OBJECTS[type_]
    owners = session.execute(select(object_.id, object_.tenant_id).where(object_.id.in_(ids)).order_by(object_.id))
    return [
        NetworkNode(type=type_, id=id_, tenant_id=tenant_id, wanted=1, confirmed=0, gone=False, attempts=0)
        for id_, tenant_id in owners
    ]


def _lock(session: Session, type_: NodeType, ids: Collection[str]) -> list[NetworkNode]:
    mine = select(NetworkNode).where(NetworkNode.type == type_, NetworkNode.id.in_(ids)).order_by(NetworkNode.id)
    locked = mine.with_for_update().execution_options(populate_existing=True)
    return list(session.scalars(locked))


def _change(node: NetworkNode) -> None:
    node.wanted += 1
    node.attempts, node.next_try_at = 0, None


def _await(session: Session, rules: Iterable[tuple[NetworkNode, str, str]]) -> None:
    """The rules (node, rule id, NIC id) wait for the generation that the nodes want now."""
    wanted = {(node.type, node.id, rule_id, nic_id): node for node, rule_id, nic_id in rules if not node.gone}
    if not wanted:
        return
    nodes, pending = {node.id for node in wanted.values()}, PendingRule
    waiting = session.scalars(select(pending).where(pending.node_id.in_(nodes)))
    known = {(row.node_type, row.node_id, row.rule_id, row.nic_id): row for row in waiting}
    for key, node in wanted.items():
        row = known.get(key)
        if row is None:
            row = PendingRule(
                id=new_id("issue"), tenant_id=node.tenant_id, node_type=node.type, node_id=node.id, rule_id=key[2],
                nic_id=key[3], retries=0,
            )  # fmt: skip
            session.add(row)
        row.generation = node.wanted
    session.flush()
