"""Column types that mean the same on SQLite and PostgreSQL, and the base of all rows."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import TypeVar

from sqlalchemy import ColumnElement, DateTime, Dialect, Integer, MetaData, String, true
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

C = TypeVar("C", bound=IntEnum)
W = TypeVar("W", bound=StrEnum)


class Instant(TypeDecorator[datetime]):
    """An aware datetime in UTC. SQLite keeps no zone, so it is taken off on the way in and put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"BUG: naive datetime {value!r} for an Instant column")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Code(TypeDecorator[C]):
    """An IntEnum, stored as its number: the codes of the document's appendices stay readable in the database."""

    impl = Integer
    cache_ok = True

    def __init__(self, kind: type[C]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: C | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> C | None:  # noqa: ARG002
        return None if value is None else self.kind(value)


class Word(TypeDecorator[W]):
    """A StrEnum, stored as its text."""

    impl = String(32)
    cache_ok = True

    def __init__(self, kind: type[W]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: W | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> W | None:  # noqa: ARG002
        return None if value is None else self.kind(value)


class Row(DeclarativeBase):
    """Constraints have names, so that a migration can find them again."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Instant}  # noqa: RUF012


class Shared:
    """Mark of rows that all tenants may read and none may write: they say nothing about anybody."""


class OneKind:
    """Mark of classes that see only some rows of a table, which they share with others: every session adds `of_kind` to
    every statement on them (`core.db.session`)."""

    @classmethod
    def of_kind(cls) -> ColumnElement[bool]:
        """Which rows these are."""
        return true()


class TenantOwned:
    """Mark of rows that belong to a tenant: a tenant's session sees no others (`core.db.session`)."""

    tenant_id: object = None
