"""Random operations, failures and restarts: whatever happens, the quota counts what exists, no lock is left without a
task, no address is given twice, and the inventory is what the driver has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from core.compute import backups, copies, disks, nics, power, removal, resizing, snapshots
from core.compute.copy_rows import Backup, Snapshot
from core.compute.opening import OpenVms, open_vms
from core.compute.rows import Disk, Vm
from core.compute.vms import VmRef
from core.context import Context
from core.drivers.simulated.faults import Action, Deed, Fault
from core.errors import Fault as Refusal
from core.tasks.rows import Task, TaskState
from core.tasks.tasks import TaskRef, cancel
from tests.conftest import NewDatabase
from tests.support.control import Control

PICK = st.integers(0, 50)


class Machine(RuleBasedStateMachine):
    """Requests that are refused are part of the game; errors are not."""

    made: Callable[[], Control]

    def __init__(self) -> None:
        super().__init__()
        self.control = type(self).made()

    def teardown(self) -> None:
        self.control.close()

    def ask(self, deed: Callable[[Context, Any], Any], request: object) -> None:
        try:
            self.control.do(deed, request)
        except Refusal:
            return

    def pick(self, column: Any, number: int) -> str:
        with self.control.database.platform() as session:
            ids = session.scalars(select(column).order_by(column)).all()
        return ids[number % len(ids)] if ids else "none"

    @rule(number=st.integers(1, 3), vcpus=st.integers(1, 40), disk=st.integers(0, 300))
    def open(self, number: int, vcpus: int, disk: int) -> None:
        want = OpenVms(
            model="debian-12", vcpus=vcpus, memory_mb=1024, vpc_id=self.control.vpc, number=number,
            data_disks=min(disk, 1), data_disk_gb=disk,
        )  # fmt: skip
        self.ask(open_vms, want)

    @rule(which=PICK, deed=st.sampled_from((power.start, power.power_off, power.shut_down, power.restart)))
    def switch(self, which: int, deed: Callable[..., Any]) -> None:
        self.ask(deed, VmRef(id=self.pick(Vm.id, which)))

    @rule(which=PICK)
    def delete(self, which: int) -> None:
        self.ask(removal.delete, VmRef(id=self.pick(Vm.id, which)))

    @rule(which=PICK, vcpus=st.integers(1, 50))
    def resize(self, which: int, vcpus: int) -> None:
        self.ask(resizing.change_vcpus, resizing.ChangeVcpus(id=self.pick(Vm.id, which), vcpus=vcpus))

    @rule(which=PICK, size=st.integers(1, 400))
    def add_disk(self, which: int, size: int) -> None:
        self.ask(disks.add, disks.AddDisk(vm_id=self.pick(Vm.id, which), size_gb=size))

    @rule(which=PICK, size=st.integers(1, 600))
    def extend_disk(self, which: int, size: int) -> None:
        self.ask(disks.extend, disks.ExtendDisk(id=self.pick(Disk.id, which), size_gb=size))

    @rule(which=PICK)
    def delete_disk(self, which: int) -> None:
        self.ask(disks.delete, disks.DiskRef(id=self.pick(Disk.id, which)))

    @rule(which=PICK)
    def add_nic(self, which: int) -> None:
        self.ask(nics.add, nics.AddNic(vm_id=self.pick(Vm.id, which), vpc_id=self.control.vpc))

    @rule(which=PICK)
    def take_snapshot(self, which: int) -> None:
        self.ask(snapshots.create, copies.CreateCopy(vm_id=self.pick(Vm.id, which), name="s"))

    @rule(which=PICK, deed=st.sampled_from((snapshots.restore, snapshots.delete)))
    def use_snapshot(self, which: int, deed: Callable[..., Any]) -> None:
        self.ask(deed, copies.CopyRef(id=self.pick(Snapshot.id, which)))

    @rule(which=PICK)
    def take_backup(self, which: int) -> None:
        self.ask(backups.create, copies.CreateCopy(vm_id=self.pick(Vm.id, which), name="b"))

    @rule(which=PICK, deed=st.sampled_from((backups.restore, backups.delete)))
    def use_backup(self, which: int, deed: Callable[..., Any]) -> None:
        self.ask(deed, copies.CopyRef(id=self.pick(Backup.id, which)))

    @rule(which=PICK)
    def cancel_task(self, which: int) -> None:
        self.ask(cancel, TaskRef(id=self.pick(Task.id, which)))

    @rule(host=st.integers(0, 1), deed=st.sampled_from(Deed))
    def break_operation(self, host: int, deed: Deed) -> None:
        self.control.world.inject(Fault(Action.FAIL_OPERATION, self.control.world.host_ids()[host], deed))

    @rule(host=st.integers(0, 1))
    def cut(self, host: int) -> None:
        self.control.world.inject(Fault(Action.CUT_LINK, self.control.world.host_ids()[host]))

    @rule()
    def work(self) -> None:
        self.control.engine.step()

    @rule()
    def restart(self) -> None:
        self.control.restart()

    @rule()
    def come_to_rest(self) -> None:
        """Everything is healed and carried out: then all that must hold, holds."""
        self.control.world.inject(Fault(Action.HEAL, "all"))
        for _ in range(3):
            self.control.clock.advance(120)
            self.control.settle()
        with self.control.database.platform() as session:
            assert all(state.has_ended for state in session.scalars(select(Task.state)))
        self.control.check()

    @invariant()
    def no_lock_without_a_live_task(self) -> None:
        with self.control.database.platform() as session:
            holders = set(session.scalars(select(Vm.lock_task).where(Vm.lock_task.is_not(None))))
            alive = set(session.scalars(select(Task.id).where(Task.state.in_((TaskState.QUEUED, TaskState.RUNNING)))))
        assert holders <= alive

    @invariant()
    def never_over_the_quota(self) -> None:
        used = self.control.used()
        assert all(amount <= limit for amount, limit in zip(used, (100, 200_000, 2000, 3), strict=True))


def test_whatever_happens_the_books_are_right(new_database: NewDatabase, database_kind: str, tmp_path: Path) -> None:
    """A copy of a PostgreSQL database takes its time, so there are fewer of them."""
    count = 0

    def make() -> Control:
        nonlocal count
        count += 1
        home = tmp_path / str(count)
        home.mkdir()
        return Control(new_database(), home)

    Machine.made = staticmethod(make)  # type: ignore[method-assign, assignment]
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=12 if database_kind == "sqlite" else 6, stateful_step_count=40, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
