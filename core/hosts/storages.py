"""Storages: what holds disks and backups. Everybody may read them; how full they are is counted, not kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.compute.copy_rows import KeptSize
from core.compute.rows import StoredSize
from core.context import Context, Page
from core.db.search import page
from core.hosts.storage_rows import Storage, StorageAccess, StorageForm, StorageType, StorageUse
from core.paging import Paged


@dataclass(frozen=True, slots=True, kw_only=True)
class FindStorages(Paged):
    """All of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageDetails:
    """Sizes in GB. `used_gb`: what its disks and backups may take in full. `location`, `ceph_monitors`: where it is
    reached, for the platform only; empty for a tenant's caller."""

    id: str
    name: str
    description: str
    created_at: datetime
    type: StorageType
    thin: bool
    size_gb: int
    location: str
    use: StorageUse
    used_gb: int
    form: StorageForm
    access: StorageAccess
    ceph_monitors: str


def search(at: Context, find: FindStorages) -> Page[StorageDetails]:
    """Storages, by name."""
    found = page(at, select(Storage), find, order=(Storage.name, Storage.id))
    used = _sums(at.session, StoredSize.storage_id, StoredSize.size_gb)
    kept = _sums(at.session, KeptSize.storage_id, KeptSize.size_gb)
    details = tuple(_details(at, one, used.get(one.id, 0) + kept.get(one.id, 0)) for (one,) in found.rows)
    return Page(details, found.total)


def main(session: Session) -> str | None:
    """The storage of new disks; None: nobody said."""
    return _first(session, StorageUse.MAIN)


def secondary(session: Session) -> str | None:
    """The storage of new backups; None: nobody said."""
    return _first(session, StorageUse.SECONDARY)


def _first(session: Session, use: StorageUse) -> str | None:
    usable = (Storage.use == use, Storage.access == StorageAccess.READ_WRITE)
    return session.scalar(select(Storage.id).where(*usable).order_by(Storage.id).limit(1))


def _sums(
    session: Session, storage: InstrumentedAttribute[str | None], size: InstrumentedAttribute[int]
) -> dict[str | None, int]:
    found = session.execute(select(storage, func.sum(size)).group_by(storage))
    return {storage_id: int(total or 0) for storage_id, total in found}


def _details(at: Context, storage: Storage, used_gb: int) -> StorageDetails:
    location, monitors = (storage.location, storage.ceph_monitors) if at.caller.is_platform else ("", "")
    return StorageDetails(
        id=storage.id, name=storage.name, description=storage.description, created_at=storage.created_at,
        type=storage.type, thin=storage.thin, size_gb=storage.size_gb, location=location, use=storage.use,
        used_gb=used_gb, form=storage.form, access=storage.access, ceph_monitors=monitors,
    )  # fmt: skip
