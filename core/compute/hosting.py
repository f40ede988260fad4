"""Room on hosts, taken without races: the inventory is counted anew, under a lock on the host's row.

The race: two VMs that are both told that the last 4 GB are theirs. Counters on the host would have to be kept by
everybody who moves, resizes or deletes a VM, and drift as soon as one forgets; the sum over the VMs' rows cannot. So
whoever takes room locks the host's row first (SQLite: the one write transaction; PostgreSQL: SELECT ... FOR UPDATE),
sums what is on it, and writes the VM's row in the same transaction. The choice itself is made before, without a lock,
on what may be stale by then; when the room is gone, or the host takes no VMs any more, the choice is made again. One
transaction locks one host only, so that no two wait for each other; only the watch over the hosts, which finds new
homes for all VMs of a dead one, locks all of them, in one order.

VMs count from acceptance to deletion, stopped ones too: they could not be started again otherwise. What failed to be
created does not count, and a template takes storage only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from core.compute.placement import Candidate, Obstacle, Room, Wish, choose, shortage
from core.compute.rows import Disk, Vm, VmState
from core.db.guarded import changed
from core.db.session import of_every_kind
from core.drivers.compute import VmAt
from core.errors import Conflict
from core.hosts.rows import Host, HostState
from core.network import nodes, plugging
from core.tasks.context import TaskContext

_ATTEMPTS: Final = 10
_NAMED: Final = 10
"""So many hosts are named, with their reasons, when none fits."""

_COUNTS: Final = Vm.state != VmState.CREATE_FAILED


def find_home(task: TaskContext, vm_id: str, tenant_id: str, wish: Wish) -> str:
    """The host of a VM that has none yet, written into its row; one that has a host keeps it. Raises Conflict, saying
    of each host why it is not it."""
    for _ in range(_ATTEMPTS):
        with task.read() as session:
            home = session.scalar(select(Vm.host_id).where(Vm.id == vm_id))
            if home is not None:
                return home
            served = task.driver.hosts()
            choice = choose(wish, tenant_id, candidates(session, served, task.settings.cpu_overcommit))
        if choice.host_id is None:
            raise Conflict("VM", vm_id, "no host can take it", named(choice.refusals))
        with task.write() as session:
            host = _locked(session, choice.host_id)
            if host is None or _obstacle(host, served) or _short(session, host, wish, task.settings.cpu_overcommit):
                continue
            if _enter(session, vm_id, host):
                return host.id
    raise Conflict("VM", vm_id, "no host can take it: others were faster, several times")


def ensure_room(session: Session, vm: VmAt, wish: Wish, overcommit: float) -> None:
    """For a VM that grows where it is: to be followed, in the same write transaction, by the rows that take the room.
    Raises Conflict, naming what is short."""
    host = _locked(session, vm.host_id)
    why = "it is gone" if host is None else _short(session, host, wish, overcommit)
    if why is not None:
        raise Conflict("VM", vm.vm_id, "its host has not enough room", f"{vm.host_id}: {why}")


def lock_all(session: Session) -> None:
    """Nobody takes room on any host until the transaction ends. To be called before it has locked anything else but
    hosts: all are taken in one order."""
    session.execute(select(Host.id).order_by(Host.id).with_for_update())


def candidates(session: Session, served: Collection[str], overcommit: float) -> list[Candidate]:
    """All hosts as they are now. `served`: those that the driver speaks for."""
    hosts = session.scalars(select(Host)).all()
    used = _used(session)
    tenants: dict[str, dict[str, int]] = defaultdict(dict)
    per_tenant = select(Vm.host_id, Vm.tenant_id, func.count()).where(_COUNTS, Vm.host_id.is_not(None))
    for host_id, tenant_id, count in session.execute(per_tenant.group_by(Vm.host_id, Vm.tenant_id)):
        assert host_id is not None
        tenants[host_id][tenant_id] = count
    return [
        Candidate(
            host_id=host.id, size=size, left=_left(size, used.get(host.id, Wish())), obstacle=_obstacle(host, served),
            tenants=tenants[host.id],
        )
        for host in hosts
        for size in (_size(host, overcommit),)
    ]  # fmt: skip


def _enter(session: Session, vm_id: str, host: Host) -> bool:
    homeless = update(Vm).where(Vm.id == vm_id, Vm.host_id.is_(None))
    entered = changed(session, homeless.values(host_id=host.id, host_state=host.state))
    if entered:
        nodes.mark_nics(session, plugging.nics_of(session, [vm_id]))
    return entered


def _locked(session: Session, host_id: str) -> Host | None:
    """As it is now; None: it is gone."""
    own = select(Host).where(Host.id == host_id).with_for_update()
    return session.scalars(own.execution_options(populate_existing=True)).one_or_none()


def _short(session: Session, host: Host, wish: Wish, overcommit: float) -> str | None:
    """What a locked host has not enough of."""
    used = _used(session, Vm.host_id == host.id).get(host.id, Wish())
    return shortage(wish, _left(_size(host, overcommit), used))


def _used(session: Session, *which: ColumnElement[bool]) -> dict[str, Wish]:
    """What is taken of each host that has VMs."""
    placed = (Vm.host_id.is_not(None), _COUNTS, *which)
    vms = select(Vm.host_id, func.sum(Vm.vcpus), func.sum(Vm.memory_mb)).where(*placed)
    disks = of_every_kind(select(Vm.host_id, func.sum(Disk.size_gb)).join(Disk, Disk.vm_id == Vm.id).where(*placed))
    sizes = {host_id: (vcpus, mb) for host_id, vcpus, mb in session.execute(vms.group_by(Vm.host_id)) if host_id}
    storage = {host_id: size for host_id, size in session.execute(disks.group_by(Vm.host_id)) if host_id}
    return {
        host_id: Wish(vcpus=vcpus, memory_mb=memory_mb, storage_gb=storage.get(host_id, 0))
        for host_id in sizes.keys() | storage.keys()
        for vcpus, memory_mb in (sizes.get(host_id, (0, 0)),)
    }


def _size(host: Host, overcommit: float) -> Room:
    return Room(vcpus=host.cpu_cores * overcommit, memory_mb=host.memory_mb, storage_gb=host.storage_gb or None)


def _left(size: Room, used: Wish) -> Room:
    return Room(
        vcpus=size.vcpus - used.vcpus,
        memory_mb=size.memory_mb - used.memory_mb,
        storage_gb=None if size.storage_gb is None else size.storage_gb - used.storage_gb,
    )


def _obstacle(host: Host, served: Collection[str]) -> Obstacle | None:
    if host.id not in served:
        return Obstacle.FOREIGN
    if host.state is not HostState.RUNNING:
        return Obstacle.NOT_RUNNING
    if not host.connected:
        return Obstacle.DISCONNECTED
    if host.maintenance:
        return Obstacle.MAINTENANCE
    return None if host.cpu_cores and host.memory_mb else Obstacle.UNKNOWN_SIZE


def named(refusals: Mapping[str, str]) -> str:
    """Hosts with their reasons, for people."""
    if not refusals:
        return "there is none"
    shown = "; ".join(f"{host_id}: {why}" for host_id, why in sorted(refusals.items())[:_NAMED])
    return shown + (f"; and {len(refusals) - _NAMED} more" if len(refusals) > _NAMED else "")
