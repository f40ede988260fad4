"""Locks of VMs: one at a time, named when they refuse, gone with their task."""

from __future__ import annotations

from contextlib import suppress

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from core.compute import locks
from core.compute.inventory import ensure_host, ensure_vms
from core.compute.locks import Locked
from core.compute.rows import Vm, VmLock
from core.errors import Conflict, NotFound
from core.tasks.rows import Task
from core.tenancy.tenants import CreateTenant, create
from tests.support.inventory import a_host, a_vm
from tests.support.requests import Desk
from tests.support.threads import together


@pytest.fixture
def tenant(desk: Desk) -> str:
    """With vm-1 to vm-3; vm-4 is another tenant's. There are tasks a and b."""
    mine, theirs = (desk.platform(create, CreateTenant(name=name)).id for name in ("mine", "theirs"))
    with desk.database.platform(write=True) as session:
        ensure_host(session, a_host(1), desk.clock.now())
        ensure_vms(session, [*(a_vm(n, mine) for n in (1, 2, 3)), a_vm(4, theirs)], desk.clock.now())
        for id_ in ("a", "b"):
            session.add(
                Task(id=id_, kind="k", object_type="vm", object_id=id_, arguments={}, created_at=desk.clock.now())
            )
    return mine


def held(desk: Desk) -> dict[str, tuple[VmLock, str | None]]:
    with desk.database.platform() as session:
        return {id_: (lock, task) for id_, lock, task in session.execute(select(Vm.id, Vm.lock, Vm.lock_task)) if lock}


def test_a_locked_vm_refuses_every_other_task_and_says_why(desk: Desk, tenant: str) -> None:
    with desk.database.tenant(tenant, write=True) as session:
        locks.take(session, ["vm-1"], VmLock.BACKUP_CREATING, "a")
    for lock in (VmLock.STARTING, VmLock.BACKUP_CREATING):
        refusal = pytest.raises(Locked, match="vm-1: is locked: creating a backup")
        with refusal as refused, desk.database.tenant(tenant, write=True) as session:
            locks.take(session, ["vm-1"], lock, "b")
        assert refused.value.lock is VmLock.BACKUP_CREATING
    assert held(desk) == {"vm-1": (VmLock.BACKUP_CREATING, "a")}


def test_several_vms_are_locked_together_or_not_at_all(desk: Desk, tenant: str) -> None:
    with desk.database.platform(write=True) as session:
        locks.take(session, ["vm-2"], VmLock.STARTING, "a")
    with pytest.raises(Locked), desk.database.platform(write=True) as session:
        locks.take(session, ["vm-3", "vm-2", "vm-1"], VmLock.MOVING, "b")
    assert set(held(desk)) == {"vm-2"}
    with desk.database.platform(write=True) as session:
        locks.take(session, ["vm-3", "vm-1", "vm-3"], VmLock.MOVING, "b")
    assert set(held(desk)) == {"vm-1", "vm-2", "vm-3"}


def test_a_task_gives_back_its_own_locks_only(desk: Desk, tenant: str) -> None:
    with desk.database.platform(write=True) as session:
        locks.take(session, ["vm-1", "vm-2"], VmLock.STARTING, "a")
        locks.take(session, ["vm-3"], VmLock.STOPPING, "b")
        locks.release(session, "a")
        locks.release(session, "a")
    assert held(desk) == {"vm-3": (VmLock.STOPPING, "b")}


@pytest.mark.parametrize("vm_id", ["vm-4", "vm-absent"])
def test_another_tenants_vm_is_not_found_locked_or_not(desk: Desk, tenant: str, vm_id: str) -> None:
    with pytest.raises(NotFound), desk.database.tenant(tenant, write=True) as session:
        locks.take(session, [vm_id], VmLock.STARTING, "a")


def test_the_database_refuses_a_lock_without_a_task(desk: Desk, tenant: str) -> None:
    for values in ({"lock": VmLock.STARTING}, {"lock_task": "a"}, {"lock": VmLock.STARTING, "lock_task": "absent"}):
        with pytest.raises(IntegrityError), desk.database.platform(write=True) as session:
            session.execute(update(Vm).where(Vm.id == "vm-1").values(values))


def test_of_32_at_once_one_gets_the_lock(desk: Desk, tenant: str) -> None:
    def try_it(number: int) -> bool:
        try:
            with desk.database.tenant(tenant, write=True) as session:
                locks.take(session, ["vm-1", "vm-2"] if number % 2 else ["vm-2", "vm-1"], VmLock.STARTING, "a")
        except Locked:
            return False
        return True

    assert together(32, try_it).count(True) == 1


def test_every_lock_has_a_text_of_its_own() -> None:
    assert locks.REASONS.keys() == set(VmLock) - {VmLock.NONE}
    assert len(set(locks.REASONS.values())) == len(locks.REASONS)


def test_a_lock_that_is_given_back_in_the_moment_of_a_refusal_is_a_conflict_like_any_other(
    desk: Desk, tenant: str
) -> None:
    def take_and_give_back(number: int) -> None:
        for _ in range(60):
            with suppress(Conflict), desk.database.tenant(tenant, write=True) as session:
                locks.take(session, ["vm-1"], VmLock.STARTING, "ab"[number % 2])
            with desk.database.tenant(tenant, write=True) as session:
                locks.release(session, "ab"[number % 2])

    together(6, take_and_give_back)
    assert held(desk) == {}
