"""Many requests about one group, its members and their VMs at the same moment."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import select

from core.compute import power
from core.compute.removal import delete as delete_vm
from core.compute.vms import VmRef
from core.context import Context
from core.errors import Conflict, NotFound
from core.network import bindings
from core.network.access_rules import AccessRuleRef
from core.network.access_rules import delete as delete_access_rule
from core.network.bindings import Binding
from core.network.filter_rows import AccessRule, GroupMember, GroupRule
from core.network.groups import GroupRef
from core.network.groups import delete as delete_group
from core.network.node_rows import NodeType, PendingRule
from core.tasks.rows import TaskState
from tests.support.filtering import Wall
from tests.support.threads import together, until_somebody_waits

CLIENTS = 64


def members(wall: Wall) -> Counter[tuple[str, str]]:
    with wall.control.database.platform() as session:
        return Counter((row.group_id, row.nic_id) for row in session.scalars(select(GroupMember)))


def rules(wall: Wall) -> set[str]:
    with wall.control.database.platform() as session:
        return set(session.scalars(select(GroupRule.id)))


def pending(wall: Wall) -> set[tuple[str, str]]:
    """Rules and NICs."""
    with wall.control.database.platform() as session:
        return {(row.rule_id, row.nic_id) for row in session.scalars(select(PendingRule))}


def test_no_rule_is_lost_and_no_binding_doubled(wall: Wall) -> None:
    """Clients bind, unbind, add and delete rules; each then binds what must be bound in the end."""
    group, nics = wall.group(), wall.nics
    doomed = [wall.rule(group, ports=str(9000 + number)) for number in range(CLIENTS // 4)]
    wall.confirm()

    def one(number: int) -> str | None:
        match number % 4:
            case 0:
                wall.bind(group, *nics[:: 1 if number % 8 else -1])
            case 1:
                wall.unbind(group, nics[number % 2])
                wall.bind(group, nics[number % 2])
            case 2:
                return wall.rule(group, ports=str(1000 + number))
            case _:
                wall.unrule(doomed[number // 4])
        return None

    added = {id_ for id_ in together(CLIENTS, one) if id_}
    assert len(added) == CLIENTS // 4
    assert rules(wall) == added
    assert members(wall) == Counter({(group, nic): 1 for nic in nics})
    assert {(rule, nic) for rule in added for nic in nics} <= pending(wall), "every one is to come into effect"


def test_a_rule_and_a_binding_that_cross_find_each_other(wall: Wall) -> None:
    """Whoever comes second marks the pair, in each of many groups at once."""
    groups = [wall.group(f"g{number}") for number in range(CLIENTS // 2)]
    wall.confirm()

    def one(number: int) -> str:
        group = groups[number // 2]
        if number % 2:
            return wall.rule(group)
        wall.bind(group, *wall.nics)
        return ""

    added = [id_ for id_ in together(CLIENTS, one) if id_]
    assert pending(wall) == {(rule, nic) for rule in added for nic in wall.nics}


def test_a_group_is_deleted_or_used_and_never_both(wall: Wall) -> None:
    groups = [wall.group(f"g{number}") for number in range(CLIENTS // 2)]

    def one(number: int) -> bool:
        try:
            if number % 2:
                wall.bind(groups[number // 2], wall.nics[0])
            else:
                wall.control.do(delete_group, GroupRef(id=groups[number // 2]))
        except (NotFound, Conflict):
            return False
        return True

    outcomes = together(CLIENTS, one)
    for deleted, used in zip(outcomes[::2], outcomes[1::2], strict=True):
        assert deleted is not used
    assert len(members(wall)) == outcomes[1::2].count(True)


def test_a_vm_that_goes_takes_what_others_just_bound_to_it(wall: Wall) -> None:
    group, (vm, _), (nic, other) = wall.group(), wall.vms, wall.nics
    wall.rule(group)
    wall.control.finish(power.power_off, VmRef(id=vm))
    wall.control.do(delete_vm, VmRef(id=vm))

    def one(number: int) -> None:
        if number == 0:
            wall.control.settle()
            return
        try:
            if number % 2:
                wall.bind(group, nic, other)
            else:
                wall.allow()
        except NotFound:
            return

    together(CLIENTS // 2, one)
    assert all(bound == other for _, bound in members(wall))
    assert wall.count(AccessRule) == 0
    with pytest.raises(NotFound):
        wall.bind(group, nic)


def test_a_vm_that_is_deleted_while_its_nic_is_bound_waits_for_that(wall: Wall) -> None:
    group, (vm, _), (nic, _) = wall.group(), wall.vms, wall.nics
    wall.control.finish(power.power_off, VmRef(id=vm))
    task_id = wall.control.do(delete_vm, VmRef(id=vm)).task_id
    with ThreadPoolExecutor(1) as pool:

        def bind(at: Context, want: Binding) -> Future[None]:
            bindings.bind(at, want)
            deleting = pool.submit(wall.control.settle)
            until_somebody_waits(wall.control.database, deleting)
            return deleting

        wall.control.do(bind, Binding(group_id=group, nic_ids=(nic,))).result(30)
    assert wall.control.ending(task_id) == (TaskState.SUCCEEDED, "")
    assert wall.count(GroupMember) == 0
    with pytest.raises(NotFound):
        wall.bind(group, nic)


def test_of_many_that_delete_a_rule_one_does_and_the_router_hears_of_it_once(wall: Wall) -> None:
    id_ = wall.allow()
    before = wall.wanted(NodeType.ROUTER, wall.site.router)

    def one(_: int) -> bool:
        try:
            wall.control.do(delete_access_rule, AccessRuleRef(id=id_))
        except NotFound:
            return False
        return True

    assert together(CLIENTS // 2, one).count(True) == 1
    assert wall.wanted(NodeType.ROUTER, wall.site.router) == before + 1


def test_no_access_rule_is_lost(wall: Wall) -> None:
    before = wall.wanted(NodeType.ROUTER, wall.site.router)
    added = together(CLIENTS, lambda number: wall.allow(ip=wall.ips[number % 2]))
    assert {rule.id for rule in wall.rules()} == set(added)
    assert wall.wanted(NodeType.ROUTER, wall.site.router) == before + CLIENTS
