"""What the platform has to give to all tenants together. For the platform only."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from core.context import Context
from core.hosts.rows import Host, Origin
from core.network.outer_rows import PoolIp


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCapacity:
    """In the units of quotas: `cpu` counts virtual CPUs, overcommitment included."""

    cpu: int
    memory_mb: int
    storage_gb: int
    outer_ips: int


def pool(at: Context) -> PoolCapacity:
    """Of all hosts that take VMs, used or not, also of those that are down or in maintenance now; and of all pools."""
    sums = select(func.sum(Host.cpu_cores), func.sum(Host.memory_mb), func.sum(Host.storage_gb))
    cores, memory_mb, storage_gb = at.session.execute(sums.where(Host.origin != Origin.LOCAL)).one()
    return PoolCapacity(
        cpu=int((cores or 0) * at.settings.cpu_overcommit), memory_mb=memory_mb or 0, storage_gb=storage_gb or 0,
        outer_ips=at.session.scalar(select(func.count()).select_from(PoolIp)) or 0,
    )  # fmt: skip
