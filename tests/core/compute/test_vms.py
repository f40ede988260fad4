"""Finding and reading VMs, as the platform and as a tenant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.compute.inventory import NicSpec, ensure_host, ensure_vms
from core.compute.rows import VmLock, VmState
from core.compute.vms import FindVms, VmDetails, VmRef, read, search
from core.errors import NotFound
from core.tenancy.tenants import CreateTenant, create
from tests.support.inventory import a_host, a_vm, mac
from tests.support.requests import Desk
from tests.support.tasks import lock


@pytest.fixture
def tenant(desk: Desk) -> str:
    """Owns vm-1 (two NICs, on host-1), vm-2 (on host-2), vm-3 (no NIC, stopped) and vm-9 (a template); vm-4 is
    another's.
    """
    mine = desk.platform(create, CreateTenant(name="mine")).id
    other = desk.platform(create, CreateTenant(name="other")).id
    first = a_vm(1, mine)
    second_nic = NicSpec(id="nic-1b", device="vnet9", mac=mac(100), ip="10.9.9.9", position=1)
    specs = [
        replace(first, nics=(second_nic, *first.nics)),
        replace(a_vm(2, mine, host=2), name="Büro"),
        replace(a_vm(3, mine), nics=(), state=VmState.STOPPED),
        a_vm(4, other),
        replace(a_vm(9, mine), is_template=True),
    ]
    with desk.database.platform(write=True) as session:
        for number in (1, 2):
            ensure_host(session, a_host(number), desk.clock.now())
        for spec in specs:
            ensure_vms(session, [spec], desk.clock.now())
            desk.clock.advance(1)
    return mine


def found(desk: Desk, tenant: str, find: FindVms) -> list[str]:
    return [vm.id for vm in desk.tenant(tenant, search, find).rows]


def test_a_tenant_sees_its_vms_without_templates_newest_first(desk: Desk, tenant: str) -> None:
    assert found(desk, tenant, FindVms()) == ["vm-3", "vm-2", "vm-1"]
    assert [vm.id for vm in desk.platform(search, FindVms()).rows] == ["vm-4", "vm-3", "vm-2", "vm-1"]


@pytest.mark.parametrize(
    ("find", "expected"),
    [
        (FindVms(name="WEB"), ["vm-3", "vm-1"]),
        (FindVms(name="BÜRO"), ["vm-2"]),
        (FindVms(id="M-2"), ["vm-2"]),
        (FindVms(state=VmState.STOPPED), ["vm-3"]),
        (FindVms(ip="10.9.9.9"), ["vm-1"]),
        (FindVms(ip="192.168.0.1"), ["vm-1"]),
        (FindVms(ip="192.168.0"), []),
        (FindVms(ip="192.168.0.4"), []),
        (FindVms(ip="\0"), []),
        (FindVms(host_id="host-1"), ["vm-3", "vm-1"]),
        (FindVms(host_id="host"), []),
        (FindVms(host_id="host-1", state=VmState.RUNNING), ["vm-1"]),
        (FindVms(start=2, limit=1), ["vm-2"]),
    ],
)
def test_every_filter_narrows(desk: Desk, tenant: str, find: FindVms, expected: list[str]) -> None:
    assert found(desk, tenant, find) == expected


def test_what_is_told_of_a_vm(desk: Desk, tenant: str) -> None:
    assert desk.platform(read, VmRef(id="vm-1")) == VmDetails(
        id="vm-1", name="web1", description="", created_at=desk.platform(read, VmRef(id="vm-1")).created_at,
        state=VmState.RUNNING, lock=VmLock.NONE, vcpus=2, memory_mb=4096, type_code="", model_code="", ip="192.168.0.1",
        reboot_enabled=True, shutdown_enabled=True, host_id="host-1",
    )  # fmt: skip
    assert desk.platform(read, VmRef(id="vm-3")).ip == ""


def test_a_tenant_is_not_told_the_host(desk: Desk, tenant: str) -> None:
    assert desk.tenant(tenant, read, VmRef(id="vm-1")).host_id is None
    assert {vm.host_id for vm in desk.tenant(tenant, search, FindVms()).rows} == {None}


@pytest.mark.parametrize("key", ["vm-4", "vm-9", "vm-none", "", "\0"])
def test_a_vm_that_the_tenant_does_not_own_or_a_template_is_not_found(desk: Desk, tenant: str, key: str) -> None:
    with pytest.raises(NotFound, match="VM"):
        desk.tenant(tenant, read, VmRef(id=key))


def test_a_guest_can_be_asked_only_while_it_runs_unlocked(desk: Desk, tenant: str) -> None:
    assert not desk.tenant(tenant, read, VmRef(id="vm-3")).reboot_enabled
    with desk.database.platform(write=True) as session:
        lock(session, "vm-1", VmLock.BACKUP_CREATING, desk.clock)
    locked = desk.tenant(tenant, read, VmRef(id="vm-1"))
    assert (locked.lock, locked.reboot_enabled, locked.shutdown_enabled) == (VmLock.BACKUP_CREATING, False, False)
