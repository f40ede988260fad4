"""Cloud routers: created by tasks, attached to networks, deleted when nothing needs them."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from core.errors import Conflict, Forbidden, Invalid, NotFound, QuotaExceeded
from core.network import attaching, mappings, routers, vpcs
from core.network.attaching import AttachVpc, DetachVpc
from core.network.mappings import ConnectVm
from core.network.node_rows import NetworkNode
from core.network.outer_rows import OuterIp
from core.network.router_rows import Router, RouterState, RouterVpc
from core.network.routers import CreatedMachine, CreateRouter, FindRouters, RouterRef
from core.network.vpcs import CreateVpc, VpcRef
from core.tasks.rows import TaskState
from core.tasks.tasks import TaskRef, cancel
from core.tenancy.tenants import CreateTenant
from core.tenancy.tenants import create as create_tenant
from tests.support.balancing import Site


def create(site: Site, **want: object) -> tuple[CreatedMachine, ...]:
    return site.control.do(routers.create, CreateRouter(**want))  # type: ignore[arg-type]


def state(site: Site, router_id: str) -> RouterState | None:
    with site.control.database.platform() as session:
        return session.scalar(select(Router.state).where(Router.id == router_id))


def online(site: Site, router_id: str) -> bool:
    return site.control.do(routers.read, RouterRef(id=router_id)).online


def test_a_router_is_ready_when_its_task_has_ended_and_online_when_the_driver_has_made_it(site: Site) -> None:
    before = site.control.used()
    (machine,) = create(site)
    assert (machine.name, machine.wan_ip) == (machine.id, "203.0.113.3")
    assert state(site, machine.id) is RouterState.CREATING
    site.control.settle()
    assert site.control.ending(machine.task_id) == (TaskState.SUCCEEDED, "")
    assert state(site, machine.id) is RouterState.READY
    assert site.control.used() == before, "no CPU, no memory"
    assert site.outer_ips_used() == 2
    assert not online(site, machine.id)
    with site.control.database.platform(write=True) as session:
        session.execute(update(NetworkNode).values(confirmed=NetworkNode.wanted))
    assert online(site, machine.id)


def test_a_highly_available_router_has_two_machines_and_one_address(site: Site) -> None:
    first, second = create(site, name="pair", highly_available=True, wan_ip="203.0.113.9")
    assert (first.name, second.name) == ("pair", "pair-standby")
    assert first.wan_ip == second.wan_ip == "203.0.113.9"
    assert first.task_id != second.task_id
    site.control.settle()
    assert {site.control.ending(one.task_id)[0] for one in (first, second)} == {TaskState.SUCCEEDED}
    read = [site.control.do(routers.read, RouterRef(id=one.id)) for one in (first, second)]
    assert read[0] == read[1]
    assert (read[0].id, read[0].wan_ip, read[0].registered_ip) == (first.id, "203.0.113.9", "203.0.113.9")
    (shown,) = site.control.do(routers.search, FindRouters(id=second.id)).rows
    assert shown.machine_ids == (first.id, second.id)
    assert site.outer_ips_used() == 2


def test_routers_are_found_by_page_id_and_name(site: Site) -> None:
    create(site, name="Branch")
    everything = site.control.do(routers.search, FindRouters())
    assert everything.total == 2
    by_name = site.control.do(routers.search, FindRouters(name="bran")).rows
    assert [router.name for router in by_name] == ["Branch"]
    assert len(site.control.do(routers.search, FindRouters(start=2, limit=30)).rows) == 1
    (edge,) = site.control.do(routers.search, FindRouters(id=site.router)).rows
    assert (edge.vpc_ids, edge.machine_ids) == ((site.control.vpc,), (site.router,))


@pytest.mark.parametrize(
    ("wan_ip", "problem"),
    [
        ("203.0.113.2", "held by another router"),
        ("203.0.113.1", "not a free outer IP"),
        ("198.51.100.1", "not a free outer IP"),
        ("2001:db8::1", "is IPv6"),
        ("x", "not an IP address"),
    ],
)
def test_an_address_that_is_not_free_is_refused_by_name_and_nothing_is_taken(
    site: Site, wan_ip: str, problem: str
) -> None:
    with pytest.raises(Invalid, match=problem) as refused:
        create(site, wan_ip=wan_ip)
    assert refused.value.field == "wan_ip"
    assert len(site.rows(Router)) == 1
    assert site.outer_ips_used() == 1


def test_routers_are_the_tenants_and_count_for_its_quota(site: Site) -> None:
    with pytest.raises(Forbidden, match="belongs to a tenant"):
        site.control.platform(routers.create, CreateRouter())
    for _ in range(4):
        create(site)
    with pytest.raises(QuotaExceeded, match="outer IPs"):
        create(site)


def test_a_router_whose_task_is_cancelled_leaves_nothing(site: Site) -> None:
    first, second = create(site, highly_available=True)
    site.control.do(cancel, TaskRef(id=first.task_id))
    site.control.settle()
    assert site.control.ending(first.task_id)[0] is TaskState.CANCELLED
    assert site.control.ending(second.task_id)[0] is TaskState.FAILED
    assert [router.id for router in site.rows(Router)] == [site.router]
    assert site.outer_ips_used() == len(site.rows(OuterIp)) == 1


def test_a_router_is_lost_with_the_server_that_had_not_begun_it(site: Site) -> None:
    (machine,) = create(site)
    site.control.restart()
    assert site.control.ending(machine.task_id)[0] is TaskState.LOST
    assert state(site, machine.id) is None
    assert site.outer_ips_used() == 1


def test_without_its_standby_a_router_remains(site: Site) -> None:
    first, second = create(site, highly_available=True)
    site.control.do(cancel, TaskRef(id=second.task_id))
    site.control.settle()
    (shown,) = site.control.do(routers.search, FindRouters(id=first.id)).rows
    assert shown.machine_ids == (first.id,)
    assert state(site, first.id) is RouterState.READY


def test_a_network_is_attached_once(site: Site) -> None:
    other = site.control.do(vpcs.create, CreateVpc(name="back")).id
    before = site.wanted()
    site.control.do(attaching.attach, AttachVpc(vpc_id=other))
    assert site.wanted() == before + 1
    with pytest.raises(Conflict, match=f"attached to router {site.router} already"):
        site.control.do(attaching.attach, AttachVpc(vpc_id=other))
    site.control.do(attaching.detach, DetachVpc(vpc_id=other))
    assert site.wanted() == before + 2
    with pytest.raises(Conflict, match="attached to no router"):
        site.control.do(attaching.detach, DetachVpc(vpc_id=other))


def test_of_several_routers_one_must_be_named(site: Site) -> None:
    (machine,) = create(site)
    vpc = site.control.do(vpcs.create, CreateVpc()).id
    with pytest.raises(Invalid, match="is missing") as refused:
        site.control.do(attaching.attach, AttachVpc(vpc_id=vpc))
    assert refused.value.field == "router_id"
    assert machine.id in refused.value.allowed
    with pytest.raises(Conflict, match="is being created"):
        site.control.do(attaching.attach, AttachVpc(vpc_id=vpc, router_id=machine.id))
    site.control.settle()
    site.control.platform(attaching.attach, AttachVpc(vpc_id=vpc, router_id=machine.id))
    with pytest.raises(NotFound, match="router"):
        site.control.do(attaching.attach, AttachVpc(vpc_id=vpc, router_id="vroute-absent"))


def test_a_network_must_be_named_and_exist(site: Site) -> None:
    with pytest.raises(Invalid, match="is missing") as refused:
        site.control.do(attaching.attach, AttachVpc())
    assert refused.value.field == "vpc_id"
    for deed, wish in ((attaching.attach, AttachVpc), (attaching.detach, DetachVpc)):
        with pytest.raises(NotFound):
            site.control.do(deed, wish(vpc_id="vpc-absent"))  # type: ignore[operator]


def test_the_platform_attaches_no_network_to_another_tenants_router(site: Site) -> None:
    other = site.control.platform(create_tenant, CreateTenant(name="other", subnets_limit=1)).id
    site.control.tenant, own = other, site.control.tenant
    vpc = site.control.do(vpcs.create, CreateVpc()).id
    with pytest.raises(Conflict, match="has no router"):
        site.control.do(attaching.attach, AttachVpc(vpc_id=vpc))
    with pytest.raises(NotFound):
        site.control.do(attaching.attach, AttachVpc(vpc_id=vpc, router_id=site.router))
    with pytest.raises(Conflict, match="another tenant"):
        site.control.platform(attaching.attach, AttachVpc(vpc_id=vpc, router_id=site.router))
    site.control.tenant = own


def test_what_others_use_is_not_deleted_and_they_are_named(site: Site) -> None:
    control = site.control
    (vm_id, *_) = site.inside
    name = control.vm(vm_id).name
    control.do(mappings.connect, ConnectVm(vm_id=vm_id))
    with pytest.raises(Conflict, match=f"mapped: {name}"):
        control.do(attaching.detach, DetachVpc(vpc_id=control.vpc))
    with pytest.raises(Conflict, match="networks are attached: net"):
        control.do(routers.delete, RouterRef(id=site.router))
    (spare,) = (control.do(vpcs.create, CreateVpc(name="spare")).id,)
    control.do(attaching.attach, AttachVpc(vpc_id=spare))
    with pytest.raises(Conflict, match="is attached to router edge"):
        control.do(vpcs.delete, VpcRef(id=spare))
    control.do(attaching.detach, DetachVpc(vpc_id=spare))
    control.do(vpcs.delete, VpcRef(id=spare))


def test_a_deleted_router_gives_back_its_address(site: Site) -> None:
    control = site.control
    (machine,) = create(site)
    with pytest.raises(Conflict, match="is being created"):
        control.do(routers.delete, RouterRef(id=machine.id))
    control.settle()
    control.do(routers.delete, RouterRef(id=machine.id))
    assert state(site, machine.id) is None
    assert site.outer_ips_used() == 1
    with control.database.platform() as session:
        assert session.scalars(select(NetworkNode.gone).where(NetworkNode.id == machine.id)).one()
    with pytest.raises(NotFound):
        control.do(routers.delete, RouterRef(id=machine.id))
    assert len(site.rows(RouterVpc)) == 1
