"""Room on hosts, in the database: counted rightly, and never given twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import func, select, update

from core.clock import VirtualClock
from core.compute import hosting
from core.compute.inventory import ensure_host, ensure_vms
from core.compute.placement import Room, Wish
from core.compute.rows import Vm, VmState
from core.db.engine import Database
from core.db.session import PlatformSession
from core.drivers.compute import ComputeDriver, VmAt
from core.errors import Conflict
from core.hosts import recovery
from core.hosts.rows import Host, HostEvent, HostReason, HostState, Origin
from core.hosts.state import HostStatus, Transition
from core.hosts.watched import Decision, Watched, write
from core.settings import Settings
from core.tasks import queue
from core.tasks.context import Runtime, TaskContext
from core.tenancy.rows import Tenant
from tests.support import tasks
from tests.support.inventory import a_host, a_vm
from tests.support.threads import together

WISH = Wish(vcpus=2, memory_mb=4096, storage_gb=40)
CLOCK = VirtualClock()


@dataclass
class Served:
    """As much of a driver as placement asks."""

    ids: frozenset[str] = frozenset({"host-1", "host-2"})

    def hosts(self) -> frozenset[str]:
        return self.ids


@pytest.fixture
def at(database: Database, tmp_path: Path) -> Runtime:
    """Two hosts for 4 VMs each; host-1 has one already."""
    with database.platform(write=True) as session:
        session.add(Tenant(id="t1", name="t1", created_at=CLOCK.now()))
        session.flush()
        for number in (1, 2):
            ensure_host(session, replace(a_host(number), cpu_cores=4, memory_mb=16_384, storage_gb=200), CLOCK.now())
        ensure_vms(session, [a_vm(1, "t1")], CLOCK.now())
        session.execute(update(Host).values(connected=True))
    driver = cast("ComputeDriver", Served())
    return Runtime(database, driver, CLOCK, Settings(data_dir=tmp_path, cpu_overcommit=2.0))


def homeless(at: Runtime, number: int, kind: type[TaskContext] = TaskContext) -> TaskContext:
    """A running task for a VM that has no host yet."""
    tasks.submit(at, f"vm-{number}")
    claim = queue.claim(at.database, "server", CLOCK.now())
    assert claim is not None
    with at.database.platform(write=True) as session:
        session.add(
            Vm(
                id=f"vm-{number}", tenant_id="t1", name="n", created_at=CLOCK.now(), domain_uuid=f"uuid-{number}",
                state=VmState.INSTALLING, vcpus=WISH.vcpus, memory_mb=WISH.memory_mb,
            )
        )  # fmt: skip
    return kind(at, claim, timedelta(minutes=1))


def test_a_vm_gets_a_home_once(at: Runtime) -> None:
    task = homeless(at, 10)
    assert hosting.find_home(task, "vm-10", "t1", WISH) == "host-2", "away from the tenant's other VM"
    assert hosting.find_home(task, "vm-10", "t1", WISH) == "host-2", "and keeps it"
    with at.database.platform() as session:
        assert session.get_one(Vm, "vm-10").host_id == "host-2"


def test_what_counts_is_what_would_be_needed_to_start_everything(at: Runtime) -> None:
    with at.database.platform(write=True) as session:
        made = [replace(a_vm(n, "t1"), state=state) for n, state in ((2, VmState.STOPPED), (3, VmState.CREATE_FAILED))]
        ensure_vms(session, [*made, replace(a_vm(4, "t1"), is_template=True)], CLOCK.now())
        first, second = sorted(hosting.candidates(session, {"host-1"}, 2.0), key=lambda one: one.host_id)
    assert first.left == Room(vcpus=8 - 4, memory_mb=16_384 - 8192, storage_gb=200 - 3 * 40)
    assert first.tenants == {"t1": 2}
    assert (first.obstacle, second.obstacle) == (None, "no driver runs VMs there")
    assert second.left == second.size


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"state": HostState.OFFLINE}, "it does not run"),
        ({"connected": False}, "it is not connected"),
        ({"maintenance": True}, "it is in maintenance"),
        ({"memory_mb": 0}, "its size is not known"),
    ],
)
def test_when_nothing_fits_each_host_says_why(at: Runtime, values: dict[str, object], why: str) -> None:
    with at.database.platform(write=True) as session:
        session.execute(update(Host).where(Host.id == "host-2").values(values))
        session.execute(update(Host).where(Host.id == "host-1").values(cpu_cores=1))
    with pytest.raises(Conflict, match=f"host-1: 2 vCPUs wanted, 0 left; host-2: {why}"):
        hosting.find_home(homeless(at, 10), "vm-10", "t1", WISH)


def test_a_vm_may_grow_as_far_as_its_host_reaches(at: Runtime) -> None:
    with at.database.platform(write=True) as session:
        hosting.ensure_room(session, VmAt("host-1", "vm-1"), Wish(vcpus=6, memory_mb=12_288, storage_gb=160), 2.0)
        with pytest.raises(Conflict, match="not enough room: host-1: 7 vCPUs wanted, 6 left"):
            hosting.ensure_room(session, VmAt("host-1", "vm-1"), Wish(vcpus=7), 2.0)


@pytest.mark.parametrize(
    "values", [{"state": HostState.STOPPED}, {"connected": False}, {"maintenance": True}], ids=lambda one: str(*one)
)
def test_a_host_that_dies_after_it_was_chosen_gets_no_vm(at: Runtime, values: dict[str, object]) -> None:
    """Its own VMs are already given new homes by then: nobody would look after this one."""

    class DiesMeanwhile(TaskContext):
        @contextmanager
        def write(self) -> Iterator[PlatformSession]:
            with at.database.platform(write=True) as session:
                session.execute(update(Host).where(Host.id == "host-2").values(values))
            with super().write() as session:
                yield session

    task = homeless(at, 10, DiesMeanwhile)
    assert hosting.find_home(task, "vm-10", "t1", WISH) == "host-1"


def test_16_at_once_take_no_more_than_there_is(at: Runtime) -> None:
    waiting = [homeless(at, 10 + number) for number in range(16)]

    def settle(number: int) -> str | None:
        try:
            return hosting.find_home(waiting[number], f"vm-{10 + number}", "t1", WISH)
        except Conflict:
            return None

    homes = together(16, settle)
    assert (homes.count("host-1"), homes.count("host-2"), homes.count(None)) == (3, 4, 9)
    with at.database.platform() as session:
        memory = session.execute(select(Vm.host_id, func.sum(Vm.memory_mb)).group_by(Vm.host_id)).all()
        assert {host: int(size) for host, size in memory if host} == {"host-1": 16_384, "host-2": 16_384}


@pytest.mark.parametrize("_", range(4))
def test_the_last_room_goes_to_a_vm_of_a_dead_host_or_to_a_new_one(at: Runtime, _: int) -> None:
    """Both at the same moment, and each of them with others beside it: nobody is promised what somebody else has."""
    with at.database.platform(write=True) as session:
        ensure_vms(session, [a_vm(number, "t1", 2) for number in (2, 3, 4)], CLOCK.now())
        session.execute(update(Host).where(Host.id == "host-1").values(state=HostState.STOPPED))
        session.execute(update(Vm).values(vcpus=WISH.vcpus, memory_mb=WISH.memory_mb))
    waiting = [homeless(at, 10 + number) for number in range(3)]

    def recover() -> str | None:
        with at.database.platform(write=True) as session:
            wanted = recovery.plan_for(session, "host-1", Origin.SIMULATED, at.settings.cpu_overcommit)
            return recovery.move(session, "host-1", wanted).get("vm-1")

    def open_one(number: int) -> str | None:
        try:
            return hosting.find_home(waiting[number], f"vm-{10 + number}", "t1", WISH)
        except Conflict:
            return None

    homes = together(5, lambda number: recover() if number < 2 else open_one(number - 2))
    assert sorted(home for home in homes if home is not None) == ["host-2"]
    with at.database.platform() as session:
        assert session.scalar(select(func.count()).select_from(Vm).where(Vm.host_id == "host-2")) == 4


def _fenced(host_id: str) -> Decision:
    locked = HostStatus(HostState.HA_DETECTING, CLOCK.now(), CLOCK.now(), "one", fence=2)
    off = HostStatus(HostState.STOPPED, CLOCK.now(), fence=3)
    why = Transition(CLOCK.now(), locked.state, off.state, HostReason.FENCED, urgent=False, evidence={})
    host = Watched(host_id, Origin.SIMULATED, maintenance=False, connected=True, urls={}, status=locked)
    return Decision(host, off, [why], connected=False)


@pytest.mark.parametrize("_", range(3))
def test_two_watches_that_empty_a_dead_host_and_8_new_vms_share_what_the_others_have(at: Runtime, _: int) -> None:
    """Host-1 has 3 VMs and dies; hosts 2 and 3 have room for 4 each. The room is used up, no host has more than it
    takes, nobody goes to the dead one, and what is told is told once."""
    with at.database.platform(write=True) as session:
        ensure_host(session, replace(a_host(3), cpu_cores=4, memory_mb=16_384, storage_gb=200), CLOCK.now())
        ensure_vms(session, [a_vm(number, "t1") for number in (2, 3)], CLOCK.now())
        session.execute(update(Host).values(connected=True))
        dying = {"state": HostState.HA_DETECTING, "owner": "one", "fence": 2, "deadline": CLOCK.now()}
        session.execute(update(Host).where(Host.id == "host-1").values(**dying, state_since=CLOCK.now()))
    three = replace(at, driver=cast("ComputeDriver", Served(frozenset({"host-1", "host-2", "host-3"}))))
    waiting = [homeless(three, 10 + number) for number in range(8)]

    def watch(detector: str) -> dict[str, str]:
        with at.database.platform(write=True) as session:
            return write(session, [_fenced("host-1")], [], CLOCK.now(), detector, at.settings.cpu_overcommit)

    def deed(number: int) -> dict[str, str]:
        if number < 2:
            return watch(f"detector-{number}")
        vm_id = f"vm-{8 + number}"
        with suppress(Conflict):
            return {vm_id: hosting.find_home(waiting[number - 2], vm_id, "t1", WISH)}
        return {}

    told = [item for homes in together(10, deed) for item in homes.items()]
    with at.database.platform() as session:
        alive = select(Vm.id, Vm.host_id).where(Vm.host_id.in_(["host-2", "host-3"]))
        homes = {vm_id: home for vm_id, home in session.execute(alive)}
        size = select(Vm.host_id, func.sum(Vm.memory_mb)).where(Vm.host_id.is_not(None)).group_by(Vm.host_id)
        used = {str(host): int(mb) for host, mb in session.execute(size)}
        events = Counter(session.scalars(select(HostEvent.reason)))
    assert dict(told) == homes
    assert len(told) == len(homes) == 8
    assert (used["host-2"], used["host-3"]) == (16_384, 16_384)
    moved = sum(vm_id in {"vm-1", "vm-2", "vm-3"} for vm_id in homes)
    assert used.get("host-1", 0) == (3 - moved) * WISH.memory_mb
    assert events == Counter(
        {HostReason.FENCED: 1, HostReason.VM_RESTARTED: moved, HostReason.VM_NOT_RESTARTED: 3 - moved}
    )
