"""From the inventory to the desired state of some nodes, and where each is to be: one snapshot, some queries.

A node that cannot be compiled is a failure of that node alone: the others of the batch go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.hosts.rows import Host, HostState
from core.network import claims
from core.network.claims import Claimed
from core.network.compile_nic import Compiled, compile_nic
from core.network.compile_router import compile_router
from core.network.desired import Node, NodeState
from core.network.node_rows import NodeType
from core.network.placing import Shelters, place
from core.network.reading_nics import read_nics
from core.network.reading_routers import read_routers
from core.sealing import SealingKeys, Unsealable


@dataclass(frozen=True, slots=True)
class Wanted:
    """`state` None: the node is to be nowhere, or nobody wants it yet. `host_id` None: there is no host for it.
    `problem`: why it cannot be compiled."""

    claimed: Claimed
    host_id: str | None = None
    state: NodeState | None = None
    problem: str = ""


def read(session: Session, nodes: Collection[Node], served: Collection[str], keys: SealingKeys) -> list[Wanted]:
    """`served`: the hosts that the driver speaks for. Nodes without a row are absent."""
    known = claims.read(session, nodes)
    found = {one.claimed.node: one for one in (*_nics(session, known), *_routers(session, known, served, keys))}
    return [_gone(one, served) if one.gone else found.get(one.node, Wanted(one)) for one in known]


def _gone(claimed: Claimed, served: Collection[str]) -> Wanted:
    """On a host that the driver speaks for no more, there is nothing to be removed."""
    return Wanted(claimed, claimed.host_id if claimed.host_id in served else None)


def _nics(session: Session, known: Collection[Claimed]) -> Iterator[Wanted]:
    """Of those that exist."""
    asked = _of(known, NodeType.NIC)
    groups: Compiled = {}
    for id_, (host_id, nic) in read_nics(session, asked.keys()).items():
        yield Wanted(asked[id_], host_id, compile_nic(nic, groups))


def _routers(
    session: Session, known: Collection[Claimed], served: Collection[str], keys: SealingKeys
) -> Iterator[Wanted]:
    """Of those that exist and are ready."""
    asked = _of(known, NodeType.ROUTER)
    if not asked:
        return
    shelters = _shelters(session, served)
    try:
        routers = read_routers(session, asked.keys(), keys)
    except Unsealable as problem:
        for claimed in asked.values():
            alone = len(asked) == 1
            yield from [Wanted(claimed, problem=str(problem))] if alone else _routers(session, [claimed], served, keys)
        return
    for id_, router in routers.items():
        claimed = asked[id_]
        host_id = place(id_, claimed.host_id, shelters, movable=router.movable)
        yield Wanted(claimed, host_id, compile_router(router.intent))


def _of(known: Collection[Claimed], type_: NodeType) -> dict[str, Claimed]:
    return {one.node.id: one for one in known if one.node.type is type_ and not one.gone}


def _shelters(session: Session, served: Collection[str]) -> Shelters:
    hosts = session.execute(select(Host.id, Host.state, Host.maintenance).where(Host.id.in_(served))).all()
    return Shelters(
        usable=[id_ for id_, state, maintenance in hosts if state is HostState.RUNNING and not maintenance],
        dead=[id_ for id_, state, _ in hosts if state is HostState.STOPPED],
    )
