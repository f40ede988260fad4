"""Nodes in the hands of one server: claimed, and given back with what became of them. Short transactions of their own.

The race: two servers. A claim is a lease in the row, and whoever gives a node back must still hold it. The worst moment
is a death after the driver has applied a node and before that is written down: the lease runs out, and the node is
applied again, which changes nothing. A server that stalls past its lease can at worst apply an older generation, which
the driver refuses.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, delete, func, literal, null, or_, select, update
from sqlalchemy.orm import Session

from core.db.guarded import changed, written
from core.db.types import Instant
from core.network import metrics
from core.network.desired import Node
from core.network.node_rows import NetworkNode, NodeType, PendingRule

LEASE: Final = timedelta(seconds=60)
"""Longer than any call of a driver."""
_LONGEST_TEXT: Final = 512
_FIRST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Claimed:
    """A node as it is wanted, read together with the intent. `host_id`: where it was confirmed last."""

    node: Node
    wanted: int
    gone: bool
    host_id: str | None
    attempts: int


def delay(failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures in a row (at least 1). `jitter` from 0 to 1 takes up to half of it away,
    so that nodes that failed together do not come back together."""
    whole = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(failures - 1, 30))
    return whole * (1.0 - jitter / 2)


def anything_due(session: Session, now: datetime) -> bool:
    """Whether a claim may find something: asked without the write lock that a claim needs."""
    return session.scalar(select(NetworkNode.id).where(*_due(now)).limit(1)) is not None


def claim(session: Session, owner: str, limit: int, now: datetime) -> list[Node]:
    """Some nodes that are due and free: they are the owner's until the lease runs out."""
    node = NetworkNode
    first = (case((node.next_try_at.is_(None), 0), else_=1), node.next_try_at, node.type, node.id)
    free = or_(node.lease_until.is_(None), node.lease_until <= now)
    due = select(node).where(*_due(now), free).order_by(*first).limit(limit).with_for_update(skip_locked=True)
    rows = session.scalars(due).all()
    for row in rows:
        row.lease_owner, row.lease_until = owner, now + LEASE
    return [Node(row.type, row.id) for row in rows]


def read(session: Session, nodes: Collection[Node]) -> list[Claimed]:
    """What is wanted of the nodes, in the snapshot in which their intent is read, too."""
    rows = session.scalars(select(NetworkNode).where(_among(nodes)).order_by(NetworkNode.type, NetworkNode.id))
    return [Claimed(Node(row.type, row.id), row.wanted, row.gone, row.host_id, row.attempts) for row in rows]


def lock_free(session: Session, nodes: Collection[Node]) -> set[Node]:
    """Those that nobody is marking at this moment, locked. The others are to be written one by one: whoever marks
    several holds one lock while it waits for the next, in an order of its own."""
    free = select(NetworkNode.type, NetworkNode.id).where(_among(nodes)).order_by(NetworkNode.type, NetworkNode.id)
    return {Node(type_, id_) for type_, id_ in session.execute(free.with_for_update(skip_locked=True))}


def confirmed(session: Session, owner: str, claimed: Claimed, host_id: str) -> bool:
    """The driver has the generation that was wanted when it was compiled; a later one stays due."""
    node = claimed.node
    done = _finish(
        session, owner, claimed, confirmed=claimed.wanted, host_id=host_id, attempts=0, next_try_at=None,
        last_failure="",
    )  # fmt: skip
    if done:
        written(session, delete(PendingRule).where(*_pending(node), PendingRule.generation <= claimed.wanted))
    return done


def removed(session: Session, owner: str, claimed: Claimed) -> bool:
    """The node is nowhere any more, and neither is its row: what is gone does not come back."""
    written(session, delete(PendingRule).where(*_pending(claimed.node)))
    return changed(session, delete(NetworkNode).where(*_held(owner, claimed)))


def ahead(session: Session, owner: str, claimed: Claimed, generation: int) -> bool:
    """The driver has a later generation than was ever wanted, as after the database was restored: go beyond it."""
    beyond = case((NetworkNode.wanted <= generation, generation + 1), else_=NetworkNode.wanted)
    return _finish(session, owner, claimed, wanted=beyond)


def failed(session: Session, owner: str, claimed: Claimed, reason: str, next_try_at: datetime) -> bool:
    """Its next try waits, unless something else is wanted of it by now."""
    done = _finish(
        session, owner, claimed, attempts=claimed.attempts + 1, next_try_at=_unless_changed(claimed, next_try_at),
        last_failure=reason[:_LONGEST_TEXT],
    )  # fmt: skip
    if done:
        written(session, update(PendingRule).where(*_pending(claimed.node)).values(retries=PendingRule.retries + 1))
    return done


def postponed(session: Session, owner: str, claimed: Claimed, next_try_at: datetime) -> bool:
    """It was not tried: it has no host yet."""
    return _finish(session, owner, claimed, next_try_at=_unless_changed(claimed, next_try_at))


def publish(session: Session) -> None:
    """Set the gauges of nodes and pending rules."""
    node = NetworkNode
    state = case(
        (node.wanted == node.confirmed, "confirmed"), (node.attempts > 0, "failing"), else_="waiting"
    )  # fmt: skip
    counted: Sequence[Any] = session.execute(select(node.type, state, func.count()).group_by(node.type, state)).all()
    found = {(type_, name): number for type_, name, number in counted}
    for type_ in NodeType:
        for name in ("confirmed", "waiting", "failing"):
            metrics.NODES.labels(type_, name).set(found.get((type_, name), 0))
    metrics.PENDING_RULES.set(session.scalar(select(func.count()).select_from(PendingRule)) or 0)


def _among(nodes: Collection[Node]) -> ColumnElement[bool]:
    ids = {type_: [node.id for node in nodes if node.type is type_] for type_ in NodeType}
    return or_(*(and_(NetworkNode.type == type_, NetworkNode.id.in_(some)) for type_, some in ids.items()))


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    at = NetworkNode.next_try_at
    return NetworkNode.wanted != NetworkNode.confirmed, or_(at.is_(None), at <= now)


def _held(owner: str, claimed: Claimed) -> tuple[ColumnElement[bool], ...]:
    node = claimed.node
    return NetworkNode.type == node.type, NetworkNode.id == node.id, NetworkNode.lease_owner == owner


def _finish(session: Session, owner: str, claimed: Claimed, **columns: object) -> bool:
    """False: another server has it."""
    mine = update(NetworkNode).where(*_held(owner, claimed))
    return changed(session, mine.values(lease_owner=None, lease_until=None, **columns))


def _unless_changed(claimed: Claimed, next_try_at: datetime) -> ColumnElement[datetime | None]:
    return case((NetworkNode.wanted == claimed.wanted, literal(next_try_at, Instant())), else_=null())


def _pending(node: Node) -> tuple[ColumnElement[bool], ...]:
    return PendingRule.node_type == node.type, PendingRule.node_id == node.id
