"""What simulated hypervisors know beside the VMs that they run: snapshots, backups, free volumes, half-made VMs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.drivers.simulated.datacentre import SimDisk, SimNic


@dataclass(frozen=True, slots=True)
class SavedDisk:
    """`moment`: the time whose content it has."""

    disk: SimDisk
    moment: float


@dataclass(frozen=True, slots=True)
class Saved:
    """A VM as it was: a snapshot or a backup. `host` is the id of the host where it is kept."""

    id: str
    vm_id: str
    host: str
    vcpus: int
    memory_mb: int
    on: bool
    disks: tuple[SavedDisk, ...]
    nics: tuple[SimNic, ...]


@dataclass(frozen=True, slots=True)
class Volume:
    """A disk that hangs on no VM. `key_sha256`: of the key of its own user, in hexadecimal; empty: it has none. The
    key itself would stand on a disk, and nobody asks for it."""

    id: str
    host: str
    size_gb: int
    key_sha256: str = ""


@dataclass
class Records:
    """`snapshots` by VM id, oldest first; `incomplete`: ids of VMs whose creation did not end;
    `consoles`: sealed passwords by VM id."""

    snapshots: dict[str, tuple[Saved, ...]] = field(default_factory=dict)
    backups: dict[str, Saved] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)
    consoles: dict[str, str] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """For orjson."""
        return {
            "snapshots": [saved for kept in self.snapshots.values() for saved in kept],
            "backups": list(self.backups.values()),
            "volumes": list(self.volumes.values()),
            "incomplete": sorted(self.incomplete),
            "consoles": self.consoles,
        }


def restore(dumped: Mapping[str, Any]) -> Records:
    records = Records(incomplete=set(dumped["incomplete"]), consoles=dict(dumped.get("consoles", {})))
    for snapshot in map(_saved, dumped["snapshots"]):
        records.snapshots[snapshot.vm_id] = (*records.snapshots.get(snapshot.vm_id, ()), snapshot)
    records.backups = {backup.id: backup for backup in map(_saved, dumped["backups"])}
    records.volumes = {volume["id"]: Volume(**volume) for volume in dumped["volumes"]}
    return records


def _saved(dumped: Mapping[str, Any]) -> Saved:
    disks = tuple(SavedDisk(SimDisk(**one["disk"]), one["moment"]) for one in dumped["disks"])
    nics = tuple(SimNic(**nic) for nic in dumped["nics"])
    return Saved(**{**dumped, "disks": disks, "nics": nics})
