"""Table of leases."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.types import Row


class Lease(Row):
    """`fence` grows with every change of owner, `beats` with every renewal of one owner's."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    fence: Mapped[int]
    beats: Mapped[int] = mapped_column(default=0)
