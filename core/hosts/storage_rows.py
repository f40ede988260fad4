"""The table of storages."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.types import Row, Shared, Word


class StorageType(StrEnum):
    NFS = "NFS"
    FCSAN = "FCSAN"
    ISCSI = "ISCSI"
    CEPH = "CEPH"
    GFS2 = "GFS2"
    GLUSTERFS = "GLUSTERFS"


class StorageUse(StrEnum):
    """MAIN holds disks, SECONDARY what is kept of them."""

    MAIN = "main"
    SECONDARY = "secondary"


class StorageForm(StrEnum):
    BLOCK = "block"
    FILE = "file"
    NETWORK = "network"


class StorageAccess(StrEnum):
    READ = "r"
    READ_WRITE = "rw"


class Storage(Row, Shared):
    """`host_id`: through which its volumes are made. How its driver gets at it is the driver's own: no secret of a
    storage is here."""

    __tablename__ = "storage"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    description: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime]
    type: Mapped[StorageType] = mapped_column(Word(StorageType))
    thin: Mapped[bool] = mapped_column(default=True)
    size_gb: Mapped[int]
    location: Mapped[str] = mapped_column(String(512), default="")
    use: Mapped[StorageUse] = mapped_column(Word(StorageUse))
    form: Mapped[StorageForm] = mapped_column(Word(StorageForm))
    access: Mapped[StorageAccess] = mapped_column(Word(StorageAccess))
    ceph_monitors: Mapped[str] = mapped_column(String(512), default="")
    ceph_pool: Mapped[str] = mapped_column(String(128), default="")
    host_id: Mapped[str | None] = mapped_column(String(64))
