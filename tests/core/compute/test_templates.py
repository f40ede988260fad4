"""Templates: marking VMs, opening VMs from them, and the ways in which that does not end well."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import select, update

from core.compute import disks, hosting, power, removal, templates
from core.compute.disks import DiskRef, ExtendDisk
from core.compute.locks import Locked
from core.compute.opening import OpenedVm, OpenVms, open_vms
from core.compute.rows import Disk, Vm, VmLock, VmState
from core.compute.templates import FindTemplates, TemplateDetails, TemplateRef
from core.compute.vms import FindVms, VmRef, search
from core.db.session import of_every_kind
from core.drivers.compute import FromVm, VmAt, VmFacts, VmWish, Watch
from core.drivers.simulated.compute import SimulatedCompute
from core.drivers.simulated.faults import Action, Deed, Fault
from core.errors import Conflict, Invalid, NotFound, QuotaExceeded
from core.hosts.rows import Host, HostState
from core.network.vpcs import CreateVpc
from core.network.vpcs import create as create_vpc
from core.tasks.rows import TaskState
from core.tasks.tasks import TaskRef, cancel
from core.tenancy.quotas import ChangeQuota
from core.tenancy.quotas import change as change_quota
from core.tenancy.tenants import CreateTenant
from core.tenancy.tenants import create as create_tenant
from tests.support.control import Control
from tests.support.threads import together, until_somebody_waits

ROUNDS = 8


@pytest.fixture
def template(control: Control) -> str:
    return a_template(control)


def a_template(control: Control) -> str:
    """Of 2 CPUs and 1024 MB, with disks of 40 and 10 GB."""
    (vm_id,) = control.open(name="golden", data_disks=1, data_disk_gb=10, model="k8s-1-16-8")
    assert control.finish(power.power_off, VmRef(id=vm_id))[1] is TaskState.SUCCEEDED
    assert control.platform(templates.add, VmRef(id=vm_id)).id == vm_id
    return vm_id


def clones(control: Control, template: str, **want: object) -> tuple[OpenedVm, ...]:
    usual: dict[str, object] = {"template_id": template, "vcpus": 1, "memory_mb": 512, "vpc_id": control.vpc, **want}
    return control.do(open_vms, OpenVms(**usual))  # type: ignore[arg-type]


def disks_of(control: Control, vm_id: str) -> list[str]:
    with control.database.platform() as session:
        return list(session.scalars(select(Disk.id).where(Disk.vm_id == vm_id)))


def listed(control: Control) -> tuple[TemplateDetails, ...]:
    return tuple(control.platform(templates.search, FindTemplates()).rows)


def test_a_template_takes_storage_only_and_is_no_vm_any_more(control: Control, template: str) -> None:
    assert control.used() == (0, 0, 50, 1)
    assert control.do(search, FindVms()).rows == ()
    for deed in (power.start, removal.delete):
        with pytest.raises(NotFound):
            control.do(deed, VmRef(id=template))
    for disk_id in disks_of(control, template):
        with pytest.raises(NotFound, match="disk"):
            control.do(disks.delete, DiskRef(id=disk_id))
        with pytest.raises(NotFound, match="disk"):
            control.do(disks.extend, ExtendDisk(id=disk_id, size_gb=200))
    (found,) = control.do(templates.search, FindTemplates(name="GOLD")).rows
    assert (found.id, found.storage_gb, found.model_code) == (template, 50, "k8s-1-16-8")
    assert (found.tenant_id, found.lock, found.clones) == (None, None, None)
    control.platform(templates.remove, TemplateRef(id=template))
    assert control.used() == (2, 1024, 50, 1)
    control.check()
    assert control.finish(power.start, VmRef(id=template))[1] is TaskState.SUCCEEDED


def test_clones_have_the_disks_of_the_template_and_more(control: Control, template: str) -> None:
    opened = clones(control, template, name="web", number=2, data_disks=1, data_disk_gb=5, nested=True)
    row = control.vm(opened[0].id)
    assert (row.state, row.lock, row.template_id) == (VmState.CLONING, VmLock.CLONING, template)
    assert (row.type_code, row.model_code, row.nested) == ("tenant_app_model", "k8s-1-16-8", True)
    with pytest.raises(Locked, match="cloning"):
        control.do(power.start, VmRef(id=row.id))
    (found,) = listed(control)
    assert (found.lock, found.clones, found.tenant_id) == (VmLock.BEING_CLONED, 2, control.tenant)
    control.settle()
    assert [control.vm(vm.id).state for vm in opened] == [VmState.RUNNING] * 2
    with control.database.platform() as session:
        disks = session.scalars(select(Disk).where(Disk.vm_id == row.id).order_by(Disk.device)).all()
        assert [(disk.device, disk.size_gb, disk.is_system) for disk in disks] == [
            ("vda", 40, True), ("vdb", 10, False), ("vdc", 5, False),
        ]  # fmt: skip
    assert control.used() == (2, 1024, 50 + 2 * 55, 1)
    assert listed(control)[0].lock is VmLock.NONE
    control.check()
    with pytest.raises(NotFound):
        control.do(power.start, VmRef(id=template))


def test_every_tenant_may_clone_it(control: Control, template: str) -> None:
    room = CreateTenant(name="other", cpu_limit=4, memory_mb_limit=4096, storage_gb_limit=100, subnets_limit=1)
    control.tenant = control.platform(create_tenant, room).id
    vpc = control.do(create_vpc, CreateVpc(name="theirs")).id
    assert [one.id for one in control.do(templates.search, FindTemplates()).rows] == [template]
    (vm,) = clones(control, template, vpc_id=vpc)
    control.settle()
    assert control.ending(vm.task_id)[0] is TaskState.SUCCEEDED
    assert control.used() == (1, 512, 50, 1)


def test_the_driver_clones_it_from_where_it_is_and_is_told_what_it_is_to_be(control: Control, template: str) -> None:
    class Listening(SimulatedCompute):
        wishes: list[VmWish]

        def ensure_vm(self, host_id: str, wish: VmWish, watch: Watch) -> VmFacts:
            self.wishes.append(wish)
            return super().ensure_vm(host_id, wish, watch)

    Listening.wishes = []
    control.restart(Listening)
    clones(control, template, nested=True)
    control.settle()
    (wish,) = Listening.wishes
    home = control.vm(template).host_id
    assert home is not None
    assert (wish.source, wish.nested) == (FromVm(VmAt(home, template)), True)


@pytest.mark.parametrize(
    ("want", "refusal"),
    [
        ({"template_id": "vm-absent"}, Invalid),
        ({"model": "debian-12"}, Invalid),
        ({"data_disks": 25, "data_disk_gb": 1}, Invalid),
        ({"vcpus": 11, "number": 10}, QuotaExceeded),
        ({"number": 10, "data_disks": 2, "data_disk_gb": 100}, QuotaExceeded),
    ],
)
def test_a_refusal_leaves_nothing(
    control: Control, template: str, want: dict[str, object], refusal: type[Exception]
) -> None:
    before = control.used()
    with pytest.raises(refusal):
        clones(control, template, **want)
    assert control.used() == before
    assert listed(control)[0].clones == 0
    control.check()


def test_a_vm_that_is_no_template_is_not_cloned(control: Control) -> None:
    (vm_id,) = control.open()
    with pytest.raises(Invalid, match="no such template"):
        clones(control, vm_id)


def test_only_a_stopped_vm_with_no_lock_becomes_a_template(control: Control, template: str) -> None:
    (running,) = control.open()
    for vm_id, refusal in ((running, Conflict), (template, NotFound), ("vm-absent", NotFound)):
        with pytest.raises(refusal):
            control.platform(templates.add, VmRef(id=vm_id))
    control.finish(power.power_off, VmRef(id=running))
    control.do(power.start, VmRef(id=running))
    with pytest.raises(Locked):
        control.platform(templates.add, VmRef(id=running))


def test_it_stays_a_template_while_it_is_cloned(control: Control, template: str) -> None:
    clones(control, template)
    with pytest.raises(Conflict, match="1 VMs are made from it"):
        control.platform(templates.remove, TemplateRef(id=template))
    control.settle()
    control.platform(templates.remove, TemplateRef(id=template))
    with pytest.raises(NotFound):
        control.platform(templates.remove, TemplateRef(id=template))
    assert control.finish(removal.delete, VmRef(id=template))[1] is TaskState.SUCCEEDED
    control.check()


def test_it_is_cloned_or_unmarked_never_both(control: Control, template: str) -> None:
    """Many at once: whoever comes first decides, and says so to the others."""
    ended: Counter[str] = Counter()

    def deed(number: int) -> str:
        try:
            if number == 0:
                control.platform(templates.remove, TemplateRef(id=template))
                return "unmarked"
            clones(control, template)
        except (Conflict, Invalid) as refusal:
            return type(refusal).__name__
        return "cloned"

    for _ in range(ROUNDS):
        outcomes = together(3, deed)
        being_made = control.platform(templates.search, FindTemplates()).rows
        if outcomes[0] == "unmarked":
            assert outcomes == ["unmarked", "Invalid", "Invalid"]
            assert being_made == ()
            control.platform(templates.add, VmRef(id=template))
        else:
            assert outcomes[0] == "Conflict"
            assert outcomes[1:] == ["cloned", "cloned"]
            assert [one.clones for one in being_made] == [2]
        ended[outcomes[0]] += 1
        control.settle()
        control.check()
    assert sum(ended.values()) == ROUNDS


@pytest.mark.parametrize("_", range(ROUNDS // 2))
def test_whoever_was_promised_a_clone_gets_it_though_the_template_is_deleted_at_once(control: Control, _: int) -> None:
    """The platform unmarks it as soon as it is let, and its tenant deletes it; tasks are carried out meanwhile."""
    golden, opened, deleting = a_template(control), list[OpenedVm](), list[str]()

    def deed(number: int) -> None:
        if number == 0:
            while not unmarked(control, golden):
                control.settle()
            deleting.append(control.do(removal.delete, VmRef(id=golden)).task_id)
        elif number == 1:
            while not deleting:
                control.settle()
        else:
            with suppress(Invalid):
                opened.extend(clones(control, golden))

    together(5, deed)
    control.settle()
    assert [control.ending(task_id)[0] for task_id in deleting] == [TaskState.SUCCEEDED]
    assert [control.ending(vm.task_id)[0] for vm in opened] == [TaskState.SUCCEEDED] * len(opened)
    assert [control.vm(vm.id).state for vm in opened] == [VmState.RUNNING] * len(opened)
    control.check()


def unmarked(control: Control, template: str) -> bool:
    try:
        control.platform(templates.remove, TemplateRef(id=template))
    except Conflict:
        return False
    return True


def test_unmarking_a_template_and_the_watch_over_its_host_do_not_wait_for_each_other(
    control: Control, template: str
) -> None:
    """The watch holds the hosts and wants the VMs on one that died, templates too."""
    with ThreadPoolExecutor(1) as pool:
        with control.database.platform(write=True) as session:
            hosting.lock_all(session)
            unmarking = pool.submit(control.platform, templates.remove, TemplateRef(id=template))
            until_somebody_waits(control.database, unmarking)
            session.execute(of_every_kind(update(Vm)).values(host_state=HostState.FAULT_DETECTING))
        unmarking.result(20)
    assert (control.vm(template).is_template, control.vm(template).host_state) == (False, HostState.FAULT_DETECTING)
    control.check()


def test_what_its_quota_or_its_host_has_no_room_for_stays_a_template(control: Control, template: str) -> None:
    limits = {"memory_mb": 200_000, "storage_gb": 2000, "outer_ips": 0, "subnets": 3}
    control.platform(change_quota, ChangeQuota(tenant_id=control.tenant, cpu=1, **limits))
    with pytest.raises(QuotaExceeded):
        control.platform(templates.remove, TemplateRef(id=template))
    control.platform(change_quota, ChangeQuota(tenant_id=control.tenant, cpu=100, **limits))
    with control.database.platform(write=True) as session:
        session.get_one(Host, control.vm(template).host_id).memory_mb = 512
    with pytest.raises(Conflict, match="room"):
        control.platform(templates.remove, TemplateRef(id=template))
    assert control.vm(template).is_template
    assert control.used() == (0, 0, 50, 1)


@pytest.mark.parametrize("deed", [Deed.CLONE, Deed.START, None])
def test_a_clone_that_fails_leaves_a_row_that_says_so_and_may_be_deleted(
    control: Control, template: str, deed: Deed | None
) -> None:
    before = control.used()
    for host in control.world.host_ids():
        control.world.inject(Fault(Action.FAIL_OPERATION, host, deed))
    (vm,) = clones(control, template)
    control.settle()
    assert control.ending(vm.task_id)[0] is TaskState.FAILED
    assert (control.vm(vm.id).state, control.used()) == (VmState.CREATE_FAILED, before)
    control.check()
    assert control.finish(removal.delete, VmRef(id=vm.id))[1] is TaskState.SUCCEEDED


def test_a_queued_clone_may_be_cancelled_or_lost(control: Control, template: str) -> None:
    before = control.used()
    cancelled, lost = clones(control, template, number=2)
    control.do(cancel, TaskRef(id=cancelled.task_id))
    control.restart()
    assert control.ending(cancelled.task_id)[0] is TaskState.CANCELLED
    assert control.ending(lost.task_id)[0] is TaskState.LOST
    assert control.used() == before
    control.platform(templates.remove, TemplateRef(id=template))
    control.check()


def test_a_death_while_it_is_cloned_leaves_nothing(control: Control, template: str) -> None:
    class Dies(SimulatedCompute):
        def ensure_on(self, at: VmAt) -> None:
            raise SystemExit(at.vm_id)

    before = control.used()
    control.restart(Dies)
    (vm,) = clones(control, template)
    with pytest.raises(SystemExit):
        control.settle()
    control.restart()
    control.settle()
    assert control.ending(vm.task_id)[0] is TaskState.ABORTED
    assert (control.vm(vm.id).state, control.used()) == (VmState.CREATE_FAILED, before)
    control.check()
