"""Opening VMs, and the ways in which that does not end well."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from core.compute import removal
from core.compute.locks import Locked
from core.compute.opening import OpenVms, open_vms
from core.compute.power import start
from core.compute.rows import Nic, Vm, VmLock, VmState
from core.compute.vms import VmRef
from core.drivers.simulated.faults import Action, Deed, Fault
from core.errors import Conflict, Invalid, NotFound, QuotaExceeded
from core.hosts.rows import Host
from core.network import vpcs
from core.tasks.rows import Task, TaskState
from core.tasks.tasks import TaskRef, cancel
from tests.support.control import Control

NOTHING = (0, 0, 0, 1)


def wish(control: Control, **want: object) -> OpenVms:
    usual: dict[str, object] = {"model": "debian-12", "vcpus": 2, "memory_mb": 1024, "vpc_id": control.vpc, **want}
    return OpenVms(**usual)  # type: ignore[arg-type]


def test_vms_run_are_numbered_and_counted(control: Control) -> None:
    ids = control.open(name="web", number=3, data_disks=2, data_disk_gb=10)
    assert [control.vm(id_).name for id_ in ids] == ["web-1", "web-2", "web-3"]
    assert {control.vm(id_).state for id_ in ids} == {VmState.RUNNING}
    assert control.used() == (6, 3072, 180, 1)
    with control.database.platform() as session:
        assert sorted(session.scalars(select(Nic.ip))) == ["172.16.0.2", "172.16.0.3", "172.16.0.4"]
        assert len(set(session.scalars(select(Nic.mac)))) == 3
    control.check()


def test_a_vm_without_a_name_has_that_of_its_id_and_is_locked_until_it_runs(control: Control) -> None:
    (vm,) = control.do(open_vms, wish(control))
    assert vm.name == vm.id
    row = control.vm(vm.id)
    assert (row.state, row.lock, row.type_code) == (VmState.INSTALLING, VmLock.INSTALLING, "tenant_system_model")
    with pytest.raises(Locked):
        control.do(start, VmRef(id=vm.id))
    control.settle()
    control.check()


@pytest.mark.parametrize(
    ("want", "refusal"),
    [
        ({"model": None}, Invalid),
        ({"template_id": "x"}, Invalid),
        ({"model": "absent"}, Invalid),
        ({"data_disks": 1}, Invalid),
        ({"data_disk_gb": 1}, Invalid),
        ({"vpc_id": "vpc-absent"}, NotFound),
        ({"vcpus": 11, "number": 10}, QuotaExceeded),
        ({"data_disks": 1, "data_disk_gb": 2000}, QuotaExceeded),
    ],
)
def test_a_refusal_leaves_nothing(control: Control, want: dict[str, object], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        control.do(open_vms, wish(control, **want))
    with control.database.platform() as session:
        assert session.scalar(select(func.count()).select_from(Vm)) == 0
        assert session.scalar(select(func.count()).select_from(Task)) == 0
    assert control.used() == NOTHING


@pytest.mark.parametrize("deed", [Deed.CREATE, Deed.START])
def test_what_fails_leaves_a_row_that_says_so_and_may_be_deleted(control: Control, deed: Deed) -> None:
    for host in control.world.host_ids():
        control.world.inject(Fault(Action.FAIL_OPERATION, host, deed))
    (vm,) = control.do(open_vms, wish(control))
    control.settle()
    state, reason = control.ending(vm.task_id)
    assert state is TaskState.FAILED
    assert "fail-operation" in reason
    assert control.vm(vm.id).state is VmState.CREATE_FAILED
    assert control.used() == NOTHING
    control.check()
    assert control.finish(removal.delete, VmRef(id=vm.id))[1] is TaskState.SUCCEEDED
    control.do(vpcs.delete, vpcs.VpcRef(id=control.vpc))


def test_what_fits_nowhere_fails_and_says_why(control: Control) -> None:
    with control.database.platform(write=True) as session:
        for host_id in control.world.host_ids():
            session.get_one(Host, host_id).maintenance = True
    (vm,) = control.do(open_vms, wish(control))
    control.settle()
    assert "it is in maintenance" in control.ending(vm.task_id)[1]
    control.check()


def test_a_queued_one_may_be_cancelled(control: Control) -> None:
    (vm,) = control.do(open_vms, wish(control))
    control.do(cancel, TaskRef(id=vm.task_id))
    assert control.ending(vm.task_id)[0] is TaskState.CANCELLED
    assert (control.vm(vm.id).state, control.used()) == (VmState.CREATE_FAILED, NOTHING)
    control.check()


def test_a_queued_one_is_lost_with_its_server(control: Control) -> None:
    (vm,) = control.do(open_vms, wish(control))
    control.restart()
    assert control.ending(vm.task_id)[0] is TaskState.LOST
    assert (control.vm(vm.id).state, control.used()) == (VmState.CREATE_FAILED, NOTHING)
    control.check()


def test_vms_of_a_tenant_are_spread(control: Control) -> None:
    ids = control.open(number=4)
    homes = [control.vm(id_).host_id for id_ in ids]
    assert sorted(homes.count(host) for host in set(homes)) == [2, 2]


def test_a_network_with_vms_stays(control: Control) -> None:
    control.open(name="web")
    with pytest.raises(Conflict, match="web"):
        control.do(vpcs.delete, vpcs.VpcRef(id=control.vpc))


def test_passwords_are_nowhere_to_be_read(control: Control) -> None:
    control.open(vnc_password="vncsecr", admin_password="adminsecret")
    with control.database.platform() as session:
        seen = [str(vars(row)) for kind in (Vm, Task) for row in session.scalars(select(kind))]
    assert not any("vncsecr" in text or "adminsecret" in text for text in seen)
