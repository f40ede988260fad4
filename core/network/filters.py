"""What changes of access rules and security groups have in common: locks, marks, and what goes with a NIC.

The order of locks is a group's row, networks' rows, NICs' rows, nodes; of several of a kind, by id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from sqlalchemy import ColumnElement, Select, delete, literal, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.compute.rows import Nic
from core.db.guarded import written
from core.network import nodes
from core.network.addresses import locked_network
from core.network.filter_rows import AccessRule, Boundary, GroupMember, GroupRule
from core.network.node_rows import NodeType, PendingRule
from core.network.router_rows import RouterVpc
from core.network.rows import Vpc


def lock_network(session: Session, vpc_id: str) -> None:
    """Nobody attaches it to a router meanwhile. It may be gone."""
    session.scalars(locked_network(vpc_id)).one_or_none()


def lock_nics(session: Session, nic_ids: Collection[str]) -> list[Nic]:
    """Those that still exist, by id. None of them goes meanwhile."""
    own = select(Nic).where(Nic.id.in_(nic_ids)).order_by(Nic.id).with_for_update()
    return list(session.scalars(own.execution_options(populate_existing=True)))


def mark_networks(session: Session, vpc_ids: Collection[str], rules: dict[str, str]) -> None:
    """What the routers of the networks should let through has changed. `rules`: NIC id by rule id."""
    attached = select(RouterVpc.router_id).where(RouterVpc.vpc_id.in_(vpc_ids)).distinct()
    if routers := session.scalars(attached).all():
        nodes.mark_routers(session, routers, rules)


def mark_members(session: Session, group_id: str, nic_ids: Collection[str], rule_ids: Collection[str]) -> None:
    """These rules of the group are to come into effect on the NICs, or to cease to be."""
    nodes.mark_nics(session, nic_ids, rule_ids)
    awaited = (PendingRule.node_type == NodeType.NIC, PendingRule.rule_id.in_(rule_ids), PendingRule.group_id.is_(None))
    named = update(PendingRule).where(*awaited).values(group_id=group_id)
    written(session, named)


def await_nics(session: Session, nic_ids: Collection[str]) -> None:
    """The driver lost what it had of these NICs: their groups and their own rules are to come into effect again."""
    memberships = select(GroupMember.group_id, GroupMember.nic_id).where(GroupMember.nic_id.in_(nic_ids))
    for group_id, nics in _gathered(session, memberships.order_by(GroupMember.group_id)).items():
        allowed = select(GroupRule.id).where(GroupRule.group_id == group_id)
        mark_members(session, group_id, nics, session.scalars(allowed).all())
    own = (AccessRule.nic_id.in_(nic_ids), AccessRule.boundary == Boundary.NIC)
    for nic_id, rules in _gathered(session, select(AccessRule.nic_id, AccessRule.id).where(*own)).items():
        nodes.mark_nics(session, [nic_id], rules)


def await_routers(session: Session, router_ids: Collection[str]) -> None:
    """The same of these routers, and the rules of the networks whose gates are open."""
    guarded = (
        select(RouterVpc.router_id, AccessRule.id, AccessRule.nic_id)
        .join(AccessRule, AccessRule.vpc_id == RouterVpc.vpc_id)
        .join(Vpc, Vpc.id == RouterVpc.vpc_id)
        .where(RouterVpc.router_id.in_(router_ids), Vpc.gate_open, AccessRule.boundary == Boundary.NETWORK)
    )
    rules: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for router_id, rule_id, nic_id in session.execute(guarded):
        rules[router_id][rule_id] = nic_id
    for router_id in sorted(rules):
        nodes.mark_routers(session, [router_id], rules[router_id])


def drop(session: Session, nic_ids: Collection[str]) -> None:
    """The NICs are about to go: their access rules and their places in groups go first. The caller marks the NICs."""
    at_routers = (AccessRule.nic_id.in_(nic_ids), AccessRule.boundary == Boundary.NETWORK)
    networks = select(AccessRule.vpc_id).where(*at_routers, AccessRule.vpc_id.is_not(None)).distinct()
    filtered = sorted(vpc_id for vpc_id in session.scalars(networks) if vpc_id is not None)
    for vpc_id in filtered:
        lock_network(session, vpc_id)
    lock_nics(session, nic_ids)
    for kind in (AccessRule, GroupMember):
        gone = delete(kind).where(kind.nic_id.in_(nic_ids))
        written(session, gone)
    mark_networks(session, filtered, {})


def listing(column: InstrumentedAttribute[str], entries: Iterable[object]) -> tuple[ColumnElement[bool], ...]:
    """Rows whose list, of ports or of blocks, has each of these entries as it stands; no filter when there are none."""
    return tuple((literal(",") + column + ",").contains(f",{entry},", autoescape=True) for entry in entries)


def _gathered(session: Session, pairs: Select[str, str]) -> dict[str, list[str]]:
    """Second values by first."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for first, second in session.execute(pairs):
        found[first].append(second)
    return found
