"""Many at once: no outer IP, no port twice, and the quota counts what is there. Real sessions, both databases."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from sqlalchemy import update

from core.compute import power, removal
from core.compute.vms import VmRef
from core.context import Caller, Role
from core.errors import Conflict, Fault, Invalid, NotFound, QuotaExceeded
from core.network import attaching, mapping_search, mappings, pools, routers, vpcs
from core.network.attaching import AttachVpc
from core.network.mapping_search import FindMappings
from core.network.mappings import ConnectVm, MappingRef, MapPort
from core.network.outer_rows import NatMapping, NatType, OuterIp, Transport
from core.network.pools import AddPool, FindPools, PoolRef
from core.network.router_rows import RouterVpc
from core.network.routers import CreateRouter
from core.network.rows import Vpc
from core.network.vpcs import CreateVpc, VpcRef
from core.tenancy.rows import Quota
from core.tenancy.tenants import CreateTenant
from core.tenancy.tenants import create as create_tenant
from tests.support.balancing import Site
from tests.support.control import Control
from tests.support.threads import together

CLIENTS = 64


def consistent(site: Site) -> None:
    """What must hold whatever came first: everything that is held is used and counted, and nothing twice."""
    used: dict[str, list[NatMapping]] = {}
    for mapping in site.rows(NatMapping):
        used.setdefault(mapping.outer_ip, []).append(mapping)
    held = {row.ip: row for row in site.rows(OuterIp)}
    assert {ip for ip, row in held.items() if not row.is_wan} == used.keys() - {site.wan_ip}
    for ip, found in used.items():
        assert {mapping.type for mapping in found} == {held[ip].use}
        assert held[ip].use is NatType.PORT or len(found) == 1
        assert set(Counter((mapping.outer_port, mapping.protocol) for mapping in found).values()) == {1}
    assert site.outer_ips_used() == len(held)


def room(control: Control, outer_ips: int) -> None:
    with control.database.platform(write=True) as session:
        session.execute(update(Quota).values(outer_ips_limit=outer_ips))


def test_64_that_map_and_unmap_never_share_an_address_or_a_port(site: Site) -> None:
    site.control.open(number=6)
    room(site.control, 8)
    vm_ids = list(site.inside)
    outcomes: Counter[str] = Counter()

    def client(position: int) -> None:
        dice = random.Random(position)
        for _ in range(3):
            try:
                _deed(site, dice, vm_ids)
                outcomes["done"] += 1
            except (Conflict, Invalid, NotFound, QuotaExceeded) as refusal:
                outcomes[type(refusal).__name__] += 1

    together(CLIENTS, client)
    consistent(site)
    assert sum(outcomes.values()) == 3 * CLIENTS
    assert outcomes["done"] > CLIENTS // 2
    for mapping in site.rows(NatMapping):
        site.control.do(mappings.delete, MappingRef(id=mapping.id))
    consistent(site)
    assert site.outer_ips_used() == 1


def _deed(site: Site, dice: random.Random, vm_ids: list[str]) -> None:
    match dice.randrange(4):
        case 0:
            outer_ip = dice.choice([None, f"203.0.113.{dice.randrange(3, 7)}"])
            site.control.do(mappings.connect, ConnectVm(vm_id=dice.choice(vm_ids), outer_ip=outer_ip))
        case 1 | 2:
            wish = MapPort(
                inner_ip=dice.choice(list(site.inside.values())), inner_port=22, protocol=dice.choice(list(Transport)),
                outer_ip=f"203.0.113.{dice.randrange(2, 7)}", outer_port=dice.randrange(1, 5),
            )  # fmt: skip
            site.control.do(mappings.map_port, wish)
        case _:
            known = site.control.do(mapping_search.search, FindMappings()).rows
            site.control.do(mappings.delete, MappingRef(id=dice.choice(known).id if known else "nat-none"))


def test_of_64_that_want_one_port_one_has_it(site: Site) -> None:
    def client(position: int) -> bool:
        inner = list(site.inside.values())[position % 2]
        wish = MapPort(
            inner_ip=inner, inner_port=22, outer_ip="203.0.113.9", outer_port=2222, protocol=Transport.TCP
        )  # fmt: skip
        try:
            site.control.do(mappings.map_port, wish)
        except Invalid:
            return False
        return True

    assert together(CLIENTS, client).count(True) == 1
    consistent(site)


def test_of_64_that_unmap_one_thing_one_does_and_the_quota_gets_it_back_once(site: Site) -> None:
    site.control.do(mappings.connect, ConnectVm(vm_id=next(iter(site.inside))))
    (mapping,) = site.rows(NatMapping)

    def client(_: int) -> bool:
        try:
            site.control.do(mappings.delete, MappingRef(id=mapping.id))
        except NotFound:
            return False
        return True

    assert together(CLIENTS, client).count(True) == 1
    consistent(site)


@pytest.mark.parametrize("addresses", [8, 32])
def test_tenants_that_take_the_next_free_address_never_get_the_same(control: Control, addresses: int) -> None:
    control.platform(pools.add, AddPool(addresses=f"203.0.113.100-203.0.113.{99 + addresses}", gateway="203.0.113.1",
                                        netmask="255.255.255.0"))  # fmt: skip
    tenants = [
        control.platform(create_tenant, CreateTenant(name=f"t{n}", outer_ips_limit=8)).id for n in range(CLIENTS // 4)
    ]

    def client(position: int) -> str | None:
        tenant = tenants[position % len(tenants)]
        try:
            with control.database.tenant(tenant, write=True) as session:
                at = control._context(Caller(Role.TENANT, "token", tenant), session)
                return routers.create(at, CreateRouter())[0].wan_ip
        except Conflict:
            return None

    given = [ip for ip in together(CLIENTS, client) if ip is not None]
    assert len(given) == len(set(given)) == min(CLIENTS, addresses)


def test_a_pool_is_not_deleted_from_under_those_who_take_its_addresses(site: Site) -> None:
    extra = site.control.platform(pools.add, AddPool(addresses="198.51.100.0/29", gateway="198.51.100.1"))
    vm_ids = list(site.inside)

    def client(position: int) -> str:
        try:
            if position % 4 == 0:
                site.control.platform(pools.delete, PoolRef(id=extra.id))
                return "deleted"
            outer_ip = f"198.51.100.{2 + position % 4}"
            site.control.do(mappings.connect, ConnectVm(vm_id=vm_ids[position % 2], outer_ip=outer_ip))
        except Fault as refusal:
            return type(refusal).__name__
        return "taken"

    outcomes = Counter(together(16, client))
    consistent(site)
    left = {pool.id for pool in site.control.platform(pools.search, FindPools()).rows}
    assert (extra.id in left) == bool(outcomes["taken"])
    assert outcomes["deleted"] == (0 if outcomes["taken"] else 1)


def test_a_vm_that_goes_while_it_is_being_mapped_leaves_no_mapping(site: Site) -> None:
    control = site.control
    vm_id, inner = next(iter(site.inside.items()))
    control.finish(power.power_off, VmRef(id=vm_id))
    control.do(removal.delete, VmRef(id=vm_id))

    def client(position: int) -> None:
        if position == 0:
            control.settle()
            return
        try:
            wish = MapPort(
                inner_ip=inner, inner_port=22, outer_ip="203.0.113.9", outer_port=position, protocol=Transport.TCP
            )
            control.do(mappings.map_port, wish)
        except (NotFound, Conflict):
            return

    together(16, client)
    assert site.rows(NatMapping) == []
    consistent(site)


def test_a_network_is_closed_once_and_not_while_it_is_being_attached(site: Site) -> None:
    control = site.control
    vpc = control.do(vpcs.create, CreateVpc()).id

    def client(position: int) -> str:
        try:
            if position % 2:
                control.do(vpcs.delete, VpcRef(id=vpc))
                return "closed"
            control.do(attaching.attach, AttachVpc(vpc_id=vpc))
        except (Conflict, NotFound):
            return "refused"
        return "attached"

    outcomes = Counter(together(16, client))
    assert outcomes["closed"] + outcomes["attached"] == 1
    assert (vpc in {row.id for row in site.rows(Vpc)}) == bool(outcomes["attached"])


def test_a_network_is_attached_once_however_many_try(site: Site) -> None:
    control = site.control
    control.do(attaching.detach, attaching.DetachVpc(vpc_id=control.vpc))

    def client(_: int) -> bool:
        try:
            control.do(attaching.attach, AttachVpc(vpc_id=control.vpc))
        except Conflict:
            return False
        return True

    assert together(32, client).count(True) == 1
    assert [row.vpc_id for row in site.rows(RouterVpc)] == [control.vpc]
