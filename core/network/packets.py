"""What becomes of a packet at one node, by its desired state: passed or not, and what decided. Pure.

A packet here opens a connection, or is the first of a flow: replies pass wherever the first one did. Filters see the
address that a packet is translated to, and not yet the one that its source is.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from core.network.desired import Filter, GateFilter, Leg, NicState, Node, RouterState
from core.network.node_rows import NodeType
from core.network.traffic import Protocol

NO_FILTER: Final = "no filter"
NO_RULE: Final = "no rule allows it"


@dataclass(frozen=True, slots=True)
class Packet:
    """`port`: the target's; 0 for a protocol without ports."""

    protocol: Protocol
    source: IPv4Address
    target: IPv4Address
    port: int = 0

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{self.protocol} {self.source} -> {self.target}{port}"


@dataclass(frozen=True, slots=True)
class Step:
    """What one node did with the packet as it was there. `by`: the id of the rule, mapping or balancer that decided,
    or words when it was none of them. `node` None: no node was there to decide."""

    node: Node | None
    packet: Packet
    passed: bool
    by: str


def passed(node: Node | None, packet: Packet, by: str) -> Step:
    return Step(node, packet, passed=True, by=by)


def stopped(node: Node | None, packet: Packet, by: str) -> Step:
    return Step(node, packet, passed=False, by=by)


def leaves(nic_id: str, nic: NicState, packet: Packet) -> Step:
    """At the port of a NIC, on its way out."""
    node = Node(NodeType.NIC, nic_id)
    if nic.ip and str(packet.source) != nic.ip:
        return stopped(node, packet, f"anti-spoofing: {packet.source} is not its address")
    restricting = [group.outbound for group in nic.groups if group.outbound is not None]
    return _through(node, packet, packet.target, restricting or None, nic.inner_outbound)


def enters(nic_id: str, nic: NicState, packet: Packet) -> Step:
    """At the port of a NIC, on its way in."""
    node = Node(NodeType.NIC, nic_id)
    if nic.ip and str(packet.target) != nic.ip:
        return stopped(node, packet, f"anti-spoofing: {packet.target} is not its address")
    return _through(
        node, packet, packet.source, [group.inbound for group in nic.groups] or None, nic.inner_inbound
    )  # fmt: skip


def crosses(router_id: str, router: RouterState, packet: Packet) -> Step:
    """At a router that forwards it: out of the network of its source and into that of its target, where they are the
    router's."""
    node = Node(NodeType.ROUTER, router_id)
    by = []
    for address, peer, inward in ((packet.source, packet.target, False), (packet.target, packet.source, True)):
        leg = leg_of(router, address)
        filters = None if leg is None else _gate(leg, address, inward=inward)
        if filters is not None:
            rule = _allowed(filters, packet, peer)
            if rule is None:
                return stopped(node, packet, f"{NO_RULE} at the boundary of {leg.vpc_id if leg else ''}")
            by.append(rule)
    return passed(node, packet, ", ".join(by) or NO_FILTER)


def _through(node: Node, packet: Packet, peer: IPv4Address, groups: list[Filter] | None, inner: Filter | None) -> Step:
    by = []
    for name, filters in (("security groups", groups), ("inner rules", None if inner is None else [inner])):
        if filters is None:
            continue
        rule = next((found for one in filters if (found := _allowed(one, packet, peer))), None)
        if rule is None:
            return stopped(node, packet, f"{NO_RULE} in its {name}")
        by.append(rule)
    return passed(node, packet, ", ".join(by) or NO_FILTER)


def _allowed(lines: Filter, packet: Packet, peer: IPv4Address) -> str | None:
    """The rule that allows it."""
    for allow in lines:
        if (
            (allow.protocol is None or allow.protocol is packet.protocol)
            and allow.ports.admits(packet.port)
            and allow.peers.admits(peer)
        ):
            return allow.rule_id
    return None


def _gate(leg: Leg, address: IPv4Address, *, inward: bool) -> Filter | None:
    """None: the boundary does not restrict it."""
    if leg.gate is None:
        return None
    mine: GateFilter | None = next((one for one in leg.gate if one.ip == str(address)), None)
    if mine is None:
        return () if inward else None
    return mine.inbound if inward else mine.outbound


def leg_of(router: RouterState, address: IPv4Address) -> Leg | None:
    """The network of the router that the address is in."""
    return next((leg for leg in router.legs if address in IPv4Network(leg.cidr)), None)
