"""What ought to be there: the objects that rules are about, whom they belong to, and the states that excuse them.

`Inventory` is read in one go (`reading`); `Census` numbers its objects, so that everything about them is an array. A
name tells its owner: `<host id>/<device>`, `<vm id>/<device>`, and for scrape targets `<host id>/<source>`. Devices of
hosts stand in no table: they are expected once they were seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aggregator.rules.troubles import PLATFORM, Troubled
from core.timeseries.fields import Kind

Positions = NDArray[np.intp]
NOBODY = -1
"""In an array of owners: there is none."""


class HostItem(NamedTuple):
    id: str
    name: str
    labels: tuple[tuple[str, str], ...] = ()


class VmItem(NamedTuple):
    id: str
    name: str
    tenant_id: str
    host_id: str | None
    labels: tuple[tuple[str, str], ...] = ()


class HostNow(NamedTuple):
    state: int
    maintenance: bool = False


@dataclass(frozen=True, slots=True)
class Inventory:
    """`host_states` and `vm_states` stand in the order of `hosts` and `vms`; `disks`, `nics` and `targets` are
    names."""

    hosts: Sequence[HostItem]
    host_states: Sequence[HostNow]
    vms: Sequence[VmItem] = ()
    vm_states: Sequence[int] = ()
    disks: Sequence[str] = ()
    nics: Sequence[str] = ()
    targets: Sequence[str] = ()
    troubles: Troubled = field(default_factory=dict)

    def same_objects(self, other: Inventory) -> bool:
        """Nothing but states and troubles differs."""
        return (
            self.hosts == other.hosts
            and self.vms == other.vms
            and self.disks == other.disks
            and self.nics == other.nics
            and self.targets == other.targets
        )


@dataclass(frozen=True, eq=False)
class Population:
    """The objects of one kind, numbered. `host` and `vm` are the positions of their owners among hosts and VMs, or
    NOBODY; a VM's host is its owner too."""

    kind: Kind
    ids: Sequence[str]
    host: Positions
    vm: Positions

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def position(self) -> Mapping[str, int]:
        return {name: position for position, name in enumerate(self.ids)}

    def locate(self, names: Sequence[str]) -> Positions:
        """The positions of `names`; NOBODY for strangers."""
        position = self.position
        return np.fromiter((position.get(name, NOBODY) for name in names), dtype=np.intp, count=len(names))


@dataclass(frozen=True, eq=False)
class Census:
    """The populations of an inventory, and of devices that were seen though no table has them."""

    inventory: Inventory
    seen: Mapping[Kind, frozenset[str]] = field(default_factory=dict)

    @cached_property
    def populations(self) -> Mapping[Kind, Population]:
        hosts = [host.id for host in self.inventory.hosts]
        vms = [vm.id for vm in self.inventory.vms]
        nobody = np.full(len(hosts), NOBODY, dtype=np.intp)
        whole = {
            Kind.HOST: Population(Kind.HOST, hosts, np.arange(len(hosts)), nobody),
            Kind.VM: Population(Kind.VM, vms, self._homes, np.arange(len(vms))),
            Kind.PLATFORM: self._owned(Kind.PLATFORM, (PLATFORM,)),
        }
        for kind, names in (
            (Kind.DISK, self.inventory.disks), (Kind.NIC, self.inventory.nics), (Kind.TARGET, self.inventory.targets)
        ):  # fmt: skip
            whole[kind] = self._owned(kind, sorted(self.seen.get(kind, frozenset()).union(names)))
        return whole

    @cached_property
    def _hosts(self) -> Mapping[str, int]:
        return {host.id: position for position, host in enumerate(self.inventory.hosts)}

    @cached_property
    def _vms(self) -> Mapping[str, int]:
        return {vm.id: position for position, vm in enumerate(self.inventory.vms)}

    @cached_property
    def _homes(self) -> Positions:
        places = (self._hosts.get(vm.host_id or "", NOBODY) for vm in self.inventory.vms)
        return np.fromiter(places, dtype=np.intp, count=len(self.inventory.vms))

    def _owned(self, kind: Kind, names: Sequence[str]) -> Population:
        owners = [name.rpartition("/")[0] for name in names]
        vm = np.fromiter((self._vms.get(owner, NOBODY) for owner in owners), dtype=np.intp, count=len(names))
        host = np.fromiter((self._hosts.get(owner, NOBODY) for owner in owners), dtype=np.intp, count=len(names))
        return Population(kind, names, np.where(vm == NOBODY, host, at(self._homes, vm, NOBODY)), vm)

    def with_states(self, inventory: Inventory) -> Census:
        """The same objects with other states: their numbers stay."""
        other = Census(inventory, self.seen)
        for name in ("populations", "_hosts", "_vms", "_homes"):
            if name in self.__dict__:
                other.__dict__[name] = self.__dict__[name]
        return other

    def strangers(self, kind: Kind, names: Sequence[str]) -> frozenset[str]:
        """Devices among `names` that are in no population, and whose owner is known."""
        if kind not in (Kind.DISK, Kind.NIC):
            return frozenset()
        known = self.populations[kind].position
        return frozenset(
            name for name in names
            if name not in known and (owner := name.rpartition("/")[0]) and (owner in self._vms or owner in self._hosts)
        )  # fmt: skip

    def name(self, kind: Kind, position: int) -> str:
        """What people call the object."""
        inventory, population = self.inventory, self.populations[kind]
        if kind is Kind.HOST:
            return inventory.hosts[position].name or population.ids[position]
        vm, host = int(population.vm[position]), int(population.host[position])
        if kind is Kind.VM:
            return inventory.vms[position].name or population.ids[position]
        owner = inventory.vms[vm].name if vm != NOBODY else inventory.hosts[host].name if host != NOBODY else ""
        device = population.ids[position].rpartition("/")[2]
        return f"{owner}/{device}" if owner else population.ids[position]


def at(values: NDArray[np.intp], positions: Positions, otherwise: int) -> Positions:
    """values[positions], and `otherwise` where the position is NOBODY."""
    if not len(values):
        return np.full(len(positions), otherwise, dtype=np.intp)
    return np.where(positions == NOBODY, otherwise, values[positions])
