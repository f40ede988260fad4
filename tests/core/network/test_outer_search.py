"""Which outer IPs a tenant can map."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from core.errors import NotFound
from core.network import outer_search
from core.network.balancer_rows import Balancer
from core.network.mappings import ConnectVm, MapPort, connect, map_port
from core.network.outer_rows import NatType, Transport
from core.network.outer_search import FindOuterIps, OuterIpDetails
from core.tenancy.tenants import CreateTenant
from core.tenancy.tenants import create as create_tenant
from tests.support.balancing import OUTER, Site


def found(site: Site, **find: object) -> dict[str, str | None]:
    rows = site.control.do(outer_search.search, FindOuterIps(**find)).rows  # type: ignore[arg-type]
    return {row.ip: row.ports for row in rows}


@pytest.fixture
def busy(site: Site) -> Site:
    """203.0.113.3 is mapped as a whole, ports 22 (both protocols) and 80 of 203.0.113.9 are."""
    site.control.do(connect, ConnectVm(vm_id=next(iter(site.inside))))
    inner = next(iter(site.inside.values()))
    for port, protocol in ((80, Transport.TCP), (22, Transport.TCP), (22, Transport.UDP)):
        wish = MapPort(inner_ip=inner, inner_port=1, outer_ip=OUTER, outer_port=port, protocol=protocol)
        site.control.do(map_port, wish)
    return site


def test_free_ones_have_no_ports_and_used_ones_have_theirs(busy: Site) -> None:
    for type_ in (None, NatType.PORT):
        ips = found(busy, type=type_)
        assert list(ips)[:3] == ["203.0.113.2", "203.0.113.4", "203.0.113.5"], "in the order of the addresses"
        assert len(ips) == 12, "13 of the pool, without the one that is mapped as a whole"
        assert ips.pop(OUTER) == "22,80"
        assert set(ips.values()) == {""}


def test_for_an_ip_mapping_only_those_that_nothing_uses_and_without_ports(busy: Site) -> None:
    ips = found(busy, type=NatType.IP)
    assert len(ips) == 10
    assert ips.keys().isdisjoint({busy.wan_ip, "203.0.113.3", OUTER})
    assert set(ips.values()) == {None}


def test_they_tell_their_network_and_are_found_by_part_or_whole(busy: Site) -> None:
    (row,) = busy.control.do(outer_search.search, FindOuterIps(ip=OUTER)).rows
    assert row == OuterIpDetails(ip=OUTER, ports="22,80", gateway="203.0.113.1", netmask="255.255.255.240")
    assert list(found(busy, part=".1")) == list(found(busy)), "contained"
    assert list(found(busy, part="113.1")) == [f"203.0.113.{n}" for n in range(10, 15)]
    assert found(busy, ip="203.0.113") == {}
    assert found(busy, part="%") == {}


def test_they_come_by_page(busy: Site) -> None:
    page = busy.control.do(outer_search.search, FindOuterIps(start=2, limit=3))
    assert [row.ip for row in page.rows] == ["203.0.113.4", "203.0.113.5", "203.0.113.6"]
    assert page.total == 12


def test_for_an_inner_ip_there_are_those_of_its_router(busy: Site) -> None:
    inner = next(iter(busy.inside.values()))
    assert found(busy, inner_ip=inner) == found(busy)
    assert found(busy, inner_ip="10.9.9.9") == {}
    assert found(busy, inner_ip="no address") == {}


def test_ports_that_load_balancers_listen_on_are_taken_too(busy: Site) -> None:
    busy.add(port=443)
    busy.add(port=443, ip="203.0.113.10", name="alone")
    assert found(busy)[OUTER] == "22,80,443"
    with busy.control.database.platform(write=True) as session:
        session.execute(update(Balancer).where(Balancer.name == "alone").values(exclusive=True))
    assert "203.0.113.10" not in found(busy)


def test_another_tenant_sees_what_is_free_and_nothing_else(busy: Site) -> None:
    own, other = busy.control.tenant, busy.control.platform(create_tenant, CreateTenant(name="other")).id
    busy.control.tenant = other
    free = found(busy)
    assert len(free) == 10
    assert set(free.values()) == {""}
    with pytest.raises(NotFound, match="tenant"):
        found(busy, tenant_id=own)
    assert found(busy, tenant_id=other) == free
    seen = {
        tenant: len(busy.control.platform(outer_search.search, FindOuterIps(tenant_id=tenant)).rows)
        for tenant in (own, other, None)
    }
    assert seen == {own: 12, other: 10, None: 12}
