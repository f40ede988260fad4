"""Whether the books are right when nothing is under way: quotas, locks, addresses, the inventory beside its driver."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.clock import SystemClock
from core.compute.copy_rows import Backup, Snapshot
from core.compute.rows import Disk, Nic, Vm, VmState
from core.db.engine import Database
from core.db.session import of_every_kind
from core.drivers.compute import Power, VmFacts
from core.drivers.simulated.compute import SimulatedCompute
from core.drivers.simulated.fleet import Fleet
from core.drivers.simulated.shared import FILE, SharedFleet
from core.network.rows import Address, Vpc
from core.tasks.rows import Task, TaskState
from core.tenancy.rows import Quota
from tests.support.customer import Told
from tests.support.world import MemoryWorld

ENDS = {state for state in TaskState if state.has_ended}
_ON = {Power.ON: VmState.RUNNING, Power.OFF: VmState.STOPPED, Power.PAUSED: VmState.SUSPENDED}


def saved_world(folder: Path, hosts: int, vms: int) -> MemoryWorld:
    """What the simulated hypervisors of the data folder have on their disks."""
    world = MemoryWorld(SystemClock(), hosts, vms)
    with closing(SharedFleet(folder / FILE, world.clock)) as saved:
        world.fleet = saved.ask(lambda fleet, _: fleet)
    return world


def mistakes(session: Session, world: MemoryWorld | None) -> list[str]:
    """What is wrong, one line each. Only when nothing is under way. `world` None: the inventory is not compared."""
    found = [_unended(session), _quotas(session), _addresses(session)]
    if world is not None:
        found += [_machines(session, world), _copies(session, world.fleet)]
    return [line for lines in found for line in lines]


def at_rest(database: Database) -> bool:
    with database.platform() as session:
        return session.scalar(select(Task.id).where(Task.state.not_in(ENDS)).limit(1)) is None


def missing(database: Database, told: Sequence[Told]) -> list[str]:
    """What was acknowledged and is not there: tasks, and VMs that nobody deleted."""
    with database.platform() as session:
        tasks = {row[0]: (row[1], row[2], row[3]) for row in session.execute(
            select(Task.id, Task.kind, Task.object_id, Task.state)
        )}  # fmt: skip
        vms = set(session.scalars(select(Vm.id)))
    deleted = {
        vm for kind, vm, state in tasks.values()
        if kind == "vm.delete" and state in {TaskState.SUCCEEDED, TaskState.ABORTED}
    }  # fmt: skip
    lost = [task for one in told for task in one.tasks if task not in tasks]
    return lost + [vm for one in told for vm in one.vms if vm not in vms | deleted]


def _unended(session: Session) -> Iterator[str]:
    for id_, state in session.execute(select(Task.id, Task.state).where(Task.state.not_in(ENDS))):
        yield f"{id_} is {state.name}"
    for id_, lock, holder in session.execute(select(Vm.id, Vm.lock, Vm.lock_task).where(Vm.lock_task.is_not(None))):
        yield f"{id_} is locked ({lock.name}) by {holder}"


def _quotas(session: Session) -> Iterator[str]:
    lives = Vm.state != VmState.CREATE_FAILED
    for quota in session.scalars(select(Quota)):
        own = quota.tenant_id
        cpu, memory = session.execute(
            select(func.sum(Vm.vcpus), func.sum(Vm.memory_mb)).where(lives, Vm.tenant_id == own)
        ).one()
        disks = session.scalar(select(func.sum(Disk.size_gb)).where(Disk.tenant_id == own))
        subnets = session.scalar(select(func.count()).select_from(Vpc).where(Vpc.tenant_id == own))
        there = (cpu or 0, memory or 0, disks or 0, subnets)
        used = (quota.cpu_used, quota.memory_mb_used, quota.storage_gb_used, quota.subnets_used)
        limits = (quota.cpu_limit, quota.memory_mb_limit, quota.storage_gb_limit, quota.subnets_limit)
        if used != there:
            yield f"the quota of {own} counts {used}, and there is {there}"
        if any(amount > limit for amount, limit in zip(used, limits, strict=True)):
            yield f"{own} uses {used} of {limits}"


def _addresses(session: Session) -> Iterator[str]:
    nics = {row[0]: (row[1], row[2]) for row in session.execute(select(Nic.id, Nic.vpc_id, Nic.ip)) if row[1]}
    taken = {row[0]: (row[1], row[2]) for row in session.execute(select(Address.nic_id, Address.vpc_id, Address.ip))}
    if taken != nics:
        yield f"addresses are taken by {taken.keys() ^ nics.keys() or 'others'}"
    if len(set(nics.values())) != len(nics):
        yield "an address is given twice"


def _machines(session: Session, world: MemoryWorld) -> Iterator[str]:
    driver = SimulatedCompute(world, 0)
    report = driver.report(driver.hosts())
    there = {vm_id: (host, facts) for host, one in report.items() for vm_id, facts in one.vms.items()}
    every = of_every_kind(select(Vm)).where(Vm.state != VmState.CREATE_FAILED)
    rows = {vm.id: vm for vm in session.scalars(every)}
    yield from _apart("VM", rows.keys(), there.keys())
    for vm_id in rows.keys() & there.keys():
        yield from _machine(session, rows[vm_id], *there[vm_id])


def _machine(session: Session, vm: Vm, host: str, facts: VmFacts) -> Iterator[str]:
    known: Mapping[str, object] = {
        "host": vm.host_id, "state": vm.state, "size": (vm.vcpus, vm.memory_mb), "complete": True,
        "disks": {row[0]: row[1] for row in session.execute(select(Disk.id, Disk.size_gb).where(Disk.vm_id == vm.id))},
        "nics": set(session.scalars(select(Nic.id).where(Nic.vm_id == vm.id))),
        "snapshots": set(session.scalars(select(Snapshot.id).where(Snapshot.vm_id == vm.id))),
    }  # fmt: skip
    true: Mapping[str, object] = {
        "host": host, "state": _ON[facts.power], "size": (facts.vcpus, facts.memory_mb), "complete": facts.complete,
        "disks": {disk.id: disk.size_gb for disk in facts.disks}, "nics": {nic.id for nic in facts.nics},
        "snapshots": set(facts.snapshots),
    }  # fmt: skip
    for name, value in known.items():
        if value != true[name]:
            yield f"{name} of {vm.id}: {value} in the inventory, {true[name]} at its driver"


def _copies(session: Session, fleet: Fleet) -> Iterator[str]:
    yield from _apart("backup", set(session.scalars(select(Backup.id))), fleet.records.backups.keys())
    volumes = set(session.scalars(select(Disk.id).where(Disk.vm_id.is_(None))))
    yield from _apart("volume", volumes, fleet.records.volumes.keys())


def _apart(name: str, known: Collection[str], true: Collection[str]) -> Iterator[str]:
    if set(known) - set(true):
        yield f"{name} that no driver has: {sorted(set(known) - set(true))}"
    if set(true) - set(known):
        yield f"{name} that nobody knows of: {sorted(set(true) - set(known))}"
