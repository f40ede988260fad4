"""Access rules: what is accepted, what is listed, what is marked, and what goes with a VM."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from core.compute.rows import Nic
from core.errors import Conflict, Invalid, NotFound
from core.network import access_rules
from core.network.access_rules import AccessRuleDetails, AccessRuleRef, AddAccessRule, Gate, SetGate
from core.network.attaching import DetachVpc, detach
from core.network.filter_rows import AccessRule, Boundary
from core.network.node_rows import NodeType
from core.network.traffic import Direction, Protocol
from core.tenancy.tenants import CreateTenant
from core.tenancy.tenants import create as create_tenant
from tests.support.filtering import Wall

INNER = {"boundary": Boundary.NIC, "direction": Direction.IN}
WRONG: list[tuple[dict[str, object], str, str]] = [
    ({"ip": "fe80::1"}, "ip", "IPv6"),
    ({"ip": "10.0.0.0/8"}, "ip", "is not an IP address"),
    ({"sources": "::/0"}, "sources", "IPv6"),
    ({"sources": "10.0.0.5/8"}, "sources", "inside a block"),
    ({"targets": "10.0.0.9"}, "targets", "10.0.0.9 is not the address of the VM"),
    ({"targets": "2001:db8::1", "direction": Direction.OUT}, "targets", "IPv6"),
    ({"sources": "10.0.0.0/8", "direction": Direction.OUT}, "sources", "is not the address of the VM"),
    ({"ports": "80"}, "protocol", "is missing, while ports are given"),
    ({"ports": "80", "protocol": Protocol.ICMP}, "ports", "does not go with icmp"),
    ({"ports": "80-90", "protocol": Protocol.TCP}, "ports", "80-90 is not a port or a range"),
    ({"boundary": Boundary.NIC}, "direction", "is missing for a rule inside the network"),
]
"""What is wanted, and the parameter that is named with its problem."""


def test_a_rule_is_listed_with_its_router_vm_and_tenant(wall: Wall) -> None:
    id_ = wall.allow(protocol=Protocol.TCP, ports="85,80:83", sources="10.1.0.0/16,1.2.3.4", description="web")
    assert wall.rules() == [
        AccessRuleDetails(
            id=id_, boundary=Boundary.NETWORK, router_id=wall.site.router, router_name="edge", vpc_id=wall.control.vpc,
            target=wall.ips[0], vm_name=wall.control.vm(wall.vms[0]).name, source="1.2.3.4,10.1.0.0/16",
            ports="80:83,85", protocol=Protocol.TCP, tenant_id=wall.control.tenant, tenant_name="t",
        )
    ]  # fmt: skip


def test_without_a_router_none_is_named(wall: Wall) -> None:
    wall.allow()
    wall.control.do(detach, DetachVpc(vpc_id=wall.control.vpc))
    (rule,) = wall.rules()
    assert (rule.router_id, rule.router_name, rule.vpc_id) == (None, None, wall.control.vpc)


def test_the_address_of_the_vm_stands_on_its_own_side(wall: Wall) -> None:
    ip = wall.ips[0]
    for want in ({}, {"targets": ip}, {"targets": f"{ip}/32"}):
        wall.allow(**want, sources="10.9.0.0/16")
    for more in ({}, {"sources": ip}):
        wall.allow(**more, targets="10.9.0.0/16", direction=Direction.OUT)
    sides = sorted((rule.source, rule.target) for rule in wall.rules())
    assert sides == sorted([("10.9.0.0/16", ip)] * 3 + [(ip, "10.9.0.0/16")] * 2)


def test_what_is_wrong_is_named(wall: Wall) -> None:
    for want, field, problem in WRONG:
        with pytest.raises(Invalid, match=problem) as refused:
            wall.allow(**want)
        assert refused.value.field == field
    assert wall.rules() == []


def test_an_address_of_nobody_or_of_another_tenant_is_not_found(wall: Wall) -> None:
    with pytest.raises(NotFound, match=r"10\.255\.255\.9"):
        wall.allow(ip="10.255.255.9")
    other = wall.control.platform(create_tenant, CreateTenant(name="other")).id
    mine, wall.control.tenant = wall.control.tenant, other
    with pytest.raises(NotFound):
        wall.allow()
    wall.control.tenant = mine
    wall.allow()


def test_a_nic_outside_any_network_has_no_boundary(wall: Wall) -> None:
    with wall.control.database.platform(write=True) as session:
        session.execute(update(Nic).where(Nic.id == wall.nics[0]).values(vpc_id=None))
    with pytest.raises(Conflict, match="in no private network"):
        wall.allow()
    wall.allow(**INNER)
    (rule,) = wall.rules()
    assert (rule.vpc_id, rule.boundary) == (None, Boundary.NIC)


def test_an_address_that_several_nics_have_is_refused(wall: Wall) -> None:
    with wall.control.database.platform(write=True) as session:
        session.execute(update(Nic).values(ip="10.5.5.5", vpc_id=None))
    with pytest.raises(Conflict, match="2 NICs have this address"):
        wall.control.platform(access_rules.add, AddAccessRule(ip="10.5.5.5", **INNER))  # type: ignore[arg-type]


def test_every_filter_narrows(wall: Wall) -> None:
    web = wall.allow(ports="80:83,443", protocol=Protocol.TCP)
    wall.control.clock.advance(1)
    inner = wall.allow(ip=wall.ips[1], **INNER)
    everything = [inner, web]
    for find, expected in (
        ({}, everything),
        ({"target": wall.ips[0]}, [web]),
        ({"target": wall.ips[0].rpartition(".")[0]}, everything),
        ({"vpc_id": wall.control.vpc[4:].upper()}, everything),
        ({"vpc_id": "vpc-none"}, []),
        ({"boundary": Boundary.NIC}, [inner]),
        ({"ports": "443"}, [web]),
        ({"ports": "443,80:83"}, [web]),
        ({"ports": "43"}, []),
        ({"router_id": wall.site.router}, everything),
        ({"router_id": "router-none"}, []),
        ({"start": 2, "limit": 1}, [web]),
    ):
        assert [rule.id for rule in wall.rules(**find)] == expected, find
    with pytest.raises(Invalid, match="http is not a port"):
        wall.rules(ports="http")


def test_a_deleted_rule_is_gone_once(wall: Wall) -> None:
    id_ = wall.allow()
    wall.control.do(access_rules.delete, AccessRuleRef(id=id_))
    assert wall.rules() == []
    with pytest.raises(NotFound, match="access rule"):
        wall.control.do(access_rules.delete, AccessRuleRef(id=id_))


def test_who_enforces_a_rule_is_marked_until_it_does(wall: Wall) -> None:
    wall.confirm()
    router, nic = (NodeType.ROUTER, wall.site.router), (NodeType.NIC, wall.nics[0])
    before = wall.wanted(*router), wall.wanted(*nic)
    at_router = wall.allow()
    assert (wall.wanted(*router), wall.wanted(*nic)) == (before[0] + 1, before[1])
    at_nic = wall.allow(**INNER)
    assert (wall.wanted(*router), wall.wanted(*nic)) == (before[0] + 1, before[1] + 1)
    assert wall.pending() == {(at_router, wall.vms[0]), (at_nic, wall.vms[0])}
    wall.confirm()
    for id_ in (at_router, at_nic):
        wall.control.do(access_rules.delete, AccessRuleRef(id=id_))
    assert (wall.wanted(*router), wall.wanted(*nic)) == (before[0] + 2, before[1] + 2)
    assert wall.pending() == {(at_router, wall.vms[0]), (at_nic, wall.vms[0])}, "they still act"


def test_the_gate_marks_the_router_once_and_its_rules_with_it(wall: Wall) -> None:
    guarded, _ = wall.allow(), wall.allow(**INNER)
    wall.confirm()
    before = wall.wanted(NodeType.ROUTER, wall.site.router)
    for _ in range(2):
        wall.gate(Gate.OPEN)
        assert wall.wanted(NodeType.ROUTER, wall.site.router) == before + 1
        assert wall.pending() == {(guarded, wall.vms[0])}
    for _ in range(2):
        wall.gate(Gate.CLOSED)
        assert wall.wanted(NodeType.ROUTER, wall.site.router) == before + 2
    with pytest.raises(NotFound, match="private network"):
        wall.control.do(access_rules.set_gate, SetGate(vpc_id="vpc-none", gate=Gate.OPEN))


def test_rules_go_with_their_vm_and_the_router_is_told(wall: Wall) -> None:
    for want in ({}, INNER):
        wall.allow(**want)
    kept = wall.allow(ip=wall.ips[1])
    before = wall.wanted(NodeType.ROUTER, wall.site.router)
    wall.delete_vm(wall.vms[0])
    assert [rule.id for rule in wall.rules()] == [kept]
    assert wall.count(AccessRule) == 1
    assert wall.wanted(NodeType.ROUTER, wall.site.router) > before
    assert wall.pending() == {(kept, wall.vms[1])}
