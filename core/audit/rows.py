"""Tables of the audit log. Entries keep no foreign keys to tenants, tokens and objects: they outlive them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, BigInteger, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.context import Role
from core.db.types import Row, TenantOwned, Word

_Number = BigInteger().with_variant(Integer, "sqlite")


class Outcome(StrEnum):
    """REFUSED: nobody knows who it was, for the token was not good."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"


class AuditEntry(Row, TenantOwned):
    """`tenant_id` is the caller's: NULL for the platform, and for who was refused. `parameters`: those that were given,
    by name; a value only where its type cannot hold a secret. `times`: how many refusals the entry stands for.
    `unlisted`: how many more objects were named than an entry holds."""

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(_Number, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    tenant_id: Mapped[str | None] = mapped_column(String(64), index=True)
    role: Mapped[Role | None] = mapped_column(Word(Role))
    token_id: Mapped[str | None] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64))
    operation: Mapped[str] = mapped_column(String(128))
    parameters: Mapped[dict[str, str | None]] = mapped_column(JSON)
    outcome: Mapped[Outcome] = mapped_column(Word(Outcome))
    code: Mapped[str] = mapped_column(String(64), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    tasks: Mapped[list[str]] = mapped_column(JSON)
    times: Mapped[int] = mapped_column(default=1)
    unlisted: Mapped[int] = mapped_column(default=0)

    objects: Mapped[list[AuditObject]] = relationship(lazy="raise", order_by="AuditObject.object_id")


class AuditObject(Row, TenantOwned):
    """An object that an entry is about. `name`: of the parameter or field that held its id."""

    __tablename__ = "audit_object"

    entry_id: Mapped[int] = mapped_column(ForeignKey("audit_entry.id", ondelete="CASCADE"), primary_key=True)
    object_id: Mapped[str] = mapped_column(String(192), primary_key=True, index=True)
    tenant_id: Mapped[str | None] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
