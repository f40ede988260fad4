"""The storages of the simulated data centre: a Ceph cluster that holds disks, and a filer that keeps backups."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import update

from core.compute.rows import Disk
from core.db.session import PlatformSession
from core.drivers.simulated.datacentre import DataCentre
from core.hosts.storage_rows import Storage, StorageAccess, StorageForm, StorageType, StorageUse

MAIN: Final = "storage-sim-main"
SECONDARY: Final = "storage-sim-backup"
_MONITORS: Final = "10.127.0.1,10.127.0.2,10.127.0.3"


def register(session: PlatformSession, centre: DataCentre, now: datetime) -> None:
    """Both are in the inventory, and all disks that are on no storage are on the first. May be repeated."""
    size = sum(host.store_gb for host in centre.hosts)
    if centre.hosts and session.get(Storage, MAIN) is None:
        session.add(
            Storage(
                id=MAIN, name="ceph-main", description="disks of the simulated VMs", created_at=now,
                type=StorageType.CEPH, size_gb=size, location="vms", use=StorageUse.MAIN, form=StorageForm.NETWORK,
                access=StorageAccess.READ_WRITE, ceph_monitors=_MONITORS, ceph_pool="vms",
                host_id=centre.hosts[0].id,
            )
        )  # fmt: skip
        session.add(
            Storage(
                id=SECONDARY, name="nfs-backup", description="backups of the simulated VMs", created_at=now,
                type=StorageType.NFS, size_gb=size, location="10.127.0.9:/export/backup", use=StorageUse.SECONDARY,
                form=StorageForm.FILE, access=StorageAccess.READ_WRITE,
            )
        )  # fmt: skip
    session.flush()
    if centre.hosts:
        session.execute(update(Disk).where(Disk.storage_id.is_(None)).values(storage_id=MAIN))
