"""Pools of outer IPs."""

from __future__ import annotations

import pytest

from core.db.engine import Database
from core.errors import Conflict, Invalid, NotFound
from core.hosts import capacity
from core.network import attaching, pools, routers
from core.network.attaching import DetachVpc
from core.network.pools import AddPool, FindPools, PoolDetails, PoolRef
from core.network.routers import CreateRouter, RouterRef
from tests.support.balancing import Site
from tests.support.control import Control
from tests.support.requests import Desk
from tests.support.threads import together


def add(at: Desk | Control, addresses: str, gateway: str = "192.0.2.1", netmask: str | None = None) -> PoolDetails:
    return at.platform(pools.add, AddPool(addresses=addresses, gateway=gateway, netmask=netmask))


@pytest.mark.parametrize(
    ("addresses", "netmask", "first", "last", "size"),
    [
        ("192.0.2.0/24", None, "192.0.2.2", "192.0.2.254", 253),
        ("192.0.2.64/28", "255.255.255.0", "192.0.2.64", "192.0.2.79", 16),
        ("192.0.2.10-192.0.2.19", "255.255.255.0", "192.0.2.10", "192.0.2.19", 10),
        ("192.0.2.0 - 192.0.2.3", "255.255.255.0", "192.0.2.2", "192.0.2.3", 2),
        ("192.0.2.7", "255.255.255.240", "192.0.2.7", "192.0.2.7", 1),
    ],
)
def test_a_pool_has_all_addresses_but_the_gateway_and_the_ends_of_its_network(
    desk: Desk, addresses: str, netmask: str | None, first: str, last: str, size: int
) -> None:
    pool = add(desk, addresses, netmask=netmask)
    assert (pool.first, pool.last, pool.size, pool.taken) == (first, last, size, 0)
    assert pool.netmask == (netmask or "255.255.255.0")
    assert desk.platform(pools.search, FindPools()).rows == (pool,)


@pytest.mark.parametrize(
    ("addresses", "gateway", "netmask", "field", "problem"),
    [
        ("192.0.2.0/33", "192.0.2.1", None, "addresses", "not an IP address or block"),
        ("192.0.2.9/24", "192.0.2.1", None, "addresses", "inside a block"),
        ("192.0.2.0/24,198.51.100.0/24", "192.0.2.1", None, "addresses", "not one block"),
        ("2001:db8::/64", "192.0.2.1", None, "addresses", "is IPv6"),
        ("192.0.2.9-x", "192.0.2.1", "255.255.255.0", "addresses", "x is not an IP address"),
        ("192.0.2.9-192.0.2.3", "192.0.2.1", "255.255.255.0", "addresses", "ends before it begins"),
        ("192.0.3.0/24", "192.0.2.1", "255.255.255.0", "addresses", "is not in 192.0.2.0/24"),
        ("192.0.2.1", "192.0.2.1", "255.255.255.0", "addresses", "no usable address"),
        ("192.0.2.9", "192.0.2.1", None, "netmask", "is missing"),
        ("192.0.2.0/24", "192.0.2.1", "0.0.0.255", "netmask", "is not a netmask"),
        ("192.0.2.0/24", "192.0.2.1", "255.255.0.255", "netmask", "is not a netmask"),
        ("192.0.2.0/31", "192.0.2.1", None, "netmask", "is not a netmask"),
        ("192.0.2.0/24", "192.0.2.255", None, "gateway", "is an end of"),
        ("192.0.2.0/24", "::1", None, "gateway", "is IPv6"),
        ("100.64.0.0/19", "100.64.0.1", None, "addresses", "too large"),
        ("172.20.0.0/24", "172.20.0.1", None, "addresses", "overlaps private networks"),
    ],
)
def test_a_refusal_names_the_parameter(
    desk: Desk, addresses: str, gateway: str, netmask: str | None, field: str, problem: str
) -> None:
    with pytest.raises(Invalid, match=problem) as refused:
        add(desk, addresses, gateway, netmask)
    assert refused.value.field == field
    assert desk.platform(pools.search, FindPools()).total == 0


def test_the_largest_pool_has_4096_addresses_and_the_platform_counts_them(desk: Desk) -> None:
    add(desk, "100.64.0.0/20", "100.64.0.1")
    add(desk, "192.0.2.0/29")
    assert desk.platform(lambda at, _: capacity.pool(at), None).outer_ips == 4096 - 3 + 5


def test_no_two_pools_have_an_address(desk: Desk) -> None:
    pool = add(desk, "192.0.2.0/25")
    with pytest.raises(Conflict, match=r"has 192\.0\.2\.100 already") as refused:
        add(desk, "192.0.2.100-192.0.2.200", netmask="255.255.255.0")
    assert refused.value.key == pool.id
    add(desk, "192.0.2.127-192.0.2.200", netmask="255.255.255.0")


def test_of_8_that_add_the_same_pool_one_does(desk: Desk, database: Database) -> None:
    def try_it(_: int) -> bool:
        try:
            add(desk, "192.0.2.0/28")
        except Conflict:
            return False
        return True

    assert together(8, try_it).count(True) == 1
    assert desk.platform(pools.search, FindPools()).total == 1


def test_pools_are_listed_by_page(desk: Desk) -> None:
    made = [add(desk, f"192.0.2.{16 * n}/28", f"192.0.2.{16 * n + 1}") for n in range(3)]
    listed = desk.platform(pools.search, FindPools(start=2, limit=1))
    assert (len(listed.rows), listed.total) == (1, 3)
    assert {pool.id for pool in desk.platform(pools.search, FindPools()).rows} == {pool.id for pool in made}


def test_a_pool_in_use_stays_and_its_users_are_named(site: Site) -> None:
    control = site.control
    (pool,) = control.platform(pools.search, FindPools()).rows
    assert pool.taken == 1
    with pytest.raises(Conflict, match=rf"in use: {site.wan_ip} \(edge\)"):
        control.platform(pools.delete, PoolRef(id=pool.id))
    control.do(attaching.detach, DetachVpc(vpc_id=control.vpc))
    control.do(routers.delete, RouterRef(id=site.router))
    control.platform(pools.delete, PoolRef(id=pool.id))
    with pytest.raises(NotFound, match="pool"):
        control.platform(pools.delete, PoolRef(id=pool.id))
    with pytest.raises(Conflict, match="has no free outer IP"):
        control.do(routers.create, CreateRouter())
