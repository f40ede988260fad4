"""Rules of security groups, and whether they are in effect."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from core.compute.nics import AddNic
from core.compute.nics import add as add_nic
from core.errors import Invalid, NotFound
from core.network import group_rules, pending_rules, sweeping
from core.network.access_rules import Gate
from core.network.desired import Node
from core.network.filter_rows import Boundary
from core.network.group_rules import FindGroupRules, FindRulesOfVm, GroupRuleDetails
from core.network.groups import GroupRef
from core.network.groups import delete as delete_group
from core.network.node_rows import NetworkNode, NodeType, PendingRule
from core.network.pending_rules import FindPendingRules
from core.network.traffic import Direction, Protocol
from tests.support.filtering import Wall

OUT = {"direction": Direction.OUT}
WRONG: list[tuple[dict[str, object], str, str]] = [
    ({"ports": "80,0"}, "ports", "0 is out of range"),
    ({"protocol": None}, "protocol", "is missing, while ports are given"),
    ({"protocol": Protocol.ICMP}, "ports", "does not go with icmp"),
    ({"sources": "10.0.0.0/8,::/0"}, "sources", "::/0 is IPv6"),
    ({"targets": "fe80::1", **OUT}, "targets", "fe80::1 is IPv6"),
    ({"targets": "10.0.0.0/8"}, "targets", "does not go with the direction in"),
    ({"sources": "10.0.0.0/8", **OUT}, "sources", "does not go with the direction out"),
]
"""What is wanted, and the parameter that is named with its problem."""


def found(wall: Wall, *group_ids: str, **find: object) -> list[str]:
    wanted = FindGroupRules(group_ids=group_ids, **find)  # type: ignore[arg-type]
    return [rule.id for rule in wall.control.do(group_rules.search, wanted).rows]


def test_a_rule_is_listed_with_what_it_allows(wall: Wall) -> None:
    group = wall.group()
    inbound = wall.rule(group, ports="443,80", sources="10.2.0.0/16,10.1.0.1")
    wall.control.clock.advance(1)
    outbound = wall.rule(group, ports="", protocol=None, targets="1.1.1.1", **OUT)
    assert wall.control.do(group_rules.search, FindGroupRules(group_ids=(group,))).rows == (
        GroupRuleDetails(
            id=outbound, sources="", targets="1.1.1.1", direction=Direction.OUT, ports="", protocol=None, group_id=group
        ),
        GroupRuleDetails(
            id=inbound, sources="10.1.0.1,10.2.0.0/16", targets="", direction=Direction.IN, ports="80,443",
            protocol=Protocol.TCP, group_id=group,
        ),
    )  # fmt: skip


def test_what_is_wrong_is_named(wall: Wall) -> None:
    group = wall.group()
    for want, field, problem in WRONG:
        with pytest.raises(Invalid, match=problem) as refused:
            wall.rule(group, **want)
        assert refused.value.field == field
    with pytest.raises(NotFound, match="security group"):
        wall.rule("group-none")
    assert found(wall, group) == []


def test_every_filter_narrows(wall: Wall) -> None:
    web, db = wall.group(), wall.group("db")
    http = wall.rule(web, ports="80:83,443", sources="10.1.0.0/16,10.2.0.2")
    wall.control.clock.advance(1)
    dns = wall.rule(web, protocol=Protocol.UDP, ports="53", targets="10.1.0.0/16", **OUT)
    wall.control.clock.advance(1)
    sql = wall.rule(db, ports="5432")
    for groups, find, expected in (
        ((web, db), {}, [sql, dns, http]),
        ((web,), {}, [dns, http]),
        ((web,), {"id": dns}, [dns]),
        ((web,), {"id": sql}, []),
        ((web, db), {"ports": "443"}, [http]),
        ((web, db), {"ports": "80:83, 443"}, [http]),
        ((web, db), {"ports": "43"}, []),
        ((web, db), {"protocol": Protocol.UDP}, [dns]),
        ((web, db), {"direction": Direction.IN}, [sql, http]),
        ((web, db), {"sources": "10.1.0.0/16"}, [http]),
        ((web, db), {"sources": "10.2.0.2/32"}, [http]),
        ((web, db), {"sources": "10.2.0"}, None),
        ((web, db), {"targets": "10.1.0.0/16"}, [dns]),
        ((web, db), {"targets": "::1"}, None),
        ((web, db), {"start": 2, "limit": 1}, [dns]),
    ):
        if expected is None:
            with pytest.raises(Invalid):
                found(wall, *groups, **find)
        else:
            assert found(wall, *groups, **find) == expected, find
    with pytest.raises(NotFound, match="group-none"):
        found(wall, web, "group-none")


def test_a_deleted_rule_is_gone_once(wall: Wall) -> None:
    group = wall.group()
    id_ = wall.rule(group)
    wall.unrule(id_)
    assert found(wall, group) == []
    for absent in (id_, "\0"):
        with pytest.raises(NotFound, match="security group rule"):
            wall.unrule(absent)


def test_a_rule_is_in_effect_once_every_nic_of_the_vm_in_the_group_has_it(wall: Wall) -> None:
    group, (vm, other), (first, _) = wall.group(), wall.vms, wall.nics
    second = wall.control.do(add_nic, AddNic(vm_id=vm, vpc_id=wall.control.vpc)).id
    wall.control.settle()
    wall.bind(group, first, second)
    wall.confirm()
    id_ = wall.rule(group)
    assert wall.in_effect(vm) == {id_: False}
    assert wall.in_effect(other) == {}
    confirm(wall, first)
    assert wall.in_effect(vm) == {id_: False}
    confirm(wall, second)
    assert wall.in_effect(vm) == {id_: True}
    wall.unbind(group, second)
    assert wall.in_effect(vm) == {id_: True}, "the NIC that still has it is no member any more"
    assert wall.pending() == {(id_, vm)}


def test_the_rules_of_a_vm_name_their_groups(wall: Wall) -> None:
    web, db, (vm, _) = wall.group(), wall.group("db"), wall.vms
    wall.rule(web)
    wall.control.clock.advance(1)
    wall.rule(db)
    for group in (web, db):
        wall.bind(group, wall.nics[0])
    rules = wall.control.do(group_rules.search_of_vm, FindRulesOfVm(vm_id=vm)).rows
    assert [(rule.group_id, rule.group_name, rule.in_effect) for rule in rules] == [
        (db, "db", False), (web, "web", False)
    ]  # fmt: skip
    paged = wall.control.do(group_rules.search_of_vm, FindRulesOfVm(vm_id=vm, start=2, limit=1))
    assert ([rule.group_id for rule in paged.rows], paged.total) == ([web], 2)
    with pytest.raises(NotFound, match="VM"):
        wall.in_effect("vm-none")


def test_a_rule_waits_on_every_member_and_a_deleted_one_still_acts(wall: Wall) -> None:
    group, (one, two) = wall.group(), wall.vms
    kept = wall.rule(group)
    wall.bind(group, wall.nics[0])
    assert wall.pending() == {(kept, one)}
    wall.bind(group, wall.nics[1])
    assert wall.pending() == {(kept, one), (kept, two)}
    wall.confirm()
    assert wall.pending() == set()
    wall.unrule(kept)
    assert wall.pending(group_id=group) == {(kept, one), (kept, two)}
    new = wall.rule(group)
    assert wall.pending(vm_id=two) == {(kept, two), (new, two)}


def test_a_group_without_rules_marks_its_nics_too(wall: Wall) -> None:
    before = wall.wanted(NodeType.NIC, wall.nics[0])
    wall.bind(wall.group(), wall.nics[0])
    assert wall.wanted(NodeType.NIC, wall.nics[0]) == before + 1, "it lets nothing in any more"


def test_what_an_unbound_or_deleted_group_left_behind_is_listed(wall: Wall) -> None:
    group, (vm, _) = wall.group(), wall.vms
    id_ = wall.rule(group)
    wall.bind(group, wall.nics[0])
    wall.confirm()
    wall.unbind(group, wall.nics[0])
    wall.control.do(delete_group, GroupRef(id=group))
    assert wall.pending(group_id=group) == {(id_, vm)}
    assert wall.pending(group_id="group-none") == set()
    assert wall.in_effect(vm) == {}


def test_a_node_that_lost_everything_has_no_rule_in_effect(wall: Wall) -> None:
    group, (vm, _), (nic, _) = wall.group(), wall.vms, wall.nics
    inner = wall.allow(boundary=Boundary.NIC, direction=Direction.IN)
    guarded, rule = wall.allow(), wall.rule(group)
    wall.bind(group, nic)
    wall.gate(Gate.OPEN)
    wall.confirm()
    lost = {Node(NodeType.NIC, nic): wall.wanted(NodeType.NIC, nic)}
    lose(wall, {Node(NodeType.NIC, nic): 0})
    assert wall.in_effect(vm) == {rule: True}, "it was marked meanwhile: nobody knows that it lost anything since"
    lose(wall, lost)
    assert (wall.in_effect(vm), wall.pending(group_id=group)) == ({rule: False}, {(rule, vm)})
    assert wall.pending() == {(rule, vm), (inner, vm)}
    lose(wall, {Node(NodeType.ROUTER, wall.site.router): wall.wanted(NodeType.ROUTER, wall.site.router)})
    assert wall.pending() == {(rule, vm), (inner, vm), (guarded, vm)}


def lose(wall: Wall, confirmed: dict[Node, int]) -> None:
    with wall.control.database.platform(write=True) as session:
        sweeping.apply_again(session, confirmed)


def test_issues_come_oldest_first_and_page_by_page(wall: Wall) -> None:
    group = wall.group()
    wall.bind(group, wall.nics[0])
    ids = [wall.rule(group, ports=str(port)) for port in (1, 2, 3)]
    paged = wall.control.do(pending_rules.search, FindPendingRules(start=2, limit=1))
    assert ([issue.rule_id for issue in paged.rows], paged.total) == ([ids[1]], 3)


def test_a_reset_tries_the_callers_own_at_once(wall: Wall) -> None:
    group = wall.group()
    wall.rule(group)
    wall.bind(group, *wall.nics)
    later = wall.control.clock.now()
    with wall.control.database.platform(write=True) as session:
        session.execute(update(PendingRule).values(retries=7))
        session.execute(update(NetworkNode).values(attempts=7, next_try_at=later))
    reset(wall, "tenant-none")
    assert retries(wall) == {7}
    reset(wall, wall.control.tenant)
    assert retries(wall) == {0}
    with wall.control.database.platform() as session:
        nodes = session.query(NetworkNode).where(NetworkNode.id.in_(wall.nics)).all()
    assert [(node.attempts, node.next_try_at) for node in nodes] == [(0, None)] * 2


def reset(wall: Wall, tenant_id: str) -> None:
    mine, wall.control.tenant = wall.control.tenant, tenant_id
    wall.control.do(lambda at, _: pending_rules.reset(at), None)
    wall.control.tenant = mine


def retries(wall: Wall) -> set[int]:
    return {issue.retries for issue in wall.control.do(pending_rules.search, FindPendingRules()).rows}


def confirm(wall: Wall, nic_id: str) -> None:
    with wall.control.database.platform(write=True) as session:
        session.query(PendingRule).where(PendingRule.nic_id == nic_id).delete()
