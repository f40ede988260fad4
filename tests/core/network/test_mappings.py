"""Mappings of outer IPs and of their ports: what they need, what they exclude, and what goes with them."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from core.compute import nics, power, removal, templates
from core.compute.vms import VmRef
from core.errors import Conflict, Invalid, NotFound, QuotaExceeded
from core.network import attaching, mapping_search, mappings, vpcs
from core.network.attaching import AttachVpc, DetachVpc
from core.network.balancer_rows import Balancer
from core.network.mapping_search import FindIpMappings, FindMappings, MappingDetails
from core.network.mappings import ConnectVm, MappingRef, MapPort
from core.network.outer_rows import NatMapping, NatType, OuterIp, Transport
from core.network.vpcs import CreateVpc
from core.tasks.rows import TaskState
from core.tenancy.rows import Quota
from core.tenancy.tenants import CreateTenant
from core.tenancy.tenants import create as create_tenant
from tests.support.balancing import OUTER, Site


def connect(site: Site, vm: int = 0, **want: object) -> str:
    wish: dict[str, object] = {"vm_id": list(site.inside)[vm], **want}
    return site.control.do(mappings.connect, ConnectVm(**wish)).outer_ip  # type: ignore[arg-type]


def map_port(site: Site, vm: int = 0, **want: object) -> None:
    wish: dict[str, object] = {
        "inner_ip": list(site.inside.values())[vm], "inner_port": 22, "outer_ip": OUTER, "outer_port": 2222,
        "protocol": Transport.TCP, **want,
    }  # fmt: skip
    site.control.do(mappings.map_port, MapPort(**wish))  # type: ignore[arg-type]


def found(site: Site, **find: object) -> tuple[MappingDetails, ...]:
    return site.control.do(mapping_search.search, FindMappings(**find)).rows  # type: ignore[arg-type]


def remove(site: Site, id_: str) -> None:
    site.control.do(mappings.delete, MappingRef(id=id_))


def held(site: Site) -> dict[str, NatType]:
    return {row.ip: row.use for row in site.rows(OuterIp) if not row.is_wan}


def refused(site: Site, field: str, problem: str, **want: object) -> None:
    with pytest.raises(Invalid, match=problem) as fault:
        map_port(site, **want)
    assert fault.value.field == field


def test_a_vm_gets_the_next_free_outer_ip_or_the_one_it_asks_for(site: Site) -> None:
    before = site.wanted()
    assert connect(site) == "203.0.113.3"
    assert connect(site, vm=1, outer_ip=OUTER, sources="10.0.0.0/8, 192.0.2.7", description="d") == OUTER
    assert site.wanted() == before + 2
    assert held(site) == {"203.0.113.3": NatType.IP, OUTER: NatType.IP}
    assert site.outer_ips_used() == 3
    vm_id, ip = list(site.inside.items())[1]
    (shown,) = found(site, outer_ip=OUTER)
    assert shown == MappingDetails(
        id=shown.id, type=NatType.IP, router_id=site.router, outer_ip=OUTER, outer_port=None, inner_ip=ip,
        inner_port=None, protocol=None, vm_id=vm_id, vm_name=site.control.vm(vm_id).name, vpc_id=site.control.vpc,
        sources="10.0.0.0/8,192.0.2.7", description="d", created_at=site.control.clock.now(),
    )  # fmt: skip


def test_a_deleted_mapping_gives_back_its_outer_ip(site: Site) -> None:
    connect(site)
    before = site.wanted()
    (mapping,) = found(site)
    remove(site, mapping.id)
    assert (held(site), site.outer_ips_used(), found(site)) == ({}, 1, ())
    assert site.wanted() == before + 1
    with pytest.raises(NotFound, match="mapping"):
        remove(site, mapping.id)


def test_an_outer_ip_with_ports_is_held_until_the_last_of_them_is_gone(site: Site) -> None:
    map_port(site)
    map_port(site, vm=1, outer_port=2223, protocol=Transport.UDP)
    assert site.outer_ips_used() == 2
    first, second = found(site)
    remove(site, first.id)
    assert held(site) == {OUTER: NatType.PORT}
    remove(site, second.id)
    assert (held(site), site.outer_ips_used()) == ({}, 1)


def test_a_port_of_an_outer_ip_is_mapped_once_per_protocol(site: Site) -> None:
    map_port(site)
    refused(site, "outer_port", "2222/tcp of 203.0.113.9 is mapped to .*:22 already", vm=1)
    map_port(site, vm=1, protocol=Transport.UDP)
    map_port(site, vm=1, outer_port=2223)
    map_port(site, vm=1, outer_ip="203.0.113.10")
    assert site.outer_ips_used() == 3


def test_an_outer_ip_carries_one_ip_mapping_or_ports(site: Site) -> None:
    map_port(site)
    with pytest.raises(Invalid, match="has ports in use") as fault:
        connect(site, outer_ip=OUTER)
    assert fault.value.field == "outer_ip"
    taken = connect(site)
    refused(site, "outer_ip", "is mapped to .* as a whole", outer_ip=taken)
    with pytest.raises(Invalid, match="as a whole"):
        connect(site, vm=1, outer_ip=taken)
    with pytest.raises(Conflict, match=f"is mapped to {taken} already"):
        connect(site)
    assert site.outer_ips_used() == 3


def test_the_database_itself_keeps_ip_and_port_mappings_apart(site: Site) -> None:
    map_port(site)
    connect(site)
    whole, port = sorted(site.rows(NatMapping), key=lambda row: row.type)
    changes = (
        (port, {"outer_ip": whole.outer_ip}),
        (whole, {"outer_ip": port.outer_ip}),
        (whole, {"type": NatType.PORT}),
        (port, {"outer_port": None}),
    )
    for row, values in changes:
        with pytest.raises(IntegrityError), site.control.database.platform(write=True) as session:
            session.execute(update(NatMapping).where(NatMapping.id == row.id).values(values))
    with pytest.raises(IntegrityError), site.control.database.platform(write=True) as session:
        session.execute(delete(OuterIp).where(OuterIp.ip == port.outer_ip))


def test_the_routers_own_address_takes_ports_and_stays_when_they_are_gone(site: Site) -> None:
    map_port(site, outer_ip=site.wan_ip)
    assert site.outer_ips_used() == 1
    with pytest.raises(Invalid, match="is the address of its router"):
        connect(site, outer_ip=site.wan_ip)
    (mapping,) = found(site)
    remove(site, mapping.id)
    assert (len(site.rows(OuterIp)), site.outer_ips_used()) == (1, 1)


def test_ports_that_load_balancers_listen_on_are_not_mapped(site: Site) -> None:
    balancer = site.add(name="shop")
    refused(site, "outer_port", "load balancer shop listens on 80/tcp", outer_port=80)
    map_port(site, outer_port=81)
    with site.control.database.platform(write=True) as session:
        session.execute(update(Balancer).values(exclusive=True))
    refused(site, "outer_ip", "used by load balancer shop alone", outer_port=82)
    (mapping,) = found(site)
    remove(site, mapping.id)
    assert held(site) == {OUTER: NatType.PORT}, "the balancer still listens there"
    site.delete(balancer)
    assert held(site) == {}


@pytest.mark.parametrize(
    ("want", "field", "problem"),
    [
        ({"outer_ip": "203.0.113.1"}, "outer_ip", "not a free outer IP"),
        ({"outer_ip": "::ffff:203.0.113.9"}, "outer_ip", "is IPv6"),
        ({"outer_ip": "203.0.113"}, "outer_ip", "is not an IP address"),
        ({"sources": "10.0.0.1/8"}, "sources", "inside a block"),
        ({"sources": "10.0.0.1,2001:db8::1"}, "sources", "is IPv6"),
        ({"inner_ip": "fe80::1"}, "inner_ip", "is IPv6"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(site: Site, want: dict[str, object], field: str, problem: str) -> None:
    refused(site, field, problem, **want)
    if "inner_ip" not in want:
        with pytest.raises(Invalid, match=problem) as fault:
            connect(site, **want)
        assert fault.value.field == field
    assert (found(site), site.outer_ips_used()) == ((), 1)


def test_nothing_is_mapped_without_a_router_or_a_vm(site: Site) -> None:
    with pytest.raises(NotFound, match="inner IP"):
        map_port(site, inner_ip="172.16.0.250")
    with pytest.raises(NotFound, match="VM"):
        site.control.do(mappings.connect, ConnectVm(vm_id="vm-absent"))
    site.control.do(attaching.detach, DetachVpc(vpc_id=site.control.vpc))
    with pytest.raises(Conflict, match="no router is attached"):
        map_port(site)
    with pytest.raises(Conflict, match="no router is attached"):
        connect(site)


def test_templates_are_not_mapped_and_keep_the_mappings_that_they_had(site: Site) -> None:
    connect(site)
    map_port(site, vm=1)
    for vm_id in site.inside:
        site.control.finish(power.power_off, VmRef(id=vm_id))
        site.control.platform(templates.add, VmRef(id=vm_id))
    with pytest.raises(NotFound, match="inner IP"):
        map_port(site, vm=1, outer_port=2223)
    with pytest.raises(NotFound, match="VM"):
        connect(site, vm=1)
    shown = found(site)
    assert {mapping.vm_id for mapping in shown} == set(site.inside)
    for mapping in shown:
        remove(site, mapping.id)
    assert held(site) == {}


def test_the_first_nic_that_is_behind_a_router_is_mapped(site: Site) -> None:
    control = site.control
    other = control.do(vpcs.create, CreateVpc(name="back")).id
    (vm_id,) = control.open(vpc_id=other)
    control.do(nics.add, nics.AddNic(vm_id=vm_id, vpc_id=control.vpc))
    control.settle()
    control.do(mappings.connect, ConnectVm(vm_id=vm_id))
    (mapping,) = found(site)
    assert mapping.vpc_id == control.vpc
    control.do(attaching.attach, AttachVpc(vpc_id=other))
    control.do(mappings.connect, ConnectVm(vm_id=vm_id))
    assert {mapping.vpc_id for mapping in found(site)} == {control.vpc, other}


def test_the_quota_limits_what_is_held_and_not_how_many_ports(site: Site) -> None:
    with site.control.database.platform(write=True) as session:
        session.execute(update(Quota).values(outer_ips_limit=2))
    for port in range(5):
        map_port(site, outer_port=1000 + port)
    with pytest.raises(QuotaExceeded, match="outer IPs"):
        map_port(site, outer_ip="203.0.113.10")
    with pytest.raises(QuotaExceeded, match="outer IPs"):
        connect(site)
    assert len(found(site)) == 5


def test_what_another_tenant_holds_is_not_free_and_nobody_learns_whose_it_is(site: Site) -> None:
    map_port(site)
    (mapping,) = found(site)
    other = site.control.platform(create_tenant, CreateTenant(name="other", outer_ips_limit=5)).id
    site.control.tenant = other
    assert found(site) == ()
    with pytest.raises(NotFound):
        remove(site, mapping.id)
    with pytest.raises(NotFound, match="tenant"):
        found(site, tenant_id=mapping.router_id)
    for deed in (connect, map_port):
        with pytest.raises(NotFound):
            deed(site)


def test_a_deleted_vm_takes_its_mappings_along(site: Site) -> None:
    control = site.control
    (vm_id, *_) = site.inside
    connect(site)
    map_port(site)
    map_port(site, vm=1, outer_port=81)
    before = site.wanted()
    control.finish(power.power_off, VmRef(id=vm_id))
    assert control.finish(removal.delete, VmRef(id=vm_id))[1] is TaskState.SUCCEEDED
    (left,) = found(site)
    assert left.vm_id != vm_id
    assert held(site) == {OUTER: NatType.PORT}
    assert site.outer_ips_used() == 2
    assert site.wanted() > before


def test_mappings_are_found_by_every_filter_and_by_page(site: Site) -> None:
    connect(site)
    map_port(site, vm=1)
    first, second = site.inside.values()
    (vpc,) = {mapping.vpc_id for mapping in found(site)}
    assert vpc == site.control.vpc
    filters: list[tuple[dict[str, object], int]] = [
        ({"type": NatType.IP}, 1),
        ({"type": NatType.PORT, "outer_ip": OUTER}, 1),
        ({"outer_port": 2222}, 1),
        ({"outer_port": 22}, 0),
        ({"inner_port": 22}, 1),
        ({"inner_ip": first}, 1),
        ({"inner_ip": second, "type": NatType.IP}, 0),
        ({"router_id": site.router}, 2),
        ({"router_id": "vroute-absent"}, 0),
        ({"tenant_id": site.control.tenant}, 2),
    ]
    for find, number in filters:
        assert len(found(site, **find)) == number, find
    listed = site.control.do(mapping_search.search, FindMappings(start=2, limit=1))
    assert (len(listed.rows), listed.total) == (1, 2)


def test_ip_mappings_are_found_by_the_number_of_the_page(site: Site) -> None:
    first, second = connect(site), connect(site, vm=1)
    map_port(site)
    find = site.control.do

    def shown(**want: object) -> list[str]:
        wish: dict[str, object] = {"start": 1, "limit": 30, **want}
        return [row.outer_ip for row in find(mapping_search.of_ips, FindIpMappings(**wish)).rows]  # type: ignore[arg-type]

    assert sorted(shown()) == sorted([first, second])
    assert shown(start=1, limit=1) != shown(start=2, limit=1) != []
    assert shown(start=2, limit=2) == [], "the second page, not the second row"
    assert shown(outer_ip=first[-2:]) == [first]
    with site.control.database.platform() as session:
        name = session.scalars(select(NatMapping.vm_id).where(NatMapping.outer_ip == second)).one()
    assert shown(vm_name=site.control.vm(name).name.upper()) == [second]
    assert find(mapping_search.of_ips, FindIpMappings(start=9, limit=1)).total == 2
