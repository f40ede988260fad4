"""What is wanted of NICs, from the inventory: some queries, whatever their number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import lru_cache

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.compute.rows import Nic, Vm
from core.db.session import of_every_kind
from core.network.filter_rows import AccessRule, Boundary, GroupMember, GroupRule
from core.network.intent import GroupIntent, NicIntent, RuleIntent
from core.network.rows import Vpc
from core.network.traffic import Blocks, PortSet

_ports = lru_cache(maxsize=10_000)(PortSet.parse)
_blocks = lru_cache(maxsize=10_000)(Blocks.parse)


def read_nics(session: Session, nic_ids: Collection[str]) -> dict[str, tuple[str | None, NicIntent]]:
    """Host and intent by NIC id. A NIC that is gone is absent; the host is None while the VM has none."""
    groups = _groups(session, nic_ids)
    inner = rules_of(session, nic_ids, Boundary.NIC)
    every = of_every_kind(select(Nic, Vm.host_id, Vm.firewall_enabled, Vpc.gateway))
    joined = every.join(Vm, Vm.id == Nic.vm_id)
    found = session.execute(joined.join(Vpc, Vpc.id == Nic.vpc_id, isouter=True).where(Nic.id.in_(nic_ids)))
    return {
        nic.id: (
            host_id,
            NicIntent(
                id=nic.id, vm_id=nic.vm_id, device=nic.device, mac=nic.mac, ip=nic.ip, vpc_id=nic.vpc_id,
                gateway=gateway, firewall_enabled=firewall_enabled, groups=tuple(groups.get(nic.id, ())),
                rules=tuple(inner.get(nic.id, ())),
            ),
        )
        for nic, host_id, firewall_enabled, gateway in found
    }  # fmt: skip


def rules_of(session: Session, nic_ids: Collection[str], boundary: Boundary) -> Mapping[str, list[RuleIntent]]:
    """Access rules that are enforced there, by NIC id."""
    found: defaultdict[str, list[RuleIntent]] = defaultdict(list)
    mine = select(AccessRule).where(AccessRule.nic_id.in_(nic_ids), AccessRule.boundary == boundary)
    for rule in session.scalars(mine):
        found[rule.nic_id].append(_rule(rule))
    return found


def blocks(text: str) -> Blocks:
    """A canonical text."""
    return _blocks(text, "peers")


def _groups(session: Session, nic_ids: Collection[str]) -> Mapping[str, list[GroupIntent]]:
    """Groups by NIC id; NICs in the same one share it."""
    joined = select(GroupMember.nic_id, GroupMember.group_id).where(GroupMember.nic_id.in_(nic_ids))
    members = session.execute(joined).all()
    rules: defaultdict[str, list[RuleIntent]] = defaultdict(list)
    for rule in session.scalars(select(GroupRule).where(GroupRule.group_id.in_({group for _, group in members}))):
        rules[rule.group_id].append(_rule(rule))
    known = {group: GroupIntent(id=group, rules=tuple(rules[group])) for group in {group for _, group in members}}
    found: defaultdict[str, list[GroupIntent]] = defaultdict(list)
    for nic_id, group in members:
        found[nic_id].append(known[group])
    return found


def _rule(rule: AccessRule | GroupRule) -> RuleIntent:
    return RuleIntent(
        id=rule.id, direction=rule.direction, protocol=rule.protocol, ports=_ports(rule.ports, "ports"),
        peers=blocks(rule.peers),
    )  # fmt: skip
