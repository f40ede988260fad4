"""Where the VMs of a dead host run on: a pure plan, and its entry into the inventory.

The race: two detectors, one of which woke up late, start the same VM on two hosts. The inventory is the referee: a
VM's new home is a compare-and-set on its old one, written before any hypervisor is asked (`HostPower.place`). The
worst moment is to die in between: the VM is then nowhere, its driver reports it on the dead host, and the plan is
made again at the next start (`core.hosts.watched.recover_again`). New VMs and growing ones want the same room: it is
counted under the lock that they take, too (`core.compute.hosting`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.compute.hosting import candidates, lock_all, named
from core.compute.placement import Candidate, Wish, choose
from core.compute.rows import Disk, Vm, VmLock, VmState
from core.db.guarded import changed
from core.hosts.rows import Host, HostState, Origin
from core.network import nodes, plugging


@dataclass(frozen=True, slots=True)
class Guest:
    """A VM on the dead host."""

    id: str
    tenant_id: str
    vcpus: int
    memory_mb: int
    state: VmState
    lock: VmLock
    ha_enabled: bool
    storage_gb: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """`homes`: the new host of each VM. `left`: why a VM stays where it is."""

    homes: dict[str, str]
    left: dict[str, str]


def plan(guests: Iterable[Guest], hosts: Iterable[Candidate]) -> Plan:
    """The largest VMs first; each goes where a new VM of its size would go (`core.compute.placement`)."""
    room = {host.host_id: host for host in hosts}
    result = Plan({}, {})
    for guest in sorted(guests, key=lambda guest: (-guest.memory_mb, -guest.vcpus, guest.id)):
        why = _unmovable(guest)
        if why is None:
            need = Wish(vcpus=guest.vcpus, memory_mb=guest.memory_mb, storage_gb=guest.storage_gb)
            choice = choose(need, guest.tenant_id, room.values())
            if choice.host_id is not None:
                room[choice.host_id] = room[choice.host_id].with_one_more(guest.tenant_id, need)
                result.homes[guest.id] = choice.host_id
                continue
            why = f"no host can take it: {named(choice.refusals)}"
        result.left[guest.id] = why
    return result


def plan_for(session: Session, dead_id: str, origin: Origin, overcommit: float) -> Plan:
    """The plan for the VMs that ran on a dead host, from the inventory as it is now; hosts of the same kind are asked,
    for a simulated VM runs on no real host. All hosts are locked, so that it holds until the transaction ends."""
    size = select(func.coalesce(func.sum(Disk.size_gb), 0)).where(Disk.vm_id == Vm.id).correlate(Vm).scalar_subquery()
    ran = select(
        Vm.id, Vm.tenant_id, Vm.vcpus, Vm.memory_mb, Vm.state, Vm.lock, Vm.ha_enabled, size
    ).where(Vm.host_id == dead_id, Vm.state != VmState.STOPPED)  # fmt: skip
    lock_all(session)
    guests = [Guest(*row) for row in session.execute(ran)]
    if not guests:
        return Plan({}, {})
    alike = select(Host.id).where(Host.id != dead_id, Host.origin == origin, Host.origin != Origin.LOCAL)
    served = set(session.scalars(alike))
    return plan(guests, [one for one in candidates(session, served, overcommit) if one.host_id in served])


def move(session: Session, dead_id: str, wanted: Plan) -> dict[str, str]:
    """Enter the plan into the inventory; the VMs that really moved. A VM that was moved or locked meanwhile stays."""
    moved = {
        vm_id: home
        for vm_id, home in wanted.homes.items()
        if changed(
            session,
            update(Vm)
            .where(Vm.id == vm_id, Vm.host_id == dead_id, Vm.lock == VmLock.NONE)
            .values(host_id=home, host_state=HostState.RUNNING),
        )
    }
    nodes.mark_nics(session, plugging.nics_of(session, moved.keys()))
    return moved


def still_wanted(session: Session, homes: Mapping[str, str]) -> dict[str, str]:
    """Those of the homes that the inventory still names."""
    rows = session.execute(select(Vm.id, Vm.host_id).where(Vm.id.in_(list(homes))))
    return {vm_id: home for vm_id, home in rows if home is not None and homes[vm_id] == home}


def _unmovable(guest: Guest) -> str | None:
    if guest.state is not VmState.RUNNING:
        return f"it was not running: {guest.state.name.lower()}"
    if guest.lock is not VmLock.NONE:
        return f"it is locked: {guest.lock.name.lower()}"
    return None if guest.ha_enabled else "high availability is not enabled for it"
