"""What can be asked about: the caller's own VMs, and for the platform hosts too. Another tenant's VM does not exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from annotated_types import MaxLen, MinLen
from sqlalchemy import select

from core.compute.rows import Disk, Nic, Vm, VmState
from core.compute.state import shown_state
from core.context import Context
from core.errors import Forbidden, NotFound
from core.hosts.rows import Host
from core.timeseries.fields import Kind

MOST_OBJECTS: Final = 1000
_Id = Annotated[str, MaxLen(64)]


class Watched(StrEnum):
    VM = "vm"
    HOST = "host"

    @property
    def kind(self) -> Kind:
        return Kind(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneObject:
    """A VM or, for the platform, a host."""

    watched: Watched
    id: _Id


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyObjects:
    """VMs or, for the platform, hosts."""

    watched: Watched
    ids: Annotated[tuple[_Id, ...], MinLen(1), MaxLen(MOST_OBJECTS)]


@dataclass(frozen=True, slots=True)
class Part:
    """A disk or NIC of a VM. `series` is its name in the time-series store; `mac` is empty for disks."""

    id: str
    series: str
    mac: str = ""


def measurable(at: Context, watched: Watched, ids: Sequence[str]) -> Mapping[str, bool]:
    """Those of `ids` that exist for the caller, in their order, each once. True: it runs, so what it measured last is
    current.

    Whether a host is heard of is told by the age of its samples alone. Raises Forbidden for a tenant that asks about
    hosts.
    """
    if watched is Watched.HOST:
        if not at.caller.is_platform:
            raise Forbidden("monitoring of hosts needs a platform token")
        running = dict.fromkeys(at.session.scalars(select(Host.id).where(Host.id.in_(ids))), True)
    else:
        found = at.session.execute(select(Vm.id, shown_state()).where(Vm.id.in_(ids)))
        running = {id_: state is VmState.RUNNING for id_, state in found}
    return {id_: running[id_] for id_ in dict.fromkeys(ids) if id_ in running}


def runs(at: Context, one: OneObject) -> bool:
    """Whether the object runs. Raises NotFound, Forbidden."""
    found = measurable(at, one.watched, (one.id,))
    if one.id not in found:
        raise NotFound("VM" if one.watched is Watched.VM else "host", one.id)
    return found[one.id]


def disks(at: Context, vm_id: str) -> tuple[Part, ...]:
    """The VM's disks, in the order of their devices."""
    attached = select(Disk.id, Disk.device).where(Disk.vm_id == vm_id, Disk.device.is_not(None)).order_by(Disk.device)
    return tuple(Part(id_, f"{vm_id}/{device}") for id_, device in at.session.execute(attached))


def nics(at: Context, vm_id: str) -> tuple[Part, ...]:
    """The VM's NICs, in the order of their positions."""
    attached = select(Nic.id, Nic.device, Nic.mac).where(Nic.vm_id == vm_id).order_by(Nic.position)
    return tuple(Part(id_, f"{vm_id}/{device}", mac) for id_, device, mac in at.session.execute(attached))
