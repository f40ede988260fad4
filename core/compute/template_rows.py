"""Templates as everybody may see them: what a clone is made from, and not whose it is."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, select, true
from sqlalchemy.orm import Mapped, column_property

from core.compute.rows import Disk, Vm
from core.db.types import OneKind, Row, Shared


class Template(Row, Shared, OneKind):
    """A row of the VMs that is marked as a template."""

    __table__ = Vm.__table__
    __mapper_args__ = {  # noqa: RUF012
        "include_properties": [
            "id", "name", "description", "created_at", "is_template", "vcpus", "memory_mb", "type_code", "model_code",
        ],
    }  # fmt: skip
    id: Mapped[str] = column_property(Vm.__table__.c.id)
    name: Mapped[str] = column_property(Vm.__table__.c.name)
    description: Mapped[str] = column_property(Vm.__table__.c.description)
    created_at: Mapped[datetime] = column_property(Vm.__table__.c.created_at)
    is_template: Mapped[bool] = column_property(Vm.__table__.c.is_template)
    vcpus: Mapped[int] = column_property(Vm.__table__.c.vcpus)
    memory_mb: Mapped[int] = column_property(Vm.__table__.c.memory_mb)
    type_code: Mapped[str] = column_property(Vm.__table__.c.type_code)
    model_code: Mapped[str] = column_property(Vm.__table__.c.model_code)

    @classmethod
    def of_kind(cls) -> ColumnElement[bool]:
        return cls.is_template == true()


class TemplateDisk(Row, Shared, OneKind):
    """A disk of a template."""

    __table__ = Disk.__table__
    __mapper_args__ = {"include_properties": ["id", "vm_id", "device", "size_gb"]}  # noqa: RUF012
    vm_id: Mapped[str | None] = column_property(Disk.__table__.c.vm_id)
    device: Mapped[str | None] = column_property(Disk.__table__.c.device)
    size_gb: Mapped[int] = column_property(Disk.__table__.c.size_gb)

    @classmethod
    def of_kind(cls) -> ColumnElement[bool]:
        vms = Vm.__table__.c
        return cls.vm_id.in_(select(vms.id).where(vms.is_template))
