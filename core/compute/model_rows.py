"""The dictionary of VM types and models."""

from __future__ import annotations

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.types import Row, Shared

TYPES = "tenant_type"
"""The `type` of entries that are types themselves."""


class Entry(Row, Shared):
    """A type of VMs (`type` is TYPES), or a model of the type whose value `type` is. The value of a model is the name
    of its image."""

    __tablename__ = "dictionary_entry"
    __table_args__ = (UniqueConstraint("type", "value"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    type: Mapped[str] = mapped_column(String(64), index=True)
    label: Mapped[str] = mapped_column(String(128))
    value: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(String(1024), default="")
