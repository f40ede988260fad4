"""Where a new VM goes: a pure choice among hosts, or the reason of each host why not.

A host takes a VM when it runs, is connected, is outside maintenance, has a driver that speaks for it, and has what the
VM needs left: virtual CPUs (its cores times the overcommitment), memory and storage. Among those that do, a tenant's
VMs are spread: the host with the fewest of them, and then the one that is least full, so that one dead host takes as
little as possible of anybody along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """So much of a host. `storage_gb` None: the size of its storage is not known, and only its driver can tell that it
    is full."""

    vcpus: float
    memory_mb: int
    storage_gb: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a VM needs, or what one that is placed needs in addition."""

    vcpus: int = 0
    memory_mb: int = 0
    storage_gb: int = 0


class Obstacle(StrEnum):
    """Why a host takes no VM at all."""

    FOREIGN = "no driver runs VMs there"
    NOT_RUNNING = "it does not run"
    DISCONNECTED = "it is not connected"
    MAINTENANCE = "it is in maintenance"
    UNKNOWN_SIZE = "its size is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """`size`: what the host has in all, overcommitment included. `tenants`: how many VMs of each are on it."""

    host_id: str
    size: Room
    left: Room
    obstacle: Obstacle | None = None
    tenants: Mapping[str, int] = field(default_factory=dict)

    def with_one_more(self, tenant_id: str, wish: Wish) -> Candidate:
        """The same host when a VM of the tenant's is on it, too."""
        storage = None if self.left.storage_gb is None else self.left.storage_gb - wish.storage_gb
        left = Room(
            vcpus=self.left.vcpus - wish.vcpus, memory_mb=self.left.memory_mb - wish.memory_mb, storage_gb=storage
        )
        return replace(self, left=left, tenants={**self.tenants, tenant_id: self.tenants.get(tenant_id, 0) + 1})


@dataclass(frozen=True, slots=True)
class Choice:
    """`host_id` None: nothing fits. `refusals`: by host, why it is not it; hosts that fit are absent."""

    host_id: str | None
    refusals: Mapping[str, str]


def choose(wish: Wish, tenant_id: str, candidates: Iterable[Candidate]) -> Choice:
    """The best host for a tenant's VM. The order of the candidates does not matter."""
    fitting, refusals = [], {}
    for candidate in candidates:
        why = candidate.obstacle or shortage(wish, candidate.left)
        if why is None:
            fitting.append(candidate)
        else:
            refusals[candidate.host_id] = str(why)

    def merit(one: Candidate) -> tuple[int, float, str]:
        return one.tenants.get(tenant_id, 0), _fullness(wish, one), one.host_id

    return Choice(min(fitting, key=merit).host_id if fitting else None, refusals)


def shortage(wish: Wish, left: Room) -> str | None:
    """What is wanted and not left, all of it; None: it fits."""
    short = []
    if wish.vcpus > left.vcpus:
        short.append(f"{wish.vcpus} vCPUs wanted, {max(0, int(left.vcpus))} left")
    if wish.memory_mb > left.memory_mb:
        short.append(f"{wish.memory_mb} MB of memory wanted, {max(0, left.memory_mb)} left")
    if left.storage_gb is not None and wish.storage_gb > left.storage_gb:
        short.append(f"{wish.storage_gb} GB of storage wanted, {max(0, left.storage_gb)} left")
    return ", ".join(short) or None


def _fullness(wish: Wish, candidate: Candidate) -> float:
    """The share of the scarcest resource that would be in use."""
    size, left = candidate.size, candidate.left
    shares = [1 - (left.vcpus - wish.vcpus) / size.vcpus, 1 - (left.memory_mb - wish.memory_mb) / size.memory_mb]
    if size.storage_gb and left.storage_gb is not None:
        shares.append(1 - (left.storage_gb - wish.storage_gb) / size.storage_gb)
    return max(shares)
