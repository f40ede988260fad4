"""From intent to the desired state of a NIC. Pure: the same intent, in whatever order, gives the same state."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping

from core.network.desired import Allow, Filter, GroupFilter, NicState
from core.network.intent import GroupIntent, NicIntent, RuleIntent
from core.network.traffic import Direction

Compiled = MutableMapping[str, GroupFilter]
"""Groups by id that have been compiled already: NICs of one reading share them."""


def compile_nic(nic: NicIntent, compiled: Compiled | None = None) -> NicState:
    """`compiled` is added to. A group has the same content in all NICs of one reading."""
    known: Compiled = {} if compiled is None else compiled
    rules = nic.rules if nic.firewall_enabled else ()
    return NicState(
        vm_id=nic.vm_id, device=nic.device, mac=nic.mac, ip=nic.ip, vpc_id=nic.vpc_id, gateway=nic.gateway,
        groups=tuple(_group(group, known) for group in sorted(nic.groups, key=lambda group: group.id)),
        inner_inbound=inbound(rules) if nic.firewall_enabled else None,
        inner_outbound=outbound(rules) if nic.firewall_enabled else None,
    )  # fmt: skip


def inbound(rules: Iterable[RuleIntent]) -> Filter:
    """Nothing comes in that no rule allows."""
    return _lines(rules, Direction.IN)


def outbound(rules: Iterable[RuleIntent]) -> Filter | None:
    """Everything goes out until there is a rule about it."""
    return _lines(rules, Direction.OUT) or None


def _group(group: GroupIntent, compiled: Compiled) -> GroupFilter:
    found = compiled.get(group.id)
    if found is None:
        found = compiled[group.id] = GroupFilter(group.id, inbound(group.rules), outbound(group.rules))
    return found


def _lines(rules: Iterable[RuleIntent], direction: Direction) -> Filter:
    mine = sorted((rule for rule in rules if rule.direction is direction), key=lambda rule: rule.id)
    return tuple(Allow(rule.id, rule.protocol, rule.ports, rule.peers) for rule in mine)
