"""The compiled state of nodes: golden texts, determinism, differences, and what packets become of it."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.drivers.simulated.network_states import dump, load
from core.network.compile_nic import compile_nic
from core.network.compile_router import compile_router
from core.network.describe import describe, difference
from core.network.desired import NodeState
from core.network.intent import GroupIntent, GuestIntent, NetworkIntent, NicIntent, RouterIntent, RuleIntent
from core.network.node_rows import NodeType
from core.network.packets import Packet, crosses, enters, leaves
from core.network.traffic import Blocks, Direction, PortRange, PortSet, Protocol
from tests.support.intents import a_nic, a_router, guarded_nic

GOLDEN = Path(__file__).parent / "golden"
STATES: dict[str, NodeState] = {
    "nic-open": compile_nic(a_nic()),
    "nic-guarded": compile_nic(guarded_nic()),
    "nic-switched-off": compile_nic(replace(guarded_nic(), firewall_enabled=False, groups=())),
    "router": compile_router(a_router()),
}


@pytest.mark.parametrize("name", STATES)
def test_the_state_is_as_written_down(name: str) -> None:
    shown = "".join(f"{key}: {text}\n" for key, text in describe(STATES[name]).items())
    assert shown == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_the_order_of_the_intent_changes_nothing() -> None:
    router, nic, chance = a_router(), guarded_nic(), random.Random(1)
    for _ in range(20):
        mixed = {name: tuple(chance.sample(getattr(router, name), len(getattr(router, name))))
                 for name in ("outer", "networks", "mappings", "balancers")}  # fmt: skip
        assert compile_router(replace(router, **mixed)) == STATES["router"]
        groups = tuple(chance.sample(nic.groups, 2))
        assert compile_nic(replace(nic, groups=groups, rules=nic.rules[::-1])) == STATES["nic-guarded"]


@pytest.mark.parametrize("name", STATES)
def test_a_state_survives_its_file_without_private_keys(name: str) -> None:
    text = dump(STATES[name])
    assert "PRIVATE" not in text
    again = load(NodeType.ROUTER if name == "router" else NodeType.NIC, text)
    assert {key for key in difference(STATES[name], again).changed} <= {"balancer slb-1 certificate"}


def test_no_private_key_is_shown() -> None:
    assert "PRIVATE" not in repr(STATES["router"]) + str(describe(STATES["router"]))


def test_a_difference_names_what_came_went_and_changed() -> None:
    old = a_router()
    new = replace(old, mappings=(replace(old.mappings[0], inner_port=81),))
    found = difference(compile_router(old), compile_router(new))
    assert found.added == {}
    assert found.removed == {"nat 192.0.2.11": "10.1.0.11 map-1"}
    assert found.changed.keys() == {"nat 192.0.2.12 tcp 8080"}
    assert not difference(compile_router(old), compile_router(a_router()))
    assert difference(None, STATES["nic-open"]).added.keys() == {"port", "addresses"}


# --- packets: the evaluator against a naive reading of the intent

ADDRESSES = [IPv4Address(text) for text in ("10.1.0.5", "10.1.0.6", "10.2.0.9", "192.0.2.1")]
NETWORKS = [IPv4Network(text) for text in ("10.1.0.0/24", "10.1.0.5/32", "192.0.2.0/24", "10.2.0.0/16")]
ranges = st.builds(lambda a, b: PortRange(min(a, b), max(a, b)), st.integers(1, 6), st.integers(1, 6))
rules = st.builds(
    RuleIntent, id=st.sampled_from([f"rule-{number}" for number in range(9)]), direction=st.sampled_from(Direction),
    protocol=st.none() | st.sampled_from(Protocol), ports=st.builds(PortSet, st.lists(ranges, max_size=2).map(tuple)),
    peers=st.builds(Blocks, st.lists(st.sampled_from(NETWORKS), max_size=2).map(tuple)),
)  # fmt: skip
lists = st.lists(rules, max_size=4).map(tuple)
groups = st.lists(lists, max_size=3).map(
    lambda found: tuple(GroupIntent(id=f"group-{n}", rules=rules) for n, rules in enumerate(found))
)
nics = st.builds(
    lambda groups, inner, enabled: a_nic(ip="10.1.0.5", groups=groups, rules=inner, firewall_enabled=enabled),
    groups, lists, st.booleans(),
)  # fmt: skip
protocols, ports = st.sampled_from(Protocol), st.integers(1, 7)


def _matches(rule: RuleIntent, direction: Direction, packet: Packet, peer: IPv4Address) -> bool:
    return (
        rule.direction == direction
        and rule.protocol in (None, packet.protocol)
        and (not rule.ports.ranges or any(one.first <= packet.port <= one.last for one in rule.ports.ranges))
        and (not rule.peers.networks or any(peer in network for network in rule.peers.networks))
    )


def _layer(found: list[RuleIntent], direction: Direction, packet: Packet, peer: IPv4Address) -> bool:
    if direction is Direction.OUT and not any(rule.direction is Direction.OUT for rule in found):
        return True
    return any(_matches(rule, direction, packet, peer) for rule in found)


def _naive_nic(nic: NicIntent, direction: Direction, packet: Packet) -> bool:
    own, peer = (packet.target, packet.source) if direction is Direction.IN else (packet.source, packet.target)
    in_groups = [rule for group in nic.groups for rule in group.rules]
    return (
        str(own) == nic.ip
        and (not nic.groups or _layer(in_groups, direction, packet, peer))
        and (not nic.firewall_enabled or _layer(list(nic.rules), direction, packet, peer))
    )


@given(nics, st.sampled_from(Direction), protocols, st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES), ports)
def test_a_nic_passes_what_its_rules_say(
    nic: NicIntent, direction: Direction, protocol: Protocol, source: IPv4Address, target: IPv4Address, port: int
) -> None:
    packet = Packet(protocol, source, target, port)
    step = (enters if direction is Direction.IN else leaves)(nic.id, compile_nic(nic), packet)
    assert step.passed == _naive_nic(nic, direction, packet)
    named = {rule.id for rule in (*nic.rules, *(rule for group in nic.groups for rule in group.rules))}
    if step.passed and step.by != "no filter":
        assert set(step.by.split(", ")) <= named


@given(
    lists, lists, st.booleans(), st.booleans(), protocols, st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES), ports
)
def test_a_boundary_passes_what_its_rules_say(
    first: tuple[RuleIntent, ...], second: tuple[RuleIntent, ...], open_a: bool, open_b: bool,
    protocol: Protocol, source: IPv4Address, target: IPv4Address, port: int,
) -> None:  # fmt: skip
    guests = {"10.1.0.5": first, "10.2.0.9": second}
    networks = {
        IPv4Network("10.1.0.0/24"): _network("10.1.0.0/24", "10.1.0.5", first, is_open=open_a),
        IPv4Network("10.2.0.0/24"): _network("10.2.0.0/24", "10.2.0.9", second, is_open=open_b),
    }
    packet = Packet(protocol, source, target, port)
    router = RouterIntent(id="router-1", wan_ip="203.0.113.1", networks=tuple(networks.values()))
    expected = True
    for own, peer, direction in ((source, target, Direction.OUT), (target, source, Direction.IN)):
        for block, network in networks.items():
            if own in block and network.gate_open:
                expected &= _layer(list(guests.get(str(own), ())), direction, packet, peer)
    assert crosses("router-1", compile_router(router), packet).passed == expected


def _network(cidr: str, ip: str, rules: tuple[RuleIntent, ...], *, is_open: bool) -> NetworkIntent:
    guest = GuestIntent(nic_id=f"nic-{ip}", mac="52:00:00:00:00:01", ip=ip, rules=rules)
    return NetworkIntent(vpc_id=f"vpc-{cidr}", cidr=cidr, gateway=cidr, gate_open=is_open, guests=(guest,))
