"""Tables of VMs, their disks and NICs."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from core.db.types import Code, OneKind, Row, Shared, TenantOwned
from core.hosts.rows import HostState
from core.sealing import Sealed, SealedText


class VmState(IntEnum):
    """Appendix 1 of the StarVCenter document."""

    STOPPED = 0
    RUNNING = 1
    SUSPENDED = 2
    INSTALLING = 3
    CLONING = 4
    FAULT_DETECTING = -1
    CREATE_FAILED = -2


class VmLock(IntEnum):
    """Appendix 2: while it is not NONE, nothing else may be done to the VM. CHANGING is ours: what the appendix has no
    code for."""

    NONE = 0
    MIGRATING_HOST = 1
    MIGRATING_STORAGE = 2
    BACKUP_CREATING = 3
    BACKUP_RESTORING = 4
    SNAPSHOT_CREATING = 5
    SNAPSHOT_REVERTING = 6
    STARTING = 7
    STOPPING = 8
    EXPORTING = 9
    IMPORTING = 10
    BEING_CLONED = 11
    INSTALLING = 12
    CLONING = 13
    MOVING = 14
    CHANGING = 15


class Vm(Row, TenantOwned, OneKind):
    """`domain_uuid` is the hypervisor's name of the VM: exporter pages are matched by it. `nested`: VMs run inside it.
    `template_id`: what it was cloned from; that may be gone by now. Rows with `is_template` are no VMs: statements do
    not see them unless they are `of_every_kind` (`core.db.session`).

    `host_state` repeats its host's state, written in the same transactions: a tenant's session sees no hosts, and yet
    the VMs of a suspected host are shown as such (`core.compute.state`). `lock_task` holds the lock
    (`core.compute.locks`).
    """

    __tablename__ = "vm"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        CheckConstraint("(lock = 0) = (lock_task IS NULL)", name="lock_has_a_task"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"))
    host_id: Mapped[str | None] = mapped_column(ForeignKey("host.id"), index=True)
    host_state: Mapped[HostState] = mapped_column(Code(HostState), default=HostState.RUNNING)
    name: Mapped[str] = mapped_column(String(128), index=True)
    description: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime]
    state: Mapped[VmState] = mapped_column(Code(VmState), default=VmState.RUNNING)
    lock: Mapped[VmLock] = mapped_column(Code(VmLock), default=VmLock.NONE)
    lock_task: Mapped[str | None] = mapped_column(ForeignKey("task.id"), index=True)
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    type_code: Mapped[str] = mapped_column(String(64), default="")
    model_code: Mapped[str] = mapped_column(String(64), default="")
    is_template: Mapped[bool] = mapped_column(default=False)
    template_id: Mapped[str | None] = mapped_column(String(64), index=True)
    ha_enabled: Mapped[bool] = mapped_column(default=True)
    domain_uuid: Mapped[str] = mapped_column(String(36), unique=True)
    nested: Mapped[bool] = mapped_column(default=False)
    firewall_enabled: Mapped[bool] = mapped_column(default=False)
    vnc_password: Mapped[Sealed | None] = mapped_column(SealedText)

    disks: Mapped[list[Disk]] = relationship(lazy="raise", viewonly=True)
    nics: Mapped[list[Nic]] = relationship(lazy="raise", viewonly=True, order_by="Nic.position")

    @classmethod
    def of_kind(cls) -> ColumnElement[bool]:
        return cls.is_template == false()


Index("ix_vm_page", Vm.is_template, Vm.created_at.desc(), Vm.id)
Index("ix_vm_tenant_page", Vm.tenant_id, Vm.is_template, Vm.created_at.desc(), Vm.id)
"""The order in which VMs are searched, and what is counted: a page costs what it holds, whatever is before it."""


class Disk(Row, TenantOwned):
    """`vm_id` None: a free volume, on the storage `storage_id`; the platform's have no tenant. `ceph_key`: of the Ceph
    user that a volume has for itself (`core.compute.volumes`)."""

    __tablename__ = "disk"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "vm_id"], ["vm.tenant_id", "vm.id"]),
        UniqueConstraint("vm_id", "device"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(ForeignKey("tenant.id"), index=True)
    vm_id: Mapped[str | None] = mapped_column(String(64), index=True)
    storage_id: Mapped[str | None] = mapped_column(ForeignKey("storage.id"), index=True)
    name: Mapped[str] = mapped_column(String(128), default="")
    description: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime]
    device: Mapped[str | None] = mapped_column(String(32))
    size_gb: Mapped[int]
    is_system: Mapped[bool] = mapped_column(default=False)
    ceph_key: Mapped[Sealed | None] = mapped_column(SealedText)


class StoredSize(Row, Shared):
    """How much of a storage disks take, and not whose they are."""

    __table__ = Disk.__table__
    __mapper_args__ = {"include_properties": ["id", "storage_id", "size_gb"]}  # noqa: RUF012
    storage_id: Mapped[str | None] = column_property(Disk.__table__.c.storage_id)
    size_gb: Mapped[int] = column_property(Disk.__table__.c.size_gb)


class Nic(Row, TenantOwned):
    """`device` is the interface on the host (the tap) by which exporters name the NIC."""

    __tablename__ = "nic"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "vm_id"], ["vm.tenant_id", "vm.id"]),
        ForeignKeyConstraint(["tenant_id", "vpc_id"], ["vpc.tenant_id", "vpc.id"]),
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("vm_id", "position"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    vm_id: Mapped[str] = mapped_column(String(64), index=True)
    created_at: Mapped[datetime]
    position: Mapped[int] = mapped_column(default=0)
    device: Mapped[str] = mapped_column(String(32))
    mac: Mapped[str] = mapped_column(String(17), unique=True)
    ip: Mapped[str] = mapped_column(String(15), default="")
    vpc_id: Mapped[str | None] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(128), default="")
    description: Mapped[str] = mapped_column(String(1024), default="")
