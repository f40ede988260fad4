"""Load balancers: life cycle, addresses and ports, ids, paths and certificates, and the marks on their router."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from sqlalchemy import select, update

from core.compute.rows import Nic
from core.errors import Conflict, Invalid, NotFound, QuotaExceeded
from core.network import attaching, balancer_changes, balancers, certificates, mappings, routers
from core.network.attaching import DetachVpc
from core.network.balancer_changes import ChangeBalancer, ConfigureCertificate
from core.network.balancer_rows import BackEnd, Balancer, Balancing, Certificate, Policy, Side
from core.network.balancers import BalancerDetails, BalancerRef, FindBalancers, Order
from core.network.mappings import ConnectVm, MapPort
from core.network.outer_rows import Transport
from core.network.router_rows import Router, RouterState
from core.network.routers import RouterRef
from core.network.rows import Address, Vpc
from core.sealing import sealing_keys
from core.tenancy.rows import Quota
from core.tenancy.tenants import CreateTenant
from core.tenancy.tenants import create as create_tenant
from tests.support.balancing import OUTER, Site
from tests.support.pem import YEAR, pem

PAIR = pem()
HTTPS: dict[str, object] = {
    "protocol": Balancing.HTTPS, "port": 443, "certificate": PAIR.chain, "certificate_key": PAIR.key,
}  # fmt: skip


def change(site: Site, id_: str, **want: object) -> None:
    site.control.do(balancer_changes.modify, ChangeBalancer(id=id_, **want))  # type: ignore[arg-type]


def found(site: Site, **find: object) -> list[str]:
    return [one.name for one in site.control.do(balancers.search, FindBalancers(**find)).rows]  # type: ignore[arg-type]


def refused(site: Site, field: str, problem: str, **want: object) -> None:
    with pytest.raises(Invalid, match=problem) as fault:
        site.add(**want)
    assert fault.value.field == field


def mapped(site: Site, port: int, outer_ip: str = OUTER) -> MapPort:
    inner_ip = next(iter(site.inside.values()))
    return MapPort(inner_ip=inner_ip, inner_port=22, outer_ip=outer_ip, outer_port=port, protocol=Transport.TCP)


def test_a_balancer_has_the_defaults_and_takes_everything(site: Site) -> None:
    id_ = site.add(protocol=Balancing.HTTP)
    assert site.shown(id_) == BalancerDetails(
        id=f"slb_{site.router}", name="web", description="", created_at=site.control.clock.now(),
        tenant_id=site.control.tenant, router_id=site.router, protocol=Balancing.HTTP, side=Side.OUTER, ip=OUTER,
        exclusive=False, port=80, node_port=80, enabled=True, path="/", certificate_usable=False,
        policy=Policy.ROUND_ROBIN, retries=3, check_seconds=5, timeout_seconds=5, idle_seconds=60, check_path="/",
        max_connections=1000,
    )  # fmt: skip
    more: dict[str, object] = {
        "name": "app", "description": "d", "node_port": 8080, "path": "/app", "policy": Policy.WEIGHTED_ROUND_ROBIN,
        "retries": 2, "check_seconds": 1, "timeout_seconds": 300, "idle_seconds": 120, "max_connections": 10_000,
        "check_path": "/health?full=1", "port": 65_535,
    }  # fmt: skip
    shown = site.shown(site.add(protocol=Balancing.HTTP, **more))
    assert {name: getattr(shown, name) for name in more} == more
    plain = replace(shown, **{name: getattr(site.shown(id_), name) for name in more}, id=id_)
    assert plain == site.shown(id_), "nothing else differs"


def test_paths_are_of_requests_only_and_health_is_asked_for_by_the_same_one_by_default(site: Site) -> None:
    shown = site.shown(site.add(protocol=Balancing.HTTP, path="/app"))
    assert (shown.path, shown.check_path) == ("/app", "/app")
    for port, protocol in ((53, Balancing.UDP), (54, Balancing.TCP)):
        shown = site.shown(site.add(protocol=protocol, port=port, path="/app", check_path="/health"))
        assert (shown.path, shown.check_path) == ("", "")
        change(site, shown.id, check_path="/x")
        assert site.shown(shown.id).check_path == ""


def test_paths_that_could_end_a_line_of_a_configuration_are_refused(site: Site) -> None:
    for path in ("health", "/a b", "/a\nb", '/"', "/\\", "/#a", "/%", "/%zz", "/ä", "//\x00"):
        for field in ("path", "check_path"):
            refused(site, field, "is not the path of a URL", protocol=Balancing.HTTP, **{field: path})
    assert site.rows(Balancer) == []


def test_it_is_found_by_every_filter_in_both_orders_page_by_page(site: Site) -> None:
    outside = site.add(name="Beta", port=81)
    site.control.clock.advance(1)
    site.add(name="alpha", side=Side.INNER, ip="172.16.0.1", protocol=Balancing.UDP)
    site.control.clock.advance(1)
    site.add(name="gamma", port=82)
    assert found(site) == ["gamma", "alpha", "Beta"]
    assert found(site, order=Order.NAME, name="a") == ["Beta", "alpha", "gamma"]
    assert found(site, start=2, limit=1) == ["alpha"]
    assert site.control.do(balancers.search, FindBalancers(start=9, limit=3)).total == 3
    site.control.do(balancer_changes.stop, BalancerRef(id=outside))
    for find, names in (
        ({"id": outside}, ["Beta"]), ({"id": outside[:-1]}, []), ({"name": "LPH"}, ["alpha"]), ({"name": "%"}, []),
        ({"tenant_id": site.control.tenant}, ["gamma", "alpha", "Beta"]),
        ({"enabled": False}, ["Beta"]), ({"enabled": True, "port": 82}, ["gamma"]),
        ({"protocol": Balancing.UDP}, ["alpha"]), ({"side": Side.INNER}, ["alpha"]), ({"ip": "172.16.0.1"}, ["alpha"]),
        ({"ip": "172.16.0"}, []), ({"port": 81}, ["Beta"]), ({"ip": "\0"}, []),
    ):  # fmt: skip
        assert found(site, **cast("dict[str, object]", find)) == names


def test_a_tenant_asks_for_itself(site: Site) -> None:
    site.add()
    with pytest.raises(NotFound, match="tenant tenant-x"):
        found(site, tenant_id="tenant-x")
    asked = FindBalancers(tenant_id=site.control.tenant)
    assert site.control.platform(balancers.search, asked).total == 1
    assert site.control.platform(balancers.search, replace(asked, tenant_id="tenant-x")).total == 0


def test_ids_follow_from_the_router_and_are_never_reused(site: Site) -> None:
    first = f"slb_{site.router}"
    ids = [site.add(port=port) for port in (80, 81)]
    assert ids == [first, f"{first}_2"]
    for id_ in ids:
        site.delete(id_)
    assert site.add() == f"{first}_3"
    assert site.add(id=f"{first}_mine", port=81) == f"{first}_mine"
    assert site.add(id=f"{first}_4", port=82) == f"{first}_4"
    assert site.add(port=83) == f"{first}_5"
    with pytest.raises(Conflict, match="exists already"):
        site.add(id=f"{first}_mine", port=84)
    for id_ in ("web", f"{first}x", f"{first}_", f"{first}_ä", f"slb_{site.router[:-1]}"):
        refused(site, "id", "does not begin with that of its router", id=id_, port=85)


def test_modify_changes_what_is_given(site: Site) -> None:
    id_ = site.add(protocol=Balancing.HTTP, description="old")
    before = site.shown(id_)
    change(site, id_)
    assert site.shown(id_) == before
    new: dict[str, object] = {
        "name": "n", "description": "", "port": 8080, "ip": "203.0.113.10", "exclusive": True,
        "policy": Policy.WEIGHTED_LEAST_CONNECTIONS, "retries": 10, "check_seconds": 50, "timeout_seconds": 1,
        "idle_seconds": 1, "check_path": "/up", "max_connections": 10,
    }  # fmt: skip
    change(site, id_, **new)
    assert site.shown(id_) == replace(before, **new)  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="is not the path"):
        change(site, id_, check_path="up")
    with pytest.raises(NotFound):
        change(site, "slb_none")


def test_start_and_stop_may_be_repeated_and_keep_the_address(site: Site) -> None:
    id_ = site.add()
    for deed, enabled in ((balancer_changes.stop, False), (balancer_changes.start, True)):
        before = site.wanted()
        for _ in range(2):
            site.control.do(deed, BalancerRef(id=id_))
            assert site.shown(id_).enabled is enabled
        assert site.wanted() == before + 1, "what changes nothing is not applied again"
        refused(site, "port", "load balancer web listens on 80/tcp of 203.0.113.9")
        with pytest.raises(NotFound):
            site.control.do(deed, BalancerRef(id="slb_none"))


def test_deleting_takes_nodes_and_certificate_along_and_gives_the_address_back(site: Site) -> None:
    id_ = site.add(**HTTPS)
    other = site.add(port=444)
    site.node(id_)
    assert site.outer_ips_used() == 2
    site.delete(id_)
    assert site.rows(BackEnd) == []
    assert site.rows(Certificate) == []
    assert site.outer_ips_used() == 2, "the other one listens there"
    site.delete(other)
    assert site.outer_ips_used() == 1
    with pytest.raises(NotFound):
        site.delete(id_)


def test_everything_that_changes_traffic_marks_the_router(site: Site) -> None:
    id_ = site.add(**HTTPS)
    node = site.node(id_)
    at = site.wanted()
    certificate = ConfigureCertificate(id=id_, certificate=PAIR.chain, certificate_key=PAIR.key)
    steps: tuple[Callable[[], object], ...] = (
        lambda: change(site, id_, retries=4),
        lambda: site.control.do(balancer_changes.configure_certificate, certificate),
        lambda: site.change_node(node, weight=4),
        lambda: site.delete_node(node),
        lambda: site.delete(id_),
    )
    for number, step in enumerate(steps, 1):
        step()
        assert site.wanted() == at + number


def test_an_outer_address_is_a_free_one_of_a_pool(site: Site) -> None:
    for ip in ("203.0.113.99", "203.0.113.1", "192.0.2.1", "172.16.0.1"):
        refused(site, "ip", f"{ip} is not a free outer IP", ip=ip)
    for ip in ("x", "", "::1", "1.2.3"):
        refused(site, "ip", "IP", ip=ip)
    assert site.outer_ips_used() == 1


def test_an_outer_address_counts_once_and_not_over_the_quota(site: Site) -> None:
    with site.control.database.platform(write=True) as session:
        session.execute(update(Quota).values(outer_ips_limit=2))
    id_ = site.add()
    site.add(port=81)
    with pytest.raises(QuotaExceeded):
        site.add(ip="203.0.113.10")
    with pytest.raises(QuotaExceeded):
        change(site, id_, ip="203.0.113.10")
    assert site.shown(id_).ip == OUTER
    assert site.outer_ips_used() == 2


def test_an_exclusive_address_is_shared_with_nothing(site: Site) -> None:
    site.add(exclusive=True)
    refused(site, "ip", "is used by load balancer web alone", port=81)
    with pytest.raises(Invalid, match="is used by load balancer web alone"):
        site.control.do(mappings.map_port, mapped(site, 22))
    with pytest.raises(Invalid):
        site.control.do(mappings.connect, ConnectVm(vm_id=next(iter(site.inside)), outer_ip=OUTER))


def test_an_address_that_is_used_cannot_become_exclusive(site: Site) -> None:
    first = site.add(name="first")
    second = site.add(name="second", port=81)
    refused(site, "ip", "is used by load balancer first", port=82, exclusive=True)
    with pytest.raises(Invalid, match="is used by load balancer first"):
        change(site, second, exclusive=True)
    site.delete(first)
    change(site, second, exclusive=True)
    assert site.shown(second).exclusive
    change(site, second, exclusive=False)
    site.control.do(mappings.map_port, mapped(site, 22))
    with pytest.raises(Invalid, match="has ports in use"):
        change(site, second, exclusive=True)
    refused(site, "ip", "is the address of its router", ip=site.wan_ip, exclusive=True)


def test_an_address_and_port_is_listened_on_once_per_transport(site: Site) -> None:
    site.add(protocol=Balancing.HTTP)
    site.add(protocol=Balancing.UDP)
    refused(site, "port", "load balancer web listens on 80/tcp of 203.0.113.9")
    refused(site, "port", "load balancer web listens on 80/udp of 203.0.113.9", protocol=Balancing.UDP)
    other = site.add(port=81)
    with pytest.raises(Invalid, match="listens on 80/tcp"):
        change(site, other, port=80)
    change(site, other, port=81)
    site.control.do(mappings.map_port, mapped(site, 2222))
    refused(site, "port", "2222/tcp of 203.0.113.9 is mapped to 172.16.0.2:22 already", port=2222)
    with pytest.raises(Invalid, match="listens on 81/tcp"):
        site.control.do(mappings.map_port, mapped(site, 81))


def test_the_routers_own_address_is_shared_by_port(site: Site) -> None:
    site.add(ip=site.wan_ip)
    assert site.outer_ips_used() == 1
    refused(site, "port", "listens on 80/tcp", ip=site.wan_ip)


def test_an_address_that_is_mapped_as_a_whole_is_not_balanced(site: Site) -> None:
    site.control.do(mappings.connect, ConnectVm(vm_id=next(iter(site.inside)), outer_ip=OUTER))
    refused(site, "ip", "as a whole")


def test_inside_it_listens_on_the_gateway_or_on_an_address_that_no_nic_gets(site: Site) -> None:
    inner = {"side": Side.INNER, "exclusive": True}
    gateway = site.shown(site.add(ip="172.16.0.1", **inner))
    assert (gateway.ip, gateway.exclusive) == ("172.16.0.1", False)
    first, second = site.add(ip="172.16.0.4", **inner), site.add(ip="172.16.0.4", port=81, **inner)
    (vm,) = site.control.open()
    with site.control.database.platform() as session:
        assert session.scalar(select(Nic.ip).where(Nic.vm_id == vm)) == "172.16.0.5"
    for id_, held in ((first, True), (second, False)):
        site.delete(id_)
        assert ("172.16.0.4" in {one.ip for one in site.rows(Address)}) is held
    assert site.outer_ips_used() == 1
    for ip, problem in (
        ("172.16.0.2", "is the address of a NIC"), ("172.16.0.0", "is no address of a host"),
        ("172.16.0.255", "is no address of a host"), ("172.16.1.9", "is in no network of the router"),
        (OUTER, "is in no network of the router"), ("fe80::1", "IPv6"),
    ):  # fmt: skip
        refused(site, "ip", problem, ip=ip, **inner)
    refused(site, "port", "the router itself serves 53/udp", ip="172.16.0.1", port=53, protocol=Balancing.UDP, **inner)


def test_moving_inside_gives_the_address_back(site: Site) -> None:
    id_ = site.add(ip="172.16.0.9", side=Side.INNER)
    change(site, id_, ip="172.16.0.10")
    taken = {one.ip for one in site.rows(Address)}
    assert "172.16.0.10" in taken
    assert "172.16.0.9" not in taken
    change(site, id_, ip="172.16.0.1")
    assert {one.ip for one in site.rows(Address)} == set(site.inside.values())


def test_a_network_that_balancers_use_stays_attached(site: Site) -> None:
    want = DetachVpc(vpc_id=site.control.vpc)
    listening = site.add(name="inside", ip="172.16.0.1", side=Side.INNER)
    outside = site.add(name="outside")
    site.node(outside)
    for name, id_ in (("inside, outside", listening), ("outside", outside)):
        with pytest.raises(Conflict, match=f"load balancers listen or have nodes in it: {name}$"):
            site.control.do(attaching.detach, want)
        with pytest.raises(Conflict):
            site.control.do(routers.delete, RouterRef(id=site.router))
        site.delete(id_)
    site.control.do(attaching.detach, want)
    refused(site, "ip", "is in no network of the router", ip="172.16.0.1", side=Side.INNER)
    site.control.do(routers.delete, RouterRef(id=site.router))


def test_the_router_is_the_tenants_and_ready(site: Site) -> None:
    for router in (next(iter(site.inside)), "vroute-none"):
        with pytest.raises(NotFound, match="router"):
            site.add(router_id=router)
    with pytest.raises(NotFound, match="tenant tenant-other"):
        site.add(tenant_id="tenant-other")
    with site.control.database.platform(write=True) as session:
        session.execute(update(Router).values(state=RouterState.CREATING))
    with pytest.raises(Conflict, match="is being created"):
        site.add()


def test_the_platform_adds_for_the_tenant_it_names(site: Site) -> None:
    other = site.control.platform(create_tenant, CreateTenant(name="other")).id
    with pytest.raises(NotFound, match=f"tenant {other}"):
        site.add_as_platform(tenant_id=other)
    id_ = site.add_as_platform()
    assert site.shown(id_).tenant_id == site.control.tenant


def test_https_needs_a_certificate_and_its_key_and_nothing_else_has_one(site: Site) -> None:
    without = {**HTTPS, "certificate": None}
    refused(site, "certificate", "is missing", **without)
    refused(site, "certificate_key", "is missing", **{**HTTPS, "certificate_key": None})
    refused(site, "certificate", "does not go with http", **{**HTTPS, "protocol": Balancing.HTTP})
    refused(site, "certificate_key", "does not go with tcp", certificate_key=PAIR.key)
    refused(site, "certificate_key", "does not belong", **{**HTTPS, "certificate_key": pem().key})
    assert site.rows(Balancer) == []
    want = ConfigureCertificate(id=site.add(), certificate=PAIR.chain, certificate_key=PAIR.key)
    with pytest.raises(Conflict, match="has no certificate: its protocol is tcp"):
        site.control.do(balancer_changes.configure_certificate, want)


def test_the_key_is_sealed_in_its_row_and_shown_by_nothing(site: Site) -> None:
    id_ = site.add(**HTTPS)
    (row,) = site.rows(Certificate)
    assert PAIR.secret not in row.key.text
    assert PAIR.secret not in row.chain
    keys = sealing_keys(site.control.settings)
    assert keys.open(row.key, certificates.place(id_)) == PAIR.key
    wish = ConfigureCertificate(id=id_, certificate=PAIR.chain, certificate_key=PAIR.key)
    for shown in (repr(row.key), repr(wish), repr(site.shown(id_))):
        assert PAIR.secret not in shown


def test_a_certificate_is_usable_while_it_holds_and_can_be_replaced(site: Site) -> None:
    id_ = site.add(**HTTPS)
    clock = site.control.clock
    assert site.shown(id_).certificate_usable
    clock.advance((YEAR + timedelta(seconds=1)).total_seconds())
    assert not site.shown(id_).certificate_usable
    old = ConfigureCertificate(id=id_, certificate=PAIR.chain, certificate_key=PAIR.key)
    with pytest.raises(Invalid, match="has expired: 2027-01-01"):
        site.control.do(balancer_changes.configure_certificate, old)
    coming = pem(starts=clock.now() + timedelta(days=1), ends=clock.now() + timedelta(days=2))
    new = ConfigureCertificate(id=id_, certificate=coming.chain, certificate_key=coming.key)
    site.control.do(balancer_changes.configure_certificate, new)
    states = []
    for _ in range(4):
        states.append(site.shown(id_).certificate_usable)
        clock.advance(timedelta(hours=20).total_seconds())
    assert states == [False, False, True, False]
    assert len(site.rows(Certificate)) == 1


def test_a_refusal_leaves_nothing(site: Site) -> None:
    before = site.wanted()
    vm_id, ip = next(iter(site.inside.items()))
    good, bad = site.wish(vm_id, ip), site.wish(vm_id, "172.16.0.77")
    refused(site, "address", "is no address of VM", nodes=(good, bad))
    with pytest.raises(Conflict, match=f"has the node {ip}:8080 already"):
        site.add(nodes=(good, good))
    assert site.rows(Balancer) == []
    assert site.rows(BackEnd) == []
    assert (site.outer_ips_used(), site.wanted()) == (1, before)
    assert len(site.rows(Vpc)) == 1
    id_ = site.add(nodes=(good,))
    assert [node.balancer_id for node in site.nodes()] == [id_]
