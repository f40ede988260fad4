"""What drivers report enters the inventory, once and again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from core.compute.inventory import NicSpec, VmSpec, ensure_host, ensure_vms
from core.compute.rows import Disk, Nic, Vm, VmState
from core.db.types import Row
from core.hosts.rows import Host, HostState
from core.tenancy.rows import Quota
from core.tenancy.tenants import CreateTenant, create
from tests.support.inventory import a_host, a_vm, mac
from tests.support.requests import Desk


@pytest.fixture
def tenant(desk: Desk) -> str:
    return desk.platform(create, CreateTenant(name="demo")).id


def report(desk: Desk, *specs: VmSpec) -> None:
    with desk.database.platform(write=True) as session:
        for number in (1, 2):
            ensure_host(session, a_host(number), desk.clock.now())
        ensure_vms(session, specs, desk.clock.now())


def everything(desk: Desk) -> dict[str, list[tuple[Any, ...]]]:
    kinds: tuple[type[Row], ...] = (Host, Vm, Disk, Nic, Quota)
    with desk.database.platform() as session:
        return {kind.__tablename__: sorted(map(tuple, session.execute(select(*kind.__table__.c)))) for kind in kinds}


def test_the_same_report_again_changes_nothing(desk: Desk, tenant: str) -> None:
    specs = [a_vm(number, tenant) for number in range(1, 4)]
    report(desk, *specs)
    first = everything(desk)
    desk.clock.advance(60)
    report(desk, *specs)
    assert everything(desk) == first
    assert [len(first[name]) for name in ("host", "vm", "disk", "nic")] == [2, 3, 3, 3]


def test_the_driver_is_right_about_what_exists_and_people_about_the_rest(desk: Desk, tenant: str) -> None:
    report(desk, a_vm(1, tenant))
    with desk.database.platform(write=True) as session:
        session.execute(update(Vm).values(name="renamed", state=VmState.STOPPED))
        session.execute(update(Host).values(maintenance=True, state=HostState.OFFLINE))
    grown = replace(a_vm(1, tenant, host=2), vcpus=8, nics=(NicSpec(id="nic-new", device="vnet5", mac=mac(9)),))
    report(desk, grown)
    with desk.database.platform() as session:
        vm, host = session.get_one(Vm, "vm-1"), session.get_one(Host, "host-1")
        assert (vm.name, vm.state, vm.vcpus, vm.host_id) == ("renamed", VmState.STOPPED, 8, "host-2")
        assert vm.host_state is HostState.OFFLINE
        assert (host.maintenance, host.state) == (True, HostState.OFFLINE)
        assert session.scalars(select(Nic.id)).all() == ["nic-new"]


def test_quotas_count_what_exists(desk: Desk, tenant: str) -> None:
    report(desk, a_vm(1, tenant), a_vm(2, tenant), replace(a_vm(3, tenant), is_template=True, disks=()))
    with desk.database.platform() as session:
        quota = session.get_one(Quota, tenant)
        assert (quota.cpu_used, quota.memory_mb_used, quota.storage_gb_used) == (4, 8192, 80)


def test_vms_that_no_spec_names_are_left_alone(desk: Desk, tenant: str) -> None:
    report(desk, a_vm(1, tenant))
    report(desk, a_vm(2, tenant))
    assert [row[0] for row in everything(desk)["vm"]] == ["vm-1", "vm-2"]
    report(desk)


def test_several_reports_at_once_do_no_harm(desk: Desk, tenant: str) -> None:
    specs = [a_vm(number, tenant) for number in range(1, 30)]
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(report, desk, *specs) for _ in range(4)]:
            done.result()
    assert len(everything(desk)["vm"]) == 29


def test_a_large_report_enters_in_batches(desk: Desk, tenant: str) -> None:
    report(desk, *(a_vm(number, tenant) for number in range(1, 1203)))
    assert len(everything(desk)["nic"]) == 1202
