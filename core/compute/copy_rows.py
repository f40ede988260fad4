"""Tables of snapshots and backups: what a VM was."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, ForeignKeyConstraint, String
from sqlalchemy.orm import Mapped, column_property, mapped_column

from core.db.types import Row, Shared, TenantOwned


class Snapshot(Row, TenantOwned):
    """It goes with its VM. `enabled`: it is complete. `with_memory`: taken while the VM ran. The sizes are the VM's of
    that moment, which it has again after a revert."""

    __tablename__ = "snapshot"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "vm_id"], ["vm.tenant_id", "vm.id"]),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    vm_id: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(128))
    description: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime]
    enabled: Mapped[bool] = mapped_column(default=False)
    with_memory: Mapped[bool]
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    storage_gb: Mapped[int]


class Backup(Row, TenantOwned):
    """It outlives its VM, therefore no foreign key to it. `storage_gb`: of the VM's disks; `size_gb`: what it takes."""

    __tablename__ = "backup"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    vm_id: Mapped[str] = mapped_column(String(64), index=True)
    host_id: Mapped[str] = mapped_column(String(64))
    storage_id: Mapped[str | None] = mapped_column(ForeignKey("storage.id"), index=True)
    name: Mapped[str] = mapped_column(String(128))
    description: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime]
    enabled: Mapped[bool] = mapped_column(default=False)
    storage_gb: Mapped[int]
    size_gb: Mapped[int] = mapped_column(default=0)


class KeptSize(Row, Shared):
    """How much a storage keeps in backups, and not whose they are."""

    __table__ = Backup.__table__
    __mapper_args__ = {"include_properties": ["id", "storage_id", "size_gb"]}  # noqa: RUF012
    storage_id: Mapped[str | None] = column_property(Backup.__table__.c.storage_id)
    size_gb: Mapped[int] = column_property(Backup.__table__.c.size_gb)
