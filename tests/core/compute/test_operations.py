"""What may be done to a VM, what is refused, and what is true afterwards however it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from core.compute import backups, consoles, copies, disks, guests, nics, power, removal, resizing, snapshots, vms
from core.compute.locks import Locked
from core.compute.rows import VmState
from core.compute.vms import VmRef
from core.context import Context, Started
from core.drivers.simulated.faults import Action, Deed, Fault
from core.errors import Conflict, NotFound, QuotaExceeded
from core.sealing import Place, sealing_keys
from core.tasks import tasks
from core.tasks.rows import Task, TaskState
from tests.support.control import Control

SUCCEEDED, FAILED = TaskState.SUCCEEDED, TaskState.FAILED


def test_power_goes_off_and_on_and_only_where_it_makes_sense(control: Control) -> None:
    (vm,) = control.open()
    ref = VmRef(id=vm)
    steps: list[tuple[Callable[[Context, VmRef], Started[None]], VmState]] = [
        (power.restart, VmState.RUNNING),
        (power.shut_down, VmState.STOPPED),
        (power.start, VmState.RUNNING),
        (power.power_off, VmState.STOPPED),
    ]
    for deed, state in steps:
        assert control.finish(deed, ref)[1] is SUCCEEDED
        assert control.vm(vm).state is state
        control.check()
    for deed in (power.power_off, power.shut_down, power.restart):
        with pytest.raises(Conflict, match="is stopped"):
            control.do(deed, ref)
    control.finish(power.start, ref)
    with pytest.raises(Conflict, match="is running"):
        control.do(power.start, ref)
    with pytest.raises(Conflict, match="is running"):
        control.do(removal.delete, ref)


def test_while_one_thing_is_under_way_nothing_else_is(control: Control) -> None:
    (vm,) = control.open()
    control.do(power.restart, VmRef(id=vm))
    others: list[tuple[Callable[[Context, Any], object], object]] = [
        (power.power_off, VmRef(id=vm)),
        (resizing.change_vcpus, resizing.ChangeVcpus(id=vm, vcpus=3)),
        (disks.add, disks.AddDisk(vm_id=vm, size_gb=1)),
        (nics.add, nics.AddNic(vm_id=vm, vpc_id=control.vpc)),
        (snapshots.create, copies.CreateCopy(vm_id=vm, name="s")),
        (backups.create, copies.CreateCopy(vm_id=vm, name="b")),
        (consoles.reset_password, VmRef(id=vm)),
        (guests.wake_agent, VmRef(id=vm)),
    ]
    before = control.used()
    for deed, request in others:
        with pytest.raises(Locked):
            control.do(deed, request)
    assert control.used() == before
    control.settle()
    control.check()


def test_deleting_gives_everything_back(control: Control) -> None:
    (vm,) = control.open(data_disks=1, data_disk_gb=5)
    control.finish(power.power_off, VmRef(id=vm))
    control.finish(snapshots.create, copies.CreateCopy(vm_id=vm, name="s"))
    assert control.finish(removal.delete, VmRef(id=vm))[1] is SUCCEEDED
    assert control.used() == (0, 0, 0, 1)
    with pytest.raises(NotFound):
        control.do(vms.read, VmRef(id=vm))
    control.check()


def test_a_vm_grows_while_it_runs_and_shrinks_only_when_it_does_not(control: Control) -> None:
    (vm,) = control.open()
    more = resizing.ChangeVcpus(id=vm, vcpus=4)
    assert control.finish(resizing.change_vcpus, more)[1] is SUCCEEDED
    assert control.used()[:2] == (4, 1024)
    with pytest.raises(Conflict, match="has this size"):
        control.do(resizing.change_vcpus, more)
    less = resizing.ChangeMemory(id=vm, memory_mb=512)
    with pytest.raises(Conflict, match="stop it"):
        control.do(resizing.change_memory, less)
    control.finish(power.power_off, VmRef(id=vm))
    assert control.finish(resizing.change_memory, less)[1] is SUCCEEDED
    assert control.used()[:2] == (4, 512)
    with pytest.raises(QuotaExceeded):
        control.do(resizing.change_vcpus, resizing.ChangeVcpus(id=vm, vcpus=101))
    control.check()


@pytest.mark.parametrize("deed", [Deed.RESIZE, Deed.DISK, Deed.NIC, Deed.SNAPSHOT, Deed.BACKUP])
def test_what_fails_changes_nothing(control: Control, deed: Deed) -> None:
    (vm,) = control.open()
    asked: dict[Deed, tuple[Callable[[Context, Any], Any], object]] = {
        Deed.RESIZE: (resizing.change_vcpus, resizing.ChangeVcpus(id=vm, vcpus=3)),
        Deed.DISK: (disks.add, disks.AddDisk(vm_id=vm, size_gb=7)),
        Deed.NIC: (nics.add, nics.AddNic(vm_id=vm, vpc_id=control.vpc)),
        Deed.SNAPSHOT: (snapshots.create, copies.CreateCopy(vm_id=vm, name="s")),
        Deed.BACKUP: (backups.create, copies.CreateCopy(vm_id=vm, name="b")),
    }
    before = control.used()
    control.world.inject(Fault(Action.FAIL_OPERATION, vm, deed))
    control.do(*asked[deed])
    control.settle()
    assert control.used() == before
    control.check()
    assert control.do(snapshots.read, VmRef(id=vm)) == control.do(backups.read, VmRef(id=vm)) == ()
    control.world.inject(Fault(Action.HEAL, vm))
    control.do(*asked[deed])
    control.settle()
    control.check()


def test_a_fault_that_stays_locks_no_vm(control: Control) -> None:
    """Whatever is asked of a host that refuses everything ends, and the VM is as it was."""
    running, stopped = control.open(number=2, data_disks=1, data_disk_gb=5)
    control.finish(power.power_off, VmRef(id=stopped))
    snapshot = control.finish(snapshots.create, copies.CreateCopy(vm_id=running, name="s"))[0].id
    backup = control.finish(backups.create, copies.CreateCopy(vm_id=stopped, name="b"))[0].id
    (data,) = (disk.id for disk in control.do(disks.search, disks.FindDisks(vm_id=stopped)) if disk.device == "vdb")
    before = control.used(), control.do(vms.search, vms.FindVms()), control.do(snapshots.read, VmRef(id=running))
    for host in control.world.host_ids():
        control.world.inject(Fault(Action.FAIL_OPERATION, host))
    asked: list[tuple[Callable[[Context, Any], Any], object]] = [
        (power.start, VmRef(id=stopped)),
        (power.power_off, VmRef(id=running)),
        (power.shut_down, VmRef(id=running)),
        (power.restart, VmRef(id=running)),
        (removal.delete, VmRef(id=stopped)),
        (resizing.change_vcpus, resizing.ChangeVcpus(id=stopped, vcpus=1)),
        (disks.add, disks.AddDisk(vm_id=running, size_gb=7)),
        (disks.extend, disks.ExtendDisk(id=data, size_gb=9)),
        (disks.delete, disks.DiskRef(id=data)),
        (nics.add, nics.AddNic(vm_id=running, vpc_id=control.vpc)),
        (snapshots.create, copies.CreateCopy(vm_id=running, name="other")),
        (snapshots.restore, copies.CopyRef(id=snapshot)),
        (snapshots.delete, copies.CopyRef(id=snapshot)),
        (backups.create, copies.CreateCopy(vm_id=running, name="other")),
        (backups.restore, copies.CopyRef(id=backup)),
        (guests.set_admin_password, guests.SetAdminPassword(id=running, password="secret")),
        (guests.wake_agent, VmRef(id=running)),
        (consoles.reset_password, VmRef(id=running)),
    ]
    for deed, request in asked:
        control.do(deed, request)
        control.settle()
        control.check()
    after = control.used(), control.do(vms.search, vms.FindVms()), control.do(snapshots.read, VmRef(id=running))
    assert after == before


def test_a_new_vm_that_neither_starts_nor_goes_away_is_a_stopped_one(control: Control) -> None:
    for host in control.world.host_ids():
        for deed in (Deed.START, Deed.DELETE):
            control.world.inject(Fault(Action.FAIL_OPERATION, host, deed))
    (vm,) = control.open()
    assert control.vm(vm).state is VmState.STOPPED
    control.check()
    assert control.finish(removal.delete, VmRef(id=vm))[1] is FAILED
    control.check()
    control.world.inject(Fault(Action.HEAL, "all"))
    assert control.finish(removal.delete, VmRef(id=vm))[1] is SUCCEEDED
    assert control.used() == (0, 0, 0, 1)


def test_a_snapshot_whose_deletion_never_ran_is_there_still(control: Control) -> None:
    (vm,) = control.open()
    control.finish(snapshots.create, copies.CreateCopy(vm_id=vm, name="s", description="d"))
    before = control.do(snapshots.read, VmRef(id=vm))
    control.do(snapshots.delete, copies.CopyRef(id=before[0].id))
    assert control.do(snapshots.read, VmRef(id=vm)) == ()
    control.restart()
    assert control.do(snapshots.read, VmRef(id=vm)) == before
    control.finish(snapshots.restore, copies.CopyRef(id=before[0].id))
    control.check()


def test_disks_come_grow_and_go(control: Control) -> None:
    (vm,) = control.open()
    added, state, _ = control.finish(disks.add, disks.AddDisk(vm_id=vm, size_gb=10, description="logs"))
    assert (added.device, state) == ("vdb", SUCCEEDED)
    assert control.finish(disks.extend, disks.ExtendDisk(id=added.id, size_gb=15))[1] is SUCCEEDED
    assert control.used()[2] == 55
    system, data = control.do(disks.search, disks.FindDisks(vm_id=vm))
    assert (data.size_gb, data.description, system.device) == (15, "logs", "vda")
    with pytest.raises(Conflict, match="only grows"):
        control.do(disks.extend, disks.ExtendDisk(id=added.id, size_gb=15))
    with pytest.raises(Conflict, match="system disk"):
        control.do(disks.delete, disks.DiskRef(id=system.id))
    control.finish(snapshots.create, copies.CreateCopy(vm_id=vm, name="s"))
    with pytest.raises(Conflict, match="snapshots"):
        control.do(disks.extend, disks.ExtendDisk(id=added.id, size_gb=16))
    assert control.finish(disks.delete, disks.DiskRef(id=added.id))[1] is SUCCEEDED
    assert control.used()[2] == 40
    control.check()


def test_a_snapshot_brings_back_what_was_and_the_quota_follows(control: Control) -> None:
    (vm,) = control.open()
    disk = control.finish(disks.add, disks.AddDisk(vm_id=vm, size_gb=10))[0]
    snapshot = control.finish(snapshots.create, copies.CreateCopy(vm_id=vm, name="s"))[0]
    control.finish(disks.delete, disks.DiskRef(id=disk.id))
    control.do(nics.add, nics.AddNic(vm_id=vm, vpc_id=control.vpc))
    control.settle()
    control.finish(resizing.change_vcpus, resizing.ChangeVcpus(id=vm, vcpus=5))
    assert control.used() == (5, 1024, 40, 1)
    assert control.finish(snapshots.restore, copies.CopyRef(id=snapshot.id))[1] is SUCCEEDED
    assert control.used() == (2, 1024, 50, 1)
    assert len(control.do(nics.search, nics.FindNics(vm_id=vm))) == 1
    control.check()
    control.do(snapshots.delete, copies.CopyRef(id=snapshot.id))
    assert control.do(snapshots.read, VmRef(id=vm)) == ()
    control.settle()
    control.check()


def test_a_snapshot_without_memory_needs_a_stopped_vm(control: Control) -> None:
    (vm,) = control.open()
    control.finish(power.power_off, VmRef(id=vm))
    snapshot = control.finish(snapshots.create, copies.CreateCopy(vm_id=vm, name="s"))[0]
    control.finish(power.start, VmRef(id=vm))
    with pytest.raises(Conflict, match="is running"):
        control.do(snapshots.restore, copies.CopyRef(id=snapshot.id))


def test_a_backup_outlives_snapshots_and_its_vm(control: Control) -> None:
    (vm,) = control.open()
    backup, state, _ = control.finish(backups.create, copies.CreateCopy(vm_id=vm, name="b"))
    assert state is SUCCEEDED
    with pytest.raises(Conflict, match="is running"):
        control.do(backups.restore, copies.CopyRef(id=backup.id))
    control.finish(power.power_off, VmRef(id=vm))
    control.finish(snapshots.create, copies.CreateCopy(vm_id=vm, name="s"))
    assert control.finish(backups.restore, copies.CopyRef(id=backup.id))[1] is SUCCEEDED
    assert control.do(snapshots.read, VmRef(id=vm)) == ()
    control.finish(removal.delete, VmRef(id=vm))
    (kept,) = control.do(backups.read, VmRef(id=vm))
    assert (kept.id, kept.enabled) == (backup.id, True)
    with pytest.raises(NotFound):
        control.do(backups.restore, copies.CopyRef(id=backup.id))
    control.do(backups.delete, copies.CopyRef(id=backup.id))
    control.settle()
    assert control.world.fleet.records.backups == {}
    with pytest.raises(NotFound):
        control.do(backups.read, VmRef(id=vm))


def test_a_dead_host_delays_the_end_and_decides_nothing(control: Control) -> None:
    (vm,) = control.open()
    host = control.vm(vm).host_id or ""
    task = control.do(power.power_off, VmRef(id=vm))
    control.world.inject(Fault(Action.CUT_LINK, host))
    control.settle()
    assert control.ending(task.task_id)[0] is TaskState.RUNNING
    with pytest.raises(Locked):
        control.do(power.power_off, VmRef(id=vm))
    control.world.inject(Fault(Action.HEAL, host))
    control.clock.advance(120)
    control.settle()
    assert control.ending(task.task_id)[0] is FAILED
    control.check()


def test_descriptions_are_cleared_and_names_stay(control: Control) -> None:
    (vm,) = control.open(name="web")
    control.do(vms.modify, vms.ChangeVm(id=vm, description="x"))
    control.do(vms.modify, vms.ChangeVm(id=vm, name="www", description=""))
    shown = control.do(vms.read, VmRef(id=vm))
    assert (shown.name, shown.description) == ("www", "")


def test_console_passwords_are_sealed_and_shown_once(control: Control) -> None:
    (vm,) = control.open()
    assert control.do(consoles.read, VmRef(id=vm)).url.startswith("/console/")
    shown = control.do(consoles.reset_password, VmRef(id=vm)).password
    control.settle()
    sealed = control.vm(vm).vnc_password
    assert sealed is not None
    assert sealing_keys(control.settings).open(sealed, Place("vm", "vnc_password", vm)) == shown
    control.finish(power.power_off, VmRef(id=vm))
    with pytest.raises(Conflict, match="not running"):
        control.do(consoles.read, VmRef(id=vm))


def test_guests_are_asked_only_while_they_run(control: Control) -> None:
    (vm,) = control.open()
    want = guests.SetAdminPassword(id=vm, password="secret")
    assert control.finish(guests.set_admin_password, want)[1] is SUCCEEDED
    assert control.finish(guests.wake_agent, VmRef(id=vm))[1] is SUCCEEDED
    control.finish(power.power_off, VmRef(id=vm))
    with pytest.raises(Conflict, match="is stopped"):
        control.do(guests.set_admin_password, want)


def test_the_deletion_of_a_backup_that_was_said_to_be_done_is_carried_out_whatever_happens(control: Control) -> None:
    (vm,) = control.open()
    backup, *_ = control.finish(backups.create, copies.CreateCopy(vm_id=vm, name="b"))
    assert set(control.world.fleet.records.backups) == {backup.id}
    control.do(backups.delete, copies.CopyRef(id=backup.id))
    with control.database.platform() as session:
        task = session.scalars(select(Task.id).where(Task.state == TaskState.QUEUED)).one()
    with pytest.raises(Conflict, match="cannot be stopped"):
        control.do(tasks.cancel, tasks.TaskRef(id=task))
    control.restart()
    control.settle()
    assert control.ending(task) == (SUCCEEDED, "")
    assert control.world.fleet.records.backups == {}
