"""Quotas: never over, all or nothing, given back once, and refused with the resource that is short."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from core.clock import VirtualClock
from core.compute.inventory import ensure_host
from core.db.engine import Database
from core.errors import Conflict, NotFound, QuotaExceeded
from core.hosts.capacity import PoolCapacity
from core.hosts.capacity import pool as pool_of
from core.hosts.rows import Origin
from core.tenancy.quotas import Amounts, ChangeQuota, QuotaRef, change, give_back, read, take
from core.tenancy.rows import Quota, Tenant
from core.tenancy.tenants import CreateTenant, create
from tests.support.inventory import a_host
from tests.support.requests import Desk
from tests.support.threads import together

VM = Amounts(cpu=4, memory_mb=8192, storage_gb=20)


@pytest.fixture
def tenant(desk: Desk) -> str:
    limits = CreateTenant(
        name="a", cpu_limit=16, memory_mb_limit=32_768, storage_gb_limit=100, subnets_limit=2, outer_ips_limit=1
    )
    return desk.platform(create, limits).id


def used(database: Database, tenant_id: str) -> Amounts:
    columns = (Quota.cpu_used, Quota.memory_mb_used, Quota.storage_gb_used, Quota.subnets_used, Quota.outer_ips_used)
    with database.platform() as session:
        row = session.execute(select(*columns).where(Quota.tenant_id == tenant_id)).one()
    return Amounts(**dict(zip(asdict(Amounts()), row, strict=True)))


def test_what_is_taken_is_counted_and_what_is_given_back_is_free_again(desk: Desk, tenant: str) -> None:
    with desk.database.tenant(tenant, write=True) as session:
        take(session, tenant, VM.times(2))
        take(session, tenant, Amounts(outer_ips=1))
    assert used(desk.database, tenant) == replace(VM.times(2), outer_ips=1)
    left = desk.tenant(tenant, read, QuotaRef(tenant_id=tenant))
    assert (left.cpu_left, left.memory_mb_left, left.storage_gb_left, left.subnets_left) == (8, 16_384, 60, 2)
    assert (left.cpu_limit, left.outer_ips_left, left.outer_ips_limit) == (16, 0, 1)
    with desk.database.platform(write=True) as session:
        give_back(session, tenant, VM.times(2))
        give_back(session, tenant, Amounts(outer_ips=1))
    assert used(desk.database, tenant) == Amounts()


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        (Amounts(cpu=17), ("CPU", 17, 16, "cores")),
        (Amounts(cpu=1, memory_mb=32_769, storage_gb=101), ("memory", 32_769, 32_768, "MB")),
        (VM.times(6), ("CPU", 24, 16, "cores")),
        (Amounts(storage_gb=101), ("storage", 101, 100, "GB")),
        (Amounts(subnets=3), ("subnets", 3, 2, "pieces")),
        (Amounts(outer_ips=2), ("outer IPs", 2, 1, "pieces")),
    ],
)
def test_a_refusal_names_what_is_short_and_takes_nothing(
    desk: Desk, tenant: str, wanted: Amounts, refusal: tuple[str, int, int, str]
) -> None:
    with pytest.raises(QuotaExceeded) as refused, desk.database.tenant(tenant, write=True) as session:
        take(session, tenant, wanted)
    fault = refused.value
    assert (fault.resource, fault.wanted, fault.left, fault.unit) == refusal
    assert used(desk.database, tenant) == Amounts()


def test_giving_back_twice_is_a_loud_mistake(desk: Desk, tenant: str) -> None:
    with desk.database.platform(write=True) as session:
        take(session, tenant, VM)
        give_back(session, tenant, VM)
    with pytest.raises(IntegrityError, match="used_not_negative"), desk.database.platform(write=True) as session:
        give_back(session, tenant, VM)


def test_a_tenant_without_a_quota_is_not_found(desk: Desk) -> None:
    with desk.database.platform(write=True) as session:
        with pytest.raises(NotFound):
            take(session, "tenant-absent", VM)
        with pytest.raises(NotFound):
            give_back(session, "tenant-absent", VM)
    with pytest.raises(NotFound):
        desk.platform(change, replace(SAME, tenant_id="tenant-absent"))


def test_another_tenants_quota_is_not_found(desk: Desk, tenant: str) -> None:
    other = desk.platform(create, CreateTenant(name="b")).id
    with pytest.raises(NotFound):
        desk.tenant(other, read, QuotaRef(tenant_id=tenant))
    with pytest.raises(NotFound), desk.database.tenant(other, write=True) as session:
        take(session, tenant, VM)


def test_32_at_once_never_get_more_than_there_is(desk: Desk, tenant: str) -> None:
    def try_it(_: int) -> int:
        got = 0
        for _attempt in range(4):
            try:
                with desk.database.tenant(tenant, write=True) as session:
                    take(session, tenant, Amounts(cpu=1, memory_mb=1))
            except QuotaExceeded:
                continue
            got += 1
        return got

    assert sum(together(32, try_it)) == 16
    assert used(desk.database, tenant) == Amounts(cpu=16, memory_mb=16)


def test_what_comes_and_goes_at_once_adds_up(desk: Desk, tenant: str) -> None:
    def come_and_go(_: int) -> None:
        for _attempt in range(4):
            try:
                with desk.database.platform(write=True) as session:
                    take(session, tenant, VM)
            except QuotaExceeded:
                continue
            with desk.database.platform(write=True) as session:
                give_back(session, tenant, VM)

    together(16, come_and_go)
    assert used(desk.database, tenant) == Amounts()


SAME = ChangeQuota(tenant_id="", cpu=16, memory_mb=32_768, storage_gb=100, subnets=2, outer_ips=1)


def test_a_limit_cannot_be_lowered_under_what_is_used(desk: Desk, tenant: str) -> None:
    with desk.database.platform(write=True) as session:
        take(session, tenant, VM.times(2))
    desk.platform(change, replace(SAME, tenant_id=tenant, cpu=8, subnets=0))
    with pytest.raises(Conflict, match="memory: 16383 MB, 16384 used"):
        desk.platform(change, replace(SAME, tenant_id=tenant, cpu=99, memory_mb=16_383))
    left = desk.platform(read, QuotaRef(tenant_id=tenant))
    assert (left.cpu_limit, left.cpu_left, left.memory_mb_limit, left.subnets_limit) == (8, 0, 32_768, 0)


def test_a_limit_that_a_driver_exceeded_may_be_raised_step_by_step(desk: Desk, tenant: str) -> None:
    with desk.database.platform(write=True) as session:
        session.execute(update(Quota).values(cpu_used=20))
    assert desk.platform(read, QuotaRef(tenant_id=tenant)).cpu_left == 0
    desk.platform(change, replace(SAME, tenant_id=tenant, cpu=18))
    with pytest.raises(Conflict, match="CPU: 17 cores, 20 used"):
        desk.platform(change, replace(SAME, tenant_id=tenant, cpu=17))


def test_the_pool_is_what_all_hosts_have_that_take_vms(desk: Desk) -> None:
    nothing = PoolCapacity(cpu=0, memory_mb=0, storage_gb=0, outer_ips=0)

    def seen(at: object, _: None) -> PoolCapacity:
        return pool_of(at)  # type: ignore[arg-type]

    assert desk.platform(seen, None) == nothing
    with desk.database.platform(write=True) as session:
        for number, origin in ((1, Origin.SIMULATED), (2, Origin.REGISTERED), (3, Origin.LOCAL)):
            ensure_host(session, replace(a_host(number), origin=origin, storage_gb=500), desk.clock.now())
    assert desk.platform(seen, None) == PoolCapacity(cpu=128, memory_mb=262_144, storage_gb=1000, outer_ips=0)


deeds = st.lists(
    st.tuples(st.booleans(), st.builds(Amounts, cpu=st.integers(0, 9), storage_gb=st.integers(0, 60))), max_size=12
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds)
def test_used_is_always_the_sum_of_what_was_taken(shared_database: Database, deeds: list[tuple[bool, Amounts]]) -> None:
    held: list[Amounts] = []
    with shared_database.platform(write=True) as session:
        session.add(Tenant(id="t", name="t", created_at=VirtualClock().now()))
        session.flush()
        session.add(Quota(tenant_id="t", cpu_limit=20, storage_gb_limit=100))
        session.flush()
        for takes, amounts in deeds:
            if takes:
                fits = sum(one.cpu for one in held) + amounts.cpu <= 20
                fits &= sum(one.storage_gb for one in held) + amounts.storage_gb <= 100
                try:
                    take(session, "t", amounts)
                except QuotaExceeded:
                    assert not fits
                else:
                    assert fits
                    held.append(amounts)
            elif held:
                give_back(session, "t", held.pop())
            row = session.execute(select(Quota.cpu_used, Quota.storage_gb_used)).one()
            assert tuple(row) == (sum(one.cpu for one in held), sum(one.storage_gb for one in held))
        session.rollback()
