"""The desired state of a node as lines for people, and what differs between two states. Pure.

A line has a key that stays the same while its content changes. No line shows a private key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from core.network.desired import Allow, Filter, Leg, Listener, NicState, Node, NodeState, RouterState

Lines = Mapping[str, str]
"""Content by key, in the order of the state."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Lines by key: new ones, lost ones, and the old and new content of those that changed."""

    added: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def difference(old: NodeState | None, new: NodeState | None) -> Difference:
    """None: the node is not there."""
    if old == new:
        return Difference()
    before, after = describe(old), describe(new)
    return Difference(
        added={key: text for key, text in after.items() if key not in before},
        removed={key: text for key, text in before.items() if key not in after},
        changed={key: (before[key], text) for key, text in after.items() if before.get(key, text) != text},
    )


def differences(old: Mapping[Node, NodeState], new: Mapping[Node, NodeState]) -> dict[Node, Difference]:
    """Of the nodes that differ, in their order."""
    nodes = sorted(node for node in old.keys() | new.keys() if old.get(node) != new.get(node))
    return {node: difference(old.get(node), new.get(node)) for node in nodes}


def describe(state: NodeState | None) -> Lines:
    match state:
        case RouterState():
            return dict(_router(state))
        case NicState():
            return dict(_nic(state))
        case None:
            return {}


def line(allow: Allow) -> str:
    """`tcp 80,443 10.0.0.0/24`; what is not restricted is `any`."""
    ports = f" {allow.ports}" if allow.ports.ranges else ""
    return f"{allow.protocol or 'any'}{ports} {str(allow.peers) or 'any'}"


def _nic(nic: NicState) -> Iterator[tuple[str, str]]:
    network = f"{nic.vpc_id} gateway {nic.gateway}" if nic.vpc_id else "no network"
    yield "port", f"{nic.device} of {nic.vm_id} in {network}"
    yield "addresses", f"{nic.mac} {nic.ip or 'any'}"
    for group in nic.groups:
        yield from _filter(f"group {group.id} in", group.inbound)
        yield from _filter(f"group {group.id} out", group.outbound)
    yield from _filter("inner in", nic.inner_inbound)
    yield from _filter("inner out", nic.inner_outbound)


def _router(router: RouterState) -> Iterator[tuple[str, str]]:
    yield "wan", router.wan_ip
    for address in router.outer:
        yield f"outer {address.ip}", f"/{address.prefix} via {address.gateway}"
    for leg in router.legs:
        yield from _leg(leg)
    for nat in router.ip_nat:
        yield f"nat {nat.outer_ip}", f"{nat.inner_ip} {nat.mapping_id}"
    for port in router.port_nat:
        yield (
            f"nat {port.outer_ip} {port.protocol} {port.outer_port}",
            f"{port.inner_ip} {port.inner_port} from {str(port.sources) or 'any'} {port.mapping_id}",
        )
    for listener in router.listeners:
        yield from _listener(listener)


def _leg(leg: Leg) -> Iterator[tuple[str, str]]:
    yield f"network {leg.vpc_id}", f"{leg.cidr} gateway {leg.gateway} {'open' if leg.gate is None else 'filtered'}"
    for gate in leg.gate or ():
        yield from _filter(f"gate {leg.vpc_id} {gate.nic_id} {gate.ip} in", gate.inbound)
        yield from _filter(f"gate {leg.vpc_id} {gate.nic_id} {gate.ip} out", gate.outbound)
    for one in leg.reservations:
        yield f"host {leg.vpc_id} {one.ip}", f"{one.mac} {one.host_name} {one.nic_id}"


def _listener(listener: Listener) -> Iterator[tuple[str, str]]:
    key, check = f"balancer {listener.balancer_id}", listener.check
    where = f"{listener.protocol} {listener.ip} {listener.port}{listener.path and ' ' + listener.path}"
    yield key, f"{where} {listener.policy} idle {listener.idle} s, {listener.max_connections} connections"
    path = check.path and f" {check.path}"
    yield f"{key} check", f"{check.retries} times every {check.every} s within {check.timeout} s{path}"
    if listener.certificate is not None:
        yield f"{key} certificate", listener.certificate.digest
    for target in listener.targets:
        yield f"{key} target {target.ip} {target.port}", f"weight {target.weight} {target.back_end_id}"


def _filter(key: str, lines: Filter | None) -> Iterator[tuple[str, str]]:
    if lines is None:
        return
    yield key, "only"
    for allow in lines:
        yield f"{key} {allow.rule_id}", line(allow)
