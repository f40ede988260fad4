"""Security groups and the NICs in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import update

from core.compute.inventory import ensure_host, ensure_vms
from core.compute.nics import AddNic
from core.compute.nics import add as add_nic
from core.compute.rows import Nic
from core.errors import Conflict, Invalid, NotFound
from core.network import bindings, groups
from core.network.bindings import Binding, FindBound
from core.network.filter_rows import GroupMember, GroupRule
from core.network.groups import CreateGroup, FindGroups, GroupDetails, GroupRef
from core.network.node_rows import NodeType
from core.tenancy.tenants import CreateTenant
from core.tenancy.tenants import create as create_tenant
from tests.support.filtering import Wall
from tests.support.inventory import a_host, a_vm
from tests.support.requests import Desk


def other_tenant(wall: Wall) -> str:
    return wall.control.platform(create_tenant, CreateTenant(name="other")).id


def found(wall: Wall, **find: object) -> list[str]:
    return [group.id for group in wall.control.do(groups.search, FindGroups(**find)).rows]  # type: ignore[arg-type]


def bound(wall: Wall, group_id: str, **find: object) -> list[str]:
    wanted = FindBound(group_id=group_id, **find)  # type: ignore[arg-type]
    return [nic.id for nic in wall.control.do(bindings.search, wanted).rows]


def test_a_group_is_listed_with_its_tenant(wall: Wall) -> None:
    id_ = wall.control.do(groups.create, CreateGroup(name="web", description="fronts")).id
    shown = GroupDetails(
        id=id_, name="web", description="fronts", tenant_id=wall.control.tenant, tenant_name="t",
        created_at=wall.control.clock.now(),
    )  # fmt: skip
    assert wall.control.do(groups.search, FindGroups()).rows == (shown,)


def test_groups_are_found_newest_first_and_page_by_page(wall: Wall) -> None:
    ids = []
    for name in ("web", "WEB_2", "db"):
        ids.insert(0, wall.group(name))
        wall.control.clock.advance(1)
    db, second, first = ids
    for find, expected in (
        ({}, ids),
        ({"name": "we"}, [second, first]),
        ({"name": "_"}, [second]),
        ({"id": db}, [db]),
        ({"id": db[:-1]}, []),
        ({"start": 2, "limit": 1}, [second]),
    ):
        assert found(wall, **find) == expected, find
    assert wall.control.do(groups.search, FindGroups(start=3, limit=1)).total == 3


def test_the_platform_says_whose_group_it_is(wall: Wall) -> None:
    create: Callable[[CreateGroup], object] = lambda want: wall.control.platform(groups.create, want)  # noqa: E731
    with pytest.raises(Invalid, match="tenant_id: is missing"):
        create(CreateGroup(name="web"))
    for tenant_id in ("tenant-none", "\0"):
        with pytest.raises(NotFound, match="tenant"):
            create(CreateGroup(name="web", tenant_id=tenant_id))
    create(CreateGroup(name="web", tenant_id=wall.control.tenant))
    assert len(found(wall)) == 1


def test_a_tenant_makes_groups_of_its_own_only(wall: Wall) -> None:
    wall.control.do(groups.create, CreateGroup(name="web", tenant_id=wall.control.tenant))
    with pytest.raises(NotFound, match="tenant"):
        wall.control.do(groups.create, CreateGroup(name="web", tenant_id=other_tenant(wall)))


def test_a_group_in_use_is_not_deleted_and_says_who_uses_it(wall: Wall) -> None:
    group = wall.group()
    wall.rule(group)
    wall.bind(group, *wall.nics)
    names = ", ".join(sorted(wall.control.vm(vm_id).name for vm_id in wall.vms))
    with pytest.raises(Conflict, match=f"VMs are bound to it: {names}"):
        wall.control.do(groups.delete, GroupRef(id=group))
    wall.unbind(group, *wall.nics)
    wall.control.do(groups.delete, GroupRef(id=group))
    assert (found(wall), wall.count(GroupRule)) == ([], 0)
    with pytest.raises(NotFound, match="security group"):
        wall.control.do(groups.delete, GroupRef(id=group))


def test_binding_again_and_unbinding_what_is_not_bound_change_nothing(wall: Wall) -> None:
    group, (first, second) = wall.group(), wall.nics
    wall.rule(group)
    for _ in range(2):
        wall.bind(group, first, first)
    assert bound(wall, group) == [first]
    wall.confirm()
    before = wall.wanted(NodeType.NIC, first)
    wall.bind(group, first)
    wall.unbind(group, second)
    assert (wall.wanted(NodeType.NIC, first), wall.pending()) == (before, set())
    for _ in range(2):
        wall.unbind(group, first)
    assert bound(wall, group) == []


def test_nics_are_bound_all_or_none(wall: Wall) -> None:
    group = wall.group()
    for absent in ("nic-none", "\0"):
        for deed in (wall.bind, wall.unbind):
            with pytest.raises(NotFound, match="NIC"):
                deed(group, wall.nics[0], absent)
    with pytest.raises(NotFound, match="security group"):
        wall.bind("group-none", wall.nics[0])
    assert wall.count(GroupMember) == 0


def test_a_nic_is_never_in_another_tenants_group(wall: Wall) -> None:
    theirs = wall.control.platform(groups.create, CreateGroup(name="x", tenant_id=other_tenant(wall))).id
    want = Binding(group_id=theirs, nic_ids=(wall.nics[0],))
    with pytest.raises(Conflict, match="belongs to another tenant than the security group"):
        wall.control.platform(bindings.bind, want)
    with pytest.raises(NotFound, match="security group"):
        wall.control.do(bindings.bind, want)


def test_the_nics_of_a_group_are_found(wall: Wall) -> None:
    group, (first, second) = wall.group(), wall.nics
    wall.bind(group, second, first)
    assert sorted(bound(wall, group)) == sorted(wall.nics)
    assert bound(wall, group, ip=wall.ips[1]) == [second]
    assert bound(wall, group, ip=wall.ips[1][:-1] + "0") == []
    paged = wall.control.do(bindings.search, FindBound(group_id=group, start=1, limit=1))
    assert (len(paged.rows), paged.total, paged.rows[0].vpc_name) == (1, 2, "net")
    with pytest.raises(Invalid, match="ip: ::1 is IPv6"):
        bound(wall, group, ip="::1")
    with pytest.raises(NotFound, match="security group"):
        bound(wall, "group-none")


def test_a_nic_outside_any_network_has_no_network_name(wall: Wall) -> None:
    group = wall.group()
    wall.bind(group, wall.nics[0])
    with wall.control.database.platform(write=True) as session:
        session.execute(update(Nic).values(vpc_id=None))
    (nic,) = wall.control.do(bindings.search, FindBound(group_id=group)).rows
    assert (nic.vpc_id, nic.vpc_name) == (None, None)


def test_a_vm_that_is_deleted_leaves_its_groups(wall: Wall) -> None:
    group = wall.group()
    wall.rule(group)
    wall.bind(group, *wall.nics)
    wall.delete_vm(wall.vms[0])
    assert bound(wall, group) == [wall.nics[1]]
    assert {vm_id for _, vm_id in wall.pending()} == {wall.vms[1]}


def test_a_nic_that_the_driver_has_no_more_leaves_its_groups(desk: Desk) -> None:
    tenant = desk.platform(create_tenant, CreateTenant(name="t")).id
    with desk.database.platform(write=True) as session:
        ensure_host(session, a_host(1), desk.clock.now())
        ensure_vms(session, [a_vm(1, tenant)], desk.clock.now())
    group = desk.tenant(tenant, groups.create, CreateGroup(name="web")).id
    desk.tenant(tenant, bindings.bind, Binding(group_id=group, nic_ids=("nic-1",)))
    with desk.database.platform(write=True) as session:
        ensure_vms(session, [replace(a_vm(1, tenant), nics=())], desk.clock.now())
    assert desk.tenant(tenant, bindings.search, FindBound(group_id=group)).rows == ()


def test_a_nic_that_could_not_be_plugged_in_leaves_its_groups(wall: Wall) -> None:
    group = wall.group()
    added = wall.control.do(add_nic, AddNic(vm_id=wall.vms[0], vpc_id=wall.control.vpc)).id
    wall.bind(group, added)
    wall.control.restart()
    wall.control.settle()
    assert bound(wall, group) == []
