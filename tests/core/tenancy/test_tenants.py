"""Tenants: created whole, found, and deleted only when they own nothing."""

from __future__ import annotations

import pytest

from core.compute.inventory import ensure_host, ensure_vms
from core.context import Role
from core.errors import Conflict, NotFound, Unauthorised
from core.secrets import key_ring
from core.settings import Settings
from core.tenancy.rows import Quota, Token
from core.tenancy.tenants import CreateTenant, FindTenants, TenantRef, create, delete, search
from core.tenancy.tokens import authenticate
from tests.support.inventory import a_host, a_vm
from tests.support.requests import Desk


def test_a_tenant_comes_with_its_quota_and_a_token_that_works(desk: Desk) -> None:
    made = desk.platform(create, CreateTenant(name="研发", description="d", cpu_limit=8, memory_mb_limit=1024))
    (found,) = desk.platform(search, FindTenants(id=made.id)).rows
    assert (found.name, found.description, found.created_at) == ("研发", "d", desk.clock.now())
    assert (found.cpu_limit, found.memory_mb_limit, found.storage_gb_limit) == (8, 1024, 0)
    caller = authenticate(desk.database, key_ring(desk.settings), made.token, desk.clock.now())
    assert (caller.role, caller.tenant_id) == (Role.TENANT, made.id)


def test_limits_that_are_not_given_come_from_the_settings(desk: Desk) -> None:
    desk.settings = Settings(data_dir=desk.settings.data_dir, quota_cpu=4, quota_subnets=2)
    made = desk.platform(create, CreateTenant(name="a", cpu_limit=0))
    (found,) = desk.platform(search, FindTenants(id=made.id)).rows
    assert (found.cpu_limit, found.subnets_limit, found.outer_ips_limit) == (0, 2, 0)


def test_tenants_are_found_by_a_part_of_their_name_newest_first(desk: Desk) -> None:
    for name in ("Alpha", "beta", "alphabet"):
        desk.platform(create, CreateTenant(name=name))
        desk.clock.advance(1)
    assert [tenant.name for tenant in desk.platform(search, FindTenants(name="ALPHA")).rows] == ["alphabet", "Alpha"]


def test_an_empty_tenant_goes_with_its_quota_and_tokens(desk: Desk) -> None:
    made = desk.platform(create, CreateTenant(name="a"))
    desk.platform(delete, TenantRef(id=made.id))
    assert desk.platform(search, FindTenants()).total == 0
    with desk.database.platform() as session:
        assert session.query(Quota).count() == session.query(Token).count() == 0
    with pytest.raises(Unauthorised, match="unknown"):
        authenticate(desk.database, key_ring(desk.settings), made.token, desk.clock.now())
    with pytest.raises(NotFound):
        desk.platform(delete, TenantRef(id=made.id))


def test_a_tenant_that_owns_something_stays_and_what_is_named(desk: Desk) -> None:
    made = desk.platform(create, CreateTenant(name="a"))
    with desk.database.platform(write=True) as session:
        ensure_host(session, a_host(1), desk.clock.now())
        ensure_vms(session, [a_vm(1, made.id), a_vm(2, made.id)], desk.clock.now())
    with pytest.raises(Conflict, match="still owns vm: 2, disk: 2, nic: 2"):
        desk.platform(delete, TenantRef(id=made.id))
    assert desk.platform(search, FindTenants()).total == 1
