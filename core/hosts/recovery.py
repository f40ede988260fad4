"""Where the VMs of a dead host run on: a pure plan, and its entry into the inventory.

The race: two detectors, one of which woke up late, start the same VM on two hosts. The inventory is the referee: a
VM's new home is a compare-and-set on its old one, written before any hypervisor is asked (`HostPower.place`). The
worst moment is to die in between: the VM is then nowhere, its driver reports it on the dead host, and the plan is
made again at the next start (`core.hosts.watched.recover_again`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.compute.rows import Vm, VmLock, VmState
from core.db.guarded import changed
from core.hosts.rows import Host, HostState, Origin

CPU_OVERCOMMIT: Final = 2.0
"""Virtual CPUs per core, at most, on a host that takes VMs in."""


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


@dataclass(frozen=True, slots=True)
class Shelter:
    """A host that may take VMs in, with what is left on it. `tenants`: how many VMs of each it has."""

    id: str
    vcpus: float
    memory_mb: int
    tenants: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """`homes`: the new host of each VM. `left`: why a VM stays where it is."""

    homes: dict[str, str]
    left: dict[str, str]


def plan(guests: Iterable[Guest], shelters: Sequence[Shelter]) -> Plan:
    """The largest VMs first; each where its tenant has fewest VMs, and among those where most memory is left."""
    room = {shelter.id: shelter for shelter in shelters}
    result = Plan({}, {})
    for guest in sorted(guests, key=lambda guest: (-guest.memory_mb, -guest.vcpus, guest.id)):
        why = _unmovable(guest)
        fitting = [
            place for place in room.values() if place.vcpus >= guest.vcpus and place.memory_mb >= guest.memory_mb
        ]
        if why is not None or not fitting:
            result.left[guest.id] = why or _nothing_fits(guest, list(room.values()))
            continue
        home = min(fitting, key=lambda place: (place.tenants.get(guest.tenant_id, 0), -place.memory_mb, place.id))
        room[home.id] = _taken(home, guest.tenant_id, guest.vcpus, guest.memory_mb)
        result.homes[guest.id] = home.id
    return result


def plan_for(session: Session, dead_id: str, origin: Origin) -> Plan:
    """The plan for the VMs that ran on a dead host, from the inventory as it is now."""
    ran = select(Vm.id, Vm.tenant_id, Vm.vcpus, Vm.memory_mb, Vm.state, Vm.lock, Vm.ha_enabled).where(
        Vm.host_id == dead_id, ~Vm.is_template, Vm.state != VmState.STOPPED
    )
    guests = [Guest(*row) for row in session.execute(ran)]
    return plan(guests, _shelters(session, dead_id, origin) if guests else ())


def move(session: Session, dead_id: str, wanted: Plan) -> dict[str, str]:
    """Enter the plan into the inventory; the VMs that really moved. A VM that was moved or locked meanwhile stays."""
    return {
        vm_id: home
        for vm_id, home in wanted.homes.items()
        if changed(
            session,
            update(Vm)
            .where(Vm.id == vm_id, Vm.host_id == dead_id, Vm.lock == VmLock.NONE)
            .values(host_id=home, host_state=HostState.RUNNING),
        )
    }


def still_wanted(session: Session, homes: Mapping[str, str]) -> dict[str, str]:
    """Those of the homes that the inventory still names."""
    rows = session.execute(select(Vm.id, Vm.host_id).where(Vm.id.in_(list(homes))))
    return {vm_id: home for vm_id, home in rows if home is not None and homes[vm_id] == home}


def _fits(guest: Guest, place: Shelter) -> bool:
    return place.vcpus >= guest.vcpus and place.memory_mb >= guest.memory_mb


def _unmovable(guest: Guest) -> str | None:
    if guest.state is not VmState.RUNNING:
        return f"it was not running: {guest.state.name.lower()}"
    if guest.lock is not VmLock.NONE:
        return f"it is locked: {guest.lock.name.lower()}"
    return None if guest.ha_enabled else "high availability is not enabled for it"


def _nothing_fits(guest: Guest, room: Sequence[Shelter]) -> str:
    if not room:
        return "no other host of its kind is running, connected and outside maintenance"
    vcpus, memory = max(place.vcpus for place in room), max(place.memory_mb for place in room)
    return (
        f"no host has {guest.vcpus} vCPUs and {guest.memory_mb} MB left; "
        f"of {len(room)}, none has more than {vcpus:g} vCPUs, none more than {memory} MB"
    )


def _shelters(session: Session, dead_id: str, origin: Origin) -> list[Shelter]:
    """Hosts of the same kind: a simulated VM runs on no real host."""
    fit = select(Host.id, Host.cpu_cores, Host.memory_mb).where(
        Host.id != dead_id,
        Host.origin == origin,
        Host.origin != Origin.LOCAL,
        Host.state == HostState.RUNNING,
        Host.connected,
        ~Host.maintenance,
        Host.cpu_cores > 0,
        Host.memory_mb > 0,
    )
    room = {id_: Shelter(id_, cores * CPU_OVERCOMMIT, memory) for id_, cores, memory in session.execute(fit)}
    placed = select(Vm.host_id, Vm.tenant_id, Vm.vcpus, Vm.memory_mb).where(Vm.host_id.in_(list(room)), ~Vm.is_template)
    for host_id, tenant_id, vcpus, memory_mb in session.execute(placed):
        if host_id is not None:
            room[host_id] = _taken(room[host_id], tenant_id, vcpus, memory_mb)
    return list(room.values())


def _taken(room: Shelter, tenant_id: str, vcpus: int, memory_mb: int) -> Shelter:
    tenants = {**room.tenants, tenant_id: room.tenants.get(tenant_id, 0) + 1}
    return Shelter(room.id, room.vcpus - vcpus, room.memory_mb - memory_mb, tenants)
