"""Back-end nodes: whose addresses they are, life cycle, health, and what takes them along."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest
from sqlalchemy import select

from core.compute import power, removal
from core.compute.nics import AddNic
from core.compute.nics import add as add_nic
from core.compute.rows import Nic
from core.compute.vms import VmRef
from core.errors import Conflict, Invalid, NotFound
from core.network import backends, balancer_changes, balancers
from core.network.backends import BackEndDetails, BackEndRef, FindBackEnds
from core.network.balancer_rows import BackEnd, Balancer
from core.network.balancers import BalancerRef, FindBalancers, Order
from core.network.vpcs import CreateVpc
from core.network.vpcs import create as create_vpc
from core.tasks.rows import TaskState
from tests.support.balancing import OUTER, Site
from tests.support.threads import together

THREADS = 32


def see(site: Site, **health: bool) -> None:
    by_id = {id_: health[name] for id_, name in ((node.id, node.name) for node in site.nodes()) if name in health}
    with site.control.database.platform(write=True) as session:
        backends.record_health(session, {**by_id, "backend-none": True})


def health(site: Site) -> dict[str, bool | None]:
    return {node.name: node.healthy for node in site.nodes()}


def test_a_node_has_the_defaults_and_takes_everything(site: Site) -> None:
    balancer = site.add()
    id_ = site.node(balancer)
    vm_id, ip = next(iter(site.inside.items()))
    (shown,) = site.nodes()
    assert shown == BackEndDetails(
        id=id_, name=id_, description="", created_at=site.control.clock.now(), balancer_id=balancer, enabled=True,
        address=ip, port=8080, vm_id=vm_id, weight=1, healthy=None,
    )  # fmt: skip
    other = site.node(balancer, vm=1, port=65_535, name="n", description="d", weight=10)
    (shown,) = site.nodes(id=other)
    assert (shown.name, shown.description, shown.port, shown.weight) == ("n", "d", 65_535, 10)


def test_it_is_found_by_every_filter_in_both_orders_page_by_page(site: Site) -> None:
    balancer = site.add()
    ids = []
    for number, name in enumerate(("beta", "alpha", "gamma")):
        ids.append(site.node(balancer, vm=number % 2, port=80 + number, name=name))
        site.control.clock.advance(1)
    _, second_ip = site.inside.values()
    for find, names in (
        ({}, ["gamma", "alpha", "beta"]), ({"order": Order.NAME}, ["alpha", "beta", "gamma"]),
        ({"id": ids[2]}, ["gamma"]), ({"name": "ET"}, ["beta"]), ({"address": second_ip}, ["alpha"]),
        ({"port": 80}, ["beta"]), ({"port": 80, "name": "alpha"}, []), ({"start": 2, "limit": 1}, ["alpha"]),
        ({"start": 9, "limit": 1}, []),
    ):  # fmt: skip
        assert [node.name for node in site.nodes(**find)] == names
    assert site.control.do(backends.search, FindBackEnds(start=3, limit=30)).total == 3


def test_its_address_is_one_of_the_vms_behind_the_router(site: Site) -> None:
    balancer = site.add()
    first, second = site.inside.values()
    apart = site.control.do(create_vpc, CreateVpc()).id
    vm_id = next(iter(site.inside))
    site.control.do(add_nic, AddNic(vm_id=vm_id, vpc_id=apart))
    site.control.settle()
    with site.control.database.platform() as session:
        unreachable = session.scalars(select(Nic.ip).where(Nic.vpc_id == apart)).one()
    for address, problem in (
        (second, "is no address of VM"), ("10.0.0.1", "is no address of VM"), ("x", "is not an IP address"),
        ("::1", "IPv6"), (unreachable, "is in no network of the router"),
    ):  # fmt: skip
        with pytest.raises(Invalid, match=problem) as fault:
            site.node(balancer, address=address)
        assert fault.value.field == "address"
    for vm in ("vm-none", site.router):
        with pytest.raises(NotFound, match="VM"):
            site.node(balancer, vm_id=vm)
    with pytest.raises(NotFound, match="load balancer"):
        site.node("slb_none")
    site.node(balancer, address=f" {first} ")


def test_an_address_and_port_is_a_node_once_per_balancer(site: Site) -> None:
    balancer, other = site.add(), site.add(port=81)
    site.node(balancer)
    site.node(other)
    second = site.node(balancer, port=8081)
    with pytest.raises(Conflict, match=":8080 already"):
        site.node(balancer)
    with pytest.raises(Conflict, match=":8080 already"):
        site.change_node(second, port=8080)
    site.change_node(second, port=8081, weight=3)
    assert [node.weight for node in site.nodes(id=second)] == [3]


def test_a_node_is_changed_and_deleted_alone(site: Site) -> None:
    balancer = site.add()
    id_, other = site.node(balancer), site.node(balancer, vm=1)
    site.change_node(id_, port=9090)
    site.change_node(id_)
    assert [(node.port, node.weight) for node in site.nodes(id=id_)] == [(9090, 1)]
    site.delete_node(id_)
    assert [node.id for node in site.nodes()] == [other]
    with pytest.raises(NotFound, match="back-end node"):
        site.delete_node(id_)
    with pytest.raises(NotFound, match="back-end node"):
        site.change_node(id_, weight=2)


def test_health_is_what_the_driver_saw_last_of_each(site: Site) -> None:
    balancer = site.add()
    id_ = [site.node(balancer, port=80 + number, name=name) for number, name in enumerate(("a", "b", "c"))][2]
    see(site, a=True, b=False)
    assert health(site) == {"a": True, "b": False, "c": None}
    see(site, b=True, c=True)
    see(site, a=False)
    assert health(site) == {"a": False, "b": True, "c": True}
    site.change_node(id_, weight=2)
    assert health(site)["c"] is True
    site.change_node(id_, port=99)
    assert health(site)["c"] is None, "that port was never checked"
    for deed in (balancer_changes.stop, balancer_changes.start):
        see(site, a=True, b=True, c=True)
        site.control.do(deed, BalancerRef(id=balancer))
        assert set(health(site).values()) == {None}


def test_the_health_of_many_nodes_is_recorded_at_once(site: Site) -> None:
    balancer = site.add()
    vm_id, ip = next(iter(site.inside.items()))
    with site.control.database.platform(write=True) as session:
        (nic_id,) = session.scalars(select(Nic.id).where(Nic.vm_id == vm_id))
        common = {"tenant_id": site.control.tenant, "balancer_id": balancer, "vm_id": vm_id, "nic_id": nic_id, "ip": ip}
        for port in range(1, 1202):
            session.add(BackEnd(id=f"b{port}", name="n", port=port, created_at=site.control.clock.now(), **common))
        session.flush()
        backends.record_health(session, {f"b{port}": port % 3 > 0 for port in range(1, 1202)})
    assert Counter(node.healthy for node in site.nodes()) == {True: 801, False: 400}


def test_a_vm_takes_its_nodes_along_and_the_router_is_told(site: Site) -> None:
    balancers_ = [site.add(port=port) for port in (80, 81)]
    first, second = site.inside
    for balancer in balancers_:
        site.node(balancer)
    kept = site.node(balancers_[0], vm=1)
    site.control.finish(power.power_off, VmRef(id=first))
    before = site.wanted()
    assert len(site.nodes()) == 3, "a stopped VM keeps its nodes"
    site.control.finish(removal.delete, VmRef(id=first))
    assert [node.id for node in site.nodes()] == [kept]
    assert site.wanted() > before
    site.control.finish(power.power_off, VmRef(id=second))
    site.control.finish(removal.delete, VmRef(id=second))
    assert site.rows(BackEnd) == []
    assert len(site.rows(Balancer)) == 2


def test_a_vm_that_goes_leaves_no_node_that_is_being_added(site: Site) -> None:
    balancer = site.add()
    first = next(iter(site.inside))
    site.control.finish(power.power_off, VmRef(id=first))
    task = site.control.do(removal.delete, VmRef(id=first)).task_id

    def work(position: int) -> None:
        if position == 0:
            site.control.settle()
        else:
            with suppress(NotFound):
                site.node(balancer, port=position)

    together(8, work)
    assert site.control.ending(task) == (TaskState.SUCCEEDED, "")
    assert site.nodes() == ()


def _field(site: Site, **want: object) -> str | None:
    """What is wrong with the balancer; None: it was made."""
    try:
        site.add(**want)
    except Invalid as fault:
        return fault.field
    return None


def test_of_32_at_once_one_listens_on_an_address_and_port(site: Site) -> None:
    wrong = together(THREADS, lambda position: _field(site, port=80 + position % 4))
    assert Counter(wrong) == {None: 4, "port": 28}
    first = f"slb_{site.router}"
    made = {one.id: one.port for one in site.rows(Balancer)}
    assert made.keys() == {first, *(f"{first}_{number}" for number in (2, 3, 4))}
    assert set(made.values()) == {80, 81, 82, 83}
    assert site.outer_ips_used() == 2


def test_of_32_at_once_one_has_the_address_alone(site: Site) -> None:
    wrong = together(THREADS, lambda position: _field(site, port=80 + position, exclusive=True))
    assert Counter(wrong) == {None: 1, "ip": 31}
    assert len(site.rows(Balancer)) == 1
    assert site.outer_ips_used() == 2


def test_32_at_once_add_and_delete_nodes_and_balancers_and_nothing_is_twice_or_left(site: Site) -> None:
    ids = [site.add(port=80 + number) for number in range(4)]

    def work(position: int) -> None:
        balancer = ids[position % 4]
        for turn in range(3):
            try:
                node = site.node(balancer, vm=position % 2, port=1 + (position // 4 + turn) % 5)
            except (Conflict, NotFound):
                continue
            if (position + turn) % 3 == 0:
                with suppress(NotFound):
                    site.control.do(backends.delete, BackEndRef(id=node))
        if position in {8, 9}:
            site.delete(balancer)

    together(THREADS, work)
    left = {one.id for one in site.control.do(balancers.search, FindBalancers(ip=OUTER)).rows}
    assert left == set(ids[2:])
    nodes = site.nodes()
    assert {node.balancer_id for node in nodes} <= left
    ends = [(node.balancer_id, node.address, node.port) for node in nodes]
    assert len(set(ends)) == len(ends) > 0
    for id_ in left:
        site.delete(id_)
    assert site.outer_ips_used() == 1
