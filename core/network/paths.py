"""The way of a packet through the nodes of a data centre, by their desired states. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from core.network.desired import IpNat, Leg, Listener, NicState, Node, NodeState, PortNat, RouterState
from core.network.node_rows import NodeType
from core.network.packets import Packet, Step, crosses, enters, leaves, leg_of, passed, stopped
from core.network.traffic import Protocol


@dataclass(frozen=True, slots=True)
class Landscape:
    """The nodes there are, and how they are found."""

    nics: Mapping[str, NicState]
    routers: Mapping[str, RouterState]
    nic_at: Mapping[tuple[str, str], str]
    """NIC id by network and address."""
    router_of: Mapping[str, str]
    """Router id by network."""
    router_at: Mapping[str, str]
    """Router id by outer IP."""


def landscape(states: Mapping[Node, NodeState]) -> Landscape:
    nics = {node.id: state for node, state in states.items() if isinstance(state, NicState)}
    routers = {node.id: state for node, state in states.items() if isinstance(state, RouterState)}
    return Landscape(
        nics=nics, routers=routers,
        nic_at={(nic.vpc_id, nic.ip): id_ for id_, nic in nics.items() if nic.vpc_id is not None},
        router_of={leg.vpc_id: id_ for id_, router in routers.items() for leg in router.legs},
        router_at={address.ip: id_ for id_, router in routers.items() for address in router.outer},
    )  # fmt: skip


def from_nic(land: Landscape, nic_id: str, packet: Packet) -> tuple[Step, ...]:
    """The way of a packet that a VM sends through this NIC: the last step decided. It passed when all did."""
    nic = land.nics[nic_id]
    first = leaves(nic_id, nic, packet)
    if not first.passed:
        return (first,)
    if nic.vpc_id is None:
        return (first, _lost(packet, "the NIC is in no network"))
    neighbour = land.nic_at.get((nic.vpc_id, str(packet.target)))
    if neighbour is not None:
        return (first, enters(neighbour, land.nics[neighbour], packet))
    router_id = land.router_of.get(nic.vpc_id)
    if router_id is None:
        return (first, _lost(packet, f"nobody has {packet.target} in {nic.vpc_id}, which has no router"))
    return (first, *_at_router(land, router_id, packet))


def from_outside(land: Landscape, packet: Packet) -> tuple[Step, ...]:
    """The way of a packet that comes from the outer network."""
    router_id = land.router_at.get(str(packet.target))
    if router_id is None:
        return (_lost(packet, f"no router has {packet.target}"),)
    return _at_router(land, router_id, packet)


def _at_router(land: Landscape, router_id: str, packet: Packet) -> tuple[Step, ...]:
    router, node = land.routers[router_id], Node(NodeType.ROUTER, router_id)
    listener = _listening(router, packet)
    if listener is not None:
        return _balanced(land, router_id, listener, packet)
    if str(packet.target) in {address.ip for address in router.outer}:
        return _translated(land, router_id, packet)
    if packet.target in {IPv4Address(leg.gateway) for leg in router.legs}:
        return (_itself(node, packet, "the router does not listen there"),)
    if leg_of(router, packet.target) is not None:
        return _delivered(land, router_id, packet, packet)
    if leg_of(router, packet.source) is None:
        return (stopped(node, packet, "it is neither from nor for one of its networks"),)
    return _sent_out(land, router_id, packet)


def _sent_out(land: Landscape, router_id: str, packet: Packet) -> tuple[Step, ...]:
    router = land.routers[router_id]
    crossed = crosses(router_id, router, packet)
    if not crossed.passed:
        return (crossed,)
    mine = next((nat.outer_ip for nat in router.ip_nat if nat.inner_ip == str(packet.source)), router.wan_ip)
    sent = replace(packet, source=IPv4Address(mine))
    if str(packet.target) in land.router_at:
        return (crossed, *from_outside(land, sent))
    return (crossed, passed(None, sent, "it leaves for the outer network"))


def _translated(land: Landscape, router_id: str, packet: Packet) -> tuple[Step, ...]:
    node, nat = Node(NodeType.ROUTER, router_id), _mapping(land.routers[router_id], packet)
    if nat is None:
        return (_itself(node, packet, "nothing is mapped there"),)
    inner = replace(packet, target=IPv4Address(nat.inner_ip))
    if isinstance(nat, PortNat):
        if not nat.sources.admits(packet.source):
            return (stopped(node, packet, f"{nat.mapping_id} is not for {packet.source}"),)
        inner = replace(inner, port=nat.inner_port)
    return (passed(node, packet, nat.mapping_id), *_delivered(land, router_id, packet, inner))


def _itself(node: Node, packet: Packet, otherwise: str) -> Step:
    """A router answers to echo requests, and to nothing else."""
    if packet.protocol is Protocol.ICMP:
        return passed(node, packet, "the router itself")
    return stopped(node, packet, otherwise)


def _mapping(router: RouterState, packet: Packet) -> IpNat | PortNat | None:
    target = str(packet.target)
    for nat in router.ip_nat:
        if nat.outer_ip == target:
            return nat
    for port in router.port_nat:
        if (port.outer_ip, port.protocol, port.outer_port) == (target, packet.protocol, packet.port):
            return port
    return None


def _delivered(land: Landscape, router_id: str, came: Packet, packet: Packet) -> tuple[Step, ...]:
    """Into one of the router's networks. Who comes from the same one, through an outer IP, comes as the router."""
    router = land.routers[router_id]
    crossed = crosses(router_id, router, packet)
    if not crossed.passed:
        return (crossed,)
    leg = leg_of(router, packet.target)
    if leg is not None and came.target != packet.target and leg == leg_of(router, packet.source):
        packet = replace(packet, source=IPv4Address(leg.gateway))
    return (crossed, _arrives(land, leg, packet))


def _arrives(land: Landscape, leg: Leg | None, packet: Packet) -> Step:
    nic_id = None if leg is None else land.nic_at.get((leg.vpc_id, str(packet.target)))
    if nic_id is None:
        return _lost(packet, f"nobody has {packet.target}")
    return enters(nic_id, land.nics[nic_id], packet)


def _listening(router: RouterState, packet: Packet) -> Listener | None:
    target = (str(packet.target), packet.port, packet.protocol)
    return next(
        (one for one in router.listeners if (one.ip, one.port, Protocol(one.protocol.transport)) == target), None
    )


def _balanced(land: Landscape, router_id: str, listener: Listener, packet: Packet) -> tuple[Step, ...]:
    """The first target that it can reach. Datagrams are forwarded; everything else is asked for by the router anew."""
    router, node = land.routers[router_id], Node(NodeType.ROUTER, router_id)
    taken = passed(node, packet, listener.balancer_id)
    tries: list[Step] = []
    for target in listener.targets:
        leg = leg_of(router, IPv4Address(target.ip))
        proxied = leg is not None and (packet.protocol is not Protocol.UDP or packet.source in IPv4Network(leg.cidr))
        source = IPv4Address(leg.gateway) if leg is not None and proxied else packet.source
        arrived = _arrives(land, leg, Packet(packet.protocol, source, IPv4Address(target.ip), target.port))
        if arrived.passed:
            return (taken, arrived)
        tries.append(arrived)
    return (taken, *tries[-1:]) if tries else (stopped(node, packet, f"{listener.balancer_id} has no targets"),)


def _lost(packet: Packet, why: str) -> Step:
    return stopped(None, packet, why)
